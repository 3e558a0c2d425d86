//! How many exchanges of one key run at once.

use super::table::Shards;
use std::sync::Arc;

/// The counts of a `limit_conn_zone`. Keys without an exchange are not kept.
#[derive(Debug)]
pub struct ConnZone {
    counts: Shards<u32>,
}

/// One exchange that runs, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    zone: Arc<ConnZone>,
    hash: u64,
    id: u32,
}

impl ConnZone {
    /// A zone of at most so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self { counts: Shards::new(bytes) }
    }

    /// Counts one exchange more of this key, which is not empty. `None`: there are `most` already, or the zone has no room for the key.
    pub fn take(self: &Arc<Self>, key: &[u8], most: u32) -> Option<Permit> {
        let hash = self.counts.hash(key);
        let mut table = self.counts.part(hash);
        let id = match table.find(hash, key) {
            Some(id) if *table.value(id) >= most => return None,
            Some(id) => {
                *table.value(id) += 1;
                id
            }
            None if most == 0 => return None,
            None => table.insert(hash, key, 1)?,
        };
        Some(Permit { zone: self.clone(), hash, id })
    }

    /// How many keys have an exchange.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.counts.len()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut table = self.zone.counts.part(self.hash);
        // The entry stands as long as it counts somebody.
        let count = table.value(self.id);
        *count -= 1;
        if *count == 0 {
            table.remove(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LIMIT_ENTRY_BYTES;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    #[test]
    fn as_many_as_there_are_permits() {
        let zone = Arc::new(ConnZone::new(1 << 20));
        let first = zone.take(b"a", 2);
        let second = zone.take(b"a", 2);
        assert!(first.is_some() && second.is_some() && zone.take(b"a", 2).is_none());
        let other = zone.take(b"b", 1);
        assert!(other.is_some() && zone.take(b"c", 0).is_none());
        assert!(zone.take(b"a", 3).is_some(), "each asks with its own number");
        drop(first);
        assert!(zone.take(b"a", 2).is_some());
        assert_eq!(zone.len(), 2);
        drop((second, other));
        assert_eq!(zone.len(), 0);
        assert!(zone.take(b"", 1).is_some());
    }

    #[test]
    fn a_full_zone_takes_no_new_keys() {
        let zone = Arc::new(ConnZone::new(2 * (LIMIT_ENTRY_BYTES + 1)));
        let held = [zone.take(b"a", 9), zone.take(b"b", 9)];
        assert!(held.iter().all(Option::is_some) && zone.take(b"c", 9).is_none());
        assert!(zone.take(b"a", 9).is_some(), "it has its place");
        drop(held);
        assert!(zone.take(b"c", 9).is_some());
        assert_eq!(zone.len(), 0);
    }

    #[test]
    fn threads_never_hold_more_than_there_are() {
        let zone = Arc::new(ConnZone::new(10 << 20));
        let (held, most_seen, taken) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let rounds = if cfg!(miri) { 20 } else { 20_000 };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        if let Some(permit) = zone.take(b"hot", 3) {
                            most_seen.fetch_max(held.fetch_add(1, Relaxed) + 1, Relaxed);
                            taken.fetch_add(1, Relaxed);
                            held.fetch_sub(1, Relaxed);
                            drop(permit);
                        }
                    }
                });
            }
        });
        assert!(most_seen.into_inner() <= 3 && taken.into_inner() >= rounds);
        assert_eq!(zone.len(), 0);
    }
}
