//! Who gets a request: one policy per file, one [`Picker::pick`] for all.
//!
//! Pure: no descriptor, no clock (time is an argument). A [`Group`] is shared by all workers behind an `Arc`; each worker has
//! its own [`Picker`] per group. What workers share is written rarely (round robin's tickets) or by one of them alone (the
//! rows of [`Counters`]), so a busy core does not wait for another's cache line.

pub mod counters;
pub mod ewma;
pub mod hash;
mod least_conn;
pub mod maglev;
pub mod random_two;
mod round_robin;
pub mod tried;

pub use counters::Counters;
pub use tried::Tried;

use crate::config::plan::Balance;
use crate::limits;
use std::sync::Arc;

/// A server's position in its group.
pub type ServerIndex = usize;

/// One upstream group as all workers see it.
#[derive(Debug)]
pub struct Group {
    balance: Balance,
    weights: Box<[u32]>,
    tickets: round_robin::Tickets,
    counters: Counters,
}

impl Group {
    /// `weights`: one per server, from 1 to `limits::WEIGHT_MAX`. Zero counts as one.
    pub fn new(balance: Balance, weights: &[u32], workers: usize) -> Group {
        debug_assert!(weights.len() <= limits::SERVERS_MAX);
        let weights: Box<[u32]> = weights.iter().map(|&w| w.clamp(1, limits::WEIGHT_MAX)).collect();
        let cycle = match balance {
            Balance::LeastConn => Box::default(),
            _ => round_robin::cycle(&weights),
        };
        let counters = Counters::new(workers, weights.len());
        Group { balance, weights, tickets: round_robin::Tickets::new(cycle), counters }
    }

    /// How many servers it has.
    pub fn servers(&self) -> usize {
        self.weights.len()
    }

    /// How it chooses.
    pub fn balance(&self) -> &Balance {
        &self.balance
    }

    /// The weight of one server.
    pub fn weight(&self, server: ServerIndex) -> u32 {
        self.weights[server]
    }

    /// Requests on their way at one server, over all workers.
    pub fn in_flight(&self, server: ServerIndex) -> u32 {
        self.counters.in_flight(server)
    }
}

/// One worker's view of a group.
#[derive(Debug)]
pub struct Picker {
    group: Arc<Group>,
    worker: usize,
    policy: Policy,
}

#[derive(Debug)]
enum Policy {
    RoundRobin(round_robin::RoundRobin),
    LeastConn(least_conn::LeastConn),
}

impl Picker {
    /// The picker of `worker`. Workers with the same `seed` begin evenly spread over the servers.
    pub fn new(group: Arc<Group>, worker: usize, seed: u64) -> Picker {
        let policy = match group.balance {
            Balance::LeastConn => {
                let workers = group.counters.workers();
                Policy::LeastConn(least_conn::LeastConn::new(&group.weights, worker, workers, seed))
            }
            _ => Policy::RoundRobin(round_robin::RoundRobin::new()),
        };
        Picker { group, worker, policy }
    }

    /// The group that it picks from.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The next server that is not in `tried`; `None` when all are. `now_ms` is the worker's clock and never runs backwards.
    /// A pick counts nothing by itself: call [`Picker::begin`] for the server that is used.
    pub fn pick(&mut self, tried: &Tried, now_ms: u64) -> Option<ServerIndex> {
        match &mut self.policy {
            Policy::RoundRobin(own) => own.pick(&self.group.tickets, self.group.weights.len(), tried, now_ms),
            Policy::LeastConn(own) => own.pick(&self.group.weights, &self.group.counters, self.worker, tried, now_ms),
        }
    }

    /// Tells that a new turn of the worker's loop began: what the other workers wrote is read anew.
    pub fn new_turn(&mut self) {
        match &mut self.policy {
            Policy::RoundRobin(_) => {}
            Policy::LeastConn(own) => own.new_turn(),
        }
    }

    /// A request goes to `server`. Every `begin` is followed by one [`Picker::end`] on the same worker.
    pub fn begin(&self, server: ServerIndex) {
        self.group.counters.begin(self.worker, server);
    }

    /// The request at `server` is over, however it ended.
    pub fn end(&self, server: ServerIndex) {
        self.group.counters.end(self.worker, server);
    }
}

#[cfg(test)]
mod tests;
