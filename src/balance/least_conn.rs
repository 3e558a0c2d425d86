//! Fewest requests in flight per weight, over all workers.
//!
//! The rule is nginx's: the smallest (in flight / weight), and among equals a smooth weighted rotation, so that idle servers of
//! weights 3 and 1 get three requests and one. The trap of many workers is that all choose the same stale minimum. Up to
//! `limits::LEAST_CONN_FRESH_MAX` workers read each other's rows at every pick: nothing is stale. More of them would wait for each
//! other's cache lines, so each reads the others' rows once in a turn of its loop, and expects of them what it did itself since
//! then: they look at the same numbers and come to the same thoughts. Their rotations start at different servers, besides.

use super::counters::Reader;
use super::group::Entry;
use super::{ServerIndex, Tried};
use crate::limits::LEAST_CONN_FRESH_MAX;

/// What one worker keeps.
#[derive(Debug)]
pub(super) struct LeastConn {
    worker: usize,
    workers: u64,
    counts: Box<[Reader]>,
    /// Requests in flight at each server from all workers as last read, and what this worker had then.
    then: Box<[(u32, u32)]>,
    /// When they were read; `None`: to be read again.
    read_at_ms: Option<u64>,
    /// For one pick: what each server counts as having.
    loads: Box<[u64]>,
    /// The rotation: what each server has to its credit. They sum up to zero.
    credits: Box<[i64]>,
}

impl LeastConn {
    pub(super) fn new(entries: &[Entry], worker: usize, workers: usize, seed: u64) -> LeastConn {
        let (servers, workers) = (entries.len(), workers.max(1));
        let mut new = LeastConn {
            worker,
            workers: workers as u64,
            counts: entries.iter().map(|entry| entry.member.column().reader()).collect(),
            then: vec![(0, 0); servers].into(),
            read_at_ms: None,
            loads: vec![0; servers].into(),
            credits: vec![0; servers].into(),
        };
        let weights: Vec<u32> = entries.iter().map(Entry::weight).collect();
        let spread = worker * servers / workers + (seed % servers.max(1) as u64) as usize;
        for _ in 0..spread {
            new.rotate(&weights, |_| true);
        }
        new
    }

    pub(super) fn new_turn(&mut self) {
        self.read_at_ms = None;
    }

    /// `weights`: by server; 0 is not to be chosen.
    pub(super) fn pick(&mut self, weights: &[u32], tried: &Tried, now_ms: u64) -> Option<ServerIndex> {
        self.read(now_ms);
        let may = |server: usize| weights[server] > 0 && !tried.contains(server);
        let mut best: Option<ServerIndex> = None;
        let (mut least, mut equals) = ((0, 1), false);
        // Load and weight; compared crosswise, without division.
        for server in (0..weights.len()).filter(|&server| may(server)) {
            let (load, weight) = (self.loads[server], u64::from(weights[server]));
            if best.is_none() || load * least.1 < least.0 * weight {
                (best, least, equals) = (Some(server), (load, weight), false);
            } else if load * least.1 == least.0 * weight {
                equals = true;
            }
        }
        if equals {
            let loads = std::mem::take(&mut self.loads);
            let is_equal = |server| may(server) && loads[server] * least.1 == least.0 * u64::from(weights[server]);
            best = self.rotate(weights, is_equal);
            self.loads = loads;
        }
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

    fn read(&mut self, now_ms: u64) {
        if self.workers <= LEAST_CONN_FRESH_MAX {
            for (load, count) in self.loads.iter_mut().zip(&self.counts) {
                *load = u64::from(count.sum());
            }
            return;
        }
        // The clock is looked at besides, so that a caller who forgets `new_turn` is a millisecond behind and no more.
        if self.read_at_ms != Some(now_ms) {
            self.read_at_ms = Some(now_ms);
            for (then, count) in self.then.iter_mut().zip(&self.counts) {
                *then = (count.sum(), count.own(self.worker));
            }
        }
        for ((load, count), &(all, own_then)) in self.loads.iter_mut().zip(&self.counts).zip(&self.then) {
            let own = count.own(self.worker);
            let begun = u64::from(own.saturating_sub(own_then));
            *load = u64::from(all.saturating_sub(own_then)) + u64::from(own) + begun * (self.workers - 1);
        }
    }
}
