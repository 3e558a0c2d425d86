//! `ringgate explain`: what becomes of a request, and why, told by the same code that serves it.

use crate::balance::{Key, Picker, Tried};
use crate::config::plan::{Action, Address, Balance, FileKind, Listener, Location, Matching, Pass, Plan, Service};
use crate::config::template::{SslVariable, Variable};
use crate::handlers::access::judge;
use crate::limits::{HEAD_MAX, MAPS_DEPTH_MAX};
use crate::proto::request::{self, FieldSlots, RequestFacts};
use crate::proto::writer::Writer;
use crate::route::steps::{Arrived, advance};
use crate::route::tried::{self, tried};
use crate::route::{Connection, Course, Source, head, place, uri};
use crate::site::Site;
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// A method.
    pub method: String,
    /// `http://host:port/path?query`; without a scheme it is `http`.
    pub url: String,
    /// `Name: value`.
    pub headers: Vec<String>,
    /// Whom it comes from.
    pub from: IpAddr,
}

/// A URL taken apart.
struct Url<'a> {
    https: bool,
    authority: &'a str,
    host: String,
    port: u16,
    target: String,
}

/// The connection that the request would come on.
struct Asked<'a> {
    https: bool,
    ip: &'a str,
}

impl Connection for Asked<'_> {
    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    fn peer_ip(&self) -> &str {
        self.ip
    }

    fn peer_port(&self) -> Option<u16> {
        None
    }

    fn proxy_protocol_addr(&self) -> Option<IpAddr> {
        None
    }

    fn ssl(&self, _: SslVariable) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn other(&self, _: &Variable, _: &mut dyn FnMut(&[u8])) {}
}

fn url(text: &str) -> Result<Url<'_>, String> {
    let (https, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some((scheme, _)) => return Err(format!("`{scheme}` is not http or https")),
        None => (false, text),
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let target = target.split('#').next().unwrap_or_default();
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let default = if https { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) => {
            (host, port.parse().map_err(|_| format!("`{port}` is not a port"))?)
        }
        _ if authority.starts_with('[') != authority.ends_with(']') => {
            return Err(format!("`{authority}` is not a host"));
        }
        _ => (authority, default),
    };
    match host.is_empty() {
        true => Err("the URL has no host; write http://HOST/PATH".to_owned()),
        false => Ok(Url { https, authority, host: host.to_ascii_lowercase(), port, target }),
    }
}

/// Tells it all. The error is a sentence.
pub fn explain(site: &Site, question: &Question) -> Result<String, String> {
    let url = url(&question.url)?;
    let plan = &*site.plan;
    let mut text = format!("{} {} from {}\n\n", question.method, question.url, question.from);
    let Some(nth) = listener(plan, &url, &mut text) else { return Ok(text) };
    let mut bytes = format!("{} {} HTTP/1.1\r\n", question.method, url.target);
    if !question.headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
        let _ = write!(bytes, "Host: {}\r\n", url.authority);
    }
    for line in &question.headers {
        if line.contains(['\r', '\n']) || !line.contains(':') {
            return Err(format!("`{}` is no header; write \"Name: value\"", line.escape_debug()));
        }
        let _ = write!(bytes, "{line}\r\n");
    }
    bytes.push_str("\r\n");
    let mut slots = FieldSlots::new();
    let refused = |reason: crate::proto::reason::Reason| {
        format!(
            "every ringgate refuses this request: {} ({}), status {}",
            reason.text(),
            reason.name(),
            reason.status()
        )
    };
    let parsed = request::parse(bytes.as_bytes(), &mut slots).map_err(refused)?;
    let parsed = parsed.ok_or("the request is not whole")?;
    let (facts, route) = parsed.inspect().map_err(refused)?;
    let server = server(plan, nth, &route.host, &mut text);
    let ip = question.from.to_string();
    let connection = Asked { https: url.https, ip: &ip };
    let mut course = Course::told();
    course.choose_server(plan.names(nth), &route.host);
    let source = Source {
        request: &parsed,
        route: &route,
        plan,
        server: &plan.servers[server],
        location: None,
        course: &course,
        client_ip: &ip,
        connection: &connection,
        server_port: Some(url.port),
        proxy_host: "",
        depth: MAPS_DEPTH_MAX,
    };
    Telling { site, text, facts }.way(server, &source)
}

/// The listener; `None`: there is none, which `text` says.
fn listener(plan: &Plan, url: &Url, text: &mut String) -> Option<usize> {
    let port = |listener: &Listener| match &listener.address {
        Address::Tcp(address) => Some(address.port()),
        Address::Unix(_) => None,
    };
    let shown = |listener: &Listener| {
        let kind = match (&listener.service, listener.ssl) {
            (Service::Tcp(_), _) => " (tcp)",
            (Service::Http(_), true) => " ssl",
            (Service::Http(_), false) => "",
        };
        match &listener.address {
            Address::Tcp(address) => format!("{address}{kind}"),
            Address::Unix(path) => format!("unix:{}{kind}", path.display()),
        }
    };
    let host: Option<IpAddr> = url.host.trim_matches(['[', ']']).parse().ok();
    // The kernel's choice: the very address, then all of its family, then those of IPv6 sockets that take both.
    let distance = |&nth: &usize| match (&plan.listeners[nth].address, host) {
        (Address::Tcp(address), Some(host)) if address.ip() == host => Some(0),
        (Address::Tcp(address), Some(host)) if !address.ip().is_unspecified() => {
            Some(if address.is_ipv4() == host.is_ipv4() { 3 } else { 4 })
        }
        (Address::Tcp(address), Some(host)) => Some(if address.is_ipv4() == host.is_ipv4() { 1 } else { 2 }),
        (Address::Tcp(_), None) => Some(0),
        (Address::Unix(_), _) => None,
    };
    let of_port: Vec<usize> =
        (0..plan.listeners.len()).filter(|&n| port(&plan.listeners[n]) == Some(url.port)).collect();
    let fit = of_port.iter().copied().min_by_key(distance);
    let Some(nth) = fit else {
        let all: Vec<String> = plan.listeners.iter().map(shown).collect();
        let _ = writeln!(text, "listener  none listens on port {}: there are {}", url.port, all.join(", "));
        return None;
    };
    let listener = &plan.listeners[nth];
    let _ = writeln!(text, "listener  {}", shown(listener));
    match (&listener.service, listener.ssl == url.https) {
        (Service::Tcp(_), _) => {
            let _ = writeln!(text, "          bytes are passed on unread here ([[tcp]])");
            None
        }
        (_, false) if listener.ssl => {
            let _ = writeln!(text, "          it speaks TLS: plain HTTP gets 400 (plain_http_on_tls)");
            None
        }
        (_, false) => {
            let _ = writeln!(text, "          it does not speak TLS: a handshake fails here");
            None
        }
        _ => Some(nth),
    }
}

/// The server of that name: index into `Plan::servers`.
fn server(plan: &Plan, listener: usize, host: &str, text: &mut String) -> usize {
    let names = plan.names(listener);
    let nth = names.find(host);
    let name = |nth: usize| match plan.servers[nth].names.join(" ") {
        names if names.is_empty() => format!("[[server]] {}, which has no name", nth + 1),
        names => names,
    };
    let why = match names.claimed(host) {
        Some(_) => format!("`{host}` is one of its names"),
        None => format!("no server of this listener is called `{host}`: this is its default_server"),
    };
    let _ = writeln!(text, "server    {}: {why}", name(nth));
    for &other in names.sections.iter().filter(|&&other| other != nth) {
        let _ = writeln!(text, "      not {}", name(other));
    }
    nth
}

struct Telling<'a> {
    site: &'a Site,
    text: String,
    facts: RequestFacts,
}

impl Telling<'_> {
    fn line(&mut self, what: &str, said: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{what:<9} {said}");
    }

    /// From the server to the end.
    fn way(mut self, nth: usize, source: &Source) -> Result<String, String> {
        let server = &self.site.plan.servers[nth];
        let mut course = source.course.clone();
        let (mut told, mut shown) = (0, None);
        loop {
            let arrived = advance(server, source, &mut course);
            for note in &course.trail()[told..] {
                self.line("", note);
            }
            told = course.trail().len();
            let now = course.clone();
            let source = Source { course: &now, location: now.location.map(|nth| &server.locations[nth]), ..*source };
            if let Some(nth) = now.location.filter(|_| now.location != shown) {
                self.location(nth, &source);
                self.guards(&server.locations[nth], &source);
                shown = now.location;
            }
            let location = match arrived {
                Arrived::At(location) => location,
                Arrived::Return(returns) => {
                    let text = returns.text.as_ref().map(|text| source.string(text)).unwrap_or_default();
                    self.line("answer", format!("return {} {text}", returns.status));
                    return Ok(self.text);
                }
                Arrived::Redirect(status, url) => {
                    self.line("answer", format!("redirect {status} to {}", String::from_utf8_lossy(&url)));
                    return Ok(self.text);
                }
                Arrived::Nothing => return self.end("404: no location matches, and the server has no root of its own"),
                Arrived::Internal => return self.end("404: the location is `internal`"),
                Arrived::Loop => return self.end("500: rules change the URI again and again"),
                Arrived::TooHard => return self.end("500: a regular expression takes too long"),
                Arrived::Ask(kind, path) => {
                    let there = is_there(kind, &path);
                    course.set_file(kind, path, there);
                    continue;
                }
            };
            if let Some(files) = &location.try_files {
                match tried(files, location, &source, &mut course) {
                    tried::Tried::Go => {}
                    tried::Tried::Elsewhere => continue,
                    tried::Tried::Status(status) => return self.end(&format!("{status}: none of try_files is there")),
                    tried::Tried::NoName => return self.end("500: try_files names a location that is not there"),
                    tried::Tried::Ask(kind, path) => {
                        let there = is_there(kind, &path);
                        course.set_file(kind, path, there);
                        continue;
                    }
                }
            }
            let source = Source { course: &course, location: Some(location), ..source };
            return match &location.action {
                Action::Nothing => self.end("404: the location has no proxy_pass and no root"),
                Action::Files => {
                    let place = place::place(location, &source, source.path());
                    let path = place.map(|place| place.path()).unwrap_or_default();
                    let there = if Path::new(&path).exists() { "" } else { " (it is not there: 404)" };
                    self.line("file", format!("{path}{there}"));
                    Ok(self.text)
                }
                Action::Proxy(proxy) => {
                    let chosen = match &proxy.to {
                        Pass::Upstream(group) => Some((*group, Cow::Borrowed(&proxy.uri))),
                        Pass::Named(template) => {
                            let name = source.string(template);
                            self.line("group", format!("`{name}`, by {template}"));
                            uri::named(&self.site.plan, &name, &proxy.uri)
                        }
                    };
                    let Some((group, uri)) = chosen else { return self.end("502: there is no such group") };
                    let name = &self.site.plan.upstreams[group].name;
                    let source = Source { proxy_host: name, ..source };
                    self.servers(group, &source);
                    self.head(location, &uri, &source)
                }
            };
        }
    }

    fn end(mut self, answer: &str) -> Result<String, String> {
        self.line("answer", answer);
        Ok(self.text)
    }

    /// The location, and why the others were not chosen.
    fn location(&mut self, nth: usize, source: &Source) {
        let path = source.path();
        let chosen = &source.server.locations[nth];
        let why = match &chosen.matching {
            Matching::Exact(_) => "the very path",
            Matching::Prefix { is_final: true, .. } => "the longest prefix, with ^~",
            Matching::Prefix { .. } => "the longest prefix",
            Matching::Regex(_) => "the first regular expression that matches",
            Matching::Named(_) => "by name",
            Matching::Rest => "no location matches: the server itself",
        };
        self.line("location", format!("{:?} for {path}: {why}", chosen.name));
        for (other, location) in source.server.locations.iter().enumerate().filter(|(other, _)| *other != nth) {
            if let Some(why) = why_not(location, other < nth, chosen, path) {
                let _ = writeln!(self.text, "      not {:?}: {why}", location.name);
            }
        }
    }

    /// Who may ask, and how often.
    fn guards(&mut self, location: &Location, source: &Source) {
        let plan = &self.site.plan;
        for limit in location.limit_req.iter() {
            let zone = &plan.limit_req_zones[limit.zone];
            let (key, rate) = (source.string(&zone.key), zone.rate as f64 / 1000.0);
            self.line(
                "limit_req",
                format!("{} with the key {key:?}: {rate} a second, burst {}", zone.name, limit.burst),
            );
        }
        for limit in location.limit_conn.iter() {
            let zone = &plan.limit_conn_zones[limit.zone];
            let key = source.string(&zone.key);
            self.line("limit_conn", format!("{} with the key {key:?}: {} at once", zone.name, limit.most));
        }
        let address = source.client_ip.parse().ok();
        match judge(&location.access.rules, address) {
            None if location.access.rules.is_empty() => {}
            Some(false) => self.line("access", "denied by address: 403"),
            _ => self.line("access", "allowed by address"),
        }
        if let Some(basic) = &location.access.basic {
            let either = if location.access.any { " (or the address alone: satisfy any)" } else { "" };
            self.line("auth", format!("a name and a password of {}{either}", basic.file.display()));
        }
    }

    /// The servers of the group, and which would be picked.
    fn servers(&mut self, group: usize, source: &Source) {
        let upstream = &self.site.plan.upstreams[group];
        let group = &self.site.groups[group];
        self.line("group", format!("{} by {}", upstream.name, upstream.balance.word()));
        let key = match &upstream.balance {
            Balance::IpHash => crate::balance::hash::stable_hash(source.client_ip.as_bytes()),
            Balance::Hash(template) => source.hash(template),
            _ => Key::default().hash,
        };
        let picked = match upstream.balance {
            Balance::RoundRobin => None, // whose turn it is changes with the asking
            _ => Picker::new(group.clone(), 0, 0).pick(&Tried::new(), key, 0),
        };
        let view = group.view(0);
        for (nth, entry) in group.entries().iter().enumerate() {
            let state = match (entry.peer.down, view.weights[nth]) {
                (true, _) => "down by configuration".to_owned(),
                (false, 0) if entry.peer.backup => "a backup, while others are up".to_owned(),
                (false, 0) => format!("not used now ({:?})", entry.member.state()).to_lowercase(),
                (false, weight) => format!("may get it, weight {weight}"),
            };
            let mark = if picked == Some(nth) { "  <- would be picked" } else { "" };
            let _ = writeln!(self.text, "          {}  {state}{mark}", entry.peer.name);
        }
        if matches!(upstream.balance, Balance::RoundRobin) {
            self.line("", "in turn");
        }
    }

    fn head(
        mut self,
        location: &Location,
        uri: &crate::config::plan::ProxyUri,
        source: &Source,
    ) -> Result<String, String> {
        let mut buffer = vec![0; 4 * HEAD_MAX];
        let mut writer = Writer::new(&mut buffer);
        head::write(&mut writer, location, uri, &self.facts, false, source);
        let len = writer.finish().ok_or("the head for the server is too large: 431")?;
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        for (nth, line) in text.trim_end().lines().enumerate() {
            self.line(if nth == 0 { "request" } else { "" }, line);
        }
        Ok(self.text)
    }
}

/// Why a location was not chosen; `None` for those that are never looked for.
fn why_not(location: &Location, is_earlier: bool, chosen: &Location, path: &str) -> Option<String> {
    Some(match &location.matching {
        Matching::Named(_) | Matching::Rest => return None,
        Matching::Exact(_) => "not this path".to_owned(),
        Matching::Prefix { prefix, .. } if !path.starts_with(prefix.as_str()) => "not its prefix".to_owned(),
        Matching::Prefix { .. } => match &chosen.matching {
            Matching::Exact(_) => "the exact one goes first".to_owned(),
            Matching::Regex(_) => "a regular expression matches, which goes before prefixes without ^~".to_owned(),
            _ => "a longer prefix fits".to_owned(),
        },
        Matching::Regex(pattern) if !pattern.is_match(path) => "does not match".to_owned(),
        Matching::Regex(_) => match &chosen.matching {
            Matching::Exact(_) => "the exact one goes first".to_owned(),
            Matching::Prefix { is_final: true, .. } => "^~ goes before regular expressions".to_owned(),
            Matching::Regex(_) if !is_earlier => "another that matches stands before it".to_owned(),
            _ => "it stands within another location".to_owned(),
        },
    })
}

fn is_there(kind: FileKind, path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = std::fs::metadata(path) else { return false };
    match kind {
        FileKind::File => metadata.is_file(),
        FileKind::Directory => metadata.is_dir(),
        FileKind::Any => true,
        FileKind::Executable => metadata.permissions().mode() & 0o111 != 0,
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
