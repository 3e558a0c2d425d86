//! nginx's leaky bucket: requests drip out at a rate, some more may stand in the bucket, and what would overflow is refused.

use super::table::Shards;
use crate::limits::LIMIT_IDLE;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The bucket of one key.
#[derive(Debug)]
struct Bucket {
    /// Requests that stand in it, in thousandths.
    excess: u64,
    /// When that was so, in milliseconds.
    last: u64,
}

impl Bucket {
    /// What has not dripped out by `now`, and the milliseconds since the last look. Clocks of several cores may be a turn apart.
    fn left(&self, rate: u64, now: u64) -> (u64, u64) {
        let ms = now.saturating_sub(self.last);
        (self.excess.saturating_sub(rate.saturating_mul(ms) / 1000), ms)
    }

    /// What stands in it with one request more.
    fn with_one_more(&self, rate: u64, now: u64) -> (u64, u64) {
        let ms = now.saturating_sub(self.last);
        ((self.excess + 1000).saturating_sub(rate.saturating_mul(ms) / 1000), ms)
    }
}

/// The buckets of a `limit_req_zone`.
#[derive(Debug)]
pub struct ReqZone {
    /// Locks of several zones are taken in this order.
    id: u64,
    buckets: Shards<Bucket>,
}

impl ReqZone {
    /// A zone of at most so many bytes.
    pub fn new(bytes: u64) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        Self { id: IDS.fetch_add(1, Relaxed), buckets: Shards::new(bytes) }
    }

    /// How many keys are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.buckets.len()
    }
}

/// What one `limit_req` is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Each zone at most once in a list; a second time it is not looked at.
    pub zone: &'a ReqZone,
    /// The text of the zone's key, not empty.
    pub key: &'a [u8],
    /// Requests in 1,000 seconds, at least one.
    pub rate: u64,
    /// Requests beyond the rate.
    pub burst: u32,
    /// So many of them at once.
    pub delay: u32,
}

/// What limits say to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Passed,
    /// After this time.
    Delayed {
        /// Milliseconds.
        ms: u64,
        /// By which of the limits that were asked.
        by: usize,
        /// Requests in its bucket, in thousandths.
        excess: u64,
    },
    /// Not at all.
    Refused {
        /// By which.
        by: usize,
        /// Requests that would be in its bucket, in thousandths; `None`: the zone has no room for the key.
        excess: Option<u64>,
    },
}

/// Asks all limits of a request at `now` (milliseconds of a clock that all threads share). The request is counted by all of them, or by none.
pub fn ask(asks: &[Ask], now: u64) -> Verdict {
    // One order for all threads, or two could wait for one another.
    let mut order: Vec<usize> = (0..asks.len()).collect();
    order.sort_by_key(|&nth| asks[nth].zone.id);
    order.dedup_by_key(|nth| asks[*nth].zone.id);
    let lock = |nth: usize| {
        let Ask { zone, key, .. } = asks[nth];
        let hash = zone.buckets.hash(key);
        (nth, hash, zone.buckets.part(hash), None)
    };
    let mut held: Vec<_> = order.into_iter().map(lock).collect();
    held.sort_by_key(|(nth, ..)| *nth);
    for (nth, hash, table, found) in &mut held {
        let Ask { key, rate, burst, .. } = asks[*nth];
        *found = table.find(*hash, key);
        let Some(id) = *found else { continue };
        table.touch(id);
        let (excess, _) = table.value(id).with_one_more(rate, now);
        if excess > u64::from(burst) * 1000 {
            return Verdict::Refused { by: *nth, excess: Some(excess) };
        }
    }
    for (nth, hash, table, _) in held.iter_mut().filter(|(.., found)| found.is_none()) {
        let Ask { key, rate, .. } = asks[*nth];
        forget_idle(table, rate, now, 2);
        if !table.has_room_for(key) {
            return Verdict::Refused { by: *nth, excess: None };
        }
        while table.insert(*hash, key, Bucket { excess: 0, last: now }).is_none() {
            // nginx: when a zone is full, those that were silent for the longest time are forgotten.
            let Some(oldest) = table.oldest() else { return Verdict::Refused { by: *nth, excess: None } };
            table.remove(oldest);
        }
    }
    let mut verdict = Verdict::Passed;
    let mut longest = 0;
    for (nth, _, table, found) in &mut held {
        let (nth, Ask { rate, delay, .. }) = (*nth, asks[*nth]);
        let Some(id) = *found else { continue }; // the first of its key stands in no bucket
        let bucket = table.value(id);
        let (excess, ms) = bucket.with_one_more(rate, now);
        bucket.excess = excess;
        if ms > 0 {
            bucket.last = now;
        }
        let waits = excess.saturating_sub(u64::from(delay) * 1000).saturating_mul(1000) / rate.max(1);
        if waits > longest {
            longest = waits;
            verdict = Verdict::Delayed { ms: waits, by: nth, excess };
        }
    }
    verdict
}

/// Drops up to `most` of the oldest buckets that have run empty long ago.
fn forget_idle(table: &mut super::table::Table<Bucket>, rate: u64, now: u64, most: usize) {
    for _ in 0..most {
        let Some(oldest) = table.oldest() else { return };
        let (left, ms) = table.value(oldest).left(rate, now);
        if ms < LIMIT_IDLE || left > 0 {
            return;
        }
        table.remove(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LIMIT_ENTRY_BYTES;
    use std::sync::atomic::AtomicU32;

    const MIB: u64 = 1 << 20;

    fn one(zone: &ReqZone, key: &str, rate: u64, burst: u32, delay: u32, now: u64) -> Verdict {
        ask(&[Ask { zone, key: key.as_bytes(), rate, burst, delay }], now)
    }

    fn refused(excess: u64) -> Verdict {
        Verdict::Refused { by: 0, excess: Some(excess) }
    }

    fn delayed(ms: u64, excess: u64) -> Verdict {
        Verdict::Delayed { ms, by: 0, excess }
    }

    /// The numbers are nginx's, by its own arithmetic.
    #[test]
    fn one_bucket_leaks_as_nginx_s_does() {
        use Verdict::Passed;
        // Rate in 1/1000 per second, burst, delay; then time and verdict.
        type Row = (u64, u32, u32, Vec<(u64, Verdict)>);
        let rows: [Row; 8] = [
            // 10r/s without burst: one in 100 ms, and a refusal moves nothing.
            (
                10_000,
                0,
                0,
                vec![
                    (0, Passed),
                    (0, refused(1000)),
                    (50, refused(500)),
                    (99, refused(10)),
                    (100, Passed),
                    (199, refused(10)),
                    (200, Passed),
                ],
            ),
            // burst=2: they wait for their turn.
            (
                10_000,
                2,
                0,
                vec![
                    (0, Passed),
                    (0, delayed(100, 1000)),
                    (0, delayed(200, 2000)),
                    (0, refused(3000)),
                    (100, delayed(200, 2000)),
                    (100, refused(3000)),
                ],
            ),
            // burst=2 nodelay.
            (
                10_000,
                2,
                2,
                vec![
                    (0, Passed),
                    (0, Passed),
                    (0, Passed),
                    (0, refused(3000)),
                    (100, Passed),
                    (100, refused(3000)),
                    (400, Passed),
                    (400, Passed),
                ],
            ),
            // burst=3 delay=1.
            (
                10_000,
                3,
                1,
                vec![(0, Passed), (0, Passed), (0, delayed(100, 2000)), (0, delayed(200, 3000)), (0, refused(4000))],
            ),
            // nodelay as a number that is larger than any burst.
            (
                1_000,
                1,
                u32::MAX,
                vec![(0, Passed), (0, Passed), (0, refused(2000)), (999, refused(1001)), (1000, Passed)],
            ),
            // 1r/m is 16 in 1,000 seconds: after one minute it is not yet all gone.
            (16, 0, 0, vec![(0, Passed), (60_000, refused(40)), (62_500, Passed)]),
            // A clock that goes back: nothing drips, nothing is given.
            (
                1_000,
                1,
                1,
                vec![(5000, Passed), (4000, Passed), (4500, refused(2000)), (5000, refused(2000)), (6000, Passed)],
            ),
            // Long silence.
            (1_000, 0, 0, vec![(0, Passed), (u64::MAX / 2, Passed), (u64::MAX / 2, refused(1000))]),
        ];
        for (row, (rate, burst, delay, steps)) in rows.into_iter().enumerate() {
            let zone = ReqZone::new(MIB);
            for (nth, (now, wanted)) in steps.into_iter().enumerate() {
                assert_eq!(one(&zone, "k", rate, burst, delay, now), wanted, "row {row}, step {nth}");
                assert_eq!(one(&zone, &format!("{nth}"), rate, burst, delay, now), Passed, "other keys count apart");
            }
        }
    }

    #[test]
    fn several_limits_admit_together_or_not_at_all() {
        let (first, second) = (ReqZone::new(MIB), ReqZone::new(MIB));
        let asks = |key: &'static str| {
            [
                Ask { zone: &first, key: b"all", rate: 1_000, burst: 9, delay: 9 },
                Ask { zone: &second, key: key.as_bytes(), rate: 2_000, burst: 1, delay: 0 },
            ]
        };
        assert_eq!(ask(&asks("a"), 0), Verdict::Passed);
        assert_eq!(ask(&asks("a"), 0), Verdict::Delayed { ms: 500, by: 1, excess: 1000 });
        for _ in 0..20 {
            assert_eq!(ask(&asks("a"), 0), Verdict::Refused { by: 1, excess: Some(2000) });
        }
        // What the second refused did not count at the first.
        for key in ["b", "c", "d", "e", "f", "g", "h", "i"] {
            assert_eq!(ask(&asks(key), 0), Verdict::Passed, "{key}");
        }
        assert_eq!(ask(&asks("z"), 0), Verdict::Refused { by: 0, excess: Some(10_000) });
        // The longest delay counts, whichever has it.
        let slow = |delay| Ask { zone: &first, key: b"slow", rate: 100, burst: 9, delay };
        let fast = |delay| Ask { zone: &second, key: b"fast", rate: 1_000, burst: 9, delay };
        assert_eq!(ask(&[slow(0), fast(0)], 0), Verdict::Passed);
        assert_eq!(ask(&[slow(0), fast(0)], 0), Verdict::Delayed { ms: 10_000, by: 0, excess: 1000 });
        assert_eq!(ask(&[slow(2), fast(0)], 0), Verdict::Delayed { ms: 2_000, by: 1, excess: 2000 });
        assert_eq!(ask(&[slow(9), fast(9)], 0), Verdict::Passed);
        // The same zone twice: the first counts.
        assert_eq!(ask(&[slow(9), slow(0)], 0), Verdict::Passed);
        assert_eq!(ask(&[], 0), Verdict::Passed);
    }

    #[test]
    fn a_full_zone_forgets_the_oldest() {
        let room_for = 10;
        let zone = ReqZone::new(room_for * (LIMIT_ENTRY_BYTES + 2));
        let key = |nth: u64| format!("{nth:02}");
        for nth in 0..10 {
            assert_eq!(one(&zone, &key(nth), 1_000, 0, 0, 0), Verdict::Passed);
        }
        assert_eq!(one(&zone, &key(0), 1_000, 0, 0, 0), refused(1000), "known, and the newest now");
        assert_eq!(one(&zone, &key(10), 1_000, 0, 0, 0), Verdict::Passed);
        assert_eq!(zone.len(), 10);
        assert_eq!(one(&zone, &key(1), 1_000, 0, 0, 0), Verdict::Passed, "forgotten");
        assert_eq!(one(&zone, &key(0), 1_000, 0, 0, 0), refused(1000));
        // A key for which several must go, and one for which there is never room.
        assert_eq!(one(&zone, &"x".repeat(500), 1_000, 0, 0, 0), Verdict::Passed);
        assert!(zone.len() < 8, "{}", zone.len());
        let too_long = "x".repeat(2000);
        assert_eq!(one(&zone, &too_long, 1_000, 0, 0, 0), Verdict::Refused { by: 0, excess: None });
        assert!(zone.len() > 3, "nobody had to go for it");
        assert_eq!(one(&ReqZone::new(0), "a", 1_000, 9, 9, 0), Verdict::Refused { by: 0, excess: None });
    }

    #[test]
    fn idle_buckets_go_when_others_come() {
        let zone = ReqZone::new(MIB);
        for nth in 0..10 {
            one(&zone, &format!("{nth}"), 1_000, 0, 0, 0);
        }
        one(&zone, "a", 1_000, 0, 0, LIMIT_IDLE - 1);
        assert_eq!(zone.len(), 11);
        one(&zone, "b", 1_000, 0, 0, LIMIT_IDLE);
        assert_eq!(zone.len(), 10, "two went");
        // One that is not empty yet stays, and those behind it.
        let slow = ReqZone::new(MIB);
        for _ in 0..3 {
            one(&slow, "slow", 1, 9, 9, 0);
        }
        one(&slow, "a", 1, 9, 9, LIMIT_IDLE);
        assert_eq!(slow.len(), 2);
    }

    /// The clock stands still: whatever the threads do, exactly one and the burst are admitted.
    #[test]
    fn threads_get_exactly_what_there_is() {
        let (threads, asked) = if cfg!(miri) { (2, 20) } else { (8, 20_000) };
        let (zone, other) = (ReqZone::new(10 * MIB), ReqZone::new(10 * MIB));
        let admitted = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (zone, other, admitted) = (&zone, &other, &admitted);
                scope.spawn(move || {
                    for nth in 0..asked {
                        let many = format!("{thread} {nth}");
                        let hot = Ask { zone, key: b"hot", rate: 1_000, burst: 999, delay: 999 };
                        let own = Ask { zone: other, key: many.as_bytes(), rate: 1_000, burst: 0, delay: 0 };
                        // In both orders: nobody waits for ever.
                        let asks = if thread % 2 == 0 { [hot, own] } else { [own, hot] };
                        if ask(&asks, 5) == Verdict::Passed {
                            admitted.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        let wanted = if cfg!(miri) { 40 } else { 1000 };
        assert_eq!(admitted.into_inner(), wanted);
    }

    /// A clock that all threads move together: over 10 s at 100r/s it is 1,000 and the first one, and not one more.
    #[test]
    fn threads_get_the_rate_over_time() {
        let threads = if cfg!(miri) { 2 } else { 8 };
        let end = if cfg!(miri) { 100 } else { 10_000 };
        let (zone, now, admitted) = (ReqZone::new(MIB), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    // Every millisecond is asked at least once by whoever moved to it.
                    loop {
                        let at = now.fetch_add(1, Relaxed);
                        if at > end {
                            return;
                        }
                        if one(&zone, "k", 100_000, 0, 0, at) == Verdict::Passed {
                            admitted.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        let admitted = admitted.into_inner();
        // Threads that come late with an old time are refused: fewer may be admitted, more never.
        assert!(admitted <= end / 10 + 1 && admitted > end / 20, "{admitted}");
    }
}
