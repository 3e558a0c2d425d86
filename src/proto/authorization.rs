//! Basic authentication (RFC 7617): whom a request says it comes from.

use super::variables::fields_named;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use httparse::Header;

/// Padding or none: clients differ, and nothing depends on it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A name and a password, as the client has them.
#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    /// Not empty, without control characters and colons.
    pub user: Vec<u8>,
    /// Without control characters.
    pub password: Vec<u8>,
}

/// What the first Authorization field says. `None`: there is none, it is of another scheme, malformed, or names nobody.
pub fn basic(fields: &[Header]) -> Option<Basic> {
    let value = fields_named(fields, "authorization").next()?;
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64.decode(rest.trim_ascii()).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    // RFC 7617 2: no control characters in either. A line end in `$remote_user` would begin a field.
    if colon == 0 || decoded.iter().any(u8::is_ascii_control) {
        return None;
    }
    Some(Basic { user: decoded[..colon].to_vec(), password: decoded[colon + 1..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_request;
    use super::*;

    fn read(lines: &str) -> Option<(String, String)> {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let found = with_request(head.as_bytes(), |request| basic(request.fields)).unwrap();
        found.map(|Basic { user, password }| (String::from_utf8(user).unwrap(), String::from_utf8(password).unwrap()))
    }

    #[test]
    fn names_and_passwords_are_read() {
        let encoded = |text: &str| format!("Authorization: Basic {}\r\n", BASE64.encode(text));
        let rows = [
            ("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n".to_owned(), Some(("Aladdin", "open sesame"))),
            ("authorization: bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ==  \r\n".into(), Some(("Aladdin", "open sesame"))),
            ("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ\r\n".into(), Some(("Aladdin", "open sesame"))),
            (encoded("a:"), Some(("a", ""))),
            (encoded("a:b:c"), Some(("a", "b:c"))),
            (encoded("\u{e9}:\u{20ac}"), Some(("\u{e9}", "\u{20ac}"))),
            (format!("{}{}", encoded("a:1"), encoded("b:2")), Some(("a", "1"))),
            // Nobody.
            (String::new(), None),
            (encoded(":b"), None),
            (encoded("ab"), None),
            (encoded(""), None),
            (encoded("a:b\n"), None),
            (encoded("a\r\nX-Admin: 1:b"), None),
            (encoded("a:\0"), None),
            ("Authorization:\r\n".into(), None),
            ("Authorization: Basic\r\n".into(), None),
            ("Authorization: Basic a:b\r\n".into(), None),
            ("Authorization: Basic Y\r\n".into(), None),
            ("Authorization: Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n".into(), None),
            ("Authorization: BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n".into(), None),
            ("Authorization: Bearer x\r\nAuthorization: Basic YTpi\r\n".into(), None),
        ];
        for (lines, wanted) in rows {
            let wanted = wanted.map(|(user, password)| (user.to_owned(), password.to_owned()));
            assert_eq!(read(&lines), wanted, "{lines}");
        }
    }
}
