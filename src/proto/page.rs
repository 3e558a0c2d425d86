//! Answers that ringgate gives itself.

use super::reason::Reason;
use super::request::{self, FieldSlots};
use super::rewrite::EditFields;
use super::writer::Writer;
use crate::limits::PAGE_URI_MAX;

/// What is offered instead of CONNECT; RFC 9110 15.5.6 wants a 405 to say it.
const ALLOWED: &[u8] = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

/// No more fields than every page has.
const NO_FIELD: (&str, &[u8]) = ("", b"");

/// How an answer of ours is said, whatever it says.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'a> {
    /// An IMF-fixdate (RFC 9110 5.6.7).
    pub date: &'a str,
    /// What becomes of the connection behind it.
    pub connection: Connection,
    /// The request is HEAD.
    pub head_only: bool,
    /// The value of Strict-Transport-Security.
    pub hsts: Option<&'a str>,
    /// What the configuration adds.
    pub added: Option<&'a dyn EditFields>,
    /// The value of WWW-Authenticate.
    pub authenticate: Option<&'a str>,
}

/// What an answer says of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It closes.
    Close,
    /// It stays, as HTTP/1.1 has it.
    Stays,
    /// It stays, and a client of HTTP/1.0 must be told.
    KeepAlive,
}

/// Writes a whole answer: head and a small page that says what happened.
/// Nothing is written for a reason without status: nobody is there to read it.
pub fn write_error(w: &mut Writer, reason: Reason, manner: &Manner) {
    write_error_as(w, reason.status(), reason, manner);
}

/// The same with another status than the reason's own.
pub fn write_error_as(w: &mut Writer, status: u16, reason: Reason, manner: &Manner) {
    write_page(w, status, Some(reason), NO_FIELD, "", manner);
}

/// Writes a whole 416 about something of `size` bytes (RFC 9110 15.5.17).
pub fn write_unsatisfiable(w: &mut Writer, size: u64, manner: &Manner) {
    let reason = Reason::RangeUnsatisfiable;
    let range = format!("bytes */{size}");
    write_page(w, reason.status(), Some(reason), ("Content-Range", range.as_bytes()), "", manner);
}

/// Writes the answer to plain HTTP on a port that speaks TLS, with a link to what was meant. `came` is what the client sent so far.
/// The connection closes behind it.
pub fn write_plain_http(w: &mut Writer, came: &[u8], date: &str) {
    let url = https_url(came);
    let link = url.map(|url| format!("\n<p><a href=\"{url}\">{url}</a></p>", url = escaped(&url)));
    let head_only = came.starts_with(b"HEAD ");
    let manner = Manner { date, connection: Connection::Close, head_only, hsts: None, added: None, authenticate: None };
    let reason = Reason::PlainHttpOnTls;
    write_page(w, reason.status(), Some(reason), NO_FIELD, link.as_deref().unwrap_or_default(), &manner);
}

/// Writes an answer of this status with its built-in page: none below 400 but for redirects, which have a `location` (a value without
/// control characters; empty: none).
pub fn write_status(w: &mut Writer, status: u16, location: &[u8], manner: &Manner) {
    match (status, location) {
        (..=299 | 304, _) => write_text(w, status, 0, "", manner, |_| {}),
        _ => write_page(w, status, None, ("Location", location), "", manner),
    }
}

/// Writes an answer of this status with `length` bytes of this type ("": none is said), which `write` puts there.
pub fn write_text(
    w: &mut Writer,
    status: u16,
    length: u64,
    media_type: &str,
    manner: &Manner,
    write: impl FnOnce(&mut Writer),
) {
    begin(w, status, manner);
    // RFC 9110 15.3.5, 15.3.6 and 15.4.5: no content whatever is configured.
    let is_bare = matches!(status, 204 | 205 | 304);
    if length > 0 && !is_bare && !media_type.is_empty() {
        w.put_field("Content-Type", media_type.as_bytes());
    }
    if !matches!(status, 204 | 304) {
        put_length(w, if is_bare { 0 } else { length });
    }
    end(w, status, manner);
    if !manner.head_only && !is_bare {
        write(w);
    }
}

/// What a request would be called over HTTPS, if its head is whole and names a host.
fn https_url(head: &[u8]) -> Option<String> {
    let mut slots = FieldSlots::new();
    let request = request::parse(head, &mut slots).ok()??;
    let (_, route) = request.inspect().ok().filter(|(_, route)| !route.authority.is_empty())?;
    let host = route.authority.strip_suffix(":443").unwrap_or(route.authority);
    let uri = route.request_uri().concat();
    let is_shown = uri.starts_with('/') && uri.len() <= PAGE_URI_MAX;
    Some(format!("https://{host}{}", if is_shown { &uri } else { "/" }))
}

/// A text of the peer's as it may stand in HTML, also between quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// `field`: one more of the head, if it has a value. `extra`: HTML behind the sentence.
fn write_page(w: &mut Writer, status: u16, reason: Option<Reason>, field: (&str, &[u8]), extra: &str, manner: &Manner) {
    if status == 0 {
        return;
    }
    let mut digits = itoa::Buffer::new();
    let (number, phrase) = (digits.format(status), phrase(status));
    let [open, text, close] = reason.map_or([""; 3], |reason| ["\n<p>", reason.text(), "</p>"]);
    let [small, name, small_end] =
        reason.map_or([""; 3], |reason| ["\n<p><small>ringgate: <code>", reason.name(), "</code></small></p>"]);
    // Nothing of the peer's stands here but what was escaped.
    let body = [
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>",
        number,
        " ",
        phrase,
        "</title></head>\n<body><h1>",
        number,
        " ",
        phrase,
        "</h1>",
        open,
        text,
        close,
        extra,
        small,
        name,
        small_end,
        "</body></html>\n",
    ];
    begin(w, status, manner);
    w.put(b"Content-Type: text/html; charset=utf-8\r\n");
    put_length(w, body.iter().map(|piece| piece.len() as u64).sum());
    if let Some(reason) = reason {
        w.put_field("X-Ringgate-Reason", reason.name().as_bytes());
    }
    if status == 405 {
        let is_file = reason == Some(Reason::FileMethod);
        w.put_field("Allow", if is_file { b"GET, HEAD" } else { ALLOWED });
    }
    if !field.1.is_empty() {
        w.put_field(field.0, field.1);
    }
    end(w, status, manner);
    if !manner.head_only {
        body.iter().for_each(|piece| w.put_str(piece));
    }
}

/// Writes the first lines of a head.
pub fn begin(w: &mut Writer, status: u16, manner: &Manner) {
    w.put(b"HTTP/1.1 ");
    w.put_u64(status.into());
    w.put(b" ");
    w.put_str(phrase(status));
    w.put(b"\r\nServer: ringgate\r\n");
    w.put_field("Date", manner.date.as_bytes());
}

fn put_length(w: &mut Writer, length: u64) {
    w.put(b"Content-Length: ");
    w.put_u64(length);
    w.put(b"\r\n");
}

/// Writes the last lines of a head of this status.
pub fn end(w: &mut Writer, status: u16, manner: &Manner) {
    if let Some(hsts) = manner.hsts {
        w.put_field("Strict-Transport-Security", hsts.as_bytes());
    }
    if let Some(added) = manner.added {
        added.add(w, status);
    }
    if let Some(authenticate) = manner.authenticate {
        w.put_field("WWW-Authenticate", authenticate.as_bytes());
    }
    match manner.connection {
        Connection::Close => w.put(b"Connection: close\r\n"),
        Connection::KeepAlive => w.put(b"Connection: keep-alive\r\n"),
        Connection::Stays => {}
    }
    w.put(b"\r\n");
}

/// The phrase behind a status, as registered; "" if none is. The blank before it stays (RFC 9112 4).
pub fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::written;
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const STAYS: Manner = Manner {
        date: DATE,
        connection: Connection::Stays,
        head_only: false,
        hsts: None,
        added: None,
        authenticate: None,
    };

    fn page(reason: Reason, close: bool, head_only: bool) -> String {
        let connection = if close { Connection::Close } else { Connection::Stays };
        written(|w| write_error(w, reason, &Manner { connection, head_only, ..STAYS }))
    }

    #[test]
    fn statuses_have_a_page_a_text_or_nothing() {
        let page = |number: &str| {
            format!(
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{number}</title></head>\n\
                 <body><h1>{number}</h1></body></html>\n"
            )
        };
        let html = |number: &str| {
            let page = page(number);
            format!("Content-Type: text/html; charset=utf-8|Content-Length: {}|LOCATION|{page}", page.len())
        };
        // Status, location, text, then the lines behind Date.
        type Row = (u16, &'static str, &'static str, &'static str, String);
        let rows: [Row; 14] = [
            (200, "", "OK", "", "Content-Length: 0||".into()),
            (204, "", "No Content", "", "|".into()),
            (204, "", "No Content", "text", "|".into()),
            (205, "", "Reset Content", "text", "Content-Length: 0||".into()),
            (304, "", "Not Modified", "text", "|".into()),
            (200, "", "OK", "text", "Content-Type: text/plain|Content-Length: 4||text".into()),
            (404, "", "Not Found", "text", "Content-Type: text/plain|Content-Length: 4||text".into()),
            (299, "", "", "text", "Content-Type: text/plain|Content-Length: 4||text".into()),
            (299, "", "", "", "Content-Length: 0||".into()),
            (404, "", "Not Found", "", html("404 Not Found").replace("LOCATION", "")),
            (499, "", "", "", html("499 ").replace("LOCATION", "")),
            (301, "", "Moved Permanently", "", html("301 Moved Permanently").replace("LOCATION", "")),
            (301, "/a", "Moved Permanently", "", html("301 Moved Permanently").replace("LOCATION", "Location: /a|")),
            (308, "/a", "Permanent Redirect", "", html("308 Permanent Redirect").replace("LOCATION", "Location: /a|")),
        ];
        for (status, location, phrase, text, rest) in rows {
            let answer = |manner: &Manner| {
                written(|w| match text {
                    "" => write_status(w, status, location.as_bytes(), manner),
                    text => write_text(w, status, text.len() as u64, "text/plain", manner, |w| w.put_str(text)),
                })
            };
            let head = format!("HTTP/1.1 {status} {phrase}\r\nServer: ringgate\r\nDate: {DATE}\r\n");
            let wanted = head + &rest.replace('|', "\r\n");
            let got = answer(&STAYS);
            assert_eq!(got, wanted, "{status} {text}");
            let (head, _) = got.split_once("\r\n\r\n").unwrap();
            assert_eq!(answer(&Manner { head_only: true, ..STAYS }), format!("{head}\r\n\r\n"));
            let strict = answer(&Manner { hsts: Some("max-age=7"), ..STAYS });
            assert!(strict.contains("\r\nStrict-Transport-Security: max-age=7\r\n"), "{strict}");
            let asked = answer(&Manner { authenticate: Some("Basic realm=\"x\""), ..STAYS });
            assert!(asked.contains("\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"), "{asked}");
            for (connection, line) in [(Connection::Close, "close"), (Connection::KeepAlive, "keep-alive")] {
                let got = answer(&Manner { connection, ..STAYS });
                assert!(got.contains(&format!("\r\nConnection: {line}\r\n\r\n")), "{got}");
            }
        }
    }

    #[test]
    fn every_reason_with_a_status_has_a_right_page() {
        for &reason in Reason::ALL {
            let text = page(reason, true, false);
            if reason.status() == 0 {
                assert_eq!(text, "");
                continue;
            }
            assert_ne!(phrase(reason.status()), "", "{reason:?}");
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

    #[test]
    fn a_reason_may_have_another_status() {
        let text = written(|w| write_error_as(w, 429, Reason::RequestLimit, &STAYS));
        assert!(text.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{text}");
        assert!(text.contains("<h1>429 Too Many Requests</h1>") && text.contains("request_limit"), "{text}");
    }

    #[test]
    fn plain_http_is_told_where_to_go() {
        let rows: [(&[u8], Option<&str>); 12] = [
            (b"GET /a?b=c&d HTTP/1.1\r\nHost: A.example:8443\r\n\r\n", Some("https://A.example:8443/a?b=c&amp;d")),
            (b"GET / HTTP/1.1\r\nHost: a:443\r\n\r\n", Some("https://a/")),
            (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Some("https://a/")),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbo", Some("https://a/")),
            (b"GET http://b?c HTTP/1.1\r\nHost: a\r\n\r\n", Some("https://b/?c")),
            (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Some("https://a/")),
            (b"GET /\"'<b> HTTP/1.1\r\nHost: a\r\n\r\n", Some("https://a/&quot;&#39;&lt;b&gt;")),
            // Nothing to go by.
            (b"GET / HTTP/1.0\r\n\r\n", None),
            (b"GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n", None),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", None),
            (b"\x80\x01 garbage", None),
            (b"", None),
        ];
        for (came, wanted) in rows {
            let text = written(|w| write_plain_http(w, came, DATE));
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
            assert!(
                head.contains("\r\nConnection: close") && head.contains("X-Ringgate-Reason: plain_http_on_tls"),
                "{head}"
            );
            if came.starts_with(b"HEAD") {
                assert_eq!(body, "");
                continue;
            }
            assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
            let link = wanted.map(|url| format!("<a href=\"{url}\">{url}</a>"));
            assert!(body.contains(link.as_deref().unwrap_or("speaks HTTPS")), "{link:?} in {body}");
            assert_eq!(body.contains("<a "), wanted.is_some(), "{body}");
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "&".repeat(PAGE_URI_MAX));
        assert_eq!(https_url(long.as_bytes()).as_deref(), Some("https://a/"));
    }
}
