//! What a person does to a running balancer: at once, and shown as what it is.

use super::load::{Clients, Load, expect_good};
use super::support::{Ringgate, wait_until};
use super::{GETS, backends, before, before_list, session, tunnel};
use crate::process::Process;
use crate::support::Setup;

#[track_caller]
fn differs(ringgate: &Ringgate, backend: &Process) -> bool {
    let status = ringgate.status();
    let differs = status.server(&backend.address())["differs"].as_bool();
    differs.unwrap_or_else(|| panic!("no `differs` in {}", status.text()))
}

/// Row 21: "see drained upstreams". A drained server gets nothing new from the moment on that the command has ended, under load
/// and without an error; the table says so.
#[test]
fn row_21_drain_acts_at_once_and_is_shown() {
    let backends = backends(3);
    let ringgate = before(&backends, "", "");
    let load = Load::start(ringgate.place(), Clients { gets: 6, posts: 3 });
    load.expect_more(100);
    assert!(!differs(&ringgate, &backends[1]));
    let address = backends[1].address();
    ringgate.succeed(&["drain", "app", &address]);
    // Those under way may still come.
    wait_until("what was under way has ended", || {
        ringgate.status().server(&address)["in_flight"] == 0 && backends[1].report().under_way == 0
    });
    let got = backends[1].got();
    load.expect_more(300);
    assert_eq!(backends[1].got(), got, "a drained server was used");
    let (state, _) = ringgate.status().state(&address);
    assert_eq!(state, "drained");
    assert!(differs(&ringgate, &backends[1]) && !differs(&ringgate, &backends[0]));
    let table = ringgate.succeed(&["status"]);
    assert!(table.contains("drained"), "{table}");
    ringgate.succeed(&["undrain", "app", &address]);
    load.expect_more(100);
    wait_until("it is used again", || backends[1].got() > got);
    assert!(!differs(&ringgate, &backends[1]));
    assert_eq!(ringgate.status().state(&address).0, "up");
    expect_good(&load.finish(10), "drained and undrained");
}

/// Sessions of a drained server may finish; new ones go elsewhere.
#[test]
fn sessions_of_a_drained_server_may_finish() {
    let backends = ["a", "b"].map(Process::echo);
    let list = format!("\"{}\", \"{} backup\"", backends[0].place, backends[1].place);
    let lines = "on_down = \"close\"\n[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"db\"";
    let ringgate = Setup::new().upstream_list("db", &list, lines).start();
    let mut old = session(ringgate.place());
    assert_eq!(old.from, "a");
    ringgate.succeed(&["drain", "db", &backends[0].address()]);
    let mut new = session(ringgate.place());
    assert_eq!(new.from, "b");
    assert!(new.echo("new"));
    assert!(old.echo("old"), "the session of a drained server was ended");
    drop(old);
    wait_until("it is empty", || backends[0].report().open == 0);
}

/// So may tunnels and the answers under way.
#[test]
fn what_is_under_way_at_a_drained_server_ends_well() {
    let backends = backends(2);
    let ringgate = before_list(&backends, "\"{a}\", \"{b} backup\"", "", "");
    let mut tunnel = tunnel(ringgate.place());
    assert!(tunnel.echo("before"));
    backends[0].tell("delay 300");
    let mut client = ringgate.client();
    client.send("POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody");
    wait_until("it is under way", || backends[0].report().under_way == 1);
    ringgate.succeed(&["drain", "app", &backends[0].address()]);
    assert_eq!(client.response_to("POST").text(), "a /slow");
    assert_eq!(client.get("/next").text(), "b /next");
    assert!(tunnel.echo("after"));
}

#[test]
fn weights_act_at_once_and_are_shown() {
    let backends = backends(2);
    let ringgate = before_list(&backends, "\"{a}\", \"{b} weight=2\"", "", "");
    let shared = || {
        let before = backends[0].got();
        expect_good(&Load::run(ringgate.place(), Clients { gets: 1, posts: 0 }, 120), "weights");
        (backends[0].got() - before) as f64 / 120.0
    };
    let at_first = shared();
    assert!((0.25..0.42).contains(&at_first), "1 of 3: {at_first}");
    let address = backends[0].address();
    ringgate.succeed(&["weight", "app", &address, "8"]);
    let heavy = shared();
    assert!((0.72..0.88).contains(&heavy), "8 of 10: {heavy}");
    let status = ringgate.status();
    let server = status.server(&address);
    assert_eq!((&server["weight"], &server["configured_weight"]), (&8.into(), &1.into()), "{server}");
    assert!(differs(&ringgate, &backends[0]) && !differs(&ringgate, &backends[1]));
    ringgate.succeed(&["weight", "app", &address, "1"]);
    assert!(!differs(&ringgate, &backends[0]), "it is as in the file again");
}

/// What cannot be done is said, with an exit code, and changes nothing.
#[test]
fn wrong_commands_are_refused() {
    let backends = backends(2);
    let ringgate = before(&backends, "", "");
    let address = backends[0].address();
    let rows: [(&[&str], &str); 6] = [
        (&["drain", "nothing", &address], "nothing"),
        (&["drain", "app", "127.0.0.1:1"], "127.0.0.1:1"),
        (&["undrain", "app", "127.0.0.1:1"], "127.0.0.1:1"),
        (&["weight", "app", &address, "0"], "0"),
        (&["weight", "app", &address, "1001"], "1001"),
        (&["weight", "app", &address, "heavy"], "heavy"),
    ];
    for (arguments, named) in rows {
        let output = ringgate.command(arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(err.contains(named), "{arguments:?}: {err}");
    }
    assert!(backends.iter().all(|backend| !differs(&ringgate, backend)));
    expect_good(&Load::run(ringgate.place(), GETS, 10), "after wrong commands");
    assert!(backends.iter().all(|backend| backend.got() > 0));
}

/// All drained: nobody is asked, and it is said at once.
#[test]
fn with_all_drained_nobody_is_asked() {
    let backends = backends(2);
    let ringgate = before(&backends, "", "");
    backends.iter().for_each(|backend| drop(ringgate.succeed(&["drain", "app", &backend.address()])));
    let mut client = ringgate.client();
    client.set_read_timeout(std::time::Duration::from_secs(3));
    let answer = client.get("/");
    assert_eq!(answer.status(), 503, "{:?}", answer.reason());
    assert_eq!(backends.iter().map(Process::got).sum::<usize>(), 0);
}
