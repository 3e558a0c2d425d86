//! WebSocket as raw bytes: the handshake passes by default, and after 101 the connection is a tunnel both ways.

use super::support::payload::{Payload, Sum};
use super::support::{Backend, Client, Conn, End, Stream, backend, show};
use super::{before, before_with};
use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Reads the handshake and says 101.
fn switch(conn: &mut Conn) -> bool {
    let Some(head) = conn.head() else { return false };
    assert_eq!(head.field("upgrade"), Some("websocket"), "{}", show(&head.raw));
    assert!(head.connection_has("upgrade"), "{}", show(&head.raw));
    assert_eq!(head.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    conn.send(SWITCHING)
}

#[track_caller]
fn expect_switched(client: &mut Client) {
    let head = client.head();
    assert_eq!(head.status(), 101, "{}", show(&head.raw));
    assert_eq!(head.field("upgrade"), Some("websocket"), "{}", show(&head.raw));
    assert!(head.connection_has("upgrade"), "{}", show(&head.raw));
    assert_eq!(head.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn bytes_pass_both_ways_and_half_close_is_passed_on() {
    let backend = Backend::script(|conn| {
        if !switch(conn) {
            return;
        }
        loop {
            match &conn.some()[..] {
                [] => break,
                bytes => drop(conn.send(bytes)),
            }
        }
        // The client has ended its side; ours still works.
        conn.send("farewell");
    });
    let ringgate = before(&backend);
    let start = ringgate.status();
    let mut client = ringgate.client();
    client.send(HANDSHAKE);
    expect_switched(&mut client);
    for message in ["a", "GET / HTTP/1.1\r\n\r\n", "\0\r\n\u{ff}"] {
        client.send(message);
        assert_eq!(client.read_exactly(message.len()), message.as_bytes());
    }
    client.finish();
    assert_eq!(client.read_to_end(), (b"farewell".to_vec(), End::Fin));
    ringgate.expect_clean(&start);
}

#[test]
fn the_backend_may_end_its_side_first() {
    let backend = Backend::script(|conn| {
        if switch(conn) {
            conn.send("all");
            conn.finish();
            conn.drain();
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send(HANDSHAKE);
    expect_switched(&mut client);
    assert_eq!(client.read_to_end(), (b"all".to_vec(), End::Fin));
    client.send("still heard");
    client.finish();
    backend.expect_all_ended();
    assert!(backend.received_bytes().ends_with(b"still heard"), "{}", show(&backend.received_bytes()));
}

/// Bytes in the same segment as the handshake or its answer belong to the tunnel, and not one of them before the 101.
#[test]
fn bytes_that_come_early_are_kept_until_the_tunnel_stands() {
    let quiet = Arc::new(AtomicBool::new(false));
    let backend = Backend::script({
        let quiet = quiet.clone();
        move |conn| {
            if conn.head().is_none() {
                return;
            }
            quiet.store(conn.is_quiet(Duration::from_millis(150)), SeqCst);
            conn.send(format!("{SWITCHING}greeting"));
            let early = conn.exactly(5).unwrap_or_default();
            conn.send(early);
            conn.drain();
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send(format!("{HANDSHAKE}early"));
    expect_switched(&mut client);
    assert_eq!(client.read_exactly(13), b"greetingearly");
    assert!(quiet.load(SeqCst), "bytes of the tunnel came before the 101");
}

#[test]
fn a_refused_handshake_leaves_an_ordinary_connection() {
    let backend = Backend::answer(|request| match request.target() {
        "/chat" => b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec(),
        _ => backend::ok("yes"),
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send(HANDSHAKE);
    let answer = client.response();
    assert_eq!((answer.status(), &answer.text()[..]), (403, "no"));
    assert_eq!(client.get("/").text(), "yes");
}

#[test]
fn megabytes_pass_both_ways_at_once() {
    const LENGTH: u64 = 16 * 1024 * 1024;
    let backend = Backend::script(|conn| {
        if !switch(conn) {
            return;
        }
        let mut writer = conn.writer();
        let sender = std::thread::spawn(move || std::io::copy(&mut Payload::new(11, LENGTH), &mut writer));
        let mut sum = Sum::default();
        while sum.length < LENGTH {
            match &conn.some()[..] {
                [] => return,
                bytes => sum.add(bytes),
            }
        }
        let _ = sender.join();
        conn.send(sum.hex());
    });
    let ringgate = before(&backend);
    let start = ringgate.status();
    let mut client = ringgate.client();
    client.send(HANDSHAKE);
    expect_switched(&mut client);
    let mut writer = client.writer();
    let sender = std::thread::spawn(move || std::io::copy(&mut Payload::new(10, LENGTH), &mut writer));
    let mut sum = Sum::default();
    client.reader.exactly(LENGTH, &mut |piece| sum.add(piece)).expect("all came");
    assert_eq!(sum.hex(), Payload::sha256(11, LENGTH));
    assert_eq!(sender.join().expect("the sender lives").expect("all was sent"), LENGTH);
    let (rest, end) = client.read_to_end();
    assert_eq!((String::from_utf8(rest).unwrap(), end), (Payload::sha256(10, LENGTH), End::Fin));
    drop(client);
    ringgate.expect_clean(&start);
}

#[test]
fn a_tunnel_ends_when_either_side_breaks() {
    let backend = Backend::script(|conn| {
        if switch(conn) {
            if conn.exactly(5).as_deref() == Some(b"break") {
                return conn.reset();
            }
            conn.drain();
        }
    });
    let ringgate = before(&backend);
    let start = ringgate.status();
    let mut client = ringgate.client();
    client.send(HANDSHAKE);
    expect_switched(&mut client);
    client.send("break");
    assert_ne!(client.read_to_end().1, End::Open);
    drop(client);
    let mut client = ringgate.client();
    client.send(HANDSHAKE);
    expect_switched(&mut client);
    client.send("other");
    client.reset();
    backend.expect_all_ended();
    ringgate.expect_clean(&start);
}

#[test]
fn a_silent_tunnel_ends_in_time() {
    let backend = Backend::script(|conn| {
        if switch(conn) {
            conn.drain();
        }
    });
    let ringgate = before_with(&backend, "proxy_tunnel_timeout = \"700ms\"\nproxy_read_timeout = \"200ms\"");
    let start = ringgate.status();
    let mut client = ringgate.client();
    client.send(HANDSHAKE);
    expect_switched(&mut client);
    // Each byte starts the time anew, whichever way it goes: in all this lasts longer than the timeout.
    for _ in 0..4 {
        client.expect_silence(Duration::from_millis(300));
        client.send("x");
    }
    assert_ne!(client.read_to_end().1, End::Open);
    drop(client);
    backend.expect_all_ended();
    ringgate.expect_clean(&start);
}

/// Both ends of a tunnel as plain sockets, for a stricter look at half-close under load.
#[test]
fn nothing_is_lost_when_a_full_tunnel_is_half_closed() {
    const LENGTH: u64 = 8 * 1024 * 1024;
    let backend = Backend::script(|conn| {
        if !switch(conn) {
            return;
        }
        let mut sum = Sum::default();
        loop {
            match &conn.some()[..] {
                [] => break,
                bytes => sum.add(bytes),
            }
        }
        conn.send(format!("{} {}", sum.length, sum.hex()));
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send(HANDSHAKE);
    expect_switched(&mut client);
    let mut writer: Stream = client.writer();
    std::io::copy(&mut Payload::new(12, LENGTH), &mut writer).expect("all was sent");
    writer.flush().expect("nothing is buffered");
    writer.shutdown(Shutdown::Write).expect("the socket lives");
    let (rest, _) = client.read_to_end();
    assert_eq!(String::from_utf8(rest).unwrap(), format!("{LENGTH} {}", Payload::sha256(12, LENGTH)));
}
