//! The plan: a configuration after every check, resolved and immutable. Workers see only this.
//!
//! Indices instead of references: a `Server` names its upstream by position, so a plan is plain data behind one `Arc`.

use crate::config::names::Names;
use crate::config::template::Template;
use crate::proto::reason::Reason;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod ssl;
mod upstream;

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

/// One virtual server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Lower case, without port; may be empty.
    pub names: Vec<String>,
    /// What is offered on listeners with `ssl`.
    pub ssl: Option<Ssl>,
    /// The value of Strict-Transport-Security, sent on connections with TLS.
    pub hsts: Option<String>,
    /// Where an ACME client puts its answers: GET /.well-known/acme-challenge/TOKEN is answered from the file of that path
    /// beneath this folder, before anything else.
    pub acme_webroot: Option<PathBuf>,
    /// What every request gets that `acme_webroot` does not answer.
    pub returns: Option<Return>,
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
    /// What they get.
    pub action: Action,
    /// Fields of requests to backends (`proxy_set_header`): name and value, which takes the place of what else would be sent; with
    /// an empty value the field is left out.
    pub set_headers: Arc<Vec<(String, Template)>>,
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

/// What requests of a location get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A server's answer.
    Proxy {
        /// Index into `Plan::upstreams`.
        upstream: usize,
        /// By TLS: index into `Plan::proxy_ssls`.
        ssl: Option<usize>,
    },
    /// An answer of our own.
    Return(Return),
}

impl Action {
    /// The group that is asked.
    pub fn upstream(&self) -> Option<usize> {
        match self {
            Action::Proxy { upstream, .. } => Some(*upstream),
            Action::Return(_) => None,
        }
    }

    /// What is asked of its servers by TLS: index into `Plan::proxy_ssls`.
    pub fn ssl(&self) -> Option<usize> {
        match self {
            Action::Proxy { ssl, .. } => *ssl,
            Action::Return(_) => None,
        }
    }
}

/// nginx's `return`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// 200 to 599; 444: the connection is closed without a word.
    pub status: u16,
    /// Of a redirect (301, 302, 303, 307, 308) the URL, of others the body.
    pub text: Option<Template>,
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

impl Server {
    /// The location for a normalised path, or the reason to answer with.
    pub fn location_for(&self, path: &str) -> Result<&Location, Reason> {
        self.locations.iter().find(|l| path.starts_with(&l.prefix)).ok_or(Reason::NoLocation)
    }
}
