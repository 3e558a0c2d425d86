//! Requests that wait while every server is at its `max_conns`, over all workers, first come first served.
//!
//! Only who waits comes here; where no `max_conns` is set, nobody ever does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The queue of one group.
#[derive(Debug, Default)]
pub struct Queue {
    tickets: Mutex<VecDeque<Arc<Ticket>>>,
    /// Length of `tickets`, to be read without the lock.
    waiting: AtomicUsize,
    /// Turns given out.
    turns: AtomicU64,
}

#[derive(Debug)]
struct Ticket {
    /// Who came first has the lower number; it stays when a call came to nothing.
    turn: u64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
enum Waiting {
    /// In the queue; the waker of its task, once it was polled.
    Queued(Option<Waker>),
    /// Taken out: it may try.
    Called,
}

impl Ticket {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls it, while the queue is locked, so that one that leaves is either in the queue or called. The waker is for afterwards.
    fn call(&self) -> Option<Waker> {
        match std::mem::replace(&mut *self.lock(), Waiting::Called) {
            Waiting::Queued(waker) => waker,
            Waiting::Called => None,
        }
    }
}

impl Queue {
    fn tickets(&self) -> MutexGuard<'_, VecDeque<Arc<Ticket>>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Joins the queue, `again` at the turn that it had; `None` if `most` wait already. Look for a permit once more after joining: one
    /// may have been given back just before.
    pub fn join(&self, most: usize, again: Option<u64>) -> Option<Place<'_>> {
        let mut tickets = self.tickets();
        if tickets.len() >= most && again.is_none() {
            return None;
        }
        let turn = again.unwrap_or_else(|| self.turns.fetch_add(1, SeqCst));
        let ticket = Arc::new(Ticket { turn, waiting: Mutex::new(Waiting::Queued(None)) });
        let at = tickets.partition_point(|other| other.turn < turn);
        tickets.insert(at, ticket.clone());
        self.waiting.store(tickets.len(), SeqCst);
        drop(tickets);
        fence(SeqCst);
        Some(Place { queue: self, ticket, used: false })
    }

    /// A permit is free: the first may try.
    pub(super) fn wake_one(&self) {
        self.call_from(0);
    }

    /// The first whose turn is `from` or later may try.
    fn call_from(&self, from: u64) {
        // Who joins looks at the permits once more afterwards, so one of the two sees the other.
        fence(SeqCst);
        if self.is_empty() {
            return;
        }
        let mut tickets = self.tickets();
        let at = tickets.partition_point(|ticket| ticket.turn < from);
        let waker = tickets.remove(at).and_then(|first| first.call());
        self.waiting.store(tickets.len(), SeqCst);
        drop(tickets);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Everything may be different: all may try.
    pub(super) fn wake_all(&self) {
        fence(SeqCst);
        if self.is_empty() {
            return;
        }
        let mut tickets = self.tickets();
        let wakers: Vec<Waker> = tickets.drain(..).filter_map(|ticket| ticket.call()).collect();
        self.waiting.store(0, SeqCst);
        drop(tickets);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A place in the queue; dropped, it is given up. A call that was not used goes to those behind: only backwards, or two that
/// cannot use it would pass it to and fro.
#[derive(Debug)]
pub struct Place<'q> {
    queue: &'q Queue,
    ticket: Arc<Ticket>,
    used: bool,
}

impl Place<'_> {
    /// Ready when it may try.
    pub fn poll_called(&self, task: &mut Context<'_>) -> Poll<()> {
        match &mut *self.ticket.lock() {
            Waiting::Called => Poll::Ready(()),
            Waiting::Queued(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(task.waker()),
                    None => *waker = Some(task.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// For joining again after a call that came to nothing.
    pub fn turn(&self) -> u64 {
        self.ticket.turn
    }

    /// The call led to what it waited for.
    pub fn used(mut self) {
        self.used = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut tickets = self.queue.tickets();
        if let Some(at) = tickets.iter().position(|ticket| Arc::ptr_eq(ticket, &self.ticket)) {
            tickets.remove(at);
            self.queue.waiting.store(tickets.len(), SeqCst);
        }
        drop(tickets);
        let called = matches!(*self.ticket.lock(), Waiting::Called);
        if called && !self.used {
            self.queue.call_from(self.ticket.turn + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn is_called(place: &Place<'_>, count: &Arc<Count>) -> bool {
        place.poll_called(&mut Context::from_waker(&Waker::from(count.clone()))).is_ready()
    }

    #[test]
    fn first_come_first_served_within_the_bound() {
        let (queue, count) = (Queue::default(), Arc::new(Count::default()));
        let [a, b] = [(); 2].map(|()| queue.join(2, None).expect("room"));
        assert!(queue.join(2, None).is_none() && queue.len() == 2);
        assert!(!is_called(&a, &count) && !is_called(&b, &count));
        queue.wake_one();
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(is_called(&a, &count) && !is_called(&b, &count));
        let turn = a.turn();
        a.used();
        assert_eq!(queue.len(), 1);
        let c = queue.join(2, None).expect("room again");
        let d = queue.join(2, Some(turn)).expect("who was called comes in, and first");
        queue.wake_one();
        assert!(is_called(&d, &count) && !is_called(&b, &count) && !is_called(&c, &count));
    }

    #[test]
    fn a_call_that_nobody_answers_goes_to_the_next() {
        let (queue, count) = (Queue::default(), Arc::new(Count::default()));
        let [a, b, c] = [(); 3].map(|()| queue.join(3, None).expect("room"));
        assert!(!is_called(&b, &count) && !is_called(&c, &count));
        queue.wake_one();
        drop(a); // its client went away before it ran
        assert!(is_called(&b, &count) && !is_called(&c, &count));
        drop(c);
        b.used();
        assert!(queue.is_empty());
        queue.wake_one();
    }

    #[test]
    fn a_call_is_passed_on_backwards_only() {
        let (queue, count) = (Queue::default(), Arc::new(Count::default()));
        let [a, b] = [(); 2].map(|()| queue.join(9, None).expect("room"));
        assert!(!is_called(&a, &count) && !is_called(&b, &count));
        queue.wake_one();
        // What is free is nothing for a: it joins again before it gives up its place.
        let again = queue.join(9, Some(a.turn())).expect("room");
        drop(a);
        assert!(is_called(&b, &count) && !is_called(&again, &count));
        drop(b);
        assert!(!is_called(&again, &count), "nobody behind b");
        queue.wake_one();
        assert!(is_called(&again, &count));
    }

    #[test]
    fn all_may_be_called_at_once() {
        let (queue, count) = (Queue::default(), Arc::new(Count::default()));
        let places = [(); 5].map(|()| queue.join(9, None).expect("room"));
        assert!(places.iter().all(|place| !is_called(place, &count)));
        queue.wake_all();
        assert_eq!(count.0.load(SeqCst), 5);
        assert!(places.iter().all(|place| is_called(place, &count)) && queue.is_empty());
    }

    #[test]
    fn nobody_is_forgotten_who_joins_while_all_are_called() {
        let queue = Queue::default();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let bad = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    queue.wake_all();
                }
            });
            for _ in 0..300_000 {
                let a = queue.join(9, None).expect("room");
                let b = queue.join(9, None).expect("room");
                // b is either called, or in the list; then the counter must say so once things are quiet.
                for _ in 0..20 {
                    std::hint::spin_loop();
                }
                drop(a);
                // Only this thread joins: a ticket in the list with a counter of 0 that stays so is forgotten.
                let mut forgotten = true;
                for _ in 0..2000 {
                    let tickets = queue.tickets();
                    if tickets.is_empty() || queue.waiting.load(SeqCst) > 0 {
                        forgotten = false;
                        break;
                    }
                }
                if forgotten {
                    bad.fetch_add(1, SeqCst);
                }
                drop(b);
            }
            stop.store(true, SeqCst);
        });
        assert_eq!(bad.load(SeqCst), 0, "times that somebody was forgotten");
    }

    #[test]
    fn a_call_to_one_that_just_leaves_goes_to_the_next() {
        let lost = AtomicUsize::new(0);
        for _ in 0..20_000 {
            let (queue, count) = (Queue::default(), Arc::new(Count::default()));
            let [a, b] = [(); 2].map(|()| queue.join(2, None).expect("room"));
            assert!(!is_called(&a, &count) && !is_called(&b, &count));
            let gate = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                let gate = &gate;
                let meet = move || {
                    gate.fetch_add(1, SeqCst);
                    while gate.load(SeqCst) < 2 {
                        std::hint::spin_loop();
                    }
                };
                scope.spawn(move || {
                    meet();
                    drop(a); // its client goes away, or its time is over
                });
                let queue = &queue;
                scope.spawn(move || {
                    meet();
                    queue.wake_one(); // one permit was given back
                });
            });
            if !is_called(&b, &count) {
                lost.fetch_add(1, SeqCst);
            }
        }
        assert_eq!(lost.load(SeqCst), 0, "calls lost: a permit is free, and b waits");
    }
}
