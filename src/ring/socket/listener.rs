//! A socket that accepts.

use super::*;

/// A listening socket.
pub struct Listener<D: Driver> {
    socket: Socket<D>,
}

impl<D: Driver> Listener<D> {
    pub(in crate::ring) fn new(socket: Socket<D>) -> Self {
        Self { socket }
    }

    /// The next connection. Errors (EMFILE, ECONNABORTED, ...) are the caller's to judge; accepting goes on with the next call.
    pub async fn accept(&self) -> io::Result<Descriptor> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// See [`Listener::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Descriptor>> {
        let reactor = &self.socket.reactor;
        self.socket.with(|entry| {
            if let Some(result) = entry.accepted.as_mut().and_then(|a| a.pop_front()) {
                let error = || io::Error::from_raw_os_error(-result);
                return Poll::Ready(if result < 0 { Err(error()) } else { Ok(Descriptor(result)) });
            }
            entry.read_waker = Some(cx.waker().clone());
            if entry.waiting.is_none() {
                let target = reactor.0.ops.borrow_mut().insert(Op::Accept { socket: self.socket.index });
                entry.waiting = Some(target);
                entry.in_flight += 1;
                // SAFETY: the multishot accept has no memory arguments: it collects no addresses.
                unsafe { reactor.0.driver.borrow_mut().submit(Operation::Accept(entry.descriptor), target.pack()) };
            }
            Poll::Pending
        })
    }

    /// Stops the multishot accept and waits for its last completion; what it accepted meanwhile waits in [`Listener::take`].
    pub async fn stop(&self) {
        if let Some(target) = self.socket.with(|entry| entry.waiting) {
            self.socket.reactor.cancel(target);
        }
        poll_fn(|cx| {
            self.socket.with(|entry| match entry.waiting {
                None => Poll::Ready(()),
                Some(_) => {
                    entry.read_waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await
    }

    /// After [`Listener::stop`]: the next connection that is there already, without waiting.
    pub fn take(&self) -> Option<Descriptor> {
        loop {
            let queued = self.socket.with(|entry| entry.accepted.as_mut().and_then(|a| a.pop_front()));
            match queued {
                Some(descriptor) if descriptor >= 0 => return Some(Descriptor(descriptor)),
                Some(_) => {} // the cancellation itself
                None => break,
            }
        }
        let descriptor = self.socket.with(|entry| entry.descriptor);
        self.socket.reactor.0.driver.borrow_mut().accept(descriptor).ok()
    }

    /// The kernel drops new SYNs from now on: the accept queue can be emptied for good.
    pub fn refuse_new(&self) -> io::Result<()> {
        let descriptor = self.socket.with(|entry| entry.descriptor);
        self.socket.reactor.0.driver.borrow_mut().refuse_new(descriptor)
    }
}
