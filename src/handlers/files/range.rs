//! Ranges of bytes (RFC 9110 14), understood as nginx does.

use crate::limits::RANGES_MAX;
use std::ops::Range;

/// What a Range field comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// The whole file: the field says nothing that must be heeded, or asks for more than there is.
    Whole,
    /// These, in the order in which they are asked for; none is empty.
    Parts(Vec<Range<u64>>),
    /// 416.
    Unsatisfiable,
}

/// Reads the field for a file of `length` bytes. `most`: of so many ranges; 0: none are served.
pub fn parse(field: &[u8], length: u64, most: Option<u32>) -> Ranges {
    let is_bytes = field.len() >= 7 && field[..6].eq_ignore_ascii_case(b"bytes=");
    if most == Some(0) || !is_bytes {
        return Ranges::Whole;
    }
    let most = most.map_or(RANGES_MAX, |most| RANGES_MAX.min(most as usize));
    let (mut parts, mut size) = (Vec::new(), 0u64);
    for text in field[6..].split(|&byte| byte == b',') {
        let Some(part) = range(text, length) else { return Ranges::Unsatisfiable };
        if part.start < part.end {
            size = size.saturating_add(part.end - part.start);
            parts.push(part);
            if parts.len() > most {
                return Ranges::Whole;
            }
        } else if part.start == 0 {
            return Ranges::Whole; // of nothing
        }
    }
    match parts.len() {
        0 => Ranges::Unsatisfiable,
        // They overlap: not worth the parts' heads.
        2.. if size > length => Ranges::Whole,
        _ => Ranges::Parts(parts),
    }
}

/// One range, cut at the file's end; it may be empty. `None`: malformed.
fn range(text: &[u8], length: u64) -> Option<Range<u64>> {
    let dash = memchr::memchr(b'-', text)?;
    let (first, last) = (blanks_off(&text[..dash]), blanks_off(&text[dash + 1..]));
    // A blank stands behind the dash of a suffix nowhere.
    let is_suffix = first.is_empty();
    if is_suffix {
        if text.get(dash + 1) == Some(&b' ') {
            return None;
        }
        return Some(length.saturating_sub(number(last)?)..length);
    }
    let start = number(first)?;
    let end = if last.is_empty() { length } else { number(last)?.saturating_add(1).min(length) };
    Some(start..end)
}

fn blanks_off(text: &[u8]) -> &[u8] {
    let begin = text.iter().take_while(|&&byte| byte == b' ').count();
    let end = text.iter().rev().take_while(|&&byte| byte == b' ').count();
    text.get(begin..text.len() - end).unwrap_or_default()
}

/// Digits only, and no more than an offset has.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = str::from_utf8(text).ok()?.parse::<u64>().ok()?;
    (number <= i64::MAX as u64).then_some(number)
}

/// The frame around the parts of an answer with several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipart {
    boundary: String,
    media_type: String,
    length: u64,
}

impl Multipart {
    /// Of a file of that type ("": none is said) and length. `boundary`: what the file does not hold, nearly certainly.
    pub fn new(boundary: u64, media_type: &str, length: u64) -> Multipart {
        Multipart { boundary: format!("{boundary:020}"), media_type: media_type.to_owned(), length }
    }

    /// The answer's own type.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// What stands before a part.
    pub fn before(&self, part: &Range<u64>) -> String {
        let content_type = match self.media_type.is_empty() {
            true => String::new(),
            false => format!("Content-Type: {}\r\n", self.media_type),
        };
        format!("\r\n--{}\r\n{content_type}Content-Range: {}\r\n\r\n", self.boundary, content_range(part, self.length))
    }

    /// What stands behind the last one.
    pub fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }
}

/// The value of Content-Range; `part` is not empty.
pub fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(ranges: &[(u64, u64)]) -> Ranges {
        Ranges::Parts(ranges.iter().map(|&(start, end)| start..end).collect())
    }

    #[test]
    fn ranges_are_read() {
        use Ranges::{Unsatisfiable, Whole};
        let rows = [
            // One.
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=0-9", parts(&[(0, 10)])),
            ("BYTES=2-3", parts(&[(2, 4)])),
            ("bytes=2-", parts(&[(2, 10)])),
            ("bytes=9-", parts(&[(9, 10)])),
            ("bytes=0-99", parts(&[(0, 10)])),
            ("bytes=-3", parts(&[(7, 10)])),
            ("bytes=-10", parts(&[(0, 10)])),
            ("bytes=-99", parts(&[(0, 10)])),
            ("bytes=9-9223372036854775807", parts(&[(9, 10)])),
            // Blanks.
            ("bytes= 1 - 2 , 4 - ", parts(&[(1, 3), (4, 10)])),
            ("bytes=- 3", Unsatisfiable),
            // Several, in their order.
            ("bytes=0-1,4-5", parts(&[(0, 2), (4, 6)])),
            ("bytes=4-5,0-1,-1", parts(&[(4, 6), (0, 2), (9, 10)])),
            ("bytes=0-4,5-9", parts(&[(0, 5), (5, 10)])),
            ("bytes=0-1,20-30", parts(&[(0, 2)])),
            ("bytes=20-30,0-1", parts(&[(0, 2)])),
            ("bytes=5-4,0-1", parts(&[(0, 2)])),
            // More than there is.
            ("bytes=0-,0-", Whole),
            ("bytes=0-9,0-0", Whole),
            ("bytes=0-5,4-9", Whole),
            // Nothing of it.
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=5-4", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=10-,11-", Unsatisfiable),
            // Malformed.
            ("bytes=a", Unsatisfiable),
            ("bytes=-", Unsatisfiable),
            ("bytes=1", Unsatisfiable),
            ("bytes=1-2-3", Unsatisfiable),
            ("bytes=1-2,", Unsatisfiable),
            ("bytes=,1-2", Unsatisfiable),
            ("bytes=1-2;3-4", Unsatisfiable),
            ("bytes=+1-2", Unsatisfiable),
            ("bytes=1--2", Unsatisfiable),
            ("bytes=0x1-2", Unsatisfiable),
            ("bytes=1 2-3", Unsatisfiable),
            ("bytes=9223372036854775808-", Unsatisfiable),
            ("bytes=0-18446744073709551616", Unsatisfiable),
            ("bytes=-99999999999999999999", Unsatisfiable),
            // Not about bytes.
            ("", Whole),
            ("bytes=", Whole),
            ("bytes", Whole),
            ("bytes 0-1", Whole),
            ("lines=0-1", Whole),
            (" bytes=0-1", Whole),
        ];
        for (field, wanted) in rows {
            assert_eq!(parse(field.as_bytes(), 10, None), wanted, "{field}");
        }
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        for field in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"] {
            assert_eq!(parse(field.as_bytes(), 0, None), Ranges::Whole, "{field}");
        }
        assert_eq!(parse(b"bytes=1-", 0, None), Ranges::Unsatisfiable);
    }

    #[test]
    fn no_more_than_allowed() {
        let rows = [
            (Some(0), "bytes=0-0", Ranges::Whole),
            (Some(1), "bytes=0-0", parts(&[(0, 1)])),
            (Some(1), "bytes=0-0,2-2", Ranges::Whole),
            (Some(1), "bytes=20-,2-2", parts(&[(2, 3)])),
            (Some(2), "bytes=0-0,2-2", parts(&[(0, 1), (2, 3)])),
        ];
        for (most, field, wanted) in rows {
            assert_eq!(parse(field.as_bytes(), 10, most), wanted, "{most:?} {field}");
        }
        let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        let count = |count| match parse(many(count).as_bytes(), 1 << 20, None) {
            Ranges::Parts(parts) => parts.len(),
            _ => 0,
        };
        assert_eq!((count(RANGES_MAX), count(RANGES_MAX + 1)), (RANGES_MAX, 0));
    }

    #[test]
    fn parts_are_framed() {
        let multipart = Multipart::new(17, "text/css", 10);
        assert_eq!(multipart.content_type(), "multipart/byteranges; boundary=00000000000000000017");
        assert_eq!(
            multipart.before(&(2..4)),
            "\r\n--00000000000000000017\r\nContent-Type: text/css\r\nContent-Range: bytes 2-3/10\r\n\r\n"
        );
        assert_eq!(multipart.end(), "\r\n--00000000000000000017--\r\n");
        let bare = Multipart::new(u64::MAX, "", 10);
        assert_eq!(bare.before(&(0..1)), "\r\n--18446744073709551615\r\nContent-Range: bytes 0-0/10\r\n\r\n");
    }
}
