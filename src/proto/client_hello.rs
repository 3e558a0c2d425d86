//! The first message of a TLS connection (RFC 8446 4.1.2, RFC 5246 7.4.1.2), read without answering it: the name it asks for decides
//! who answers. What is cut into many records or segments means the same as in one piece.

use crate::limits::{
    CLIENT_HELLO_ALPN_MAX, CLIENT_HELLO_MAX, CLIENT_HELLO_RECORDS_MAX, TLS_RECORD_HEADER, TLS_RECORD_MAX,
};
use std::borrow::Cow;

/// What a ClientHello says that matters before anybody has answered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The name asked for (SNI): lower case, without a dot at the end. `None` also for what is no host name: addresses above all.
    pub server_name: Option<String>,
    /// Protocols offered by ALPN, the client's favourite first; at most `limits::CLIENT_HELLO_ALPN_MAX`.
    pub alpn: Vec<Vec<u8>>,
    /// The highest version of TLS offered, as on the wire: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3.
    pub version: u16,
}

/// Why bytes are not the beginning of a TLS connection that we understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTls {
    /// An HTTP request without TLS: someone wrote `http://` for `https://`.
    PlainHttp,
    /// A hello in the form of SSL 2, which RFC 8446 D.5 forbids.
    Sslv2,
    /// A record of another type than handshake, or no record at all: its first byte.
    ContentType(u8),
    /// A record longer than TLS allows.
    RecordTooLarge,
    /// A ClientHello longer than `limits::CLIENT_HELLO_MAX`.
    HelloTooLarge,
    /// A ClientHello in more than `limits::CLIENT_HELLO_RECORDS_MAX` records.
    TooManyRecords,
    /// The first handshake message is another one: its type.
    NotHello(u8),
    /// Lengths contradict each other.
    Malformed,
}

impl NotTls {
    /// A few words for the log, to be read behind "the client sent".
    pub fn text(self) -> &'static str {
        match self {
            NotTls::PlainHttp => "an HTTP request without TLS",
            NotTls::Sslv2 => "a hello of SSL 2",
            NotTls::ContentType(20..=23) => "a TLS record, but no ClientHello",
            NotTls::ContentType(_) => "something else than TLS",
            NotTls::RecordTooLarge => "a TLS record that is too long",
            NotTls::HelloTooLarge => "a ClientHello that is too long",
            NotTls::TooManyRecords => "a ClientHello in too many records",
            NotTls::NotHello(_) => "a TLS handshake that does not begin with a ClientHello",
            NotTls::Malformed => "a malformed ClientHello",
        }
    }
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HANDSHAKE_HEADER: usize = 4;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// Reads the ClientHello at the beginning of `bytes`, all that a client has sent so far. `None`: more is needed; there are then fewer than
/// `limits::CLIENT_HELLO_WIRE_MAX` bytes. What follows the hello is not looked at. With more bytes an answer does not change.
///
/// To be called again whenever more came: until the hello is whole, only the headers of its few records are looked at.
pub fn parse(bytes: &[u8]) -> Result<Option<ClientHello>, NotTls> {
    match bytes.first() {
        Some(&HANDSHAKE) => {}
        Some(_) => return foreign(bytes),
        None => return Ok(None),
    }
    let (mut head, mut have, mut rest) = ([0; HANDSHAKE_HEADER], 0, bytes);
    for _ in 0..CLIENT_HELLO_RECORDS_MAX {
        let Some(Record { fragment, after }) = record(rest)? else { return Ok(None) };
        head.iter_mut().skip(have).zip(fragment).for_each(|(to, from)| *to = *from);
        have += fragment.len();
        if have > 0 && head[0] != CLIENT_HELLO {
            return Err(NotTls::NotHello(head[0]));
        }
        if have >= HANDSHAKE_HEADER {
            let needed = HANDSHAKE_HEADER + u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
            if needed > CLIENT_HELLO_MAX {
                return Err(NotTls::HelloTooLarge);
            }
            if have >= needed {
                return hello(&gather(bytes, needed)[HANDSHAKE_HEADER..]).ok_or(NotTls::Malformed).map(Some);
            }
        }
        match after {
            Some(after) => rest = after,
            None => return Ok(None),
        }
    }
    Err(NotTls::TooManyRecords)
}

/// One handshake record, perhaps not whole.
struct Record<'b> {
    /// What is there of its content.
    fragment: &'b [u8],
    /// What follows it, if it is whole.
    after: Option<&'b [u8]>,
}

/// The record at the beginning of `bytes`; `None`: its header is not whole.
fn record(bytes: &[u8]) -> Result<Option<Record<'_>>, NotTls> {
    let Some((header, rest)) = bytes.split_at_checked(TLS_RECORD_HEADER) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    match (header[0], header[1]) {
        (HANDSHAKE, 3) => {}
        (HANDSHAKE, _) => return Err(NotTls::Malformed),
        (other, _) => return Err(NotTls::ContentType(other)),
    }
    match length {
        // RFC 8446 5.1: a handshake record says something. Empty ones could go on for ever.
        0 => Err(NotTls::Malformed),
        1..=TLS_RECORD_MAX => Ok(Some(match rest.split_at_checked(length) {
            Some((fragment, after)) => Record { fragment, after: Some(after) },
            None => Record { fragment: rest, after: None },
        })),
        _ => Err(NotTls::RecordTooLarge),
    }
}

/// The first `needed` bytes of handshake in `bytes`, which has them.
fn gather(bytes: &[u8], needed: usize) -> Cow<'_, [u8]> {
    let mut rest = bytes;
    let mut whole = Vec::new();
    while let Ok(Some(Record { fragment, after })) = record(rest) {
        // Nearly always all of it is in one record.
        if whole.is_empty() && fragment.len() >= needed {
            return Cow::Borrowed(&fragment[..needed]);
        }
        whole.reserve(needed - whole.len());
        whole.extend_from_slice(&fragment[..fragment.len().min(needed - whole.len())]);
        match after {
            Some(after) if whole.len() < needed => rest = after,
            _ => break,
        }
    }
    Cow::Owned(whole)
}

/// What this is instead of a TLS record; `Ok`: too little to tell.
fn foreign(bytes: &[u8]) -> Result<Option<ClientHello>, NotTls> {
    // Also PRI, HTTP/2's preface.
    const METHODS: [&[u8]; 10] =
        [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"TRACE ", b"CONNECT ", b"PRI "];
    if METHODS.iter().any(|method| bytes.starts_with(method)) {
        return Err(NotTls::PlainHttp);
    }
    match bytes {
        // Two bytes of length, with the highest bit set, a type and a version.
        [0x80..=0xff, _, CLIENT_HELLO, 0 | 2 | 3, ..] => Err(NotTls::Sslv2),
        [0x80..=0xff] | [0x80..=0xff, _] | [0x80..=0xff, _, CLIENT_HELLO] => Ok(None),
        _ if METHODS.iter().any(|method| method.starts_with(bytes)) => Ok(None),
        _ => Err(NotTls::ContentType(bytes[0])),
    }
}

/// Takes lengths and what they promise off the front; `None`: they promise too much.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector whose length is one byte.
    fn short(&mut self) -> Option<&'b [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// A vector whose length is two bytes.
    fn long(&mut self) -> Option<&'b [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The message without its header; `None`: lengths contradict each other.
fn hello(body: &[u8]) -> Option<ClientHello> {
    let mut reader = Reader(body);
    let mut hello = ClientHello { server_name: None, alpn: Vec::new(), version: reader.u16()? };
    let _random = reader.take(32)?;
    let session = reader.short()?;
    let suites = reader.long()?;
    let compressions = reader.short()?;
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compressions.is_empty() {
        return None;
    }
    // Clients older than TLS 1.2 may leave out the extensions with their length.
    let mut extensions = Reader(if reader.is_empty() { &[] } else { reader.long()? });
    if !reader.is_empty() {
        return None;
    }
    let mut seen = [false; 3];
    while !extensions.is_empty() {
        let (kind, content) = (extensions.u16()?, Reader(extensions.long()?));
        let Some(known) = [SERVER_NAME, ALPN, SUPPORTED_VERSIONS].iter().position(|&known| known == kind) else {
            continue;
        };
        // Two names, and two readers might take different ones.
        if std::mem::replace(&mut seen[known], true) {
            return None;
        }
        match kind {
            SERVER_NAME => hello.server_name = server_name(content)?,
            ALPN => hello.alpn = protocols(content)?,
            _ => hello.version = highest_version(content)?.unwrap_or(hello.version),
        }
    }
    Some(hello)
}

/// RFC 6066 3.
fn server_name(mut content: Reader) -> Option<Option<String>> {
    const HOST_NAME: u8 = 0;
    let mut names = Reader(content.long()?);
    if names.is_empty() || !content.is_empty() {
        return None;
    }
    let mut found = None;
    while !names.is_empty() {
        // Nobody knows where a name of another type ends, so that the list ends with it.
        if names.u8()? != HOST_NAME {
            break;
        }
        if found.replace(names.long()?).is_some() {
            return None;
        }
    }
    Some(found.and_then(host_name))
}

/// RFC 7301 3.1.
fn protocols(mut content: Reader) -> Option<Vec<Vec<u8>>> {
    let mut names = Reader(content.long()?);
    if names.is_empty() || !content.is_empty() {
        return None;
    }
    let mut found = Vec::new();
    while !names.is_empty() {
        let name = names.short()?;
        if name.is_empty() {
            return None;
        }
        if found.len() < CLIENT_HELLO_ALPN_MAX {
            found.push(name.to_vec());
        }
    }
    Some(found)
}

/// RFC 8446 4.2.1. Numbers that are no version of TLS are there so that servers learn to skip them (RFC 8701).
fn highest_version(mut content: Reader) -> Option<Option<u16>> {
    let versions = content.short()?;
    if versions.is_empty() || versions.len() % 2 != 0 || !content.is_empty() {
        return None;
    }
    let versions = versions.chunks_exact(2).map(|version| u16::from_be_bytes([version[0], version[1]]));
    Some(versions.filter(|version| (0x0300..=0x0304).contains(version)).max())
}

/// Labels of letters, digits, '-' and '_', as rustls has it: the two must agree whom a client asked for.
fn host_name(bytes: &[u8]) -> Option<String> {
    let name = str::from_utf8(bytes).ok()?;
    let bare = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(letters)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits alone means an IPv4 address.
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let right = name.len() <= 253 && bare.split('.').all(is_label) && !bare.rsplit('.').next().is_some_and(is_number);
    right.then(|| bare.to_ascii_lowercase())
}

#[cfg(test)]
#[path = "client_hello_tests.rs"]
mod tests;
