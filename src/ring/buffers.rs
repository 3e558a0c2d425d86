//! The bounded buffer pool of one worker.
//!
//! Nobody ever waits for a buffer while holding one, so there is no deadlock: an exchange reserves the most small buffers it
//! may hold at a time before it begins ([`Buffers::reserve`], first come first served), and every lease it takes then is
//! certain. Large buffers are a bonus: there is one, or the exchange goes on with its small ones.
//!
//! A lease carries its owner, which the socket checks at send: no bytes of one client ever reach another.

use super::memory::shrink;
use crate::limits::{BUFFER_LARGE, BUFFER_SMALL, TLS_ROOM, TRIM_WORTH};
use slab::Slab;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Whose bytes these are: the number of a client connection; 0 is nobody.
pub type Owner = u64;

/// The two sizes of buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// [`BUFFER_SMALL`] bytes.
    Small,
    /// [`BUFFER_LARGE`] bytes.
    Large,
}

/// Small buffers kept for refusals.
const SPARES: u32 = 64;

struct Stock {
    free: Vec<Box<[u8]>>,
    /// Leases out and reservations not used up.
    promised: u32,
    most: u32,
    /// Leases out.
    out: u32,
    /// The fewest free buffers since the last look: so many were of no use.
    idle: usize,
    /// Of these, how many are to go.
    surplus: usize,
    /// One to write into while another is read: the two then change places.
    fresh: Option<Box<[u8]>>,
}

impl Stock {
    fn new(most: u32) -> Self {
        Self { free: Vec::new(), promised: 0, most, out: 0, idle: 0, surplus: 0, fresh: None }
    }

    fn take(&mut self, bytes: usize) -> Box<[u8]> {
        self.out += 1;
        let buffer = self.free.pop().unwrap_or_else(|| made(bytes));
        self.idle = self.idle.min(self.free.len());
        buffer
    }

    fn give_back(&mut self, buffer: Box<[u8]>) {
        self.out -= 1;
        self.free.push(buffer);
    }

    fn look(&mut self, worth: usize) {
        self.surplus = if self.idle >= worth { self.idle } else { 0 };
        self.idle = self.free.len();
    }

    /// Frees at most so many of the surplus; how many it were.
    fn trim(&mut self, most: usize) -> usize {
        let count = self.surplus.min(most).min(self.free.len());
        self.surplus -= count;
        let keep = self.free.len() - count;
        self.free.truncate(keep);
        if self.surplus == 0 {
            self.free.shrink_to(keep);
        }
        self.idle = self.idle.min(keep);
        count
    }
}

struct Promise {
    owner: Owner,
    /// Small buffers promised in all, and out now.
    most: u32,
    out: u32,
    /// The [`Reservation`] is gone; what is out comes back by and by, and counts one by one.
    released: bool,
}

struct Waiter {
    ticket: u64,
    count: u32,
    waker: Waker,
}

struct Pool {
    small: Stock,
    large: Stock,
    promises: Slab<Promise>,
    waiters: VecDeque<Waiter>,
    next_ticket: u64,
}

impl Pool {
    fn admits(&self, count: u32) -> bool {
        self.small.promised + count <= self.small.most
    }

    fn unpromise(&mut self, count: u32) {
        self.small.promised -= count;
        if let Some(first) = self.waiters.front()
            && self.admits(first.count)
        {
            first.waker.wake_by_ref();
        }
    }

    /// Where a waiter stands in the queue: tickets only grow, so thousands that give up at once are found quickly.
    fn place(&self, ticket: u64) -> Option<usize> {
        self.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()
    }

    /// A reservation ends: what it did not use is free at once, the rest as its leases come back.
    fn release(&mut self, key: usize) {
        let promise = &mut self.promises[key];
        promise.released = true;
        let (unused, out) = (promise.most - promise.out, promise.out);
        if out == 0 {
            self.promises.remove(key);
        }
        self.unpromise(unused);
    }

    /// A small lease comes back.
    fn returned(&mut self, key: usize) {
        let promise = &mut self.promises[key];
        promise.out -= 1;
        let (released, out) = (promise.released, promise.out);
        if released {
            if out == 0 {
                self.promises.remove(key);
            }
            self.unpromise(1);
        }
    }
}

/// The buffers of one worker.
#[derive(Clone)]
pub struct Buffers(Rc<RefCell<Pool>>);

impl Buffers {
    /// A pool of at most so many small and large buffers, allocated when first used.
    pub fn new(small: u32, large: u32) -> Self {
        Self(Rc::new(RefCell::new(Pool {
            small: Stock::new(small),
            large: Stock::new(large),
            promises: Slab::new(),
            waiters: VecDeque::new(),
            next_ticket: 0,
        })))
    }

    /// Waits, in turn, until `count` small buffers are certain for `owner`. The caller holds no buffer meanwhile.
    pub fn reserve(&self, owner: Owner, count: u32) -> Reserve {
        Reserve { pool: self.0.clone(), owner, count, ticket: None }
    }

    /// One small buffer beyond the bound, to say that there are none; at most [`SPARES`] of them.
    pub fn spare(&self, owner: Owner) -> Option<Reservation> {
        let mut pool = self.0.borrow_mut();
        if pool.small.promised >= pool.small.most + SPARES {
            return None;
        }
        pool.small.promised += 1;
        let key = pool.promises.insert(Promise { owner, most: 1, out: 0, released: false });
        Some(Reservation { pool: self.0.clone(), key })
    }

    /// Small buffers are nearly used up: three quarters are promised.
    pub fn pressed(&self) -> bool {
        let pool = self.0.borrow();
        pool.small.promised > pool.small.most / 4 * 3
    }

    /// Leases out: small, large; and reservations waiting.
    pub fn out(&self) -> (u32, u32, usize) {
        let pool = self.0.borrow();
        (pool.small.out, pool.large.out, pool.waiters.len())
    }

    /// Decides what is to go: buffers that nobody used since the last look, if they are worth a megabyte.
    pub fn look(&self) {
        let mut pool = self.0.borrow_mut();
        pool.small.look(TRIM_WORTH / BUFFER_SMALL);
        pool.large.look(TRIM_WORTH / BUFFER_LARGE);
    }

    /// Frees at most so many of these; how many it were.
    pub fn trim(&self, most: usize) -> usize {
        let mut pool = self.0.borrow_mut();
        let small = pool.small.trim(most);
        let count = small + pool.large.trim(most - small);
        if count > 0 {
            shrink(&mut pool.promises);
            let waiting = pool.waiters.len();
            pool.waiters.shrink_to(waiting);
        }
        count
    }
}

/// Future of [`Buffers::reserve`]. Dropping it gives up the place in the queue.
pub struct Reserve {
    pool: Rc<RefCell<Pool>>,
    owner: Owner,
    count: u32,
    ticket: Option<u64>,
}

impl Future for Reserve {
    type Output = Reservation;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reservation> {
        let this = &mut *self;
        let mut pool = this.pool.borrow_mut();
        let first = match this.ticket {
            None => pool.waiters.is_empty(),
            Some(ticket) => pool.waiters.front().is_some_and(|w| w.ticket == ticket),
        };
        if first && pool.admits(this.count) {
            if this.ticket.take().is_some() {
                pool.waiters.pop_front();
            }
            pool.small.promised += this.count;
            let promise = Promise { owner: this.owner, most: this.count, out: 0, released: false };
            let key = pool.promises.insert(promise);
            pool.unpromise(0); // there may be room for the next one too
            drop(pool);
            return Poll::Ready(Reservation { pool: this.pool.clone(), key });
        }
        match this.ticket {
            None => {
                let ticket = pool.next_ticket;
                pool.next_ticket += 1;
                pool.waiters.push_back(Waiter { ticket, count: this.count, waker: cx.waker().clone() });
                this.ticket = Some(ticket);
            }
            Some(ticket) => {
                if let Some(place) = pool.place(ticket) {
                    pool.waiters[place].waker.clone_from(cx.waker());
                }
            }
        }
        Poll::Pending
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut pool = self.pool.borrow_mut();
            if let Some(place) = pool.place(ticket) {
                pool.waiters.remove(place);
            }
            pool.unpromise(0); // the next in the queue may fit
        }
    }
}

/// The right to so many small buffers at a time.
pub struct Reservation {
    pool: Rc<RefCell<Pool>>,
    key: usize,
}

impl Reservation {
    /// A small buffer. Panics if all that were reserved are out: our bug, not the peer's.
    pub fn take(&self) -> Lease {
        self.try_take().expect("an exchange takes no more buffers than it reserved")
    }

    /// A small buffer, unless all that were reserved are out.
    pub fn try_take(&self) -> Option<Lease> {
        let mut pool = self.pool.borrow_mut();
        let promise = &mut pool.promises[self.key];
        if promise.out == promise.most {
            return None;
        }
        promise.out += 1;
        let owner = promise.owner;
        let data = pool.small.take(BUFFER_SMALL);
        Some(Lease { data, owner, size: Size::Small, promise: self.key, pool: self.pool.clone() })
    }

    /// A large buffer, if one is left.
    pub fn try_take_large(&self) -> Option<Lease> {
        let mut pool = self.pool.borrow_mut();
        if pool.large.out == pool.large.most {
            return None;
        }
        let owner = pool.promises[self.key].owner;
        let data = pool.large.take(BUFFER_LARGE);
        Some(Lease { data, owner, size: Size::Large, promise: self.key, pool: self.pool.clone() })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.pool.borrow_mut().release(self.key);
    }
}

/// A buffer on loan; goes back when dropped.
pub struct Lease {
    data: Box<[u8]>,
    owner: Owner,
    size: Size,
    promise: usize,
    pool: Rc<RefCell<Pool>>,
}

impl Lease {
    /// Whose bytes it holds.
    pub fn owner(&self) -> Owner {
        self.owner
    }
}

impl Lease {
    /// Writes other bytes in place of these: `rewrite` reads the present ones and fills a buffer that is larger by
    /// [`TLS_ROOM`]. What it returns is the new length, which only [`Socket::send`](super::Socket::send) may read beyond the usual one.
    /// Nothing is copied: the two buffers change places.
    pub fn rewrite<E>(&mut self, rewrite: impl FnOnce(&[u8], &mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        let bytes = self.data.len() - TLS_ROOM;
        let mut fresh = self.stock(|stock| stock.fresh.take()).unwrap_or_else(|| made(bytes));
        let result = rewrite(&self.data, &mut fresh);
        std::mem::swap(&mut self.data, &mut fresh);
        self.stock(|stock| stock.fresh = Some(fresh));
        result
    }

    fn stock<T>(&self, act: impl FnOnce(&mut Stock) -> T) -> T {
        let mut pool = self.pool.borrow_mut();
        match self.size {
            Size::Small => act(&mut pool.small),
            Size::Large => act(&mut pool.large),
        }
    }

    /// The bytes to be sent; see [`Lease::rewrite`].
    pub(super) fn sent(&self, start: u32, end: u32) -> &[u8] {
        &self.data[start as usize..end as usize]
    }
}

impl Deref for Lease {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.data[..self.data.len() - TLS_ROOM]
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut [u8] {
        let usual = self.data.len() - TLS_ROOM;
        &mut self.data[..usual]
    }
}

/// A buffer of so many bytes, and the room for what TLS adds.
fn made(bytes: usize) -> Box<[u8]> {
    vec![0; bytes + TLS_ROOM].into_boxed_slice()
}

impl Drop for Lease {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        let mut pool = self.pool.borrow_mut();
        match self.size {
            Size::Large => pool.large.give_back(data),
            Size::Small => {
                pool.small.give_back(data);
                pool.returned(self.promise);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn try_reserve(buffers: &Buffers, count: u32) -> Option<Reservation> {
        poll(&mut buffers.reserve(1, count))
    }

    fn poll(reserve: &mut Reserve) -> Option<Reservation> {
        match Pin::new(reserve).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reservation) => Some(reservation),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_reservation_is_certain_and_bounded() {
        let buffers = Buffers::new(4, 1);
        let first = try_reserve(&buffers, 3).unwrap();
        assert!(try_reserve(&buffers, 2).is_none(), "only one is left");
        let leases: Vec<_> = (0..3).map(|_| first.take()).collect();
        assert!(first.try_take().is_none());
        assert_eq!(buffers.out().0, 3);
        drop(leases);
        assert!(first.try_take().is_some(), "what came back may be taken again");
        assert!(try_reserve(&buffers, 1).is_some());
    }

    #[test]
    fn an_exhausted_pool_stalls_nobody_for_good() {
        let buffers = Buffers::new(4, 0);
        let held = try_reserve(&buffers, 4).unwrap();
        let lease = held.take();
        let (mut a, mut b, mut c) = (buffers.reserve(2, 4), buffers.reserve(3, 4), buffers.reserve(4, 2));
        assert!(poll(&mut a).is_none() && poll(&mut b).is_none() && poll(&mut c).is_none());
        drop(held);
        assert!(poll(&mut a).is_none(), "a lease in the kernel's hands still counts");
        assert!(poll(&mut c).is_none(), "first come, first served, though three are free");
        drop(lease);
        let a = poll(&mut a).expect("the first in the queue");
        assert!(poll(&mut b).is_none());
        drop(b); // gives up: those behind move up
        drop(a);
        assert!(poll(&mut c).is_some());
        assert_eq!(buffers.out(), (0, 0, 0));
    }

    #[test]
    fn thousands_that_give_up_at_once_take_no_time() {
        let many = if cfg!(miri) { 100 } else { 60_000 };
        let buffers = Buffers::new(1, 0);
        let held = try_reserve(&buffers, 1).unwrap();
        let mut waiting: Vec<_> = (0..many).map(|owner| buffers.reserve(owner, 1)).collect();
        assert!(waiting.iter_mut().all(|reserve| poll(reserve).is_none()));
        let began = std::time::Instant::now();
        assert!(waiting.iter_mut().all(|reserve| poll(reserve).is_none()), "polled for another reason");
        let last = waiting.pop();
        drop(waiting); // the longest waiting first, as their deadlines come
        // Quadratic time would be minutes here. Miri's clock says nothing.
        assert!(cfg!(miri) || began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
        drop(held);
        assert!(poll(&mut last.unwrap()).is_some());
    }

    #[test]
    fn one_lease_in_the_kernels_hands_holds_one_buffer() {
        let buffers = Buffers::new(4, 0);
        let held = try_reserve(&buffers, 4).unwrap();
        let stuck = held.take();
        drop(held);
        let others = try_reserve(&buffers, 3).expect("the rest is free at once");
        assert!(try_reserve(&buffers, 1).is_none());
        drop(stuck);
        assert!(try_reserve(&buffers, 1).is_some());
        drop(others);
        assert_eq!(buffers.0.borrow().small.promised, 0);
        assert!(buffers.0.borrow().promises.is_empty());
    }

    #[test]
    fn large_buffers_are_a_bonus() {
        let buffers = Buffers::new(4, 1);
        let reservation = try_reserve(&buffers, 2).unwrap();
        let large = reservation.try_take_large().unwrap();
        assert!(reservation.try_take_large().is_none());
        assert_eq!((large.len(), large.owner()), (BUFFER_LARGE, 1));
        drop(reservation);
        drop(large); // outlives its reservation
        assert_eq!(buffers.out(), (0, 0, 0));
    }

    #[test]
    fn idle_memory_is_given_back() {
        let worth = (TRIM_WORTH / BUFFER_SMALL) as u32;
        let buffers = Buffers::new(worth + 3, 0);
        let reservation = try_reserve(&buffers, worth + 3).unwrap();
        drop((0..worth + 3).map(|_| reservation.take()).collect::<Vec<_>>());
        buffers.look(); // begins a period
        assert_eq!(buffers.trim(1000), 0);
        drop((0..3).map(|_| reservation.take()).collect::<Vec<_>>());
        buffers.look();
        assert_eq!(buffers.trim(10), 10, "in steps");
        assert_eq!(buffers.trim(1000), worth as usize - 10);
        assert_eq!(buffers.0.borrow().small.free.len(), 3, "three were in use during the period");
        buffers.look();
        buffers.look();
        assert_eq!(buffers.trim(1000), 0, "what is left is not worth it");
    }
}
