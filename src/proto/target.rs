//! The request target: its forms (RFC 9112 3.2), the authority in it, and the path that locations are matched with.

use super::fields::is;
use super::reason::Reason;
use crate::limits::HOST_MAX;
use std::borrow::Cow;
use std::net::Ipv6Addr;

/// A target taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'b> {
    /// From an absolute form; it wins over Host (RFC 9112 3.2.2).
    pub(super) authority: Option<Authority<'b>>,
    /// For matching: decoded, without dot segments and doubled slashes. "/" for "*", which asks about the server as a whole.
    pub(super) path: Cow<'b, str>,
    /// To be sent: origin form or "*", raw. It begins with '?' where an absolute form had no path; the writer adds the '/'.
    pub(super) origin: &'b str,
}

/// A host and perhaps a port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authority<'b> {
    /// Lower case, without port and without a final dot.
    pub(super) host: Cow<'b, str>,
    /// As received, to be sent as Host.
    pub(super) text: &'b str,
}

/// Takes a target apart. It consists of visible ASCII characters; the parser saw to that.
pub(super) fn parse<'b>(target: &'b str, method: &str) -> Result<Target<'b>, Reason> {
    // A fragment never leaves a client; whoever sends one hopes that two parsers differ about it.
    if memchr::memchr(b'#', target.as_bytes()).is_some() {
        return Err(Reason::BadTarget);
    }
    if target.starts_with('/') {
        return Ok(Target { authority: None, path: normalise(target)?, origin: target });
    }
    if target == "*" && method == "OPTIONS" {
        return Ok(Target { authority: None, path: Cow::Borrowed("/"), origin: target });
    }
    let rest = strip_scheme(target).ok_or(Reason::BadTarget)?;
    let (authority, origin) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = Some(parse_authority(authority.as_bytes())?);
    Ok(match origin.as_bytes().first() {
        Some(b'/') => Target { authority, path: normalise(origin)?, origin },
        Some(_) => Target { authority, path: Cow::Borrowed("/"), origin },
        // RFC 9112 3.2.4: OPTIONS for a URI without path and query means the server.
        None => Target { authority, path: Cow::Borrowed("/"), origin: if method == "OPTIONS" { "*" } else { "/" } },
    })
}

/// What follows "http://" or "https://".
fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (is(scheme, "http") || is(scheme, "https")).then_some(rest)
}

/// RFC 3986 3.2.2 uri-host and port, without userinfo (RFC 9110 4.2.4: it deceives readers).
#[inline]
pub(super) fn parse_authority(bytes: &[u8]) -> Result<Authority<'_>, Reason> {
    match plain_authority(bytes) {
        Some(authority) => Ok(authority),
        None => parse_any_authority(bytes),
    }
}

/// What nearly all clients send: small letters, digits, '-', single dots, and perhaps a port. `None`: something else.
fn plain_authority(bytes: &[u8]) -> Option<Authority<'_>> {
    let mut before = b'.';
    let mut end = bytes.len();
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => {}
            b'.' if before != b'.' => {}
            b':' if before != b'.' => {
                end = at;
                break;
            }
            _ => return None,
        }
        before = byte;
    }
    let port = bytes[end..].get(1..);
    let digits = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    let has_port = port.is_none_or(|port| match port.len() {
        1..=4 => digits(port),
        5 => digits(port) && port <= &b"65535"[..],
        _ => false,
    });
    if end == 0 || before == b'.' || bytes.len() > HOST_MAX || !has_port {
        return None;
    }
    let text = str::from_utf8(bytes).ok()?;
    Some(Authority { host: Cow::Borrowed(&text[..end]), text })
}

/// All that RFC 3986 allows.
fn parse_any_authority(bytes: &[u8]) -> Result<Authority<'_>, Reason> {
    let text = str::from_utf8(bytes).map_err(|_| Reason::BadHost)?;
    if text.len() > HOST_MAX {
        return Err(Reason::BadHost);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(literal) => {
            let (address, port) = literal.split_once(']').ok_or(Reason::BadHost)?;
            address.parse::<Ipv6Addr>().map_err(|_| Reason::BadHost)?;
            (&text[..address.len() + 2], port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if !is_port(port) || !(host.starts_with('[') || is_name(host)) {
        return Err(Reason::BadHost);
    }
    // An empty port means the default one.
    let text = text.strip_suffix(':').unwrap_or(text);
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = match host.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    };
    Ok(Authority { host, text })
}

/// Nothing, or a colon and perhaps a number.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some("") => true,
        Some(digits) => {
            digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
        None => text.is_empty(),
    }
}

/// reg-name of RFC 3986 with labels that are not empty; a final dot (the DNS root) is allowed.
fn is_name(host: &str) -> bool {
    let bytes = host.as_bytes();
    let mut label = 0; // bytes of the current label
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'.' if label == 0 => return false,
            b'.' => label = 0,
            b'%' if bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => label += 1,
            b'-' | b'_' | b'~' | b'!' | b'$' | b'&'..=b',' | b';' | b'=' => label += 1,
            b if b.is_ascii_alphanumeric() => label += 1,
            _ => return false,
        }
        at += 1;
    }
    !bytes.is_empty()
}

/// The path of an origin form as nginx sees it: percent-decoded once, "." and ".." resolved, doubled slashes merged.
/// Borrowed where the raw path is that already. It is for matching only; what goes upstream is the raw target.
fn normalise(origin: &str) -> Result<Cow<'_, str>, Reason> {
    let bytes = origin.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'?' => break,
            b'%' => return rewrite(bytes),
            b'/' if matches!(bytes.get(at + 1), Some(b'/')) => return rewrite(bytes),
            // Only whole segments "." and ".." matter; "/.well-known" stays as it is.
            b'/' if matches!(bytes.get(at + 1), Some(b'.'))
                && matches!(bytes.get(at + 2), None | Some(b'/' | b'.' | b'?')) =>
            {
                return rewrite(bytes);
            }
            _ => at += 1,
        }
    }
    Ok(Cow::Borrowed(&origin[..at]))
}

/// The slow way of `normalise`.
fn rewrite(bytes: &[u8]) -> Result<Cow<'_, str>, Reason> {
    let mut path: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut at = 0;
    loop {
        // The end of the path closes a segment as a slash does.
        let next = match bytes.get(at) {
            None | Some(b'?') => None,
            Some(b'%') => {
                let digit = |i| bytes.get(i).and_then(|&b| char::from(b).to_digit(16)).ok_or(Reason::BadTarget);
                let byte = (digit(at + 1)? * 16 + digit(at + 2)?) as u8;
                at += 2;
                // No file or route has a NUL in its name; programs in C would end the path here.
                Some(if byte == 0 { return Err(Reason::BadTarget) } else { byte })
            }
            Some(&byte) => Some(byte),
        };
        at += 1;
        // Decoded slashes and dots count as such: a backend that decodes will see them so.
        if matches!(next, Some(b'/') | None) {
            close_segment(&mut path)?;
        }
        match next {
            Some(b'/') if path.last() == Some(&b'/') => {}
            Some(byte) => path.push(byte),
            None => break,
        }
    }
    // Bytes that are not UTF-8 (old Latin-1 links) match no configured prefix; they need only not be refused.
    Ok(Cow::Owned(String::from_utf8(path).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())))
}

/// Resolves the segment at the end of the path, if it is a dot segment. The path then ends with a slash.
fn close_segment(path: &mut Vec<u8>) -> Result<(), Reason> {
    if path.ends_with(b"/.") {
        path.pop();
    } else if path.ends_with(b"/..") {
        path.truncate(path.len() - 3);
        let parent = path.iter().rposition(|&b| b == b'/').ok_or(Reason::BadTarget)?;
        path.truncate(parent + 1);
    }
    Ok(())
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
