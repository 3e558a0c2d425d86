//! Host names to addresses, each name asked for once.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// Asks the system, or a test's table.
pub type Lookup<'a> = &'a dyn Fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Remembers every answer, good or bad: a name may stand in many places, and a failing one costs seconds.
pub struct Resolver<'a> {
    lookup: Lookup<'a>,
    known: HashMap<String, Result<Vec<SocketAddr>, String>>,
}

impl<'a> Resolver<'a> {
    /// Nothing known yet.
    pub fn new(lookup: Lookup<'a>) -> Resolver<'a> {
        Resolver { lookup, known: HashMap::new() }
    }

    /// All addresses of a host, each once, in the system's order.
    pub fn resolve(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let lookup = self.lookup;
        let known = self.known.entry(host.to_string()).or_insert_with(|| {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in lookup(host).map_err(said)? {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() { Err("the name has no address".to_string()) } else { Ok(addresses) }
        });
        let mut addresses = known.clone()?;
        addresses.iter_mut().for_each(|address| address.set_port(port));
        Ok(addresses)
    }
}

/// What the system's resolver says.
pub fn system(host: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((host, 0).to_socket_addrs()?.collect())
}

/// The resolver's own words, without what the standard library puts before them.
fn said(error: io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").map_or(text.clone(), str::to_string)
}

/// Whether a connection to `peer` would end at `listener`.
pub fn reaches(peer: SocketAddr, listener: SocketAddr) -> bool {
    let same_family = peer.is_ipv4() == listener.is_ipv4();
    let ip: IpAddr = listener.ip();
    same_family && peer.port() == listener.port() && (peer.ip() == ip || ip.is_unspecified() && peer.ip().is_loopback())
}

/// Whether every address is this machine's own.
pub fn all_loopback(addresses: &[SocketAddr]) -> bool {
    addresses.iter().all(|address| address.ip().is_loopback())
}
