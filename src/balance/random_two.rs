//! The better of two at random (Mitzenmacher): nearly as even as looking at all, at the cost of two, and no herd, since no two
//! workers look at the same pair.

use crate::limits::RANDOM_DRAWS_MAX;

/// What is drawn from: servers by weight.
#[derive(Debug)]
pub struct Weighted {
    /// Sums of the weights up to and with each server; strictly growing.
    ends: Box<[u64]>,
}

impl Weighted {
    /// One weight per server; 0 counts as 1.
    pub fn new(weights: &[u32]) -> Weighted {
        let mut sum = 0;
        let ends = weights.iter().map(|&weight| {
            sum += u64::from(weight.max(1));
            sum
        });
        Weighted { ends: ends.collect() }
    }

    /// Two different servers at random among those that are `allowed`, by weight, and of them the one with less `load` per weight; of
    /// equals the first drawn. The only allowed one if there is but one. Costs two draws while most are allowed, and two
    /// looks through all at worst.
    pub fn pick(
        &self,
        random: &mut impl FnMut() -> u64,
        allowed: impl Fn(usize) -> bool,
        load: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let first = self.draw(random, None, &allowed)?;
        let Some(second) = self.draw(random, Some(first), &allowed) else {
            return Some(first);
        };
        // Crosswise, without division.
        let cost = |server, other| u128::from(load(server)) * u128::from(self.weight(other));
        Some(if cost(second, first) < cost(first, second) { second } else { first })
    }

    /// One server at random among those that are allowed, by weight, and not `but`.
    fn draw(
        &self,
        random: &mut impl FnMut() -> u64,
        but: Option<usize>,
        allowed: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        // Its part is cut out of the line that places are on.
        let cut = but.map_or(0, |but| self.weight(but));
        let cut_at = but.map_or(u64::MAX, |but| self.ends[but] - cut);
        let sum = *self.ends.last()? - cut;
        if sum == 0 {
            return None;
        }
        for _ in 0..RANDOM_DRAWS_MAX {
            let place = below(random(), sum);
            let place = if place < cut_at { place } else { place + cut };
            let server = self.ends.partition_point(|&end| end <= place);
            if allowed(server) {
                return Some(server);
            }
        }
        // Few are left: draw among them alone.
        let left = || (0..self.ends.len()).filter(|&server| Some(server) != but && allowed(server));
        let sum = left().map(|server| self.weight(server)).sum::<u64>();
        let mut place = below(random(), sum);
        left().find(|&server| {
            let weight = self.weight(server);
            let found = place < weight;
            place = place.saturating_sub(weight);
            found
        })
    }

    fn weight(&self, server: usize) -> u64 {
        self.ends[server] - if server == 0 { 0 } else { self.ends[server - 1] }
    }
}

/// A number below `bound`, from one of 64 bits. Uneven by bound / 2^64: by nothing.
fn below(random: u64, bound: u64) -> u64 {
    ((u128::from(random) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::hash::mix;
    use std::cell::Cell;

    fn random(seed: u64) -> impl FnMut() -> u64 {
        let mut state = mix(seed);
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        }
    }

    fn counts(weights: &[u32], allowed: impl Fn(usize) -> bool, load: impl Fn(usize) -> u64) -> Vec<u32> {
        let (weighted, mut random) = (Weighted::new(weights), random(1));
        let mut counts = vec![0; weights.len()];
        (0..60_000).for_each(|_| counts[weighted.pick(&mut random, &allowed, &load).unwrap()] += 1);
        counts
    }

    #[track_caller]
    fn assert_about(counts: &[u32], wanted: &[u32]) {
        for (&count, &wanted) in counts.iter().zip(wanted) {
            let slack = if wanted == 0 { 0.0 } else { 5.0 * f64::from(wanted).sqrt() };
            assert!((f64::from(count) - f64::from(wanted)).abs() <= slack, "{counts:?} for {wanted}");
        }
    }

    #[test]
    fn nobody_and_one() {
        let mut random = random(1);
        let none = |_: usize| -> u64 { unreachable!("nobody to compare with") };
        assert_eq!(Weighted::new(&[]).pick(&mut random, |_| true, none), None);
        assert_eq!(Weighted::new(&[3]).pick(&mut random, |_| true, none), Some(0));
        assert_eq!(Weighted::new(&[3]).pick(&mut random, |_| false, none), None);
        let five = Weighted::new(&[1, 2, 0, 1000, 1]);
        for only in 0..5 {
            assert_eq!(five.pick(&mut random, |server| server == only, none), Some(only));
        }
        assert_eq!(five.pick(&mut random, |_| false, none), None);
    }

    #[test]
    fn without_load_shares_are_as_the_weights() {
        let idle = |_| 0;
        assert_about(&counts(&[1, 1, 1], |_| true, idle), &[20_000; 3]);
        assert_about(&counts(&[3, 2, 1], |_| true, idle), &[30_000, 20_000, 10_000]);
        assert_about(&counts(&[0, 1], |_| true, idle), &[30_000; 2]);
        // Those left share what is not allowed any more, by weight as before.
        assert_about(&counts(&[3, 4, 1, 2], |server| server != 1, idle), &[30_000, 0, 10_000, 20_000]);
        // So few of so many that draws miss them: the look through all.
        let mut weights = vec![100; 64];
        (weights[5], weights[63]) = (1, 2);
        let few = counts(&weights, |server| server == 5 || server == 63, idle);
        assert_about(&[few[5], few[63]], &[20_000, 40_000]);
    }

    #[test]
    fn the_less_loaded_of_each_pair_is_picked() {
        // Three pairs of three: the best wins two, the worst none.
        assert_about(&counts(&[1, 1, 1], |_| true, |server| server as u64), &[40_000, 20_000, 0]);
        // By weight: 5 at weight 2 is less than 3 at weight 1.
        assert_eq!(counts(&[2, 1], |_| true, |server| [5, 3][server])[1], 0);
        assert_eq!(counts(&[2, 1], |_| true, |server| [7, 3][server])[0], 0);
        // Very unequal weights still meet: two servers are always compared.
        assert_eq!(counts(&[1000, 1], |_| true, |server| [1_000_000, 1][server])[0], 0);
        // Numbers as large as they come.
        assert_eq!(counts(&[1000, 999], |_| true, |server| u64::MAX - server as u64)[1], 0);
    }

    #[test]
    fn work_is_bounded() {
        let weighted = Weighted::new(&[1; 4096]);
        let (draws, looks) = (Cell::new(0), Cell::new(0));
        let mut numbers = random(3);
        let mut random = || {
            draws.set(draws.get() + 1);
            numbers()
        };
        let found = weighted.pick(
            &mut random,
            |server| {
                looks.set(looks.get() + 1);
                server == 4095
            },
            |_| 0,
        );
        assert_eq!(found, Some(4095));
        assert!(draws.get() <= 2 * (RANDOM_DRAWS_MAX + 1), "{}", draws.get());
        assert!(looks.get() <= 2 * (RANDOM_DRAWS_MAX + 2 * 4096), "{}", looks.get());
        // The ends of the range stay inside.
        for number in [0, u64::MAX] {
            assert!(weighted.pick(&mut || number, |_| true, |_| 0).is_some());
        }
    }

    #[test]
    fn servers_tried_already_are_not_picked_again() {
        for seed in 0..200 {
            let (weighted, mut random) = (Weighted::new(&[1, 50, 1, 7]), random(seed));
            let mut tried = Vec::new();
            while let Some(next) = weighted.pick(&mut random, |server| !tried.contains(&server), |_| 1) {
                tried.push(next);
            }
            tried.sort_unstable();
            assert_eq!(tried, [0, 1, 2, 3]);
        }
    }
}
