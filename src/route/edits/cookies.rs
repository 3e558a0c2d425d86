//! `proxy_cookie_path`, `proxy_cookie_domain`, `proxy_cookie_flags`: one Set-Cookie of a backend's.

use super::Texts;
use crate::config::plan::{Answers, CookieChange, CookieFlags};
use std::borrow::Cow;

/// One piece of a Set-Cookie: the cookie itself, or an attribute.
struct Piece<'v> {
    name: &'v [u8],
    value: Option<Cow<'v, [u8]>>,
}

impl<'v> Piece<'v> {
    fn new(text: &'v [u8]) -> Self {
        let text = text.trim_ascii();
        match memchr::memchr(b'=', text) {
            None => Piece { name: text, value: None },
            Some(at) => Piece {
                name: text[..at].trim_ascii_end(),
                value: Some(Cow::Borrowed(text[at + 1..].trim_ascii_start())),
            },
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The field's value as it becomes; `None`: as it is.
pub(super) fn changed(answers: &Answers, texts: Texts, value: &[u8]) -> Option<Vec<u8>> {
    let mut pieces: Vec<Piece> = value.split(|&b| b == b';').map(Piece::new).collect();
    let mut any = false;
    for piece in pieces.iter_mut().skip(1) {
        let new = match &piece.value {
            Some(domain) if piece.is("domain") => domain_changed(&answers.cookie_domains, texts, domain),
            Some(path) if piece.is("path") => path_changed(&answers.cookie_paths, texts, path),
            _ => None,
        };
        if let Some(new) = new {
            piece.value = Some(Cow::Owned(new));
            any = true;
        }
    }
    let cookie = pieces[0].name; // splitting yields one at least
    if let Some(flags) = answers.cookie_flags.iter().find(|flags| concerns(flags, cookie)) {
        any |= flag(&mut pieces, flags);
    }
    any.then(|| {
        let pieces = pieces.iter().map(|piece| match &piece.value {
            None => piece.name.to_vec(),
            Some(value) => [piece.name, b"=", value].concat(),
        });
        pieces.collect::<Vec<_>>().join(&b"; "[..])
    })
}

fn path_changed(changes: &[CookieChange], texts: Texts, path: &[u8]) -> Option<Vec<u8>> {
    changes.iter().find_map(|change| match change {
        CookieChange::Text(from, to) => {
            let rest = path.strip_prefix(&*texts.text(from))?;
            Some([&texts.text(to), rest].concat())
        }
        CookieChange::Regex(..) => by_pattern(change, texts, path),
    })
}

/// The dot that old cookies have before their domain stays, and says nothing (RFC 6265 5.2.3).
fn domain_changed(changes: &[CookieChange], texts: Texts, domain: &[u8]) -> Option<Vec<u8>> {
    let dotless =
        |text: Cow<'_, [u8]>| text.strip_prefix(b".").map(<[u8]>::to_vec).unwrap_or_else(|| text.into_owned());
    let (dot, name) = domain.split_at(usize::from(domain.starts_with(b".")));
    changes.iter().find_map(|change| match change {
        CookieChange::Text(from, to) => {
            let is_it = name.eq_ignore_ascii_case(&dotless(texts.text(from)));
            is_it.then(|| [dot, &dotless(texts.text(to))].concat())
        }
        CookieChange::Regex(..) => by_pattern(change, texts, domain),
    })
}

/// What matches is replaced as a whole.
fn by_pattern(change: &CookieChange, texts: Texts, value: &[u8]) -> Option<Vec<u8>> {
    let CookieChange::Regex(pattern, to) = change else { return None };
    let subject = str::from_utf8(value).ok()?;
    let groups = pattern.captures(subject)?;
    Some(texts.replacement(to, pattern, subject, &groups))
}

fn concerns(flags: &CookieFlags, cookie: &[u8]) -> bool {
    match (&flags.name, &flags.pattern) {
        (Some(name), _) => cookie.eq_ignore_ascii_case(name.as_bytes()),
        (None, Some(pattern)) => str::from_utf8(cookie).is_ok_and(|cookie| pattern.is_match(cookie)),
        (None, None) => true,
    }
}

/// Adds and takes flags; true if anything is other than before.
fn flag(pieces: &mut Vec<Piece>, flags: &CookieFlags) -> bool {
    let mut any = false;
    let samesite = flags.samesite.map(|wanted| wanted.map(spelled));
    let wanted = [
        ("secure", "Secure", flags.secure.map(|on| on.then_some(None))),
        ("httponly", "HttpOnly", flags.httponly.map(|on| on.then_some(None))),
        ("samesite", "SameSite", samesite.map(|wanted| wanted.map(Some))),
    ];
    for (name, written, wanted) in wanted {
        let Some(wanted) = wanted else { continue };
        let there = pieces.iter().skip(1).position(|piece| piece.is(name)).map(|nth| nth + 1);
        let value = |wanted: Option<&'static str>| wanted.map(|text| Cow::Borrowed(text.as_bytes()));
        match (wanted, there) {
            (None, None) => continue,
            (None, Some(_)) => {
                let mut nth = 0;
                pieces.retain(|piece| {
                    nth += 1;
                    nth == 1 || !piece.is(name)
                });
            }
            (Some(wanted), None) => pieces.push(Piece { name: written.as_bytes(), value: value(wanted) }),
            (Some(None), Some(_)) => continue,
            (Some(wanted), Some(nth)) => pieces[nth].value = value(wanted),
        }
        any = true;
    }
    any
}

/// As RFC 6265bis has it.
fn spelled(samesite: &'static str) -> &'static str {
    match samesite {
        "lax" => "Lax",
        "strict" => "Strict",
        "none" => "None",
        other => other,
    }
}
