//! One exchange: a request, the choice of a server, attempts until one answers, and what becomes of the connection.

use super::access::{Standing, admit};
use super::attempt::{Attempt, Outcome};
use super::client::{Client, HeadRead};
use super::files::{self, Served};
use super::held::{NotHeld, hold};
use super::prepare::{Instead, Refusal, Request, again, prepare};
use super::problem::{Problem, RequestBody, redirect, refuse, turn};
use super::{Next, counted, report};
use crate::config::plan::Location;
use crate::log::Level;
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::proto::request::{self, FieldSlots};
use crate::ring::{Driver, Lease};
use crate::route::Course;
use crate::route::pages::Turned;
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
    client.record.begin(client.cx.reactor.now_us(), client.requests + 1);
    let read = read(client).await;
    let live = client.cx.live();
    let mut course = Course::default();
    let next = match read {
        Some(next) => next,
        None => answer(client, &live, &mut course).await,
    };
    client.write_down(&live, &course);
    client.held = None;
    next
}

/// Reads the head of a request. Else says what becomes of the connection.
async fn read<D: Driver>(client: &mut Client<'_, D>) -> Option<Next> {
    if let Err(reason) = client.reserve().await {
        client.reservation = client.cx.reactor.buffers().spare(client.owner);
        return Some(client.refuse(reason, true, false, "").await);
    }
    let incomplete = |bytes: &[u8]| request::parse(bytes, &mut FieldSlots::new()).map(|_| ());
    match client.read_head(incomplete).await {
        HeadRead::Whole => None,
        HeadRead::Closed => Some(Next::Gone),
        HeadRead::Nothing => Some(Next::Again),
        HeadRead::Failed(Reason::ClientGone) => {
            report(client.cx, Reason::ClientGone, || format!("{} before the head's end", client.request_line()));
            client.record.ends_with(Reason::BadRequestLine.status()); // as nginx: a bad request
            Some(Next::Gone)
        }
        HeadRead::Failed(reason) => Some(client.refuse(reason, true, false, "").await),
    }
}

/// Answers the request in the input.
async fn answer<D: Driver>(client: &mut Client<'_, D>, live: &Live<D>, course: &mut Course) -> Next {
    client.is_counted = false;
    client.standing = Standing::default();
    loop {
        let problem = match step(client, live, course).await {
            Step::Done(next) => return next,
            Step::Again => continue,
            Step::Failed(problem) => problem,
        };
        match turn(client, live, course, &problem) {
            Turned::Elsewhere => {}
            Turned::Redirect(status, url) => return Box::pin(redirect(client, live, course, (status, url))).await,
            Turned::No => return refuse(client, live, course, problem).await,
        }
    }
}

/// What came of one look at a request.
enum Step {
    /// It is answered, or cannot be.
    Done(Next),
    /// More is known of it now, or it goes elsewhere.
    Again,
    /// It gets an error page.
    Failed(Problem),
}

/// Brings a request as far as it goes at once.
async fn step<D: Driver>(client: &mut Client<'_, D>, live: &Live<D>, course: &mut Course) -> Step {
    let mut out = client.reservation().take();
    match prepare(client, live, course, &mut out) {
        Ok(Some((request, len))) => {
            let _running = counted(client);
            match attempts(client, live, &request, out, len).await {
                Ok(next) => Step::Done(next),
                Err(problem) => Step::Failed(problem),
            }
        }
        // Its end was found.
        Ok(None) => Step::Done(client.refuse(Reason::Internal, true, false, "").await),
        Err(Instead::Page(Refusal { reason, known: None })) => Step::Done(client.refuse(reason, true, false, "").await),
        Err(Instead::Page(Refusal { reason, known: Some(known) })) => {
            // What is too large here goes nowhere else.
            let body = if reason == Reason::BodyTooLarge { RequestBody::Lost } else { RequestBody::Unread };
            Step::Failed(Problem { detail: about_certificate(client, reason), body, ..Problem::new(reason, known) })
        }
        Err(Instead::Status(status, known)) => Step::Failed(Problem::of_status(status, known)),
        Err(Instead::Challenge(challenge)) => match Box::pin(challenge.answer(client, out)).await {
            Ok(next) => Step::Done(next),
            Err(problem) => Step::Failed(problem),
        },
        Err(Instead::Own(own)) => Step::Done(Box::pin(own.send(client, out)).await),
        Err(Instead::Admit(asking)) => {
            drop(out);
            match Box::pin(admit(client, live, *asking)).await {
                Ok(()) => {
                    course.admitted = true;
                    Step::Again
                }
                Err(problem) => Step::Failed(problem),
            }
        }
        Err(Instead::Hold(holding)) => {
            drop(out);
            let _running = counted(client);
            match Box::pin(hold(client, &holding)).await {
                Ok(()) => Step::Again,
                Err(NotHeld(reason @ Reason::ClientGone, _)) => {
                    Step::Done(client.refuse(reason, true, false, "").await)
                }
                Err(NotHeld(reason, detail)) => {
                    let body = RequestBody::Lost;
                    Step::Failed(Problem { detail, body, ..Problem::new(reason, holding.known) })
                }
            }
        }
        Err(Instead::Ask(kind, path)) => {
            drop(out);
            let there = Box::pin(files::exists(client, kind, &path)).await;
            course.set_file(kind, path, there);
            Step::Again
        }
        Err(Instead::File(order)) => {
            drop(out);
            match Box::pin(files::serve(client, live, &order, course)).await {
                Served::Done(next) => Step::Done(next),
                Served::Elsewhere(path, args) => {
                    course.go(path, args);
                    Step::Again
                }
                Served::Failed(reason, detail) => Step::Failed(Problem { detail, ..Problem::new(reason, order.known) }),
            }
        }
    }
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

/// Tries servers until one answers. `out[..len]` is the head for the first attempt.
async fn attempts<D: Driver>(
    client: &mut Client<'_, D>,
    live: &Live<D>,
    request: &Request<'_>,
    out: Lease,
    len: usize,
) -> Result<Next, Problem> {
    let mut prepared = Some((out, len));
    let (location, known) = (request.location, (request.facts, request.head));
    client.record.begin_tries();
    let mut tries = Tries::new(client.cx, live, request.upstream, request.key, &location.retry);
    if client.cx.upstreams.is_crowded(live, request.upstream) {
        let detail = format!(", {} holds its share of all exchanges", live.plan.upstreams[request.upstream].name);
        return Err(Problem { detail, ..Problem::new(Reason::Overloaded, known) });
    }
    while let Some(picked) = tries.next(client.cx, &client.socket, &client.timer).await {
        client.record.asks(&picked, client.cx.reactor.now_us());
        loop {
            let dialer = request.dialer.map(|dialer| &live.terms.dialers[dialer]);
            let (socket, reused) = match take_pooled(&picked, request, dialer) {
                Some(socket) => (socket, true),
                None => match Box::pin(connect(client, request, &picked, dialer)).await {
                    Ok(socket) => (socket, false),
                    Err(Failure { reason: Reason::ClientGone, .. }) => {
                        return Ok(client.refuse(Reason::ClientGone, true, false, "").await);
                    }
                    Err(failure) => {
                        client.record.server_ended(client.cx.reactor.now_us(), failure.reason.status());
                        tries.failed(client.cx, &picked, failure);
                        break;
                    }
                },
            };
            client.record.connected(&picked, client.cx.reactor.now_us());
            let Some((out, len)) = prepared.take().or_else(|| again(client, live, &request.course)) else {
                return Ok(client.refuse(Reason::Internal, true, false, "").await);
            };
            let attempt = Attempt::new(client, request, &picked, socket);
            match attempt.run(out, len, &tries).await {
                Outcome::Answered(next, body) => {
                    body.settle(client, request);
                    return Ok(next);
                }
                Outcome::Upgraded { socket, early } => {
                    return Ok(Box::pin(upgrade(client, request, picked, socket, early)).await);
                }
                Outcome::Refused(reason) => {
                    return Err(Problem { body: RequestBody::Lost, ..Problem::new(reason, known) });
                }
                Outcome::Intercepted { status, body_lost } => {
                    let body = if body_lost { RequestBody::Lost } else { RequestBody::Read };
                    return Err(Problem { body, ..Problem::of_status(status, known) });
                }
                Outcome::Passed => break, // its answer is one that another server may better
                Outcome::Failed { reason: Reason::ClientGone, .. } => {
                    return Ok(client.refuse(Reason::ClientGone, true, false, "").await);
                }
                Outcome::Failed { reason, stale, .. } if reused && stale => {
                    // The backend had closed it: our pool's matter, not the server's fault.
                    let closed = format!("a pooled connection to {} was closed ({})", picked.name(), reason.name());
                    client.cx.log(Level::Info, closed);
                    continue;
                }
                Outcome::Failed { reason, retry, body, .. } => {
                    client.record.server_ended(client.cx.reactor.now_us(), reason.status());
                    tries.failed(client.cx, &picked, reason);
                    if !retry {
                        let (reason, detail) = tries.failure;
                        return Err(Problem { detail, body, ..Problem::new(reason, known) });
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
    let ((reason, detail), body) = (tries.failure, RequestBody::read(body_read));
    Err(Problem { detail, body, ..Problem::new(reason, known) })
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

async fn upgrade<D: Driver>(
    client: &mut Client<'_, D>,
    request: &Request<'_>,
    picked: Picked<D>,
    socket: Stream<D>,
    early: Bytes,
) -> Next {
    client.record.keep_head(client.input.as_ref().map_or(&[], |input| input));
    client.consume(request.head);
    let from_client = Bytes::from([client.bytes(), &client.pushback].concat());
    client.input = None;
    client.reservation = None;
    let Location { tunnel_timeout: idle, send_timeout, proxy_send_timeout, .. } = *request.location;
    let patience = tunnel::Patience { idle: Some(idle), client: Some(send_timeout), backend: Some(proxy_send_timeout) };
    let ended =
        tunnel::run(client.cx, client.owner, [&client.socket, &socket], [from_client, early], patience, &picked).await;
    drop(picked);
    let [from_client, from_server] = ended.moved;
    for (counter, bytes) in [
        (&client.record.body, from_client),
        (&client.record.to_server, from_client),
        (&client.record.sent, from_server),
        (&client.record.from_server, from_server),
    ] {
        counter.add(bytes);
    }
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
