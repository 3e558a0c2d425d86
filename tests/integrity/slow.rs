//! Whoever is slow slows the other side down, and costs no memory.

use super::peers::{Body, Frames, Pace, SMALL_BUFFERS_UP_TO, backend, download, echoed, upload};
use super::support::payload::Payload;
use super::support::{Client, Setup};
use super::{expect_idle, moved, start};
use std::time::Duration;

const PACES: [[Pace; 2]; 3] = [[Pace::Slow, Pace::Fast], [Pace::Fast, Pace::Slow], [Pace::Slow, Pace::Slow]];

/// Every combination of slow sides, all at the same time. `run` gets the body (its pace is the writer's) and the reader's.
fn at_all_paces(length: u64, run: fn(&mut Client, Body, Pace) -> bool) {
    let backend = backend();
    let ringgate = start(&backend, 2);
    let before = ringgate.status();
    let cases = PACES.iter().flat_map(|&paces| [Frames::Length, Frames::Chunked].map(|frames| (paces, frames)));
    let running: Vec<_> = cases
        .enumerate()
        .map(|(seed, ([writer, reader], frames))| {
            let mut client = ringgate.client();
            if length <= SMALL_BUFFERS_UP_TO {
                client.writer().small_buffers().expect("buffers can be shrunk");
            }
            let body = Body { pace: writer, ..Body::new(seed as u64, length, frames) };
            std::thread::spawn(move || run(&mut client, body, reader))
        })
        .collect();
    for thread in running {
        thread.join().expect("each body arrives");
    }
    expect_idle(&ringgate, &backend, &before);
}

#[test]
fn slow_uploads() {
    at_all_paces(1024 * 1024 + 1, upload);
    at_all_paces(8 * 1024 * 1024, upload);
}

#[test]
fn slow_downloads() {
    at_all_paces(1024 * 1024 + 1, download);
    at_all_paces(8 * 1024 * 1024, download);
}

#[test]
fn slow_both_ways() {
    at_all_paces(1024 * 1024 + 1, echoed);
}

/// A reader that does not read at all stops the writer; what was taken in between is bounded, and nothing is lost.
#[test]
fn a_reader_that_pauses_stops_the_writer() {
    let backend = backend();
    let ringgate = start(&backend, 1);
    let before = ringgate.status();
    let stalled: Vec<_> = (0..20)
        .map(|seed| {
            let mut client = ringgate.client();
            let body = Body::new(seed, 64 * 1024 * 1024, Frames::Length);
            client.send(format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", body.target()));
            (client, body)
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let resident = ringgate.resident();
    assert!(resident < super::RESIDENT_MAX, "{resident} bytes resident for 20 readers that do not read");
    let small = ringgate.status().total("buffers_small_out");
    let large = ringgate.status().total("buffers_large_out");
    assert!(small + large <= 20 * 8, "{small} small and {large} large buffers for 20 connections");
    // One of them reads on and gets everything; the others leave.
    let mut stalled = stalled.into_iter();
    let (mut client, body) = stalled.next().expect("twenty");
    drop(stalled);
    let head = client.head();
    let mut sum = super::support::payload::Sum::default();
    let framing = head.response_framing("GET").expect("good framing");
    client.body(framing, &mut |bytes| sum.add(bytes)).expect("the whole body");
    assert_eq!((sum.length, sum.hex()), (body.length, body.sha256()));
    drop(client);
    expect_idle(&ringgate, &backend, &before);
}

/// Found by a review: `send_timeout` covered all that a pipe held, and a write waits until a third of the kernel's buffer is free. A
/// slow reader that reads on must not be cut.
#[test]
fn a_slow_reader_of_a_spliced_body_is_not_cut() {
    const LENGTH: u64 = 32 * 1024 * 1024; // never read to its end
    let backend = backend();
    let ringgate = Setup::proxy(&[backend.place()]).workers(1).top("send_timeout = \"1s\"").start();
    let before = ringgate.status();
    let body = Body::new(5, LENGTH, Frames::Length);
    let mut client = ringgate.client();
    client.writer().small_buffers().expect("buffers can be shrunk"); // or the kernel would take megabytes at once
    client.send(format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", body.target()));
    assert_eq!(client.head().status(), 200);
    let expected = Payload::bytes(5, 60 * 8 * 1024);
    for piece in expected.chunks(8 * 1024) {
        // 80 KB a second: a pipe of 256 KiB takes three times `send_timeout`.
        assert!(client.read_exactly(piece.len()) == piece, "it goes on");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(moved(&ringgate).0 > 0, "it is spliced");
    assert_eq!(ringgate.status().errors("client_timeout"), 0);
    client.reset();
    expect_idle(&ringgate, &backend, &before);
}
