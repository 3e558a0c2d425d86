//! `max_conns` is a promise to a backend: never more at a time, over all workers. The rest waits its turn.

use super::load::{Clients, Load, Outcome, expect_good};
use super::process::Process;
use super::support::{Place, Ringgate, Setup, wait_until};
use super::{backends, session};
use std::time::Duration;

const CROWD: Clients = Clients { gets: 60, posts: 4 };

#[track_caller]
fn limited(backends: &[Process], max_conns: usize, group: &str) -> Ringgate {
    let list: Vec<String> = backends.iter().map(|b| format!("\"{} max_conns={max_conns}\"", b.place)).collect();
    let setup = Setup::new().workers(4).upstream_list("app", &list.join(", "), group);
    setup.server("127.0.0.1:0", "", &[("/", "http://app", "")]).start()
}

/// 64 clients, 4 workers, 10 places: all are answered, and nobody ever has an eleventh.
#[test]
fn max_conns_holds_exactly_over_all_workers() {
    for balance in ["round_robin", "least_conn", "random"] {
        let backends = backends(2);
        backends.iter().for_each(|backend| backend.tell("delay 3"));
        let ringgate = limited(&backends, 5, &format!("balance = \"{balance}\""));
        expect_good(&Load::run(ringgate.place(), CROWD, 12), balance);
        for backend in &backends {
            assert_eq!(backend.report().peak, 5, "{balance}: the most at a time on {}", backend.name);
        }
        assert_eq!(ringgate.status().in_flight(), 0);
    }
}

#[track_caller]
fn expect_only_200_and_503(outcomes: &[Outcome]) -> (usize, usize) {
    let count = |status| outcomes.iter().filter(|outcome| outcome.status() == status).count();
    let (good, refused) = (count(200), count(503));
    let other = outcomes.iter().find(|outcome| ![200, 503].contains(&outcome.status()));
    assert!(other.is_none(), "{other:?}");
    assert!(good > 0 && refused > 0, "{good} good, {refused} refused");
    (good, refused)
}

/// Without a queue the surplus is told so at once: by 503, and nothing else.
#[test]
fn without_a_queue_the_surplus_gets_503() {
    let backends = backends(2);
    backends.iter().for_each(|backend| backend.tell("delay 20"));
    let ringgate = limited(&backends, 3, "queue = 0");
    let (good, _) = expect_only_200_and_503(&Load::run(ringgate.place(), CROWD, 10));
    for backend in &backends {
        assert!(backend.report().peak <= 3, "{}: {:?}", backend.name, backend.report());
    }
    assert_eq!(backends.iter().map(Process::got).sum::<usize>(), good, "a refused request went to nobody");
}

/// The queue is bounded: with 2 in service and 5 that wait, the others of 64 are refused.
#[test]
fn a_full_queue_refuses() {
    let backends = backends(1);
    backends[0].tell("delay 100");
    let ringgate = limited(&backends, 2, "queue = 5");
    let (good, refused) = expect_only_200_and_503(&Load::run(ringgate.place(), CROWD, 1));
    assert!(good >= 7, "2 and the 5 that wait are answered: {good} good, {refused} refused");
    assert!(backends[0].report().peak <= 2);
}

/// So is the time in it.
#[test]
fn who_waits_too_long_gets_503() {
    let backends = backends(1);
    backends[0].tell("delay 400");
    let ringgate = limited(&backends, 1, "queue_timeout = \"100ms\"");
    expect_only_200_and_503(&Load::run(ringgate.place(), Clients { gets: 8, posts: 0 }, 1));
    assert_eq!(backends[0].report().peak, 1);
}

/// A place in the queue of a client that has gone is nobody's: the others are served.
#[test]
fn who_leaves_the_queue_holds_up_nobody() {
    let backends = backends(1);
    backends[0].tell("delay 200");
    let ringgate = limited(&backends, 1, "");
    for _ in 0..10 {
        let mut client = ringgate.client();
        client.send("GET /gone HTTP/1.1\r\nHost: test\r\n\r\n");
        client.reset();
    }
    backends[0].tell("delay 0");
    expect_good(&Load::run(ringgate.place(), Clients { gets: 4, posts: 0 }, 5), "after those that left");
    wait_until("nothing is held for those that left", || ringgate.status().in_flight() == 0);
}

/// TCP sessions wait as requests do.
#[test]
fn a_tcp_session_waits_for_a_place() {
    let backend = Process::echo("a");
    let list = format!("\"{} max_conns=1\"", backend.place);
    let lines = "[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"db\"";
    let ringgate = Setup::new().upstream_list("db", &list, lines).start();
    let first = session(ringgate.place());
    let place: Place = ringgate.place().clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let mut second = session(&place);
        sender.send(second.echo("hello")).expect("the test waits");
    });
    assert!(receiver.recv_timeout(Duration::from_millis(300)).is_err(), "a second session beside the only one allowed");
    assert_eq!(backend.report().connections, 1);
    drop(first);
    waiting.join().expect("the second session is served");
    assert!(receiver.recv().expect("it was sent"), "the second session works");
}
