//! TLS passed on as it is, to the section whose name the client's hello has.

mod support;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::sync::Arc;
use support::server::free_port;
use support::{Backend, Client, End, Ringgate, Setup, wait_until};

/// What rustls says first to a server of that name; to an address it names nobody.
fn hello(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("the provider has suites for them");
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a good configuration");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a vector takes all");
    bytes
}

/// The same handshake bytes in records of `size` bytes.
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let record = |piece: &[u8]| [&[22, 3, 1], &(piece.len() as u16).to_be_bytes()[..], piece].concat();
    hello[5..].chunks(size).flat_map(record).collect()
}

/// Backends that say who they are as soon as something came, one for each section: exact name, wildcard, default.
struct Site {
    ringgate: Ringgate,
    backends: [Backend; 3],
}

const ANSWERS: [&str; 3] = ["exact", "wildcard", "default"];

fn site(lines: &str) -> Site {
    let backends = ANSWERS.map(|answer| {
        Backend::script(move |conn| {
            if !conn.some().is_empty() && conn.send(answer) {
                conn.drain();
            }
        })
    });
    // All three listen on one address, so that the kernel cannot choose the port.
    let port = free_port();
    let section = |listen: String, names: &str, backend: &Backend| {
        format!(
            "[[tcp]]\nlisten = \"{listen}\"\nserver_name = [{names}]\nssl_preread = \"on\"\nproxy_pass = \"{}\"\n{lines}\n",
            backend.place()
        )
    };
    let address = || format!("127.0.0.1:{port}");
    let text = [
        section(address(), "\"a.example\", \"b.example\"", &backends[0]),
        section(address(), "\"*.example\"", &backends[1]),
        section(address() + " default_server", "", &backends[2]),
    ];
    let text = text.concat();
    Site { ringgate: Setup::new().top(&text).start(), backends }
}

impl Site {
    /// Sends this, and the section of that number answers.
    #[track_caller]
    fn expect(&self, bytes: &[u8], section: usize) -> Client {
        let mut client = self.ringgate.client();
        client.send(bytes);
        assert_eq!(client.read_exactly(ANSWERS[section].len()), ANSWERS[section].as_bytes());
        client
    }

    /// Each of these came whole to the backend of that section, and nothing else.
    #[track_caller]
    fn expect_received(&self, section: usize, mut wanted: Vec<Vec<u8>>) {
        self.backends[section].expect_all_ended();
        let mut received = self.backends[section].received();
        received.sort();
        wanted.sort();
        assert!(received == wanted, "{}: {} connections", ANSWERS[section], received.len());
    }
}

#[test]
fn sections_are_chosen_by_the_name_in_the_hello() {
    let site = site("");
    let before = site.ringgate.status();
    let mut sent = [Vec::new(), Vec::new(), Vec::new()];
    for (name, section) in [
        ("a.example", 0),
        ("b.example", 0),
        ("A.EXAMPLE", 0),
        ("c.example", 1),
        ("www.a.example", 1),
        ("example", 2),
        ("elsewhere.test", 2),
        // No name.
        ("127.0.0.1", 2),
    ] {
        let bytes = hello(name);
        site.expect(&bytes, section);
        sent[section].push(bytes);
    }
    for (section, wanted) in sent.into_iter().enumerate() {
        site.expect_received(section, wanted);
    }
    site.ringgate.expect_clean(&before);
}

#[test]
fn a_hello_may_be_cut_anywhere() {
    let site = site("");
    let bytes = hello("c.example");
    let mut sent = Vec::new();
    // In records, down to the most that are read; in segments of one byte; in both.
    for size in [bytes.len() / 2, 100, bytes.len().div_ceil(60)] {
        let cut = in_records(&bytes, size);
        site.expect(&cut, 1);
        sent.push(cut);
    }
    for bytes in [bytes.clone(), in_records(&bytes, 100)] {
        let mut client = site.ringgate.client();
        bytes.iter().for_each(|byte| client.send([*byte]));
        assert_eq!(client.read_exactly(8), b"wildcard");
        sent.push(bytes);
    }
    site.expect_received(1, sent);
    assert_eq!(site.backends[0].connections() + site.backends[2].connections(), 0);
}

#[test]
fn what_is_no_hello_goes_to_the_default() {
    let site = site("");
    let mut too_large = vec![22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfd];
    too_large.resize(20_000, 7);
    let rows = vec![
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec(),
        b"\x80\x2e\x01\x00\x02\0\0".to_vec(),
        b"\x15\x03\x01\0\x02\x02\x28".to_vec(),
        b"\x16\x03\x01\0\x04\x01\0\0\0".to_vec(),
        b"\x16\x03\x01\xff\xff".to_vec(),
        // More records than are read.
        in_records(&hello("a.example"), 1),
        too_large,
    ];
    for bytes in &rows {
        site.expect(bytes, 2);
    }
    site.expect_received(2, rows);
    assert_eq!(site.backends[0].connections() + site.backends[1].connections(), 0);
}

#[test]
fn what_follows_the_hello_is_passed_on_in_order() {
    let site = site("");
    let before = site.ringgate.status();
    // As a client does that resumes with early data.
    let mut bytes = hello("a.example");
    bytes.extend((0..900_000_u32).flat_map(|number| number.to_be_bytes()).take(900_000));
    let mut client = site.expect(&bytes, 0);
    client.send(b"and more");
    client.finish();
    client.read_to_end();
    site.expect_received(0, vec![[&bytes[..], b"and more"].concat()]);
    site.ringgate.expect_clean(&before);
}

#[test]
fn a_hello_that_does_not_end_is_not_waited_for_in_vain() {
    let site = site("preread_timeout = \"300ms\"");
    let before = site.ringgate.status();
    let bytes = hello("a.example");
    let mut clients: Vec<Client> = (0..20).map(|_| site.ringgate.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&bytes[..1 + number]);
    }
    for client in &mut clients {
        let (answer, end) = client.read_to_end();
        assert_eq!((answer.len(), end != End::Open), (0, true));
    }
    wait_until("all are counted", || site.ringgate.status().errors("tls_handshake_timeout") == 20);
    // Whoever says nothing is no error.
    assert_eq!(site.ringgate.client().read_to_end().0.len(), 0);
    drop(site.ringgate.client());
    // Neither goes anywhere, nor does what ends in the middle.
    let mut client = site.ringgate.client();
    client.send(&bytes[..100]);
    client.finish();
    assert_eq!(client.read_to_end().0.len(), 0);
    wait_until("it is counted", || site.ringgate.status().errors("tls_handshake_failed") == 1);
    assert_eq!(site.ringgate.status().errors("tls_handshake_timeout"), 20);
    assert_eq!(site.backends.iter().map(Backend::connections).sum::<usize>(), 0);
    site.ringgate.expect_clean(&before);
}

#[test]
fn half_open_hellos_cost_little() {
    let site = site("preread_timeout = \"60s\"");
    let bytes = hello("a.example");
    let before = site.ringgate.status();
    site.expect(&bytes, 0);
    let resident = site.ringgate.resident();
    let mut clients: Vec<Client> = (0..500).map(|_| site.ringgate.client()).collect();
    clients.iter_mut().for_each(|client| client.send(&bytes[..bytes.len() - 1]));
    wait_until("all are there", || site.ringgate.status().total("connections") == 500);
    let each = site.ringgate.resident().saturating_sub(resident) / 500;
    assert!(each < 32 * 1024, "{each} bytes each");
    // They are only late.
    for client in &mut clients {
        client.send(&bytes[bytes.len() - 1..]);
    }
    for client in &mut clients {
        assert_eq!(client.read_exactly(5), b"exact");
    }
    drop(clients);
    site.ringgate.expect_clean(&before);
}

#[test]
fn a_proxy_before_us_may_name_the_client_of_a_hello() {
    let backends = [(); 2].map(|()| Backend::script(|conn| conn.drain()));
    let port = free_port();
    let section = |names: &str, backend: &Backend, more: &str| {
        format!(
            "[[tcp]]\nlisten = \"127.0.0.1:{port} proxy_protocol{more}\"\n{names}\nssl_preread = \"on\"\n\
             proxy_pass = \"{}\"\nproxy_protocol = \"on\"\nset_real_ip_from = \"127.0.0.1\"\n",
            backend.place()
        )
    };
    let text = section("server_name = \"a.example\"", &backends[0], "") + &section("", &backends[1], " default_server");
    let ringgate = Setup::new().top(&text).start();
    let header = b"PROXY TCP4 192.0.2.1 198.51.100.2 5678 443\r\n";
    let bytes = hello("a.example");
    let all = [&header[..], &bytes].concat();
    let mut whole = ringgate.client();
    whole.send(&all);
    let mut cut = ringgate.client();
    all.chunks(7).for_each(|piece| cut.send(piece));
    backends[0].expect_connections(2);
    wait_until("all came", || backends[0].received_length() as usize == 2 * all.len());
    assert!(backends[0].received().iter().all(|received| *received == all));
    assert_eq!(backends[1].connections(), 0);
}
