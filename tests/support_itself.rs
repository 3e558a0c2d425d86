//! The tests' own tools are tested too: a harness that sees nothing passes everything.

mod support;

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use support::certificates::Authority;
use support::message::Reader;
use support::payload::{Payload, Sum};
use support::tls::{Wish, server_config};
use support::{Backend, Client, End, Message, backend, wait_until};

#[test]
fn a_client_and_a_backend_understand_each_other() {
    let backend = Backend::answer(|request| backend::ok(&format!("{} {}", request.target(), request.text())));
    let mut client = Client::connect(backend.place());
    assert_eq!(client.get("/a").text(), "/a ");
    assert_eq!(client.post("/b", b"body").text(), "/b body");
    client.finish();
    client.expect_fin();
    backend.expect_all_ended();
    assert_eq!(backend.requests(), 2);
    let expected =
        "GET /a HTTP/1.1\r\nHost: test\r\n\r\nPOST /b HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(String::from_utf8(backend.received_bytes()).unwrap(), expected);
}

#[test]
fn fin_reset_and_silence_are_told_apart() {
    let backend = Backend::script(|conn| match conn.index {
        0 => drop(conn.head()),
        1 => {
            conn.head();
            conn.reset();
        }
        _ => conn.drain(),
    });
    for expected in [End::Fin, End::Reset, End::Open] {
        let mut client = Client::connect(backend.place());
        client.set_read_timeout(Duration::from_millis(300));
        client.send("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.read_to_end(), (Vec::new(), expected));
        wait_until("the record", || backend.received().last().is_some_and(|bytes| !bytes.is_empty()));
    }
}

#[test]
fn a_killed_backend_refuses_and_its_port_can_be_used_again() {
    let backend = Backend::fixed("first");
    let mut client = Client::connect(backend.place());
    assert_eq!(client.get("/").text(), "first");
    let place = backend.kill();
    assert_eq!(client.read_to_end().0, b"");
    assert!(Client::try_connect(&place).is_err(), "nothing listens any more");
    let successor = Backend::answer_on(&place, |_| backend::ok("second"));
    assert_eq!(Client::connect(successor.place()).get("/").text(), "second");
}

#[test]
fn a_refusing_address_refuses() {
    let (place, _guard) = support::net::refusing();
    assert!(Client::try_connect(&place).is_err());
}

fn read(bytes: &str, method: &str) -> io::Result<Message> {
    let mut reader = Reader::new(bytes.as_bytes());
    let head = reader.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let framing = head.response_framing(method)?;
    let mut body = Vec::new();
    let trailers = reader.body(framing, &mut |b| body.extend_from_slice(b))?;
    Ok(Message { head, framing, body, trailers })
}

#[test]
fn reads_each_framing() {
    let length = read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "GET").unwrap();
    assert_eq!((length.status(), &length.body[..]), (200, &b"abc"[..]));
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n";
    let chunked = read(chunked, "GET").unwrap();
    assert_eq!(chunked.text(), "abc0123456789");
    assert_eq!(chunked.trailers, [("X".to_owned(), "y".to_owned())]);
    assert_eq!(read("HTTP/1.1 200 OK\r\n\r\nrest", "GET").unwrap().text(), "rest");
    assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD").unwrap().text(), "");
}

#[test]
fn refuses_what_ringgate_must_not_write() {
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
    ] {
        assert!(read(bad, "GET").is_err(), "{bad:?}");
    }
}

#[test]
fn the_pieces_do_not_matter() {
    let whole = Payload::bytes(7, 1000);
    let mut pieces = Vec::new();
    let mut payload = Payload::new(7, 1000);
    let mut piece = [0; 13];
    while let Ok(count @ 1..) = payload.read(&mut piece) {
        pieces.extend_from_slice(&piece[..count]);
    }
    assert_eq!(whole, pieces);
    let mut sum = Sum::default();
    sum.add(&whole);
    assert_eq!(sum.hex(), Payload::sha256(7, 1000));
    assert_ne!(whole, Payload::bytes(8, 1000));
}

/// Client and backend over TLS: both at once, the end said and not said, sessions resumed, names and certificates checked.
#[test]
fn tls_is_seen_as_it_is() {
    let authority = Authority::new("root").intermediate("below");
    let pair = authority.server(&["one.test", "127.0.0.1"]);
    let echo = Backend::secure(server_config(&pair.identity, None), |conn| {
        assert_eq!(conn.tls().and_then(|tls| tls.asked_name()), None, "before the handshake");
        let mut out = conn.writer();
        loop {
            match conn.some() {
                bytes if bytes.is_empty() => return,
                bytes if bytes == b"cut" => return conn.tls().expect("it is one").leave_silently(),
                bytes => out.write_all(&bytes).expect("the client reads"),
            }
        }
    });
    let root = Authority::new("root");
    for version in rustls::ALL_VERSIONS {
        let wish = Wish { versions: &[version], ..Wish::default() };
        let config = Arc::new(wish.config());
        let mut client = Client::secure(echo.place(), &config, "one.test");
        assert_eq!(client.tls().version(), format!("{:?}", version.version));
        assert!(!client.tls().is_resumed());
        const LENGTH: u64 = 20_000_000;
        let mut out = client.writer();
        let writing =
            std::thread::spawn(move || io::copy(&mut Payload::new(1, LENGTH), &mut out).expect("it takes all"));
        let mut sum = Sum::default();
        client.reader.exactly(LENGTH, &mut |piece| sum.add(piece)).expect("all comes back");
        assert_eq!((sum.hex(), writing.join().expect("no panic")), (Payload::sha256(1, LENGTH), LENGTH));
        // Full records, which a reader gets in pieces.
        let large = Payload::bytes(2, 3_000_000);
        let mut out = client.writer();
        let writing = std::thread::spawn({
            let large = large.clone();
            move || out.write_all(&large).expect("it takes all")
        });
        assert!(client.read_exactly(large.len()) == large, "{version:?}");
        writing.join().expect("no panic");
        client.finish();
        client.expect_fin();
        let mut client = Client::secure(echo.place(), &config, "one.test");
        assert!(client.tls().is_resumed(), "{version:?}");
        client.send("cut");
        assert_eq!(client.read_to_end(), (Vec::new(), End::Cut));
        let stranger = Arc::new(Wish { trusted: Some(&root.pem()), ..wish }.config());
        let refused = Client::try_secure(echo.place(), &stranger, "one.test").err().expect("it trusts another root");
        assert!(
            refused.to_string().contains("UnknownIssuer") || refused.to_string().contains("BadSignature"),
            "{refused}"
        );
    }
}
