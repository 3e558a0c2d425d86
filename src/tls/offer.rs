//! What a section offers to clients, and which of its certificates a client gets.

use super::facts::Facts;
use super::store::{Held, Slot};
use super::terms::{Loading, now, versions};
use super::verify::Clients;
use crate::config::plan::Ssl;
use crate::limits::TLS13_TICKETS;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CommonState, ServerConfig, SupportedCipherSuite};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What one section offers to clients.
#[derive(Debug)]
pub struct Offer {
    /// For rustls.
    pub config: Arc<ServerConfig>,
    /// Milliseconds from the first byte of a connection to the end of its handshake.
    pub handshake_ms: u64,
    /// Nothing: whoever asks for this section gets the alert `unrecognized_name`.
    pub reject: bool,
    /// A session made under one offer may ask for servers whose realm is the same: what is asked of clients is the same. 0: nothing is.
    pub realm: u64,
    slots: Vec<Arc<Slot>>,
    clients: Option<Arc<Clients>>,
}

impl Offer {
    /// `None`: something is wrong, as `loading` will say.
    pub(super) fn load(ssl: &Ssl, strict: bool, loading: &mut Loading) -> Option<Arc<Offer>> {
        let slots: Vec<_> = ssl.certificates.iter().map(|files| loading.slot(files, true)).collect();
        let provider = loading.provider(ssl.suites.as_ref());
        let clients = ssl.client.as_ref().map(|asked| Clients::load(asked, &provider, loading).map(Arc::new));
        let clients = clients.transpose().map_err(|error| loading.errors.push(error)).ok()?;
        let slots: Vec<_> = slots.into_iter().collect::<Option<_>>()?;
        let realm = clients.as_ref().map_or(0, |clients| clients.digest().max(1));
        let built = || -> Result<ServerConfig, String> {
            let choice = Choice { slots: slots.clone(), provider: provider.clone(), tls13: ssl.protocols.tls13 };
            let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions(ssl.protocols));
            let config =
                config.map_err(|error| format!("`ssl_ciphers` and `ssl_protocols` do not go together: {error}"))?;
            let config = match &clients {
                Some(clients) => config.with_client_cert_verifier(clients.in_handshake(strict)),
                None => config.with_no_client_auth(),
            };
            let mut config = config.with_cert_resolver(Arc::new(choice));
            config.ignore_client_order = ssl.prefer_server_ciphers;
            config.alpn_protocols = ssl.alpn.iter().map(|name| name.clone().into_bytes()).collect();
            // Sessions live in tickets or nowhere: a cache would be a lock between workers.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config.max_early_data_size = 0;
            if ssl.session_tickets {
                // A handshake that looked at the client's certificate must not be resumed from one that did not.
                config.ticketer = loading.store.tickets(ticket_realm(realm, strict), ssl.session_timeout)?;
                config.send_tls13_tickets = TLS13_TICKETS;
            }
            Ok(config)
        };
        let config = built().map_err(|error| loading.errors.push(error)).ok()?;
        Some(Arc::new(Offer {
            config: Arc::new(config),
            handshake_ms: ssl.handshake_timeout.as_millis() as u64,
            reject: ssl.reject,
            realm,
            slots,
            clients,
        }))
    }

    /// What is known of a client once its handshake is done. `server_name`: as in its ClientHello.
    pub fn facts(&self, connection: &CommonState, server_name: Option<&str>, now: UnixTime) -> Facts {
        Facts::new(connection, server_name, self.clients.as_deref(), now)
    }

    /// Clients are asked for certificates: their requests are only answered if [`Facts::refusal`] has nothing against it.
    pub fn asks_clients(&self) -> bool {
        self.clients.is_some()
    }

    /// The places of its certificates.
    pub fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }
}

fn ticket_realm(realm: u64, strict: bool) -> u64 {
    match realm {
        0 => 0,
        _ => {
            let mut hasher = DefaultHasher::new();
            (realm, strict).hash(&mut hasher);
            hasher.finish().max(1)
        }
    }
}

/// Chooses among the certificates of a section.
#[derive(Debug)]
struct Choice {
    slots: Vec<Arc<Slot>>,
    provider: Arc<CryptoProvider>,
    tls13: bool,
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match &*self.slots {
            [] => None,
            [only] => Some(only.look().key.clone()),
            slots => choose(slots, hello.server_name(), now(), |key| self.is_able(key, &hello)),
        }
    }
}

impl Choice {
    /// The client can check what this key signs, and in TLS 1.2 there is a suite for it.
    fn is_able(&self, key: &CertifiedKey, hello: &ClientHello) -> bool {
        let known = |suite: &SupportedCipherSuite| hello.cipher_suites().contains(&suite.suite());
        let fits = |suite: &SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls13(_) => self.tls13,
            SupportedCipherSuite::Tls12(suite) => key.key.choose_scheme(suite.sign).is_some(),
        };
        key.key.choose_scheme(hello.signature_schemes()).is_some()
            && self.provider.cipher_suites.iter().any(|suite| known(suite) && fits(suite))
    }
}

/// Of the certificates that are made out to the name, or else to the same names as the best of all: one that the client is `able` to check
/// and that is good; then one that has the name without a wildcard; then the one that costs least.
fn choose(
    slots: &[Arc<Slot>],
    name: Option<&str>,
    now: i64,
    able: impl Fn(&CertifiedKey) -> bool,
) -> Option<Arc<CertifiedKey>> {
    let name = name.map(str::to_ascii_lowercase).unwrap_or_default();
    let held: Vec<_> = slots.iter().map(|slot| slot.held()).collect();
    let fault = |held: &Held| (!held.about.is_good(now), held.about.placeholder);
    let mut matching: Vec<&Arc<Held>> = held.iter().filter(|held| held.about.covers(&name)).collect();
    if matching.is_empty() {
        let first = held.iter().min_by_key(|held| fault(held))?;
        matching = held.iter().filter(|held| held.about.names == first.about.names).collect();
    }
    let cost = |held: &&&Arc<Held>| (!able(&held.key), fault(held), !held.about.names.contains(&name), held.about.kind);
    matching.iter().min_by_key(cost).map(|held| held.key.clone())
}
