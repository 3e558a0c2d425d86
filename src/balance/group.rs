//! One generation of a group: its servers, and who of them may be used now.

use super::ServerIndex;
use super::hash::stable_hash;
use super::health::{Cause, Rules, State, Verdict};
use super::lineage::Lineage;
use super::member::{Member, Override};
use super::round_robin::Ticket;
use super::view::{Table, View};
use crate::config::plan::{Address, Balance, Host, Peer, Upstream, are_doors};
use crate::limits;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// One server and what this generation's configuration says of it.
#[derive(Debug)]
pub struct Entry {
    /// The server itself.
    pub member: Arc<Member>,
    /// As configured; several servers share one if a name has several addresses.
    pub peer: Peer,
    /// When its failures count.
    pub rules: Rules,
    /// The same for the same server in every process and after every restart: for hashing and cookies.
    pub identity: u64,
}

impl Entry {
    fn new(member: Arc<Member>, peer: &Peer, upstream: &Upstream) -> Entry {
        let address = member.addresses.first().map(address_text).unwrap_or_default();
        let identity = stable_hash(if address.is_empty() { member.name.as_bytes() } else { address.as_bytes() });
        let rules = Rules::new(peer, upstream.max_fail_rate, upstream.health_check.as_ref());
        Entry { member, peer: peer.clone(), rules, identity }
    }

    /// The configured weight, or the operator's.
    pub fn weight(&self) -> u32 {
        self.member.overridden().weight.unwrap_or(self.peer.weight).clamp(1, limits::WEIGHT_MAX)
    }

    /// Its addresses as text.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.member.addresses.iter().map(address_text)
    }

    /// As configured, without port: a name, an address, or empty for unix sockets.
    pub fn host(&self) -> String {
        match (&self.peer.host, self.member.addresses.first()) {
            (Some(host), _) => host.name.clone(),
            (None, Some(Address::Tcp(address))) => address.ip().to_string(),
            _ => String::new(),
        }
    }

    /// For people: the configured name, and the address where that does not say it.
    pub fn shown(&self) -> String {
        match &*self.addresses().collect::<Vec<_>>() {
            [address] if *address != self.member.name => format!("{} ({address})", self.member.name),
            _ => self.member.name.clone(),
        }
    }

    /// It may never be used, whatever its health.
    pub fn is_out(&self) -> bool {
        self.peer.down || self.member.addresses.is_empty() || self.member.overridden().drained
    }
}

fn address_text(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// One upstream group as all workers see it.
#[derive(Debug)]
pub struct Group {
    upstream: Upstream,
    entries: Box<[Entry]>,
    lineage: Arc<Lineage>,
    ticket: Ticket,
    view: Mutex<Arc<View>>,
}

/// What is known of a name's addresses; `None`: nothing newer than the plan.
pub type Names<'a> = &'a dyn Fn(&Host) -> Option<Vec<IpAddr>>;

impl Group {
    /// The group that `upstream` describes. Servers that `before` has, too, are the same ones, with all that is known of them.
    pub fn new(upstream: &Upstream, workers: usize, names: Names, before: Option<&Group>) -> Group {
        let lineage = before.map_or_else(|| Arc::new(Lineage::new(workers)), |group| group.lineage.clone());
        let checks_alike = before.is_some_and(|group| group.checks_like(upstream));
        let mut entries: Vec<Entry> = Vec::new();
        for peer in &upstream.peers {
            // A weight that the file now says otherwise replaces the operator's.
            let had = before.and_then(|group| group.entries.iter().find(|entry| entry.member.name == peer.name));
            if had.is_some_and(|entry| entry.peer.weight != peer.weight) {
                lineage.set_override(&peer.name, Override { weight: None, ..lineage.overridden(&peer.name) });
            }
            for addresses in servers_of(peer, names, before) {
                let member = lineage.member(&peer.name, &addresses, &entries);
                let known = before.and_then(|group| group.entries.iter().find(|e| Arc::ptr_eq(&e.member, &member)));
                match known {
                    Some(entry) => take_over(entry, peer, checks_alike),
                    None => member.set_override(lineage.overridden(&peer.name)),
                }
                entries.push(Entry::new(member, peer, upstream));
            }
        }
        entries.truncate(limits::SERVERS_MAX);
        let entries: Box<[Entry]> = entries.into();
        let table = before.and_then(|group| group.table());
        let view = View::new(&upstream.balance, &entries, upstream.fail_open, lineage.epoch(), 0, table.as_ref());
        let view = Mutex::new(Arc::new(view));
        if before.is_some() {
            lineage.changed(); // those that wait for a server of the old generation look again
        }
        Group { upstream: upstream.clone(), entries, lineage, ticket: Ticket::default(), view }
    }

    /// A group of servers that have weights and nothing else: for tests, benchmarks and simulations.
    pub fn plain(balance: Balance, weights: &[u32], workers: usize) -> Group {
        let peer = |(i, &weight): (usize, &u32)| {
            let address = Address::Tcp(([127, 0, 0, 1], 1 + i as u16).into());
            Peer { weight, ..Peer::new(&format!("server-{i}"), vec![address]) }
        };
        let peers = weights.iter().enumerate().map(peer).collect();
        Group::new(&Upstream { balance, ..Upstream::new("plain", peers) }, workers, &|_| None, None)
    }

    /// As configured.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Its servers.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A server has this identity.
    pub fn has(&self, identity: u64) -> bool {
        self.entries.iter().any(|entry| entry.identity == identity)
    }

    /// What its generations share.
    pub fn lineage(&self) -> &Arc<Lineage> {
        &self.lineage
    }

    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Requests on their way at one server, over all workers.
    pub fn in_flight(&self, server: ServerIndex) -> u32 {
        self.entries[server].member.in_flight()
    }

    /// Who may be used at `now`, made anew if something changed since it was made last.
    pub fn view(&self, now: u64) -> Arc<View> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_current(&view, now) {
            // First the epoch, then what it counts: a change in between only makes another look necessary.
            self.entries.iter().for_each(|entry| entry.member.tick(now));
            let epoch = self.lineage.epoch();
            let Upstream { balance, fail_open, .. } = &self.upstream;
            *view = Arc::new(View::new(balance, &self.entries, *fail_open, epoch, now, view.table.as_ref()));
        }
        view.clone()
    }

    fn table(&self) -> Option<Arc<Table>> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).table.clone()
    }

    /// Checks ask the same of the same place.
    fn checks_like(&self, upstream: &Upstream) -> bool {
        match (&self.upstream.health_check, &upstream.health_check) {
            (Some(before), Some(after)) => (&before.kind, before.port) == (&after.kind, after.port),
            (None, None) => true,
            _ => false,
        }
    }

    /// Nothing changed since `view` was made.
    pub fn is_current(&self, view: &View, now: u64) -> bool {
        view.epoch == self.lineage.epoch() && now < view.until
    }

    /// Traffic at `server` failed; the caller has counted it already. `random`: for the back-off's jitter.
    pub fn failed(&self, server: ServerIndex, cause: Cause, now: u64, random: u64) {
        let Entry { member, rules, .. } = &self.entries[server];
        member.failed(rules, cause, now, random, || self.may_eject(server));
    }

    /// A check's verdict on `server`. `answered`: real traffic was answered since the last one.
    pub fn checked(&self, server: ServerIndex, verdict: Verdict, answered: bool, now: u64) {
        let Entry { member, rules, .. } = &self.entries[server];
        member.checked(rules, verdict, answered, now);
    }

    /// One more may go: `max_ejected` is not reached, and it is not the last unless that is 100 %.
    fn may_eject(&self, server: ServerIndex) -> bool {
        let counted = || self.entries.iter().enumerate().filter(|(_, entry)| !entry.is_out());
        let servers = counted().count();
        let share = servers * usize::from(self.upstream.max_ejected) / 100;
        let most = match self.upstream.max_ejected {
            100.. => servers,
            0 => 0,
            _ => share.max(1).min(servers.saturating_sub(1)),
        };
        // On probation it does not count as back, or the share would be exceeded by those that fail again.
        let is_away = |entry: &Entry| entry.member.state() != State::Up;
        counted().filter(|&(i, entry)| i != server && is_away(entry)).count() < most
    }
}

/// The addresses of each server that a configured one turns out to be. A name that stays on this machine is one server with
/// several doors; without addresses it is one that cannot be used yet.
///
/// A name that nobody knows just now keeps the addresses that it had.
fn servers_of(peer: &Peer, names: Names, before: Option<&Group>) -> Vec<Vec<Address>> {
    let had = || -> Vec<Address> {
        let entries = before.iter().flat_map(|group| &group.entries).filter(|entry| entry.peer.host == peer.host);
        entries.flat_map(|entry| entry.member.addresses.clone()).collect()
    };
    let resolved = |host: &Host| {
        let found = names(host)?;
        Some(found.into_iter().map(|ip| Address::Tcp((ip, host.port).into())).collect::<Vec<_>>())
    };
    let mut addresses = peer.host.as_ref().and_then(resolved).unwrap_or_else(|| peer.addresses.clone());
    if peer.host.is_some() && addresses.is_empty() {
        addresses = had();
    }
    match peer.host.is_none() || are_doors(&addresses) {
        true => vec![addresses],
        false => addresses.into_iter().map(|address| vec![address]).collect(),
    }
}

/// A server of the generation before stays. A weight that the file now says otherwise replaces the operator's. What checks said
/// counts only as long as they go on.
fn take_over(before: &Entry, peer: &Peer, checks_alike: bool) {
    let member = &before.member;
    if !checks_alike {
        member.forget_checks();
    }
    let mut overridden = member.overridden();
    if before.peer.weight != peer.weight && overridden.weight.take().is_some() {
        member.set_override(overridden);
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
