//! Which codings of bodies a client takes (RFC 9110 12.5.3).

use super::fields::{elements, trim};
use super::variables::fields_named;
use httparse::Header;

/// A coding that we can put a body into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl ContentCoding {
    /// All, the one that we like best first: zstd is the quickest for what it saves.
    pub const ALL: [ContentCoding; 3] = [ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip];

    /// As Content-Encoding has it.
    pub fn name(self) -> &'static str {
        match self {
            ContentCoding::Zstd => "zstd",
            ContentCoding::Brotli => "br",
            ContentCoding::Gzip => "gzip",
        }
    }

    /// Also RFC 9110's other name for gzip.
    fn is_called(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || (self == ContentCoding::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// Weights in thousandths, by what the fields say; 0: refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    codings: [Option<u16>; ContentCoding::ALL.len()],
    identity: Option<u16>,
    others: Option<u16>,
}

impl Accepted {
    /// Reads the Accept-Encoding fields of a request. Where a name stands twice, the first counts.
    pub fn of(fields: &[Header]) -> Accepted {
        let mut accepted = Accepted::default();
        for element in fields_named(fields, "accept-encoding").flat_map(elements) {
            let mut parts = element.split(|&b| b == b';').map(trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| match part {
                [b'q' | b'Q', rest @ ..] => trim(rest).strip_prefix(b"=").map(trim),
                _ => None,
            });
            let weight = weight.map_or(1000, thousandths);
            let of_codings = ContentCoding::ALL.iter().position(|coding| coding.is_called(name));
            let slot = match of_codings {
                Some(nth) => &mut accepted.codings[nth],
                None if name == b"*" => &mut accepted.others,
                None if name.eq_ignore_ascii_case(b"identity") => &mut accepted.identity,
                None => continue,
            };
            slot.get_or_insert(weight);
        }
        accepted
    }

    /// The coding with the most weight among those that are `there`; at equal weight the one that we like best. `None`: the client takes
    /// none of them, or would rather have the body as it is.
    pub fn best(&self, there: impl Fn(ContentCoding) -> bool) -> Option<ContentCoding> {
        let mut best = (0, None);
        for (nth, coding) in ContentCoding::ALL.into_iter().enumerate() {
            let weight = self.codings[nth].or(self.others).unwrap_or(0);
            if weight > best.0 && there(coding) {
                best = (weight, Some(coding));
            }
        }
        best.1.filter(|_| self.identity.is_none_or(|identity| best.0 >= identity))
    }
}

/// `0`, `0.5`, `1.000`. What is none is 0: whoever cannot be understood gets the body as it is.
fn thousandths(text: &[u8]) -> u16 {
    match text {
        [b'0'] => 0,
        [b'1'] => 1000,
        [b'0', b'.', rest @ ..] if rest.len() <= 3 && rest.iter().all(u8::is_ascii_digit) => {
            let digit = |nth: usize| rest.get(nth).map_or(0, |digit| u16::from(digit - b'0'));
            100 * digit(0) + 10 * digit(1) + digit(2)
        }
        [b'1', b'.', rest @ ..] if rest.len() <= 3 && rest.iter().all(|&digit| digit == b'0') => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_decide_and_our_order_where_they_are_equal() {
        const ALL: &str = "zstd br gzip";
        let rows: [(&[&str], &str, Option<&str>); 44] = [
            (&[], ALL, None),
            (&[""], ALL, None),
            (&["gzip"], ALL, Some("gzip")),
            (&["gzip"], "zstd br", None),
            (&["GZip"], ALL, Some("gzip")),
            (&["x-gzip"], ALL, Some("gzip")),
            (&["gzip, deflate, br, zstd"], ALL, Some("zstd")),
            (&["gzip, deflate, br, zstd"], "br gzip", Some("br")),
            (&["gzip, deflate, br, zstd"], "gzip", Some("gzip")),
            (&["gzip, deflate, br, zstd"], "", None),
            (&["deflate, compress"], ALL, None),
            (&["gzip", "br"], ALL, Some("br")),
            (&["gzip;q=1.0, br;q=0.5"], ALL, Some("gzip")),
            (&["gzip;q=0.501, br;q=0.50, zstd;q=0.5"], ALL, Some("gzip")),
            (&["gzip;q=0.5, br;q=0.50, zstd;q=0.500"], ALL, Some("zstd")),
            (&["gzip ; q=0.2 , br ;Q= 0.1"], ALL, Some("gzip")),
            (&["gzip;level=9;q=0"], ALL, None),
            (&["gzip;q=0"], ALL, None),
            (&["gzip;q=0.0, br;q=0.00, zstd;q=0.000"], ALL, None),
            (&["gzip;q=0.001"], ALL, Some("gzip")),
            // All others.
            (&["*"], ALL, Some("zstd")),
            (&["*"], "gzip", Some("gzip")),
            (&["*;q=0"], ALL, None),
            (&["gzip, *;q=0"], ALL, Some("gzip")),
            (&["zstd;q=0, *"], ALL, Some("br")),
            (&["zstd;q=0, br;q=0.1, *;q=0.5"], ALL, Some("gzip")),
            (&["*;q=0.5, gzip;q=0.6"], ALL, Some("gzip")),
            // As it is.
            (&["identity"], ALL, None),
            (&["identity, gzip"], ALL, Some("gzip")),
            (&["identity;q=1, gzip;q=0.9"], ALL, None),
            (&["identity;q=0.5, gzip;q=0.9"], ALL, Some("gzip")),
            (&["identity;q=0"], ALL, None),
            (&["identity;q=0, gzip"], ALL, Some("gzip")),
            // Said twice: the first counts.
            (&["gzip;q=0, gzip"], ALL, None),
            (&["gzip", "gzip;q=0"], ALL, Some("gzip")),
            // What is no weight is none.
            (&["gzip;q=2"], ALL, None),
            (&["gzip;q=-1"], ALL, None),
            (&["gzip;q="], ALL, None),
            (&["gzip;q=1.001"], ALL, None),
            (&["gzip;q=0.1234"], ALL, None),
            (&["gzip;q=.5"], ALL, None),
            (&["gzip;q=x, br"], ALL, Some("br")),
            (&[",,;;,gzip;,"], ALL, Some("gzip")),
            (&["gzipp, agzip, g zip"], ALL, None),
        ];
        for (values, there, wanted) in rows {
            let fields: Vec<Header> =
                values.iter().map(|value| Header { name: "Accept-Encoding", value: value.as_bytes() }).collect();
            let best = Accepted::of(&fields).best(|coding| there.split(' ').any(|name| name == coding.name()));
            assert_eq!(best.map(ContentCoding::name), wanted, "{values:?} of {there}");
        }
    }

    #[test]
    fn other_fields_say_nothing() {
        let fields = [Header { name: "Accept", value: b"gzip" }, Header { name: "TE", value: b"gzip" }];
        assert_eq!(Accepted::of(&fields), Accepted::default());
    }
}
