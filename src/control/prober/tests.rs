//! The prober in virtual time, with checks that are made up.

use super::*;
use std::cell::Cell;
use tokio::task::LocalSet;

type Key = usize;
const SECOND: Duration = Duration::from_secs(1);

fn target(key: Key, interval: Duration, jitter: u8) -> Target<Key> {
    let address = Address::Tcp("127.0.0.1:1".parse().unwrap());
    let check =
        HealthCheck { interval, jitter, timeout: 3 * SECOND, ..Target::recovery(0, vec![address.clone()]).check };
    Target { key, addresses: vec![address], check, tls: None }
}

/// What happened, and when since the beginning.
#[derive(Default)]
struct Record {
    begun: RefCell<Vec<(Duration, Key)>>,
    reported: RefCell<Vec<(Duration, Key, Verdict, Duration)>>,
    /// Under way now, by key; a check that is dropped is not any more.
    under_way: RefCell<HashMap<Key, usize>>,
    most: Cell<usize>,
    overlapped: Cell<bool>,
}

struct UnderWay(Rc<Record>, Key);

impl UnderWay {
    fn new(record: &Rc<Record>, key: Key) -> Self {
        let mut map = record.under_way.borrow_mut();
        let count = map.entry(key).or_default();
        *count += 1;
        record.overlapped.set(record.overlapped.get() || *count > 1);
        record.most.set(record.most.get().max(map.values().sum()));
        UnderWay(record.clone(), key)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.0.under_way.borrow_mut().get_mut(&self.1).unwrap() -= 1;
    }
}

impl Record {
    /// When this target's checks began.
    fn times(&self, key: Key) -> Vec<Duration> {
        self.begun.borrow().iter().filter(|(_, of)| *of == key).map(|(at, _)| *at).collect()
    }

    fn count_under_way(&self) -> usize {
        self.under_way.borrow().values().sum()
    }
}

/// A prober whose checks take `takes` (for ever, if `None`) and pass, in a world whose clock jumps to the next event.
fn world(takes: Option<Duration>, then: impl AsyncFnOnce(Rc<Prober<Key>>, Rc<Record>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (record, start) = (Rc::new(Record::default()), Instant::now());
        let ask = {
            let record = record.clone();
            move |target: Rc<Target<Key>>| {
                let record = record.clone();
                async move {
                    record.begun.borrow_mut().push((start.elapsed(), target.key));
                    let _under_way = UnderWay::new(&record, target.key);
                    match takes {
                        Some(time) => tokio::time::sleep(time).await,
                        None => std::future::pending().await,
                    }
                    Ok(())
                }
            }
        };
        let report = {
            let record = record.clone();
            move |key: &Key, verdict, took| record.reported.borrow_mut().push((start.elapsed(), *key, verdict, took))
        };
        then(Rc::new(Prober::with(ask, report, 1)), record).await;
    });
}

#[track_caller]
fn expect_gaps(times: &[Duration], least: Duration, most: Duration) {
    // Timers have a grain of a millisecond.
    let grain = Duration::from_millis(2);
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap + grain >= least && gap <= most + grain, "{gap:?} is not within {least:?} to {most:?}");
    }
}

#[test]
fn a_target_is_checked_once_per_interval_with_jitter() {
    world(Some(Duration::ZERO), async |prober, record| {
        prober.set_targets(vec![target(1, 10 * SECOND, 20), target(2, 10 * SECOND, 0)]);
        let _running = tokio::task::spawn_local(prober.run());
        tokio::time::sleep(1000 * SECOND).await;
        let (times, exact) = (record.times(1), record.times(2));
        assert!(times[0] < 10 * SECOND && exact[0] < 10 * SECOND, "{times:?}");
        assert!(
            (80..=125).contains(&times.len()) && (99..=100).contains(&exact.len()),
            "{} {}",
            times.len(),
            exact.len()
        );
        expect_gaps(&times, 8 * SECOND, 12 * SECOND);
        expect_gaps(&exact, 10 * SECOND, 10 * SECOND);
        // The whole of the jitter is used.
        let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().any(|gap| *gap < 9 * SECOND) && gaps.iter().any(|gap| *gap > 11 * SECOND), "{gaps:?}");
        let reported = record.reported.borrow();
        assert_eq!(reported.len(), times.len() + exact.len());
        assert!(reported.iter().all(|(_, _, verdict, _)| verdict.is_ok()));
    });
}

#[test]
fn a_thousand_targets_are_spread_over_the_interval() {
    world(Some(100 * SECOND / 1000), async |prober, record| {
        prober.set_targets((0..1000).map(|key| target(key, 5 * SECOND, 10)).collect());
        let _running = tokio::task::spawn_local(prober.run());
        tokio::time::sleep(60 * SECOND).await;
        for key in 0..1000 {
            let times = record.times(key);
            assert!(times[0] <= 5 * SECOND && times.len() >= 9, "{key}: {times:?}");
            expect_gaps(&times, 4500 * SECOND / 1000, 5500 * SECOND / 1000);
        }
        // 100 checks are due per half second; so many more would be a herd.
        let mut slots = [0; 119];
        for (at, _) in record.begun.borrow().iter() {
            slots.get_mut((at.as_millis() / 500) as usize).into_iter().for_each(|count| *count += 1);
        }
        assert!(slots.iter().all(|count| (50..=160).contains(count)), "{slots:?}");
        assert!(record.most.get() < CHECKS_AT_ONCE && !record.overlapped.get(), "{}", record.most.get());
    });
}

#[test]
fn no_more_than_so_many_are_under_way_and_all_have_their_turn() {
    world(Some(SECOND), async |prober, record| {
        prober.set_targets((0..1000).map(|key| target(key, SECOND, 0)).collect());
        let _running = tokio::task::spawn_local(prober.run());
        tokio::time::sleep(100 * SECOND).await;
        assert_eq!(record.most.get(), CHECKS_AT_ONCE);
        assert!(!record.overlapped.get());
        // 64 at a time, one second each: a round takes 16 s.
        for key in 0..1000 {
            let times = record.times(key);
            assert!((5..=7).contains(&times.len()), "{key}: {times:?}");
            expect_gaps(&times, 15 * SECOND, 18 * SECOND);
        }
    });
}

#[test]
fn a_check_longer_than_its_interval_is_not_overtaken() {
    world(Some(2500 * SECOND / 1000), async |prober, record| {
        prober.add(target(1, SECOND, 0));
        let _running = tokio::task::spawn_local(prober.run());
        tokio::time::sleep(60 * SECOND).await;
        assert!(!record.overlapped.get());
        let times = record.times(1);
        assert!(times.len() >= 22, "{times:?}");
        expect_gaps(&times, 2500 * SECOND / 1000, 2500 * SECOND / 1000);
    });
}

#[test]
fn a_check_that_hangs_is_ended() {
    world(None, async |prober, record| {
        prober.add(target(1, 10 * SECOND, 0));
        let _running = tokio::task::spawn_local(prober.run());
        tokio::time::sleep(50 * SECOND).await;
        let reported = record.reported.borrow();
        assert!(reported.len() >= 4, "{}", reported.len());
        for (_, _, verdict, took) in reported.iter() {
            assert_eq!(*verdict, Err("no answer within 3 s".to_owned()));
            assert!((3 * SECOND..4 * SECOND).contains(took), "{took:?}");
        }
        expect_gaps(&record.times(1), 10 * SECOND, 10 * SECOND);
    });
}

#[test]
fn replacing_keeps_the_schedule_of_what_stays() {
    world(Some(Duration::from_millis(700)), async |prober, record| {
        prober.set_targets(vec![target(1, 10 * SECOND, 0)]);
        let _running = tokio::task::spawn_local(prober.clone().run());
        // Every 300 ms, so that checks under way are met, too.
        for turn in 0..400 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            prober.set_targets(vec![target(1, 10 * SECOND, 0), target(2 + turn, 100 * SECOND, 0)]);
            prober.add(target(1, 10 * SECOND, 0));
        }
        let times = record.times(1);
        assert!((11..=12).contains(&times.len()), "{times:?}");
        expect_gaps(&times, 10 * SECOND, 10 * SECOND);
        let finished = record.reported.borrow().iter().filter(|(_, key, _, _)| *key == 1).count();
        assert!(finished + 1 >= times.len(), "none was cancelled");
        // Another interval is another schedule, within the new interval.
        let now = *times.last().unwrap();
        prober.set_targets(vec![target(1, SECOND, 0)]);
        tokio::time::sleep(20 * SECOND).await;
        let times = record.times(1);
        let new: Vec<Duration> = times.into_iter().filter(|at| *at > now).collect();
        assert!(new.len() >= 19, "{new:?}");
        expect_gaps(&new, SECOND, SECOND);
    });
}

#[test]
fn a_target_that_goes_takes_its_check_along() {
    world(Some(2 * SECOND), async |prober, record| {
        let _running = tokio::task::spawn_local(prober.clone().run());
        let ways: [&dyn Fn(); 4] = [
            &|| assert!(prober.remove(&1) && !prober.remove(&1)),
            &|| prober.set_targets(vec![]),
            &|| prober.set_targets(vec![target(2, 1_000_000 * SECOND, 0)]),
            &|| prober.add(target(1, 1_000_000 * SECOND, 0)),
        ];
        for remove in ways {
            prober.add(target(1, SECOND, 0));
            while record.count_under_way() == 0 {
                tokio::time::sleep(SECOND / 10).await;
            }
            let before = (record.begun.borrow().len(), record.reported.borrow().len());
            remove();
            // The task is dropped in its next turn, not when it would have ended.
            tokio::time::sleep(SECOND / 1000).await;
            assert_eq!(record.count_under_way(), 0);
            tokio::time::sleep(10 * SECOND).await;
            assert_eq!((record.begun.borrow().len(), record.reported.borrow().len()), before);
        }
    });
}

/// It has ended, but nobody has been told yet.
#[test]
fn a_verdict_of_a_target_that_is_gone_is_not_reported() {
    world(Some(Duration::ZERO), async |prober, record| {
        prober.add(target(1, SECOND, 0));
        let mut running = Box::pin(prober.clone().run());
        // By hand, so that the task ends while the prober has no turn.
        while record.begun.borrow().is_empty() {
            let _ = tokio::time::timeout(SECOND / 100, &mut running).await;
            tokio::task::yield_now().await;
        }
        while record.count_under_way() > 0 {
            tokio::time::sleep(SECOND / 1000).await;
        }
        let reported = record.reported.borrow().len();
        prober.remove(&1);
        let _ = tokio::time::timeout(10 * SECOND, &mut running).await;
        assert_eq!(record.reported.borrow().len(), reported);
    });
}

/// As recovery looks are: each verdict may end or begin others.
#[test]
fn a_report_may_change_the_targets() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (seen, slot) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(None::<Rc<Prober<Key>>>)));
        let report = {
            let (seen, slot) = (seen.clone(), slot.clone());
            move |key: &Key, verdict: Verdict, _| {
                let prober = slot.borrow().clone().unwrap();
                seen.borrow_mut().push(*key);
                if verdict.is_ok() && prober.remove(key) && *key < 5 {
                    prober.add(target(key + 1, SECOND, 0));
                }
            }
        };
        let prober = Rc::new(Prober::with(|_| async { Ok(()) }, report, 1));
        *slot.borrow_mut() = Some(prober.clone());
        prober.add(target(1, SECOND, 0));
        let _ = tokio::time::timeout(60 * SECOND, prober.clone().run()).await;
        assert_eq!(*seen.borrow(), [1, 2, 3, 4, 5]);
        *slot.borrow_mut() = None;
    });
}

#[test]
fn a_panic_in_a_check_is_no_verdict_and_ends_nothing_else() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (asked, reported) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let count = asked.clone();
        let ask = move |target: Rc<Target<Key>>| {
            count.set(count.get() + usize::from(target.key == 1));
            async move { if target.key == 1 { panic!("a test's") } else { Err("no".to_owned()) } }
        };
        let heard = reported.clone();
        let prober =
            Rc::new(Prober::with(ask, move |key: &Key, verdict, _| heard.borrow_mut().push((*key, verdict)), 1));
        prober.set_targets(vec![target(1, SECOND, 0), target(2, SECOND, 0)]);
        let _ = tokio::time::timeout(10 * SECOND, prober.run()).await;
        assert!(asked.get() >= 9, "{}", asked.get());
        assert!(reported.borrow().len() >= 9);
        assert!(reported.borrow().iter().all(|row| *row == (2, Err("no".to_owned()))));
    });
}

#[test]
fn dropping_the_prober_cancels_everything() {
    world(None, async |prober, record| {
        prober.set_targets((0..100).map(|key| target(key, SECOND, 0)).collect());
        let _ = tokio::time::timeout(2 * SECOND, prober.run()).await;
        // Their tasks are dropped in the turns that follow.
        tokio::time::sleep(SECOND / 1000).await;
        assert_eq!(record.most.get(), CHECKS_AT_ONCE);
        assert_eq!((record.count_under_way(), record.reported.borrow().len()), (0, 0));
    });
}
