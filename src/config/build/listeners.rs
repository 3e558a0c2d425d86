//! From every server's `listen` to listeners: who shares an address, who is its default, whose name is taken.

use super::{Builder, Listened};
use crate::config::address::{self, Target};
use crate::config::file::{Many, Server, Word};
use crate::config::plan::{Address, Listener};
use crate::config::report::{Place, Report};
use crate::config::resolve::reaches;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

impl Builder<'_> {
    /// Notes where a server listens; it is the one that will be pushed next.
    pub(super) fn listen(&mut self, server: &Server, source: usize, place: &Place) {
        let index = self.servers.len();
        let Some(listen) = &server.listen else {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.surroundings.port_default()));
            self.listens.push(Listened {
                server: index,
                address: Address::Tcp(address),
                optional: false,
                default_server: false,
                place: place.clone(),
            });
            return;
        };
        let items = Many::items(listen);
        if items.is_empty() {
            self.error(
                Place::at(source, listen.span()),
                "write an address or a port, such as \"80\" or \"127.0.0.1:8080\"",
            );
        }
        for (Word(text), span) in items {
            let place = Place::at(source, span);
            match address::listen(text) {
                Ok(listen) => self.listen_at(index, listen, place),
                Err(message) => self.error(place, message),
            }
        }
    }

    fn listen_at(&mut self, server: usize, listen: address::Listen, place: Place) {
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
            let twin = self.listens.iter().find(|other| other.server == server && other.address == address);
            if let Some(twin) = twin {
                let report = Report::error(place.clone(), "this server already listens here; leave one of them out");
                self.reports.push(report.also(twin.place.clone(), "the same address"));
                return;
            }
            let default_server = listen.default_server;
            self.listens.push(Listened { server, address, optional, default_server, place: place.clone() });
        }
    }

    /// One listener per address, in the order of the file.
    pub(super) fn listeners(&mut self) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        let mut known: HashMap<Address, usize> = HashMap::new();
        let mut defaults: HashMap<usize, Place> = HashMap::new();
        for listened in std::mem::take(&mut self.listens) {
            let Listened { server, address, optional, default_server, place } = listened;
            self.warn_circle(server, &address, &place);
            let index = *known.entry(address.clone()).or_insert_with(|| {
                listeners.push(Listener { address, optional, servers: Vec::new(), default_server: server });
                listeners.len() - 1
            });
            let listener = &mut listeners[index];
            listener.optional &= optional;
            if default_server {
                listener.default_server = server;
                if let Some(first) = defaults.insert(index, place.clone()) {
                    let report = Report::error(place.clone(), "there are two `default_server` for the same address");
                    self.reports.push(report.also(first, "the other one"));
                }
            }
            self.warn_taken_names(listener, server, place);
            listener.servers.push(server);
        }
        listeners
    }

    /// Of two servers with one name on one address the first gets the requests, as nginx has it.
    fn warn_taken_names(&mut self, listener: &Listener, server: usize, place: Place) {
        let names = |server: usize| self.servers.get(server).map_or(&[][..], |server| &server.names);
        let taken = |name: &String| listener.servers.iter().any(|&other| names(other).contains(name));
        let lost: Vec<String> = names(server).iter().filter(|name| taken(name)).cloned().collect();
        let nameless = names(server).is_empty() && listener.servers.iter().any(|&other| names(other).is_empty());
        for name in lost {
            let message =
                format!("conflicting server name \"{name}\": an earlier server on this address gets its requests");
            self.reports.push(Report::warning(place.clone(), message));
        }
        if nameless && listener.default_server != server {
            let message = "another server on this address has no `server_name` either: this one gets no requests";
            self.reports.push(Report::warning(place, message));
        }
    }

    /// A `proxy_pass` to an address on which the same server listens.
    fn warn_circle(&mut self, server: usize, address: &Address, place: &Place) {
        let Address::Tcp(listener) = address else { return };
        let Some(locations) = self.servers.get(server).map(|server| &server.locations) else { return };
        let peers = locations.iter().flat_map(|location| self.upstreams.get(location.upstream)).flat_map(|u| &u.peers);
        let circle = peers.into_iter().find(|peer| {
            peer.addresses.iter().any(|peer| matches!(peer, Address::Tcp(peer) if reaches(*peer, *listener)))
        });
        if let Some(peer) = circle {
            let message = format!("`{}` is this server itself: requests would go round in circles", peer.name);
            self.reports.push(Report::warning(place.clone(), message));
        }
    }
}
