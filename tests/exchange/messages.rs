//! Messages one after the other: keep-alive, pipelining, HEAD, answers without bodies, trailers, early answers.

use super::support::payload::{Payload, Sum};
use super::support::{Backend, End, Framing, backend, show};
use super::{before, before_with};
use std::io::Write;

#[test]
fn one_connection_serves_many_requests_and_so_does_the_one_behind_it() {
    let backend = Backend::answer(|request| backend::ok(&format!("{} {}", request.target(), request.text())));
    let ringgate = before_with(&backend, "");
    let start = ringgate.status();
    let mut client = ringgate.client();
    for i in 0..100 {
        assert_eq!(client.get(&format!("/{i}")).text(), format!("/{i} "));
        assert_eq!(client.post(&format!("/{i}"), b"body").text(), format!("/{i} body"));
    }
    // One worker has one pool: other clients find the same connection in it.
    assert_eq!(ringgate.client().get("/other").text(), "/other ");
    assert_eq!(backend.connections(), 1);
    client.send("GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let last = client.response();
    assert!(last.connection_has("close"), "{}", show(&last.raw));
    client.expect_fin();
    backend.close_all();
    ringgate.expect_clean(&start);
}

#[test]
fn ten_thousand_pipelined_requests_come_back_in_order() {
    const COUNT: usize = 10_000;
    let backend = Backend::answer(|request| backend::ok(request.target()));
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    let mut writer = client.writer();
    let sender = std::thread::spawn(move || {
        let requests: String = (0..COUNT).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
        writer.write_all(requests.as_bytes())
    });
    for i in 0..COUNT {
        assert_eq!(client.response().text(), format!("/{i}"));
    }
    sender.join().expect("the sender lives").expect("all was sent");
    assert_eq!(backend.requests(), COUNT);
}

#[test]
fn pipelined_requests_with_bodies_of_all_kinds_stay_apart() {
    let backend = Backend::answer(|request| match request.method() {
        "HEAD" => backend::head_of(&backend::ok("nobody")),
        _ => backend::ok(&format!("{} {} {}", request.method(), request.target(), request.text())),
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    let mut requests = String::new();
    for i in 0..50 {
        requests.push_str(&format!(
            "POST /{i} HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc\
             PUT /{i} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n\
             HEAD /{i} HTTP/1.1\r\nHost: test\r\n\r\n\
             GET /{i} HTTP/1.1\r\nHost: test\r\n\r\n\
             POST /{i} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"
        ));
    }
    // An odd segment size cuts heads, sizes and bodies everywhere.
    for piece in requests.as_bytes().chunks(61) {
        client.send(piece);
    }
    for i in 0..50 {
        assert_eq!(client.response().text(), format!("POST /{i} abc"));
        assert_eq!(client.response().text(), format!("PUT /{i} xyz"));
        let head = client.response_to("HEAD");
        assert_eq!((head.status(), head.field("content-length")), (200, Some("6")), "{}", show(&head.raw));
        assert_eq!(client.response().text(), format!("GET /{i} "));
        assert_eq!(client.response().text(), format!("POST /{i} "));
    }
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    let backend = Backend::answer(|request| match (request.method(), request.target()) {
        ("HEAD", "/chunked") => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n".to_vec(),
        ("HEAD", "/none") => b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n".to_vec(),
        ("HEAD", _) => b"HTTP/1.1 200 OK\r\nContent-Length: 1234567\r\nX: y\r\n\r\n".to_vec(),
        _ => backend::ok("get"),
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for _ in 0..3 {
        let answer = client.exchange("HEAD", "/length");
        assert_eq!((answer.field("content-length"), answer.field("x")), (Some("1234567"), Some("y")));
        assert_eq!(client.exchange("HEAD", "/chunked").field("x"), Some("y"));
        assert_eq!(client.exchange("HEAD", "/none").field("x"), Some("y"));
        assert_eq!(client.get("/").text(), "get");
    }
}

#[test]
fn answers_without_bodies_leave_the_connection_usable() {
    let backend = Backend::answer(|request| match request.target() {
        "/204" => b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nContent-Length: 99\r\n\r\n".to_vec(),
        "/0" => backend::ok(""),
        _ => backend::ok("body"),
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for _ in 0..3 {
        let answer = client.get("/204");
        assert_eq!((answer.status(), answer.field("x")), (204, Some("y")));
        // RFC 9110 8.6 and RFC 9112 6.1 forbid both fields in a 204.
        assert_eq!(
            (answer.field("content-length"), answer.field("transfer-encoding")),
            (None, None),
            "{}",
            show(&answer.raw)
        );
        let answer = client.get("/304");
        assert_eq!((answer.status(), answer.field("etag")), (304, Some("\"e\"")));
        assert_ne!(answer.field("transfer-encoding"), Some("chunked"), "{}", show(&answer.raw));
        assert_eq!(client.get("/0").text(), "");
        assert_eq!(client.get("/").text(), "body");
    }
}

#[test]
fn trailers_reach_a_client_that_wants_them() {
    let backend = Backend::answer(|request| {
        assert_eq!(request.field("te"), Some("trailers"));
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
          5\r\nhello\r\n0\r\nX-Sum: 42\r\nContent-Length: 3\r\n\r\n"
            .to_vec()
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
        let answer = client.response();
        assert_eq!((answer.framing, &answer.text()[..]), (Framing::Chunked, "hello"));
        assert_eq!(answer.field("trailer"), Some("X-Sum"));
        // A trailer never frames (RFC 9110 6.5.1).
        assert_eq!(answer.trailers, [("X-Sum".to_owned(), "42".to_owned())]);
    }
}

#[test]
fn chunks_of_any_size_are_carried_both_ways() {
    let backend = Backend::answer(|request| {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in request.body.chunks(1009) {
            answer.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            answer.extend_from_slice(piece);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        answer
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for (seed, length) in [0, 1, 2, 255, 4096, 65_535, 65_536, 65_537, 1_000_000].into_iter().enumerate() {
        let body = Payload::bytes(seed as u64, length);
        let mut writer = client.writer();
        let sender = std::thread::spawn({
            let body = body.clone();
            move || {
                writer.write_all(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                for piece in body.chunks(7919) {
                    writer.write_all(format!("{:X}\r\n", piece.len()).as_bytes())?;
                    writer.write_all(piece)?;
                    writer.write_all(b"\r\n")?;
                }
                writer.write_all(b"0\r\n\r\n")
            }
        });
        let answer = client.response();
        sender.join().expect("the sender lives").expect("all was sent");
        assert!(answer.body == body, "{length} bytes came back as {}", answer.body.len());
    }
}

/// The answer comes while the request's body is still on its way, and the backend reads on: the body is carried to its end.
#[test]
fn an_early_answer_does_not_cut_the_body_that_is_still_wanted() {
    const LENGTH: u64 = 4 * 1024 * 1024;
    let backend = Backend::script(|conn| {
        let Some(head) = conn.head() else { return };
        let mut sum = Sum::default();
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n");
        conn.body(head.request_framing().expect("a length"), &mut |piece| sum.add(piece));
        let sum = sum.hex();
        conn.send(format!("{:x}\r\n{sum}\r\n0\r\n\r\n", sum.len()));
        conn.drain();
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {LENGTH}\r\n\r\n"));
    let head = client.head();
    assert_eq!((head.status(), head.response_framing("POST").unwrap()), (200, Framing::Chunked), "{}", show(&head.raw));
    // Only now, with the answer begun, does the body come.
    let mut writer = client.writer();
    let sender = std::thread::spawn(move || std::io::copy(&mut Payload::new(1, LENGTH), &mut writer));
    let mut body = Vec::new();
    client.body(Framing::Chunked, &mut |piece| body.extend_from_slice(piece)).expect("a whole answer");
    assert_eq!(sender.join().expect("the sender lives").expect("all was sent"), LENGTH);
    assert_eq!(String::from_utf8(body).unwrap(), format!("early{}", Payload::sha256(1, LENGTH)));
}

/// The backend answers, closes and wants no more: the client must still be able to read the answer.
#[test]
fn an_early_refusal_reaches_a_client_that_still_sends() {
    let backend = Backend::script(|conn| {
        if conn.head().is_some() {
            conn.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused");
            conn.finish();
            conn.drain();
        }
    });
    let ringgate = before(&backend);
    let start = ringgate.status();
    for framing in ["Content-Length: 100000000", "Transfer-Encoding: chunked"] {
        let mut client = ringgate.client();
        let mut writer = client.writer();
        let head = format!("POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n");
        let sender = std::thread::spawn(move || {
            let chunk = format!("400\r\n{}\r\n", "a".repeat(1024)).repeat(16);
            let mut sent = writer.write_all(head.as_bytes());
            while sent.is_ok() {
                sent = writer.write_all(chunk.as_bytes());
                std::thread::yield_now();
            }
        });
        let answer = client.response();
        assert_eq!((answer.status(), &answer.text()[..]), (403, "refused"), "{framing}");
        // Nobody can tell where the next request would begin.
        assert!(answer.connection_has("close"), "{framing}: {}", show(&answer.raw));
        drop(client);
        sender.join().expect("the sender ends when the connection does");
    }
    ringgate.expect_clean(&start);
}

/// RFC 9112 9.6: a refusal that the client can read, although it sends its whole body before it looks.
#[test]
fn our_refusal_survives_the_body_that_is_still_sent() {
    let backend = Backend::fixed("never");
    let ringgate = before_with(&backend, "client_max_body_size = \"1k\"");
    let start = ringgate.status();
    let body = "a".repeat(3 * 1024 * 1024);
    for _ in 0..3 {
        let mut client = ringgate.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.send(&body);
        let answer = client.response();
        assert_eq!((answer.status(), answer.reason()), (413, Some("body_too_large")));
        assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    }
    assert_eq!(backend.received_length(), 0);
    ringgate.expect_clean(&start);
}

#[test]
fn a_large_answer_is_whole_although_the_client_asked_to_close() {
    const LENGTH: u64 = 20 * 1024 * 1024;
    let backend = Backend::script(|conn| {
        while conn.request().is_some() {
            let mut writer = conn.writer();
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
            if std::io::copy(&mut Payload::new(2, LENGTH), &mut writer).is_err() {
                return;
            }
        }
    });
    let ringgate = before(&backend);
    for connection in ["close", "keep-alive"] {
        let mut client = ringgate.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\n\r\n"));
        if connection == "close" {
            // A client that has said all may half-close at once.
            client.finish();
        }
        let head = client.head();
        let mut sum = Sum::default();
        client.body(head.response_framing("GET").unwrap(), &mut |piece| sum.add(piece)).expect("a whole answer");
        assert_eq!(sum.hex(), Payload::sha256(2, LENGTH), "{connection}");
    }
}
