//! Who may ask, how often and how many at once, over real sockets and several workers.

#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use support::{Backend, Client, Ringgate, Setup, backend, wait_until};

/// Three workers before one backend; the lines are the location's.
fn start(backend: &Backend, top: &str, lines: &str) -> Ringgate {
    let setup = Setup::new().workers(3).top(top).upstream("backend", &[backend.place()], "");
    setup.server("127.0.0.1:0", "", &[("/", "http://backend", lines)]).start()
}

/// Says `Authorization: Basic` with these, which are encoded.
fn get_as(client: &mut Client, encoded: &str) -> support::Message {
    client.send(format!("GET / HTTP/1.1\r\nHost: test\r\nAuthorization: Basic {encoded}\r\n\r\n"));
    client.response()
}

/// "ann:secret pass" and "ann:other".
const ANN: &str = "YW5uOnNlY3JldCBwYXNz";
const OTHER: &str = "YW5uOm90aGVy";
/// bcrypt and apr1 of "secret pass".
const HASHED: [&str; 2] =
    ["$2y$05$abcdefghijklmnopqrstuuFzejfplTChgPyZNQOF2kNcZhBC.ObAS", "$apr1$abcdefgh$ZAdX7G.l3eDbgTYbm5ePE0"];

/// At one in a minute nothing drips out while this runs: one and the burst are let in, whoever asks which worker.
#[test]
fn a_rate_holds_over_all_workers_and_reloads() {
    let backend = Backend::fixed("ok");
    let zones = "limit_req_zone = [\"$binary_remote_addr zone=one:1m rate=1r/m\"]\nlimit_req_status = 429";
    let ringgate = start(&backend, zones, "limit_req = [\"zone=one burst=19 nodelay\"]");
    let (good, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    let ask = |times: u32| {
        for _ in 0..times {
            match ringgate.client().get("/").status() {
                200 => good.fetch_add(1, SeqCst),
                429 => refused.fetch_add(1, SeqCst),
                other => panic!("{other}"),
            };
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| ask(20));
        }
    });
    assert_eq!((good.load(SeqCst), refused.load(SeqCst)), (20, 100));
    // A reload forgives nothing.
    ringgate.rewrite(&ringgate.config());
    ringgate.succeed(&["reload"]);
    ask(3);
    assert_eq!(good.load(SeqCst), 20);
    assert_eq!(backend.requests(), 20);
    ringgate.expect_log("in zone \"one\"");
}

#[test]
fn those_within_the_burst_wait_for_their_turn() {
    let backend = Backend::answer(|request| backend::ok(request.field("x-status").unwrap_or("none")));
    let zones = "limit_req_zone = [\"$arg_key zone=one:1m rate=20r/s\"]";
    let lines = "limit_req = [\"zone=one burst=3\"]\nproxy_set_header = [\"X-Status $limit_req_status\"]";
    let ringgate = start(&backend, zones, lines);
    let said = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let answer = ringgate.client().get("/?key=a");
                assert_eq!(answer.status(), 200);
                said.lock().unwrap().push(answer.text());
            });
        }
    });
    let said = said.into_inner().unwrap();
    assert!(
        said.contains(&"PASSED".to_owned()) && said.iter().all(|text| text == "PASSED" || text == "DELAYED"),
        "{said:?}"
    );
    assert_eq!(ringgate.client().get("/").text(), "none", "no key");
}

#[test]
fn only_so_many_at_once_over_all_workers() {
    let open = std::sync::Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let backend = Backend::script(move |conn| {
        while conn.request().is_some() {
            wait_until("the gate opens", || gate.load(SeqCst));
            conn.send(backend::ok("ok"));
        }
    });
    let zones = "limit_conn_zone = [\"$binary_remote_addr zone=addr:1m\"]";
    let ringgate = start(&backend, zones, "limit_conn = [\"addr 3\"]\nlimit_conn_status = 429");
    let mut held: Vec<Client> = (0..3).map(|_| ringgate.client()).collect();
    for (nth, client) in held.iter_mut().enumerate() {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        wait_until("it is at the backend", || backend.requests() == nth + 1);
    }
    for _ in 0..10 {
        let answer = ringgate.client().get("/");
        assert_eq!((answer.status(), answer.reason()), (429, Some("connection_limit")));
    }
    assert_eq!(backend.requests(), 3);
    open.store(true, SeqCst);
    for client in &mut held {
        assert_eq!(client.response().status(), 200);
    }
    // Their connections stay, and count no more.
    for _ in 0..10 {
        assert_eq!(ringgate.client().get("/").status(), 200);
    }
}

#[test]
fn passwords_are_asked_for_and_changed_ones_count_soon() {
    let backend = Backend::answer(|request| {
        backend::ok(&format!(
            "{} {}",
            request.field("x-user").unwrap_or("-"),
            request.field("authorization").unwrap_or("-")
        ))
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    let lines = format!(
        "auth_basic = \"for members\"\nauth_basic_user_file = \"{}\"\nproxy_set_header = [\"X-User $remote_user\"]",
        file.display()
    );
    for hashed in HASHED {
        std::fs::write(&file, format!("# members\nann:{hashed}\n")).unwrap();
        let ringgate = start(&backend, "", &lines);
        let mut client = ringgate.client();
        let answer = client.get("/");
        assert_eq!((answer.status(), answer.field("www-authenticate")), (401, Some("Basic realm=\"for members\"")));
        assert_eq!(get_as(&mut client, OTHER).status(), 401);
        for _ in 0..5 {
            let answer = get_as(&mut client, ANN);
            assert_eq!((answer.status(), answer.text()), (200, format!("ann Basic {ANN}")));
        }
        // Written beside and renamed, as htpasswd does.
        std::fs::write(folder.path().join("new"), "ann:{PLAIN}other\n").unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
        wait_until("the new password counts", || get_as(&mut client, OTHER).status() == 200);
        wait_until("the old one does not", || get_as(&mut client, ANN).status() == 401);
        std::fs::remove_file(&file).unwrap();
        wait_until("nobody gets in", || get_as(&mut client, OTHER).status() == 403);
        ringgate.expect_log("passwords_missing");
    }
}

/// Many at once with wrong passwords: others are served meanwhile, and nothing is left behind.
#[test]
fn a_flood_of_wrong_passwords_holds_nobody_up() {
    let backend = Backend::fixed("ok");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, "ann:$2y$10$abcdefghijklmnopqrstuuFzejfplTChgPyZNQOF2kNcZhBC.ObAS\n").unwrap();
    let auth = format!("auth_basic = \"x\"\nauth_basic_user_file = \"{}\"", file.display());
    let setup = Setup::new().workers(1).upstream("backend", &[backend.place()], "");
    let locations = [("/", "http://backend", &auth[..]), ("/open", "http://backend", "")];
    let ringgate = setup.server("127.0.0.1:0", "", &locations).start();
    let before = ringgate.status();
    let mut flood: Vec<Client> = (0..30).map(|_| ringgate.client()).collect();
    for client in &mut flood {
        client.send(format!("GET / HTTP/1.1\r\nHost: test\r\nAuthorization: Basic {OTHER}\r\n\r\n"));
    }
    for _ in 0..20 {
        assert_eq!(ringgate.client().get("/open").status(), 200);
    }
    // Half of them do not wait for it.
    flood.drain(..15).for_each(Client::reset);
    for mut client in flood {
        assert_eq!(client.response().status(), 401);
    }
    backend.close_all(); // what is pooled is a socket too
    ringgate.expect_clean(&before);
}

#[test]
fn addresses_are_let_in_or_not() {
    let backend = Backend::fixed("ok");
    let rows = [
        ("access = [\"allow 127.0.0.0/8\", \"deny all\"]", 200),
        ("access = [\"deny 127.0.0.1\", \"allow all\"]", 403),
        ("access = [\"allow ::1\", \"deny all\"]", 403),
        ("access = [\"deny unix:\"]", 200),
    ];
    for (lines, wanted) in rows {
        let ringgate = start(&backend, "", lines);
        let answer = ringgate.client().get("/");
        assert_eq!(answer.status(), wanted, "{lines}");
        assert_eq!(answer.reason(), (wanted == 403).then_some("access_denied"), "{lines}");
    }
    // Behind a trusted proxy it is the client's address that counts.
    let setup = Setup::new().upstream("backend", &[backend.place()], "");
    let lines = "set_real_ip_from = \"127.0.0.1\"";
    let location = [("/", "http://backend", "access = [\"allow 192.0.2.7\", \"deny all\"]")];
    let ringgate = setup.server("127.0.0.1:0", lines, &location).start();
    for (forwarded, wanted) in [("192.0.2.7", 200), ("192.0.2.8", 403)] {
        let mut client = ringgate.client();
        client.set_read_timeout(Duration::from_secs(20));
        client.send(format!("GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {forwarded}\r\n\r\n"));
        assert_eq!(client.response().status(), wanted, "{forwarded}");
    }
}
