//! How fast a server answers: the peak-sensitive moving average of Finagle, with what its users learned.
//!
//! A slower answer raises the value at once, faster ones bring it down with the time constant `limits::LATENCY_TIME`. The pitfall is
//! a server that was unlucky: nobody asks it any more, so its value stays, so nobody asks it (Traefik's #12306: 5 of 1,500
//! requests for one of five equal servers). Five things keep that away:
//!
//! - silence of a server without requests lets its value fall as quick answers would, down to that of an unknown one;
//! - of a server's first answers the fastest counts, since they pay for connections and cold caches;
//! - one slow answer raises the value to a multiple at most (`limits::LATENCY_RAISE_MAX`);
//! - values are compared through a blur, so that noise among equals is no order among them;
//! - a server that is unknown and idle wins, and one that has requests and is silent counts as slow as its silence is long:
//!   nothing more goes to it until it answers. So it is asked, by one request at a time.

use crate::limits::{LATENCY_RAISE_MAX, LATENCY_TIME, LATENCY_WARM_UP};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// One server's response time as one worker sees it. That worker writes it (loads and stores, no locked instruction), others read it.
/// A reader may see a new value with an old time or the other way round, which makes one comparison a little wrong.
#[derive(Debug, Default)]
pub struct Latency {
    /// Microseconds, the bits of an f64: with a sample each millisecond, steps are far below one.
    value: AtomicU64,
    /// When the last answer came, in milliseconds.
    heard_ms: AtomicU64,
    /// Answers so far; counts up to `LATENCY_WARM_UP`.
    samples: AtomicU32,
}

impl Latency {
    /// Of a server that has not answered yet.
    pub fn new() -> Latency {
        Latency::default()
    }

    /// An answer came at `now_ms` (the worker's clock) after so many microseconds. Only the one writer may call it.
    pub fn observe(&self, now_ms: u64, microseconds: u64) {
        let (sample, seen) = (microseconds as f64, self.read());
        let value = match seen.samples {
            0 => sample,
            1..LATENCY_WARM_UP => seen.value.min(sample),
            _ if sample >= seen.value => sample.min(seen.value.max(1.0) * f64::from(LATENCY_RAISE_MAX)),
            _ => sample + (seen.value - sample) * kept(now_ms.saturating_sub(seen.heard_ms)),
        };
        self.value.store(value.to_bits(), Relaxed);
        self.heard_ms.store(now_ms, Relaxed);
        self.samples.store((seen.samples + 1).min(LATENCY_WARM_UP), Relaxed);
    }

    /// What is known now.
    pub fn read(&self) -> Reading {
        Reading {
            value: f64::from_bits(self.value.load(Relaxed)),
            heard_ms: self.heard_ms.load(Relaxed),
            samples: self.samples.load(Relaxed),
        }
    }

    /// See [`Reading::score`].
    pub fn score(&self, now_ms: u64, in_flight: u32, blur: u64) -> u64 {
        self.read().score(now_ms, in_flight, blur)
    }
}

/// A response time as read from one worker's cell, or joined from several.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    value: f64,
    heard_ms: u64,
    samples: u32,
}

impl Reading {
    /// Of one server from what all workers know: their mean, each counting less the longer ago it heard.
    pub fn joined(cells: impl IntoIterator<Item = Reading>) -> Reading {
        let (mut sum, mut weights) = (0.0, 0.0);
        let mut all = Reading::default();
        for cell in cells.into_iter().filter(|cell| cell.samples > 0) {
            let (older, newer) = (all.heard_ms.min(cell.heard_ms), all.heard_ms.max(cell.heard_ms));
            let fade = LATENCY_TIME as f64 / (LATENCY_TIME + (newer - older)) as f64;
            // Weights are relative to who heard last.
            let (before, own) = if cell.heard_ms >= all.heard_ms { (fade, 1.0) } else { (1.0, fade) };
            sum = sum * before + cell.value * own;
            weights = weights * before + own;
            all = Reading { value: 0.0, heard_ms: newer, samples: all.samples.saturating_add(cell.samples) };
        }
        if weights > 0.0 {
            all.value = sum / weights;
        }
        all
    }

    /// Whether it is known at all: had it enough answers, the last one not too long ago?
    pub fn is_known(&self, now_ms: u64) -> bool {
        self.samples >= LATENCY_WARM_UP && now_ms.saturating_sub(self.heard_ms) < 4 * LATENCY_TIME
    }

    /// The response time in microseconds for people; `None` while it is not known.
    pub fn microseconds(&self, now_ms: u64) -> Option<u64> {
        self.is_known(now_ms).then_some(self.value as u64)
    }

    /// What one more request would meet, in microseconds times requests: less is better. `in_flight`: those it has, over all workers.
    /// `blur`: a random number, another one for each server and comparison: scores that differ by less than a factor of two
    /// are told apart more often than not, but not always.
    pub fn score(&self, now_ms: u64, in_flight: u32, blur: u64) -> u64 {
        let silence_ms = if self.samples == 0 { 4 * LATENCY_TIME } else { now_ms.saturating_sub(self.heard_ms) };
        let value = match in_flight {
            0 if !self.is_known(now_ms) => 0.0,
            0 => self.value * kept(silence_ms),
            _ => self.value.max(silence_ms as f64 * 1000.0),
        };
        let blur = 1.0 + (blur >> 11) as f64 / (1u64 << 53) as f64;
        (value * (f64::from(in_flight) + 1.0) * blur) as u64
    }
}

/// The part of an old value that is left after so many milliseconds.
fn kept(ms: u64) -> f64 {
    (-(ms as f64) / LATENCY_TIME as f64).exp()
}

#[cfg(test)]
#[path = "ewma_tests.rs"]
mod tests;
