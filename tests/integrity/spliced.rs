//! What is spliced and what is not: the threshold, and bodies that pause.

use super::peers::{Body, Frames, Pace, Summing, backend, download};
use super::support::{Backend, backend as answers, wait_until};
use super::{expect_idle, moved, start};
use ringgate::limits::{PIPES_MAX, SPLICE_MIN_DEFAULT as SPLICE_MIN};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

/// Sends a body of zeros only when the head has gone through, so that all of it is still to come when ringgate decides.
#[track_caller]
fn spliced_of(length: u64, chunked: bool, upload: bool) -> u64 {
    let field = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {length}") };
    let mut body = vec![0; length as usize];
    let first = if chunked { format!("{length:x}\r\n") } else { String::new() };
    if chunked {
        body.extend_from_slice(b"\r\n0\r\n\r\n");
    }
    let (went_through, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let answer = Arc::new((format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n{first}"), body.clone()));
    let went_through_up = went_through.clone();
    let backend = Backend::script(move |conn| {
        let Some(head) = conn.head() else { return };
        if upload {
            went_through_up.send(()).expect("the test waits");
            let framing = head.request_framing().expect("good framing");
            let mut got = 0;
            conn.body(framing, &mut |bytes| got += bytes.len() as u64).expect("the whole body");
            assert_eq!(got, length);
            conn.send(answers::ok("got it"));
        } else {
            conn.send(&answer.0);
            wait.lock().expect("one connection").recv().expect("the test tells");
            conn.send(&answer.1);
        }
    });
    let ringgate = start(&backend, 1);
    let before = ringgate.status();
    let mut client = ringgate.client();
    if upload {
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{field}\r\n\r\n{first}"));
        wait_until("the head went through", || backend.requests() == 1);
        client.send(&body);
        assert_eq!(client.response().text(), "got it");
    } else {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        let head = client.head();
        went_through.send(()).expect("the backend waits");
        let mut got = 0;
        let framing = head.response_framing("GET").expect("good framing");
        client.body(framing, &mut |bytes| got += bytes.len() as u64).expect("the whole body");
        assert_eq!(got, length);
    }
    drop(client);
    expect_idle(&ringgate, &backend, &before);
    let (spliced, copied) = moved(&ringgate);
    assert!(spliced + copied >= length, "{spliced} spliced, {copied} copied of {length}");
    spliced
}

#[test]
fn nothing_below_the_threshold_is_spliced_and_all_from_it_on() {
    for (chunked, upload) in [(false, false), (false, true), (true, false), (true, true)] {
        for (length, expected) in [(SPLICE_MIN - 1, 0), (SPLICE_MIN, SPLICE_MIN), (SPLICE_MIN + 1, SPLICE_MIN + 1)] {
            let spliced = spliced_of(length, chunked, upload);
            assert_eq!(spliced, expected, "{length} bytes, chunked: {chunked}, upload: {upload}");
        }
    }
}

/// More bodies than there are pipes stop in the middle; another is spliced all the same. Then they go on.
#[test]
fn bodies_that_pause_hold_no_pipe() {
    const LENGTH: u64 = 4 * 1024 * 1024;
    const FIRST: usize = 1024 * 1024;
    const COUNT: usize = PIPES_MAX as usize + 8;
    let (resume, waiting) = channel::<()>();
    let waiting = Mutex::new(waiting);
    let pausing = Backend::script(move |conn| {
        let Some(_) = conn.head() else { return };
        let body = super::support::payload::Payload::bytes(1, LENGTH as usize);
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
        conn.send(&body[..FIRST]);
        let _ = waiting.lock().expect("nobody panicked").recv();
        conn.send(&body[FIRST..]);
    });
    let fast = backend();
    let ringgate = super::support::Setup::new()
        .workers(1)
        .upstream("pausing", &[pausing.place()], "")
        .upstream("fast", &[fast.place()], "")
        .server("127.0.0.1:0", "", &[("/", "http://pausing", ""), ("/down", "http://fast", "")])
        .start();
    let before = ringgate.status();
    let mut clients: Vec<_> = (0..COUNT).map(|_| ringgate.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.head();
        client.reader.exactly(FIRST as u64, &mut |_| {}).expect("the first part");
    }
    wait_until("they are counted", || moved(&ringgate).0 + moved(&ringgate).1 >= (COUNT * FIRST * 9 / 10) as u64);
    let (so_far, failures) = (moved(&ringgate).0, ringgate.status().total("pipe_failures"));
    let mut client = ringgate.client();
    download(&mut client, Body::new(2, 16 * LENGTH, Frames::Length), Pace::Fast);
    let spliced = moved(&ringgate).0 - so_far;
    assert!(spliced >= 16 * LENGTH * 95 / 100, "{spliced} spliced beside {COUNT} bodies that pause");
    assert_eq!(ringgate.status().total("pipe_failures"), failures);
    let expected = super::support::payload::Payload::bytes(1, LENGTH as usize);
    (0..COUNT).for_each(|_| resume.send(()).expect("they wait"));
    for client in &mut clients {
        assert!(client.read_exactly(LENGTH as usize - FIRST) == expected[FIRST..]);
    }
    drop((client, clients));
    fast.close_all();
    expect_idle(&ringgate, &pausing, &before);
}

/// More clients than there are pipes stop reading, with a pipe full of their bytes each; after a second another body is spliced all
/// the same. Then some of them read on.
#[test]
fn readers_that_stop_do_not_keep_all_pipes() {
    const COUNT: usize = PIPES_MAX as usize + 4;
    const STOPPED: u64 = 24 * 1024 * 1024; // more than the kernel takes on both sides
    const PASSING: u64 = 8 * 1024 * 1024;
    let backend = backend();
    let ringgate = start(&backend, 1);
    let before = ringgate.status();
    let body = Body::new(3, STOPPED, Frames::Length);
    let mut clients: Vec<_> = (0..COUNT).map(|_| ringgate.client()).collect();
    for client in &mut clients {
        client.send(format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", body.target()));
        assert_eq!(client.head().status(), 200);
    }
    wait_until("another body is spliced", || {
        let so_far = moved(&ringgate).0;
        let mut client = ringgate.client();
        download(&mut client, Body::new(2, PASSING, Frames::Length), Pace::Fast);
        moved(&ringgate).0 - so_far >= PASSING * 95 / 100
    });
    for client in &mut clients[..2] {
        let mut got = Summing::new(Pace::Fast, STOPPED);
        client.reader.exactly(STOPPED, &mut |bytes| got.add(bytes)).expect("all of it");
        assert_eq!(got.sum.hex(), body.sha256());
    }
    drop(clients);
    expect_idle(&ringgate, &backend, &before);
}
