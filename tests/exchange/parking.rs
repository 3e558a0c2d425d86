//! Idle connections are parked: no buffer, no task; and nothing about them differs for the client.

use crate::support::{Backend, Client, Ringgate, Setup, wait_until};
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn start(lines: &str) -> (Backend, Ringgate) {
    let backend = Backend::fixed("hello");
    // No pool, whose connections would be among the sockets left.
    let setup = Setup::new().top(lines).upstream("backend", &[backend.place()], "keepalive = 0");
    let ringgate = setup.server("127.0.0.1:0", "", &[("/", "http://backend", "")]).start();
    (backend, ringgate)
}

#[track_caller]
fn ask(client: &mut Client) {
    client.send(GET);
    let answer = client.response();
    assert_eq!((answer.status(), &answer.text()[..]), (200, "hello"));
}

#[track_caller]
fn wait_parked(ringgate: &Ringgate, count: u64) {
    wait_until("they are parked", || ringgate.status().total("parked") == count);
}

#[test]
fn a_parked_connection_holds_no_task_and_answers_as_before() {
    let (_backend, ringgate) = start("");
    let rest = ringgate.status();
    let mut clients: Vec<_> = (0..20).map(|_| ringgate.client()).collect();
    for round in 0..2 {
        clients.iter_mut().for_each(ask);
        wait_parked(&ringgate, 20);
        let status = ringgate.status();
        assert_eq!(status.total("connections"), 20, "they are open all the same");
        for gauge in ["tasks", "timers"] {
            assert_eq!(status.total(gauge), rest.total(gauge), "{gauge} in round {round}");
        }
        assert_eq!(status.total("buffers_small_out"), 0);
    }
    clients.iter_mut().for_each(ask);
    assert_eq!(ringgate.status().total("parked"), 0);
    drop(clients);
    ringgate.expect_clean(&rest);
}

#[test]
fn one_that_never_asked_is_parked_too_and_may_still_ask() {
    let (_backend, ringgate) = start("");
    let mut client = ringgate.client();
    wait_parked(&ringgate, 1);
    ask(&mut client);
}

/// A head that comes in two pieces, the first of which wakes a parked connection.
#[test]
fn half_a_head_wakes_it() {
    let (_backend, ringgate) = start("");
    let mut client = ringgate.client();
    ask(&mut client);
    wait_parked(&ringgate, 1);
    client.send(&GET[..20]);
    wait_until("it is awake", || ringgate.status().total("parked") == 0);
    client.send(&GET[20..]);
    assert_eq!(client.response().status(), 200);
}

#[test]
fn fin_and_reset_close_parked_connections() {
    let (_backend, ringgate) = start("");
    let rest = ringgate.status();
    for reset in [false, true] {
        let mut clients: Vec<_> = (0..8).map(|_| ringgate.client()).collect();
        clients.iter_mut().for_each(ask);
        wait_parked(&ringgate, 8);
        if reset {
            clients.drain(..).for_each(Client::reset);
        }
        drop(clients);
        wait_parked(&ringgate, 0);
        ringgate.expect_clean(&rest);
    }
    assert_eq!(ringgate.status().errors("client_gone"), 0, "an idle client may go when it likes");
}

/// The last request and FIN in one segment: the answer comes before the end.
#[test]
fn a_request_with_fin_behind_it_is_answered() {
    let (_backend, ringgate) = start("");
    let mut client = ringgate.client();
    ask(&mut client);
    wait_parked(&ringgate, 1);
    client.send(GET);
    client.finish();
    assert_eq!(client.response().status(), 200);
    client.expect_fin();
}

#[test]
fn a_parked_connection_ends_with_its_keepalive_timeout() {
    let (_backend, ringgate) = start("keepalive_timeout = \"2500ms\"");
    let rest = ringgate.status();
    let began = std::time::Instant::now();
    let mut client = ringgate.client();
    ask(&mut client);
    wait_parked(&ringgate, 1);
    client.expect_fin();
    assert!(began.elapsed() >= Duration::from_millis(2500), "not before its time");
    drop(client);
    ringgate.expect_clean(&rest);
}

#[test]
fn a_drain_still_answers_parked_connections_and_then_closes_them() {
    let (_backend, mut ringgate) = start("");
    let mut clients: Vec<_> = (0..10).map(|_| ringgate.client()).collect();
    clients.iter_mut().for_each(ask);
    wait_parked(&ringgate, 10);
    ringgate.signal("TERM");
    ringgate.expect_log("SIGTERM");
    for client in &mut clients[..5] {
        client.send(GET);
        let answer = client.response();
        assert_eq!((answer.status(), answer.connection_has("close")), (200, true));
    }
    clients.iter_mut().for_each(Client::expect_fin);
    assert!(ringgate.wait_exit(Duration::from_secs(20)).success());
}

/// Found by hand: a worker that was cut short with connections parked panicked at its end.
#[test]
fn a_worker_that_is_cut_short_closes_them() {
    let (_backend, mut ringgate) = start("shutdown_timeout = \"100ms\"");
    let mut clients: Vec<_> = (0..10).map(|_| ringgate.client()).collect();
    clients.iter_mut().for_each(ask);
    wait_parked(&ringgate, 10);
    ringgate.signal("TERM");
    clients.iter_mut().for_each(|client| assert!(client.try_response_to("GET").is_err(), "nobody asked"));
    assert!(ringgate.wait_exit(Duration::from_secs(20)).success());
    assert!(!ringgate.log().contains("panicked"), "{}", ringgate.log());
}
