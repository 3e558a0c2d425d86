use super::super::hash::stable_hash;
use super::*;

fn identity(n: usize) -> u64 {
    stable_hash(format!("backends/10.0.{}.{}:8080", n / 256, n % 256).as_bytes())
}

fn table(weights: &[u32]) -> (Vec<(u64, u32)>, Maglev) {
    let entries: Vec<(u64, u32)> = weights.iter().enumerate().map(|(n, &weight)| (identity(n), weight)).collect();
    let table = Maglev::new(&entries);
    (entries, table)
}

fn keys(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|n| stable_hash(&n.to_le_bytes()))
}

/// Slots per entry.
fn shares(table: &Maglev) -> Vec<usize> {
    let mut shares = vec![0; table.seeds.len()];
    table.slots.iter().for_each(|&index| shares[usize::from(index)] += 1);
    shares
}

#[test]
fn shares_are_as_the_weights() {
    let rows: [&[u32]; 10] = [
        &[1],
        &[7],
        &[1, 1],
        &[1, 1, 1],
        &[3, 1],
        &[5, 1, 1],
        &[1000, 1000, 999],
        &[1, 20],
        &[1000, 1],
        &[1, 2, 3, 4, 5, 6, 7, 8],
    ];
    for weights in rows {
        let (_, table) = table(weights);
        let sum: u32 = weights.iter().sum();
        for (share, &weight) in shares(&table).into_iter().zip(weights) {
            let wanted = table.slots.len() as f64 * f64::from(weight) / f64::from(sum);
            assert!((share as f64 - wanted).abs() <= 1.5, "{weights:?}: {share} slots for {wanted}");
        }
        // And so are those of real keys: 100,000 throws of a die, give or take.
        let mut counts = vec![0; weights.len()];
        keys(100_000).for_each(|key| counts[table.lookup(key).unwrap()] += 1);
        for (count, &weight) in counts.into_iter().zip(weights) {
            let wanted = 1e5 * f64::from(weight) / f64::from(sum);
            assert!((f64::from(count) - wanted).abs() <= 0.01 * wanted + 4.0 * wanted.sqrt(), "{weights:?}: {count}");
        }
    }
}

#[test]
fn every_number_of_servers_has_its_table() {
    assert_eq!(table(&[]).1.lookup(7), None);
    assert_eq!(table(&[]).1.lookup_where(7, |_| true), None);
    for (servers, size) in [(1, 65_537), (2, 65_537), (3, 65_537), (655, 65_537), (656, 1_000_003), (4096, 1_000_003)] {
        let (_, table) = table(&vec![1; servers]);
        assert_eq!(table.slots.len(), size, "{servers} servers");
        let shares = shares(&table);
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most - least <= 1 && *least >= 100, "{servers} servers: {least} to {most} slots");
    }
    // Weights that no table can hold: the lightest has a slot still.
    let mut weights = vec![1000; 4096];
    weights[17] = 1;
    let (_, light) = table(&weights);
    assert_eq!((light.slots.len(), shares(&light)[17]), (1_000_003, 1));
    assert_eq!(table(&[0, 1]).1.slots, table(&[1, 1]).1.slots, "zero counts as one");
    let too_many = table(&vec![1; SERVERS_MAX + 9]).1;
    assert!(keys(1000).all(|key| too_many.lookup(key).unwrap() < SERVERS_MAX));
}

#[test]
fn sizes_are_prime_and_indices_fit() {
    for size in MAGLEV_SIZES {
        assert!((2..).take_while(|n| n * n <= size).all(|n| size % n != 0), "{size}");
    }
    assert!(SERVERS_MAX <= usize::from(u16::MAX));
    let (_, table) = table(&[1, 1]);
    for key in [0, 1, u64::MAX / 2, u64::MAX] {
        assert!(table.slot(key) < table.slots.len());
    }
}

/// Whom each slot belongs to, by identity.
fn owners(entries: &[(u64, u32)], table: &Maglev) -> Vec<u64> {
    table.slots.iter().map(|&index| entries[usize::from(index)].0).collect()
}

#[test]
fn the_order_of_the_servers_does_not_matter() {
    let (mut entries, table) = table(&[1, 5, 1, 2, 1, 1, 9]);
    let owned = owners(&entries, &table);
    for _ in 0..entries.len() {
        entries.rotate_left(1);
        assert_eq!(owners(&entries, &Maglev::new(&entries)), owned);
        entries.swap(0, 3);
        assert_eq!(owners(&entries, &Maglev::new(&entries)), owned);
    }
    // Also where one identity stands twice, which is one server of both weights.
    let twice = [(7, 3), (9, 1), (7, 2)];
    let turned = [(7, 2), (7, 3), (9, 1)];
    assert_eq!(owners(&twice, &Maglev::new(&twice)), owners(&turned, &Maglev::new(&turned)));
}

/// Slots that moved between servers which are in both tables, per mille.
fn needlessly_moved(before: &[(u64, u32)], after: &[(u64, u32)]) -> usize {
    let (old, new) = (Maglev::new(before), Maglev::new(after));
    assert_eq!(old.slots.len(), new.slots.len(), "the test is about tables of one size");
    let stays = |entries: &[(u64, u32)], id: u64| entries.iter().any(|entry| entry.0 == id);
    let pairs = owners(before, &old).into_iter().zip(owners(after, &new));
    let moved = pairs.filter(|&(from, to)| from != to && stays(after, from) && stays(before, to)).count();
    moved * 1000 / old.slots.len()
}

/// Measured, of all slots: at most 2 per mille with up to 10 servers, 4 with 40, 7 with 200, 8 with 655.
#[test]
fn one_server_less_or_more_moves_little_but_its_own_share() {
    let rows: [(&[u32], usize); 9] = [
        (&[1, 1], 0),
        (&[1; 3], 5),
        (&[1; 5], 5),
        (&[1; 10], 5),
        (&[1; 40], 10),
        (&[1; 200], 15),
        (&[1; 655], 15),
        (&[5, 1, 1, 2], 5),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9], 5),
    ];
    for (weights, bound) in rows {
        let (all, _) = table(weights);
        for gone in (0..weights.len()).step_by(weights.len().div_ceil(8)) {
            let mut rest = all.clone();
            rest.remove(gone);
            let (left, come) = (needlessly_moved(&all, &rest), needlessly_moved(&rest, &all));
            assert!(left <= bound && come == left, "{weights:?} without {gone}: {left} per mille, back {come}");
        }
    }
}

/// Measured, of all slots beside those that the heavier server gains: at most 2 per mille.
#[test]
fn another_weight_moves_little_but_what_it_gives_or_takes() {
    for weights in [&[1; 10][..], &[1, 1], &[5, 1, 2]] {
        for changed in 0..weights.len() {
            let (light, _) = table(weights);
            let mut heavy = light.clone();
            heavy[changed].1 += 1;
            let [before, after] = [&light, &heavy].map(|entries| owners(entries, &Maglev::new(entries)));
            let needless = |&(from, to): &(u64, u64)| from != to && to != light[changed].0;
            let moved = before.iter().copied().zip(after).filter(needless).count() * 1000 / before.len();
            assert!(moved <= 5, "{weights:?}, {changed} one heavier: {moved} per mille");
        }
    }
}

#[test]
fn a_server_out_of_use_moves_only_its_own_keys_and_to_all_others() {
    for weights in [&[1; 5][..], &[4, 1, 2, 2, 1]] {
        let (_, table) = table(weights);
        let others = weights.iter().sum::<u32>() - weights[0];
        let (mut inherited, mut moved) = (vec![0; weights.len()], 0);
        for key in keys(100_000) {
            let (at, now) = (table.lookup(key).unwrap(), table.lookup_where(key, |index| index != 0).unwrap());
            assert_eq!(now, table.lookup_where(key, |index| index != 0).unwrap());
            match at {
                0 => inherited[now] += 1,
                _ => assert_eq!(now, at),
            }
            moved += u32::from(at == 0);
        }
        assert_eq!(inherited[0], 0);
        for (index, &count) in inherited.iter().enumerate().skip(1) {
            let wanted = f64::from(moved) * f64::from(weights[index]) / f64::from(others);
            assert!(
                (f64::from(count) - wanted).abs() < 0.02 * wanted + 4.0 * wanted.sqrt(),
                "{weights:?}: {inherited:?}"
            );
        }
    }
}

#[test]
fn whoever_is_usable_is_found_with_bounded_work() {
    use std::cell::Cell;
    let (_, table) = table(&vec![1; 4096]);
    let asked = Cell::new(0);
    for (n, key) in keys(200).enumerate() {
        asked.set(0);
        let only = n * 20;
        let found = table.lookup_where(key, |index| {
            asked.set(asked.get() + 1);
            index == only
        });
        assert_eq!(found, Some(only));
        assert!(asked.get() <= 1 + MAGLEV_PROBES_MAX + 4096);
        assert_eq!(table.lookup_where(key, |_| false), None);
        assert_eq!(table.lookup_where(key, |_| true), table.lookup(key));
    }
    // The last few share evenly.
    let mut counts = [0; 4];
    keys(4000).for_each(|key| counts[table.lookup_where(key, |index| index < 4).unwrap()] += 1);
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
}

/// A retry goes through all servers, each once.
#[test]
fn trying_one_after_another_meets_everyone() {
    let (_, table) = table(&[1, 3, 1, 1, 2]);
    for key in keys(1000) {
        let mut tried = Vec::new();
        while let Some(next) = table.lookup_where(key, |index| !tried.contains(&index)) {
            tried.push(next);
        }
        tried.sort_unstable();
        assert_eq!(tried, [0, 1, 2, 3, 4]);
    }
}

/// These never change: processes of different versions must send a client to the same server.
#[test]
fn tables_are_the_same_in_every_version() {
    let digest = |table: &Maglev| table.slots.iter().fold(0u64, |sum, &slot| mix(sum ^ u64::from(slot)));
    let found = |table: &Maglev| {
        let texts = ["192.0.2.1", "2001:db8::1", "/index.html", ""];
        texts.map(|text| table.lookup(stable_hash(text.as_bytes())).unwrap())
    };
    let rows: [(&[u32], u64, [usize; 4]); 3] = [
        (&[1, 1, 1], 5_788_890_236_734_020_523, [1, 2, 2, 1]),
        (&[5, 1, 2, 1], 3_050_525_553_047_514_149, [0, 3, 0, 0]),
        (&[1; 50], 4_215_231_936_326_295_939, [40, 20, 20, 10]),
    ];
    for (weights, sum, servers) in rows {
        let (_, table) = table(weights);
        assert_eq!((digest(&table), found(&table)), (sum, servers), "{weights:?}");
    }
}
