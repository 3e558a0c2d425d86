//! Who gets how much, seen from outside: with any number of workers, under load, and when a backend comes or goes.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use support::load::{Load, tally};
use support::{Backend, Client, Place, Ringgate, Setup, backend, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// What curl needs to start: a shell loop does not ask any faster, and turns are strict for people, not for load.
const CURL_STARTS: Duration = Duration::from_millis(4);

/// One GET on a connection of its own, as curl makes it.
#[track_caller]
fn ask(ringgate: &Ringgate) -> String {
    std::thread::sleep(CURL_STARTS);
    let mut client = ringgate.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status(), 200, "{:?}", answer.reason());
    answer.text()
}

fn counts(answers: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    answers.iter().for_each(|answer| *counts.entry(&answer[..]).or_default() += 1);
    counts
}

fn three() -> [Backend; 3] {
    ["a", "b", "c"].map(Backend::fixed)
}

fn before(backends: &[Backend], workers: usize, lines: &str) -> Ringgate {
    let places: Vec<&Place> = backends.iter().map(Backend::place).collect();
    let setup = Setup::new().workers(workers).upstream("backend", &places, lines);
    setup.server("127.0.0.1:0", "", &[("/", "http://backend", "")]).start()
}

/// A person with curl must see strict turns, whichever worker the kernel gives each connection to.
#[test]
fn a_person_with_curl_sees_strict_turns() {
    for workers in [1, 2, 4] {
        let backends = three();
        let ringgate = before(&backends, workers, "");
        let answers: Vec<String> = (0..30).map(|_| ask(&ringgate)).collect();
        for (i, answer) in answers.iter().enumerate().skip(3) {
            assert_eq!(*answer, answers[i - 3], "{workers} workers: {answers:?}");
        }
        assert_eq!(counts(&answers[..3]).len(), 3, "{workers} workers: {answers:?}");
    }
}

/// The same on one kept connection.
#[test]
fn requests_on_one_connection_take_turns_too() {
    let backends = three();
    let ringgate = before(&backends, 2, "");
    let mut client = ringgate.client();
    let answers: Vec<String> = (0..30).map(|_| client.get("/").text()).collect();
    assert_eq!(counts(&answers), BTreeMap::from([("a", 10), ("b", 10), ("c", 10)]));
}

#[test]
fn weights_are_kept_and_spread_smoothly() {
    let backends = three();
    let list = format!(
        "{{ address = \"{}\", weight = 5 }}, {{ address = \"{}\", weight = 1 }}, \"{}\"",
        backends[0].place(),
        backends[1].place(),
        backends[2].place()
    );
    for workers in [1, 2, 4] {
        let setup = Setup::new().workers(workers).upstream_list("backend", &list, "");
        let ringgate = setup.server("127.0.0.1:0", "", &[("/", "http://backend", "")]).start();
        let answers: Vec<String> = (0..28).map(|_| ask(&ringgate)).collect();
        assert_eq!(counts(&answers), BTreeMap::from([("a", 20), ("b", 4), ("c", 4)]), "{workers} workers: {answers:?}");
        // Smooth: the heavy one never has all its turns in a row (two cycles may meet in it: a a b a c a a, a a b ...).
        let longest = answers.chunk_by(|x, y| x == y).map(<[String]>::len).max().unwrap_or(0);
        assert!(longest <= 4, "{workers} workers: {answers:?}");
    }
}

#[test]
fn equal_servers_get_equal_shares_under_load() {
    for workers in [1, 2, 4] {
        let backends = three();
        let ringgate = before(&backends, workers, "");
        let load = Load::start(ringgate.place(), 16, "GET", GET);
        load.expect_more(3000);
        let outcomes = load.stop();
        let (bodies, failures) = tally(&outcomes);
        assert!(failures.is_empty(), "{workers} workers: {failures:?}");
        let total: usize = bodies.values().sum();
        for (name, count) in &bodies {
            // Tickets of one cycle: only what lies in unused blocks can be missing.
            let share = total / 3;
            assert!(count.abs_diff(share) <= share / 10, "{workers} workers: {name} of {bodies:?}");
        }
        assert_eq!(bodies.len(), 3, "{workers} workers: {bodies:?}");
    }
}

/// A server that is slow has more in flight, and so gets less.
#[test]
fn least_conn_gives_less_to_the_slow_one() {
    for workers in [1, 2] {
        let slow = Backend::answer(|_| {
            std::thread::sleep(Duration::from_millis(50));
            backend::ok("slow")
        });
        let quick = |name: &'static str| {
            Backend::answer(move |_| {
                std::thread::sleep(Duration::from_millis(2));
                backend::ok(name)
            })
        };
        let backends = [slow, quick("b"), quick("c")];
        let ringgate = before(&backends, workers, "balance = \"least_conn\"");
        let load = Load::start(ringgate.place(), 12, "GET", GET);
        load.expect_more(1500);
        let outcomes = load.stop();
        let (bodies, failures) = tally(&outcomes);
        assert!(failures.is_empty(), "{workers} workers: {failures:?}");
        let slow = bodies.get("slow").copied().unwrap_or(0);
        let total: usize = bodies.values().sum();
        assert!(slow > 0, "{workers} workers: {bodies:?}");
        // Round robin would give it a third.
        assert!(slow < total / 6, "{workers} workers: {bodies:?}");
    }
}

/// Holds every request until told to let one go.
#[derive(Default)]
struct Gate {
    /// Requests held, those to be let go, and whether all may go.
    state: Mutex<(usize, usize, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("nobody panicked");
        state.0 += 1;
        let mut state =
            self.changed.wait_while(state, |(_, free, open)| *free == 0 && !*open).expect("nobody panicked");
        state.0 -= 1;
        state.1 = state.1.saturating_sub(1);
    }

    fn let_go(&self, count: usize, open: bool) {
        let mut state = self.state.lock().expect("nobody panicked");
        state.1 += count;
        state.2 |= open;
        self.changed.notify_all();
    }

    /// Requests that stay.
    fn held(&self) -> usize {
        let state = self.state.lock().expect("nobody panicked");
        state.0.saturating_sub(state.1)
    }
}

/// Whenever all requests have found their server, equal servers hold equally many, within two, over all workers: whatever order
/// they came in, and whichever server just answered many at once.
#[test]
fn least_conn_keeps_equal_servers_within_two() {
    const CLIENTS: usize = 40;
    for workers in [2, 4] {
        let gates: [Arc<Gate>; 3] = Default::default();
        let held = || gates.each_ref().map(|gate| gate.held());
        let backends = gates.clone().map(|gate| {
            Backend::answer(move |_| {
                gate.pass();
                backend::ok("held")
            })
        });
        let ringgate = before(&backends, workers, "balance = \"least_conn\"");
        let load = Load::start(ringgate.place(), CLIENTS, "GET", GET);
        let mut random = 1u64;
        for round in 0..150 {
            wait_until("all are held again", || held().iter().sum::<usize>() == CLIENTS);
            let (now, most, least) = (held(), held().into_iter().max(), held().into_iter().min());
            assert!(most.unwrap() - least.unwrap() <= 2, "{workers} workers, round {round}: {now:?}");
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (server, count) = ((random >> 33) as usize % 3, 1 + (random >> 40) as usize % 8);
            gates[server].let_go(count, false);
        }
        gates.iter().for_each(|gate| gate.let_go(0, true));
        let (_, failures) = tally(&load.stop());
        assert!(failures.is_empty(), "{failures:?}");
    }
}

/// With nothing in flight all are equal: then least_conn takes turns too, rather than always asking the first.
#[test]
fn least_conn_spreads_what_comes_one_by_one() {
    let backends = three();
    let ringgate = before(&backends, 1, "balance = \"least_conn\"");
    let answers: Vec<String> = (0..30).map(|_| ask(&ringgate)).collect();
    for (name, count) in counts(&answers) {
        assert!((5..=15).contains(&count), "{name}: {answers:?}");
    }
}

/// One of two dies under load: where a retry is safe, nobody notices.
#[test]
fn a_killed_backend_costs_no_error_where_a_retry_is_safe() {
    for balance in ["round_robin", "least_conn"] {
        let steady = Backend::fixed("steady");
        let dying = Backend::fixed("dying");
        let setup =
            Setup::new().upstream("backend", &[steady.place(), dying.place()], &format!("balance = \"{balance}\""));
        let ringgate = setup.server("127.0.0.1:0", "", &[("/", "http://backend", "")]).start();
        let start = ringgate.status();
        let load = Load::start(ringgate.place(), 16, "GET", GET);
        load.expect_more(1000);
        let place = dying.kill();
        load.expect_more(2000);
        let reborn = Backend::answer_on(&place, |_| backend::ok("reborn"));
        load.expect_more(2000);
        wait_until("the reborn backend is used", || reborn.requests() > 0);
        let outcomes = load.stop();
        let (bodies, failures) = tally(&outcomes);
        assert!(failures.is_empty(), "{balance}: {} failures, first {:?}", failures.len(), failures.first());
        for name in ["steady", "dying", "reborn"] {
            assert!(bodies.contains_key(name), "{balance}: {bodies:?}");
        }
        steady.close_all();
        reborn.close_all();
        ringgate.expect_clean(&start);
    }
}

/// Connections may break under load while the backend lives on: the same promise, and more often.
#[test]
fn broken_connections_cost_no_error_where_a_retry_is_safe() {
    let backends = [Backend::fixed("a"), Backend::fixed("b")];
    let ringgate = before(&backends, 2, "");
    let load = Load::start(ringgate.place(), 12, "GET", GET);
    for round in 0..20 {
        load.expect_more(100);
        // Never both at once: one retry must find a server that lives.
        if round % 2 == 0 { backends[0].close_all() } else { backends[1].reset_all() }
    }
    let outcomes = load.stop();
    let (_, failures) = tally(&outcomes);
    assert!(failures.is_empty(), "{} failures, first {:?}", failures.len(), failures.first());
}

/// POST is not sent twice: some may fail, but each was seen by the backends at most once, and none is lost in silence.
#[test]
fn a_killed_backend_never_gets_a_post_twice() {
    let seen: Arc<std::sync::Mutex<BTreeMap<String, usize>>> = Arc::default();
    let recorder = |seen: &Arc<std::sync::Mutex<BTreeMap<String, usize>>>| {
        let seen = seen.clone();
        move |request: &support::Message| {
            *seen.lock().expect("no panic here").entry(request.target().to_owned()).or_default() += 1;
            backend::ok(request.target())
        }
    };
    let steady = Backend::answer(recorder(&seen));
    let dying = Backend::answer(recorder(&seen));
    let ringgate = Setup::proxy(&[steady.place(), dying.place()]).start();
    let place = ringgate.place().clone();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|thread| {
            let (place, stop) = (place.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut statuses = Vec::new();
                let mut client = Client::connect(&place);
                while !stop.load(SeqCst) {
                    let target = format!("/{thread}/{}", statuses.len());
                    let answer = client.post(&target, b"body");
                    if answer.connection_has("close") {
                        client = Client::connect(&place);
                    }
                    assert!(answer.status() == 502 || answer.text() == target, "{target}: {}", answer.text());
                    statuses.push((target, answer.status()));
                }
                statuses
            })
        })
        .collect();
    wait_until("load", || steady.requests() > 200);
    dying.kill();
    let so_far = steady.requests();
    wait_until("load on the one that is left", || steady.requests() > so_far + 500);
    stop.store(true, SeqCst);
    let statuses: Vec<_> = clients.into_iter().flat_map(|client| client.join().expect("no client failed")).collect();
    let seen = seen.lock().expect("no panic here");
    for (target, status) in &statuses {
        let times = seen.get(target).copied().unwrap_or(0);
        assert!(times <= 1, "{target} was sent {times} times");
        assert!(*status == 200 && times == 1 || *status == 502, "{target}: {status}, seen {times} times");
    }
    let failed = statuses.iter().filter(|(_, status)| *status == 502).count();
    assert!(failed <= 8, "at most what was in flight at the dying one: {failed}");
}
