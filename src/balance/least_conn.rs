//! Fewest requests in flight per weight, over all workers.
//!
//! The rule is nginx's: the smallest (in flight / weight), and among equals a smooth weighted rotation, so that idle servers of
//! weights 3 and 1 get three requests and one. The trap of many workers is that all choose the same stale minimum; four things
//! keep them apart: a worker sees its own picks at once, it reads the others' rows anew in every turn of its loop, it expects of
//! them what it did itself since then, and its rotation starts elsewhere than the others'.

use super::group::Entry;
use super::{ServerIndex, Tried};

/// What one worker keeps.
#[derive(Debug)]
pub(super) struct LeastConn {
    /// Requests in flight at each server from all other workers, as last read.
    others: Box<[u32]>,
    /// What this worker had at each then.
    own_then: Box<[u32]>,
    /// When they were read; `None`: to be read again.
    read_at_ms: Option<u64>,
    /// The rotation: what each server has to its credit. They sum up to zero.
    credits: Box<[i64]>,
    workers: u64,
}

impl LeastConn {
    pub(super) fn new(weights: &[u32], worker: usize, workers: usize, seed: u64) -> LeastConn {
        let servers = weights.len();
        let mut new = LeastConn {
            others: vec![0; servers].into(),
            own_then: vec![0; servers].into(),
            read_at_ms: None,
            credits: vec![0; servers].into(),
            workers: workers.max(1) as u64,
        };
        let spread = worker * servers / workers.max(1) + (seed % servers.max(1) as u64) as usize;
        for _ in 0..spread {
            new.rotate(weights, |_| true);
        }
        new
    }

    pub(super) fn new_turn(&mut self) {
        self.read_at_ms = None;
    }

    /// `weights`: by server; 0 is not to be chosen.
    pub(super) fn pick(
        &mut self,
        weights: &[u32],
        entries: &[Entry],
        worker: usize,
        tried: &Tried,
        now_ms: u64,
    ) -> Option<ServerIndex> {
        self.read_others(entries, worker, now_ms);
        let (others, own_then) = (std::mem::take(&mut self.others), std::mem::take(&mut self.own_then));
        let unseen = self.workers - 1;
        // Load and weight; compared crosswise, without division. What this worker has begun since it looked, the others are taken to
        // have begun there, too: they look at the same numbers and come to the same thoughts.
        let load = |server: usize| {
            let own = entries[server].member.column().own(worker);
            let load = u64::from(others[server]) + u64::from(own);
            (load + u64::from(own.saturating_sub(own_then[server])) * unseen, u64::from(weights[server]))
        };
        let may = |server: usize| weights[server] > 0 && !tried.contains(server);
        let mut best: Option<ServerIndex> = None;
        let (mut least, mut equals) = ((0, 1), false);
        for server in (0..weights.len()).filter(|&server| may(server)) {
            let (load, weight) = load(server);
            if best.is_none() || load * least.1 < least.0 * weight {
                (best, least, equals) = (Some(server), (load, weight), false);
            } else if load * least.1 == least.0 * weight {
                equals = true;
            }
        }
        if equals {
            let is_equal = |server| {
                let (load, weight) = load(server);
                may(server) && load * least.1 == least.0 * weight
            };
            best = self.rotate(weights, is_equal);
        }
        (self.others, self.own_then) = (others, own_then);
        best
    }

    /// One step of the smooth weighted rotation over the servers that are `in_it`.
    fn rotate(&mut self, weights: &[u32], in_it: impl Fn(ServerIndex) -> bool) -> Option<ServerIndex> {
        let (mut best, mut sum) = (None::<ServerIndex>, 0);
        for server in (0..weights.len()).filter(|&server| in_it(server)) {
            self.credits[server] += i64::from(weights[server]);
            sum += i64::from(weights[server]);
            if best.is_none_or(|best| self.credits[server] > self.credits[best]) {
                best = Some(server);
            }
        }
        self.credits[best?] -= sum;
        best
    }

    /// The clock is looked at besides, so that a caller who forgets `new_turn` is a millisecond behind and no more.
    fn read_others(&mut self, entries: &[Entry], worker: usize, now_ms: u64) {
        if self.read_at_ms == Some(now_ms) {
            return;
        }
        self.read_at_ms = Some(now_ms);
        for ((sum, own), entry) in self.others.iter_mut().zip(&mut self.own_then).zip(entries) {
            *sum = entry.member.column().others(worker);
            *own = entry.member.column().own(worker);
        }
    }
}
