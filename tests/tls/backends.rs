//! TLS to backends: whom ringgate trusts, what it says of itself, and which connections it keeps.

use super::support::certificates::{Authority, Order, Pair};
use super::support::tls::server_config;
use super::support::{Backend, Conn, Ringgate, Setup, backend as answers};
use super::{expect_sound, folder, folder_with, mirrored};
use std::sync::{Arc, Mutex};

/// A backend with this certificate that answers with what it got.
fn secure(pair: &Pair) -> Backend {
    Backend::secure(server_config(&pair.identity, None), answers::answering(mirrored))
}

/// What a backend saw of each connection: the name asked for, whether a session was resumed, whether a certificate was shown.
type Seen = Arc<Mutex<Vec<(Option<String>, bool, bool)>>>;

/// A backend that notes that. `keep`: it answers many requests on one connection.
fn noting(config: rustls::ServerConfig, keep: bool) -> (Backend, Seen) {
    let seen = Seen::default();
    let script = {
        let seen = seen.clone();
        move |conn: &mut Conn| {
            while let Some(request) = conn.request() {
                let tls = conn.tls().expect("this backend speaks nothing else");
                let entry = (tls.asked_name(), tls.is_resumed(), !tls.peer().is_empty());
                seen.lock().expect("nobody panicked").push(entry);
                let connection = if keep { "" } else { "Connection: close\r\n" };
                let body = request.target().to_owned();
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{connection}\r\n{body}", body.len()));
                if !keep {
                    return;
                }
            }
        }
    };
    (Backend::secure(config, script), seen)
}

/// ringgate before that backend, with these lines for its one location and `ca.pem` in its folder.
#[track_caller]
fn before(backend: &Backend, authority: &Authority, lines: &str) -> Ringgate {
    let folder = folder();
    super::write(folder.path(), "ca.pem", &authority.pem());
    Setup::new()
        .workers(1)
        .upstream("app", &[backend.place()], "")
        .server("127.0.0.1:0", "", &[("/", "https://app", lines)])
        .start_in(folder)
}

const TRUST: &str = "proxy_ssl_trusted_certificate = \"{dir}/ca.pem\"\n";
const NAME: &str = "proxy_ssl_name = \"app.test\"\n";

#[test]
fn certificates_of_backends_are_verified() {
    let authority = Authority::new("backends");
    let other = Authority::new("others");
    let good = authority.server(&["app.test", "127.0.0.1"]);
    let far = authority.intermediate("below").server(&["app.test"]);
    let elsewhere = authority.server(&["elsewhere.test"]);
    let expired = authority.issue(&Order::server(&["app.test"]).expired());
    let unknown = other.server(&["app.test"]);
    let by_name = format!("{TRUST}{NAME}");
    // The backend's certificate, what is configured, what the log says of the refusal (in one of these words); none: it is fine.
    let rows: [(&str, &Pair, &str, &[&str]); 9] = [
        ("good", &good, &by_name, &[]),
        ("good, by its address", &good, TRUST, &[]),
        ("by an intermediate", &far, &by_name, &[]),
        ("another name", &elsewhere, &by_name, &["not made out to app.test"]),
        ("no address in it", &far, TRUST, &["not made out to 127.0.0.1"]),
        ("expired", &expired, &by_name, &["expired"]),
        ("of an unknown authority", &unknown, &by_name, &["issuer", "authority"]),
        ("of none of the system's authorities", &good, NAME, &["issuer", "authority"]),
        ("not verified", &unknown, "proxy_ssl_verify = \"off\"\n", &[]),
    ];
    for (case, pair, lines, words) in rows {
        let backend = secure(pair);
        let ringgate = before(&backend, &authority, lines);
        let answer = ringgate.client().get("/x");
        if words.is_empty() {
            assert_eq!(
                (answer.status(), answer.reason()),
                (200, None),
                "{case}: {}\n{}",
                answer.text(),
                ringgate.log()
            );
            let off = ringgate.log().contains("proxy_ssl_verify");
            assert_eq!(off, lines.contains("verify"), "{case}: loud if off, silent if not:\n{}", ringgate.log());
        } else {
            assert_eq!(
                (answer.status(), answer.reason()),
                (502, Some("backend_tls_failed")),
                "{case}: {}",
                answer.text()
            );
            ringgate.expect_log("backend_tls_failed");
            let log = ringgate.log().to_lowercase();
            assert!(words.iter().any(|word| log.contains(word)), "{case}: none of {words:?} in the log:\n{log}");
            assert_eq!(backend.requests(), 0, "{case}: no request is sent to whom one does not trust");
        }
        expect_sound(&ringgate);
    }
}

/// A certificate is revoked by its authority's list.
#[test]
fn revoked_backends_are_refused() {
    let authority = Authority::new("backends");
    let (good, revoked) = (authority.server(&["app.test"]), authority.server(&["app.test"]));
    for (pair, status) in [(&good, 200), (&revoked, 502)] {
        let backend = secure(pair);
        let folder = folder();
        super::write(folder.path(), "ca.pem", &authority.pem());
        super::write(folder.path(), "ca.crl", &authority.revoked(&[revoked.serial]));
        let lines = format!("{TRUST}{NAME}proxy_ssl_crl = \"{{dir}}/ca.crl\"");
        let ringgate = Setup::new()
            .upstream("app", &[backend.place()], "")
            .server("127.0.0.1:0", "", &[("/", "https://app", &lines)])
            .start_in(folder);
        assert_eq!(ringgate.client().get("/").status(), status);
    }
}

#[test]
fn the_name_is_sent_unless_told_otherwise() {
    let authority = Authority::new("backends");
    let pair = authority.server(&["app.test", "127.0.0.1"]);
    for (lines, name) in [
        (format!("{TRUST}{NAME}"), Some("app.test")),
        (format!("{TRUST}{NAME}proxy_ssl_server_name = \"off\""), None),
        (TRUST.to_owned(), None), // an address is no name
        (format!("{NAME}proxy_ssl_verify = \"off\""), Some("app.test")),
    ] {
        let (backend, seen) = noting(server_config(&pair.identity, None), true);
        let ringgate = before(&backend, &authority, &lines);
        assert_eq!(ringgate.client().get("/").status(), 200, "{lines}: {}", ringgate.log());
        assert_eq!(seen.lock().expect("nobody panicked")[0].0.as_deref(), name, "{lines}");
    }
}

#[test]
fn a_backend_may_want_our_certificate() {
    let authority = Authority::new("backends");
    let ours = authority.issue(&Order::client("ringgate"));
    let pair = authority.server(&["app.test"]);
    for with in [true, false] {
        let (backend, seen) = noting(server_config(&pair.identity, Some(&authority.pem())), true);
        let own = "proxy_ssl_certificate = \"{dir}/ours.crt\"\nproxy_ssl_certificate_key = \"{dir}/ours.key\"";
        let lines = format!("{TRUST}{NAME}{}", if with { own } else { "" });
        let folder = folder_with(&[("ours", &ours)]);
        super::write(folder.path(), "ca.pem", &authority.pem());
        let ringgate = Setup::new()
            .upstream("app", &[backend.place()], "")
            .server("127.0.0.1:0", "", &[("/", "https://app", &lines)])
            .start_in(folder);
        let answer = ringgate.client().get("/");
        if with {
            assert_eq!(answer.status(), 200, "{}", ringgate.log());
            assert!(seen.lock().expect("nobody panicked")[0].2);
        } else {
            // With TLS 1.3 the backend's refusal comes after our side of the handshake.
            assert_eq!(answer.status(), 502);
            assert!(answer.reason().is_some_and(|reason| reason.starts_with("backend_")), "{:?}", answer.reason());
            assert_eq!(seen.lock().expect("nobody panicked").len(), 0);
        }
    }
}

/// Two requests, one handshake; and for another name another connection.
#[test]
fn connections_are_pooled_by_what_they_were_made_for() {
    let authority = Authority::new("backends");
    let pair = authority.server(&["one.test", "two.test"]);
    let (backend, seen) = noting(server_config(&pair.identity, None), true);
    let folder = folder();
    super::write(folder.path(), "ca.pem", &authority.pem());
    let name = |name: &str| format!("{TRUST}proxy_ssl_name = \"{name}\"");
    let ringgate = Setup::new()
        .workers(1)
        .upstream("app", &[backend.place()], "")
        .server(
            "127.0.0.1:0",
            "",
            &[
                ("/one", "https://app", &name("one.test")),
                ("/again", "https://app", &name("one.test")),
                ("/two", "https://app", &name("two.test")),
                ("/off", "https://app", "proxy_ssl_verify = \"off\"\nproxy_ssl_name = \"one.test\""),
            ],
        )
        .start_in(folder);
    let mut client = ringgate.client();
    let targets = ["/one", "/one", "/again", "/two", "/off", "/one", "/two"];
    for target in targets {
        assert_eq!(client.get(target).text(), target);
    }
    let names: Vec<_> =
        seen.lock().expect("nobody panicked").iter().map(|entry| entry.0.clone().unwrap_or_default()).collect();
    assert_eq!(names, ["one.test", "one.test", "one.test", "two.test", "one.test", "one.test", "two.test"]);
    assert_eq!(backend.connections(), 3, "one for each of: one.test, two.test, one.test unverified");
    // A reload that changes nothing about it keeps what is pooled.
    ringgate.rewrite(&(ringgate.config() + "\n# nothing\n"));
    ringgate.succeed(&["reload"]);
    for target in targets {
        assert_eq!(client.get(target).text(), target);
    }
    assert_eq!(backend.connections(), 3, "after a reload");
    // One that the backend ends while it is idle is noticed.
    backend.close_all();
    for target in targets {
        assert_eq!(client.get(target).text(), target, "{}", ringgate.log());
    }
    expect_sound(&ringgate);
}

/// New connections resume sessions, unless told otherwise.
#[test]
fn sessions_with_backends_are_resumed() {
    let authority = Authority::new("backends");
    let pair = authority.server(&["app.test"]);
    for (lines, resumed) in [("", true), ("proxy_ssl_session_reuse = \"off\"", false)] {
        let mut config = server_config(&pair.identity, None);
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().expect("a ticketer");
        let (backend, seen) = noting(config, false);
        let ringgate = before(&backend, &authority, &format!("{TRUST}{NAME}{lines}"));
        let mut client = ringgate.client();
        for _ in 0..6 {
            assert_eq!(client.get("/").status(), 200);
        }
        let seen: Vec<bool> = seen.lock().expect("nobody panicked").iter().map(|entry| entry.1).collect();
        assert_eq!((seen.len(), seen[0]), (6, false));
        assert!(seen[1..].iter().all(|&again| again == resumed), "{lines}: {seen:?}");
    }
}

/// A backend that speaks no TLS, one that hangs within the handshake, one that is gone: each has its name, and the next server is asked.
#[test]
fn handshakes_that_fail_are_passed_over() {
    let authority = Authority::new("backends");
    let pair = authority.server(&["app.test"]);
    let good = secure(&pair);
    let plain = Backend::script(|conn| {
        conn.some();
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let hanging = Backend::script(|conn| conn.drain());
    let closing = Backend::script(|conn| drop(conn.some()));
    for (case, bad, reasons) in [
        ("plain", &plain, &["backend_tls_failed"][..]),
        ("hanging", &hanging, &["backend_tls_failed", "connect_timeout", "first_byte_timeout"]),
        ("closing", &closing, &["backend_tls_failed", "backend_closed"]),
    ] {
        let lines = format!("{TRUST}{NAME}proxy_connect_timeout = \"300ms\"\nproxy_read_timeout = \"5s\"");
        let alone = before(bad, &authority, &lines);
        let answer = alone.client().get("/");
        assert!([502, 504].contains(&answer.status()), "{case}: {}", answer.status());
        assert!(
            reasons.contains(&answer.reason().unwrap_or_default()),
            "{case}: {:?}\n{}",
            answer.reason(),
            alone.log()
        );
        let folder = folder();
        super::write(folder.path(), "ca.pem", &authority.pem());
        let both = Setup::new()
            .workers(1)
            .upstream("app", &[bad.place(), good.place()], "")
            .server("127.0.0.1:0", "", &[("/", "https://app", &lines)])
            .start_in(folder);
        for _ in 0..4 {
            assert_eq!(both.client().get("/").status(), 200, "{case}: {}", both.log());
            assert_eq!(both.client().post("/", b"never sent to the bad one").status(), 200, "{case}: {}", both.log());
        }
    }
}

/// An answer that ends with its connection is whole only if the backend says so. FIN alone may be anybody's.
#[test]
fn a_cut_answer_is_not_passed_on_as_whole() {
    let authority = Authority::new("backends");
    let pair = authority.server(&["app.test"]);
    let backend = Backend::secure(server_config(&pair.identity, None), |conn| {
        let Some(head) = conn.head() else { return };
        conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        conn.send(vec![b'x'; 100_000]);
        if head.target() == "/cut" {
            conn.tls().expect("it is one").leave_silently();
        }
    });
    let ringgate = before(&backend, &authority, &format!("{TRUST}{NAME}"));
    let mut client = ringgate.client();
    let whole = client.get("/whole");
    assert_eq!((whole.status(), whole.body.len()), (200, 100_000));
    for _ in 0..5 {
        let mut client = ringgate.client();
        client.send("GET /cut HTTP/1.1\r\nHost: test\r\n\r\n");
        let cut = client.try_response_to("GET");
        assert!(cut.is_err(), "a client took it as whole: {:?}", cut.map(|answer| answer.body.len()));
    }
    expect_sound(&ringgate);
}

#[test]
fn tunnels_pass_to_tls_backends() {
    let authority = Authority::new("backends");
    let pair = authority.server(&["app.test"]);
    let backend = Backend::secure(server_config(&pair.identity, None), |conn| {
        conn.head();
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        loop {
            match conn.some() {
                bytes if bytes.is_empty() => return,
                bytes => assert!(conn.send(bytes)),
            }
        }
    });
    let ringgate = before(&backend, &authority, &format!("{TRUST}{NAME}"));
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.head().status(), 101);
    for i in 0..100 {
        let text = format!("message {i}");
        client.send(&text);
        assert_eq!(client.read_exactly(text.len()), text.as_bytes());
    }
    client.finish();
    client.expect_fin();
}
