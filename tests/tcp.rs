//! TCP passthrough over real sockets: half-close and reset in both directions, nothing lost, long streams spliced.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;
use support::payload::{Payload, Sum};
use support::{Place, Ringgate, Setup, wait_until};

const MIB: u64 = 1024 * 1024;

/// A backend whose every connection is served by `act`; takes `count` connections.
fn backend(count: usize, act: fn(TcpStream)) -> (Place, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = Place::Tcp(listener.local_addr().expect("bound"));
    let thread = std::thread::spawn(move || {
        for _ in 0..count {
            let (stream, _) = listener.accept().expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket option");
            act(stream);
        }
    });
    (place, thread)
}

fn start(backends: &[&Place], lines: &str) -> Ringgate {
    let text = format!("[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"db\"\n{lines}\n");
    Setup::new().upstream("db", backends, &text).start()
}

fn connect(ringgate: &Ringgate) -> TcpStream {
    let Place::Tcp(address) = ringgate.place() else { panic!("a tcp listener") };
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket option");
    stream
}

fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
}

fn spliced(ringgate: &Ringgate) -> (u64, u64) {
    let status = ringgate.status();
    (status.total("bytes_spliced"), status.total("bytes_copied"))
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("to the end");
    bytes
}

#[test]
fn a_server_may_speak_first_and_either_side_may_half_close() {
    let (place, thread) = backend(2, |mut stream| {
        stream.write_all(b"220 hello\r\n").unwrap();
        let mut line = [0; 64];
        let n = stream.read(&mut line).unwrap();
        if line[..n] == *b"first" {
            // The client half-closes; everything after is still answered.
            assert_eq!(rest(&mut stream), b"");
            stream.write_all(b"late answer").unwrap();
        } else {
            // The server half-closes and reads on.
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(rest(&mut stream), b"still sent");
        }
    });
    let ringgate = start(&[&place], "");
    let before = ringgate.status();
    let mut client = connect(&ringgate);
    let mut greeting = [0; 11];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 hello\r\n");
    client.write_all(b"first").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), b"late answer");
    let mut client = connect(&ringgate);
    client.read_exact(&mut greeting).unwrap();
    client.write_all(b"second").unwrap();
    assert_eq!(rest(&mut client), b"");
    client.write_all(b"still sent").unwrap();
    drop(client);
    thread.join().expect("the backend saw what it should");
    ringgate.expect_log("6 bytes up, 11 down");
    ringgate.expect_clean(&before);
}

#[test]
fn a_reset_is_passed_on_behind_what_was_read_before_it() {
    let (place, thread) = backend(1, |mut stream| {
        stream.write_all(&[7; 100_000]).unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap(); // the client has begun to read
        reset(stream);
    });
    let ringgate = start(&[&place], "");
    let before = ringgate.status();
    let mut client = connect(&ringgate);
    let mut got = vec![0; 100_000];
    client.read_exact(&mut got[..1]).unwrap();
    client.write_all(b"x").unwrap();
    std::thread::sleep(Duration::from_millis(100)); // the reset overtakes nothing that was read
    client.read_exact(&mut got[1..]).expect("all that was sent before the reset");
    assert_eq!(client.read(&mut got).unwrap_err().kind(), ErrorKind::ConnectionReset);
    thread.join().unwrap();
    ringgate.expect_clean(&before);
}

#[test]
fn a_clients_reset_reaches_the_backend() {
    let (place, thread) = backend(1, |mut stream| {
        let mut got = Vec::new();
        assert_eq!(stream.read_to_end(&mut got).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(got, b"some bytes");
    });
    let ringgate = start(&[&place], "");
    let before = ringgate.status();
    let mut client = connect(&ringgate);
    client.write_all(b"some bytes").unwrap();
    wait_until("they went through", || ringgate.status().total("bytes_copied") == 10);
    reset(client);
    thread.join().expect("the backend saw the bytes, then the reset");
    ringgate.expect_clean(&before);
}

#[test]
fn long_streams_are_spliced_and_arrive_whole() {
    const LENGTH: u64 = 1024 * MIB;
    let (place, thread) = backend(1, |mut stream| {
        let out = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            pour(2, LENGTH, &out);
            out.shutdown(Shutdown::Write).unwrap();
        });
        assert_eq!(sum(&mut stream), Payload::sha256(1, LENGTH));
        sender.join().unwrap();
    });
    let ringgate = start(&[&place], "");
    let before = ringgate.status();
    let mut client = connect(&ringgate);
    let out = client.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        pour(1, LENGTH, &out);
        out.shutdown(Shutdown::Write).unwrap();
    });
    assert_eq!(sum(&mut client), Payload::sha256(2, LENGTH));
    sender.join().unwrap();
    drop(client);
    thread.join().unwrap();
    ringgate.expect_clean(&before);
    let (spliced, copied) = spliced(&ringgate);
    assert_eq!(spliced + copied, 2 * LENGTH);
    assert!(spliced as f64 >= 0.95 * (2 * LENGTH) as f64, "{spliced} spliced, {copied} copied");
}

/// Writes a payload in large pieces: a stream, as a database dumps it.
fn pour(seed: u64, length: u64, mut out: &TcpStream) {
    let (mut payload, mut piece) = (Payload::new(seed, length), vec![0; 256 * 1024]);
    loop {
        match payload.read(&mut piece).expect("a payload can be read") {
            0 => return,
            n => out.write_all(&piece[..n]).expect("somebody reads"),
        }
    }
}

fn sum(stream: &mut TcpStream) -> String {
    let (mut sum, mut piece) = (Sum::default(), vec![0; 256 * 1024]);
    loop {
        match stream.read(&mut piece).expect("the stream goes on") {
            0 => return sum.hex(),
            n => sum.add(&piece[..n]),
        }
    }
}

#[test]
fn a_conversation_is_copied() {
    let (place, thread) = backend(1, |mut stream| {
        let mut byte = [0; 100];
        while let Ok(n @ 1..) = stream.read(&mut byte) {
            stream.write_all(&byte[..n]).unwrap();
        }
    });
    let ringgate = start(&[&place], "");
    let mut client = connect(&ringgate);
    let mut answer = [0; 100];
    for _ in 0..1000 {
        client.write_all(&[1; 100]).unwrap();
        client.read_exact(&mut answer).unwrap();
    }
    drop(client);
    thread.join().unwrap();
    wait_until("it is counted", || spliced(&ringgate) == (0, 200_000));
}

#[test]
fn a_server_that_refuses_is_passed_over_and_silence_may_be_bounded() {
    let (place, thread) = backend(2, |mut stream| {
        stream.write_all(b"hello").unwrap();
        let mut byte = [0];
        let _ = stream.read(&mut byte); // until it is cut
    });
    let (refusing, _held) = support::net::refusing();
    let ringgate = start(&[&refusing, &place], "proxy_timeout = \"300ms\"");
    let before = ringgate.status();
    for _ in 0..2 {
        let mut client = connect(&ringgate);
        let mut hello = [0; 5];
        client.read_exact(&mut hello).expect("the other server");
        // Nothing moves: after proxy_timeout both sides get FIN, and it is nobody's fault.
        assert_eq!(client.read(&mut hello).expect("no reset"), 0);
    }
    thread.join().unwrap();
    ringgate.expect_clean(&before);
    let status = ringgate.status();
    let failures: u64 = status.servers().map(|server| server["failures"].as_u64().expect("a number")).sum();
    assert_eq!((failures, status.errors("client_timeout")), (2, 0), "only the server that refuses has failed");
}

#[test]
fn with_no_server_the_client_is_told_by_a_close() {
    let (refusing, _held) = support::net::refusing();
    let ringgate = start(&[&refusing], "");
    let before = ringgate.status();
    let mut client = connect(&ringgate);
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    ringgate.expect_log("connect_refused");
    ringgate.expect_clean(&before);
}

/// Found by an adversary: one side ended, its direction was done, and then it vanished while the other side was silent. The session
/// stayed, for nobody looked at that side any more, and TCP keep-alive says nothing of a socket that was reset.
#[test]
fn a_side_that_ends_and_then_vanishes_takes_the_session_along() {
    for client_vanishes in [true, false] {
        let (told, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let place = Place::Tcp(listener.local_addr().expect("bound"));
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket option");
            if client_vanishes {
                assert_eq!(rest(&mut stream), b"");
            } else {
                stream.shutdown(Shutdown::Write).expect("FIN");
            }
            wait.lock().expect("one waiter").recv().expect("the test tells");
            reset(stream);
        });
        let ringgate = start(&[&place], "");
        let before = ringgate.status();
        let mut client = connect(&ringgate);
        if client_vanishes {
            client.shutdown(Shutdown::Write).expect("FIN");
            wait_until("FIN has gone through", || ringgate.status().total("connections") == 1);
            std::thread::sleep(Duration::from_millis(50)); // FIN and reset are to be two events
            reset(client);
        } else {
            assert_eq!(client.read(&mut [0]).expect("FIN"), 0);
            told.send(()).expect("it waits");
            thread.join().expect("no panic");
            ringgate.expect_clean(&before);
            continue;
        }
        // The backend is silent and keeps its side open.
        wait_until("the session ends", || ringgate.status().total("connections") == 0);
        told.send(()).expect("it waits");
        thread.join().expect("no panic");
        ringgate.expect_clean(&before);
    }
}

/// A client that has said its last word and does not read made a worker spin: every poll for POLLOUT answered at once that the peer had
/// ended, on the copied and on the spliced way alike.
#[test]
fn waiting_for_a_client_that_ended_and_does_not_read_is_no_work() {
    for splice_min in ["\"off\"", "\"16k\""] {
        let (place, thread) = backend(1, |mut stream| {
            let block = [7; 65_536];
            while stream.write_all(&block).is_ok() {}
        });
        let text = "[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"db\"\n";
        let top = format!("splice_min = {splice_min}");
        let ringgate = Setup::new().top(&top).upstream("db", &[&place], text).start();
        let client = connect(&ringgate);
        client.shutdown(Shutdown::Write).expect("FIN");
        // The stream fills every buffer on its way, and stands.
        let moved = || spliced(&ringgate);
        let mut before = moved();
        wait_until("the stream stands", || {
            std::thread::sleep(Duration::from_millis(200));
            std::mem::replace(&mut before, moved()) == moved() && before != (0, 0)
        });
        let turns = || ringgate.status().total("turns");
        let begun = turns();
        std::thread::sleep(Duration::from_secs(1)); // the time that is looked at
        let count = turns() - begun;
        // Some 30,000 when it spun; timers and the status itself take a few dozen.
        assert!(count < 3000, "{count} turns in a second, splice_min = {splice_min}");
        drop(client);
        thread.join().expect("the backend ends, too");
    }
}
