//! Every timeout, with short times: what the client gets, what is counted, and that nothing is left.
//! Nothing here asserts that something is fast; only that it happens at all.

use super::before_with;
use super::support::{Backend, End, Ringgate, Setup, Status, backend, show, wait_until};
use std::net::TcpStream;
use std::time::Duration;

#[track_caller]
fn expect_counted(ringgate: &Ringgate, reason: &str, before: &Status) {
    let expected = before.errors(reason) + 1;
    wait_until(&format!("{reason} counted once"), || ringgate.status().errors(reason) == expected);
}

#[test]
fn a_head_that_does_not_come_is_408() {
    let backend = Backend::fixed("never");
    let ringgate = Setup::proxy(&[backend.place()]).top("client_header_timeout = \"400ms\"").start();
    let start = ringgate.status();
    for part in ["G", "GET / HTTP/1.1\r\nHost: test\r\n"] {
        let before = ringgate.status();
        let mut client = ringgate.client();
        client.send(part);
        let answer = client.response();
        assert_eq!((answer.status(), answer.reason()), (408, Some("head_timeout")));
        assert!(answer.connection_has("close"), "{}", show(&answer.raw));
        client.expect_fin();
        expect_counted(&ringgate, "head_timeout", &before);
    }
    assert_eq!(backend.connections(), 0);
    ringgate.expect_clean(&start);
}

/// A byte now and then does not save a head: the time is for all of it.
#[test]
fn a_dribbled_head_is_408_too() {
    let backend = Backend::fixed("never");
    let ringgate = Setup::proxy(&[backend.place()]).top("client_header_timeout = \"500ms\"").start();
    let mut client = ringgate.client();
    let mut writer = client.writer();
    std::thread::spawn(move || {
        use std::io::Write;
        let mut sent = writer.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nX: ");
        while sent.is_ok() {
            std::thread::sleep(Duration::from_millis(50));
            sent = writer.write_all(b"a");
        }
    });
    let answer = client.response();
    assert_eq!((answer.status(), answer.reason()), (408, Some("head_timeout")));
}

#[test]
fn a_body_that_stops_is_408() {
    let backend = Backend::script(|conn| while conn.request().is_some() {});
    let ringgate = before_with(&backend, "client_body_timeout = \"400ms\"");
    let start = ringgate.status();
    for (framing, part) in
        [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n"), ("Content-Length: 10", "")]
    {
        let before = ringgate.status();
        let mut client = ringgate.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n{part}"));
        let answer = client.response();
        assert_eq!((answer.status(), answer.reason()), (408, Some("body_timeout")), "{framing} {part}");
        client.expect_fin();
        expect_counted(&ringgate, "body_timeout", &before);
    }
    backend.expect_all_ended();
    assert_eq!(backend.requests(), backend.connections(), "no connection with half a request was used again");
    ringgate.expect_clean(&start);
}

#[test]
fn an_idle_connection_is_closed_in_silence() {
    let backend = Backend::fixed("hello");
    let ringgate = Setup::proxy(&[backend.place()]).top("keepalive_timeout = \"400ms\"").start();
    let start = ringgate.status();
    let mut client = ringgate.client();
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(client.get("/").text(), "hello");
    client.expect_fin();
    drop(client);
    backend.close_all();
    ringgate.expect_clean(&start);
}

#[test]
fn the_last_request_of_a_connection_is_announced() {
    let backend = Backend::fixed("hello");
    let ringgate = Setup::proxy(&[backend.place()]).top("keepalive_requests = 3").start();
    let mut client = ringgate.client();
    for i in 1..=3 {
        assert_eq!(client.get("/").connection_has("close"), i == 3, "answer {i}");
    }
    client.expect_fin();
}

#[test]
fn a_first_byte_that_does_not_come_is_504() {
    let backend = Backend::script(|conn| {
        while let Some(request) = conn.request() {
            match request.target() {
                "/never" => conn.drain(),
                "/hints" => {
                    conn.send("HTTP/1.1 103 Early Hints\r\n\r\n");
                    conn.drain();
                }
                _ => drop(conn.send(backend::ok("hello"))),
            }
        }
    });
    let ringgate = before_with(&backend, "proxy_first_byte_timeout = \"400ms\"\nproxy_read_timeout = \"400ms\"");
    let start = ringgate.status();
    let mut client = ringgate.client();
    for method in ["GET", "POST"] {
        let before = ringgate.status();
        let answer = client.exchange(method, "/never");
        assert_eq!((answer.status(), answer.reason()), (504, Some("first_byte_timeout")), "{method}");
        expect_counted(&ringgate, "first_byte_timeout", &before);
        assert_eq!(client.get("/").text(), "hello", "the client's connection goes on");
    }
    assert_eq!(client.get("/hints").status(), 103);
    assert_eq!(client.response().status(), 504, "an interim answer is not the answer");
    drop(client);
    backend.close_all();
    ringgate.expect_clean(&start);
}

#[test]
fn an_answer_that_stops_is_cut() {
    let backend = Backend::script(|conn| {
        if let Some(request) = conn.request() {
            conn.send(match request.target() {
                "/length" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
                "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                _ => "HTTP/1.1 200 OK\r\n\r\nhello",
            });
            conn.drain();
        }
    });
    let ringgate = before_with(&backend, "proxy_read_timeout = \"400ms\"");
    let start = ringgate.status();
    for target in ["/length", "/chunked", "/close"] {
        let before = ringgate.status();
        let mut client = ringgate.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let head = client.head();
        let mut body = Vec::new();
        let whole = client.body(head.response_framing("GET").unwrap(), &mut |piece| body.extend_from_slice(piece));
        assert!(whole.is_err(), "{target}: looks whole: {}", show(&body));
        assert_eq!(body, b"hello", "{target}: what came before the end");
        assert_ne!(client.read_to_end().1, End::Open, "{target}");
        expect_counted(&ringgate, "backend_read_timeout", &before);
    }
    backend.expect_all_ended();
    ringgate.expect_clean(&start);
}

/// The time is between two reads: a slow answer that goes on is not cut.
#[test]
fn a_slow_answer_that_goes_on_is_whole() {
    let backend = Backend::script(|conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
            conn.dribble(b"dribbled", Duration::from_millis(150));
        }
    });
    let ringgate = before_with(&backend, "proxy_read_timeout = \"600ms\"");
    assert_eq!(ringgate.client().get("/").text(), "dribbled");
}

#[test]
fn a_client_that_stops_reading_is_dropped() {
    let backend = Backend::script(|conn| {
        conn.small_buffers();
        if conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while conn.send([b'a'; 65536]) {}
        }
    });
    let ringgate = before_with(&backend, "send_timeout = \"500ms\"");
    let start = ringgate.status();
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    backend.expect_connections(1);
    expect_counted(&ringgate, "client_timeout", &start);
    backend.expect_all_ended();
    let head = client.head();
    let whole = client.body(head.response_framing("GET").unwrap(), &mut |_| {});
    assert!(whole.is_err(), "a cut body must not look whole");
    drop(client);
    ringgate.expect_clean(&start);
}

#[test]
fn a_backend_that_stops_reading_is_504() {
    let backend = Backend::script(|conn| {
        conn.small_buffers();
        if conn.head().is_some() {
            // Reads no more until ringgate has given up; its close shows only in the client's answer.
            std::thread::sleep(Duration::from_secs(3));
        }
    });
    let ringgate = before_with(&backend, "proxy_send_timeout = \"500ms\"");
    let start = ringgate.status();
    let mut client = ringgate.client();
    let mut writer = client.writer();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        let mut sent = writer.write_all(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n");
        while sent.is_ok() {
            sent = writer.write_all(&[b'a'; 65536]);
        }
    });
    let answer = client.response();
    assert_eq!((answer.status(), answer.reason()), (504, Some("backend_send_timeout")));
    drop(client);
    sender.join().expect("the sender ends when the connection does");
    expect_counted(&ringgate, "backend_send_timeout", &start);
    ringgate.expect_clean(&start);
}

/// A listener whose accept queue is full: the kernel drops further SYNs, as a dead machine would.
fn deaf() -> (super::support::Place, socket2::Socket, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    socket.listen(0).expect("it listens");
    let address = socket.local_addr().expect("it is bound").as_socket().expect("an IP address");
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queued.push(stream);
        assert!(queued.len() < 100, "this kernel queues without end");
    }
    (super::support::Place::Tcp(address), socket, queued)
}

#[test]
fn a_backend_that_does_not_accept_is_504() {
    let (place, _socket, _queued) = deaf();
    let setup = Setup::new().upstream("backend", &[&place], "");
    let ringgate =
        setup.server("127.0.0.1:0", "", &[("/", "http://backend", "proxy_connect_timeout = \"400ms\"")]).start();
    let start = ringgate.status();
    let mut client = ringgate.client();
    for method in ["GET", "POST"] {
        let before = ringgate.status();
        let answer = client.exchange(method, "/");
        assert_eq!((answer.status(), answer.reason()), (504, Some("connect_timeout")), "{method}");
        expect_counted(&ringgate, "connect_timeout", &before);
    }
    drop(client);
    ringgate.expect_clean(&start);
}

#[test]
fn another_server_takes_over_from_one_that_does_not_accept() {
    let (place, _socket, _queued) = deaf();
    let backend = Backend::answer(|request| backend::ok(&request.text()));
    let setup = Setup::new().upstream("backend", &[&place, backend.place()], "");
    let ringgate =
        setup.server("127.0.0.1:0", "", &[("/", "http://backend", "proxy_connect_timeout = \"300ms\"")]).start();
    let mut client = ringgate.client();
    for _ in 0..4 {
        assert_eq!(client.post("/", b"body").text(), "body");
    }
}

/// `proxy_next_upstream_timeout`: no other server is begun with after it. Each hangs for 1 s; after two the 1.9 s are over.
#[test]
fn tries_end_with_their_time() {
    let backends = [(); 4].map(|()| {
        Backend::script(|conn| {
            conn.request();
            conn.is_quiet(super::support::PATIENCE);
        })
    });
    let places: Vec<_> = backends.iter().map(Backend::place).collect();
    let lines = "proxy_first_byte_timeout = \"1s\"\nproxy_next_upstream_timeout = \"1900ms\"";
    let setup = Setup::new().upstream("backend", &places, "");
    let ringgate = setup.server("127.0.0.1:0", lines, &[("/", "http://backend", "")]).start();
    let answer = ringgate.client().get("/");
    assert_eq!((answer.status(), answer.reason()), (504, Some("first_byte_timeout")));
    assert_eq!(backends.iter().map(Backend::requests).sum::<usize>(), 2);
}
