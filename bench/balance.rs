//! What a pick costs: the choice itself and the counting around it, on a busy worker.
use criterion::{Criterion, criterion_group, criterion_main};
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

fn configured() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = balance; config = configured(); targets = picks }
criterion_main!(balance);
