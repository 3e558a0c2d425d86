//! A backend's response head: found in a buffer, checked, and understood.

use super::fields::{self, FieldSlots, Options, is};
use super::framing::{Claims, Framing};
use super::reason::Reason;
use super::request::{RequestFacts, Version};
use crate::limits::HEAD_MAX;
use httparse::{Error, Header, Status};

/// A response's head as it lies in the buffer.
#[derive(Debug)]
pub struct Response<'h, 'b> {
    /// 100 to 999.
    pub status: u16,
    /// The phrase behind it; empty if there is none or it is not ASCII.
    pub reason: &'b str,
    /// As received.
    pub version: Version,
    /// In their order, as in a request.
    pub fields: &'h [Header<'b>],
    /// Bytes of the head, the empty line included.
    pub len: usize,
}

/// Finds a head at the beginning of `buf`. `None`: more bytes are needed.
pub fn parse<'h, 'b>(buf: &'b [u8], slots: &'h mut FieldSlots<'b>) -> Result<Option<Response<'h, 'b>>, Reason> {
    let window = &buf[..buf.len().min(HEAD_MAX)];
    // The parser skips empty lines, but only requests may have them before their line: here they are left over from a body.
    if let Some(b'\r' | b'\n') = window.first() {
        return Err(Reason::BadResponse);
    }
    let mut head = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, window, &mut slots.0);
    let len = match status {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) if window.len() == HEAD_MAX => return Err(Reason::ResponseHeadTooLarge),
        Ok(Status::Partial) => return Ok(None),
        Err(Error::TooManyHeaders) => return Err(Reason::ResponseHeadTooLarge),
        Err(_) => return Err(Reason::BadResponse),
    };
    let (Some(minor), Some(status @ 100..)) = (head.version, head.code) else { return Err(Reason::BadResponse) };
    if fields::bare_line_feed(&window[..len]).is_some() {
        return Err(Reason::BadResponse);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    Ok(Some(Response { status, reason: head.reason.unwrap_or_default(), version, fields: head.headers, len }))
}

/// What a session must know of a response once its head's bytes are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseFacts {
    /// 100 to 999.
    pub status: u16,
    /// How the backend frames the body.
    pub body: Framing,
    /// The length it states, also where no body follows (HEAD, 304).
    pub content_length: Option<u64>,
    /// The backend's connection may serve another request after this message, provided that no byte follows it.
    pub keep_alive: bool,
    /// For how many seconds the backend keeps an idle connection, by its own word (`Keep-Alive: timeout=5`, RFC 2068 19.7.1.1).
    pub keep_alive_timeout: Option<u32>,
    /// 101 to a WebSocket: what follows is a tunnel.
    pub upgrade_websocket: bool,
}

impl ResponseFacts {
    /// An answer that comes before the final one; 101 is not among them.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    /// How the body can go to this client: chunks are unknown to HTTP/1.0, and HTTP/1.1 need not lose its connection
    /// because the backend closes its own.
    pub fn framing_to_client(&self, request: &RequestFacts) -> Framing {
        match (self.body, request.version) {
            (Framing::Chunked | Framing::Close, Version::Http10) => Framing::Close,
            (Framing::Chunked | Framing::Close, Version::Http11) => Framing::Chunked,
            (other, _) => other,
        }
    }
}

impl Response<'_, '_> {
    /// Decides framing and reuse in one pass over the fields.
    pub fn inspect(&self, request: &RequestFacts) -> Result<ResponseFacts, Reason> {
        let mut claims = Claims::default();
        let mut options = Options::default();
        let (mut websocket, mut keep_alive_timeout) = (false, None);
        for field in self.fields {
            let (name, value) = (field.name, field.value);
            match name.len() {
                7 if is(name, "upgrade") => websocket |= fields::lists(value, "websocket"),
                10 if is(name, "connection") => options.add(value),
                10 if is(name, "keep-alive") => keep_alive_timeout = keep_alive_timeout.or_else(|| timeout_of(value)),
                14 if is(name, "content-length") => claims.content_length(value),
                17 if is(name, "transfer-encoding") => claims.transfer_encoding(value),
                _ => {}
            }
        }
        let stated = claims.of_response(self.version)?;
        if options.too_many() {
            return Err(Reason::BadResponse);
        }
        let upgrade_websocket = self.status == 101 && request.websocket && websocket;
        if self.status == 101 && !upgrade_websocket {
            return Err(Reason::BadResponse);
        }
        // RFC 9112 6.3: these never have a body, whatever their fields say.
        let never = self.status < 200 || self.status == 204;
        let bodiless = never || self.status == 304 || request.is_head;
        let body = if bodiless { Framing::None } else { stated };
        let is_1_1 = self.version == Version::Http11;
        // Whoever announces a body that must not be there may well send it: such a connection is not used again.
        let suspect = never && matches!(stated, Framing::Chunked | Framing::Length(1..));
        Ok(ResponseFacts {
            status: self.status,
            body,
            content_length: if let Framing::Length(bytes) = stated { Some(bytes) } else { None },
            keep_alive: !options.close && (is_1_1 || options.keep_alive) && body != Framing::Close && !suspect,
            keep_alive_timeout,
            upgrade_websocket,
        })
    }
}

/// The number in `timeout=5, max=100`.
fn timeout_of(value: &[u8]) -> Option<u32> {
    let parameters = std::str::from_utf8(value).ok()?.split(',');
    let mut named = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, seconds) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    seconds.trim().parse().ok()
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
