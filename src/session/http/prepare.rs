//! From a head in the client's input to the one for the backend, and what the choice of a server goes by.

use super::access::Asking;
use super::challenge::Challenge;
use super::client::Client;
use super::files::Order;
use super::held::{self, Holding};
use super::returns::Own;
use super::source::{real_address, server_port};
use crate::balance::Key;
use crate::balance::hash::stable_hash;
use crate::config::plan::{Action, Balance, FileKind, Location, Pass, Plan, Proxy, Retry, Server, Sticky};
use crate::limits::MAPS_DEPTH_MAX;
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::proto::request::{self, FieldSlots, RequestFacts};
use crate::proto::sticky;
use crate::proto::writer::Writer;
use crate::ring::{Driver, Lease};
use crate::route::steps::{Arrived, advance};
use crate::route::tried::{Tried, tried};
use crate::route::uri::named;
use crate::route::{Course, Source, head, pages};
use crate::tls::verify::Refusal as ClientRefusal;
use crate::upstream::Live;
use std::borrow::Cow;

/// A request whose head was understood; its bytes are still in the client's input, so that it can be sent again.
pub(super) struct Request<'a> {
    pub(super) facts: RequestFacts,
    /// Bytes of the head in the input.
    pub(super) head: usize,
    pub(super) plan: &'a Plan,
    pub(super) server: &'a Server,
    pub(super) location: &'a Location,
    /// How it came there; for another attempt.
    pub(super) course: Course,
    /// Index into `Plan::upstreams`.
    pub(super) upstream: usize,
    /// By TLS: index into `Plan::proxy_ssls`.
    pub(super) dialer: Option<usize>,
    /// It may be sent to another server although one may have seen it.
    pub(super) repeatable: bool,
    /// What `hash`, `ip_hash` and cookies go by.
    pub(super) key: Key,
    /// The cookie that a new server is named in.
    pub(super) sticky: Option<&'a Sticky>,
    /// Bytes certain to follow from which its bodies are spliced.
    pub(super) splice_min: Option<u64>,
}

/// What a request gets instead of a backend's answer.
pub(super) enum Instead<'a> {
    /// An error page.
    Page(Refusal),
    /// What lies in `out`.
    Own(Own),
    /// The answer to an ACME challenge.
    Challenge(Challenge<'a>),
    /// Whether a file is there must be known first; the course is noted.
    Ask(FileKind, String),
    /// Limits and passwords must let it in first; the course is noted.
    Admit(Box<Asking<'a>>),
    /// The body must be read first; the course is noted.
    Hold(Holding<'a>),
    /// A file of this location.
    File(Box<Order<'a>>),
    /// An answer with this status alone: a page of the configuration's, or a built-in one.
    Status(u16, (RequestFacts, usize)),
}

/// Why a head gets an error page.
pub(super) struct Refusal {
    pub(super) reason: Reason,
    /// What is known of the request, if its head was well formed.
    pub(super) known: Option<(RequestFacts, usize)>,
}

/// Understands the head in the input and writes the one for the backend into `out`. `None`: it is not whole yet. `course`: how far the
/// request has come; nothing yet at first.
pub(super) fn prepare<'a, D: Driver>(
    client: &Client<'_, D>,
    live: &'a Live<D>,
    course: &mut Course,
    out: &mut [u8],
) -> Result<Option<(Request<'a>, usize)>, Instead<'a>> {
    let unknown = |reason| Instead::Page(Refusal { reason, known: None });
    let mut slots = FieldSlots::new();
    let Some(parsed) = request::parse(client.bytes(), &mut slots).map_err(unknown)? else { return Ok(None) };
    let (facts, route) = parsed.inspect().map_err(unknown)?;
    let mut facts = client.without_held(facts);
    let known = (facts, parsed.len);
    let refusal = |reason| Instead::Page(Refusal { reason, known: Some(known) });
    let plan = &live.plan;
    let index = course.server.unwrap_or_else(|| course.choose_server(plan.names(client.listener), &route.host));
    let server = &plan.servers[index];
    client.record.request(client.start..client.start + parsed.len, index);
    client.record.follow(server, None);
    // Also where certificates of clients are asked for: an authority has none.
    if let Some(challenge) = Challenge::new(server, &parsed, &route, facts) {
        return Err(Instead::Challenge(challenge));
    }
    admit(client, live, index).map_err(refusal)?;
    if course.as_get {
        facts = facts.as_get();
    }
    let behind_proxies = real_address(client, server, &parsed);
    let real_ip = behind_proxies.map(|address| address.to_string());
    let blank = Course::default();
    let source = Source {
        request: &parsed,
        route: &route,
        plan,
        server,
        location: None,
        course: &blank,
        client_ip: real_ip.as_deref().unwrap_or(&client.ip),
        connection: client,
        server_port: server_port(plan, client.listener),
        proxy_host: "",
        depth: MAPS_DEPTH_MAX,
    };
    let location = locate(client, server, &source, course, (facts, parsed.len), out)?;
    let source = Source { course, location: Some(location), ..source };
    let Proxy { to, ssl, uri } = match &location.action {
        Action::Proxy(proxy) => proxy,
        Action::Files => {
            return Err(Instead::File(Box::new(Order::new(server, location, (facts, parsed.len), &source))));
        }
        Action::Nothing => return Err(refusal(Reason::NoLocation)),
    };
    let (upstream, uri) = match to {
        Pass::Upstream(group) => (*group, Cow::Borrowed(uri)),
        Pass::Named(template) => named(plan, &source.string(template), uri).ok_or_else(|| refusal(Reason::NoGroup))?,
    };
    client.record.comes_to_group(upstream);
    if held::is_wanted(location, &facts) {
        return Err(Instead::Hold(Holding { location, known: (facts, parsed.len) }));
    }
    let group = &plan.upstreams[upstream];
    let source = Source { proxy_host: &group.name, ..source };
    let mut writer = Writer::new(out);
    let told = match &client.held {
        Some(held) if !course.as_get => held::told(facts, held),
        _ => facts,
    };
    head::write(&mut writer, location, &uri, &told, behind_proxies.is_some(), &source);
    let len = writer.finish().ok_or_else(|| refusal(Reason::HeadTooLarge))?;
    let Retry { non_idempotent, methods, .. } = &*location.retry;
    let repeatable = facts.idempotent || *non_idempotent || methods.iter().any(|method| method == parsed.method);
    let request = Request {
        facts,
        head: parsed.len,
        plan,
        server,
        location,
        course: course.clone(),
        upstream,
        dialer: *ssl,
        repeatable,
        key: key(client, live, upstream, &source, !repeatable),
        sticky: group.sticky.as_ref(),
        splice_min: plan.splice_min,
    };
    Ok(Some((request, len)))
}

/// Brings a request to its location, through rewrite rules and `try_files`. `source` is of no location yet.
fn locate<'a, D: Driver>(
    client: &Client<'_, D>,
    server: &'a Server,
    source: &Source,
    course: &mut Course,
    known: (RequestFacts, usize),
    out: &mut [u8],
) -> Result<&'a Location, Instead<'a>> {
    let refusal = |reason| Instead::Page(Refusal { reason, known: Some(known) });
    let owned = |own: Option<Own>| match own {
        Some(own) => Instead::Own(own),
        None => refusal(Reason::HeadTooLarge), // what the request said is in it, perhaps many times
    };
    loop {
        let arrived = advance(server, source, course);
        let at = course.location.or(server.fallback).map(|nth| &server.locations[nth]);
        client.record.follow(server, at);
        let location = match arrived {
            Arrived::At(location) => location,
            Arrived::Return(returns) => {
                let has_page = |location: &Location| pages::has_page(location, course, returns.status);
                if returns.text.is_none() && at.is_some_and(has_page) {
                    return Err(Instead::Status(returns.status, known));
                }
                let source = Source { course, location: at, ..*source };
                return Err(owned(Own::returned(client, server, known, out, (returns, &source))));
            }
            Arrived::Redirect(status, url) => {
                let source = Source { course, location: at, ..*source };
                return Err(owned(Own::redirect(client, server, known, out, (status, url, &source))));
            }
            Arrived::Nothing => return Err(refusal(Reason::NoLocation)),
            Arrived::Internal => return Err(refusal(Reason::InternalLocation)),
            Arrived::Loop => return Err(refusal(Reason::UriLoop)),
            Arrived::TooHard => return Err(refusal(Reason::PatternTooHard)),
            Arrived::Ask(kind, path) => return Err(Instead::Ask(kind, path)),
        };
        let length = match (known.0.body, &client.held) {
            (Framing::Length(length), _) => length,
            (_, Some(held)) if !course.as_get => held.len(),
            _ => 0,
        };
        if location.client_max_body_size.is_some_and(|most| length > most) {
            return Err(refusal(Reason::BodyTooLarge));
        }
        if !course.admitted
            && let Some(asking) = Asking::new(location, &Source { course, location: Some(location), ..*source }, known)
        {
            return Err(Instead::Admit(Box::new(asking)));
        }
        let Some(files) = &location.try_files else { return Ok(location) };
        match tried(files, location, source, course) {
            Tried::Go => return Ok(location),
            Tried::Elsewhere => {}
            Tried::Status(status) => return Err(Instead::Status(status, known)),
            Tried::NoName => return Err(refusal(Reason::NoNamedLocation)),
            Tried::Ask(kind, path) => return Err(Instead::Ask(kind, path)),
        }
    }
}

/// What the choice of a server goes by.
fn key<D: Driver>(client: &Client<'_, D>, live: &Live<D>, group: usize, source: &Source, precious: bool) -> Key {
    let upstream = &live.plan.upstreams[group];
    let hash = match &upstream.balance {
        Balance::IpHash => stable_hash(source.client_ip.as_bytes()),
        Balance::Hash(template) => source.hash(template),
        _ => 0,
    };
    // An empty key keeps nobody together.
    let is_keyless = matches!(upstream.balance, Balance::Hash(_)) && hash == stable_hash(b"");
    let hash = if is_keyless { client.cx.reactor.random() } else { hash };
    let named = upstream.sticky.as_ref().and_then(|sticky| {
        let group = live.groups[group].group();
        sticky::identities(source.request.fields, &sticky.name).find(|&identity| group.has(identity))
    });
    Key { hash, named, precious }
}

/// Under TLS: the handshake was made on the terms of this server, or equal ones, and the client has shown what they ask for.
fn admit<D: Driver>(client: &Client<'_, D>, live: &Live<D>, server: usize) -> Result<(), Reason> {
    let Some(offer) = client.socket.offer() else {
        // The listener was one without TLS when this connection came.
        return if live.plan.listeners[client.listener].ssl { Err(Reason::MisdirectedRequest) } else { Ok(()) };
    };
    // RFC 9110 15.5.20. A browser makes another connection then.
    if live.terms.servers[server].as_ref().map(|asked| asked.realm) != Some(offer.realm) {
        return Err(Reason::MisdirectedRequest);
    }
    if !offer.asks_clients() {
        return Ok(());
    }
    match client.socket.facts().and_then(|facts| facts.refusal) {
        None => Ok(()),
        Some(ClientRefusal::NoCertificate) => Err(Reason::ClientCertificateRequired),
        Some(ClientRefusal::BadCertificate) => Err(Reason::ClientCertificateBad),
    }
}

/// The head for another attempt.
pub(super) fn again<D: Driver>(client: &Client<'_, D>, live: &Live<D>, course: &Course) -> Option<(Lease, usize)> {
    let mut out = client.reservation().take();
    let (_, len) = prepare(client, live, &mut course.clone(), &mut out).ok()??;
    Some((out, len))
}
