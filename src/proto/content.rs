//! What an answer's head says of its body, as far as it matters to whoever may change the body's coding.

use super::fields::{elements, is, lists, trim};
use httparse::Header;

/// See the head of this file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Content<'b> {
    /// Without parameters; empty: none is said.
    pub media_type: &'b [u8],
    /// Content-Encoding is there.
    pub is_encoded: bool,
    /// Content-Range is there.
    pub is_partial: bool,
    /// Caches must ask by Accept-Encoding already, or not keep it at all: Vary says so.
    pub varies: bool,
    /// ETag is there.
    pub has_etag: bool,
    /// Last-Modified is there.
    pub has_last_modified: bool,
    /// Cache-Control, if it is there.
    pub cache_control: Option<CacheControl>,
    /// Expires, if it is there.
    pub expires: Option<&'b [u8]>,
    /// Date, if it is there.
    pub date: Option<&'b [u8]>,
}

/// Directives of Cache-Control (RFC 9111 5.2.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// `no-transform`
    pub no_transform: bool,
    /// `no-cache`
    pub no_cache: bool,
    /// `no-store`
    pub no_store: bool,
    /// `private`
    pub private: bool,
}

impl CacheControl {
    fn add(&mut self, value: &[u8]) {
        for element in elements(value) {
            // `private="x"` concerns one field only, but nginx and most caches take it for all.
            match trim(element.split(|&b| b == b'=').next().unwrap_or_default()) {
                name if name.eq_ignore_ascii_case(b"no-transform") => self.no_transform = true,
                name if name.eq_ignore_ascii_case(b"no-cache") => self.no_cache = true,
                name if name.eq_ignore_ascii_case(b"no-store") => self.no_store = true,
                name if name.eq_ignore_ascii_case(b"private") => self.private = true,
                _ => {}
            }
        }
    }
}

impl<'b> Content<'b> {
    /// Reads the fields of an answer.
    pub fn of(fields: &[Header<'b>]) -> Content<'b> {
        let mut content = Content::default();
        for &Header { name, value } in fields {
            match name.len() {
                4 if is(name, "vary") => content.varies |= lists(value, "accept-encoding") || lists(value, "*"),
                4 if is(name, "etag") => content.has_etag = true,
                4 if is(name, "date") => content.date = content.date.or(Some(value)),
                7 if is(name, "expires") => content.expires = content.expires.or(Some(value)),
                12 if is(name, "content-type") => {
                    content.media_type = trim(value.split(|&b| b == b';').next().unwrap_or_default());
                }
                13 if is(name, "cache-control") => content.cache_control.get_or_insert_default().add(value),
                13 if is(name, "content-range") => content.is_partial = true,
                13 if is(name, "last-modified") => content.has_last_modified = true,
                16 if is(name, "content-encoding") => content.is_encoded = true,
                _ => {}
            }
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const LATE: &[u8] = b"Mon, 07 Nov 1994 08:49:37 GMT";

    fn of<'b>(fields: &[(&'b str, &'b [u8])]) -> Content<'b> {
        let fields: Vec<Header> = fields.iter().map(|&(name, value)| Header { name, value }).collect();
        Content::of(&fields)
    }

    #[test]
    fn fields_are_understood() {
        let none = Content::default();
        let all = CacheControl { no_transform: true, no_cache: true, no_store: true, private: true };
        let cached = |cache_control| Content { cache_control: Some(cache_control), ..none };
        type Row = (&'static [(&'static str, &'static [u8])], Content<'static>);
        let rows: [Row; 16] = [
            (&[], none),
            (&[("X-Vary", b"*"), ("Etagg", b"")], none),
            (&[("content-TYPE", b"text/html")], Content { media_type: b"text/html", ..none }),
            (&[("Content-Type", b"Text/HTML ; charset=utf-8")], Content { media_type: b"Text/HTML", ..none }),
            (&[("Content-Type", b"")], none),
            (&[("Content-Encoding", b"br")], Content { is_encoded: true, ..none }),
            (&[("Content-Range", b"bytes 0-1/2")], Content { is_partial: true, ..none }),
            (&[("Vary", b"Origin")], none),
            (&[("Vary", b"Origin"), ("vary", b"Cookie, accept-Encoding")], Content { varies: true, ..none }),
            (&[("Vary", b"*")], Content { varies: true, ..none }),
            (&[("ETag", b"\"a\"")], Content { has_etag: true, ..none }),
            (&[("Last-Modified", EARLY)], Content { has_last_modified: true, ..none }),
            (&[("Cache-Control", b"max-age=5")], cached(CacheControl::default())),
            (
                &[("Cache-Control", b"max-age=5, No-Transform")],
                cached(CacheControl { no_transform: true, ..CacheControl::default() }),
            ),
            (
                &[("Cache-Control", b"no-transform,no-cache"), ("cache-control", b"no-store , private=\"x\"")],
                cached(all),
            ),
            (
                &[("Expires", LATE), ("Expires", EARLY), ("Date", EARLY)],
                Content { expires: Some(LATE), date: Some(EARLY), ..none },
            ),
        ];
        for (fields, wanted) in rows {
            assert_eq!(of(fields), wanted, "{fields:?}");
        }
    }
}
