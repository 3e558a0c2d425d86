//! What is changed in the heads of answers, and pages in place of errors.

use super::Written;
use crate::config::expires::parse;
use crate::config::headers::strange_in_name;
use crate::config::pattern::Pattern;
use crate::config::plan::{AddHeader, Answers, CookieChange, CookieFlags, ErrorPage, Expires, ProxyRedirect};
use crate::config::report::{Place, Report};
use crate::config::rules::words::{unquoted, words};
use crate::config::template::{Known, Part, Template};
use crate::config::value::{count, switch};
use std::sync::Arc;

/// The values in force at one level.
#[derive(Debug, Clone)]
pub struct AnswerSettings {
    add: Vec<AddHeader>,
    expires: Option<Expires>,
    hide: Vec<String>,
    pass: Vec<String>,
    redirects: Vec<Redirect>,
    cookie_paths: Vec<CookieChange>,
    cookie_domains: Vec<CookieChange>,
    cookie_flags: Vec<CookieFlags>,
    /// `error_page`.
    pub error_pages: Arc<Vec<ErrorPage>>,
    /// `proxy_intercept_errors`.
    pub intercept_errors: bool,
    /// `recursive_error_pages`.
    pub recursive_error_pages: bool,
    /// `absolute_redirect`.
    pub absolute_redirect: bool,
    /// `port_in_redirect`.
    pub port_in_redirect: bool,
}

/// One `proxy_redirect`.
#[derive(Debug, Clone, PartialEq)]
enum Redirect {
    /// `default`, and where it stands; without a place it holds by itself.
    Default(Option<Place>),
    /// As written.
    Given(ProxyRedirect),
}

impl Default for AnswerSettings {
    fn default() -> AnswerSettings {
        AnswerSettings {
            add: Vec::new(),
            expires: None,
            hide: Vec::new(),
            pass: Vec::new(),
            redirects: vec![Redirect::Default(None)],
            cookie_paths: Vec::new(),
            cookie_domains: Vec::new(),
            cookie_flags: Vec::new(),
            error_pages: Arc::default(),
            intercept_errors: false,
            recursive_error_pages: false,
            absolute_redirect: true,
            port_in_redirect: true,
        }
    }
}

impl AnswerSettings {
    /// Sets one key; false: it is none of these.
    pub fn set(&mut self, key: &str, text: &str, at: &Written) -> Result<bool, String> {
        match key {
            "expires" => self.expires = expires(text, at.known)?,
            "proxy_intercept_errors" => self.intercept_errors = switch(text)?,
            "recursive_error_pages" => self.recursive_error_pages = switch(text)?,
            "absolute_redirect" => self.absolute_redirect = switch(text)?,
            "port_in_redirect" => self.port_in_redirect = switch(text)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Sets one list; `None`: it is none of these.
    pub fn set_list(&mut self, key: &str, values: &[(&str, Place)], whole: &Written) -> Option<Vec<Report>> {
        let known = whole.known;
        let mut reports = Vec::new();
        match key {
            "add_header" => self.add = each(values, &mut reports, |text, _| add_header(text, known)),
            "error_page" => self.error_pages = Arc::new(each(values, &mut reports, |text, _| error_page(text, known))),
            "proxy_hide_header" => self.hide = each(values, &mut reports, |text, _| name(text)),
            "proxy_pass_header" => self.pass = each(values, &mut reports, |text, _| name(text)),
            "proxy_redirect" => {
                let off = values.iter().any(|(text, _)| text.trim_end_matches(';') == "off");
                self.redirects = match (off, values) {
                    (true, [_]) => Vec::new(),
                    (true, _) => {
                        reports.push(Report::error(whole.place.clone(), "`off` stands alone; leave the others out"));
                        Vec::new()
                    }
                    _ => each(values, &mut reports, |text, place| redirect(text, place, known)),
                };
            }
            "proxy_cookie_path" => self.cookie_paths = cookies(values, &mut reports, known, "/two/ /"),
            "proxy_cookie_domain" => {
                self.cookie_domains = cookies(values, &mut reports, known, "localhost example.org");
            }
            "proxy_cookie_flags" => {
                self.cookie_flags = match values {
                    [("off", _)] => Vec::new(),
                    _ => each(values, &mut reports, |text, _| cookie_flags(text)),
                }
            }
            _ => return None,
        }
        Some(reports)
    }

    /// What a location has of it. `passed`: the URL of its `proxy_pass` and what takes its place in redirects, if it has no variables;
    /// the report: `default` cannot be had, and only that is left out.
    pub fn answers(&self, passed: Option<(&str, &str)>) -> (Answers, Option<Report>) {
        let (mut redirects, mut report) = (Vec::new(), None);
        for redirect in &self.redirects {
            match (redirect, passed) {
                (Redirect::Given(given), _) => redirects.push(given.clone()),
                (Redirect::Default(_), Some((url, location))) => {
                    redirects.push(ProxyRedirect::Prefix(Template::literal(url), Template::literal(location)));
                }
                (Redirect::Default(None), None) => {}
                (Redirect::Default(Some(place)), None) => {
                    let message = "`default` goes by a `proxy_pass` without variables, which is not here";
                    report = Some(Report::warning(place.clone(), message));
                }
            }
        }
        let answers = Answers {
            add: self.add.clone(),
            expires: self.expires.clone(),
            hide: self.hide.iter().filter(|name| !self.pass.contains(name)).cloned().collect(),
            redirects,
            cookie_paths: self.cookie_paths.clone(),
            cookie_domains: self.cookie_domains.clone(),
            cookie_flags: self.cookie_flags.clone(),
        };
        (answers, report)
    }

    /// The same without what only a `proxy_pass` has.
    pub fn own(&self) -> Answers {
        Answers { add: self.add.clone(), expires: self.expires.clone(), ..Answers::default() }
    }
}

/// What every text of a list says.
pub fn each<T>(
    values: &[(&str, Place)],
    reports: &mut Vec<Report>,
    mut read: impl FnMut(&str, &Place) -> Result<T, String>,
) -> Vec<T> {
    let mut said = Vec::new();
    for (text, place) in values {
        match read(text, place) {
            Ok(value) => said.push(value),
            Err(message) => reports.push(Report::error(place.clone(), message)),
        }
    }
    said
}

fn name(text: &str) -> Result<String, String> {
    let name = text.trim().trim_end_matches(';').trim_matches(['"', '\'']);
    match strange_in_name(name) {
        _ if name.is_empty() => Err("write the name of a field, such as \"X-Powered-By\"".to_string()),
        Some(' ') => Err("write one name, or a list of them".to_string()),
        Some(strange) => Err(format!("`{strange}` cannot stand in the name of a field")),
        None => Ok(name.to_ascii_lowercase()),
    }
}

/// `X-Frame-Options DENY`, `X-A 'a b' always`.
fn add_header(text: &str, known: &Known) -> Result<AddHeader, String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let (name, value) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    let value = value.trim();
    let (value, always) = match value.strip_suffix("always") {
        Some(before) if before.ends_with(|c: char| c.is_ascii_whitespace() || "\"'".contains(c)) => {
            (before.trim_end(), true)
        }
        _ => (value, false),
    };
    if name.is_empty() || value.is_empty() {
        return Err("write a name and a value, such as \"X-Frame-Options DENY always\"".to_string());
    }
    if let Some(bare) = name.strip_suffix(':') {
        return Err(format!("no colon between name and value; write \"{bare} {value}\""));
    }
    if let Some(strange) = strange_in_name(name) {
        return Err(format!("`{strange}` cannot stand in the name of a field"));
    }
    if ["connection", "transfer-encoding", "content-length", "keep-alive"].contains(&&*name.to_ascii_lowercase()) {
        return Err(format!("`{name}` is about one connection and is not set by hand; leave it out"));
    }
    let value = Template::parse(&unquoted(value), known)?;
    match value.parts().iter().any(|part| matches!(part, Part::Text(text) if text.contains(char::is_control))) {
        true => Err("control characters cannot stand in a field".to_string()),
        false => Ok(AddHeader { name: name.to_string(), value, always }),
    }
}

/// `7d`, `-1`, `epoch`, `max`, `off`, `@15h30m`, `modified +24h`, `$variable`.
pub fn expires(text: &str, known: &Known) -> Result<Option<Expires>, String> {
    const FORM: &str = "write a time such as \"7d\", \"@15h30m\", \"modified +24h\", \"epoch\", \"max\" or \"off\"";
    let text = text.trim().trim_end_matches(';').trim_end();
    match text {
        "off" => Ok(None),
        _ if text.starts_with('$') => Ok(Some(Expires::Variable(Template::parse(text, known)?))),
        _ => parse(text).map(Some).ok_or_else(|| FORM.to_string()),
    }
}

/// `404 /404.html`, `500 502 =200 /x`, `403 = @app`.
fn error_page(text: &str, known: &Known) -> Result<ErrorPage, String> {
    const FORM: &str = "write statuses and a page, such as \"500 502 503 504 /50x.html\"";
    let words = words(text)?;
    let Some((target, before)) = words.split_last() else { return Err(FORM.to_string()) };
    let (mut statuses, mut answer) = (Vec::new(), None);
    for (nth, word) in before.iter().enumerate() {
        match word.strip_prefix('=') {
            Some(_) if nth + 1 < before.len() => return Err(format!("`{word}` stands before the page")),
            Some("") => answer = Some(None),
            Some(status) => answer = Some(Some(count(status, 200, 599)? as u16)),
            None => statuses.push(count(word, 300, 599).map_err(|error| format!("{error}; {FORM}"))? as u16),
        }
    }
    let first = target.chars().next().unwrap_or(' ');
    match statuses.is_empty() {
        true => Err(FORM.to_string()),
        false if first.is_ascii_digit() => Err(format!("where is the page? {FORM}")),
        false if !"/@$".contains(first) && !target.contains("://") => {
            Err(format!("a page begins with a slash; write \"/{target}\""))
        }
        false => Ok(ErrorPage { statuses, answer, target: Template::parse(target, known)? }),
    }
}

/// `default`, `http://a/ /b/`, `~re x`.
fn redirect(text: &str, place: &Place, known: &Known) -> Result<Redirect, String> {
    let words = words(text)?;
    match &words[..] {
        [word] if word == "default" => Ok(Redirect::Default(Some(place.clone()))),
        [from, to] => {
            let to = Template::parse(to, known)?;
            Ok(Redirect::Given(match regex(from)? {
                Some(pattern) => ProxyRedirect::Regex(pattern, to),
                None => ProxyRedirect::Prefix(Template::parse(from, known)?, to),
            }))
        }
        _ => Err(
            "write \"default\", \"off\", or what a Location begins with and what takes its place: \"http://a/ /b/\""
                .to_string(),
        ),
    }
}

/// What stands behind `~` or `~*`.
fn regex(text: &str) -> Result<Option<Pattern>, String> {
    let (regex, caseless) = match (text.strip_prefix("~*"), text.strip_prefix('~')) {
        (Some(regex), _) => (regex, true),
        (None, Some(regex)) => (regex, false),
        (None, None) => return Ok(None),
    };
    Pattern::new(regex, caseless).map(Some)
}

fn cookies(values: &[(&str, Place)], reports: &mut Vec<Report>, known: &Known, example: &str) -> Vec<CookieChange> {
    if let [("off", _)] = values {
        return Vec::new();
    }
    each(values, reports, |text, _| {
        let words = words(text)?;
        let [from, to] = &words[..] else {
            return Err(format!("write \"off\", or what is there and what takes its place: \"{example}\""));
        };
        let to = Template::parse(to, known)?;
        Ok(match regex(from)? {
            Some(pattern) => CookieChange::Regex(pattern, to),
            None => CookieChange::Text(Template::parse(from, known)?, to),
        })
    })
}

/// `name secure httponly samesite=lax`.
fn cookie_flags(text: &str) -> Result<CookieFlags, String> {
    let words = words(text)?;
    let Some((cookie, given)) = words.split_first() else {
        return Err("write the name of a cookie and its flags, such as \"session secure httponly\"".to_string());
    };
    let mut flags = CookieFlags::default();
    match regex(cookie)? {
        Some(pattern) => flags.pattern = Some(pattern),
        None => flags.name = Some(cookie.clone()),
    }
    if given.is_empty() {
        return Err(format!("which flags? write \"{cookie} secure httponly samesite=lax\""));
    }
    for flag in given {
        match flag.to_ascii_lowercase().as_str() {
            "secure" => flags.secure = Some(true),
            "nosecure" => flags.secure = Some(false),
            "httponly" => flags.httponly = Some(true),
            "nohttponly" => flags.httponly = Some(false),
            "samesite=strict" => flags.samesite = Some(Some("Strict")),
            "samesite=lax" => flags.samesite = Some(Some("Lax")),
            "samesite=none" => flags.samesite = Some(Some("None")),
            "nosamesite" => flags.samesite = Some(None),
            _ => {
                return Err(format!(
                    "unknown flag `{flag}`; there are secure, httponly, samesite=strict, samesite=lax, samesite=none, \
                     and each with `no` before its name"
                ));
            }
        }
    }
    Ok(flags)
}
