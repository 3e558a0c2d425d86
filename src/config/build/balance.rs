//! The methods of choosing a server, and the cookie that goes before them.

use crate::config::plan::{Balance, Sticky};
use crate::config::slips::closest;
use crate::config::template::Known;
use crate::config::template::Template;
use crate::config::value::duration;
use crate::limits;

/// Each method as one may write it.
const METHODS: &str =
    "\"round_robin\", \"least_conn\", \"ip_hash\", \"hash $request_uri\", \"random\" or \"least_time\"";
const WORDS: [&str; 6] = ["round_robin", "least_conn", "ip_hash", "hash", "random", "least_time"];

/// What other balancers call them.
const ELSEWHERE: [(&str, &str); 9] = [
    ("source", "ip_hash"),
    ("ip", "ip_hash"),
    ("uri", "hash $request_uri"),
    ("maglev", "hash $request_uri"),
    ("ring_hash", "hash $request_uri"),
    ("consistent_hash", "hash $request_uri"),
    ("p2c", "random"),
    ("ewma", "least_time"),
    ("peak_ewma", "least_time"),
];

/// `balance`: a method, and what nginx writes behind it.
pub fn balance(text: &str) -> Result<Balance, String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let mut words = text.split_ascii_whitespace();
    let method = words.next().unwrap_or("");
    let rest: Vec<&str> = words.collect();
    let plain = |balance: Balance, accepted: &[&[&str]]| match rest.is_empty() || accepted.contains(&&rest[..]) {
        true => Ok(balance),
        false => Err(format!("`{}` means nothing behind `{method}`; write \"{method}\"", rest.join(" "))),
    };
    match method {
        "round_robin" => plain(Balance::RoundRobin, &[]),
        "least_conn" => plain(Balance::LeastConn, &[]),
        "ip_hash" => plain(Balance::IpHash, &[]),
        "hash" => hash(&rest).map(Balance::Hash),
        "random" => plain(Balance::Random, &[&["two"], &["two", "least_conn"]]),
        "least_time" => plain(Balance::LeastTime, &[&["header"], &["first_byte"]]),
        _ => Err(unknown(method, text)),
    }
}

/// `$request_uri`, `$remote_addr$uri consistent`.
fn hash(words: &[&str]) -> Result<Template, String> {
    // Always so: a server that leaves moves its own share only.
    let key = words.strip_suffix(&["consistent"]).unwrap_or(words);
    let text = match key {
        [] => return Err("`hash` needs a text to choose by; write \"hash $request_uri\"".to_string()),
        [text] => text.trim_matches(['"', '\'']),
        _ => return Err(format!("`hash` takes one text without blanks; write \"hash {}\"", key.concat())),
    };
    let template = Template::parse(text, &Known::default())?;
    if template.variables().next().is_none() {
        return Err(format!("\"{text}\" has no variable: all would go to one server; write \"hash $request_uri\""));
    }
    Ok(template)
}

fn unknown(method: &str, text: &str) -> String {
    if method.is_empty() {
        return format!("write {METHODS}");
    }
    if method.starts_with('$') {
        return format!("the method is missing; write \"hash {text}\"");
    }
    if let Some((_, here)) = ELSEWHERE.iter().find(|(there, _)| *there == method.replace('-', "_")) {
        return format!("`{method}` is called \"{here}\" here");
    }
    if ["cookie", "sticky"].contains(&method) {
        return "a cookie is a setting of its own; write sticky = \"cookie route\"".to_string();
    }
    match closest(method, WORDS) {
        Some("hash") => format!("unknown method `{method}`; did you mean \"hash $request_uri\"?"),
        Some(near) => format!("unknown method `{method}`; did you mean \"{near}\"?"),
        None => format!("unknown method `{method}`; write {METHODS}"),
    }
}

/// Words that can stand behind the cookie's name.
const ATTRIBUTES: [&str; 6] = ["expires=", "domain=", "path=", "httponly", "secure", "samesite="];

/// `sticky`: `cookie NAME expires=1h domain=.example.org path=/ httponly secure samesite=lax`.
pub fn sticky(text: &str) -> Result<Option<Sticky>, String> {
    let text = text.trim().trim_end_matches(';');
    let mut words = text.split_ascii_whitespace();
    let (kind, name) = (words.next(), words.next());
    let name = match (kind, name) {
        (Some("off"), None) => return Ok(None),
        (Some("cookie"), Some(name)) => name,
        (Some("cookie"), None) => return Err("the cookie needs a name; write \"cookie route\"".to_string()),
        (Some("route" | "learn"), Some(_)) => {
            return Err("a server can be kept by a cookie only; write \"cookie route\"".to_string());
        }
        (Some(name), None) if is_token(name) => return Err(format!("write \"cookie {name}\"")),
        _ => return Err("write \"cookie\" and its name, such as \"cookie route\"".to_string()),
    };
    if !is_token(name) {
        return Err(format!("`{name}` cannot be the name of a cookie; write letters and digits"));
    }
    let mut path = "/";
    let (mut secure, mut anywhere) = (false, false);
    let mut attributes = String::new();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match (key.to_ascii_lowercase().as_str(), value) {
            ("expires" | "max-age", "max") => attributes += &max_age(limits::TIME_MAX / 1000),
            ("expires" | "max-age", value) => attributes += &max_age(duration(value)?.as_secs()),
            ("domain", value) => attributes += &format!("; Domain={}", attribute(key, value)?),
            ("path", value) => path = attribute(key, value)?,
            ("httponly", "") => attributes += "; HttpOnly",
            ("secure", "") => {
                secure = true;
                attributes += "; Secure";
            }
            ("samesite", value) => {
                let value = same_site(value)?;
                anywhere = value == "None";
                attributes += &format!("; SameSite={value}");
            }
            _ => {
                return Err(match closest(key, ATTRIBUTES.map(|word| word.trim_end_matches('='))) {
                    Some(near) if near != key => format!("unknown word `{word}`; did you mean \"{near}\"?"),
                    _ => format!("`{word}` means nothing here; there are {}", ATTRIBUTES.join(", ")),
                });
            }
        }
    }
    if !path.starts_with('/') {
        return Err(format!("the path of a cookie begins with a slash; write \"path=/{path}\""));
    }
    if anywhere && !secure {
        return Err("browsers take a cookie with samesite=none only if it is secure; add \"secure\"".to_string());
    }
    let attributes = format!("; Path={path}{attributes}");
    if name.len() + attributes.len() > limits::STICKY_COOKIE_MAX {
        return Err(format!(
            "the cookie with all that stands behind it has at most {} bytes",
            limits::STICKY_COOKIE_MAX
        ));
    }
    Ok(Some(Sticky { name: name.to_string(), attributes }))
}

fn max_age(seconds: u64) -> String {
    format!("; Max-Age={seconds}")
}

fn same_site(value: &str) -> Result<&'static str, String> {
    match value.to_ascii_lowercase().as_str() {
        "lax" => Ok("Lax"),
        "strict" => Ok("Strict"),
        "none" => Ok("None"),
        _ => Err(format!("`samesite={value}` is unknown; write samesite=lax, samesite=strict or samesite=none")),
    }
}

/// RFC 6265 4.1.1: what may stand in a path or a domain.
fn attribute<'a>(key: &str, value: &'a str) -> Result<&'a str, String> {
    match value.bytes().all(|b| b.is_ascii_graphic() && b != b';') && !value.is_empty() {
        true => Ok(value),
        false => Err(format!("`{key}={value}` cannot stand in a cookie")),
    }
}

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_understood() {
        let hash = |text: &str| Balance::Hash(Template::parse(text, &Known::default()).unwrap());
        for (text, expected) in [
            ("round_robin", Balance::RoundRobin),
            ("least_conn", Balance::LeastConn),
            (" least_conn; ", Balance::LeastConn),
            ("ip_hash", Balance::IpHash),
            ("random", Balance::Random),
            ("random two", Balance::Random),
            ("random two  least_conn", Balance::Random),
            ("least_time", Balance::LeastTime),
            ("least_time header", Balance::LeastTime),
            ("hash $request_uri", hash("$request_uri")),
            ("hash $remote_addr$uri consistent;", hash("$remote_addr$uri")),
            ("hash \"$cookie_sid\"", hash("$cookie_sid")),
            ("hash a-${arg_id}", hash("a-${arg_id}")),
        ] {
            assert_eq!(balance(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_methods_are_answered() {
        for (text, hint) in [
            ("", "write \"round_robin\", \"least_conn\""),
            ("fair", "or \"least_time\""),
            ("leastconn", "did you mean \"least_conn\"?"),
            ("round-robin", "did you mean \"round_robin\"?"),
            ("hsah $uri", "did you mean \"hash $request_uri\"?"),
            ("ip-hash", "did you mean \"ip_hash\"?"),
            ("source", "called \"ip_hash\""),
            ("peak-ewma", "called \"least_time\""),
            ("cookie route", "sticky = \"cookie route\""),
            ("$request_uri", "write \"hash $request_uri\""),
            ("hash", "write \"hash $request_uri\""),
            ("hash consistent", "write \"hash $request_uri\""),
            ("hash uri", "no variable"),
            ("hash $nope", "unknown variable `$nope`"),
            ("hash $host $uri", "write \"hash $host$uri\""),
            ("ip_hash consistent", "write \"ip_hash\""),
            ("random three", "`three` means nothing behind `random`"),
            ("random least_conn", "write \"random\""),
            ("least_time last_byte", "write \"least_time\""),
            ("round_robin two", "write \"round_robin\""),
        ] {
            let message = balance(text).expect_err(text);
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn cookies_are_understood() {
        for (text, name, attributes) in [
            ("cookie route", "route", "; Path=/"),
            ("cookie srv_id expires=1h path=/app;", "srv_id", "; Path=/app; Max-Age=3600"),
            ("cookie a expires=max", "a", "; Path=/; Max-Age=31622400"),
            (
                "cookie a domain=.example.org httponly Secure samesite=LAX",
                "a",
                "; Path=/; Domain=.example.org; HttpOnly; Secure; SameSite=Lax",
            ),
            ("cookie a secure samesite=none", "a", "; Path=/; Secure; SameSite=None"),
        ] {
            let expected = Sticky { name: name.to_string(), attributes: attributes.to_string() };
            assert_eq!(sticky(text), Ok(Some(expected)), "{text}");
        }
        assert_eq!(sticky("off"), Ok(None));
    }

    #[test]
    fn other_cookies_are_answered() {
        for (text, hint) in [
            ("", "such as \"cookie route\""),
            ("cookie", "needs a name"),
            ("SRV", "write \"cookie SRV\""),
            ("route $cookie_a", "by a cookie only"),
            ("learn create=$a lookup=$b", "by a cookie only"),
            ("insert a b", "such as \"cookie route\""),
            ("cookie a;b", "cannot be the name"),
            ("cookie ü", "cannot be the name"),
            ("cookie a expires=soon", "is not a duration"),
            ("cookie a expire=1h", "did you mean \"expires\"?"),
            ("cookie a http_only", "did you mean \"httponly\"?"),
            ("cookie a httponly=1", "means nothing"),
            ("cookie a nonsense", "there are expires="),
            ("cookie a domain=", "`domain=` cannot"),
            ("cookie a domain=a;b", "cannot stand in a cookie"),
            ("cookie a path=app", "write \"path=/app\""),
            ("cookie a samesite=maybe", "samesite=strict"),
            ("cookie a samesite=none", "add \"secure\""),
        ] {
            let message = sticky(text).expect_err(text);
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
}
