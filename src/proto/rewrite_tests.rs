use super::super::reason::Reason;
use super::super::testing::{GET, Random, request_facts, response_facts, with_request, with_response, written};
use super::*;
use crate::limits::{FIELDS_MAX, HEAD_GROWTH_MAX, HEAD_MAX};

const FORWARDING: Forwarding = Forwarding {
    peer_ip: "192.0.2.1",
    client_ip: "192.0.2.1",
    scheme: "http",
    trusted: false,
    fallback_host: "backend",
    set: None,
    method: None,
    target: None,
};
/// What every request from that client gets where it has the Host "a".
const OURS: &str = "X-Forwarded-For: 192.0.2.1|X-Real-IP: 192.0.2.1|X-Forwarded-Proto: http|X-Forwarded-Host: a";

/// Lines parted by '|' as a head.
fn head(lines: &str) -> String {
    lines.split('|').fold(String::new(), |head, line| head + line + "\r\n") + "\r\n"
}

fn rewrite(bytes: &[u8], forwarding: &Forwarding) -> Result<String, Reason> {
    with_request(bytes, |request| {
        let (facts, route) = request.inspect()?;
        Ok(written(|w| write_request(w, request, &facts, &route, forwarding)))
    })?
}

#[test]
fn requests_are_written_anew() {
    let rows = [
        ("GET / HTTP/1.1|Host: a", "GET / HTTP/1.1|Host: a|OURS"),
        ("GET /x/../y?%20 HTTP/1.1|B:c|Host:a|D:  e ", "GET /x/../y?%20 HTTP/1.1|Host: a|B: c|D: e|OURS"),
        // Versions and forms of the target.
        ("GET / HTTP/1.0|Host: a|Connection: keep-alive", "GET / HTTP/1.1|Host: a|OURS"),
        ("GET http://a/b?c HTTP/1.1|Host: wrong", "GET /b?c HTTP/1.1|Host: a|OURS"),
        ("GET http://a HTTP/1.1|Host: wrong", "GET / HTTP/1.1|Host: a|OURS"),
        ("GET http://a?b HTTP/1.1|Host: wrong", "GET /?b HTTP/1.1|Host: a|OURS"),
        ("OPTIONS http://a HTTP/1.1|Host: wrong", "OPTIONS * HTTP/1.1|Host: a|OURS"),
        ("OPTIONS * HTTP/1.1|Host: a:", "OPTIONS * HTTP/1.1|Host: a|OURS"),
        (
            "GET / HTTP/1.0",
            "GET / HTTP/1.1|Host: backend|X-Forwarded-For: 192.0.2.1|X-Real-IP: 192.0.2.1|X-Forwarded-Proto: http",
        ),
        // Framing is ours.
        ("POST / HTTP/1.1|Host: a|Content-Length: 007", "POST / HTTP/1.1|Host: a|OURS|Content-Length: 7"),
        ("POST / HTTP/1.1|Host: a|content-length: 0", "POST / HTTP/1.1|Host: a|OURS|Content-Length: 0"),
        (
            "POST / HTTP/1.1|Host: a|TRANSFER-ENCODING: Chunked",
            "POST / HTTP/1.1|Host: a|OURS|Transfer-Encoding: chunked",
        ),
        (
            "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Trailer: X-Sum",
            "POST / HTTP/1.1|Host: a|Trailer: X-Sum|OURS|Transfer-Encoding: chunked",
        ),
        (
            "POST / HTTP/1.1|Host: a|Expect: 100-Continue|Content-Length: 3",
            "POST / HTTP/1.1|Host: a|OURS|Expect: 100-continue|Content-Length: 3",
        ),
        ("GET / HTTP/1.1|Host: a|Expect: 100-continue", "GET / HTTP/1.1|Host: a|OURS"),
        // One hop only.
        (
            "GET / HTTP/1.1|Host: a|Connection: close, X-A|X-A: 1|X-B: 2|keep-alive: 5|Proxy-Connection: x|Proxy-Authorization: x|Proxy-Authenticate: x",
            "GET / HTTP/1.1|Host: a|X-B: 2|OURS",
        ),
        ("GET / HTTP/1.1|Host: a|X-A: 1|Connection: close|Connection: y, x-a|Y: 2", "GET / HTTP/1.1|Host: a|OURS"),
        ("GET / HTTP/1.1|Host: a|TE: gzip|Connection: TE", "GET / HTTP/1.1|Host: a|OURS"),
        (
            "GET / HTTP/1.1|Host: a|TE: gzip, Trailers|Connection: TE",
            "GET / HTTP/1.1|Host: a|OURS|Connection: TE|TE: trailers",
        ),
        ("GET / HTTP/1.0|Host: a|TE: trailers", "GET / HTTP/1.1|Host: a|OURS"),
        (
            "GET / HTTP/1.1|Host: a|Upgrade: h2c|HTTP2-Settings: x|Connection: Upgrade, HTTP2-Settings",
            "GET / HTTP/1.1|Host: a|OURS",
        ),
        (
            "GET / HTTP/1.1|Host: a|Upgrade: h2c, WebSocket|Connection: Upgrade|Sec-WebSocket-Key: x",
            "GET / HTTP/1.1|Host: a|Sec-WebSocket-Key: x|OURS|Connection: upgrade|Upgrade: websocket",
        ),
        // Connection cannot take away what is ours.
        (
            "POST / HTTP/1.1|Host: a|Content-Length: 3|Connection: Host, Content-Length, X-Forwarded-For, X-Real-IP, X-Forwarded-Proto",
            "POST / HTTP/1.1|Host: a|OURS|Content-Length: 3",
        ),
        (
            "GET / HTTP/1.1|Host: a|X-Forwarded-For: 10.0.0.1|Connection: X-Forwarded-For",
            "GET / HTTP/1.1|Host: a|X-Forwarded-For: 10.0.0.1, 192.0.2.1|X-Real-IP: 192.0.2.1|X-Forwarded-Proto: http|X-Forwarded-Host: a",
        ),
        // The client cannot pass for another.
        (
            "GET / HTTP/1.1|Host: a|X-Real-IP: 1|x-forwarded-proto: https|X-FORWARDED-HOST: b|Forwarded: for=1|Proxy: http://b",
            "GET / HTTP/1.1|Host: a|OURS",
        ),
        (
            "GET / HTTP/1.1|Host: a|X-Forwarded-For: 1|B: c|x-forwarded-for:|X-Forwarded-For: 2, 3",
            "GET / HTTP/1.1|Host: a|B: c|X-Forwarded-For: 1, 2, 3, 192.0.2.1|X-Real-IP: 192.0.2.1|X-Forwarded-Proto: http|X-Forwarded-Host: a",
        ),
        (
            "GET / HTTP/1.1|Host: a|X_Real_IP: 1|X-Forwarded_For: 1|Content_Length: 5|Transfer_Encoding: chunked|_: x|a_b: c",
            "GET / HTTP/1.1|Host: a|OURS",
        ),
        // Ordinary fields go on as they are, in their order, repeated or empty.
        (
            "GET / HTTP/1.1|host: a|Cookie: b=c|Accept: */*|cookie: d|Empty:|Authorization: x|Range: bytes=0-1",
            "GET / HTTP/1.1|Host: a|Cookie: b=c|Accept: */*|cookie: d|Empty: |Authorization: x|Range: bytes=0-1|OURS",
        ),
    ];
    for (from, to) in rows {
        assert_eq!(rewrite(head(from).as_bytes(), &FORWARDING).unwrap(), head(&to.replace("OURS", OURS)), "{from}");
    }
}

#[test]
fn a_trusted_peer_is_believed() {
    let trusted = Forwarding { trusted: true, ..FORWARDING };
    let rows = [
        ("GET / HTTP/1.1|Host: a", "GET / HTTP/1.1|Host: a|OURS"),
        (
            "GET / HTTP/1.1|Host: a|X-Real-IP: 1|X-Forwarded-Proto: https|X-Forwarded-Host: b|Forwarded: for=1|X-Forwarded-For: 1",
            "GET / HTTP/1.1|Host: a|X-Real-IP: 1|X-Forwarded-Proto: https|X-Forwarded-Host: b|Forwarded: for=1|X-Forwarded-For: 1, 192.0.2.1",
        ),
        (
            "GET / HTTP/1.1|Host: a|X-Forwarded-Proto: https",
            "GET / HTTP/1.1|Host: a|X-Forwarded-Proto: https|X-Forwarded-For: 192.0.2.1|X-Real-IP: 192.0.2.1|X-Forwarded-Host: a",
        ),
    ];
    for (from, to) in rows {
        assert_eq!(rewrite(head(from).as_bytes(), &trusted).unwrap(), head(&to.replace("OURS", OURS)), "{from}");
    }
}

#[test]
fn a_rewritten_head_grows_within_its_limit() {
    // The worst in every way: many short fields, a long host in the target, a long address.
    let host = "a".repeat(crate::limits::HOST_MAX);
    let mut text = format!("GET http://{host}?x HTTP/1.1\r\nHost:a\r\nTE:trailers\r\n");
    text += &"a:b\r\n".repeat(FIELDS_MAX - 2);
    text += "\r\n";
    let forwarding = Forwarding { peer_ip: &"f".repeat(45), client_ip: &"f".repeat(45), scheme: "https", ..FORWARDING };
    let longer = rewrite(text.as_bytes(), &forwarding).unwrap();
    assert!(longer.len() - text.len() < HEAD_GROWTH_MAX / 2, "{} bytes more", longer.len() - text.len());

    let full = format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "x".repeat(HEAD_MAX - 32));
    assert_eq!(full.len(), HEAD_MAX);
    rewrite(full.as_bytes(), &forwarding).unwrap();
}

#[test]
fn a_cookie_is_set_behind_the_backends_own() {
    let cookie = SetCookie { name: "srv", identity: 0xab, attributes: "; Path=/" };
    const OURS: &str = "Set-Cookie: srv=00000000000000ab; Path=/";
    let rows = [
        ("HTTP/1.1 200 OK|Content-Length: 2", GET, false, "HTTP/1.1 200 OK|OURS|Content-Length: 2"),
        (
            "HTTP/1.1 200 OK|set-cookie: srv=x|Set-Cookie: a=b|X: y|Transfer-Encoding: chunked",
            GET,
            true,
            "HTTP/1.1 200 OK|set-cookie: srv=x|Set-Cookie: a=b|X: y|OURS|Connection: close|Transfer-Encoding: chunked",
        ),
        // Connection cannot take it away.
        ("HTTP/1.1 204 No|Connection: Set-Cookie|Set-Cookie: a=b", GET, false, "HTTP/1.1 204 No|OURS"),
        (
            "HTTP/1.1 304 No|Content-Length: 7",
            RequestFacts { version: Version::Http10, ..GET },
            false,
            "HTTP/1.1 304 No|OURS|Connection: keep-alive|Content-Length: 7",
        ),
    ];
    for (from, request, close, to) in rows {
        assert_eq!(answer_with(from, &request, close, Some(&cookie)), head(&to.replace("OURS", OURS)), "{from}");
        assert_eq!(answer(from, &request, close), head(&to.replace("|OURS", "")), "{from}");
    }
}

/// The answer to `request` as the client gets it.
fn answer(from: &str, request: &RequestFacts, close: bool) -> String {
    answer_with(from, request, close, None)
}

fn answer_with(from: &str, request: &RequestFacts, close: bool, cookie: Option<&SetCookie>) -> String {
    with_response(head(from).as_bytes(), |response| {
        let facts = response.inspect(request).unwrap();
        written(|w| {
            write_response(
                w,
                response,
                &facts,
                request,
                facts.framing_to_client(request),
                close,
                Added { cookie, ..Added::default() },
            )
        })
    })
    .unwrap()
}

#[test]
fn responses_are_written_anew() {
    let head_request = RequestFacts { is_head: true, ..GET };
    let old = RequestFacts { version: Version::Http10, ..GET };
    let rows = [
        ("HTTP/1.1 200 OK|Content-Length: 05", GET, false, "HTTP/1.1 200 OK|Content-Length: 5"),
        ("HTTP/1.0 200 OK|Content-Length: 5", GET, false, "HTTP/1.1 200 OK|Content-Length: 5"),
        ("HTTP/1.1 200|Content-Length: 0", GET, true, "HTTP/1.1 200 |Connection: close|Content-Length: 0"),
        (
            "HTTP/1.1 200 OK|transfer-encoding: Chunked|Trailer: A",
            GET,
            false,
            "HTTP/1.1 200 OK|Trailer: A|Transfer-Encoding: chunked",
        ),
        ("HTTP/1.1 200 OK", GET, false, "HTTP/1.1 200 OK|Transfer-Encoding: chunked"),
        (
            "HTTP/1.1 200 OK|Server: b|Date: x|Connection: close, X-A|X-A: 1|Keep-Alive: timeout=5|Proxy-Connection: x|Upgrade: h2c|Set-Cookie: a|Set-Cookie: b|A_B: c|Content-Length: 1",
            GET,
            false,
            "HTTP/1.1 200 OK|Server: b|Date: x|Set-Cookie: a|Set-Cookie: b|A_B: c|Content-Length: 1",
        ),
        (
            "HTTP/1.1 407 X|Proxy-Authenticate: Basic|Proxy-Authentication-Info: x|Content-Length: 1|Connection: content-length, server|Server: x",
            GET,
            false,
            "HTTP/1.1 407 X|Content-Length: 1",
        ),
        // HTTP/1.0 clients know no chunks, and keep the connection only when told.
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked", old, false, "HTTP/1.1 200 OK|Connection: close"),
        ("HTTP/1.1 200 OK|Content-Length: 3", old, false, "HTTP/1.1 200 OK|Connection: keep-alive|Content-Length: 3"),
        ("HTTP/1.1 200 OK|Content-Length: 3", old, true, "HTTP/1.1 200 OK|Connection: close|Content-Length: 3"),
        ("HTTP/1.1 304 X", old, false, "HTTP/1.1 304 X|Connection: keep-alive"),
        // No body, and perhaps the length that there would be.
        ("HTTP/1.1 200 OK|Content-Length: 5", head_request, false, "HTTP/1.1 200 OK|Content-Length: 5"),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked", head_request, false, "HTTP/1.1 200 OK"),
        ("HTTP/1.1 200 OK", head_request, false, "HTTP/1.1 200 OK"),
        ("HTTP/1.1 304 X|Content-Length: 5|ETag: x", GET, false, "HTTP/1.1 304 X|ETag: x|Content-Length: 5"),
        ("HTTP/1.1 304 X|Transfer-Encoding: chunked", GET, false, "HTTP/1.1 304 X"),
        ("HTTP/1.1 204 X|Content-Length: 0", GET, false, "HTTP/1.1 204 X"),
        ("HTTP/1.1 204 X|Content-Length: 5", head_request, false, "HTTP/1.1 204 X"),
        // The one answer that needs Upgrade.
        (
            "HTTP/1.1 426 X|Upgrade: websocket|Content-Length: 0",
            GET,
            false,
            "HTTP/1.1 426 X|Upgrade: websocket|Connection: upgrade|Content-Length: 0",
        ),
        (
            "HTTP/1.1 426 X|Upgrade: websocket|Content-Length: 0",
            GET,
            true,
            "HTTP/1.1 426 X|Upgrade: websocket|Connection: close, upgrade|Content-Length: 0",
        ),
        ("HTTP/1.1 426 X|Content-Length: 0", GET, false, "HTTP/1.1 426 X|Content-Length: 0"),
    ];
    for (from, request, close, to) in rows {
        assert_eq!(answer(from, &request, close), head(to), "{from}");
    }
}

#[test]
fn interim_responses_keep_only_fields() {
    let rows = [
        ("HTTP/1.1 100 Continue", "HTTP/1.1 100 Continue"),
        (
            "HTTP/1.0 103 Early Hints|Link: a|Connection: x|X: y|Content-Length: 5|Transfer-Encoding: z",
            "HTTP/1.1 103 Early Hints|Link: a",
        ),
    ];
    for (from, to) in rows {
        assert_eq!(with_response(head(from).as_bytes(), |r| written(|w| write_interim(w, r, None))).unwrap(), head(to));
    }
    let from = "HTTP/1.1 101 Switching Protocols|upgrade: WebSocket|connection: Upgrade, x|X: y|Sec-WebSocket-Accept: z|Content-Length: 3";
    let to = "HTTP/1.1 101 Switching Protocols|Sec-WebSocket-Accept: z|Connection: upgrade|Upgrade: websocket";
    assert_eq!(
        with_response(head(from).as_bytes(), |r| written(|w| write_switching(w, r, Added::default()))).unwrap(),
        head(to)
    );
}

#[test]
fn trailers_that_change_the_message_end_here() {
    let keep = |trailers: &str| written(|w| write_trailers(w, trailers.as_bytes()));
    assert_eq!(keep(""), "");
    assert_eq!(keep("X-Sum: 1\r\nServer-Timing:  a \r\nEmpty:\r\n"), "X-Sum: 1\r\nServer-Timing: a\r\nEmpty: \r\n");
    let ours = "Content-Length|Transfer-Encoding|Host|TE|Connection|Upgrade|Keep-Alive|Proxy-Connection|Trailer|Authorization|\
        Proxy-Authorization|Set-Cookie|Cookie|Content-Type|content-encoding|Content-Range|Range|Expect|X-Forwarded-For|\
        X-Forwarded-Anything|X-Real-IP|Forwarded|Cache-Control|Date|Location|X_Sum|Max-Forwards|HTTP2-Settings|If-Match";
    for name in ours.split('|') {
        assert_eq!(keep(&format!("{name}: 1\r\nA: b\r\n")), "A: b\r\n", "{name}");
    }
    for malformed in ["no colon\r\n", ": x\r\n", "a b: c\r\n", "\r\n", "\u{e9}: c\r\n"] {
        assert_eq!(keep(&format!("{malformed}A: b\r\n")), "A: b\r\n", "{malformed}");
    }
}

/// Random heads from pieces that parsers have quarrelled about. Whatever is accepted must mean the same after rewriting, to
/// the same strict reader and to a naive one.
#[test]
fn a_rewritten_request_means_the_same() {
    let lines = [
        "GET / HTTP/1.1",
        "POST /a%2e?b HTTP/1.1",
        "POST http://h?q HTTP/1.1",
        "GET /x HTTP/1.0",
        "OPTIONS * HTTP/1.1",
        "HEAD //a/../b HTTP/1.1",
    ];
    let names = [
        "Host",
        "host",
        "Content-Length",
        "Content-Length ",
        "content_length",
        "Transfer-Encoding",
        "Transfer-Encoding\t",
        "Connection",
        "Upgrade",
        "Expect",
        "TE",
        "X-Forwarded-For",
        "X-Real-IP",
        "X_Real_IP",
        "Forwarded",
        "A",
        "Keep-Alive",
        "Trailer",
        " Host",
        "X-A",
    ];
    let values = [
        "a",
        "b:80",
        "5",
        "0",
        "05",
        "+5",
        "5, 5",
        "chunked",
        "Chunked ",
        "gzip, chunked",
        "chunked,",
        "\x0bchunked",
        "close",
        "keep-alive, A",
        "upgrade, X-A, Host",
        "Content-Length",
        "websocket",
        "100-continue",
        "trailers",
        "",
        "\tx\r\n y",
        "x\ny: z",
        "x\r",
        "\0",
        "é",
    ];
    let ends = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"];
    let mut random = Random(7);
    let mut accepted = 0;
    for round in 0..200_000 {
        let mut text = format!("{}\r\n", random.pick(&lines));
        if random.below(8) > 0 {
            text += "Host: a\r\n";
        }
        for _ in 0..random.below(5) {
            text += &format!(
                "{}:{}{}{}",
                random.pick(&names),
                random.pick(&["", " ", "\t "]),
                random.pick(&values),
                random.pick(&ends)
            );
        }
        text += "\r\n";
        let mut slots = super::super::request::FieldSlots::new();
        let Ok(Some(request)) = super::super::request::parse(text.as_bytes(), &mut slots) else { continue };
        let Ok((facts, route)) = request.inspect() else { continue };
        accepted += 1;
        let again = written(|w| write_request(w, &request, &facts, &route, &FORWARDING));
        let story = || format!("round {round}: {text:?} -> {again:?}");

        let seen = request_facts(again.as_bytes()).unwrap_or_else(|e| panic!("{e:?} {}", story()));
        assert_eq!(seen, RequestFacts { version: Version::Http11, keep_alive: true, ..facts }, "{}", story());
        // A naive reader that splits at line feeds and knows names in any spelling finds one framing, too.
        let naive = |name: &str| {
            let name = |line: &str| {
                line.split(':').next().unwrap_or_default().trim().replace('_', "-").eq_ignore_ascii_case(name)
            };
            again.split(['\r', '\n']).skip(1).filter(|line| name(line)).count()
        };
        let (length, coding) = (naive("content-length"), naive("transfer-encoding"));
        let expected = match facts.body {
            Framing::None | Framing::Close => (0, 0),
            Framing::Length(_) => (1, 0),
            Framing::Chunked => (0, 1),
        };
        assert_eq!((length, coding), expected, "{}", story());
        assert_eq!((naive("host"), naive("x-real-ip"), naive("x-forwarded-for")), (1, 1, 1), "{}", story());
    }
    assert!(accepted > 20_000, "only {accepted} heads were accepted: the pieces are too wild to test much");
}

#[test]
fn a_rewritten_response_means_the_same() {
    let lines = ["HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 204 X", "HTTP/1.1 304 X", "HTTP/1.1 404 "];
    let names = [
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "Trailer",
        "A",
        "Set-Cookie",
        "content_length",
        "Keep-Alive",
    ];
    let values = [
        "5",
        "0",
        "chunked",
        "gzip",
        "close",
        "keep-alive",
        "Content-Length, A",
        "",
        "5, 5",
        "websocket",
        "x\r\n y",
        "x\ny: z",
        "\0",
    ];
    let mut random = Random(11);
    let mut accepted = 0;
    for round in 0..100_000 {
        let mut text = format!("{}\r\n", random.pick(&lines));
        for _ in 0..random.below(4) {
            text += &format!("{}: {}\r\n", random.pick(&names), random.pick(&values));
        }
        text += "\r\n";
        let request = RequestFacts {
            is_head: random.below(4) == 0,
            version: random.pick(&[Version::Http10, Version::Http11]),
            ..GET
        };
        let mut slots = super::super::request::FieldSlots::new();
        let Ok(Some(response)) = super::super::response::parse(text.as_bytes(), &mut slots) else { continue };
        let Ok(facts) = response.inspect(&request) else { continue };
        accepted += 1;
        let framing = facts.framing_to_client(&request);
        let close = random.below(2) == 0;
        let again = written(|w| write_response(w, &response, &facts, &request, framing, close, Added::default()));
        let seen = response_facts(again.as_bytes(), &request)
            .unwrap_or_else(|e| panic!("{e:?} round {round} {text:?} -> {again:?}"));
        assert_eq!(seen.body, framing, "round {round} {text:?} -> {again:?}");
        let keep = !close && framing != Framing::Close;
        assert_eq!(seen.keep_alive, keep, "round {round} {text:?} -> {again:?}");
    }
    assert!(accepted > 20_000, "only {accepted} heads were accepted");
}

#[test]
fn strict_transport_security_is_ours_alone_where_it_is_configured() {
    let rows = [
        ("X: 1", "X: 1|STS"),
        ("strict-transport-security: max-age=0|X: 1|Strict-Transport-Security: max-age=1", "X: 1|STS"),
        ("Connection: strict-transport-security", "STS"),
    ];
    for (from, to) in rows {
        let ours = Some("max-age=7; preload");
        let to = to.replace("STS", "Strict-Transport-Security: max-age=7; preload");
        let final_head = head(&format!("HTTP/1.1 200 OK|{from}|Content-Length: 0"));
        let facts = response_facts(final_head.as_bytes(), &GET).unwrap();
        let write = |hsts| {
            let added = Added { hsts, ..Added::default() };
            with_response(final_head.as_bytes(), |r| {
                written(|w| write_response(w, r, &facts, &GET, Framing::Length(0), false, added))
            })
        };
        assert_eq!(write(ours).unwrap(), head(&format!("HTTP/1.1 200 OK|{to}|Content-Length: 0")));
        // Otherwise it is the backend's matter.
        let theirs = write(None).unwrap().to_ascii_lowercase().matches("strict-transport-security: ").count();
        assert_eq!(theirs, from.to_ascii_lowercase().matches("security: ").count());
        let switching = head(&format!("HTTP/1.1 101 Switching Protocols|Upgrade: websocket|{from}"));
        let switched = with_response(switching.as_bytes(), |r| {
            written(|w| write_switching(w, r, Added { hsts: ours, ..Added::default() }))
        })
        .unwrap();
        let rest = "Connection: upgrade|Upgrade: websocket";
        assert_eq!(switched, head(&format!("HTTP/1.1 101 Switching Protocols|{to}|{rest}")));
    }
}

/// Names and values; the pieces of a value are parted by '+'.
struct Set(&'static [(&'static str, &'static str)]);

impl SetFields for Set {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn name(&self, nth: usize) -> &str {
        self.0[nth].0
    }
    fn value(&self, nth: usize, out: &mut dyn FnMut(&[u8])) {
        self.0[nth].1.split('+').for_each(|piece| out(piece.as_bytes()));
    }
}

#[test]
fn fields_are_set_as_configured() {
    const REST: &str = "X-Forwarded-For: 192.0.2.1|X-Real-IP: 192.0.2.1|X-Forwarded-Proto: http|X-Forwarded-Host: a";
    let request = "GET / HTTP/1.1|Host: a|";
    type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str);
    let rows: [Row; 16] = [
        ("X: 1", &[], "Host: a|X: 1|REST"),
        ("X: 1", &[("Y", "2+3")], "Host: a|X: 1|Y: 23|REST"),
        // In place of the client's, whatever its spelling; also if there is nothing to say.
        ("X-Client-DN: forged|x-client-dn: forged", &[("X-Client-DN", "CN=b")], "Host: a|X-Client-DN: CN=b|REST"),
        ("X_Client_DN: forged|X-client_dn: forged", &[("X-Client-DN", "CN=b")], "Host: a|X-Client-DN: CN=b|REST"),
        ("X-Client-DN: forged|X-Client: 1", &[("X_Client_DN", "CN=b")], "Host: a|X-Client: 1|X_Client_DN: CN=b|REST"),
        ("X-Client-DN: forged|Y: 1", &[("x-client-dn", "+")], "Host: a|Y: 1|REST"),
        ("X: 1", &[("X", "2"), ("x", "3"), ("Y", "")], "Host: a|X: 2|x: 3|REST"),
        // A client's Connection does not reach ours.
        ("Connection: x-client-dn|X-Client-DN: forged", &[("X-Client-DN", "CN=b")], "Host: a|X-Client-DN: CN=b|REST"),
        // In place of what we would write.
        ("X: 1", &[("Host", "b:+81"), ("host", "c")], "Host: b:81|X: 1|REST"),
        ("X: 1", &[("host", "")], "Host: a|X: 1|REST"),
        (
            "X-Forwarded-For: 1|X-Real-IP: 2",
            &[("X-Forwarded-For", "f"), ("X-Real-IP", ""), ("X-Forwarded-Proto", "p"), ("X-Forwarded-Host", "h")],
            "Host: a|X-Forwarded-For: f|X-Forwarded-Proto: p|X-Forwarded-Host: h",
        ),
        ("Proxy: 1", &[("Proxy", "2")], "Host: a|Proxy: 2|REST"),
        // What belongs to one connection, or frames, cannot be set.
        (
            "TE: trailers",
            &[
                ("Connection", "close"),
                ("UPGRADE", "h2c"),
                ("Content-Length", "5"),
                ("transfer-encoding", "chunked"),
                ("Expect", "100-continue"),
                ("TE", "gzip"),
                ("Keep-Alive", "1"),
            ],
            "Host: a|REST|Connection: TE|TE: trailers",
        ),
        // Nothing is smuggled.
        ("X: 1", &[("Y", "a\r\nZ: b+\n+\0c\x7f\td\u{e9}")], "Host: a|X: 1|Y: a  Z: b  c \td\u{e9}|REST"),
        ("X: 1", &[("Y", "\r\n")], "Host: a|X: 1|Y:   |REST"),
        ("X: 1", &[("Host", "b\r\nZ: c")], "Host: b  Z: c|X: 1|REST"),
    ];
    for trusted in [false, true] {
        for (fields, set, wanted) in &rows {
            if trusted && wanted.contains("REST") {
                continue; // what a trusted peer says is another test's
            }
            let forwarding = Forwarding { set: Some(&Set(set)), trusted, ..FORWARDING };
            let got = rewrite(head(&format!("{request}{fields}")).as_bytes(), &forwarding).unwrap();
            assert_eq!(got, head(&format!("GET / HTTP/1.1|{}", wanted.replace("REST", REST))), "{fields} {set:?}");
        }
    }
    // A body stays framed as it is.
    let forwarding = Forwarding { set: Some(&Set(&[("Content-Length", "9"), ("Y", "1")])), ..FORWARDING };
    let post = head("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked");
    let got = rewrite(post.as_bytes(), &forwarding).unwrap();
    assert_eq!(got, head(&format!("POST / HTTP/1.1|Host: a|Y: 1|{REST}|Transfer-Encoding: chunked")));
}

#[test]
fn a_coded_body_has_another_head() {
    let rows = [
        (
            "HTTP/1.1 200 OK|Content-Type: text/html|Content-Length: 500|ETag: \"a\"|Accept-Ranges: bytes|Content-MD5: x|Repr-Digest: y",
            GET,
            "HTTP/1.1 200 OK|Content-Type: text/html|ETag: W/\"a\"|Content-Encoding: gzip|Transfer-Encoding: chunked",
        ),
        (
            "HTTP/1.1 200 OK|etag: W/\"a\"|Transfer-Encoding: chunked",
            GET,
            "HTTP/1.1 200 OK|etag: W/\"a\"|Content-Encoding: gzip|Transfer-Encoding: chunked",
        ),
        (
            "HTTP/1.1 200 OK|ETag: a|Content-Length: 500",
            RequestFacts { version: Version::Http10, ..GET },
            "HTTP/1.1 200 OK|Content-Encoding: gzip|Connection: close",
        ),
        (
            "HTTP/1.1 200 OK|ETag: \"a\"|Content-Length: 500",
            RequestFacts { is_head: true, ..GET },
            "HTTP/1.1 200 OK|ETag: W/\"a\"|Content-Encoding: gzip",
        ),
    ];
    for (from, request, to) in rows {
        let framing = match (request.is_head, request.version) {
            (true, _) => Framing::None,
            (_, Version::Http10) => Framing::Close,
            (_, Version::Http11) => Framing::Chunked,
        };
        let answer = |added: Added| {
            with_response(head(from).as_bytes(), |response| {
                let facts = response.inspect(&request).unwrap();
                written(|w| write_response(w, response, &facts, &request, framing, false, added))
            })
            .unwrap()
        };
        let added = Added { coding: Some(ContentCoding::Gzip), ..Added::default() };
        assert_eq!(answer(added), head(to), "{from}");
        let varied = to.replace("Content-Encoding: gzip", "Content-Encoding: gzip|Vary: Accept-Encoding");
        assert_eq!(answer(Added { vary: true, ..added }), head(&varied), "{from}");
    }
}

/// Takes `x-secret` away, doubles all else, and adds the status.
struct Doubling;

impl EditFields for Doubling {
    fn pass(&self, w: &mut Writer, name: &str, value: &[u8]) {
        if !is(name, "x-secret") {
            w.put_field(name, &[value, value].concat());
        }
    }

    fn add(&self, w: &mut Writer, status: u16) {
        w.put_field("X-Status", status.to_string().as_bytes());
    }
}

#[test]
fn fields_are_changed_but_for_our_own() {
    let added = Added { edit: Some(&Doubling), ..Added::default() };
    let from = head("HTTP/1.1 404 No|X-Secret: 1|A: b|Connection: X-B|X-B: 1|Content-Length: 3|Keep-Alive: 1");
    let facts = response_facts(from.as_bytes(), &GET).unwrap();
    let answer =
        with_response(from.as_bytes(), |r| written(|w| write_response(w, r, &facts, &GET, facts.body, true, added)));
    assert_eq!(answer.unwrap(), head("HTTP/1.1 404 No|A: bb|X-Status: 404|Connection: close|Content-Length: 3"));
    // Nothing is added to what is not the last word.
    let early = head("HTTP/1.1 103 Early|X-Secret: 1|Link: a");
    let answer = with_response(early.as_bytes(), |r| written(|w| write_interim(w, r, Some(&Doubling)))).unwrap();
    assert_eq!(answer, head("HTTP/1.1 103 Early|Link: aa"));
    let switching = head("HTTP/1.1 101 Switching|Upgrade: websocket|X-Secret: 1|A: b");
    let answer = with_response(switching.as_bytes(), |r| written(|w| write_switching(w, r, added))).unwrap();
    let wanted = "HTTP/1.1 101 Switching|A: bb|X-Status: 101|Connection: upgrade|Upgrade: websocket";
    assert_eq!(answer, head(wanted));
}

#[test]
fn what_backends_say_to_their_proxy_ends_here() {
    let from = "HTTP/1.1 200 OK|X-Accel-Redirect: /a|x-accel-buffering: no|X-ACCEL-Expires: 0|X-Accel: 1|X-Accelerate: 2|\
                Content-Length: 0";
    assert_eq!(answer(from, &GET, false), head("HTTP/1.1 200 OK|X-Accel: 1|X-Accelerate: 2|Content-Length: 0"));
}
