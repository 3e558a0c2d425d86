//! `proxy_next_upstream` and its kin: when a request goes on to the next server.

use crate::config::plan::Retry;
use crate::config::report::{Place, Report};
use crate::config::slips::closest;
use crate::config::value::{duration, is_number};
use std::time::Duration;

/// nginx's words for what may be tried again, and one for each status.
const CONDITIONS: [&str; 11] = [
    "error",
    "timeout",
    "invalid_header",
    "non_idempotent",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
];

/// Methods that a slip of the pen may have meant.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"];

/// Every word with its place; nginx writes all of them in one string.
fn split<'a>(values: &'a [(&str, Place)]) -> Vec<(&'a str, &'a Place)> {
    let words = |(text, place): &'a (&'a str, Place)| text.split_ascii_whitespace().map(move |word| (word, place));
    values.iter().flat_map(words).map(|(word, place)| (word.trim_end_matches(';'), place)).collect()
}

/// Sets what is tried again, or says why not. `whole`: the place of all values.
pub fn conditions(retry: &mut Retry, values: &[(&str, Place)], whole: &Place) -> Vec<Report> {
    let words = split(values);
    let mut said =
        Retry { error: false, timeout: false, invalid_header: false, non_idempotent: false, ..retry.clone() };
    said.statuses.clear();
    let mut reports = Vec::new();
    for &(word, place) in &words {
        match word {
            "error" => said.error = true,
            "timeout" => said.timeout = true,
            "invalid_header" => said.invalid_header = true,
            "non_idempotent" => said.non_idempotent = true,
            "off" if words.len() == 1 => {}
            _ => match status(word) {
                Ok(status) => said.statuses.push(status),
                Err(message) => reports.push(Report::error(place.clone(), message)),
            },
        }
    }
    let nothing = !(said.error || said.timeout || said.invalid_header) && said.statuses.is_empty();
    if words.is_empty() {
        reports
            .push(Report::error(whole.clone(), "write what may be tried again, such as \"error timeout\", or \"off\""));
    } else if nothing && said.non_idempotent && reports.is_empty() {
        let message = "`non_idempotent` alone means nothing; write \"error timeout non_idempotent\"";
        reports.push(Report::error(whole.clone(), message));
    }
    said.statuses.sort_unstable();
    said.statuses.dedup();
    if reports.is_empty() {
        *retry = said;
    }
    reports
}

/// `http_503`, or what is wrong with a word that is none of the others.
fn status(word: &str) -> Result<u16, String> {
    let digits = word.strip_prefix("http_").unwrap_or(word);
    match (digits.parse::<u16>(), is_number(digits)) {
        (Ok(status @ 400..=599), _) if word.starts_with("http_") => Ok(status),
        (Ok(400..=599), true) => Err(format!("a status has `http_` before it; write \"http_{digits}\"")),
        (_, true) => Err(format!("`{word}` is no error; write statuses from http_400 to http_599")),
        _ if digits.ends_with("xx") => {
            Err("statuses are named one by one; write \"http_500 http_502 http_503 http_504\"".to_string())
        }
        _ => Err(match word {
            "off" => "`off` stands alone; leave the other words out".to_string(),
            "on" => "`on` is for [[tcp]]; write \"error timeout\", or leave it out: it is so by default".to_string(),
            _ => match closest(word, CONDITIONS) {
                Some(near) => format!("unknown word `{word}`; did you mean \"{near}\"?"),
                None => {
                    format!("unknown word `{word}`; there are {}, other http_ statuses and off", CONDITIONS.join(", "))
                }
            },
        }),
    }
}

/// Sets the methods that are sent again besides the idempotent ones.
pub fn methods(retry: &mut Retry, values: &[(&str, Place)]) -> Vec<Report> {
    let mut said = Vec::new();
    let mut reports = Vec::new();
    for (word, place) in split(values) {
        let upper = word.to_ascii_uppercase();
        let strange = word.chars().find(|c| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(*c));
        if let Some(strange) = strange {
            reports.push(Report::error(place.clone(), format!("`{strange}` cannot stand in a method")));
        } else if upper != word {
            let message = format!("methods are written in capitals; write \"{upper}\"");
            reports.push(Report::error(place.clone(), message));
        } else {
            if let Some(near) = closest(word, METHODS).filter(|near| *near != word) {
                let message = format!("`{word}` is a method that nobody knows; was \"{near}\" meant?");
                reports.push(Report::warning(place.clone(), message));
            }
            said.push(word.to_string());
        }
    }
    said.sort_unstable();
    said.dedup();
    if reports.iter().all(Report::is_warning) {
        retry.methods = said;
    }
    reports
}

/// How long a request may be tried again; nginx writes 0 for no limit.
pub fn within(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" => Ok(None),
        _ => Ok(Some(duration(text).map_err(|error| format!("{error}, or \"off\""))?).filter(|time| !time.is_zero())),
    }
}
