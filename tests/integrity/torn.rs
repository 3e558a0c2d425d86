//! Either side closes or resets at a random byte of a body or stream that is being spliced: what arrived is a prefix of what was sent, a
//! cut body is never whole, and nothing is left.

use super::peers::{Body, Frames};
use super::support::payload::{Payload, Sum};
use super::support::{Backend, End, Place, Setup, Status, wait_until};
use super::{Ringgate, expect_idle, moved, start};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MIB: u64 = 1024 * 1024;
const ROUNDS: u64 = 24;

/// What makes a round: the same number makes the same round.
#[derive(Clone, Copy)]
struct Round {
    body: Body,
    /// Bytes after which it ends.
    cut: u64,
    by_reset: bool,
}

fn round(kind: u64, number: u64) -> Round {
    let mut random = Payload::new(kind * 1000 + number, 16);
    let mut draw = |below: u64| {
        let mut word = [0; 8];
        random.read_exact(&mut word).expect("sixteen bytes");
        u64::from_le_bytes(word) % below
    };
    let length = MIB + draw(15 * MIB);
    let frames = if number.is_multiple_of(2) { Frames::Length } else { Frames::Large };
    Round { body: Body::new(number, length, frames), cut: draw(length), by_reset: (number / 2).is_multiple_of(2) }
}

impl Round {
    fn message(&self, start: &str) -> Vec<u8> {
        let mut message = format!("{start}\r\n{}\r\n", self.body.field()).into_bytes();
        let head = message.len();
        self.body.write(&mut message).expect("a vector takes all");
        message.truncate(head + self.cut as usize);
        message
    }

    #[track_caller]
    fn expect_prefix(&self, got: &Sum) {
        assert!(got.length <= self.cut, "{} bytes of {} came: {:?}", got.length, self.cut, self.body);
        assert_eq!(got.hex(), Payload::sha256(self.body.seed, got.length), "{} bytes of {:?}", got.length, self.body);
    }
}

#[track_caller]
fn expect_nothing_left(ringgate: &Ringgate, backend: &Backend, before: &Status, descriptors: usize) {
    assert!(moved(ringgate).0 > MIB, "nothing was spliced");
    expect_idle(ringgate, backend, before);
    wait_until("all descriptors are closed", || ringgate.descriptors() <= descriptors);
}

/// The number that a target like `/7` names.
fn number(head: &super::support::Head) -> u64 {
    head.target().trim_start_matches('/').parse().expect("the client names a number")
}

#[test]
fn the_backend_ends_in_the_middle_of_its_answer() {
    let backend = Backend::script(|conn| {
        let Some(head) = conn.head() else { return };
        let round = round(1, number(&head));
        conn.send(round.message("HTTP/1.1 200 OK"));
        if round.by_reset {
            conn.reset();
        }
    });
    let ringgate = start(&backend, 2);
    let (before, descriptors) = (ringgate.status(), ringgate.descriptors());
    for number in 0..ROUNDS {
        let round = round(1, number);
        let mut client = ringgate.client();
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n"));
        // A reset may overtake the whole answer.
        let Ok(Some(head)) = client.reader.head() else { continue };
        if head.status() == 502 && round.by_reset {
            continue;
        }
        assert_eq!(head.status(), 200, "{number}: {head:?}");
        let mut got = Sum::default();
        let framing = head.response_framing("GET").expect("good framing");
        let outcome = client.body(framing, &mut |bytes| got.add(bytes));
        assert!(outcome.is_err(), "{number}: a cut body was taken as whole");
        round.expect_prefix(&got);
        if !round.by_reset && round.body.frames == Frames::Length {
            assert_eq!(got.length, round.cut, "{number}: all that came before FIN");
        }
    }
    expect_nothing_left(&ringgate, &backend, &before, descriptors);
}

#[test]
fn the_client_ends_in_the_middle_of_its_request() {
    type Got = Mutex<Vec<(u64, Sum, bool)>>;
    let got: Arc<Got> = Arc::default();
    let backend = Backend::script({
        let got = got.clone();
        move |conn| {
            let Some(head) = conn.head() else { return };
            let Ok(framing) = head.request_framing() else { return };
            let mut sum = Sum::default();
            let whole = conn.body(framing, &mut |bytes| sum.add(bytes)).is_some();
            got.lock().expect("nobody panicked").push((number(&head), sum, whole));
        }
    });
    let ringgate = start(&backend, 2);
    let (before, descriptors) = (ringgate.status(), ringgate.descriptors());
    for number in 0..ROUNDS {
        let round = round(2, number);
        let mut client = ringgate.client();
        client.send(round.message(&format!("POST /{number} HTTP/1.1\r\nHost: test")));
        if round.by_reset {
            client.reset();
        }
    }
    wait_until("nobody is connected", || ringgate.status().total("connections") == 0);
    backend.expect_all_ended();
    let got = got.lock().expect("nobody panicked");
    // A reset may overtake the whole request, so that no connection to the backend is made.
    assert!(got.len() as u64 >= ROUNDS / 2, "{} of {ROUNDS} came", got.len());
    for (number, sum, whole) in got.iter() {
        let round = round(2, *number);
        assert!(!whole, "{number}: a cut body was taken as whole");
        round.expect_prefix(sum);
        if !round.by_reset && round.body.frames == Frames::Length {
            assert_eq!(sum.length, round.cut, "{number}: all that came before FIN");
        }
    }
    expect_nothing_left(&ringgate, &backend, &before, descriptors);
}

#[test]
fn the_client_leaves_in_the_middle_of_an_answer() {
    let backend = super::peers::backend();
    let ringgate = start(&backend, 2);
    let (before, descriptors) = (ringgate.status(), ringgate.descriptors());
    for number in 0..ROUNDS {
        let round = round(3, number);
        let body = Body { length: round.body.length + 16 * MIB, ..round.body };
        let mut client = ringgate.client();
        client.send(format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", body.target()));
        client.head();
        if body.frames == Frames::Length {
            let mut got = Sum::default();
            client.reader.exactly(round.cut, &mut |bytes| got.add(bytes)).expect("more follows");
            round.expect_prefix(&got);
        } else {
            client.read_exactly(round.cut as usize);
        }
        if round.by_reset {
            client.reset();
        }
    }
    wait_until("nobody is connected", || ringgate.status().total("connections") == 0);
    backend.expect_all_ended();
    expect_nothing_left(&ringgate, &backend, &before, descriptors);
}

#[test]
fn the_backend_leaves_in_the_middle_of_a_request() {
    let backend = Backend::script(|conn| {
        let Some(head) = conn.head() else { return };
        let round = round(4, number(&head));
        let (mut got, mut length) = (Sum::default(), 0);
        while length < round.cut {
            let bytes = conn.some();
            assert!(!bytes.is_empty(), "the client goes on");
            let most = bytes.len().min((round.cut - length) as usize);
            got.add(&bytes[..most]);
            length += bytes.len() as u64;
        }
        if round.body.frames == Frames::Length {
            round.expect_prefix(&got);
        }
        if round.by_reset {
            conn.reset();
        }
    });
    let ringgate = start(&backend, 2);
    let (before, descriptors) = (ringgate.status(), ringgate.descriptors());
    for number in 0..ROUNDS {
        let body = Body { length: 32 * MIB, ..round(4, number).body };
        let mut client = ringgate.client();
        client.send(format!("POST /{number} HTTP/1.1\r\nHost: test\r\n{}\r\n", body.field()));
        let mut writer = client.writer();
        let writing = std::thread::spawn(move || body.write(&mut writer).is_ok());
        match client.try_response_to("POST") {
            Ok(answer) => assert_eq!((answer.status(), answer.reason().is_some()), (502, true), "{number}: {answer:?}"),
            // The rest of the request, which nobody reads any more, may turn the end into a reset.
            Err(e) => assert!(e.kind() != ErrorKind::WouldBlock, "{number}: {e}"),
        }
        drop(client);
        writing.join().expect("it only writes");
    }
    expect_nothing_left(&ringgate, &backend, &before, descriptors);
}

/// The one who sends over TCP ends; in `up` it is the client.
fn tcp_sender_ends(kind: u64, up: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = Place::Tcp(listener.local_addr().expect("bound"));
    let ringgate =
        Setup::new().upstream("db", &[&place], "[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"db\"").start();
    let (before, descriptors) = (ringgate.status(), ringgate.descriptors());
    let mut resets = 0;
    for number in 0..ROUNDS * 2 {
        let round = round(kind, number);
        let Place::Tcp(address) = ringgate.place() else { panic!("a tcp listener") };
        let client = TcpStream::connect(address).expect("a connection");
        let (backend, _) = listener.accept().expect("ringgate connects");
        let (mut sender, mut receiver) = if up { (client, backend) } else { (backend, client) };
        receiver.set_read_timeout(Some(super::support::PATIENCE)).expect("a socket option");
        let sending = std::thread::spawn(move || {
            std::io::copy(&mut Payload::new(round.body.seed, round.cut), &mut sender).expect("somebody reads");
            match round.by_reset {
                true => socket2::SockRef::from(&sender).set_linger(Some(Duration::ZERO)).expect("a socket option"),
                // FIN, but the other way stays open.
                false => sender.shutdown(Shutdown::Write).expect("connected"),
            }
            (!round.by_reset).then_some(sender)
        });
        let (mut got, mut piece) = (Sum::default(), vec![0; 256 * 1024]);
        let end = loop {
            match receiver.read(&mut piece) {
                Ok(0) => break End::Fin,
                Ok(n) => got.add(&piece[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => break End::Reset,
                Err(e) => panic!("{number}: {e}"),
            }
        };
        let sender = sending.join().expect("it only sends");
        round.expect_prefix(&got);
        assert_eq!(end, if round.by_reset { End::Reset } else { End::Fin }, "{number}");
        if let Some(mut sender) = sender {
            assert_eq!(got.length, round.cut, "{number}: FIN comes behind everything");
            receiver.write_all(b"still open").expect("the other way is open");
            drop(receiver);
            let mut rest = String::new();
            sender.read_to_string(&mut rest).expect("to the end");
            assert_eq!(rest, "still open");
        } else {
            resets += 1;
        }
    }
    assert!(resets > 0 && moved(&ringgate).0 > MIB);
    ringgate.expect_clean(&before);
    wait_until("all descriptors are closed", || ringgate.descriptors() <= descriptors);
}

#[test]
fn a_tcp_client_that_sends_ends_at_a_random_byte() {
    tcp_sender_ends(5, true);
}

#[test]
fn a_tcp_server_that_sends_ends_at_a_random_byte() {
    tcp_sender_ends(6, false);
}

/// The one who receives over TCP leaves with bytes unread: the sender is told by an error.
fn tcp_receiver_leaves(kind: u64, up: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = Place::Tcp(listener.local_addr().expect("bound"));
    let ringgate =
        Setup::new().upstream("db", &[&place], "[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"db\"").start();
    let (before, descriptors) = (ringgate.status(), ringgate.descriptors());
    for number in 0..ROUNDS {
        let round = round(kind, number);
        let Place::Tcp(address) = ringgate.place() else { panic!("a tcp listener") };
        let client = TcpStream::connect(address).expect("a connection");
        let (backend, _) = listener.accept().expect("ringgate connects");
        let (mut sender, mut receiver) = if up { (client, backend) } else { (backend, client) };
        sender.set_write_timeout(Some(super::support::PATIENCE)).expect("a socket option");
        let seed = round.body.seed;
        // Without end: only an error stops it.
        let sending = std::thread::spawn(move || std::io::copy(&mut Payload::new(seed, u64::MAX), &mut sender));
        let (mut got, mut piece) = (Sum::default(), vec![0; 64 * 1024]);
        while got.length < round.cut {
            let most = piece.len().min((round.cut - got.length) as usize);
            receiver.read_exact(&mut piece[..most]).expect("it never ends");
            got.add(&piece[..most]);
        }
        round.expect_prefix(&got);
        if round.by_reset {
            socket2::SockRef::from(&receiver).set_linger(Some(Duration::ZERO)).expect("a socket option");
        }
        drop(receiver);
        let error = sending.join().expect("it only sends").expect_err("nobody reads any more");
        let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(kinds.contains(&error.kind()), "{number}: {error}");
    }
    assert!(moved(&ringgate).0 > MIB);
    ringgate.expect_clean(&before);
    wait_until("all descriptors are closed", || ringgate.descriptors() <= descriptors);
}

#[test]
fn a_tcp_server_that_receives_leaves_at_a_random_byte() {
    tcp_receiver_leaves(7, true);
}

#[test]
fn a_tcp_client_that_receives_leaves_at_a_random_byte() {
    tcp_receiver_leaves(8, false);
}
