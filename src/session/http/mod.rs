//! HTTP/1.1 for one client connection: wait, read a head, exchange, again.

mod access;
mod answer;
mod attempt;
mod challenge;
mod client;
mod connection;
mod exchange;
mod files;
mod held;
pub mod parking;
mod prepare;
mod problem;
pub mod record;
mod returns;
mod source;
#[cfg(test)]
mod tests;

use super::greet::{Greeted, greet};
use super::{Context, Open};
use crate::proto::reason::Reason;
use crate::ring::{Descriptor, Driver};
use crate::stats::{ListenerStats, WorkerStats};
use client::{Client, Waited};
use parking::Parked;
use std::net::{IpAddr, SocketAddr};
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

/// Serves one client connection to its end. It is counted, and its descriptor owned, from this call on, not from the first poll:
/// a worker that drains must not overlook it.
pub fn serve<D: Driver>(cx: Rc<Context<D>>, descriptor: Descriptor, listener: usize) -> impl Future<Output = ()> {
    let (open, socket) = (Open::count(cx.clone(), listener), cx.reactor.adopt(descriptor));
    async move {
        if let Some(Greeted { stream: socket, address, destination, .. }) = greet(&cx, socket, listener).await {
            let (ip, port) = (address.map(plain_ip), address.map_or(0, |address| address.port()));
            let (listener, told) = (listener as u32, destination.is_some());
            run(cx, open, Parked { socket, ip, port, told, listener, requests: 0, until: 0 }).await;
        }
    }
}

/// Serves a connection that was parked and has something to say.
fn resume<D: Driver>(cx: Rc<Context<D>>, parked: Parked<D>) -> impl Future<Output = ()> {
    let open = Open::resume(cx.clone(), parked.listener as usize);
    run(cx, open, parked)
}

async fn run<D: Driver>(cx: Rc<Context<D>>, open: Open<D>, parked: Parked<D>) {
    if let Some(parked) = converse(Client::new(&cx, parked)).await {
        cx.parking.park(parked, open);
    }
}

/// An IPv4 client on an IPv6 socket is an IPv4 client.
fn plain_ip(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

/// To the connection's end, or until it is idle enough to be parked.
async fn converse<D: Driver>(mut client: Client<'_, D>) -> Option<Parked<D>> {
    loop {
        match client.wait_for_request().await {
            Waited::Readable => {}
            Waited::Idle => return Some(client.into_parked()),
            Waited::Ended => {
                Box::pin(client.part()).await;
                break;
            }
        }
        let next = exchange::run(&mut client).await;
        client.standing.permits.clear();
        match next {
            Next::Again => {}
            Next::Gone => {
                if client.socket.is_tls() {
                    Box::pin(client.part()).await; // says so itself before FIN
                }
                break;
            }
            Next::Close => {
                Box::pin(client.flush()).await;
                break;
            }
            Next::Linger => {
                Box::pin(client.linger()).await;
                break;
            }
            Next::Abort => {
                client.abort();
                break;
            }
        }
    }
    None
}

/// Counts a running exchange, also through a panic.
struct InFlight<'a>(&'a WorkerStats, &'a ListenerStats);

impl<'a> InFlight<'a> {
    fn new<D: Driver>(cx: &'a Context<D>, listener: usize) -> Self {
        let (worker, listener) = (cx.stats(), cx.listener_stats(listener));
        worker.in_flight.add(1);
        listener.in_flight.add(1);
        Self(worker, listener)
    }
}

/// One more request of this connection, running until the result is dropped.
fn counted<'a, D: Driver>(client: &mut Client<'a, D>) -> InFlight<'a> {
    client.count();
    InFlight::new(client.cx, client.listener)
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.sub(1);
        self.1.in_flight.sub(1);
    }
}

/// Exchanges that failed are counted and logged under one name.
fn report<D: Driver>(cx: &Context<D>, reason: Reason, what: impl FnOnce() -> String) {
    use crate::log::Level;
    cx.stats().count_error(reason);
    let level = match reason.status() {
        500.. => Level::Error,
        _ if reason == Reason::PasswordsMissing => Level::Error,
        _ => Level::Info,
    };
    cx.log_thinned(level, reason, || format!("{}: {}", reason.name(), what()));
}
