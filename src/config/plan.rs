//! The plan: a configuration after every check, resolved and immutable. Workers see only this.
//!
//! Indices instead of references: a `Server` names its upstream by position, so a plan is plain data behind one `Arc`.

use crate::proto::reason::Reason;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod upstream;

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
    /// What is done with the connections.
    pub service: Service,
}

/// What a listener's connections get.
#[derive(Debug, Clone)]
pub enum Service {
    /// Their requests are answered.
    Http(Http),
    /// Their bytes are passed on.
    Tcp(Tcp),
}

/// The virtual servers of one address.
#[derive(Debug, Clone)]
pub struct Http {
    /// Indices into `Plan::servers`, in file order.
    pub servers: Vec<usize>,
    /// The server for names nobody claims: `default_server`, else the first.
    pub default_server: usize,
}

/// One `[[tcp]]` section: each connection becomes one to a server of a group.
#[derive(Debug, Clone)]
pub struct Tcp {
    /// Index into `Plan::upstreams`.
    pub upstream: usize,
    /// Connecting to one server.
    pub proxy_connect_timeout: Duration,
    /// With no byte either way; `None`: unlimited.
    pub idle_timeout: Option<Duration>,
    /// When a server cannot be connected to.
    pub retry: Retry,
}

/// One virtual server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Lower case, without port; may be empty.
    pub names: Vec<String>,
    /// Longest prefix first, so that the first match is the best.
    pub locations: Vec<Location>,
    /// From the first byte of a request to the end of its head.
    pub client_header_timeout: Duration,
    /// An idle client connection; zero closes after each answer.
    pub keepalive_timeout: Duration,
    /// Requests on one client connection.
    pub keepalive_requests: u32,
    /// Peers whose X-Forwarded-For is believed (nginx's `set_real_ip_from`).
    pub real_ip_from: Vec<ipnet::IpNet>,
}

/// What happens to requests under one prefix.
#[derive(Debug, Clone)]
pub struct Location {
    /// Starts with `/`.
    pub prefix: String,
    /// Index into `Plan::upstreams`.
    pub upstream: usize,
    /// Bytes; `None`: unlimited (`client_max_body_size = 0`).
    pub client_max_body_size: Option<u64>,
    /// Between two reads of a request body.
    pub client_body_timeout: Duration,
    /// Between two successful writes to the client.
    pub send_timeout: Duration,
    /// Connecting to one server.
    pub proxy_connect_timeout: Duration,
    /// Request sent to first byte of the answer.
    pub proxy_first_byte_timeout: Duration,
    /// Between two reads of the answer.
    pub proxy_read_timeout: Duration,
    /// Between two successful writes to the server.
    pub proxy_send_timeout: Duration,
    /// A tunnel (WebSocket) with no byte either way.
    pub tunnel_timeout: Duration,
    /// When a request goes on to the next server. Behind an `Arc`: most locations share it.
    pub retry: Arc<Retry>,
}

impl Plan {
    /// The server for `host` (lower case, no port) on an HTTP listener: by exact name, else the default.
    pub fn server_for(&self, listener: usize, host: &str) -> &Server {
        let servers = self.http(listener).servers.iter().map(|&server| &self.servers[server]);
        let named = servers.into_iter().find(|server| server.names.iter().any(|name| name == host));
        named.unwrap_or_else(|| self.default_server(listener))
    }

    /// The server that speaks on an HTTP listener before a name is known.
    pub fn default_server(&self, listener: usize) -> &Server {
        &self.servers[self.http(listener).default_server]
    }

    fn http(&self, listener: usize) -> &Http {
        match &self.listeners[listener].service {
            Service::Http(http) => http,
            Service::Tcp(_) => unreachable!("HTTP sessions are begun on HTTP listeners only"),
        }
    }
}

impl Server {
    /// The location for a normalised path, or the reason to answer with.
    pub fn location_for(&self, path: &str) -> Result<&Location, Reason> {
        self.locations.iter().find(|l| path.starts_with(&l.prefix)).ok_or(Reason::NoLocation)
    }
}
