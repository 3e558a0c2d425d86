use super::*;

const RULES: Rules = Rules { max_fails: 3, fail_timeout: 10_000, max_fail_rate: None, rise: 2, fall: 3 };
const REFUSED: Cause = Cause::Broken(Reason::ConnectRefused);
const LATE: Cause = Cause::Broken(Reason::FirstByteTimeout);
/// The middle of the jitter.
const MIDDLE: u64 = 1000;

fn fail(health: &mut Health, rules: &Rules, cause: Cause, now: u64) -> State {
    health.failed(rules, cause, Totals::default(), now, true, MIDDLE);
    health.state()
}

fn slow() -> Verdict {
    Verdict::Failed { why: "no answer within 3 s".into(), slow: true }
}

fn bad() -> Verdict {
    Verdict::Failed { why: "status 503".into(), slow: false }
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_does_not() {
    let mut health = Health::default();
    assert_eq!(health.state(), State::Up);
    assert_eq!(fail(&mut health, &RULES, REFUSED, 1), State::Up);
    assert_eq!(fail(&mut health, &RULES, REFUSED, 2), State::Up);
    assert!(health.wants_success());
    health.succeeded(3);
    assert!(!health.wants_success());
    assert_eq!(fail(&mut health, &RULES, REFUSED, 4), State::Up);
    assert_eq!(fail(&mut health, &RULES, REFUSED, 5), State::Up);
    assert_eq!(health.why(&RULES, 5), "failures: 2 of 3");
    assert_eq!(fail(&mut health, &RULES, REFUSED, 6), State::Ejected);
    assert_eq!(health.why(&RULES, 4_006), "connection refused, 3 of 3, retry in 6 s");
}

#[test]
fn failures_far_apart_do_not_add_up() {
    let mut health = Health::default();
    for now in [0, 10_001, 20_002, 30_003, 40_004] {
        assert_eq!(fail(&mut health, &RULES, LATE, now), State::Up, "{now}");
    }
    // Just within.
    assert_eq!(fail(&mut health, &RULES, LATE, 50_004), State::Up);
    assert_eq!(fail(&mut health, &RULES, LATE, 60_004), State::Ejected);
}

#[test]
fn none_is_ejected_without_max_fails_or_where_the_group_needs_it() {
    let mut health = Health::default();
    let never = Rules { max_fails: 0, ..RULES };
    (0..100).for_each(|now| assert_eq!(fail(&mut health, &never, REFUSED, now), State::Up));
    let mut health = Health::default();
    for now in 0..100 {
        health.failed(&RULES, REFUSED, Totals::default(), now, false, 0);
        assert_eq!(health.state(), State::Up);
    }
    // As soon as it can be spared.
    assert_eq!(fail(&mut health, &RULES, REFUSED, 100), State::Ejected);
}

#[test]
fn each_ejection_in_a_row_is_twice_as_long_up_to_a_bound() {
    let mut health = Health::default();
    (0..3).for_each(|now| _ = fail(&mut health, &RULES, LATE, now));
    let (mut now, mut lengths) = (2, Vec::new());
    for _ in 0..8 {
        let until = health.next_change().expect("it is ejected");
        lengths.push(until - now);
        health.tick(until - 1);
        assert_eq!(health.state(), State::Ejected);
        health.tick(until);
        assert_eq!(health.state(), State::Probation);
        now = until + 1;
        assert_eq!(fail(&mut health, &RULES, LATE, now), State::Ejected, "one failure on probation is enough");
    }
    assert_eq!(lengths[0], 10_000);
    for (one, next) in lengths.iter().zip(&lengths[1..]) {
        let whole = (2 * one).min(EJECTION_MAX);
        assert!((whole * 8 / 10..=whole * 12 / 10).contains(next), "{lengths:?}");
    }
    assert!(*lengths.last().unwrap() >= EJECTION_MAX * 9 / 10);
}

#[test]
fn jitter_is_a_tenth_to_both_sides() {
    for random in [0, 1, 999, 2000, 2001, u64::MAX, 12_345_678_901] {
        let mut health = Health::default();
        (0..3).for_each(|_| health.failed(&RULES, LATE, Totals::default(), 0, true, random));
        let until = health.next_change().expect("it is ejected");
        assert!((9_000..=11_000).contains(&until), "{random}: {until}");
    }
}

#[test]
fn a_server_that_was_well_for_long_begins_anew() {
    let mut health = Health::default();
    (0..3).for_each(|now| _ = fail(&mut health, &RULES, LATE, now));
    health.tick(20_000);
    health.succeeded(20_001);
    assert_eq!((health.state(), health.up_since()), (State::Up, Some(20_001)));
    // Soon again: twice as long. Long after: as the first time.
    (0..3).for_each(|i| _ = fail(&mut health, &RULES, LATE, 21_000 + i));
    let until = health.next_change().expect("it is ejected");
    assert!(until >= 21_002 + 18_000, "{until}");
    health.tick(until);
    health.succeeded(until);
    (0..3).for_each(|i| _ = fail(&mut health, &RULES, LATE, until + 30_000 + i));
    assert!(health.next_change().is_some_and(|next| next <= until + 30_002 + 11_000));
}

#[test]
fn a_share_of_failures_ejects_too() {
    let rules = Rules { max_fails: 0, max_fail_rate: Some(50), ..RULES };
    let run = |total: u64, each: u64, gap: u64| {
        // Every `each`-th request fails.
        let mut health = Health::default();
        let mut totals = Totals::default();
        for i in 0..total {
            totals.requests += 1;
            if i % each == 0 {
                totals.failures += 1;
                health.failed(&rules, Cause::Status(500), totals, i * gap, true, MIDDLE);
            } else {
                health.succeeded(i * gap);
            }
            if health.state() == State::Ejected {
                return Some(i);
            }
        }
        None
    };
    assert_eq!(run(100, 2, 1), Some(20), "half of them, from the twentieth on");
    assert_eq!(run(1000, 3, 1), None, "a third");
    assert_eq!(run(1000, 2, 600), None, "too few within fail_timeout");
    assert_eq!(run(100, 1, 1), Some(19));
}

#[test]
fn checks_put_down_and_up_by_fall_and_rise() {
    let mut health = Health::default();
    for (verdict, state) in [
        (bad(), State::Up),
        (bad(), State::Up),
        (Verdict::Passed, State::Up),
        (bad(), State::Up),
        (bad(), State::Up),
        (bad(), State::Down),
        (Verdict::Passed, State::Down),
        (bad(), State::Down),
        (Verdict::Passed, State::Down),
        (Verdict::Passed, State::Up),
    ] {
        health.checked(&RULES, verdict.clone(), true, 5);
        assert_eq!(health.state(), state, "after {verdict:?}");
    }
    assert_eq!(health.up_since(), Some(5));
}

#[test]
fn the_reason_of_a_check_is_said() {
    let mut health = Health::default();
    (0..5).for_each(|now| health.checked(&RULES, bad(), false, now));
    assert_eq!(health.why(&RULES, 9), "check: status 503, 3 of 3");
    health.checked(&RULES, Verdict::Passed, false, 10);
    assert_eq!(health.why(&RULES, 11), "check passed 1 of 2");
}

#[test]
fn a_server_that_answers_traffic_is_not_put_down_for_being_slow() {
    let mut health = Health::default();
    (0..50).for_each(|now| health.checked(&RULES, slow(), true, now));
    assert_eq!(health.state(), State::Up);
    (0..3).for_each(|now| health.checked(&RULES, slow(), false, now));
    assert_eq!(health.state(), State::Down, "without traffic it is");
    let mut health = Health::default();
    (0..3).for_each(|now| health.checked(&RULES, bad(), true, now));
    assert_eq!(health.state(), State::Down, "and a wrong answer counts in any case");
}

#[test]
fn a_passed_check_ends_an_ejection_that_it_can_judge() {
    // It could not be connected to.
    let mut health = Health::default();
    (0..3).for_each(|now| _ = fail(&mut health, &RULES, REFUSED, now));
    health.checked(&RULES, Verdict::Passed, false, 100);
    assert_eq!(health.state(), State::Probation);
    // Its connections broke: the first time that is taken for a restart.
    let mut health = Health::default();
    let broken = Cause::Broken(Reason::BackendReset);
    (0..3).for_each(|now| _ = fail(&mut health, &RULES, broken, now));
    health.checked(&RULES, Verdict::Passed, false, 100);
    assert_eq!(health.state(), State::Probation);
    assert_eq!(fail(&mut health, &RULES, broken, 101), State::Ejected);
    health.checked(&RULES, Verdict::Passed, false, 200);
    assert_eq!(health.state(), State::Ejected, "not the second time");
    health.is_not_back(300);
    health.checked(&RULES, Verdict::Passed, false, 400);
    assert_eq!(health.state(), State::Probation, "unless it was seen to be gone");
    // It was silent, and a check that only connects says nothing about that.
    let mut health = Health::default();
    (0..3).for_each(|now| _ = fail(&mut health, &RULES, LATE, now));
    health.checked(&RULES, Verdict::Passed, false, 100);
    assert_eq!(health.state(), State::Ejected);
    // But one that saw the trouble itself does.
    health.checked(&RULES, slow(), false, 200);
    health.checked(&RULES, Verdict::Passed, false, 300);
    assert_eq!(health.state(), State::Probation);
}

#[test]
fn numbers_come_back_as_states() {
    for state in [State::Up, State::Probation, State::Ejected, State::Down] {
        assert_eq!(State::from_u8(state as u8), state);
    }
    assert_eq!(State::from_u8(200), State::Up);
}

#[test]
fn what_cannot_be_repeated_is_no_trial_for_a_while() {
    let mut health = Health::default();
    assert!(!health.spares_precious(&RULES, 0));
    (0..3).for_each(|now| _ = fail(&mut health, &RULES, LATE, now));
    let until = health.next_change().expect("it is ejected");
    health.tick(until);
    assert!(health.spares_precious(&RULES, until + RULES.fail_timeout - 1));
    assert!(!health.spares_precious(&RULES, until + RULES.fail_timeout), "it may be all that there is");
    health.succeeded(until + 1);
    assert!(!health.spares_precious(&RULES, until + 2));
}
