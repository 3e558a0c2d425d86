//! Groups of servers: from `[upstream.NAME]` to peers.

use super::{Builder, Group};
use crate::config::address::{self, Target};
use crate::config::file::{self, Backend, Many, Named, Word};
use crate::config::plan::{Address, Balance, Peer, Upstream};
use crate::config::report::{Place, Report};
use crate::config::resolve::all_loopback;
use crate::config::settings::wait;
use crate::config::slips::closest;
use crate::config::value::count;
use crate::limits;
use std::ops::Range;

impl Builder<'_> {
    pub(super) fn groups(&mut self, sections: &Named<file::Upstream>, source: usize) {
        for (name, section) in &sections.0 {
            let place = Place::at(source, name.span());
            let name = name.get_ref();
            if let Some(strange) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._".contains(*c)) {
                self.error(place.clone(), format!("`{strange}` cannot stand in the name of a group"));
            } else if name.is_empty() {
                self.error(place.clone(), "a group needs a name, such as [upstream.backend]");
            }
            let group = Group { index: self.upstreams.len(), place: place.clone(), used: false };
            if let Some(first) = self.groups.insert(name.to_ascii_lowercase(), group) {
                let report = Report::error(place.clone(), format!("there are two groups named `{name}`"));
                self.reports.push(report.also(first.place, "the other one"));
            }
            let upstream = self.group(name, section, source, place);
            self.upstreams.push(upstream);
        }
    }

    fn group(&mut self, name: &str, section: &file::Upstream, source: usize, place: Place) -> Upstream {
        let new = Upstream::new(name, Vec::new());
        let mut upstream = Upstream {
            balance: self.setting(source, &section.balance, Balance::RoundRobin, balance),
            keepalive: self.setting(source, &section.keepalive, limits::KEEPALIVE_DEFAULT, |text| {
                count(text, 0, limits::CONNECTIONS_MAX.into()).map(|n| n as u32)
            }),
            keepalive_timeout: self.setting(source, &section.keepalive_timeout, new.keepalive_timeout, wait),
            ..new
        };
        let backends = section.server.as_ref().map(Many::items).unwrap_or_default();
        if backends.is_empty() {
            let place = section.server.as_ref().map_or(place.clone(), |list| Place::at(source, list.span()));
            let help = format!("beneath [upstream.{name}] write\n\nserver = [\"127.0.0.1:3001\", \"127.0.0.1:3002\"]");
            self.reports.push(Report::error(place, format!("the group `{name}` has no server")).help(help));
        }
        let failed = self.reports.len();
        for (backend, span) in backends {
            let peers = self.backend(backend, source, &span);
            for peer in &peers {
                let twin = upstream.peers.iter().find(|other| other.addresses == peer.addresses);
                if let Some(twin) = twin {
                    let message =
                        format!("`{}` is the same server as `{}` before it: it gets two shares", peer.name, twin.name);
                    self.reports.push(Report::warning(Place::at(source, span.clone()), message));
                }
            }
            upstream.peers.extend(peers);
        }
        if self.reports[failed..].iter().all(Report::is_warning) {
            self.check_cycle(&upstream, &place);
        }
        upstream
    }

    /// The servers of one group are bounded, and so is the sequence in which round robin visits them.
    fn check_cycle(&mut self, upstream: &Upstream, place: &Place) {
        if upstream.peers.len() > limits::SERVERS_MAX {
            self.error(place.clone(), format!("a group has at most {} servers", limits::SERVERS_MAX));
        }
        let common = upstream.peers.iter().fold(0, |divisor, peer| gcd(divisor, peer.weight)).max(1);
        let cycle: u64 = upstream.peers.iter().map(|peer| u64::from(peer.weight / common)).sum();
        if upstream.balance == Balance::RoundRobin && cycle > limits::SERVERS_MAX as u64 {
            let message = format!(
                "the weights of `{}` repeat only after {cycle} requests (at most {}); write smaller ones in the same ratio",
                upstream.name,
                limits::SERVERS_MAX
            );
            self.error(place.clone(), message);
        }
    }

    fn backend(&mut self, backend: &Backend, source: usize, span: &Range<usize>) -> Vec<Peer> {
        let place = Place::at(source, span.clone());
        let (text, weight, place) = match backend {
            Backend::Word(Word(text)) => match with_parameters(text) {
                Ok((address, weight)) => (address.to_string(), weight, place),
                Err(message) => {
                    self.error(place, message);
                    return Vec::new();
                }
            },
            Backend::Table(table) => {
                let weight = self.setting(source, &table.weight, 1, weight);
                match &table.address {
                    Some(address) => (address.get_ref().0.clone(), weight, Place::at(source, address.span())),
                    None => {
                        self.error(
                            place,
                            "a server needs an address; write { address = \"127.0.0.1:8000\", weight = 2 }",
                        );
                        return Vec::new();
                    }
                }
            }
        };
        let text = text.trim();
        match address::target(text, Some(80)).and_then(|target| self.peers(&target, text, weight)) {
            Ok(peers) => {
                if let Err(message) = address::target(text, None) {
                    // The group will be pushed next.
                    self.portless.entry(self.upstreams.len()).or_insert((place, message));
                }
                peers
            }
            Err(message) => {
                self.error(place, message);
                Vec::new()
            }
        }
    }

    /// One peer per address; but a name that stays on this machine is one peer with several doors.
    pub(super) fn peers(&mut self, target: &Target, name: &str, weight: u32) -> Result<Vec<Peer>, String> {
        let peer = |addresses| Peer { weight, ..Peer::new(name, addresses) };
        Ok(match target {
            Target::Unix(path) => vec![peer(vec![Address::Unix(path.clone())])],
            Target::Ip(address) => vec![peer(vec![Address::Tcp(*address)])],
            Target::Name(host, port) => {
                let found = self.resolver.resolve(host, *port);
                let addresses = found.map_err(|error| format!("the host `{host}` cannot be found: {error}"))?;
                match all_loopback(&addresses) {
                    true => vec![peer(addresses.into_iter().map(Address::Tcp).collect())],
                    false => addresses.into_iter().map(|address| peer(vec![Address::Tcp(address)])).collect(),
                }
            }
        })
    }

    pub(super) fn warn_unused_groups(&mut self) {
        let mut unused: Vec<&Group> = self.groups.values().filter(|group| !group.used).collect();
        unused.sort_by_key(|group| group.index);
        for group in unused {
            let name = &self.upstreams[group.index].name;
            let message = format!("no `proxy_pass` uses the group `{name}`");
            self.reports.push(Report::warning(group.place.clone(), message));
        }
    }
}

fn balance(text: &str) -> Result<Balance, String> {
    match text {
        "round_robin" => Ok(Balance::RoundRobin),
        "least_conn" => Ok(Balance::LeastConn),
        "ip_hash" | "hash" | "random" => {
            Err(format!("`{text}` is not supported yet; write \"round_robin\" or \"least_conn\""))
        }
        _ => Err(match closest(text, ["round_robin", "least_conn"]) {
            Some(near) => format!("unknown method `{text}`; did you mean \"{near}\"?"),
            None => format!("unknown method `{text}`; write \"round_robin\" or \"least_conn\""),
        }),
    }
}

fn weight(text: &str) -> Result<u32, String> {
    match text {
        "0" => Err("a weight of 0 would get nothing; leave the server out instead".to_string()),
        _ => count(text, 1, limits::WEIGHT_MAX.into()).map(|n| n as u32),
    }
}

/// nginx's spelling of a server: an address and `weight=2` behind it.
fn with_parameters(text: &str) -> Result<(&str, u32), String> {
    let mut words = text.split_ascii_whitespace();
    let address = words.next().ok_or("write an address, such as \"127.0.0.1:8000\"")?;
    let mut share = 1;
    for word in words {
        match word.trim_end_matches(';').split_once('=') {
            Some(("weight", number)) => share = weight(number)?,
            _ => {
                let word = word.trim_end_matches(';');
                let known = ["max_fails", "fail_timeout", "backup", "down", "max_conns", "resolve", "slow_start"];
                let yet = known.contains(&word.split('=').next().unwrap_or(word));
                let why = if yet { "is not supported yet" } else { "is unknown" };
                return Err(format!("`{word}` {why}; only `weight=` can stand behind the address"));
            }
        }
    }
    Ok((address, share))
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
