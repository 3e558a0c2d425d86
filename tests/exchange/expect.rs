//! Interim answers: 100 and 103, asked for and not.

use super::support::{Backend, backend, show};
use super::{before, before_with};
use std::time::Duration;

#[test]
fn early_hints_pass_before_the_answer() {
    let backend = Backend::script(|conn| {
        while conn.request().is_some() {
            conn.send(
                b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: x\r\n\r\n",
            );
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n");
            std::thread::sleep(Duration::from_millis(30));
            conn.send(backend::ok("final"));
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for _ in 0..3 {
        let first = client.get("/");
        assert_eq!((first.status(), first.field("link")), (103, Some("</a.css>; rel=preload")));
        assert_eq!(first.field("x-hop"), None, "{}", show(&first.raw));
        let second = client.response();
        assert_eq!((second.status(), second.field("link")), (103, Some("</b.css>; rel=preload")));
        let answer = client.response();
        assert_eq!((answer.status(), &answer.text()[..]), (200, "final"));
    }
}

/// RFC 9110 15.2: a client of HTTP/1.0 must not get an interim answer.
#[test]
fn interim_answers_are_kept_from_old_clients() {
    let backend = Backend::script(|conn| {
        if conn.request().is_some() {
            conn.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
            conn.send(backend::ok("final"));
            conn.drain();
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status(), &answer.text()[..]), (200, "final"));
    client.expect_fin();
}

#[test]
fn the_body_waits_for_the_backends_100() {
    let backend = Backend::script(|conn| {
        while let Some(head) = conn.head() {
            assert_eq!(head.field("expect").map(str::to_ascii_lowercase).as_deref(), Some("100-continue"));
            std::thread::sleep(Duration::from_millis(50));
            conn.send(b"HTTP/1.1 100 Continue\r\n\r\n");
            let mut body = Vec::new();
            conn.body(head.request_framing().expect("framing"), &mut |piece| body.extend_from_slice(piece));
            conn.send(backend::ok(&String::from_utf8_lossy(&body)));
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\nExpect: 100-continue\r\n\r\n"));
        assert_eq!(client.response().status(), 100, "{framing}");
        client.send(if framing.starts_with('C') { "hello" } else { "5\r\nhello\r\n0\r\n\r\n" });
        let answer = client.response();
        assert_eq!((answer.status(), &answer.text()[..]), (200, "hello"), "{framing}");
    }
}

/// RFC 9110 10.1.1: a client need not wait for ever, so the body may come although no 100 was said.
#[test]
fn a_client_that_does_not_wait_is_served_too() {
    let backend = Backend::answer(|request| backend::ok(&request.text()));
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
        let answer = client.final_response();
        assert_eq!((answer.status(), &answer.text()[..]), (200, "hello"));
    }
}

#[test]
fn a_final_answer_instead_of_100_is_final() {
    let backend = Backend::script(|conn| {
        while let Some(head) = conn.head() {
            if head.target() == "/next" {
                conn.send(backend::ok("next"));
                continue;
            }
            conn.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
            // Were the body sent all the same, it would be read here as if it were a request.
            conn.body(head.request_framing().expect("framing"), &mut |_| {});
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status(), &answer.text()[..]), (403, "no"));
    // The client may send its body or not: either the connection ends here, or the body is awaited and dropped.
    match answer.connection_has("close") {
        true => client.expect_fin(),
        false => {
            client.send("hello");
            assert_eq!(client.get("/next").text(), "next");
        }
    }
    assert_eq!(
        ringgate.client().get("/next").text(),
        "next",
        "the backend's connection is used only if it is in order"
    );
}

#[test]
fn a_body_too_large_is_refused_before_it_is_sent() {
    let backend = Backend::fixed("never");
    let ringgate = before_with(&backend, "client_max_body_size = 4");
    let mut client = ringgate.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status(), answer.reason()), (413, Some("body_too_large")), "no 100 before the refusal");
    assert_eq!(backend.received_length(), 0);
}
