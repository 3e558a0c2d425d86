//! A server on probation: whose request tries it, and what counts as a success.

use super::*;

fn put_on_probation(house: &House) {
    let (live, now) = (house.cx.live(), house.reactor.now_ms());
    let group = live.groups[0].group();
    let refused = crate::balance::health::Cause::Broken(crate::proto::reason::Reason::ConnectRefused);
    (0..3).for_each(|_| group.failed(0, refused, now, 0));
    group.view(now + 1_000_000);
    assert_eq!(group.entries()[0].member.state(), crate::balance::health::State::Probation);
}

#[test]
fn a_long_session_that_was_the_trial_does_not_keep_the_next_one_away() {
    let house = House::new(1, Faults::default());
    let live = house.cx.live();
    put_on_probation(&house);
    let mut tried = crate::balance::Tried::new();
    tried.insert(1);
    let pick = || house.cx.upstreams.pick(&live, 0, &tried, crate::balance::Key::default());
    let Pick::Server(session) = pick() else { panic!("the trial") };
    session.succeeded(); // as TCP does when it is connected, and HTTP with a 101: the session goes on for hours
    assert_eq!(live.groups[0].group().entries()[0].member.state(), crate::balance::health::State::Up);
    put_on_probation(&house);
    let again = matches!(pick(), Pick::Server(_));
    drop(session);
    assert!(again, "nobody can try it as long as the old session lives");
}

#[test]
fn a_stream_that_the_client_ends_is_a_success() {
    let house = House::new(1, Faults::default());
    put_on_probation(&house);
    let live = house.cx.live();
    let members = live.groups[0].group().entries();
    members[1].member.set_override(crate::balance::Override { drained: true, weight: None });
    for _ in 0..3 {
        let client = house.client();
        house.driver.world().feed(client, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
        let backend = house.backend();
        house.await_sent(backend, b"\r\n\r\n");
        house.driver.world().feed(backend, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent!\r\n");
        house.until("the event is there", |house| String::from_utf8_lossy(&house.sent(client)).contains("event!"));
        house.driver.world().break_off(client, libc::ECONNRESET);
        for _ in 0..3 {
            // Writing it shows that the client is gone.
            if !house.driver.world().end(backend).closed {
                house.driver.world().feed(backend, b"6\r\nevent!\r\n");
            }
            (0..20).for_each(|_| house.reactor.turn().expect("a scripted ring does not fail"));
        }
        house.idle(0);
        assert_eq!(members[0].member.stats(0).failures.get(), 0, "the client left, not the server");
    }
    assert_eq!(members[0].member.state(), crate::balance::health::State::Up);
}

#[test]
fn a_client_cannot_make_a_server_fail() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    house.driver.world().feed(client, head);
    let backend = house.backend();
    house.until("the body is on its way", |house| String::from_utf8_lossy(&house.sent(backend)).contains("ok"));
    house.driver.world().feed(backend, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nearly");
    house.await_sent(client, b"early");
    house.driver.world().feed(client, b"this is no chunk\r\n");
    house.idle(0);
    let live = house.cx.live();
    let failures: u64 = live.groups[0].group().entries().iter().map(|e| e.member.stats(0).failures.get()).sum();
    assert_eq!(failures, 0, "the client's mistake is held against the server");
}

#[test]
fn with_nobody_else_well_probation_refuses_nobody() {
    use crate::balance::health::{State, Verdict};
    let house = House::new(1, Faults::default());
    let live = house.cx.live();
    let group = live.groups[0].group();
    put_on_probation(&house);
    group.checked(1, Verdict::Failed { why: "no".to_owned(), slow: false }, false, house.reactor.now_ms());
    assert_eq!(group.entries()[1].member.state(), State::Down);
    let pick = || house.cx.upstreams.pick(&live, 0, &crate::balance::Tried::new(), crate::balance::Key::default());
    let first = pick();
    assert!(matches!(first, Pick::Server(_)));
    let second = matches!(pick(), Pick::Server(_));
    drop(first);
    assert!(second, "fail_open is on, yet the second request at the same time gets an error page");
}
