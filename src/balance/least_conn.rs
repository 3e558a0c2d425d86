//! Fewest requests in flight per weight, over all workers.
//!
//! The measure is (in flight + 1) / weight: what the server's load would be with this request. The trap of many workers is that
//! all choose the same stale minimum; three things keep them apart: a worker sees its own picks at once, it reads the others' rows
//! anew in every turn of its loop, and ties are broken by a rotation that starts elsewhere on each worker.

use super::{Counters, ServerIndex, Tried};

/// What one worker keeps.
#[derive(Debug)]
pub(super) struct LeastConn {
    /// Requests in flight at each server from all other workers, as last read.
    others: Box<[u32]>,
    /// When they were read; `None`: to be read again.
    read_at_ms: Option<u64>,
    /// Where the next search begins: of equals, the first found wins.
    start: usize,
}

impl LeastConn {
    pub(super) fn new(servers: usize, worker: usize, workers: usize, seed: u64) -> LeastConn {
        let spread = worker * servers / workers.max(1);
        let start = ((seed % servers.max(1) as u64) as usize + spread) % servers.max(1);
        LeastConn { others: vec![0; servers].into(), read_at_ms: None, start }
    }

    pub(super) fn new_turn(&mut self) {
        self.read_at_ms = None;
    }

    pub(super) fn pick(
        &mut self,
        weights: &[u32],
        counters: &Counters,
        worker: usize,
        tried: &Tried,
        now_ms: u64,
    ) -> Option<ServerIndex> {
        self.read_others(counters, worker, now_ms);
        let mut best: Option<(ServerIndex, u64)> = None;
        for server in (self.start..weights.len()).chain(0..self.start) {
            if tried.contains(server) {
                continue;
            }
            let load = u64::from(self.others[server]) + u64::from(counters.own(worker, server)) + 1;
            // load / weight < best load / best weight, without division.
            let better = |(other, other_load): (ServerIndex, u64)| {
                load * u64::from(weights[other]) < other_load * u64::from(weights[server])
            };
            if best.is_none_or(better) {
                best = Some((server, load));
            }
        }
        let (server, _) = best?;
        self.start = (server + 1) % weights.len();
        Some(server)
    }

    /// The clock is looked at besides, so that a caller who forgets `new_turn` is a millisecond behind and no more.
    fn read_others(&mut self, counters: &Counters, worker: usize, now_ms: u64) {
        if self.read_at_ms == Some(now_ms) {
            return;
        }
        self.read_at_ms = Some(now_ms);
        for (server, sum) in self.others.iter_mut().enumerate() {
            let rows = (0..counters.workers()).filter(|&other| other != worker);
            *sum = rows.fold(0, |sum, other| sum.saturating_add(counters.own(other, server)));
        }
    }
}
