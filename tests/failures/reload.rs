//! Edit and reload: all or nothing, nothing lost, and the truth is told.

use super::load::{Clients, Load, expect_good};
use super::process::Process;
use super::support::{Ringgate, Setup, wait_until};
use super::{GETS, backends, get, session, tunnel};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// `app` with these entries of its list, and a `[[tcp]]` section before `echo`.
fn config(servers: &[String], echo: &[String]) -> String {
    let quoted = |list: &[String]| list.iter().map(|server| format!("\"{server}\"")).collect::<Vec<_>>().join(", ");
    let setup = Setup::new().upstream_list("app", &quoted(servers), "");
    let setup = setup.upstream_list("echo", &quoted(echo), "[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"echo\"");
    setup.server("127.0.0.1:0", "", &[("/", "http://app", "")]).text()
}

/// The HTTP listener and that of TCP.
fn places(ringgate: &Ringgate) -> [&super::Place; 2] {
    [&ringgate.places()[0], &ringgate.places()[1]]
}

/// 400 reloads while requests, sessions and tunnels go on; each changes weights, adds a server or removes it.
#[test]
fn four_hundred_reloads_lose_nothing() {
    const RELOADS: u32 = 400;
    let (backends, echoes) = (backends(3), ["x", "y"].map(Process::echo));
    let file = |i: u32| {
        let mut servers = vec![format!("{} weight={}", backends[0].place, 1 + i % 5), backends[1].address()];
        if i.is_multiple_of(2) {
            servers.push(backends[2].address());
        }
        let mut echo = vec![echoes[0].address()];
        if i.is_multiple_of(3) {
            echo.insert((i % 2) as usize, echoes[1].address());
        }
        config(&servers, &echo)
    };
    let ringgate = Ringgate::start(&file(0));
    let [http, tcp] = places(&ringgate);
    let load = Load::start(http, Clients { gets: 4, posts: 2 });
    let mut sessions: Vec<_> =
        (0..6u32).map(|i| if i.is_multiple_of(2) { session(tcp) } else { tunnel(http) }).collect();
    let done = AtomicBool::new(false);
    let echoes_back = std::thread::scope(|scope| {
        let talking = scope.spawn(|| {
            let mut count = 0;
            while !done.load(SeqCst) {
                for (i, session) in sessions.iter_mut().enumerate() {
                    assert!(session.echo(&format!("{i} {count}")), "session {i} ended after {count} lines");
                    count += 1;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            count
        });
        for i in 1..=RELOADS {
            ringgate.rewrite(&file(i));
            // Each second one by signal: the command after it waits for both.
            if i.is_multiple_of(2) && i != RELOADS {
                ringgate.signal("HUP")
            } else {
                drop(ringgate.succeed(&["reload"]))
            }
            if talking.is_finished() {
                break;
            }
        }
        done.store(true, SeqCst);
        talking.join()
    });
    let outcomes = load.finish(20);
    expect_good(&outcomes, "under reloads");
    assert!(echoes_back.expect("all sessions live") > 100, "the sessions were hardly used");
    assert!(outcomes.len() > RELOADS as usize, "there was hardly any load: {}", outcomes.len());
    assert!(backends.iter().all(|backend| backend.got() > 0));
    // The last file is in force: 400 is even, and no multiple of 3.
    let status = ringgate.status();
    let names: Vec<_> = status.servers().map(|server| server["name"].as_str().unwrap_or_default()).collect();
    assert!(backends.iter().all(|backend| names.contains(&&backend.address()[..])), "{names:?}");
    assert!(names.contains(&&echoes[0].address()[..]) && !names.contains(&&echoes[1].address()[..]), "{names:?}");
    assert_eq!(status.total("panics"), 0);
    drop(sessions);
    wait_until("nothing is in flight", || ringgate.status().in_flight() == 0);
}

/// Row 5: "reload says success, the old configuration still runs, the error is only in the log". Ours says which line, with an
/// exit code, and all of the old configuration goes on.
#[test]
fn row_05_reload_tells_the_truth() {
    let (backends, echo) = (backends(2), [Process::echo("x")]);
    let old = config(&[backends[0].address()], &[echo[0].address()]);
    let ringgate = Ringgate::start(&old);
    let [http, tcp] = places(&ringgate);
    assert_eq!(get(&ringgate), 200);
    let new = config(&[backends[1].address()], &[echo[0].address()]);
    let broken_line = |text: &str, line: &str| {
        let number = text.lines().position(|l| l.contains(line)).expect("it is there") + 1;
        format!("ringgate.toml:{number}:")
    };
    let mut last = String::new();
    for (break_it, line) in [
        (new.replace("[upstream.app]", "[upstream.app"), "[upstream.app"),
        (new.replace("workers = 2", "wrokers = 2"), "wrokers = 2"),
        (new.replace("proxy_pass = \"echo\"", "proxy_pass = \"ehco\""), "ehco"),
        (new.replacen("server = [\"", "server = [\"not an address: ", 1), "not an address"),
        (new.replace("[upstream.echo]", "[upstream.echo]\nbalance = \"best\""), "best"),
    ] {
        ringgate.rewrite(&break_it);
        let output = ringgate.command(&["reload"]);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "it says success: {line}\n{err}");
        assert!(err.contains(&broken_line(&break_it, line)), "{line} is not named in:\n{err}");
        last = broken_line(&break_it, line);
        // By signal there is nobody to tell but the log.
        ringgate.signal("HUP");
        expect_good(&Load::run(http, GETS, 3), "with a broken file");
        assert!(session(tcp).echo("hello"));
        assert_eq!(backends[1].got(), 0, "a broken file took effect: {line}");
    }
    ringgate.expect_log(&last);
    let got = backends[0].got();
    ringgate.rewrite(&new);
    ringgate.succeed(&["reload"]);
    // When the command has ended the new plan is in force for all.
    expect_good(&Load::run(http, GETS, 10), "after a good reload");
    assert_eq!((backends[0].got(), backends[1].got()), (got, 60), "the old server was used after the reload");
}

/// What did not change is not touched: connections are reused, health and what a person did stay.
#[test]
fn what_did_not_change_lives_on() {
    let (backends, echo) = (backends(3), [Process::echo("x")]);
    let all: Vec<String> = backends.iter().map(Process::address).collect();
    let ringgate = Ringgate::start(&config(&all, &[echo[0].address()]));
    let mut client = ringgate.client();
    (0..30).for_each(|_| assert_eq!(client.get("/").status(), 200));
    backends[2].kill();
    wait_until("c is ejected", || {
        expect_good(&Load::run(ringgate.place(), GETS, 5), "c is dead");
        ringgate.status().state(&backends[2].address()).0 == "ejected"
    });
    ringgate.succeed(&["drain", "app", &backends[1].address()]);
    (0..30).for_each(|_| assert_eq!(client.get("/").status(), 200));
    let before = (backends[0].report().connections, backends[1].got());
    let requests = |ringgate: &Ringgate| ringgate.status().server(&backends[0].address())["requests"].as_u64();
    let counted = requests(&ringgate);
    let mut changed = all.clone();
    changed[0].push_str(" weight=3");
    ringgate.rewrite(&config(&changed, &[echo[0].address()]));
    ringgate.succeed(&["reload"]);
    assert_eq!(ringgate.status().state(&backends[2].address()).0, "ejected", "health is forgotten");
    assert_eq!(ringgate.status().state(&backends[1].address()).0, "drained", "what a person did is forgotten");
    assert_eq!(ringgate.status().server(&backends[0].address())["weight"], 3);
    assert!(requests(&ringgate) >= counted, "counters are forgotten");
    (0..30).for_each(|_| assert_eq!(client.get("/").status(), 200, "the client's connection lives on"));
    assert_eq!(
        (backends[0].report().connections, backends[1].got()),
        before,
        "connections to a are forgotten, or b is used"
    );
}

/// A file that is gone is no empty configuration.
#[test]
fn a_missing_file_changes_nothing() {
    let backends = backends(1);
    let ringgate = super::before(&backends, "", "");
    std::fs::remove_file(ringgate.folder().join("ringgate.toml")).expect("it is there");
    let output = ringgate.command(&["reload"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("ringgate.toml"), "{output:?}");
    expect_good(&Load::run(ringgate.place(), GETS, 5), "the file is gone");
}
