//! Backends close idle connections, and a POST may come at that very moment. It cannot be sent again; so it must not be sent on such
//! a connection at all.

use super::load::connect_from;
use super::process::{Process, times_got};
use super::support::{Place, Setup, wait_until};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const CLIENTS: u8 = 8;
/// Connections that each client lets the backend close before it counts.
const CLOSES: u64 = 2;

/// One client with a group of its own, so that it meets the connection that it left. What failed, in words.
fn posts(place: &Place, client: u8, pauses: impl Iterator<Item = Duration>, learned: &Barrier) -> Vec<String> {
    let mut connection = connect_from(client + 1, place).expect("ringgate accepts");
    // What the backend does not say can be seen only when it closes; twice at the same age is no accident.
    for round in 0..CLOSES {
        assert_eq!(connection.get(&format!("/{client}/seen{round}")).status(), 200);
        learned.wait();
        learned.wait();
    }
    let mut failures = Vec::new();
    for (i, pause) in pauses.enumerate() {
        let answer = connection.post(&format!("/{client}/{i}"), b"body");
        if answer.status() != 200 {
            failures.push(format!("/{client}/{i} before {pause:?}: {} {:?}", answer.start, answer.reason()));
        }
        std::thread::sleep(pause);
    }
    failures
}

/// POSTs with pauses around the age (ms) at which the backend closes: not one error, each executed once, and connections are used again
/// where that is safe.
#[track_caller]
fn no_post_fails(behaviour: &[&str], age: u64, spread: u64, rounds: u64) {
    let backend = Process::http("a");
    behaviour.iter().for_each(|line| backend.tell(line));
    let groups = (0..CLIENTS).map(|i| (format!("/{i}/"), format!("http://group{i}"))).collect::<Vec<_>>();
    let locations: Vec<_> = groups.iter().map(|(prefix, pass)| (&prefix[..], &pass[..], "")).collect();
    let setup = (0..CLIENTS).fold(Setup::new(), |setup, i| setup.upstream(&format!("group{i}"), &[&backend.place], ""));
    let ringgate = setup.server("127.0.0.1:0", "", &locations).start();
    let learned = Arc::new(Barrier::new(usize::from(CLIENTS) + 1));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (place, learned) = (ringgate.place().clone(), learned.clone());
            // Steps of a millisecond over the spread, another one for each client.
            let pause = move |i: u64| age - spread + (i * u64::from(CLIENTS) + u64::from(client)) % (2 * spread + 1);
            let pauses = (0..rounds).map(move |i| Duration::from_millis(pause(i)));
            std::thread::spawn(move || posts(&place, client, pauses, &learned))
        })
        .collect();
    for _ in 0..CLOSES {
        learned.wait();
        wait_until("the backend has closed what idled", || backend.report().open == 0);
        learned.wait();
    }
    let failures: Vec<String> = clients.into_iter().flat_map(|client| client.join().expect("answers came")).collect();
    assert!(failures.is_empty(), "{behaviour:?}: {failures:#?}\n{}", ringgate.log());
    let times = times_got(std::slice::from_ref(&backend));
    assert_eq!(times.len() as u64, u64::from(CLIENTS) * (rounds + CLOSES), "each came");
    assert!(times.values().all(|&times| times == 1), "{behaviour:?}: sent again: {times:?}");
    // Young connections are still reused.
    let mut client = ringgate.client();
    let before = backend.report().connections;
    (0..20).for_each(|_| assert_eq!(client.get("/0/young").status(), 200));
    assert!(backend.report().connections <= before + 2, "connections are not reused any more");
}

/// Row 9: "random 502 on POST when the proxy's idle timeout is longer than the backend's". The backend says nothing; it closes
/// at 300 ms of idleness, give or take what a busy event loop takes.
#[test]
fn row_09_no_stale_post_where_the_age_is_learned() {
    no_post_fails(&["idle 300", "lag 3"], 301, 20, 10);
}

/// It says `Keep-Alive: timeout=1`, and from then on leaves unread for 40 ms whatever comes: a connection used as long as it is
/// open would fail.
#[test]
fn row_09_no_stale_post_where_the_backend_says_its_timeout() {
    no_post_fails(&["hint 1", "idle 1000", "lag 40"], 1015, 30, 5);
}
