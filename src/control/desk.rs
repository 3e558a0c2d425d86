//! What can be asked on the admin socket: reading the status, and changing what runs.

use super::explain;
use super::logs::Logs;
use super::steering::{Order, Steering, weight};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `GET`, `HEAD` or `POST`; anything else is refused.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without `?`; may be empty.
    pub query: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's status code.
    pub code: u16,
    /// The body is JSON, not plain text.
    pub json: bool,
    /// What is said.
    pub body: String,
    /// With 405: what is allowed.
    pub allow: &'static str,
}

impl Answer {
    fn text(code: u16, body: impl Into<String>) -> Answer {
        Answer { code, json: false, body: body.into(), allow: "" }
    }
}

const PLACES: &str =
    "There is only GET /status and /explain, and POST /reload, /reopen, /drain, /undrain and /weight here.\n";

/// Who answers.
pub struct Desk<S: Fn() -> String> {
    /// Makes the body of `/status`.
    pub status: S,
    /// Changes what runs.
    pub steering: Rc<Steering>,
    /// Opens logs again.
    pub logs: Rc<Logs>,
}

impl<S: Fn() -> String> Desk<S> {
    /// Answers; a reload only when it is done.
    pub async fn answer(&self, question: Question) -> Answer {
        let Question { method, path, query } = &question;
        let is_get = matches!(&**method, "GET" | "HEAD");
        match (&**path, &**method) {
            ("/status", _) if is_get => Answer { json: true, ..Answer::text(200, (self.status)()) },
            ("/explain", _) if is_get => match self.explain(query) {
                Ok(said) => Answer::text(200, said),
                Err(said) => Answer::text(422, format!("{said}\n")),
            },
            ("/status" | "/explain", _) => {
                Answer { allow: "GET, HEAD", ..Answer::text(405, "This can only be read: GET.\n") }
            }
            ("/reload" | "/reopen" | "/drain" | "/undrain" | "/weight", "POST") => self.change(path, query).await,
            ("/reload" | "/reopen" | "/drain" | "/undrain" | "/weight", _) => {
                Answer { allow: "POST", ..Answer::text(405, "This changes something: POST.\n") }
            }
            _ => Answer::text(404, PLACES),
        }
    }

    fn explain(&self, query: &str) -> Result<String, String> {
        explain::explain(&self.steering.site(), &question(query)?)
    }

    async fn change(&self, path: &str, query: &str) -> Answer {
        let done = match path {
            // A task of its own: whoever asked may leave, and half a reload must not stay.
            "/reload" => {
                let steering = self.steering.clone();
                let reloading = tokio_uring::spawn(async move { steering.reload().await });
                reloading.await.unwrap_or_else(|error| Err(format!("the reload made a mistake: {error}")))
            }
            "/reopen" => {
                let logs = self.logs.clone();
                let reopening = tokio_uring::spawn(async move { logs.reopen().await });
                reopening.await.unwrap_or_else(|error| Err(format!("reopening made a mistake: {error}")))
            }
            _ => {
                order(path, query).and_then(|(upstream, server, order)| self.steering.order(&upstream, &server, order))
            }
        };
        match done {
            Ok(said) => Answer::text(200, said),
            Err(said) => Answer::text(422, format!("{}\n", said.trim_end())),
        }
    }
}

/// `upstream=app&server=127.0.0.1:3001&weight=2`.
fn order(path: &str, query: &str) -> Result<(String, String, Order), String> {
    let mut given: BTreeMap<&str, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` has no `=`"))?;
        given.insert(name, decoded(value)?.into_owned());
    }
    let mut take = |name: &str| given.remove(name).ok_or_else(|| format!("`{name}=` is missing in the query"));
    let (upstream, server) = (take("upstream")?, take("server")?);
    let order = match path {
        "/drain" => Order::Drain,
        "/undrain" => Order::Undrain,
        _ => Order::Weight(weight(&take("weight")?)?),
    };
    Ok((upstream, server, order))
}

/// What `/explain` is asked about: `method=`, `url=`, `from=`, and `header=` for each field.
fn question(query: &str) -> Result<explain::Question, String> {
    let mut question = explain::Question {
        method: "GET".to_owned(),
        url: String::new(),
        headers: Vec::new(),
        from: Ipv4Addr::LOCALHOST.into(),
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` has no `=`"))?;
        let value = decoded(value)?.into_owned();
        match name {
            "method" => question.method = value,
            "url" => question.url = value,
            "header" => question.headers.push(value),
            "from" => question.from = value.parse().map_err(|_| format!("`{value}` is not an IP address"))?,
            _ => return Err(format!("`{name}` is not known")),
        }
    }
    match question.url.is_empty() {
        true => Err("`url=` is missing in the query".to_owned()),
        false => Ok(question),
    }
}

/// The other direction of [`question`].
pub fn asked(question: &explain::Question) -> String {
    let explain::Question { method, url, headers, from } = question;
    let from = from.to_string();
    let fixed = [("method", method), ("url", url), ("from", &from)];
    let fields = headers.iter().map(|header| ("header", header));
    let pairs = fixed.into_iter().chain(fields).map(|(name, value)| format!("{name}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// `%2F` is a slash.
fn decoded(text: &str) -> Result<Cow<'_, str>, String> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let wrong = || format!("`{text}` is not percent-encoded well");
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        (bytes, rest) = match (first, behind) {
            (b'%', [a, b, behind @ ..]) => {
                let digit = |digit: u8| char::from(digit).to_digit(16).ok_or_else(wrong);
                bytes.push((digit(*a)? * 16 + digit(*b)?) as u8);
                (bytes, behind)
            }
            (b'%', _) => return Err(wrong()),
            _ => {
                bytes.push(*first);
                (bytes, behind)
            }
        };
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| wrong())
}

/// The other direction, for a query's value: everything but letters, digits and `-._~:` is encoded.
pub fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_from_the_query_or_refused() {
        let good = [
            ("/drain", "upstream=a&server=b:1", Order::Drain),
            ("/undrain", "server=b:1&upstream=a", Order::Undrain),
            ("/weight", "upstream=a&server=b:1&weight=5", Order::Weight(Some(5))),
            ("/weight", "upstream=a&server=b%3A1&weight=file", Order::Weight(None)),
        ];
        for (path, query, expected) in good {
            assert_eq!(order(path, query), Ok(("a".into(), "b:1".into(), expected)), "{query}");
        }
        let bad = [
            ("/drain", "", "`upstream=`"),
            ("/drain", "upstream=a", "`server=`"),
            ("/drain", "upstream", "no `=`"),
            ("/weight", "upstream=a&server=b", "`weight=`"),
            ("/weight", "upstream=a&server=b&weight=0", "drain"),
            ("/drain", "upstream=%4&server=b", "percent"),
            ("/drain", "upstream=%zz&server=b", "percent"),
            ("/drain", "upstream=%FF&server=b", "percent"),
        ];
        for (path, query, part) in bad {
            let error = order(path, query).expect_err(query);
            assert!(error.contains(part), "{query}: {error}");
        }
    }

    #[test]
    fn questions_come_through_the_query() {
        let asked_for = explain::Question {
            method: "POST".to_owned(),
            url: "https://a.example/x?y=1&z#f".to_owned(),
            headers: vec!["X-A: b & c".to_owned(), "X-B: d".to_owned()],
            from: "2001:db8::1".parse().unwrap(),
        };
        assert_eq!(question(&asked(&asked_for)), Ok(asked_for));
        for (query, part) in [("", "`url=`"), ("url", "no `=`"), ("url=a&from=b", "IP address"), ("url=a&x=1", "`x`")] {
            assert!(question(query).unwrap_err().contains(part), "{query}");
        }
    }

    #[test]
    fn what_is_encoded_comes_back() {
        for text in ["", "a:1", "unix:/run/x y.sock", "100%", "ü&=?#+"] {
            assert_eq!(decoded(&encoded(text)).as_deref(), Ok(text));
        }
    }
}
