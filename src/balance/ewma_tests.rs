use super::super::hash::mix;
use super::super::random_two::Weighted;
use super::*;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A server that is known to answer within so many microseconds, at time 0.
fn known(microseconds: u64) -> Latency {
    let latency = Latency::new();
    (0..LATENCY_WARM_UP).for_each(|_| latency.observe(0, microseconds));
    latency
}

fn value(latency: &Latency) -> f64 {
    latency.read().value
}

#[test]
fn slower_answers_count_at_once_and_faster_ones_in_time() {
    let latency = known(1000);
    assert_eq!(value(&latency), 1000.0);
    latency.observe(1, 2000);
    assert_eq!(value(&latency), 2000.0);
    // Within the same millisecond nothing comes down.
    latency.observe(1, 1000);
    assert_eq!(value(&latency), 2000.0);
    // After one time constant 1/e of the distance is left, whether in one step or in ten thousand.
    let steps = known(1000);
    steps.observe(0, 2000);
    (1..=LATENCY_TIME).for_each(|ms| steps.observe(ms, 1000));
    latency.observe(1 + LATENCY_TIME, 1000);
    for left in [value(&latency), value(&steps)] {
        assert!((left - (1000.0 + 1000.0 / std::f64::consts::E)).abs() < 0.01, "{left}");
    }
    // One answer raises it to a bounded multiple; a server that is really slow gets there with the next ones.
    let latency = known(1000);
    for (answer, wanted) in [2000.0, 4000.0, 8000.0, 10_000.0, 10_000.0].into_iter().enumerate() {
        latency.observe(answer as u64, 10_000);
        assert_eq!(value(&latency), wanted);
    }
    // From nothing measurable, too.
    let latency = known(0);
    (0..20).for_each(|_| latency.observe(0, 100));
    assert_eq!(value(&latency), 100.0);
}

#[test]
fn of_the_first_answers_the_fastest_counts() {
    let latency = Latency::new();
    for (sample, wanted) in [(50_000, 50_000.0), (1000, 1000.0), (90_000, 1000.0)] {
        latency.observe(0, sample);
        assert_eq!(value(&latency), wanted);
    }
    for _ in 3..LATENCY_WARM_UP {
        assert!(!latency.read().is_known(0));
        latency.observe(0, 1900);
    }
    assert!(latency.read().is_known(0) && value(&latency) == 1000.0);
    latency.observe(0, 1900);
    assert_eq!(value(&latency), 1900.0);
}

#[test]
fn scores() {
    let never = || Latency::new();
    let once = || {
        let latency = Latency::new();
        latency.observe(0, 500);
        latency
    };
    let time = LATENCY_TIME;
    let e = std::f64::consts::E;
    let rows = [
        // Known: response time times what it would have.
        (known(1000), 0, 0, 1000),
        (known(1000), 0, 1, 2000),
        (known(1000), 0, 9, 10_000),
        // Silence while idle makes it better, in the end as good as unknown.
        (known(1000), time, 0, (1000.0 / e) as u64),
        (known(1000), 4 * time, 0, 0),
        // Silence with requests under way makes it as slow as the silence is long.
        (known(1000), 1, 1, 2000),
        (known(1000), 50, 1, 100_000),
        (known(1000), 50, 3, 200_000),
        // Unknown: the first choice while idle, the last with a request, then by requests.
        (never(), 0, 0, 0),
        (never(), 9 * time, 0, 0),
        (never(), 7, 1, 2 * 4 * time * 1000),
        (never(), 7, 2, 3 * 4 * time * 1000),
        (once(), 10, 0, 0),
        (once(), 10, 1, 20_000),
    ];
    for (row, (latency, now_ms, in_flight, wanted)) in rows.into_iter().enumerate() {
        assert_eq!(latency.score(now_ms, in_flight, 0), wanted, "row {row}");
    }
    // The blur is a factor from one to two.
    assert_eq!(known(1000).score(0, 0, 1 << 63), 1500);
    assert!((1998..=2000).contains(&known(1000).score(0, 0, u64::MAX)));
    // Nothing overflows, and a clock of another worker may be behind.
    let slow = known(u64::MAX);
    assert_eq!(slow.score(u64::MAX, u32::MAX, u64::MAX), u64::MAX);
    let latency = known(10);
    latency.observe(500, 10);
    assert_eq!(latency.score(499, 0, 0), 10);
    assert_eq!((latency.read().microseconds(499), never().read().microseconds(0)), (Some(10), None));
}

#[test]
fn readings_join_into_one() {
    let cell = |heard_ms, microseconds| {
        let latency = Latency::new();
        (0..LATENCY_WARM_UP).for_each(|_| latency.observe(heard_ms, microseconds));
        latency.read()
    };
    let none = Latency::new().read();
    let rows: [(&[Reading], Option<u64>, u64); 6] = [
        (&[], None, 0),
        (&[none, none], None, 0),
        (&[none, cell(5, 100), none], Some(100), 5),
        (&[cell(5, 100), cell(5, 300)], Some(200), 5),
        // Who heard a time constant ago counts half, in any order.
        (&[cell(0, 100), cell(LATENCY_TIME, 400)], Some(300), LATENCY_TIME),
        (&[cell(LATENCY_TIME, 400), cell(0, 100)], Some(300), LATENCY_TIME),
    ];
    for (row, (cells, wanted, heard_ms)) in rows.into_iter().enumerate() {
        let joined = Reading::joined(cells.iter().copied());
        assert_eq!((joined.microseconds(heard_ms), joined.heard_ms), (wanted, heard_ms), "row {row}");
    }
    // One answer to each of several workers is enough to know a server.
    let once = Latency::new();
    once.observe(0, 100);
    let workers = LATENCY_WARM_UP as usize;
    assert!(Reading::joined(vec![once.read(); workers]).is_known(0));
    assert!(!Reading::joined(vec![once.read(); workers - 1]).is_known(0));
}

// ---- With random_two, in virtual time ----------------------------------------------------------------------------------

/// How much longer than usual the n-th answer of a server takes; `noise` is from 0 to 1.
type Factor = fn(server: usize, nth: u32, noise: f64) -> f64;

struct Run {
    /// The usual response time of each server, microseconds.
    usual: Vec<u64>,
    /// Requests that are always under way.
    concurrency: u32,
    /// Microseconds between an answer and the next request.
    think: u64,
    requests: usize,
    factor: Factor,
}

impl Run {
    /// Requests that each server got.
    fn shares(&self, seed: u64) -> Vec<u32> {
        let servers = self.usual.len();
        let weighted = Weighted::new(&vec![1; servers]);
        let latencies: Vec<Latency> = (0..servers).map(|_| Latency::new()).collect();
        let in_flight: Vec<Cell<u32>> = vec![Cell::new(0); servers];
        let mut counts = vec![0; servers];
        let mut state = mix(seed + 1);
        let mut random = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        };
        // What ends next: when, in which order, at whom (if anybody) and how long it took, in microseconds.
        let mut events = BinaryHeap::new();
        (0..self.concurrency).for_each(|n| events.push(Reverse((u64::from(n) * 10, n, None))));
        let mut order = self.concurrency;
        for _ in 0..2 * self.requests {
            let Reverse((now, _, ended)) = events.pop().unwrap();
            order += 1;
            if let Some((server, took)) = ended {
                let server: usize = server;
                in_flight[server].set(in_flight[server].get() - 1);
                latencies[server].observe(now / 1000, took);
                events.push(Reverse((now + self.think, order, None)));
                continue;
            }
            let blur = random();
            let score =
                |server: usize| latencies[server].score(now / 1000, in_flight[server].get(), mix(blur ^ server as u64));
            let server = weighted.pick(&mut random, |_| true, score).unwrap();
            counts[server] += 1;
            in_flight[server].set(in_flight[server].get() + 1);
            let noise = (random() >> 11) as f64 / (1u64 << 53) as f64;
            let took = (self.usual[server] as f64 * (self.factor)(server, counts[server], noise)) as u64;
            events.push(Reverse((now + took, order, Some((server, took)))));
        }
        counts
    }

    /// The least and the largest share over many seeds, each a part of the mean.
    fn extremes(&self, of: impl Fn(usize) -> bool) -> (f64, f64) {
        let (mut least, mut most) = (f64::MAX, 0f64);
        for seed in 0..30 {
            let shares = self.shares(seed);
            let mean = f64::from(shares.iter().sum::<u32>()) / shares.len() as f64;
            for (_, &share) in shares.iter().enumerate().filter(|(server, _)| of(*server)) {
                (least, most) = (least.min(f64::from(share) / mean), most.max(f64::from(share) / mean));
            }
        }
        println!("{} at a time, think {}: {least:.2} to {most:.2}", self.concurrency, self.think);
        (least, most)
    }
}

/// Answers of one to two times the usual.
fn noisy(_: usize, _: u32, noise: f64) -> f64 {
    1.0 + noise
}

/// What Traefik's #12306 is about: 1,500 requests, five equal servers, from a cold start.
#[test]
fn equal_servers_get_equal_shares_from_a_cold_start() {
    let factors: [(&str, Factor); 4] = [
        ("alike", |_, _, _| 1.0),
        ("noisy", noisy),
        ("one begins with a slow answer", |s, nth, n| if s == 2 && nth == 1 { 50.0 } else { noisy(s, nth, n) }),
        ("all begin slowly", |s, nth, n| if nth <= 2 { 30.0 * (n + 0.1) } else { noisy(s, nth, n) }),
    ];
    for (name, factor) in factors {
        for (concurrency, think) in [(1, 0), (1, 10_000), (5, 2000), (50, 0), (200, 0)] {
            let run = Run { usual: vec![5000; 5], concurrency, think, requests: 1500, factor };
            let (least, most) = run.extremes(|_| true);
            assert!(least > 0.6 && most < 1.5, "{name}, {concurrency} at a time: {least:.2} to {most:.2}");
        }
    }
}

#[test]
fn a_server_ten_times_slower_gets_clearly_less_but_is_asked() {
    for (concurrency, think, most_allowed) in [(1, 0, 0.1), (5, 2000, 0.2), (50, 0, 0.35), (200, 0, 0.35)] {
        let usual = vec![5000, 5000, 50_000, 5000, 5000];
        let run = Run { usual, concurrency, think, requests: 5000, factor: noisy };
        let (least, most) = run.extremes(|server| server == 2);
        assert!(least > 0.0 && most < most_allowed, "{concurrency} at a time: {least:.2} to {most:.2}");
    }
}

/// A hiccup of an otherwise equal server (a collection of garbage) costs it some seconds of traffic, not its place.
#[test]
fn one_hiccup_is_forgiven() {
    let factor = |s, nth, n| if s == 2 && nth == 100 { 100.0 } else { noisy(s, nth, n) };
    for (concurrency, requests) in [(1, 8000), (20, 100_000)] {
        let run = Run { usual: vec![5000; 5], concurrency, think: 0, requests, factor };
        let (least, _) = run.extremes(|server| server == 2);
        assert!(least > 0.6, "{concurrency} at a time: {least:.2}");
    }
}

/// A server that takes requests and says nothing gets a handful, not a share.
#[test]
fn a_server_that_hangs_is_not_flooded() {
    let at_once: Factor = |s, nth, n| if s == 2 { 1e6 } else { noisy(s, nth, n) };
    let later: Factor = |s, nth, n| if s == 2 && nth > 200 { 1e6 } else { noisy(s, nth, n) };
    for (factor, before) in [(at_once, 0), (later, 200)] {
        let run = Run { usual: vec![5000; 5], concurrency: 50, think: 0, requests: 20_000, factor };
        for seed in 0..10 {
            let hung = run.shares(seed)[2] - before;
            assert!((1..30).contains(&hung), "seed {seed}: {hung} requests hang");
        }
    }
}
