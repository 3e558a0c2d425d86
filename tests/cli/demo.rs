//! `ringgate demo`: one command, and there is something to see.

use super::support::{Client, PATIENCE, Place, wait_until};
use super::{Started, started};
use std::collections::BTreeSet;

const BACKENDS: usize = 3;

/// The demo, once it has told its address.
#[track_caller]
fn demo(folder: &std::path::Path, arguments: &[&str]) -> (Started, Place) {
    let started = Started::new(&mut started::command(folder, &[&["demo"], arguments].concat()));
    let place = started.expect("address to open", |out, _| {
        let line = out.lines().find(|line| line.trim_start().starts_with("Open "))?;
        let (_, address) = line.split_once("http://")?;
        out.contains("Ctrl-C").then(|| Place::parse(address.split([' ', '/']).next().unwrap_or_default()))
    });
    (started, place)
}

/// The names of the backends as one line of the list shows them: `alder 12 (33 %, 0 in flight)   ...`.
fn backends_in(line: &str) -> Vec<(String, u64)> {
    let parts = line.split("   ").filter(|part| part.contains("in flight)"));
    parts
        .filter_map(|part| {
            let mut words = part.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.replace(',', "").parse().ok()?))
        })
        .collect()
}

#[test]
fn the_demo_answers_shows_all_backends_and_ends_well() {
    // Port 8080 may be taken: then the demo takes the next. (If it is not free anyway, that is the same.)
    let _taken = std::net::TcpListener::bind("127.0.0.1:8080");
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (demo, place) = demo(folder.path(), &[]);
        assert_ne!(place.port(), 8080);
        let mut bodies = BTreeSet::new();
        for _ in 0..12 {
            let answer = Client::connect(&place).get("/");
            assert_eq!(answer.status(), 200);
            bodies.insert(answer.text());
        }
        assert!(bodies.len() >= 2, "always the same backend: {bodies:?}");
        // All three get some of its own load.
        let line = demo.expect("line with all three backends", |out, _| {
            let shown = |line: &&str| {
                let backends = backends_in(line);
                backends.len() == BACKENDS && backends.iter().all(|(_, requests)| *requests > 0)
            };
            out.lines().find(shown).map(str::to_owned)
        });
        assert!(line.ends_with(" 0 failed"), "{line}");
        // What it says to try works while it runs.
        let status =
            demo.out().lines().find_map(|line| line.trim().strip_prefix("ringgate status ").map(str::to_owned));
        let status = status.unwrap_or_else(|| panic!("no status command in {}", demo.out()));
        let arguments: Vec<&str> = ["status"].into_iter().chain(status.split_whitespace()).collect();
        let answer = super::run(&arguments);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        demo.signal(signal);
        let output = demo.wait(PATIENCE);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.out.contains("ending"), "{}", output.out);
        assert_eq!(output.err, "", "something went wrong");
    }
}

#[test]
fn the_demo_listens_where_it_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (demo, place) = demo(folder.path(), &["--listen", "127.0.0.1:0", "--no-load", "--balance", "round_robin"]);
    let mut seen = BTreeSet::new();
    wait_until("all three backends", || {
        seen.insert(Client::connect(&place).get("/").text());
        seen.len() >= BACKENDS
    });
    let line = demo.expect("line with the requests", |out, _| {
        let counted = |line: &&str| backends_in(line).iter().map(|(_, requests)| requests).sum::<u64>() >= 3;
        out.lines().find(counted).map(str::to_owned)
    });
    let requests: Vec<u64> = backends_in(&line).into_iter().map(|(_, requests)| requests).collect();
    assert!(requests.iter().max().unwrap_or(&0) - requests.iter().min().unwrap_or(&0) <= 1, "not in turn: {line}");
    demo.signal("INT");
    assert_eq!(demo.wait(PATIENCE).code, Some(0));
}
