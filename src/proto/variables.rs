//! What nginx's variables ask of a request: cookies, arguments of the query, fields. All as received, nothing decoded.

use super::fields::trim;
use super::request::Route;
use httparse::Header;

/// The fields of this name, whatever its case, in their order.
pub fn fields_named<'x, 'b>(
    fields: &'x [Header<'b>],
    name: &'x str,
) -> impl DoubleEndedIterator<Item = &'b [u8]> + use<'x, 'b> {
    fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

/// Hands out the value of a field, piece by piece: several of one name are one list (RFC 9110 5.3), several Cookie fields one
/// (RFC 9113 8.2.3). Nothing if there is none.
pub fn field(fields: &[Header], name: &str, mut out: impl FnMut(&[u8])) {
    let comma: &[u8] = if name.eq_ignore_ascii_case("cookie") { b"; " } else { b", " };
    for (n, value) in fields_named(fields, name).enumerate() {
        if n > 0 {
            out(comma);
        }
        out(value);
    }
}

/// All cookies, in their order, as name and value without the blanks around them. Quotes stay: they belong to the value (RFC 6265 5.2).
/// What has no '=' is no cookie.
pub fn cookies<'x, 'b>(fields: &'x [Header<'b>]) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'x, 'b> {
    fields_named(fields, "cookie").flat_map(|value| value.split(|&b| b == b';')).filter_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        Some((trim(&pair[..equals]), trim(&pair[equals + 1..])))
    })
}

/// The first cookie of this name. Case does not matter: nginx's variables have none, and `$cookie_jsessionid` is how people write it.
pub fn cookie<'b>(fields: &[Header<'b>], name: &str) -> Option<&'b [u8]> {
    cookies(fields).find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

/// The value of the first cookie of this name that an answer sets.
pub fn set_cookie<'b>(fields: &[Header<'b>], name: &str) -> Option<&'b [u8]> {
    let pairs = fields_named(fields, "set-cookie").filter_map(|value| value.split(|&b| b == b';').next());
    let mut named = pairs.filter_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        Some((trim(&pair[..equals]), trim(&pair[equals + 1..])))
    });
    named.find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

/// The first argument of this name in a query, whatever its case (as nginx). One without '=' has no value.
pub fn argument<'b>(query: &'b str, name: &str) -> Option<&'b str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

impl<'b> Route<'b> {
    /// What stands behind the first '?'; "" if nothing does.
    pub fn query(&self) -> &'b str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The target in origin form, in two pieces: an absolute form without a path left the query alone.
    pub fn request_uri(&self) -> [&'b str; 2] {
        [if self.target.starts_with('?') { "/" } else { "" }, self.target]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_request;
    use super::*;

    /// Asks a request that has these lines behind its Host.
    fn with_fields<T>(lines: &[&[u8]], ask: impl FnOnce(&[Header]) -> T) -> T {
        let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", &lines.join(&b"\r\n"[..])[..], b"\r\n\r\n"].concat();
        with_request(&head, |request| ask(request.fields)).unwrap()
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn fields_are_joined() {
        let lines: &[&[u8]] = &[b"X-A: 1", b"x-b:", b"COOKIE: c=d", b"x-a: 2, 3", b"Cookie: e", b"X-A:", b"X-C: \xe9"];
        let rows = [
            ("x-a", "1, 2, 3, "),
            ("X-A", "1, 2, 3, "),
            ("x-b", ""),
            ("cookie", "c=d; e"),
            ("x-c", "\u{fffd}"),
            ("host", "a"),
            ("x", ""),
            ("", ""),
            ("x_a", ""),
        ];
        for (name, wanted) in rows {
            let mut value = Vec::new();
            with_fields(lines, |fields| field(fields, name, |piece| value.extend_from_slice(piece)));
            assert_eq!(text(&value), wanted, "{name}");
        }
    }

    #[test]
    fn cookies_are_found() {
        type Row = (&'static [&'static [u8]], &'static str, Option<&'static str>);
        let rows: [Row; 26] = [
            (&[b"Cookie: a=b"], "a", Some("b")),
            (&[b"Cookie: a=b"], "A", Some("b")),
            (&[b"cookie: x=y; a=b; c=d"], "a", Some("b")),
            (&[b"Cookie: x=y", b"Cookie: a=b"], "a", Some("b")),
            (&[b"X-A: a=z"], "a", None),
            (&[], "a", None),
            // The first one counts.
            (&[b"Cookie: a=1; a=2"], "a", Some("1")),
            (&[b"Cookie: a=1", b"Cookie: a=2"], "a", Some("1")),
            (&[b"Cookie: a=; a=2"], "a", Some("")),
            // Blanks around, none missed.
            (&[b"Cookie:   a = b ;c=d"], "a", Some("b")),
            (&[b"Cookie: x=y;a=b;"], "a", Some("b")),
            (&[b"Cookie: ;;; a=b"], "a", Some("b")),
            (&[b"Cookie: a=b c"], "a", Some("b c")),
            // A ';' that is missing makes one cookie of two; a comma parts nothing.
            (&[b"Cookie: a=b c=d"], "c", None),
            (&[b"Cookie: x=y, a=b"], "a", None),
            // Quotes are part of the value, and do not hide a ';'.
            (&[b"Cookie: a=\"b\""], "a", Some("\"b\"")),
            (&[b"Cookie: a=\"b;a2=c\""], "a", Some("\"b")),
            (&[b"Cookie: a=\"b;a2=c\""], "a2", Some("c\"")),
            // Only the first '=' parts.
            (&[b"Cookie: a=b=c=="], "a", Some("b=c==")),
            // Without '=' there is no name.
            (&[b"Cookie: a"], "a", None),
            (&[b"Cookie: a; a=b"], "a", Some("b")),
            (&[b"Cookie: =b"], "a", None),
            (&[b"Cookie: =b"], "", Some("b")),
            (&[b"Cookie: aa=1; ba=2; a=3"], "a", Some("3")),
            (&[b"Cookie: a%20=1; a=%41"], "a", Some("%41")),
            (&[b"Cookie: \xff=1; a=\xff"], "a", Some("\u{fffd}")),
        ];
        for (lines, name, wanted) in rows {
            let found = with_fields(lines, |fields| cookie(fields, name).map(text));
            assert_eq!(found.as_deref(), wanted, "{name} in {:?}", lines.iter().map(|l| text(l)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn arguments_are_found() {
        let rows = [
            ("a=b", Some("b")),
            ("A=b", Some("b")),
            ("x=y&a=b&c=d", Some("b")),
            ("a=1&a=2", Some("1")),
            ("a=&a=2", Some("")),
            ("a", None),
            ("a&a=b", Some("b")),
            ("", None),
            ("&&=&a=b", Some("b")),
            ("aa=1&ba=2", None),
            ("a=b=c", Some("b=c")),
            ("a=b?c/d", Some("b?c/d")),
            // Nothing is decoded, in names and values alike.
            ("a=%41+b", Some("%41+b")),
            ("%61=b", None),
            ("x=1;a=b", None),
        ];
        for (query, wanted) in rows {
            assert_eq!(argument(query, "a"), wanted, "{query}");
        }
        assert_eq!(argument("=b", ""), Some("b"));
    }

    #[test]
    fn targets_come_apart() {
        let rows = [
            ("GET /", "/", ""),
            ("GET /a%20/../b?c=%20?d", "/a%20/../b?c=%20?d", "c=%20?d"),
            ("GET /?", "/?", ""),
            ("GET http://b/c?d", "/c?d", "d"),
            ("GET http://b?d", "/?d", "d"),
            ("GET http://b", "/", ""),
            ("OPTIONS *", "*", ""),
        ];
        for (line, uri, query) in rows {
            let head = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
            let (seen, asked) = with_request(head.as_bytes(), |request| {
                let (_, route) = request.inspect().unwrap();
                (route.request_uri().concat(), route.query().to_owned())
            })
            .unwrap();
            assert_eq!((&seen[..], &asked[..]), (uri, query), "{line}");
        }
    }
}
