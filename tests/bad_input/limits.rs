//! Each limit met exactly and exceeded by one.

use super::{BODY_MAX, Row, Seen, bounds, fields, head_of_length};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";

fn served(row: Row) -> Row {
    Row { answers: vec![(200, None)], closed: false, seen: Seen::Count(1), ..row }
}

fn with_target(length: usize) -> String {
    format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(length - 1))
}

/// Labels of 49 letters and dots, cut to the length; it never ends with a dot here.
fn with_host(length: usize) -> String {
    let mut host = format!("{}.", "a".repeat(49)).repeat(length / 50 + 1);
    host.truncate(length);
    assert!(!host.ends_with('.'));
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn with_connection_options(count: usize) -> String {
    format!("{GET}Connection: {}\r\n\r\n", vec!["x-a"; count].join(", "))
}

/// A trailer section of exactly so many bytes, without the empty line behind it (RFC 9112 7.1.2).
fn with_trailers(length: usize) -> String {
    let fixed = "X-Long: \r\n".len();
    format!("{CHUNKED}5\r\nhello\r\n0\r\nX-Long: {}\r\n\r\n", "a".repeat(length - fixed))
}

fn with_trailer_fields(count: usize) -> String {
    let lines: String = (0..count).map(|i| format!("X-{i}: {i}\r\n")).collect();
    format!("{CHUNKED}5\r\nhello\r\n0\r\n{lines}\r\n")
}

/// A chunk-size line of exactly so many bytes, CRLF included.
fn with_chunk_line(length: usize) -> String {
    let fixed = "5;\r\n".len();
    format!("{CHUNKED}5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(length - fixed))
}

fn small(framing: &str, body: &str) -> String {
    format!("POST /small HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n{body}")
}

fn with_length(length: usize) -> String {
    small(&format!("Content-Length: {length}"), &"a".repeat(length))
}

fn with_chunks(length: usize) -> String {
    let (first, second) = (length / 2, length - length / 2);
    let chunk = |size: usize| format!("{size:x}\r\n{}\r\n", "a".repeat(size));
    small("Transfer-Encoding: chunked", &format!("{}{}0\r\n\r\n", chunk(first), chunk(second)))
}

/// One-byte chunks whose framing is within what is allowed for so many bytes: a slow honest streamer.
fn with_tiny_chunks(count: usize) -> String {
    format!("{CHUNKED}{}0\r\n\r\n", "1\r\na\r\n".repeat(count))
}

/// One-byte chunks with extensions that together are beyond what is allowed.
fn with_padded_chunks() -> String {
    let extension = "x".repeat(100);
    let count = usize::try_from(bounds::CHUNK_OVERHEAD_ALLOWANCE).expect("it is small") / 80;
    format!("{CHUNKED}{}0\r\n\r\n", format!("1;{extension}\r\na\r\n").repeat(count))
}

/// All rows.
pub fn rows() -> Vec<Row> {
    let empty_lines = |count| format!("{}{GET}\r\n", "\r\n".repeat(count));
    vec![
        served(Row::new("head as long as may be", head_of_length(GET, bounds::HEAD_MAX))),
        Row::new("head one too long", head_of_length(GET, bounds::HEAD_MAX + 1)).refused(431, "head_too_large"),
        Row::new("head that never ends", format!("{GET}X: {}", "a".repeat(bounds::HEAD_MAX)))
            .refused(431, "head_too_large"),
        Row::new("name that never ends", format!("{GET}{}", "a".repeat(bounds::HEAD_MAX)))
            .refused(431, "head_too_large"),
        served(Row::new("target as long as may be", with_target(bounds::TARGET_MAX))),
        Row::new("target one too long", with_target(bounds::TARGET_MAX + 1)).refused(414, "target_too_long"),
        Row::new("target that never ends", format!("GET /{}", "a".repeat(bounds::TARGET_MAX)))
            .refused(414, "target_too_long"),
        served(Row::new("as many fields as may be", fields(GET, bounds::FIELDS_MAX - 1))),
        Row::new("one field too many", fields(GET, bounds::FIELDS_MAX)).refused(431, "head_too_large"),
        served(Row::new("host as long as may be", with_host(bounds::HOST_MAX))),
        Row::new("host one too long", with_host(bounds::HOST_MAX + 1)).refused(400, "bad_host"),
        served(Row::new("as many empty lines as may be", empty_lines(bounds::EMPTY_LINES_MAX))),
        Row::new("one empty line too many", empty_lines(bounds::EMPTY_LINES_MAX + 1)).refused(400, "bad_request_line"),
        served(Row::new(
            "as many Connection options as may be",
            with_connection_options(bounds::CONNECTION_OPTIONS_MAX),
        )),
        Row::new("one Connection option too many", with_connection_options(bounds::CONNECTION_OPTIONS_MAX + 1))
            .refused(400, "bad_field"),
        served(Row::new("trailers as long as may be", with_trailers(bounds::TRAILERS_MAX))),
        Row::new("trailers one too long", with_trailers(bounds::TRAILERS_MAX + 1)).cut(400, "bad_chunk"),
        served(Row::new("as many trailers as may be", with_trailer_fields(bounds::FIELDS_MAX))),
        Row::new("one trailer too many", with_trailer_fields(bounds::FIELDS_MAX + 1)).cut(400, "bad_chunk"),
        served(Row::new("chunk line as long as may be", with_chunk_line(bounds::CHUNK_LINE_MAX))),
        Row::new("chunk line one too long", with_chunk_line(bounds::CHUNK_LINE_MAX + 1)).cut(400, "bad_chunk"),
        served(Row::new("many tiny chunks", with_tiny_chunks(20_000))),
        Row::new("many padded chunks", with_padded_chunks()).cut(400, "bad_chunk"),
        served(Row::new("body as long as may be", with_length(BODY_MAX))),
        Row::new("body one too long", with_length(BODY_MAX + 1)).refused(413, "body_too_large"),
        Row::new("body far too long, not sent", small("Content-Length: 9223372036854775807", ""))
            .refused(413, "body_too_large"),
        served(Row::new("chunked body as long as may be", with_chunks(BODY_MAX))),
        Row::new("chunked body one too long", with_chunks(BODY_MAX + 1)).cut(413, "body_too_large"),
        Row::new(
            "chunk far too long, partly sent",
            small("Transfer-Encoding: chunked", &format!("7fffffff\r\n{}", "a".repeat(2 * BODY_MAX))),
        )
        .cut(413, "body_too_large"),
    ]
}

#[test]
fn the_helpers_make_what_they_say() {
    assert_eq!(head_of_length(GET, 500).len(), 500);
    assert_eq!(with_target(100).split(' ').nth(1).map(str::len), Some(100));
    assert!(with_connection_options(3).contains("x-a, x-a, x-a"));
    let trailers = with_trailers(100);
    assert_eq!(trailers[trailers.find("X-Long").unwrap()..].len(), 100 + "\r\n".len());
    let line = with_chunk_line(100);
    assert_eq!(line.find("hello").unwrap() - CHUNKED.len(), 100);
}
