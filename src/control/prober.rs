//! One prober for the whole process: when each server is checked, and how many are at a time.
//!
//! What it does at a moment is decided by `Schedule`, which sees no clock; `Prober` gives it one and runs the checks as tasks.

use super::probe::{self, Secured};
use crate::config::plan::{Address, CheckKind, HealthCheck};
use crate::limits::{CHECK_OVERTIME, CHECK_TIMEOUT_DEFAULT, CHECKS_AT_ONCE, RECOVERY_INTERVAL};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Something to check.
#[derive(Debug, Clone, PartialEq)]
pub struct Target<K> {
    /// Whose verdict it is; one check for each key.
    pub key: K,
    /// Where; of several, one that passes is enough: they are doors of the same server.
    pub addresses: Vec<Address>,
    /// What, and how often.
    pub check: HealthCheck,
    /// By TLS.
    pub tls: Option<Secured>,
}

impl<K> Target<K> {
    /// A look whether a server that could not be connected to can be again.
    pub fn recovery(key: K, addresses: Vec<Address>) -> Target<K> {
        let check = HealthCheck {
            kind: CheckKind::Tcp,
            port: None,
            interval: Duration::from_millis(RECOVERY_INTERVAL),
            jitter: 10,
            timeout: Duration::from_millis(CHECK_TIMEOUT_DEFAULT),
            rise: 1,
            fall: 1,
        };
        Target { key, addresses, check, tls: None }
    }
}

/// What a check found.
type Verdict = Result<(), String>;
/// Asks one server. It should end within its timeout by itself.
type Asker<K> = Box<dyn Fn(Rc<Target<K>>) -> Pin<Box<dyn Future<Output = Verdict>>>>;
/// Told each verdict, and how long it took.
type Report<K> = Box<dyn Fn(&K, Verdict, Duration)>;

/// Checks servers for ever; see `run`.
pub struct Prober<K> {
    schedule: RefCell<Schedule<K>>,
    /// The set of targets was changed.
    changed: Notify,
    ask: Asker<K>,
    report: Report<K>,
}

impl<K: Clone + Eq + Hash + 'static> Prober<K> {
    /// One without targets. `report` may change the targets.
    pub fn new(report: impl Fn(&K, Verdict, Duration) + 'static) -> Prober<K> {
        let ask = |target: Rc<Target<K>>| async move {
            let mut verdict = Err("no address".to_owned());
            for address in &target.addresses {
                verdict = probe::check(address, &target.check, target.tls.as_ref()).await;
                if verdict.is_ok() {
                    break;
                }
            }
            verdict
        };
        Prober::with(ask, report, RandomState::new().hash_one(0))
    }

    /// The same with another way to ask, and a seed of chance.
    fn with<F>(
        ask: impl Fn(Rc<Target<K>>) -> F + 'static,
        report: impl Fn(&K, Verdict, Duration) + 'static,
        seed: u64,
    ) -> Self
    where
        F: Future<Output = Verdict> + 'static,
    {
        Prober {
            schedule: RefCell::new(Schedule::new(seed)),
            changed: Notify::new(),
            ask: Box::new(move |target| Box::pin(ask(target))),
            report: Box::new(report),
        }
    }

    /// Replaces all targets (recovery looks too). Those that are the same keep their schedule and a check under way; checks of the
    /// others are cancelled and never reported. Of two with the same key the last counts.
    pub fn set_targets(&self, targets: Vec<Target<K>>) {
        self.schedule.borrow_mut().replace(targets, Instant::now());
        self.changed.notify_one();
    }

    /// Adds one, or replaces that of the same key unless it is the same.
    pub fn add(&self, target: Target<K>) {
        self.schedule.borrow_mut().add(target, Instant::now());
        self.changed.notify_one();
    }

    /// Removes one. Its check is cancelled and never reported. False if there was none.
    pub fn remove(&self, key: &K) -> bool {
        // Nobody needs to be woken: an early alarm finds nothing to do.
        self.schedule.borrow_mut().remove(key)
    }

    /// Checks until it is dropped, which cancels what is under way. In a `LocalSet` (as within tokio-uring), once.
    pub async fn run(self: Rc<Self>) {
        let mut tasks = JoinSet::new();
        // Whose check a task is.
        let mut owners: HashMap<tokio::task::Id, (K, u64)> = HashMap::new();
        loop {
            let next = self.start_due(&mut tasks, &mut owners);
            tokio::select! {
                Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => self.ended(ended, &mut owners),
                () = self.changed.notified() => {}
                () = sleep_until(next), if next.is_some() => {}
            }
        }
    }

    /// Starts what is due and may be started; when the next is due, unless the end of a check comes before that.
    fn start_due(
        &self,
        tasks: &mut JoinSet<(Verdict, Duration)>,
        owners: &mut HashMap<tokio::task::Id, (K, u64)>,
    ) -> Option<Instant> {
        let mut schedule = self.schedule.borrow_mut();
        while tasks.len() < CHECKS_AT_ONCE {
            let now = Instant::now();
            let Some((id, target)) = schedule.begin_due(now) else { return schedule.next_due() };
            let limit = target.check.timeout + Duration::from_millis(CHECK_OVERTIME);
            let late = format!("no answer within {}", probe::shown(target.check.timeout));
            let asked = (self.ask)(target.clone());
            let task = tasks.spawn_local(async move {
                let verdict = tokio::time::timeout(limit, asked).await.unwrap_or(Err(late));
                (verdict, now.elapsed())
            });
            owners.insert(task.id(), (target.key.clone(), id));
            schedule.running(&target.key, task);
        }
        None
    }

    fn ended(
        &self,
        ended: Result<(tokio::task::Id, (Verdict, Duration)), JoinError>,
        owners: &mut HashMap<tokio::task::Id, (K, u64)>,
    ) {
        let task = ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
        let Some((key, id)) = owners.remove(&task) else { return };
        let wanted = self.schedule.borrow_mut().end(&key, id, Instant::now());
        // A check that panicked says nothing about the server: it is made again when it is due.
        if let (true, Ok((_, (verdict, took)))) = (wanted, ended) {
            (self.report)(&key, verdict, took);
        }
    }
}

async fn sleep_until(next: Option<Instant>) {
    if let Some(next) = next {
        tokio::time::sleep_until(next).await;
    }
}

/// Which target is checked when.
struct Schedule<K> {
    entries: HashMap<K, Entry<K>>,
    /// Those that wait, by the time they are due at and their id.
    waiting: BTreeMap<(Instant, u64), K>,
    /// The next id: a target that was replaced is another one.
    next_id: u64,
    chance: u64,
}

struct Entry<K> {
    id: u64,
    target: Rc<Target<K>>,
    due: Instant,
    check: Option<AbortHandle>,
}

impl<K: Clone + Eq + Hash> Schedule<K> {
    fn new(seed: u64) -> Self {
        Schedule { entries: HashMap::new(), waiting: BTreeMap::new(), next_id: 0, chance: seed }
    }

    fn replace(&mut self, targets: Vec<Target<K>>, now: Instant) {
        let wanted: HashSet<&K> = targets.iter().map(|target| &target.key).collect();
        let gone: Vec<K> = self.entries.keys().filter(|key| !wanted.contains(key)).cloned().collect();
        for key in gone {
            self.remove(&key);
        }
        for target in targets {
            self.add(target, now);
        }
    }

    /// New ones are first due at any time within one interval, so that those of one group are not asked all at once.
    fn add(&mut self, target: Target<K>, now: Instant) {
        if self.entries.get(&target.key).is_some_and(|entry| *entry.target == target) {
            return;
        }
        self.remove(&target.key);
        let due = now + target.check.interval.mul_f64(self.chance());
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.insert((due, id), target.key.clone());
        self.entries.insert(target.key.clone(), Entry { id, target: Rc::new(target), due, check: None });
    }

    fn remove(&mut self, key: &K) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        self.waiting.remove(&(entry.due, entry.id));
        if let Some(check) = entry.check {
            check.abort();
        }
        true
    }

    fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// The target that is due first, if it is now. It does not wait any more until `end`, and is due again one interval from now.
    fn begin_due(&mut self, now: Instant) -> Option<(u64, Rc<Target<K>>)> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now)?;
        let key = first.remove();
        let chance = self.chance();
        let entry = self.entries.get_mut(&key)?;
        entry.due = now + jittered(&entry.target.check, chance);
        Some((entry.id, entry.target.clone()))
    }

    fn running(&mut self, key: &K, check: AbortHandle) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.check = Some(check);
        }
    }

    /// A check has ended: the target waits again. False if it is not wanted any more.
    fn end(&mut self, key: &K, id: u64, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.id == id) else { return false };
        entry.check = None;
        // A check that took longer than its interval is followed by the next at once, never overtaken.
        entry.due = entry.due.max(now);
        self.waiting.insert((entry.due, id), key.clone());
        true
    }

    /// At least 0, below 1 (SplitMix64).
    fn chance(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The interval, shorter or longer by up to the jitter.
fn jittered(check: &HealthCheck, chance: f64) -> Duration {
    let spread = f64::from(check.jitter.min(100)) / 100.0;
    check.interval.mul_f64(1.0 - spread + 2.0 * spread * chance)
}
