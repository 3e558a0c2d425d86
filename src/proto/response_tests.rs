use super::super::testing::{GET, response_facts, with_response};
use super::*;
use crate::limits::{CONNECTION_OPTIONS_MAX, FIELDS_MAX};

fn outcome(bytes: &[u8]) -> Result<Option<usize>, Reason> {
    parse(bytes, &mut FieldSlots::new()).map(|found| found.map(|response| response.len))
}

#[test]
fn right_heads_are_found() {
    let rows = [
        ("HTTP/1.1 200 OK\r\n\r\n", 200, "OK", Version::Http11, 0),
        ("HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n", 404, "Not Found", Version::Http10, 1),
        ("HTTP/1.1 200 \r\n\r\n", 200, "", Version::Http11, 0),
        ("HTTP/1.1 200\r\n\r\n", 200, "", Version::Http11, 0),
        ("HTTP/1.1 999 \u{e9}\r\nA:\r\nB: c\r\n\r\n", 999, "", Version::Http11, 2),
    ];
    for (bytes, status, reason, version, fields) in rows {
        with_response(format!("{bytes}body").as_bytes(), |r| {
            assert_eq!(
                (r.status, r.reason, r.version, r.fields.len(), r.len),
                (status, reason, version, fields, bytes.len())
            );
        })
        .unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(outcome(&bytes.as_bytes()[..cut]), Ok(None), "{bytes:?} cut at {cut}");
        }
    }
}

#[test]
fn wrong_heads_are_refused() {
    let rows: &[&[u8]] = &[
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"\n",
        b"x",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 -20 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\nB: c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA\r\n\r\n",
        b"<html>",
        b"SSH-2.0-x\r\n",
    ];
    for bytes in rows {
        assert_eq!(outcome(bytes), Err(Reason::BadResponse), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let head = |len: usize| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nA: ".to_vec();
        bytes.resize(len - 4, b'x');
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    };
    assert_eq!(outcome(&head(HEAD_MAX)), Ok(Some(HEAD_MAX)));
    assert_eq!(outcome(&head(HEAD_MAX + 1)), Err(Reason::ResponseHeadTooLarge));
    assert_eq!(outcome(&head(HEAD_MAX + 1)[..HEAD_MAX]), Err(Reason::ResponseHeadTooLarge));
    let fields = |n: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(n)).into_bytes();
    assert!(matches!(outcome(&fields(FIELDS_MAX)), Ok(Some(_))));
    assert_eq!(outcome(&fields(FIELDS_MAX + 1)), Err(Reason::ResponseHeadTooLarge));
    let options = |n: usize| format!("HTTP/1.1 200 OK\r\nConnection: {}\r\n\r\n", vec!["a"; n].join(",")).into_bytes();
    assert!(response_facts(&options(CONNECTION_OPTIONS_MAX), &GET).is_ok());
    assert_eq!(response_facts(&options(CONNECTION_OPTIONS_MAX + 1), &GET), Err(Reason::BadResponse));
}

/// Facts of a response given as "version status|field|field".
fn facts(text: &str, request: &RequestFacts) -> Result<ResponseFacts, Reason> {
    let mut lines = text.split('|');
    let mut head = format!("HTTP/{} X\r\n", lines.next().unwrap());
    for line in lines {
        head += line;
        head += "\r\n";
    }
    response_facts((head + "\r\n").as_bytes(), request)
}

#[test]
fn bodies_end_as_rfc_9112_says() {
    let head = RequestFacts { is_head: true, ..GET };
    let rows = [
        ("1.1 200", GET, Framing::Close, None, false),
        ("1.0 200", GET, Framing::Close, None, false),
        ("1.1 200|Content-Length: 5", GET, Framing::Length(5), Some(5), true),
        ("1.1 200|Content-Length: 0", GET, Framing::Length(0), Some(0), true),
        ("1.1 200|Content-Length: 5|Connection: Close", GET, Framing::Length(5), Some(5), false),
        ("1.0 200|Content-Length: 5", GET, Framing::Length(5), Some(5), false),
        ("1.0 200|Content-Length: 5|Connection: keep-alive", GET, Framing::Length(5), Some(5), true),
        ("1.0 200|Connection: keep-alive", GET, Framing::Close, None, false),
        ("1.1 200|transfer-encoding: CHUNKED", GET, Framing::Chunked, None, true),
        ("1.1 500|Transfer-Encoding: chunked|Connection: a, close", GET, Framing::Chunked, None, false),
        ("1.1 205|Content-Length: 0", GET, Framing::Length(0), Some(0), true),
        ("1.1 200|Content-Length: 5", head, Framing::None, Some(5), true),
        ("1.1 200|Transfer-Encoding: chunked", head, Framing::None, None, true),
        ("1.1 200", head, Framing::None, None, true),
        ("1.0 200", head, Framing::None, None, false),
        ("1.1 204", GET, Framing::None, None, true),
        ("1.1 204|Content-Length: 0", GET, Framing::None, Some(0), true),
        ("1.1 204|Content-Length: 5", GET, Framing::None, Some(5), false), // perhaps they come
        ("1.1 204|Transfer-Encoding: chunked", GET, Framing::None, None, false),
        ("1.1 304", GET, Framing::None, None, true),
        ("1.1 304|Content-Length: 5", GET, Framing::None, Some(5), true),
        ("1.1 304|Transfer-Encoding: chunked", GET, Framing::None, None, true),
        ("1.1 100", GET, Framing::None, None, true),
        ("1.1 103|Link: x", GET, Framing::None, None, true),
    ];
    for (text, request, body, content_length, keep_alive) in rows {
        let found = facts(text, &request).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!((found.body, found.content_length, found.keep_alive), (body, content_length, keep_alive), "{text}");
        assert_eq!(found.is_interim(), found.status < 200);
    }
}

#[test]
fn ambiguous_responses_are_refused() {
    let socket = RequestFacts { websocket: true, ..GET };
    let rows = [
        ("1.1 200|Content-Length: 5|Transfer-Encoding: chunked", GET),
        ("1.1 200|Content-Length: 5|Content-Length: 5", GET),
        ("1.1 200|Content-Length: 5|Content-Length: 6", GET),
        ("1.1 200|Content-Length: 5, 5", GET),
        ("1.1 200|Content-Length: -1", GET),
        ("1.1 200|Content-Length:", GET),
        ("1.1 200|Transfer-Encoding: gzip", GET),
        ("1.1 200|Transfer-Encoding: gzip, chunked", GET),
        ("1.1 200|Transfer-Encoding: chunked, chunked", GET),
        ("1.1 200|Transfer-Encoding: chunked|Transfer-Encoding: chunked", GET),
        ("1.1 200|Transfer-Encoding:", GET),
        ("1.0 200|Transfer-Encoding: chunked", GET),
        ("1.1 204|Content-Length: 5|Transfer-Encoding: chunked", GET),
        ("1.1 101|Upgrade: websocket|Connection: upgrade", GET), // nobody asked
        ("1.1 101", GET),
        ("1.1 101|Connection: upgrade", socket),
        ("1.1 101|Upgrade: h2c|Connection: upgrade", socket),
    ];
    for (text, request) in rows {
        assert_eq!(facts(text, &request), Err(Reason::BadResponse), "{text}");
    }
    let switched = facts("1.1 101|Upgrade: WebSocket|Connection: upgrade", &socket).unwrap();
    assert!(switched.upgrade_websocket && !switched.is_interim());
    assert!(!facts("1.1 200|Upgrade: websocket|Content-Length: 0", &socket).unwrap().upgrade_websocket);
}

#[test]
fn bodies_reach_every_client() {
    let old = RequestFacts { version: Version::Http10, ..GET };
    let rows = [
        ("1.1 200", Framing::Chunked, Framing::Close),
        ("1.1 200|Transfer-Encoding: chunked", Framing::Chunked, Framing::Close),
        ("1.1 200|Content-Length: 7", Framing::Length(7), Framing::Length(7)),
        ("1.1 204", Framing::None, Framing::None),
    ];
    for (text, to_1_1, to_1_0) in rows {
        let found = facts(text, &GET).unwrap();
        assert_eq!((found.framing_to_client(&GET), found.framing_to_client(&old)), (to_1_1, to_1_0), "{text}");
    }
}
