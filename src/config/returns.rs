//! `return` and `hsts`: answers, and what is said in all of them.

use crate::config::plan::Return;
use crate::config::rules::words::unquoted;
use crate::config::settings::ssl::seconds;
use crate::config::template::{Known, Part, Template};
use crate::config::value::{count, is_number};
use crate::limits;

/// Statuses whose text is a URL.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// nginx's `return`: `301 https://$host$request_uri`, `404`, `200 text`, or a URL alone, which is 302.
pub fn returns(text: &str, known: &Known) -> Result<Return, String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let (first, rest) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    let (status, rest) = match is_number(first) {
        true => (first, rest.trim()),
        false if is_url(text) => ("302", text),
        false => {
            let example = "such as \"301 https://$host$request_uri\", \"404\" or \"200 ok\"";
            return Err(format!("write a status, and a text or a URL if there is one, {example}"));
        }
    };
    answer(status, &unquoted(rest), known)
}

/// The same by its words; an empty text is none.
pub fn answer(status: &str, rest: &str, known: &Known) -> Result<Return, String> {
    let status = count(status, 200, 599)? as u16;
    let parsed = Template::parse(rest, known)?;
    let redirect = REDIRECTS.contains(&status);
    match (redirect, rest.is_empty()) {
        (true, true) => Err(format!("where to? write \"{status} https://$host$request_uri\"")),
        (true, false) => match parsed.parts().iter().any(has_strange) {
            true => Err("blanks and control characters cannot stand in a URL".to_string()),
            false => Ok(Return { status, text: Some(parsed) }),
        },
        (false, true) => Ok(Return { status, text: None }),
        (false, false) if matches!(status, 204 | 205 | 304) => {
            Err(format!("an answer {status} has no body: leave the text out"))
        }
        (false, false) if status == 444 => {
            Err("444 closes the connection without a word: leave the text out".to_string())
        }
        (false, false) => Ok(Return { status, text: Some(parsed) }),
    }
}

fn is_url(text: &str) -> bool {
    ["http://", "https://", "$scheme://", "/"].iter().any(|start| text.starts_with(start))
}

fn has_strange(part: &Part) -> bool {
    matches!(part, Part::Text(text) if text.contains(|c: char| c.is_control() || c == ' '))
}

/// `1y`, `1y includeSubDomains preload`, or the whole value; `off`: none. And what is strange about it.
pub fn hsts(text: &str) -> Result<(Option<String>, Option<String>), String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    if text.contains(char::is_control) || !text.is_ascii() {
        return Err("only plain characters can stand here".to_string());
    }
    let lower = text.to_ascii_lowercase();
    if lower == "off" {
        return Ok((None, None));
    }
    if lower.starts_with("max-age=") && text.len() > limits::HSTS_BYTES_MAX {
        return Err(format!("this has {} bytes; write at most {}", text.len(), limits::HSTS_BYTES_MAX));
    }
    if lower.starts_with("max-age=") {
        return Ok((Some(text.to_string()), None));
    }
    let mut words = text.split_ascii_whitespace();
    let age = words.next().ok_or("write for how long, such as \"1y\", or \"off\"")?;
    let age = seconds(age).map_err(|error| format!("{error}, or \"1y\""))?;
    let mut value = format!("max-age={age}");
    for word in words {
        let word = word.trim_end_matches(';');
        match ["includeSubDomains", "preload"].into_iter().find(|known| known.eq_ignore_ascii_case(word)) {
            Some(known) => value.push_str(&format!("; {known}")),
            None => return Err(format!("unknown word `{word}`; there are includeSubDomains and preload")),
        }
    }
    let listed = value.contains("includeSubDomains") && age >= 365 * 86_400;
    let warning = (value.contains("preload") && !listed)
        .then(|| "browsers' lists take a site with \"1y includeSubDomains preload\" only".to_string());
    Ok((Some(value), warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_our_own() {
        for (text, status, said) in [
            ("301 https://$host$request_uri", 301, Some("https://$host$request_uri")),
            ("301 https://$host$request_uri;", 301, Some("https://$host$request_uri")),
            ("308   /new", 308, Some("/new")),
            ("https://example.org/", 302, Some("https://example.org/")),
            ("$scheme://example.org/", 302, Some("$scheme://example.org/")),
            ("/elsewhere", 302, Some("/elsewhere")),
            ("404", 404, None),
            ("444", 444, None),
            ("204", 204, None),
            ("200 ok", 200, Some("ok")),
            ("200 'hello, world'", 200, Some("hello, world")),
            ("200 \"hello, $host\";", 200, Some("hello, $host")),
            ("200 ''", 200, None),
            (r#"200 "it's \"q\"""#, 200, Some("it's \"q\"")),
            (r"200 'it\'s\n'", 200, Some("it's\n")),
            (r"200 'it's'", 200, Some("it's")),
            (r"200 a\b", 200, Some(r"a\b")),
            ("503 two words\nand a line", 503, Some("two words\nand a line")),
        ] {
            let text = returns(text, &Known::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((text.status, text.text.map(|text| text.to_string()).as_deref()), (status, said));
        }
        for (text, hint) in [
            ("", "write a status"),
            ("ok", "write a status"),
            ("example.org", "write a status"),
            ("199", "199 is out of range; write a number from 200 to 599"),
            ("600 x", "600 is out of range"),
            ("99999999999 x", "out of range"),
            ("301", "where to?"),
            ("307 ''", "where to?"),
            ("301 https://a b", "cannot stand in a URL"),
            ("301 https://a\r\nX:b", "cannot stand in a URL"),
            ("204 x", "has no body"),
            ("304 x", "has no body"),
            ("444 x", "without a word"),
            ("200 $nope", "unknown variable `$nope`"),
            ("301 https://${host", "`}`"),
        ] {
            let error = returns(text, &Known::default()).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn strict_transport_security() {
        let ok = |value: &str| Ok((Some(value.to_string()), None));
        for (text, value) in [
            ("1y", ok("max-age=31536000")),
            ("2y includeSubDomains preload", ok("max-age=63072000; includeSubDomains; preload")),
            ("31536000 includesubdomains", ok("max-age=31536000; includeSubDomains")),
            ("63072000", ok("max-age=63072000")),
            ("30d", ok("max-age=2592000")),
            ("0", ok("max-age=0")),
            ("max-age=300; includeSubDomains", ok("max-age=300; includeSubDomains")),
            ("Max-Age=300", ok("Max-Age=300")),
            ("off", Ok((None, None))),
        ] {
            assert_eq!(hsts(text), value, "{text}");
        }
        for text in ["1y preload", "30d includeSubDomains preload"] {
            assert!(hsts(text).is_ok_and(|(_, warning)| warning.is_some()), "{text}");
        }
        let long = |length: usize| format!("max-age=1; {}", "x".repeat(length - "max-age=1; ".len()));
        let most = limits::HSTS_BYTES_MAX;
        assert_eq!(hsts(&long(most)), ok(&long(most)));
        assert_eq!(hsts(&long(most + 1)), Err("this has 257 bytes; write at most 256".to_string()));
        for (text, hint) in [
            ("", "such as \"1y\""),
            ("on", "is not a duration"),
            ("1y subdomains", "unknown word `subdomains`"),
            ("11y", "longer than ten years"),
            ("99999999999999999999y", "is not a duration"),
            ("max-age=1\r\nX: y", "only plain characters"),
            ("-1", "is not a duration"),
        ] {
            let error = hsts(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
