//! Who gets a request: one policy per file, one [`Picker::pick`] for all.
//!
//! Pure: no descriptor, no clock (time is an argument). A [`Group`] is shared by all workers behind an `Arc`; each worker has
//! its own [`Picker`] per group. What workers share is written rarely (round robin's tickets, health, permits where `max_conns`
//! is set) or by one of them alone (the rows of [`counters`]), so a busy core does not wait for another's cache line.
//!
//! A group has generations: a reload or a name's new addresses make a new [`Group`]. Its [`Member`]s, with their counters and
//! health, and its [`Lineage`] live on.

pub mod counters;
mod group;
pub mod health;
mod least_conn;
mod lineage;
mod member;
pub mod queue;
mod round_robin;
pub mod tried;
mod view;

pub use group::{Entry, Group, Names, Site};
pub use lineage::Lineage;
pub use member::{Member, Override};
pub use tried::Tried;
pub use view::View;

use crate::config::plan::Balance;
use std::sync::Arc;

/// A server's position in its group.
pub type ServerIndex = usize;

/// One worker's view of a group.
#[derive(Debug)]
pub struct Picker {
    group: Arc<Group>,
    worker: usize,
    view: Arc<View>,
    policy: Policy,
    /// For what is chosen when all primaries of a request failed.
    spare: least_conn::LeastConn,
}

#[derive(Debug)]
enum Policy {
    RoundRobin(round_robin::RoundRobin),
    LeastConn(least_conn::LeastConn),
}

impl Picker {
    /// The picker of `worker`. Workers with the same `seed` begin evenly spread over the servers.
    pub fn new(group: Arc<Group>, worker: usize, seed: u64) -> Picker {
        let weights: Vec<u32> = group.entries().iter().map(Entry::weight).collect();
        let workers = group.lineage().workers();
        let least_conn = || least_conn::LeastConn::new(&weights, worker, workers, seed);
        let policy = match group.upstream().balance {
            Balance::RoundRobin => Policy::RoundRobin(round_robin::RoundRobin::new()),
            _ => Policy::LeastConn(least_conn()),
        };
        let spare = least_conn();
        let view = group.view(0);
        Picker { group, worker, view, policy, spare }
    }

    /// The group that it picks from.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The next server that may be used and is not in `tried`; `None` when there is none. `key`: the hash of what `hash` and
    /// `ip_hash` go by. `now_ms` is the worker's clock and never runs backwards. A pick counts nothing by itself: call
    /// [`Picker::begin`] for the server that is used.
    pub fn pick(&mut self, tried: &Tried, _key: u64, now_ms: u64) -> Option<ServerIndex> {
        if !self.group.is_current(&self.view, now_ms) {
            self.view = self.group.view(now_ms);
        }
        let Picker { group, worker, view, policy, spare } = self;
        let picked = match policy {
            Policy::RoundRobin(own) => own.pick(group.ticket(), &view.cycle, tried, now_ms),
            Policy::LeastConn(own) => own.pick(&view.weights, group.entries(), *worker, tried, now_ms),
        };
        if picked.is_some() || view.spare.is_empty() {
            return picked;
        }
        spare.pick(&view.spare, group.entries(), *worker, tried, now_ms)
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

/// A hash that is the same in every process and for ever: FNV-1a, and a mixer behind it because its high bits are poor.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let hash =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests;
