//! Who gets a request: one policy per file, one [`Picker::pick`] for all.
//!
//! Pure: no descriptor, no clock (time is an argument). A [`Group`] is shared by all workers behind an `Arc`; each worker has
//! its own [`Picker`] per group. What workers share is written rarely (round robin's tickets, health, permits where `max_conns`
//! is set) or by one of them alone (the rows of [`counters`]), so a busy core does not wait for another's cache line.
//!
//! A group has generations: a reload or a name's new addresses make a new [`Group`]. Its [`Member`]s, with their counters and
//! health, and its [`Lineage`] live on.

pub mod counters;
pub mod ewma;
mod group;
pub mod hash;
pub mod health;
mod least_conn;
mod lineage;
pub mod maglev;
mod member;
pub mod queue;
pub mod random_two;
mod round_robin;
pub mod tried;
mod view;

pub use group::{Entry, Group, Names};
pub use lineage::Lineage;
pub use member::{Member, Override};
pub use tried::Tried;
pub use view::View;

use crate::config::plan::Balance;
use std::sync::Arc;

/// A server's position in its group.
pub type ServerIndex = usize;

/// What the choice of a server goes by besides load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Key {
    /// The stable hash of what `hash` and `ip_hash` look at.
    pub hash: u64,
    /// The identity of the server that the client's cookie names.
    pub named: Option<u64>,
    /// It cannot be sent twice: it is no trial of a server on probation while there are others.
    pub precious: bool,
}

/// One worker's view of a group.
#[derive(Debug)]
pub struct Picker {
    group: Arc<Group>,
    worker: usize,
    view: Arc<View>,
    policy: Policy,
    /// For what is chosen when all primaries of a request failed.
    spare: least_conn::LeastConn,
    random: u64,
}

#[derive(Debug)]
enum Policy {
    RoundRobin(round_robin::RoundRobin),
    LeastConn(least_conn::LeastConn),
    Hash,
    Random,
    LeastTime,
}

impl Picker {
    /// The picker of `worker`. Workers with the same `seed` begin evenly spread over the servers.
    pub fn new(group: Arc<Group>, worker: usize, seed: u64) -> Picker {
        let workers = group.lineage().workers();
        let least_conn = || least_conn::LeastConn::new(group.entries(), worker, workers, seed);
        let policy = match group.upstream().balance {
            Balance::RoundRobin => Policy::RoundRobin(round_robin::RoundRobin::new()),
            Balance::LeastConn => Policy::LeastConn(least_conn()),
            Balance::IpHash | Balance::Hash(_) => Policy::Hash,
            Balance::Random => Policy::Random,
            Balance::LeastTime => Policy::LeastTime,
        };
        let spare = least_conn();
        let view = group.view(0);
        Picker { group, worker, view, policy, spare, random: hash::mix(seed ^ ((worker as u64) << 32)) }
    }

    /// The group that it picks from.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The next server that may be used and is not in `tried`; `None` when there is none. `key`: the hash of what `hash` and
    /// `ip_hash` go by. `now_ms` is the worker's clock and never runs backwards. A pick counts nothing by itself: call
    /// [`Picker::begin`] for the server that is used.
    pub fn pick(&mut self, tried: &Tried, key: u64, now_ms: u64) -> Option<ServerIndex> {
        if !self.group.is_current(&self.view, now_ms) {
            self.view = self.group.view(now_ms);
        }
        let Picker { group, view, policy, spare, random, .. } = self;
        let entries = group.entries();
        let may = |server: ServerIndex| view.weights[server] > 0 && !tried.contains(server);
        let mut random = || {
            *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
            hash::mix(*random)
        };
        let picked = match policy {
            Policy::RoundRobin(own) => own.pick(group.ticket(), &view.cycle, tried, now_ms),
            Policy::LeastConn(own) => own.pick(&view.weights, tried, now_ms),
            Policy::Hash => view.table.as_ref().and_then(|table| table.maglev.lookup_where(key, may)),
            Policy::Random => {
                let load = |server: ServerIndex| u64::from(entries[server].member.in_flight());
                view.weighted.as_ref().and_then(|weighted| weighted.pick(&mut random, may, load))
            }
            Policy::LeastTime => {
                let blur = random();
                let score = |server: ServerIndex| entries[server].member.score(now_ms, hash::mix(blur ^ server as u64));
                view.weighted.as_ref().and_then(|weighted| weighted.pick(&mut random, may, score))
            }
        };
        if picked.is_some() || view.spare.is_empty() {
            return picked;
        }
        spare.pick(&view.spare, tried, now_ms)
    }

    /// The server that a cookie names, if it may still be used: also one that is drained, so that its visitors can finish.
    pub fn named(&self, identity: u64, tried: &Tried) -> Option<ServerIndex> {
        let named = self.group.entries().iter().position(|entry| entry.identity == identity)?;
        let entry = &self.group.entries()[named];
        let is_well = matches!(entry.member.state(), health::State::Up | health::State::Probation);
        (is_well && !entry.peer.down && !entry.member.addresses.is_empty() && !tried.contains(named)).then_some(named)
    }

    /// Tells that a new turn of the worker's loop began: what the other workers wrote is read anew.
    pub fn new_turn(&mut self) {
        if let Policy::LeastConn(own) = &mut self.policy {
            own.new_turn();
        }
        self.spare.new_turn();
    }

    /// A request goes to `server`. Every `begin` is followed by one [`Picker::end`] on the same worker.
    pub fn begin(&self, server: ServerIndex) {
        self.group.entries()[server].member.column().begin(self.worker);
    }

    /// The request at `server` is over, however it ended.
    pub fn end(&self, server: ServerIndex) {
        self.group.entries()[server].member.column().end(self.worker);
    }
}

#[cfg(test)]
mod tests;
