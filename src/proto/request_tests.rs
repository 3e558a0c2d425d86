use super::super::testing::{request_facts, with_request};
use super::*;
use crate::limits::{CONNECTION_OPTIONS_MAX, FIELDS_MAX};

/// The outcome of parsing alone: a head's length, or nothing yet.
fn outcome(bytes: &[u8]) -> Result<Option<usize>, Reason> {
    parse(bytes, &mut FieldSlots::new()).map(|found| found.map(|request| request.len))
}

#[test]
fn right_heads_are_found() {
    type Row<'a> = (&'a str, &'a str, &'a str, Version, &'a [(&'a str, &'a str)]);
    let rows: &[Row] = &[
        ("GET / HTTP/1.1\r\n\r\n", "GET", "/", Version::Http11, &[]),
        ("GET / HTTP/1.0\r\n\r\n", "GET", "/", Version::Http10, &[]),
        ("POST /a?b HTTP/1.1\r\nHost: x\r\nA:b\r\n\r\n", "POST", "/a?b", Version::Http11, &[("Host", "x"), ("A", "b")]),
        ("!#$%&'*+-.^_`|~09aZ * HTTP/1.1\r\n\r\n", "!#$%&'*+-.^_`|~09aZ", "*", Version::Http11, &[]),
        (
            "GET http://a/ HTTP/1.1\r\nA: \t b c\t \r\nB:\r\nB: \r\n\r\n",
            "GET",
            "http://a/",
            Version::Http11,
            &[("A", "b c"), ("B", ""), ("B", "")],
        ),
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", "GET", "/", Version::Http11, &[]),
        ("GET / HTTP/1.1\r\nA: \u{e9}\tb\r\n\r\n", "GET", "/", Version::Http11, &[("A", "\u{e9}\tb")]),
        ("get / HTTP/1.1\r\n!a_b: \"x\"\r\n\r\n", "get", "/", Version::Http11, &[("!a_b", "\"x\"")]),
    ];
    for (bytes, method, target, version, fields) in rows {
        let with_more = format!("{bytes}GET");
        with_request(with_more.as_bytes(), |request| {
            assert_eq!((request.method, request.target, request.version), (*method, *target, *version));
            let found: Vec<_> = request.fields.iter().map(|f| (f.name, str::from_utf8(f.value).unwrap())).collect();
            assert_eq!(found, *fields);
            assert_eq!(request.len, bytes.len());
        })
        .unwrap();
        // However it is cut, the beginning is only not enough.
        for cut in 0..bytes.len() {
            assert_eq!(outcome(&bytes.as_bytes()[..cut]), Ok(None), "{bytes:?} cut at {cut}");
        }
    }
}

#[test]
fn wrong_heads_are_refused() {
    use Reason::*;
    let rows: &[(&[u8], Reason)] = &[
        (b"\n", BadRequestLine),
        (b"\nGET / HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"\r\n\nGET / HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"\rGET", BadRequestLine),
        (b" GET / HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BadRequestLine), // a TLS ClientHello
        (b"\0", BadRequestLine),
        (b"GET\r\n", BadRequestLine),
        (b"GET /\r\n", BadRequestLine), // HTTP/0.9
        (b"GET /\n", BadRequestLine),
        (b"GET\t/ HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"G\x01T / HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"GE(T / HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"G\xc3\xa9T / HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"GET / HTTP/1.1 \r\n\r\n", BadRequestLine),
        (b"GET / HTTP/1.1\n\r\n", BadRequestLine),
        (b"GET / HTTP/1.1\n\n", BadRequestLine),
        (b"GET / HTTP/1.1\rA: b\r\n\r\n", BadRequestLine),
        (b"GET / HTTP/1.1\r\rA: b\r\n\r\n", BadRequestLine),
        (b"GET / HTTP/1.1x\r\n\r\n", BadRequestLine),
        (b"GET / HTTP/1.10\r\n\r\n", BadRequestLine),
        (b"GET /  HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"GET / http/1.1\r\n\r\n", BadRequestLine),
        (b"GET / HTTPS/1.1\r\n\r\n", BadRequestLine),
        (b"GET / HTTP/x\r\n\r\n", BadRequestLine),
        (b"GET / HTTP/\r\n\r\n", BadRequestLine),
        (b"GET / HTTP /1.1\r\n\r\n", BadRequestLine),
        (b"GET /a b HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"GET / x HTTP/1.1\r\n\r\n", BadRequestLine),
        (b"GET  / HTTP/1.1\r\n\r\n", BadTarget),
        (b"GET /\tHTTP/1.1\r\n\r\n", BadTarget),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", BadTarget),
        (b"GET /\x7f HTTP/1.1\r\n\r\n", BadTarget),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", BadTarget),
        (b"GET /\xff HTTP/1.1\r\n\r\n", BadTarget),
        (b"GET / HTTP/2.0\r\n\r\n", UnknownVersion),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", UnknownVersion),
        (b"GET / HTTP/3\r\n\r\n", UnknownVersion),
        (b"GET / HTTP/1.2\r\n\r\n", UnknownVersion),
        (b"GET / HTTP/0.9\r\n\r\n", UnknownVersion),
        (b"GET / HTTP/2", UnknownVersion),
        (b"GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA: b\r\n\n", BadField),
        (b"GET / HTTP/1.1\r\n\n", BadField),
        (b"GET / HTTP/1.1\r\nA:\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA: b\r\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA: b\r\n\rX", BadField),
        (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", BadField), // obs-fold
        (b"GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA:\r\n c\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\n A: b\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\n\tA: b\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA\t: b\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding\x0b: chunked\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\x00\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\n: b\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA b: c\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\n\xc3\xa9: b\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA[0]: b\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA: b\x01c\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\nA: b\x1b[31m\r\n\r\n", BadField),
        (b"GET / HTTP/1.1\r\n\0\r\n\r\n", BadField),
    ];
    for (bytes, reason) in rows {
        assert_eq!(outcome(bytes), Err(*reason), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn limits_hold_to_the_byte() {
    use Reason::*;
    let head = |len: usize| {
        let mut bytes = b"GET / HTTP/1.1\r\nA: ".to_vec();
        bytes.resize(len - 4, b'x');
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    };
    assert_eq!(outcome(&head(HEAD_MAX)), Ok(Some(HEAD_MAX)));
    assert_eq!(outcome(&[head(HEAD_MAX), vec![b'x'; 100]].concat()), Ok(Some(HEAD_MAX)));
    assert_eq!(outcome(&head(HEAD_MAX + 1)), Err(HeadTooLarge));
    assert_eq!(outcome(&head(HEAD_MAX + 1)[..HEAD_MAX]), Err(HeadTooLarge));
    assert_eq!(outcome(&head(HEAD_MAX)[..HEAD_MAX - 1]), Ok(None));
    assert_eq!(outcome(&[b"\r\n", &head(HEAD_MAX)[..]].concat()), Err(HeadTooLarge));
    assert_eq!(outcome(&[b'A'; HEAD_MAX]), Err(HeadTooLarge));

    let target = |len: usize, end: &str| format!("GET /{}{end}", "a".repeat(len - 1)).into_bytes();
    for end in ["", " ", " HTTP/1.1\r\n"] {
        assert_eq!(outcome(&target(TARGET_MAX, end)), Ok(None));
        assert_eq!(outcome(&target(TARGET_MAX + 1, end)), Err(TargetTooLong));
    }
    assert!(matches!(outcome(&target(TARGET_MAX, " HTTP/1.1\r\n\r\n")), Ok(Some(_))));
    assert_eq!(outcome(&target(TARGET_MAX + 1, " HTTP/1.1\r\n\r\n")), Err(TargetTooLong));
    assert_eq!(outcome(&target(TARGET_MAX + 1, " HTTP/2.0\r\n\r\n")), Err(TargetTooLong));
    assert_eq!(outcome(&target(HEAD_MAX, "")), Err(TargetTooLong));

    let fields = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(n)).into_bytes();
    assert!(matches!(outcome(&fields(FIELDS_MAX)), Ok(Some(_))));
    assert_eq!(outcome(&fields(FIELDS_MAX + 1)), Err(HeadTooLarge));

    let empty = |n: usize| format!("{}GET / HTTP/1.1\r\n\r\n", "\r\n".repeat(n)).into_bytes();
    assert!(matches!(outcome(&empty(EMPTY_LINES_MAX)), Ok(Some(_))));
    assert_eq!(outcome(&empty(EMPTY_LINES_MAX + 1)), Err(BadRequestLine));

    let options =
        |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n", vec!["a"; n].join(",")).into_bytes();
    assert!(request_facts(&options(CONNECTION_OPTIONS_MAX)).is_ok());
    assert_eq!(request_facts(&options(CONNECTION_OPTIONS_MAX + 1)), Err(BadField));
}

/// A head from a method, a version and field lines parted by '|'.
fn head(method: &str, target: &str, version: &str, fields: &str) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/{version}\r\n");
    for field in fields.split('|').filter(|f| !f.is_empty()) {
        text += field;
        text += "\r\n";
    }
    (text + "\r\n").into_bytes()
}

#[test]
fn facts_follow_from_fields() {
    let plain = super::super::testing::GET;
    let old = RequestFacts { version: Version::Http10, keep_alive: false, ..plain };
    let post = RequestFacts { idempotent: false, ..plain };
    let chunked = RequestFacts { body: Framing::Chunked, ..post };
    let socket = RequestFacts { websocket: true, ..plain };
    let close = RequestFacts { keep_alive: false, ..plain };
    let upload = |n| RequestFacts { body: Framing::Length(n), ..post };
    let rows = [
        ("GET", "1.1", "Host: a", plain),
        ("HEAD", "1.1", "Host: a", RequestFacts { is_head: true, ..plain }),
        ("PUT", "1.1", "Host: a", plain),
        ("DELETE", "1.1", "Host: a", plain),
        ("OPTIONS", "1.1", "Host: a", plain),
        ("TRACE", "1.1", "Host: a", plain),
        ("POST", "1.1", "Host: a", post),
        ("PATCH", "1.1", "Host: a", post),
        ("get", "1.1", "Host: a", post),
        ("head", "1.1", "Host: a", post),
        ("POST", "1.1", "host: a|content-length: 0", upload(0)),
        ("POST", "1.1", "host: a|CONTENT-LENGTH: 17", upload(17)),
        ("POST", "1.1", "Host: a|Transfer-Encoding: Chunked", chunked),
        ("POST", "1.1", "Host: a|Content_Length: 3|Transfer_Encoding: x", post),
        ("GET", "1.1", "Host: a|Connection: close", close),
        ("GET", "1.1", "Host: a|Connection: x, CLOSE", close),
        ("GET", "1.1", "Host: a|Connection: keep-alive|Connection: close", close),
        ("GET", "1.1", "Host: a|Connection: keep-alive, , x", plain),
        ("GET", "1.1", "Host: a|Connection: closed", plain),
        ("GET", "1.1", "Host: a|Proxy-Connection: close", plain),
        ("GET", "1.0", "", old),
        ("GET", "1.0", "Host: a|Connection: Keep-Alive", RequestFacts { keep_alive: true, ..old }),
        ("GET", "1.0", "Host: a|Connection: Keep-Alive, close", old),
        ("GET", "1.0", "Expect: 100-continue|Content-Length: 5", RequestFacts { body: Framing::Length(5), ..old }),
        ("GET", "1.0", "Expect: x", old),
        (
            "POST",
            "1.1",
            "Host: a|Content-Length: 5|Expect: 100-Continue",
            RequestFacts { expect_continue: true, ..upload(5) },
        ),
        (
            "POST",
            "1.1",
            "Host: a|Expect: 100-continue|Transfer-Encoding: chunked",
            RequestFacts { expect_continue: true, ..chunked },
        ),
        ("POST", "1.1", "Host: a|Content-Length: 0|Expect: 100-continue", upload(0)),
        ("GET", "1.1", "Host: a|Expect: 100-continue", plain),
        ("GET", "1.1", "Host: a|Upgrade: websocket|Connection: Upgrade", socket),
        (
            "GET",
            "1.1",
            "Host: a|Upgrade: h2c, WebSocket|Connection: keep-alive, upgrade|Content-Length: 0",
            RequestFacts { body: Framing::Length(0), ..socket },
        ),
        ("GET", "1.1", "Host: a|Upgrade: websocket", plain),
        ("GET", "1.1", "Host: a|Upgrade: websockets|Connection: upgrade", plain),
        ("GET", "1.1", "Host: a|Upgrade: h2c|Connection: upgrade, HTTP2-Settings", plain),
        ("POST", "1.1", "Host: a|Upgrade: websocket|Connection: upgrade", post),
        ("GET", "1.0", "Host: a|Upgrade: websocket|Connection: upgrade", old),
        (
            "GET",
            "1.1",
            "Host: a|Upgrade: websocket|Connection: upgrade|Content-Length: 1",
            RequestFacts { body: Framing::Length(1), ..plain },
        ),
    ];
    for (method, version, fields, facts) in rows {
        assert_eq!(request_facts(&head(method, "/", version, fields)), Ok(facts), "{method} {version} {fields}");
    }
}

#[test]
fn what_is_wrong_has_a_name() {
    use Reason::*;
    let rows = [
        ("GET", "/", "1.1", "", BadHost),
        ("GET", "/", "1.1", "Host:", BadHost),
        ("GET", "/", "1.1", "Host: a|Host: a", BadHost),
        ("GET", "/", "1.1", "Host: a|host: b", BadHost),
        ("GET", "/", "1.0", "Host: a|Host: a", BadHost),
        ("GET", "/", "1.0", "Host:", BadHost),
        ("GET", "/", "1.1", "Host: a b", BadHost),
        ("GET", "/", "1.1", "Host: a/b", BadHost),
        ("GET", "/", "1.1", "Host: a@b", BadHost),
        ("GET", "/", "1.1", "Host: a:port", BadHost),
        ("GET", "http://a/", "1.1", "", BadHost),
        ("GET", "http://a/", "1.1", "Host: a|Host: a", BadHost),
        ("GET", "http://a/", "1.1", "Host: \"", BadHost),
        ("GET", "http://a@b/", "1.1", "Host: b", BadHost),
        ("GET", "*", "1.1", "Host: a", BadTarget),
        ("GET", "/..", "1.1", "Host: a", BadTarget),
        ("GET", "/#a", "1.1", "Host: a", BadTarget),
        ("GET", "a:443", "1.1", "Host: a", BadTarget),
        ("connect", "a:443", "1.1", "Host: a", BadTarget),
        ("CONNECT", "a:443", "1.1", "Host: a", ConnectMethod),
        ("CONNECT", "/", "1.1", "", ConnectMethod),
        ("CONNECT", "a:443", "1.1", "Host: a|Content-Length: 5|Transfer-Encoding: chunked", AmbiguousFraming),
        ("POST", "/", "1.1", "Host: a|Content-Length: 5|Content-Length: 5", BadContentLength),
        ("POST", "/", "1.1", "Host: a|Content-Length: 5, 5", BadContentLength),
        ("POST", "/", "1.1", "Host: a|Content-Length: +5", BadContentLength),
        ("POST", "/", "1.1", "Host: a|Content-Length:", BadContentLength),
        ("POST", "/", "1.1", "Host: a|Content-Length: 5|Transfer-Encoding: chunked", AmbiguousFraming),
        ("POST", "/", "1.1", "Host: a|Transfer-Encoding: chunked|Content-Length: 5", AmbiguousFraming),
        ("POST", "/", "1.1", "Host: a|Transfer-Encoding: chunked|transfer-encoding: identity", AmbiguousFraming),
        ("POST", "/", "1.0", "Host: a|Transfer-Encoding: chunked", AmbiguousFraming),
        ("POST", "/", "1.1", "Host: a|Transfer-Encoding: gzip, chunked", UnknownTransferCoding),
        ("POST", "/", "1.1", "Host: a|Transfer-Encoding: xchunked", UnknownTransferCoding),
        ("POST", "/", "1.1", "Host: a|Expect: 200-ok|Content-Length: 1", ExpectationFailed),
        ("POST", "/", "1.1", "Host: a|Expect:|Content-Length: 1", ExpectationFailed),
        ("POST", "/", "1.1", "Host: a|Expect: 100-continue, x|Content-Length: 1", ExpectationFailed),
        ("POST", "/", "1.1", "Host: a|Expect: x|Expect: 100-continue|Content-Length: 1", ExpectationFailed),
        ("POST", "/", "1.1", "Host: a|Expect: 100-continue|Expect: x|Content-Length: 1", ExpectationFailed),
    ];
    for (method, target, version, fields, reason) in rows {
        assert_eq!(
            request_facts(&head(method, target, version, fields)),
            Err(reason),
            "{method} {target} {version} {fields}"
        );
    }
}

#[test]
fn routes_join_target_and_host() {
    let rows = [
        ("GET", "/a/../b?c", "1.1", "Host: Example.ORG:81", ("example.org", "Example.ORG:81", "/b", "/a/../b?c")),
        ("GET", "/", "1.0", "", ("", "", "/", "/")),
        ("GET", "http://B/c", "1.1", "Host: a", ("b", "B", "/c", "/c")), // RFC 9112 3.2.2: Host is ignored
        ("GET", "http://b?c", "1.0", "", ("b", "b", "/", "?c")),
        ("OPTIONS", "*", "1.1", "Host: a", ("a", "a", "/", "*")),
        ("OPTIONS", "http://b", "1.1", "Host: a", ("b", "b", "/", "*")),
    ];
    for (method, target, version, fields, expected) in rows {
        let bytes = head(method, target, version, fields);
        with_request(&bytes, |request| {
            let (_, route) = request.inspect().unwrap();
            assert_eq!((route.host.as_ref(), route.authority, route.path.as_ref(), route.target), expected);
        })
        .unwrap();
    }
    let bytes = head("GET", "/a/b?c", "1.1", "Host: example.org:80");
    with_request(&bytes, |request| {
        let (_, route) = request.inspect().unwrap();
        assert!(
            matches!((&route.host, &route.path), (Cow::Borrowed(_), Cow::Borrowed(_))),
            "the usual request allocates"
        );
    })
    .unwrap();
}
