//! Balancing over 1 to 64 cores in virtual time: do equal servers stay equally loaded, and does no herd form on a stale minimum?
//!
//! Eight servers, the last ten times slower. Each core keeps 32 requests going: one that ends is followed by the next. A core
//! works in turns, and sees the other cores' requests as they were when its turn began. Turns take a millisecond, a tenth of a
//! request, more or less. Or, as the worst case, the turns of all cores begin at the same instant and all their picks are made
//! at once, so that no core sees any of what the others do in the meantime. Everything follows from the seed.

use ringgate::balance::{Group, Picker, Tried};
use ringgate::config::plan::Balance;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

const CORES: [usize; 6] = [1, 2, 4, 8, 16, 64];
const SERVERS: usize = 8;
const SLOW: usize = SERVERS - 1;
/// Requests that each core has under way.
const REQUESTS: usize = 32;
/// Microseconds.
const TURN: u64 = 1_000;
const SERVICE: u64 = 10_000;
/// Turns until all is in its stride, and turns measured.
const WARM_UP: u64 = 500;
const MEASURED: u64 = 1_000;

/// The balancer under test: all that the simulation knows of it.
struct Balancer {
    group: Arc<Group>,
    pickers: Vec<Picker>,
    all: Tried,
}

impl Balancer {
    fn new(balance: Balance, cores: usize, seed: u64) -> Balancer {
        let group = Arc::new(Group::plain(balance, &[1; SERVERS], cores));
        let pickers = (0..cores).map(|core| Picker::new(group.clone(), core, seed)).collect();
        let mut all = Tried::new();
        (0..SERVERS).for_each(|server| all.insert(server));
        Balancer { group, pickers, all }
    }

    /// A core's turn begins.
    fn begin_turn(&mut self, core: usize) {
        self.pickers[core].new_turn();
    }

    /// The core reads the others' requests now: a pick that may have nobody.
    fn look(&mut self, core: usize, now_ms: u64) {
        assert_eq!(self.pickers[core].pick(&self.all, 0, now_ms), None);
    }

    /// A request begins.
    fn begin(&mut self, core: usize, now_ms: u64) -> usize {
        let server = self.pickers[core].pick(&Tried::new(), 0, now_ms).expect("none was tried");
        self.pickers[core].begin(server);
        server
    }

    /// It ended.
    fn end(&mut self, core: usize, server: usize) {
        self.pickers[core].end(server);
    }

    fn in_flight(&self) -> [u32; SERVERS] {
        std::array::from_fn(|server| self.group.in_flight(server))
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What was seen, over all turns measured.
#[derive(Debug, PartialEq)]
struct Seen {
    /// Requests at one of the equal servers, in the mean.
    mean: f64,
    /// The fullest of the equal servers over their mean at that moment: on average, and the worst.
    ratio: f64,
    worst: f64,
    /// How many more requests the fullest of them had than the emptiest: the worst.
    spread: u32,
    /// Part of all requests that were at the slow server.
    slow: f64,
}

/// What happens to a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// It begins a turn.
    Turn,
    /// A request of it ends, at the server.
    End(usize),
    /// One of its first requests begins.
    Begin,
}

fn run(balance: Balance, cores: usize, in_step: bool, seed: u64) -> Seen {
    let reads = balance == Balance::LeastConn;
    let mut balancer = Balancer::new(balance, cores, seed);
    let mut random = Random(seed);
    // When, what, to which core. Of the same instant: turns first, then ends.
    let mut events = BinaryHeap::new();
    for core in 0..cores {
        events.push(Reverse((if in_step { 0 } else { random.next() % TURN }, Event::Turn, core)));
        for n in 0..REQUESTS as u64 {
            events.push(Reverse((in_turn(n * SERVICE / REQUESTS as u64, in_step), Event::Begin, core)));
        }
    }
    let mut turns = vec![0; cores];
    let mut seen = Seen { mean: 0.0, ratio: 0.0, worst: 0.0, spread: 0, slow: 0.0 };
    let mut measured = 0;
    while let Some(Reverse((now, event, core))) = events.pop() {
        // Measured in the middle of turns.
        while now > measured * TURN + TURN / 2 {
            measured += 1;
            if measured > WARM_UP {
                seen.note(&balancer.in_flight());
            }
        }
        if measured == WARM_UP + MEASURED {
            break;
        }
        match event {
            Event::Turn => {
                turns[core] += 1;
                balancer.begin_turn(core);
                if reads {
                    balancer.look(core, turns[core]);
                }
                let length = if in_step { TURN } else { TURN / 2 + random.next() % TURN };
                events.push(Reverse((now + length, Event::Turn, core)));
                continue;
            }
            Event::End(server) => balancer.end(core, server),
            Event::Begin => {}
        }
        let server = balancer.begin(core, turns[core]);
        // Half to one and a half times the usual length.
        let usual = if server == SLOW { 10 * SERVICE } else { SERVICE };
        let end = in_turn(now + usual / 2 + random.next() % usual, in_step);
        events.push(Reverse((end, Event::End(server), core)));
    }
    for part in [&mut seen.mean, &mut seen.ratio, &mut seen.slow] {
        *part /= MEASURED as f64;
    }
    seen
}

/// The instant at which a core notices: its turn's begin where turns are in step.
fn in_turn(at: u64, in_step: bool) -> u64 {
    if in_step { at.next_multiple_of(TURN) } else { at }
}

impl Seen {
    fn note(&mut self, in_flight: &[u32; SERVERS]) {
        let equal = &in_flight[..SLOW];
        let (least, most) = (*equal.iter().min().unwrap(), *equal.iter().max().unwrap());
        let mean = f64::from(equal.iter().sum::<u32>()) / SLOW as f64;
        let ratio = f64::from(most) / mean;
        self.mean += mean;
        self.ratio += ratio;
        self.worst = self.worst.max(ratio);
        self.spread = self.spread.max(most - least);
        self.slow += f64::from(in_flight[SLOW]) / f64::from(in_flight.iter().sum::<u32>());
    }
}

/// One row for each number of cores; printed for people (`--nocapture`).
fn table(balance: Balance, in_step: bool) -> Vec<(usize, Seen)> {
    let turns = if in_step { "in step" } else { "spread" };
    println!("{}, turns {turns}:", balance.word());
    println!("cores  mean in flight  fullest/mean  worst  spread  at the slow one");
    let row = |cores| {
        let seen = run(balance.clone(), cores, in_step, 1);
        println!(
            "{cores:5}  {:14.1}  {:12.3}  {:5.2}  {:6}  {:13.1} %",
            seen.mean,
            seen.ratio,
            seen.worst,
            seen.spread,
            100.0 * seen.slow
        );
        (cores, seen)
    };
    CORES.into_iter().map(row).collect()
}

#[test]
fn least_conn_keeps_equal_servers_equal_on_all_cores() {
    for (in_step, ratio, worst) in [(false, 1.10, 1.28), (true, 1.16, 1.28)] {
        for (cores, seen) in table(Balance::LeastConn, in_step) {
            assert!(seen.ratio < ratio && seen.worst < worst, "{cores} cores, in step {in_step}: {seen:?}");
            // One eighth of the requests: the slow server has no more under way than each of the others.
            assert!((0.115..0.15).contains(&seen.slow), "{cores} cores, in step {in_step}: {seen:?}");
        }
    }
}

/// So the figures above say something.
#[test]
fn round_robin_lets_the_slow_server_hold_most() {
    for in_step in [false, true] {
        for (cores, seen) in table(Balance::RoundRobin, in_step) {
            assert!(seen.slow > 0.5, "{cores} cores, in step {in_step}: {seen:?}");
        }
    }
}

#[test]
fn a_seed_repeats() {
    assert_eq!(run(Balance::LeastConn, 8, false, 7), run(Balance::LeastConn, 8, false, 7));
    assert_ne!(run(Balance::LeastConn, 8, false, 7), run(Balance::LeastConn, 8, false, 8));
}
