//! From files to the plan: every check, inheritance, name resolution. All errors are collected; with one there is no plan.

use crate::config::address::Target;
use crate::config::file::{Inherited, Many, Setting};
use crate::config::include::Parsed;
use crate::config::plan::{self, Address, Plan, Upstream};
use crate::config::report::{Place, Report};
use crate::config::resolve::{Lookup, Resolver};
use crate::config::settings::{self, Defined, Settings, Written};
use crate::config::template::{Known, Template};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::rc::Rc;

mod backend;
mod balance;
mod check_ssl;
mod health_check;
mod listeners;
mod listening;
mod locations;
mod maps;
mod pass;
mod process;
mod servers;
mod shared;
mod tcp;
mod upstreams;

use shared::names_of;

pub use balance::balance;

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
        known: Rc::default(),
        defined: Rc::default(),
        maps: Vec::new(),
        access_logs: Vec::new(),
        set: Vec::new(),
        surroundings,
        resolver: Resolver::new(lookup),
        reports: Vec::new(),
        upstreams: Vec::new(),
        groups: BTreeMap::new(),
        direct: HashMap::new(),
        http_only: HashMap::new(),
        asks_others: false,
        servers: Vec::new(),
        tcps: Vec::new(),
        proxy_ssls: Vec::new(),
        listens: Vec::new(),
        directories: files.iter().map(|parsed| (parsed.source, parsed.directory.clone())).collect(),
        offers: HashMap::new(),
        unheard: Vec::new(),
        checks: Vec::new(),
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

/// What listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Section {
    /// Index into `Builder::servers`.
    Server(usize),
    /// Index into `Builder::tcps`.
    Tcp(usize),
}

/// One resolved `listen` of one section.
struct Listened {
    section: Section,
    address: Address,
    /// One of several addresses of a name.
    optional: bool,
    default_server: bool,
    ssl: bool,
    proxy_protocol: bool,
    place: Place,
}

/// What a section would offer on an address with `ssl`.
struct Offer {
    settings: settings::ssl::Ssl,
    alpn: Vec<String>,
}

struct Builder<'a> {
    /// Variables that the configuration names itself.
    known: Rc<Known>,
    /// Zones and formats.
    defined: Rc<Defined>,
    maps: Vec<plan::Map>,
    access_logs: Vec<PathBuf>,
    /// What `set` statements say.
    set: Vec<(std::sync::Arc<str>, Template)>,
    surroundings: &'a Surroundings,
    resolver: Resolver<'a>,
    reports: Vec<Report>,
    upstreams: Vec<Upstream>,
    groups: BTreeMap<String, Group>,
    /// Upstreams of addresses that a `proxy_pass` names directly.
    direct: HashMap<Target, usize>,
    /// By group, what keeps tcp sections from using it: where that is, and what to write.
    http_only: HashMap<usize, Vec<(Place, String)>>,
    /// Names are looked up by the name servers of `resolver`, when ringgate runs.
    asks_others: bool,
    servers: Vec<plan::Server>,
    tcps: Vec<plan::Tcp>,
    /// What backends that speak TLS are asked for; equal ones are one.
    proxy_ssls: Vec<plan::ProxySsl>,
    listens: Vec<Listened>,
    /// Where relative paths start, by source.
    directories: HashMap<usize, PathBuf>,
    offers: HashMap<Section, Offer>,
    /// What means nothing unless the section listens with `ssl`.
    unheard: Vec<(Section, Report)>,
    /// Health checks by TLS that do not know yet what traffic asks.
    checks: Vec<check_ssl::CheckSsl>,
}

impl Builder<'_> {
    fn plan(&mut self, files: &[Parsed]) -> Option<Plan> {
        let main = files.first()?;
        let plan = self.process(main);
        self.asks_others = !plan.resolver.servers.is_empty();
        for included in &files[1..] {
            self.refuse_process_keys(&included.file, included.source);
        }
        self.known = Rc::new(names_of(files));
        let (limit_req_zones, limit_conn_zones) = self.define(files);
        for Parsed { source, file, .. } in files {
            self.maps(&file.map, *source);
        }
        let settings = self.defaults(files);
        for Parsed { source, file, .. } in files {
            self.groups(&file.upstream, *source);
        }
        for Parsed { source, file, .. } in files {
            file.server.iter().for_each(|server| self.server(server, *source, &settings));
        }
        for Parsed { source, file, .. } in files {
            file.tcp.iter().for_each(|tcp| self.tcp(tcp, *source, &settings));
        }
        if self.servers.is_empty() && self.tcps.is_empty() {
            let help = "write at least\n\n[[server]]\nlisten = \"8080\"\n\n[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:3000\"";
            let message = "there is no [[server]] and no [[tcp]] section: nothing would listen";
            self.reports.push(Report::error(Place::file(0), message).help(help));
        }
        self.check_as_traffic(&settings.proxy_ssl);
        self.warn_unused_groups();
        self.warn_shared_cookies();
        let listeners = self.listeners();
        let (servers, tcps) = (std::mem::take(&mut self.servers), std::mem::take(&mut self.tcps));
        let (upstreams, proxy_ssls) = (std::mem::take(&mut self.upstreams), std::mem::take(&mut self.proxy_ssls));
        let (maps, access_logs) = (std::mem::take(&mut self.maps), std::mem::take(&mut self.access_logs));
        Some(Plan {
            listeners,
            servers,
            tcps,
            maps,
            limit_req_zones,
            limit_conn_zones,
            access_logs,
            proxy_ssls,
            upstreams,
            ..plan
        })
    }

    fn error(&mut self, place: Place, message: impl Into<String>) {
        self.reports.push(Report::error(place, message));
    }

    /// What several sections inherit is told once.
    fn report_once(&mut self, report: Report) {
        if !self.reports.contains(&report) {
            self.reports.push(report);
        }
    }

    /// Where relative paths of a file start.
    fn directory(&self, source: usize) -> PathBuf {
        self.directories.get(&source).cloned().unwrap_or_default()
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
            self.types(&mut settings, &file.types, *source);
        }
        settings
    }

    fn inherit(&mut self, settings: &mut Settings, keys: Vec<(&'static str, Inherited)>, source: usize) {
        let directory = self.directory(source);
        let (known, defined) = (self.known.clone(), self.defined.clone());
        for (key, value) in keys {
            let place = Place::at(source, value.span());
            let at = Written { place, directory: &directory, known: &known, defined: &defined };
            match value {
                Inherited::Word(word) => match settings.set(key, &word.get_ref().0, &at) {
                    Ok(None) => {}
                    Ok(Some(warning)) => self.reports.push(Report::warning(at.place, warning)),
                    Err(message) => self.error(at.place, message),
                },
                Inherited::List(list) => {
                    let items = Many::items(list).into_iter();
                    let values: Vec<_> = items.map(|(word, span)| (&*word.0, Place::at(source, span))).collect();
                    self.reports.extend(settings.set_list(key, &values, &at));
                }
            }
        }
    }
}
