//! ACME challenges on a server that redirects everything else.

use super::*;
use crate::config::plan::{Return, Rule};
use crate::config::template::{Known, Template};
use crate::log::LogReceiver;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FOLDER: &str = ".well-known/acme-challenge";

fn house(root: &std::path::Path) -> (House, LogReceiver) {
    House::logged(1, Faults::default(), |plan| {
        plan.servers[0].acme_webroot = Some(root.to_owned());
        let text = Some(Template::parse("https://$host$request_uri", &Known::default()).unwrap());
        plan.servers[0].rules = Arc::new(vec![Rule::Return(Return { status: 301, text })]);
    })
}

/// The thread that reads takes real time, which the turns of a scripted house do not.
fn answer(house: &House, request: &str) -> String {
    let client = house.client();
    house.driver.world().feed(client, format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    let until = Instant::now() + Duration::from_secs(20);
    while !house.sent(client).windows(4).any(|end| end == b"\r\n\r\n") {
        assert!(Instant::now() < until, "no answer to {request}");
        house.reactor.turn().expect("a scripted ring does not fail");
        std::thread::yield_now();
    }
    house.driver.world().fin(client);
    house.until("the connection's end", |house| house.driver.world().end(client).closed);
    String::from_utf8(house.sent(client)).expect("text")
}

#[test]
fn challenges_are_answered_before_all_else() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join(FOLDER)).unwrap();
    std::fs::write(root.path().join(FOLDER).join("to-ken_1"), "to-ken_1.thumb").unwrap();
    std::fs::write(root.path().join("secret"), "secret").unwrap();
    let (house, log) = house(root.path());
    let head = |text: &str| format!("\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", text.len());
    let text = "to-ken_1.thumb";
    for (request, end) in [
        (format!("GET /{FOLDER}/to-ken_1"), head(text) + text),
        (format!("GET //x/../{FOLDER}/%74o-ken_1?q"), head(text) + text),
        (format!("HEAD /{FOLDER}/to-ken_1"), head(text)),
    ] {
        let got = answer(&house, &request);
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with(&end), "{request}: {got}");
    }
    for path in ["missing", "", "a/b", "..%2f..%2fsecretx", "to-ken_1%00x", "to-ken_1/", "%e9"] {
        let got = answer(&house, &format!("GET /{FOLDER}/{path}"));
        let wanted = match path {
            "..%2f..%2fsecretx" => "HTTP/1.1 301 ", // its path leads out of the folder
            "to-ken_1%00x" => "HTTP/1.1 400 ",
            _ => "HTTP/1.1 404 ",
        };
        assert!(got.starts_with(wanted), "{path}: {got}");
        assert_eq!(got.contains("acme_challenge_missing"), wanted.contains("404"));
    }
    for request in ["GET /", &format!("POST /{FOLDER}/to-ken_1"), &format!("GET /{FOLDER}")] {
        assert!(answer(&house, request).starts_with("HTTP/1.1 301 "), "{request}");
    }
    assert_eq!(house.stats.workers[0].requests.get(), 12, "all but the one that is no request");
    house.idle(0);
    let mut lines = Vec::new();
    log.drain_to(&mut lines);
    let (lines, path) = (String::from_utf8(lines).unwrap(), root.path().join(FOLDER).join("missing"));
    let line = lines.lines().find(|line| line.contains(path.to_str().unwrap())).unwrap_or_else(|| panic!("{lines}"));
    assert!(line.contains("acme_challenge_missing") && line.contains("No such file"), "{line}");
}

#[test]
fn a_client_that_goes_away_is_not_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let (house, _log) = house(root.path());
    let client = house.client();
    house.driver.world().feed(client, format!("GET /{FOLDER}/abc HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    house.driver.world().break_off(client, libc::ECONNRESET);
    house.idle(0);
}
