//! nginx's `open_file_cache`: what is known of paths, bounded in number and by how long nobody asked.

use crate::config::plan::FileCache;
use crate::limits::FILES_KEPT_MAX;
use crate::ring::Resolve;
use ahash::{HashMap, RandomState};
use slab::Slab;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    /// The directory it is looked for in.
    pub base: &'a str,
    /// The path beneath it.
    pub relative: &'a str,
    /// How it may lead there: another way may not lead there at all.
    pub resolve: Resolve,
}

/// No slot.
const NONE: usize = usize::MAX;

struct Slot<T> {
    hash: u64,
    base: Box<str>,
    relative: Box<str>,
    resolve: Resolve,
    /// Neighbours by time of the last use.
    newer: usize,
    older: usize,
    /// `None`: it is not kept, only counted.
    value: Option<T>,
    /// When that was found, in milliseconds.
    found: u64,
    used: u64,
    uses: u32,
}

/// What is kept of one configuration's files.
pub struct Cache<T> {
    settings: FileCache,
    slots: Slab<Slot<T>>,
    /// By hash; whoever looks compares the key.
    index: HashMap<u64, usize>,
    hasher: RandomState,
    newest: usize,
    oldest: usize,
}

impl<T: Clone> Cache<T> {
    /// An empty one.
    pub fn new(settings: FileCache) -> Cache<T> {
        let (newest, oldest) = (NONE, NONE);
        Cache { settings, slots: Slab::new(), index: HashMap::default(), hasher: RandomState::new(), newest, oldest }
    }

    /// How it is configured.
    pub fn settings(&self) -> &FileCache {
        &self.settings
    }

    /// Paths that are known.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// None is.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What is known and still valid at `now` (milliseconds). Counts as a use.
    pub fn get(&mut self, key: Key, now: u64) -> Option<T> {
        let nth = self.find(key)?;
        self.touch(nth, now);
        let slot = &self.slots[nth];
        let age = u128::from(now.saturating_sub(slot.found));
        slot.value.clone().filter(|_| age < self.settings.valid.as_millis())
    }

    /// Notes what was found after [`Cache::get`] knew nothing.
    pub fn put(&mut self, key: Key, value: T, now: u64) {
        self.expire(now);
        let most = (self.settings.max as usize).min(FILES_KEPT_MAX);
        if most == 0 {
            return;
        }
        let nth = match self.find(key) {
            Some(nth) => nth,
            None => {
                while self.slots.len() >= most {
                    self.remove(self.oldest);
                }
                self.insert(key, now)
            }
        };
        let slot = &mut self.slots[nth];
        slot.value = (slot.uses >= self.settings.min_uses).then_some(value);
        slot.found = now;
    }

    /// Forgets a few that nobody asked for in time.
    pub fn expire(&mut self, now: u64) {
        for _ in 0..2 {
            let Some(slot) = self.slots.get(self.oldest) else { return };
            if u128::from(now.saturating_sub(slot.used)) <= self.settings.inactive.as_millis() {
                return;
            }
            self.remove(self.oldest);
        }
    }

    fn find(&self, key: Key) -> Option<usize> {
        let nth = *self.index.get(&self.hasher.hash_one(key))?;
        let slot = &self.slots[nth];
        let known = Key { base: &slot.base, relative: &slot.relative, resolve: slot.resolve };
        (known == key).then_some(nth)
    }

    fn insert(&mut self, key: Key, now: u64) -> usize {
        let hash = self.hasher.hash_one(key);
        if let Some(&other) = self.index.get(&hash) {
            self.remove(other); // another path of the same hash
        }
        let slot = Slot {
            hash,
            base: key.base.into(),
            relative: key.relative.into(),
            resolve: key.resolve,
            newer: NONE,
            older: NONE,
            value: None,
            found: now,
            used: now,
            uses: 1,
        };
        let nth = self.slots.insert(slot);
        self.index.insert(hash, nth);
        self.link(nth);
        nth
    }

    fn touch(&mut self, nth: usize, now: u64) {
        if self.newest != nth {
            self.unlink(nth);
            self.link(nth);
        }
        let slot = &mut self.slots[nth];
        slot.used = now;
        slot.uses = slot.uses.saturating_add(1);
    }

    fn remove(&mut self, nth: usize) {
        self.unlink(nth);
        let slot = self.slots.remove(nth);
        self.index.remove(&slot.hash);
    }

    fn link(&mut self, nth: usize) {
        let older = std::mem::replace(&mut self.newest, nth);
        (self.slots[nth].newer, self.slots[nth].older) = (NONE, older);
        match self.slots.get_mut(older) {
            Some(slot) => slot.newer = nth,
            None => self.oldest = nth,
        }
    }

    fn unlink(&mut self, nth: usize) {
        let (newer, older) = (self.slots[nth].newer, self.slots[nth].older);
        match self.slots.get_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cache(max: u32, min_uses: u32) -> Cache<u32> {
        let (inactive, valid) = (Duration::from_millis(100), Duration::from_millis(10));
        Cache::new(FileCache { max, inactive, valid, min_uses, errors: false })
    }

    fn key(relative: &str) -> Key<'_> {
        Key { base: "/srv", relative, resolve: Resolve::Beneath }
    }

    /// As a request does: looks, and notes what it found itself.
    fn ask(cache: &mut Cache<u32>, relative: &str, found: u32, now: u64) -> Option<u32> {
        let known = cache.get(key(relative), now);
        if known.is_none() {
            cache.put(key(relative), found, now);
        }
        known
    }

    #[test]
    fn what_is_valid_is_known() {
        let mut cache = cache(10, 1);
        assert_eq!(ask(&mut cache, "a", 1, 0), None);
        assert_eq!(ask(&mut cache, "a", 2, 9), Some(1));
        assert_eq!(ask(&mut cache, "a", 3, 10), None, "looked at again");
        assert_eq!(ask(&mut cache, "a", 4, 19), Some(3));
        assert_eq!(cache.get(Key { base: "/", ..key("a") }, 19), None);
        assert_eq!(cache.get(Key { resolve: Resolve::Anywhere, ..key("a") }, 19), None);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let mut cache = cache(3, 1);
        for (now, name) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(ask(&mut cache, name, now as u32, now as u64), None);
        }
        assert_eq!(ask(&mut cache, "a", 0, 3), Some(0));
        assert_eq!(ask(&mut cache, "d", 3, 4), None);
        let known = ["a", "b", "c", "d"].map(|name| cache.get(key(name), 5));
        assert_eq!((known, cache.len()), ([Some(0), None, Some(2), Some(3)], 3));
    }

    #[test]
    fn nobody_asked_in_time() {
        let mut cache = cache(10, 1);
        for name in ["a", "b", "c"] {
            ask(&mut cache, name, 0, 0);
        }
        cache.expire(100);
        assert_eq!(cache.len(), 3);
        cache.expire(101);
        assert_eq!(cache.len(), 1, "two at a time");
        cache.expire(101);
        cache.expire(101);
        assert!(cache.is_empty());
        assert_eq!(ask(&mut cache, "a", 7, 102), None);
        assert_eq!(ask(&mut cache, "a", 8, 103), Some(7));
    }

    #[test]
    fn rarely_used_ones_are_only_counted() {
        let mut cache = cache(10, 3);
        assert_eq!(ask(&mut cache, "a", 1, 0), None);
        assert_eq!(ask(&mut cache, "a", 2, 1), None);
        assert_eq!(ask(&mut cache, "a", 3, 2), None);
        assert_eq!(ask(&mut cache, "a", 4, 3), Some(3));
    }

    #[test]
    fn none_are_kept_where_none_may_be() {
        let mut cache = cache(0, 1);
        assert_eq!(ask(&mut cache, "a", 1, 0), None);
        assert_eq!((ask(&mut cache, "a", 1, 0), cache.len()), (None, 0));
    }

    #[test]
    fn links_stay_whole() {
        let mut cache = cache(5, 1);
        let mut seed = 7u32;
        for now in 0..5000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let name = (seed >> 24).to_string();
            if let Some(known) = ask(&mut cache, &name, seed >> 24, now) {
                assert_eq!(known, seed >> 24);
            }
            assert!(cache.len() <= 5 && cache.index.len() == cache.len());
            let mut nth = cache.newest;
            let mut count = 0;
            while nth != NONE {
                (nth, count) = (cache.slots[nth].older, count + 1);
            }
            assert_eq!(count, cache.len());
        }
    }
}
