//! Heads written anew for the other side. What is sent comes from the parsed head, field by field, never from the peer's
//! bytes with edits; framing, Connection and the forwarded fields are always our own.

use super::accept_encoding::ContentCoding;
use super::fields::{Named, is, is_hop_by_hop, is_token, lists, trim};
use super::framing::Framing;
use super::request::{Request, RequestFacts, Route, Version};
use super::response::{Response, ResponseFacts};
use super::sticky::SetCookie;
use super::writer::Writer;
use httparse::Header;
use std::fmt;

/// What the backend is told about the client.
pub struct Forwarding<'a> {
    /// The peer's address, without port.
    pub peer_ip: &'a str,
    /// The client's: the peer's, or the one that a trusted peer names.
    pub client_ip: &'a str,
    /// "http" or "https": how the client came to us.
    pub scheme: &'a str,
    /// The peer is a proxy of our own: what it says about its client is passed on.
    pub trusted: bool,
    /// Host for a request that has none (HTTP/1.0).
    pub fallback_host: &'a str,
    /// Fields that the configuration sets.
    pub set: Option<&'a dyn SetFields>,
    /// The method in place of the one that came.
    pub method: Option<&'a str>,
    /// What is asked for in place of what came: origin form, visible ASCII characters.
    pub target: Option<&'a [u8]>,
}

/// Fields that the configuration sets in requests: they take the place of the client's and of ours.
pub trait SetFields {
    /// How many there are.
    fn len(&self) -> usize;
    /// There are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The name of one.
    fn name(&self, nth: usize) -> &str;
    /// Its value, piece by piece. Without a byte the field is left out.
    fn value(&self, nth: usize, out: &mut dyn FnMut(&[u8]));
}

impl dyn SetFields + '_ {
    /// Those that may be set: never what belongs to one connection, or frames.
    fn named(&self) -> impl Iterator<Item = (usize, &str)> {
        (0..self.len()).map(|nth| (nth, self.name(nth))).filter(|(_, name)| !is_hop_by_hop(name) && !is(name, "expect"))
    }

    /// This field is set. CGI, WSGI and PHP see no difference between '-', '_' and other signs: `X_Client_DN` and `X.Client.DN` would pass for
    /// `X-Client-DN`.
    fn has(&self, name: &str) -> bool {
        let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
        let same = |other: &str| name.len() == other.len() && name.bytes().map(fold).eq(other.bytes().map(fold));
        self.named().any(|(_, other)| same(other))
    }

    /// Writes one, unless it is empty; true if it was written.
    fn write(&self, w: &mut Writer, nth: usize) -> bool {
        put_configured(w, self.name(nth), |out| self.value(nth, out))
    }
}

/// Writes a field that the configuration sets, unless its value is empty; true if it was written. What would end the line or the text
/// becomes a blank (RFC 9110 5.5): values are made of what clients say.
pub fn put_configured(w: &mut Writer, name: &str, value: impl FnOnce(&mut dyn FnMut(&[u8]))) -> bool {
    let mut begun = false;
    value(&mut |piece| {
        if !piece.is_empty() && !std::mem::replace(&mut begun, true) {
            w.put_str(name);
            w.put(b": ");
        }
        let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
        for part in piece.split_inclusive(is_control) {
            match part.split_last() {
                Some((last, rest)) if is_control(last) => {
                    w.put(rest);
                    w.put(b" ");
                }
                _ => w.put(part),
            }
        }
    });
    if begun {
        w.put(b"\r\n");
    }
    begun
}

/// True when the configuration may not set a field of this name in answers: it belongs to the connection, or frames the body.
pub fn is_our_own(name: &str) -> bool {
    is_hop_by_hop(name)
}

/// What becomes of a request's field.
enum Fate {
    /// It goes on unless Connection names it.
    Pass,
    /// It ends here, or is written anew elsewhere.
    Drop,
    Te,
    Forwarded,
    ForwardedFor,
    RealIp,
    ForwardedProto,
    ForwardedHost,
}

/// Sorts the field names that matter; lengths first.
#[inline]
fn fate(name: &str) -> Fate {
    let known = match name.len() {
        2 if is(name, "te") => Fate::Te,
        4 if is(name, "host") => Fate::Drop,
        // CGI programs take it for their HTTP_PROXY variable (CVE-2016-5385); no client has a reason to send it.
        5 if is(name, "proxy") => Fate::Drop,
        6 if is(name, "expect") => Fate::Drop,
        9 if is(name, "x-real-ip") => Fate::RealIp,
        9 if is(name, "forwarded") => Fate::Forwarded,
        15 if is(name, "x-forwarded-for") => Fate::ForwardedFor,
        16 if is(name, "x-forwarded-host") => Fate::ForwardedHost,
        17 if is(name, "x-forwarded-proto") => Fate::ForwardedProto,
        _ if is_hop_by_hop(name) => Fate::Drop,
        _ => Fate::Pass,
    };
    // Backends turn '-' into '_' (CGI, WSGI), so that X_Real_IP would pass for X-Real-IP.
    if matches!(known, Fate::Pass) && name.bytes().any(|b| b == b'_') { Fate::Drop } else { known }
}

/// Writes a request for a backend: HTTP/1.1, origin form, Host first.
pub fn write_request(w: &mut Writer, request: &Request, facts: &RequestFacts, route: &Route, forwarding: &Forwarding) {
    w.put_str(forwarding.method.unwrap_or(request.method));
    match forwarding.target {
        Some(target) => {
            w.put(b" ");
            w.put(target);
        }
        // An absolute form without a path left us the query alone (RFC 9112 3.2.1).
        None => {
            w.put(if route.target.starts_with('?') { b" /" } else { b" " });
            w.put_str(route.target);
        }
    }
    w.put(b" HTTP/1.1\r\n");
    write_host(w, route, forwarding);
    let named = Named::new(request.fields);
    let mut trailers = false;
    let mut chain = false;
    // Ours are written below unless the trusted peer's were passed on here.
    let (mut real_ip, mut proto, mut forwarded_host) = (true, true, !route.authority.is_empty());
    let is_set = |name| forwarding.set.is_some_and(|set| set.has(name));
    for field in request.fields {
        let (name, value) = (field.name, field.value);
        let pass = match fate(name) {
            _ if is_set(name) => false,
            Fate::Pass => !named.has(name),
            Fate::Drop => false,
            Fate::Te => {
                trailers |= facts.version == Version::Http11 && lists(value, "trailers");
                false
            }
            Fate::ForwardedFor => {
                chain = true;
                false
            }
            Fate::Forwarded => forwarding.trusted,
            Fate::RealIp => keep_trusted(forwarding, &mut real_ip),
            Fate::ForwardedProto => keep_trusted(forwarding, &mut proto),
            Fate::ForwardedHost => keep_trusted(forwarding, &mut forwarded_host),
        };
        if pass {
            w.put_field(name, value);
        }
    }

    if let Some(set) = forwarding.set {
        for (nth, _) in set.named().filter(|(_, name)| !is(name, "host")) {
            set.write(w, nth);
        }
    }
    if !is_set("x-forwarded-for") {
        write_forwarded_for(w, if chain { request.fields } else { &[] }, forwarding.peer_ip);
    }
    if real_ip && !is_set("x-real-ip") {
        w.put_field("X-Real-IP", forwarding.client_ip.as_bytes());
    }
    if proto && !is_set("x-forwarded-proto") {
        w.put_field("X-Forwarded-Proto", forwarding.scheme.as_bytes());
    }
    if forwarded_host && !is_set("x-forwarded-host") {
        w.put_field("X-Forwarded-Host", route.authority.as_bytes());
    }
    if facts.expect_continue {
        w.put(b"Expect: 100-continue\r\n");
    }
    // RFC 9110 10.1.4: TE must be named in Connection; the fields are few enough to spell out the pairs.
    match (facts.websocket, trailers) {
        (true, _) => w.put(b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
        (false, true) => w.put(b"Connection: TE\r\nTE: trailers\r\n"),
        (false, false) => {}
    }
    write_framing(w, facts.body);
    w.put(b"\r\n");
}

/// Writes the one Host: as set, else as the client's. HTTP/1.1 must have it, so that an empty value leaves the client's.
fn write_host(w: &mut Writer, route: &Route, forwarding: &Forwarding) {
    if let Some(set) = forwarding.set
        && let Some((nth, _)) = set.named().find(|(_, name)| is(name, "host"))
        && set.write(w, nth)
    {
        return;
    }
    let host = if route.authority.is_empty() { forwarding.fallback_host } else { route.authority };
    w.put_field("Host", host.as_bytes());
}

/// True when the trusted peer's field goes on; ours is not needed then.
fn keep_trusted(forwarding: &Forwarding, ours: &mut bool) -> bool {
    *ours &= !forwarding.trusted;
    forwarding.trusted
}

/// The chain that came, and this hop's client behind it: one field, so that readers of the first or the last one agree.
fn write_forwarded_for(w: &mut Writer, fields: &[Header], peer_ip: &str) {
    w.put(b"X-Forwarded-For: ");
    forwarded_for(fields, peer_ip, |piece| w.put(piece));
    w.put(b"\r\n");
}

/// Hands out the value of X-Forwarded-For piece by piece.
pub fn forwarded_for(fields: &[Header], peer_ip: &str, mut out: impl FnMut(&[u8])) {
    for field in fields.iter().filter(|f| is(f.name, "x-forwarded-for") && !f.value.is_empty()) {
        out(field.value);
        out(b", ");
    }
    out(peer_ip.as_bytes());
}

/// Writes the one field that frames a body, if one is needed.
fn write_framing(w: &mut Writer, framing: Framing) {
    match framing {
        Framing::None | Framing::Close => {}
        Framing::Chunked => w.put(b"Transfer-Encoding: chunked\r\n"),
        Framing::Length(bytes) => {
            w.put(b"Content-Length: ");
            w.put_u64(bytes);
            w.put(b"\r\n");
        }
    }
}

/// What the configuration changes in the fields of answers.
pub trait EditFields {
    /// Writes one of a backend's fields, changed perhaps, or leaves it out.
    fn pass(&self, w: &mut Writer, name: &str, value: &[u8]);
    /// Writes fields more behind the others of an answer of this status, which is a final one.
    fn add(&self, w: &mut Writer, status: u16);
    /// A field of ours by this name is not said: another takes its place.
    fn hides(&self, _name: &str) -> bool {
        false
    }
}

impl fmt::Debug for dyn EditFields + '_ {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("EditFields")
    }
}

/// Fields that lie ready to be added, as lines of a head.
#[derive(Debug, Clone, Default)]
pub struct Lines(pub Vec<u8>);

impl Lines {
    /// `None`: there are none.
    pub fn as_edit(&self) -> Option<&dyn EditFields> {
        if self.0.is_empty() { None } else { Some(self) }
    }
}

impl EditFields for Lines {
    fn pass(&self, w: &mut Writer, name: &str, value: &[u8]) {
        w.put_field(name, value);
    }

    fn add(&self, w: &mut Writer, _status: u16) {
        w.put(&self.0);
    }
}

/// What we add to a backend's answer, and change in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Added<'a> {
    /// A cookie of ours, set behind the backend's own.
    pub cookie: Option<&'a SetCookie<'a>>,
    /// The value of Strict-Transport-Security, in place of the backend's.
    pub hsts: Option<&'a str>,
    /// What the configuration changes.
    pub edit: Option<&'a dyn EditFields>,
    /// The body is put into this coding on its way, or would be if it came. Its length is not known before, so that `framing` states
    /// none.
    pub coding: Option<ContentCoding>,
    /// Vary is to name Accept-Encoding, and does not yet.
    pub vary: bool,
}

/// Writes a final response for the client. `framing`: how the body will go to it (see `ResponseFacts::framing_to_client`).
/// `close`: the connection ends after it; `Framing::Close` implies that.
pub fn write_response(
    w: &mut Writer,
    response: &Response,
    facts: &ResponseFacts,
    request: &RequestFacts,
    framing: Framing,
    close: bool,
    added: Added,
) {
    write_status_line(w, response);
    // RFC 9110 15.5.22: 426 must say which protocol is wanted, and Upgrade needs its Connection option.
    let upgrade = response.status == 426 && response.fields.iter().any(|f| is(f.name, "upgrade"));
    write_fields(w, response, upgrade, &added);
    write_more(w, response.status, &added);
    if let Some(cookie) = added.cookie {
        cookie.write(w);
    }
    match (close || framing == Framing::Close, upgrade) {
        (true, true) => w.put(b"Connection: close, upgrade\r\n"),
        (true, false) => w.put(b"Connection: close\r\n"),
        (false, true) => w.put(b"Connection: upgrade\r\n"),
        (false, false) if request.version == Version::Http10 => w.put(b"Connection: keep-alive\r\n"),
        (false, false) => {}
    }
    // RFC 9110 8.6: answers to HEAD and 304 may state the length that the body would have.
    match (framing, facts.content_length) {
        (Framing::None, Some(_)) if added.coding.is_some() => {}
        (Framing::None, Some(bytes)) if (request.is_head && facts.status != 204) || facts.status == 304 => {
            write_framing(w, Framing::Length(bytes));
        }
        _ => write_framing(w, framing),
    }
    w.put(b"\r\n");
}

/// Writes an interim response (1xx but 101). HTTP/1.0 clients must not be sent one (RFC 9110 15.2).
pub fn write_interim(w: &mut Writer, response: &Response, edit: Option<&dyn EditFields>) {
    write_status_line(w, response);
    write_fields(w, response, false, &Added { edit, ..Added::default() });
    w.put(b"\r\n");
}

/// Writes the 101 that turns the connection into a WebSocket.
pub fn write_switching(w: &mut Writer, response: &Response, added: Added) {
    write_status_line(w, response);
    write_fields(w, response, false, &added);
    write_more(w, response.status, &added);
    w.put(b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

fn write_status_line(w: &mut Writer, response: &Response) {
    w.put(b"HTTP/1.1 ");
    w.put_u64(response.status.into());
    // The blank stays where the phrase is empty (RFC 9112 4).
    w.put(b" ");
    w.put_str(response.reason);
    w.put(b"\r\n");
}

/// The backend's fields that are meant for the client.
fn write_fields(w: &mut Writer, response: &Response, upgrade: bool, added: &Added) {
    let named = Named::new(response.fields);
    for field in response.fields {
        let replaced = added.hsts.is_some() && is(field.name, "strict-transport-security");
        let pass = !is_hop_by_hop(field.name) && !is_for_proxy(field.name) && !named.has(field.name) && !replaced;
        if pass || (upgrade && is(field.name, "upgrade")) {
            match added.coding.map_or(Recoded::Same, |_| recoded(field.name, field.value)) {
                Recoded::Same => put_field(w, field.name, field.value, added.edit),
                Recoded::Weak(tag) => put_field(w, field.name, &tag, added.edit),
                Recoded::Gone => {}
            }
        }
    }
}

#[inline]
fn put_field(w: &mut Writer, name: &str, value: &[u8], edit: Option<&dyn EditFields>) {
    match edit {
        None => w.put_field(name, value),
        Some(edit) => edit.pass(w, name, value),
    }
}

/// Our own fields of a final answer.
fn write_more(w: &mut Writer, status: u16, added: &Added) {
    if let Some(hsts) = added.hsts {
        w.put_field("Strict-Transport-Security", hsts.as_bytes());
    }
    if let Some(coding) = added.coding {
        w.put_field("Content-Encoding", coding.name().as_bytes());
    }
    if added.vary {
        w.put_field("Vary", b"Accept-Encoding");
    }
    if let Some(edit) = added.edit {
        edit.add(w, status);
    }
}

/// True for what backends say to nginx as their proxy: X-Accel-Expires and the like.
#[inline]
fn is_for_proxy(name: &str) -> bool {
    name.len() > 8 && matches!(name.as_bytes()[0], b'x' | b'X') && is(name.get(..8).unwrap_or_default(), "x-accel-")
}

/// What becomes of a field when the body is put into a coding.
enum Recoded {
    Same,
    /// An entity tag, weak now: these are other bytes, but the same content (RFC 9110 8.8.1).
    Weak(Vec<u8>),
    /// It is about the bytes that came.
    Gone,
}

/// Offsets count in what came, and so do digests; an ETag that is none cannot be made a weak one (as in nginx).
fn recoded(name: &str, value: &[u8]) -> Recoded {
    const OF_BYTES: [&str; 5] = ["accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"];
    match name.len() {
        4 if is(name, "etag") => match value {
            [b'"', ..] => Recoded::Weak([b"W/", value].concat()),
            [b'W', b'/', ..] => Recoded::Same,
            _ => Recoded::Gone,
        },
        _ if OF_BYTES.iter().any(|gone| is(name, gone)) => Recoded::Gone,
        _ => Recoded::Same,
    }
}

/// Writes the trailer fields of a chunked body that may go on: none that frames, routes, authenticates, or would change
/// how the head was understood (RFC 9110 6.5.1). `trailers` are field lines that were checked when they came.
pub(super) fn write_trailers(w: &mut Writer, trailers: &[u8]) {
    for line in trailers.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let Ok(name) = str::from_utf8(&line[..colon]) else { continue };
        if is_token(name.as_bytes()) && is_trailer(name) {
            w.put_field(name, trim(&line[colon + 1..]));
        }
    }
}

/// True when a field of this name may be a trailer.
fn is_trailer(name: &str) -> bool {
    const FORBIDDEN: [&str; 32] = [
        "age",
        "authentication-info",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "max-forwards",
        "pragma",
        "proxy",
        "range",
        "retry-after",
        "set-cookie",
        "trailer",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-real-ip",
        "origin",
    ];
    let forwarded = name.len() >= 12 && is(name.get(..12).unwrap_or_default(), "x-forwarded-");
    !forwarded && !is_hop_by_hop(name) && !name.contains('_') && !FORBIDDEN.iter().any(|f| is(name, f))
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
