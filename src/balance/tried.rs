//! The servers that one request has tried: a set of indices that allocates only in groups of more than 64.

use super::ServerIndex;

/// A set of servers.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    /// Servers 0 to 63: nearly every group.
    first: u64,
    /// The servers behind them, 64 in each entry; grows as needed.
    rest: Vec<u64>,
}

impl Tried {
    /// None yet.
    pub fn new() -> Tried {
        Tried::default()
    }

    /// Adds a server.
    pub fn insert(&mut self, server: ServerIndex) {
        let (word, bit) = (server / 64, 1 << (server % 64));
        if word == 0 {
            self.first |= bit;
            return;
        }
        if self.rest.len() < word {
            self.rest.resize(word, 0);
        }
        self.rest[word - 1] |= bit;
    }

    /// Whether a server is in it.
    pub fn contains(&self, server: ServerIndex) -> bool {
        let (word, bit) = (server / 64, 1 << (server % 64));
        let bits = if word == 0 { self.first } else { self.rest.get(word - 1).copied().unwrap_or(0) };
        bits & bit != 0
    }

    /// Whether nothing was tried yet.
    pub fn is_empty(&self) -> bool {
        self.first == 0 && self.rest.iter().all(|&bits| bits == 0)
    }

    /// Forgets all, keeping its memory.
    pub fn clear(&mut self) {
        self.first = 0;
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SERVERS_MAX;

    #[test]
    fn holds_exactly_what_was_inserted() {
        for servers in [vec![], vec![0], vec![63], vec![64], vec![0, 63, 64, 127, 128], vec![SERVERS_MAX - 1]] {
            let mut tried = Tried::new();
            servers.iter().for_each(|&s| tried.insert(s));
            let held: Vec<_> = (0..SERVERS_MAX + 100).filter(|&s| tried.contains(s)).collect();
            assert_eq!(held, servers);
            assert_eq!(tried.is_empty(), servers.is_empty());
            tried.clear();
            assert!(tried.is_empty() && !(0..SERVERS_MAX).any(|s| tried.contains(s)));
        }
    }

    #[test]
    fn small_groups_allocate_nothing() {
        let mut tried = Tried::new();
        (0..64).for_each(|s| tried.insert(s));
        assert_eq!(tried.rest.capacity(), 0);
    }
}
