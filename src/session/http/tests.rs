//! Whole exchanges on the scripted driver: the same code as on io_uring, with a kernel that is as awkward as kernels may be.

use super::serve;
use crate::config::{self, plan::Plan};
use crate::log;
use crate::ring::driver::Completion;
use crate::ring::scripted::{Faults, Scripted};
use crate::ring::{Descriptor, Reactor};
use crate::session::Context;
use crate::site::Site;
use crate::stats::Stats;
use crate::upstream::{Pick, Upstreams};
use std::rc::Rc;
use std::sync::Arc;

mod access;
mod buffering;
mod challenge;
mod compression;
mod connecting;
mod files;
mod logs;
mod probation;
mod returns;
mod secured;
mod set_headers;

/// What a worker does for itself: tending pools, parked connections and memory.
const OWN_TASKS: usize = 3;

struct House {
    driver: Scripted,
    reactor: Reactor<Scripted>,
    cx: Rc<Context<Scripted>>,
    stats: Arc<Stats>,
}

impl House {
    /// One worker with one listener over two servers.
    fn new(seed: u64, faults: Faults) -> Self {
        Self::with(seed, faults, |_| {})
    }

    /// The same with changes to its plan.
    fn with(seed: u64, faults: Faults, change: impl FnOnce(&mut Plan)) -> Self {
        Self::logged(seed, faults, change).0
    }

    /// And its log.
    fn logged(seed: u64, faults: Faults, change: impl FnOnce(&mut Plan)) -> (Self, log::LogReceiver) {
        Self::of_site(seed, faults, change, |site| site)
    }

    /// And with changes to what is made of its plan.
    fn of_site(
        seed: u64,
        faults: Faults,
        change: impl FnOnce(&mut Plan),
        complete: impl FnOnce(Site) -> Site,
    ) -> (Self, log::LogReceiver) {
        let text = r#"
            [upstream.backend]
            server = ["127.0.0.1:3001", "127.0.0.1:3002"]
            [[server]]
            listen = "127.0.0.1:8080"
            [server.location."/"]
            proxy_pass = "http://backend"
            proxy_connect_timeout = "2s"
        "#;
        let mut plan = config::load_str("test.toml", text).expect("a good configuration").plan;
        change(&mut plan);
        let plan = Arc::new(plan);
        let driver = Scripted::new(seed, faults);
        let reactor = Reactor::new(driver.clone(), 60, 4);
        let stats = Arc::new(Stats::new(&plan, 1));
        let upstreams = Rc::new(
            Upstreams::new(reactor.clone(), &complete(Site::plain(plan, 1, None)), 0).expect("plain addresses"),
        );
        reactor.spawn(upstreams.clone().tend());
        reactor.spawn(reactor.clone().tidy());
        let (log, lines) = log::channel(log::Level::Info);
        let cx = Rc::new(Context::new(reactor.clone(), upstreams, stats.clone(), 0, log));
        reactor.spawn(super::parking::tend(cx.clone()));
        (Self { driver, reactor, cx, stats }, lines)
    }

    /// A client connects.
    fn client(&self) -> Descriptor {
        let client = self.driver.world().open();
        self.reactor.spawn(serve(self.cx.clone(), client, 0));
        client
    }

    /// Turns until `done`, within a bound.
    fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..200_000 {
            if done(self) {
                return;
            }
            self.reactor.turn().expect("a scripted ring does not fail");
        }
        for (descriptor, end) in &self.driver.world().ends {
            println!("{descriptor}: {end:?}");
        }
        panic!("never: {what}; {:?}", self.reactor.gauges());
    }

    /// The next connection made to a backend.
    fn backend(&self) -> Descriptor {
        self.until("a connection to a backend", |house| !house.driver.world().connected.is_empty());
        Descriptor(self.driver.world().connected.pop_front().expect("just seen"))
    }

    fn sent(&self, to: Descriptor) -> Vec<u8> {
        self.driver.world().end(to).outbox.clone()
    }

    fn await_sent(&self, to: Descriptor, bytes: &[u8]) {
        let ends = |house: &Self| house.sent(to).ends_with(bytes);
        self.until(&format!("{:?} was sent", String::from_utf8_lossy(bytes)), ends);
    }

    /// One client says this and gets all of the answer, to the connection's end.
    fn told(&self, request: &str) -> String {
        let client = self.client();
        self.driver.world().feed(client, request.as_bytes());
        self.driver.world().fin(client);
        self.until("the connection's end", |house| house.driver.world().end(client).closed);
        String::from_utf8(self.sent(client)).expect("text")
    }

    /// Everything is idle, with `client` still connected.
    fn idle_but(&self, client: Descriptor, pooled: usize) {
        self.until("the client is idle", |house| {
            let gauges = house.reactor.gauges();
            let clients = gauges.tasks + house.cx.parking.len() - OWN_TASKS;
            (clients, gauges.buffers_small, gauges.sockets) == (1, 0, pooled + 1)
        });
        assert!(!self.driver.world().end(client).closed);
    }

    /// Nothing is left but the worker's own tasks, and pooled connections.
    fn idle(&self, pooled: usize) {
        self.until("everything is given back", |house| {
            let gauges = house.reactor.gauges();
            (gauges.tasks, gauges.op_slots, gauges.buffers_small, gauges.buffers_large) == (OWN_TASKS, 0, 0, 0)
                && gauges.sockets == pooled
        });
        assert_eq!(self.reactor.gauges().stale_completions, 0);
        let live = self.cx.live();
        assert_eq!(live.groups[0].group().in_flight(0) + live.groups[0].group().in_flight(1), 0);
    }
}

impl Drop for House {
    /// Tasks hold the reactor that holds them: as a worker does at its end.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            super::parking::close_all(&self.cx);
            self.cx.upstreams.close_idle();
            self.reactor.finish(1000).expect("a scripted ring does not fail");
            assert_eq!((self.reactor.gauges().tasks, self.reactor.gauges().sockets), (0, 0));
        }
    }
}

/// Without the interior of chunks: data only. Framing may be cut anywhere, data may not.
fn dechunk(mut raw: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let line = raw.windows(2).position(|w| w == b"\r\n").expect("a chunk-size line");
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap(), 16).unwrap();
        raw = &raw[line + 2..];
        if size == 0 {
            assert_eq!(raw, b"\r\n", "the body's end");
            return data;
        }
        data.extend_from_slice(&raw[..size]);
        assert_eq!(&raw[size..size + 2], b"\r\n");
        raw = &raw[size + 2..];
    }
}

fn split_head(message: &[u8]) -> (String, &[u8]) {
    let end = message.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8(message[..end].to_vec()).unwrap(), &message[end..])
}

/// One client, two requests in a row: a chunked upload answered in chunks, then a pipelined GET with a fixed length.
fn converse(house: &House) {
    let client = house.client();
    let body: Vec<u8> = (0..500u32).flat_map(|i| i.to_le_bytes()).collect();
    let (first_half, second_half) = body.split_at(900);
    let mut request = b"POST /up HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend(format!("{:x};ext=1\r\n", first_half.len()).bytes().chain(first_half.iter().copied()));
    house.driver.world().feed(client, &request);
    let backend = house.backend();
    let mut rest = format!("\r\n{:X}\r\n", second_half.len()).into_bytes();
    rest.extend(second_half.iter().copied().chain(*b"\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: a.example\r\n\r\n"));
    house.driver.world().feed(client, &rest);
    house.await_sent(backend, b"0\r\n\r\n");
    let sent = house.sent(backend);
    let (head, chunks) = split_head(&sent);
    assert!(head.starts_with("POST /up HTTP/1.1\r\nHost: a.example\r\n"), "{head}");
    assert!(
        head.contains("X-Forwarded-For: 192.0.2.1\r\n") && head.contains("Transfer-Encoding: chunked\r\n"),
        "{head}"
    );
    assert_eq!(dechunk(chunks), body);

    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    house.driver.world().feed(backend, answer);
    house.await_sent(client, b"0\r\n\r\n");
    let got = house.sent(client);
    let (head, chunks) = split_head(&got);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("Connection"), "{head}");
    assert_eq!(dechunk(chunks), b"hello world");

    // The next server gets the pipelined request; the first one's connection is pooled.
    let second = house.backend();
    house.await_sent(second, b"\r\n\r\n");
    assert!(house.sent(second).starts_with(b"GET /next HTTP/1.1\r\n"));
    house.driver.world().feed(second, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
    house.await_sent(client, b"\r\n\r\nnext");
    house.driver.world().fin(client);
    house.idle(2);
    assert!(house.driver.world().end(client).closed);
    assert!(!house.driver.world().end(client).resets);
}

#[test]
fn an_exchange_on_a_kind_kernel() {
    converse(&House::new(1, Faults::default()));
}

#[test]
fn an_exchange_on_an_awkward_kernel() {
    let seeds = if cfg!(miri) { 4 } else { 200 };
    for seed in 0..seeds {
        println!("seed {seed}");
        converse(&House::new(
            seed,
            Faults {
                read_most: [0, 1, 7, 100][(seed % 4) as usize],
                write_most: [0, 3, 50][(seed % 3) as usize],
                late_turns: [0, 2, 5, 20, 1][(seed % 5) as usize],
                recv_eagain: [0, 2, 3][(seed / 4 % 3) as usize],
                send_eagain: [0, 2, 5][(seed / 3 % 3) as usize],
                poll_ends: [0, 1, 2][(seed / 5 % 3) as usize],
                ..Faults::default()
            },
        ));
    }
}

/// Found by measuring bodies of 1 MiB: 51 connections to the backend for 16 clients. The kernel's news of bytes may come when they
/// were read already; that is no reason to give a pooled connection up.
#[test]
fn old_news_does_not_empty_the_pool() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    house.driver.world().feed(client, request);
    let backend = house.backend();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    house.driver.world().feed(backend, answer);
    house.idle_but(client, 1);
    let names = house.driver.world().pending();
    for user_data in names {
        house.driver.world().forge(Completion { user_data, result: i32::from(libc::POLLIN), more: true });
    }
    (0..20).for_each(|_| house.reactor.turn().expect("a scripted ring does not fail"));
    house.idle_but(client, 1);
    // The servers take turns: the next request goes to the other one, the one behind it to the first.
    house.driver.world().feed(client, request);
    let other = house.backend();
    house.driver.world().feed(other, answer);
    house.idle_but(client, 2);
    let before = house.sent(backend).len();
    house.driver.world().feed(client, request);
    house.until("the first connection is used again", |house| house.sent(backend).len() > before);
    house.driver.world().feed(backend, answer);
    house.idle_but(client, 2);
    house.driver.world().fin(client);
    house.idle(2);
}

#[test]
fn a_client_that_goes_away_ends_its_exchange() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    house.driver.world().break_off(client, libc::ECONNRESET);
    house.idle(0);
    assert!(house.driver.world().end(backend).closed, "the backend is not kept waiting");
    assert_eq!(house.stats.workers[0].errors[crate::proto::reason::Reason::ClientGone.index()].get(), 1);
}

#[test]
fn what_came_behind_a_streamed_body_is_the_next_requests_body_too() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    // The first body's last read takes large parts of what follows along: more than one buffer holds.
    let bodies = [1u8, 2].map(|n| (0..100_000u32).map(|i| (i * 7 + u32::from(n)) as u8).collect::<Vec<u8>>());
    let mut all =
        format!("POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", 100_000).into_bytes();
    all.extend(&bodies[0]);
    all.extend(b"\r\n0\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    all.extend(&bodies[1]);
    all.extend(b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    house.driver.world().feed(client, &all);
    let first = house.backend();
    house.await_sent(first, b"0\r\n\r\n");
    assert!(dechunk(split_head(&house.sent(first)).1) == bodies[0], "the first body");
    house.driver.world().feed(first, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    let second = house.backend();
    house.await_sent(second, &bodies[1][99_000..]);
    assert!(split_head(&house.sent(second)).1 == bodies[1], "the second body");
    let before = house.sent(first).len();
    house.driver.world().feed(second, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo");
    house.until("the third request", |house| house.sent(first)[before..].starts_with(b"GET /3 HTTP/1.1\r\n"));
    house.driver.world().feed(first, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree");
    house.await_sent(client, b"three");
    house.driver.world().fin(client);
    house.idle(2);
}

#[test]
fn a_long_upload_behind_a_100_is_given_its_time() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    let head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    house.driver.world().feed(client, head);
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    house.driver.world().feed(backend, b"HTTP/1.1 100 Continue\r\n\r\n");
    house.await_sent(client, b"HTTP/1.1 100 Continue\r\n\r\n");
    for digit in b'0'..=b'9' {
        // Each within client_body_timeout, all together far beyond proxy_read_timeout.
        house.driver.world().advance(20_000);
        house.driver.world().feed(client, &[digit]);
        house.await_sent(backend, &[digit]);
    }
    house.driver.world().feed(backend, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    house.await_sent(client, b"done");
    // A backend that said 100 and then nothing is not waited for without end.
    house.driver.world().feed(client, head);
    let backend = house.backend();
    house.driver.world().feed(backend, b"HTTP/1.1 100 Continue\r\n\r\n");
    house.driver.world().feed(client, b"0123456789");
    house.until("504", |house| String::from_utf8_lossy(&house.sent(client)).contains("HTTP/1.1 504 "));
    house.driver.world().fin(client);
    house.idle(1);
}

#[test]
fn a_client_that_goes_away_ends_the_connecting_too() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    house.driver.world().hold_connects = true;
    house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    house.until("it connects", |house| house.reactor.gauges().sockets == 2);
    house.driver.world().break_off(client, libc::ECONNRESET);
    house.idle(0);
    let errors = &house.stats.workers[0].errors;
    assert_eq!(errors[crate::proto::reason::Reason::ClientGone.index()].get(), 1);
    let live = house.cx.live();
    let server = &live.groups[0].group().entries()[0].member;
    assert_eq!(server.stats(0).connect_failures.get(), 0, "nobody knows how it would have ended");
}

#[test]
fn a_connection_counts_from_its_accept() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    assert_eq!(house.stats.workers[0].connections.get(), 1, "limits and the drain see it before its first turn");
    house.reactor.finish(100).unwrap();
    assert!(house.driver.world().end(client).closed, "also if it never had one");
    assert_eq!(house.stats.workers[0].connections.get(), 0);
}

#[test]
fn a_tunnel_does_not_wait_for_a_client_that_never_reads() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    let ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    house.driver.world().feed(client, ask);
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    let agreed = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    house.driver.world().feed(backend, agreed);
    house.await_sent(client, b"\r\n\r\n");
    house.driver.world().end(client).stalled = true;
    house.driver.world().feed(backend, b"for nobody");
    // It keeps the tunnel from ever being idle.
    for _ in 0..5 {
        house.driver.world().advance(20_000);
        house.driver.world().feed(client, b"x");
        house.until("the byte is read", |house| {
            let mut world = house.driver.world();
            world.end(client).inbox.is_empty() || world.end(client).closed
        });
        if house.driver.world().end(client).closed {
            break;
        }
    }
    house.idle(0);
    let errors = &house.stats.workers[0].errors;
    assert_eq!(errors[crate::proto::reason::Reason::ClientTimeout.index()].get(), 1);
}

#[test]
fn what_the_kernel_may_have_taken_is_not_sent_again() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    house.driver.world().hold_connects = true;
    house.driver.world().feed(client, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
    house.until("it connects", |house| house.reactor.gauges().sockets == 2);
    let backend = Descriptor(*house.driver.world().ends.keys().max().expect("just seen"));
    // The send stays in the kernel's hands: how much of it the backend has read, nobody knows.
    house.driver.world().end(backend).stalled = true;
    house.driver.world().let_connects_go();
    house.until("the request is sent", |house| house.driver.world().holds_sends());
    house.driver.world().fin(backend);
    house.until("502", |house| house.sent(client).starts_with(b"HTTP/1.1 502 "));
    assert!(house.driver.world().connected.len() == 1, "no second server gets it");
}

#[test]
fn an_answer_under_way_survives_a_request_cut_behind_it() {
    // Found by an adversary: the reset for the cut request threw away what the kernel still had of the answer before it.
    let house = House::new(1, Faults::default());
    let client = house.client();
    house.driver.world().feed(
        client,
        b"GET /big HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
    );
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    house.driver.world().end(client).stalled = true;
    let body = vec![b'x'; 10_000];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    house.driver.world().feed(backend, &[head.as_bytes(), &body].concat());
    house.driver.world().fin(client);
    house.until("the cut request is noticed", |house| {
        house.stats.workers[0].errors[crate::proto::reason::Reason::ClientGone.index()].get() == 1
    });
    house.driver.world().end(client).stalled = false;
    house.await_sent(client, &body);
    house.until("the end", |house| house.driver.world().end(client).closed);
    assert!(!house.driver.world().end(client).resets);
}

#[test]
fn endless_interim_answers_end() {
    let house = House::new(1, Faults::default());
    let client = house.client();
    house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let backend = house.backend();
    house.await_sent(backend, b"\r\n\r\n");
    house.driver.world().feed(backend, &b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000));
    house.until("502", |house| String::from_utf8_lossy(&house.sent(client)).contains("HTTP/1.1 502 "));
    let hints = String::from_utf8_lossy(&house.sent(client)).matches(" 103 ").count();
    assert_eq!(hints, crate::limits::INTERIM_MAX as usize);
}

#[test]
fn one_group_may_not_hold_all_exchanges() {
    let house = House::new(1, Faults::default());
    let text = "[[server]]\nlisten = \"127.0.0.1:8080\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\nlocation.\"/b\".proxy_pass = \"http://127.0.0.1:2\"";
    let plan = Arc::new(config::load_str("test.toml", text).expect("a good configuration").plan);
    let site = Site::plain(plan, 1, None);
    let upstreams = Rc::new(Upstreams::new(house.reactor.clone(), &site, 0).expect("plain addresses"));
    let live = upstreams.live();
    let pick = || match upstreams.pick(&live, 0, &Default::default(), Default::default()) {
        Pick::Server(picked) => picked,
        Pick::Busy | Pick::None => panic!("no server"),
    };
    let mut held: Vec<_> = (1..crate::limits::UPSTREAM_EXCHANGES_MAX).map(|_| pick()).collect();
    assert!(!upstreams.is_crowded(&live, 0));
    held.push(pick());
    assert!(upstreams.is_crowded(&live, 0) && !upstreams.is_crowded(&live, 1));
    held.pop();
    assert!(!upstreams.is_crowded(&live, 0));
}

/// A body large enough for splicing goes up in one chunk and comes down with a length, whatever the kernel does on the way; not a byte
/// of the next message goes with it.
#[test]
fn large_bodies_are_spliced_exactly_to_their_end() {
    let body: Vec<u8> = (0..crate::limits::SPLICE_MIN_DEFAULT as u32 + 5000).map(|i| ((i * 31) >> 3) as u8).collect();
    for seed in 0..if cfg!(miri) { 1 } else { 12 } {
        let faults = Faults {
            read_most: [0, 10_007, 70_000][(seed % 3) as usize],
            write_most: [0, 5003, 60_000][(seed / 3 % 3) as usize],
            late_turns: seed % 4,
            recv_eagain: [0, 3][(seed % 2) as usize],
            send_eagain: [0, 2, 5][(seed % 3) as usize],
            // Too small a pipe is not used.
            pipe_most: [0, 100_000, 4096][(seed / 2 % 3) as usize],
            ..Faults::default()
        };
        let small_pipes = faults.pipe_most == 4096;
        let house = House::new(seed, faults);
        let client = house.client();
        let mut request = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        request.extend(format!("{:x}\r\n", body.len()).bytes());
        house.driver.world().feed(client, &request);
        let backend = house.backend();
        let (first, rest) = body.split_at(100_000);
        house.driver.world().feed(client, first);
        house.await_sent(backend, &first[first.len() - 16..]);
        // A bug of the first version: a body that pauses kept its pipe.
        house.until("its pipe is given back", |house| house.reactor.gauges().pipes == 0);
        house.driver.world().feed(client, &[rest, b"\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        house.await_sent(backend, b"0\r\n\r\n");
        assert!(dechunk(split_head(&house.sent(backend)).1) == body, "seed {seed}");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        house.driver.world().feed(backend, head.as_bytes());
        house.driver.world().feed(backend, &body);
        let second = house.backend();
        house.await_sent(second, b"\r\n\r\n");
        assert!(house.sent(second).starts_with(b"GET /next "));
        house.driver.world().feed(second, b"HTTP/1.1 204 No Content\r\n\r\n");
        house.await_sent(client, b"204 No Content\r\n\r\n");
        let sent = house.sent(client);
        let (_, answers) = split_head(&sent);
        assert!(answers.starts_with(&body) && answers[body.len()..].starts_with(b"HTTP/1.1 204 "), "seed {seed}");
        house.driver.world().fin(client);
        house.idle(2);
        let (spliced, copied) = (&house.stats.workers[0].bytes_spliced, &house.stats.workers[0].bytes_copied);
        let unread = if small_pipes { copied } else { spliced };
        assert!(unread.get() >= body.len() as u64, "seed {seed}");
        assert_eq!(spliced.get() == 0, small_pipes, "seed {seed}");
        assert_eq!(house.reactor.gauges().pipes, 0);
        // A bug of the first version: idle pipes stayed open for ever.
        house.until("idle pipes are closed", |house| house.reactor.gauges().pipes_open == 0);
    }
}
