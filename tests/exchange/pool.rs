//! Connections to backends: reuse, dead ones, failures, and when a request may be sent twice.

use super::support::{Backend, End, Place, Setup, backend, net, show, wait_until};
use super::{before, before_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// A pooled connection that the backend has closed is never used, whatever the method.
#[test]
fn a_connection_closed_while_idle_is_replaced() {
    let backend = Backend::answer(|request| backend::ok(&request.text()));
    let ringgate = before_with(&backend, "");
    let mut client = ringgate.client();
    for round in 0..40 {
        assert_eq!(client.post("/", b"body").text(), "body", "round {round}");
        assert_eq!(client.get("/").text(), "", "round {round}");
        // The FIN is in the kernel when this returns; ringgate may not have had its turn yet.
        if round % 2 == 0 { backend.close_all() } else { backend.reset_all() }
    }
    assert_eq!(backend.requests(), 80);
}

/// The same when FIN and request come in one turn of the loop, in either order: the process is stopped meanwhile.
#[test]
fn a_connection_closed_in_the_same_moment_is_replaced() {
    let backend = Backend::answer(|request| backend::ok(&request.text()));
    let ringgate = before_with(&backend, "");
    let mut client = ringgate.client();
    for round in 0..10 {
        assert_eq!(client.post("/", b"first").text(), "first", "round {round}");
        ringgate.signal("STOP");
        let request = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nsecond";
        if round % 2 == 0 {
            client.send(request);
            backend.close_all();
        } else {
            backend.close_all();
            client.send(request);
        }
        ringgate.signal("CONT");
        let answer = client.response();
        assert_eq!((answer.status(), &answer.text()[..]), (200, "second"), "round {round}: {:?}", answer.reason());
    }
    assert_eq!(backend.requests(), 20);
}

/// The backend reads the request and closes: it may have acted on it. RFC 9110 9.2.2: only idempotent methods go again.
#[test]
fn a_request_is_sent_again_only_if_that_is_safe() {
    for reset in [false, true] {
        let seen = Arc::new(AtomicUsize::new(0));
        let backend = Backend::script({
            let seen = seen.clone();
            move |conn| {
                while let Some(request) = conn.request() {
                    if request.target() == "/die" && seen.fetch_add(1, SeqCst) == 0 {
                        return if reset {
                            conn.reset()
                        };
                    }
                    conn.send(backend::ok(request.method()));
                }
            }
        });
        let ringgate = before_with(&backend, "");
        let mut client = ringgate.client();
        for (method, again) in [("GET", true), ("DELETE", true), ("OPTIONS", true), ("POST", false), ("PATCH", false)] {
            seen.store(0, SeqCst);
            assert_eq!(client.get("/").text(), "GET", "a pooled connection is there");
            let answer = client.exchange(method, "/die");
            if again {
                assert_eq!((answer.status(), &answer.text()[..]), (200, method), "reset {reset}");
                assert_eq!(seen.load(SeqCst), 2, "{method}, reset {reset}");
            } else {
                let reason = if reset { "backend_reset" } else { "backend_closed" };
                assert_eq!((answer.status(), answer.reason()), (502, Some(reason)), "{method}");
                assert_eq!(seen.load(SeqCst), 1, "{method} was sent again, reset {reset}");
            }
        }
    }
}

/// The same on fresh connections, with a second server that could take over.
#[test]
fn another_server_gets_only_what_may_be_sent_again() {
    let bad = Backend::script(|conn| drop(conn.request()));
    let good = Backend::answer(|request| backend::ok(request.method()));
    // Never ejected: both have their turns to the end.
    let list = format!("\"{} max_fails=0\", \"{}\"", bad.place(), good.place());
    let setup = Setup::new().workers(1).upstream_list("backend", &list, "");
    let ringgate = setup.server("127.0.0.1:0", "", &[("/", "http://backend", "")]).start();
    let mut client = ringgate.client();
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "GET");
    }
    assert!(bad.requests() >= 1, "the bad one was asked");
    let before = bad.requests() + good.requests();
    let answers: Vec<_> = (0..4).map(|_| client.exchange("POST", "/")).collect();
    let failed = answers.iter().filter(|answer| answer.status() == 502).count();
    assert_eq!(failed, 2, "in turn: {:?}", answers.iter().map(|a| a.start.clone()).collect::<Vec<_>>());
    assert!(answers.iter().all(|answer| [None, Some("backend_closed")].contains(&answer.reason())));
    assert_eq!(bad.requests() + good.requests(), before + 4, "each POST was sent once");
}

/// A POST may go elsewhere as long as its connection was never made.
#[test]
fn a_refused_connect_goes_to_the_next_server() {
    let (refusing, _guard) = net::refusing();
    let backend = Backend::answer(|request| backend::ok(&request.text()));
    let ringgate = Setup::proxy(&[&refusing, backend.place()]).start();
    let start = ringgate.status();
    let mut client = ringgate.client();
    for _ in 0..10 {
        assert_eq!(client.post("/", b"body").text(), "body");
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(backend.requests(), 20);
    drop(client);
    backend.close_all();
    ringgate.expect_clean(&start);
}

#[test]
fn when_all_refuse_the_answer_is_502() {
    let (first, _guard) = net::refusing();
    let (second, _other_guard) = net::refusing();
    let ringgate = Setup::proxy(&[&first, &second]).start();
    let start = ringgate.status();
    let mut client = ringgate.client();
    for method in ["GET", "POST", "HEAD"] {
        let answer = client.exchange(method, "/");
        assert_eq!((answer.status(), answer.reason()), (502, Some("connect_refused")), "{method}");
    }
    let answer = client.post("/", b"a body that nobody reads");
    assert_eq!((answer.status(), answer.reason()), (502, Some("connect_refused")));
    drop(client);
    wait_until("one count for each exchange", || ringgate.status().errors("connect_refused") == 4);
    ringgate.expect_clean(&start);
}

#[test]
fn a_unix_socket_that_is_not_there_fails_like_any_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = Place::Unix(folder.path().join("missing.sock"));
    let backend = Backend::fixed("hello");
    let alone = Setup::proxy(&[&missing]).start();
    let answer = alone.client().get("/");
    assert_eq!(answer.status(), 502);
    assert!(
        ["connect_refused", "connect_failed"].contains(&answer.reason().unwrap_or_default()),
        "{}",
        show(&answer.raw)
    );
    let together = Setup::proxy(&[&missing, backend.place()]).start();
    for _ in 0..4 {
        assert_eq!(together.client().get("/").text(), "hello");
    }
}

/// Bytes that a backend sends on an idle connection are an answer to nobody.
#[test]
fn an_answer_that_nobody_asked_for_is_never_given_out() {
    let late = Arc::new(AtomicBool::new(false));
    let backend = Backend::script({
        let late = late.clone();
        move |conn| {
            while conn.request().is_some() {
                conn.send(backend::ok("right"));
                if conn.index == 0 {
                    // The client has its answer already and waits for our word.
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    conn.send(backend::ok("wrong"));
                    late.store(true, SeqCst);
                }
            }
        }
    });
    let ringgate = before_with(&backend, "");
    let mut client = ringgate.client();
    assert_eq!(client.get("/").text(), "right");
    wait_until("the late answer", || late.load(SeqCst));
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "right");
        assert_eq!(ringgate.client().get("/").text(), "right");
    }
    assert!(backend.connections() >= 2, "the first connection was given up");
}

#[test]
fn the_pool_keeps_no_more_than_it_may_and_not_for_ever() {
    let backend = Backend::script(|conn| {
        while conn.request().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(100));
            conn.send(backend::ok("hello"));
        }
    });
    let setup =
        Setup::new().workers(1).upstream("backend", &[backend.place()], "keepalive = 2\nkeepalive_timeout = \"700ms\"");
    let ringgate = setup.server("127.0.0.1:0", "", &[("/", "http://backend", "")]).start();
    let start = ringgate.status();
    let mut clients: Vec<_> = (0..8).map(|_| ringgate.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n"));
    clients.iter_mut().for_each(|client| assert_eq!(client.response().text(), "hello"));
    assert!(backend.connections() > 2, "{} at once", backend.connections());
    wait_until("no more than two are kept", || backend.open() <= 2);
    wait_until("none is kept for ever", || backend.open() == 0);
    drop(clients);
    ringgate.expect_clean(&start);
}

/// The client goes away in the middle: the backend's connection has an answer on it that nobody wants.
#[test]
fn a_connection_with_half_an_answer_is_not_kept() {
    let backend = Backend::script(|conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/" {
                conn.send(backend::ok("hello"));
                continue;
            }
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello");
            // The next byte finds the client gone.
            while conn.send("x") {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    });
    let ringgate = before_with(&backend, "");
    let start = ringgate.status();
    for reset in [false, true] {
        let mut client = ringgate.client();
        client.send("GET /half HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.head().status(), 200);
        if reset {
            client.reset()
        } else {
            drop(client)
        }
        wait_until("the backend's connection ended", || backend.open() == 0);
        assert_eq!(ringgate.client().get("/").text(), "hello");
        backend.close_all();
        wait_until("the pool is empty", || backend.open() == 0);
    }
    ringgate.expect_clean(&start);
}

/// Once the backend has said something, be it an interim answer, the request is not sent again.
#[test]
fn an_interim_answer_is_an_answer_for_the_retry_rule() {
    let seen = Arc::new(AtomicUsize::new(0));
    let script = {
        let seen = seen.clone();
        move |conn: &mut super::support::Conn| {
            while let Some(request) = conn.request() {
                if request.target() == "/hints" {
                    seen.fetch_add(1, SeqCst);
                    conn.send("HTTP/1.1 103 Early Hints\r\n\r\n");
                    // Both must not come in one read.
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    return;
                }
                conn.send(backend::ok("hello"));
            }
        }
    };
    let backends = [Backend::script(script.clone()), Backend::script(script)];
    let ringgate = Setup::proxy(&[backends[0].place(), backends[1].place()]).workers(1).start();
    let mut client = ringgate.client();
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "hello");
    }
    let answer = client.get("/hints");
    assert_eq!(answer.status(), 103);
    let answer = client.response();
    assert_eq!((answer.status(), answer.reason()), (502, Some("backend_closed")));
    assert_eq!(seen.load(SeqCst), 1, "it was sent again");
}

#[test]
fn a_client_that_leaves_while_the_backend_thinks_is_noticed() {
    let backend = Backend::script(|conn| {
        if conn.request().is_some() {
            conn.drain();
        }
    });
    let ringgate = before(&backend);
    let start = ringgate.status();
    for reset in [true, false] {
        let mut client = ringgate.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        wait_until("the request at the backend", || backend.open() == 1);
        // A FIN alone may be a half-close of a client that still reads; a reset cannot be misunderstood.
        if reset {
            client.reset();
        } else {
            backend.reset_all();
            let answer = client.response();
            assert_eq!(answer.status(), 502, "{}", show(&answer.raw));
        }
        backend.expect_all_ended();
    }
    ringgate.expect_clean(&start);
}

/// A client may say "no more requests" (FIN) and still wait for its answer.
#[test]
fn a_half_closed_client_gets_its_answer() {
    let backend = Backend::script(|conn| {
        while conn.request().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(150));
            conn.send(backend::ok("hello"));
        }
    });
    let ringgate = before(&backend);
    let mut client = ringgate.client();
    client.send("GET /1 HTTP/1.1\r\nHost: test\r\n\r\nGET /2 HTTP/1.1\r\nHost: test\r\n\r\n");
    client.finish();
    assert_eq!(client.response().text(), "hello");
    assert_eq!(client.response().text(), "hello");
    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
}
