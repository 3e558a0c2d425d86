//! `access_log` and `log_format`.

use super::Written;
use super::answers::each;
use super::files::file;
use crate::config::plan::{Escape, LogFormat, LogLevel};
use crate::config::report::{Place, Report};
use crate::config::rules::words::words;
use crate::config::slips::closest;
use crate::config::template::{Known, Template};
use crate::config::value::{duration, size};
use std::path::PathBuf;
use std::sync::Arc;

/// One `access_log`.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Where.
    pub path: PathBuf,
    /// What a line looks like.
    pub format: Arc<LogFormat>,
    /// Whether there is one.
    pub condition: Option<Template>,
}

/// The formats that are known by name.
const BUILT_IN: [(&str, &str); 2] = [
    (
        "combined",
        "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"",
    ),
    (
        "json",
        "escape=json {\"time\":\"$time_iso8601\",\"remote_addr\":\"$remote_addr\",\"host\":\"$host\",\"method\":\"$request_method\",\
         \"uri\":\"$request_uri\",\"status\":$status,\"bytes\":$body_bytes_sent,\"request_time\":$request_time,\
         \"upstream_addr\":\"$upstream_addr\",\"upstream_response_time\":\"$upstream_response_time\",\
         \"referer\":\"$http_referer\",\"user_agent\":\"$http_user_agent\"}",
    ),
];

/// The formats that every configuration has.
pub fn built_in() -> Vec<Arc<LogFormat>> {
    let made = BUILT_IN.iter().filter_map(|(name, text)| log_format(name, text, &Known::default()).ok());
    made.map(Arc::new).collect()
}

/// A `log_format`: `escape=json` perhaps, and the text.
pub fn log_format(name: &str, text: &str, known: &Known) -> Result<LogFormat, String> {
    let (escape, text) = match text.trim_start().strip_prefix("escape=") {
        None => (Escape::Default, text),
        Some(rest) => {
            let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let escape = match word {
                "default" => Escape::Default,
                "json" => Escape::Json,
                "none" => Escape::None,
                _ => return Err(format!("unknown escape `{word}`; there are default, json and none")),
            };
            (escape, rest.trim_start())
        }
    };
    if text.is_empty() {
        return Err("write what a line looks like, such as \"$remote_addr $status $request\"".to_string());
    }
    if text.contains(['\n', '\r']) {
        return Err("a line has no end within; write several texts as a list, which become one".to_string());
    }
    Ok(LogFormat { name: name.to_string(), template: Template::parse(text, known)?, escape })
}

/// The logs that a list names.
pub fn access_log(values: &[(&str, Place)], reports: &mut Vec<Report>, whole: &Written) -> Vec<Log> {
    match values {
        [] | [("off" | "off;", _)] => Vec::new(),
        _ => each(values, reports, |text, _| one(text, whole)),
    }
}

/// `/var/log/a.log main if=$loggable`.
fn one(text: &str, at: &Written) -> Result<Log, String> {
    let words = words(text)?;
    let mut words = words.iter().map(String::as_str);
    let path = match words.next() {
        None | Some("") => {
            return Err("write a path and a format, such as \"/var/log/access.log combined\", or \"off\"".to_string());
        }
        Some("off") => return Err("`off` stands alone".to_string()),
        Some(path) if path.starts_with("syslog:") => {
            return Err("syslog is not spoken; write the path of a file".to_string());
        }
        Some(path) => file(path, at.directory)?,
    };
    let (mut format, mut condition) = (None, None);
    for word in words {
        match word.split_once('=') {
            Some(("if", text)) => condition = Some(Template::parse(text, at.known)?),
            Some(("buffer", text)) => drop(size(text)?),
            Some(("flush", text)) => drop(duration(text)?),
            Some(("gzip", _)) => {
                return Err("logs are not compressed while they are written; leave `gzip` out".to_string());
            }
            None if word == "gzip" => {
                return Err("logs are not compressed while they are written; leave `gzip` out".to_string());
            }
            None if format.is_none() => format = Some(word),
            _ => return Err(format!("unknown word `{word}`; write \"/var/log/access.log main if=$loggable\"")),
        }
    }
    let formats = &at.defined.formats;
    let name = format.unwrap_or("combined");
    let Some(format) = formats.iter().find(|format| format.name == name) else {
        return Err(match closest(name, formats.iter().map(|format| format.name.as_str())) {
            Some(near) => format!("there is no format `{name}`; did you mean `{near}`?"),
            None => format!(
                "there is no format `{name}`; write [log_format] and beneath it {name} = \"$remote_addr $request $status\""
            ),
        });
    };
    Ok(Log { path, format: format.clone(), condition })
}

/// `error_log`: a path (`stderr`: none), and how much a line must matter.
pub fn error_log(text: &str, directory: &std::path::Path) -> Result<(Option<PathBuf>, LogLevel), String> {
    const LEVELS: [&str; 8] = ["debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"];
    let text = text.trim().trim_end_matches(';').trim_end();
    let (path, level) = match text.rsplit_once(|c: char| c.is_ascii_whitespace()) {
        Some((path, level)) if LEVELS.contains(&level) => (path.trim_end(), level),
        Some((_, level)) if let Some(near) = closest(level, LEVELS) => {
            return Err(format!("unknown level `{level}`; did you mean `{near}`?"));
        }
        Some((_, level)) if !level.contains('/') => {
            return Err(format!("unknown level `{level}`; there are {}", LEVELS.join(", ")));
        }
        _ => (text, "info"),
    };
    let level = match level {
        "debug" | "info" | "notice" => LogLevel::Info,
        "warn" => LogLevel::Warn,
        _ => LogLevel::Error,
    };
    match path {
        "stderr" => Ok((None, level)),
        "" => Err("write a path, or \"stderr\"".to_string()),
        "off" => Err("the error log cannot be switched off; write \"/dev/null\" if it must be".to_string()),
        path => Ok((Some(directory.join(path)), level)),
    }
}
