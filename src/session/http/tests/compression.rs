//! Bodies that are compressed on their way.

use super::*;
use crate::config::plan::{Coding, Compression};
use std::io::Read;

const ALL: &str = "Accept-Encoding: zstd;q=0.3, br;q=0.2, gzip\r\n";

fn coding(level: u8) -> Option<Coding> {
    Some(Coding { level, min_length: 20, types: Arc::new(vec!["text/html".into(), "text/event-stream".into()]) })
}

fn house(seed: u64, faults: Faults) -> House {
    House::with(seed, faults, |plan| {
        let compression =
            Compression { gzip: coding(1), brotli: coding(4), zstd: coding(3), vary: true, ..Compression::default() };
        plan.servers[0].locations.iter_mut().for_each(|location| location.compression = Arc::new(compression.clone()));
    })
}

fn text(length: usize) -> Vec<u8> {
    (0u32..)
        .flat_map(|n| format!("<li>{}</li>\n", n.wrapping_mul(2_654_435_761) % 1000).into_bytes())
        .take(length)
        .collect()
}

fn decoded(coding: &str, coded: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut reader: Box<dyn Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(coded)),
        "br" => Box::new(brotli::Decompressor::new(coded, 4096)),
        "zstd" => Box::new(zstd::Decoder::new(coded).unwrap()),
        _ => panic!("{coding}"),
    };
    // Of a body that has not ended, what is there.
    let mut piece = [0; 4096];
    while let Ok(n @ 1..) = reader.read(&mut piece) {
        data.extend_from_slice(&piece[..n]);
    }
    data
}

/// What the client has of a chunked body that may not have ended.
fn dechunked(mut raw: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(line) = raw.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap(), 16).unwrap();
        let Some(chunk @ [_, ..]) = raw[line + 2..].get(..size) else { break };
        data.extend_from_slice(chunk);
        raw = raw.get(line + 2 + size + 2..).unwrap_or_default();
    }
    data
}

/// One request, one answer, in pieces; the head that the client gets, and the body as it comes.
fn exchanged(house: &House, accept: &str, version: &str, pieces: &[&[u8]]) -> (String, Vec<u8>) {
    let client = house.client();
    let request = format!("GET / HTTP/{version}\r\nHost: a\r\n{accept}\r\n");
    house.driver.world().feed(client, request.as_bytes());
    house.driver.world().fin(client);
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    for piece in pieces {
        house.driver.world().feed(backend, piece);
        house.reactor.turn().expect("a scripted ring does not fail");
    }
    house.until("the connection's end", |house| house.driver.world().end(client).closed);
    let sent = house.sent(client);
    let (head, body) = split_head(&sent);
    (head, body.to_vec())
}

fn answer(fields: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{fields}Content-Length: {length}\r\n\r\n").into_bytes()
}

#[test]
fn bodies_are_compressed_as_the_client_likes() {
    let awkward = || Faults {
        read_most: 700,
        write_most: 900,
        late_turns: 3,
        recv_eagain: 5,
        send_eagain: 4,
        poll_ends: 3,
        ..Faults::default()
    };
    for (nth, faults) in [Faults::default as fn() -> Faults, awkward].into_iter().enumerate() {
        for (accept, coding) in
            [("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, br, zstd", "zstd"), ("*;q=0.5, zstd;q=0", "br")]
        {
            for length in [20, 1000, 18_000, 300_000] {
                let house = house(nth as u64, faults());
                let body = text(length);
                let all = [answer("ETag: \"x\"\r\nAccept-Ranges: bytes\r\n", length), body.clone()].concat();
                let (first, second) = all.split_at(all.len() / 2);
                let (head, sent) =
                    exchanged(&house, &format!("Accept-Encoding: {accept}\r\n"), "1.1", &[first, second]);
                assert_eq!(
                    head,
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: W/\"x\"\r\nContent-Encoding: {coding}\r\n\
                         Vary: Accept-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n"
                    )
                );
                let coded = dechunk(&sent);
                assert!(decoded(coding, &coded) == body, "{coding} {length}");
                assert!(length < 1000 || coded.len() < length / 2, "{coding} {length}: {}", coded.len());
                house.idle(1);
            }
        }
    }
}

#[test]
fn what_is_not_compressed_goes_as_it_is() {
    let body = text(500);
    for (accept, fields, vary) in [
        ("", "", true),
        ("Accept-Encoding: identity\r\n", "", true),
        (ALL, "Content-Encoding: br\r\n", false),
        (ALL, "Cache-Control: no-transform\r\n", false),
    ] {
        let house = house(1, Faults::default());
        let (head, sent) = exchanged(&house, accept, "1.1", &[&[answer(fields, 500), body.clone()].concat()]);
        assert!(head.contains("Content-Length: 500\r\n") && !head.contains("Transfer-Encoding"), "{head}");
        assert_eq!(head.contains("Vary: Accept-Encoding\r\n"), vary, "{head}");
        assert!(sent == body);
    }
}

#[test]
fn old_clients_get_it_to_the_end_of_the_connection() {
    let house = house(1, Faults::default());
    let body = text(5000);
    let message = [answer("", 5000), body.clone()].concat();
    let (head, sent) = exchanged(&house, "Accept-Encoding: gzip\r\nConnection: keep-alive\r\n", "1.0", &[&message]);
    assert!(head.contains("Connection: close\r\n") && !head.contains("chunked") && !head.contains("Length"), "{head}");
    assert!(decoded("gzip", &sent) == body);
}

#[test]
fn head_is_answered_as_get_would_be() {
    let house = house(1, Faults::default());
    let client = house.client();
    house.driver.world().feed(client, b"HEAD / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    house.driver.world().feed(backend, &answer("", 5000));
    house.await_sent(client, b"Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n\r\n");
    assert!(!String::from_utf8(house.sent(client)).unwrap().contains("Content-Length"));
    house.driver.world().fin(client);
    house.idle(1);
}

#[test]
fn chunked_answers_keep_their_trailers_and_events_come_in_time() {
    for (accept, coding) in [("gzip", "gzip"), ("br", "br"), ("zstd", "zstd")] {
        let house = house(1, Faults::default());
        let client = house.client();
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n\r\n");
        house.driver.world().feed(client, request.as_bytes());
        let backend = house.backend();
        house.await_sent(backend, b"\r\n\r\n");
        let begin = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        house.driver.world().feed(backend, begin);
        // The head does not wait for a body.
        house.await_sent(client, b"Transfer-Encoding: chunked\r\n\r\n");
        let so_far = |house: &House| {
            let sent = house.sent(client);
            decoded(coding, &dechunked(split_head(&sent).1))
        };
        let mut wanted = Vec::new();
        for event in ["data: 1\n\n", "data: two\n\n", "data: 3\n\n"] {
            house.driver.world().feed(backend, format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
            wanted.extend_from_slice(event.as_bytes());
            house.until("the event is there", |house| so_far(house) == wanted);
        }
        house.driver.world().feed(backend, b"0\r\nX-Sum: 7\r\n\r\n");
        house.await_sent(client, b"0\r\nX-Sum: 7\r\n\r\n");
        assert_eq!(so_far(&house), wanted);
        house.driver.world().fin(client);
        house.idle(1);
    }
}

#[test]
fn a_body_that_is_cut_is_cut_for_the_client_too() {
    let house = house(1, Faults::default());
    let client = house.client();
    house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    house.driver.world().feed(backend, &[answer("", 5000), text(1000)].concat());
    house.driver.world().fin(backend);
    house.until("the client knows", |house| house.driver.world().end(client).closed);
    let sent = house.sent(client);
    assert!(!sent.ends_with(b"0\r\n\r\n"), "a body that was cut must not look whole");
    house.idle(0);
}
