//! The addresses of the names in the configuration, looked up again as long as we run.
//!
//! One task per name on the control plane's thread: look up, wait as long as the answer counts, look up again. Whoever asked for the names is
//! told only of differences; a name server that fails, or a name that is suddenly gone, changes nothing but a line in the log.

mod lookup;

use crate::config::plan;
use crate::limits;
use lookup::{Answer, Limits, Source};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet, spawn_local};

pub use lookup::Files;

/// What there is to tell about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// It has these addresses now: sorted, each once, at least one.
    Changed { name: &'a str, addresses: &'a [IpAddr] },
    /// It could not be looked up; what was known counts on. Told once until it is recovered.
    Trouble { name: &'a str, why: &'a str },
    /// It could be looked up again. Comes before `Changed`.
    Recovered { name: &'a str },
}

/// What is known about a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameState {
    /// The last good answer, sorted; empty: there has been none.
    pub addresses: Vec<IpAddr>,
    /// Why the last lookup failed; `None`: it did not.
    pub last_error: Option<String>,
    /// When there was a good answer last.
    pub resolved_at: Option<SystemTime>,
}

/// The pauses between lookups, and how long one may take. Those of `limits`, but for tests.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// An answer counts at least and at most so long, whatever its TTL; `resolver valid=` may be longer.
    pub ttl: (Duration, Duration),
    /// So long if it has none, being from /etc/hosts.
    pub without_ttl: Duration,
    /// After a first failure, and at most.
    pub retry: (Duration, Duration),
    /// One lookup.
    pub lookup: Duration,
    /// After one family's addresses are known, for the other's.
    pub other_family: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        let ms = Duration::from_millis;
        Pace {
            ttl: (ms(limits::DNS_TTL_MIN), ms(limits::DNS_TTL_MAX)),
            without_ttl: ms(limits::DNS_WITHOUT_TTL),
            retry: (ms(limits::DNS_RETRY_MIN), ms(limits::DNS_RETRY_MAX)),
            lookup: ms(limits::DNS_LOOKUP_TIMEOUT),
            other_family: ms(limits::DNS_OTHER_FAMILY_WAIT),
        }
    }
}

/// The names that are looked after. Dropping it ends that.
///
/// To be used on a thread that runs a tokio `LocalSet`, as tokio-uring's runtime does.
pub struct Names {
    shared: Rc<Shared>,
}

struct Shared {
    /// Or why there is none.
    source: RefCell<Result<Rc<Source>, String>>,
    resolver: RefCell<plan::Resolver>,
    entries: RefCell<BTreeMap<String, Entry>>,
    /// Each lookup takes descriptors.
    permits: Semaphore,
    files: Files,
    pace: Pace,
    tell: Box<dyn Fn(Event)>,
}

struct Entry {
    record: Record,
    task: AbortHandle,
}

/// The addresses of `names`, each looked up once; what is not found within `limits::START_LOOKUP_TIMEOUT` is empty. In a `LocalSet`.
pub async fn first_look(resolver: &plan::Resolver, names: BTreeSet<String>) -> BTreeMap<String, Vec<IpAddr>> {
    let looking = Names::new(resolver, |_| ());
    looking.set_hosts(names.iter().map(|name| (name.clone(), Vec::new())).collect());
    let is_done = |name: &String| {
        looking.state(name).is_none_or(|state| !state.addresses.is_empty() || state.last_error.is_some())
    };
    let until = tokio::time::Instant::now() + Duration::from_millis(limits::START_LOOKUP_TIMEOUT);
    while !names.iter().all(is_done) && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let addresses = |name: &String| looking.state(name).map(|state| state.addresses).unwrap_or_default();
    names.iter().map(|name| (name.clone(), addresses(name))).collect()
}

impl Names {
    /// No names yet. `tell` is called from the tasks of this thread, never from within a method of `Names`; it may call them.
    pub fn new(resolver: &plan::Resolver, tell: impl Fn(Event) + 'static) -> Names {
        Names::with(resolver, Files::default(), Pace::default(), tell)
    }

    /// The same with other files than the system's, and another pace.
    pub fn with(resolver: &plan::Resolver, files: Files, pace: Pace, tell: impl Fn(Event) + 'static) -> Names {
        let shared = Shared {
            source: RefCell::new(source(resolver, &files, pace)),
            resolver: RefCell::new(resolver.clone()),
            entries: RefCell::default(),
            permits: Semaphore::new(limits::DNS_LOOKUPS_MAX),
            files,
            pace,
            tell: Box::new(tell),
        };
        Names { shared: Rc::new(shared) }
    }

    /// Looks after these names from now on (lower case), and no longer after others. With each stands what is already known of it, such as
    /// what was found when the configuration was read; it counts as the last good answer if there is no other, and nothing is told of it.
    /// Names that stay keep their answers and schedules.
    pub fn set_hosts(&self, hosts: BTreeMap<String, Vec<IpAddr>>) {
        let mut entries = self.shared.entries.borrow_mut();
        entries.retain(|name, entry| {
            let stays = hosts.contains_key(name);
            if !stays {
                entry.task.abort();
            }
            stays
        });
        for (name, known) in hosts {
            match entries.get_mut(&name) {
                Some(entry) => entry.record.know(known),
                None => {
                    let mut record = Record::default();
                    record.know(known);
                    let task = spawn_local(self.shared.clone().look_after(name.clone())).abort_handle();
                    entries.insert(name, Entry { record, task });
                }
            }
        }
    }

    /// Asks others from now on, for each name at once. Does nothing if they are those that are asked now.
    pub fn set_resolver(&self, resolver: &plan::Resolver) {
        let shared = &self.shared;
        if *resolver == *shared.resolver.borrow() {
            return;
        }
        *shared.source.borrow_mut() = source(resolver, &shared.files, shared.pace);
        *shared.resolver.borrow_mut() = resolver.clone();
        for (name, entry) in shared.entries.borrow_mut().iter_mut() {
            entry.task.abort();
            entry.task = spawn_local(shared.clone().look_after(name.clone())).abort_handle();
        }
    }

    /// What is known of a name; `None`: it is not looked after.
    pub fn state(&self, name: &str) -> Option<NameState> {
        self.shared.entries.borrow().get(name).map(|entry| entry.record.state.clone())
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.shared.entries.borrow().values().for_each(|entry| entry.task.abort());
    }
}

fn source(resolver: &plan::Resolver, files: &Files, pace: Pace) -> Result<Rc<Source>, String> {
    let limits = Limits { lookup: pace.lookup, other_family: pace.other_family };
    Source::new(&resolver.servers, files.clone(), limits).map(Rc::new)
}

impl Shared {
    async fn look_after(self: Rc<Self>, name: String) {
        loop {
            let source = self.source.borrow().clone();
            let answer = match source {
                Ok(source) => {
                    let _permit = self.permits.acquire().await;
                    let name = name.clone();
                    in_a_task(async move { source.resolve(&name).await }).await
                }
                Err(why) => Err(why),
            };
            let pause = self.note(&name, answer);
            tokio::time::sleep(pause).await;
        }
    }

    /// Keeps what was found, tells what is new, and says when to look again.
    fn note(&self, name: &str, answer: Result<Answer, String>) -> Duration {
        let (news, state, pause) = {
            let mut entries = self.entries.borrow_mut();
            let Some(Entry { record, .. }) = entries.get_mut(name) else {
                return self.pace.retry.1; // it was removed, and this task is about to end
            };
            let pause = record.pause(&answer, self.pace, self.resolver.borrow().valid);
            let news = record.note(answer, SystemTime::now());
            // What is told of may ask for the state, or set other names.
            (news, record.state.clone(), pause)
        };
        if let Some(why) = state.last_error.as_deref().filter(|_| news.trouble) {
            (self.tell)(Event::Trouble { name, why });
        }
        if news.recovered {
            (self.tell)(Event::Recovered { name });
        }
        if news.changed {
            (self.tell)(Event::Changed { name, addresses: &state.addresses });
        }
        pause
    }
}

/// A mistake in the library costs one lookup, not all of a name's.
async fn in_a_task(lookup: impl Future<Output = Result<Answer, String>> + 'static) -> Result<Answer, String> {
    let mut task = JoinSet::new(); // dropped with this future, and the task with it
    task.spawn_local(lookup);
    match task.join_next().await {
        Some(Ok(answer)) => answer,
        _ => Err("the lookup made a mistake".to_string()),
    }
}

/// A name's answers and failures, without clock and network.
#[derive(Debug, Default)]
struct Record {
    state: NameState,
    /// In a row.
    failures: u32,
}

/// What an answer changed.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    changed: bool,
    trouble: bool,
    recovered: bool,
}

impl Record {
    fn know(&mut self, mut addresses: Vec<IpAddr>) {
        if self.state.addresses.is_empty() {
            addresses.sort();
            addresses.dedup();
            self.state.addresses = addresses;
        }
    }

    fn note(&mut self, answer: Result<Answer, String>, now: SystemTime) -> News {
        let state = &mut self.state;
        match answer {
            Ok(Answer { mut addresses, unknown, .. }) => {
                if let Some(family) = unknown {
                    addresses.extend(state.addresses.iter().filter(|address| family.has(address)));
                    addresses.sort();
                    addresses.dedup();
                }
                let changed = addresses != state.addresses;
                let recovered = state.last_error.is_some();
                *state = NameState { addresses, last_error: None, resolved_at: Some(now) };
                self.failures = 0;
                News { changed, recovered, trouble: false }
            }
            Err(why) => {
                let trouble = state.last_error.is_none();
                state.last_error = Some(why);
                self.failures = self.failures.saturating_add(1);
                News { trouble, ..News::default() }
            }
        }
    }

    /// Until the next lookup, before this answer is noted.
    fn pause(&self, answer: &Result<Answer, String>, pace: Pace, valid: Option<Duration>) -> Duration {
        let counts = match answer {
            Ok(Answer { ttl: None, .. }) => pace.without_ttl,
            Ok(Answer { ttl: Some(ttl), .. }) => valid.unwrap_or(*ttl.min(&pace.ttl.1)).max(pace.ttl.0),
            Err(_) => return pace.retry.0.saturating_mul(1 << self.failures.min(16)).min(pace.retry.1),
        };
        match answer {
            Ok(Answer { unknown: Some(_), .. }) => counts.min(pace.retry.1),
            _ => counts,
        }
    }
}

#[cfg(test)]
mod tests;
