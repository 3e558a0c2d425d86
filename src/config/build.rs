//! From files to the plan: every check, inheritance, name resolution. All errors are collected; with one there is no plan.

use crate::config::address::{self, Target};
use crate::config::file::{Backend, File, Many, Named, Setting, Word};
use crate::config::include::Parsed;
use crate::config::plan::{self, Address, Balance, Peer, Plan, Upstream};
use crate::config::report::{Place, Report};
use crate::config::resolve::{Lookup, Resolver};
use crate::config::settings::{Settings, all_loopback, wait};
use crate::config::slips::closest;
use crate::config::value::{count, duration};
use crate::limits;
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

mod listeners;

/// What the plan takes from its surroundings.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Effective user; `None`: unknown.
    pub uid: Option<u32>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
}

impl Surroundings {
    /// The one place where the configuration looks at the process it runs in.
    pub fn read() -> Surroundings {
        // The directory itself always belongs to the effective user; files within may not (proc(5), "dumpable").
        let own = std::fs::metadata("/proc/self");
        let uid = own.ok().map(|own| std::os::unix::fs::MetadataExt::uid(&own));
        Surroundings { uid, runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) }
    }

    /// Where the admin socket is when the file does not say. Root's is always the same, so that a service and root's shell
    /// agree; anyone else's is in the directory that only they can enter, else under a name that is theirs.
    pub fn admin_default(&self) -> Option<PathBuf> {
        match (self.uid?, &self.runtime_dir) {
            (0, _) => Some(PathBuf::from("/run/ringgate.sock")),
            (_, Some(directory)) if directory.is_absolute() => Some(directory.join("ringgate.sock")),
            (uid, _) => Some(PathBuf::from(format!("/tmp/ringgate-{uid}.sock"))),
        }
    }

    /// nginx's port for a server without `listen`: 80 for root, 8000 for others.
    fn port_default(&self) -> u16 {
        if self.uid == Some(0) { 80 } else { 8000 }
    }
}

/// The plan and what was noticed on the way; no plan if one of the reports is an error.
pub fn build(files: &[Parsed], surroundings: &Surroundings, lookup: Lookup) -> (Option<Plan>, Vec<Report>) {
    let mut builder = Builder {
        surroundings,
        resolver: Resolver::new(lookup),
        reports: Vec::new(),
        upstreams: Vec::new(),
        groups: HashMap::new(),
        direct: HashMap::new(),
        servers: Vec::new(),
        listens: Vec::new(),
    };
    let plan = builder.plan(files);
    let failed = builder.reports.iter().any(|report| !report.is_warning());
    (plan.filter(|_| !failed), builder.reports)
}

/// A named group, by the lower-case form of its name.
struct Group {
    index: usize,
    place: Place,
    used: bool,
}

/// One resolved `listen` of one server.
struct Listened {
    server: usize,
    address: Address,
    /// One of several addresses of a name.
    optional: bool,
    default_server: bool,
    place: Place,
}

struct Builder<'a> {
    surroundings: &'a Surroundings,
    resolver: Resolver<'a>,
    reports: Vec<Report>,
    upstreams: Vec<Upstream>,
    groups: HashMap<String, Group>,
    /// Upstreams of addresses that a `proxy_pass` names directly.
    direct: HashMap<Target, usize>,
    servers: Vec<plan::Server>,
    listens: Vec<Listened>,
}

impl Builder<'_> {
    fn plan(&mut self, files: &[Parsed]) -> Option<Plan> {
        let main = files.first()?;
        let plan = self.process(main);
        for included in &files[1..] {
            self.refuse_process_keys(&included.file, included.source);
        }
        let settings = self.defaults(files);
        for Parsed { source, file, .. } in files {
            self.groups(&file.upstream, *source);
        }
        let mut any = false;
        for Parsed { source, file, .. } in files {
            for server in &file.server {
                any = true;
                self.server(server, *source, &settings);
            }
        }
        if !any {
            let help = "write at least\n\n[[server]]\nlisten = \"8080\"\n\n[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:3000\"";
            self.reports
                .push(Report::error(Place::file(0), "there is no [[server]] section: nothing would listen").help(help));
        }
        self.warn_unused_groups();
        let listeners = self.listeners();
        let (servers, upstreams) = (std::mem::take(&mut self.servers), std::mem::take(&mut self.upstreams));
        Some(Plan { listeners, servers, upstreams, ..plan })
    }

    fn error(&mut self, place: Place, message: impl Into<String>) {
        self.reports.push(Report::error(place, message));
    }

    /// Reads a value, or reports why not and goes on with the default.
    fn setting<T>(
        &mut self,
        source: usize,
        setting: &Setting,
        default: T,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        let Some(setting) = setting else { return default };
        read(&setting.get_ref().0).unwrap_or_else(|message| {
            self.error(Place::at(source, setting.span()), message);
            default
        })
    }

    /// What concerns the whole process.
    fn process(&mut self, main: &Parsed) -> Plan {
        let Parsed { source, directory, file } = main;
        let workers = |text: &str| match text {
            "auto" => Ok(None),
            _ => count(text, 1, limits::WORKERS_MAX as u64)
                .map(|n| Some(n as usize))
                .map_err(|e| format!("{e}, or \"auto\"")),
        };
        let error_log = |text: &str| match text {
            "stderr" => Ok(None),
            "" => Err("write a path, or \"stderr\"".to_string()),
            "off" => Err("the error log cannot be switched off; write \"/dev/null\" if it must be".to_string()),
            path => Ok(Some(directory.join(path))),
        };
        let admin = |text: &str| match text {
            "off" => Ok(None),
            "" => Err("write a path, or \"off\"".to_string()),
            path => {
                let path = directory.join(path.strip_prefix("unix:").unwrap_or(path));
                // The length is the kernel's matter, a relative path is not.
                let long = path.as_os_str().len() > limits::UNIX_PATH_MAX;
                if long { address::unix(&format!("/{}", path.display())).map(Some) } else { Ok(Some(path)) }
            }
        };
        let connections = |text: &str| count(text, 1, limits::CONNECTIONS_MAX.into()).map(|n| n as u32);
        let shutdown = Duration::from_millis(limits::SHUTDOWN_TIMEOUT_DEFAULT);
        Plan {
            workers: self.setting(*source, &file.workers, None, workers),
            worker_connections: self.setting(
                *source,
                &file.worker_connections,
                limits::WORKER_CONNECTIONS_DEFAULT,
                connections,
            ),
            error_log: self.setting(*source, &file.error_log, None, error_log),
            admin: self.setting(*source, &file.admin, self.surroundings.admin_default(), admin),
            shutdown_timeout: self.setting(*source, &file.shutdown_timeout, shutdown, duration),
            listeners: Vec::new(),
            servers: Vec::new(),
            upstreams: Vec::new(),
        }
    }

    fn refuse_process_keys(&mut self, file: &File, source: usize) {
        let keys = [
            ("workers", &file.workers),
            ("worker_connections", &file.worker_connections),
            ("error_log", &file.error_log),
            ("admin", &file.admin),
            ("shutdown_timeout", &file.shutdown_timeout),
        ];
        for (key, setting) in keys {
            if let Some(setting) = setting {
                let message = format!("`{key}` concerns the whole process; it belongs in the main file");
                self.error(Place::at(source, setting.span()), message);
            }
        }
    }

    /// Defaults for every server. They may stand in any file, as in nginx's conf.d, but each only once.
    fn defaults(&mut self, files: &[Parsed]) -> Settings {
        let mut settings = Settings::default();
        let mut set: HashMap<&str, Place> = HashMap::new();
        for Parsed { source, file, .. } in files {
            let inherited = file.inherited();
            for (key, value) in &inherited {
                let place = Place::at(*source, value.span());
                if let Some(first) = set.insert(key, place.clone()) {
                    let report = Report::error(place, format!("`{key}` is already set for all servers"));
                    self.reports.push(report.also(first, "here"));
                }
            }
            self.inherit(&mut settings, inherited, *source);
        }
        settings
    }

    fn inherit(&mut self, settings: &mut Settings, keys: Vec<(&'static str, &Spanned<Word>)>, source: usize) {
        for (key, value) in keys {
            if let Err(message) = settings.set(key, &value.get_ref().0) {
                self.error(Place::at(source, value.span()), message);
            }
        }
    }

    fn groups(&mut self, sections: &Named<crate::config::file::Upstream>, source: usize) {
        for (name, section) in &sections.0 {
            let place = Place::at(source, name.span());
            let name = name.get_ref();
            if let Some(strange) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._".contains(*c)) {
                self.error(place.clone(), format!("`{strange}` cannot stand in the name of a group"));
            } else if name.is_empty() {
                self.error(place.clone(), "a group needs a name, such as [upstream.backend]");
            }
            let group = Group { index: self.upstreams.len(), place: place.clone(), used: false };
            if let Some(first) = self.groups.insert(name.to_ascii_lowercase(), group) {
                let report = Report::error(place.clone(), format!("there are two groups named `{name}`"));
                self.reports.push(report.also(first.place, "the other one"));
            }
            let upstream = self.group(name, section, source, place);
            self.upstreams.push(upstream);
        }
    }

    fn group(&mut self, name: &str, section: &crate::config::file::Upstream, source: usize, place: Place) -> Upstream {
        let mut upstream = Upstream {
            balance: self.setting(source, &section.balance, Balance::RoundRobin, balance),
            keepalive: self.setting(source, &section.keepalive, limits::KEEPALIVE_DEFAULT, |text| {
                count(text, 0, limits::CONNECTIONS_MAX.into()).map(|n| n as u32)
            }),
            keepalive_timeout: self.setting(source, &section.keepalive_timeout, KEEPALIVE_TIMEOUT, wait),
            ..group_of(name, Vec::new())
        };
        let backends = section.server.as_ref().map(Many::items).unwrap_or_default();
        if backends.is_empty() {
            let place = section.server.as_ref().map_or(place.clone(), |list| Place::at(source, list.span()));
            let help = format!("beneath [upstream.{name}] write\n\nserver = [\"127.0.0.1:3001\", \"127.0.0.1:3002\"]");
            self.reports.push(Report::error(place, format!("the group `{name}` has no server")).help(help));
        }
        let failed = self.reports.len();
        for (backend, span) in backends {
            let peers = self.backend(backend, source, &span);
            for peer in &peers {
                let twin = upstream.peers.iter().find(|other| other.addresses == peer.addresses);
                if let Some(twin) = twin {
                    let message =
                        format!("`{}` is the same server as `{}` before it: it gets two shares", peer.name, twin.name);
                    self.reports.push(Report::warning(Place::at(source, span.clone()), message));
                }
            }
            upstream.peers.extend(peers);
        }
        if self.reports[failed..].iter().all(Report::is_warning) {
            self.check_cycle(&upstream, &place);
        }
        upstream
    }

    /// The servers of one group are bounded, and so is the sequence in which round robin visits them.
    fn check_cycle(&mut self, upstream: &Upstream, place: &Place) {
        if upstream.peers.len() > limits::SERVERS_MAX {
            self.error(place.clone(), format!("a group has at most {} servers", limits::SERVERS_MAX));
        }
        let common = upstream.peers.iter().fold(0, |divisor, peer| gcd(divisor, peer.weight)).max(1);
        let cycle: u64 = upstream.peers.iter().map(|peer| u64::from(peer.weight / common)).sum();
        if upstream.balance == Balance::RoundRobin && cycle > limits::SERVERS_MAX as u64 {
            let message = format!(
                "the weights of `{}` repeat only after {cycle} requests (at most {}); write smaller ones in the same ratio",
                upstream.name,
                limits::SERVERS_MAX
            );
            self.error(place.clone(), message);
        }
    }

    fn backend(&mut self, backend: &Backend, source: usize, span: &Range<usize>) -> Vec<Peer> {
        let place = Place::at(source, span.clone());
        let (text, weight, place) = match backend {
            Backend::Word(Word(text)) => match with_parameters(text) {
                Ok((address, weight)) => (address.to_string(), weight, place),
                Err(message) => {
                    self.error(place, message);
                    return Vec::new();
                }
            },
            Backend::Table(table) => {
                let weight = self.setting(source, &table.weight, 1, weight);
                match &table.address {
                    Some(address) => (address.get_ref().0.clone(), weight, Place::at(source, address.span())),
                    None => {
                        self.error(
                            place,
                            "a server needs an address; write { address = \"127.0.0.1:8000\", weight = 2 }",
                        );
                        return Vec::new();
                    }
                }
            }
        };
        match address::target(text.trim(), 80).and_then(|target| self.peers(&target, text.trim(), weight)) {
            Ok(peers) => peers,
            Err(message) => {
                self.error(place, message);
                Vec::new()
            }
        }
    }

    /// One peer per address; but a name that stays on this machine is one peer with several doors.
    fn peers(&mut self, target: &Target, name: &str, weight: u32) -> Result<Vec<Peer>, String> {
        let peer = |addresses| Peer { name: name.to_string(), addresses, weight };
        Ok(match target {
            Target::Unix(path) => vec![peer(vec![Address::Unix(path.clone())])],
            Target::Ip(address) => vec![peer(vec![Address::Tcp(*address)])],
            Target::Name(host, port) => {
                let found = self.resolver.resolve(host, *port);
                let addresses = found.map_err(|error| format!("the host `{host}` cannot be found: {error}"))?;
                match all_loopback(&addresses) {
                    true => vec![peer(addresses.into_iter().map(Address::Tcp).collect())],
                    false => addresses.into_iter().map(|address| peer(vec![Address::Tcp(address)])).collect(),
                }
            }
        })
    }

    fn server(&mut self, server: &Spanned<crate::config::file::Server>, source: usize, settings: &Settings) {
        let (place, server) = (Place::at(source, server.span()), server.get_ref());
        let mut settings = settings.clone();
        self.inherit(&mut settings, server.inherited(), source);
        let names = self.server_names(server, source);
        self.listen(server, source, &place);
        if server.location.0.is_empty() {
            let help =
                "beneath this [[server]] write\n\n[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:3000\"";
            self.reports.push(Report::error(place, "this server has no location: it could answer nothing").help(help));
        }
        let mut locations = Vec::new();
        for (prefix, location) in &server.location.0 {
            let place = Place::at(source, prefix.span());
            if let Err(message) = self.prefix(prefix.get_ref(), &place) {
                self.error(place.clone(), message);
            }
            let mut settings = settings.clone();
            self.inherit(&mut settings, location.inherited(), source);
            let upstream = match &location.proxy_pass {
                Some(pass) => {
                    let place = Place::at(source, pass.span());
                    self.pass(&pass.get_ref().0, &place).unwrap_or_else(|report| {
                        self.reports.push(report);
                        0
                    })
                }
                None => {
                    let report = Report::error(place, "this location has no `proxy_pass`: it could answer nothing");
                    self.reports.push(report.help("write\n\nproxy_pass = \"http://127.0.0.1:3000\""));
                    0
                }
            };
            locations.push(settings.location(prefix.get_ref().clone(), upstream));
        }
        locations.sort_by_key(|location| std::cmp::Reverse(location.prefix.len()));
        self.servers.push(settings.server(names, locations));
    }

    fn server_names(&mut self, server: &crate::config::file::Server, source: usize) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (Word(name), span) in server.server_name.as_ref().map(Many::items).unwrap_or_default() {
            let place = Place::at(source, span);
            match address::server_name(name) {
                Ok(name) if names.contains(&name) => {
                    self.reports.push(Report::warning(place, format!("`{name}` stands here twice")));
                }
                Ok(name) => names.push(name),
                Err(message) => self.error(place, message),
            }
        }
        names
    }

    fn prefix(&mut self, prefix: &str, place: &Place) -> Result<(), String> {
        let first = prefix.split_whitespace().next().unwrap_or("");
        if ["=", "~", "~*", "^~"].contains(&first) || prefix.starts_with(['=', '~', '^', '@']) {
            return Err(
                "only plain prefixes such as \"/app/\" are supported yet, not `=`, `~`, `^~` or `@`".to_string()
            );
        }
        if !prefix.starts_with('/') {
            return Err(format!("a location begins with a slash; write [server.location.\"/{prefix}\"]"));
        }
        if let Some((path, _)) = prefix.split_once(['?', '#']) {
            return Err(format!("a location is a path, without a query; write [server.location.\"{path}\"]"));
        }
        let strange = prefix.split('/').any(|segment| segment == "." || segment == "..");
        if strange || prefix.contains("//") || prefix.contains('%') {
            let message =
                "paths are decoded and tidied (`%20`, `//`, `/../`) before they are compared: this may never match";
            self.reports.push(Report::warning(place.clone(), message));
        }
        Ok(())
    }

    /// The upstream that a `proxy_pass` leads to.
    fn pass(&mut self, text: &str, place: &Place) -> Result<usize, Report> {
        let fail = |message| Report::error(place.clone(), message);
        let target = match address::pass(text).map_err(fail)? {
            address::Pass::Host(name) => {
                if let Some(group) = self.groups.get_mut(&name.to_ascii_lowercase()) {
                    group.used = true;
                    return Ok(group.index);
                }
                Target::Name(name.to_ascii_lowercase(), 80)
            }
            address::Pass::Address(target) => target,
        };
        let near = match &target {
            Target::Name(host, _) => closest(host, self.groups.keys().map(String::as_str)).map(str::to_string),
            _ => None,
        };
        if let (Target::Name(host, port), Some(near)) = (&target, &near)
            && host == near
        {
            return Err(fail(format!(
                "`{host}` is a group, whose servers have their own ports; leave out \":{port}\""
            )));
        }
        if let Some(&index) = self.direct.get(&target) {
            return Ok(index);
        }
        let name = text.trim().trim_start_matches("http://");
        let peers = self.peers(&target, name, 1).map_err(|message| match (&target, &near) {
            (Target::Name(host, _), Some(near)) => {
                // The group that was meant is not unused.
                self.groups.entry(near.clone()).and_modify(|group| group.used = true);
                fail(format!("there is no group or host `{host}`; did you mean `{near}`?"))
            }
            (Target::Name(host, _), None) if !host.contains('.') => {
                let groups = self.group_names();
                let help = match groups.is_empty() {
                    true => format!("to make a group, write\n\n[upstream.{host}]\nserver = [\"127.0.0.1:3001\"]"),
                    false => format!("the groups are: {groups}"),
                };
                fail(format!("there is no group [upstream.{host}], and {message}")).help(help)
            }
            _ => fail(message),
        })?;
        if let (Target::Name(host, _), Some(near)) = (&target, near) {
            let message = format!("`{host}` is taken for a host, not for the group `{near}`");
            self.reports.push(Report::warning(place.clone(), message));
        }
        self.upstreams.push(group_of(name, peers));
        self.direct.insert(target, self.upstreams.len() - 1);
        Ok(self.upstreams.len() - 1)
    }

    fn group_names(&self) -> String {
        let mut names: Vec<&str> = self.groups.values().map(|group| &*self.upstreams[group.index].name).collect();
        names.sort_unstable();
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    fn warn_unused_groups(&mut self) {
        let mut unused: Vec<&Group> = self.groups.values().filter(|group| !group.used).collect();
        unused.sort_by_key(|group| group.index);
        for group in unused {
            let name = &self.upstreams[group.index].name;
            let message = format!("no `proxy_pass` uses the group `{name}`");
            self.reports.push(Report::warning(group.place.clone(), message));
        }
    }
}

const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(limits::PROXY_KEEPALIVE_TIMEOUT_DEFAULT);

fn group_of(name: &str, peers: Vec<Peer>) -> Upstream {
    Upstream {
        name: name.to_string(),
        balance: Balance::RoundRobin,
        keepalive: limits::KEEPALIVE_DEFAULT,
        keepalive_timeout: KEEPALIVE_TIMEOUT,
        peers,
    }
}

fn balance(text: &str) -> Result<Balance, String> {
    match text {
        "round_robin" => Ok(Balance::RoundRobin),
        "least_conn" => Ok(Balance::LeastConn),
        "ip_hash" | "hash" | "random" => {
            Err(format!("`{text}` is not supported yet; write \"round_robin\" or \"least_conn\""))
        }
        _ => Err(match closest(text, ["round_robin", "least_conn"]) {
            Some(near) => format!("unknown method `{text}`; did you mean \"{near}\"?"),
            None => format!("unknown method `{text}`; write \"round_robin\" or \"least_conn\""),
        }),
    }
}

fn weight(text: &str) -> Result<u32, String> {
    match text {
        "0" => Err("a weight of 0 would get nothing; leave the server out instead".to_string()),
        _ => count(text, 1, limits::WEIGHT_MAX.into()).map(|n| n as u32),
    }
}

/// nginx's spelling of a server: an address and `weight=2` behind it.
fn with_parameters(text: &str) -> Result<(&str, u32), String> {
    let mut words = text.split_ascii_whitespace();
    let address = words.next().ok_or("write an address, such as \"127.0.0.1:8000\"")?;
    let mut share = 1;
    for word in words {
        match word.trim_end_matches(';').split_once('=') {
            Some(("weight", number)) => share = weight(number)?,
            _ => {
                let word = word.trim_end_matches(';');
                let known = ["max_fails", "fail_timeout", "backup", "down", "max_conns", "resolve", "slow_start"];
                let yet = known.contains(&word.split('=').next().unwrap_or(word));
                let why = if yet { "is not supported yet" } else { "is unknown" };
                return Err(format!("`{word}` {why}; only `weight=` can stand behind the address"));
            }
        }
    }
    Ok((address, share))
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
