//! allow and deny, passwords, and limits.

use super::*;
use crate::config::plan::{
    Access, AccessRule, Basic, LimitConn, LimitConnZone, LimitReq, LimitReqZone, Location, Matching, Whom,
};
use crate::config::template::{Known, Template};
use crate::log::LogReceiver;
use std::path::Path;
use std::time::{Duration, Instant};

fn template(text: &str) -> Template {
    Template::parse(text, &Known::default()).unwrap()
}

fn rule(allow: bool, network: &str) -> AccessRule {
    let whom = if network == "all" { Whom::All } else { Whom::Network(network.parse().unwrap()) };
    AccessRule { allow, whom }
}

/// The first location of the first server.
fn location(plan: &mut Plan) -> &mut Location {
    &mut plan.servers[0].locations[0]
}

fn with_access(access: Access) -> (House, LogReceiver) {
    House::logged(1, Faults::default(), |plan| location(plan).access = Arc::new(access))
}

fn password(file: &Path, realm: &str) -> Option<Basic> {
    Some(Basic { realm: template(realm), file: file.to_owned() })
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// `Authorization` of "ann:one".
const ANN: &str = "Authorization: Basic YW5uOm9uZQ==\r\n";
/// Of "ann:two".
const WRONG: &str = "Authorization: Basic YW5uOnR3bw==\r\n";

/// The thread that looks passwords up takes real time, which the turns of a scripted house do not.
fn until_really(house: &House, what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < until, "never: {what}");
        house.reactor.turn().expect("a scripted ring does not fail");
        std::thread::yield_now();
    }
}

/// What a request comes to: the status of a refusal, or 0 when a backend got it (and closed the connection).
fn outcome(house: &House, request: &str) -> (u16, String) {
    let client = house.client();
    house.driver.world().feed(client, request.as_bytes());
    until_really(house, "an answer or a backend", || {
        !house.driver.world().connected.is_empty() || house.sent(client).windows(4).any(|end| end == b"\r\n\r\n")
    });
    let reached = house.driver.world().connected.pop_front();
    if let Some(backend) = reached {
        let backend = Descriptor(backend);
        house.await_sent(backend, b"\r\n\r\n");
        let seen = String::from_utf8(house.sent(backend)).unwrap();
        house.driver.world().feed(backend, b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        house.driver.world().fin(backend);
        house.await_sent(client, b"\r\n\r\n");
        house.driver.world().fin(client);
        house.until("the connection's end", |house| house.driver.world().end(client).closed);
        return (0, seen);
    }
    house.driver.world().fin(client);
    house.until("the connection's end", |house| house.driver.world().end(client).closed);
    let text = String::from_utf8(house.sent(client)).unwrap();
    (text[9..12].parse().unwrap(), text)
}

fn logged(log: LogReceiver) -> String {
    let mut lines = Vec::new();
    log.drain_to(&mut lines);
    String::from_utf8(lines).unwrap()
}

/// Clients of a scripted house are 192.0.2.1.
#[test]
fn addresses_are_let_in_or_not() {
    let rows = [
        (vec![rule(true, "192.0.2.0/24"), rule(false, "all")], 0),
        (vec![rule(false, "192.0.2.1/32"), rule(true, "all")], 403),
        (vec![rule(false, "10.0.0.0/8")], 0),
        (vec![rule(true, "10.0.0.0/8"), rule(false, "all")], 403),
    ];
    for (rules, wanted) in rows {
        let (house, _log) = with_access(Access { rules: rules.clone(), ..Access::default() });
        let (status, text) = outcome(&house, &get(""));
        assert_eq!(status, wanted, "{rules:?}");
        assert_eq!(text.contains("access_denied"), wanted == 403);
        house.idle(0);
    }
    // The address that a trusted proxy names counts, and nothing else does.
    let rules = vec![rule(true, "203.0.113.9/32"), rule(false, "all")];
    for (trusted, wanted) in [(true, 0), (false, 403)] {
        let house = House::with(1, Faults::default(), |plan| {
            location(plan).access = Arc::new(Access { rules: rules.clone(), ..Access::default() });
            if trusted {
                plan.servers[0].real_ip_from = vec!["192.0.2.0/24".parse().unwrap()];
            }
        });
        assert_eq!(outcome(&house, &get("X-Forwarded-For: 203.0.113.9\r\n")).0, wanted, "{trusted}");
    }
}

#[test]
fn names_and_passwords_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, "ann:{PLAIN}one\n").unwrap();
    let (house, log) = with_access(Access { basic: password(&file, "for \"$host\""), ..Access::default() });
    for fields in ["", WRONG, "Authorization: Basic !\r\n", "Authorization: Bearer YW5uOm9uZQ==\r\n"] {
        let (status, text) = outcome(&house, &get(fields));
        assert_eq!(status, 401, "{fields}");
        assert!(text.contains("\r\nWWW-Authenticate: Basic realm=\"for \\\"a\\\"\"\r\n"), "{text}");
        assert!(text.contains("auth_required"), "{text}");
    }
    for _ in 0..2 {
        let (status, seen) = outcome(&house, &get(ANN));
        assert_eq!(status, 0);
        assert!(seen.contains("\r\nAuthorization: Basic YW5uOm9uZQ==\r\n"), "it goes on to the backend: {seen}");
    }
    house.idle(0);
    let lines = logged(log);
    assert!(
        lines.contains("the password of \"ann\" is not the one in") && lines.contains("no name and password"),
        "{lines}"
    );
    assert!(!lines.contains("two"), "no password in the log: {lines}");
}

#[test]
fn a_realm_called_off_asks_for_nothing() {
    let (house, _log) = with_access(Access { basic: password(Path::new("/nowhere"), "off"), ..Access::default() });
    assert_eq!(outcome(&house, &get("")).0, 0);
    let (house, _log) =
        with_access(Access { basic: password(Path::new("/nowhere"), "$arg_none"), ..Access::default() });
    assert!(outcome(&house, &get("")).1.contains("WWW-Authenticate: Basic realm=\"\"\r\n"));
}

#[test]
fn files_that_cannot_be_read_are_said() {
    let folder = tempfile::tempdir().unwrap();
    for (path, status, name) in [
        (folder.path().join("missing"), 403, "passwords_missing"),
        (folder.path().to_owned(), 500, "passwords_unreadable"),
    ] {
        let (house, log) = with_access(Access { basic: password(&path, "x"), ..Access::default() });
        assert_eq!(outcome(&house, &get("")).0, 401, "who says nothing is asked first, as in nginx");
        let (got, text) = outcome(&house, &get(ANN));
        assert!(got == status && text.contains(name) && !text.contains("WWW-Authenticate"), "{text}");
        let lines = logged(log);
        let line = lines.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{lines}"));
        assert!(line.contains("error") && line.contains(path.to_str().unwrap()), "{line}");
    }
    let file = folder.path().join("old");
    std::fs::write(&file, "ann:abvOVwEVZZ8hM\n").unwrap();
    let (house, log) = with_access(Access { basic: password(&file, "x"), ..Access::default() });
    assert_eq!(outcome(&house, &get(ANN)).0, 401);
    let lines = logged(log);
    assert!(lines.contains("DES crypt is not secure") && lines.contains("old"), "{lines}");
}

#[test]
fn one_of_both_suffices_or_both_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, "ann:{PLAIN}one\n").unwrap();
    let here = vec![rule(true, "192.0.2.0/24"), rule(false, "all")];
    let elsewhere = vec![rule(true, "10.0.0.0/8"), rule(false, "all")];
    let silent = vec![rule(true, "10.0.0.0/8")];
    // Rules, `satisfy any`, the realm, the fields, what comes of it.
    let rows = [
        (&here, false, "x", ANN, 0),
        (&here, false, "x", WRONG, 401),
        (&here, false, "x", "", 401),
        (&elsewhere, false, "x", ANN, 403),
        (&here, true, "x", "", 0),
        (&here, true, "x", WRONG, 0),
        (&elsewhere, true, "x", ANN, 0),
        (&elsewhere, true, "x", WRONG, 401),
        (&elsewhere, true, "x", "", 401),
        (&elsewhere, true, "off", ANN, 403),
        (&elsewhere, false, "off", ANN, 403),
        (&silent, true, "x", "", 401),
        (&silent, true, "x", ANN, 0),
        (&silent, true, "off", "", 0),
    ];
    for (rules, any, realm, fields, wanted) in rows {
        let access = Access { rules: rules.clone(), basic: password(&file, realm), any };
        let (house, _log) = with_access(access);
        assert_eq!(outcome(&house, &get(fields)).0, wanted, "{rules:?} any: {any}, {realm}, {fields}");
    }
}

#[test]
fn a_client_that_goes_away_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, "ann:$2y$10$abcdefghijklmnopqrstuuFzejfplTChgPyZNQOF2kNcZhBC.ObAS\n").unwrap();
    let (house, _log) = with_access(Access { basic: password(&file, "x"), ..Access::default() });
    let client = house.client();
    house.driver.world().feed(client, get(ANN).as_bytes());
    house.driver.world().break_off(client, libc::ECONNRESET);
    house.idle(0);
}

/// A zone by `$http_x_key` and limits on it, in the first location.
fn limited(plan: &mut Plan, rate: u64, limits: &[(u32, u32, bool)]) {
    for nth in 0..limits.len() {
        let (name, key) = (format!("z{nth}"), template("$http_x_key"));
        plan.limit_req_zones.push(LimitReqZone { name, key, bytes: 1 << 20, rate });
    }
    let limit = |(zone, &(burst, delay, dry_run))| LimitReq { zone, burst, delay, status: 429, dry_run };
    location(plan).limit_req = Arc::new(limits.iter().enumerate().map(limit).collect());
}

#[test]
fn requests_beyond_the_rate_are_refused() {
    // One in 1,000 s: however long the house takes.
    let (house, log) = House::logged(1, Faults::default(), |plan| limited(plan, 1, &[(1, 1, false)]));
    let a = get("X-Key: a\r\n");
    assert_eq!([outcome(&house, &a).0, outcome(&house, &a).0, outcome(&house, &a).0], [0, 0, 429]);
    let (_, text) = outcome(&house, &a);
    assert!(text.starts_with("HTTP/1.1 429 Too Many Requests\r\n") && text.contains("request_limit"), "{text}");
    assert_eq!(outcome(&house, &get("X-Key: b\r\n")).0, 0, "another key");
    for _ in 0..5 {
        assert_eq!(outcome(&house, &get("")).0, 0, "no key, no count");
    }
    house.idle(0);
    let lines = logged(log);
    assert!(lines.contains("excess 2.000 in zone \"z0\""), "{lines}");
}

#[test]
fn a_dry_run_refuses_nobody() {
    let (house, log) = House::logged(1, Faults::default(), |plan| {
        limited(plan, 1, &[(1, 0, true)]);
        location(plan).set_headers = Arc::new(vec![("X-Status".into(), template("$limit_req_status"))]);
    });
    let a = get("X-Key: a\r\n");
    for wanted in ["PASSED", "DELAYED_DRY_RUN", "REJECTED_DRY_RUN", "REJECTED_DRY_RUN"] {
        let (status, seen) = outcome(&house, &a);
        assert!(status == 0 && seen.contains(&format!("\r\nX-Status: {wanted}\r\n")), "{wanted}: {seen}");
    }
    assert!(!outcome(&house, &get("")).1.contains("X-Status"), "nothing was asked");
    let lines = logged(log);
    assert!(lines.contains("without limit_req_dry_run refused") && lines.contains("1000000 ms later"), "{lines}");
}

#[test]
fn requests_wait_for_their_turn() {
    let house = House::with(1, Faults::default(), |plan| {
        limited(plan, 1, &[(5, 0, false)]);
        location(plan).set_headers = Arc::new(vec![("X-Status".into(), template("$limit_req_status"))]);
    });
    let a = get("X-Key: a\r\n");
    assert_eq!(outcome(&house, &a).0, 0);
    let begin = house.reactor.now_ms();
    let client = house.client();
    house.driver.world().feed(client, a.as_bytes());
    let backend = house.backend();
    let waited = house.reactor.now_ms() - begin;
    assert!((990_000..1_010_000).contains(&waited), "{waited}");
    house.await_sent(backend, b"\r\n\r\n");
    assert!(String::from_utf8(house.sent(backend)).unwrap().contains("\r\nX-Status: DELAYED\r\n"));
    house.driver.world().break_off(client, libc::ECONNRESET);
    house.until("the exchange ends", |house| house.driver.world().end(client).closed);
    // One that goes away while it waits.
    let client = house.client();
    house.driver.world().feed(client, a.as_bytes());
    (0..20).for_each(|_| house.reactor.turn().expect("a scripted ring does not fail"));
    let begin = house.reactor.now_ms();
    house.driver.world().break_off(client, libc::ECONNRESET);
    house.until("it is let go", |house| house.driver.world().end(client).closed);
    assert!(house.reactor.now_ms() - begin < 500_000 && house.driver.world().connected.is_empty());
}

#[test]
fn only_so_many_at_once() {
    let (house, log) = House::logged(1, Faults::default(), |plan| {
        let key = template("$http_x_key");
        plan.limit_conn_zones.push(LimitConnZone { name: "c".into(), key, bytes: 1 << 20 });
        location(plan).limit_conn = Arc::new(vec![LimitConn { zone: 0, most: 2, status: 503, dry_run: false }]);
        location(plan).set_headers = Arc::new(vec![("X-Status".into(), template("$limit_conn_status"))]);
        // A scripted house's time runs while nothing happens.
        location(plan).proxy_first_byte_timeout = Duration::from_secs(10_000_000);
    });
    let a = get("X-Key: a\r\n");
    let hold = || {
        let client = house.client();
        house.driver.world().feed(client, a.as_bytes());
        let backend = house.backend();
        house.await_sent(backend, b"\r\n\r\n");
        assert!(String::from_utf8(house.sent(backend)).unwrap().contains("\r\nX-Status: PASSED\r\n"));
        (client, backend)
    };
    let (first, backend) = hold();
    let (second, _) = hold();
    let (status, text) = outcome(&house, &a);
    assert!(status == 503 && text.contains("connection_limit"), "{text}");
    assert_eq!(outcome(&house, &get("X-Key: b\r\n")).0, 0);
    assert_eq!(outcome(&house, &get("")).0, 0);
    // One is answered, and its connection stays; the other goes away.
    house.driver.world().feed(backend, b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    house.driver.world().fin(backend);
    house.await_sent(first, b"\r\n\r\n");
    let (third, _) = hold();
    assert_eq!(outcome(&house, &a).0, 503);
    house.driver.world().break_off(second, libc::ECONNRESET);
    house.until("it is gone", |house| house.driver.world().end(second).closed);
    let (fourth, _) = hold();
    assert_eq!(outcome(&house, &a).0, 503);
    for client in [third, fourth, first] {
        house.driver.world().break_off(client, libc::ECONNRESET);
    }
    house.until("all are gone", |house| [first, third, fourth].iter().all(|&c| house.driver.world().end(c).closed));
    assert!(logged(log).contains("2 at once in zone \"c\""));
}

#[test]
fn an_inner_redirect_asks_for_the_password_of_where_it_leads_and_counts_once() {
    use crate::config::plan::{Flag, Rule};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, "ann:{PLAIN}one\n").unwrap();
    let house = House::with(1, Faults::default(), |plan| {
        limited(plan, 1, &[(0, 0, false)]);
        let server = &mut plan.servers[0];
        let matching = Matching::Prefix { prefix: "/secret".into(), is_final: false };
        let access = Arc::new(Access { basic: password(&file, "x"), ..Access::default() });
        let secret = Location { name: "/secret".into(), matching, access, ..server.locations[0].clone() };
        server.level.prefixes.insert(0, server.locations.len());
        server.locations.push(secret);
        server.locations[0].rules = Arc::new(vec![Rule::Rewrite {
            pattern: crate::config::pattern::Pattern::new("^/go$", false).unwrap(),
            replacement: template("/secret"),
            drops_args: false,
            flag: Flag::Last,
        }]);
    });
    let go = |fields: &str| format!("GET /go HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(outcome(&house, &go("")).0, 401);
    assert_eq!(outcome(&house, &go(&format!("{ANN}X-Key: a\r\n"))).0, 0);
    assert_eq!(outcome(&house, &go(&format!("{ANN}X-Key: a\r\n"))).0, 429);
}
