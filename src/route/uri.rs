//! URIs put together: what a backend is asked for, where a client is sent.

use super::source::Source;
use crate::config::plan::{Location, Matching, Plan, ProxyUri};
use crate::config::template::Template;
use std::borrow::Cow;

/// Bytes that nginx encodes in a path (its NGX_ESCAPE_URI).
fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | 0x7f.. | b'"' | b'#' | b'%' | b'<' | b'>' | b'?' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

/// Bytes that nginx encodes in a part of a query (its NGX_ESCAPE_ARGS).
fn is_escaped_in_args(byte: u8) -> bool {
    is_escaped(byte) || matches!(byte, b'&' | b'+' | b';')
}

fn escape(text: &[u8], out: &mut Vec<u8>, is_escaped: fn(u8) -> bool) {
    for &byte in text {
        if is_escaped(byte) {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        } else {
            out.push(byte);
        }
    }
}

/// A decoded path as it stands in a URI.
pub fn escaped(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    escape(path.as_bytes(), &mut out, is_escaped);
    String::from_utf8(out).unwrap_or_default() // it is ASCII
}

/// A part of a path as it stands in a query, or in a redirect before [`unescape_for_redirect`].
pub(super) fn escaped_as_argument(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape(text.as_bytes(), &mut out, is_escaped_in_args);
    String::from_utf8(out).unwrap_or_default() // it is ASCII
}

/// Decodes what may stand in a URL as it is, up to the query (nginx's NGX_UNESCAPE_REDIRECT).
pub(super) fn unescape_for_redirect(text: &[u8]) -> Vec<u8> {
    let (path, query) = text.split_at(memchr::memchr(b'?', text).unwrap_or(text.len()));
    let mut out = Vec::with_capacity(text.len());
    let mut rest = path;
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|&b| char::from(b).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) if matches!((high * 16 + low) as u8, b'&'..=b'~') => {
                out.push((high * 16 + low) as u8);
                rest = &behind[2..];
            }
            _ => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out.extend_from_slice(query);
    out
}

/// The group that the host of a `proxy_pass` came to (index into `Plan::upstreams`), and the URI, which may have come from the same
/// variable. `None`: there is no such group.
pub fn named<'a>(plan: &Plan, text: &str, uri: &'a ProxyUri) -> Option<(usize, Cow<'a, ProxyUri>)> {
    let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let group = plan.upstreams.iter().position(|upstream| upstream.name.eq_ignore_ascii_case(host))?;
    let uri = match (path, uri) {
        ("", uri) => Cow::Borrowed(uri),
        (path, _) => Cow::Owned(ProxyUri::Whole(Template::literal(path))),
    };
    Some((group, uri))
}

/// What a backend is asked for. `None`: the very target that came.
pub fn proxied(uri: &ProxyUri, location: &Location, source: &Source) -> Option<Vec<u8>> {
    let course = source.course;
    let replacement = match uri {
        ProxyUri::AsSent if !course.is_changed() => return None,
        ProxyUri::AsSent => "",
        ProxyUri::Replace(text) if course.is_matched() => text,
        ProxyUri::Replace(_) => "",
        ProxyUri::Whole(template) => {
            // Nothing of a request may end the line; a path begins with a slash.
            let mut text = Vec::new();
            escape(&source.text(template), &mut text, |byte| !(b'!'..=b'~').contains(&byte));
            if text.first() != Some(&b'/') {
                text.insert(0, b'/');
            }
            return Some(text);
        }
    };
    let matched = match &location.matching {
        _ if replacement.is_empty() => 0,
        Matching::Exact(text) | Matching::Prefix { prefix: text, .. } => text.len(),
        _ => 0,
    };
    let rest = source.path().get(matched..).unwrap_or_default();
    let mut out = Vec::with_capacity(replacement.len() + rest.len() + source.args().len() + 1);
    out.extend_from_slice(replacement.as_bytes());
    // As nginx: characters that came as they are stay so.
    match course.path().is_some() || source.request.target.contains('%') {
        true => escape(rest.as_bytes(), &mut out, is_escaped),
        false => out.extend_from_slice(rest.as_bytes()),
    }
    if out.first() != Some(&b'/') {
        out.insert(0, b'/');
    }
    if !source.args().is_empty() {
        out.push(b'?');
        // Rules may have put there what was decoded: it must not end the line.
        escape(source.args().as_bytes(), &mut out, |byte| !(b'!'..=b'~').contains(&byte));
    }
    Some(out)
}
