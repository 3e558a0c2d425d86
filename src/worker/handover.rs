//! Handing a new connection to a less loaded worker.
//!
//! The kernel spreads connections over the listeners of one port by a hash (SO_REUSEPORT), so a few long ones may well land on
//! one worker. Whoever accepts and holds clearly more than the lesser of two others passes the connection on before anything is
//! armed on it. It is moved once only: the receiver keeps it. A full or closed desk keeps nothing, and the sender serves it itself.

use crate::limits::{HANDOVER_QUEUE_MAX, HANDOVER_SLACK, HANDOVER_SLACK_SHARE};
use crate::ring::{Descriptor, Driver};
use crate::session::Context;
use crate::stats::Stats;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::accept::{Accepting, serve};

/// All workers' desks for connections that others hand over.
pub(super) struct Handover {
    desks: Vec<Desk>,
    stats: Arc<Stats>,
    on: bool,
}

#[derive(Default)]
struct Desk {
    /// Handed over and not yet among the worker's connections: they are part of its load.
    waiting: AtomicU32,
    /// As in the queue: it takes nothing any more, and is not looked at.
    closed: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The worker drains, or ended.
    closed: bool,
    arrivals: VecDeque<Arrival>,
    waker: Option<Waker>,
}

/// An accepted connection and the listener that it came to.
type Arrival = (Descriptor, usize);

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handover {
    /// Empty desks. With `on` false nobody hands anything over.
    pub(super) fn new(stats: Arc<Stats>, on: bool) -> Self {
        Self { desks: stats.workers.iter().map(|_| Desk::default()).collect(), stats, on }
    }

    /// Connections of a worker, those on their way to it included.
    fn load(&self, worker: usize) -> u64 {
        match self.desks[worker].closed.load(Relaxed) {
            true => u64::MAX / 2,
            false => self.stats.workers[worker].connections.get() + u64::from(self.desks[worker].waiting.load(Relaxed)),
        }
    }

    /// The worker that should have the next connection instead of `own`: the less loaded of two others, if `own` has clearly
    /// more. Two are looked at, not all: a new connection must not cost a look at every core's cache line.
    fn better(&self, own: usize, random: u64) -> Option<usize> {
        let others = (self.desks.len() as u64).checked_sub(1).filter(|&others| self.on && others > 0)?;
        let nth = |n: u64| (own + 1 + n as usize) % self.desks.len();
        let first = random % others;
        // Another one than the first, if there are two.
        let second = (first + 1 + (random >> 32) % others.saturating_sub(1).max(1)) % others;
        let lesser = [nth(first), nth(second)].into_iter().min_by_key(|&worker| self.load(worker))?;
        let mine = self.load(own);
        (mine >= self.load(lesser) + HANDOVER_SLACK.max(mine / HANDOVER_SLACK_SHARE)).then_some(lesser)
    }

    /// Hands a connection that `own` accepted to another worker if that is better; false: `own` keeps it.
    pub(super) fn give(&self, own: usize, random: u64, arrival: Arrival) -> bool {
        let Some(to) = self.better(own, random) else { return false };
        let desk = &self.desks[to];
        let mut queue = desk.queue();
        if queue.closed || queue.arrivals.len() >= HANDOVER_QUEUE_MAX {
            return false;
        }
        desk.waiting.fetch_add(1, Relaxed);
        queue.arrivals.push_back(arrival);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// The next connection handed to `own`. `None`: there is none now; `waker` is called when there is.
    fn take(&self, own: usize, waker: &Waker) -> Option<Arrival> {
        let mut queue = self.desks[own].queue();
        let arrival = queue.arrivals.pop_front();
        if arrival.is_none() {
            queue.waker = Some(waker.clone());
        }
        arrival
    }

    /// `own` takes no more; what was handed to it before.
    pub(super) fn close(&self, own: usize) -> VecDeque<Arrival> {
        let mut queue = self.desks[own].queue();
        queue.closed = true;
        self.desks[own].closed.store(true, Relaxed);
        std::mem::take(&mut queue.arrivals)
    }

    /// One that was handed over is now counted among the worker's connections.
    fn arrived(&self, own: usize) {
        self.desks[own].waiting.fetch_sub(1, Relaxed);
    }
}

/// Serves what other workers hand over, until the drain; then the desk is emptied and closed.
pub(super) async fn receive<D: Driver>(cx: Rc<Context<D>>, handover: Arc<Handover>, accepting: Accepting) {
    let own = cx.worker();
    let _closing = Closing { cx: cx.clone(), handover: handover.clone() };
    let admit = |(descriptor, listener)| {
        serve(&cx, descriptor, listener);
        handover.arrived(own);
    };
    loop {
        let next = poll_fn(|task| match cx.draining() {
            Some(_) => Poll::Ready(None),
            None => handover.take(own, task.waker()).map_or(Poll::Pending, |arrival| Poll::Ready(Some(arrival))),
        });
        match next.await {
            Some(arrival) => admit(arrival),
            None => break,
        }
    }
    handover.close(own).into_iter().for_each(admit);
    drop(accepting);
}

/// However the receiver ends, a panic of ours included: its desk closes, and what lies there is not left hanging.
struct Closing<D: Driver> {
    cx: Rc<Context<D>>,
    handover: Arc<Handover>,
}

impl<D: Driver> Drop for Closing<D> {
    fn drop(&mut self) {
        for (descriptor, _) in self.handover.close(self.cx.worker()) {
            drop(self.cx.reactor.adopt(descriptor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::task::Waker;

    fn desks(connections: &[u64], on: bool) -> Handover {
        let text = "[[tcp]]\nlisten = \"127.0.0.1:1\"\nproxy_pass = \"127.0.0.1:2\"\n";
        let plan = crate::config::load_str("test.toml", text).expect("a good configuration").plan;
        let stats = Arc::new(Stats::new(&plan, connections.len()));
        connections.iter().zip(&stats.workers).for_each(|(&count, worker)| worker.connections.set(count));
        Handover::new(stats, on)
    }

    #[test]
    fn only_who_has_clearly_more_hands_over_and_to_the_lesser() {
        let table: &[(&[u64], usize, Option<usize>)] = &[
            (&[100], 0, None),
            (&[0, 0], 0, None),
            (&[1, 0], 0, None),
            (&[2, 0], 0, Some(1)),
            (&[0, 2], 1, Some(0)),
            (&[9, 8], 0, None),
            (&[10, 8], 0, Some(1)),
            (&[100, 90], 0, None),
            (&[100, 88], 0, Some(1)),
            (&[10, 8, 3], 0, Some(2)),
            (&[8, 3, 10], 2, Some(1)),
        ];
        for (connections, own, expected) in table {
            let desks = desks(connections, true);
            for random in [0, 1, 2, 3, 1 << 32, (1 << 32) + 1, u64::MAX] {
                assert_eq!(desks.better(*own, random), *expected, "{connections:?}, {random}");
            }
        }
        assert_eq!(desks(&[100, 0], false).better(0, 0), None, "switched off");
    }

    #[test]
    fn every_other_worker_may_be_chosen_and_never_oneself() {
        let desks = desks(&[0, 0, 50, 0, 0], true);
        let chosen: HashSet<_> =
            (0..1000u64).filter_map(|i| desks.better(2, i.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        assert_eq!(chosen, HashSet::from([0, 1, 3, 4]));
    }

    #[test]
    fn what_is_on_its_way_counts_and_a_full_or_closed_desk_takes_nothing() {
        let desks = desks(&[1000, 0], true);
        let arrival = (Descriptor(-1), 0);
        for _ in 0..HANDOVER_QUEUE_MAX {
            assert!(desks.give(0, 0, arrival));
        }
        assert_eq!(desks.load(1), HANDOVER_QUEUE_MAX as u64);
        assert!(!desks.give(0, 0, arrival), "the desk is full");
        assert_eq!(desks.take(1, Waker::noop()), Some(arrival));
        desks.arrived(1);
        assert!(desks.give(0, 0, arrival));
        assert_eq!(desks.close(1).len(), HANDOVER_QUEUE_MAX);
        assert!(!desks.give(0, 0, arrival), "the desk is closed");
        assert!(desks.close(1).is_empty());
    }
}
