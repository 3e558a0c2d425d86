//! HTTP/1.1 for one client connection: wait, read a head, exchange, again.

mod answer;
mod attempt;
mod client;
mod exchange;
#[cfg(test)]
mod tests;

use super::Context;
use crate::proto::reason::Reason;
use crate::ring::{Descriptor, Driver, Socket};
use client::{Client, Waited};
use std::future::Future;
use std::rc::Rc;

/// What becomes of the client connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next request may come.
    Again,
    /// The answer said close and the request was read whole.
    Close,
    /// The answer said close, but the client may still be sending: read on for a while, or a reset destroys the answer.
    Linger,
    /// The client ended; nothing is left to say.
    Gone,
    /// The message was cut and the client must be able to tell, or the client is gone: reset.
    Abort,
}

/// Serves one client connection to its end. The connection counts, and is owned, from this call on, not from the task's first
/// turn: limits and the end of a drain go by the count.
pub fn serve<D: Driver>(cx: Rc<Context<D>>, descriptor: Descriptor, listener: usize) -> impl Future<Output = ()> {
    let socket = cx.reactor.adopt(descriptor);
    let gauge = Gauge::new(cx.clone(), listener);
    converse(cx, socket, listener, gauge)
}

async fn converse<D: Driver>(cx: Rc<Context<D>>, socket: Socket<D>, listener: usize, gauge: Gauge<D>) {
    let mut client = Client::new(&cx, socket, listener);
    loop {
        match client.wait_for_request().await {
            Waited::Readable => {}
            Waited::Ended => break,
        }
        match exchange::run(&mut client).await {
            Next::Again => {}
            Next::Gone => break,
            Next::Close => {
                client.flush().await;
                break;
            }
            Next::Linger => {
                client.linger().await;
                break;
            }
            Next::Abort => {
                client.abort();
                drop(gauge);
                return;
            }
        }
    }
    drop(client);
    drop(gauge);
}

/// Counts an open connection.
struct Gauge<D: Driver>(Rc<Context<D>>, usize);

impl<D: Driver> Gauge<D> {
    fn new(cx: Rc<Context<D>>, listener: usize) -> Self {
        for (connections, total) in [
            (&cx.stats().connections, &cx.stats().connections_total),
            (&cx.listener_stats(listener).connections, &cx.listener_stats(listener).connections_total),
        ] {
            connections.add(1);
            total.add(1);
        }
        Self(cx, listener)
    }
}

impl<D: Driver> Drop for Gauge<D> {
    fn drop(&mut self) {
        self.0.stats().connections.sub(1);
        self.0.listener_stats(self.1).connections.sub(1);
    }
}

/// Exchanges that failed are counted and logged under one name.
fn report<D: Driver>(cx: &Context<D>, reason: Reason, what: impl FnOnce() -> String) {
    use crate::log::Level;
    cx.stats().count_error(reason);
    let level = match reason.status() {
        500.. => Level::Error,
        _ => Level::Info,
    };
    cx.log(level, format!("{}: {}", reason.name(), what()));
}
