//! `return`, of servers and locations.

use super::*;
use crate::config::plan::{Location, Matching, Return, Rule};
use crate::config::template::{Known, Template};
use std::sync::Arc;

fn returns(status: u16, text: &str) -> Return {
    Return { status, text: (!text.is_empty()).then(|| Template::parse(text, &Known::default()).unwrap()) }
}

fn rules(status: u16, text: &str) -> Arc<Vec<Rule>> {
    Arc::new(vec![Rule::Return(returns(status, text))])
}

/// A location more.
fn add(plan: &mut Plan, prefix: &str, rules: Arc<Vec<Rule>>) {
    let server = &mut plan.servers[0];
    let matching = Matching::Prefix { prefix: prefix.into(), is_final: false };
    let location = Location { name: prefix.into(), matching, rules, ..server.locations[0].clone() };
    server.level.prefixes.insert(0, server.locations.len());
    server.locations.push(location);
}

fn house(status: u16, text: &str) -> House {
    House::with(1, Faults::default(), |plan| plan.servers[0].rules = rules(status, text))
}

/// The lines that matter of each answer, parted by '|': all but Server and Date.
fn lines(answer: &str) -> String {
    let line = |line: &&str| !line.starts_with("Server: ") && !line.starts_with("Date: ");
    answer.split("\r\n").filter(line).collect::<Vec<_>>().join("|")
}

#[test]
fn texts_are_answered() {
    let plain = "Content-Type: text/plain";
    let rows = [
        (200, "hello $host", "GET / HTTP/1.1|Host: A", format!("HTTP/1.1 200 OK|{plain}|Content-Length: 7||hello a")),
        (200, "x", "HEAD / HTTP/1.1|Host: a", format!("HTTP/1.1 200 OK|{plain}|Content-Length: 1||")),
        (200, "", "GET / HTTP/1.1|Host: a", "HTTP/1.1 200 OK|Content-Length: 0||".into()),
        (204, "x", "GET / HTTP/1.1|Host: a", "HTTP/1.1 204 No Content||".into()),
        (304, "", "GET / HTTP/1.1|Host: a", "HTTP/1.1 304 Not Modified||".into()),
        (418, "x", "GET / HTTP/1.1|Host: a", format!("HTTP/1.1 418 |{plain}|Content-Length: 1||x")),
        // The connection: kept, or not.
        (204, "", "GET / HTTP/1.0|Connection: keep-alive", "HTTP/1.1 204 No Content|Connection: keep-alive||".into()),
        (204, "", "GET / HTTP/1.0", "HTTP/1.1 204 No Content|Connection: close||".into()),
        (204, "", "GET / HTTP/1.1|Host: a|Connection: close", "HTTP/1.1 204 No Content|Connection: close||".into()),
        (
            204,
            "",
            "POST / HTTP/1.1|Host: a|Content-Length: 5||12345GET / HTTP/1.1|Host: a",
            "HTTP/1.1 204 No Content|Connection: close||".into(),
        ),
        (
            204,
            "",
            "GET / HTTP/1.1|Host: a||GET / HTTP/1.1|Host: a",
            "HTTP/1.1 204 No Content||HTTP/1.1 204 No Content||".into(),
        ),
        // Without a word, but for the words before.
        (444, "", "GET / HTTP/1.1|Host: a", "".into()),
        (444, "x", "POST / HTTP/1.1|Host: a|Content-Length: 5||123", "".into()),
    ];
    for (status, text, request, answer) in rows {
        let house = house(status, text);
        let said = format!("{request}||").replace('|', "\r\n");
        assert_eq!(lines(&house.told(&said)), answer, "{status} {text}: {request}");
        house.idle(0);
        let requests = &house.stats.workers[0];
        let count = said.matches("HTTP/1.").count() as u64 - u64::from(request.contains("12345"));
        assert_eq!((requests.requests.get(), requests.in_flight.get()), (count, 0));
        assert_eq!(requests.listeners[0].requests.get(), count);
    }
    let answer = house(403, "").told("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.contains("<h1>403 Forbidden</h1>"), "{answer}");
}

#[test]
fn redirects_are_absolute_and_nothing_is_smuggled() {
    let rows = [
        ("https://$host$request_uri", "GET /a?b HTTP/1.1|Host: A.example:81", "https://a.example/a?b"),
        (
            "https://$host$uri",
            "GET /%0d%0aSet-Cookie:%20a%7f%c3%a9/ HTTP/1.1|Host: a",
            "https://a/%0D%0ASet-Cookie:%20a%7F%C3%A9/",
        ),
        ("$arg_to", "GET /?to=//b%0d%0aX:1 HTTP/1.1|Host: a", "http://a//b%0d%0aX:1"),
        ("$http_x", "GET / HTTP/1.1|Host: a|X: b\tc d\u{e9}", "b%09c%20d%C3%A9"),
        ("/b$is_args$args", "GET /?c HTTP/1.1|Host: A:81", "http://A:81/b?c"),
        ("$request_uri", "GET //evil.example HTTP/1.1|Host: a", "http://a//evil.example"),
        ("/b", "GET / HTTP/1.0", "/b"),
        ("b/c", "GET / HTTP/1.1|Host: a", "b/c"),
    ];
    for (url, request, location) in rows {
        for (status, phrase) in
            [(301, "Moved Permanently"), (302, "Found"), (303, "See Other"), (307, "Temporary Redirect")]
        {
            let answer = house(status, url).told(&format!("{request}||").replace('|', "\r\n"));
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} {phrase}\r\n")), "{head}");
            let found = head.split("\r\n").filter_map(|line| line.strip_prefix("Location: ")).collect::<Vec<_>>();
            assert_eq!(found, [location], "{url}: {request}");
            assert!(head.contains("Content-Type: text/html") && body.contains(&format!("<h1>{status} {phrase}</h1>")));
            assert!(!head.contains("Set-Cookie:") || head.contains("%0ASet-Cookie:"), "{head}");
        }
    }
    // Named by ourselves where the client names no host; without a URL there is none.
    let named = House::with(1, Faults::default(), |plan| {
        plan.servers[0].names = vec!["b.example".into()];
        plan.servers[0].rules = rules(301, "/c");
    });
    assert!(named.told("GET / HTTP/1.0\r\n\r\n").contains("\r\nLocation: http://b.example/c\r\n"));
    assert!(!house(301, "$arg_to").told("GET / HTTP/1.1\r\nHost: a\r\n\r\n").contains("Location"));
}

#[test]
fn locations_return_and_a_text_that_grows_too_long_is_refused() {
    let house = House::with(1, Faults::default(), |plan| {
        add(plan, "/gone", rules(410, "gone"));
        add(plan, "/long", rules(200, "$http_x$http_x$http_x$http_x"));
    });
    let answer = house.told("GET /gone/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 410 Gone\r\n") && answer.ends_with("\r\n\r\ngone"), "{answer}");
    let answer = house.told(&format!("GET /long HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(8000)));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // Others are proxied.
    let client = house.client();
    house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    house.driver.world().feed(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
    house.await_sent(client, b"\r\n\r\n");
    house.driver.world().fin(client);
    house.idle(1);
}

#[test]
fn strict_transport_security_is_not_said_without_tls() {
    let house = House::with(1, Faults::default(), |plan| {
        plan.servers[0].hsts = Some("max-age=7".into());
        add(plan, "/gone", rules(410, "gone"));
    });
    for request in ["GET /gone HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/3\r\n\r\n"] {
        let answer = house.told(request);
        assert!(answer.starts_with("HTTP/1.1 ") && !answer.contains("Strict"), "{answer}");
    }
}
