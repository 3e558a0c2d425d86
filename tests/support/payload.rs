//! Bytes that anyone can make again from a seed, and their SHA-256: what went in is what must come out.

use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// A stream of known bytes. Reading it in other pieces gives the same bytes.
#[derive(Debug, Clone)]
pub struct Payload {
    state: u64,
    word: [u8; 8],
    used: usize,
    left: u64,
}

impl Payload {
    /// `length` bytes from `seed`.
    pub fn new(seed: u64, length: u64) -> Payload {
        Payload { state: seed, word: [0; 8], used: 8, left: length }
    }

    /// All of them at once.
    pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        Payload::new(seed, length as u64).read_to_end(&mut bytes).expect("a payload never fails");
        bytes
    }

    /// The SHA-256 of those bytes, in hexadecimal.
    pub fn sha256(seed: u64, length: u64) -> String {
        let mut sum = Sum::default();
        let mut payload = Payload::new(seed, length);
        let mut piece = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = payload.read(&mut piece) {
            sum.add(&piece[..count]);
        }
        sum.hex()
    }

    /// splitmix64: short, and every seed gives another stream.
    fn next_word(&mut self) -> [u8; 8] {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

impl Read for Payload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let mut out = &mut buffer[..count];
        while !out.is_empty() {
            if self.used == 8 {
                self.word = self.next_word();
                self.used = 0;
            }
            let piece = out.len().min(8 - self.used);
            out[..piece].copy_from_slice(&self.word[self.used..self.used + piece]);
            self.used += piece;
            out = &mut out[piece..];
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// A running SHA-256 that counts its bytes.
#[derive(Default, Clone)]
pub struct Sum {
    hasher: Sha256,
    pub length: u64,
}

impl Sum {
    /// Takes more bytes in.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// The sum so far, in hexadecimal.
    pub fn hex(&self) -> String {
        self.hasher.clone().finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}
