//! One server of a group: its address, and nginx's parameters in either form.

use super::Builder;
use crate::config::address::{self, Target};
use crate::config::file::{Backend, BackendTable, Word};
use crate::config::plan::{Address, Host, Peer, are_doors};
use crate::config::report::{Place, Report};
use crate::config::slips::closest;
use crate::config::value::{count, duration, switch};
use crate::limits;
use std::ops::Range;
use std::time::Duration;

/// What can stand behind an address: with a value, and alone.
const WITH_VALUE: [&str; 5] = ["weight", "max_conns", "max_fails", "fail_timeout", "slow_start"];
const ALONE: [&str; 3] = ["backup", "down", "resolve"];

impl Builder<'_> {
    /// The server of one entry, unless it is wrong.
    pub(super) fn backend(&mut self, backend: &Backend, source: usize, span: &Range<usize>) -> Option<Peer> {
        let mut peer = Peer::new("", Vec::new());
        let (text, place) = match backend {
            Backend::Word(Word(text)) => {
                (self.with_parameters(&mut peer, text, source, span)?, Place::at(source, span.clone()))
            }
            Backend::Table(table) => self.table(&mut peer, table, source, span)?,
        };
        if peer.fail_timeout.is_zero() {
            // nginx's word for a server that is never taken out of use.
            (peer.max_fails, peer.fail_timeout) = (0, Duration::from_millis(limits::FAIL_TIMEOUT_DEFAULT));
        }
        let target = match address::target(&text, Some(80)) {
            Ok(target) => target,
            Err(message) => {
                self.error(place, message);
                return None;
            }
        };
        if let Err(message) = address::target(&text, None) {
            // The group will be pushed next.
            self.http_only.entry(self.upstreams.len()).or_default().push((place.clone(), message));
        }
        let (Peer { name, host, addresses, .. }, unresolved) = self.peer(&target, &text);
        if let (Some(why), Some(host)) = (unresolved, &host) {
            self.reports.push(Report::warning(place, not_found_now(&host.name, &why)));
        }
        Some(Peer { name, host, addresses, ..peer })
    }

    /// nginx's spelling: an address and words behind it.
    fn with_parameters(&mut self, peer: &mut Peer, text: &str, source: usize, span: &Range<usize>) -> Option<String> {
        let mut words = text.split_ascii_whitespace();
        let address = words.next();
        let mut failed = false;
        let mut fail = |message: String| {
            self.error(Place::at(source, span.clone()), message);
            failed = true;
        };
        if address.is_none() {
            fail("write an address, such as \"127.0.0.1:8000\"".to_string());
        }
        let mut seen: Vec<&str> = Vec::new();
        for word in words {
            let word = word.trim_end_matches(';');
            let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let set = match value {
                _ if word.is_empty() => Ok(()),
                _ if seen.contains(&name) => Err(format!("`{name}` stands behind the address twice")),
                Some(value) if WITH_VALUE.contains(&name) => {
                    parameter(peer, name, value).map_err(|message| format!("`{word}`: {message}"))
                }
                None if ALONE.contains(&name) => parameter(peer, name, "on"),
                _ => Err(unknown(word, name)),
            };
            seen.push(name);
            if let Err(message) = set {
                fail(message);
            }
        }
        address.filter(|_| !failed).map(str::to_string)
    }

    /// The long form: its address and where that stands.
    fn table(
        &mut self,
        peer: &mut Peer,
        table: &BackendTable,
        source: usize,
        span: &Range<usize>,
    ) -> Option<(String, Place)> {
        for (name, value) in table.parameters() {
            let Some(value) = value else { continue };
            if let Err(message) = parameter(peer, name, &value.get_ref().0) {
                self.error(Place::at(source, value.span()), message);
            }
        }
        let Some(address) = &table.address else {
            let message = "a server needs an address; write { address = \"127.0.0.1:8000\", weight = 2 }";
            self.error(Place::at(source, span.clone()), message);
            return None;
        };
        let place = Place::at(source, address.span());
        match address.get_ref().0.split_once(' ') {
            Some((first, words)) if !words.trim().is_empty() && !first.is_empty() => {
                let message = format!(
                    "in a table `{}` is a key of its own; write {{ address = \"{first}\", weight = 2 }}",
                    words.trim()
                );
                self.error(place, message);
                None
            }
            _ => Some((address.get_ref().0.trim().to_string(), place)),
        }
    }

    /// A server with default parameters. A name is one server for now, even if it has several addresses; if it has none, the second
    /// value says why.
    pub(super) fn peer(&mut self, target: &Target, name: &str) -> (Peer, Option<String>) {
        match target {
            Target::Unix(path) => (Peer::new(name, vec![Address::Unix(path.clone())]), None),
            Target::Ip(address) => (Peer::new(name, vec![Address::Tcp(*address)]), None),
            Target::Name(host, port) => {
                let host = Host { name: host.to_ascii_lowercase(), port: *port };
                let found = match self.asks_others && host.name != "localhost" {
                    // Those of this host may know another world.
                    true => Ok(Vec::new()),
                    false => self.resolver.resolve(&host.name, *port),
                };
                let (addresses, why) = found.map_or_else(|why| (Vec::new(), Some(why)), |found| (found, None));
                let addresses = addresses.into_iter().map(Address::Tcp).collect();
                (Peer { host: Some(host), ..Peer::new(name, addresses) }, why)
            }
        }
    }
}

/// A name that does not resolve is no reason not to start: a container's may come up later.
pub(super) fn not_found_now(host: &str, why: &str) -> String {
    format!("`{host}` cannot be found now ({why}): the server is out of use until it can be")
}

/// How many servers it is: a name that stays on this machine is one with several doors.
pub(super) fn servers(peer: &Peer) -> usize {
    if are_doors(&peer.addresses) { 1 } else { peer.addresses.len() }
}

/// Sets one parameter, in either form: `weight=2` behind an address, `weight = 2` in a table.
fn parameter(peer: &mut Peer, name: &str, value: &str) -> Result<(), String> {
    match name {
        "weight" => {
            peer.weight = match value {
                "0" => return Err("a weight of 0 would get nothing; leave the server out instead".to_string()),
                _ => count(value, 1, limits::WEIGHT_MAX.into())? as u32,
            }
        }
        "backup" => peer.backup = switch(value)?,
        "down" => peer.down = switch(value)?,
        // 0: unlimited, as in nginx.
        "max_conns" => {
            peer.max_conns = Some(count(value, 0, limits::CONNECTIONS_MAX.into())? as u32).filter(|&most| most > 0);
        }
        "max_fails" => peer.max_fails = count(value, 0, limits::FAILS_MAX.into())? as u32,
        "fail_timeout" => peer.fail_timeout = duration(value)?,
        "slow_start" => peer.slow_start = Some(duration(value)?).filter(|time| !time.is_zero()),
        "resolve" => match switch(value)? {
            true => {}
            false => return Err("names are always looked up again; leave `resolve` out".to_string()),
        },
        _ => unreachable!("no other parameter is listed"),
    }
    Ok(())
}

fn unknown(word: &str, name: &str) -> String {
    if WITH_VALUE.contains(&name) {
        return format!("`{name}` needs a value; write {name}={}", if name.ends_with('t') { "10s" } else { "2" });
    }
    if ALONE.contains(&name) {
        return format!("`{name}` stands alone, without a value; write {name}, or leave it out");
    }
    match name {
        "drain" => "`drain` is said while it runs: `ringgate drain UPSTREAM SERVER`; here write down".to_string(),
        "route" => "`route=` is not needed: `sticky` finds a server by itself; leave it out".to_string(),
        "service" => "`service=` is not supported: write each address, or a name that has them all".to_string(),
        "check" | "inter" | "rise" | "fall" => {
            format!("`{name}` is for all servers of a group; write it in [upstream.NAME.health_check]")
        }
        _ => match closest(name, WITH_VALUE.into_iter().chain(ALONE)) {
            Some(near) => format!("`{word}` is unknown; did you mean {near}?"),
            None => format!(
                "`{word}` is unknown; behind the address can stand {}=, {}",
                WITH_VALUE.join("=, "),
                ALONE.join(", ")
            ),
        },
    }
}
