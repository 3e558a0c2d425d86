//! Groups of servers: `[upstream.NAME]`.

use super::backend::servers;
use super::balance::{balance, sticky};
use super::{Builder, Group};
use crate::config::file::{self, Many, Named};
use crate::config::plan::{Balance, Location, Peer, Upstream};
use crate::config::report::{Place, Report};
use crate::config::settings::wait;
use crate::config::value::{count, duration, percent, switch};
use crate::limits;
use std::collections::BTreeSet;

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
        let peers = self.backends(name, section, source, &place);
        let new = Upstream::new(name, peers);
        let connections = |text: &str| count(text, 0, limits::CONNECTIONS_MAX.into()).map(|n| n as u32);
        let fail_rate = |text: &str| or_off(text, |text| percent(text, 1, 100));
        // Without a budget every request may be tried again.
        let budget = |text: &str| or_off(text, |text| percent(text, 0, 100)).map(|budget| budget.unwrap_or(100));
        let upstream = Upstream {
            balance: self.setting(source, &section.balance, Balance::RoundRobin, balance),
            sticky: self.setting(source, &section.sticky, None, sticky),
            keepalive: self.setting(source, &section.keepalive, new.keepalive, connections),
            keepalive_timeout: self.setting(source, &section.keepalive_timeout, new.keepalive_timeout, wait),
            max_ejected: self.setting(source, &section.max_ejected, new.max_ejected, |text| percent(text, 0, 100)),
            max_fail_rate: self.setting(source, &section.max_fail_rate, None, fail_rate),
            fail_open: self.setting(source, &section.fail_open, new.fail_open, switch),
            retry_budget: self.setting(source, &section.retry_budget, new.retry_budget, budget),
            queue: self.setting(source, &section.queue, new.queue, queue),
            queue_timeout: self.setting(source, &section.queue_timeout, new.queue_timeout, wait),
            close_on_down: self.setting(source, &section.on_down, new.close_on_down, on_down),
            health_check: section.health_check.as_ref().and_then(|check| self.health_check(check, source, &new.peers)),
            ..new
        };
        self.note_what_is_for_http(&upstream, section, source);
        self.check_cycle(&upstream, &place);
        upstream
    }

    fn backends(&mut self, name: &str, section: &file::Upstream, source: usize, place: &Place) -> Vec<Peer> {
        let backends = section.server.as_ref().map(Many::items).unwrap_or_default();
        if backends.is_empty() {
            let place = section.server.as_ref().map_or(place.clone(), |list| Place::at(source, list.span()));
            let help = format!("beneath [upstream.{name}] write\n\nserver = [\"127.0.0.1:3001\", \"127.0.0.1:3002\"]");
            self.reports.push(Report::error(place, format!("the group `{name}` has no server")).help(help));
            return Vec::new();
        }
        let mut peers: Vec<Peer> = Vec::new();
        for (backend, span) in &backends {
            let Some(peer) = self.backend(backend, source, span) else { continue };
            if let Some(message) = peers.iter().find_map(|other| twin(other, &peer)) {
                self.reports.push(Report::warning(Place::at(source, span.clone()), message));
            }
            peers.push(peer);
        }
        if peers.len() < backends.len() {
            return peers;
        }
        if peers.iter().all(|peer| peer.down) {
            let message = format!("all servers of `{name}` are `down`: nobody would answer");
            self.reports.push(Report::warning(place.clone(), message));
        } else if peers.iter().all(|peer| peer.backup || peer.down) {
            let message = format!(
                "the servers of `{name}` that are not `down` are all `backup`: there is nobody to stand in for"
            );
            self.reports.push(Report::warning(place.clone(), message));
        }
        peers
    }

    /// What no tcp section can use.
    fn note_what_is_for_http(&mut self, upstream: &Upstream, section: &file::Upstream, source: usize) {
        let mut notes = Vec::new();
        if let (Some(_), Some(setting)) = (&upstream.sticky, &section.sticky) {
            let message = "`sticky` is for HTTP: the connections of a [[tcp]] section have no cookies";
            notes.push((Place::at(source, setting.span()), message.to_string()));
        }
        if let (Balance::Hash(template), Some(setting)) = (&upstream.balance, &section.balance)
            && template.variables().any(|variable| !variable.is_of_sessions())
        {
            let message = "the connections of a [[tcp]] section have only $remote_addr; write \"hash $remote_addr\"";
            notes.push((Place::at(source, setting.span()), message.to_string()));
        }
        if !notes.is_empty() {
            // The group will be pushed next.
            self.http_only.entry(self.upstreams.len()).or_default().extend(notes);
        }
    }

    /// The servers of one group are bounded, and so is the sequence in which round robin visits them.
    fn check_cycle(&mut self, upstream: &Upstream, place: &Place) {
        // A name counts as often as it has addresses now, and once while it has none.
        let count = |peer: &Peer| servers(peer).max(1) as u64;
        if upstream.peers.iter().map(count).sum::<u64>() > limits::SERVERS_MAX as u64 {
            self.error(place.clone(), format!("a group has at most {} servers", limits::SERVERS_MAX));
        }
        let common = upstream.peers.iter().fold(0, |divisor, peer| gcd(divisor, peer.weight)).max(1);
        let cycle: u64 = upstream.peers.iter().map(|peer| u64::from(peer.weight / common) * count(peer)).sum();
        if upstream.balance == Balance::RoundRobin && cycle > limits::SERVERS_MAX as u64 {
            let message = format!(
                "the weights of `{}` repeat only after {cycle} requests (at most {}); write smaller ones in the same ratio",
                upstream.name,
                limits::SERVERS_MAX
            );
            self.error(place.clone(), message);
        }
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

    /// One cookie for two groups of a site: a browser that uses both would lose its place in each all the time.
    pub(super) fn warn_shared_cookies(&mut self) {
        let mut said: BTreeSet<usize> = BTreeSet::new();
        let upstream = |location: &Location| {
            let upstream = location.action.upstream()?;
            Some((upstream, self.upstreams.get(upstream)?))
        };
        for server in &self.servers {
            let used: Vec<_> = server.locations.iter().filter_map(upstream).collect();
            for (index, group) in &used {
                let same = |(other, twin): &&(usize, &Upstream)| {
                    other < index && group.sticky.is_some() && twin.sticky == group.sticky
                };
                let Some((_, twin)) = used.iter().find(same) else { continue };
                let place = self.groups.values().find(|known| known.index == *index).map(|known| known.place.clone());
                if let (true, Some(place), Some(cookie)) = (said.insert(*index), place, &group.sticky) {
                    let message = format!(
                        "`{}` and `{}` share the cookie `{}` on one site: each would overwrite the other's; name them differently",
                        twin.name, group.name, cookie.name
                    );
                    self.reports.push(Report::warning(place, message));
                }
            }
        }
    }
}

/// What is strange about two servers that lead to the same place.
fn twin(first: &Peer, second: &Peer) -> Option<String> {
    let same_name = first.host.is_some() && first.host == second.host;
    let shared = second.addresses.iter().find(|address| first.addresses.contains(address));
    if !same_name && shared.is_none() || first.down || second.down {
        return None;
    }
    let what = match servers(first) > 1 || servers(second) > 1 {
        true if !same_name => "has an address in common with",
        _ => "is the same server as",
    };
    let share = match first.backup == second.backup {
        true => "it gets two shares",
        false => "nobody backs itself up",
    };
    Some(format!("`{}` {what} `{}` before it: {share}", second.name, first.name))
}

/// A value, or `"off"`.
fn or_off<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    match text {
        "off" => Ok(None),
        _ => read(text).map(Some).map_err(|error| format!("{error}, or \"off\"")),
    }
}

fn queue(text: &str) -> Result<u32, String> {
    count(text, 0, limits::QUEUE_MAX.into()).map(|n| n as u32).map_err(|error| match text.split_once(" timeout=") {
        Some((length, time)) if duration(time).is_ok() => {
            format!("the time is a setting of its own; write queue = {} and queue_timeout = \"{time}\"", length.trim())
        }
        _ if text == "off" => "write 0 for no queue".to_string(),
        _ => error,
    })
}

/// Whether the sessions of a server that goes down are closed.
fn on_down(text: &str) -> Result<bool, String> {
    match text {
        "keep" => Ok(false),
        "close" => Ok(true),
        _ => Err("write \"keep\" or \"close\"".to_string()),
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
