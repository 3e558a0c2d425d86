use super::*;
use crate::limits;
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

/// A small generator (xorshift64*), so that a failure names its seed and repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % bound
    }
}

fn pickers(balance: Balance, weights: &[u32], workers: usize) -> Vec<Picker> {
    let group = Arc::new(Group::plain(balance.clone(), weights, workers));
    (0..workers).map(|worker| Picker::new(group.clone(), worker, 7)).collect()
}

fn round_robin(weights: &[u32], workers: usize) -> Vec<Picker> {
    pickers(Balance::RoundRobin, weights, workers)
}

fn draws(picker: &Picker) -> u64 {
    picker.group.ticket().draws.load(Relaxed)
}

fn tried(servers: &[usize]) -> Tried {
    let mut tried = Tried::new();
    servers.iter().for_each(|&s| tried.insert(s));
    tried
}

fn pick(picker: &mut Picker, now_ms: u64) -> usize {
    picker.pick(&Tried::new(), 0, now_ms).expect("nothing was tried")
}

// ---- round robin --------------------------------------------------------------------------------------------------------

#[test]
fn the_order_is_nginx_smooth_order() {
    let table: &[(&[u32], &str)] = &[
        (&[5, 1, 1], "aabacaa"),
        (&[1, 1], "ab"),
        (&[1, 1, 1], "abc"),
        (&[2, 1], "aba"),
        (&[4, 2], "aba"),
        (&[3, 3, 3], "abc"),
        (&[4, 3, 2], "abcabacba"),
        (&[1000, 1000], "ab"),
        (&[7], "a"),
    ];
    for (weights, order) in table {
        let cycle = round_robin::cycle(weights);
        let letters: String = cycle.iter().map(|&server| char::from(b'a' + server as u8)).collect();
        assert_eq!(&letters, order, "{weights:?}");
        // A quiet worker walks it again and again.
        let mut picker = round_robin(weights, 1).remove(0);
        let walked: String =
            (0..3 * order.len()).map(|i| char::from(b'a' + pick(&mut picker, 100 * i as u64) as u8)).collect();
        assert_eq!(walked, order.repeat(3));
    }
}

#[test]
fn a_cycle_serves_each_server_by_its_weight_and_never_in_long_runs() {
    for seed in 1..200 {
        let mut random = Random(seed);
        let weights: Vec<u32> = (0..1 + random.below(12)).map(|_| 1 + random.below(40) as u32).collect();
        let cycle = round_robin::cycle(&weights);
        let sum: u32 = weights.iter().sum();
        assert_eq!(sum as usize % cycle.len(), 0, "seed {seed}");
        let repeats = sum / cycle.len() as u32;
        // In every prefix each server has its share, to within the number of servers.
        let mut counts = vec![0u32; weights.len()];
        for (i, &server) in cycle.iter().enumerate() {
            counts[usize::from(server)] += 1;
            for (server, &count) in counts.iter().enumerate() {
                let share = (i + 1) as f64 * f64::from(weights[server]) / f64::from(sum);
                assert!((f64::from(count) - share).abs() < weights.len() as f64, "seed {seed}: {weights:?} at {i}");
            }
        }
        assert!(counts.iter().zip(&weights).all(|(c, w)| c * repeats == *w), "seed {seed}");
    }
}

#[test]
fn a_cycle_that_would_be_too_long_is_scaled_and_leaves_nobody_out() {
    let weights: Vec<u32> = (0..300).map(|i| if i == 0 { 1 } else { 701 + i }).collect();
    let cycle = round_robin::cycle(&weights);
    assert!(cycle.len() <= limits::CYCLE_MAX && cycle.len() > limits::CYCLE_MAX / 2);
    assert_eq!(cycle.iter().collect::<HashSet<_>>().len(), weights.len());
    let heaviest = cycle.iter().filter(|&&server| server == 299).count() as f64;
    let middle = cycle.iter().filter(|&&server| server == 100).count() as f64;
    assert!((heaviest / middle - 1000.0 / 801.0).abs() < 0.02);
}

#[test]
fn a_person_sees_strict_alternation_whatever_worker_answers() {
    // Every 20 ms, every 10, every 2: from one sequential client whose connections land anywhere.
    for gap in [20, 10, 2] {
        for seed in 1..50 {
            let mut random = Random(seed);
            let mut workers = round_robin(&[1, 1, 1], 4);
            for i in 0..500 {
                let worker = random.below(4) as usize;
                assert_eq!(pick(&mut workers[worker], i * gap), i as usize % 3, "gap {gap}, seed {seed}, pick {i}");
            }
        }
    }
}

#[test]
fn after_a_burst_a_person_sees_strict_alternation_again() {
    for seed in 1..100 {
        let mut random = Random(seed);
        let mut workers = round_robin(&[1, 1], 3);
        let mut now = 0;
        for _ in 0..random.below(1000) {
            let worker = random.below(3) as usize;
            pick(&mut workers[worker], now);
            now += u64::from(random.below(10) == 0);
        }
        // At most one pick of each worker, while it lays down its block, is out of step: with the tickets that come back.
        now += limits::TICKETS_EXPIRE;
        for worker in &mut workers {
            pick(worker, now);
            now += 2;
        }
        let first = pick(&mut workers[0], now);
        for i in 1..100 {
            now += 2;
            let worker = random.below(3) as usize;
            assert_eq!(pick(&mut workers[worker], now), (first + i) % 2, "seed {seed}");
        }
    }
}

#[test]
fn a_busy_worker_draws_blocks() {
    let mut worker = round_robin(&[1, 1, 1], 1).remove(0);
    let picks = 100_000;
    for i in 0..picks {
        // 50 a millisecond; the order stays that of the cycle.
        assert_eq!(pick(&mut worker, i / 50), i as usize % 3);
    }
    let expected = 8 + 6 + picks / limits::TICKETS_MAX;
    assert!(draws(&worker) <= expected, "{} draws for {picks} picks", draws(&worker));
}

#[test]
fn a_quiet_worker_draws_one_by_one() {
    let mut worker = round_robin(&[1, 1, 1], 1).remove(0);
    // Eight picks fit into ten milliseconds only if they come faster than every 1.25 ms.
    (0..1000).for_each(|i| assert!(pick(&mut worker, i * 2) < 3));
    assert_eq!(draws(&worker), 1000);
}

#[test]
fn shares_under_load_are_exact_but_for_one_block_per_worker() {
    for seed in 1..30 {
        let mut random = Random(seed);
        let count = 1 + random.below(8) as usize;
        let weights: Vec<u32> = (0..2 + random.below(4)).map(|_| 1 + random.below(5) as u32).collect();
        let sum: u32 = weights.iter().sum();
        let mut workers = round_robin(&weights, count);
        let mut served = vec![0u64; weights.len()];
        let picks = 20_000;
        for i in 0..picks {
            let worker = random.below(count as u64) as usize;
            served[pick(&mut workers[worker], i / 100)] += 1;
        }
        let tolerance = (count as u64 * limits::TICKETS_MAX) as f64;
        for (server, &served) in served.iter().enumerate() {
            let share = picks as f64 * f64::from(weights[server]) / f64::from(sum);
            assert!((served as f64 - share).abs() <= tolerance, "seed {seed}: {weights:?} got {served}, share {share}");
        }
        assert!(draws(&workers[0]) < picks / 20, "seed {seed}: {} draws", draws(&workers[0]));
    }
}

#[test]
fn blocks_leave_each_workers_own_order_smooth() {
    let mut workers = round_robin(&[1, 1], 2);
    let mut last = [None; 2];
    let mut repeats = 0;
    for i in 0..10_000u64 {
        let worker = (i % 2) as usize;
        let server = pick(&mut workers[worker], i / 100);
        repeats += u64::from(last[worker] == Some(server));
        last[worker] = Some(server);
    }
    // Two workers taking turns with single tickets would each always get the same server.
    assert!(repeats <= 16, "{repeats}");
}

#[test]
fn an_unused_block_expires_and_goes_back_when_nobody_drew_since() {
    let mut workers = round_robin(&[1, 1, 1, 1, 1], 2);
    let mut next = 0;
    for _ in 0..1000 {
        assert_eq!(pick(&mut workers[0], 5), next % 5);
        next += 1;
    }
    // Alone, its tickets come back and the sequence has no gap.
    assert_eq!(pick(&mut workers[0], 5 + limits::TICKETS_EXPIRE), next % 5);
    for _ in 0..1000 {
        pick(&mut workers[0], 100);
    }
    // Somebody drew since: thrown away; what follows is the next of the shared sequence for both.
    let other = pick(&mut workers[1], 105);
    assert_eq!(pick(&mut workers[0], 110), (other + 1) % 5);
    assert_eq!(pick(&mut workers[1], 120), (other + 2) % 5);
}

#[test]
fn bursts_that_leave_blocks_behind_favour_nobody() {
    // Nine picks at once, every 10 ms: each burst draws a block of two and uses half of it.
    let mut worker = round_robin(&[1, 1], 1).remove(0);
    let mut served = [0; 2];
    for burst in 0..1000 {
        (0..9).for_each(|_| served[pick(&mut worker, burst * 10)] += 1);
    }
    assert_eq!(served, [4500, 4500]);
}

#[test]
fn a_tried_server_passes_its_turn_on() {
    let mut worker = round_robin(&[1, 1, 1], 1).remove(0);
    let mut served = [0u64; 3];
    for i in 0..3000u64 {
        let mut tried = Tried::new();
        let mut server = worker.pick(&tried, 0, i * 20).unwrap();
        if server == 0 {
            tried.insert(0);
            server = worker.pick(&tried, 0, i * 20).unwrap();
            assert_ne!(server, 0);
        }
        served[server] += 1;
    }
    // The dead server's share is spread over both others, not given to its neighbour.
    assert_eq!(served, [0, 1500, 1500]);
}

#[test]
fn a_dead_heavy_server_leaves_the_light_one() {
    let mut worker = round_robin(&[1000, 1], 1).remove(0);
    (0..2000).for_each(|i| assert_eq!(worker.pick(&tried(&[0]), 0, i), Some(1)));
    assert_eq!(worker.pick(&tried(&[0, 0, 1]), 0, 0), None);
}

// ---- both ---------------------------------------------------------------------------------------------------------------

#[test]
fn all_tried_is_none_and_one_left_is_found() {
    for balance in [Balance::RoundRobin, Balance::LeastConn] {
        for servers in [1, 2, 3, 64, 65, 200] {
            let mut worker = pickers(balance.clone(), &vec![1; servers], 2).remove(1);
            for now_ms in [0, 0, 0, 50, 100] {
                let all: Vec<_> = (0..servers).collect();
                assert_eq!(worker.pick(&tried(&all), 0, now_ms), None, "{balance:?}, {servers}");
                let left = servers / 2;
                let others: Vec<_> = all.into_iter().filter(|&s| s != left).collect();
                assert_eq!(worker.pick(&tried(&others), 0, now_ms), Some(left), "{balance:?}, {servers}");
            }
        }
        assert_eq!(pickers(balance.clone(), &[], 1)[0].pick(&Tried::new(), 0, 0), None);
    }
}

#[test]
fn what_is_picked_was_never_tried() {
    for balance in [Balance::RoundRobin, Balance::LeastConn] {
        for seed in 1..100 {
            let mut random = Random(seed);
            let weights: Vec<u32> = (0..1 + random.below(90)).map(|_| 1 + random.below(9) as u32).collect();
            let mut worker = pickers(balance.clone(), &weights, 3).remove(2);
            let (mut tries, mut order) = (Tried::new(), HashSet::new());
            let mut now = 0;
            while let Some(server) = worker.pick(&tries, 0, now) {
                assert!(server < weights.len() && order.insert(server), "seed {seed}: {server} twice");
                tries.insert(server);
                now += random.below(3);
            }
            assert_eq!(order.len(), weights.len(), "seed {seed}");
        }
    }
}

#[test]
fn absurd_weights_are_clamped() {
    let group = Group::plain(Balance::RoundRobin, &[0, u32::MAX], 1);
    assert_eq!((group.entries()[0].weight(), group.entries()[1].weight()), (1, limits::WEIGHT_MAX));
}

#[test]
fn groups_and_pickers_may_move_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Group>();
    check::<Picker>();
}

// ---- least_conn ---------------------------------------------------------------------------------------------------------

#[test]
fn least_conn_looks_at_all_workers() {
    let mut workers = pickers(Balance::LeastConn, &[1, 1, 1], 3);
    workers[0].begin(0);
    workers[1].begin(1);
    for worker in &mut workers {
        worker.new_turn();
        assert_eq!(pick(worker, 0), 2);
    }
    workers[2].begin(2);
    workers[0].end(0);
    for worker in &mut workers {
        worker.new_turn();
        assert_eq!(pick(worker, 0), 0);
    }
    assert_eq!((0..3).map(|s| workers[0].group.in_flight(s)).collect::<Vec<_>>(), [0, 1, 1]);
}

#[test]
fn a_few_workers_see_each_other_at_every_pick() {
    let mut workers = pickers(Balance::LeastConn, &[1, 1], limits::LEAST_CONN_FRESH_MAX as usize);
    for begun in 0..20 {
        let server = pick(&mut workers[begun % 3], 0);
        workers[begun % 3].begin(server);
        assert_eq!(workers[0].group.in_flight(server), begun as u32 / 2 + 1, "one after the other");
    }
}

#[test]
fn many_workers_read_each_other_once_a_turn_and_themselves_always() {
    let mut workers = pickers(Balance::LeastConn, &[1, 1], limits::LEAST_CONN_FRESH_MAX as usize + 1);
    let first = pick(&mut workers[0], 0);
    workers[0].begin(first);
    assert_eq!(pick(&mut workers[0], 0), 1 - first, "its own are seen at once");
    workers[1].begin(1 - first);
    workers[1].begin(1 - first);
    assert_eq!(pick(&mut workers[0], 0), 1 - first, "the others' only in the next turn");
    workers[0].new_turn();
    assert_eq!(pick(&mut workers[0], 0), first);
    workers[1].begin(first);
    workers[1].begin(first);
    assert_eq!(pick(&mut workers[0], 1), 1 - first, "or in the next millisecond");
}

#[test]
fn least_conn_weighs() {
    let table: &[(&[u32], &[u32], usize)] = &[
        (&[1, 1], &[1, 0], 1),
        (&[2, 1], &[1, 0], 1),
        (&[2, 1], &[1, 1], 0),
        (&[2, 1], &[2, 1], 0), // 2 / 2 = 1 / 1: a tie, broken by the rotation that begins with the heaviest
        (&[3, 1], &[2, 1], 0),
        (&[3, 1], &[4, 1], 1),
        (&[1000, 1], &[999, 1], 0),
        (&[1000, 1], &[1001, 1], 1),
        (&[1, 2, 3], &[0, 1, 3], 0),
        (&[1, 2, 3], &[4, 4, 4], 2),
    ];
    for (weights, in_flight, expected) in table {
        let mut worker = Picker::new(Arc::new(Group::plain(Balance::LeastConn, weights, 1)), 0, 0);
        for (server, &count) in in_flight.iter().enumerate() {
            (0..count).for_each(|_| worker.begin(server));
        }
        assert_eq!(pick(&mut worker, 0), *expected, "{weights:?} with {in_flight:?}");
    }
}

#[test]
fn least_conn_fills_servers_in_proportion_to_their_weights() {
    for seed in 1..50 {
        let mut random = Random(seed);
        let weights: Vec<u32> = (0..2 + random.below(6)).map(|_| 1 + random.below(9) as u32).collect();
        let sum: u32 = weights.iter().sum();
        let mut workers = pickers(Balance::LeastConn, &weights, 4);
        for _ in 0..sum * 10 {
            let worker = &mut workers[random.below(4) as usize];
            worker.new_turn();
            let server = pick(worker, 0);
            worker.begin(server);
        }
        let in_flight: Vec<_> = (0..weights.len()).map(|s| workers[0].group.in_flight(s)).collect();
        let expected: Vec<_> = weights.iter().map(|w| w * 10).collect();
        assert_eq!(in_flight, expected, "seed {seed}");
    }
}

#[test]
fn ties_do_not_herd() {
    // All workers pick in the same instant, before any of them can see what the others chose.
    for (servers, count) in [(2, 2), (4, 4), (4, 8), (8, 4)] {
        let mut workers = pickers(Balance::LeastConn, &vec![1; servers], count);
        for turn in 0..20 {
            let mut chosen = vec![0usize; servers];
            workers.iter_mut().for_each(Picker::new_turn);
            let picks: Vec<_> = workers.iter_mut().map(|worker| pick(worker, turn)).collect();
            picks.iter().for_each(|&server| chosen[server] += 1);
            let even = count.div_ceil(servers);
            assert!(chosen.iter().all(|&c| c <= even), "{count} workers on {servers} servers: {chosen:?}");
        }
    }
}

#[test]
fn one_quiet_worker_rotates_over_idle_servers() {
    let mut worker = pickers(Balance::LeastConn, &[1, 1, 1], 1).remove(0);
    let first = pick(&mut worker, 0);
    (1..30).for_each(|i| assert_eq!(pick(&mut worker, i as u64), (first + i) % 3));
}

#[test]
fn idle_servers_are_asked_in_proportion_to_their_weights() {
    // Found by reading: (in flight + 1) / weight sent every request of an idle group to the heaviest server.
    let mut worker = pickers(Balance::LeastConn, &[3, 1], 1).remove(0);
    let order: Vec<_> = (0..40).map(|i| pick(&mut worker, i)).collect();
    assert!(order.chunks(4).all(|four| four.iter().sum::<usize>() == 1), "{order:?}");
}

#[test]
fn workers_that_fill_and_empty_equal_servers_keep_them_within_two() {
    // Each worker picks a batch per turn without seeing the others' batches; requests end in any order.
    for seed in 1..40 {
        let mut random = Random(seed);
        let (servers, count) = (2 + random.below(5) as usize, 2 + random.below(3) as usize);
        let mut workers = pickers(Balance::LeastConn, &vec![1; servers], count);
        let mut running: Vec<(usize, usize)> = Vec::new();
        for turn in 0..400 {
            // A closed loop: what ends is followed by as many new requests, one at a worker.
            let ended = random.below(3).min(running.len() as u64);
            for _ in 0..ended {
                let (worker, server) = running.swap_remove(random.below(running.len() as u64) as usize);
                workers[worker].end(server);
            }
            for _ in 0..if turn < 20 { 2 } else { ended } {
                let worker = random.below(count as u64) as usize;
                workers[worker].new_turn();
                let server = pick(&mut workers[worker], turn);
                workers[worker].begin(server);
                running.push((worker, server));
            }
            let counts: Vec<_> = (0..servers).map(|s| workers[0].group.in_flight(s)).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 2, "seed {seed}, turn {turn}: {counts:?}");
        }
    }
}

#[test]
fn a_slow_server_gets_less() {
    // Each request takes 1 step on servers 0 and 1 and 10 on server 2; one arrives at each step, two workers in turn.
    let mut workers = pickers(Balance::LeastConn, &[1, 1, 1], 2);
    let mut ends: Vec<(u64, usize, usize)> = Vec::new();
    let mut served = [0u64; 3];
    for now in 0..10_000u64 {
        ends.retain(|&(at, worker, server)| {
            let over = at <= now;
            if over {
                workers[worker].end(server);
            }
            !over
        });
        let worker = (now % 2) as usize;
        let server = pick(&mut workers[worker], now);
        workers[worker].begin(server);
        served[server] += 1;
        ends.push((now + if server == 2 { 10 } else { 1 }, worker, server));
    }
    assert!(served[2] < 1200 && served[0].abs_diff(served[1]) < 1000, "{served:?}");
}
