//! Who looks after the servers: hands the prober what is to be checked and the resolver what is to be looked up, brings their news to
//! the groups, and says in the log when a server goes out of use or comes back.

use super::dns::{Event, Names};
use super::probe::Secured;
use super::prober::{Prober, Target};
use super::steering::Steering;
use super::{now_ms, status};
use crate::balance::health::{State, Verdict};
use crate::balance::{Entry, Group};
use crate::config::plan::{Address, CheckKind, HealthCheck, Host};
use crate::limits::KEEPER_INTERVAL;
use crate::log::LogSender;
use crate::site::Site;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

/// A server, by where its `Member` lies: [`Watched`] keeps it there.
type Key = usize;

struct Watched {
    group: Arc<Group>,
    server: usize,
    /// Its bytes at the last check: whether it answers real traffic.
    bytes: Cell<u64>,
    /// As last told in the log.
    told: Cell<State>,
    /// It is looked at to see when it is back.
    recovering: Cell<bool>,
}

impl Watched {
    fn entry(&self) -> &Entry {
        &self.group.entries()[self.server]
    }
}

/// See the head of this file.
pub struct Keeper {
    watched: RefCell<HashMap<Key, Watched>>,
    /// What is wrong with whole groups, as last told.
    troubles: RefCell<HashMap<String, Option<&'static str>>>,
    prober: Rc<Prober<Key>>,
    names: Names,
    log: LogSender,
}

impl Keeper {
    /// Begins to look after what `steering` steers. Inside tokio-uring.
    pub fn start(steering: &Rc<Steering>, log: LogSender) -> Rc<Keeper> {
        let site = steering.site();
        let keeper = Rc::new_cyclic(|keeper: &Weak<Keeper>| {
            let reported = keeper.clone();
            let prober = Rc::new(Prober::new(move |key: &Key, verdict, took| {
                if let Some(keeper) = reported.upgrade() {
                    keeper.checked(*key, verdict, took);
                }
            }));
            let (steering, told) = (steering.clone(), log.clone());
            let names = Names::new(&site.plan.resolver, move |event| resolved(event, &steering, &told));
            let (watched, troubles) = (RefCell::default(), RefCell::default());
            Keeper { watched, troubles, prober, names, log }
        });
        keeper.take_over(&site);
        let weak = Rc::downgrade(&keeper);
        steering.ask_names(move |host| {
            let known = weak.upgrade()?.names.state(&host.name)?.addresses;
            (!known.is_empty()).then_some(known)
        });
        let weak = Rc::downgrade(&keeper);
        steering.listen(move |site| {
            if let Some(keeper) = weak.upgrade() {
                keeper.take_over(site);
            }
        });
        tokio_uring::spawn(keeper.prober.clone().run());
        tokio_uring::spawn(keeper.clone().look());
        keeper
    }

    /// What is wrong with a name; `None`: nothing.
    pub fn trouble(&self, host: &Host) -> Option<String> {
        self.names.state(&host.name)?.last_error
    }

    /// Another site runs.
    fn take_over(&self, site: &Arc<Site>) {
        let mut before = std::mem::take(&mut *self.watched.borrow_mut());
        let mut watched = HashMap::new();
        for group in &site.groups {
            for (server, entry) in group.entries().iter().enumerate() {
                let key = Arc::as_ptr(&entry.member) as Key;
                let old = before.remove(&key);
                let cell = |read: fn(&Watched) -> u64| Cell::new(old.as_ref().map_or(0, read));
                let new = Watched {
                    group: group.clone(),
                    server,
                    bytes: cell(|old| old.bytes.get()),
                    told: Cell::new(old.as_ref().map_or(State::Up, |old| old.told.get())),
                    recovering: Cell::new(false),
                };
                watched.insert(key, new);
            }
        }
        *self.watched.borrow_mut() = watched;
        self.prober.set_targets(self.targets(site));
        self.names.set_resolver(&site.plan.resolver);
        self.names.set_hosts(hosts(site));
        self.tell_changes();
    }

    /// The configured checks. Servers that are to be seen coming back are added when they are found.
    fn targets(&self, site: &Site) -> Vec<Target<Key>> {
        let watched = self.watched.borrow();
        let target = |(&key, watched): (&Key, &Watched)| {
            let (entry, check) = (watched.entry(), watched.group.upstream().health_check.clone()?);
            let addresses = entry.member.addresses.clone();
            let tls = secured(site, entry, &check);
            (!entry.peer.down && !addresses.is_empty()).then_some(Target { key, addresses, check, tls })
        };
        watched.iter().filter_map(target).collect()
    }

    fn checked(&self, key: Key, verdict: Result<(), String>, took: Duration) {
        let watched = self.watched.borrow();
        let Some(watched) = watched.get(&key) else { return };
        let check = &watched.group.upstream().health_check;
        let bytes = watched.entry().member.bytes_in();
        let answered = watched.bytes.replace(bytes) != bytes;
        let verdict = match (verdict, check) {
            (Ok(()), _) => Verdict::Passed,
            // A look whether it is back.
            (Err(_), None) => return watched.entry().member.is_not_back(now_ms()),
            (Err(why), Some(check)) => {
                // A time-out, or nearly: as slow as a busy server may be.
                let slow = took + Duration::from_millis(50) >= check.timeout;
                Verdict::Failed { why, slow }
            }
        };
        watched.group.checked(watched.server, verdict, answered, now_ms());
    }

    /// Looks at all servers now and then, as long as the process runs.
    async fn look(self: Rc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_millis(KEEPER_INTERVAL)).await;
            self.tell_changes();
            let watched = self.watched.borrow();
            for (&key, watched) in watched.iter().filter(|(_, w)| w.group.upstream().health_check.is_none()) {
                let member = &watched.entry().member;
                let recovers = member.state() == State::Ejected;
                match (recovers, watched.recovering.replace(recovers)) {
                    (true, false) => self.prober.add(Target::recovery(key, member.addresses.clone())),
                    (false, true) => _ = self.prober.remove(&key),
                    _ => {}
                }
            }
        }
    }

    /// Says who went out of use and who is back.
    fn tell_changes(&self) {
        let now = now_ms();
        for watched in self.watched.borrow().values() {
            let (group, entry) = (&watched.group, watched.entry());
            self.tell_trouble(group, now);
            let state = entry.member.state();
            let told = watched.told.replace(state);
            let (is_out, was_out) = (is_out(state), is_out(told));
            let of = || format!("upstream {}: server {}", group.upstream().name, entry.shown());
            match (is_out, was_out) {
                (true, false) => {
                    let why = entry.member.look(|health| health.why(&entry.rules, now));
                    self.log.warn(format!("{} is out of use: {why}", of()));
                }
                (false, true) => self.log.info(format!("{} is in use again", of())),
                _ => {}
            }
        }
    }

    fn tell_trouble(&self, group: &Group, now: u64) {
        let view = group.view(now);
        let trouble = match (view.is_empty(), view.fails_open) {
            (true, _) => Some("no server can be used: requests are answered with 503"),
            (_, true) => Some("no server is well: all are tried, rather than none"),
            _ => None,
        };
        let name = &group.upstream().name;
        let mut told = self.troubles.borrow_mut();
        if told.get(name).copied().flatten() == trouble {
            return;
        }
        told.insert(name.clone(), trouble);
        match trouble {
            Some(trouble) => self.log.error(format!("upstream {name}: {trouble}")),
            None => self.log.info(format!("upstream {name}: a server can be used again")),
        }
    }
}

/// How a server is asked by TLS; `None`: it is asked without.
fn secured(site: &Site, entry: &Entry, check: &HealthCheck) -> Option<Secured> {
    let CheckKind::Http { ssl: Some(dialer), .. } = check.kind else { return None };
    let dialer = &site.terms.dialers[dialer];
    Some(Secured { config: dialer.config.clone(), name: dialer.name(&entry.host()) })
}

fn is_out(state: State) -> bool {
    matches!(state, State::Ejected | State::Down)
}

/// Every name of the plan, with what is known of it.
fn hosts(site: &Site) -> BTreeMap<String, Vec<IpAddr>> {
    let mut hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for peer in site.plan.upstreams.iter().flat_map(|upstream| &upstream.peers) {
        let Some(host) = &peer.host else { continue };
        let known = hosts.entry(host.name.clone()).or_default();
        known.extend(peer.addresses.iter().filter_map(|address| match address {
            Address::Tcp(address) => Some(address.ip()),
            Address::Unix(_) => None,
        }));
        known.sort();
        known.dedup();
    }
    hosts
}

fn resolved(event: Event, steering: &Rc<Steering>, log: &LogSender) {
    match event {
        Event::Changed { name, .. } => {
            let (steering, name) = (steering.clone(), name.to_owned());
            tokio_uring::spawn(async move { steering.resolved(&name).await });
        }
        Event::Trouble { name, why } => {
            let kept = steering.site().groups.iter().flat_map(|group| group.entries()).any(|entry| {
                let is_named = entry.peer.host.as_ref().is_some_and(|host| host.name == name);
                is_named && !entry.member.addresses.is_empty()
            });
            let then = if kept { "its last addresses stay in use" } else { "its servers cannot be used" };
            log.warn(format!("the name {name} cannot be looked up: {why}; {then}"));
        }
        Event::Recovered { name } => log.info(format!("the name {name} is found again")),
    }
}

/// For the status: why a server without addresses has none.
pub fn unresolved(keeper: &Keeper) -> status::Trouble<'_> {
    Box::new(|host| keeper.trouble(host))
}
