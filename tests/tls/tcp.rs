//! TLS on `[[tcp]]`: ended here, begun here, or both.

use super::support::certificates::Authority;
use super::support::payload::{Payload, Sum};
use super::support::tls::{Wish, server_config};
use super::support::{Backend, Client, Conn, End, Place, Ringgate, Setup};
use super::{SITE, folder_with, offering};
use std::sync::Arc;

/// Says a line first, sends back whatever comes, and has a last word after the client's end.
fn echo(conn: &mut Conn) {
    conn.send("220 hello\r\n");
    loop {
        match conn.some() {
            bytes if bytes.is_empty() => break,
            bytes if bytes == b"reset" => return conn.reset(),
            bytes => drop(conn.send(bytes)),
        }
    }
    conn.send("bye");
}

/// ringgate with each combination: TLS to the client or not (127.0.0.1), TLS to the backend or not.
struct Four {
    ringgate: Ringgate,
    _backends: [Backend; 2],
}

#[track_caller]
fn four() -> Four {
    let authority = Authority::new("root");
    let pair = authority.server(&[SITE, "app.test"]);
    let plain = Backend::script(echo);
    let secure = Backend::secure(server_config(&pair.identity, None), echo);
    let folder = folder_with(&[("site", &pair)]);
    super::write(folder.path(), "ca.pem", &authority.pem());
    let tls = "proxy_ssl = \"on\"\nproxy_ssl_trusted_certificate = \"{dir}/ca.pem\"\nproxy_ssl_name = \"app.test\"";
    let section = |listen: &str, to: &Place, lines: &str| {
        format!("[[tcp]]\nlisten = \"{listen}\"\nproxy_pass = \"{to}\"\n{lines}")
    };
    let ringgate = Setup::new()
        .section(&section("127.0.0.1:0 ssl", plain.place(), &offering(&["site"])))
        .section(&section("127.0.0.2:0", secure.place(), tls))
        .section(&section("127.0.0.3:0 ssl", secure.place(), &(offering(&["site"]) + tls)))
        .section(&section("127.0.0.4:0", plain.place(), ""))
        .start_in(folder);
    Four { ringgate, _backends: [plain, secure] }
}

impl Four {
    /// A client of each listener.
    #[track_caller]
    fn clients(&self, version: &'static rustls::SupportedProtocolVersion) -> Vec<Client> {
        let config = Arc::new(Wish { versions: &[version], ..Wish::default() }.config());
        let places = self.ringgate.places().iter().enumerate();
        let connect = |(i, place): (usize, &Place)| match i {
            0 | 2 => Client::secure(place, &config, SITE),
            _ => Client::connect(place),
        };
        places.map(connect).collect()
    }
}

/// The server speaks first.
#[track_caller]
fn greeted(client: &mut Client, listener: usize) {
    let line = client.reader.line().unwrap_or_else(|e| panic!("listener {listener}: no greeting: {e}"));
    assert_eq!(line, "220 hello", "listener {listener}");
}

#[test]
fn bytes_pass_whole_in_both_directions() {
    const LENGTH: u64 = 30_000_000;
    let four = four();
    let before = four.ringgate.status();
    for version in rustls::ALL_VERSIONS {
        for (i, mut client) in four.clients(version).into_iter().enumerate() {
            greeted(&mut client, i);
            let mut out = client.writer();
            let writing = std::thread::spawn(move || {
                std::io::copy(&mut Payload::new(3, LENGTH), &mut out).expect("it takes all");
                out.shutdown(std::net::Shutdown::Write).expect("the end is said");
            });
            let mut sum = Sum::default();
            client.reader.exactly(LENGTH, &mut |piece| sum.add(piece)).expect("all comes back");
            assert_eq!(sum.hex(), Payload::sha256(3, LENGTH), "listener {i}");
            writing.join().expect("no panic");
            assert_eq!(client.read_to_end(), (b"bye".to_vec(), End::Fin), "listener {i}: half-close is passed on");
        }
    }
    four.ringgate.expect_clean(&before);
    super::expect_sound(&four.ringgate);
}

/// An abort is passed on as one, never as an end.
#[test]
fn a_reset_is_no_end() {
    let four = four();
    let before = four.ringgate.status();
    for version in rustls::ALL_VERSIONS {
        for (i, mut client) in four.clients(version).into_iter().enumerate() {
            greeted(&mut client, i);
            client.send("reset");
            let (_, end) = client.read_to_end();
            let told = if i % 2 == 0 { matches!(end, End::Reset | End::Cut) } else { end == End::Reset };
            assert!(told, "listener {i}: {end:?}");
        }
    }
    four.ringgate.expect_clean(&before);
}

/// The other way round: whoever cuts a client's connection cannot make the backend believe that it said all.
#[test]
fn a_cut_client_is_no_end_either() {
    let (sender, ends) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let backend = Backend::script(move |conn| {
        let mut bytes = Vec::new();
        let mut reader = conn.writer();
        let end = std::io::Read::read_to_end(&mut reader, &mut bytes);
        sender.lock().expect("nobody panicked").send((bytes, end.is_ok())).expect("the test waits");
    });
    let pair = Authority::new("root").server(&[SITE]);
    let section =
        format!("[[tcp]]\nlisten = \"127.0.0.1:0 ssl\"\nproxy_pass = \"{}\"\n{}", backend.place(), offering(&["site"]));
    let ringgate = Setup::new().section(&section).start_in(folder_with(&[("site", &pair)]));
    let config = Arc::new(Wish::default().config());
    for polite in [true, false] {
        let mut client = Client::secure(ringgate.place(), &config, SITE);
        client.send("transfer 100");
        if !polite {
            client.tls().leave_silently();
        }
        drop(client);
        let (bytes, ended) = ends.recv_timeout(super::support::PATIENCE).expect("the connection ends");
        assert_eq!(ended, polite, "close_notify: {polite}");
        assert!(!polite || bytes == b"transfer 100");
    }
}

/// Several sections on one address, told apart by the name in the handshake.
#[test]
fn sections_are_told_apart_by_name() {
    let says = |text: &'static str| {
        Backend::script(move |conn| {
            conn.send(text);
        })
    };
    let (one, two, rest) = (says("one"), says("two"), says("rest"));
    let authority = Authority::new("root");
    let pairs = [
        ("one", authority.server(&["one.test"])),
        ("two", authority.server(&["*.two.test"])),
        ("rest", authority.server(&["rest.test"])),
    ];
    let listen = format!("127.0.0.1:{} ssl", super::support::server::free_port());
    let section = |listen: &str, name: &str, file: &str, to: &Backend| {
        format!("[[tcp]]\nlisten = \"{listen}\"\n{name}proxy_pass = \"{}\"\n{}", to.place(), offering(&[file]))
    };
    let ringgate = Setup::new()
        .section(&section(&listen, "server_name = \"one.test\"\n", "one", &one))
        .section(&section(&listen, "server_name = \"*.two.test\"\n", "two", &two))
        .section(&section(&format!("{listen} default_server"), "", "rest", &rest))
        .start_in(folder_with(&pairs.each_ref().map(|(name, pair)| (*name, pair))));
    let config = Arc::new(Wish::default().config());
    for (name, text) in [("one.test", "one"), ("a.two.test", "two"), ("other.test", "rest"), ("127.0.0.1", "rest")] {
        let mut client = Client::secure(ringgate.place(), &config, name);
        assert_eq!(client.read_to_end(), (text.as_bytes().to_vec(), End::Fin), "{name}");
    }
}

/// `ssl_alpn` offers what the service behind speaks.
#[test]
fn alpn_is_what_the_section_says() {
    let backend = Backend::script(|conn| {
        conn.send("hello");
    });
    let pair = Authority::new("root").server(&[SITE]);
    let lines = format!("ssl_alpn = [\"imap\", \"xmpp-client\"]\n{}", offering(&["site"]));
    let section = format!("[[tcp]]\nlisten = \"127.0.0.1:0 ssl\"\nproxy_pass = \"{}\"\n{lines}", backend.place());
    let ringgate = Setup::new().section(&section).start_in(folder_with(&[("site", &pair)]));
    for (offers, chosen) in
        [(&["xmpp-client", "imap"][..], Some("imap")), (&["xmpp-client"], Some("xmpp-client")), (&[], None)]
    {
        let mut config = Wish::default().config();
        config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
        let client = Client::secure(ringgate.place(), &Arc::new(config), SITE);
        assert_eq!(client.tls().alpn().as_deref(), chosen);
    }
}
