//! What the lists must be like.

use super::{THEMES, corpus};
use std::collections::BTreeSet;

#[test]
fn the_lists_are_long_enough_and_ask_nothing_twice() {
    let mut count = 0;
    for (name, _, list) in THEMES {
        let rows = corpus::rows(list);
        count += rows.len();
        assert!(rows.len() >= 15, "{name}: only {} requests", rows.len());
        let distinct: BTreeSet<&str> = rows.iter().map(|row| row.request).collect();
        // Limits are met by asking the same again.
        assert!(distinct.len() == rows.len() || *name == "limits", "{name}: the same request twice");
    }
    assert!(count >= 500, "only {count} requests");
}

#[test]
fn a_line_is_read_as_it_is_meant() {
    let get = corpus::bytes("GET /a | Range: bytes=0-3");
    assert_eq!(get, b"GET /a HTTP/1.1\r\nHost: example.test\r\nRange: bytes=0-3\r\n\r\n");
    let old = corpus::bytes(r"GET /\x00\\ HTTP/1.0 | Host: -");
    assert_eq!(old, b"GET /\x00\\ HTTP/1.0\r\n\r\n");
    let post = corpus::bytes(r"POST / | Host: b | Content-Length: 2 << a\n");
    assert_eq!(post, b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\na\n");
}
