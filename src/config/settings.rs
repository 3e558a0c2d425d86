//! Settings that are inherited: top level, then server (or tcp), then location, as nginx does it.

use crate::config::headers;
use crate::config::networks::network;
use crate::config::plan;
use crate::config::report::{Place, Report};
use crate::config::retry;
use crate::config::template::Template;
use crate::config::value::{count, duration, size, switch};
use crate::limits;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub mod files;
pub mod proxy_ssl;
pub mod ssl;

mod protocols;

use proxy_ssl::ProxySsl;
use ssl::Ssl;

/// Where a value stands.
#[derive(Debug)]
pub struct Written<'a> {
    /// For reports.
    pub place: Place,
    /// Of the file, from which paths go on.
    pub directory: &'a Path,
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
        match key {
            "proxy_next_upstream" => retry::conditions(self.retry_mut(), values, &whole.place),
            "proxy_next_upstream_methods" => retry::methods(self.retry_mut(), values),
            "set_real_ip_from" => self.set_real_ip_from(values),
            "proxy_ssl_protocols" => self.proxy_ssl.set_protocols(values, &whole.place),
            "proxy_set_header" => {
                let (fields, reports) = headers::fields(values);
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

    /// A location with these values.
    pub fn location(&self, prefix: String, action: plan::Action) -> plan::Location {
        plan::Location {
            prefix,
            action,
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
    pub fn server(&self, names: Vec<String>, locations: Vec<plan::Location>) -> plan::Server {
        plan::Server {
            names,
            ssl: None,
            hsts: None,
            acme_webroot: None,
            returns: None,
            locations,
            client_header_timeout: self.client_header_timeout,
            keepalive_timeout: self.keepalive_timeout,
            keepalive_requests: self.keepalive_requests,
            real_ip_from: self.real_ip_from.clone(),
        }
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
