//! Values as a line of an access log may hold them.

use crate::config::plan::Escape;

/// Appends a value. Whatever it is, it begins no line of its own.
pub(super) fn escape(kind: Escape, value: &[u8], out: &mut Vec<u8>) {
    match kind {
        Escape::Default => by_table(value, out, |byte| matches!(byte, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~'), hex),
        Escape::None => by_table(value, out, |byte| !matches!(byte, b'\r' | b'\n'), hex),
        Escape::Json => match str::from_utf8(value) {
            Ok(_) => json(value, out),
            // What is no text is none in JSON either.
            Err(_) => json(String::from_utf8_lossy(value).as_bytes(), out),
        },
    }
}

fn json(value: &[u8], out: &mut Vec<u8>) {
    by_table(
        value,
        out,
        |byte| byte >= b' ' && byte != b'"' && byte != b'\\',
        |byte, out| {
            let short = match byte {
                b'"' | b'\\' => byte,
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x08 => b'b',
                0x0c => b'f',
                _ => {
                    out.extend_from_slice(b"\\u00");
                    return out.extend_from_slice(&digits(byte));
                }
            };
            out.extend_from_slice(&[b'\\', short]);
        },
    );
}

/// Runs of bytes that stay are copied as one.
fn by_table(value: &[u8], out: &mut Vec<u8>, stays: impl Fn(u8) -> bool, other: impl Fn(u8, &mut Vec<u8>)) {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|&byte| !stays(byte)) {
        out.extend_from_slice(&rest[..at]);
        other(rest[at], out);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    out.extend_from_slice(&digits(byte));
}

fn digits(byte: u8) -> [u8; 2] {
    let digit = |half: u8| b"0123456789ABCDEF"[usize::from(half)];
    [digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_bytes_out() {
        // As it is, by default, as JSON, not at all.
        let table: [(&[u8], &str, &str, &str); 9] = [
            (b"", "", "", ""),
            (b"GET /a?b=c HTTP/1.1", "GET /a?b=c HTTP/1.1", "GET /a?b=c HTTP/1.1", "GET /a?b=c HTTP/1.1"),
            (b"a\"b", "a\\x22b", "a\\\"b", "a\"b"),
            (b"a\\b", "a\\x5Cb", "a\\\\b", "a\\b"),
            (b"a\nb\rc", "a\\x0Ab\\x0Dc", "a\\nb\\rc", "a\\x0Ab\\x0Dc"),
            (b"\t\x08\x0c\x00\x1f", "\\x09\\x08\\x0C\\x00\\x1F", "\\t\\b\\f\\u0000\\u001F", "\t\x08\x0c\x00\x1f"),
            (b"\x7f", "\\x7F", "\x7f", "\x7f"),
            ("é".as_bytes(), "\\xC3\\xA9", "é", "é"),
            (
                b"\" 200 5\n10.0.0.1 - - \"GET",
                "\\x22 200 5\\x0A10.0.0.1 - - \\x22GET",
                "\\\" 200 5\\n10.0.0.1 - - \\\"GET",
                "\" 200 5\\x0A10.0.0.1 - - \"GET",
            ),
        ];
        for (value, by_default, as_json, not_at_all) in table {
            for (kind, expected) in [(Escape::Default, by_default), (Escape::Json, as_json), (Escape::None, not_at_all)]
            {
                let mut out = b"before ".to_vec();
                escape(kind, value, &mut out);
                assert_eq!(String::from_utf8_lossy(&out), format!("before {expected}"), "{kind:?} {value:?}");
            }
        }
    }

    #[test]
    fn whatever_comes_is_one_line_and_json_stays_json() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        for kind in [Escape::Default, Escape::Json, Escape::None] {
            let mut out = Vec::new();
            escape(kind, &all, &mut out);
            assert!(!out.contains(&b'\n') && !out.contains(&b'\r'), "{kind:?}");
        }
        let mut out = b"\"".to_vec();
        escape(Escape::Json, &all, &mut out);
        out.push(b'"');
        let read: String = serde_json::from_slice(&out).expect("JSON");
        assert!(read.starts_with('\0') && read.contains('\u{fffd}'));
    }
}
