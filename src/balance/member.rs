//! One server of a group as all workers see it. It outlives reloads and changes of names: whoever stays the same server keeps its
//! counters, its health and what an operator set.

use super::counters::Column;
use super::ewma::{Latency, Reading};
use super::health::{Cause, Health, Rules, State, Totals, Verdict};
use super::lineage::Lineage;
use crate::config::plan::Address;
use crate::stats::ServerStats;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an operator set at run time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Override {
    /// It gets nothing new.
    pub drained: bool,
    /// Another weight than the configured one.
    pub weight: Option<u32>,
}

/// Requests and sessions that hold a permit, on cache lines of its own: all workers write it, but only where `max_conns` is set.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Permits(AtomicU32);

/// One worker's response times, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell(Latency);

/// One server.
#[derive(Debug)]
pub struct Member {
    /// As configured.
    pub name: String,
    /// Where it is reached; several are doors of the same server. Empty: its name has not resolved yet.
    pub addresses: Vec<Address>,
    lineage: Arc<Lineage>,
    in_flight: Column,
    /// One per worker.
    stats: Box<[ServerStats]>,
    /// One per worker.
    latency: Box<[Cell]>,
    permits: Permits,
    /// One request is out to see whether it is well again.
    trial: AtomicBool,
    health: Mutex<Health>,
    /// `health.state()`, for pickers.
    state: AtomicU8,
    /// `health.wants_success()`, for the end of every request.
    wants_success: AtomicBool,
    overridden: Mutex<Override>,
    /// Milliseconds for which an idle connection may be used again; 0: not known. And until when that counts; 0: for ever.
    idle_limit: AtomicU32,
    idle_limit_until: AtomicU64,
}

impl Member {
    /// A new server of a group, unknown and so usable.
    pub fn new(lineage: &Arc<Lineage>, name: &str, addresses: Vec<Address>) -> Member {
        Member {
            name: name.to_owned(),
            addresses,
            lineage: lineage.clone(),
            in_flight: lineage.column(),
            stats: (0..lineage.workers()).map(|_| ServerStats::default()).collect(),
            latency: (0..lineage.workers()).map(|_| Cell::default()).collect(),
            permits: Permits::default(),
            trial: AtomicBool::new(false),
            health: Mutex::default(),
            state: AtomicU8::new(State::Up as u8),
            wants_success: AtomicBool::new(false),
            overridden: Mutex::default(),
            idle_limit: AtomicU32::new(0),
            idle_limit_until: AtomicU64::new(0),
        }
    }

    /// Requests there, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.sum()
    }

    pub(super) fn column(&self) -> &Column {
        &self.in_flight
    }

    /// The counters of one worker.
    pub fn stats(&self, worker: usize) -> &ServerStats {
        &self.stats[worker]
    }

    /// The counters of all workers.
    pub fn all_stats(&self) -> &[ServerStats] {
        &self.stats
    }

    fn sum(&self, counter: impl Fn(&ServerStats) -> u64) -> u64 {
        self.stats.iter().map(counter).sum()
    }

    fn totals(&self) -> Totals {
        Totals { requests: self.sum(|s| s.requests.get()), failures: self.sum(|s| s.failures.get()) }
    }

    /// Bytes that came from it, over all workers: that they grow is a sign of life.
    pub fn bytes_in(&self) -> u64 {
        self.sum(|s| s.bytes_in.get())
    }

    /// An answer came after so many microseconds. Only `worker` itself may call it.
    pub fn observe(&self, worker: usize, now: u64, microseconds: u64) {
        self.latency[worker].0.observe(now, microseconds);
    }

    /// What one more request would meet; less is better. See [`Reading::score`].
    pub(super) fn score(&self, now: u64, blur: u64) -> u64 {
        self.response_time().score(now, self.in_flight(), blur)
    }

    /// How fast it answers, over all workers.
    pub fn response_time(&self) -> Reading {
        Reading::joined(self.latency.iter().map(|cell| cell.0.read()))
    }

    // ---- what is running there -------------------------------------------------------------------------------------------

    /// Takes one of `most` permits. Every success is followed by one [`Member::release`].
    pub fn acquire(&self, most: u32) -> bool {
        self.permits.0.fetch_update(Relaxed, Relaxed, |held| (held < most).then_some(held + 1)).is_ok()
    }

    /// Gives a permit back, and lets one that waits for it go on.
    pub fn release(&self) {
        self.permits.0.fetch_sub(1, Relaxed);
        self.lineage.queue.wake_one();
    }

    /// Permits held.
    pub fn held(&self) -> u32 {
        self.permits.0.load(Relaxed)
    }

    /// Takes the one request that a server on probation gets.
    pub fn begin_trial(&self) -> bool {
        !self.trial.swap(true, Relaxed)
    }

    /// That request is over.
    pub fn end_trial(&self) {
        self.trial.store(false, Relaxed);
    }

    // ---- health -----------------------------------------------------------------------------------------------------------

    /// As last published; an ejection that is over by time shows as `Ejected` until somebody looks ([`Member::tick`]).
    pub fn state(&self) -> State {
        State::from_u8(self.state.load(Relaxed))
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the health.
    pub fn look<T>(&self, read: impl FnOnce(&Health) -> T) -> T {
        read(&self.health())
    }

    /// Changes the health and tells the pickers.
    fn judge(&self, change: impl FnOnce(&mut Health)) {
        let mut health = self.health();
        let before = (health.state(), health.up_since());
        change(&mut health);
        self.wants_success.store(health.wants_success(), Relaxed);
        if (health.state(), health.up_since()) != before {
            self.state.store(health.state() as u8, Relaxed);
            drop(health);
            self.lineage.changed();
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&self, now: u64) {
        if self.state() == State::Ejected {
            self.judge(|health| health.tick(now));
        }
    }

    /// Traffic failed. `may_eject` says whether the group can do without it; it is asked while nobody else can eject.
    pub(super) fn failed(&self, rules: &Rules, cause: Cause, now: u64, random: u64, may_eject: impl FnOnce() -> bool) {
        let _one_at_a_time = self.lineage.ejecting();
        let may_eject = may_eject();
        let totals = self.totals();
        self.judge(|health| health.failed(rules, cause, totals, now, may_eject, random));
    }

    /// Traffic went well. In the good case a look at one flag that nobody writes.
    pub fn succeeded(&self, now: u64) {
        if self.wants_success.load(Relaxed) {
            self.judge(|health| health.succeeded(now));
        }
    }

    /// A check's verdict; see [`Health::checked`].
    pub fn checked(&self, rules: &Rules, verdict: Verdict, answered: bool, now: u64) {
        self.judge(|health| health.checked(rules, verdict, answered, now));
    }

    /// The checks are others now, or none.
    pub(super) fn forget_checks(&self) {
        self.judge(Health::forget_checks);
    }

    /// See [`Health::is_not_back`].
    pub fn is_not_back(&self, now: u64) {
        self.judge(|health| health.is_not_back(now));
    }

    // ---- what is set and learned --------------------------------------------------------------------------------------------

    /// What an operator set.
    pub fn overridden(&self) -> Override {
        *self.overridden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets it.
    pub fn set_override(&self, new: Override) {
        *self.overridden.lock().unwrap_or_else(PoisonError::into_inner) = new;
        self.lineage.changed();
    }

    /// How long an idle connection to it may be used again, in milliseconds; `None`: as long as the configuration says.
    pub fn idle_limit(&self, now: u64) -> Option<u64> {
        let (limit, until) = (self.idle_limit.load(Relaxed), self.idle_limit_until.load(Relaxed));
        (limit > 0 && (until == 0 || now < until)).then_some(u64::from(limit))
    }

    /// Sets it; `until`: what was only concluded is forgotten then.
    pub fn set_idle_limit(&self, ms: u64, until: Option<u64>) {
        let (ms, until) = (ms.clamp(1, u64::from(u32::MAX)) as u32, until.unwrap_or(0));
        // Told with every answer: written only when it is news.
        if (self.idle_limit.load(Relaxed), self.idle_limit_until.load(Relaxed)) != (ms, until) {
            self.idle_limit.store(ms, Relaxed);
            self.idle_limit_until.store(until, Relaxed);
        }
    }
}
