//! A hash that is the same in every process, on every machine and in every version.
//!
//! FNV-1a over the bytes, then the finaliser of splitmix64. FNV alone leaves the last bytes in the low bits, and tables look at
//! the high ones. It is ten lines whose results are published, so nothing can change it under us, as an update of a package
//! could; keys are short (addresses, cookies), where it costs about a nanosecond a byte. It is not keyed: whoever chooses
//! his keys can choose his server, which a client of a published hash always could.

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Hashes a text that comes in pieces, however it is cut.
#[derive(Debug, Clone)]
pub struct StableHasher(u64);

impl StableHasher {
    /// Of no bytes yet.
    pub fn new() -> StableHasher {
        StableHasher(OFFSET)
    }

    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    }

    /// The hash of all bytes so far.
    pub fn finish(&self) -> u64 {
        mix(self.0)
    }
}

impl Default for StableHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// The hash of these bytes.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = StableHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Every bit of the result depends on every bit of `x`; different numbers stay different.
#[inline]
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These never change: processes of different versions must agree.
    #[test]
    fn the_hash_is_the_published_one() {
        // FNV-1a's own test vectors, before the finaliser.
        for (text, hash) in [("", OFFSET), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)] {
            let mut hasher = StableHasher::new();
            hasher.write(text.as_bytes());
            assert_eq!(hasher.0, hash, "{text}");
        }
        // splitmix64's first output for the seed 0 is its finaliser over the golden ratio.
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
        assert_eq!(stable_hash(b"a"), mix(0xaf63_dc4c_8601_ec8c));
    }

    #[test]
    fn pieces_hash_as_the_whole() {
        let text = b"192.0.2.1/path?query";
        for cut in 0..=text.len() {
            let mut hasher = StableHasher::new();
            hasher.write(&text[..cut]);
            hasher.write(b"");
            hasher.write(&text[cut..]);
            assert_eq!(hasher.finish(), stable_hash(text));
        }
    }

    #[test]
    fn one_bit_of_a_key_changes_half_of_the_hash() {
        for at in 0..8 * 15 {
            let mut changed = 0;
            for n in 0..64u32 {
                let mut key = format!("client 10.0.{n:03}.").into_bytes();
                let hash = stable_hash(&key);
                key[at / 8] ^= 1 << (at % 8);
                changed += (hash ^ stable_hash(&key)).count_ones();
            }
            assert!((28 * 64..36 * 64).contains(&changed), "bit {at}: {changed} of 4096");
        }
    }
}
