//! One timer wheel per worker: 512 slots of one tick (64 ms).
//!
//! A deadline fires within one tick after it. Moving a deadline later is one store (the entry stays in its old slot and is
//! put back when that slot comes round), because almost every deadline of a proxy is moved before it fires.

use super::memory::shrink;
use crate::limits::TICK;
use slab::Slab;
use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

const SLOTS: u64 = 512;
const NEVER: u64 = u64::MAX;

struct Entry {
    /// Milliseconds; `NEVER` while nothing is due.
    deadline: u64,
    /// The tick whose slot holds this entry; `NEVER` if none does. References in other slots are stale.
    tick: u64,
    waker: Option<Waker>,
}

struct Wheel {
    slots: Vec<Vec<u32>>,
    /// One bit per slot: not empty.
    occupied: [u64; (SLOTS / 64) as usize],
    entries: Slab<Entry>,
    /// The tick up to which all is done.
    done: u64,
    now: u64,
}

impl Wheel {
    fn insert(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        // Rounded up, so that it is due when its slot comes; beyond the horizon it is put back from the last slot.
        let tick = entry.deadline.div_ceil(TICK).clamp(self.done + 1, self.done + SLOTS - 1);
        if entry.tick <= tick {
            return; // it comes round in time anyway
        }
        entry.tick = tick;
        let slot = (tick % SLOTS) as usize;
        self.slots[slot].push(key as u32);
        self.occupied[slot / 64] |= 1 << (slot % 64);
    }

    fn expire(&mut self, now: u64) {
        self.now = now;
        let current = now / TICK;
        let mut due = Vec::new();
        while self.done < current {
            // After a long sleep every slot is visited once at most.
            self.done = (self.done + 1).max(current.saturating_sub(SLOTS - 1));
            let slot = (self.done % SLOTS) as usize;
            if self.occupied[slot / 64] & (1 << (slot % 64)) == 0 {
                continue;
            }
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            std::mem::swap(&mut due, &mut self.slots[slot]);
            for key in due.drain(..) {
                let Some(entry) = self.entries.get_mut(key as usize) else { continue };
                if entry.tick > self.done {
                    continue; // stale: it lives in a later slot (or in none)
                }
                entry.tick = NEVER;
                if entry.deadline <= now {
                    entry.deadline = entry.deadline.min(now);
                    if let Some(waker) = entry.waker.take() {
                        waker.wake();
                    }
                } else if entry.deadline != NEVER {
                    self.insert(key as usize);
                }
            }
            // Keep the slot's memory for its next round unless it was put to use meanwhile.
            if self.slots[slot].capacity() == 0 {
                std::mem::swap(&mut due, &mut self.slots[slot]);
            }
        }
    }

    fn next(&self) -> Option<u64> {
        let start = self.done + 1;
        let first = (start % SLOTS) as usize;
        // At most nine words: the first from `first` on, then round.
        for step in 0..=(SLOTS / 64) as usize {
            let word = (first / 64 + step) % (SLOTS / 64) as usize;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= !0 << (first % 64);
            }
            if bits != 0 {
                let slot = (word * 64) as u64 + u64::from(bits.trailing_zeros());
                let distance = (slot + SLOTS - start % SLOTS) % SLOTS;
                return Some((start + distance) * TICK);
            }
        }
        None
    }
}

/// The timers of one worker.
#[derive(Clone)]
pub struct Timers(Rc<RefCell<Wheel>>);

impl Timers {
    /// An empty wheel at `now` milliseconds.
    pub fn new(now: u64) -> Self {
        Self(Rc::new(RefCell::new(Wheel {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; (SLOTS / 64) as usize],
            entries: Slab::new(),
            done: now / TICK,
            now,
        })))
    }

    /// A timer with no deadline.
    pub fn timer(&self) -> Timer {
        let key = self.0.borrow_mut().entries.insert(Entry { deadline: NEVER, tick: NEVER, waker: None });
        Timer { wheel: self.0.clone(), key }
    }

    /// Wakes whoever is due at `now` milliseconds.
    pub fn expire(&self, now: u64) {
        self.0.borrow_mut().expire(now);
    }

    /// When the loop must turn next, in milliseconds of the same clock. It may find nothing due then (lazy entries).
    pub fn next(&self) -> Option<u64> {
        self.0.borrow().next()
    }

    /// Frees memory that a crowd once needed.
    pub(super) fn shrink(&self) {
        let mut wheel = self.0.borrow_mut();
        shrink(&mut wheel.entries);
        wheel.slots.iter_mut().for_each(Vec::shrink_to_fit);
    }

    /// Timers alive.
    pub fn len(&self) -> usize {
        self.0.borrow().entries.len()
    }

    /// No timer is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

/// One deadline of one task, reused for all that the task waits for in turn.
pub struct Timer {
    wheel: Rc<RefCell<Wheel>>,
    key: usize,
}

impl Timer {
    /// Sets the deadline `ms` milliseconds from now.
    pub fn set(&self, ms: u64) {
        let mut wheel = self.wheel.borrow_mut();
        let deadline = wheel.now.saturating_add(ms).min(NEVER - TICK);
        wheel.entries[self.key].deadline = deadline;
        wheel.insert(self.key);
    }

    /// Nothing is due any more.
    pub fn clear(&self) {
        self.wheel.borrow_mut().entries[self.key].deadline = NEVER;
    }

    /// The deadline has passed.
    pub fn expired(&self) -> bool {
        let wheel = self.wheel.borrow();
        wheel.entries[self.key].deadline <= wheel.now
    }

    /// Ready when the deadline has passed; else `waker` is called then.
    pub fn poll_expired(&self, waker: &Waker) -> bool {
        let mut wheel = self.wheel.borrow_mut();
        let now = wheel.now;
        let entry = &mut wheel.entries[self.key];
        if entry.deadline <= now {
            return true;
        }
        if !entry.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
            entry.waker = Some(waker.clone());
        }
        false
    }

    /// Runs `future` for at most `ms` milliseconds from now. The deadline is set only if it is not ready at once.
    pub async fn within<T>(&self, ms: u64, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        let mut set = false;
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => {
                if !std::mem::replace(&mut set, true) {
                    self.set(ms);
                }
                if self.poll_expired(cx.waker()) { Poll::Ready(Err(Elapsed)) } else { Poll::Pending }
            }
        })
        .await
    }

    /// Runs `future` until the deadline set before.
    pub async fn before_deadline<T>(&self, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending if self.poll_expired(cx.waker()) => Poll::Ready(Err(Elapsed)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Ready `ms` milliseconds from now.
    pub async fn sleep(&self, ms: u64) {
        let _ = self.within(ms, std::future::pending::<()>()).await;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // A reference left in a slot finds another entry or none: `expire` compares ticks, so it does no harm.
        self.wheel.borrow_mut().entries.remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Wake;

    struct Count(AtomicU64);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs the wheel only when it asks for it, and returns the time at which the timer fired.
    fn fire_time(timers: &Timers, timer: &Timer, until: u64) -> Option<u64> {
        let count = Arc::new(Count(AtomicU64::new(0)));
        assert!(!timer.poll_expired(&count.clone().into()));
        loop {
            let now = timers.next()?;
            if now > until {
                return None;
            }
            timers.expire(now);
            if count.0.load(Ordering::Relaxed) > 0 {
                assert!(timer.expired());
                return Some(now);
            }
        }
    }

    #[test]
    fn a_deadline_fires_within_one_tick() {
        for start in [0, 1, 63, 64, 1_000_003] {
            for ms in [1, 10, 63, 64, 65, 100, 1000, 32_703, 32_768, 40_000, 100_000, 3_600_000] {
                let timers = Timers::new(start);
                let timer = timers.timer();
                timer.set(ms);
                let fired = fire_time(&timers, &timer, u64::MAX).expect("fires");
                assert!(fired >= start + ms && fired <= start + ms + TICK, "start {start}, {ms} ms: fired at {fired}");
            }
        }
    }

    #[test]
    fn deadlines_move_both_ways_and_clear() {
        let timers = Timers::new(0);
        let timer = timers.timer();
        timer.set(5000);
        timer.set(100); // earlier: must not wait for the old slot
        assert!(fire_time(&timers, &timer, 1_000_000).unwrap() <= 100 + TICK);
        timer.set(100);
        timer.set(5000); // later: the old slot puts it back
        let now = timers.0.borrow().now;
        let fired = fire_time(&timers, &timer, 1_000_000).unwrap();
        assert!(fired >= now + 5000 && fired <= now + 5000 + TICK);
        timer.set(100);
        timer.clear();
        assert_eq!(fire_time(&timers, &timer, 1_000_000), None);
    }

    #[test]
    fn random_sets_agree_with_a_list() {
        let mut seed = 42u64;
        let mut random = move |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        let timers = Timers::new(12_345);
        let mut alive: Vec<(Timer, Arc<Count>, u64)> = Vec::new();
        let mut now = 12_345;
        for _ in 0..if cfg!(miri) { 300 } else { 20_000 } {
            match random(4) {
                0 if alive.len() < 50 => {
                    let (timer, count) = (timers.timer(), Arc::new(Count(AtomicU64::new(0))));
                    let ms = random(60_000);
                    timer.set(ms + 1);
                    timer.poll_expired(&count.clone().into());
                    alive.push((timer, count, now + ms + 1));
                }
                1 if !alive.is_empty() => {
                    let i = random(alive.len() as u64) as usize;
                    let ms = random(3000);
                    alive[i].0.set(ms + 1);
                    alive[i].0.poll_expired(&alive[i].1.clone().into());
                    alive[i].2 = now + ms + 1;
                }
                2 if !alive.is_empty() => drop(alive.swap_remove(random(alive.len() as u64) as usize)),
                _ => {
                    now += random(500);
                    timers.expire(now);
                    alive.retain(|(timer, count, deadline)| {
                        let fired = count.0.load(Ordering::Relaxed) > 0;
                        assert!(!fired || *deadline <= now, "fired early");
                        assert!(fired || now < *deadline + TICK, "late: due {deadline}, now {now}");
                        assert_eq!(timer.expired(), *deadline <= now);
                        !fired
                    });
                }
            }
        }
        assert_eq!(timers.len(), alive.len());
    }

    #[test]
    fn a_long_sleep_misses_nobody() {
        let timers = Timers::new(0);
        let count = Arc::new(Count(AtomicU64::new(0)));
        let all: Vec<Timer> = (1..100)
            .map(|i| {
                let timer = timers.timer();
                timer.set(i * 777);
                timer.poll_expired(&count.clone().into());
                timer
            })
            .collect();
        timers.expire(10_000_000);
        assert_eq!(count.0.load(Ordering::Relaxed), all.len() as u64);
    }
}
