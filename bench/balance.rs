//! What a pick costs: the choice itself and the counting around it, on a busy worker.
use criterion::{Criterion, criterion_group, criterion_main};
use ringgate::balance::ewma::Latency;
use ringgate::balance::hash::{mix, stable_hash};
use ringgate::balance::maglev::Maglev;
use ringgate::balance::random_two::Weighted;
use ringgate::balance::{Group, Picker, Tried};
use ringgate::config::plan::Balance;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const WORKERS: usize = 8;
/// Picks in one turn of the worker's loop, after which remote rows are read anew.
const PICKS_PER_TURN: u64 = 32;
/// Picks in one millisecond of the worker's clock: 100,000 requests a second.
const PICKS_PER_MS: u64 = 100;

fn picks(c: &mut Criterion) {
    for (name, balance) in [("round_robin", Balance::RoundRobin), ("least_conn", Balance::LeastConn)] {
        let mut bench = c.benchmark_group(name);
        for servers in [2, 16, 128] {
            let weights: Vec<u32> = (0..servers).map(|i| 1 + i % 3).collect();
            let group = Arc::new(Group::plain(balance.clone(), &weights, WORKERS));
            let mut picker = Picker::new(group, 0, 1);
            let (tried, mut count) = (Tried::new(), 0);
            bench.bench_function(format!("{servers} servers"), |b| {
                b.iter(|| {
                    count += 1;
                    if count % PICKS_PER_TURN == 0 {
                        picker.new_turn();
                    }
                    let server = picker.pick(black_box(&tried), 0, count / PICKS_PER_MS).expect("none was tried");
                    picker.begin(server);
                    picker.end(server);
                    black_box(server)
                })
            });
        }
        bench.finish();
    }
}

/// Addresses of clients, hashed.
fn keys() -> Vec<u64> {
    (0..4096).map(|n| stable_hash(format!("10.{}.{}.7", n / 64, n % 64).as_bytes())).collect()
}

fn entries(servers: u32) -> Vec<(u64, u32)> {
    (0..servers).map(|n| (stable_hash(&n.to_le_bytes()), 1 + n % 3)).collect()
}

fn lookups(c: &mut Criterion) {
    let mut bench = c.benchmark_group("maglev");
    let keys = keys();
    bench.bench_function("hash of an address", |b| b.iter(|| stable_hash(black_box(b"203.0.113.195"))));
    for servers in [2, 16, 128, 1024] {
        let table = Maglev::new(&entries(servers));
        let mut count = 0;
        let mut key = || {
            count += 1;
            keys[count % keys.len()]
        };
        bench.bench_function(format!("{servers} servers"), |b| b.iter(|| table.lookup_where(key(), |_| true)));
        bench.bench_function(format!("{servers} servers, half out of use"), |b| {
            b.iter(|| table.lookup_where(key(), |index| index % 2 == 0))
        });
    }
    bench.sample_size(10);
    for servers in [3, 655, 4096] {
        let entries = entries(servers);
        bench.bench_function(format!("build for {servers} servers"), |b| b.iter(|| Maglev::new(black_box(&entries))));
    }
    bench.finish();
}

fn pairs(c: &mut Criterion) {
    let mut bench = c.benchmark_group("random_two");
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(state)
    };
    for servers in [2, 16, 128] {
        let weights: Vec<u32> = (0..servers).map(|n| 1 + n % 3).collect();
        let weighted = Weighted::new(&weights);
        let loads: Vec<u64> = (0..u64::from(servers)).map(|n| mix(n) % 8).collect();
        bench.bench_function(format!("{servers} servers by load"), |b| {
            b.iter(|| weighted.pick(&mut random, |_| true, |server| loads[server]))
        });
        let latencies: Vec<Latency> = loads
            .iter()
            .map(|&load| {
                let latency = Latency::new();
                (0..16).for_each(|ms| latency.observe(ms, 1000 + 100 * load));
                latency
            })
            .collect();
        let mut count = 0;
        bench.bench_function(format!("{servers} servers by response time"), |b| {
            b.iter(|| {
                count += 1;
                let (now_ms, blur) = (16 + count / PICKS_PER_MS, mix(count));
                let score = |server: usize| {
                    latencies[server].score(now_ms, loads[server] as u32, blur.rotate_left(server as u32))
                };
                let server = weighted.pick(&mut random, |_| true, score).expect("all are allowed");
                latencies[server].observe(now_ms, 1000 + 100 * loads[server]);
                server
            })
        });
    }
    bench.finish();
}

fn configured() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = balance; config = configured(); targets = picks, lookups, pairs }
criterion_main!(balance);
