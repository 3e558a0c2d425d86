//! One worker's connections to the backends: idle pools, connecting, counting, and what a request that needs a server gets.
//!
//! A pooled connection keeps its poll armed, so a backend's FIN is seen in the turn it arrives and the connection leaves the
//! pool ([`Upstreams::tend`]). It is looked at once more when it is taken.

mod budget;
mod picked;
mod pool;

use picked::Admission;
pub use picked::{Failure, Opening, Pick, Picked};

use crate::balance::health::State;
use crate::balance::{Group, Key, Picker, Tried};
use crate::config::plan::Plan;
use crate::limit::Zones;
use crate::limits::{DOWN_LOOK_INTERVAL, UPSTREAM_EXCHANGES_MAX};
use crate::log::access::AccessFile;
use crate::ring::{Driver, Elapsed, Reactor, Watcher};
use crate::site::Site;
use crate::tls::Terms;
use budget::Budget;
use pool::Peer;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// A group as one worker uses it.
pub struct Pools<D: Driver> {
    group: Arc<Group>,
    picker: RefCell<Picker>,
    /// This worker's attempts under way, and what it may try again; both go on through reloads.
    running: Rc<Cell<u32>>,
    budget: Rc<Budget>,
    seen_turn: Cell<u64>,
    /// In the order of the group's servers.
    peers: Vec<Rc<Peer<D>>>,
    /// Idle connections per server kept by this worker.
    keepalive: usize,
    keepalive_ms: u64,
}

impl<D: Driver> Pools<D> {
    /// The group itself.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// A request came: a part of it may be spent on retries.
    pub fn count_request(&self) {
        self.budget.earn(self.group.upstream().retry_budget);
    }

    /// Takes one retry from the budget; false: it is spent.
    pub fn may_retry(&self) -> bool {
        self.budget.spend()
    }
}

/// What runs at the moment: a request takes it along and stays with it, whatever is loaded meanwhile.
pub struct Live<D: Driver> {
    /// What is configured.
    pub plan: Arc<Plan>,
    /// One per `Plan::upstreams`.
    pub groups: Vec<Rc<Pools<D>>>,
    /// How TLS is spoken.
    pub terms: Arc<Terms>,
    /// One per `Plan::access_logs`.
    pub access_logs: Arc<Vec<Arc<AccessFile>>>,
    /// What `limit_req` and `limit_conn` count.
    pub zones: Arc<Zones>,
}

impl<D: Driver> Live<D> {
    fn of(site: &Site, groups: Vec<Rc<Pools<D>>>) -> Self {
        Live {
            plan: site.plan.clone(),
            groups,
            terms: site.terms.clone(),
            access_logs: site.access_logs.clone(),
            zones: site.zones.clone(),
        }
    }
}

/// All upstreams as one worker sees them.
pub struct Upstreams<D: Driver> {
    reactor: Reactor<D>,
    worker: usize,
    live: RefCell<Rc<Live<D>>>,
    /// Whose news of pooled connections come to this room.
    watcher: Watcher,
    /// Every server by its tag, also those that left the plan while connections are out.
    peers: RefCell<Slab<Weak<Peer<D>>>>,
}

impl<D: Driver> Upstreams<D> {
    /// Pools for all upstreams of `site`. Fails on an address that the kernel cannot hold (a unix path too long).
    pub fn new(reactor: Reactor<D>, site: &Site, worker: usize) -> io::Result<Self> {
        let live = Live::of(site, Vec::new());
        let live = RefCell::new(Rc::new(live));
        let upstreams = Self { watcher: reactor.watcher(), reactor, worker, live, peers: RefCell::default() };
        upstreams.swap(site)?;
        Ok(upstreams)
    }

    /// What runs at the moment.
    pub fn live(&self) -> Rc<Live<D>> {
        self.live.borrow().clone()
    }

    /// Goes over to another site. Pools of servers that stay live on; the others' idle connections are closed.
    pub fn swap(&self, site: &Site) -> io::Result<()> {
        let before = self.live();
        let pools = |group: &Arc<Group>| self.pools(group, &before);
        let groups = site.groups.iter().map(pools).collect::<io::Result<Vec<_>>>()?;
        *self.live.borrow_mut() = Rc::new(Live::of(site, groups));
        let live = self.live();
        let stays = |peer: &Rc<Peer<D>>| live.groups.iter().flat_map(|pools| &pools.peers).any(|p| Rc::ptr_eq(p, peer));
        for peer in before.groups.iter().flat_map(|pools| &pools.peers).filter(|peer| !stays(peer)) {
            peer.retire(self.worker);
        }
        // Rows of servers whose last connection has gone.
        self.peers.borrow_mut().retain(|_, peer| peer.strong_count() > 0);
        Ok(())
    }

    fn pools(&self, group: &Arc<Group>, before: &Live<D>) -> io::Result<Rc<Pools<D>>> {
        let before = before.groups.iter().find(|pools| Arc::ptr_eq(pools.group.lineage(), group.lineage()));
        let mut peers = Vec::new();
        for entry in group.entries() {
            let known =
                before.and_then(|pools| pools.peers.iter().find(|peer| Arc::ptr_eq(&peer.member, &entry.member)));
            peers.push(match known {
                Some(peer) => peer.clone(),
                None => self.peer(&entry.member)?,
            });
        }
        let upstream = group.upstream();
        Ok(Rc::new(Pools {
            picker: RefCell::new(Picker::new(group.clone(), self.worker, 0)),
            running: before.map(|pools| pools.running.clone()).unwrap_or_default(),
            budget: before.map(|pools| pools.budget.clone()).unwrap_or_default(),
            seen_turn: Cell::new(0),
            peers,
            keepalive: (upstream.keepalive as usize).div_ceil(group.lineage().workers()),
            keepalive_ms: upstream.keepalive_timeout.as_millis() as u64,
            group: group.clone(),
        }))
    }

    fn peer(&self, member: &Arc<crate::balance::Member>) -> io::Result<Rc<Peer<D>>> {
        let mut rows = self.peers.borrow_mut();
        let row = rows.vacant_entry();
        let peer = Rc::new(Peer::new(member.clone(), row.key() as u32)?);
        row.insert(Rc::downgrade(&peer));
        Ok(peer)
    }

    /// This group holds its share of the worker's exchanges, and others may want theirs.
    pub fn is_crowded(&self, live: &Live<D>, group: usize) -> bool {
        live.groups.len() > 1 && live.groups[group].running.get() >= UPSTREAM_EXCHANGES_MAX
    }

    /// Chooses a server that was not tried yet and counts a request in flight there until the result is dropped.
    pub fn pick(self: &Rc<Self>, live: &Live<D>, group: usize, tried: &Tried, key: Key) -> Pick<D> {
        let pools = &live.groups[group];
        let mut picker = pools.picker.borrow_mut();
        if pools.seen_turn.replace(self.reactor.turns()) != self.reactor.turns() {
            picker.new_turn();
        }
        let now = self.reactor.now_ms();
        // Without any that can be repeated it would never be tried: after a while it is by any.
        let is_spared = |server: usize| {
            let entry = &pools.group.entries()[server];
            let is_new = || entry.member.look(|health| health.spares_precious(&entry.rules, now));
            key.precious && entry.member.state() == State::Probation && is_new()
        };
        // The server of the client's cookie, if it has room.
        let named = key.named.and_then(|identity| picker.named(identity, tried));
        let stand_in = |picked: Picked<D>| Pick::Server(picked.standing_in(named));
        if let Some(server) = named.filter(|&server| !is_spared(server))
            && let Admission::In(picked) = Picked::admit(self, pools, &picker, server, false)
        {
            return Pick::Server(picked);
        }
        let Some(first) = picker.pick(tried, key.hash, now) else { return Pick::None };
        let (mut busy, mut on_trial) = (false, None);
        let mut ask = |picker: &Picker, server| {
            let admission = match is_spared(server) {
                true => Admission::OnTrial,
                false => Picked::admit(self, pools, picker, server, false),
            };
            match admission {
                Admission::In(picked) => return Some(picked),
                Admission::Full => busy = true,
                Admission::OnTrial => on_trial = on_trial.or(Some(server)),
            }
            None
        };
        if let Some(picked) = ask(&picker, first) {
            return stand_in(picked);
        }
        // Rare: a server at its `max_conns`, or on probation with its one request out.
        let mut passed_over = tried.clone();
        passed_over.insert(first);
        while let Some(server) = picker.pick(&passed_over, key.hash, now) {
            if let Some(picked) = ask(&picker, server) {
                return stand_in(picked);
            }
            passed_over.insert(server);
        }
        // Nobody else is left for this request: rather one more at a server on probation than an error page.
        if let Some(server) = on_trial.filter(|_| key.precious || pools.group.upstream().fail_open)
            && let Admission::In(picked) = Picked::admit(self, pools, &picker, server, true)
        {
            return stand_in(picked);
        }
        if busy { Pick::Busy } else { Pick::None }
    }

    /// Closes pooled connections as soon as their backend does, and those idle too long; tells sessions when their server went
    /// down. Runs as long as the worker.
    pub async fn tend(self: Rc<Self>) {
        let timer = self.reactor.timer();
        let mut expired_at = self.reactor.now_ms();
        timer.set(DOWN_LOOK_INTERVAL);
        loop {
            match timer.before_deadline(self.reactor.next_watched(self.watcher)).await {
                Ok(watched) => {
                    let peer = self.peers.borrow().get(watched.tag as usize).and_then(Weak::upgrade);
                    if let Some(peer) = peer {
                        peer.stirred(watched.socket, self.watcher, self.worker, self.reactor.now_ms());
                    }
                }
                Err(Elapsed) => {
                    let now = self.reactor.now_ms();
                    self.look_for_downs();
                    if now >= expired_at + 1000 {
                        self.expire(now);
                        expired_at = now;
                    }
                    let closes = self.live().groups.iter().any(|pools| pools.group.upstream().close_on_down);
                    timer.set(if closes { DOWN_LOOK_INTERVAL } else { 1000 });
                }
            }
        }
    }

    fn look_for_downs(&self) {
        for pools in self.live().groups.iter().filter(|pools| pools.group.upstream().close_on_down) {
            pools.peers.iter().for_each(|peer| peer.look_for_down());
        }
    }

    fn expire(&self, now: u64) {
        for pools in &self.live().groups {
            pools.peers.iter().for_each(|peer| peer.expire(pools.keepalive_ms, self.worker, now));
        }
    }

    /// Pooled connections of this worker.
    pub fn idle(&self) -> usize {
        self.live().groups.iter().flat_map(|pools| &pools.peers).map(|peer| peer.idle()).sum()
    }

    /// Closes every pooled connection: the worker ends.
    pub fn close_idle(&self) {
        self.live().groups.iter().flat_map(|pools| &pools.peers).for_each(|peer| peer.clear(self.worker));
    }
}
