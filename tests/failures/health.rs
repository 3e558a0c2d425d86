//! Who is taken out of use, for how long, and who steps in.

use super::load::{Clients, Load, expect_good};
use super::process::Process;
use super::support::{Client, PATIENCE, Ringgate, wait_until, wait_until_within};
use super::{GETS, backends, before, before_list, get};
use std::time::Duration;

/// A server's state, and why.
#[track_caller]
fn state(ringgate: &Ringgate, backend: &Process) -> (String, String) {
    ringgate.status().state(&backend.address())
}

/// Sends GETs (none may fail) until the server is in that state.
#[track_caller]
fn ask_until(ringgate: &Ringgate, backend: &Process, awaited: &str) {
    wait_until(&format!("{} is {awaited}", backend.name), || {
        expect_good(&Load::run(ringgate.place(), GETS, 5), awaited);
        state(ringgate, backend).0 == awaited
    });
}

/// Nobody is left: each request gets a page, long before any time-out, and the first that comes back is used soon after.
#[track_caller]
fn all_dead(group: &str) {
    let backends = backends(2);
    let ringgate = before(&backends, group, "");
    expect_good(&Load::run(ringgate.place(), GETS, 10), "before");
    backends.iter().for_each(Process::kill);
    for _ in 0..30 {
        let mut client = ringgate.client();
        // A connection may take 5 s, an answer 60 s, a place in the queue 10 s: none of them is waited for.
        client.set_read_timeout(Duration::from_secs(3));
        let answer = client.get("/");
        assert!([502, 503].contains(&answer.status()), "{group}: {}", answer.start);
        assert!(answer.reason().is_some() && !answer.body.is_empty(), "{group}: no page: {:?}", answer.fields);
    }
    backends[0].revive();
    // It is looked at each second; what comes on top is for a busy machine. The ejection itself would last 10 s.
    wait_until_within(Duration::from_secs(6), &format!("{group}: a is used again"), || get(&ringgate) == 200);
    expect_good(&Load::run(ringgate.place(), GETS, 10), "one is back");
    backends[1].revive();
    let before = backends[1].got();
    wait_until(&format!("{group}: b is used again"), || get(&ringgate) == 200 && backends[1].got() > before);
}

#[test]
fn all_dead_is_a_page_at_once_and_recovery_is_noticed() {
    all_dead("");
}

#[test]
fn all_dead_and_closed_is_a_page_at_once_and_recovery_is_noticed() {
    all_dead("fail_open = \"off\"");
}

#[test]
fn all_dead_with_checks_is_a_page_at_once_and_recovery_is_noticed() {
    all_dead("fail_open = \"off\"\n[upstream.app.health_check]\ntype = \"tcp\"\ninterval = \"300ms\"\nrise = 1");
}

/// Connecting to it stops, the status says why, and it comes back by itself.
#[test]
fn a_dead_server_is_ejected_says_why_and_comes_back() {
    let backends = backends(3);
    let ringgate = before(&backends, "", "");
    expect_good(&Load::run(ringgate.place(), GETS, 10), "before");
    backends[1].kill();
    ask_until(&ringgate, &backends[1], "ejected");
    let (_, why) = state(&ringgate, &backends[1]);
    assert!(why.contains("connection refused") && why.contains(|c: char| c.is_ascii_digit()), "why: {why}");
    let tries = || {
        let status = ringgate.status();
        let server = status.server(&backends[1].address());
        server["connects"].as_u64().expect("a number") + server["connect_failures"].as_u64().expect("a number")
    };
    let before = tries();
    expect_good(&Load::run(ringgate.place(), GETS, 80), "while it is ejected");
    // Nobody listens: looking whether it is back puts it on trial at no time.
    assert_eq!(tries(), before, "an ejected server was tried; {}", ringgate.log());
    let got = backends[1].got();
    backends[1].revive();
    ask_until(&ringgate, &backends[1], "up");
    expect_good(&Load::run(ringgate.place(), GETS, 10), "it is back");
    assert!(backends[1].got() > got);
}

/// Killed in the midst of answers it is broken first and refuses then; it is used again as soon as if it had refused from the start.
#[test]
fn a_server_killed_under_load_is_used_again_soon() {
    let backends = backends(3);
    let ringgate = before(&backends, "", "");
    let load = Load::start(ringgate.place(), GETS);
    load.expect_more(200);
    backends[0].tell("delay 300");
    wait_until("all are at a", || backends[0].report().under_way >= 4);
    backends[0].kill();
    wait_until("a is ejected", || state(&ringgate, &backends[0]).0 == "ejected");
    backends[0].revive();
    let got = backends[0].got();
    wait_until_within(Duration::from_secs(6), "a is used again", || backends[0].got() > got);
    expect_good(&load.finish(10), "killed and revived");
}

/// What looks well from outside is not: it takes connections, which is all that looking from outside can tell, and breaks them.
#[test]
fn a_server_that_breaks_all_connections_is_hardly_tried() {
    let backends = backends(3);
    backends[2].tell("slam");
    let ringgate = before(&backends, "", "");
    ask_until(&ringgate, &backends[2], "ejected");
    let before = backends[2].report().connections;
    let load = Load::run(ringgate.place(), GETS, 120);
    expect_good(&load, "while it is ejected");
    let more = backends[2].report().connections - before;
    // Each second one connection to see whether it is back, and one request on trial.
    assert!(more < load.len() / 20, "{more} connections in {} requests", load.len());
}

/// With "50%" of four, two stay in use whatever they do.
#[test]
fn never_more_than_max_ejected() {
    let backends = backends(4);
    let list = ["a", "b", "c", "d"].map(|name| format!("\"{{{name}}} fail_timeout=500ms\"")).join(", ");
    let ringgate = before_list(&backends, &list, "max_ejected = \"50%\"", "");
    expect_good(&Load::run(ringgate.place(), GETS, 10), "before");
    backends.iter().for_each(|backend| backend.tell("reset"));
    let load = Load::start(ringgate.place(), GETS);
    let mut most = 0;
    for _ in 0..100 {
        let status = ringgate.status();
        let out = status.servers().filter(|server| server["state"] == "ejected").count();
        assert!(out <= 2, "{out} of 4 are out: {}", status.text());
        most = most.max(out);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(most, 2, "ejected at most: {}", ringgate.status().text());
    drop(load.finish(0));
    backends.iter().for_each(|backend| backend.tell("ok"));
    wait_until("all are well again", || {
        Load::run(ringgate.place(), GETS, 5);
        ringgate.status().servers().all(|server| server["state"] == "up")
    });
    expect_good(&Load::run(ringgate.place(), GETS, 20), "all are well again");
}

#[test]
fn backups_serve_when_the_primaries_are_gone_and_down_never() {
    let backends = backends(4);
    let ringgate = before_list(&backends, "\"{a}\", \"{b}\", \"{c} backup\", \"{d} down\"", "", "");
    let counts = || [0, 1, 2, 3].map(|i| backends[i].got());
    expect_good(&Load::run(ringgate.place(), GETS, 20), "all live");
    let [a, b, c, d] = counts();
    assert!(a > 0 && b > 0 && c == 0 && d == 0, "all live: {:?}", [a, b, c, d]);
    backends[0].kill();
    expect_good(&Load::run(ringgate.place(), GETS, 20), "one primary");
    assert_eq!(counts()[2..], [0, 0], "one primary is left");
    backends[1].kill();
    expect_good(&Load::run(ringgate.place(), GETS, 20), "no primary");
    assert!(counts()[2] > 0 && counts()[3] == 0, "no primary: {:?}", counts());
    assert_eq!(state(&ringgate, &backends[3]).0, "down");
    backends[0].revive();
    ask_until(&ringgate, &backends[0], "up");
    let [a, _, c, _] = counts();
    expect_good(&Load::run(ringgate.place(), GETS, 20), "a primary is back");
    assert!(counts()[0] > a);
    assert_eq!(counts()[2..], [c, 0], "the backup rests again");
}

/// Row 14: "slow_start without Plus". A server that comes back gets a tenth at first, and in the end as much as the other.
#[test]
fn row_14_slow_start() {
    let backends = backends(2);
    let ringgate = before_list(&backends, "\"{a}\", \"{b} slow_start=5s fail_timeout=1s\"", "", "");
    let shared = |requests: usize| {
        let before = backends[1].got();
        expect_good(&Load::run(ringgate.place(), Clients { gets: 4, posts: 0 }, requests / 4), "slow start");
        (backends[1].got() - before) as f64 / requests as f64
    };
    assert!(shared(80) > 0.4, "equal servers");
    backends[1].kill();
    ask_until(&ringgate, &backends[1], "ejected");
    backends[1].revive();
    ask_until(&ringgate, &backends[1], "up");
    let at_first = shared(80);
    assert!(at_first < 0.35, "a cold server got {at_first} of the requests");
    wait_until("it has its whole share", || shared(80) > 0.45);
}

/// A client that waits for one of them is not the one who pays: while nobody listens, answers come as quickly as before.
#[test]
fn a_black_hole_costs_few_a_connect_timeout() {
    let backends = backends(3);
    backends[0].tell("hole");
    let ringgate = before(&backends, "", "proxy_connect_timeout = \"300ms\"");
    ask_until(&ringgate, &backends[0], "ejected");
    let failures = || ringgate.status().server(&backends[0].address())["connect_failures"].as_u64().expect("a number");
    let before = failures();
    let outcomes = Load::run(ringgate.place(), GETS, 60);
    expect_good(&outcomes, "with a black hole");
    assert_eq!(failures(), before, "{} requests later", outcomes.len());
    let mut client = Client::connect(ringgate.place());
    client.set_read_timeout(PATIENCE);
    assert_eq!(client.get("/").status(), 200);
}
