//! What concerns the whole process: it stands in the main file only.

use super::Builder;
use crate::config::file::{File, Many, Word};
use crate::config::include::Parsed;
use crate::config::plan::{self, Plan};
use crate::config::report::{Place, Report};
use crate::config::settings::logs::error_log;
use crate::config::settings::{splice_min, wait};
use crate::config::value::{count, duration, switch};
use crate::limits;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use toml::Spanned;

impl Builder<'_> {
    /// A plan with nothing in it yet.
    pub(super) fn process(&mut self, main: &Parsed) -> Plan {
        let Parsed { source, directory, file } = main;
        let workers = |text: &str| match text {
            "auto" => Ok(None),
            _ => count(text, 1, limits::WORKERS_MAX as u64)
                .map(|n| Some(n as usize))
                .map_err(|e| format!("{e}, or \"auto\"")),
        };
        let error_log = |text: &str| error_log(text, directory);
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
        let (error_log, error_log_level) =
            self.setting(*source, &file.error_log, (None, plan::LogLevel::default()), error_log);
        let shutdown = Duration::from_millis(limits::SHUTDOWN_TIMEOUT_DEFAULT);
        Plan {
            workers: self.setting(*source, &file.workers, None, workers),
            worker_connections: self.setting(
                *source,
                &file.worker_connections,
                limits::WORKER_CONNECTIONS_DEFAULT,
                connections,
            ),
            handover: self.setting(*source, &file.handover, true, switch),
            error_log,
            error_log_level,
            admin: self.setting(*source, &file.admin, self.surroundings.admin_default(), admin),
            shutdown_timeout: self.setting(*source, &file.shutdown_timeout, shutdown, duration),
            splice_min: self.setting(*source, &file.splice_min, Some(limits::SPLICE_MIN_DEFAULT), splice_min),
            resolver: file.resolver.as_ref().map_or_else(Default::default, |list| self.name_servers(list, *source)),
            listeners: Vec::new(),
            servers: Vec::new(),
            tcps: Vec::new(),
            maps: Vec::new(),
            limit_req_zones: Vec::new(),
            limit_conn_zones: Vec::new(),
            access_logs: Vec::new(),
            proxy_ssls: Vec::new(),
            upstreams: Vec::new(),
        }
    }

    pub(super) fn refuse_process_keys(&mut self, file: &File, source: usize) {
        let keys = [
            ("workers", &file.workers),
            ("worker_connections", &file.worker_connections),
            ("handover", &file.handover),
            ("error_log", &file.error_log),
            ("admin", &file.admin),
            ("shutdown_timeout", &file.shutdown_timeout),
            ("splice_min", &file.splice_min),
        ];
        let words = keys.into_iter().filter_map(|(key, setting)| Some((key, setting.as_ref()?.span())));
        for (key, span) in words.chain(file.resolver.iter().map(|list| ("resolver", list.span()))) {
            let message = format!("`{key}` concerns the whole process; it belongs in the main file");
            self.error(Place::at(source, span), message);
        }
    }

    /// `resolver`: addresses, and nginx's words behind them.
    fn name_servers(&mut self, list: &Spanned<Many<Word>>, source: usize) -> plan::Resolver {
        let mut resolver = plan::Resolver::default();
        for (Word(text), span) in Many::items(list) {
            for word in text.split_ascii_whitespace() {
                if let Err(message) = name_server(&mut resolver, word.trim_end_matches(';')) {
                    self.reports.push(Report::error(Place::at(source, span.clone()), message));
                }
            }
        }
        if resolver.servers.is_empty() && self.reports.iter().all(Report::is_warning) {
            let message = "write the address of a name server; leave `resolver` out to ask those of this host";
            self.error(Place::at(source, list.span()), message);
        }
        resolver
    }
}

fn name_server(resolver: &mut plan::Resolver, word: &str) -> Result<(), String> {
    match word.split_once('=') {
        Some(("valid", _)) if resolver.valid.is_some() => Err("`valid` is set twice".to_string()),
        Some(("valid", time)) => {
            resolver.valid = Some(wait(time).map_err(|message| format!("`{word}`: {message}"))?);
            Ok(())
        }
        Some(("ipv4" | "ipv6", _)) => {
            Err(format!("`{word}` is not supported: all addresses of a name are used; leave it out"))
        }
        Some(("status_zone", _)) => Err(format!("`{word}` is not needed: leave it out")),
        Some(("local", _)) => Err("leave `resolver` out: then the name servers of this host are asked".to_string()),
        Some(_) => Err(format!("`{word}` is unknown; only valid= can stand behind the addresses")),
        None => {
            let server = address(word)?;
            if !resolver.servers.contains(&server) {
                resolver.servers.push(server);
            }
            Ok(())
        }
    }
}

/// The address of a name server; its port is 53 unless it says another.
fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::from((ip, 53)));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(address),
        Ok(_) => Err("port 0 is out of range; ports go from 1 to 65535".to_string()),
        Err(_) if ["off", "system", "local"].contains(&text) => {
            Err("leave `resolver` out: then the name servers of this host are asked".to_string())
        }
        Err(_) => {
            Err(format!("`{text}` is not an IP address; a name server is given by its address, such as \"1.1.1.1\""))
        }
    }
}
