//! Smooth weighted round robin whose cycle all workers share.
//!
//! The order is nginx's: each step adds every server's weight to its credit, the largest credit is picked and pays the sum of
//! the weights; 5/1/1 gives a a b a c a a. It is worked out once for a whole cycle; after that a pick is one *ticket*, the
//! number of a place in the endless repetition of the cycle.
//!
//! Tickets come from one shared counter. A quiet worker draws them one by one, so that a person with curl sees strict
//! alternation whatever worker each connection lands on. A busy worker (`limits::TICKETS_BUSY` picks within
//! `limits::TICKETS_EXPIRE`) draws growing blocks, so that the shared counter is written once for up to 64 requests. What is left
//! of a block when it is busy no more goes back if nobody has drawn since, or else is thrown away. When servers come or go, the
//! cycle is another one, and the tickets go on.

use super::{ServerIndex, Tried};
use crate::limits::{CYCLE_MAX, TICKETS_BUSY, TICKETS_EXPIRE, TICKETS_MAX, TICKETS_SKIPPED_MAX};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The next ticket, which all workers share, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Ticket {
    next: AtomicU64,
    #[cfg(test)]
    pub(super) draws: AtomicU64,
}

impl Ticket {
    fn draw(&self, count: u64) -> Range<u64> {
        #[cfg(test)]
        self.draws.fetch_add(1, Relaxed);
        let start = self.next.fetch_add(count, Relaxed);
        start..start.wrapping_add(count)
    }

    /// Takes unused tickets back if they are still the last ones drawn.
    fn take_back(&self, unused: Range<u64>) {
        let _ = self.next.compare_exchange(unused.end, unused.start, Relaxed, Relaxed);
    }
}

/// What one worker keeps.
#[derive(Debug)]
pub(super) struct RoundRobin {
    /// Tickets drawn and not used yet.
    block: Range<u64>,
    /// Size of the last block.
    drawn: u64,
    /// When the last picks were, a ring: `recent[picks % TICKETS_BUSY]` is the oldest.
    recent: [u64; TICKETS_BUSY],
    picks: usize,
}

impl RoundRobin {
    pub(super) fn new() -> RoundRobin {
        RoundRobin { block: 0..0, drawn: 1, recent: [0; TICKETS_BUSY], picks: 0 }
    }

    /// The server on the next ticket for `cycle` that was not tried.
    pub(super) fn pick(&mut self, shared: &Ticket, cycle: &[u16], tried: &Tried, now_ms: u64) -> Option<ServerIndex> {
        let server = |ticket: u64| usize::from(cycle[(ticket % cycle.len() as u64) as usize]);
        match cycle {
            [] => return None,
            [only] => return Some(usize::from(*only)).filter(|&only| !tried.contains(only)),
            _ => {}
        }
        let busy = self.note_pick(now_ms);
        if !busy {
            self.calm_down(shared);
        }
        let mut ticket = self.next_ticket(shared, busy);
        for _ in 1..cycle.len().min(TICKETS_SKIPPED_MAX) {
            if !tried.contains(server(ticket)) {
                break;
            }
            // The next ticket is taken, not looked at: were it left for the next request, a dead server's whole share
            // would fall to the one behind it.
            ticket = self.next_ticket(shared, busy);
        }
        // Rarely more than one step: only when most of the cycle was tried.
        let place = (ticket % cycle.len() as u64) as usize;
        let ahead = cycle[place..].iter().chain(&cycle[..place]);
        ahead.map(|&server| usize::from(server)).find(|&server| !tried.contains(server))
    }

    /// Notes a pick at `now_ms`; true if enough others came just before it.
    fn note_pick(&mut self, now_ms: u64) -> bool {
        let oldest = &mut self.recent[self.picks % TICKETS_BUSY];
        let busy = self.picks >= TICKETS_BUSY && now_ms.saturating_sub(*oldest) < TICKETS_EXPIRE;
        *oldest = now_ms;
        self.picks += 1;
        busy
    }

    fn calm_down(&mut self, shared: &Ticket) {
        if !self.block.is_empty() {
            shared.take_back(self.block.clone());
        }
        self.block = 0..0;
        self.drawn = 1;
    }

    fn next_ticket(&mut self, shared: &Ticket, busy: bool) -> u64 {
        if self.block.is_empty() {
            self.drawn = if busy { (self.drawn * 2).min(TICKETS_MAX) } else { 1 };
            self.block = shared.draw(self.drawn);
        }
        let ticket = self.block.start;
        self.block.start += 1;
        ticket
    }
}

/// One cycle of nginx's smooth weighted order; servers of weight 0 are not in it. Weights are reduced by their greatest common
/// divisor first.
pub(super) fn cycle(weights: &[u32]) -> Box<[u16]> {
    let weights = reduced(weights);
    let sum: i64 = weights.iter().sum();
    let mut credits = vec![0i64; weights.len()];
    let mut cycle = Vec::with_capacity(sum as usize);
    for _ in 0..sum {
        let mut best = 0;
        for server in 0..weights.len() {
            credits[server] += weights[server];
            if credits[server] > credits[best] {
                best = server;
            }
        }
        credits[best] -= sum;
        cycle.push(best as u16);
    }
    cycle.into()
}

/// The weights in their smallest whole numbers, scaled down where the cycle would be longer than `CYCLE_MAX`.
fn reduced(weights: &[u32]) -> Vec<i64> {
    let divisor = weights.iter().fold(0, |a, &b| gcd(a, b)).max(1);
    let mut reduced: Vec<i64> = weights.iter().map(|&w| i64::from(w / divisor)).collect();
    let sum: i64 = reduced.iter().sum();
    if sum > CYCLE_MAX as i64 {
        // Every server keeps one place; the others are shared out by weight, rounded down.
        let places = (CYCLE_MAX - weights.len()) as i64;
        reduced.iter_mut().filter(|w| **w > 0).for_each(|w| *w = 1 + *w * places / sum);
    }
    reduced
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
