//! The PROXY protocol over real sockets: believed from trusted peers only, passed on to backends, before everything else.

mod support;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use support::backend::ok;
use support::certificates::Authority;
use support::tls::{Wish, server_config};
use support::{Backend, Client, End, Place, Ringgate, Setup, wait_until};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 5678 443\r\n";
/// Whom nobody here is.
const STRANGERS: &str = "set_real_ip_from = \"10.0.0.0/8\"";
const LOOPBACK: &str = "set_real_ip_from = [\"127.0.0.0/8\", \"::1\"]";

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[command, family], &(block.len() as u16).to_be_bytes(), block].concat()
}

/// 192.0.2.1:5678 to 198.51.100.2:443, and an extension.
fn v2_tcp4() -> Vec<u8> {
    v2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 2, 0x16, 0x2e, 1, 0xbb, 4, 0, 2, 0, 0])
}

/// [2001:db8::1]:5678 to [2001:db8::2]:443
fn v2_tcp6() -> Vec<u8> {
    let ip = |last: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    v2(0x21, 0x21, &[&ip(1)[..], &ip(2), &[0x16, 0x2e, 1, 0xbb]].concat())
}

/// Sends back what it gets.
fn echo() -> Backend {
    Backend::script(|conn| {
        loop {
            let bytes = conn.some();
            if bytes.is_empty() || !conn.send(bytes) {
                return;
            }
        }
    })
}

fn tcp(listen: &str, backend: &Backend, lines: &str) -> Ringgate {
    let text = format!("[[tcp]]\nlisten = \"{listen}\"\nproxy_pass = \"db\"\n{lines}\n");
    Setup::new().upstream("db", &[backend.place()], &text).start()
}

fn http(backends: &[&Backend], lines: &str, group: &str) -> Ringgate {
    let places: Vec<&Place> = backends.iter().map(|backend| backend.place()).collect();
    let setup = Setup::new().upstream("app", &places, group);
    setup.server("127.0.0.1:0 proxy_protocol", lines, &[("/", "http://app", "")]).start()
}

/// The listener accepts it, and `payload` comes back from the backend through it.
#[track_caller]
fn expect_echo(client: &mut Client, payload: &[u8]) {
    assert_eq!(client.read_exactly(payload.len()), payload);
}

#[test]
fn a_trusted_header_names_the_client_and_goes_no_further() {
    let backend = echo();
    let ringgate = tcp("127.0.0.1:0 proxy_protocol", &backend, LOOPBACK);
    let before = ringgate.status();
    let itself = v2(0x20, 0, &[]);
    let rows: [(&[u8], &str); 6] = [
        (V1, "tcp from 192.0.2.1:5678 to"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 5679 443\r\n", "tcp from [2001:db8::1]:5679 to"),
        (&v2_tcp4(), "tcp from 192.0.2.1:5678 to"),
        (&v2_tcp6(), "tcp from [2001:db8::1]:5678 to"),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "tcp from 127.0.0.1:"),
        (&itself, "tcp from 127.0.0.1:"),
    ];
    for (row, (header, logged)) in rows.into_iter().enumerate() {
        // In one segment with what the client says; then in segments of one byte.
        let mut client = ringgate.client();
        let payload = format!("payload {row}");
        client.send([header, payload.as_bytes()].concat());
        expect_echo(&mut client, payload.as_bytes());
        drop(client);
        ringgate.expect_log(logged);
        let mut client = ringgate.client();
        header.iter().for_each(|byte| client.send([*byte]));
        client.send(b"later");
        expect_echo(&mut client, b"later");
    }
    // Nothing of a header reached the backend.
    backend.expect_all_ended();
    let mut received = backend.received();
    received.sort();
    let mut wanted: Vec<Vec<u8>> = (0..6).map(|row| format!("payload {row}").into_bytes()).collect();
    wanted.resize(12, b"later".to_vec());
    wanted.sort();
    assert_eq!(received, wanted);
    ringgate.expect_clean(&before);
}

#[test]
fn an_untrusted_header_is_an_error_and_never_an_address() {
    let backend = echo();
    let ringgate = tcp("127.0.0.1:0 proxy_protocol", &backend, STRANGERS);
    for header in [V1, &v2_tcp4(), b"PROXY UNKNOWN\r\n", b"no header at all"] {
        let mut client = ringgate.client();
        let _ = client.try_send(header); // it may be closed already
        let (answer, end) = client.read_to_end();
        assert_eq!((answer.len(), end != End::Open), (0, true));
    }
    wait_until("all are counted", || ringgate.status().errors("proxy_protocol_untrusted") == 4);
    ringgate.expect_log("proxy_protocol_untrusted: from 127.0.0.1:");
    assert_eq!(backend.connections(), 0);
    assert!(!ringgate.log().contains("192.0.2.1"), "{}", ringgate.log());

    let backend = Backend::fixed("never asked");
    let ringgate = http(&[&backend], STRANGERS, "");
    let mut client = ringgate.client();
    let _ = client.try_send(&[V1, b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"].concat());
    let (answer, _) = client.read_to_end();
    assert_eq!((answer.len(), backend.connections()), (0, 0));
    wait_until("it is counted", || ringgate.status().errors("proxy_protocol_untrusted") == 1);
}

#[test]
fn what_is_no_header_is_closed_without_an_answer() {
    let backend = Backend::fixed("never asked");
    let ringgate = http(&[&backend], LOOPBACK, "");
    let before = ringgate.status();
    let rows: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: test\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01",
        b"PROXY TCP4 192.0.2.1 2001:db8::2 5678 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 5678 443\nGET / HTTP/1.1\r\nHost: test\r\n\r\n",
        b"PROXY UNKNOWN",
        &v2(0x21, 0x11, &[1, 2, 3]),
        &v2(0x21, 0x41, &[0; 12]),
        &v2_tcp6()[..40],
    ];
    for bytes in rows {
        let mut client = ringgate.client();
        client.send(bytes);
        client.finish(); // those that are cut must not be waited for
        let (answer, end) = client.read_to_end();
        assert_eq!((answer.len(), end != End::Open), (0, true), "{}", support::show(bytes));
    }
    wait_until("all are counted", || ringgate.status().errors("proxy_protocol_malformed") == rows.len() as u64);
    ringgate.expect_log("proxy_protocol_malformed: from 127.0.0.1:");
    assert_eq!(backend.connections(), 0);
    ringgate.expect_clean(&before);
}

#[test]
fn a_header_must_come_in_time_but_whoever_says_nothing_is_no_error() {
    let backend = Backend::fixed("never asked");
    let ringgate = http(&[&backend], &format!("{LOOPBACK}\nclient_header_timeout = \"300ms\""), "");
    let before = ringgate.status();
    // As a check of the proxy before us does.
    drop(ringgate.client());
    let mut silent = ringgate.client();
    let mut slow = ringgate.client();
    slow.send(&V1[..20]);
    assert_eq!(silent.read_to_end().0.len(), 0);
    let (answer, end) = slow.read_to_end();
    assert_eq!((answer.len(), end != End::Open), (0, true));
    wait_until("one is counted", || ringgate.status().errors("proxy_protocol_malformed") == 1);
    ringgate.expect_clean(&before);
}

#[test]
fn requests_behind_a_header_are_those_of_the_client_it_names() {
    let backend = Backend::answer(|request| {
        let field = |name| request.head.field(name).unwrap_or("none").to_owned();
        ok(&format!("{} {}", field("x-forwarded-for"), field("x-real-ip")))
    });
    let ringgate = http(&[&backend], LOOPBACK, "");
    for (header, wanted) in [
        (V1.to_vec(), "192.0.2.1 192.0.2.1"),
        (v2_tcp6(), "2001:db8::1 2001:db8::1"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.8 1 2\r\n".to_vec(), "192.0.2.7 192.0.2.7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1 127.0.0.1"),
    ] {
        let mut client = ringgate.client();
        client.send([&header[..], b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        assert_eq!(client.response().text(), wanted);
        assert_eq!(client.response().text(), wanted);
        // Idle long enough to be parked, and still that client.
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(client.get("/3").text(), wanted);
        // A header belongs before the first byte, and nowhere else.
        client.send([&header[..], b"GET /4 HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        assert_eq!(client.response().status(), 400);
    }
    // The client that a header names is no proxy of ours, so that its fields are not believed.
    let mut client = ringgate.client();
    client.send([V1, b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"].concat());
    assert!(client.response().text().ends_with(" 192.0.2.1"));
}

#[test]
fn ip_hash_goes_by_the_client_that_a_header_names() {
    let backends = [Backend::fixed("one"), Backend::fixed("two")];
    let ringgate = http(&[&backends[0], &backends[1]], LOOPBACK, "balance = \"ip_hash\"");
    let ask = |last: u8| {
        let mut client = ringgate.client();
        let header = format!("PROXY TCP4 192.0.2.{last} 198.51.100.2 {last} 443\r\n");
        client.send(header + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.response().text().to_owned()
    };
    let first: Vec<String> = (0..40).map(ask).collect();
    let again: Vec<String> = (0..40).map(ask).collect();
    assert_eq!(first, again);
    for name in ["one", "two"] {
        assert!(first.iter().any(|body| body == name), "all went to one server");
    }
}

#[test]
fn a_backend_is_told_before_anything_else() {
    // The server speaks first: it must not have to wait for the client to learn who it is.
    for (version, header) in [
        ("on", "PROXY TCP4 127.0.0.1 127.0.0.1 {client} {listener}\r\n"),
        ("v1", "PROXY TCP4 127.0.0.1 127.0.0.1 {client} {listener}\r\n"),
        ("v2", ""),
    ] {
        let backend = Backend::script(|conn| {
            let mut head = conn.some();
            // An address block of IPv4, or a line.
            while !(head.ends_with(b"\r\n") && head.starts_with(b"PROXY") || head.len() >= 28) {
                head.extend_from_slice(&conn.some());
            }
            conn.send(&head);
            conn.drain();
        });
        let ringgate = tcp("127.0.0.1:0", &backend, &format!("proxy_protocol = \"{version}\""));
        let mut client = ringgate.client();
        let (port, listener) = (client.port(), ringgate.place().port());
        let wanted = match header {
            "" => {
                let ports = [port.to_be_bytes(), listener.to_be_bytes()].concat();
                v2(0x21, 0x11, &[&[127, 0, 0, 1, 127, 0, 0, 1], &ports[..]].concat())
            }
            line => line.replace("{client}", &port.to_string()).replace("{listener}", &listener.to_string()).into(),
        };
        assert_eq!(client.read_exactly(wanted.len()), wanted, "{version}");
        client.send(b"hello");
        client.finish();
        client.read_to_end();
        backend.expect_all_ended();
        assert_eq!(backend.received_bytes(), [&wanted[..], b"hello"].concat(), "{version}");
    }
}

#[test]
fn what_a_trusted_header_told_is_told_on() {
    let backend = echo();
    let own = |ringgate: &Ringgate, client: &Client| {
        format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", client.port(), ringgate.place().port()).into_bytes()
    };
    let lines = format!("{LOOPBACK}\nproxy_protocol = \"v1\"");
    let ringgate = tcp("127.0.0.1:0 proxy_protocol", &backend, &lines);
    for (header, told) in [
        (V1.to_vec(), Some(V1.to_vec())),
        (v2_tcp4(), Some(V1.to_vec())),
        (v2_tcp6(), Some(b"PROXY TCP6 2001:db8::1 2001:db8::2 5678 443\r\n".to_vec())),
        // Of the proxy itself only the connection is known.
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
    ] {
        let mut client = ringgate.client();
        let wanted = [&told.unwrap_or_else(|| own(&ringgate, &client))[..], b"x"].concat();
        client.send([&header[..], b"x"].concat());
        expect_echo(&mut client, &wanted);
    }
    // Families that differ cannot be said in version 1, and can in version 2.
    let mixed = b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 5678 443\r\n";
    let mut client = ringgate.client();
    client.send(mixed);
    expect_echo(&mut client, b"PROXY UNKNOWN\r\n");
    let lines = format!("{LOOPBACK}\nproxy_protocol = \"v2\"");
    let ringgate = tcp("127.0.0.1:0 proxy_protocol", &backend, &lines);
    let mut client = ringgate.client();
    client.send(mixed);
    let mut wanted = v2_tcp6();
    wanted[16..32].copy_from_slice(&Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets());
    expect_echo(&mut client, &wanted);
}

#[test]
fn the_families_of_listeners_are_told_as_they_are() {
    let backend = echo();
    let ringgate = tcp("[::1]:0", &backend, "proxy_protocol = \"v1\"");
    let mut client = ringgate.client();
    let wanted = format!("PROXY TCP6 ::1 ::1 {} {}\r\n", client.port(), ringgate.place().port());
    expect_echo(&mut client, wanted.as_bytes());
    for (version, wanted) in [("v1", b"PROXY UNKNOWN\r\n".to_vec()), ("v2", v2(0x20, 0, &[]))] {
        let ringgate = tcp("unix:{dir}/in.sock", &backend, &format!("proxy_protocol = \"{version}\""));
        let mut client = ringgate.client();
        expect_echo(&mut client, &wanted);
    }
}

#[test]
fn many_headers_at_once_keep_their_addresses() {
    let backend = echo();
    let ringgate = tcp("127.0.0.1:0 proxy_protocol", &backend, &format!("{LOOPBACK}\nproxy_protocol = \"v2\""));
    let before = ringgate.status();
    let header = |number: u16| {
        let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, (number % 250) as u8)), 1000 + number);
        let line = format!("PROXY TCP4 {} 198.51.100.2 {} 443\r\n", from.ip(), from.port());
        let port = from.port().to_be_bytes();
        let block = [192, 0, 2, (number % 250) as u8, 198, 51, 100, 2, port[0], port[1], 1, 0xbb];
        (line, v2(0x21, 0x11, &block))
    };
    let mut clients: Vec<Client> = (0..200).map(|_| ringgate.client()).collect();
    for half in 0..2 {
        for (number, client) in clients.iter_mut().enumerate() {
            let (line, _) = header(number as u16);
            let (begin, end) = line.split_at(line.len() / 2);
            client.writer().write_all([begin, end][half].as_bytes()).expect("it reads");
        }
    }
    for (number, client) in clients.iter_mut().enumerate() {
        expect_echo(client, &header(number as u16).1);
    }
    drop(clients);
    ringgate.expect_clean(&before);
}

fn connect(ringgate: &Ringgate) -> TcpStream {
    let Place::Tcp(address) = ringgate.place() else { panic!("a TCP listener") };
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(support::PATIENCE)).expect("a socket option");
    stream.set_nodelay(true).expect("a socket option");
    stream
}

#[test]
fn a_header_stands_before_the_handshake() {
    let authority = Authority::new("root");
    let config = Arc::new(Wish { trusted: Some(&authority.pem()), ..Wish::default() }.config());
    let client = || {
        let name = ServerName::try_from("a.example").expect("a name");
        ClientConnection::new(config.clone(), name).expect("a good configuration")
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    authority.server(&["a.example"]).write(folder.path(), "site");
    let backend = Backend::answer(|request| ok(request.head.field("x-forwarded-for").unwrap_or("none")));
    let setup = Setup::new().upstream("app", &[backend.place()], "").server(
        "127.0.0.1:0 ssl proxy_protocol",
        &format!(
            "{LOOPBACK}\nserver_name = \"a.example\"\nssl_certificate = \"site.crt\"\nssl_certificate_key = \"site.key\""
        ),
        &[("/", "http://app", "")],
    );
    let (mut tls, mut whole) = (client(), V1.to_vec());
    tls.write_tls(&mut whole).expect("a vector takes all");
    let ringgate = setup.start_in(folder);
    let request = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    // Both in one segment; then in many.
    let mut socket = connect(&ringgate);
    socket.write_all(&whole).expect("it reads");
    let mut sockets = vec![(tls, socket)];
    let mut socket = connect(&ringgate);
    let (mut cut, mut bytes) = (client(), v2_tcp4());
    cut.write_tls(&mut bytes).expect("a vector takes all");
    bytes.chunks(11).for_each(|piece| socket.write_all(piece).expect("it reads"));
    sockets.push((cut, socket));
    for (mut tls, mut socket) in sockets {
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        stream.write_all(request).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer, and the end as TLS has it");
        assert!(answer.ends_with("\r\n\r\n192.0.2.1"), "{answer}");
    }
    // A handshake without a header is none.
    let mut socket = connect(&ringgate);
    socket.write_all(&whole[V1.len()..]).expect("it reads");
    assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)));
    wait_until("it is counted", || ringgate.status().errors("proxy_protocol_malformed") == 1);
}

#[test]
fn a_backend_is_told_before_the_handshake() {
    let authority = Authority::new("root");
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("a file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = Place::Tcp(listener.local_addr().expect("bound"));
    let config = server_config(&authority.server(&["a.example"]).identity, None);
    let mut tls = ServerConnection::new(Arc::new(config)).expect("a good configuration");
    let backend = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        socket.set_read_timeout(Some(support::PATIENCE)).expect("a socket option");
        let mut header = vec![0; V1.len()];
        socket.read_exact(&mut header).expect("a header");
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).expect("what the client says");
        stream.write_all(&hello).expect("it reads");
        header
    });
    let text = format!(
        "[[tcp]]\nlisten = \"127.0.0.1:0 proxy_protocol\"\nproxy_pass = \"db\"\n{LOOPBACK}\nproxy_protocol = \"v1\"\n\
         proxy_ssl = \"on\"\nproxy_ssl_trusted_certificate = \"ca.pem\"\nproxy_ssl_name = \"a.example\"\n"
    );
    let setup = Setup::new().upstream("db", &[&place], &text);
    let ringgate = setup.start_in(folder);
    let mut client = ringgate.client();
    client.send([V1, b"hello"].concat());
    expect_echo(&mut client, b"hello");
    assert_eq!(backend.join().expect("no panic"), V1);
}
