//! The backend of all themes: it tells what it saw, or answers what the request asks it to.

use super::support::{Backend, Message};

/// Starts it.
pub fn start() -> Backend {
    Backend::answer(answer)
}

/// `METHOD TARGET host=... name=value... body`, with the fields that themes set. The client may ask for more:
/// `X-Give: 404` is the status, each `X-Give-Field: NAME: VALUE` a field, `X-Give-Body: TEXT` the body (`N*TEXT`: N times).
fn answer(request: &Message) -> Vec<u8> {
    let mut text = format!("{} {}", request.method(), request.target());
    let seen = |name: &str| {
        name == "host"
            || name == "range"
            || name == "authorization"
            || name.starts_with("t-")
            || name == "if-none-match"
    };
    let mut fields: Vec<(String, &str)> =
        request.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
    fields.sort();
    for (name, value) in fields.iter().filter(|(name, _)| seen(name)) {
        text += &format!(" {name}={value}");
    }
    if !request.body.is_empty() {
        text += &format!(" body={}", String::from_utf8_lossy(&request.body));
    }
    if let Some(body) = request.field("x-give-body") {
        text = match body.split_once('*') {
            Some((count, piece)) => piece.repeat(count.parse().expect("a number")),
            None => body.to_owned(),
        };
    }
    let status = request.field("x-give").unwrap_or("200");
    let bodyless = status == "204" || status == "304";
    let mut head = format!("HTTP/1.1 {status} Given\r\n");
    let given = request.all("x-give-field");
    if !given.iter().any(|field| field.to_ascii_lowercase().starts_with("content-type:")) && !bodyless {
        head += "Content-Type: text/plain\r\n";
    }
    for field in given {
        head += &format!("{field}\r\n");
    }
    if !bodyless {
        head += &format!("Content-Length: {}\r\n", text.len());
    }
    head += "\r\n";
    if request.method() == "HEAD" || bodyless {
        return head.into_bytes();
    }
    (head + &text).into_bytes()
}
