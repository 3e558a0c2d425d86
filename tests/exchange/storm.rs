//! Clients that do everything wrong at once: afterwards every counter is back where it was.

use super::support::{Backend, Client, End, Place, Ringgate, Setup, backend, wait_until};
use std::time::Duration;

/// What one client does; `step` makes it another each time.
fn misbehave(place: &Place, step: usize) {
    let Ok(mut client) = Client::try_connect(place) else { return };
    client.set_read_timeout(Duration::from_secs(5));
    let request = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
    match step % 14 {
        0 => drop(client),
        1 => client.reset(),
        2 => drop(client.try_send(b"GET / HT")),
        3 => {
            let _ = client.try_send(b"GET / HT");
            client.reset();
        }
        4 => {
            let _ = client.try_send(request("/").as_bytes());
            client.reset();
        }
        5 => {
            let _ = client.try_send(request("/large").as_bytes());
            let _ = client.reader.head();
            client.reset();
        }
        6 => {
            let _ = client.try_send(request("/slow").as_bytes());
        }
        7 => {
            let _ = client.try_send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nhello");
            client.reset();
        }
        8 => {
            let _ = client
                .try_send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
            assert_ne!(client.read_to_end().1, End::Open);
        }
        9 => {
            let _ = client.try_send(b"\0\0\0\0\r\n\r\n");
            assert_ne!(client.read_to_end().1, End::Open);
        }
        10 => {
            let _ = client.try_send(request("/die").as_bytes());
            let _ = client.try_response_to("GET");
        }
        11 => {
            let _ = client.try_send(request("/half").as_bytes());
            let _ = client.read_to_end();
        }
        12 => {
            let _ = client.try_send(request("/").repeat(100).as_bytes());
            client.reset();
        }
        _ => {
            let _ = client.try_send(
                request("/switch")
                    .replace("\r\n\r\n", "\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
                    .as_bytes(),
            );
            let _ = client.reader.head();
            let _ = client.try_send(b"tunnel");
            client.reset();
        }
    }
}

fn stormy_backend() -> Backend {
    Backend::script(|conn| {
        while let Some(request) = conn.request() {
            let sent = match request.target() {
                "/large" => {
                    conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n") && conn.send(vec![b'a'; 5_000_000])
                }
                "/slow" => {
                    std::thread::sleep(Duration::from_millis(30));
                    conn.send(backend::ok("slow"))
                }
                "/die" => return conn.reset(),
                "/half" => {
                    conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
                    return;
                }
                "/switch" => {
                    conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
                    return conn.drain();
                }
                _ => conn.send(backend::ok("hello")),
            };
            if !sent {
                return;
            }
        }
    })
}

/// Exchanges may end after their clients did; what they leave in the pool goes with its time.
fn before_stormy(backends: &[&Place]) -> Ringgate {
    let setup = Setup::new().upstream("backend", backends, "keepalive_timeout = \"1s\"");
    setup.server("127.0.0.1:0", "", &[("/", "http://backend", "")]).start()
}

fn storm(ringgate: &Ringgate, threads: usize, rounds: usize) {
    let clients: Vec<_> = (0..threads)
        .map(|thread| {
            let place = ringgate.place().clone();
            std::thread::spawn(move || (0..rounds).for_each(|round| misbehave(&place, thread * 5 + round)))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("each misbehaviour ends"));
}

#[test]
fn nothing_is_left_after_a_storm() {
    let backend = stormy_backend();
    let ringgate = before_stormy(&[backend.place()]);
    let start = ringgate.status();
    let descriptors = ringgate.descriptors();
    storm(&ringgate, 8, 28);
    // The first storm may leave pages and tables that later ones use again; the second may leave nothing.
    ringgate.expect_clean(&start);
    let resident = ringgate.resident();
    storm(&ringgate, 8, 70);
    ringgate.expect_clean(&start);
    wait_until("all descriptors are closed", || ringgate.descriptors() <= descriptors);
    let grown = ringgate.resident().saturating_sub(resident);
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes more after the second storm");
    assert_eq!(ringgate.client().get("/").text(), "hello");
    assert_eq!(ringgate.status().total("panics"), 0, "{}", ringgate.log());
}

/// A storm while one backend comes and goes: whatever happens, it ends.
#[test]
fn nothing_is_left_after_a_storm_with_a_dying_backend() {
    let steady = stormy_backend();
    let dying = stormy_backend();
    let ringgate = before_stormy(&[steady.place(), dying.place()]);
    let start = ringgate.status();
    let place = ringgate.place().clone();
    let clients: Vec<_> = (0..6)
        .map(|thread| {
            let place = place.clone();
            std::thread::spawn(move || (0..60).for_each(|round| misbehave(&place, thread * 3 + round)))
        })
        .collect();
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(20));
        dying.reset_all();
    }
    clients.into_iter().for_each(|client| client.join().expect("each misbehaviour ends"));
    ringgate.expect_clean(&start);
    assert_eq!(ringgate.status().total("panics"), 0, "{}", ringgate.log());
}

/// What `status` tells about exchanges of all kinds, added up exactly.
#[test]
fn the_counters_tell_what_happened() {
    let backends = [Backend::fixed("a"), Backend::fixed("b")];
    let ringgate = Setup::proxy(&[backends[0].place(), backends[1].place()]).start();
    let mut client = ringgate.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").status(), 200);
    }
    let mut other = ringgate.client();
    other.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(other.response().reason(), Some("bad_host"));
    other.expect_fin();
    drop((client, other));
    wait_until("the connections are gone", || ringgate.status().total("connections") == 0);
    let status = ringgate.status();
    assert_eq!((status.total("connections_total"), status.errors("bad_host")), (2, 1), "{}", status.text());
    assert_eq!(status.total("connections_refused"), 0, "{}", status.text());
    let listener = &status.0["listeners"][0];
    assert_eq!((listener["connections"].as_u64(), listener["connections_total"].as_u64()), (Some(0), Some(2)));
    assert_eq!(listener["address"].as_str(), Some(&ringgate.url()[..]));
    let servers: Vec<_> = status.servers().collect();
    for server in &servers {
        assert_eq!(server["requests"].as_u64(), Some(5), "{}", status.text());
        assert_eq!(server["connects"].as_u64(), Some(1), "one client has one worker and one pool: {}", status.text());
        assert_eq!(server["reused"].as_u64(), Some(4), "{}", status.text());
        assert_eq!(server["failures"].as_u64(), Some(0), "{}", status.text());
    }
    let received: u64 = servers.iter().filter_map(|server| server["bytes_out"].as_u64()).sum();
    assert_eq!(received, backends.iter().map(Backend::received_length).sum::<u64>(), "{}", status.text());
}

/// A client that gives up is not its server's failure.
#[test]
fn a_client_that_gives_up_is_not_counted_against_the_server() {
    let backend = Backend::script(|conn| {
        if conn.request().is_some() {
            conn.drain();
        }
    });
    let ringgate = Setup::proxy(&[backend.place()]).start();
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    wait_until("the request at the backend", || backend.requests() == 1);
    client.reset();
    wait_until("client_gone counted once", || ringgate.status().errors("client_gone") == 1);
    let status = ringgate.status();
    assert!(status.servers().all(|server| server["failures"].as_u64() == Some(0)), "{}", status.text());
}
