//! Accepting, and the end of accepting.

use super::handover::Handover;
use crate::config::plan::Service;
use crate::limits;
use crate::log::Level;
use crate::proto::reason::Reason;
use crate::ring::{Descriptor, Driver, Listener};
use crate::session::{Context, http, tcp};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// Counts the listeners of a worker that still accept.
pub(super) struct Accepting(Rc<Cell<usize>>);

impl Accepting {
    pub(super) fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Accepts until the drain begins, then empties the accept queue and closes the listener.
pub(super) async fn run<D: Driver>(
    cx: Rc<Context<D>>,
    listener: Listener<D>,
    index: usize,
    handover: Arc<Handover>,
    accepting: Accepting,
) {
    let timer = cx.reactor.timer();
    loop {
        let next = poll_fn(|task| {
            if cx.draining().is_some() {
                return Poll::Ready(None);
            }
            listener.poll_accept(task).map(Some)
        });
        match next.await {
            None => break,
            Some(Ok(descriptor)) if handover.give(cx.worker(), cx.reactor.random(), (descriptor, index)) => {
                cx.stats().handed_over.add(1);
            }
            Some(Ok(descriptor)) => serve(&cx, descriptor, index),
            Some(Err(error)) => {
                if !of_one_connection(&error) {
                    cx.stats().accept_errors.add(1);
                    cx.log(
                        Level::Error,
                        format!("accepting pauses: {error}; raise the limit on open files (ulimit -n)"),
                    );
                    timer.sleep(limits::ACCEPT_PAUSE).await; // or the loop would spin
                }
            }
        }
    }
    // New SYNs are dropped from here on, handshakes under way finish: what the queue holds then is all there will be.
    if let Err(error) = listener.refuse_new() {
        cx.log(Level::Warn, format!("connections that arrive during the shutdown may be reset: {error}"));
    }
    listener.stop().await;
    for _ in 0..2 {
        while let Some(descriptor) = listener.take() {
            serve(&cx, descriptor, index);
        }
        timer.sleep(limits::TICK).await;
    }
    while let Some(descriptor) = listener.take() {
        serve(&cx, descriptor, index);
    }
    drop(accepting);
}

/// One connection died in the queue (accept(2) lists these); anything else is ours, such as descriptors or memory that ran out.
fn of_one_connection(error: &io::Error) -> bool {
    use libc::{EAGAIN, ECANCELED, ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR, ENETDOWN, ENETUNREACH, EPERM, EPROTO};
    let dead = [EAGAIN, ECANCELED, ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR, ENETDOWN, ENETUNREACH, EPERM, EPROTO];
    error.raw_os_error().is_some_and(|errno| dead.contains(&errno))
}

/// Begins to serve a connection on this worker, unless it has too many.
pub(super) fn serve<D: Driver>(cx: &Rc<Context<D>>, descriptor: Descriptor, index: usize) {
    if cx.stats().connections.get() >= u64::from(cx.live().plan.worker_connections) {
        cx.stats().connections_refused.add(1);
        cx.stats().count_error(Reason::TooManyConnections);
        // Once in a while: there may be thousands.
        if cx.stats().connections_refused.get().is_power_of_two() {
            let line = "worker_connections is reached: new connections are closed (said again at every doubling)";
            cx.log(Level::Error, format!("{}: {line}", Reason::TooManyConnections.name()));
        }
        drop(cx.reactor.adopt(descriptor));
        return;
    }
    match cx.live().plan.listeners[index].service {
        Service::Http(_) => cx.reactor.spawn(http::serve(cx.clone(), descriptor, index)),
        Service::Tcp(_) => cx.reactor.spawn(tcp::serve(cx.clone(), descriptor, index)),
    }
}
