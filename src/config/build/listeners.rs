//! From every `listen` to listeners: who shares an address, who is its default, whose name is taken.

use super::{Builder, Listened, Section};
use crate::config::names::Names;
use crate::config::plan::{Address, Listener, Service};
use crate::config::report::{Place, Report};
use crate::config::resolve::reaches;
use std::collections::HashMap;

impl Builder<'_> {
    /// One listener per address, in the order of the file, those of servers first.
    pub(super) fn listeners(&mut self) -> Vec<Listener> {
        let mut made: Vec<Vec<Listened>> = Vec::new();
        let mut known: HashMap<(bool, Address), usize> = HashMap::new();
        for listened in std::mem::take(&mut self.listens) {
            self.warn_circle(&listened);
            // The kernel chooses a free port for 0, another one each time.
            let apart = matches!((&listened.address, listened.section),
                (Address::Tcp(address), Section::Tcp(_)) if address.port() == 0);
            let key = (apart, listened.address.clone());
            match known.get(&key) {
                Some(&first) if !apart || self.is_told_by_name(&listened) => made[first].push(listened),
                _ => {
                    known.insert(key, made.len());
                    made.push(vec![listened]);
                }
            }
        }
        let listeners = made.into_iter().map(|sections| self.listener(sections)).collect();
        for (section, report) in std::mem::take(&mut self.unheard) {
            if !self.offers_tls(section) {
                self.reports.push(report);
            }
        }
        self.warn_of_clients_not_asked();
        listeners
    }

    fn offers_tls(&self, section: Section) -> bool {
        match section {
            Section::Server(server) => self.servers[server].ssl.is_some(),
            Section::Tcp(tcp) => self.tcps[tcp].ssl.is_some(),
        }
    }

    /// Of files about clients' certificates that no section uses; one that some sections inherit in vain is as it should be.
    fn warn_of_clients_not_asked(&mut self) {
        let offers = self.offers.iter().filter(|(section, _)| self.offers_tls(**section));
        let (asking, others): (Vec<_>, Vec<_>) =
            offers.map(|(_, offer)| &offer.settings).partition(|settings| settings.verifies());
        let used: Vec<&Place> = asking.iter().flat_map(|settings| settings.of_clients()).collect();
        let idle = others.iter().flat_map(|settings| settings.of_clients()).filter(|place| !used.contains(place));
        let message = "this does nothing without ssl_verify_client = \"on\" or \"optional\"";
        let reports: Vec<Report> = idle.map(|place| Report::warning(place.clone(), message)).collect();
        reports.into_iter().for_each(|report| self.report_once(report));
    }

    /// The listener of all sections that share an address; one at least.
    fn listener(&mut self, mut sections: Vec<Listened>) -> Listener {
        self.refuse_mixed(&mut sections);
        let first = &sections[0];
        let ssl = self.common(&sections, "ssl", |listened| listened.ssl);
        let proxy_protocol = self.common(&sections, "proxy_protocol", |listened| listened.proxy_protocol);
        let mut names = Names::new(self.default_of(&sections));
        names.sections.clear();
        for listened in &sections {
            self.take_names(&mut names, listened);
        }
        if ssl {
            sections.iter().for_each(|listened| self.encrypt(listened));
        }
        if proxy_protocol {
            self.require_trust(&sections, names.default);
        }
        self.check_preread(&sections, ssl, &names);
        let service = match first.section {
            Section::Server(_) => Service::Http(names),
            Section::Tcp(_) => Service::Tcp(names),
        };
        Listener {
            address: first.address.clone(),
            configured: first.address.clone(),
            optional: sections.iter().all(|listened| listened.optional),
            ssl,
            proxy_protocol,
            service,
        }
    }

    /// An address is for requests or for connections.
    fn refuse_mixed(&mut self, sections: &mut Vec<Listened>) {
        let place = sections[0].place.clone();
        let kind = std::mem::discriminant(&sections[0].section);
        sections.retain(|other| {
            let same = std::mem::discriminant(&other.section) == kind;
            if !same {
                let message = "a [[server]] listens here already: an address is for HTTP or for TCP";
                self.reports.push(Report::error(other.place.clone(), message).also(place.clone(), "this one"));
            }
            same
        });
    }

    /// What a word of one `listen` decides for all of an address, as in nginx.
    fn common(&mut self, sections: &[Listened], word: &str, has: fn(&Listened) -> bool) -> bool {
        let Some(first) = sections.iter().find(|listened| has(listened)) else { return false };
        for other in sections.iter().filter(|listened| !has(listened)) {
            let message = format!("`{word}` counts for all who listen here; write it here, too");
            let report = Report::warning(other.place.clone(), message);
            self.reports.push(report.also(first.place.clone(), "this address"));
        }
        true
    }

    /// That of `default_server`, else the first.
    fn default_of(&mut self, sections: &[Listened]) -> usize {
        let mut marked = sections.iter().filter(|listened| listened.default_server);
        let default = marked.next();
        if let Some(default) = default {
            for other in marked {
                let message = "there are two `default_server` for the same address";
                let report = Report::error(other.place.clone(), message);
                self.reports.push(report.also(default.place.clone(), "the other one"));
            }
        }
        default.unwrap_or(&sections[0]).section.index()
    }

    fn names_of(&self, section: Section) -> &[String] {
        match section {
            Section::Server(server) => &self.servers[server].names,
            Section::Tcp(tcp) => &self.tcps[tcp].names,
        }
    }

    /// Of two sections with one name on one address the first gets the requests, as nginx has it.
    fn take_names(&mut self, names: &mut Names, listened: &Listened) {
        let index = listened.section.index();
        let given = self.names_of(listened.section).to_vec();
        names.add_section(index);
        let traffic = match listened.section {
            Section::Server(_) => "requests",
            Section::Tcp(_) => "connections",
        };
        for name in given.iter().filter(|name| !names.add(name, index)).collect::<Vec<_>>() {
            let message = format!(
                "conflicting server name \"{name}\": an earlier {} on this address gets its {traffic}",
                listened.section.word()
            );
            self.reports.push(Report::warning(listened.place.clone(), message));
        }
        let nameless = |other: &usize| match listened.section {
            Section::Server(_) => *other != index && self.servers[*other].names.is_empty(),
            Section::Tcp(_) => false,
        };
        if given.is_empty() && names.default != index && names.sections.iter().any(nameless) {
            let message = "another server on this address has no `server_name` either: this one gets no requests";
            self.reports.push(Report::warning(listened.place.clone(), message));
        }
    }

    /// Makes the offer of a section on an address with `ssl`.
    fn encrypt(&mut self, listened: &Listened) {
        let Some(offer) = self.offers.get(&listened.section) else { return };
        let (ssl, reports) = offer.settings.offer(offer.alpn.clone(), &listened.place);
        reports.into_iter().for_each(|report| self.report_once(report));
        match listened.section {
            Section::Server(server) => self.servers[server].ssl = Some(ssl),
            Section::Tcp(tcp) => self.tcps[tcp].ssl = Some(ssl),
        }
    }

    /// A PROXY protocol header is believed from known peers only: anybody could write any address into one. It comes before any
    /// name, so that the default section says who they are.
    fn require_trust(&mut self, sections: &[Listened], default: usize) {
        let trusted = |listened: &Listened| match listened.section {
            Section::Server(server) => &self.servers[server].real_ip_from,
            Section::Tcp(tcp) => &self.tcps[tcp].real_ip_from,
        };
        let Some(first) = sections.iter().find(|listened| listened.section.index() == default) else { return };
        let believed = trusted(first);
        let report = if let Address::Unix(_) = first.address {
            let message =
                "peers on unix sockets cannot be named in `set_real_ip_from` yet: no header would be believed";
            Some(Report::error(first.place.clone(), message))
        } else if believed.is_empty() {
            let message = "whose headers are believed? write `set_real_ip_from`, the addresses of those who send them";
            let report = Report::error(first.place.clone(), message);
            Some(report.help("for example\n\nset_real_ip_from = [\"10.0.0.0/8\"]"))
        } else {
            sections.iter().find(|other| trusted(other) != believed).map(|other| {
                let message =
                    "headers come before names: `set_real_ip_from` of the default of this address counts for them";
                Report::warning(other.place.clone(), message).also(first.place.clone(), "the default")
            })
        };
        if let Some(report) = report {
            self.report_once(report);
        }
    }

    /// A `proxy_pass` to an address on which the same section listens.
    fn warn_circle(&mut self, listened: &Listened) {
        let Address::Tcp(listener) = listened.address else { return };
        let (upstreams, what, moved): (Vec<usize>, _, _) = match listened.section {
            Section::Server(server) => {
                let locations = self.servers[server].locations.iter();
                (locations.filter_map(|location| location.action.upstream()).collect(), "server", "requests")
            }
            Section::Tcp(tcp) => (vec![self.tcps[tcp].upstream], "listener", "connections"),
        };
        let peers = upstreams.into_iter().filter_map(|upstream| self.upstreams.get(upstream)).flat_map(|u| &u.peers);
        let circle = peers.into_iter().find(|peer| {
            peer.addresses.iter().any(|peer| matches!(peer, Address::Tcp(peer) if reaches(*peer, listener)))
        });
        if let Some(peer) = circle {
            let message = format!("`{}` is this {what} itself: {moved} would go round in circles", peer.name);
            self.reports.push(Report::warning(listened.place.clone(), message));
        }
    }
}

/// `[[tcp]]` sections of one address: which of them is meant is told by the name in the client's TLS handshake.
impl Builder<'_> {
    /// Whether a section can be one of several.
    fn is_told_by_name(&self, listened: &Listened) -> bool {
        let Section::Tcp(tcp) = listened.section else { return false };
        let tcp = &self.tcps[tcp];
        (listened.ssl || tcp.ssl_preread) && (listened.default_server || !tcp.names.is_empty())
    }

    fn check_preread(&mut self, sections: &[Listened], ssl: bool, names: &Names) {
        let mut reports = Vec::new();
        let first = &sections[0];
        let preread = |listened: &Listened| match listened.section {
            Section::Tcp(tcp) => self.tcps[tcp].ssl_preread,
            Section::Server(_) => false,
        };
        let error = |place: &Place, message: &str| Report::error(place.clone(), message);
        let told = ssl || sections.iter().all(preread);
        for listened in sections {
            let Section::Tcp(tcp) = listened.section else { continue };
            let nameless = self.tcps[tcp].names.is_empty();
            if ssl && preread(listened) {
                let message = "with `ssl` the name is known anyway: leave `ssl_preread` out, or `ssl` to pass TLS on";
                reports.push(error(&listened.place, message));
            }
            if !told && listened.place != first.place {
                let help = "several sections share an address if the client's TLS handshake says which is meant: each with \
                            `server_name`, and with `ssl` in `listen` or ssl_preread = \"on\"";
                let report = error(&listened.place, "another [[tcp]] section listens here already");
                reports.push(report.also(first.place.clone(), "the other one").help(help));
            } else if told && nameless && names.default != tcp {
                let message = "only the default of an address can do without a name: write `server_name`, or `default_server` here";
                reports.push(error(&listened.place, message));
            } else if !told && !nameless && sections.len() == 1 {
                let message = "nobody tells a name here: `server_name` means nothing without `ssl` in `listen` or ssl_preread = \"on\"";
                reports.push(Report::warning(listened.place.clone(), message));
            }
        }
        self.reports.extend(reports);
    }
}

impl Section {
    /// Its place among those of its kind.
    fn index(self) -> usize {
        match self {
            Section::Server(index) | Section::Tcp(index) => index,
        }
    }
}
