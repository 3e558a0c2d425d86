//! One exchange: a request, the choice of a server, attempts until one answers, and what becomes of the connection.

use super::attempt::{Attempt, Outcome};
use super::client::{Client, HeadRead};
use super::prepare::{Refusal, Request, again, prepare};
use super::{Context, Next, report};
use crate::config::plan::Location;
use crate::log::Level;
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::proto::request::{self, FieldSlots};
use crate::ring::{Driver, Lease, Socket};
use crate::session::tries::Tries;
use crate::session::{ms, tunnel};
use crate::stats::{ListenerStats, WorkerStats};
use crate::upstream::{Live, Picked};
use bytes::Bytes;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Runs one exchange on a client connection that has bytes (or FIN) to read.
pub(super) async fn run<D: Driver>(client: &mut Client<'_, D>) -> Next {
    if let Err(reason) = client.reserve().await {
        client.reservation = client.cx.reactor.buffers().spare(client.owner);
        return client.refuse(reason, true, false, "").await;
    }
    let incomplete = |bytes: &[u8]| request::parse(bytes, &mut FieldSlots::new()).map(|_| ());
    match client.read_head(incomplete).await {
        HeadRead::Whole => {}
        HeadRead::Closed => return Next::Gone,
        HeadRead::Nothing => return Next::Again,
        HeadRead::Failed(Reason::ClientGone) => {
            report(client.cx, Reason::ClientGone, || format!("{} before the head's end", client.request_line()));
            return Next::Gone;
        }
        HeadRead::Failed(reason) => return client.refuse(reason, true, false, "").await,
    }
    let live = client.cx.live();
    let mut out = client.reservation().take();
    let (request, len) = match prepare(client, &live, &mut out) {
        Ok(Some(prepared)) => prepared,
        Ok(None) => return client.refuse(Reason::Internal, true, false, "").await, // its end was found
        Err(refusal) => return refuse(client, refusal).await,
    };
    client.requests += 1;
    client.cx.stats().requests.add(1);
    client.cx.listener_stats(client.listener).requests.add(1);
    let _running = InFlight::new(client.cx, client.listener);
    attempts(client, &live, &request, out, len).await
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

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.sub(1);
        self.1.in_flight.sub(1);
    }
}

/// A refusal keeps the connection only if the request had no body to be read past.
async fn refuse<D: Driver>(client: &mut Client<'_, D>, refusal: Refusal) -> Next {
    let Some((facts, head)) = refusal.known else { return client.refuse(refusal.reason, true, false, "").await };
    client.requests += 1;
    client.cx.stats().requests.add(1);
    let close = facts.body != Framing::None || !facts.keep_alive || client.should_leave(head);
    let next = client.refuse(refusal.reason, close, facts.is_head, "").await;
    client.consume(head);
    next
}

/// Tries servers until one answers. `out[..len]` is the head for the first attempt.
async fn attempts<D: Driver>(
    client: &mut Client<'_, D>,
    live: &Live<D>,
    request: &Request<'_>,
    out: Lease,
    len: usize,
) -> Next {
    let mut prepared = Some((out, len));
    let location = request.location;
    let mut tries = Tries::new(client.cx, live, request.upstream, request.key, &location.retry);
    if client.cx.upstreams.is_crowded(live, request.upstream) {
        let detail = format!(", {} holds its share of all exchanges", live.plan.upstreams[request.upstream].name);
        return give_up(client, request, (Reason::Overloaded, detail), false).await;
    }
    while let Some(picked) = tries.next(client.cx, &client.socket, &client.timer).await {
        loop {
            let (socket, reused) = match take_pooled(&picked, request) {
                Some(socket) => (socket, true),
                None => match Box::pin(connect(client, request, &picked)).await {
                    Ok(socket) => (socket, false),
                    Err(Reason::ClientGone) => return client.refuse(Reason::ClientGone, true, false, "").await,
                    Err(reason) => {
                        tries.failed(client.cx, &picked, reason);
                        break;
                    }
                },
            };
            let Some((out, len)) = prepared.take().or_else(|| again(client, live)) else {
                return client.refuse(Reason::Internal, true, false, "").await;
            };
            let attempt = Attempt::new(client, request, &picked, socket);
            match attempt.run(out, len, &tries).await {
                Outcome::Answered(next, body) => {
                    body.settle(client, request);
                    return next;
                }
                Outcome::Upgraded { socket, early } => {
                    return Box::pin(upgrade(client, request, picked, socket, early)).await;
                }
                Outcome::Refused(reason) => return client.refuse(reason, true, request.facts.is_head, "").await,
                Outcome::Passed => break, // its answer is one that another server may better
                Outcome::Failed { reason: Reason::ClientGone, .. } => {
                    return client.refuse(Reason::ClientGone, true, false, "").await;
                }
                Outcome::Failed { reason, stale, .. } if reused && stale => {
                    // The backend had closed it: our pool's matter, not the server's fault.
                    let closed = format!("a pooled connection to {} was closed ({})", picked.name(), reason.name());
                    client.cx.log(Level::Info, closed);
                    continue;
                }
                Outcome::Failed { reason, retry, body_read, .. } => {
                    tries.failed(client.cx, &picked, reason);
                    if !retry {
                        return give_up(client, request, tries.failure, body_read).await;
                    }
                    break;
                }
            }
        }
    }
    let read = client.bytes().len() - request.head;
    let body_read = match request.facts.body {
        Framing::None => true,
        Framing::Length(length) => read as u64 >= length,
        _ => false,
    };
    give_up(client, request, tries.failure, body_read).await
}

/// A pooled connection. Before a request that cannot be sent twice, the kernel is asked once more whether it is still open.
fn take_pooled<D: Driver>(picked: &Picked<D>, request: &Request<'_>) -> Option<Socket<D>> {
    loop {
        let socket = picked.take_idle()?;
        if request.facts.idempotent || socket.is_quiet() {
            return Some(socket);
        }
    }
}

/// A new connection, unless the client goes away meanwhile: there may be many servers, each with its time to be waited for.
async fn connect<D: Driver>(
    client: &Client<'_, D>,
    request: &Request<'_>,
    picked: &Picked<D>,
) -> Result<Socket<D>, Reason> {
    let mut connecting = pin!(picked.connect(&client.timer, ms(request.location.proxy_connect_timeout)));
    poll_fn(|task| match connecting.as_mut().poll(task) {
        Poll::Pending => client.socket.poll_failed(task).map(|()| Err(Reason::ClientGone)),
        ready => ready,
    })
    .await
}

/// Answers for a backend that did not. The connection is kept only if the request's whole body is in the input.
async fn give_up<D: Driver>(
    client: &mut Client<'_, D>,
    request: &Request<'_>,
    failure: (Reason, String),
    body_read: bool,
) -> Next {
    let whole = match request.facts.body {
        Framing::None => Some(request.head),
        Framing::Length(length) if body_read => Some(request.head + length as usize),
        _ => None,
    };
    let keep = |whole| whole <= client.bytes().len() && request.facts.keep_alive && !client.should_leave(whole);
    let whole = whole.filter(|&whole| keep(whole));
    let next = client.refuse(failure.0, whole.is_none(), request.facts.is_head, &failure.1).await;
    if let Some(whole) = whole {
        client.consume(whole);
    }
    next
}

async fn upgrade<D: Driver>(
    client: &mut Client<'_, D>,
    request: &Request<'_>,
    picked: Picked<D>,
    socket: Socket<D>,
    early: Bytes,
) -> Next {
    client.consume(request.head);
    let from_client = Bytes::from([client.bytes(), &client.pushback].concat());
    client.input = None;
    client.reservation = None;
    let Location { tunnel_timeout: idle, send_timeout, proxy_send_timeout, .. } = *request.location;
    let patience = tunnel::Patience { idle: Some(idle), client: Some(send_timeout), backend: Some(proxy_send_timeout) };
    let ended =
        tunnel::run(client.cx, client.owner, [&client.socket, &socket], [from_client, early], patience, &picked).await;
    drop(picked);
    match ended.result {
        Ok(()) => Next::Gone,
        Err(reason) => {
            report(client.cx, reason, || format!("tunnel from {}", client.ip));
            socket.abort();
            Next::Abort
        }
    }
}
