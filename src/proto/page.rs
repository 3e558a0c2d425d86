//! Answers that ringgate gives itself.

use super::reason::Reason;
use super::writer::Writer;

/// What is offered instead of CONNECT; RFC 9110 15.5.6 wants a 405 to say it.
const ALLOWED: &[u8] = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

/// Writes a whole answer: head and a small page that says what happened. `date` is an IMF-fixdate (RFC 9110 5.6.7).
/// Nothing is written for a reason without status: nobody is there to read it.
pub fn write_error(w: &mut Writer, reason: Reason, date: &str, close: bool, head_only: bool) {
    let status = reason.status();
    if status == 0 {
        return;
    }
    let mut digits = itoa::Buffer::new();
    let (number, phrase) = (digits.format(status), phrase(status));
    // All of it is our own text: nothing of the peer's stands here that would need escaping.
    let body = [
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>",
        number,
        " ",
        phrase,
        "</title></head>\n<body><h1>",
        number,
        " ",
        phrase,
        "</h1>\n<p>",
        reason.text(),
        "</p>\n<p><small>ringgate: <code>",
        reason.name(),
        "</code></small></p></body></html>\n",
    ];
    w.put(b"HTTP/1.1 ");
    w.put_str(number);
    w.put(b" ");
    w.put_str(phrase);
    w.put(b"\r\nServer: ringgate\r\n");
    w.put_field("Date", date.as_bytes());
    w.put(b"Content-Type: text/html; charset=utf-8\r\nContent-Length: ");
    w.put_u64(body.iter().map(|piece| piece.len() as u64).sum());
    w.put(b"\r\n");
    w.put_field("X-Ringgate-Reason", reason.name().as_bytes());
    if status == 405 {
        w.put_field("Allow", ALLOWED);
    }
    if close {
        w.put(b"Connection: close\r\n");
    }
    w.put(b"\r\n");
    if !head_only {
        body.iter().for_each(|piece| w.put_str(piece));
    }
}

/// The phrase behind a status (RFC 9110 15, RFC 6585); every status of a `Reason` has one.
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BUFFER_SMALL;

    fn page(reason: Reason, close: bool, head_only: bool) -> String {
        let mut buf = vec![0; BUFFER_SMALL];
        let mut w = Writer::new(&mut buf);
        write_error(&mut w, reason, "Sun, 06 Nov 1994 08:49:37 GMT", close, head_only);
        let len = w.finish().unwrap();
        buf.truncate(len);
        String::from_utf8(buf).unwrap()
    }

    #[test]
    fn every_reason_with_a_status_has_a_right_page() {
        for &reason in Reason::ALL {
            let text = page(reason, true, false);
            if reason.status() == 0 {
                assert_eq!(text, "");
                continue;
            }
            assert_ne!(phrase(reason.status()), "Error", "{reason:?}");
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(
                head.starts_with(&format!("HTTP/1.1 {} {}\r\n", reason.status(), phrase(reason.status()))),
                "{head}"
            );
            for line in [
                format!("Content-Length: {}", body.len()),
                format!("X-Ringgate-Reason: {}", reason.name()),
                "Date: Sun, 06 Nov 1994 08:49:37 GMT".into(),
                "Server: ringgate".into(),
                "Connection: close".into(),
            ] {
                assert_eq!(head.split("\r\n").filter(|l| **l == line).count(), 1, "{line} in {head}");
            }
            assert_eq!(head.contains("\r\nAllow: GET,"), reason.status() == 405);
            assert!(body.contains(reason.text()) && body.contains(reason.name()));
            assert_eq!(page(reason, true, true), format!("{head}\r\n\r\n"));
            assert!(!page(reason, false, false).contains("Connection:"));
        }
    }
}
