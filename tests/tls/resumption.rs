//! Sessions are resumed, on any worker and after a reload, but never under terms that are stricter than theirs.

use super::support::certificates::{Authority, Order};
use super::support::server::free_port;
use super::support::tls::Wish;
use super::support::{Backend, Client, Ringgate, Setup};
use super::{SITE, Site, expect_sound, folder_with, offering};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup, SupportedProtocolVersion};
use std::sync::Arc;

fn config(site: &Site, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let root = site.authority.pem();
    Arc::new(Wish { trusted: Some(&root), versions: &[version], ..Wish::default() }.config())
}

/// One request on a connection of its own; whether its session was resumed.
#[track_caller]
fn ask(ringgate: &Ringgate, config: &Arc<ClientConfig>) -> bool {
    let mut client = Client::secure(ringgate.place(), config, SITE);
    assert_eq!(client.get("/").text(), "hello");
    client.tls().is_resumed()
}

#[test]
fn sessions_are_resumed_on_every_worker() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "", "");
    for version in rustls::ALL_VERSIONS {
        let config = config(&site, version);
        let resumed: Vec<bool> = (0..40).map(|_| ask(&site.ringgate, &config)).collect();
        assert!(!resumed[0], "{version:?}: of what?");
        assert!(resumed[1..].iter().all(|&resumed| resumed), "{version:?}: {resumed:?}");
    }
    let status = site.ringgate.status();
    let workers = status.0["workers"].as_array().expect("a list");
    let served = |worker: &serde_json::Value| worker["requests"].as_u64().unwrap_or(0) > 0;
    assert!(workers.len() == 2 && workers.iter().all(served), "both took part: {}", status.text());
    expect_sound(&site.ringgate);
}

#[test]
fn sessions_outlive_a_reload() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "", "");
    let configs = rustls::ALL_VERSIONS.iter().map(|version| config(&site, version)).collect::<Vec<_>>();
    configs.iter().for_each(|config| assert!(!ask(&site.ringgate, config)));
    for turn in 0..3 {
        let text = site.ringgate.config() + &format!("\n# turn {turn}\n");
        site.ringgate.rewrite(&text);
        site.ringgate.succeed(&["reload"]);
        configs.iter().for_each(|config| assert!(ask(&site.ringgate, config), "after reload {turn}"));
    }
}

#[test]
fn tickets_can_be_switched_off() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "ssl_session_tickets = \"off\"", "");
    for version in rustls::ALL_VERSIONS {
        let config = config(&site, version);
        assert!((0..5).all(|_| !ask(&site.ringgate, &config)), "{version:?}");
    }
}

/// Keeps sessions as if all servers were one.
#[derive(Debug)]
struct OneForAll(ClientSessionMemoryCache);

fn all() -> ServerName<'static> {
    ServerName::try_from("all.test").expect("a name")
}

impl ClientSessionStore for OneForAll {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(all(), group);
    }
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&all())
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(all(), value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&all())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&all());
    }
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(all(), value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&all())
    }
}

/// A session made where nobody asks for a certificate does not open the door where one is asked for.
#[test]
fn a_session_is_not_carried_to_another_realm() {
    let backend = Backend::fixed("hello");
    let authority = Authority::new("root");
    let clients = Authority::new("clients");
    let (open, closed) = (authority.server(&["open.test"]), authority.server(&["closed.test"]));
    let folder = folder_with(&[("open", &open), ("closed", &closed)]);
    super::write(folder.path(), "clients.pem", &clients.pem());
    let listen = format!("127.0.0.1:{} ssl", free_port());
    let closed_lines =
        "ssl_client_certificate = \"{dir}/clients.pem\"\nssl_verify_client = \"on\"\nserver_name = \"closed.test\"\n";
    let ringgate = Setup::new()
        .workers(1)
        .upstream("app", &[backend.place()], "")
        .server(&listen, &format!("server_name = \"open.test\"\n{}", offering(&["open"])), &[("/", "http://app", "")])
        .server(&listen, &format!("{closed_lines}{}", offering(&["closed"])), &[("/", "http://app", "")])
        .start_in(folder);
    let good = clients.issue(&Order::client("friend"));
    for version in rustls::ALL_VERSIONS {
        for identity in [None, Some(&good.identity)] {
            let mut config = Wish { versions: &[version], identity, ..Wish::default() }.config();
            config.resumption = Resumption::store(Arc::new(OneForAll(ClientSessionMemoryCache::new(8))));
            let config = Arc::new(config);
            let mut client = Client::secure(ringgate.place(), &config, "open.test");
            assert_eq!(client.get_from("open.test", "/").text(), "hello");
            // On the connection that is open already, neither.
            let answer = client.get_from("closed.test", "/");
            assert_eq!((answer.status(), answer.reason()), (421, Some("misdirected_request")), "{version:?}");
            drop(client);
            let Ok(mut client) = Client::try_secure(ringgate.place(), &config, "closed.test") else {
                assert!(identity.is_none(), "a friend is let in");
                continue;
            };
            assert!(!client.tls().is_resumed(), "{version:?}: a session of another realm");
            client.send("GET / HTTP/1.1\r\nHost: closed.test\r\n\r\n");
            let expected = if identity.is_some() { 200 } else { 400 };
            assert_eq!(client.response().status(), expected, "{version:?}");
        }
    }
    expect_sound(&ringgate);
}
