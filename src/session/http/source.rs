//! What variables are taken from, for a request whose head is still in the client's input.

use super::client::Client;
use crate::config::plan::{Address, Location, Plan, Server};
use crate::handlers::compress::time;
use crate::limits::{BUFFER_SMALL, MAPS_DEPTH_MAX};
use crate::proto::real_ip;
use crate::proto::request::{self, FieldSlots, RequestFacts};
use crate::proto::rewrite::{EditFields, Lines};
use crate::proto::variables::fields_named;
use crate::proto::writer::Writer;
use crate::ring::Driver;
use crate::route::edits::{Answered, Texts};
use crate::route::{Course, Edits, Source};
use httparse::Header;
use std::net::IpAddr;
use std::time::SystemTime;

/// Reads the head in the input again and hands on what variables are taken from, with what is known of the request and its head's
/// bytes. `None`: there is no whole head that could be understood.
pub(super) fn with_source<D: Driver, T>(
    client: &Client<'_, D>,
    plan: &Plan,
    course: &Course,
    act: impl FnOnce(&Source, (RequestFacts, usize)) -> T,
) -> Option<T> {
    let mut slots = FieldSlots::new();
    let parsed = request::parse(client.bytes(), &mut slots).ok()??;
    let (facts, route) = parsed.inspect().ok()?;
    let facts = client.without_held(facts);
    let server = match course.server {
        Some(nth) => &plan.servers[nth],
        None => plan.server_for(client.listener, &route.host),
    };
    let real_ip = real_address(client, server, &parsed).map(|address| address.to_string());
    let source = Source {
        request: &parsed,
        route: &route,
        plan,
        server,
        location: course.location.map(|nth| &server.locations[nth]),
        course,
        client_ip: real_ip.as_deref().unwrap_or(&client.ip),
        connection: client,
        server_port: server_port(plan, client.listener),
        proxy_host: "",
        depth: MAPS_DEPTH_MAX,
    };
    Some(act(&source, (facts, parsed.len)))
}

/// The client that a trusted proxy names; `None`: the peer is no such proxy.
pub(super) fn real_address<D: Driver>(
    client: &Client<'_, D>,
    server: &Server,
    request: &request::Request,
) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| server.real_ip_from.iter().any(|network| network.contains(&address));
    let peer = client.address.filter(|&peer| is_trusted(peer))?;
    Some(real_ip::client(peer, fields_named(request.fields, "x-forwarded-for"), is_trusted))
}

/// The port that a listener's clients connect to.
pub(super) fn server_port(plan: &Plan, listener: usize) -> Option<u16> {
    match plan.listeners[listener].address {
        Address::Tcp(address) => Some(address.port()),
        Address::Unix(_) => None,
    }
}

/// The time that answers say in Date.
pub(super) fn now<D: Driver>(client: &Client<'_, D>) -> SystemTime {
    client.cx.with_date(|date| time(date.as_bytes())).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What an answer of ours says, as far as the configuration's texts may ask.
#[derive(Clone, Copy, Default)]
pub(super) struct Said<'x> {
    pub(super) last_modified: Option<SystemTime>,
    /// "": none is said.
    pub(super) media_type: &'x str,
}

/// Calls `act` with what the configuration adds to an answer of ours (`add_header`, `expires`). What the location says counts; before one
/// is found, what the server says.
pub(super) fn with_added<D: Driver, T>(
    client: &Client<'_, D>,
    source: &Source<'_, '_, '_>,
    status: u16,
    said: Said,
    act: impl FnOnce(Option<&dyn EditFields>) -> T,
) -> T {
    let of_server = || source.server.fallback.map(|nth| &source.server.locations[nth]);
    match source.location.or_else(of_server).map(|location| &location.answers) {
        Some(answers) if !answers.is_empty() => {
            let media_type = [Header { name: "content-type", value: said.media_type.as_bytes() }];
            let fields = if said.media_type.is_empty() { &[][..] } else { &media_type };
            let connection = Answered { connection: source.connection, status, fields };
            let source = Source { connection: &connection, ..*source };
            act(Some(&Edits::new(answers, Texts::Source(&source), status, said.last_modified, now(client), None)))
        }
        _ => act(None),
    }
}

/// The same as lines that lie ready, for a request that came to `location`. None where nothing is added, or where it is too much for a
/// head.
pub(super) fn added_lines<D: Driver>(
    client: &Client<'_, D>,
    plan: &Plan,
    course: &Course,
    location: &Location,
    status: u16,
    said: Said,
) -> Lines {
    if location.answers.is_empty() {
        return Lines::default();
    }
    let written = with_source(client, plan, course, |source, _| {
        with_added(client, source, status, said, |edit| {
            let mut lines = vec![0; BUFFER_SMALL];
            let mut writer = Writer::new(&mut lines);
            edit?.add(&mut writer, status);
            let len = writer.finish()?;
            lines.truncate(len);
            Some(Lines(lines))
        })
    });
    written.flatten().unwrap_or_default()
}
