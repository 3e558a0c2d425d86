//! How long the end waits, and for whom.

use super::support::message::Framing;
use super::support::payload::{Payload, Sum};
use super::support::{Backend, Client, End, PATIENCE, backend as answers, wait_until};
use super::{GRACE, backend, start};
use std::time::{Duration, Instant};

#[test]
fn slow_exchanges_finish() {
    let backend = backend();
    let mut ringgate = start(&backend, 2, "20s");
    let mut clients: Vec<Client> = (0..8).map(|_| ringgate.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET /1500 HTTP/1.1\r\nHost: test\r\n\r\n"));
    wait_until("the backend has them all", || backend.requests() == 8);
    ringgate.signal("TERM");
    for client in &mut clients {
        let answer = client.response();
        assert_eq!((answer.status(), answer.text()), (200, "/1500".to_owned()));
        assert!(answer.connection_has("close"));
        client.expect_fin();
    }
    assert_eq!(ringgate.wait_exit(PATIENCE).code(), Some(0));
}

/// A body that streams for longer than the grace, each way.
#[test]
fn bodies_under_way_finish() {
    const LENGTH: u64 = 6_000_000;
    let backend = Backend::script(|conn| {
        let Some(head) = conn.head() else { return };
        let mut sum = Sum::default();
        let framing = head.request_framing().expect("ringgate writes good framing");
        if conn.body(framing, &mut |bytes| sum.add(bytes)).is_none() {
            return;
        }
        if head.method() == "POST" {
            conn.send(answers::ok(&sum.hex()));
            return;
        }
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
        for piece in Payload::bytes(1, LENGTH as usize).chunks(LENGTH as usize / 30) {
            conn.send(piece);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let mut ringgate = start(&backend, 2, "20s");
    let mut down = ringgate.client();
    down.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let head = down.head();
    let mut up = ringgate.client();
    up.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {LENGTH}\r\n\r\n"));
    wait_until("both are under way", || backend.requests() == 2);
    ringgate.signal("TERM");
    let uploading = std::thread::spawn(move || {
        for piece in Payload::bytes(2, LENGTH as usize).chunks(LENGTH as usize / 30) {
            up.send(piece);
            std::thread::sleep(Duration::from_millis(100));
        }
        up.response()
    });
    let mut sum = Sum::default();
    assert_eq!(head.response_framing("GET").unwrap(), Framing::Length(LENGTH));
    down.body(Framing::Length(LENGTH), &mut |bytes| sum.add(bytes)).expect("the whole body");
    assert_eq!(sum.hex(), Payload::sha256(1, LENGTH));
    let answer = uploading.join().expect("the upload went through");
    assert_eq!((answer.status(), answer.text()), (200, Payload::sha256(2, LENGTH)));
    assert!(answer.connection_has("close"));
    assert_eq!(ringgate.wait_exit(PATIENCE).code(), Some(0));
}

/// Pipelined requests that were all there before the signal are all answered: only the last answer says close.
#[test]
fn pipelined_requests_are_all_answered() {
    let backend = backend();
    let mut ringgate = start(&backend, 1, "20s");
    let mut client = ringgate.client();
    client.send("GET /100 HTTP/1.1\r\nHost: test\r\n\r\n".repeat(12));
    assert_eq!(client.response().status(), 200);
    ringgate.signal("TERM");
    for nth in 2..=12 {
        let answer = client.try_response_to("GET").unwrap_or_else(|e| panic!("answer {nth} of 12: {e}"));
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.connection_has("close"), nth == 12, "answer {nth} of 12");
    }
    client.expect_fin();
    assert_eq!(ringgate.wait_exit(PATIENCE).code(), Some(0));
}

/// The same when they are more than one buffer holds: what the kernel still has counts too.
#[test]
fn pipelined_requests_beyond_a_buffer_are_all_answered() {
    const COUNT: usize = 60;
    let backend = backend();
    let mut ringgate = start(&backend, 1, "20s");
    let mut client = ringgate.client();
    client.send(format!("GET /10 HTTP/1.1\r\nHost: test\r\nX-Pad: {}\r\n\r\n", "x".repeat(1000)).repeat(COUNT));
    assert_eq!(client.response().status(), 200);
    ringgate.signal("TERM");
    for nth in 2..=COUNT {
        let answer = client.try_response_to("GET").unwrap_or_else(|e| panic!("answer {nth} of {COUNT}: {e}"));
        assert_eq!(answer.status(), 200);
    }
    client.expect_fin();
    assert_eq!(ringgate.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn idle_connections_get_the_grace() {
    let backend = Backend::fixed("hello");
    let mut ringgate = start(&backend, 2, "20s");
    let mut asks_later = ringgate.client();
    assert_eq!(asks_later.get("/").status(), 200);
    let mut never_asked = ringgate.client();
    let mut stays_idle = ringgate.client();
    assert_eq!(stays_idle.get("/").status(), 200);
    let mut clients = [ringgate.client(), ringgate.client(), ringgate.client()];
    let status = || ringgate.status().total("connections");
    wait_until("all are accepted", || status() == 6);
    let signalled = Instant::now();
    ringgate.signal("TERM");
    ringgate.expect_log("draining");
    std::thread::sleep(GRACE / 2);
    for client in clients.iter_mut().chain([&mut asks_later]) {
        let answer = client.get("/");
        assert_eq!(answer.status(), 200);
        assert!(answer.connection_has("close"), "{answer:?}");
        client.expect_fin();
    }
    assert!(ringgate.is_running());
    stays_idle.expect_fin();
    let waited = signalled.elapsed();
    assert!(waited > GRACE - Duration::from_millis(100) && waited < GRACE * 2, "idle for {waited:?}");
    never_asked.expect_fin();
    assert_eq!(ringgate.wait_exit(Duration::from_secs(2)).code(), Some(0), "{}", ringgate.log());
}

#[test]
fn without_connections_the_end_is_prompt() {
    let backend = Backend::fixed("hello");
    for signal in ["TERM", "INT"] {
        let mut ringgate = start(&backend, 2, "20s");
        assert_eq!(ringgate.client().get("/").status(), 200);
        let signalled = Instant::now();
        ringgate.signal(signal);
        assert_eq!(ringgate.wait_exit(PATIENCE).code(), Some(0), "{}", ringgate.log());
        assert!(signalled.elapsed() < Duration::from_millis(1500), "{:?}", signalled.elapsed());
        assert!(!ringgate.admin().exists(), "the admin socket is left behind");
    }
}

#[test]
fn a_stuck_exchange_is_cut_at_the_timeout() {
    let backend = Backend::script(|conn| conn.drain());
    let mut ringgate = start(&backend, 2, "2s");
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    backend.expect_connections(1);
    let signalled = Instant::now();
    ringgate.signal("TERM");
    let (answer, end) = client.read_to_end();
    let waited = signalled.elapsed();
    assert_ne!(end, End::Open);
    assert_eq!(answer, b"", "nobody answered");
    assert!(waited > Duration::from_millis(1900) && waited < Duration::from_secs(4), "cut after {waited:?}");
    assert_eq!(ringgate.wait_exit(Duration::from_secs(2)).code(), Some(0), "{}", ringgate.log());
    assert!(ringgate.log().contains("shutdown_timeout"), "{}", ringgate.log());
}

#[test]
fn a_second_signal_ends_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let backend = Backend::script(|conn| conn.drain());
        let mut ringgate = start(&backend, 2, "20s");
        let mut client = ringgate.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        backend.expect_connections(1);
        ringgate.signal(first);
        ringgate.expect_log("draining");
        std::thread::sleep(Duration::from_millis(200));
        assert!(ringgate.is_running());
        let signalled = Instant::now();
        ringgate.signal(second);
        assert_eq!(ringgate.wait_exit(PATIENCE).code(), Some(1), "{}", ringgate.log());
        assert!(signalled.elapsed() < Duration::from_secs(1), "{:?}", signalled.elapsed());
    }
}

/// Nobody can tell when a tunnel is done, so it has all the time there is.
#[test]
fn a_tunnel_is_cut_only_at_the_timeout() {
    let backend = Backend::script(|conn| {
        conn.head();
        conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
        loop {
            let bytes = conn.some();
            if bytes.is_empty() || !conn.send(bytes) {
                return;
            }
        }
    });
    let mut ringgate = start(&backend, 2, "4s");
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    assert_eq!(client.head().status(), 101);
    let signalled = Instant::now();
    ringgate.signal("TERM");
    while signalled.elapsed() < Duration::from_millis(3500) {
        client.send("ping");
        assert_eq!(client.read_exactly(4), b"ping");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_ne!(client.read_to_end().1, End::Open);
    let waited = signalled.elapsed();
    assert!(waited > Duration::from_millis(3900) && waited < Duration::from_secs(6), "cut after {waited:?}");
    assert_eq!(ringgate.wait_exit(Duration::from_secs(2)).code(), Some(0), "{}", ringgate.log());
}

/// Requests that come just as the grace ends: each is answered, or its client could see FIN before it sent. One may cross the
/// FIN, for nobody can look and send in one step; a slow end of the connections loses several.
#[test]
fn requests_at_the_end_of_the_grace_are_not_lost() {
    const CLIENTS: usize = 300;
    let backend = Backend::fixed("hello");
    let mut ringgate = start(&backend, 2, "20s");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| ringgate.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status(), 200));
    ringgate.signal("TERM");
    ringgate.expect_log("draining");
    let signalled = Instant::now();
    let lost: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .chunks_mut(CLIENTS / 10)
            .map(|clients| {
                scope.spawn(move || {
                    // Around the end of the grace, each a little later than the last.
                    std::thread::sleep((GRACE - Duration::from_millis(50)).saturating_sub(signalled.elapsed()));
                    let mut lost = Vec::new();
                    for client in clients {
                        std::thread::sleep(Duration::from_millis(4));
                        if super::logged::saw_end(client)
                            || client.try_send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").is_err()
                        {
                            continue;
                        }
                        let answer = client.try_response_to("GET");
                        if let Err(error) = answer {
                            lost.push(format!("{:?} after the signal: {error}", signalled.elapsed()));
                        }
                    }
                    lost
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it only logs")).collect()
    });
    assert!(lost.len() <= 1, "{} of {CLIENTS} lost: {lost:#?}", lost.len());
    assert_eq!(ringgate.wait_exit(PATIENCE).code(), Some(0));
}
