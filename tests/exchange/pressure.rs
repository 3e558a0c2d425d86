//! A slow reader stops the other side's writes; memory stays bounded and nothing is lost.

use super::before;
use super::support::payload::{Payload, Sum};
use super::support::{Backend, Ringgate, Stream, wait_until_within};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;
/// What ringgate may hold for one stalled exchange, with much room for allocator and page cache effects. A proxy without
/// back-pressure would hold hundreds of MiB.
const HELD_MAX: u64 = 24 * MIB;

/// Copies and tells how far it is.
fn pour(mut from: impl Read, to: &mut Stream, sent: &AtomicU64) -> std::io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            count => to.write_all(&piece[..count])?,
        }
        sent.fetch_add(piece.len() as u64, SeqCst);
    }
}

/// Waits until a counter has not moved for half a second: the sender is blocked.
fn expect_stalled(counter: &AtomicU64) -> u64 {
    let mut last = (counter.load(SeqCst), Instant::now());
    wait_until_within(Duration::from_secs(60), "the sender stalls", || {
        let now = counter.load(SeqCst);
        if now != last.0 || now == 0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(500)
    });
    last.0
}

#[track_caller]
fn expect_bounded(ringgate: &Ringgate, before: u64, when: &str) {
    let held = ringgate.resident().saturating_sub(before);
    assert!(held < HELD_MAX, "{held} bytes more than before, {when}");
}

#[test]
fn a_client_that_reads_nothing_stops_the_backend() {
    const LENGTH: u64 = 512 * MIB;
    let sent = Arc::new(AtomicU64::new(0));
    let backend = Backend::script({
        let sent = sent.clone();
        move |conn| {
            if conn.request().is_some() {
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
                let _ = pour(Payload::new(21, LENGTH), &mut conn.writer(), &sent);
                conn.drain();
            }
        }
    });
    let ringgate = before(&backend);
    let start = ringgate.status();
    let resident = ringgate.resident();
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let stalled = expect_stalled(&sent);
    assert!(stalled < LENGTH / 4, "{stalled} bytes went on to a client that reads nothing");
    expect_bounded(&ringgate, resident, "while the client reads nothing");
    let head = client.head();
    let mut sum = Sum::default();
    client.body(head.response_framing("GET").unwrap(), &mut |piece| sum.add(piece)).expect("a whole answer");
    assert_eq!((sum.length, sum.hex()), (LENGTH, Payload::sha256(21, LENGTH)));
    expect_bounded(&ringgate, resident, "after it has read all");
    drop(client);
    backend.close_all();
    ringgate.expect_clean(&start);
}

#[test]
fn a_backend_that_reads_nothing_stops_the_client() {
    const LENGTH: u64 = 256 * MIB;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let backend = Backend::script(move |conn| {
        let Some(head) = conn.head() else { return };
        let _ = wait.lock().expect("one connection only").recv();
        let mut sum = Sum::default();
        conn.body(head.request_framing().expect("framing"), &mut |piece| sum.add(piece));
        conn.send(super::support::backend::ok(&format!("{} {}", sum.length, sum.hex())));
    });
    let ringgate = before(&backend);
    let start = ringgate.status();
    let resident = ringgate.resident();
    let mut client = ringgate.client();
    let sent = Arc::new(AtomicU64::new(0));
    let sender = std::thread::spawn({
        let (mut writer, sent) = (client.writer(), sent.clone());
        move || {
            write!(writer, "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {LENGTH}\r\n\r\n")?;
            pour(Payload::new(22, LENGTH), &mut writer, &sent)
        }
    });
    let stalled = expect_stalled(&sent);
    assert!(stalled < LENGTH / 4, "{stalled} bytes went on to a backend that reads nothing");
    expect_bounded(&ringgate, resident, "while the backend reads nothing");
    go.send(()).expect("the backend waits");
    assert_eq!(client.response().text(), format!("{LENGTH} {}", Payload::sha256(22, LENGTH)));
    sender.join().expect("the sender lives").expect("all was sent");
    expect_bounded(&ringgate, resident, "after it has read all");
    drop(client);
    backend.close_all();
    ringgate.expect_clean(&start);
}

/// Many readers that all wait: others are still served, and the memory is that of many small buffers.
#[test]
fn slow_readers_do_not_stop_others() {
    const LENGTH: u64 = 64 * MIB;
    let backend = Backend::script(|conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/" {
                conn.send(super::support::backend::ok("hello"));
                continue;
            }
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
            if std::io::copy(&mut Payload::new(23, LENGTH), &mut conn.writer()).is_err() {
                return;
            }
        }
    });
    let ringgate = before(&backend);
    let start = ringgate.status();
    let resident = ringgate.resident();
    let mut slow: Vec<_> = (0..50).map(|_| ringgate.client()).collect();
    slow.iter_mut().for_each(|client| client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n"));
    backend.expect_connections(50);
    for _ in 0..50 {
        assert_eq!(ringgate.client().get("/").text(), "hello");
    }
    expect_bounded(&ringgate, resident, "with 50 slow readers");
    let mut client = slow.pop().expect("there are fifty");
    let head = client.head();
    let mut sum = Sum::default();
    client.body(head.response_framing("GET").unwrap(), &mut |piece| sum.add(piece)).expect("a whole answer");
    assert_eq!(sum.hex(), Payload::sha256(23, LENGTH));
    drop((client, slow));
    // What stays is pooled: one small answer's per worker, and the large one's.
    wait_until_within(Duration::from_secs(30), "the backend is free", || backend.open() <= 3);
    backend.close_all();
    ringgate.expect_clean(&start);
}

/// A client that sends requests and reads no answers: it is not read any further.
#[test]
fn a_pipeliner_that_reads_nothing_is_stopped() {
    let backend = Backend::fixed(&"x".repeat(4096));
    let ringgate = before(&backend);
    let start = ringgate.status();
    let resident = ringgate.resident();
    let client = ringgate.client();
    let sent = Arc::new(AtomicU64::new(0));
    std::thread::spawn({
        let (mut writer, sent) = (client.writer(), sent.clone());
        move || {
            let requests = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1000);
            while writer.write_all(requests.as_bytes()).is_ok() {
                sent.fetch_add(requests.len() as u64, SeqCst);
            }
        }
    });
    let stalled = expect_stalled(&sent);
    assert!(stalled < 64 * MIB, "{stalled} bytes of requests were taken");
    expect_bounded(&ringgate, resident, "with a pipeliner that reads nothing");
    // The sender has a handle of the socket too: it must see the end before the last handle can reset the connection.
    let _ = client.writer().shutdown(std::net::Shutdown::Both);
    client.reset();
    backend.close_all();
    ringgate.expect_clean(&start);
}

/// Kernel threads that finish a worker's sends for it (io-wq). The control plane's own, named after the process, write the log.
fn kernel_threads(pid: u32) -> usize {
    let names = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    let names = names.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("iou-wrk-") && name.trim_end() != format!("iou-wrk-{pid}")).count()
}

/// Half-closed clients that drain in sips made the kernel's own retries of a send run out, and then a kernel thread each.
#[test]
fn slow_readers_make_no_kernel_threads() {
    const LENGTH: u64 = 24 * MIB;
    let backend = Backend::script(|conn| {
        while conn.request().is_some() {
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
            if std::io::copy(&mut Payload::new(31, LENGTH), &mut conn.writer()).is_err() {
                return;
            }
        }
    });
    let ringgate = before(&backend);
    let mut slow: Vec<_> = (0..40).map(|_| ringgate.client()).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.finish();
    }
    let until = Instant::now() + Duration::from_secs(6);
    let mut sip = vec![0; 150_000];
    while Instant::now() < until {
        for client in &slow {
            let mut stream = client.writer();
            if stream.peek().is_ok_and(|n| n > 0) {
                let _ = stream.read(&mut sip);
            }
        }
        assert_eq!(kernel_threads(ringgate.pid()), 0);
        std::thread::sleep(Duration::from_millis(20));
    }
}
