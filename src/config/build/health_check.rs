//! `[upstream.NAME.health_check]`.

use super::Builder;
use crate::config::file::{HealthCheck as Section, Many, Setting, Word};
use crate::config::plan::{CheckKind, HealthCheck, Peer};
use crate::config::report::{Place, Report};
use crate::config::settings::wait;
use crate::config::slips::closest;
use crate::config::value::{count, duration, is_number, percent};
use crate::limits;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::Spanned;

const TYPES: [&str; 7] = ["tcp", "http", "https", "postgres", "mysql", "redis", "send_expect"];

/// Which types have a key that not all have.
const OWNERS: [(&str, &[&str]); 12] = [
    ("ssl_verify", &["https"]),
    ("ssl_name", &["https"]),
    ("ssl_trusted_certificate", &["https"]),
    ("uri", &["http", "https"]),
    ("path", &["http", "https"]),
    ("host", &["http", "https"]),
    ("status", &["http", "https"]),
    ("body", &["http", "https"]),
    ("user", &["postgres", "mysql"]),
    ("send", &["send_expect"]),
    ("expect", &["send_expect"]),
    ("quit", &["send_expect"]),
];

/// Named by a check of MySQL that names nobody; see `CheckKind::Mysql`.
const USER: &str = "ringgate";

impl Builder<'_> {
    /// The check of a group with these servers.
    pub(super) fn health_check(
        &mut self,
        section: &Spanned<Section>,
        source: usize,
        peers: &[Peer],
    ) -> Option<HealthCheck> {
        let (whole, section) = (Place::at(source, section.span()), section.get_ref());
        let failed = self.reports.len();
        let kind = self.check_type(section, source, &whole);
        if let Some(kind) = kind {
            self.refuse_foreign_keys(section, source, kind);
        }
        let ms = Duration::from_millis;
        let interval = self.setting(source, &section.interval, ms(limits::CHECK_INTERVAL_DEFAULT), interval);
        let timeout = self.setting(source, &section.timeout, ms(limits::CHECK_TIMEOUT_DEFAULT).min(interval), wait);
        let fails = |text: &str| count(text, 1, limits::FAILS_MAX.into()).map(|n| n as u32);
        let jitter = |text: &str| {
            percent(text, 0, limits::CHECK_JITTER_MAX).map_err(|error| match duration(text) {
                Ok(_) if !is_number(text) => "the jitter is a part of the interval; write \"10%\"".to_string(),
                _ => error,
            })
        };
        let port = |text: &str| count(text, 1, u16::MAX.into()).map(|port| Some(port as u16));
        let check = HealthCheck {
            kind: self.check_kind(section, source, kind.unwrap_or("tcp"), &whole),
            port: self.setting(source, &section.port, None, port),
            interval,
            jitter: self.setting(source, &section.jitter, limits::CHECK_JITTER_DEFAULT, jitter),
            timeout,
            rise: self.setting(source, &section.rise, limits::CHECK_RISE_DEFAULT, fails),
            fall: self.setting(source, &section.fall, limits::CHECK_FALL_DEFAULT, fails),
        };
        if !self.reports[failed..].iter().all(Report::is_warning) {
            return None;
        }
        self.warn_of_times(section, source, &check);
        if let (Some(port), Some(peer)) = (&section.port, peers.iter().find(|peer| peer.name.starts_with("unix:"))) {
            let message = format!("`{}` has no port: it is checked where it is", peer.name);
            self.reports.push(Report::warning(Place::at(source, port.span()), message));
        }
        Some(check)
    }

    /// What `type` says, or what the other keys leave no doubt about.
    fn check_type(&mut self, section: &Section, source: usize, whole: &Place) -> Option<&'static str> {
        if section.kind.is_some() {
            return self.setting(source, &section.kind, None, |text| check_type(text).map(Some));
        }
        let special = section.special();
        let fits = |kind: &&str| special.iter().all(|(key, _)| owners(key).contains(kind));
        let mut fitting = TYPES.into_iter().filter(fits);
        match (special.is_empty(), fitting.next(), fitting.next()) {
            (true, ..) => Some("tcp"),
            // Whoever says nothing of TLS means none.
            (_, Some("http"), Some("https")) => Some("http"),
            (_, Some(kind), None) => Some(kind),
            (_, first, second) => {
                let choice: Vec<String> = match (first, second) {
                    (Some(first), Some(second)) => [first, second].map(|kind| format!("\"{kind}\"")).into(),
                    _ => TYPES.map(|kind| format!("\"{kind}\"")).into(),
                };
                let message = format!("what is checked? write type = {}", choice.join(" or "));
                self.error(whole.clone(), message);
                None
            }
        }
    }

    fn refuse_foreign_keys(&mut self, section: &Section, source: usize, kind: &str) {
        for (key, span) in section.special() {
            let owners = owners(key);
            if !owners.contains(&kind) {
                let message = format!(
                    "`{key}` belongs to type = \"{}\", but this check has type = \"{kind}\"",
                    owners.join("\" or \"")
                );
                self.error(Place::at(source, span), message);
            }
        }
    }

    fn check_kind(&mut self, section: &Section, source: usize, kind: &str, whole: &Place) -> CheckKind {
        let same = |text: &str| Ok(text.to_string());
        let user = |text: &str| match text.len() {
            0 => Err("write a name, or leave it out".to_string()),
            _ if text.contains('\0') => Err("a name cannot hold a NUL byte".to_string()),
            length if length > limits::CHECK_USER_MAX => {
                Err(format!("a name has at most {} bytes here", limits::CHECK_USER_MAX))
            }
            _ => Ok(text.to_string()),
        };
        let awaited = |text: &str| awaited(text).map(str::to_string);
        match kind {
            "http" | "https" => {
                if let (Some(_), Some(path)) = (&section.uri, &section.path) {
                    self.error(Place::at(source, path.span()), "`path` and `uri` are the same; leave one of them out");
                }
                let uri = if section.uri.is_some() { &section.uri } else { &section.path };
                CheckKind::Http {
                    ssl: (kind == "https").then(|| self.check_ssl(section, source, whole)),
                    path: self.setting(source, uri, "/".to_string(), |text| request_target(text).map(str::to_string)),
                    host: self.setting(source, &section.host, None, |text| host(text).map(Some)),
                    status: self.statuses(section, source),
                    body: self
                        .setting(source, &section.body, None, |text| body(text).map(|body| Some(body.to_string()))),
                }
            }
            "postgres" => CheckKind::Postgres { user: self.setting(source, &section.user, String::new(), user) },
            "mysql" => CheckKind::Mysql { user: self.setting(source, &section.user, USER.to_string(), user) },
            "redis" => CheckKind::Redis,
            "send_expect" => {
                if section.expect.is_none() {
                    let message = "type = \"send_expect\" needs what the server says; write expect = \"220\"";
                    self.error(whole.clone(), message);
                }
                let mut text = |setting: &Setting| self.setting(source, setting, String::new(), same);
                let (send, quit) = (text(&section.send), text(&section.quit));
                CheckKind::SendExpect {
                    send,
                    expect: self.setting(source, &section.expect, String::new(), awaited),
                    quit,
                }
            }
            _ => CheckKind::Tcp,
        }
    }

    fn statuses(&mut self, section: &Section, source: usize) -> Vec<RangeInclusive<u16>> {
        let Some(list) = &section.status else { return vec![200..=399] };
        let mut statuses = Vec::new();
        for (Word(text), span) in Many::items(list) {
            // nginx's form: several in one text.
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            for word in if words.is_empty() { vec![""] } else { words } {
                match status(word.trim_end_matches(';')) {
                    Ok(range) => statuses.push(range),
                    Err(message) => self.error(Place::at(source, span.clone()), message),
                }
            }
        }
        if matches!(list.get_ref(), Many::List(list) if list.is_empty()) {
            self.error(Place::at(source, list.span()), "no status would pass; write \"200-399\"");
        }
        statuses
    }

    fn warn_of_times(&mut self, section: &Section, source: usize, check: &HealthCheck) {
        for (key, setting) in [("interval", &section.interval), ("timeout", &section.timeout)] {
            let Some(setting) = setting else { continue };
            let text = &setting.get_ref().0;
            // Tengine and HAProxy count in milliseconds.
            if is_number(text) && text.len() > 3 {
                let message = format!("a bare number is seconds; were milliseconds meant, write {key} = \"{text}ms\"");
                self.reports.push(Report::warning(Place::at(source, setting.span()), message));
            } else if key == "timeout" && check.timeout > check.interval {
                let message = "a check may take longer than the interval: the next one begins when it has ended";
                self.reports.push(Report::warning(Place::at(source, setting.span()), message));
            }
        }
    }
}

fn owners(key: &str) -> &'static [&'static str] {
    OWNERS.iter().find(|(owned, _)| *owned == key).map_or(&[], |(_, types)| types)
}

fn check_type(text: &str) -> Result<&'static str, String> {
    let known = TYPES.into_iter().find(|kind| *kind == text);
    known.ok_or_else(|| match text {
        "ssl" | "tls" | "ssl_hello" => {
            "write type = \"https\", or \"tcp\" for whether it can be connected to".to_string()
        }
        "grpc" => {
            format!("`{text}` is not supported yet; write type = \"tcp\" for whether it can be connected to")
        }
        "pgsql" | "pg" => "write type = \"postgres\"".to_string(),
        "mariadb" => "write type = \"mysql\"".to_string(),
        "valkey" => "write type = \"redis\"".to_string(),
        "smtp" => "write type = \"send_expect\", expect = \"220\", quit = \"QUIT\\r\\n\"".to_string(),
        _ => match closest(text, TYPES) {
            Some(near) => format!("unknown type `{text}`; did you mean \"{near}\"?"),
            None => format!("unknown type `{text}`; there are \"{}\"", TYPES.join("\", \"")),
        },
    })
}

fn interval(text: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(limits::CHECK_INTERVAL_MIN);
    match duration(text)? {
        time if time < least => {
            Err(format!("checks so close together are a load; write at least \"{}ms\"", least.as_millis()))
        }
        time => Ok(time),
    }
}

/// What stands behind `GET`.
fn request_target(text: &str) -> Result<&str, String> {
    if let Some((_, rest)) = text.split_once("://") {
        let path = rest.find('/').map_or("/", |slash| &rest[slash..]);
        return Err(format!("the address is known from the server; write \"{path}\""));
    }
    if !text.starts_with('/') {
        return Err(format!("a path begins with a slash; write \"/{text}\""));
    }
    if let Some(strange) = text.chars().find(|&c| !c.is_ascii_graphic() || c == '#') {
        return Err(format!("`{strange}` cannot stand in a path as it is; write it with % and its number"));
    }
    if text.len() > limits::TARGET_MAX {
        return Err(format!("a path has at most {} bytes", limits::TARGET_MAX));
    }
    Ok(text)
}

/// A Host field: a name or an address, perhaps with a port.
fn host(text: &str) -> Result<String, String> {
    if let Some((_, rest)) = text.split_once("://") {
        return Err(format!("a host has no scheme; write \"{}\"", rest.split('/').next().unwrap_or(rest)));
    }
    if let Some(strange) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._:[]".contains(*c)) {
        return Err(format!("`{strange}` cannot stand in a host"));
    }
    match text.len() {
        0 => Err("write a name, such as \"example.org\"".to_string()),
        length if length > limits::HOST_MAX => Err(format!("a host has at most {} bytes", limits::HOST_MAX)),
        _ => Ok(text.to_string()),
    }
}

/// A status, or two and a dash between them.
fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|status| (200..=599).contains(status) && is_number(text));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        (Some(_), Some(_)) => Err(format!("`{text}` runs backwards; write \"{last}-{first}\"")),
        _ if text.starts_with('!') => Err("write the statuses that pass, such as \"200-399\"".to_string()),
        _ => Err(
            match text.to_ascii_lowercase().strip_suffix("xx").filter(|class| ["2", "3", "4", "5"].contains(class)) {
                Some(class) => format!("write \"{class}00-{class}99\""),
                None => format!("`{text}` is no status; write numbers from 200 to 599, such as \"200-399\" or \"200\""),
            },
        ),
    }
}

fn body(text: &str) -> Result<&str, String> {
    match text.trim_start().starts_with('~') {
        true => Err("regular expressions are not supported; write a text that occurs in the answer".to_string()),
        false => awaited(text),
    }
}

/// What must occur in an answer.
fn awaited(text: &str) -> Result<&str, String> {
    match text.len() {
        0 => Err("every answer has this in it; write a text, or leave the key out".to_string()),
        length if length > limits::CHECK_ANSWER_MAX => {
            Err(format!("only the first {} bytes of an answer are looked at", limits::CHECK_ANSWER_MAX))
        }
        _ => Ok(text),
    }
}
