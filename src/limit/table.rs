//! A table of texts within a number of bytes, the least lately used of which can be dropped, and such tables for several threads.

use crate::limits::{LIMIT_ENTRY_BYTES, LIMIT_SHARD_BYTES, LIMIT_SHARDS_MAX};
use ahash::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Entry<V> {
    hash: u64,
    key: Box<[u8]>,
    /// Its neighbours by their last use.
    newer: u32,
    older: u32,
    value: V,
}

/// See the head of this file. Hashes are the caller's.
#[derive(Debug)]
pub(super) struct Table<V> {
    index: HashTable<u32>,
    entries: Slab<Entry<V>>,
    bytes: u64,
    most: u64,
    newest: u32,
    oldest: u32,
}

/// What a key takes of a zone's bytes.
fn size(key: &[u8]) -> u64 {
    LIMIT_ENTRY_BYTES + key.len() as u64
}

impl<V> Table<V> {
    /// An empty table of at most so many bytes.
    pub(super) fn new(most: u64) -> Self {
        Self { index: HashTable::new(), entries: Slab::new(), bytes: 0, most, newest: NONE, oldest: NONE }
    }

    /// The entry of this key.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.index.find(hash, |&id| *self.entries[id as usize].key == *key).copied()
    }

    /// A key that is not there yet becomes the newest. `None`: there is no room for it.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], value: V) -> Option<u32> {
        if self.bytes + size(key) > self.most {
            return None;
        }
        let entry = Entry { hash, key: key.into(), newer: NONE, older: NONE, value };
        let id = self.entries.insert(entry) as u32;
        let Self { index, entries, .. } = self;
        index.insert_unique(hash, id, |&id| entries[id as usize].hash);
        self.bytes += size(key);
        self.link(id);
        Some(id)
    }

    /// What is kept of an entry.
    pub(super) fn value(&mut self, id: u32) -> &mut V {
        &mut self.entries[id as usize].value
    }

    /// Makes an entry the newest.
    pub(super) fn touch(&mut self, id: u32) {
        if self.newest != id {
            self.unlink(id);
            self.link(id);
        }
    }

    /// The entry that was not touched for the longest time.
    pub(super) fn oldest(&self) -> Option<u32> {
        Some(self.oldest).filter(|&id| id != NONE)
    }

    /// Drops an entry.
    pub(super) fn remove(&mut self, id: u32) {
        self.unlink(id);
        let entry = self.entries.remove(id as usize);
        self.bytes -= size(&entry.key);
        if let Ok(found) = self.index.find_entry(entry.hash, |&other| other == id) {
            found.remove();
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.index.len(), self.entries.len());
        self.entries.len()
    }

    /// Whether a key could ever be there.
    pub(super) fn has_room_for(&self, key: &[u8]) -> bool {
        size(key) <= self.most
    }

    fn link(&mut self, id: u32) {
        let before = std::mem::replace(&mut self.newest, id);
        (self.entries[id as usize].newer, self.entries[id as usize].older) = (NONE, before);
        match before {
            NONE => self.oldest = id,
            before => self.entries[before as usize].newer = id,
        }
    }

    fn unlink(&mut self, id: u32) {
        let Entry { newer, older, .. } = self.entries[id as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older as usize].newer = newer,
        }
    }
}

/// A table for several threads, in parts.
#[derive(Debug)]
pub(super) struct Shards<V> {
    hasher: RandomState,
    parts: Box<[Part<V>]>,
}

/// A cache line of its own, or threads would wait for one another although their keys have nothing to do with one another.
#[derive(Debug)]
#[repr(align(64))]
struct Part<V>(Mutex<Table<V>>);

impl<V> Shards<V> {
    /// At most `bytes` in all. The number of parts follows from them: each holds the longest key that there can be, if the zone does.
    pub(super) fn new(bytes: u64) -> Self {
        let parts = (bytes / LIMIT_SHARD_BYTES).clamp(1, LIMIT_SHARDS_MAX);
        let part = |_| Part(Mutex::new(Table::new(bytes / parts)));
        Self { hasher: RandomState::new(), parts: (0..parts).map(part).collect() }
    }

    /// The hash that a key has here, which also tells its part.
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The part that a hash belongs to. Not by the bits that the table within goes by.
    pub(super) fn part(&self, hash: u64) -> MutexGuard<'_, Table<V>> {
        let nth = ((hash >> 32) & 0xffff) as usize % self.parts.len();
        self.parts[nth].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.0.lock().unwrap().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(table: &Table<u32>) -> Vec<String> {
        let mut found = Vec::new();
        let (mut id, mut newer) = (table.oldest, NONE);
        while id != NONE {
            let entry = &table.entries[id as usize];
            assert_eq!(entry.older, newer, "both ways are one");
            found.push(String::from_utf8_lossy(&entry.key).into_owned());
            (newer, id) = (id, entry.newer);
        }
        assert_eq!(found.len(), table.len());
        assert_eq!(table.newest, newer);
        assert_eq!(table.bytes, found.iter().map(|key| size(key.as_bytes())).sum::<u64>());
        found
    }

    #[test]
    fn keys_stand_in_the_order_of_their_use() {
        // All with the same hash: the keys themselves decide.
        let mut table = Table::new(4 * size(b"a"));
        let ids: Vec<u32> = ["a", "b", "c"].map(|key| table.insert(7, key.as_bytes(), 0).unwrap()).to_vec();
        assert_eq!(keys(&table), ["a", "b", "c"]);
        assert_eq!(table.find(7, b"b"), Some(ids[1]));
        assert_eq!(table.find(7, b"d"), None);
        for (touched, order) in [(0, ["b", "c", "a"]), (0, ["b", "c", "a"]), (2, ["b", "a", "c"]), (1, ["a", "c", "b"])]
        {
            table.touch(ids[touched]);
            assert_eq!(keys(&table), order);
        }
        *table.value(ids[2]) = 9;
        table.remove(ids[2]);
        assert_eq!(keys(&table), ["a", "b"]);
        assert_eq!(table.find(7, b"c"), None);
        assert_eq!(*table.value(ids[1]), 0);
        table.remove(table.oldest().unwrap());
        table.remove(table.oldest().unwrap());
        assert_eq!((table.oldest(), table.len(), table.bytes), (None, 0, 0));
        assert!(table.insert(1, b"again", 1).is_some());
        assert_eq!(keys(&table), ["again"]);
    }

    #[test]
    fn bytes_are_the_bound() {
        let mut table = Table::new(2 * LIMIT_ENTRY_BYTES + 10);
        assert!(table.insert(1, b"12345", 0).is_some());
        assert!(table.insert(2, b"123456", 0).is_none());
        let id = table.insert(2, b"67890", 0).unwrap();
        assert!(table.insert(3, b"", 0).is_none());
        table.remove(id);
        assert!(table.insert(3, b"", 0).is_some());
        assert!(table.has_room_for(&[0; 100]) && !table.has_room_for(&[0; 200]));
    }

    #[test]
    fn parts_hold_what_the_zone_holds() {
        for (bytes, parts) in
            [(0, 1), (32 << 10, 1), (1 << 20, 1), (10 << 20, 10), (1 << 40, LIMIT_SHARDS_MAX as usize)]
        {
            let shards = Shards::<u32>::new(bytes);
            assert_eq!(shards.parts.len(), parts, "{bytes}");
        }
        let shards = Shards::<u32>::new(4 << 20);
        for key in 0..1000u32 {
            let hash = shards.hash(&key.to_le_bytes());
            shards.part(hash).insert(hash, &key.to_le_bytes(), key).unwrap();
        }
        assert_eq!(shards.len(), 1000);
        for part in &shards.parts {
            let len = part.0.lock().unwrap().len();
            assert!((150..350).contains(&len), "{len}");
        }
    }
}
