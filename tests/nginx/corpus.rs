//! The lists of requests, and how a line of them reads:
//!
//! ```text
//! # a remark
//! GET /a?b | Host: x.test | Range: bytes=0-3 => 206 text [Content-Range: bytes 0-3/26]
//! POST /form | Content-Length: 3 << abc => 200 *
//! ```
//!
//! Before `=>` stands the request: method, target, and a version if it is not HTTP/1.1; fields (`Host: example.test` unless one is
//! given, `Host: -` for none); after `<<` a body. `\r`, `\n`, `\t`, `\\` and `\xHH` stand for bytes. After `=>`: the status, the body (`*` any,
//! `<N bytes, HASH>` a long one, nothing: none or a page of the server's own), and in brackets fields: all of those that `answer::TOLD` names.
//! Other fields that are compared may be named there. `{port}` and `{echo}` are ports; in what is expected stand `PORT` (the
//! server's), `SECOND` (its other one) and `ECHO` (the backend's). `To: second` is no field: it asks the second port.

/// What a line of a theme asks for, and what is expected.
pub struct Row {
    /// As it is written before `=>`.
    pub request: &'static str,
    pub expected: &'static str,
    pub line: usize,
}

/// The rows of a list.
#[track_caller]
pub fn rows(text: &'static str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.trim();
        let (request, expected) =
            line.split_once("=>").unwrap_or_else(|| panic!("line {}: no `=>`: {line}", number + 1));
        rows.push(Row { request: request.trim(), expected: expected.trim(), line: number + 1 });
    }
    rows
}

/// The bytes to send for `request`.
#[track_caller]
pub fn bytes(request: &str) -> Vec<u8> {
    let (head, body) = request.split_once(" << ").unwrap_or((request, ""));
    let mut parts = head.split(" | ");
    let line = parts.next().unwrap_or_default();
    let mut text = line.to_owned();
    if !line.contains(" HTTP/") {
        text += " HTTP/1.1";
    }
    text += "\\r\\n";
    let fields: Vec<&str> = parts.collect();
    if !fields.iter().any(|field| field.starts_with("Host:")) {
        text += "Host: example.test\\r\\n";
    }
    for field in fields.into_iter().filter(|&field| field != "Host: -") {
        text += &format!("{field}\\r\\n");
    }
    unescape(&format!("{text}\\r\\n{body}"))
}

/// The method of `request`.
pub fn method(request: &str) -> &str {
    request.split(' ').next().unwrap_or_default()
}

/// Bytes for a text with escapes.
#[track_caller]
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (&kind, after) = rest.split_first().unwrap_or_else(|| panic!("`\\` at the end of {text}"));
        rest = after;
        out.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let (digits, after) = rest.split_at(2);
                rest = after;
                let digits = std::str::from_utf8(digits).expect("two digits");
                u8::from_str_radix(digits, 16).unwrap_or_else(|e| panic!("\\x{digits}: {e}"))
            }
            other => panic!("`\\{}` in {text}", char::from(other)),
        });
    }
    out
}
