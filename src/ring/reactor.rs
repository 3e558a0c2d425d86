//! One worker's loop: submit and wait in one call, record completions, timers, mail, then the tasks that all of it woke.

use super::buffers::Buffers;
use super::driver::{Completion, Descriptor, Driver, Operation};
use super::executor::{Executor, Mailbox};
use super::files::FileBooks;
use super::ops::{Op, Ops, Target};
use super::pipes::Pipes;
use super::socket::{Entry, Listener, Socket, SocketId};
use super::timers::{Timer, Timers};
use crate::limits;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// News of a socket that nobody reads but somebody watches (see [`Socket::watch`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// As given to [`Socket::watch`].
    pub tag: u32,
    /// Which socket.
    pub socket: SocketId,
}

/// What has happened to the sockets of one watcher, and who waits for it.
#[derive(Default)]
struct News {
    queue: VecDeque<Watched>,
    waker: Option<Waker>,
}

/// Somebody who keeps idle sockets and wants to know when one of them stirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watcher(pub(super) NonZeroU16);

impl Watcher {
    fn index(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}

/// What is in use right now; all zero when nothing leaks and nobody is connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Tasks alive.
    pub tasks: usize,
    /// Op slots taken.
    pub op_slots: usize,
    /// Sockets open or closing, listeners included.
    pub sockets: usize,
    /// Timers alive.
    pub timers: usize,
    /// Small and large buffers out.
    pub buffers_small: u32,
    /// See `buffers_small`.
    pub buffers_large: u32,
    /// Reservations waiting for buffers.
    pub buffers_waiting: usize,
    /// Pipes on loan, and open in all.
    pub pipes: u32,
    /// See `pipes`.
    pub pipes_open: usize,
    /// How often a pipe was wanted and none could be had.
    pub pipe_failures: u64,
    /// How many pipes the kernel made smaller than wanted.
    pub pipes_shrunken: u64,
    /// Tasks that panicked since the start.
    pub panics: u64,
    /// Completions that named nothing alive: our bug if it is not zero.
    pub stale_completions: u64,
    /// Turns of the loop since the start.
    pub turns: u64,
    /// Since the start: files opened by way of the ring, read so, and read or sent straight from the page cache.
    pub files: [u64; 3],
}

pub(super) struct Inner<D: Driver> {
    pub(super) driver: RefCell<D>,
    pub(super) executor: Executor,
    pub(super) timers: Timers,
    pub(super) buffers: Buffers,
    pub(super) pipes: RefCell<Pipes>,
    pub(super) ops: RefCell<Ops>,
    pub(super) sockets: RefCell<Slab<Entry>>,
    pub(super) files: FileBooks,
    pub(super) generation: Cell<u32>,
    /// One for each [`Watcher`].
    news: RefCell<Vec<News>>,
    now: Cell<u64>,
    completions: RefCell<Vec<Completion>>,
    stale: Cell<u64>,
    turns: Cell<u64>,
}

/// A worker's ring, executor, sockets, timers and buffers. Cloning it clones a handle.
pub struct Reactor<D: Driver>(pub(super) Rc<Inner<D>>);

impl<D: Driver> Clone for Reactor<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Driver> Reactor<D> {
    /// A reactor on `driver`, with at most so many small and large buffers.
    pub fn new(driver: D, buffers_small: u32, buffers_large: u32) -> Self {
        let now = driver.now();
        Self(Rc::new(Inner {
            executor: Executor::new(driver.notify()),
            driver: RefCell::new(driver),
            timers: Timers::new(now / 1_000_000),
            buffers: Buffers::new(buffers_small, buffers_large),
            pipes: RefCell::new(Pipes::new(limits::PIPES_MAX)),
            ops: RefCell::default(),
            sockets: RefCell::default(),
            files: FileBooks::default(),
            generation: Cell::new(0),
            news: RefCell::default(),
            now: Cell::new(now),
            completions: RefCell::default(),
            stale: Cell::new(0),
            turns: Cell::new(0),
        }))
    }

    /// Milliseconds of the monotonic clock, read once a turn.
    pub fn now_ms(&self) -> u64 {
        self.0.now.get() / 1_000_000
    }

    /// The same clock in microseconds.
    pub fn now_us(&self) -> u64 {
        self.0.now.get() / 1000
    }

    /// Random bits, not for secrets.
    pub fn random(&self) -> u64 {
        self.0.driver.borrow_mut().random()
    }

    /// Adds a task.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(future);
    }

    /// A timer without a deadline.
    pub fn timer(&self) -> Timer {
        self.0.timers.timer()
    }

    /// The buffer pool.
    pub fn buffers(&self) -> &Buffers {
        &self.0.buffers
    }

    /// The door for other threads.
    pub fn mailbox(&self) -> Arc<Mailbox> {
        self.0.executor.mailbox()
    }

    /// Polls every task: for news that concerns them all.
    pub fn wake_all(&self) {
        self.0.executor.wake_all();
    }

    /// What panicking tasks said since the last call.
    pub fn take_panics(&self) -> Vec<String> {
        self.0.executor.take_panics()
    }

    /// Turns of the loop so far.
    pub fn turns(&self) -> u64 {
        self.0.turns.get()
    }

    /// Some closed socket still has bytes on their way to its peer.
    pub fn is_flushing(&self) -> bool {
        self.0.sockets.borrow().iter().any(|(_, entry)| entry.dropped && entry.sending.is_some())
    }

    /// What is in use.
    pub fn gauges(&self) -> Gauges {
        let inner = &*self.0;
        let (buffers_small, buffers_large, buffers_waiting) = inner.buffers.out();
        let (pipes, pipes_open) = inner.pipes.borrow().open();
        let (pipe_failures, pipes_shrunken) = inner.pipes.borrow().counts();
        Gauges {
            pipes,
            pipes_open,
            pipe_failures,
            pipes_shrunken,
            tasks: inner.executor.len(),
            op_slots: inner.ops.borrow().len(),
            sockets: inner.sockets.borrow().len(),
            timers: inner.timers.len(),
            buffers_small,
            buffers_large,
            buffers_waiting,
            panics: inner.executor.panics(),
            stale_completions: inner.stale.get(),
            turns: inner.turns.get(),
            files: inner.files.counts(),
        }
    }

    /// A new watcher. Panics beyond 65,535: our bug, a worker has two.
    pub fn watcher(&self) -> Watcher {
        let mut news = self.0.news.borrow_mut();
        news.push(News::default());
        Watcher(u16::try_from(news.len()).ok().and_then(NonZeroU16::new).expect("a worker has two watchers"))
    }

    /// The next news of a socket that this watcher keeps. One task at a time may wait for it.
    pub async fn next_watched(&self, watcher: Watcher) -> Watched {
        poll_fn(|cx| self.poll_watched(watcher, cx)).await
    }

    /// See [`Reactor::next_watched`].
    pub fn poll_watched(&self, watcher: Watcher, cx: &mut Context<'_>) -> Poll<Watched> {
        let news = &mut self.0.news.borrow_mut()[watcher.index()];
        match news.queue.pop_front() {
            Some(watched) => Poll::Ready(watched),
            None => {
                news.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Takes over a connected non-blocking socket.
    pub fn adopt(&self, descriptor: Descriptor) -> Socket<D> {
        Socket::new(self.clone(), descriptor)
    }

    /// Takes over a listening non-blocking socket.
    pub fn listen(&self, descriptor: Descriptor) -> Listener<D> {
        Listener::new(self.adopt(descriptor))
    }

    /// One turn. Errors are the ring's own and end the worker.
    pub fn turn(&self) -> io::Result<()> {
        let inner = &*self.0;
        inner.turns.set(inner.turns.get() + 1);
        inner.executor.enter();
        let busy = inner.executor.gather();
        let timeout = if busy || !inner.executor.fall_asleep() {
            Some(0)
        } else {
            let now = inner.driver.borrow().now();
            inner.timers.next().map(|ms| (ms * 1_000_000).saturating_sub(now))
        };
        let mut completions = inner.completions.take();
        completions.clear();
        let waited = inner.driver.borrow_mut().wait(timeout, &mut completions);
        inner.executor.awake();
        waited?;
        inner.now.set(inner.driver.borrow().now());
        for completion in &completions {
            self.record(*completion);
        }
        inner.completions.replace(completions);
        inner.timers.expire(self.now_ms());
        inner.executor.gather();
        inner.executor.run(limits::TASKS_PER_TURN);
        self.close_files();
        Ok(())
    }

    /// Drops every task, then turns until the last completion has come and every socket is closed, or `turns` are used up.
    /// What peers have not taken by now is given up: whoever guarded it is gone, and a wait for them might never end.
    pub fn finish(&self, turns: usize) -> io::Result<()> {
        self.0.executor.clear();
        self.close_free_pipes();
        let dropped = |(index, entry): (usize, &mut Entry)| {
            entry.aborted |= entry.dropped;
            entry.dropped.then_some(index as u32)
        };
        let left: Vec<u32> = self.0.sockets.borrow_mut().iter_mut().filter_map(dropped).collect();
        left.into_iter().for_each(|index| self.settle(index));
        for _ in 0..turns {
            if self.0.sockets.borrow().is_empty() && self.0.ops.borrow().len() == 0 {
                break;
            }
            self.turn()?;
        }
        self.close_files();
        Ok(())
    }

    fn record(&self, completion: Completion) {
        let known = match Target::unpack(completion.user_data) {
            Some(Target::Cancel) => true,
            Some(Target::Poll { socket, generation }) => self.record_poll(socket, generation, completion),
            Some(Target::Op { index, generation }) => self.record_op(index, generation, completion),
            None => false,
        };
        if !known {
            self.0.stale.set(self.0.stale.get() + 1);
        }
    }

    fn record_poll(&self, index: u32, generation: u32, completion: Completion) -> bool {
        {
            let mut sockets = self.0.sockets.borrow_mut();
            let Some(entry) = sockets.get_mut(index as usize).filter(|e| e.generation == generation && e.polling)
            else {
                return false;
            };
            if !completion.more {
                entry.polling = false;
                entry.in_flight -= 1;
            }
            if completion.result >= 0 {
                let ended = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;
                entry.readable = true;
                entry.ended |= completion.result as i16 & ended != 0;
                entry.failed |= completion.result as i16 & (libc::POLLERR | libc::POLLHUP) != 0;
            }
            // A poll that failed is news too: nobody else would arm it anew.
            if (completion.result >= 0 || !completion.more)
                && let Some((watcher, tag)) = entry.watch
            {
                let news = &mut self.0.news.borrow_mut()[watcher.index()];
                news.queue.push_back(Watched { tag, socket: SocketId { index, generation } });
                if let Some(waker) = news.waker.take() {
                    waker.wake();
                }
            }
            // A poll that ended (overflow, cancellation) is armed anew by whoever waits.
            entry.wake_reader();
        }
        self.settle(index);
        true
    }

    fn record_op(&self, index: u32, generation: u32, completion: Completion) -> bool {
        let mut ops = self.0.ops.borrow_mut();
        let Some(op) = ops.get(index, generation) else { return false };
        let Some(socket) = op.socket() else {
            let op = ops.remove(index);
            drop(ops);
            self.record_file(op, completion.result);
            return true;
        };
        let target = Target::Op { index, generation };
        let mut sockets = self.0.sockets.borrow_mut();
        let entry = &mut sockets[socket as usize];
        let result = completion.result;
        let ended = match op {
            Op::Accept { .. } => {
                entry.accepted.get_or_insert_default().push_back(result);
                entry.wake_reader();
                !completion.more
            }
            Op::Connect { .. } => {
                entry.connected = Some(result);
                entry.wake_writer();
                true
            }
            Op::Open(_) | Op::Read { .. } | Op::Write { .. } | Op::Unlink(_) => true, // these have no socket
            Op::Room { .. } if entry.cancelled => !completion.more,
            Op::Room { .. } => {
                let over = self.is_poll_over(entry.descriptor, target, completion);
                if over {
                    entry.wake_writer();
                }
                over
            }
            // Given up. A send that the kernel had begun says how far it came, not ECANCELED: handed over once more, nothing
            // would ever end it while the peer does not read.
            Op::Send { .. } if entry.cancelled => !completion.more,
            Op::Send { polling: true, .. } if !self.is_poll_over(entry.descriptor, target, completion) => false,
            Op::Send { polling: true, .. } if result < 0 && result != -libc::ECANCELED => {
                entry.send_failed(-result);
                true
            }
            Op::Send { polling: true, .. } => {
                self.submit_send(op, entry.descriptor, target);
                false
            }
            Op::Send { start, end, .. } => match -result {
                libc::EINTR => {
                    self.submit_send(op, entry.descriptor, target);
                    false
                }
                libc::EAGAIN => {
                    self.await_room(op, entry.descriptor, target);
                    false
                }
                errno if errno >= 0 => {
                    // Zero bytes of a non-empty buffer: the kernel takes no more, ever.
                    entry.send_failed(if errno == 0 { libc::EPIPE } else { errno });
                    true
                }
                _ => {
                    *start += result as u32;
                    entry.accepted_bytes += result as u64;
                    let whole = *start >= *end;
                    if !whole {
                        self.submit_send(op, entry.descriptor, target);
                    }
                    whole
                }
            },
        };
        if ended {
            let op = ops.remove(index);
            entry.in_flight -= 1;
            match op {
                Op::Send { .. } => {
                    entry.sending = None;
                    entry.wake_writer();
                }
                _ => entry.waiting = None,
            }
            drop((ops, sockets));
            drop(op); // returns its lease
            self.settle(socket);
        }
        true
    }

    /// A poll for room has said its last word: there is room, or the socket has failed, or the poll itself.
    fn is_poll_over(&self, descriptor: Descriptor, target: Target, completion: Completion) -> bool {
        let Completion { result, more, .. } = completion;
        let is_room = result < 0 || result & i32::from(libc::POLLOUT | libc::POLLERR | libc::POLLHUP) != 0;
        match (is_room, more) {
            (true, false) => true,
            (true, true) => {
                self.cancel(target); // the last completion follows
                false
            }
            (false, true) => false,
            // Only that the peer has ended. Asked the same way again it would say so again.
            (false, false) => {
                // SAFETY: a poll has no memory arguments.
                unsafe { self.0.driver.borrow_mut().submit(Operation::PollRoom(descriptor), target.pack()) };
                false
            }
        }
    }

    /// Hands what is left of the op's lease to the kernel.
    pub(super) fn submit_send(&self, op: &mut Op, descriptor: Descriptor, target: Target) {
        let Op::Send { lease, start, end, polling, .. } = op else { unreachable!("only sends are sent") };
        *polling = false;
        let bytes = lease.sent(*start, *end);
        let operation = Operation::Send(descriptor, bytes.as_ptr(), bytes.len() as u32);
        // SAFETY: the op slot owns the lease, whose memory is a box that does not move when the slot does; the slot is freed
        // only by the op's last completion, and nobody writes into a lease that a slot owns.
        unsafe { self.0.driver.borrow_mut().submit(operation, target.pack()) };
    }

    fn await_room(&self, op: &mut Op, descriptor: Descriptor, target: Target) {
        let Op::Send { polling, .. } = op else { unreachable!("only sends wait for room") };
        *polling = true;
        // SAFETY: a poll has no memory arguments.
        unsafe { self.0.driver.borrow_mut().submit(Operation::PollWrite(descriptor), target.pack()) };
    }

    /// Asks the kernel to end an op or poll early; its last completion follows all the same.
    pub(super) fn cancel(&self, target: Target) {
        // SAFETY: a cancellation has no memory arguments.
        unsafe { self.0.driver.borrow_mut().submit(Operation::Cancel(target.pack()), Target::Cancel.pack()) };
    }

    /// Brings a dropped socket one step nearer to its close: flush, cancel, last completion, close.
    pub(super) fn settle(&self, index: u32) {
        let mut sockets = self.0.sockets.borrow_mut();
        let entry = &mut sockets[index as usize];
        if !entry.dropped || (entry.sending.is_some() && !entry.aborted) {
            return;
        }
        if entry.in_flight > 0 {
            if !std::mem::replace(&mut entry.cancelled, true) {
                let poll = Target::Poll { socket: index, generation: entry.generation };
                let targets = [entry.polling.then_some(poll), entry.waiting, entry.sending];
                targets.into_iter().flatten().for_each(|target| self.cancel(target));
            }
            return;
        }
        let entry = sockets.remove(index as usize);
        let mut driver = self.0.driver.borrow_mut();
        for &descriptor in entry.accepted.iter().flat_map(|a| a.iter()).filter(|&&d| d >= 0) {
            driver.close(Descriptor(descriptor)); // accepted, but nobody came for it
        }
        driver.close(entry.descriptor);
        if let Some(waker) = entry.write_waker {
            waker.wake(); // whoever guards the flush
        }
    }
}
