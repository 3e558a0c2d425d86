//! Requests that get an error: a page of the configuration's (`error_page`), or a built-in one.

use super::Next;
use super::client::Client;
use super::returns::{CLOSE, Own};
use super::source::{Said, added_lines, with_added, with_source};
use crate::proto::framing::Framing;
use crate::proto::page::write_status;
use crate::proto::reason::Reason;
use crate::proto::request::RequestFacts;
use crate::ring::Driver;
use crate::route::pages::{self, Turned};
use crate::route::{Course, Source};
use crate::upstream::Live;

/// Why a request whose head was understood gets an error.
pub(super) struct Problem {
    pub(super) status: u16,
    /// `None`: the configuration or a backend says so.
    pub(super) reason: Option<Reason>,
    /// For the log.
    pub(super) detail: String,
    /// What is known of the request, and its head's bytes.
    pub(super) known: (RequestFacts, usize),
    pub(super) body: RequestBody,
}

/// How far a request's body was read when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestBody {
    /// Not at all, or not whole; what was read lies in the input.
    Unread,
    /// It lies in the input as a whole.
    Read,
    /// Some of it is gone: it cannot be sent to anyone else.
    Lost,
}

impl RequestBody {
    pub(super) fn read(whole: bool) -> RequestBody {
        if whole { RequestBody::Read } else { RequestBody::Unread }
    }
}

impl Problem {
    pub(super) fn new(reason: Reason, known: (RequestFacts, usize)) -> Problem {
        let (status, reason, body) = (reason.status(), Some(reason), RequestBody::Unread);
        Problem { status, reason, detail: String::new(), known, body }
    }

    /// A status alone.
    pub(super) fn of_status(status: u16, known: (RequestFacts, usize)) -> Problem {
        Problem { status, reason: None, detail: String::new(), known, body: RequestBody::Unread }
    }
}

/// Turns to the page that the location, else the server, has for this error.
pub(super) fn turn<D: Driver>(
    client: &Client<'_, D>,
    live: &Live<D>,
    course: &mut Course,
    problem: &Problem,
) -> Turned {
    let Some(server) = course.server.map(|nth| &live.plan.servers[nth]) else { return Turned::No };
    let Some(location) = course.location.or(server.fallback).map(|nth| &server.locations[nth]) else {
        return Turned::No;
    };
    // Of the connection, or nobody is there: no page helps.
    if location.error_pages.is_empty() || problem.status < 300 {
        return Turned::No;
    }
    let mut next = course.clone();
    let turned =
        with_source(client, &live.plan, course, |source, _| pages::turn(location, problem.status, source, &mut next));
    let turned = turned.unwrap_or(Turned::No);
    // A named location gets the request as it came.
    if turned == Turned::Elsewhere && !next.as_get && problem.body == RequestBody::Lost {
        return Turned::No;
    }
    *course = next;
    turned
}

/// Sends the client to another URL.
pub(super) async fn redirect<D: Driver>(
    client: &mut Client<'_, D>,
    live: &Live<D>,
    course: &Course,
    to: (u16, Vec<u8>),
) -> Next {
    let own = |client: &Client<'_, D>, source: &Source, known, out: &mut [u8]| {
        Own::redirect(client, source.server, known, out, (to.0, to.1, source))
    };
    send(client, live, course, own).await
}

async fn send<D: Driver>(
    client: &mut Client<'_, D>,
    live: &Live<D>,
    course: &Course,
    write: impl FnOnce(&Client<'_, D>, &Source, (RequestFacts, usize), &mut [u8]) -> Option<Own>,
) -> Next {
    let mut out = client.reservation().take();
    let own = with_source(client, &live.plan, course, |source, known| write(client, source, known, &mut out));
    match own.flatten() {
        Some(own) => own.send(client, out).await,
        None => client.refuse(Reason::HeadTooLarge, true, false, "").await,
    }
}

/// The built-in page. The connection stays only if the request's body, if it has one, lies in the input as a whole.
pub(super) async fn refuse<D: Driver>(
    client: &mut Client<'_, D>,
    live: &Live<D>,
    course: &Course,
    problem: Problem,
) -> Next {
    let Problem { status, reason, detail, known: (facts, head), body } = problem;
    let Some(reason) = reason else {
        if status == CLOSE {
            client.count();
            client.record.ends_with(CLOSE);
            return Next::Gone;
        }
        let page = |client: &Client<'_, D>, source: &Source, known, out: &mut [u8]| {
            with_added(client, source, status, Said::default(), |added| {
                Own::write(client, source.server, known, out, added, |w, manner| write_status(w, status, b"", manner))
            })
        };
        return Box::pin(send(client, live, course, page)).await;
    };
    client.count();
    // What the handshake decided, another request on the same connection cannot mend.
    let of_connection =
        matches!(reason, Reason::MisdirectedRequest | Reason::ClientCertificateRequired | Reason::ClientCertificateBad);
    let whole = match facts.body {
        Framing::None => Some(head),
        Framing::Length(length) if body == RequestBody::Read => Some(head + length as usize),
        _ => None,
    };
    let keep =
        |whole| whole <= client.bytes().len() && !of_connection && facts.keep_alive && !client.should_leave(whole);
    let whole = whole.filter(|&whole| keep(whole));
    let server = course.server.map(|nth| &live.plan.servers[nth]);
    let location = server.and_then(|server| course.location.or(server.fallback).map(|nth| &server.locations[nth]));
    if let Some(location) = location {
        client.page_fields = added_lines(client, &live.plan, course, location, status, Said::default());
    }
    let next = client.refuse_as(status, reason, whole.is_none(), facts.is_head, &detail).await;
    client.consume(whole.unwrap_or(head));
    next
}
