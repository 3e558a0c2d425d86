//! An answer as it is compared: without what must differ (ports, boundaries, the moment).

use super::support::{Message, tools};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

/// Fields that an expectation must name if the answer has them. `X-...` too.
const TOLD: [&str; 9] = [
    "location",
    "content-range",
    "set-cookie",
    "www-authenticate",
    "cache-control",
    "content-encoding",
    "allow",
    "retry-after",
    "link",
];

/// Fields that are compared besides.
const COMPARED: [&str; 8] = [
    "content-type",
    "content-length",
    "etag",
    "last-modified",
    "accept-ranges",
    "vary",
    "expires",
    "strict-transport-security",
];

/// An answer, made comparable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The page that the server makes itself for such a status: its text differs.
    pub own_page: bool,
    pub body: Vec<u8>,
    /// Names in lower case, sorted; the order of equal names is kept.
    pub fields: Vec<(String, String)>,
}

impl Answer {
    /// `ports` are (port, name) pairs: the number of a port is replaced by its name.
    pub fn new(method: &str, message: &Message, ports: &[(u16, &str)]) -> Answer {
        let named = |text: &str| {
            let mut text = text.to_owned();
            for (port, name) in ports {
                for before in [":", "=", " "] {
                    let (from, to) = (format!("{before}{port}"), format!("{before}{name}"));
                    // Not the beginning of a longer number.
                    let mut pieces = text.split(&from);
                    let mut named = pieces.next().unwrap_or_default().to_owned();
                    for piece in pieces {
                        named += if piece.starts_with(|c: char| c.is_ascii_digit()) { &from } else { &to };
                        named += piece;
                    }
                    text = named;
                }
            }
            text
        };
        let status = message.status();
        let mut body = message.body.clone();
        if message.field("content-encoding") == Some("gzip") && !body.is_empty() {
            body = gunzip(&body).unwrap_or_else(|| b"(this is no gzip)".to_vec());
        }
        let own_page = match method {
            // What it would be cannot be seen.
            "HEAD" => status >= 300 && status != 304,
            _ => is_own_page(message, &body),
        };
        let boundary =
            message.field("content-type").and_then(|kind| kind.split_once("boundary=")).map(|(_, b)| b.to_owned());
        if let Ok(text) = std::str::from_utf8(&body) {
            let mut text = named(text);
            if let Some(boundary) = &boundary {
                text = text.replace(&format!("--{boundary}"), "--BOUNDARY");
            }
            body = text.into_bytes();
        }
        let mut fields = Vec::new();
        for (name, value) in &message.fields {
            let name = name.to_ascii_lowercase();
            let ours = name.starts_with("x-") && !name.starts_with("x-ringgate-");
            let of_body = ["content-type", "content-length"].contains(&name.as_str());
            // The length of a multipart body has that of its boundary in it.
            let unequal = of_body && own_page || name == "content-length" && boundary.is_some();
            if unequal || !(ours || TOLD.contains(&name.as_str()) || COMPARED.contains(&name.as_str())) {
                continue;
            }
            let mut value = named(value);
            if let Some(boundary) = &boundary {
                value = value.replace(boundary, "BOUNDARY");
            }
            if name == "expires" {
                value = relative(&value, message.field("date"));
            }
            fields.push((name, value));
        }
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Answer { status, own_page, body: if own_page { Vec::new() } else { body }, fields }
    }

    /// The values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// In what two answers differ: what, the value here, the value there.
    pub fn differences(&self, other: &Answer) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        let mut differ = |what: &str, a: String, b: String| {
            if a != b {
                found.push((what.to_owned(), a, b));
            }
        };
        differ("status", self.status.to_string(), other.status.to_string());
        let body = |answer: &Answer| if answer.own_page { "(own page)".to_owned() } else { shown(&answer.body) };
        differ("body", body(self), body(other));
        let mut names: Vec<&String> = self.fields.iter().chain(&other.fields).map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        for name in names {
            differ(name, self.all(name).join(" & "), other.all(name).join(" & "));
        }
        found
    }

    /// As a line tells it that expects `expected`: with the fields that every line tells, and those that this one names.
    pub fn told(&self, expected: &str) -> String {
        let expected = expected.to_ascii_lowercase();
        let mut text = self.status.to_string();
        if !self.body.is_empty() {
            text += &format!(" {}", shown(&self.body));
        }
        for (name, value) in &self.fields {
            let named = expected.contains(&format!("[{name}: "));
            if named || name.starts_with("x-") || TOLD.contains(&name.as_str()) {
                text += &format!(" [{}: {value}]", titled(name));
            }
        }
        text
    }

    /// Whether it is what the line expects.
    pub fn is(&self, expected: &str) -> bool {
        let any_body = Answer { body: b"*".to_vec(), ..self.clone() };
        self.told(expected) == expected || any_body.told(expected) == expected
    }
}

/// A body in a line: escaped, and long ones by their length and a sum.
fn shown(body: &[u8]) -> String {
    if body.len() > 400 {
        let sum = body
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        return format!("<{} bytes, {:08x}>", body.len(), sum >> 32);
    }
    let mut text = String::new();
    for &byte in body {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    // Spaces at the ends of a line are lost.
    text.trim().to_owned()
}

fn titled(name: &str) -> String {
    if let Some(special) = ["ETag", "WWW-Authenticate"].into_iter().find(|special| special.eq_ignore_ascii_case(name)) {
        return special.to_owned();
    }
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

fn is_own_page(message: &Message, body: &[u8]) -> bool {
    let by = |name: &str| message.field("server").is_some_and(|server| server.starts_with(name));
    let ours = b"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>";
    by("nginx") && body.windows(17).any(|w| w == b"<hr><center>nginx") || by("ringgate") && body.starts_with(ours)
}

/// A date as what it is after `date`, for it moves with the time; fixed ones stay. Seconds are rounded, since a second may begin
/// between two clocks.
fn relative(value: &str, date: Option<&str>) -> String {
    let since = |text: &str| httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok();
    let (Some(value_at), Some(date)) = (since(value), date.and_then(since)) else { return value.to_owned() };
    let year = Duration::from_secs(365 * 24 * 3600);
    if value_at < year * 30 || value_at + Duration::from_secs(5) < date && date - value_at > year {
        return value.to_owned();
    }
    let seconds = value_at.as_secs() as i64 - date.as_secs() as i64;
    if seconds.unsigned_abs() > 5 * year.as_secs() {
        return value.to_owned();
    }
    format!("Date{:+}", (seconds + 5).div_euclid(10) * 10)
}

/// By a program: nothing here uses the library under test.
fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut command = tools::bounded(std::path::Path::new("gzip"), 10);
    command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("gzip runs");
    let mut input = child.stdin.take().expect("a pipe");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().expect("gzip ends");
    let _ = writer.join().expect("no panic");
    output.status.success().then_some(output.stdout)
}
