//! Requests in flight per server, sharded: one row per worker, each on cache lines of its own and written by that worker alone
//! (a load and a store, no locked instruction), read by all.

use super::ServerIndex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Two cache lines: CPUs fetch them in pairs.
const LINE: usize = 32;

#[derive(Debug)]
#[repr(align(128))]
struct Line([AtomicU32; LINE]);

impl Line {
    fn new() -> Line {
        Line([const { AtomicU32::new(0) }; LINE])
    }
}

/// The table of all workers and servers of one group.
#[derive(Debug)]
pub struct Counters {
    lines: Box<[Line]>,
    lines_per_row: usize,
    workers: usize,
}

impl Counters {
    /// All zero.
    pub fn new(workers: usize, servers: usize) -> Counters {
        let lines_per_row = servers.div_ceil(LINE);
        let lines = (0..workers * lines_per_row).map(|_| Line::new()).collect();
        Counters { lines, lines_per_row, workers }
    }

    /// How many rows there are.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Requests at `server`, over all workers. The rows are read one after another: a snapshot in the small is not promised.
    pub fn in_flight(&self, server: ServerIndex) -> u32 {
        (0..self.workers).fold(0, |sum, worker| sum.saturating_add(self.own(worker, server)))
    }

    /// Requests that one worker has at `server`.
    pub fn own(&self, worker: usize, server: ServerIndex) -> u32 {
        self.cell(worker, server).load(Relaxed)
    }

    /// One more. Only `worker` itself may call it.
    pub fn begin(&self, worker: usize, server: ServerIndex) {
        let cell = self.cell(worker, server);
        cell.store(cell.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// One fewer. Only `worker` itself may call it.
    pub fn end(&self, worker: usize, server: ServerIndex) {
        let cell = self.cell(worker, server);
        let count = cell.load(Relaxed);
        debug_assert!(count > 0, "an end without its begin");
        cell.store(count.saturating_sub(1), Relaxed);
    }

    fn cell(&self, worker: usize, server: ServerIndex) -> &AtomicU32 {
        &self.lines[worker * self.lines_per_row + server / LINE].0[server % LINE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_its_own() {
        let (workers, servers) = (3, 70);
        let counters = Counters::new(workers, servers);
        for worker in 0..workers {
            for server in 0..servers {
                (0..worker + server).for_each(|_| counters.begin(worker, server));
            }
        }
        for server in 0..servers {
            assert_eq!(counters.in_flight(server) as usize, 3 * server + 3);
            (0..workers).for_each(|worker| assert_eq!(counters.own(worker, server) as usize, worker + server));
        }
        counters.end(2, 69);
        assert_eq!(counters.in_flight(69), 3 * 69 + 2);
    }

    #[test]
    fn rows_share_no_cache_line() {
        let counters = Counters::new(2, 3);
        let (a, b) = (counters.cell(0, 2) as *const _ as usize, counters.cell(1, 0) as *const _ as usize);
        assert_ne!(a / 128, b / 128);
        assert_eq!(std::mem::size_of::<Line>(), 128);
    }

    #[test]
    fn sums_saturate() {
        let counters = Counters::new(2, 1);
        counters.cell(0, 0).store(u32::MAX, Relaxed);
        counters.begin(0, 0);
        counters.begin(1, 0);
        assert_eq!(counters.in_flight(0), u32::MAX);
    }

    #[test]
    fn workers_count_at_the_same_time_without_losing_any() {
        let counters = Counters::new(4, 2);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let counters = &counters;
                scope.spawn(move || {
                    for i in 0..10_000 {
                        counters.begin(worker, i % 2);
                        if i % 3 == 0 {
                            counters.end(worker, i % 2);
                        }
                    }
                });
            }
        });
        assert_eq!(counters.in_flight(0) + counters.in_flight(1), 4 * (10_000 - 3_334));
    }

    #[test]
    fn no_servers_is_a_table_too() {
        assert_eq!(Counters::new(4, 0).workers(), 4);
    }
}
