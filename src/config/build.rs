//! From files to the plan: every check, inheritance, name resolution. All errors are collected; with one there is no plan.

use crate::config::address::Target;
use crate::config::file::{File, Setting, Word};
use crate::config::include::Parsed;
use crate::config::plan::{self, Address, Plan, Upstream};
use crate::config::report::{Place, Report};
use crate::config::resolve::{Lookup, Resolver};
use crate::config::settings::{Settings, splice_min};
use crate::config::value::{count, duration};
use crate::limits;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

mod listeners;
mod pass;
mod servers;
mod tcp;
mod upstreams;

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
        groups: BTreeMap::new(),
        direct: HashMap::new(),
        portless: HashMap::new(),
        servers: Vec::new(),
        tcps: Vec::new(),
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

/// What listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    place: Place,
}

struct Builder<'a> {
    surroundings: &'a Surroundings,
    resolver: Resolver<'a>,
    reports: Vec<Report>,
    upstreams: Vec<Upstream>,
    groups: BTreeMap<String, Group>,
    /// Upstreams of addresses that a `proxy_pass` names directly.
    direct: HashMap<Target, usize>,
    /// By group, the first server without a port: where it is, and what to write.
    portless: HashMap<usize, (Place, String)>,
    servers: Vec<plan::Server>,
    tcps: Vec<plan::Tcp>,
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
        let on_or_off = |text: &str| match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("write \"on\" or \"off\"".to_string()),
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
                match path.as_os_str().len() > limits::UNIX_PATH_MAX {
                    true => Err(format!("the path of a unix socket has at most {} bytes", limits::UNIX_PATH_MAX)),
                    false => Ok(Some(path)),
                }
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
            handover: self.setting(*source, &file.handover, true, on_or_off),
            error_log: self.setting(*source, &file.error_log, None, error_log),
            admin: self.setting(*source, &file.admin, self.surroundings.admin_default(), admin),
            shutdown_timeout: self.setting(*source, &file.shutdown_timeout, shutdown, duration),
            splice_min: self.setting(*source, &file.splice_min, Some(limits::SPLICE_MIN_DEFAULT), splice_min),
            resolver: plan::Resolver::default(),
            listeners: Vec::new(),
            servers: Vec::new(),
            upstreams: Vec::new(),
        }
    }

    fn refuse_process_keys(&mut self, file: &File, source: usize) {
        let keys = [
            ("workers", &file.workers),
            ("worker_connections", &file.worker_connections),
            ("handover", &file.handover),
            ("error_log", &file.error_log),
            ("admin", &file.admin),
            ("shutdown_timeout", &file.shutdown_timeout),
            ("splice_min", &file.splice_min),
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
}
