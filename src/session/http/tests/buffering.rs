//! `proxy_request_buffering = "on"`: bodies that are read before a server is asked.

use super::*;
use crate::proto::reason::Reason;
use crate::ring::scripted::Disk;

/// A house whose location holds bodies, 1024 bytes of each in memory.
fn holding(faults: Faults, lines: &str) -> (House, log::LogReceiver) {
    let text = format!(
        r#"
            error_page = ["404 413 /plain", "410 /page", "502 503 = @other"]
            [upstream.backend]
            server = ["127.0.0.1:3001", "127.0.0.1:3002"]
            [[server]]
            listen = "127.0.0.1:8080"
            [server.location."/"]
            proxy_pass = "http://backend"
            proxy_request_buffering = "on"
            client_body_buffer_size = "1k"
            {lines}
            [server.location."/plain"]
            return = "200 plain"
            [server.location."/page"]
            proxy_pass = "http://backend"
            proxy_request_buffering = "on"
            [server.location."@other"]
            proxy_pass = "http://backend"
        "#
    );
    let site = config::load_str("test.toml", &text).expect("a good configuration").plan;
    let (house, log) = House::logged(1, faults, |plan| *plan = site);
    let directory = std::env::temp_dir();
    let name = directory.to_str().unwrap().trim_end_matches('/').to_owned();
    house.driver.world().disk.insert(name, Disk::directory());
    (house, log)
}

fn house(lines: &str) -> House {
    holding(Faults::default(), lines).0
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn errors(house: &House, reason: Reason) -> u64 {
    house.stats.workers[0].errors[reason.index()].get()
}

/// What is there is read, and nobody was asked.
fn untold(house: &House, client: Descriptor) {
    house.until("it is read", |house| house.driver.world().end(client).inbox.is_empty());
    (0..20).for_each(|_| house.reactor.turn().expect("a scripted ring does not fail"));
    assert!(house.driver.world().connected.is_empty());
}

/// Nothing of temporary files is left but their directory.
fn clean(house: &House) {
    let world = house.driver.world();
    assert_eq!((world.open_files.len(), world.disk.len()), (0, 1), "{:?}", world.disk.keys());
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The head and the body that a server got, once it got all.
fn got(house: &House, backend: Descriptor, body: &[u8]) -> String {
    let whole = |house: &House| {
        let sent = house.sent(backend);
        sent.windows(4).any(|end| end == b"\r\n\r\n") && split_head(&sent).1.len() >= body.len()
    };
    house.until("the whole request", whole);
    let sent = house.sent(backend);
    let (head, seen) = split_head(&sent);
    assert!(seen == body, "{} bytes for {}", seen.len(), body.len());
    head
}

#[test]
fn no_server_is_asked_before_the_last_byte() {
    for faults in [
        Faults::default(),
        Faults { read_most: 7, write_most: 11, late_turns: 3, send_eagain: 3, ..Faults::default() },
        Faults { no_tmpfile: true, late_turns: 2, ..Faults::default() },
    ] {
        for length in [1, 1023, 1024, 1025, 5000, 100_000] {
            let (house, _) = holding(faults.clone(), "");
            let (client, body) = (house.client(), bytes(length));
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            house.driver.world().feed(client, head.as_bytes());
            untold(&house, client);
            house.driver.world().feed(client, &body[..length - 1]);
            untold(&house, client);
            house.driver.world().feed(client, &body[length - 1..]);
            let backend = house.backend();
            let head = got(&house, backend, &body);
            assert!(head.contains(&format!("\r\nContent-Length: {length}\r\n")), "{head}");
            assert_eq!(house.driver.world().disk_written > 0, length > 1024, "what fits stays in memory");
            house.driver.world().feed(backend, OK);
            house.await_sent(client, b"ok");
            house.driver.world().fin(client);
            house.idle(1);
            clean(&house);
        }
    }
}

#[test]
fn what_came_in_chunks_goes_on_with_a_length() {
    for (pieces, read_most) in [(1, 0), (3, 0), (1, 1), (1, 900)] {
        for length in [0, 5, 3000] {
            let house = holding(Faults { read_most, ..Faults::default() }, "").0;
            let (client, body) = (house.client(), bytes(length));
            let mut request =
                b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n".to_vec();
            for chunk in body.chunks(400) {
                request.extend(format!("{:x};e=1\r\n", chunk.len()).bytes().chain(chunk.iter().copied()));
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\nX-Sum: 1\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
            let end = request.len() - 40; // before the last chunk's end
            for piece in request[..end].chunks(end.div_ceil(pieces)) {
                house.driver.world().feed(client, piece);
                untold(&house, client);
            }
            house.driver.world().feed(client, &request[end..]);
            let backend = house.backend();
            let head = got(&house, backend, &body);
            assert!(head.contains(&format!("\r\nContent-Length: {length}\r\n")), "{head}");
            assert!(!head.contains("chunked") && !head.contains("X-Sum: 1"), "{head}");
            house.driver.world().feed(backend, OK);
            // What came behind the body is the next request.
            let next = house.backend();
            assert!(got(&house, next, b"").starts_with("GET /next HTTP/1.1\r\n"));
            house.driver.world().feed(next, OK);
            house.until("both answers", |house| {
                house.sent(client).windows(6).filter(|end| end == b"\r\n\r\nok").count() == 2
            });
            house.driver.world().fin(client);
            house.idle(2);
            clean(&house);
        }
    }
}

/// Requests of all kinds behind each other in one piece: each gets its own body, and its own answer.
#[test]
fn pipelined_requests_are_told_apart() {
    for (gap, read_most) in [(0, 0), (3, 0), (1500, 0), (40_000, 0), (0, 13), (20_000, 1000)] {
        let house = holding(Faults { read_most, ..Faults::default() }, "").0;
        let client = house.client();
        let bodies = [bytes(gap + 5), bytes(2), bytes(gap), bytes(30)];
        let mut all = Vec::new();
        for (nth, body) in bodies.iter().enumerate() {
            let length = body.len();
            match nth % 2 {
                0 => all.extend(format!("POST /{nth} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").bytes()),
                _ => {
                    let framing = "Transfer-Encoding: chunked";
                    all.extend(format!("POST /{nth} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{length:x}\r\n").bytes())
                }
            }
            all.extend(body);
            if nth % 2 == 1 {
                all.extend(b"\r\n0\r\n\r\n");
            }
        }
        all.extend(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        house.driver.world().feed(client, &all);
        let closing = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n";
        for (nth, body) in bodies.iter().enumerate() {
            let backend = house.backend();
            let head = got(&house, backend, body);
            assert!(head.starts_with(&format!("POST /{nth} HTTP/1.1\r\n")), "{head}");
            house.driver.world().feed(backend, &[&closing[..], &[b'0' + nth as u8]].concat());
            house.driver.world().fin(backend);
        }
        let backend = house.backend();
        assert!(got(&house, backend, b"").starts_with("GET /last "));
        house.driver.world().feed(backend, &[&closing[..], b"!"].concat());
        house.driver.world().fin(backend);
        house.await_sent(client, b"!");
        house.driver.world().fin(client);
        house.idle(0);
        clean(&house);
    }
}

#[test]
fn another_server_gets_the_same_body() {
    for length in [10, 1024, 70_000] {
        // Before it answered, and by its status; what is not idempotent only before it can have seen any of it.
        for answer in [&b""[..], b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"] {
            let house = house("proxy_next_upstream = \"error timeout http_503\"");
            let (client, body) = (house.client(), bytes(length));
            let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            house.driver.world().feed(client, &[head.as_bytes(), &body].concat());
            let first = house.backend();
            got(&house, first, &body);
            house.driver.world().feed(first, answer);
            house.driver.world().fin(first);
            let second = house.backend();
            got(&house, second, &body);
            house.driver.world().feed(second, OK);
            house.await_sent(client, b"ok");
            house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            house.until("the next request", |house| {
                house.sent(second).ends_with(b"\r\n\r\n") || !house.driver.world().connected.is_empty()
            });
            house.driver.world().break_off(client, libc::ECONNRESET);
            house.until("the client's end", |house| house.driver.world().end(client).closed);
            clean(&house);
        }
    }
}

#[test]
fn a_server_that_breaks_off_in_the_middle_is_replaced() {
    let house = house("");
    let (client, body) = (house.client(), bytes(500_000));
    house
        .driver
        .world()
        .feed(client, &[b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n", &body[..]].concat());
    let first = house.backend();
    house.until("a part of it", |house| house.sent(first).len() > 100_000);
    house.driver.world().break_off(first, libc::ECONNRESET);
    let second = house.backend();
    got(&house, second, &body);
    house.driver.world().feed(second, OK);
    house.await_sent(client, b"ok");
    house.driver.world().fin(client);
    house.idle(1);
    clean(&house);
}

#[test]
fn a_named_location_gets_the_held_body_again() {
    let house = house("proxy_next_upstream = \"off\"");
    let (client, body) = (house.client(), bytes(3000));
    house
        .driver
        .world()
        .feed(client, &[b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n", &body[..]].concat());
    let first = house.backend();
    got(&house, first, &body);
    house.driver.world().fin(first);
    let second = house.backend();
    got(&house, second, &body);
    house.driver.world().feed(second, OK);
    house.await_sent(client, b"ok");
    house.driver.world().fin(client);
    house.idle(1);
    clean(&house);
}

/// A page is asked for without the body, and what came behind the body is the next request all the same.
#[test]
fn pages_for_errors_leave_the_next_request_where_it_is() {
    for (status, length) in [(410, 9), (410, 9000), (404, 9), (404, 9000)] {
        let house = house("proxy_intercept_errors = \"on\"");
        let (client, body) = (house.client(), bytes(length));
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let next = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
        house.driver.world().feed(client, &[head.as_bytes(), &body, next].concat());
        let first = house.backend();
        got(&house, first, &body);
        let answer = format!("HTTP/1.1 {status} Gone\r\nContent-Length: 4\r\n\r\ngone");
        house.driver.world().feed(first, answer.as_bytes());
        if status == 410 {
            let page = house.backend();
            let head = got(&house, page, b"");
            assert!(head.starts_with("GET /page ") && !head.contains("Content-Length"), "{head}");
            house.driver.world().feed(page, OK);
            house.await_sent(client, b"ok");
            // Its connection is used again.
            house.until("the next request", |house| {
                let used = String::from_utf8_lossy(&house.sent(page)).contains("GET /next ");
                used || !house.driver.world().connected.is_empty()
            });
            house.driver.world().break_off(client, libc::ECONNRESET);
        } else {
            let second = house.backend();
            assert!(got(&house, second, b"").starts_with("GET /next "));
            assert!(String::from_utf8_lossy(&house.sent(client)).ends_with("\r\n\r\nplain"));
            house.driver.world().feed(second, OK);
            house.await_sent(client, b"ok");
            house.driver.world().fin(client);
        }
        house.until("the client's end", |house| house.driver.world().end(client).closed);
        clean(&house);
    }
}

#[test]
fn an_answer_before_the_bodys_end_keeps_the_client() {
    let house = house("");
    let (client, body) = (house.client(), bytes(400_000));
    house
        .driver
        .world()
        .feed(client, &[b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n", &body[..]].concat());
    let first = house.backend();
    house.driver.world().end(first).stalled = true;
    house.driver.world().feed(first, b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
    house.await_sent(client, b"no");
    house.until("that connection is given up", |house| house.driver.world().end(first).closed);
    house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let second = house.backend();
    got(&house, second, b"");
    house.driver.world().feed(second, OK);
    house.await_sent(client, b"ok");
    house.driver.world().fin(client);
    house.idle(1);
    clean(&house);
}

#[test]
fn bodies_that_are_too_large_or_malformed_reach_nobody() {
    let rows = [
        ("Content-Length: 5001", String::new(), 413, Reason::BodyTooLarge),
        ("Transfer-Encoding: chunked", format!("1389\r\n{}\r\n0\r\n\r\n", "x".repeat(5001)), 413, Reason::BodyTooLarge),
        ("Transfer-Encoding: chunked", format!("1388\r\n{}\r\nzz\r\n", "x".repeat(5000)), 400, Reason::BadChunk),
    ];
    for (field, body, status, reason) in rows {
        let house = house("client_max_body_size = \"5000\"");
        let behind = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let answer = house.told(&format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{body}{behind}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        // Nothing behind the body is taken for a request, whether a page of ours or of the configuration's is sent.
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(errors(&house, reason), u64::from(status == 400), "a page takes the place of 413");
        assert!(house.driver.world().connected.is_empty());
        house.idle(0);
        clean(&house);
    }
}

#[test]
fn clients_that_go_or_stop_bother_nobody() {
    for length in [10, 5000] {
        for cut in ["fin", "reset", "time"] {
            let (house, log) = holding(Faults::default(), "");
            let client = house.client();
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            house.driver.world().feed(client, &[head.as_bytes(), &bytes(length - 1)].concat());
            untold(&house, client);
            match cut {
                "fin" => house.driver.world().fin(client),
                "reset" => house.driver.world().break_off(client, libc::ECONNRESET),
                _ => house.until("408", |house| house.sent(client).starts_with(b"HTTP/1.1 408 ")),
            }
            let reason = if cut == "time" { Reason::BodyTimeout } else { Reason::ClientGone };
            if cut == "time" {
                house.driver.world().fin(client);
            }
            house.idle(0);
            assert_eq!(errors(&house, reason), 1);
            assert!(house.driver.world().connected.is_empty());
            clean(&house);
            let mut lines = Vec::new();
            log.drain_to(&mut lines);
            let lines = String::from_utf8(lines).unwrap();
            assert_eq!(lines.matches(reason.name()).count(), 1, "{lines}");
        }
    }
}

#[test]
fn a_full_disk_is_told() {
    for (faults, without) in [
        (Faults { disk_most: 3000, ..Faults::default() }, false),
        (Faults { write_most: 900, disk_most: 2100, ..Faults::default() }, false),
        (Faults::default(), true),
    ] {
        let (house, log) = holding(faults, "");
        if without {
            house.driver.world().disk.values_mut().for_each(|directory| directory.error = libc::EACCES);
        }
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n{}", "x".repeat(9000));
        let answer = house.told(&request);
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("body_not_kept"), "{answer}");
        house.idle(0);
        clean(&house);
        let mut lines = Vec::new();
        log.drain_to(&mut lines);
        let lines = String::from_utf8(lines).unwrap();
        assert!(lines.contains(&format!(", in {}: ", std::env::temp_dir().display())), "{lines}");
        assert!(house.driver.world().connected.is_empty());
    }
}

#[test]
fn who_waits_for_100_is_answered_by_us() {
    let house = house("");
    let client = house.client();
    let head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    house.driver.world().feed(client, head);
    house.await_sent(client, b"HTTP/1.1 100 Continue\r\n\r\n");
    untold(&house, client);
    house.driver.world().feed(client, b"one");
    let backend = house.backend();
    let seen = got(&house, backend, b"one");
    assert!(!seen.contains("Expect"), "{seen}");
    house.driver.world().feed(backend, OK);
    house.await_sent(client, b"ok");
    // Who does not wait is not told, and HTTP/1.0 knows no 100.
    house.driver.world().feed(client, &[&head[..], b"two"].concat());
    let backend = house.backend();
    got(&house, backend, b"two");
    house.driver.world().feed(backend, OK);
    house.until("both", |house| house.sent(client).windows(6).filter(|end| end == b"\r\n\r\nok").count() == 2);
    assert_eq!(house.sent(client).windows(4).filter(|text| text == b" 100").count(), 1);
    house.driver.world().fin(client);
    house.idle(2);
    let client = house.client();
    let head = b"PUT / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    house.driver.world().feed(client, head);
    untold(&house, client);
    house.driver.world().feed(client, b"old");
    house.until("it is sent on", |house| house.driver.world().ends.values().any(|end| end.outbox.ends_with(b"old")));
    assert!(house.sent(client).is_empty());
    house.driver.world().break_off(client, libc::ECONNRESET);
    house.until("the client's end", |house| house.driver.world().end(client).closed);
}

#[test]
fn what_has_no_body_and_what_is_not_asked_for_is_as_ever() {
    for (lines, request) in [
        ("", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
        ("", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ] {
        let house = house(lines);
        let client = house.client();
        house.driver.world().feed(client, request.as_bytes());
        let backend = house.backend();
        house.await_sent(backend, b"\r\n\r\n");
        house.driver.world().break_off(client, libc::ECONNRESET);
        house.idle(0);
    }
    // Off: the server is asked at once.
    let house = House::new(1, Faults::default());
    let client = house.client();
    house.driver.world().feed(client, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    house.driver.world().break_off(client, libc::ECONNRESET);
    house.idle(0);
}
