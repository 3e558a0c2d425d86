//! Requests that wait while every server is at its `max_conns`, over all workers, first come first served.
//!
//! Only who waits comes here; where no `max_conns` is set, nobody ever does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The queue of one group.
#[derive(Debug, Default)]
pub struct Queue {
    tickets: Mutex<VecDeque<Arc<Ticket>>>,
    /// Length of `tickets`, to be read without the lock.
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Ticket(Mutex<Waiting>);

#[derive(Debug)]
enum Waiting {
    /// In the queue; the waker of its task, once it was polled.
    Queued(Option<Waker>),
    /// Taken out: it may try.
    Called,
}

impl Ticket {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) {
        if let Waiting::Queued(Some(waker)) = std::mem::replace(&mut *self.lock(), Waiting::Called) {
            waker.wake();
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

    /// Joins the queue, at its front if `again` (called, but another was faster); `None` if `most` wait already. Look for a
    /// permit once more after joining: one may have been given back just before.
    pub fn join(&self, most: usize, again: bool) -> Option<Place<'_>> {
        let mut tickets = self.tickets();
        if tickets.len() >= most && !again {
            return None;
        }
        let ticket = Arc::new(Ticket(Mutex::new(Waiting::Queued(None))));
        match again {
            true => tickets.push_front(ticket.clone()),
            false => tickets.push_back(ticket.clone()),
        }
        self.waiting.store(tickets.len(), SeqCst);
        drop(tickets);
        fence(SeqCst);
        Some(Place { queue: self, ticket, served: false })
    }

    /// A permit is free: the first may try.
    pub(super) fn wake_one(&self) {
        // Who joins looks at the permits once more afterwards, so one of the two sees the other.
        fence(SeqCst);
        if self.is_empty() {
            return;
        }
        let mut tickets = self.tickets();
        let first = tickets.pop_front();
        self.waiting.store(tickets.len(), SeqCst);
        drop(tickets);
        if let Some(first) = first {
            first.call();
        }
    }

    /// Everything may be different: all may try.
    pub(super) fn wake_all(&self) {
        if self.is_empty() {
            return;
        }
        let all = std::mem::take(&mut *self.tickets());
        self.waiting.store(0, SeqCst);
        all.iter().for_each(|ticket| ticket.call());
    }
}

/// A place in the queue; dropped, it is given up, and a call that came meanwhile goes to the next.
#[derive(Debug)]
pub struct Place<'q> {
    queue: &'q Queue,
    ticket: Arc<Ticket>,
    served: bool,
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

    /// Nobody is before it.
    pub fn is_first(&self) -> bool {
        self.queue.tickets().front().is_none_or(|first| Arc::ptr_eq(first, &self.ticket))
    }

    /// It got what it waited for: a call that came is used up.
    pub fn served(mut self) {
        self.served = true;
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
        if called && !self.served {
            self.queue.wake_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
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
        let [a, b] = [(); 2].map(|()| queue.join(2, false).expect("room"));
        assert!(queue.join(2, false).is_none() && queue.len() == 2);
        assert!(!is_called(&a, &count) && !is_called(&b, &count));
        queue.wake_one();
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(is_called(&a, &count) && !is_called(&b, &count));
        a.served();
        assert_eq!(queue.len(), 1);
        let c = queue.join(2, false).expect("room again");
        let d = queue.join(2, true).expect("who was called comes in, and first");
        queue.wake_one();
        assert!(is_called(&d, &count) && !is_called(&b, &count) && !is_called(&c, &count));
    }

    #[test]
    fn a_call_that_nobody_answers_goes_to_the_next() {
        let (queue, count) = (Queue::default(), Arc::new(Count::default()));
        let [a, b, c] = [(); 3].map(|()| queue.join(3, false).expect("room"));
        assert!(!is_called(&b, &count) && !is_called(&c, &count));
        queue.wake_one();
        drop(a); // its client went away before it ran
        assert!(is_called(&b, &count) && !is_called(&c, &count));
        drop(c);
        b.served();
        assert!(queue.is_empty());
        queue.wake_one();
    }

    #[test]
    fn all_may_be_called_at_once() {
        let (queue, count) = (Queue::default(), Arc::new(Count::default()));
        let places = [(); 5].map(|()| queue.join(9, false).expect("room"));
        assert!(places.iter().all(|place| !is_called(place, &count)));
        queue.wake_all();
        assert_eq!(count.0.load(SeqCst), 5);
        assert!(places.iter().all(|place| is_called(place, &count)) && queue.is_empty());
    }
}
