//! The lines of access logs: one for each way in which an exchange can end.

use super::*;
use crate::config::plan::{AccessLog, LogFormat};
use crate::config::template::{Known, Template};
use crate::log::access::{AccessFile, Lines};
use std::path::Path;

const FORMAT: &str = "$status|$request|$body_bytes_sent|$request_length|$request_completion|$connection_requests|\
    $upstream_addr|$upstream_status|$upstream_response_length|$upstream_bytes_received|$upstream_http_x|$sent_http_x";

fn log(format: &str, condition: Option<&str>) -> AccessLog {
    let template = |text: &str| Template::parse(text, &Known::default()).expect("a good text");
    let format = LogFormat { name: "test".into(), template: template(format), escape: Default::default() };
    AccessLog { file: 0, format: Arc::new(format), condition: condition.map(template) }
}

struct Logged {
    house: House,
    lines: Lines,
    written: String,
}

impl Logged {
    fn new(logs: Vec<AccessLog>, change: impl FnOnce(&mut Plan)) -> Logged {
        let (file, lines) = AccessFile::new(Path::new("/log"));
        let house = House::of_site(
            1,
            Faults::default(),
            |plan| {
                let logs = Arc::new(logs);
                plan.access_logs = vec!["/log".into()];
                for server in &mut plan.servers {
                    server.access_log = logs.clone();
                    server.locations.iter_mut().for_each(|location| location.access_log = logs.clone());
                }
                change(plan);
            },
            |site| site.with_access_logs(Arc::new(vec![file])),
        );
        Logged { house: house.0, lines, written: String::new() }
    }

    /// All lines so far.
    fn lines(&mut self) -> Vec<&str> {
        self.house.cx.hand_over();
        self.written += str::from_utf8(&self.lines.take_all()).expect("text");
        assert!(self.written.is_empty() || self.written.ends_with('\n'));
        self.written.lines().collect()
    }
}

/// One request on a connection of its own, what the backend does about it, and the line that must come of it.
#[track_caller]
fn expect(name: &str, line: &str, act: impl FnOnce(&House), change: impl FnOnce(&mut Plan)) {
    let mut logged = Logged::new(vec![log(FORMAT, None)], change);
    act(&logged.house);
    logged.house.until("a line", |house| !house.cx.gathered_is_empty());
    (0..50).for_each(|_| logged.house.reactor.turn().expect("a scripted ring does not fail"));
    let lines = logged.lines();
    assert_eq!(lines.len(), 1, "{name}: {lines:?}");
    // The length of a built-in page is no matter here, only that it has one.
    let fields: Vec<&str> = lines[0]
        .split('|')
        .zip(line.split('|'))
        .map(|(got, wanted)| {
            let is_length = wanted == "*" && got.parse::<u32>().is_ok_and(|length| length > 0);
            if is_length { "*" } else { got }
        })
        .collect();
    assert_eq!(fields.join("|"), line, "{name}");
}

fn ask(house: &House, request: &str) -> Descriptor {
    let client = house.client();
    house.driver.world().feed(client, request.as_bytes());
    client
}

const GET: &str = "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn each_end_of_an_exchange_is_one_line() {
    let same = |_: &mut Plan| {};
    let up = "127.0.0.1:3001";
    expect(
        "whole",
        &format!("200|GET /a?b HTTP/1.1|5|30|OK|1|{up}|200|5|50|up|up"),
        |house| {
            let client = ask(house, GET);
            let backend = house.backend();
            house.driver.world().feed(backend, b"HTTP/1.1 200 OK\r\nX: up\r\nContent-Length: 5\r\n\r\nhello");
            house.await_sent(client, b"hello");
        },
        same,
    );
    expect(
        "cut by the backend",
        &format!("200|GET /a?b HTTP/1.1|5|30|-|1|{up}|200|5|44|-|-"),
        |house| {
            ask(house, GET);
            let backend = house.backend();
            house.driver.world().feed(backend, b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
            house.driver.world().fin(backend);
        },
        same,
    );
    expect(
        "no answer",
        "502|POST / HTTP/1.1|*|28|OK|1|127.0.0.1:3001|502|0|0|-|-",
        |house| {
            ask(house, "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
            let backend = house.backend();
            house.await_sent(backend, b"\r\n\r\n");
            house.driver.world().fin(backend);
        },
        same,
    );
    expect(
        "client gone",
        "499|GET /a?b HTTP/1.1|0|30|-|1|127.0.0.1:3001|-|0|0|-|-",
        |house| {
            let client = ask(house, GET);
            let backend = house.backend();
            house.await_sent(backend, b"\r\n\r\n");
            house.driver.world().break_off(client, libc::ECONNRESET);
        },
        same,
    );
    expect(
        "a bad request",
        "400|G@T / HTTP/1.1|*|23|OK|1|-|-|-|-|-|-",
        |house| {
            ask(house, "G@T / HTTP/1.1\r\nX: \r\n\r\n");
        },
        same,
    );
    expect(
        "a head that never ends",
        "408|GET /a HTTP/1.1|*|21|OK|1|-|-|-|-|-|-",
        |house| {
            ask(house, "GET /a HTTP/1.1\r\nHo: ");
        },
        same,
    );
    expect(
        "half a head",
        "400|GET /a HT|0|9|-|1|-|-|-|-|-|-",
        |house| {
            let client = ask(house, "GET /a HT");
            house.driver.world().fin(client);
        },
        same,
    );
    let rules = |status, text: &str| {
        let text = (!text.is_empty()).then(|| Template::literal(text));
        let rule = crate::config::plan::Rule::Return(crate::config::plan::Return { status, text });
        move |plan: &mut Plan| plan.servers[0].rules = Arc::new(vec![rule])
    };
    expect(
        "return",
        "200|GET /a?b HTTP/1.1|5|30|OK|1|-|-|-|-|-|-",
        |house| {
            let client = ask(house, GET);
            house.await_sent(client, b"hello");
        },
        rules(200, "hello"),
    );
    expect(
        "without a word",
        "444|GET /a?b HTTP/1.1|0|30|-|1|-|-|-|-|-|-",
        |house| {
            ask(house, GET);
        },
        rules(444, ""),
    );
}

#[test]
fn bodies_tries_and_tunnels_are_counted() {
    let mut logged = Logged::new(vec![log(FORMAT, None)], |_| {});
    // Two servers, of which the first fails; then a pipelined upload on the same connection.
    let client = ask(&logged.house, GET);
    let first = logged.house.backend();
    logged.house.await_sent(first, b"\r\n\r\n");
    logged.house.driver.world().fin(first);
    let second = logged.house.backend();
    logged.house.driver.world().feed(second, b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
    logged.house.await_sent(client, b"no");
    let post = "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    logged.house.driver.world().feed(client, post.as_bytes());
    let third = logged.house.backend();
    logged.house.driver.world().feed(client, b"2\r\nde\r\n0\r\n\r\n");
    logged.house.await_sent(third, b"0\r\n\r\n");
    logged.house.driver.world().feed(third, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    logged.house.await_sent(client, b"Content-Length: 0\r\n\r\n");
    logged.house.driver.world().fin(client);
    logged.house.until("the connection's end", |house| house.driver.world().end(client).closed);
    let body = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".len() + post.len() - 8;
    let up = logged.lines()[1].split('|').nth(6).expect("a field").to_owned();
    let expected = [
        "404|GET /a?b HTTP/1.1|2|30|OK|1|127.0.0.1:3001, 127.0.0.1:3002|502, 404|0, 2|0, 47|-|-".to_owned(),
        format!("201|POST /up HTTP/1.1|0|{body}|OK|2|{up}|201|0|43|-|-"),
    ];
    assert_eq!(logged.lines(), expected);
}

#[test]
fn a_tunnel_is_written_down_at_its_end() {
    let mut logged =
        Logged::new(vec![log("$status|$request|$body_bytes_sent|$request_length|$http_host", None)], |_| {});
    let head = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let client = ask(&logged.house, head);
    let backend = logged.house.backend();
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    logged.house.driver.world().feed(backend, answer);
    logged.house.await_sent(client, b"\r\n\r\n");
    assert_eq!(logged.lines(), [""; 0], "it is not over yet");
    logged.house.driver.world().feed(client, b"ping!");
    logged.house.await_sent(backend, b"ping!");
    logged.house.driver.world().feed(backend, b"pong");
    logged.house.await_sent(client, b"pong");
    logged.house.driver.world().fin(client);
    logged.house.driver.world().fin(backend);
    logged.house.until("the connection's end", |house| house.driver.world().end(client).closed);
    assert_eq!(logged.lines(), [format!("101|GET /ws HTTP/1.1|4|{}|a", head.len() + 5)]);
}

#[test]
fn conditions_choose_and_several_logs_are_written() {
    let logs = vec![
        log("$status", None),
        log("a $arg_x", Some("$arg_x")),
        log("b $request_method \"$http_evil\" \"$uri\"", Some("$http_evil")),
    ];
    let mut logged = Logged::new(logs, |plan| {
        let rule = crate::config::plan::Return { status: 204, text: None };
        plan.servers[0].rules = Arc::new(vec![crate::config::plan::Rule::Return(rule)]);
    });
    for target in ["/", "/?x=0", "/?x=1", "/?x=00"] {
        logged.house.told(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    // Line ends in a path, quotes and bytes of any kind in fields: no value leaves its place.
    logged.house.told("GET /a%0A1.2.3.4 HTTP/1.1\r\nHost: a\r\nEvil: x\" 200 \\\r\n\r\n");
    let lines = logged.lines();
    assert_eq!(
        lines,
        ["204", "204", "204", "a 1", "204", "a 00", "204", "b GET \"x\\x22 200 \\x5C\" \"/a\\x0A1.2.3.4\""]
    );
}

#[test]
fn what_is_off_leaves_no_trace() {
    let mut logged = Logged::new(Vec::new(), |_| {});
    let client = ask(&logged.house, GET);
    let backend = logged.house.backend();
    logged.house.driver.world().feed(backend, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    logged.house.await_sent(client, b"ok");
    logged.house.driver.world().fin(client);
    logged.house.idle(1);
    assert_eq!(logged.lines(), [""; 0]);
}
