//! What happens on a connection. Sessions see their worker through [`Context`] only.

mod clock;
mod greet;
pub mod http;
pub mod relay;
pub mod tcp;
mod thinning;
mod tries;
pub mod tunnel;

use crate::handlers::files::{listing, shelf::Shelf};
use crate::handlers::{acme, auth};
use crate::log::access::{AccessFile, Gathered};
use crate::log::{Level, LogSender};
use crate::proto::reason::Reason;
use crate::ring::{Driver, Owner, Reactor};
use crate::stats::{ListenerStats, Stats, WorkerStats};
use crate::upstream::{Live, Upstreams};
use http::parking::Parking;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};
use thinning::Thinning;

/// What a session needs of its worker.
pub struct Context<D: Driver> {
    /// Ring, tasks, timers, buffers.
    pub reactor: Reactor<D>,
    /// What is configured, pools and pickers.
    pub upstreams: Rc<Upstreams<D>>,
    stats: Arc<Stats>,
    worker: usize,
    log: LogSender,
    draining: Cell<Option<u64>>,
    /// Requests that `limit_req` delays.
    delayed: Cell<u32>,
    last_owner: Cell<Owner>,
    /// Where answers to ACME challenges are asked for.
    pub challenges: acme::Desk,
    /// Where passwords are looked up.
    pub passwords: auth::Desk,
    /// Files that are served.
    pub files: Shelf<D>,
    /// Where listings of directories are asked for.
    pub listings: listing::Desk,
    /// Idle client connections.
    pub parking: Parking<D>,
    date: RefCell<(u64, String)>,
    thinning: Thinning,
    clock: clock::Clock,
    /// Lines of access logs that were not handed over yet, and who does that.
    gathered: RefCell<Gathered>,
    gatherer: Cell<Option<Waker>>,
}

impl<D: Driver> Context<D> {
    /// The context of one worker.
    pub fn new(
        reactor: Reactor<D>,
        upstreams: Rc<Upstreams<D>>,
        stats: Arc<Stats>,
        worker: usize,
        log: LogSender,
    ) -> Self {
        let (draining, last_owner, date) = (Cell::new(None), Cell::new(0), RefCell::default());
        let (parking, files) = (Parking::new(&reactor), Shelf::new(&reactor));
        Self {
            reactor,
            upstreams,
            stats,
            worker,
            log,
            draining,
            delayed: Cell::new(0),
            last_owner,
            challenges: acme::Desk::default(),
            passwords: auth::Desk::default(),
            files,
            listings: listing::Desk::default(),
            parking,
            date,
            thinning: Thinning::default(),
            clock: clock::Clock::default(),
            gathered: RefCell::default(),
            gatherer: Cell::default(),
        }
    }

    /// What runs at the moment. Whoever holds it stays with it.
    pub fn live(&self) -> Rc<Live<D>> {
        self.upstreams.live()
    }

    /// This worker's number.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// This worker's counters.
    pub fn stats(&self) -> &WorkerStats {
        &self.stats.workers[self.worker]
    }

    /// This worker's counters of one listener.
    pub fn listener_stats(&self, listener: usize) -> &ListenerStats {
        &self.stats().listeners[listener]
    }

    /// Writes a log line; never waits.
    pub fn log(&self, level: Level, line: String) {
        self.log.send(level, line);
    }

    /// Writes one of possibly very many lines of one reason: so many a second, and then how many were left out.
    fn log_thinned(&self, level: Level, reason: Reason, line: impl FnOnce() -> String) {
        match self.thinning.pass(reason, self.reactor.now_ms()) {
            None => {}
            Some(0) => self.log(level, line()),
            Some(more) => {
                self.log(level, format!("{} ({more} more lines of this reason were left out before)", line()))
            }
        }
    }

    /// Appends a line to an access log; `fill` writes it with its end. Never waits.
    fn write_line(&self, file: &Arc<AccessFile>, fill: impl FnOnce(&mut Vec<u8>)) {
        let first = self.gathered.borrow_mut().write(file, fill);
        if first && let Some(waker) = self.gatherer.take() {
            waker.wake();
        }
    }

    /// Hands the lines of access logs over to their writers.
    pub fn hand_over(&self) {
        self.gathered.borrow_mut().hand_over();
    }

    /// No line waits.
    #[cfg(test)]
    fn gathered_is_empty(&self) -> bool {
        self.gathered.borrow().is_empty()
    }

    /// Ready when a line waits.
    fn poll_gathered(&self, task: &mut std::task::Context<'_>) -> Poll<()> {
        if !self.gathered.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.gatherer.set(Some(task.waker().clone()));
        Poll::Pending
    }

    /// Begins the drain: idle connections get their grace, others close after their answer.
    pub fn drain(&self) {
        if self.draining.get().is_none() {
            self.draining.set(Some(self.reactor.now_ms()));
            self.reactor.wake_all();
        }
    }

    /// Milliseconds since the drain began; `None` while there is none.
    pub fn draining(&self) -> Option<u64> {
        self.draining.get().map(|since| self.reactor.now_ms() - since)
    }

    /// A number that no other connection of this worker has had.
    fn next_owner(&self) -> Owner {
        self.last_owner.set(self.last_owner.get() + 1);
        self.last_owner.get()
    }

    /// The Date field's value, made once a second.
    fn with_date<T>(&self, act: impl FnOnce(&str) -> T) -> T {
        let mut date = self.date.borrow_mut();
        let second = self.reactor.now_ms() / 1000;
        if date.1.is_empty() || date.0 != second {
            *date = (second, httpdate::fmt_http_date(SystemTime::now()));
        }
        act(&date.1)
    }
}

/// Counts an open client connection until it is dropped.
struct Open<D: Driver> {
    cx: Rc<Context<D>>,
    listener: usize,
    counting: bool,
}

impl<D: Driver> Open<D> {
    fn count(cx: Rc<Context<D>>, listener: usize) -> Self {
        cx.stats().connections.add(1);
        cx.stats().connections_total.add(1);
        cx.listener_stats(listener).connections.add(1);
        cx.listener_stats(listener).connections_total.add(1);
        Self { cx, listener, counting: true }
    }

    /// Goes on counting what [`Open::hand_on`] left counted.
    fn resume(cx: Rc<Context<D>>, listener: usize) -> Self {
        Self { cx, listener, counting: true }
    }

    /// Whoever has the connection now keeps it counted.
    fn hand_on(mut self) {
        self.counting = false;
    }
}

impl<D: Driver> Drop for Open<D> {
    fn drop(&mut self) {
        if self.counting {
            self.cx.stats().connections.sub(1);
            self.cx.listener_stats(self.listener).connections.sub(1);
        }
    }
}

/// Milliseconds of a configured duration.
fn ms(duration: Duration) -> u64 {
    duration.as_millis().min(u128::from(u64::MAX / 4)) as u64
}
