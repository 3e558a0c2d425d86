//! From every `listen` to listeners: who shares an address, who is its default, whose name is taken.

use super::{Builder, Listened, Section};
use crate::config::address::{self, Target};
use crate::config::file::{Many, Word};
use crate::config::names::Names;
use crate::config::plan::{Address, Listener, Service};
use crate::config::report::{Place, Report};
use crate::config::resolve::reaches;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use toml::Spanned;

/// A listener in the making: where it was first named, and where somebody asked to be its default.
struct Made {
    listener: Listener,
    place: Place,
    default: Option<Place>,
}

impl Builder<'_> {
    /// A server without `listen`, the one that will be pushed next, listens where nginx's does.
    pub(super) fn listen_by_default(&mut self, place: Place) {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.surroundings.port_default()));
        self.listens.push(Listened {
            section: Section::Server(self.servers.len()),
            address: Address::Tcp(address),
            optional: false,
            default_server: false,
            place,
        });
    }

    /// Notes where a section listens.
    pub(super) fn listen(
        &mut self,
        section: Section,
        listen: &Spanned<Many<Word>>,
        source: usize,
        read: fn(&str) -> Result<address::Listen, String>,
    ) {
        let items = Many::items(listen);
        if items.is_empty() {
            self.error(
                Place::at(source, listen.span()),
                "write an address or a port, such as \"80\" or \"127.0.0.1:8080\"",
            );
        }
        for (Word(text), span) in items {
            let place = Place::at(source, span);
            match read(text) {
                Ok(listen) => self.listen_at(section, listen, place),
                Err(message) => self.error(place, message),
            }
        }
    }

    fn listen_at(&mut self, section: Section, listen: address::Listen, place: Place) {
        let addresses = match listen.target {
            Target::Unix(path) => vec![Address::Unix(path)],
            Target::Ip(address) => vec![Address::Tcp(address)],
            Target::Name(host, port) => match self.resolver.resolve(&host, port) {
                Ok(addresses) => addresses.into_iter().map(Address::Tcp).collect(),
                Err(error) => return self.error(place, format!("the host `{host}` cannot be found: {error}")),
            },
        };
        let optional = addresses.len() > 1;
        for address in addresses {
            let twin = self.listens.iter().find(|other| other.section == section && other.address == address);
            if let Some(twin) = twin {
                let what = if matches!(section, Section::Server(_)) { "server" } else { "section" };
                let message = format!("this {what} already listens here; leave one of them out");
                let report = Report::error(place.clone(), message);
                self.reports.push(report.also(twin.place.clone(), "the same address"));
                return;
            }
            let default_server = listen.default_server;
            self.listens.push(Listened { section, address, optional, default_server, place: place.clone() });
        }
    }

    /// One listener per address, in the order of the file, those of servers first.
    pub(super) fn listeners(&mut self) -> Vec<Listener> {
        let mut made: Vec<Made> = Vec::new();
        let mut known: HashMap<Address, usize> = HashMap::new();
        for listened in std::mem::take(&mut self.listens) {
            self.warn_circle(&listened);
            let first = known.get(&listened.address).map(|&index| &mut made[index]);
            match (listened.section, first) {
                (Section::Server(server), Some(made)) => self.share(made, server, listened),
                (Section::Tcp(_), Some(made)) if !is_port_0(&listened.address) => self.refuse_taken(made, listened),
                (section, _) => {
                    known.insert(listened.address.clone(), made.len());
                    made.push(self.made(section, listened));
                }
            }
        }
        made.into_iter().map(|made| made.listener).collect()
    }

    fn made(&self, section: Section, listened: Listened) -> Made {
        let Listened { address, optional, default_server, place, .. } = listened;
        let (index, given) = match section {
            Section::Server(server) => (server, &self.servers[server].names),
            Section::Tcp(tcp) => (tcp, &self.tcps[tcp].names),
        };
        let mut names = Names::new(index);
        for name in given {
            names.add(name, index);
        }
        let service = match section {
            Section::Server(_) => Service::Http(names),
            Section::Tcp(_) => Service::Tcp(names),
        };
        let default = default_server.then(|| place.clone());
        let (configured, ssl, proxy_protocol) = (address.clone(), false, false);
        Made { listener: Listener { configured, address, optional, ssl, proxy_protocol, service }, place, default }
    }

    /// One more server on an address.
    fn share(&mut self, made: &mut Made, server: usize, listened: Listened) {
        let Listened { optional, default_server, place, .. } = listened;
        made.listener.optional &= optional;
        let Service::Http(names) = &mut made.listener.service else { return };
        if default_server {
            names.default = server;
            if let Some(first) = made.default.replace(place.clone()) {
                let report = Report::error(place.clone(), "there are two `default_server` for the same address");
                self.reports.push(report.also(first, "the other one"));
            }
        }
        self.take_names(names, server, place);
    }

    /// The bytes of a connection go to one place only: a tcp section shares its address with nobody.
    fn refuse_taken(&mut self, made: &Made, listened: Listened) {
        let (message, label) = match &made.listener.service {
            Service::Http(_) => ("a [[server]] listens here already: an address is for HTTP or for TCP", "this one"),
            Service::Tcp(_) => ("another [[tcp]] section listens here already", "the other one"),
        };
        self.reports.push(Report::error(listened.place, message).also(made.place.clone(), label));
    }

    /// Of two servers with one name on one address the first gets the requests, as nginx has it.
    fn take_names(&mut self, names: &mut Names, server: usize, place: Place) {
        let given = |server: usize| self.servers.get(server).map_or(&[][..], |server| &server.names);
        let lost: Vec<String> = given(server).iter().filter(|name| !names.add(name, server)).cloned().collect();
        let nameless =
            given(server).is_empty() && names.sections.iter().any(|&other| other != server && given(other).is_empty());
        names.add_section(server);
        for name in lost {
            let message =
                format!("conflicting server name \"{name}\": an earlier server on this address gets its requests");
            self.reports.push(Report::warning(place.clone(), message));
        }
        if nameless && names.default != server {
            let message = "another server on this address has no `server_name` either: this one gets no requests";
            self.reports.push(Report::warning(place, message));
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

/// The kernel chooses a free port, another one each time.
fn is_port_0(address: &Address) -> bool {
    matches!(address, Address::Tcp(address) if address.port() == 0)
}
