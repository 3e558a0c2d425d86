//! `proxy_set_header`: what backends get, and what they never do.

use super::*;
use crate::config::template::{Known, Template};

fn house(fields: &[(&str, &str)]) -> House {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.to_string(), Template::parse(value, &Known::default()).unwrap()))
        .collect();
    House::with(1, Faults::default(), |plan| plan.servers[0].locations[0].set_headers = Arc::new(fields))
}

/// What the backend gets of this request, without X-Forwarded-For and X-Real-IP.
fn passed(house: &House, request: &str, end: &str) -> String {
    let client = house.client();
    house.driver.world().feed(client, request.as_bytes());
    let backend = house.backend();
    house.await_sent(backend, end.as_bytes());
    let got = String::from_utf8(house.sent(backend)).unwrap();
    house.driver.world().feed(backend, b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    house.await_sent(client, b"\r\n\r\n");
    house.driver.world().fin(client);
    house.idle(0);
    got.replace("X-Forwarded-For: 192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n", "")
}

#[test]
fn a_client_cannot_say_what_is_set() {
    let house = house(&[
        ("Host", "$proxy_host"),
        ("X-Client-DN", "$ssl_client_s_dn"),
        ("X-Id", "$arg_id-$http_x_id"),
        ("X-Path", "$uri"),
    ]);
    let request = "GET /a%0d%0aX-Forged:1?id=7 HTTP/1.1\r\nHost: A\r\nX-Client-DN: forged\r\nx_client_dn: forged\r\n\
                   X-Id: 8\r\nConnection: x-path, x-client-dn\r\n\r\n";
    assert_eq!(
        passed(&house, request, "\r\n\r\n"),
        "GET /a%0d%0aX-Forged:1?id=7 HTTP/1.1\r\nHost: backend\r\nX-Id: 7-8\r\nX-Path: /a  X-Forged:1\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: A\r\n\r\n"
    );
}

#[test]
fn trailers_do_not_bring_back_what_is_set() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2\r\nok\r\n0\r\nX-Client-DN: forged\r\nX-Sum: 1\r\n\r\n";
    let got = passed(&house(&[("X-Client-DN", "$ssl_client_s_dn")]), request, "0\r\n\r\n");
    assert!(got.ends_with("\r\n\r\n2\r\nok\r\n0\r\n\r\n") && !got.contains("X-Client-DN"), "{got}");
    let got = passed(&house(&[]), request, "X-Sum: 1\r\n\r\n");
    assert!(got.contains("0\r\nX-Client-DN: forged\r\n"), "nothing is set there: {got}");
}

#[test]
fn a_head_that_grows_too_long_is_refused() {
    let house = house(&[("X-A", "$http_x$http_x"), ("X-B", "$http_x")]);
    let request = |bytes| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes));
    let answer = house.told(&request(8000));
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("head_too_large"), "{answer}");
    assert!(passed(&house, &request(4000), "\r\n\r\n").contains(&format!("\r\nX-A: {}\r\n", "x".repeat(8000))));
}
