//! Connections that the kernel has accepted and ringgate has not: they are answered too.

use super::support::{Backend, Client, PATIENCE, Place, Ringgate, Setup, wait_until};
use super::{GRACE, backend, start};
use std::time::Duration;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Stops the process, connects so often, sends SIGTERM and lets it go on: all of them are in the accept queues then.
#[track_caller]
fn connect_while_stopped(ringgate: &Ringgate, count: usize) -> Vec<Client> {
    ringgate.signal("STOP");
    wait_until("the process is stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", ringgate.pid())).expect("the process lives");
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    });
    let clients = (0..count).map(|_| ringgate.client()).collect();
    ringgate.signal("TERM");
    ringgate.signal("CONT");
    clients
}

/// All of them are answered, and the process ends. Who asked when the drain was under way (`late`) is told to close.
#[track_caller]
fn expect_answers(mut ringgate: Ringgate, clients: Vec<Client>, late: bool) {
    for (i, mut client) in clients.into_iter().enumerate() {
        let answer = client.try_response_to("GET").unwrap_or_else(|e| panic!("connection {i}: {e}"));
        assert_eq!(answer.status(), 200, "connection {i}");
        assert!(!late || answer.connection_has("close"), "connection {i} is not told to close");
        client.expect_fin();
    }
    assert_eq!(ringgate.wait_exit(PATIENCE).code(), Some(0), "{}", ringgate.log());
}

#[test]
fn requests_in_the_queue_are_answered() {
    for workers in [1, 2] {
        let backend = backend();
        let ringgate = start(&backend, workers, "20s");
        ringgate.signal("STOP");
        let mut clients: Vec<Client> = (0..20).map(|_| ringgate.client()).collect();
        clients.iter_mut().for_each(|client| client.send(REQUEST));
        ringgate.signal("TERM");
        ringgate.signal("CONT");
        expect_answers(ringgate, clients, false); // a worker may be quicker than the signal
    }
}

/// Connected before the signal, asked after it: with more connections than a turn of the loop polls.
#[test]
fn requests_after_the_signal_on_queued_connections_are_answered() {
    for (workers, count) in [(1, 1), (1, 30), (2, 600)] {
        let backend = backend();
        let ringgate = start(&backend, workers, "20s");
        let mut clients = connect_while_stopped(&ringgate, count);
        ringgate.expect_log("draining");
        std::thread::sleep(Duration::from_millis(300));
        clients.iter_mut().for_each(|client| client.send(REQUEST));
        expect_answers(ringgate, clients, true);
    }
}

#[test]
fn queued_connections_on_a_unix_socket_are_answered() {
    let backend = backend();
    let setup = Setup::new().upstream("backend", &[backend.place()], "");
    let ringgate = setup.server("unix:{dir}/front.sock", "", &[("/", "http://backend", "")]);
    let text = ringgate.text();
    let folder = tempfile::Builder::new().prefix("ringgate-test-").tempdir().expect("a temporary folder");
    let socket = folder.path().join("front.sock");
    // The readiness line of a unix listener names no http:// address, so a TCP one stands beside it.
    let text =
        text.replace("listen = \"unix:{dir}/front.sock\"", "listen = [\"127.0.0.1:0\", \"unix:{dir}/front.sock\"]");
    let ringgate = Ringgate::start_in(folder, &text);
    let place = Place::Unix(socket.clone());
    assert_eq!(Client::connect(&place).get("/").status(), 200);
    ringgate.signal("STOP");
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(&place)).collect();
    ringgate.signal("TERM");
    ringgate.signal("CONT");
    ringgate.expect_log("draining");
    wait_until("the socket's file is gone", || !socket.exists());
    std::thread::sleep(Duration::from_millis(100));
    clients.iter_mut().for_each(|client| client.send(REQUEST));
    expect_answers(ringgate, clients, true);
}

/// Whoever comes after the queues were emptied is not let in, rather than let in and cut.
#[test]
fn nobody_new_is_let_in() {
    let backend = Backend::fixed("hello");
    let mut ringgate = start(&backend, 2, "20s");
    let mut idle = ringgate.client();
    assert_eq!(idle.get("/").status(), 200);
    ringgate.signal("TERM");
    ringgate.expect_log("draining");
    std::thread::sleep(Duration::from_millis(500)); // well within the grace of the idle connection
    let address = match ringgate.place() {
        Place::Tcp(address) => *address,
        Place::Unix(_) => unreachable!("it listens on TCP"),
    };
    let late = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500));
    assert!(late.is_err(), "a new connection during the drain");
    idle.expect_fin();
    assert_eq!(ringgate.wait_exit(GRACE * 3).code(), Some(0));
}
