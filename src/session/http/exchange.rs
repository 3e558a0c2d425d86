//! One exchange: a request, the choice of a server, attempts until one answers, and what becomes of the connection.

use super::attempt::{Attempt, Outcome};
use super::client::{Client, HeadRead};
use super::{Context, Next, report};
use crate::balance::hash::stable_hash;
use crate::config::plan::{Balance, Location, Retry, Server};
use crate::log::Level;
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::proto::request::{self, FieldSlots, RequestFacts};
use crate::proto::rewrite::{self, Forwarding};
use crate::proto::writer::Writer;
use crate::ring::{Driver, Lease, Socket};
use crate::session::tries::Tries;
use crate::session::{ms, tunnel};
use crate::stats::WorkerStats;
use crate::upstream::{Live, Picked};
use bytes::Bytes;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// A request whose head was understood; its bytes are still in the client's input, so that it can be sent again.
pub(super) struct Request<'a> {
    pub(super) facts: RequestFacts,
    /// Bytes of the head in the input.
    pub(super) head: usize,
    pub(super) server: &'a Server,
    pub(super) location: &'a Location,
    /// It may be sent to another server although one may have seen it.
    pub(super) repeatable: bool,
    /// For `hash` and `ip_hash`.
    key: u64,
    pub(super) splice_min: Option<u64>,
}

/// Why a head gets an error page.
struct Refusal {
    reason: Reason,
    /// What is known of the request, if its head was well formed.
    known: Option<(RequestFacts, usize)>,
}

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
    let _running = InFlight::new(client.cx);
    attempts(client, &live, &request, out, len).await
}

/// Counts a running exchange, also through a panic.
struct InFlight<'a>(&'a WorkerStats);

impl<'a> InFlight<'a> {
    fn new<D: Driver>(cx: &'a Context<D>) -> Self {
        cx.stats().in_flight.add(1);
        Self(cx.stats())
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.sub(1);
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

/// Understands the head in the input and writes the one for the backend into `out`. `None`: it is not whole yet.
fn prepare<'a, D: Driver>(
    client: &Client<'_, D>,
    live: &'a Live<D>,
    out: &mut [u8],
) -> Result<Option<(Request<'a>, usize)>, Refusal> {
    let unknown = |reason| Refusal { reason, known: None };
    let mut slots = FieldSlots::new();
    let Some(parsed) = request::parse(client.bytes(), &mut slots).map_err(unknown)? else { return Ok(None) };
    let (facts, route) = parsed.inspect().map_err(unknown)?;
    let refusal = |reason| Refusal { reason, known: Some((facts, parsed.len)) };
    let plan = &live.plan;
    let server = plan.server_for(client.listener, &route.host);
    let location = server.location_for(&route.path).map_err(refusal)?;
    if let (Framing::Length(length), Some(most)) = (facts.body, location.client_max_body_size)
        && length > most
    {
        return Err(refusal(Reason::BodyTooLarge));
    }
    let fallback_host = &plan.upstreams[location.upstream].name;
    let forwarding = Forwarding { client_ip: &client.ip, scheme: "http", trusted: false, fallback_host };
    let mut writer = Writer::new(out);
    rewrite::write_request(&mut writer, &parsed, &facts, &route, &forwarding);
    let len = writer.finish().ok_or_else(|| refusal(Reason::HeadTooLarge))?;
    let Retry { non_idempotent, methods, .. } = &*location.retry;
    let repeatable = facts.idempotent || *non_idempotent || methods.iter().any(|method| method == parsed.method);
    let key = key(live, location.upstream, &client.ip);
    let splice_min = plan.splice_min;
    Ok(Some((Request { facts, head: parsed.len, server, location, repeatable, key, splice_min }, len)))
}

/// What `hash` and `ip_hash` go by.
fn key<D: Driver>(live: &Live<D>, group: usize, ip: &str) -> u64 {
    match live.plan.upstreams[group].balance {
        Balance::IpHash => stable_hash(ip.as_bytes()),
        _ => 0,
    }
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
    let mut tries = Tries::new(client.cx, live, location.upstream, request.key, &location.retry);
    if client.cx.upstreams.is_crowded(live, request.location.upstream) {
        let detail =
            format!(", {} holds its share of all exchanges", live.plan.upstreams[request.location.upstream].name);
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

fn again<D: Driver>(client: &Client<'_, D>, live: &Live<D>) -> Option<(Lease, usize)> {
    let mut out = client.reservation().take();
    let (_, len) = prepare(client, live, &mut out).ok()??;
    Some((out, len))
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
        tunnel::run(client.cx, client.owner, &client.socket, &socket, [from_client, early], patience, pending()).await;
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
