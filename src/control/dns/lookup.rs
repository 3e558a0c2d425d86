//! One lookup: what getaddrinfo would find for a name, but with the time that the answer counts, and without a thread.
//!
//! hickory-resolver asks one name server one question and follows aliases. What stands around that is done here, because its own way
//! differs from the system's in points that would change who gets the traffic: it takes a search domain's answer after a time-out of
//! the one before, asks the network for the IPv6 address of a name that /etc/hosts gives an IPv4 address, and never comes to the
//! second name server while the first is silent.

use crate::limits;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Sorted, each once; at least one.
    pub addresses: Vec<IpAddr>,
    /// Of this family nothing could be learned; what was known of it counts on.
    pub unknown: Option<Family>,
    /// How long it counts; `None`: it is not from the DNS.
    pub ttl: Option<Duration>,
}

/// The two kinds of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn has(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self == Family::V4)
    }
}

/// Where the system says how names are resolved.
#[derive(Debug, Clone)]
pub struct Files {
    pub resolv_conf: PathBuf,
    pub hosts: PathBuf,
}

impl Default for Files {
    fn default() -> Files {
        Files { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() }
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One lookup.
    pub lookup: Duration,
    /// After one family's addresses are known, for the other's.
    pub other_family: Duration,
}

/// Who is asked.
pub struct Source {
    files: Files,
    limits: Limits,
    /// Those of the configuration, else those of the system and the text that named them.
    servers: RefCell<Option<(Vec<u8>, Rc<Servers>)>>,
    /// The configuration names servers: then search domains and /etc/hosts are not looked at, as nginx does not.
    configured: bool,
}

/// What a text that is no address can be.
enum Asked {
    /// An address after all.
    Address(IpAddr),
    /// `localhost` and what is below it (RFC 6761, 6.3).
    Localhost(Name),
    Other(Name),
}

impl Source {
    /// `servers` of the configuration; none: those of the system.
    pub fn new(servers: &[SocketAddr], files: Files, limits: Limits) -> Result<Source, String> {
        let configured = !servers.is_empty();
        let known = match configured {
            true => Some((Vec::new(), Rc::new(Servers::new(servers, Vec::new(), 0, limits)?))),
            false => None,
        };
        Ok(Source { files, limits, servers: RefCell::new(known), configured })
    }

    /// All addresses of a name, or why there are none, in words.
    pub async fn resolve(&self, name: &str) -> Result<Answer, String> {
        let fixed = |mut addresses: Vec<IpAddr>| {
            addresses.sort();
            addresses.dedup();
            Answer { addresses, unknown: None, ttl: None }
        };
        let (asked, localhost) = match understand(name)? {
            Asked::Address(address) => return Ok(fixed(vec![address])),
            Asked::Localhost(name) => (name, true),
            Asked::Other(name) => (name, false),
        };
        if localhost || !self.configured {
            let found = self.in_hosts(&asked);
            if !found.is_empty() {
                return Ok(fixed(found));
            }
        }
        if localhost {
            return Ok(fixed(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
        }
        let servers = self.servers()?;
        servers.search(asked, self.limits).await
    }

    /// The file is read each time: it is small, and whoever edits it means it.
    fn in_hosts(&self, name: &Name) -> Vec<IpAddr> {
        let mut hosts = Hosts::default();
        // A file that is not there names nobody; one that breaks off names whom it named so far.
        let _ = std::fs::File::open(&self.files.hosts).and_then(|file| hosts.read_hosts_conf(file));
        let of = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let lookups = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of);
        lookups.flat_map(|lookup| lookup.answers().iter().filter_map(address).collect::<Vec<_>>()).collect()
    }

    /// The system's, read anew when the file has changed: a machine may come into another network.
    fn servers(&self) -> Result<Rc<Servers>, String> {
        let mut known = self.servers.borrow_mut();
        if let Some((_, servers)) = known.as_ref().filter(|_| self.configured) {
            return Ok(servers.clone());
        }
        let path = self.files.resolv_conf.display();
        let text = std::fs::read(&self.files.resolv_conf).map_err(|error| format!("{path}: {error}"))?;
        if let Some((_, servers)) = known.as_ref().filter(|(of, _)| *of == text) {
            return Ok(servers.clone());
        }
        let (config, options) = system_conf::parse_resolv_conf(&text).map_err(|error| format!("{path}: {error}"))?;
        let address = |server: &NameServerConfig| {
            let port = server.connections.first().map_or(53, |connection| connection.port);
            SocketAddr::new(server.ip, port)
        };
        let addresses: Vec<SocketAddr> = config.name_servers().iter().map(address).collect();
        let servers = Servers::new(&addresses, config.search().to_vec(), options.ndots, self.limits)?;
        let servers = Rc::new(servers);
        *known = Some((text, servers.clone()));
        Ok(servers)
    }
}

/// Refuses what no name server could know, before it is sent to one. Underscores are in use, whatever RFC 952 says.
fn understand(name: &str) -> Result<Asked, String> {
    if let Ok(address) = name.parse() {
        return Ok(Asked::Address(address));
    }
    let bare = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // A name whose last label is a number could be taken for an address (RFC 1123, 2.1).
    let number = bare.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if bare.len() > 253 || number || !bare.split('.').all(label) {
        return Err("not a name that can be looked up".to_string());
    }
    let parsed = Name::from_ascii(name).map_err(|error| error.to_string())?;
    let last = bare.rsplit('.').next().unwrap_or(bare);
    Ok(if last.eq_ignore_ascii_case("localhost") { Asked::Localhost(parsed) } else { Asked::Other(parsed) })
}

/// Name servers, in the order in which they are asked, and where names without many dots are searched.
struct Servers {
    servers: Vec<Server>,
    search: Vec<Name>,
    ndots: usize,
    /// The one that answered last is asked first: a dead one costs its time only once.
    good: Cell<usize>,
}

struct Server {
    address: SocketAddr,
    client: TokioResolver,
    limit: Duration,
}

/// What a question for both families came to.
enum Found {
    Addresses(Answer),
    /// The name does not exist (`false`), or has no address (`true`).
    Nothing(bool),
}

/// The same for one family: its addresses and their TTL, or in words what went wrong.
type Half = Result<Option<(Vec<IpAddr>, Duration)>, Failure>;

enum Failure {
    NoSuchName,
    Other(String),
}

impl Servers {
    fn new(addresses: &[SocketAddr], search: Vec<Name>, ndots: usize, limits: Limits) -> Result<Servers, String> {
        // Each gets its share of the time, so that the last one is still asked.
        let limit = limits.lookup / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let server = |&address: &SocketAddr| Ok(Server { address, client: client(address, limit)?, limit });
        let servers = addresses.iter().map(server).collect::<Result<_, String>>()?;
        Ok(Servers { servers, search, ndots, good: Cell::new(0) })
    }

    /// The first candidate that has addresses. Only a clear "no" leads to the next one: after a time-out, another domain's server of
    /// the same name could get the traffic.
    async fn search(&self, name: Name, limits: Limits) -> Result<Answer, String> {
        let until = Instant::now() + limits.lookup;
        let mut exists = false;
        for candidate in self.candidates(name) {
            match self.ask(&candidate, until, limits.other_family).await? {
                Found::Addresses(answer) => return Ok(answer),
                Found::Nothing(without_address) => exists |= without_address,
            }
        }
        Err(if exists { "the name has no address" } else { "the name does not exist" }.to_string())
    }

    /// In the system's order: a name with `ndots` dots or more is first tried as it is, one with fewer is so last.
    fn candidates(&self, name: Name) -> Vec<Name> {
        let mut as_it_is = name.clone();
        as_it_is.set_fqdn(true);
        if name.is_fqdn() {
            return vec![as_it_is];
        }
        let searched = self.search.iter().filter_map(|domain| {
            let mut candidate = name.clone().append_domain(domain).ok()?;
            candidate.set_fqdn(true);
            Some(candidate)
        });
        let mut candidates: Vec<Name> = searched.collect();
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        candidates.insert(if dots >= self.ndots { 0 } else { candidates.len() }, as_it_is);
        candidates
    }

    /// Asks one server after the other until one knows something.
    async fn ask(&self, name: &Name, until: Instant, other_family: Duration) -> Result<Found, String> {
        let (first, count) = (self.good.get(), self.servers.len());
        let mut why = "the name servers took too long".to_string();
        for index in (0..count).map(|i| (first + i) % count) {
            let now = Instant::now();
            if now >= until {
                break;
            }
            let server = &self.servers[index];
            match server.ask(name, until.min(now + server.limit), other_family).await {
                Ok(found) => {
                    self.good.set(index);
                    return Ok(found);
                }
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

impl Server {
    /// Both families at the same time. One suffices: there are name servers that never answer for the other.
    async fn ask(&self, name: &Name, until: Instant, other_family: Duration) -> Result<Found, String> {
        let (v4, v6) = (self.ask_one(name, RecordType::A, until), self.ask_one(name, RecordType::AAAA, until));
        tokio::pin!(v4, v6);
        let late = || Err(Failure::Other(self.silent()));
        let patience = |half: &Half| if matches!(half, Ok(Some(_))) { Instant::now() + other_family } else { until };
        let (v4, v6) = tokio::select! {
            half = &mut v4 => {
                let other = timeout_at(patience(&half).min(until), v6).await;
                (half, other.unwrap_or_else(|_| late()))
            }
            half = &mut v6 => {
                let other = timeout_at(patience(&half).min(until), v4).await;
                (other.unwrap_or_else(|_| late()), half)
            }
        };
        join(v4, v6)
    }

    async fn ask_one(&self, name: &Name, kind: RecordType, until: Instant) -> Half {
        let answer = match timeout_at(until, self.client.lookup(name.clone(), kind)).await {
            Ok(answer) => answer,
            Err(_) => return Err(Failure::Other(self.silent())),
        };
        match answer {
            Ok(lookup) => Ok(belonging(name, lookup.answers())),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
                ResponseCode::NXDomain => Err(Failure::NoSuchName),
                ResponseCode::NoError => Ok(None),
                code => Err(self.says(code)),
            },
            Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(self.says(code)),
            Err(NetError::Timeout) => Err(Failure::Other(self.silent())),
            Err(error) => Err(Failure::Other(format!("name server {}: {error}", self.address))),
        }
    }

    fn silent(&self) -> String {
        format!("no answer from name server {}", self.address)
    }

    fn says(&self, code: ResponseCode) -> Failure {
        Failure::Other(format!("name server {} says: {code}", self.address))
    }
}

fn join(v4: Half, v6: Half) -> Result<Found, String> {
    let (mut addresses, mut ttl, mut unknown, mut failed) = (Vec::new(), Duration::MAX, None, None);
    let mut exists = true;
    for (family, half) in [(Family::V4, v4), (Family::V6, v6)] {
        match half {
            Ok(Some((found, for_long))) => {
                addresses.extend(found);
                ttl = ttl.min(for_long);
            }
            Ok(None) => {}
            Err(Failure::NoSuchName) => exists = false,
            Err(Failure::Other(why)) => {
                unknown = Some(family);
                failed = Some(why);
            }
        }
    }
    if !addresses.is_empty() {
        addresses.sort();
        addresses.dedup();
        addresses.truncate(limits::DNS_ADDRESSES_MAX);
        return Ok(Found::Addresses(Answer { addresses, unknown, ttl: Some(ttl) }));
    }
    match failed {
        // A name that does not exist has no address of either family.
        Some(why) if exists => Err(why),
        _ => Ok(Found::Nothing(exists)),
    }
}

/// The addresses in an answer that belong to `name` or to what it is an alias of, with the shortest TTL on the way. Records of other names
/// are nobody's business, whoever put them there.
fn belonging(name: &Name, records: &[Record]) -> Option<(Vec<IpAddr>, Duration)> {
    let (mut owner, mut ttl) = (name.clone(), u32::MAX);
    // A chain is no longer than the answer; one that goes in circles ends here.
    for _ in 0..records.len() {
        let own = records.iter().filter(|record| record.name == owner);
        let found: Vec<(IpAddr, u32)> = own.clone().filter_map(|r| Some((address(r)?, r.ttl))).collect();
        if !found.is_empty() {
            let ttl = found.iter().map(|&(_, of)| of).fold(ttl, u32::min);
            return Some((found.into_iter().map(|(address, _)| address).collect(), Duration::from_secs(ttl.into())));
        }
        let (alias, of) = own.into_iter().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((target.0.clone(), record.ttl)),
            _ => None,
        })?;
        (owner, ttl) = (alias, ttl.min(of));
    }
    None
}

fn address(record: &Record) -> Option<IpAddr> {
    record.data.ip_addr()
}

/// Asks one server, by UDP and, when the answer was cut off, by TCP. It remembers nothing: the names' own schedule is the cache.
fn client(address: SocketAddr, limit: Duration) -> Result<TokioResolver, String> {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = address.port());
    let server = NameServerConfig::new(address.ip(), true, connections);
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = limit;
    options.attempts = 0; // it sends a question over UDP again all the same, up to three times
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build().map_err(|error| format!("name server {address}: {error}"))
}

#[cfg(test)]
impl Source {
    /// The servers, and the names in the order in which they would be asked for.
    pub fn would_ask(&self, name: &str) -> Result<(Vec<SocketAddr>, Vec<String>), String> {
        let Asked::Other(name) = understand(name)? else { panic!("{name} is not asked for") };
        let servers = self.servers()?;
        let names = servers.candidates(name).iter().map(Name::to_string).collect();
        Ok((servers.servers.iter().map(|server| server.address).collect(), names))
    }
}

/// /etc/resolv.conf cannot name a port, and tests cannot listen on port 53.
#[cfg(test)]
pub async fn search_for_test(
    address: SocketAddr,
    search: &[&str],
    name: &str,
    limits: Limits,
) -> Result<Answer, String> {
    let search = search.iter().map(|domain| Name::from_ascii(domain).expect("a name")).collect();
    let servers = Servers::new(&[address], search, 1, limits)?;
    servers.search(Name::from_ascii(name).expect("a name"), limits).await
}
