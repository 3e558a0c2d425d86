//! Where a message ends: RFC 9112 6.3, and nothing that two parsers could read differently.

use super::fields::elements;
use super::reason::Reason;
use super::request::Version;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// Content-Length: so many bytes.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// It ends with the connection (responses only).
    Close,
}

impl Framing {
    /// True when no byte of a body can follow.
    pub fn is_empty(self) -> bool {
        matches!(self, Framing::None | Framing::Length(0))
    }
}

/// The largest body that can be announced. Parsers that hold lengths in signed numbers stop here too.
const LENGTH_MAX: u64 = i64::MAX as u64;

/// What the fields of one message say about the length of its body, gathered while passing over them.
#[derive(Default)]
pub(super) struct Claims {
    length: Length,
    coding: Coding,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    Bytes(u64),
    /// Not a number, or said more than once: even equal repetitions are refused, since some parser takes the first and
    /// another adds a list together.
    Bad,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Coding {
    #[default]
    Absent,
    /// Exactly one element, "chunked".
    Chunked,
    /// Something else that we cannot decode, perhaps with "chunked" behind it.
    Unknown,
    /// Empty elements, or something behind "chunked": the end cannot be known.
    Ambiguous,
}

impl Claims {
    /// Takes one Content-Length field.
    pub(super) fn content_length(&mut self, value: &[u8]) {
        self.length = match (self.length, parse_length(value)) {
            (Length::Absent, Some(bytes)) => Length::Bytes(bytes),
            _ => Length::Bad,
        };
    }

    /// Takes one Transfer-Encoding field; several of them are one list (RFC 9110 5.3).
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) {
        for element in elements(value) {
            self.coding = match self.coding {
                _ if element.is_empty() => Coding::Ambiguous,
                Coding::Absent if element.eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
                Coding::Absent | Coding::Unknown => Coding::Unknown,
                Coding::Chunked | Coding::Ambiguous => Coding::Ambiguous,
            };
        }
    }

    /// The framing of a request's body.
    pub(super) fn of_request(&self, version: Version) -> Result<Framing, Reason> {
        match (self.coding, self.length) {
            (_, Length::Bad) => Err(Reason::BadContentLength),
            (Coding::Absent, Length::Absent) => Ok(Framing::None),
            (Coding::Absent, Length::Bytes(bytes)) => Ok(Framing::Length(bytes)),
            // RFC 9112 6.1: both fields, or a coding in HTTP/1.0, may be an attempt at smuggling.
            (_, Length::Bytes(_)) | (Coding::Ambiguous, _) => Err(Reason::AmbiguousFraming),
            _ if version == Version::Http10 => Err(Reason::AmbiguousFraming),
            (Coding::Chunked, _) => Ok(Framing::Chunked),
            (Coding::Unknown, _) => Err(Reason::UnknownTransferCoding),
        }
    }

    /// The framing of a response's body, were it one that has a body.
    pub(super) fn of_response(&self, version: Version) -> Result<Framing, Reason> {
        match self.of_request(version) {
            Ok(Framing::None) => Ok(Framing::Close),
            other => other.map_err(|_| Reason::BadResponse),
        }
    }
}

/// RFC 9110 8.6: 1*DIGIT and nothing else. Leading zeros are in the grammar; we write the number anew anyway.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |number, &b| {
        let digit = b.wrapping_sub(b'0');
        let number = (digit < 10).then_some(number)?.checked_mul(10)?.checked_add(digit.into())?;
        (number <= LENGTH_MAX).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_length_is_digits_only() {
        let right = [
            ("0", 0),
            ("5", 5),
            ("005", 5),
            ("9223372036854775807", i64::MAX as u64),
            ("00000000000000000000000000001", 1),
        ];
        for (text, number) in right {
            assert_eq!(parse_length(text.as_bytes()), Some(number), "{text}");
        }
        let wrong = [
            "",
            "+5",
            "-5",
            "-0",
            "0x5",
            "5, 5",
            "5,5",
            "5 5",
            "5;",
            "5.0",
            "1e3",
            "five",
            " ",
            "5\u{660}",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "18446744073709551621",
            "99999999999999999999999999",
        ];
        for text in wrong {
            assert_eq!(parse_length(text.as_bytes()), None, "{text}");
        }
    }

    /// Fields as `L:value` or `T:value`.
    fn framing(fields: &[&str], version: Version) -> Result<Framing, Reason> {
        let mut claims = Claims::default();
        for field in fields {
            match field.split_at(2) {
                ("L:", value) => claims.content_length(value.as_bytes()),
                (_, value) => claims.transfer_encoding(value.as_bytes()),
            }
        }
        claims.of_request(version)
    }

    #[test]
    fn requests_end_where_all_parsers_agree() {
        use Reason::*;
        let rows: &[(&[&str], Result<Framing, Reason>)] = &[
            (&[], Ok(Framing::None)),
            (&["L:0"], Ok(Framing::Length(0))),
            (&["L:17"], Ok(Framing::Length(17))),
            (&["T:chunked"], Ok(Framing::Chunked)),
            (&["T:CHUNKED"], Ok(Framing::Chunked)),
            (&["T: chunked\t"], Ok(Framing::Chunked)),
            (&["L:5", "L:5"], Err(BadContentLength)),
            (&["L:5", "L:6"], Err(BadContentLength)),
            (&["L:5, 5"], Err(BadContentLength)),
            (&["L:"], Err(BadContentLength)),
            (&["L:x", "L:5"], Err(BadContentLength)),
            (&["L:5", "T:chunked"], Err(AmbiguousFraming)),
            (&["T:chunked", "L:0"], Err(AmbiguousFraming)),
            (&["T:gzip", "L:5"], Err(AmbiguousFraming)),
            (&["T:chunked", "L:+1"], Err(BadContentLength)),
            (&["T:chunked, chunked"], Err(AmbiguousFraming)),
            (&["T:chunked", "T:chunked"], Err(AmbiguousFraming)),
            (&["T:chunked, gzip"], Err(AmbiguousFraming)),
            (&["T:chunked", "T:identity"], Err(AmbiguousFraming)),
            (&["T:"], Err(AmbiguousFraming)),
            (&["T:chunked,"], Err(AmbiguousFraming)),
            (&["T:,chunked"], Err(AmbiguousFraming)),
            (&["T:", "T:chunked"], Err(AmbiguousFraming)),
            (&["T:gzip"], Err(UnknownTransferCoding)),
            (&["T:identity"], Err(UnknownTransferCoding)),
            (&["T:gzip, chunked"], Err(UnknownTransferCoding)),
            (&["T:gzip", "T:chunked"], Err(UnknownTransferCoding)),
            (&["T:xchunked"], Err(UnknownTransferCoding)),
            (&["T:chunkedx"], Err(UnknownTransferCoding)),
            (&["T:chunked;q=1"], Err(UnknownTransferCoding)),
            (&["T:\"chunked\""], Err(UnknownTransferCoding)),
            (&["T:chunked chunked"], Err(UnknownTransferCoding)),
            (&["T:\u{b}chunked"], Err(UnknownTransferCoding)),
        ];
        for (fields, expected) in rows {
            assert_eq!(framing(fields, Version::Http11), *expected, "{fields:?}");
        }
    }

    #[test]
    fn http_1_0_has_no_transfer_coding() {
        for coding in ["T:chunked", "T:gzip", "T:", "T:chunked, chunked"] {
            assert_eq!(framing(&[coding], Version::Http10), Err(Reason::AmbiguousFraming), "{coding}");
        }
        assert_eq!(framing(&["L:3"], Version::Http10), Ok(Framing::Length(3)));
    }
}
