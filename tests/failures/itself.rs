//! The backend processes do what the other tests believe of them.

use super::names::NameServer;
use super::process::{Event, Process};
use super::support::{Client, End, Place, wait_until};
use super::{session, tunnel};
use std::io::ErrorKind;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

fn connect(backend: &Process, patience: u64) -> std::io::Result<TcpStream> {
    let Place::Tcp(address) = &backend.place else { panic!("a TCP address") };
    TcpStream::connect_timeout(address, Duration::from_millis(patience))
}

#[test]
fn doors_open_refuse_slam_and_swallow() {
    let backend = Process::http("a");
    let mut kept = Client::connect(&backend.place);
    for round in 0..3 {
        assert_eq!(kept.get("/kept").text(), "a /kept", "round {round}");
        assert!(connect(&backend, 1000).is_ok());
        backend.tell("refuse");
        let refused = connect(&backend, 1000).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(kept.get("/kept").text(), "a /kept", "a connection that exists is not refused");
        backend.tell("hole");
        for _ in 0..3 {
            let swallowed = connect(&backend, 50).expect_err("a black hole");
            assert_eq!(swallowed.kind(), ErrorKind::TimedOut);
        }
        let mut other = Client::connect(&{
            backend.tell("ok");
            backend.place.clone()
        });
        assert_eq!(other.get("/other").text(), "a /other");
        backend.tell("hole");
        other.send("GET /swallowed HTTP/1.1\r\nHost: test\r\n\r\n");
        other.expect_silence(Duration::from_millis(100));
        backend.tell("slam");
        // The reset may be quicker than connect(2).
        match Client::try_connect(&backend.place) {
            Ok(mut slammed) => assert_eq!(slammed.read_to_end().1, End::Reset),
            Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
        }
        backend.tell("ok");
        kept = Client::connect(&backend.place);
    }
    assert!(
        backend
            .targets(|event| if let Event::Got { target, .. } = event { Some(target) } else { None })
            .iter()
            .all(|target| target != "/swallowed")
    );
}

/// What was got and answered is known of a process that was killed, and of its successor.
#[test]
fn the_record_outlives_the_process() {
    let backend = Process::http("a");
    assert_eq!(Client::connect(&backend.place).get("/1").status(), 200);
    backend.tell("delay 60000");
    let mut client = Client::connect(&backend.place);
    client.send("GET /2 HTTP/1.1\r\nHost: test\r\n\r\n");
    wait_until("it is under way", || backend.report().under_way == 1);
    backend.kill();
    assert_ne!(client.read_to_end().1, End::Open);
    assert!(connect(&backend, 1000).is_err());
    backend.revive();
    backend.tell("status 503");
    assert_eq!(Client::connect(&backend.place).get("/3").status(), 503);
    let got = |target: &str| Event::Got { method: "GET".to_owned(), target: target.to_owned() };
    let answered = |status, target: &str| Event::Answered { status, target: target.to_owned() };
    assert_eq!(backend.events(), [got("/1"), answered(200, "/1"), got("/2"), got("/3"), answered(503, "/3")]);
}

#[test]
fn a_stopped_process_answers_when_it_goes_on() {
    let backend = Process::http("a");
    let mut client = Client::connect(&backend.place);
    assert_eq!(client.get("/1").status(), 200);
    backend.stop();
    client.send("GET /2 HTTP/1.1\r\nHost: test\r\n\r\n");
    client.expect_silence(Duration::from_millis(100));
    assert!(connect(&backend, 1000).is_ok(), "its kernel still takes connections");
    backend.go_on();
    assert_eq!(client.response().text(), "a /2");
}

#[test]
fn faults_are_what_they_are_called() {
    let backend = Process::http("a");
    let outcome = |command: &str| {
        backend.tell(command);
        let mut client = Client::connect(&backend.place);
        client.send("GET /x HTTP/1.1\r\nHost: test\r\n\r\n");
        let (bytes, end) = client.read_to_end();
        (bytes.len(), end)
    };
    assert_eq!(outcome("close"), (0, End::Fin));
    assert_eq!(outcome("reset"), (0, End::Reset));
    let (length, end) = outcome("cut");
    assert!(length > 40 && end == End::Reset, "{length} bytes, {end:?}");
    backend.tell("ok");
    backend.tell("hint 7");
    backend.tell("idle 50");
    let mut client = Client::connect(&backend.place);
    assert_eq!(client.get("/").field("keep-alive"), Some("timeout=7"));
    client.expect_fin();
    backend.tell("sick 1");
    let health = || Client::connect(&backend.place).get("/health").status();
    assert_eq!([health(), health()], [503, 200]);
    assert_eq!(backend.report().checks, 2);
}

#[test]
fn echoes_echo() {
    let backend = Process::echo("x");
    let mut one = session(&backend.place);
    assert_eq!(one.from, "x");
    assert!(one.echo("hello") && one.echo("again"));
    let backend = Process::http("a");
    let mut other = tunnel(&backend.place);
    assert!(other.echo("hello"));
    backend.kill();
    assert!(!other.echo("hello"));
}

/// A question for an A record with any case, byte by byte (RFC 1035).
#[test]
fn the_name_server_answers() {
    let names = NameServer::start();
    names.set("app.test", &["127.0.0.2", "127.0.0.3"]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
    let ask = |name: &[u8], kind: u8| {
        let question = [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", name, &[0, 0, kind, 0, 1]].concat();
        socket.send_to(&question, names.place).expect("loopback");
        let mut answer = vec![0; 512];
        let length = socket.recv(&mut answer).expect("an answer");
        answer.truncate(length);
        answer
    };
    let record = |last: u8| [&b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04"[..], &[127, 0, 0, last]].concat();
    let header = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x03app\x04test\0\0\x01\0\x01";
    assert_eq!(ask(b"\x03APP\x04test", 1)[26..], [record(2), record(3)].concat()[..]);
    assert_eq!(ask(b"\x03app\x04test", 1), [&header[..], &record(2), &record(3)].concat());
    assert_eq!(ask(b"\x03app\x04test", 28)[2..8], *b"\x81\x80\0\x01\0\0", "no AAAA");
    assert_eq!(ask(b"\x04none\x04test", 1)[2..8], *b"\x81\x83\0\x01\0\0", "unknown");
}
