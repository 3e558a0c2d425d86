//! `proxy_set_header`: fields of requests to backends.

use crate::config::report::{Place, Report};
use crate::config::rules::words::unquoted;
use crate::config::template::{Known, Part, Template};

/// Fields of one connection, or of a message's framing: each side has its own.
const OF_CONNECTIONS: [&str; 8] = [
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "http2-settings",
    "expect",
];

/// What is sent anyway, as nginx's guides write it.
const ANYWAY: [(&str, &[&str]); 4] = [
    ("host", &["$http_host"]),
    ("x-real-ip", &["$remote_addr"]),
    ("x-forwarded-for", &["$proxy_add_x_forwarded_for"]),
    ("x-forwarded-proto", &["$scheme"]),
];

/// A character that cannot stand in the name of a field.
pub fn strange_in_name(name: &str) -> Option<char> {
    name.chars().find(|c| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(*c))
}

/// The fields of one level, and what is wrong or strange about them.
pub fn fields(values: &[(&str, Place)], known: &Known) -> (Vec<(String, Template)>, Vec<Report>) {
    let (mut fields, mut reports) = (Vec::new(), Vec::new());
    let mut named: Vec<String> = Vec::new();
    for (text, place) in values {
        match field(text, known) {
            Ok(Field::Sent(name, _) | Field::Anyway(name)) if named.contains(&name.to_ascii_lowercase()) => {
                reports.push(Report::error(place.clone(), format!("`{name}` stands here twice")));
            }
            Ok(Field::Sent(name, value)) => {
                named.push(name.to_ascii_lowercase());
                fields.push((name, value));
            }
            Ok(Field::Anyway(name)) => named.push(name.to_ascii_lowercase()),
            Ok(Field::Ignored(why)) => reports.push(Report::warning(place.clone(), why)),
            Err(message) => reports.push(Report::error(place.clone(), message)),
        }
    }
    (fields, reports)
}

enum Field {
    Sent(String, Template),
    /// It would be sent so without being named.
    Anyway(String),
    Ignored(String),
}

/// `X-Tenant $http_x_tenant`: a name, blanks, and the value, which nginx's files have in quotes if there are blanks in it.
fn field(text: &str, known: &Known) -> Result<Field, String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let (name, value) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    let value = value.trim();
    if name.is_empty() {
        return Err("write a name and a value, such as \"X-Tenant $http_x_tenant\"".to_string());
    }
    if let Some(bare) = name.strip_suffix(':') {
        return Err(format!("no colon between name and value; write \"{bare} {value}\""));
    }
    if let Some(strange) = strange_in_name(name) {
        return Err(format!("`{strange}` cannot stand in the name of a field"));
    }
    if value.is_empty() {
        return Err(format!("`{name}` has no value; write \"{name} ''\" to leave the field out"));
    }
    let value = &*unquoted(value);
    let lower = name.to_ascii_lowercase();
    match &*lower {
        "connection" | "upgrade" => {
            let why = "connections to backends are kept open, and WebSocket passes, by themselves";
            return Ok(Field::Ignored(format!("`{name}` is not needed: {why}")));
        }
        _ if OF_CONNECTIONS.contains(&&*lower) => {
            let why = "it is about one connection, and each side has its own";
            return Ok(Field::Ignored(format!("`{name}` is left alone: {why}")));
        }
        "host" if value.is_empty() => return Err("every request has a Host; write \"Host $host\"".to_string()),
        _ => {}
    }
    if ANYWAY.iter().any(|(known, values)| *known == lower && values.contains(&value)) {
        return Ok(Field::Anyway(name.to_string()));
    }
    let template = Template::parse(value, known)?;
    match template.parts().iter().any(|part| matches!(part, Part::Text(text) if text.contains(char::is_control))) {
        true => Err("control characters cannot stand in a field".to_string()),
        false => Ok(Field::Sent(name.to_string(), template)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(texts: &[&str]) -> (Vec<String>, usize, usize) {
        let values: Vec<(&str, Place)> = texts.iter().map(|text| (*text, Place::file(0))).collect();
        let (fields, reports) = fields(&values, &Known::default());
        let fields = fields.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let warnings = reports.iter().filter(|report| report.is_warning()).count();
        (fields, warnings, reports.len() - warnings)
    }

    #[test]
    fn names_and_values() {
        for (text, expected) in [
            ("X-A b", Some("X-A=b")),
            ("X-A \"b c\";", Some("X-A=b c")),
            ("X-A   'b $host'", Some("X-A=b $host")),
            ("X-A b c", Some("X-A=b c")),
            ("X-A \"\"", Some("X-A=")),
            ("Accept-Encoding ''", Some("Accept-Encoding=")),
            ("X-A \"", Some("X-A=\"")),
            (r#"X-A "it's \"q\"""#, Some("X-A=it's \"q\"")),
            (r#"X-A '"a" b'"#, Some("X-A=\"a\" b")),
            (r#"X-A "a" b"#, Some("X-A=\"a\" b")),
            ("Host $host", Some("Host=$host")),
            ("Host app.internal", Some("Host=app.internal")),
            ("X-Forwarded-For $remote_addr", Some("X-Forwarded-For=$remote_addr")),
            ("Host $http_host", None),
            ("x-real-ip $remote_addr;", None),
            ("X-Forwarded-For $proxy_add_x_forwarded_for", None),
            ("X-Forwarded-Proto '$scheme'", None),
        ] {
            let expected: Vec<String> = expected.map(str::to_string).into_iter().collect();
            assert_eq!(said(&[text]), (expected, 0, 0), "{text}");
        }
        assert_eq!(said(&["A a", "B b"]).0, ["A=a", "B=b"]);
        assert_eq!(said(&["A a", "a b"]), (vec!["A=a".to_string()], 0, 1));
        assert_eq!(said(&["Host $host", "host a.org"]), (vec!["Host=$host".to_string()], 0, 1));
        assert_eq!(said(&["Host $host", "Host $http_host"]), (vec!["Host=$host".to_string()], 0, 1));
        assert_eq!(said(&["X-Real-IP $remote_addr", "x-real-ip ''"]), (vec![], 0, 1));
    }

    #[test]
    fn what_is_not_sent() {
        for text in [
            "Connection \"\"",
            "Connection $connection_upgrade",
            "connection \"upgrade\"",
            "Upgrade $http_upgrade",
            "Keep-Alive x",
            "TE trailers",
            "Transfer-Encoding chunked",
            "Content-Length \"\"",
        ] {
            assert_eq!(said(&[text]), (vec![], 1, 0), "{text}");
        }
        for text in [
            "",
            ";",
            "X-A",
            "X-A: b",
            "X(A) b",
            "X\u{0}A b",
            "\"X-A\" b",
            "X/A b",
            "X:A b",
            "X\u{e4} b",
            "Host ''",
            "X-A $nope",
            "X-A $",
            "X-A a\rb",
            "X-A a\nB: c",
        ] {
            assert_eq!(said(&[text]), (vec![], 0, 1), "{text}");
        }
    }
}
