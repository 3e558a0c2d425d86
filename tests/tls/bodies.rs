//! Bodies and tunnels over TLS: byte for byte, in any framing, at any pace.

use super::support::payload::{Payload, Sum};
use super::support::peers::{self, Body, Frames, Pace};
use super::support::tls::{Wish, server_config};
use super::support::{Backend, Client, End, Setup, wait_until};
use super::{SITE, Site, expect_sound, folder_with, mirror, offering};
use std::io::Write;
use std::sync::Arc;

/// Around a record's 16 KiB, across buffers, and long.
const LENGTHS: [u64; 9] = [0, 1, 16_383, 16_384, 16_385, 65_536, 300_001, 5_000_000, 60_000_000];

const ROOM: &str = "client_max_body_size = \"2g\"";

/// One site before a plain and a TLS backend, and clients of each version.
#[test]
fn bodies_arrive_whole_both_ways() {
    let plain = peers::backend();
    let site = Site::start(plain.place(), "", ROOM);
    let before = site.ringgate.status();
    for version in rustls::ALL_VERSIONS {
        let config = Arc::new(Wish { versions: &[version], ..Wish::default() }.config());
        let mut client = Client::secure(site.ringgate.place(), &config, SITE);
        exchange_all(&mut client, || Client::secure(site.ringgate.place(), &config, SITE));
    }
    plain.close_all();
    site.ringgate.expect_clean(&before);
    expect_sound(&site.ringgate);
    assert_eq!(site.ringgate.status().total("bytes_spliced"), 0, "what is encrypted cannot be spliced");
}

#[test]
fn bodies_arrive_whole_through_two_legs_of_tls() {
    through_two_legs(ROOM);
}

#[test]
fn bodies_that_are_held_arrive_whole_through_two_legs_of_tls() {
    through_two_legs(&format!("{ROOM}\nproxy_request_buffering = \"on\""));
}

#[track_caller]
fn through_two_legs(top: &str) {
    let authority = super::Authority::new("backends");
    let backend = Backend::secure(server_config(&authority.server(&["app.test"]).identity, None), peers::script);
    let pair = super::Authority::new("root").server(&[SITE]);
    let folder = folder_with(&[("site", &pair)]);
    super::write(folder.path(), "backends.pem", &authority.pem());
    let lines = "proxy_ssl_trusted_certificate = \"{dir}/backends.pem\"\nproxy_ssl_name = \"app.test\"\n";
    let ringgate = Setup::new()
        .top(top)
        .upstream("app", &[backend.place()], "")
        .server(super::LISTEN, &(offering(&["site"]) + lines), &[("/", "https://app", "")])
        .server("127.0.0.2:0", lines, &[("/", "https://app", "")])
        .start_in(folder);
    let before = ringgate.status();
    let config = Arc::new(Wish::default().config());
    let secure = || Client::secure(&ringgate.places()[0], &config, SITE);
    exchange_all(&mut secure(), secure);
    let plain = || Client::connect(&ringgate.places()[1]);
    exchange_all(&mut plain(), plain);
    backend.close_all();
    ringgate.expect_clean(&before);
    expect_sound(&ringgate);
}

/// Every length and framing, on one connection as long as it lasts.
#[track_caller]
fn exchange_all(client: &mut Client, anew: impl Fn() -> Client) {
    for (i, length) in LENGTHS.into_iter().enumerate() {
        for frames in [Frames::Length, Frames::Chunked, Frames::Large] {
            let body = Body::new(i as u64, length, frames);
            peers::upload(client, body, Pace::Fast);
            peers::download(client, body, Pace::Fast);
            if !peers::echoed(client, body, Pace::Fast) {
                *client = anew();
            }
        }
        // The end of the backend's connection is the end of the body, and known to be.
        let mut other = anew();
        let body = Body::new(i as u64, length, Frames::Close);
        other.send(format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", body.target()));
        let mut sum = Sum::default();
        let head = other.head();
        let framing = head.response_framing("GET").expect("a framing");
        other.body(framing, &mut |piece| sum.add(piece)).unwrap_or_else(|e| panic!("{body:?}: {e}"));
        assert_eq!((sum.length, sum.hex()), (length, body.sha256()), "{body:?}");
    }
}

#[test]
fn slow_sides_lose_nothing_and_cost_no_memory() {
    let backend = peers::backend();
    let site = Site::start(backend.place(), "", ROOM);
    let place = site.ringgate.place();
    let config = site.config();
    std::thread::scope(|scope| {
        for (sender, reader) in [(Pace::Slow, Pace::Fast), (Pace::Fast, Pace::Slow)] {
            for length in [1_000_000, 30_000_000] {
                let config = &config;
                scope.spawn(move || {
                    let body = Body { seed: length, length, frames: Frames::Chunked, pace: sender };
                    let mut client = Client::secure(place, config, SITE);
                    peers::upload(&mut client, body, reader);
                    peers::download(&mut client, body, reader);
                });
            }
        }
    });
    let peak = site.ringgate.resident_peak();
    assert!(peak < 96 * 1024 * 1024, "{peak} bytes resident");
    expect_sound(&site.ringgate);
}

#[test]
fn requests_may_come_many_at_once_and_in_any_pieces() {
    let backend = mirror();
    let site = Site::start(backend.place(), "", "");
    let mut client = site.client();
    let request = |i: usize| match i % 2 {
        0 => format!("GET /{i} HTTP/1.1\r\nHost: site.test\r\n\r\n"),
        _ => format!(
            "POST /{i} HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
        ),
    };
    let expected = |i: usize| if i.is_multiple_of(2) { format!("GET /{i} 0") } else { format!("POST /{i} 5") };
    // All in one write, which is one record or a few.
    client.send((0..200).map(request).collect::<String>());
    for i in 0..200 {
        assert_eq!(client.response().text().lines().next(), Some(&expected(i)[..]));
    }
    // Every byte in a record of its own.
    for i in 0..4 {
        request(i).bytes().for_each(|byte| client.send([byte]));
        assert_eq!(client.response().text().lines().next(), Some(&expected(i)[..]));
    }
    // And what comes together with the last flight of the handshake: see `hostile`, too.
    assert_eq!(client.tls().version(), "TLSv1_3");
    client.tls().update_keys().expect("TLS 1.3 has it");
    assert_eq!(client.get("/after").text().lines().next(), Some("GET /after 0"));
    expect_sound(&site.ringgate);
}

/// A client that has said all it wants to say still gets its answer; then both say goodbye.
#[test]
fn the_end_of_a_clients_words_is_no_end_of_ours() {
    let backend = Backend::answer(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200)); // the end is to come first
        super::backend::ok("late")
    });
    let site = Site::start(backend.place(), "", "");
    let before = site.ringgate.status();
    for version in rustls::ALL_VERSIONS {
        let config = Arc::new(Wish { versions: &[version], ..Wish::default() }.config());
        let mut client = Client::secure(site.ringgate.place(), &config, SITE);
        client.send("GET / HTTP/1.1\r\nHost: site.test\r\n\r\n");
        client.finish();
        assert_eq!(client.response().text(), "late", "{version:?}");
        client.expect_fin();
    }
    backend.close_all();
    site.ringgate.expect_clean(&before);
}

/// WebSocket and the like: both directions at once, and each side may end its own.
#[test]
fn tunnels_carry_bytes_both_ways() {
    let backend = Backend::script(|conn| {
        let Some(head) = conn.head() else { return };
        assert_eq!(head.field("Upgrade"), Some("websocket"));
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
        loop {
            match conn.some() {
                bytes if bytes.is_empty() => break,
                bytes => assert!(conn.send(bytes), "the client reads"),
            }
        }
        conn.send("the last words");
    });
    let site = Site::start(backend.place(), "", "");
    let before = site.ringgate.status();
    const LENGTH: u64 = 20_000_000;
    for version in rustls::ALL_VERSIONS {
        let config = Arc::new(Wish { versions: &[version], ..Wish::default() }.config());
        let mut client = Client::secure(site.ringgate.place(), &config, SITE);
        client.send("GET /chat HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
        assert_eq!(client.head().status(), 101);
        assert_eq!(client.read_exactly(10), b"helloearly");
        let mut out = client.writer();
        let writing = std::thread::spawn(move || {
            std::io::copy(&mut Payload::new(7, LENGTH), &mut out).expect("it takes all");
            out.shutdown(std::net::Shutdown::Write).expect("close_notify");
        });
        let mut sum = Sum::default();
        client.reader.exactly(LENGTH, &mut |piece| sum.add(piece)).expect("all comes back");
        assert_eq!(sum.hex(), Payload::sha256(7, LENGTH), "{version:?}");
        writing.join().expect("no panic");
        assert_eq!(client.read_to_end(), (b"the last words".to_vec(), End::Fin), "{version:?}");
    }
    site.ringgate.expect_clean(&before);
    expect_sound(&site.ringgate);
}

/// Connections that are kept are reused by clients and towards the backend, and parked ones wake up.
#[test]
fn kept_connections_serve_again_after_a_rest() {
    let backend = mirror();
    let site = Site::start(backend.place(), "", "");
    let mut clients: Vec<Client> = (0..8).map(|_| site.client()).collect();
    for rest in [0, 1200, 2500] {
        std::thread::sleep(std::time::Duration::from_millis(rest)); // idle connections are put away after a second
        for client in &mut clients {
            assert_eq!(client.get("/").status(), 200, "after {rest} ms");
        }
    }
    // A key update and a half record wake it, too, without a request.
    for client in &mut clients {
        client.tls().update_keys().expect("TLS 1.3");
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(site.ringgate.status().total("connections"), 8);
    clients.iter_mut().for_each(|client| {
        client.writer().flush().expect("nothing is left");
        client.finish();
        client.expect_closed();
    });
    wait_until("all are gone", || site.ringgate.status().total("connections") == 0);
}
