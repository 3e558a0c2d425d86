//! What the workers count. Each counter has one writer, its worker, which loads and stores (no locked instruction); the control
//! plane reads whenever it likes. A snapshot over several counters is therefore never exact, each single one is.

use crate::config::plan::Plan;
use crate::proto::reason::Reason;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

/// A counter or gauge with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Only for the one writer.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Only for the one writer. A gauge never goes below zero.
    pub fn sub(&self, count: u64) {
        let value = self.0.load(Relaxed);
        debug_assert!(value >= count, "a gauge below zero");
        self.0.store(value.saturating_sub(count), Relaxed);
    }

    /// Only for the one writer: for gauges that are copied from elsewhere once a turn.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A counter of everything and one of a single exchange: both count the same bytes.
#[derive(Debug, Clone, Copy)]
pub struct Tally<'a> {
    /// Of everything.
    pub whole: &'a Counter,
    /// Of the exchange.
    pub part: &'a Counter,
}

impl Tally<'_> {
    /// Only for the one writer of both.
    pub fn add(&self, count: u64) {
        self.whole.add(count);
        self.part.add(count);
    }
}

/// Declares a struct of counters on cache lines of its own (CPUs fetch them in pairs).
macro_rules! counters {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct $name { $($(#[$field_doc])* pub $field: Counter,)* }
    };
}

counters! {
    /// One listener, as one worker sees it.
    pub struct ListenerStats {
        /// Gauge: client connections.
        connections,
        /// Client connections accepted.
        connections_total,
        /// Request heads read.
        requests,
        /// Gauge: requests being answered.
        in_flight,
    }
}

counters! {
    /// One server of a group, as one worker sees it. What is in flight there is in the group's own counters.
    pub struct ServerStats {
        /// Attempts: requests sent to it, or meant to be.
        requests,
        /// Attempts that failed.
        failures,
        /// Connections made.
        connects,
        /// Connections that could not be made.
        connect_failures,
        /// Requests sent on a pooled connection.
        reused,
        /// Bytes received from it.
        bytes_in,
        /// Bytes sent to it.
        bytes_out,
        /// Gauge: pooled connections.
        idle,
    }
}

/// One worker.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerStats {
    /// The CPU it is pinned to; unset if it runs anywhere.
    pub cpu: OnceLock<usize>,
    /// Turns of the loop.
    pub turns: Counter,
    /// Gauge: client connections.
    pub connections: Counter,
    /// Gauge: those of them that are idle and parked, without buffer and task.
    pub parked: Counter,
    /// Client connections accepted.
    pub connections_total: Counter,
    /// Client connections closed at once because there were too many.
    pub connections_refused: Counter,
    /// Connections that it accepted and handed to a worker with fewer.
    pub handed_over: Counter,
    /// Failed accepts.
    pub accept_errors: Counter,
    /// Request heads read.
    pub requests: Counter,
    /// Gauge: requests being answered.
    pub in_flight: Counter,
    /// Exchanges that were refused or failed, by `Reason::index`.
    pub errors: [Counter; Reason::COUNT],
    /// Bytes received from clients.
    pub bytes_in: Counter,
    /// Bytes sent to clients.
    pub bytes_out: Counter,
    /// Body and stream bytes that were spliced.
    pub bytes_spliced: Counter,
    /// Body and stream bytes that were copied.
    pub bytes_copied: Counter,
    /// Gauge: pipes open.
    pub pipes: Counter,
    /// How often a pipe was wanted and none could be had.
    pub pipe_failures: Counter,
    /// Pipes that the kernel made smaller than wanted, because the user has too many pages in pipes.
    pub pipes_shrunken: Counter,
    /// Gauge: small buffers in use.
    pub buffers_small_out: Counter,
    /// Gauge: large buffers in use.
    pub buffers_large_out: Counter,
    /// Gauge: tasks that wait for a buffer.
    pub buffers_waiting: Counter,
    /// Gauge: tasks.
    pub tasks: Counter,
    /// Gauge: op slots in use.
    pub op_slots: Counter,
    /// Gauge: sockets.
    pub sockets: Counter,
    /// Gauge: armed timers.
    pub timers: Counter,
    /// Tasks that ended in a panic: our bugs.
    pub panics: Counter,
    /// It has drained: nothing of its clients is left.
    pub drained: AtomicBool,
    /// In the order of `Plan::listeners`.
    pub listeners: Vec<ListenerStats>,
}

/// The counters of the process.
#[derive(Debug)]
pub struct Stats {
    /// When they began.
    pub started: SystemTime,
    /// One per worker.
    pub workers: Vec<WorkerStats>,
}

impl Stats {
    /// All zero.
    pub fn new(plan: &Plan, workers: usize) -> Stats {
        Stats { started: SystemTime::now(), workers: (0..workers).map(|_| WorkerStats::new(plan)).collect() }
    }

    /// One counter summed over all workers.
    pub fn sum(&self, counter: impl Fn(&WorkerStats) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| counter(worker).get()).sum()
    }
}

impl WorkerStats {
    fn new(plan: &Plan) -> WorkerStats {
        WorkerStats {
            cpu: OnceLock::new(),
            turns: Counter::default(),
            connections: Counter::default(),
            parked: Counter::default(),
            connections_total: Counter::default(),
            connections_refused: Counter::default(),
            handed_over: Counter::default(),
            accept_errors: Counter::default(),
            requests: Counter::default(),
            in_flight: Counter::default(),
            errors: [const { Counter(AtomicU64::new(0)) }; Reason::COUNT],
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            bytes_spliced: Counter::default(),
            bytes_copied: Counter::default(),
            pipes: Counter::default(),
            pipe_failures: Counter::default(),
            pipes_shrunken: Counter::default(),
            buffers_small_out: Counter::default(),
            buffers_large_out: Counter::default(),
            buffers_waiting: Counter::default(),
            tasks: Counter::default(),
            op_slots: Counter::default(),
            sockets: Counter::default(),
            timers: Counter::default(),
            panics: Counter::default(),
            drained: AtomicBool::new(false),
            listeners: plan.listeners.iter().map(|_| ListenerStats::default()).collect(),
        }
    }

    /// Counts one exchange that was refused or failed. Only for the worker itself.
    pub fn count_error(&self, reason: Reason) {
        self.errors[reason.index()].add(1);
    }
}
