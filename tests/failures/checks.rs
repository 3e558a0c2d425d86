//! Active checks: they find what is broken before a client does, and never break anything themselves.

use super::load::{Clients, Load, expect_good};
use super::process::Process;
use super::support::{End, Ringgate, Setup, postgres, wait_until};
use super::{GETS, backends, before, session};
use std::time::Duration;

/// `[upstream.app.health_check]` that asks each 100 ms.
fn check(lines: &str) -> String {
    format!("[upstream.app.health_check]\ninterval = \"100ms\"\n{lines}")
}

const HTTP: &str = "type = \"http\"\nuri = \"/health\"\nstatus = [\"200\"]";

#[track_caller]
fn await_state(ringgate: &Ringgate, backend: &Process, awaited: &str) -> String {
    let state = || ringgate.status().state(&backend.address());
    wait_until(&format!("{} is {awaited}", backend.name), || state().0 == awaited);
    state().1
}

/// Row 1: "active checks without Plus". A server that answers its clients badly somewhere else is found by its own word, with
/// no client involved.
#[test]
fn row_01_active_checks() {
    let backends = backends(3);
    let ringgate = before(&backends, &check(HTTP), "");
    expect_good(&Load::run(ringgate.place(), GETS, 10), "before");
    backends[1].tell("health 503 0");
    let why = await_state(&ringgate, &backends[1], "down");
    assert!(why.contains("503"), "why: {why}");
    let got = backends[1].got();
    expect_good(&Load::run(ringgate.place(), GETS, 30), "one is down");
    assert_eq!(backends[1].got(), got, "a server that is down was used");
    let last = ringgate.status().server(&backends[1].address())["last_check"].clone();
    assert!(last.as_str().is_some_and(|last| last.contains("503")), "the last check: {last}");
    backends[1].tell("health 200 0");
    await_state(&ringgate, &backends[1], "up");
    expect_good(&Load::run(ringgate.place(), GETS, 30), "all are up");
    assert!(backends[1].got() > got);
}

/// Row 20: "503 until the first probe". Nothing is known of a server whose first check takes long: it is used.
#[test]
fn row_20_nothing_is_refused_before_the_first_check() {
    let backends = backends(2);
    backends.iter().for_each(|backend| backend.tell("health 200 3000"));
    let lines = format!("fail_open = \"off\"\n{}", check(&format!("{HTTP}\ntimeout = \"10s\"")));
    let ringgate = before(&backends, &lines, "");
    expect_good(&Load::run(ringgate.place(), GETS, 20), "before the first verdict");
}

/// Row 20: "56 % of a load test was 503: the probe timed out on a busy single backend". Each check of ours times out, while the
/// backend answers all its clients, slowly.
#[test]
fn row_20_checks_that_time_out_do_not_take_a_busy_site_down() {
    for count in [1, 2] {
        let backends = backends(count);
        for backend in &backends {
            backend.tell("delay 25");
            backend.tell("health 200 2000");
        }
        let lines = check(&format!("{HTTP}\ntimeout = \"60ms\"\nfall = 2"));
        let ringgate = before(&backends, &lines, "");
        let load = Load::start(ringgate.place(), Clients { gets: 3, posts: 1 });
        // The first checks, then as many as would have put it down four times.
        wait_until("many checks have timed out", || backends.iter().all(|backend| backend.report().checks >= 10));
        let outcomes = load.finish(5);
        assert!(outcomes.len() > 40, "there was hardly any load: {}", outcomes.len());
        expect_good(&outcomes, &format!("{count} busy backends"));
    }
}

/// Row 23: "TCP check". A dead server is found without a client.
#[test]
fn row_23_a_tcp_check_finds_a_dead_server() {
    let backends = backends(2);
    let ringgate = before(&backends, &check("type = \"tcp\"\nfall = 3\nrise = 2"), "");
    backends[0].kill();
    let why = await_state(&ringgate, &backends[0], "down");
    assert!(why.contains("connection refused") && why.contains("3 of 3"), "why: {why}");
    expect_good(&Load::run(ringgate.place(), GETS, 10), "one is down");
    backends[0].revive();
    await_state(&ringgate, &backends[0], "up");
    expect_good(&Load::run(ringgate.place(), GETS, 10), "all are up");
    assert!(backends[0].got() > 0);
}

/// The same of one whose packets vanish.
#[test]
fn row_23_a_tcp_check_finds_a_black_hole() {
    let backends = backends(2);
    let ringgate = before(&backends, &check("type = \"tcp\"\ntimeout = \"100ms\""), "");
    backends[0].tell("hole");
    await_state(&ringgate, &backends[0], "down");
    expect_good(&Load::run(ringgate.place(), GETS, 10), "one is down");
    backends[0].tell("ok");
    await_state(&ringgate, &backends[0], "up");
}

/// Row 23: "thresholds". Fewer failures in a row than `fall` are nothing; as many are something.
#[test]
fn row_23_thresholds() {
    let backends = backends(2);
    let ringgate = before(&backends, &check(&format!("{HTTP}\nfall = 3\nrise = 2")), "");
    let state = || ringgate.status().state(&backends[0].address()).0;
    for _ in 0..3 {
        let done = backends[0].report().checks + 4;
        backends[0].tell("sick 2");
        wait_until("four more checks", || {
            assert_ne!(state(), "down", "after 2 of 3");
            backends[0].report().checks >= done
        });
    }
    // It stays down for two more checks at least, which is longer than we look away.
    backends[0].tell("sick 3");
    await_state(&ringgate, &backends[0], "down");
    await_state(&ringgate, &backends[0], "up");
}

/// Row 23: "fail-open". All checks fail, all traffic would be well: it goes on, unless told otherwise.
#[test]
fn row_23_fail_open() {
    for fail_open in ["on", "off"] {
        let backends = backends(2);
        let lines = format!("fail_open = \"{fail_open}\"\n{}", check(HTTP));
        let ringgate = before(&backends, &lines, "");
        backends.iter().for_each(|backend| backend.tell("health 500 0"));
        backends.iter().for_each(|backend| drop(await_state(&ringgate, backend, "down")));
        if fail_open == "on" {
            expect_good(&Load::run(ringgate.place(), GETS, 20), "all checks fail");
        } else {
            let answer = ringgate.client().get("/");
            assert_eq!(answer.status(), 503, "{:?}", answer.reason());
            assert!(answer.reason().is_some());
            assert_eq!(backends.iter().map(Process::got).sum::<usize>(), 0);
            backends[0].tell("health 200 0");
            await_state(&ringgate, &backends[0], "up");
            expect_good(&Load::run(ringgate.place(), GETS, 20), "one is up");
        }
    }
}

/// Row 23: "closing TCP when the backend ends", rather than when somebody writes next.
#[test]
fn row_23_a_tcp_session_ends_with_its_backend() {
    let (ringgate, servers, _agents) = database("keep");
    let mut one = session(ringgate.place());
    assert!(one.echo("hello"));
    let owner = servers.iter().find(|server| server.name == one.from).expect("one of them");
    owner.kill();
    let (rest, end) = one.client.read_to_end();
    assert!(rest.is_empty() && end != End::Open, "{rest:?}, {end:?}");
    let mut next = session(ringgate.place());
    assert!(next.from != owner.name && next.echo("hello"), "a new session is at {}", next.from);
}

/// Two servers of a `[[tcp]]` section, each with an agent on a port of its own that says whether it is the leader (as Patroni does).
#[track_caller]
fn database(on_down: &str) -> (Ringgate, Vec<Process>, Process) {
    let servers: Vec<Process> = ["a", "b"].map(Process::echo).into();
    let agent = Process::http("agent");
    let lines = format!(
        "on_down = \"{on_down}\"\n{}\nport = {}\n[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"app\"",
        check(HTTP),
        agent.place.port()
    );
    let list = format!("\"{}\", \"{} backup\"", servers[0].place, servers[1].place);
    (Setup::new().upstream_list("app", &list, &lines).start(), servers, agent)
}

/// Row 12: "TCP sessions stay on a dead or demoted database". `on_down = "close"` ends them; "keep", the default, does not.
#[test]
fn row_12_sessions_of_a_demoted_server() {
    for on_down in ["close", "keep"] {
        let (ringgate, servers, agent) = database(on_down);
        let mut one = session(ringgate.place());
        assert_eq!(one.from, "a");
        assert!(one.echo("hello"));
        agent.tell("health 503 0");
        await_state(&ringgate, &servers[0], "down");
        if on_down == "close" {
            let (_, end) = one.client.read_to_end();
            assert_ne!(end, End::Open, "the session goes on");
            wait_until("the server's side has ended", || servers[0].report().open == 0);
        } else {
            assert!(one.echo("still there"), "the session ended");
            one.client.expect_silence(Duration::from_millis(200));
            assert!(one.echo("and still"), "the session ended");
        }
        agent.tell("health 200 0");
        await_state(&ringgate, &servers[0], "up");
        assert!(session(ringgate.place()).echo("again"));
        let left = if on_down == "close" { 0 } else { 1 };
        wait_until("only the kept session is counted", || ringgate.status().in_flight() == left);
    }
}

/// Row 13: "connect-only probes fill the database's log, or get the balancer banned". A check of a real PostgreSQL leaves no
/// line there, and sees its end.
#[test]
fn row_13_a_check_of_postgres_is_polite() {
    let test = "row_13_a_check_of_postgres_is_polite";
    let ready = "ready to accept connections";
    let Some(postgres) = postgres::start(test, &[], |_| (), ready) else { return };
    let place = postgres.place.clone();
    let before = postgres.log();
    // The checks go through another ringgate, which counts them.
    let counting = Ringgate::tcp(&place);
    let lines = format!(
        "[upstream.db.health_check]\ntype = \"postgres\"\ninterval = \"100ms\"\nport = {}\n\
         [[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"db\"",
        counting.place().port()
    );
    let ringgate = Setup::new().upstream("db", &[&place], &lines).start();
    let server = |key: &str| ringgate.status().server(&place.to_string())[key].clone();
    wait_until("ten checks were made", || counting.status().total("connections_total") > 10);
    assert_eq!(server("state"), "up");
    assert_eq!(postgres.log(), before, "the checks left lines in its log");
    drop(postgres);
    wait_until("its end is seen", || server("state") == "down");
    assert!(server("why").as_str().is_some_and(|why| why.contains("check")), "why: {}", server("why"));
}
