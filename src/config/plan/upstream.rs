//! Groups of backends: who is in them, how one is chosen, when one counts as down, and what is tried again.

use super::Address;
use crate::config::template::Template;
use crate::limits;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A group of backends.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// As in `[upstream.NAME]`, or the address of a direct `proxy_pass`.
    pub name: String,
    /// How the next server is chosen.
    pub balance: Balance,
    /// A cookie that keeps a browser at its server.
    pub sticky: Option<Sticky>,
    /// Idle connections kept per server by the whole process.
    pub keepalive: u32,
    /// How long one may idle, at most.
    pub keepalive_timeout: Duration,
    /// Percent of the group's servers that failures may take out of use at a time; one may always be, if there are two or more.
    pub max_ejected: u8,
    /// Percent of a server's requests within its `fail_timeout` that may fail before it is taken out of use; `None`: only failures
    /// in a row count.
    pub max_fail_rate: Option<u8>,
    /// With no server left, requests go to those that are down rather than to nobody.
    pub fail_open: bool,
    /// Percent of requests that may be tried again on another server; `"off"` in the file is 100.
    pub retry_budget: u8,
    /// Requests that wait while all servers are at their `max_conns`.
    pub queue: u32,
    /// How long one waits.
    pub queue_timeout: Duration,
    /// TCP sessions of a server that goes down are closed.
    pub close_on_down: bool,
    /// Active checks; `None`: only a server that failed is looked at, to see when it is back.
    pub health_check: Option<HealthCheck>,
    /// The servers as configured, at least one.
    pub peers: Vec<Peer>,
}

impl Upstream {
    /// A group with the defaults.
    pub fn new(name: &str, peers: Vec<Peer>) -> Upstream {
        let ms = Duration::from_millis;
        Upstream {
            name: name.to_string(),
            balance: Balance::RoundRobin,
            sticky: None,
            keepalive: limits::KEEPALIVE_DEFAULT,
            keepalive_timeout: ms(limits::PROXY_KEEPALIVE_TIMEOUT_DEFAULT),
            max_ejected: limits::MAX_EJECTED_DEFAULT,
            max_fail_rate: None,
            fail_open: true,
            retry_budget: limits::RETRY_BUDGET_DEFAULT,
            queue: limits::QUEUE_DEFAULT,
            queue_timeout: ms(limits::QUEUE_TIMEOUT_DEFAULT),
            close_on_down: false,
            health_check: None,
            peers,
        }
    }
}

/// The methods of choosing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin.
    RoundRobin,
    /// Fewest requests in flight per weight, over all workers.
    LeastConn,
    /// By the client's address: a Maglev table.
    IpHash,
    /// By a text of the request: a Maglev table.
    Hash(Template),
    /// The less loaded of two random ones.
    Random,
    /// The faster of two random ones: response time times requests in flight (peak EWMA).
    LeastTime,
}

impl Balance {
    /// The word of the configuration, without what stands behind it.
    pub fn word(&self) -> &'static str {
        match self {
            Balance::RoundRobin => "round_robin",
            Balance::LeastConn => "least_conn",
            Balance::IpHash => "ip_hash",
            Balance::Hash(_) => "hash",
            Balance::Random => "random",
            Balance::LeastTime => "least_time",
        }
    }
}

/// A cookie that names the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie's name.
    pub name: String,
    /// What stands behind its value in Set-Cookie, such as `; Path=/; HttpOnly`.
    pub attributes: String,
}

/// One backend as configured. A name may turn out to be several servers, and others later.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// As written in the file, for people (`localhost:3000`).
    pub name: String,
    /// A name that is resolved again while we run.
    pub host: Option<Host>,
    /// As far as known when the file was read. Empty only if `host` did not resolve then, or is left to the name servers of
    /// `Plan::resolver`.
    pub addresses: Vec<Address>,
    /// 1 to `limits::WEIGHT_MAX`.
    pub weight: u32,
    /// Used only when none of the others can be.
    pub backup: bool,
    /// Out of use by configuration.
    pub down: bool,
    /// Requests and sessions at a time, over all workers.
    pub max_conns: Option<u32>,
    /// Failures in a row that take it out of use; 0: none do.
    pub max_fails: u32,
    /// Within which they count, and how long it is out of use the first time.
    pub fail_timeout: Duration,
    /// After it comes back, its weight grows from a tenth to the whole within this time.
    pub slow_start: Option<Duration>,
}

impl Peer {
    /// A server with default parameters.
    pub fn new(name: &str, addresses: Vec<Address>) -> Peer {
        Peer {
            name: name.to_string(),
            host: None,
            addresses,
            weight: 1,
            backup: false,
            down: false,
            max_conns: None,
            max_fails: limits::MAX_FAILS_DEFAULT,
            fail_timeout: Duration::from_millis(limits::FAIL_TIMEOUT_DEFAULT),
            slow_start: None,
        }
    }
}

/// These are doors of one server rather than several servers: `localhost` is ::1 and 127.0.0.1, and whoever listens may do so on one of
/// them only.
pub fn are_doors(addresses: &[Address]) -> bool {
    let is_loopback = |address: &Address| matches!(address, Address::Tcp(address) if address.ip().is_loopback());
    let of_ipv4 = addresses.iter().filter(|address| matches!(address, Address::Tcp(tcp) if tcp.is_ipv4())).count();
    addresses.iter().all(is_loopback) && of_ipv4 <= 1 && addresses.len() - of_ipv4 <= 1
}

/// A name and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    /// Lower case.
    pub name: String,
    /// Of each of its addresses.
    pub port: u16,
}

/// Who resolves names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolver {
    /// Name servers; none: those of this host (/etc/resolv.conf, /etc/hosts).
    pub servers: Vec<SocketAddr>,
    /// How long an answer counts; `None`: as long as it says (its TTL).
    pub valid: Option<Duration>,
}

/// What is done to see whether a server is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: CheckKind,
    /// Another port than that of the traffic.
    pub port: Option<u16>,
    /// From one check's begin to the next's.
    pub interval: Duration,
    /// Spread of the interval, percent to both sides, so that servers are not asked in step.
    pub jitter: u8,
    /// For one check, connecting included.
    pub timeout: Duration,
    /// Passed checks in a row until a server counts as up.
    pub rise: u32,
    /// Failed checks in a row until it counts as down.
    pub fall: u32,
}

/// The kinds of checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// A connection can be made.
    Tcp,
    /// `GET path`.
    Http {
        /// By TLS: index into `Plan::proxy_ssls`.
        ssl: Option<usize>,
        /// The request target.
        path: String,
        /// The Host field; `None`: the server's address.
        host: Option<String>,
        /// Statuses that pass.
        status: Vec<RangeInclusive<u16>>,
        /// Must occur in the first `limits::CHECK_ANSWER_MAX` bytes of the body.
        body: Option<String>,
    },
    /// A question that PostgreSQL answers without a line in its log: a server is there (even one that is still starting). With a
    /// `user`: one that takes sessions, so not one that is starting up, shutting down or full.
    Postgres {
        /// Empty by default, because only the site knows which user leaves no line: pg_hba.conf must have an entry for it (and the
        /// database `postgres`) that works without TLS; it needs no password.
        user: String,
    },
    /// The server's greeting, answered by a whole handshake, so that it never says "host is blocked". A user that is denied shows a
    /// server that is well, and leaves a warning in its log.
    Mysql {
        /// One that exists and has no password leaves nothing in the log; it needs no rights.
        user: String,
    },
    /// `PING`, answered by `+PONG`, or by `-NOAUTH` or `-NOPERM`.
    Redis,
    /// Bytes sent, bytes awaited: banners of SMTP and the like.
    SendExpect {
        /// Sent after connecting; may be empty.
        send: String,
        /// Must occur in what the server says.
        expect: String,
        /// Said before the connection is closed (`QUIT`), and an answer to it awaited for a moment; may be empty.
        quit: String,
    },
}

/// When a request or session goes on to the next server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// After a connection that failed, or broke before an answer.
    pub error: bool,
    /// After a time-out.
    pub timeout: bool,
    /// After an answer that is not HTTP.
    pub invalid_header: bool,
    /// After these statuses.
    pub statuses: Vec<u16>,
    /// Also requests whose method is not idempotent.
    pub non_idempotent: bool,
    /// Methods sent again besides the idempotent ones.
    pub methods: Vec<String>,
    /// Servers tried for one request; 0: all.
    pub tries: u32,
    /// From the first try on; `None`: unlimited.
    pub within: Option<Duration>,
}

impl Default for Retry {
    /// nginx's defaults: `error timeout`. An answer that is no HTTP is an error to users, too.
    fn default() -> Retry {
        Retry {
            error: true,
            timeout: true,
            invalid_header: true,
            statuses: Vec::new(),
            non_idempotent: false,
            methods: Vec::new(),
            tries: 0,
            within: None,
        }
    }
}
