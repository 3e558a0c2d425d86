//! Clients and backends of HTTP/1.0, and bodies that end with their connection.

use super::before;
use super::support::{Backend, End, Framing, show};

const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n";

#[test]
fn an_old_client_is_answered_and_closed() {
    let backend = Backend::fixed("hello");
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let answer = client.response();
    assert_eq!((&answer.start[..], &answer.text()[..]), ("HTTP/1.1 200 OK", "hello"));
    assert!(!answer.connection_has("keep-alive"), "{}", show(&answer.raw));
    client.expect_fin();
    let request = String::from_utf8(backend.received_bytes()).unwrap();
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    let host = request.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("host:").map(str::to_owned));
    assert!(!host.expect("RFC 9112 3.2: Host is always sent").trim().is_empty(), "{request}");
}

#[test]
fn an_old_client_may_keep_its_connection() {
    let backend = Backend::fixed("hello");
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for _ in 0..3 {
        client.send("GET / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.response();
        assert_eq!((answer.framing, &answer.text()[..]), (Framing::Length(5), "hello"));
        assert!(answer.connection_has("keep-alive"), "else it would not know: {}", show(&answer.raw));
    }
}

/// RFC 9112 6.1: no Transfer-Encoding to a client of HTTP/1.0; its body ends with the connection.
#[test]
fn chunks_are_unwrapped_for_an_old_client() {
    let backend = Backend::answer(|_| CHUNKED.to_vec());
    let ringgate = before(&backend);
    for connection in ["", "Connection: keep-alive\r\n"] {
        let mut client = ringgate.client();
        client.send(format!("GET / HTTP/1.0\r\nHost: test\r\n{connection}\r\n"));
        let answer = client.response();
        assert_eq!((answer.framing, &answer.text()[..]), (Framing::Close, "hello world"), "{}", show(&answer.raw));
        assert!(!answer.connection_has("keep-alive"), "{}", show(&answer.raw));
        client.expect_fin();
    }
}

#[test]
fn a_body_that_ends_with_its_connection_is_chunked_for_a_new_client() {
    let backend = Backend::script(|conn| {
        if conn.request().is_some() {
            conn.send(b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello ");
            conn.send(b"world");
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for round in 1..=3 {
        let answer = client.get("/");
        assert_eq!((&answer.start[..], answer.field("server")), ("HTTP/1.1 200 OK", Some("old")));
        assert_eq!((answer.framing, &answer.text()[..]), (Framing::Chunked, "hello world"), "{}", show(&answer.raw));
        assert_eq!(backend.connections(), round, "the client's connection lives longer than the backend's");
    }
    client.send("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.framing, &answer.text()[..]), (Framing::Close, "hello world"), "{}", show(&answer.raw));
    client.expect_fin();
}

/// An old backend's answer ends with its connection unless it says keep-alive.
#[test]
fn an_old_backend_is_kept_only_if_it_says_so() {
    let backend = Backend::script(|conn| {
        while let Some(request) = conn.request() {
            let keep = if request.target() == "/keep" { "Connection: keep-alive\r\n" } else { "" };
            conn.send(format!("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n{keep}\r\nok"));
        }
    });
    let ringgate = super::before_with(&backend, "");
    let mut client = ringgate.client();
    client.get("/keep");
    client.get("/keep");
    assert_eq!(backend.connections(), 1);
    client.get("/");
    client.get("/");
    assert_eq!(backend.connections(), 2, "the third request found the first connection, the fourth did not");
}

#[test]
fn a_post_of_an_old_client_is_carried() {
    let backend = Backend::answer(|request| super::support::backend::ok(&request.text()));
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().text(), "hello");
    client.expect_fin();
}

/// Where the end of the connection is the end of the body, only a reset tells an old client that something is missing.
#[test]
fn a_cut_body_looks_cut_to_an_old_client() {
    let backend = Backend::script(|conn| {
        if conn.request().is_some() {
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status(), head.response_framing("GET").unwrap()), (200, Framing::Close), "{}", show(&head.raw));
    assert_eq!(client.read_to_end().1, End::Reset);
}
