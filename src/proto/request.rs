//! A request's head: found in a buffer, checked, and understood.

use super::fields::{self, Options, is};
use super::framing::{Claims, Framing};
use super::reason::Reason;
use super::target::{self, Authority};
use crate::limits::{EMPTY_LINES_MAX, HEAD_MAX, TARGET_MAX};
use httparse::{Error, Header, Status};
use std::borrow::Cow;

pub use super::fields::FieldSlots;

/// The versions spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// A request's head as it lies in the buffer.
#[derive(Debug)]
pub struct Request<'h, 'b> {
    /// A token, case-sensitive.
    pub method: &'b str,
    /// As received: visible ASCII characters.
    pub target: &'b str,
    /// As received.
    pub version: Version,
    /// In their order; names are tokens, values have no blanks around them and no control characters but tabs.
    pub fields: &'h [Header<'b>],
    /// Bytes of the head, with empty lines before it and the one behind it.
    pub len: usize,
}

/// Finds a head at the beginning of `buf`. `None`: more bytes are needed. An error is final; the connection's bytes cannot
/// be trusted after it.
pub fn parse<'h, 'b>(buf: &'b [u8], slots: &'h mut FieldSlots<'b>) -> Result<Option<Request<'h, 'b>>, Reason> {
    // Bytes beyond the limit cannot make a head acceptable.
    let window = &buf[..buf.len().min(HEAD_MAX)];
    let Some(start) = skip_empty_lines(window)? else { return Ok(None) };
    let bytes = &window[start..];
    let mut head = httparse::Request::new(&mut []);
    let status = head.parse_with_uninit_headers(bytes, &mut slots.0);
    let line = Line { bytes, method: head.method, target: head.path };
    if line.target_len() > TARGET_MAX {
        return Err(Reason::TargetTooLong);
    }
    let len = match status {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) if window.len() == HEAD_MAX => return Err(Reason::HeadTooLarge),
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(line.blame(error)),
    };
    let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Err(Reason::BadRequestLine);
    };
    if let Some(at) = fields::bare_line_feed(&bytes[..len]) {
        let in_line = at < line.end();
        return Err(if in_line { Reason::BadRequestLine } else { Reason::BadField });
    }
    // The parser takes UTF-8 here; a URI has none (RFC 3986 2).
    if !target.is_ascii() {
        return Err(Reason::BadTarget);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    Ok(Some(Request { method, target, version, fields: head.headers, len: start + len }))
}

/// RFC 9112 2.2: a server should ignore an empty line before a request. Returns where the request begins.
fn skip_empty_lines(buf: &[u8]) -> Result<Option<usize>, Reason> {
    let mut at = 0;
    loop {
        match &buf[at..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if at < 2 * EMPTY_LINES_MAX => at += 2,
            [b'\r' | b'\n', ..] => return Err(Reason::BadRequestLine),
            _ => return Ok(Some(at)),
        }
    }
}

/// A request line as far as it was understood.
struct Line<'b> {
    bytes: &'b [u8],
    method: Option<&'b str>,
    target: Option<&'b str>,
}

impl Line<'_> {
    /// Where the target begins, if the method is known.
    fn target_start(&self) -> usize {
        self.method.map_or(self.bytes.len(), |m| m.len() + 1)
    }

    /// Bytes of the target, or of so much of it as is there.
    fn target_len(&self) -> usize {
        match self.target {
            Some(target) => target.len(),
            None => {
                let rest = &self.bytes[self.target_start()..];
                if rest.len() <= TARGET_MAX {
                    rest.len()
                } else {
                    rest.iter().position(|b| *b <= b' ').unwrap_or(rest.len())
                }
            }
        }
    }

    /// Where the version begins, if the target is known.
    fn version_start(&self) -> usize {
        self.target.map_or(self.bytes.len(), |t| self.target_start() + t.len() + 1)
    }

    /// The end of a complete request line.
    fn end(&self) -> usize {
        self.version_start() + b"HTTP/1.1\r\n".len()
    }

    /// Names the culprit of a parser's error.
    fn blame(&self, error: Error) -> Reason {
        match error {
            Error::TooManyHeaders => Reason::HeadTooLarge,
            Error::HeaderName | Error::HeaderValue => Reason::BadField,
            Error::Version if self.is_other_version() => Reason::UnknownVersion,
            Error::NewLine if self.bytes[..self.end().min(self.bytes.len())].ends_with(b"\r\n") => Reason::BadField,
            // A line that ends after its target is HTTP/0.9; anything else there is a bad target.
            Error::Token if self.method.is_some() && self.target.is_none() => {
                match self.bytes[self.target_start()..].iter().find(|b| **b <= b' ' || **b == 0x7f) {
                    Some(b'\r' | b'\n') => Reason::BadRequestLine,
                    _ => Reason::BadTarget,
                }
            }
            _ => Reason::BadRequestLine,
        }
    }

    /// True for "HTTP/2.0", "HTTP/3" and the like, also when cut short.
    fn is_other_version(&self) -> bool {
        let rest = self.bytes.get(self.version_start()..).unwrap_or_default();
        let word = &rest[..rest.iter().position(|b| *b == b'\r' || *b == b'\n').unwrap_or(rest.len())];
        let Some(number) = word.strip_prefix(b"HTTP/") else { return false };
        number.first().is_some_and(u8::is_ascii_digit)
            && number.len() <= b"10.10".len()
            && number.iter().all(|b| b.is_ascii_digit() || *b == b'.')
    }
}

/// What a session must know of a request once its head's bytes are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFacts {
    /// The client's version; decides which framings and interim responses it understands.
    pub version: Version,
    /// HEAD: the response has no body whatever it says.
    pub is_head: bool,
    /// It may be sent again when the first try's fate is unknown (RFC 9110 9.2.2).
    pub idempotent: bool,
    /// Never `Close`.
    pub body: Framing,
    /// The client wants to go on with this connection.
    pub keep_alive: bool,
    /// The client waits for 100 before it sends its body. False when there is no body to wait for.
    pub expect_continue: bool,
    /// The client asks for a WebSocket.
    pub websocket: bool,
}

impl RequestFacts {
    /// The same as GET (HEAD stays HEAD) without a body. What body there is is not read: the connection ends behind the answer.
    pub fn as_get(self) -> RequestFacts {
        let keep_alive = self.keep_alive && self.body == Framing::None;
        let (idempotent, expect_continue, websocket) = (true, false, false);
        RequestFacts { body: Framing::None, keep_alive, idempotent, expect_continue, websocket, ..self }
    }
}

/// Where a request goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Route<'b> {
    /// Lower case, no port, no final dot; "" if the request has none (HTTP/1.0).
    pub host: Cow<'b, str>,
    /// As to be sent as Host; "" if the request has none.
    pub authority: &'b str,
    /// For matching locations: decoded, dot segments resolved, slashes merged. "/" for "*".
    pub path: Cow<'b, str>,
    /// To be sent: origin form or "*", raw. Begins with '?' where an absolute form had an empty path; `write_request` adds
    /// the '/' then.
    pub target: &'b str,
}

impl<'b> Request<'_, 'b> {
    /// Decides framing and route in one pass over the fields. After an error the connection is to be closed: where the
    /// next request would begin is not known.
    pub fn inspect(&self) -> Result<(RequestFacts, Route<'b>), Reason> {
        let mut claims = Claims::default();
        let mut options = Options::default();
        let (mut host, mut hosts): (Option<&'b [u8]>, u32) = (None, 0);
        let mut expect: Option<Expect> = None;
        let mut websocket = false;
        for field in self.fields {
            let (name, value) = (field.name, field.value);
            match name.len() {
                4 if is(name, "host") => {
                    hosts += 1;
                    host = Some(value);
                }
                6 if is(name, "expect") => {
                    let known = value.eq_ignore_ascii_case(b"100-continue") && expect != Some(Expect::Unknown);
                    expect = Some(if known { Expect::Continue } else { Expect::Unknown });
                }
                7 if is(name, "upgrade") => websocket |= fields::lists(value, "websocket"),
                10 if is(name, "connection") => options.add(value),
                14 if is(name, "content-length") => claims.content_length(value),
                17 if is(name, "transfer-encoding") => claims.transfer_encoding(value),
                _ => {}
            }
        }
        let is_1_1 = self.version == Version::Http11;
        let body = claims.of_request(self.version)?;
        if self.method == "CONNECT" {
            return Err(Reason::ConnectMethod);
        }
        if options.too_many() {
            return Err(Reason::BadField);
        }
        // RFC 9112 3.2: more than one is refused.
        if hosts > 1 {
            return Err(Reason::BadHost);
        }
        let route = self.route(host)?;
        // RFC 9110 10.1.1: HTTP/1.0 knows no expectations.
        if is_1_1 && expect == Some(Expect::Unknown) {
            return Err(Reason::ExpectationFailed);
        }
        let facts = RequestFacts {
            version: self.version,
            is_head: self.method == "HEAD",
            idempotent: matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"),
            body,
            keep_alive: !options.close && (is_1_1 || options.keep_alive),
            expect_continue: is_1_1 && expect.is_some() && !body.is_empty(),
            websocket: websocket && options.upgrade && is_1_1 && self.method == "GET" && body.is_empty(),
        };
        Ok((facts, route))
    }

    /// Joins target and Host.
    fn route(&self, host: Option<&'b [u8]>) -> Result<Route<'b>, Reason> {
        let target = target::parse(self.target, self.method)?;
        let field = match host {
            Some(value) => target::parse_authority(value)?,
            None if self.version == Version::Http10 => Authority { host: Cow::Borrowed(""), text: "" },
            None => return Err(Reason::BadHost),
        };
        let Authority { host, text } = target.authority.unwrap_or(field);
        Ok(Route { host, authority: text, path: target.path, target: target.origin })
    }
}

/// What Expect asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Continue,
    Unknown,
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
