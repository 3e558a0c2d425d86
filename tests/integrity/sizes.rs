//! Every size at which something changes, in every framing, each way.

use super::peers::{Body, Frames, Pace, backend, download, echoed, upload};
use super::{expect_idle, start};
use ringgate::limits::{BUFFER_LARGE, BUFFER_SMALL, CHUNK_HEADROOM, CHUNK_TAILROOM, HEAD_MAX, TURN_BUDGET};

const MIB: usize = 1024 * 1024;

/// 0, 1, 2 and 3, the sizes of the buffers, what of them data may fill, and multiples: each with its neighbours.
fn sizes() -> Vec<u64> {
    let room = CHUNK_HEADROOM + CHUNK_TAILROOM;
    let edges = [
        2, // for 1, 2 and 3
        HEAD_MAX,
        BUFFER_SMALL,
        BUFFER_SMALL - room,
        BUFFER_SMALL - CHUNK_TAILROOM,
        BUFFER_LARGE,
        BUFFER_LARGE - room,
        2 * (BUFFER_LARGE - room),
        TURN_BUDGET,
        MIB,
    ];
    let mut sizes: Vec<u64> =
        edges.iter().flat_map(|&edge| [edge - 1, edge, edge + 1]).map(|size| size as u64).collect();
    sizes.push(0);
    sizes
}

fn every_size(workers: usize, frames: Frames, run: impl Fn(&mut super::support::Client, Body) -> bool) {
    let backend = backend();
    let ringgate = start(&backend, workers);
    let before = ringgate.status();
    let mut kept = ringgate.client();
    for (seed, size) in sizes().into_iter().enumerate() {
        let body = Body::new(seed as u64, size, frames);
        if !run(&mut kept, body) {
            kept = ringgate.client();
        }
        // On a connection of its own as well: there the first bytes are read in another way.
        run(&mut ringgate.client(), body);
    }
    drop(kept);
    expect_idle(&ringgate, &backend, &before);
}

#[test]
fn uploads_of_known_length() {
    every_size(1, Frames::Length, |client, body| upload(client, body, Pace::Fast));
}

#[test]
fn uploads_in_chunks() {
    every_size(2, Frames::Chunked, |client, body| upload(client, body, Pace::Fast));
}

#[test]
fn downloads_of_known_length() {
    every_size(2, Frames::Length, |client, body| download(client, body, Pace::Fast));
}

#[test]
fn downloads_in_chunks() {
    every_size(1, Frames::Chunked, |client, body| download(client, body, Pace::Fast));
}

/// The backend ends its connection; ours to the client goes on (`every_size` uses it again).
#[test]
fn downloads_that_end_with_the_connection() {
    every_size(1, Frames::Close, |client, body| download(client, body, Pace::Fast));
}

#[test]
fn both_ways_at_once() {
    every_size(1, Frames::Length, |client, body| echoed(client, body, Pace::Fast));
    every_size(2, Frames::Chunked, |client, body| echoed(client, body, Pace::Fast));
}

/// Head and body in one write, so that all of the body or its beginning lies behind the head in the first buffer.
#[test]
fn bodies_that_come_with_their_head() {
    let backend = backend();
    let ringgate = start(&backend, 1);
    let before = ringgate.status();
    let mut client = ringgate.client();
    for frames in [Frames::Length, Frames::Chunked] {
        for (seed, size) in sizes().into_iter().enumerate().filter(|&(_, size)| size <= 100_000) {
            let body = Body::new(seed as u64, size, frames);
            let mut message = format!("POST /up/0/Fast HTTP/1.1\r\nHost: test\r\n{}\r\n", body.field()).into_bytes();
            let sum = body.write(&mut message).expect("a vector takes all");
            client.send(&message);
            assert_eq!(client.response().text(), format!("{size} {sum}"), "{body:?}");
        }
    }
    drop(client);
    expect_idle(&ringgate, &backend, &before);
}
