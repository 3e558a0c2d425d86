//! The reactor's invariants (design section 3), on the scripted driver.

use super::driver::{Completion, Descriptor};
use super::scripted::{Faults, Scripted};
use super::sockaddr::KernelAddress;
use super::*;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;

const LARGE: u32 = 2;

fn reactor(faults: Faults) -> (Reactor<Scripted>, Scripted) {
    let driver = Scripted::new(7, faults);
    (Reactor::new(driver.clone(), 16, LARGE), driver)
}

fn turns(reactor: &Reactor<Scripted>, count: usize) {
    for _ in 0..count {
        reactor.turn().unwrap();
    }
}

/// Runs a task to its end and returns what it made; fails if it takes too many turns.
fn run<T: 'static>(reactor: &Reactor<Scripted>, future: impl Future<Output = T> + 'static) -> T {
    let result = Rc::new(RefCell::new(None));
    let slot = result.clone();
    reactor.spawn(async move { *slot.borrow_mut() = Some(future.await) });
    for _ in 0..100_000 {
        reactor.turn().unwrap();
        if let Some(value) = result.borrow_mut().take() {
            return value;
        }
    }
    panic!("the task did not end");
}

async fn lease(reactor: &Reactor<Scripted>, owner: Owner, bytes: &[u8]) -> Lease {
    let mut lease = reactor.buffers().reserve(owner, 1).await.take();
    lease[..bytes.len()].copy_from_slice(bytes);
    lease
}

fn nothing_left(reactor: &Reactor<Scripted>) {
    turns(reactor, 50);
    let Gauges { tasks, op_slots, sockets, timers, buffers_small, buffers_large, buffers_waiting, .. } =
        reactor.gauges();
    assert_eq!((tasks, op_slots, sockets, timers), (0, 0, 0, 0), "tasks, op slots, sockets, timers");
    assert_eq!((buffers_small, buffers_large, buffers_waiting), (0, 0, 0), "buffers");
    assert_eq!(reactor.gauges().stale_completions, 0);
}

#[test]
fn a_dropped_receive_loses_no_byte() {
    for read_most in [0, 1, 3] {
        let (reactor, driver) = reactor(Faults { read_most, late_turns: 3, ..Faults::default() });
        let descriptor = driver.world().open();
        let socket = reactor.adopt(descriptor);
        let (inner, script) = (reactor.clone(), driver.clone());
        let got = run(&reactor, async move {
            let timer = inner.timer();
            let mut buffer = [0; 64];
            // Given up before any byte came, and again while bytes are on their way.
            assert!(timer.within(100, socket.recv(&mut buffer)).await.is_err());
            script.world().feed(descriptor, b"hello, ");
            let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(socket.poll_readable(cx).is_ready())).await;
            script.world().feed(descriptor, b"world");
            script.world().fin(descriptor);
            let mut got = Vec::new();
            loop {
                match timer.within(1000, socket.recv(&mut buffer)).await.unwrap().unwrap() {
                    0 => return got,
                    n => got.extend_from_slice(&buffer[..n]),
                }
            }
        });
        assert_eq!(got, b"hello, world");
        nothing_left(&reactor);
    }
}

#[test]
fn a_dropped_send_frees_nothing_early() {
    let (reactor, driver) = reactor(Faults::default());
    let descriptor = driver.world().open();
    driver.world().end(descriptor).stalled = true;
    let socket = reactor.adopt(descriptor);
    let inner = reactor.clone();
    run(&reactor, async move {
        socket.set_owner(1);
        let first = lease(&inner, 1, b"queued bytes").await;
        socket.send(first, 0..12).await.unwrap();
        let second = lease(&inner, 1, b"never sent").await;
        // The second waits for the first; giving up the wait gives the second's buffer back, and only that.
        assert!(inner.timer().within(10, socket.send(second, 0..10)).await.is_err());
    });
    // Not idle turns: time would jump to the end of the flush's patience.
    run(&reactor, async {
        for _ in 0..5 {
            executor::yield_now().await;
        }
    });
    assert_eq!(reactor.gauges().buffers_small, 1, "the kernel still has the first");
    assert_eq!(reactor.gauges().op_slots, 1);
    // Whoever takes buffers meanwhile gets others.
    let inner = reactor.clone();
    run(&reactor, async move {
        for _ in 0..10 {
            lease(&inner, 2, b"other clients' bytes").await;
        }
    });
    driver.world().end(descriptor).stalled = false;
    nothing_left(&reactor);
    assert_eq!(driver.world().end(descriptor).outbox, b"queued bytes");
    assert!(driver.world().end(descriptor).closed);
}

#[test]
fn a_late_completion_of_a_closed_socket_harms_nobody() {
    let (reactor, driver) = reactor(Faults::default());
    let old = driver.world().open();
    let socket = reactor.adopt(old);
    let inner = reactor.clone();
    run(&reactor, async move {
        let _ = inner.timer().within(10, socket.readable()).await;
        socket.set_owner(1);
        let lease = lease(&inner, 1, b"bye").await;
        socket.send(lease, 0..3).await.unwrap();
        socket.flushed().await.unwrap();
        drop(socket);
    });
    let names = driver.world().pending(); // its poll, still armed for a moment
    turns(&reactor, 5);
    assert!(driver.world().end(old).closed);
    // A new socket takes the same row. Whatever the kernel says late under the old names does not reach it.
    let new = driver.world().open();
    let socket = reactor.adopt(new);
    for user_data in names.into_iter().chain([1 << 60 | 1 << 32, 2 << 60 | 1 << 32, u64::MAX, 0]) {
        driver.world().forge(Completion { user_data, result: -libc::EPIPE, more: false });
    }
    turns(&reactor, 3);
    assert!(socket.seems_quiet() && !socket.has_ended() && !socket.has_failed());
    assert!(reactor.gauges().stale_completions >= 4);
    driver.world().feed(new, b"ok");
    let got = run(&reactor, async move {
        let mut buffer = [0; 8];
        socket.recv(&mut buffer).await.unwrap()
    });
    assert_eq!(got, 2);
}

#[test]
fn an_exhausted_buffer_pool_stalls_nobody_for_good() {
    let (reactor, driver) = reactor(Faults { late_turns: 4, ..Faults::default() });
    let done = Rc::new(Cell::new(0));
    let clients = if cfg!(miri) { 10 } else { 100 };
    for client in 1..=clients {
        let descriptor = driver.world().open();
        let socket = reactor.adopt(descriptor);
        socket.set_owner(client);
        let (inner, done) = (reactor.clone(), done.clone());
        reactor.spawn(async move {
            let reservation = inner.buffers().reserve(client, 6).await; // two fit at a time
            let leases: Vec<_> = (0..6).map(|_| reservation.take()).collect();
            for mut lease in leases {
                lease[0] = client as u8;
                socket.send(lease, 0..1).await.unwrap();
            }
            socket.flushed().await.unwrap();
            done.set(done.get() + 1);
        });
    }
    turns(&reactor, 30 * clients as usize);
    assert_eq!(done.get(), clients);
    nothing_left(&reactor);
}

#[test]
fn a_deadline_fires_within_one_tick() {
    let (reactor, _) = reactor(Faults::default());
    for ms in [1, 10, 64, 500, 30_000, 100_000] {
        let inner = reactor.clone();
        let waited = run(&reactor, async move {
            let start = inner.now_ms();
            inner.timer().sleep(ms).await;
            inner.now_ms() - start
        });
        assert!(waited >= ms && waited <= ms + crate::limits::TICK + 1, "{ms} ms took {waited}");
    }
    nothing_left(&reactor);
}

#[test]
fn a_queued_response_is_never_cut_by_its_own_close() {
    for (write_most, late_turns, send_eagain) in [(0, 0, 0), (1, 0, 0), (7, 5, 0), (0, 9, 2), (3, 3, 3)] {
        let (reactor, driver) = reactor(Faults { write_most, late_turns, send_eagain, ..Faults::default() });
        let descriptor = driver.world().open();
        let socket = reactor.adopt(descriptor);
        let inner = reactor.clone();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        run(&reactor, async move {
            socket.set_owner(1);
            let lease = lease(&inner, 1, answer).await;
            socket.send(lease, 0..answer.len()).await.unwrap();
            drop(socket); // at once
        });
        turns(&reactor, 1000);
        let mut world = driver.world();
        assert!(world.end(descriptor).closed);
        assert_eq!(world.end(descriptor).outbox, answer);
        drop(world);
        nothing_left(&reactor);
    }
}

#[test]
fn a_flush_that_never_ends_is_given_up() {
    let (reactor, driver) = reactor(Faults::default());
    let descriptor = driver.world().open();
    driver.world().end(descriptor).stalled = true;
    let socket = reactor.adopt(descriptor);
    let inner = reactor.clone();
    run(&reactor, async move {
        socket.set_owner(1);
        let lease = lease(&inner, 1, b"x").await;
        socket.send(lease, 0..1).await.unwrap();
    });
    assert_eq!(reactor.gauges().sockets, 1);
    let inner = reactor.clone();
    run(&reactor, async move { inner.timer().sleep(20).await });
    assert!(!driver.world().end(descriptor).closed, "it has time");
    driver.world().advance(crate::limits::CLOSE_FLUSH_MAX + 2 * crate::limits::TICK);
    nothing_left(&reactor);
    assert!(driver.world().end(descriptor).closed);
}

#[test]
fn bytes_of_one_client_never_reach_another() {
    let (reactor, driver) = reactor(Faults::default());
    let descriptor = driver.world().open();
    let socket = reactor.adopt(descriptor);
    socket.set_owner(2);
    let inner = reactor.clone();
    reactor.spawn(async move {
        let lease = lease(&inner, 1, b"secret of 1").await;
        let _ = socket.send(lease, 0..11).await;
    });
    turns(&reactor, 10);
    assert_eq!(reactor.gauges().panics, 1, "our bug, caught at its task");
    assert!(driver.world().end(descriptor).outbox.is_empty());
    nothing_left(&reactor);
}

#[test]
fn readiness_survives_what_kernels_may_do() {
    for seed in 0..if cfg!(miri) { 5 } else { 50 } {
        let faults = Faults {
            read_most: (seed % 5) as usize,
            recv_eagain: [0, 2, 3, 4][(seed % 4) as usize],
            poll_ends: seed % 3,
            late_turns: seed % 6,
            ..Faults::default()
        };
        let driver = Scripted::new(seed, faults);
        let reactor = Reactor::new(driver.clone(), 16, LARGE);
        let descriptor = driver.world().open();
        let socket = reactor.adopt(descriptor);
        let feeder = driver.clone();
        reactor.spawn(async move {
            for i in 0..40u8 {
                feeder.world().feed(descriptor, &[i; 3]);
                executor::yield_now().await;
            }
            feeder.world().fin(descriptor);
        });
        let got = run(&reactor, async move {
            let (mut got, mut buffer) = (Vec::new(), [0; 5]);
            loop {
                match socket.recv(&mut buffer).await.unwrap() {
                    0 => return got,
                    n => got.extend_from_slice(&buffer[..n]),
                }
            }
        });
        let all: Vec<u8> = (0..40u8).flat_map(|i| [i; 3]).collect();
        assert_eq!(got, all, "seed {seed}");
        nothing_left(&reactor);
    }
}

#[test]
fn errors_reach_whoever_waits() {
    let (reactor, driver) = reactor(Faults::default());
    let descriptor = driver.world().open();
    let socket = reactor.adopt(descriptor);
    driver.world().break_off(descriptor, libc::ECONNRESET);
    let inner = reactor.clone();
    run(&reactor, async move {
        socket.set_owner(1);
        let mut buffer = [0; 5];
        assert_eq!(socket.recv(&mut buffer).await.unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
        assert!(socket.has_failed());
        let first = lease(&inner, 1, b"x").await;
        socket.send(first, 0..1).await.unwrap(); // queued: the error comes with the next call
        let second = lease(&inner, 1, b"y").await;
        assert_eq!(socket.send(second, 0..1).await.unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
        assert!(socket.flushed().await.is_err());
        assert_eq!(socket.accepted_bytes(), 0);
    });
    nothing_left(&reactor);
}

#[test]
fn connecting_reports_cancels_and_closes() {
    let (reactor, driver) = reactor(Faults::default());
    let address = || KernelAddress::tcp(([127, 0, 0, 1], 80).into());
    driver.world().faults.socket_errors.push_back(libc::ENOBUFS);
    driver.world().connect_results.push_back(-libc::ECONNREFUSED);
    let inner = reactor.clone();
    let results = run(&reactor, async move {
        let mut results = Vec::new();
        for _ in 0..3 {
            results.push(Socket::connect(&inner, &address()).await.map(drop).map_err(|e| e.raw_os_error()));
        }
        results
    });
    assert_eq!(results, [Err(Some(libc::ENOBUFS)), Err(Some(libc::ECONNREFUSED)), Ok(())]);
    nothing_left(&reactor);
    // Given up while under way: cancelled, and closed after the cancellation's completion.
    driver.world().faults.late_turns = 1_000_000;
    let (inner, script) = (reactor.clone(), driver.clone());
    run(&reactor, async move {
        let address = address();
        let mut connecting = Box::pin(Socket::connect(&inner, &address));
        std::future::poll_fn(|cx| {
            assert!(connecting.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        script.world().faults.late_turns = 0; // the cancellation is quick
    });
    nothing_left(&reactor);
    assert!(driver.world().ends.values().all(|end| end.closed));
}

#[test]
fn accepting_goes_on_after_errors_and_stops_in_order() {
    let (reactor, driver) = reactor(Faults::default());
    let listening = driver.world().open();
    let listener = Rc::new(reactor.listen(listening));
    let clients: Vec<Descriptor> = (0..4).map(|_| driver.world().open()).collect();
    driver.world().end(listening).backlog.extend([clients[0].0, -libc::EMFILE, clients[1].0]);
    let accepting = listener.clone();
    let got = run(&reactor, async move {
        let mut got: Vec<Result<i32, Option<i32>>> = Vec::new();
        for _ in 0..3 {
            got.push(accepting.accept().await.map(|d| d.0).map_err(|e: io::Error| e.raw_os_error()));
        }
        got
    });
    assert_eq!(got, [Ok(clients[0].0), Err(Some(libc::EMFILE)), Ok(clients[1].0)]);
    // Stopped: what the ring accepted meanwhile and what waits in the queue are both found.
    let (accepting, script, late) = (listener.clone(), driver.clone(), clients.clone());
    let taken = run(&reactor, async move {
        let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(accepting.poll_accept(cx).is_pending())).await;
        script.world().end(listening).backlog.push_back(late[2].0);
        executor::yield_now().await;
        executor::yield_now().await;
        accepting.stop().await;
        script.world().end(listening).backlog.push_back(late[3].0);
        std::iter::from_fn(|| accepting.take()).map(|d| d.0).collect::<Vec<_>>()
    });
    assert_eq!(taken, [clients[2].0, clients[3].0]);
    drop(listener);
    nothing_left(&reactor);
    assert!(driver.world().end(listening).closed);
}

#[test]
fn an_abort_does_not_wait_for_its_peer() {
    let (reactor, driver) = reactor(Faults::default());
    let descriptor = driver.world().open();
    driver.world().end(descriptor).stalled = true;
    let socket = reactor.adopt(descriptor);
    let inner = reactor.clone();
    run(&reactor, async move {
        socket.set_owner(1);
        let lease = lease(&inner, 1, b"x").await;
        socket.send(lease, 0..1).await.unwrap();
        socket.abort();
    });
    nothing_left(&reactor);
    let mut world = driver.world();
    assert!(world.end(descriptor).closed && world.end(descriptor).resets);
}

#[test]
fn an_abort_in_the_middle_of_a_send_ends_it() {
    let (reactor, driver) = reactor(Faults::default());
    let descriptor = driver.world().open();
    driver.world().end(descriptor).stalled = true;
    driver.world().end(descriptor).stalled_after = 3; // a short count is all that the cancelled send says
    let socket = reactor.adopt(descriptor);
    let inner = reactor.clone();
    run(&reactor, async move {
        socket.set_owner(1);
        let lease = lease(&inner, 1, b"0123456789").await;
        socket.send(lease, 0..10).await.unwrap();
        executor::yield_now().await;
        executor::yield_now().await;
        socket.abort();
    });
    nothing_left(&reactor);
    assert!(driver.world().end(descriptor).closed);
}

/// The same on io_uring: a peer that never reads must not keep a buffer, a descriptor and an op slot beyond the abort.
#[test]
#[cfg_attr(miri, ignore)]
fn an_abort_ends_a_half_taken_send_on_a_real_kernel() {
    let Ok(driver) = uring::Uring::new() else { return println!("skipped: no io_uring here") };
    let reactor = Reactor::new(driver, 16, 16);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let peer = listener.accept().unwrap();
    socket2::SockRef::from(&stream).set_send_buffer_size(4096).unwrap();
    stream.set_nonblocking(true).unwrap();
    let socket = reactor.adopt(Descriptor(std::os::fd::IntoRawFd::into_raw_fd(stream)));
    let (inner, done) = (reactor.clone(), Rc::new(Cell::new(false)));
    let ended = done.clone();
    reactor.spawn(async move {
        socket.set_owner(1);
        let reservation = inner.buffers().reserve(1, 2).await;
        let timer = inner.timer();
        loop {
            let lease = reservation.try_take_large().unwrap();
            let end = lease.len();
            if timer.within(300, socket.send(lease, 0..end)).await.is_err() {
                break; // the kernel's buffers are full
            }
        }
        socket.abort();
        ended.set(true);
    });
    // A timer that keeps the loop turning: nothing else would end a wait.
    let (inner, kept) = (reactor.clone(), done.clone());
    reactor.spawn(async move {
        while !kept.get() {
            inner.timer().sleep(50).await;
        }
        inner.timer().sleep(500).await;
    });
    while reactor.gauges().tasks > 0 {
        reactor.turn().unwrap();
    }
    let Gauges { op_slots, sockets, buffers_large, .. } = reactor.gauges();
    assert_eq!((op_slots, sockets, buffers_large), (0, 0, 0), "op slots, sockets, buffers");
    drop(peer);
}

#[test]
fn the_end_does_not_wait_for_a_peer_that_never_reads() {
    let (reactor, driver) = reactor(Faults::default());
    let descriptor = driver.world().open();
    driver.world().end(descriptor).stalled = true;
    let socket = reactor.adopt(descriptor);
    let inner = reactor.clone();
    run(&reactor, async move {
        socket.set_owner(1);
        let lease = lease(&inner, 1, b"last words").await;
        socket.send(lease, 0..10).await.unwrap();
    });
    reactor.finish(100).unwrap();
    assert!(driver.world().end(descriptor).closed);
    nothing_left(&reactor);
}

#[test]
fn a_watched_socket_tells_its_watcher() {
    let (reactor, driver) = reactor(Faults::default());
    let quiet = driver.world().open();
    let closing = driver.world().open();
    let (a, b) = (reactor.adopt(quiet), reactor.adopt(closing));
    let (watcher, other) = (reactor.watcher(), reactor.watcher());
    a.watch(other, 11);
    b.watch(watcher, 22);
    driver.world().fin(closing);
    let inner = reactor.clone();
    let news = run(&reactor, async move { inner.next_watched(watcher).await });
    assert_eq!(news, Watched { tag: 22, socket: b.id() });
    b.unwatch();
    driver.world().break_off(closing, libc::ECONNRESET);
    driver.world().feed(quiet, b"unasked");
    let inner = reactor.clone();
    let news = run(&reactor, async move { inner.next_watched(other).await });
    assert_eq!(news.tag, 11, "what is watched no longer tells nothing");
    drop((a, b));
    nothing_left(&reactor);
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_socket_knows_both_its_ends() {
    let Ok(driver) = uring::Uring::new() else { return println!("skipped: no io_uring here") };
    let reactor = Reactor::new(driver, 16, 16);
    let adopt =
        |descriptor: std::os::fd::OwnedFd| reactor.adopt(Descriptor(std::os::fd::IntoRawFd::into_raw_fd(descriptor)));
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = std::net::TcpListener::bind(any) else { continue };
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ends = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let socket = adopt(listener.accept().unwrap().0.into());
        assert_eq!((socket.peer().unwrap(), socket.local().unwrap()), (Some(ends.0), Some(ends.1)));
    }
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let socket = adopt(one.into());
    assert_eq!((socket.peer().unwrap(), socket.local().unwrap()), (None, None));
}

/// What is not in the page cache is not waited for: it is read by way of the ring.
#[test]
fn a_cold_file_is_read_by_the_ring() {
    use rustix::fs::{Advice, fadvise};
    use std::ffi::CString;
    let Ok(driver) = uring::Uring::new() else { return println!("skipped: no io_uring here") };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, vec![b'x'; 100_000]).unwrap();
    let cold = std::fs::File::open(&path).unwrap();
    cold.sync_all().unwrap();
    fadvise(&cold, 0, None, Advice::DontNeed).unwrap();
    let path = CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
    let reactor = Reactor::new(driver, 4, 0);
    let (inner, done) = (reactor.clone(), Rc::new(RefCell::new(None)));
    let slot = done.clone();
    reactor.spawn(async move {
        let file = inner.open(None, &path, OpenHow::to_read(Resolve::Anywhere)).await.unwrap();
        assert_eq!(inner.stat(&file).unwrap().size, 100_000);
        let mut lease = inner.buffers().reserve(1, 1).await.take();
        let at_once = inner.try_read(&file, &mut lease[..1000], 0).unwrap();
        let (lease, read) = inner.read(&file, lease, 10..1010, 0).await;
        assert_eq!((read.unwrap(), &lease[9..11], lease[1009]), (1000, &[0, b'x'][..], b'x'));
        drop(lease);
        let mut again = inner.buffers().reserve(1, 1).await.take();
        let warm = inner.try_read(&file, &mut again[..1000], 0).unwrap();
        *slot.borrow_mut() = Some((at_once, warm));
    });
    while done.borrow().is_none() {
        reactor.turn().unwrap();
    }
    // A file system in memory is never cold.
    let (at_once, warm) = done.take().expect("just seen");
    assert!(at_once.is_none() || at_once == Some(1000));
    assert_eq!(warm, Some(1000));
    assert!(reactor.gauges().files[1] == 1 && reactor.gauges().files[2] >= 1);
    reactor.finish(100).unwrap();
    assert_eq!(reactor.gauges().op_slots, 0);
}
