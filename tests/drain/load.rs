//! The signal under load, again and again: it is a race that is hunted here.

use super::logged::{self, Logged, Manner};
use super::support::{PATIENCE, wait_until};
use super::{backend, start};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Rounds of each kind: more where time is no matter.
fn rounds() -> usize {
    if std::env::var("CI").as_deref() == Ok("true") { 10 } else { 4 }
}

const MANNERS: [Manner; 6] = [
    Manner { per_connection: usize::MAX, think: 0, work: 0 },
    Manner { per_connection: usize::MAX, think: 20, work: 3 },
    Manner { per_connection: usize::MAX, think: 300, work: 30 },
    Manner { per_connection: 1, think: 0, work: 0 },
    Manner { per_connection: 1, think: 100, work: 10 },
    Manner { per_connection: 3, think: 3, work: 100 },
];
const CLIENTS_EACH: usize = 4;

/// One round: load, the signal, the end. Returns the log and when the signal was sent.
fn round(workers: usize, signal: &str, number: u64) -> (Vec<Logged>, Instant) {
    let backend = backend();
    let mut ringgate = start(&backend, workers, "20s");
    let connected = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..MANNERS.len() * CLIENTS_EACH)
        .map(|client| {
            let (place, connected) = (ringgate.place().clone(), connected.clone());
            std::thread::spawn(move || {
                connected.fetch_add(1, SeqCst);
                let seed = number * 1000 + client as u64 + 1;
                logged::run(&place, MANNERS[client % MANNERS.len()], seed, PATIENCE)
            })
        })
        .collect();
    wait_until("all clients run", || connected.load(SeqCst) == clients.len());
    std::thread::sleep(Duration::from_millis(150 + 37 * number % 100));
    let signalled = Instant::now();
    ringgate.signal(signal);
    let status = ringgate.wait_exit(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", ringgate.log());
    assert!(signalled.elapsed() < Duration::from_secs(10), "{:?}\n{}", signalled.elapsed(), ringgate.log());
    let log = clients.into_iter().flat_map(|client| client.join().expect("a client only logs")).collect();
    (log, signalled)
}

fn hunt(workers: usize, signal: &str, rounds: usize) {
    let mut after = 0;
    for number in 0..rounds {
        let (log, signalled) = round(workers, signal, number as u64);
        let lost = logged::unanswered(&log);
        assert!(
            lost.is_empty(),
            "round {number}: {} of {} requests unanswered; the signal came at {signalled:?}\n{lost:#?}",
            lost.len(),
            log.len()
        );
        let unsent = logged::unsent(&log);
        assert!(unsent.is_empty(), "round {number}: connections ended without a word\n{unsent:#?}");
        assert!(log.len() > 200, "only {} requests: no load", log.len());
        after += log.iter().filter(|logged| logged.sent.is_some_and(|sent| sent > signalled)).count();
        assert!(log.iter().any(|logged| logged.close), "round {number}: nobody was told to close");
    }
    assert!(after >= rounds, "only {after} requests after the signal: the drain was not seen under load");
}

#[test]
fn no_request_is_lost_on_sigterm_with_one_worker() {
    hunt(1, "TERM", rounds());
}

#[test]
fn no_request_is_lost_on_sigterm_with_two_workers() {
    hunt(2, "TERM", rounds());
}

#[test]
fn no_request_is_lost_on_sigint() {
    hunt(2, "INT", rounds().div_ceil(4));
}
