//! Each `listen` and `listen`'s words, section by section; `listeners` puts them together.

use super::{Builder, Listened, Offer, Section};
use crate::config::address::{self, Target};
use crate::config::file::{Inherited, Many, Word};
use crate::config::plan::Address;
use crate::config::report::{Place, Report};
use crate::config::settings::{NO_HTTP2, ssl::Ssl};
use std::net::{Ipv4Addr, SocketAddr};
use toml::Spanned;

impl Builder<'_> {
    /// A server without `listen`, the one that will be pushed next, listens where nginx's does.
    pub(super) fn listen_by_default(&mut self, place: Place) {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.surroundings.port_default()));
        self.listens.push(Listened {
            section: Section::Server(self.servers.len()),
            address: Address::Tcp(address),
            optional: false,
            default_server: false,
            ssl: false,
            proxy_protocol: false,
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
        let mut over_udp = 0;
        let all = items.len();
        for (Word(text), span) in items {
            let place = Place::at(source, span);
            match read(text) {
                Ok(listen) if listen.quic => {
                    over_udp += 1;
                    let message = "HTTP/3 is not spoken yet: this `listen` is left out";
                    self.reports.push(Report::warning(place, message));
                }
                Ok(listen) => {
                    if listen.http2 {
                        self.reports.push(Report::warning(place.clone(), NO_HTTP2));
                    }
                    self.listen_at(section, listen, place);
                }
                Err(message) => self.error(place, message),
            }
        }
        if all > 0 && over_udp == all {
            let message = "nothing is left to listen on; write listen = \"443 ssl\"";
            self.error(Place::at(source, listen.span()), message);
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
                let message = format!("this {} already listens here; leave one of them out", section.word());
                let report = Report::error(place.clone(), message);
                self.reports.push(report.also(twin.place.clone(), "the same address"));
                return;
            }
            let address::Listen { default_server, ssl, proxy_protocol, .. } = listen;
            let place = place.clone();
            self.listens.push(Listened { section, address, optional, default_server, ssl, proxy_protocol, place });
        }
    }

    /// Notes what a section offers wherever it listens with `ssl`.
    pub(super) fn offer(
        &mut self,
        section: Section,
        settings: &Ssl,
        alpn: Vec<String>,
        own: &[(&'static str, Inherited)],
        source: usize,
    ) {
        if let Some((place, keys)) = of_no_use(own, "ssl_", source) {
            let message =
                format!("no `listen` of this {} has `ssl`: {keys}; write listen = \"443 ssl\"", section.word());
            self.unheard.push((section, Report::warning(place, message)));
        }
        self.offers.insert(section, Offer { settings: settings.clone(), alpn });
    }
}

/// Of a section's own keys with this prefix those that would do something: where the first is, and that they mean nothing.
pub(super) fn of_no_use(own: &[(&'static str, Inherited)], prefix: &str, source: usize) -> Option<(Place, String)> {
    let is_off = |value: &Inherited| matches!(value, Inherited::Word(word) if word.get_ref().0 == "off");
    let mut keys: Vec<_> = own.iter().filter(|(key, value)| key.starts_with(prefix) && !is_off(value)).collect();
    keys.retain(|(key, _)| !NOT_NEEDED.contains(key));
    keys.sort_by_key(|(_, value)| value.span().start);
    let first = Place::at(source, keys.first()?.1.span());
    let names: Vec<String> = keys.iter().map(|(key, _)| format!("`{key}`")).collect();
    let verb = if names.len() == 1 { "means" } else { "mean" };
    Some((first, format!("{} {verb} nothing", names.join(", "))))
}

/// Keys of which it is said anyway.
const NOT_NEEDED: [&str; 11] = [
    "ssl_dhparam",
    "ssl_session_cache",
    "ssl_ecdh_curve",
    "ssl_verify_depth",
    "ssl_stapling",
    "ssl_stapling_verify",
    "ssl_buffer_size",
    "ssl_early_data",
    "ssl_session_ticket_key",
    "ssl_password_file",
    "proxy_ssl_verify_depth",
];

impl Section {
    /// What people call it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Section::Server(_) => "server",
            Section::Tcp(_) => "section",
        }
    }
}
