//! What a location changes in heads of answers: nginx's `add_header`, `expires`, `proxy_hide_header`, `proxy_redirect` and
//! `proxy_cookie_...`, for one answer.

mod cookies;
mod expires;

use super::source::{Connection, Source};
use crate::config::pattern::{Groups, Pattern};
use crate::config::plan::{Answers, CookieChange, ProxyRedirect};
use crate::config::template::{Part, SslVariable, Template, UpstreamVariable, Variable};
use crate::proto::rewrite::{EditFields, is_our_own, put_configured};
use crate::proto::variables::{field, set_cookie};
use crate::proto::writer::Writer;
use expires::Freshness;
use httparse::Header;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::SystemTime;

/// The changes of one answer. Made only where there are some ([`Edits::concern`]).
pub struct Edits<'x> {
    answers: &'x Answers,
    texts: Texts<'x>,
    status: u16,
    freshness: Option<Freshness>,
    /// Makes a whole URL of a Location that begins with `/`, if that is wanted.
    absolute: Option<&'x dyn Fn(Vec<u8>) -> Vec<u8>>,
}

/// What texts are made with.
#[derive(Clone, Copy)]
pub enum Texts<'x> {
    /// The request is at hand.
    Source(&'x Source<'x, 'x, 'x>),
    /// No text has variables: see [`Edits::need_source`].
    Literal,
}

impl<'x> Texts<'x> {
    fn write(self, template: &Template, out: &mut dyn FnMut(&[u8])) {
        match self {
            Texts::Source(source) => source.write(template, out),
            Texts::Literal => out(template.as_literal().unwrap_or_default().as_bytes()),
        }
    }

    fn text(self, template: &'x Template) -> Cow<'x, [u8]> {
        match (self, template.as_literal()) {
            (_, Some(text)) => Cow::Borrowed(text.as_bytes()),
            (Texts::Source(source), None) => Cow::Owned(source.text(template)),
            (Texts::Literal, None) => Cow::Borrowed(b""),
        }
    }

    /// A replacement: `$1` and names are the groups of `pattern` in `subject`, all else the request's.
    fn replacement(self, template: &Template, pattern: &Pattern, subject: &str, groups: &Groups) -> Vec<u8> {
        let group = |nth: usize| groups.get(nth).cloned().flatten().map(|range| &subject[range]);
        let mut text = Vec::new();
        for part in template.parts() {
            let own = match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Variable(Variable::Capture(nth)) => Some(group(*nth).unwrap_or_default()),
                Part::Variable(Variable::Custom(name)) => {
                    let named = pattern.names().iter().find(|(known, _)| **known == **name);
                    named.map(|&(_, nth)| group(nth).unwrap_or_default())
                }
                Part::Variable(_) => None,
            };
            match (own, part, self) {
                (Some(own), ..) => text.extend_from_slice(own.as_bytes()),
                (None, Part::Variable(variable), Texts::Source(source)) => {
                    source.write_one(variable, &mut |piece| text.extend_from_slice(piece));
                }
                _ => {}
            }
        }
        text
    }
}

/// The statuses that `add_header` without `always` and `expires` hold for.
fn is_plain(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}

impl<'x> Edits<'x> {
    /// For an answer of this status. `last_modified`: its time, if it says one. `now`: for `expires`. `absolute`: what makes a URL of a
    /// path in a redirect that `proxy_redirect` changed.
    pub fn new(
        answers: &'x Answers,
        texts: Texts<'x>,
        status: u16,
        last_modified: Option<SystemTime>,
        now: SystemTime,
        absolute: Option<&'x dyn Fn(Vec<u8>) -> Vec<u8>>,
    ) -> Self {
        let expires = answers.expires.as_ref().filter(|_| is_plain(status));
        let freshness = expires.and_then(|expires| Freshness::new(expires, texts, last_modified, now));
        Edits { answers, texts, status, freshness, absolute }
    }

    /// True if anything changes in an answer with these fields. Redirects and cookies are rare: where only they are changed, most answers
    /// go on as they are.
    pub fn concern(answers: &Answers, fields: &[Header]) -> bool {
        let redirects = !answers.redirects.is_empty();
        let cookies =
            !(answers.cookie_paths.is_empty() && answers.cookie_domains.is_empty() && answers.cookie_flags.is_empty());
        !answers.add.is_empty()
            || answers.expires.is_some()
            || !answers.hide.is_empty()
            || ((redirects || cookies)
                && fields.iter().any(|field| {
                    (redirects && (is(field.name, "location") || is(field.name, "refresh")))
                        || (cookies && is(field.name, "set-cookie"))
                }))
    }

    /// True if the request must be at hand: a text has variables, or a redirect may become one to a path here.
    pub fn need_source(answers: &Answers) -> bool {
        let varies = |template: &Template| template.as_literal().is_none();
        let cookie = |change: &CookieChange| match change {
            CookieChange::Text(from, to) => varies(from) || varies(to),
            CookieChange::Regex(_, to) => varies(to),
        };
        !answers.redirects.is_empty()
            || answers.add.iter().any(|add| varies(&add.value))
            || matches!(&answers.expires, Some(crate::config::plan::Expires::Variable(_)))
            || answers.cookie_paths.iter().any(cookie)
            || answers.cookie_domains.iter().any(cookie)
    }

    fn is_hidden(&self, name: &str) -> bool {
        self.answers.hide.iter().any(|hidden| is(name, hidden))
            || (self.freshness.is_some() && (is(name, "expires") || is(name, "cache-control")))
            // There is one of each only: an added one takes the place of the backend's (as in nginx).
            || ((is(name, "etag") || is(name, "last-modified")) && self.added().any(|add| is(&add.name, name)))
    }

    /// The fields that are added to an answer of this status.
    fn added(&self) -> impl Iterator<Item = &'x crate::config::plan::AddHeader> {
        let plain = is_plain(self.status);
        self.answers.add.iter().filter(move |add| (add.always || plain) && !is_our_own(&add.name))
    }

    /// A Location or the URL of a Refresh as it becomes; `None`: as it is.
    fn redirected(&self, url: &[u8]) -> Option<Vec<u8>> {
        self.answers.redirects.iter().find_map(|redirect| match redirect {
            ProxyRedirect::Prefix(from, to) => {
                let rest = url.strip_prefix(&*self.texts.text(from))?;
                Some([&self.texts.text(to), rest].concat())
            }
            ProxyRedirect::Regex(pattern, to) => {
                let subject = str::from_utf8(url).ok()?;
                let groups = pattern.captures(subject)?;
                Some(self.texts.replacement(to, pattern, subject, &groups))
            }
        })
    }

    fn location(&self, url: &[u8]) -> Option<Vec<u8>> {
        let url = self.redirected(url)?;
        match self.absolute {
            Some(absolute) if url.starts_with(b"/") => Some(absolute(url)),
            _ => Some(url),
        }
    }

    /// `0; url=http://...`
    fn refresh(&self, value: &[u8]) -> Option<Vec<u8>> {
        let at = value.windows(4).position(|window| window.eq_ignore_ascii_case(b"url="))? + 4;
        Some([&value[..at], &self.redirected(&value[at..])?].concat())
    }
}

impl EditFields for Edits<'_> {
    fn pass(&self, w: &mut Writer, name: &str, value: &[u8]) {
        if self.is_hidden(name) {
            return;
        }
        let changed = match name.len() {
            7 if is(name, "refresh") => self.refresh(value),
            8 if is(name, "location") => self.location(value),
            10 if is(name, "set-cookie") => cookies::changed(self.answers, self.texts, value),
            _ => None,
        };
        match changed {
            None => w.put_field(name, value),
            Some(value) => {
                put_configured(w, name, |out| out(&value));
            }
        }
    }

    fn hides(&self, name: &str) -> bool {
        self.is_hidden(name)
    }

    fn add(&self, w: &mut Writer, _status: u16) {
        if let Some(freshness) = &self.freshness {
            freshness.write(w);
        }
        for add in self.added() {
            put_configured(w, &add.name, |out| self.texts.write(&add.value, out));
        }
    }
}

fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// A connection on which an answer has come: what variables ask of it is taken from its head.
pub struct Answered<'x> {
    /// All else.
    pub connection: &'x dyn Connection,
    /// Of the answer.
    pub status: u16,
    /// The answer's fields.
    pub fields: &'x [Header<'x>],
}

impl Connection for Answered<'_> {
    fn scheme(&self) -> &'static str {
        self.connection.scheme()
    }

    fn peer_ip(&self) -> &str {
        self.connection.peer_ip()
    }

    fn peer_port(&self) -> Option<u16> {
        self.connection.peer_port()
    }

    fn proxy_protocol_addr(&self) -> Option<IpAddr> {
        self.connection.proxy_protocol_addr()
    }

    fn ssl(&self, variable: SslVariable) -> Cow<'_, str> {
        self.connection.ssl(variable)
    }

    fn other(&self, variable: &Variable, out: &mut dyn FnMut(&[u8])) {
        match variable {
            Variable::Status => out(itoa::Buffer::new().format(self.status).as_bytes()),
            Variable::SentHttp(name) | Variable::UpstreamHttp(name) => field(self.fields, name, out),
            Variable::UpstreamCookie(name) => out(set_cookie(self.fields, name).unwrap_or_default()),
            Variable::Upstream(UpstreamVariable::Status) => {
                // Servers that were asked before stand before it.
                let mut before = Vec::new();
                self.connection.other(variable, &mut |piece| before.extend_from_slice(piece));
                match before.is_empty() {
                    true => out(itoa::Buffer::new().format(self.status).as_bytes()),
                    false => out(&before),
                }
            }
            other => self.connection.other(other, out),
        }
    }
}

#[cfg(test)]
mod tests;
