//! Settings that are inherited: top level, then server (or tcp), then location, as nginx does it.

use crate::config::headers;
use crate::config::networks::network;
use crate::config::plan;
use crate::config::report::{Place, Report};
use crate::config::retry;
use crate::config::template::{Known, Template};
use crate::config::value::{count, duration, size, switch};
use crate::limits;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub mod access;
pub mod answers;
pub mod compression;
pub mod files;
pub mod logs;
pub mod proxy_ssl;
pub mod served;
pub mod ssl;
pub mod types;

mod protocols;

use access::AccessSettings;
use answers::AnswerSettings;
use compression::Compressed;
use logs::Log;
use proxy_ssl::ProxySsl;
use served::Served;
use ssl::Ssl;

/// Where a value stands.
#[derive(Debug)]
pub struct Written<'a> {
    /// For reports.
    pub place: Place,
    /// Of the file, from which paths go on.
    pub directory: &'a Path,
    /// Variables that the configuration names itself.
    pub known: &'a Known,
    /// What the configuration defines for all.
    pub defined: &'a Defined,
}

/// What stands at the top of the file and is called by its name below.
#[derive(Debug, Default)]
pub struct Defined {
    /// Of `limit_req_zone`, in the order of the plan.
    pub req_zones: Vec<String>,
    /// Of `limit_conn_zone`.
    pub conn_zones: Vec<String>,
    /// Of `[log_format]`, and those that are always there.
    pub formats: Vec<Arc<plan::LogFormat>>,
}

/// The values in force at one level.
#[derive(Debug, Clone)]
pub struct Settings {
    client_header_timeout: Duration,
    keepalive_timeout: Duration,
    keepalive_requests: u32,
    client_max_body_size: u64,
    client_body_timeout: Duration,
    send_timeout: Duration,
    proxy_connect_timeout: Duration,
    /// Follows `proxy_read_timeout` until it is set.
    proxy_first_byte_timeout: Option<Duration>,
    proxy_read_timeout: Duration,
    proxy_send_timeout: Duration,
    proxy_tunnel_timeout: Duration,
    retry: Arc<plan::Retry>,
    real_ip_from: Vec<ipnet::IpNet>,
    set_headers: Arc<Vec<(String, Template)>>,
    client_body_buffer_size: u64,
    request_buffering: bool,
    /// Static files.
    pub served: Served,
    /// Heads of answers, error pages.
    pub answers: AnswerSettings,
    /// Who may ask.
    pub access: AccessSettings,
    compressed: Compressed,
    /// `access_log`.
    pub logs: Vec<Log>,
    /// `ssl_...`
    pub ssl: Ssl,
    /// `proxy_ssl_...`
    pub proxy_ssl: ProxySsl,
}

impl Default for Settings {
    fn default() -> Settings {
        let ms = Duration::from_millis;
        Settings {
            client_header_timeout: ms(limits::CLIENT_HEADER_TIMEOUT_DEFAULT),
            keepalive_timeout: ms(limits::KEEPALIVE_TIMEOUT_DEFAULT),
            keepalive_requests: limits::KEEPALIVE_REQUESTS_DEFAULT,
            client_max_body_size: limits::CLIENT_MAX_BODY_SIZE_DEFAULT,
            client_body_timeout: ms(limits::CLIENT_BODY_TIMEOUT_DEFAULT),
            send_timeout: ms(limits::SEND_TIMEOUT_DEFAULT),
            proxy_connect_timeout: ms(limits::PROXY_CONNECT_TIMEOUT_DEFAULT),
            proxy_first_byte_timeout: None,
            proxy_read_timeout: ms(limits::PROXY_READ_TIMEOUT_DEFAULT),
            proxy_send_timeout: ms(limits::PROXY_SEND_TIMEOUT_DEFAULT),
            proxy_tunnel_timeout: ms(limits::TUNNEL_TIMEOUT_DEFAULT),
            retry: Arc::default(),
            real_ip_from: Vec::new(),
            set_headers: Arc::default(),
            client_body_buffer_size: limits::CLIENT_BODY_BUFFER_SIZE_DEFAULT,
            request_buffering: false,
            served: Served::default(),
            answers: AnswerSettings::default(),
            access: AccessSettings::default(),
            compressed: Compressed::default(),
            logs: Vec::new(),
            ssl: Ssl::default(),
            proxy_ssl: ProxySsl::default(),
        }
    }
}

impl Settings {
    /// Sets one key from its text; what is strange about it.
    pub fn set(&mut self, key: &str, text: &str, at: &Written) -> Result<Option<String>, String> {
        if let Some(key) = key.strip_prefix("ssl_") {
            return self.ssl.set(key, text, at);
        }
        if let Some(key) = key.strip_prefix("proxy_ssl_") {
            return self.proxy_ssl.set(key, text, at);
        }
        if self.served.set(key, text, at)?
            || self.answers.set(key, text, at)?
            || self.access.set(key, text, at)?
            || self.compressed.set(key, text)?
        {
            return Ok(None);
        }
        match key {
            "client_header_timeout" => self.client_header_timeout = wait(text)?,
            "keepalive_timeout" => self.keepalive_timeout = duration(text)?,
            "keepalive_requests" => self.keepalive_requests = count(text, 1, u32::MAX.into())? as u32,
            "client_max_body_size" => self.client_max_body_size = size(text)?,
            "client_body_timeout" => self.client_body_timeout = wait(text)?,
            "send_timeout" => self.send_timeout = wait(text)?,
            "proxy_connect_timeout" => self.proxy_connect_timeout = wait(text)?,
            "proxy_first_byte_timeout" => self.proxy_first_byte_timeout = Some(wait(text)?),
            "proxy_read_timeout" => self.proxy_read_timeout = wait(text)?,
            "proxy_send_timeout" => self.proxy_send_timeout = wait(text)?,
            "proxy_tunnel_timeout" => self.proxy_tunnel_timeout = wait(text)?,
            "proxy_next_upstream_tries" => self.retry_mut().tries = count(text, 0, limits::SERVERS_MAX as u64)? as u32,
            "proxy_next_upstream_timeout" => self.retry_mut().within = retry::within(text)?,
            "client_body_buffer_size" => self.client_body_buffer_size = size(text)?,
            "proxy_request_buffering" => self.request_buffering = switch(text)?,
            "proxy_http_version" => return http_version(text),
            "server_tokens" => return server_tokens(text),
            "server_name_in_redirect" => {
                let message = "redirects of ours name the host that the client asked for: leave it out";
                return Ok(switch(text)?.then(|| message.to_string()));
            }
            "http2" if switch(text)? => return Ok(Some(NO_HTTP2.to_string())),
            "http2" => {}
            _ => unreachable!("the file's mirror has no other inherited key with one value"),
        }
        Ok(None)
    }

    /// Sets one key from its values, or reports why not. `whole`: the place of all of them.
    pub fn set_list(&mut self, key: &str, values: &[(&str, Place)], whole: &Written) -> Vec<Report> {
        if let Some(key) = key.strip_prefix("ssl_") {
            return self.ssl.set_list(key, values, whole);
        }
        let known = self.answers.set_list(key, values, whole);
        let known = known.or_else(|| self.access.set_list(key, values, whole));
        if let Some(reports) = known.or_else(|| self.compressed.set_list(key, values)) {
            return reports;
        }
        match key {
            "index" => self.served.set_index(values, whole),
            "access_log" => {
                let mut reports = Vec::new();
                self.logs = logs::access_log(values, &mut reports, whole);
                reports
            }
            "proxy_next_upstream" => retry::conditions(self.retry_mut(), values, &whole.place),
            "proxy_next_upstream_methods" => retry::methods(self.retry_mut(), values),
            "set_real_ip_from" => self.set_real_ip_from(values),
            "proxy_ssl_protocols" => self.proxy_ssl.set_protocols(values, &whole.place),
            "proxy_set_header" => {
                let (fields, reports) = headers::fields(values, whole.known);
                self.set_headers = Arc::new(fields);
                reports
            }
            _ => unreachable!("the file's mirror has no other inherited list"),
        }
    }

    fn set_real_ip_from(&mut self, values: &[(&str, Place)]) -> Vec<Report> {
        let mut reports = Vec::new();
        self.real_ip_from.clear();
        for (text, place) in values {
            match network(text) {
                Ok((net, warning)) => {
                    reports.extend(warning.map(|message| Report::warning(place.clone(), message)));
                    self.real_ip_from.push(net);
                }
                Err(message) => reports.push(Report::error(place.clone(), message)),
            }
        }
        reports
    }

    /// In a tcp section: whether the next server is tried when one cannot be connected to.
    pub fn set_tcp_retry(&mut self, on: bool) {
        let retry = self.retry_mut();
        (retry.error, retry.timeout) = (on, on);
    }

    fn retry_mut(&mut self) -> &mut plan::Retry {
        Arc::make_mut(&mut self.retry)
    }

    /// A location with these values, but for `access`, `access_log` and what a `proxy_pass` adds to `answers`.
    pub fn location(&self, name: String, matching: plan::Matching, action: plan::Action) -> plan::Location {
        plan::Location {
            name,
            matching,
            action,
            nested: plan::Level::default(),
            internal: false,
            rules: Arc::default(),
            try_files: None,
            files: Arc::new(self.served.files()),
            error_pages: self.answers.error_pages.clone(),
            intercept_errors: self.answers.intercept_errors,
            recursive_error_pages: self.answers.recursive_error_pages,
            access: Arc::default(),
            limit_req: Arc::new(self.access.limit_req()),
            limit_conn: Arc::new(self.access.limit_conn()),
            answers: Arc::new(self.answers.own()),
            compression: Arc::new(self.compressed.compression()),
            access_log: Arc::default(),
            absolute_redirect: self.answers.absolute_redirect,
            port_in_redirect: self.answers.port_in_redirect,
            request_buffering: self.request_buffering,
            client_body_buffer_size: self.client_body_buffer_size,
            set_headers: self.set_headers.clone(),
            client_max_body_size: (self.client_max_body_size > 0).then_some(self.client_max_body_size),
            client_body_timeout: self.client_body_timeout,
            send_timeout: self.send_timeout,
            proxy_connect_timeout: self.proxy_connect_timeout,
            proxy_first_byte_timeout: self.proxy_first_byte_timeout.unwrap_or(self.proxy_read_timeout),
            proxy_read_timeout: self.proxy_read_timeout,
            proxy_send_timeout: self.proxy_send_timeout,
            tunnel_timeout: self.proxy_tunnel_timeout,
            retry: self.retry.clone(),
        }
    }

    /// A tcp listener with these values.
    pub fn tcp(&self, upstream: usize, idle_timeout: Option<Duration>) -> plan::Tcp {
        // What concerns answers and methods is of requests only.
        let retry = plan::Retry { statuses: Vec::new(), methods: Vec::new(), ..(*self.retry).clone() };
        plan::Tcp {
            names: Vec::new(),
            upstream,
            ssl: None,
            ssl_preread: false,
            preread_timeout: Duration::from_millis(limits::PREREAD_TIMEOUT_DEFAULT),
            proxy_ssl: None,
            proxy_protocol: None,
            real_ip_from: self.real_ip_from.clone(),
            proxy_connect_timeout: self.proxy_connect_timeout,
            idle_timeout,
            retry,
        }
    }

    /// A server with these values.
    pub fn server(&self, names: Vec<String>) -> plan::Server {
        plan::Server {
            names,
            ssl: None,
            hsts: None,
            acme_webroot: None,
            rules: Arc::default(),
            locations: Vec::new(),
            level: plan::Level::default(),
            named: ahash::HashMap::default(),
            fallback: None,
            access_log: Arc::default(),
            client_header_timeout: self.client_header_timeout,
            keepalive_timeout: self.keepalive_timeout,
            keepalive_requests: self.keepalive_requests,
            real_ip_from: self.real_ip_from.clone(),
        }
    }
}

/// `proxy_http_version`: backends are spoken to in HTTP/1.1.
fn http_version(text: &str) -> Result<Option<String>, String> {
    match text {
        "1.1" => Ok(None),
        "1.0" => Ok(Some("backends are spoken to in HTTP/1.1 here: leave it out".to_string())),
        "2" | "2.0" => Err("HTTP/2 is not spoken to backends yet; write \"1.1\"".to_string()),
        _ => Err("write \"1.1\"".to_string()),
    }
}

/// `server_tokens`: no version is ever told.
fn server_tokens(text: &str) -> Result<Option<String>, String> {
    match text {
        "off" | "build" => Ok(None),
        "on" => Ok(Some("no version is told to anybody: leave it out".to_string())),
        _ => Err("write \"off\"".to_string()),
    }
}

/// Of a word and a key.
pub const NO_HTTP2: &str = "HTTP/2 is not spoken yet: browsers are offered HTTP/1.1, and take it";

/// A duration after which silence ends a connection, or `"off"`.
pub fn idle(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" => Ok(None),
        _ => match duration(text).map_err(|error| format!("{error}, or \"off\""))? {
            Duration::ZERO => Err("a timeout of 0 would let nothing through; write \"off\" for none".to_string()),
            time => Ok(Some(time)),
        },
    }
}

/// A size from which bodies are spliced, or `"off"`.
pub fn splice_min(text: &str) -> Result<Option<u64>, String> {
    match text {
        "off" => Ok(None),
        _ => match size(text).map_err(|error| format!("{error}, or \"off\""))? {
            bytes if bytes < limits::SPLICE_WORTH => Err(format!(
                "splicing less than {} bytes costs more than copying; write a larger size, or \"off\" for none",
                limits::SPLICE_WORTH
            )),
            bytes => Ok(Some(bytes)),
        },
    }
}

/// A duration that something is waited for: with zero nothing would ever succeed.
pub fn wait(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => {
            Err("a timeout of 0 would let nothing through; write a longer one, such as \"1d\"".to_string())
        }
        time => Ok(time),
    }
}
