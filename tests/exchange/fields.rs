//! Which fields pass, which end here, and which are ours.

use super::before;
use super::support::{Backend, Message, Setup, backend, show};
use std::sync::mpsc;

/// What the backend saw of a GET with these field lines.
fn seen(fields: &str) -> Message {
    let (sender, receiver) = mpsc::channel();
    let backend = Backend::answer(move |request| {
        let _ = sender.send(request.clone());
        backend::ok("")
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send(format!("GET /path?query HTTP/1.1\r\nHost: Example.org:8080\r\n{fields}\r\n"));
    assert_eq!(client.response().status(), 200);
    receiver.recv_timeout(super::support::PATIENCE).expect("the backend saw it")
}

#[test]
fn a_plain_request_arrives_with_the_forwarded_fields() {
    let request = seen("User-Agent: test\r\nAccept: */*\r\nCookie: a=b; c=d\r\n");
    assert_eq!(request.start, "GET /path?query HTTP/1.1");
    assert_eq!(request.all("host"), ["Example.org:8080"]);
    assert_eq!(request.all("user-agent"), ["test"]);
    assert_eq!(request.all("accept"), ["*/*"]);
    assert_eq!(request.all("cookie"), ["a=b; c=d"]);
    assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.all("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(request.all("x-forwarded-proto"), ["http"]);
    assert_eq!(request.all("x-forwarded-host"), ["Example.org:8080"]);
    assert_eq!(request.fields.len(), 8, "nothing else: {}", show(&request.raw));
    assert!(request.raw.starts_with(b"GET /path?query HTTP/1.1\r\nHost: "), "Host first: {}", show(&request.raw));
}

/// A client that is not trusted can lengthen the list of addresses, nothing else.
#[test]
fn a_client_cannot_forge_the_forwarded_fields() {
    let request = seen(
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8, 9.9.9.9\r\nX-Real-IP: 1.2.3.4\r\nx-forwarded-proto: https\r\n\
         X-Forwarded-Host: evil.example\r\nForwarded: for=1.2.3.4;proto=https\r\n",
    );
    assert_eq!(request.all("x-forwarded-for").join(", "), "1.2.3.4, 5.6.7.8, 9.9.9.9, 127.0.0.1");
    assert_eq!(request.all("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(request.all("x-forwarded-proto"), ["http"]);
    assert_eq!(request.all("x-forwarded-host"), ["Example.org:8080"]);
    assert!(request.all("forwarded").is_empty(), "{}", show(&request.raw));
}

#[test]
fn names_with_underscores_are_dropped() {
    let request = seen("X_Forwarded_For: 6.6.6.6\r\nX_REAL_IP: 6.6.6.6\r\nContent_Length: 5\r\nX-Good: yes\r\n");
    assert!(!request.fields.iter().any(|(name, _)| name.contains('_')), "{}", show(&request.raw));
    assert_eq!(request.all("x-good"), ["yes"]);
}

#[test]
fn hop_by_hop_fields_of_a_request_end_here() {
    let request = seen(
        "Connection: keep-alive, X-Hop\r\nConnection: X-Other\r\nX-Hop: 1\r\nX-Other: 2\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\
         Proxy-Authorization: Basic eDp5\r\nX-End: 3\r\nAuthorization: Basic eDp5\r\n",
    );
    for gone in [
        "connection",
        "x-hop",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
    ] {
        assert!(request.all(gone).is_empty(), "{gone}: {}", show(&request.raw));
    }
    assert_eq!(request.all("x-end"), ["3"]);
    assert_eq!(request.all("authorization"), ["Basic eDp5"]);
}

/// RFC 9110 7.6.1: what Connection names is removed; ours comes after that.
#[test]
fn connection_cannot_strip_what_we_say() {
    let request = seen("Connection: Host, X-Forwarded-For, X-Real-IP, X-Forwarded-Proto, X-Forwarded-Host\r\n");
    assert_eq!(request.all("host"), ["Example.org:8080"]);
    assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.all("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(request.all("x-forwarded-proto"), ["http"]);
}

#[test]
fn fields_of_an_answer_pass_in_their_order_but_for_those_of_the_hop() {
    let backend = Backend::answer(|_| {
        b"HTTP/1.1 200 Fine\r\nServer: theirs\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\
          Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\n\
          Set-Cookie: c=3\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nok"
            .to_vec()
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((&answer.start[..], &answer.text()[..]), ("HTTP/1.1 200 Fine", "ok"));
        assert_eq!(answer.all("server"), ["theirs"]);
        assert_eq!(answer.all("date"), ["Tue, 01 Jan 2030 00:00:00 GMT"]);
        assert_eq!(answer.all("set-cookie"), ["a=1", "b=2", "c=3"]);
        assert_eq!(answer.all("x-empty"), [""]);
        for gone in ["x-hop", "keep-alive", "proxy-connection", "upgrade"] {
            assert!(answer.all(gone).is_empty(), "{gone}: {}", show(&answer.raw));
        }
        assert!(answer.reason().is_none(), "a backend's answer carries no reason of ours: {}", show(&answer.raw));
    }
}

/// What a backend says about its own connection is not about the client's.
#[test]
fn the_backends_close_is_not_the_clients() {
    let backend = Backend::script(|conn| {
        if conn.request().is_some() {
            conn.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    for _ in 0..5 {
        let answer = client.get("/");
        assert_eq!((&answer.text()[..], answer.connection_has("close")), ("ok", false), "{}", show(&answer.raw));
    }
    assert_eq!(backend.connections(), 5);
}

/// Behind a proxy of one's own (`set_real_ip_from`) its word counts, up to the first address that is no proxy's.
#[test]
fn a_trusted_proxy_names_the_client() {
    let rows = [
        ("X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
        ("X-Forwarded-For: 1.2.3.4, 203.0.113.9, 10.1.2.3\r\n", "203.0.113.9"),
        ("X-Forwarded-For: 10.9.9.9\r\nX-Forwarded-For: 10.1.2.3\r\n", "10.9.9.9"),
        ("X-Forwarded-For: nonsense\r\n", "127.0.0.1"),
        ("", "127.0.0.1"),
    ];
    for (fields, client_ip) in rows {
        let (sender, receiver) = mpsc::channel();
        let backend = Backend::answer(move |request| {
            let _ = sender.send(request.clone());
            backend::ok("")
        });
        let trust = "set_real_ip_from = [\"127.0.0.0/8\", \"10.0.0.0/8\"]";
        let setup = Setup::new().upstream("backend", &[backend.place()], "");
        let ringgate = setup.server("127.0.0.1:0", trust, &[("/", "http://backend", "")]).start();
        let mut client = ringgate.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n{fields}\r\n"));
        assert_eq!(client.response().status(), 200);
        let request = receiver.recv_timeout(super::support::PATIENCE).expect("the backend saw it");
        assert_eq!(request.all("x-real-ip"), [client_ip], "{fields}");
        assert_eq!(request.all("x-forwarded-proto"), ["https"], "what the proxy says of its client is passed on");
        assert!(request.all("x-forwarded-for").join(", ").ends_with("127.0.0.1"), "the proxy itself comes last");
    }
}

/// `ip_hash` goes by the client that a trusted proxy names, and by nothing that a stranger writes.
#[test]
fn ip_hash_goes_by_the_real_address() {
    let backends = ["a", "b", "c"].map(Backend::fixed);
    let places: Vec<_> = backends.iter().map(Backend::place).collect();
    let seen = |trust: &str| -> Vec<String> {
        let setup = Setup::new().upstream("backend", &places, "balance = \"ip_hash\"");
        let ringgate = setup.server("127.0.0.1:0", trust, &[("/", "http://backend", "")]).start();
        let mut client = ringgate.client();
        let mut ask = |i: u32| {
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{i}\r\n\r\n"));
            client.response().text()
        };
        (0..40)
            .map(|i| [ask(i), ask(i)])
            .map(|[one, again]| {
                assert_eq!(one, again, "the same client");
                one
            })
            .collect()
    };
    let distinct = |answers: Vec<String>| answers.into_iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct(seen("set_real_ip_from = \"127.0.0.1\"")), 3, "forty visitors");
    assert_eq!(distinct(seen("")), 1, "one stranger with forty stories");
}
