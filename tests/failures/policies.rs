//! Complaints about who is chosen and what is tried again.

use super::load::{Clients, Load, Outcome, expect_good, failed};
use super::process::{Process, times_got};
use super::support::{Ringgate, Setup, wait_until};
use super::{backends, before_list};

#[track_caller]
fn with_workers(backends: &[Process], workers: usize, lines: &str) -> Ringgate {
    let places: Vec<_> = backends.iter().map(|backend| &backend.place).collect();
    let setup = Setup::new().workers(workers).upstream("app", &places, lines);
    setup.server("127.0.0.1:0", "", &[("/", "http://app", "")]).start()
}

/// Row 11: "round robin is per worker, looks wrong". Four workers take turns together.
#[test]
fn row_11_round_robin_is_global() {
    let backends = backends(3);
    let ringgate = with_workers(&backends, 4, "balance = \"round_robin\"");
    // 16 connections, spread over the workers as the kernel likes.
    expect_good(&Load::run(ringgate.place(), Clients { gets: 16, posts: 0 }, 60), "round robin");
    let got: Vec<usize> = backends.iter().map(Process::got).collect();
    assert!(got.iter().all(|count| count.abs_diff(320) <= 32), "a third is 320: {got:?}");
}

/// Row 11: "least_conn is per worker". 30 requests that are all under way at the same time, over four workers: ten for each
/// server, within two.
#[test]
fn row_11_least_conn_is_global() {
    let backends = backends(3);
    let ringgate = with_workers(&backends, 4, "balance = \"least_conn\"");
    for _ in 0..3 {
        for backend in &backends {
            backend.tell("delay 700");
            backend.tell("forget_peak");
        }
        let load = Load::start(ringgate.place(), Clients { gets: 30, posts: 0 });
        let under_way = || -> Vec<usize> { backends.iter().map(|backend| backend.report().under_way).collect() };
        let mut seen = Vec::new();
        wait_until("all are under way", || {
            seen = under_way();
            seen.iter().sum::<usize>() == 30
        });
        backends.iter().for_each(|backend| backend.tell("delay 0"));
        expect_good(&load.finish(1), "least_conn");
        let spread = seen.iter().max().expect("three") - seen.iter().min().expect("three");
        assert!(spread <= 2, "{seen:?}");
    }
}

/// What clients get when `a` fails in this way and is never ejected.
#[track_caller]
fn tried_again(fault: &str, lines: &str) -> (Vec<Process>, Vec<Outcome>) {
    let backends = backends(2);
    backends[0].tell(fault);
    let list = "\"{a} max_fails=0\", \"{b} max_fails=0\"";
    let ringgate = before_list(&backends, list, "retry_budget = \"100%\"", lines);
    let outcomes = Load::run(ringgate.place(), Clients { gets: 2, posts: 2 }, 15);
    (backends, outcomes)
}

/// Row 21: "retry policy on status and idempotency". Which of GET and POST fail with each setting, and whether a POST may be sent twice.
#[test]
fn row_21_what_is_tried_again_is_configurable() {
    // The fault of one of two, the setting, GETs fail, POSTs fail.
    let rows = [
        ("close", "", false, true),
        ("close", "proxy_next_upstream = \"off\"", true, true),
        ("close", "proxy_next_upstream = \"timeout\"", true, true),
        ("close", "proxy_next_upstream_tries = 1", true, true),
        ("close", "proxy_next_upstream_tries = 2", false, true),
        ("close", "proxy_next_upstream = \"error timeout non_idempotent\"", false, false),
        ("close", "proxy_next_upstream_methods = [\"POST\"]", false, false),
        ("status 503", "", true, true),
        ("status 503", "proxy_next_upstream = \"error http_503\"", false, true),
        ("status 503", "proxy_next_upstream = \"error http_502\"", true, true),
        ("status 503", "proxy_next_upstream = \"error http_503 non_idempotent\"", false, false),
        ("status 429", "proxy_next_upstream = \"http_429\"", false, true),
        ("status 404", "proxy_next_upstream = \"http_404\"", false, true),
        ("status 403", "proxy_next_upstream = \"http_403\"", false, true),
    ];
    for (fault, lines, gets, posts) in rows {
        let (backends, outcomes) = tried_again(fault, lines);
        assert!(backends[0].got() > 0, "{fault}, {lines}: a was not asked");
        for (method, expected) in [("GET", gets), ("POST", posts)] {
            let failures = failed(&outcomes, method).len();
            assert_eq!(failures > 0, expected, "{fault}, {lines}: {failures} of {method} failed");
        }
        let twice = times_got(&backends).iter().any(|(target, &times)| target.starts_with("/POST") && times > 1);
        assert_eq!(twice, !posts, "{fault}, {lines}: a POST was sent twice");
    }
}

/// Both servers fail: each is asked once, the last answer is the client's, and `proxy_next_upstream_tries` stops before.
#[test]
fn the_last_answer_is_passed_on() {
    let backends = backends(3);
    backends.iter().for_each(|backend| backend.tell("status 503"));
    for (tries, expected) in [(0, 3), (2, 2), (1, 1)] {
        let lines = format!("proxy_next_upstream = \"error http_503\"\nproxy_next_upstream_tries = {tries}");
        let list = "\"{a} max_fails=0\", \"{b} max_fails=0\", \"{c} max_fails=0\"";
        let ringgate = before_list(&backends, list, "", &lines);
        let before: usize = backends.iter().map(Process::got).sum();
        let answer = ringgate.client().get("/x");
        assert_eq!((answer.status(), answer.reason()), (503, None), "the backend's own answer");
        assert!(answer.text().ends_with(" /x"));
        assert_eq!(backends.iter().map(Process::got).sum::<usize>() - before, expected, "{tries} tries");
    }
}

/// A dead group does not make two requests of each: beyond the budget nothing is tried again.
#[test]
fn the_retry_budget_bounds_what_a_dead_group_costs() {
    let backends = backends(2);
    backends.iter().for_each(|backend| backend.tell("close"));
    for (budget, most) in [("20%", 1.4), ("100%", 2.0)] {
        let list = "\"{a} max_fails=0\", \"{b} max_fails=0\"";
        let ringgate = before_list(&backends, list, &format!("retry_budget = \"{budget}\""), "");
        let before: usize = backends.iter().map(Process::got).sum();
        let outcomes = Load::run(ringgate.place(), Clients { gets: 4, posts: 0 }, 300);
        let asked = (backends.iter().map(Process::got).sum::<usize>() - before) as f64 / outcomes.len() as f64;
        assert!(outcomes.iter().all(|outcome| outcome.status() == 502), "{outcomes:?}");
        // 20 % of 1200, and the hundred of each worker that may always be.
        assert!(asked <= most + 0.01, "{budget}: each request was sent {asked} times");
        assert!(asked >= 1.1, "{budget}: nothing was tried again");
    }
}

/// Each browser stays at its server, and goes to another one (and stays there) when that one dies. Until it was found to be out of
/// use, a browser's new server was not named to it: the next request went from the dead one to a third.
#[test]
fn sticky_browsers_stay_until_their_server_dies() {
    let backends = backends(3);
    let ringgate = with_workers(&backends, 2, "sticky = \"cookie route\"");
    let load = Load::start(ringgate.place(), Clients { gets: 9, posts: 0 });
    load.expect_more(200);
    let victim = backends.iter().max_by_key(|backend| backend.got()).expect("three");
    victim.kill();
    let outcomes = load.finish(20);
    expect_good(&outcomes, "sticky");
    for client in 0..9 {
        let own = outcomes.iter().filter(|outcome| outcome.target.starts_with(&format!("/GET/{client}/")));
        let mut servers: Vec<&str> = own.flat_map(|o| &o.answer).map(|answer| &answer.from[..]).collect();
        servers.dedup();
        let moved = servers.first() == Some(&&victim.name[..]);
        assert_eq!(
            servers.len(),
            if moved { 2 } else { 1 },
            "client {client} was at {servers:?}, {} died",
            victim.name
        );
    }
}
