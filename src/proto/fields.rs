//! Field names and list values: what several files of this room ask about them.

use crate::limits::{CONNECTION_OPTIONS_MAX, FIELDS_MAX};
use httparse::Header;
use std::mem::MaybeUninit;

/// Room for the fields of one head, on the caller's stack and not initialised: it costs nothing to make.
pub struct FieldSlots<'b>(pub(super) [MaybeUninit<Header<'b>>; FIELDS_MAX]);

impl FieldSlots<'_> {
    /// Empty slots.
    #[inline]
    pub fn new() -> Self {
        FieldSlots([const { MaybeUninit::uninit() }; FIELDS_MAX])
    }
}

impl Default for FieldSlots<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// True when the names are the same: lengths first, since they nearly always differ. `lower`: letters, digits and '-' only.
#[inline(always)]
pub(super) fn is(name: &str, lower: &str) -> bool {
    name.len() == lower.len() && is_folded(name.as_bytes(), lower.as_bytes())
}

/// Eight bytes at a time where the standard library compares one by one; with a literal the loop is unrolled. Setting bit 5 makes
/// small letters of capitals and of nothing else; control characters, which it makes digits or '-' of, never pass the parser.
#[inline(always)]
fn is_folded(bytes: &[u8], lower: &[u8]) -> bool {
    debug_assert!(lower.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-'));
    let (words, rest) = bytes.as_chunks::<8>();
    let (lower_words, lower_rest) = lower.as_chunks::<8>();
    let fold = u64::from_ne_bytes([0x20; 8]);
    let same = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*a) | fold == u64::from_ne_bytes(*b);
    words.iter().zip(lower_words).all(same) && rest.iter().zip(lower_rest).all(|(a, b)| a | 0x20 == *b)
}

/// Elements of a comma-separated list without the blanks around them. Empty elements are yielded too: most callers may
/// ignore them (RFC 9110 5.6.1), framing may not.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim)
}

/// True when a list has this element, whatever its case.
pub(super) fn lists(value: &[u8], element: &str) -> bool {
    elements(value).any(|e| e.eq_ignore_ascii_case(element.as_bytes()))
}

/// Takes spaces and tabs from both ends; other white space never passes the parser.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The index of a line feed without a carriage return before it. The parser takes those for line ends, other parsers do
/// not: two readings of one message are a way to smuggle (RFC 9112 2.2 leaves the choice).
#[inline]
pub(super) fn bare_line_feed(head: &[u8]) -> Option<usize> {
    let is_bare = |before: u8, byte: u8| (byte == b'\n') & (before != b'\r');
    // Without branches the compiler makes vector code of this; a search that stops at every line is slower than both.
    let pairs = || head.iter().zip(head.get(1..).unwrap_or_default());
    let mut bare = head.first() == Some(&b'\n');
    for (before, byte) in pairs() {
        bare |= is_bare(*before, *byte);
    }
    if !bare {
        return None;
    }
    if head[0] == b'\n' { Some(0) } else { pairs().position(|(before, byte)| is_bare(*before, *byte)).map(|at| at + 1) }
}

/// What the Connection fields of one message say.
#[derive(Default)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    count: usize,
}

impl Options {
    /// Adds one Connection field.
    pub(super) fn add(&mut self, value: &[u8]) {
        for option in elements(value) {
            self.count += 1;
            match option.len() {
                5 => self.close |= is_folded(option, b"close"),
                7 => self.upgrade |= is_folded(option, b"upgrade"),
                10 => self.keep_alive |= is_folded(option, b"keep-alive"),
                _ => {}
            }
        }
    }

    /// True when there are more options than a peer in good faith sends: each one is compared with each field name, so
    /// their number must be bounded.
    pub(super) fn too_many(&self) -> bool {
        self.count > CONNECTION_OPTIONS_MAX
    }
}

/// The field names that the Connection fields of a message list; those fields end here (RFC 9110 7.6.1).
pub(super) struct Named<'h, 'b> {
    fields: &'h [Header<'b>],
    any: bool,
}

impl<'h, 'b> Named<'h, 'b> {
    /// Looks whether there is any such name: usually there is none, and then nothing is compared later.
    pub(super) fn new(fields: &'h [Header<'b>]) -> Self {
        let plain = |option: &[u8]| match option.len() {
            0 => true,
            5 => is_folded(option, b"close"),
            7 => is_folded(option, b"upgrade"),
            10 => is_folded(option, b"keep-alive"),
            _ => false,
        };
        let any = fields.iter().any(|f| is(f.name, "connection") && !elements(f.value).all(plain));
        Named { fields, any }
    }

    /// True when Connection names this field.
    #[inline]
    pub(super) fn has(&self, name: &str) -> bool {
        self.any && self.fields.iter().any(|f| is(f.name, "connection") && lists(f.value, name))
    }
}

/// Fields that belong to one connection or that every hop writes anew, in requests and responses alike.
#[inline]
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    match name.len() {
        2 => is(name, "te"),
        7 => is(name, "upgrade"),
        10 => is(name, "connection") || is(name, "keep-alive"),
        14 => is(name, "content-length") || is(name, "http2-settings"),
        16 => is(name, "proxy-connection"),
        17 => is(name, "transfer-encoding"),
        18 => is(name, "proxy-authenticate"),
        19 => is(name, "proxy-authorization"),
        25 => is(name, "proxy-authentication-info"),
        _ => false,
    }
}

/// RFC 9110 5.6.2: the bytes of a token, which field names and methods are.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_and_trimmed() {
        let all =
            |value: &'static str| elements(value.as_bytes()).map(|e| str::from_utf8(e).unwrap()).collect::<Vec<_>>();
        assert_eq!(all("a"), ["a"]);
        assert_eq!(all(" a ,\tb\t, c d "), ["a", "b", "c d"]);
        assert_eq!(all(""), [""]);
        assert_eq!(all(",a,,"), ["", "a", "", ""]);
        assert!(lists(b"keep-alive, Upgrade", "upgrade"));
        assert!(!lists(b"keep-alive, Upgrades", "upgrade"));
        assert!(!lists(b"up grade", "upgrade"));
    }

    #[test]
    fn bare_line_feeds_are_found() {
        for (head, found) in [
            (&b"a\r\nb\r\n"[..], None),
            (b"", None),
            (b"\n", Some(0)),
            (b"a\r\nb\nc\r\n", Some(4)),
            (b"\r\n\n", Some(2)),
        ] {
            assert_eq!(bare_line_feed(head), found);
        }
    }

    #[test]
    fn names_are_compared_as_the_standard_library_does() {
        let names =
            ["te", "host", "close", "upgrade", "connection", "keep-alive", "content-length", "transfer-encoding"];
        for lower in names {
            for at in 0..lower.len() {
                for byte in b' '..128u8 {
                    let mut name = lower.as_bytes().to_vec();
                    name[at] = byte;
                    let name = String::from_utf8(name).expect("ASCII");
                    assert_eq!(is(&name, lower), name.eq_ignore_ascii_case(lower), "{name:?}, {lower}");
                }
            }
            assert!(is(&lower.to_ascii_uppercase(), lower) && !is(&lower[1..], lower));
        }
    }

    #[test]
    fn connection_names_fields() {
        let field = |name, value| Header { name, value };
        let fields = [field("Connection", b"close, X-A"), field("CONNECTION", b"x-b,te")];
        let named = Named::new(&fields);
        assert!(named.has("x-a") && named.has("X-B") && named.has("TE"));
        assert!(!named.has("x-c") && !named.has("x-"));
        let fields = [field("connection", b"keep-alive, Upgrade, "), field("X-A", b"connection")];
        assert!(!Named::new(&fields).any);
    }

    #[test]
    fn connection_options_are_bounded() {
        let many = |n: usize| vec!["a"; n].join(",").into_bytes();
        let mut options = Options::default();
        options.add(&many(CONNECTION_OPTIONS_MAX - 1));
        options.add(b"a");
        assert!(!options.too_many());
        options.add(b"close");
        assert!(options.too_many() && options.close);
    }
}
