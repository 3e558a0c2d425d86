//! Requests in flight per server, sharded: one row per worker, each on cache lines of its own and written by that worker alone
//! (a load and a store, no locked instruction), read by all.
//!
//! A table has [`WIDTH`] columns, one per server; a group with more servers, or one that grows, has several tables. So a worker
//! reads what another one has at 32 servers in one pair of cache lines.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Two cache lines: CPUs fetch them in pairs.
pub const WIDTH: usize = 32;

#[derive(Debug)]
#[repr(align(128))]
struct Line([AtomicU32; WIDTH]);

/// One table.
#[derive(Debug)]
struct Table {
    /// One per worker.
    rows: Box<[Line]>,
    /// Columns that no server has.
    free: Mutex<Vec<usize>>,
}

/// All tables of one group.
#[derive(Debug)]
pub struct Counters {
    workers: usize,
    tables: Mutex<Vec<Arc<Table>>>,
}

impl Counters {
    /// None yet.
    pub fn new(workers: usize) -> Counters {
        Counters { workers, tables: Mutex::default() }
    }

    /// How many rows there are.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// A column of zeros for a new server; it is free again when dropped.
    pub fn column(&self) -> Column {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for table in tables.iter() {
            if let Some(at) = table.take() {
                return Column { table: table.clone(), at };
            }
        }
        let line = |_| Line([const { AtomicU32::new(0) }; WIDTH]);
        let table = Arc::new(Table {
            rows: (0..self.workers).map(line).collect(),
            free: Mutex::new((1..WIDTH).rev().collect()),
        });
        tables.push(table.clone());
        Column { table, at: 0 }
    }
}

impl Table {
    fn sum(&self, at: usize) -> u32 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.0[at].load(Relaxed)))
    }

    fn take(&self) -> Option<usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// One server's requests in flight.
#[derive(Debug)]
pub struct Column {
    table: Arc<Table>,
    at: usize,
}

impl Column {
    /// Over all workers. The rows are read one after another: a snapshot in the small is not promised.
    pub fn sum(&self) -> u32 {
        self.table.sum(self.at)
    }

    /// Reads it without a way round over its server. Of use as long as the column lives; afterwards it reads another's.
    pub fn reader(&self) -> Reader {
        Reader { table: self.table.clone(), at: self.at }
    }

    /// Of one worker.
    pub fn own(&self, worker: usize) -> u32 {
        self.cell(worker).load(Relaxed)
    }

    /// One more. Only `worker` itself may call it.
    pub fn begin(&self, worker: usize) {
        let cell = self.cell(worker);
        cell.store(cell.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// One fewer. Only `worker` itself may call it.
    pub fn end(&self, worker: usize) {
        let cell = self.cell(worker);
        let count = cell.load(Relaxed);
        debug_assert!(count > 0, "an end without its begin");
        cell.store(count.saturating_sub(1), Relaxed);
    }

    fn cell(&self, worker: usize) -> &AtomicU32 {
        &self.table.rows[worker].0[self.at]
    }
}

/// See [`Column::reader`].
#[derive(Debug)]
pub struct Reader {
    table: Arc<Table>,
    at: usize,
}

impl Reader {
    /// Over all workers.
    pub fn sum(&self) -> u32 {
        self.table.sum(self.at)
    }

    /// Of one worker.
    pub fn own(&self, worker: usize) -> u32 {
        self.table.rows[worker].0[self.at].load(Relaxed)
    }
}

impl Drop for Column {
    fn drop(&mut self) {
        // Its server is gone, so nobody counts any more; the next one begins with zeros whatever a bug left here.
        self.table.rows.iter().for_each(|row| row.0[self.at].store(0, Relaxed));
        self.table.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(workers: usize, servers: usize) -> Vec<Column> {
        let counters = Counters::new(workers);
        (0..servers).map(|_| counters.column()).collect()
    }

    #[test]
    fn every_cell_is_its_own() {
        let (workers, servers) = (3, 70);
        let columns = columns(workers, servers);
        for worker in 0..workers {
            for (server, column) in columns.iter().enumerate() {
                (0..worker + server).for_each(|_| column.begin(worker));
            }
        }
        for (server, column) in columns.iter().enumerate() {
            assert_eq!(column.sum() as usize, 3 * server + 3);
            assert_eq!((column.reader().sum(), column.reader().own(2)), (column.sum(), column.own(2)));
            (0..workers).for_each(|worker| assert_eq!(column.own(worker) as usize, worker + server));
        }
        columns[69].end(2);
        assert_eq!(columns[69].sum(), 3 * 69 + 2);
    }

    #[test]
    fn rows_share_no_cache_line() {
        let columns = columns(2, 3);
        let (a, b) = (columns[2].cell(0) as *const _ as usize, columns[0].cell(1) as *const _ as usize);
        assert_ne!(a / 128, b / 128);
        let (a, b) = (columns[0].cell(1) as *const _ as usize, columns[2].cell(1) as *const _ as usize);
        assert_eq!(a / 128, b / 128, "and the servers of one row do");
        assert_eq!(std::mem::size_of::<Line>(), 128);
    }

    #[test]
    fn a_column_is_given_to_another_server_and_begins_with_zero() {
        let counters = Counters::new(2);
        let first: Vec<_> = (0..40).map(|_| counters.column()).collect();
        first.iter().for_each(|column| column.begin(1));
        drop(first);
        let second: Vec<_> = (0..40).map(|_| counters.column()).collect();
        assert!(second.iter().all(|column| column.sum() == 0));
        assert_eq!(counters.tables.lock().unwrap().len(), 2, "no table was added");
        let cells: std::collections::HashSet<_> = second.iter().map(|c| c.cell(0) as *const _ as usize).collect();
        assert_eq!(cells.len(), 40);
    }

    #[test]
    fn sums_saturate() {
        let columns = columns(2, 1);
        columns[0].cell(0).store(u32::MAX, Relaxed);
        columns[0].begin(0);
        columns[0].begin(1);
        assert_eq!(columns[0].sum(), u32::MAX);
    }

    #[test]
    fn workers_count_at_the_same_time_without_losing_any() {
        let columns = columns(4, 2);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let columns = &columns;
                scope.spawn(move || {
                    for i in 0..10_000 {
                        columns[i % 2].begin(worker);
                        if i % 3 == 0 {
                            columns[i % 2].end(worker);
                        }
                    }
                });
            }
        });
        assert_eq!(columns[0].sum() + columns[1].sum(), 4 * (10_000 - 3_334));
    }
}
