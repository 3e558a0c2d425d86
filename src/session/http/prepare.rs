//! From a head in the client's input to the one for the backend, and what the choice of a server goes by.

use super::client::Client;
use super::variables::Source;
use crate::balance::Key;
use crate::balance::hash::stable_hash;
use crate::config::plan::{Action, Balance, Location, Retry, Server, Sticky};
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::proto::request::{self, FieldSlots, RequestFacts};
use crate::proto::rewrite::{self, Forwarding};
use crate::proto::variables::fields_named;
use crate::proto::writer::Writer;
use crate::proto::{real_ip, sticky};
use crate::ring::{Driver, Lease};
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
    /// It may be sent to another server although one may have seen it.
    pub(super) repeatable: bool,
    /// What `hash`, `ip_hash` and cookies go by.
    pub(super) key: Key,
    /// The cookie that a new server is named in.
    pub(super) sticky: Option<&'a Sticky>,
    /// Bytes certain to follow from which its bodies are spliced.
    pub(super) splice_min: Option<u64>,
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
    let Action::Proxy { upstream: group, .. } = location.action else { return Err(refusal(Reason::NoLocation)) };
    let upstream = &plan.upstreams[group];
    let behind_proxies = real_address(client, server, &parsed);
    let real_ip = behind_proxies.map(|address| address.to_string());
    let client_ip = real_ip.as_deref().unwrap_or(&client.ip);
    let forwarding = Forwarding {
        peer_ip: &client.ip,
        client_ip,
        scheme: "http",
        trusted: behind_proxies.is_some(),
        fallback_host: &upstream.name,
    };
    let mut writer = Writer::new(out);
    rewrite::write_request(&mut writer, &parsed, &facts, &route, &forwarding);
    let len = writer.finish().ok_or_else(|| refusal(Reason::HeadTooLarge))?;
    let Retry { non_idempotent, methods, .. } = &*location.retry;
    let repeatable = facts.idempotent || *non_idempotent || methods.iter().any(|method| method == parsed.method);
    let hash = match &upstream.balance {
        Balance::IpHash => stable_hash(client_ip.as_bytes()),
        Balance::Hash(template) => Source { request: &parsed, route: &route, client_ip, scheme: "http" }.hash(template),
        _ => 0,
    };
    // An empty key keeps nobody together.
    let is_keyless = matches!(upstream.balance, Balance::Hash(_)) && hash == stable_hash(b"");
    let hash = if is_keyless { client.cx.reactor.random() } else { hash };
    let sticky = upstream.sticky.as_ref();
    let named = sticky.and_then(|sticky| {
        let group = live.groups[group].group();
        sticky::identities(parsed.fields, &sticky.name).find(|&identity| group.has(identity))
    });
    let (key, splice_min) = (Key { hash, named, precious: !repeatable }, plan.splice_min);
    let request =
        Request { facts, head: parsed.len, server, location, upstream: group, repeatable, key, sticky, splice_min };
    Ok(Some((request, len)))
}

/// The client that a trusted proxy names; `None`: the peer is no such proxy.
fn real_address<D: Driver>(client: &Client<'_, D>, server: &Server, request: &request::Request) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| server.real_ip_from.iter().any(|network| network.contains(&address));
    let peer = client.address.filter(|&peer| is_trusted(peer))?;
    Some(real_ip::client(peer, fields_named(request.fields, "x-forwarded-for"), is_trusted))
}

/// The head for another attempt.
pub(super) fn again<D: Driver>(client: &Client<'_, D>, live: &Live<D>) -> Option<(Lease, usize)> {
    let mut out = client.reservation().take();
    let (_, len) = prepare(client, live, &mut out).ok()??;
    Some((out, len))
}
