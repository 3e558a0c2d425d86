//! Sockets for tasks: readiness and recv, sends through the ring, connect, accept, and the order of closing.

use super::buffers::{Lease, Owner};
use super::driver::{Descriptor, Driver, Operation, Shutdown};
use super::ops::{Op, Target};
use super::reactor::{Reactor, Watcher};
use super::sockaddr::KernelAddress;
use crate::limits;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::task::{Context, Poll, Waker};

mod listener;

pub use listener::Listener;

/// A socket's name: no other socket ever has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl SocketId {
    /// A number that no other socket of this reactor has, but for those of 268 million sockets ago.
    pub fn number(self) -> u32 {
        self.generation
    }
}

/// One row of the socket table. It outlives its handle until the last completion.
pub(super) struct Entry {
    pub(super) descriptor: Descriptor,
    pub(super) generation: u32,
    /// Polls and ops that will still complete.
    pub(super) in_flight: u32,
    /// A recv may yield bytes, FIN or an error. Edge-like: cleared only by EAGAIN or a short read.
    pub(super) readable: bool,
    /// RDHUP, HUP or ERR was seen: FIN or an error stands behind the bytes, so a short read proves nothing.
    pub(super) ended: bool,
    /// HUP or ERR was seen: the connection is gone both ways.
    pub(super) failed: bool,
    /// The multishot poll is armed.
    pub(super) polling: bool,
    /// The one send in flight.
    pub(super) sending: Option<Target>,
    /// A connect or accept in flight.
    pub(super) waiting: Option<Target>,
    pub(super) connected: Option<i32>,
    send_error: Option<i32>,
    /// Bytes that the kernel took for sending since the socket was made.
    pub(super) accepted_bytes: u64,
    owner: Owner,
    read_waker: Option<Waker>,
    pub(super) write_waker: Option<Waker>,
    /// Descriptors or negative errnos of a multishot accept.
    #[allow(clippy::box_collection)] // only listeners have one: 8 bytes in every row instead of 32
    pub(super) accepted: Option<Box<VecDeque<i32>>>,
    /// Who is told what happens while nobody reads, and under which tag.
    pub(super) watch: Option<(Watcher, u32)>,
    /// The handle is gone.
    pub(super) dropped: bool,
    /// What is in flight is not worth waiting for.
    pub(super) aborted: bool,
    pub(super) cancelled: bool,
}

impl Entry {
    pub(super) fn wake_reader(&mut self) {
        if let Some(waker) = self.read_waker.take() {
            waker.wake();
        }
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(waker) = self.write_waker.take() {
            waker.wake();
        }
    }

    pub(super) fn send_failed(&mut self, errno: i32) {
        self.send_error = Some(errno);
    }
}

/// A connected stream socket. Dropping it closes it in order: what was sent still leaves (for at most
/// [`limits::CLOSE_FLUSH_MAX`] ms), nothing is truncated.
pub struct Socket<D: Driver> {
    pub(super) reactor: Reactor<D>,
    pub(super) index: u32,
}

impl<D: Driver> Socket<D> {
    pub(super) fn new(reactor: Reactor<D>, descriptor: Descriptor) -> Self {
        let generation = reactor.0.generation.get().wrapping_add(1) & ((1 << 28) - 1);
        reactor.0.generation.set(generation);
        let entry = Entry {
            descriptor,
            generation,
            in_flight: 0,
            readable: false,
            ended: false,
            failed: false,
            polling: false,
            sending: None,
            waiting: None,
            connected: None,
            send_error: None,
            accepted_bytes: 0,
            owner: 0,
            read_waker: None,
            write_waker: None,
            accepted: None,
            watch: None,
            dropped: false,
            aborted: false,
            cancelled: false,
        };
        let index = reactor.0.sockets.borrow_mut().insert(entry) as u32;
        Self { reactor, index }
    }

    /// Connects a new socket. Whoever waits no longer drops the future: the attempt is cancelled and the socket closed.
    pub async fn connect(reactor: &Reactor<D>, address: &KernelAddress) -> io::Result<Self> {
        let descriptor = reactor.0.driver.borrow_mut().socket(address.domain)?;
        let socket = reactor.adopt(descriptor);
        let op = Op::Connect { socket: socket.index, address: Box::new(address.clone()) };
        {
            let mut ops = reactor.0.ops.borrow_mut();
            let target = ops.insert(op);
            let Target::Op { index, generation } = target else { unreachable!("an op slot names an op") };
            let Some(Op::Connect { address, .. }) = ops.get(index, generation) else { unreachable!("just inserted") };
            let operation = Operation::Connect(descriptor, address.raw.as_ptr().cast(), address.raw.len());
            // SAFETY: the address is boxed and owned by the op slot until the op's last completion.
            unsafe { reactor.0.driver.borrow_mut().submit(operation, target.pack()) };
            socket.with(|entry| {
                entry.in_flight += 1;
                entry.waiting = Some(target);
            });
        }
        let result = poll_fn(|cx| {
            socket.with(|entry| match entry.connected {
                Some(result) => Poll::Ready(result),
                None => {
                    entry.write_waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await;
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(socket) }
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Entry) -> T) -> T {
        act(&mut self.reactor.0.sockets.borrow_mut()[self.index as usize])
    }

    /// The reactor that it lives in.
    pub fn reactor(&self) -> &Reactor<D> {
        &self.reactor
    }

    /// This socket's name.
    pub fn id(&self) -> SocketId {
        SocketId { index: self.index, generation: self.with(|entry| entry.generation) }
    }

    /// From now on only bytes of this owner may be sent here.
    pub fn set_owner(&self, owner: Owner) {
        self.with(|entry| entry.owner = owner);
    }

    /// Whose bytes may be sent here.
    pub fn owner(&self) -> Owner {
        self.with(|entry| entry.owner)
    }

    /// The peer's address; `None` for unix sockets.
    pub fn peer(&self) -> io::Result<Option<SocketAddr>> {
        let descriptor = self.with(|entry| entry.descriptor);
        self.reactor.0.driver.borrow_mut().peer(descriptor)
    }

    // ---- Receiving: by readiness. A wait that is given up loses nothing, for the bytes stay in the kernel. ----

    /// Ready when a recv may yield bytes, FIN or an error.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|entry| {
            if entry.readable {
                return Poll::Ready(());
            }
            if !entry.read_waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                entry.read_waker = Some(cx.waker().clone());
            }
            self.arm(entry);
            Poll::Pending
        })
    }

    fn arm(&self, entry: &mut Entry) {
        if !entry.polling {
            entry.polling = true;
            entry.in_flight += 1;
            let target = Target::Poll { socket: self.index, generation: entry.generation };
            // SAFETY: a poll has no memory arguments.
            unsafe { self.reactor.0.driver.borrow_mut().submit(Operation::PollRead(entry.descriptor), target.pack()) };
        }
    }

    /// Waits until a recv may yield bytes, FIN or an error.
    pub async fn readable(&self) {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Receives what is there: `None` if nothing is, `Some(0)` at FIN. `buffer` must not be empty.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let (descriptor, ended) = self.with(|entry| (entry.descriptor, entry.ended));
        let result = self.reactor.0.driver.borrow_mut().recv(descriptor, buffer);
        match result {
            Ok(n) => {
                if n < buffer.len() && !ended {
                    self.with(|entry| entry.readable = false);
                }
                Ok(Some(n))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.with(|entry| entry.readable = false);
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for bytes and receives them; 0 at FIN.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await;
            if let Some(n) = self.try_recv(buffer)? {
                return Ok(n);
            }
        }
    }

    /// The connection is gone both ways (reset, or both halves closed), as far as this turn knows.
    pub fn has_failed(&self) -> bool {
        self.with(|entry| entry.failed)
    }

    /// The peer has ended, or the connection is gone, as far as this turn knows; bytes may still wait to be read.
    pub fn has_ended(&self) -> bool {
        self.with(|entry| entry.ended)
    }

    /// Open and silent. Asks the kernel only if readiness stands from before: a read that ends exactly where it should leaves
    /// it standing, for no short read or EAGAIN has taken it back.
    pub fn seems_quiet(&self) -> bool {
        let (readable, ended) = self.with(|entry| (entry.readable, entry.ended));
        !ended && (!readable || self.is_quiet())
    }

    /// Asks the kernel now whether an idle connection is still open and silent.
    pub fn is_quiet(&self) -> bool {
        let descriptor = self.with(|entry| entry.descriptor);
        let peeked = self.reactor.0.driver.borrow_mut().peek(descriptor);
        let quiet = matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        if quiet {
            self.with(|entry| entry.readable = false);
        }
        quiet
    }

    /// Asks the kernel now whether there are bytes to read.
    pub fn has_bytes(&self) -> bool {
        let descriptor = self.with(|entry| entry.descriptor);
        matches!(self.reactor.0.driver.borrow_mut().peek(descriptor), Ok(1..))
    }

    /// Ready with an error when the connection is gone both ways.
    pub fn poll_failed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|entry| {
            if entry.failed {
                return Poll::Ready(());
            }
            if !entry.read_waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                entry.read_waker = Some(cx.waker().clone());
            }
            self.arm(entry);
            Poll::Pending
        })
    }

    /// Ready when the client has ended its side (FIN), or the connection is gone.
    pub fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.with(|entry| entry.ended) {
            true => Poll::Ready(()),
            false => self.poll_failed(cx),
        }
    }

    /// Tells `watcher` under `tag` when something happens to this idle socket ([`Reactor::next_watched`]).
    pub fn watch(&self, watcher: Watcher, tag: u32) {
        self.with(|entry| {
            entry.watch = Some((watcher, tag));
            entry.read_waker = None;
            self.arm(entry);
        });
    }

    /// Ends [`Socket::watch`].
    pub fn unwatch(&self) {
        self.with(|entry| entry.watch = None);
    }

    // ---- Sending: through the ring, one send in flight, the next one waits for it. ----

    /// Ready when nothing is in flight; an earlier send's error is reported here, and again to every later call.
    pub fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|entry| {
            if let Some(errno) = entry.send_error {
                return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
            }
            if entry.sending.is_none() {
                return Poll::Ready(Ok(()));
            }
            if !entry.write_waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                entry.write_waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    }

    /// Waits until all that was sent is in the kernel's hands.
    pub async fn flushed(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flushed(cx)).await
    }

    /// Sends `lease[range]` once the send before it is done. Returns when it is queued, not when it is done: write-behind.
    pub async fn send(&self, lease: Lease, range: Range<usize>) -> io::Result<()> {
        self.flushed().await?;
        self.start_send(lease, range);
        Ok(())
    }

    /// Sends `lease[range]`; nothing may be in flight (see [`Socket::poll_flushed`]).
    pub fn start_send(&self, lease: Lease, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let mut sockets = self.reactor.0.sockets.borrow_mut();
        let entry = &mut sockets[self.index as usize];
        assert_eq!(lease.owner(), entry.owner, "bytes of one client must never reach another");
        assert!(entry.sending.is_none(), "one writer at a time");
        let (start, end) = (range.start as u32, range.end as u32);
        let mut ops = self.reactor.0.ops.borrow_mut();
        let target = ops.insert(Op::Send { socket: self.index, lease, start, end, polling: false });
        let Target::Op { index, generation } = target else { unreachable!("an op slot names an op") };
        let op = ops.get(index, generation).expect("just inserted");
        self.reactor.submit_send(op, entry.descriptor, target);
        entry.sending = Some(target);
        entry.in_flight += 1;
    }

    /// Bytes that the kernel took for sending since the socket was made; certain only when flushed or failed.
    pub fn accepted_bytes(&self) -> u64 {
        self.with(|entry| entry.accepted_bytes)
    }

    /// The kernel took something for sending since [`Socket::accepted_bytes`] was `before`, or may have: a send in its hands
    /// says only at its end how far it came.
    pub fn may_have_sent(&self, before: u64) -> bool {
        self.with(|entry| entry.sending.is_some() || entry.accepted_bytes != before)
    }

    /// Nothing is in flight.
    pub fn is_flushed(&self) -> bool {
        self.with(|entry| entry.sending.is_none())
    }

    /// Sends FIN once everything before it is sent.
    pub async fn finish(&self) -> io::Result<()> {
        self.flushed().await?;
        self.finish_now()
    }

    /// Sends FIN; nothing may be in flight.
    pub fn finish_now(&self) -> io::Result<()> {
        assert!(self.is_flushed(), "one writer at a time");
        let descriptor = self.with(|entry| entry.descriptor);
        self.reactor.0.driver.borrow_mut().shutdown(descriptor, Shutdown::Write)
    }

    /// Closes at once with RST; what is in flight is given up.
    pub fn abort(self) {
        self.reset_when_dropped();
    }

    /// When it is dropped it closes at once with RST, giving up what is in flight.
    pub fn reset_when_dropped(&self) {
        let descriptor = self.with(|entry| {
            entry.aborted = true;
            entry.descriptor
        });
        self.reactor.0.driver.borrow_mut().reset_on_close(descriptor);
    }
}

impl<D: Driver> Drop for Socket<D> {
    fn drop(&mut self) {
        let id = self.id();
        let flushing = self.with(|entry| {
            entry.dropped = true;
            entry.watch = None;
            entry.read_waker = None;
            entry.write_waker = None;
            entry.sending.is_some() && !entry.aborted
        });
        if flushing {
            let reactor = self.reactor.clone();
            self.reactor.spawn(async move { guard_flush(reactor, id).await });
        }
        self.reactor.settle(self.index);
    }
}

/// Ends a closed socket that cannot get rid of its last bytes.
async fn guard_flush<D: Driver>(reactor: Reactor<D>, id: SocketId) {
    let timer = reactor.timer();
    let with_entry = |act: &mut dyn FnMut(&mut Entry)| {
        let mut sockets = reactor.0.sockets.borrow_mut();
        sockets.get_mut(id.index as usize).filter(|entry| entry.generation == id.generation).map(act).is_some()
    };
    let gone = poll_fn(|cx| match with_entry(&mut |entry| entry.write_waker = Some(cx.waker().clone())) {
        true => Poll::Pending,
        false => Poll::Ready(()),
    });
    let waited = timer.within(limits::CLOSE_FLUSH_MAX, gone).await;
    if waited.is_err() && with_entry(&mut |entry| entry.aborted = true) {
        reactor.settle(id.index);
    }
}
