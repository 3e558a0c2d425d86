//! Splicing between sockets and pipes, and what passthrough asks of a socket besides. splice(2) is called directly, for
//! IORING_OP_SPLICE always runs on a kernel worker thread.

use super::driver::{Driver, Operation};
use super::ops::Op;
use super::pipes::Pipe;
use super::socket::Socket;
use super::timers::{Elapsed, Timer};
use crate::limits::PIPE_PATIENCE;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;

impl<D: Driver> Socket<D> {
    /// Moves at most `most` bytes from the socket into an empty pipe: `None` if nothing is there, `Some(0)` at FIN.
    pub fn try_splice_in(&self, pipe: &mut Pipe<D>, most: usize) -> io::Result<Option<usize>> {
        debug_assert_eq!(pipe.held, 0, "EAGAIN of a pipe that is not empty could mean that it is full");
        let descriptor = self.with(|entry| entry.descriptor);
        let result =
            self.reactor.0.driver.borrow_mut().splice_in(descriptor, pipe.ends.write, most.min(pipe.ends.capacity));
        // A short splice proves nothing (a pipe has few slots): only EAGAIN takes readiness back.
        match pipe.add(result) {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.with(|entry| entry.readable = false);
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            // A filter forbids it, or this kind of socket cannot: nothing was moved, and whoever asks for a pipe next copies.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS | libc::EINVAL)) =>
            {
                self.reactor.forbid_pipes();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Moves what the pipe holds to the socket, as much as the socket takes at once; at least a byte, once there is room. Nothing
    /// that was sent may be in flight. A pipe that waits for long is set aside, for a reader that does not read keeps it full.
    pub async fn splice_out(&self, pipe: &mut Pipe<D>, more: bool) -> io::Result<()> {
        loop {
            let (descriptor, sending) = self.with(|entry| (entry.descriptor, entry.sending.is_some()));
            assert!(!sending, "one writer at a time");
            let result = self.reactor.0.driver.borrow_mut().splice_out(pipe.ends.read, descriptor, pipe.held, more);
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    pipe.held -= n;
                    self.with(|entry| entry.accepted_bytes += n as u64);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.reactor.timer().within(PIPE_PATIENCE, self.room()).await.is_err() {
                        pipe.set_aside();
                        self.room().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the socket takes bytes again, or has failed.
    pub async fn room(&self) {
        self.with(|entry| {
            if entry.waiting.is_none() {
                let target = self.reactor.0.ops.borrow_mut().insert(Op::Room { socket: self.index });
                entry.waiting = Some(target);
                entry.in_flight += 1;
                let operation = Operation::PollWrite(entry.descriptor);
                // SAFETY: a poll has no memory arguments.
                unsafe { self.reactor.0.driver.borrow_mut().submit(operation, target.pack()) };
            }
        });
        poll_fn(|cx| {
            self.with(|entry| match entry.waiting {
                None => Poll::Ready(()),
                Some(_) => {
                    entry.write_waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await
    }

    /// Runs `write`, a write to this socket, as long as the peer takes bytes: at the end of every `ms` milliseconds it must have
    /// acknowledged some. The kernel says "writable" only when a third of its buffer is free, which may be megabytes, so a
    /// write that is not done in time says nothing about a slow reader.
    pub async fn while_taking<T>(&self, timer: &Timer, ms: u64, write: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut write = pin!(write);
        let mut before = None;
        poll_fn(|cx| {
            if let Poll::Ready(value) = write.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            if before.is_none() {
                timer.set(ms);
                before = Some(self.acknowledged_bytes());
            }
            while timer.poll_expired(cx.waker()) {
                let now = Some(self.acknowledged_bytes());
                if now <= before {
                    return Poll::Ready(Err(Elapsed));
                }
                before = now;
                timer.set(ms);
            }
            Poll::Pending
        })
        .await
    }

    /// Bytes sent that the peer has acknowledged, since the socket was made.
    pub fn acknowledged_bytes(&self) -> u64 {
        self.accepted_bytes().saturating_sub(self.unacknowledged() as u64)
    }

    /// Bytes sent that the peer has not acknowledged: a reset would destroy them.
    pub fn unacknowledged(&self) -> usize {
        let descriptor = self.with(|entry| entry.descriptor);
        self.reactor.0.driver.borrow_mut().unacknowledged(descriptor)
    }

    /// Turns TCP keep-alive on.
    pub fn keep_alive(&self) {
        let descriptor = self.with(|entry| entry.descriptor);
        self.reactor.0.driver.borrow_mut().keep_alive(descriptor);
    }

    /// Our own address, the one that a client connected to; `None` for unix sockets.
    pub fn local(&self) -> io::Result<Option<SocketAddr>> {
        let descriptor = self.with(|entry| entry.descriptor);
        self.reactor.0.driver.borrow_mut().local(descriptor)
    }
}
