//! Servers that cannot be reached, or only some day, and pooled connections that are dead.

use super::*;

#[test]
fn servers_that_cannot_be_reached_are_passed_over() {
    let house = House::new(1, Faults::default());
    // ENOBUFS for the first socket, then a second server that answers.
    house.driver.world().faults.socket_errors.push_back(libc::ENOBUFS);
    let client = house.client();
    house.driver.world().feed(client, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\nok");
    house.driver.world().feed(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
    house.await_sent(client, b"\r\n\r\n");
    // Both refuse: 502 with the reason's name, and the connection lives on.
    house.driver.world().fin(backend);
    house.driver.world().connect_results.extend([-libc::ECONNREFUSED, -libc::ECONNREFUSED]);
    house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    house.until("an error page", |house| {
        let sent = String::from_utf8(house.sent(client)).unwrap();
        sent.contains("HTTP/1.1 502 ") && sent.contains("X-Ringgate-Reason: connect_refused")
    });
    assert!(!house.driver.world().end(client).finished);
    house.driver.world().fin(client);
    house.idle(0);
}

#[test]
fn a_connection_that_never_opens_times_out() {
    let house = House::new(1, Faults::default());
    house.driver.world().faults.late_turns = 0;
    let client = house.client();
    house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    house.driver.world().hold_connects = true;
    house.until("504", |house| house.sent(client).starts_with(b"HTTP/1.1 504 "));
    assert!(String::from_utf8(house.sent(client)).unwrap().contains("connect_timeout"));
    house.driver.world().fin(client);
    house.idle(0);
}

#[test]
fn a_dead_pooled_connection_is_replaced() {
    for (method, resent) in [("GET", true), ("POST", false)] {
        let house = House::new(1, Faults::default());
        let client = house.client();
        for _ in 0..2 {
            // Fills the pools of both servers.
            house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let backend = house.backend();
            house.await_sent(backend, b"\r\n\r\n");
            house.driver.world().feed(backend, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            house.await_sent(client, b"\r\n\r\n");
        }
        house.idle_but(client, 2);
        // The pooled connection dies at the very moment it is used: bytes were accepted, then EPIPE and reset.
        let answers = house.sent(client).len();
        let pooled: Vec<i32> =
            house.driver.world().ends.iter().filter(|(d, e)| **d != client.0 && !e.closed).map(|(d, _)| *d).collect();
        house
            .driver
            .world()
            .feed(client, format!("{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").as_bytes());
        house.until("a pooled connection is used", |house| {
            pooled.iter().any(|&d| String::from_utf8_lossy(&house.sent(Descriptor(d))).contains(" /x "))
        });
        let used =
            pooled.iter().copied().find(|&d| String::from_utf8_lossy(&house.sent(Descriptor(d))).contains(" /x "));
        house.driver.world().break_off(Descriptor(used.unwrap()), libc::ECONNRESET);
        if resent {
            let fresh = house.backend();
            house.await_sent(fresh, b"\r\n\r\n");
            house.driver.world().feed(fresh, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh");
            house.await_sent(client, b"fresh");
        } else {
            // RFC 9110 9.2.2: the backend may have acted on it.
            house.until("502", |house| house.sent(client)[answers..].starts_with(b"HTTP/1.1 502 "));
            assert!(house.driver.world().connected.is_empty());
        }
    }
}
