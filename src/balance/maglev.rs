//! Consistent hashing: a lookup table after Maglev (Eisenbud et al., NSDI 2016, 3.4), weighted.
//!
//! Each server has its own order of all slots, by two hashes of its identity. The servers take turns, heavier ones more often,
//! and take the first slot of their order that is free. So shares are even, and one server more or less leaves most slots of
//! the others as they were. The table depends on identities and weights alone: not on their order, process or machine.
//!
//! There are two sizes, since a table of another size is another table: a group that grows past 655 servers moves all keys once.

use super::hash::mix;
use crate::limits::{MAGLEV_PROBES_MAX, MAGLEV_SIZES, MAGLEV_SLOTS_MIN, SERVERS_MAX};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A table from hashes of keys to servers.
#[derive(Debug)]
pub struct Maglev {
    /// An index into the entries for each slot; empty if there are none.
    slots: Box<[u16]>,
    /// A number of its own for each entry.
    seeds: Box<[u64]>,
}

impl Maglev {
    /// A table of servers, each by the hash of its identity and its weight (0 counts as 1). Those beyond `limits::SERVERS_MAX`
    /// are left out. Takes a millisecond or two, with thousands of servers some hundreds: it is not for workers.
    pub fn new(entries: &[(u64, u32)]) -> Maglev {
        let entries = &entries[..entries.len().min(SERVERS_MAX)];
        let seeds = seeds(entries);
        if entries.is_empty() {
            return Maglev { slots: Box::default(), seeds };
        }
        let size = size(entries.len());
        let mut slots: Box<[Option<u16>]> = vec![None; size].into();
        let mut turns: Vec<Turns> =
            entries.iter().zip(&seeds).map(|(entry, &seed)| Turns::new(seed, entry, size)).collect();
        // Who is due first takes a slot first; equals by their seeds, whatever their order here. All are due at 0, so that each
        // has at least one slot.
        let first = seeds.iter().enumerate().map(|(index, &seed)| Reverse((0u64, seed, index as u16)));
        let mut due: BinaryHeap<_> = first.collect();
        for _ in 0..size {
            let Some(mut next) = due.peek_mut() else { break };
            let index = next.0.2;
            let turns = &mut turns[usize::from(index)];
            turns.take(&mut slots, index);
            next.0.0 = turns.due();
        }
        let slots = slots.iter().map(|slot| slot.unwrap_or_default()).collect();
        Maglev { slots, seeds }
    }

    /// The entry of a key; `None` only if there are no entries. Expects a hash with good high bits (`hash::stable_hash`).
    #[inline]
    pub fn lookup(&self, key_hash: u64) -> Option<usize> {
        self.slots.get(self.slot(key_hash)).map(|&index| usize::from(index))
    }

    /// The entry of a key among those that may be used; `None` if none may. Keys of an entry that may not be used spread over the
    /// others by weight, each always to the same one; no other key moves.
    #[inline]
    pub fn lookup_where(&self, key_hash: u64, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let first = self.lookup(key_hash)?;
        if is_usable(first) { Some(first) } else { self.look_further(key_hash, is_usable) }
    }

    fn look_further(&self, key_hash: u64, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        // Slots at random that follow from the key; each belongs to an entry by its weight.
        let mut hash = key_hash;
        for _ in 0..MAGLEV_PROBES_MAX {
            hash = mix(hash.wrapping_add(GOLDEN));
            let index = self.lookup(hash)?;
            if is_usable(index) {
                return Some(index);
            }
        }
        // Nearly nobody is left: rendezvous hashing over all, which overlooks none. Weights do not matter any more.
        (0..self.seeds.len()).filter(|&index| is_usable(index)).max_by_key(|&index| mix(key_hash ^ self.seeds[index]))
    }

    /// The high bits choose: a multiplication where a remainder costs a division.
    #[inline]
    fn slot(&self, key_hash: u64) -> usize {
        ((u128::from(key_hash) * self.slots.len() as u128) >> 64) as usize
    }
}

/// 2^64 divided by the golden ratio, odd: steps that come back to where they began after all 2^64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// By the number of servers alone: a changed weight must not move everybody.
fn size(servers: usize) -> usize {
    if servers * MAGLEV_SLOTS_MIN <= MAGLEV_SIZES[0] { MAGLEV_SIZES[0] } else { MAGLEV_SIZES[1] }
}

/// One number for each entry. Entries of the same identity get different ones, or they would contend for the same slots.
fn seeds(entries: &[(u64, u32)]) -> Box<[u64]> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&index| (entries[index], index));
    let mut seeds = vec![0; entries.len()];
    let (mut before, mut repeats) = (None, 0u64);
    for index in order {
        let identity = entries[index].0;
        repeats = if before == Some(identity) { repeats + 1 } else { 0 };
        before = Some(identity);
        seeds[index] = mix(identity.wrapping_add(repeats.wrapping_mul(GOLDEN)));
    }
    seeds.into()
}

/// One server while the table is filled.
struct Turns {
    /// The next slot of its order, and the step to the one behind it. The size is prime: every slot comes once.
    slot: usize,
    step: usize,
    taken: u64,
    weight: u64,
}

impl Turns {
    fn new(seed: u64, entry: &(u64, u32), size: usize) -> Turns {
        let slot = (mix(seed ^ GOLDEN) % size as u64) as usize;
        let step = (mix(seed.wrapping_add(GOLDEN)) % (size as u64 - 1)) as usize + 1;
        Turns { slot, step, taken: 0, weight: u64::from(entry.1.max(1)) }
    }

    /// Takes the first free slot of its order. There is one.
    fn take(&mut self, slots: &mut [Option<u16>], index: u16) {
        while slots[self.slot].is_some() {
            self.slot = (self.slot + self.step) % slots.len();
        }
        slots[self.slot] = Some(index);
        self.taken += 1;
    }

    /// When its next turn comes: a server of twice the weight has two in the same time.
    fn due(&self) -> u64 {
        (self.taken << 32) / self.weight
    }
}

#[cfg(test)]
#[path = "maglev_tests.rs"]
mod tests;
