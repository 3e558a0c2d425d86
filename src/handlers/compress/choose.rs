//! Whether a body is compressed, and how: nginx's rules, and RFC 9110's.

use super::coder::Coder;
use crate::config::plan::{Coding, Compression, Proxied};
use crate::proto::accept_encoding::{Accepted, ContentCoding};
use crate::proto::content::Content;
use crate::proto::request::Version;
use crate::proto::variables::fields_named;
use httparse::Header;
use std::time::SystemTime;

/// The answer, as it would go out without compression.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'x> {
    /// Its status.
    pub status: u16,
    /// Bytes of the body (with HEAD of the body that GET would get); `None`: not known before its end.
    pub length: Option<u64>,
    /// What the head says of it.
    pub content: Content<'x>,
}

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'x> {
    /// Its version.
    pub version: Version,
    /// Its fields.
    pub fields: &'x [Header<'x>],
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The body goes in this coding.
    pub chosen: Option<Chosen>,
    /// Vary is to name Accept-Encoding: others may get this answer in another coding. False if it does already.
    pub vary: bool,
}

/// A coding, and how it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Its name is what Content-Encoding says.
    pub coding: ContentCoding,
    /// As configured.
    pub level: u8,
    /// Bytes of the body, if known: a short one needs little memory.
    pub length: Option<u64>,
}

impl Chosen {
    /// Begins. `None`: too many bodies are being compressed at the moment, or there is no memory; the body goes as it is then.
    pub fn coder(self) -> Option<Coder> {
        Coder::new(self.coding, self.level, self.length)
    }
}

/// True if an answer with this status, length and type is compressed for clients that like it: cheap, and false for most.
pub fn is_candidate(compression: &Compression, offered: &Offered) -> bool {
    let Content { is_encoded, is_partial, cache_control, .. } = offered.content;
    matches!(offered.status, 200 | 403 | 404)
        && offered.length != Some(0)
        && !is_encoded
        && !is_partial
        && !cache_control.unwrap_or_default().no_transform
        && ContentCoding::ALL.into_iter().any(|coding| fitting(compression, coding, offered).is_some())
}

/// Decides. `now`: for answers that have an Expires and no Date.
pub fn choose(compression: &Compression, offered: &Offered, asked: &Asked, now: SystemTime) -> Verdict {
    if !is_candidate(compression, offered) {
        return Verdict::default();
    }
    let is_allowed = (asked.version == Version::Http11 || !compression.http11_only)
        && (fields_named(asked.fields, "via").next().is_none()
            || is_for_proxies(&compression.proxied, &offered.content, asked, now));
    let fits = |coding| fitting(compression, coding, offered);
    let best = || Accepted::of(asked.fields).best(|coding| fits(coding).is_some());
    let chosen = if is_allowed { best() } else { None };
    let chosen = chosen.and_then(|coding| Some((coding, fits(coding)?.level)));
    Verdict {
        chosen: chosen.map(|(coding, level)| Chosen { coding, level, length: offered.length }),
        vary: compression.vary && !offered.content.varies,
    }
}

/// How this coding is done, if it is switched on and the body is one for it.
fn fitting<'c>(compression: &'c Compression, coding: ContentCoding, offered: &Offered) -> Option<&'c Coding> {
    let settings = match coding {
        ContentCoding::Zstd => &compression.zstd,
        ContentCoding::Brotli => &compression.brotli,
        ContentCoding::Gzip => &compression.gzip,
    };
    let is_type = |wanted: &String| wanted == "*" || offered.content.media_type.eq_ignore_ascii_case(wanted.as_bytes());
    settings.as_ref().filter(|settings| {
        offered.length.is_none_or(|length| length >= settings.min_length) && settings.types.iter().any(is_type)
    })
}

/// nginx's `gzip_proxied`: for requests that came through a proxy.
fn is_for_proxies(proxied: &Proxied, content: &Content, asked: &Asked, now: SystemTime) -> bool {
    if *proxied == Proxied::default() {
        return false; // `off`
    }
    if proxied.any || (proxied.auth && fields_named(asked.fields, "authorization").next().is_some()) {
        return true;
    }
    if content.expires.is_some() {
        return proxied.expired && has_expired(content, now) == Some(true);
    }
    if let Some(cache) = content.cache_control {
        return (proxied.no_cache && cache.no_cache)
            || (proxied.no_store && cache.no_store)
            || (proxied.private && cache.private);
    }
    !(proxied.no_last_modified && content.has_last_modified || proxied.no_etag && content.has_etag)
}

/// It is not fresh any more: Expires lies before Date, or before `now` where there is no Date. `None`: a time cannot be read.
fn has_expired(content: &Content, now: SystemTime) -> Option<bool> {
    let expires = time(content.expires?)?;
    let date = match content.date {
        Some(date) => time(date)?,
        None => now,
    };
    Some(expires < date)
}

/// A date of HTTP (RFC 9110 5.6.7), in any of its three forms.
pub fn time(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
