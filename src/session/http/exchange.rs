//! One exchange: a request, the choice of a server, attempts until one answers, and what becomes of the connection.

use super::attempt::{Attempt, Outcome};
use super::client::{Client, HeadRead};
use super::prepare::{Instead, Refusal, Request, again, prepare};
use super::{Next, counted, report};
use crate::config::plan::Location;
use crate::log::Level;
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::proto::request::{self, FieldSlots};
use crate::ring::{Driver, Lease};
use crate::session::tcp::acknowledged;
use crate::session::tries::Tries;
use crate::session::{ms, tunnel};
use crate::tls::{Dialer, Stream};
use crate::upstream::{Failure, Live, Opening, Picked};
use bytes::Bytes;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
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
        Err(Instead::Page(refusal)) => {
            let detail = about_certificate(client, refusal.reason);
            return refuse(client, refusal, &detail).await;
        }
        Err(Instead::Challenge(challenge)) => return Box::pin(challenge.answer(client, out)).await,
        Err(Instead::Own(own)) => return Box::pin(own.send(client, out)).await,
    };
    let _running = counted(client);
    attempts(client, &live, &request, out, len).await
}

/// What is wrong with a client's certificate, and whose it is.
fn about_certificate<D: Driver>(client: &Client<'_, D>, reason: Reason) -> String {
    match client.socket.facts() {
        Some(facts) if reason == Reason::ClientCertificateBad => {
            format!(", {} ({})", facts.ssl_client_verify, facts.ssl_client_s_dn)
        }
        _ => String::new(),
    }
}

/// A refusal keeps the connection only if the request had no body to be read past.
pub(super) async fn refuse<D: Driver>(client: &mut Client<'_, D>, refusal: Refusal, detail: &str) -> Next {
    let Some((facts, head)) = refusal.known else { return client.refuse(refusal.reason, true, false, "").await };
    client.requests += 1;
    client.cx.stats().requests.add(1);
    // What the handshake decided, another request on the same connection cannot mend.
    let of_connection = matches!(
        refusal.reason,
        Reason::MisdirectedRequest | Reason::ClientCertificateRequired | Reason::ClientCertificateBad
    );
    let close = of_connection || facts.body != Framing::None || !facts.keep_alive || client.should_leave(head);
    let next = client.refuse(refusal.reason, close, facts.is_head, detail).await;
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
            let dialer = request.dialer.map(|dialer| &live.terms.dialers[dialer]);
            let (socket, reused) = match take_pooled(&picked, request, dialer) {
                Some(socket) => (socket, true),
                None => match Box::pin(connect(client, request, &picked, dialer)).await {
                    Ok(socket) => (socket, false),
                    Err(Failure { reason: Reason::ClientGone, .. }) => {
                        return client.refuse(Reason::ClientGone, true, false, "").await;
                    }
                    Err(failure) => {
                        tries.failed(client.cx, &picked, failure);
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
fn take_pooled<D: Driver>(
    picked: &Picked<D>,
    request: &Request<'_>,
    dialer: Option<&Arc<Dialer>>,
) -> Option<Stream<D>> {
    loop {
        let socket = picked.take_idle(dialer)?;
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
    dialer: Option<&Arc<Dialer>>,
) -> Result<Stream<D>, Failure> {
    let timeout = ms(request.location.proxy_connect_timeout);
    let opening = Opening { dialer, header: &[], owner: client.owner, held: Some(client.reservation()) };
    let mut connecting = pin!(picked.connect(&client.timer, timeout, &opening));
    poll_fn(|task| match connecting.as_mut().poll(task) {
        Poll::Pending => client.socket.poll_failed(task).map(|()| Err(Reason::ClientGone.into())),
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
    socket: Stream<D>,
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
            if reason != Reason::ClientGone {
                // A reset would throw away what is still on its way to the client.
                acknowledged(&client.socket, &client.timer).await;
            }
            Next::Abort
        }
    }
}
