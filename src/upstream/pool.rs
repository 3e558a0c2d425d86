//! One server as one worker sees it: its idle connections, how long they last, and who wants to know when it goes down.

use crate::balance::Member;
use crate::balance::health::State;
use crate::config::plan::Address;
use crate::limits::{IDLE_CLOSE_MIN, IDLE_LIMIT_FORGOTTEN};
use crate::ring::sockaddr::KernelAddress;
use crate::ring::{Driver, SocketId, Watcher};
use crate::tls::{Dialer, Stream};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

struct Idle<D: Driver> {
    socket: Stream<D>,
    /// When it was put here, in milliseconds.
    since: u64,
}

/// See the head of this file.
pub(super) struct Peer<D: Driver> {
    pub(super) member: Arc<Member>,
    /// Its row in `Upstreams::peers`.
    tag: u32,
    pub(super) addresses: Vec<KernelAddress>,
    /// The address that worked last: `localhost` may have one that refuses.
    pub(super) last_good: Cell<usize>,
    /// Oldest first; the newest is used next, so that the surplus grows old and goes.
    idle: RefCell<Vec<Idle<D>>>,
    /// It left the plan: nothing is pooled any more.
    retired: Cell<bool>,
    /// How long the last idle connection had been idle when the server closed it, and when that was.
    closed: Cell<Option<(u64, u64)>>,
    /// How often it went down, whether it is, and the tasks of sessions that end then.
    downs: Cell<u32>,
    is_down: Cell<bool>,
    watching: RefCell<Slab<Waker>>,
}

impl<D: Driver> Peer<D> {
    pub(super) fn new(member: Arc<Member>, tag: u32) -> io::Result<Self> {
        let kernel = |address: &Address| match address {
            Address::Tcp(address) => Ok(KernelAddress::tcp(*address)),
            Address::Unix(path) => KernelAddress::unix(path),
        };
        let addresses = member.addresses.iter().map(kernel).collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            member,
            tag,
            addresses,
            last_good: Cell::new(0),
            idle: RefCell::default(),
            retired: Cell::new(false),
            closed: Cell::new(None),
            downs: Cell::new(0),
            is_down: Cell::new(false),
            watching: RefCell::default(),
        })
    }

    fn count_idle(&self, worker: usize) {
        self.member.stats(worker).idle.set(self.idle.borrow().len() as u64);
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// A connection made under the same terms that is open, silent as far as this turn knows, and not so old that the server may be
    /// about to close it.
    pub(super) fn take(&self, dialer: Option<&Arc<Dialer>>, worker: usize, now: u64) -> Option<Stream<D>> {
        let limit = self.member.idle_limit(now).unwrap_or(u64::MAX);
        let mut idle = self.idle.borrow_mut();
        let found = loop {
            let Some(at) = idle.iter().rposition(|idle| idle.socket.is_dialed_by(dialer)) else { break None };
            let Idle { socket, since } = idle.remove(at);
            if now.saturating_sub(since) >= limit {
                idle.drain(..at); // the others are older still
                break None;
            }
            if socket.settles() {
                socket.unwatch();
                break Some(socket);
            }
        };
        drop(idle);
        self.count_idle(worker);
        found
    }

    /// Takes a connection whose last exchange ended well, unless it is not silent or there are `most` already and none is older.
    pub(super) fn put(&self, socket: Stream<D>, most: usize, watcher: Watcher, worker: usize, now: u64) {
        if most == 0 || self.retired.get() || !socket.settles() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= most {
            idle.remove(0); // the oldest goes: its server will close it first
        }
        socket.set_owner(0);
        socket.watch(watcher, self.tag);
        idle.push(Idle { socket, since: now });
        drop(idle);
        self.count_idle(worker);
    }

    /// There is news of a pooled connection.
    pub(super) fn stirred(&self, id: SocketId, watcher: Watcher, worker: usize, now: u64) {
        let mut idle = self.idle.borrow_mut();
        let Some(at) = idle.iter().rposition(|i| i.socket.id() == id) else { return };
        if idle[at].socket.settles() {
            // Old news, of bytes that were read before the connection came here, or TLS's own.
            idle[at].socket.watch(watcher, self.tag);
            return;
        }
        let closed = idle.remove(at);
        drop(idle);
        self.count_idle(worker);
        self.learn(now.saturating_sub(closed.since), now);
    }

    /// The server closed a connection after so many milliseconds of idleness. When two one after the other agree, that is its
    /// idle timeout; those that end at the same moment were ended by a restart.
    fn learn(&self, age: u64, now: u64) {
        if age < IDLE_CLOSE_MIN {
            return;
        }
        match self.closed.get() {
            Some((_, at)) if now < at + age => {}
            Some((before, _)) if before.abs_diff(age) <= age / 4 => {
                self.closed.set(Some((age, now)));
                self.member.set_idle_limit(before.min(age) * 4 / 5, Some(now + IDLE_LIMIT_FORGOTTEN));
            }
            _ => self.closed.set(Some((age, now))),
        }
    }

    /// The server said how long it keeps an idle connection (`Keep-Alive: timeout=5`).
    pub(super) fn told(&self, seconds: u32) {
        self.member.set_idle_limit(u64::from(seconds) * 800, None);
    }

    /// Closes what is idle for too long.
    pub(super) fn expire(&self, keepalive_ms: u64, worker: usize, now: u64) {
        let limit = self.member.idle_limit(now).unwrap_or(u64::MAX).min(keepalive_ms);
        let mut idle = self.idle.borrow_mut();
        let old = idle.partition_point(|i| i.since.saturating_add(limit) <= now);
        if old > 0 {
            idle.drain(..old);
            drop(idle);
            self.count_idle(worker);
        }
    }

    /// Closes all.
    pub(super) fn clear(&self, worker: usize) {
        self.idle.borrow_mut().clear();
        self.count_idle(worker);
    }

    /// It left the plan.
    pub(super) fn retire(&self, worker: usize) {
        self.retired.set(true);
        self.clear(worker);
    }

    /// Wakes the sessions that end with it if it went down since the last look.
    pub(super) fn look_for_down(&self) {
        let is_down = matches!(self.member.state(), State::Down | State::Ejected);
        if is_down && !self.is_down.replace(is_down) {
            self.downs.set(self.downs.get() + 1);
            let watching = std::mem::take(&mut *self.watching.borrow_mut());
            watching.into_iter().for_each(|(_, waker)| waker.wake());
        }
        self.is_down.set(is_down);
    }

    pub(super) fn downs(&self) -> u32 {
        self.downs.get()
    }

    /// Ready when it went down since `downs` was read. `row`: where the caller's waker is kept between calls.
    pub(super) fn poll_down(&self, downs: u32, row: &mut Option<usize>, task: &mut Context<'_>) -> Poll<()> {
        if self.downs.get() != downs {
            return Poll::Ready(());
        }
        let mut watching = self.watching.borrow_mut();
        match row.and_then(|row| watching.get_mut(row)) {
            Some(waker) => waker.clone_from(task.waker()),
            None => *row = Some(watching.insert(task.waker().clone())),
        }
        Poll::Pending
    }

    /// The caller of `poll_down` wants to know no more.
    pub(super) fn forget(&self, row: usize, downs: u32) {
        if self.downs.get() == downs {
            self.watching.borrow_mut().try_remove(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::scripted::Scripted;

    #[test]
    fn connections_that_end_at_one_moment_teach_nothing() {
        let lineage = Arc::new(crate::balance::Lineage::new(1));
        let member = Arc::new(Member::new(&lineage, "a", Vec::new()));
        let peer = Peer::<Scripted>::new(member.clone(), 0).expect("no addresses");
        // A server restarts: what six requests left behind 150 ms ago ends at once.
        (0..6).for_each(|i| peer.learn(150 + i, 1000));
        assert_eq!(member.idle_limit(1000), None);
        // The next one, after as long, is its habit; and that is forgotten some day.
        peer.learn(160, 1500);
        assert_eq!(member.idle_limit(1500), Some(120));
        assert_eq!(member.idle_limit(1500 + IDLE_LIMIT_FORGOTTEN), None);
        peer.told(5);
        assert_eq!(member.idle_limit(u64::MAX), Some(4000));
    }
}
