//! The plan: a configuration after every check, resolved and immutable. Workers see only this.
//!
//! Indices instead of references: a `Server` names its upstream by position, so a plan is plain data behind one `Arc`.

use crate::config::names::Names;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

mod access;
mod files;
mod http;
mod logs;
mod ssl;
mod upstream;

pub use access::*;
pub use files::*;
pub use http::*;
pub use logs::*;
pub use ssl::*;
pub use upstream::*;

/// Where a listener listens or a backend is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// IPv4 or IPv6 with a port.
    Tcp(SocketAddr),
    /// A unix stream socket by path.
    Unix(PathBuf),
}

/// Everything that runs.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Worker threads; `None`: one per CPU this process may use.
    pub workers: Option<usize>,
    /// Client connections of one worker.
    pub worker_connections: u32,
    /// A worker with clearly more connections than another hands new ones over.
    pub handover: bool,
    /// Where log lines go; `None`: standard error.
    pub error_log: Option<PathBuf>,
    /// Lines that matter less are not written.
    pub error_log_level: LogLevel,
    /// The admin socket; `None`: no admin socket.
    pub admin: Option<PathBuf>,
    /// From SIGTERM to the end.
    pub shutdown_timeout: Duration,
    /// Bytes certain to follow from which a body is spliced; `None`: bodies and streams are copied, never spliced.
    pub splice_min: Option<u64>,
    /// Who is asked for the addresses of names, and for how long an answer counts.
    pub resolver: Resolver,
    /// At least one. Those of servers come before those of `[[tcp]]` sections.
    pub listeners: Vec<Listener>,
    /// All `[[server]]` sections, in file order.
    pub servers: Vec<Server>,
    /// All `[[tcp]]` sections, in file order.
    pub tcps: Vec<Tcp>,
    /// nginx's `map`s.
    pub maps: Vec<Map>,
    /// nginx's `limit_req_zone`s.
    pub limit_req_zones: Vec<LimitReqZone>,
    /// nginx's `limit_conn_zone`s.
    pub limit_conn_zones: Vec<LimitConnZone>,
    /// Files that exchanges are written down in.
    pub access_logs: Vec<PathBuf>,
    /// What locations and tcp sections ask of backends that speak TLS; equal ones are one.
    pub proxy_ssls: Vec<ProxySsl>,
    /// Named groups first, then one for each address that a `proxy_pass` names directly.
    pub upstreams: Vec<Upstream>,
}

/// One listening address and what is behind it.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Unique among the listeners, but for ports 0, which become different ones.
    pub address: Address,
    /// As in the file: `address` before a port 0 became another.
    pub configured: Address,
    /// One of several addresses of a name (`localhost`): if this machine lacks it (EADDRNOTAVAIL, EAFNOSUPPORT), the
    /// others suffice.
    pub optional: bool,
    /// Connections begin with a TLS handshake (`listen ... ssl`).
    pub ssl: bool,
    /// Connections begin with a PROXY protocol header, before the handshake (`listen ... proxy_protocol`).
    pub proxy_protocol: bool,
    /// What is done with the connections.
    pub service: Service,
}

/// What a listener's connections get.
#[derive(Debug, Clone)]
pub enum Service {
    /// Their requests are answered by `Plan::servers`.
    Http(Names),
    /// Their bytes are passed on by `Plan::tcps`.
    Tcp(Names),
}

/// One `[[tcp]]` section: each connection becomes one to a server of a group.
#[derive(Debug, Clone)]
pub struct Tcp {
    /// Lower case; may be empty. Several sections of one address are told apart by the name that the client's TLS handshake has.
    pub names: Vec<String>,
    /// Index into `Plan::upstreams`.
    pub upstream: usize,
    /// TLS ends here: the bytes within are passed on. `None` on listeners without `ssl`.
    pub ssl: Option<Ssl>,
    /// The name is read from the client's handshake, which is passed on as it is.
    pub ssl_preread: bool,
    /// From a connection's first byte to the name.
    pub preread_timeout: Duration,
    /// Servers are spoken to by TLS: index into `Plan::proxy_ssls`.
    pub proxy_ssl: Option<usize>,
    /// Servers are told the client's address.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Peers whose PROXY protocol header is believed (nginx's `set_real_ip_from`).
    pub real_ip_from: Vec<ipnet::IpNet>,
    /// Connecting to one server.
    pub proxy_connect_timeout: Duration,
    /// With no byte either way; `None`: unlimited.
    pub idle_timeout: Option<Duration>,
    /// When a server cannot be connected to.
    pub retry: Retry,
}

/// Versions of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

impl Plan {
    /// The server for `host` (lower case, no port) on an HTTP listener.
    pub fn server_for(&self, listener: usize, host: &str) -> &Server {
        &self.servers[self.names(listener).find(host)]
    }

    /// The server that speaks on an HTTP listener before a name is known.
    pub fn default_server(&self, listener: usize) -> &Server {
        &self.servers[self.names(listener).default]
    }

    /// The sections of a listener by name.
    pub fn names(&self, listener: usize) -> &Names {
        match &self.listeners[listener].service {
            Service::Http(names) | Service::Tcp(names) => names,
        }
    }
}
