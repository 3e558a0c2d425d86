//! Conditional requests (RFC 9110 13), evaluated as nginx does where the RFC leaves no harm in it: with several conditions, all must hold.

use crate::config::plan::IfModifiedSince;
use httparse::Header;

/// What a request makes its answer depend on, as it was sent; the first field of each name counts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<Vec<u8>>,
    if_none_match: Option<Vec<u8>>,
    if_modified_since: Option<Vec<u8>>,
    if_unmodified_since: Option<Vec<u8>>,
    if_range: Option<Vec<u8>>,
    range: Option<Vec<u8>>,
}

/// What comes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 200, or 206.
    Send,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// The version of a file that they are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version<'a> {
    /// With its quotation marks; `None`: it has none.
    pub etag: Option<&'a str>,
    /// Seconds since 1970.
    pub mtime: i64,
}

impl Conditions {
    /// Takes them from a head.
    pub fn of(fields: &[Header]) -> Conditions {
        let mut conditions = Conditions::default();
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            let slot = match field.name.len() {
                5 if is("range") => &mut conditions.range,
                8 if is("if-match") => &mut conditions.if_match,
                8 if is("if-range") => &mut conditions.if_range,
                13 if is("if-none-match") => &mut conditions.if_none_match,
                17 if is("if-modified-since") => &mut conditions.if_modified_since,
                19 if is("if-unmodified-since") => &mut conditions.if_unmodified_since,
                _ => continue,
            };
            slot.get_or_insert_with(|| field.value.to_vec());
        }
        conditions
    }

    /// Whether this version is to be sent.
    pub fn judge(&self, version: Version, since: IfModifiedSince) -> Verdict {
        if self.if_unmodified_since.as_deref().is_some_and(|date| time(date).is_none_or(|time| time < version.mtime)) {
            return Verdict::Failed;
        }
        if self.if_match.as_deref().is_some_and(|list| !matches(list, version.etag, false)) {
            return Verdict::Failed;
        }
        if self.if_modified_since.is_none() && self.if_none_match.is_none() {
            return Verdict::Send;
        }
        let is_modified = |date: &[u8]| match (since, time(date)) {
            (IfModifiedSince::Off, _) | (_, None) => true,
            (IfModifiedSince::Exact, Some(time)) => time != version.mtime,
            (IfModifiedSince::Before, Some(time)) => time < version.mtime,
        };
        if self.if_modified_since.as_deref().is_some_and(is_modified)
            || self.if_none_match.as_deref().is_some_and(|list| !matches(list, version.etag, true))
        {
            return Verdict::Send;
        }
        Verdict::NotModified
    }

    /// The ranges that are asked for, unless another version was meant.
    pub fn ranges(&self, version: Version) -> Option<&[u8]> {
        let range = self.range.as_deref()?;
        let is_same = match self.if_range.as_deref() {
            None => true,
            Some(tag @ [_, .., b'"']) => version.etag.is_some_and(|etag| etag.as_bytes() == tag),
            Some(date) => time(date) == Some(version.mtime),
        };
        is_same.then_some(range)
    }
}

/// A list of entity tags names this one, or is "*". `weak`: also with the mark of weak ones before it.
fn matches(list: &[u8], etag: Option<&str>, weak: bool) -> bool {
    if list == b"*" {
        return true;
    }
    let Some(etag) = etag.map(str::as_bytes) else { return false };
    let mut rest = list;
    while !rest.is_empty() {
        if weak {
            rest = rest.strip_prefix(b"W/").unwrap_or(rest);
        }
        if let Some(behind) = rest.strip_prefix(etag)
            && matches!(behind.trim_ascii_start(), [] | [b',', ..])
        {
            return true;
        }
        let next = memchr::memchr(b',', rest).unwrap_or(rest.len());
        rest = &rest[next..];
        while let [b' ' | b'\t' | b',', behind @ ..] = rest {
            rest = behind;
        }
    }
    false
}

/// A date in one of the three forms, as seconds since 1970.
fn time(text: &[u8]) -> Option<i64> {
    let time = httpdate::parse_http_date(str::from_utf8(text).ok()?).ok()?;
    i64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use IfModifiedSince::{Before, Exact, Off};

    const ETAG: &str = "\"2ebc98a1-da7\"";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const VERSION: Version = Version { etag: Some(ETAG), mtime: 784_111_777 };

    fn conditions(lines: &str) -> Conditions {
        let fields: Vec<Header> = lines
            .split('|')
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| Header { name, value: value.as_bytes() })
            .collect();
        Conditions::of(&fields)
    }

    #[test]
    fn conditions_are_judged() {
        let weak = format!("W/{ETAG}");
        let rows = [
            ("".to_owned(), Verdict::Send),
            ("Host: a".to_owned(), Verdict::Send),
            // If-None-Match: weak comparison.
            (format!("If-None-Match: {ETAG}"), Verdict::NotModified),
            (format!("if-none-match: {weak}"), Verdict::NotModified),
            ("If-None-Match: *".to_owned(), Verdict::NotModified),
            (format!("If-None-Match: \"a\", {ETAG}"), Verdict::NotModified),
            (format!("If-None-Match: \"a\",,\t{weak} , \"b\""), Verdict::NotModified),
            ("If-None-Match: \"a\"".to_owned(), Verdict::Send),
            ("If-None-Match: ".to_owned(), Verdict::Send),
            (format!("If-None-Match: {ETAG}x"), Verdict::Send),
            (format!("If-None-Match: x{ETAG}"), Verdict::Send),
            ("If-None-Match: 2ebc98a1-da7".to_owned(), Verdict::Send),
            ("If-None-Match: *, \"a\"".to_owned(), Verdict::Send),
            // The first field of a name counts.
            (format!("If-None-Match: \"a\"|If-None-Match: {ETAG}"), Verdict::Send),
            // If-Match: strong comparison.
            (format!("If-Match: {ETAG}"), Verdict::Send),
            ("If-Match: *".to_owned(), Verdict::Send),
            (format!("If-Match: \"a\", {ETAG}"), Verdict::Send),
            (format!("If-Match: {weak}"), Verdict::Failed),
            ("If-Match: \"a\"".to_owned(), Verdict::Failed),
            // If-Modified-Since.
            (format!("If-Modified-Since: {THEN}"), Verdict::NotModified),
            ("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT".to_owned(), Verdict::NotModified),
            ("If-Modified-Since: Sun Nov  6 08:49:37 1994".to_owned(), Verdict::NotModified),
            (format!("If-Modified-Since: {EARLIER}"), Verdict::Send),
            (format!("If-Modified-Since: {LATER}"), Verdict::Send),
            ("If-Modified-Since: yesterday".to_owned(), Verdict::Send),
            ("If-Modified-Since: \u{fffd}".to_owned(), Verdict::Send),
            // If-Unmodified-Since: what cannot be read is not met, as in nginx.
            (format!("If-Unmodified-Since: {THEN}"), Verdict::Send),
            (format!("If-Unmodified-Since: {LATER}"), Verdict::Send),
            (format!("If-Unmodified-Since: {EARLIER}"), Verdict::Failed),
            ("If-Unmodified-Since: yesterday".to_owned(), Verdict::Failed),
            // Several.
            (format!("If-None-Match: {ETAG}|If-Modified-Since: {THEN}"), Verdict::NotModified),
            (format!("If-None-Match: {ETAG}|If-Modified-Since: {EARLIER}"), Verdict::Send),
            (format!("If-None-Match: \"a\"|If-Modified-Since: {THEN}"), Verdict::Send),
            (format!("If-Match: {ETAG}|If-None-Match: {ETAG}"), Verdict::NotModified),
            (format!("If-Match: \"a\"|If-None-Match: {ETAG}"), Verdict::Failed),
            (format!("If-Match: {ETAG}|If-Unmodified-Since: {EARLIER}"), Verdict::Failed),
        ];
        for (lines, wanted) in rows {
            assert_eq!(conditions(&lines).judge(VERSION, Exact), wanted, "{lines}");
        }
    }

    #[test]
    fn dates_are_compared_as_configured() {
        let rows = [
            (EARLIER, [Verdict::Send, Verdict::Send, Verdict::Send]),
            (THEN, [Verdict::Send, Verdict::NotModified, Verdict::NotModified]),
            (LATER, [Verdict::Send, Verdict::Send, Verdict::NotModified]),
            ("never", [Verdict::Send; 3]),
        ];
        for (date, wanted) in rows {
            let asked = conditions(&format!("If-Modified-Since: {date}"));
            assert_eq!([Off, Exact, Before].map(|since| asked.judge(VERSION, since)), wanted, "{date}");
        }
    }

    #[test]
    fn without_etags_only_dates_count() {
        let version = Version { etag: None, ..VERSION };
        let rows = [
            (format!("If-None-Match: {ETAG}"), Verdict::Send),
            ("If-None-Match: *".to_owned(), Verdict::NotModified),
            (format!("If-Match: {ETAG}"), Verdict::Failed),
            ("If-Match: *".to_owned(), Verdict::Send),
            (format!("If-Modified-Since: {THEN}"), Verdict::NotModified),
        ];
        for (lines, wanted) in rows {
            assert_eq!(conditions(&lines).judge(version, Exact), wanted, "{lines}");
        }
    }

    #[test]
    fn ranges_are_those_of_the_right_version() {
        let range = Some(&b"bytes=0-1"[..]);
        let rows = [
            ("".to_owned(), range),
            (format!("|If-Range: {ETAG}"), range),
            (format!("|If-Range: {THEN}"), range),
            (format!("|If-Range: W/{ETAG}"), None),
            ("|If-Range: \"a\"".to_owned(), None),
            ("|If-Range: \"".to_owned(), None),
            ("|If-Range: ".to_owned(), None),
            (format!("|If-Range: {EARLIER}"), None),
            (format!("|If-Range: {LATER}"), None),
        ];
        for (lines, wanted) in rows {
            assert_eq!(conditions(&format!("Range: bytes=0-1{lines}")).ranges(VERSION), wanted, "{lines}");
        }
        assert_eq!(conditions(&format!("If-Range: {ETAG}")).ranges(VERSION), None);
        let unnamed = Version { etag: None, ..VERSION };
        assert_eq!(conditions(&format!("Range: bytes=0-1|If-Range: {ETAG}")).ranges(unnamed), None);
    }
}
