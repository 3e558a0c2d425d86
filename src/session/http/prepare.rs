//! From a head in the client's input to the one for the backend, and what the choice of a server goes by.

use super::challenge::Challenge;
use super::client::Client;
use super::returns::Own;
use super::variables::Source;
use crate::balance::Key;
use crate::balance::hash::stable_hash;
use crate::config::plan::{Action, Address, Balance, Location, Plan, Retry, Server, Sticky};
use crate::config::template::Template;
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::proto::request::{self, FieldSlots, RequestFacts};
use crate::proto::rewrite::{self, Forwarding, SetFields};
use crate::proto::variables::fields_named;
use crate::proto::writer::Writer;
use crate::proto::{real_ip, sticky};
use crate::ring::{Driver, Lease};
use crate::tls::verify::Refusal as ClientRefusal;
use crate::upstream::Live;
use std::net::IpAddr;

/// A request whose head was understood; its bytes are still in the client's input, so that it can be sent again.
pub(super) struct Request<'a> {
    pub(super) facts: RequestFacts,
    /// Bytes of the head in the input.
    pub(super) head: usize,
    pub(super) server: &'a Server,
    pub(super) location: &'a Location,
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
}

/// Why a head gets an error page.
pub(super) struct Refusal {
    pub(super) reason: Reason,
    /// What is known of the request, if its head was well formed.
    pub(super) known: Option<(RequestFacts, usize)>,
}

/// Understands the head in the input and writes the one for the backend into `out`. `None`: it is not whole yet.
pub(super) fn prepare<'a, D: Driver>(
    client: &Client<'_, D>,
    live: &'a Live<D>,
    out: &mut [u8],
) -> Result<Option<(Request<'a>, usize)>, Instead<'a>> {
    let unknown = |reason| Instead::Page(Refusal { reason, known: None });
    let mut slots = FieldSlots::new();
    let Some(parsed) = request::parse(client.bytes(), &mut slots).map_err(unknown)? else { return Ok(None) };
    let (facts, route) = parsed.inspect().map_err(unknown)?;
    let known = (facts, parsed.len);
    let refusal = |reason| Instead::Page(Refusal { reason, known: Some(known) });
    let plan = &live.plan;
    let index = plan.names(client.listener).find(&route.host);
    let server = &plan.servers[index];
    // Also where certificates of clients are asked for: an authority has none.
    if let Some(challenge) = Challenge::new(server, &parsed, &route, facts) {
        return Err(Instead::Challenge(challenge));
    }
    admit(client, live, index).map_err(refusal)?;
    let behind_proxies = real_address(client, server, &parsed);
    let real_ip = behind_proxies.map(|address| address.to_string());
    let client_ip = real_ip.as_deref().unwrap_or(&client.ip);
    let mut source = Source {
        request: &parsed,
        route: &route,
        client_ip,
        connection: client,
        server_name: server.names.first().map_or("", String::as_str),
        server_port: server_port(plan, client.listener),
        proxy_host: "",
    };
    let returned =
        |returns, source: &Source, out: &mut [u8]| match Own::returned(client, server, known, out, (returns, source)) {
            Some(own) => Instead::Own(own),
            None => refusal(Reason::HeadTooLarge), // what the request said is in it, perhaps many times
        };
    if let Some(returns) = &server.returns {
        return Err(returned(returns, &source, out));
    }
    let location = server.location_for(&route.path).map_err(refusal)?;
    if let (Framing::Length(length), Some(most)) = (facts.body, location.client_max_body_size)
        && length > most
    {
        return Err(refusal(Reason::BodyTooLarge));
    }
    let (group, dialer) = match &location.action {
        Action::Proxy { upstream, ssl } => (*upstream, *ssl),
        Action::Return(returns) => return Err(returned(returns, &source, out)),
    };
    let upstream = &plan.upstreams[group];
    source.proxy_host = &upstream.name;
    let set = Set(&location.set_headers, &source);
    let forwarding = Forwarding {
        peer_ip: &client.ip,
        client_ip,
        scheme: client.scheme,
        trusted: behind_proxies.is_some(),
        fallback_host: &upstream.name,
        set: (!set.0.is_empty()).then_some(&set),
    };
    let mut writer = Writer::new(out);
    rewrite::write_request(&mut writer, &parsed, &facts, &route, &forwarding);
    let len = writer.finish().ok_or_else(|| refusal(Reason::HeadTooLarge))?;
    let Retry { non_idempotent, methods, .. } = &*location.retry;
    let repeatable = facts.idempotent || *non_idempotent || methods.iter().any(|method| method == parsed.method);
    let (key, sticky) = (key(client, live, group, &source, !repeatable), upstream.sticky.as_ref());
    let (head, splice_min) = (parsed.len, plan.splice_min);
    let request =
        Request { facts, head, server, location, upstream: group, dialer, repeatable, key, sticky, splice_min };
    Ok(Some((request, len)))
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

/// A location's `proxy_set_header` for one request.
struct Set<'x, 's, 'h, 'b>(&'x [(String, Template)], &'x Source<'s, 'h, 'b>);

impl SetFields for Set<'_, '_, '_, '_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn name(&self, nth: usize) -> &str {
        &self.0[nth].0
    }

    fn value(&self, nth: usize, out: &mut dyn FnMut(&[u8])) {
        self.1.write(&self.0[nth].1, out);
    }
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

/// The client that a trusted proxy names; `None`: the peer is no such proxy.
fn real_address<D: Driver>(client: &Client<'_, D>, server: &Server, request: &request::Request) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| server.real_ip_from.iter().any(|network| network.contains(&address));
    let peer = client.address.filter(|&peer| is_trusted(peer))?;
    Some(real_ip::client(peer, fields_named(request.fields, "x-forwarded-for"), is_trusted))
}

/// The port that a listener's clients connect to.
fn server_port(plan: &Plan, listener: usize) -> Option<u16> {
    match plan.listeners[listener].address {
        Address::Tcp(address) => Some(address.port()),
        Address::Unix(_) => None,
    }
}

/// The head for another attempt.
pub(super) fn again<D: Driver>(client: &Client<'_, D>, live: &Live<D>) -> Option<(Lease, usize)> {
    let mut out = client.reservation().take();
    let (_, len) = prepare(client, live, &mut out).ok()??;
    Some((out, len))
}
