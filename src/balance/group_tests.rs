use super::*;
use crate::balance::{Override, Picker, Tried};
use crate::proto::reason::Reason;
use std::time::Duration;

const REFUSED: Cause = Cause::Broken(Reason::ConnectRefused);

fn peer(name: &str) -> Peer {
    let port = 1000 + name.bytes().fold(0u16, |sum, b| sum.wrapping_mul(7).wrapping_add(u16::from(b % 64))) % 60_000;
    Peer::new(name, vec![Address::Tcp(([127, 0, 0, 1], port).into())])
}

fn group_of(upstream: Upstream) -> Group {
    Group::new(&upstream, 2, &|_| None, None)
}

fn eject(group: &Group, server: ServerIndex, now: u64) {
    (0..3).for_each(|_| group.failed(server, REFUSED, now, 1000));
}

fn weights(group: &Group, now: u64) -> Vec<u32> {
    group.view(now).weights.to_vec()
}

fn states(group: &Group) -> Vec<State> {
    group.entries().iter().map(|entry| entry.member.state()).collect()
}

#[test]
fn a_server_that_fails_is_out_until_its_time_is_over() {
    let group = group_of(Upstream::new("g", vec![peer("a"), peer("b"), peer("c")]));
    assert_eq!(weights(&group, 0), [1, 1, 1]);
    eject(&group, 1, 5);
    assert_eq!(weights(&group, 6), [1, 0, 1]);
    assert_eq!(weights(&group, 10_004), [1, 0, 1]);
    assert_eq!(weights(&group, 12_000), [1, 1, 1]);
    assert_eq!(group.entries()[1].member.state(), State::Probation);
    group.entries()[1].member.succeeded(12_001);
    assert_eq!(states(&group), [State::Up; 3]);
}

#[test]
fn never_more_than_the_share_is_ejected() {
    let table =
        [(90, 1, 0), (90, 2, 1), (90, 3, 2), (90, 10, 9), (50, 4, 2), (10, 4, 1), (0, 4, 0), (100, 1, 1), (100, 4, 4)];
    for (max_ejected, servers, expected) in table {
        let peers = (0..servers).map(|i| peer(&format!("s{i}"))).collect();
        let group = group_of(Upstream { max_ejected, ..Upstream::new("g", peers) });
        for round in 0..3 {
            (0..servers).for_each(|server| eject(&group, server, 5 + round));
        }
        let ejected = states(&group).iter().filter(|&&state| state == State::Ejected).count();
        assert_eq!(ejected, expected, "{max_ejected} % of {servers}");
        // Also when time brings some on probation and these fail again.
        group.view(11_500);
        (0..servers).for_each(|server| eject(&group, server, 11_600));
        let away = states(&group).iter().filter(|&&state| state != State::Up).count();
        assert!(away <= expected, "{max_ejected} % of {servers}: {away}");
    }
}

#[test]
fn workers_at_the_same_time_never_eject_the_last() {
    for _ in 0..200 {
        let group = group_of(Upstream::new("g", vec![peer("a"), peer("b")]));
        std::thread::scope(|scope| {
            for server in [0, 1] {
                let group = &group;
                scope.spawn(move || (0..5).for_each(|_| eject(group, server, 5)));
            }
        });
        assert_eq!(states(&group).iter().filter(|&&state| state == State::Ejected).count(), 1);
    }
}

#[test]
fn backups_are_used_only_when_the_rest_is_gone() {
    let backup = |name| Peer { backup: true, ..peer(name) };
    let group = group_of(Upstream::new("g", vec![peer("a"), backup("b"), peer("c"), backup("d")]));
    let view = group.view(0);
    assert_eq!((view.weights.to_vec(), view.spare.to_vec()), (vec![1, 0, 1, 0], vec![0, 1, 0, 1]));
    // For a request whose primaries failed both.
    let mut picker = Picker::new(Arc::new(group), 0, 0);
    let mut tried = Tried::new();
    let order: Vec<_> = std::iter::from_fn(|| {
        let server = picker.pick(&tried, 0, 0)?;
        tried.insert(server);
        Some(server)
    })
    .collect();
    assert_eq!(order.len(), 4);
    assert!(order[..2].iter().all(|server| server % 2 == 0), "{order:?}");
    let group = picker.group().clone();
    [0, 2].iter().for_each(|&server| eject(&group, server, 5));
    assert_eq!(weights(&group, 6), [0, 1, 0, 1]);
    assert!(!group.view(6).fails_open);
    assert!(picker.pick(&Tried::new(), 0, 6).is_some_and(|server| server % 2 == 1));
}

#[test]
fn with_nobody_left_it_fails_open_or_not() {
    let all_fail = |fail_open| {
        let peers = vec![peer("a"), peer("b"), Peer { down: true, ..peer("c") }];
        let group = group_of(Upstream { fail_open, max_ejected: 100, ..Upstream::new("g", peers) });
        [0, 1].iter().for_each(|&server| eject(&group, server, 5));
        group
    };
    let group = all_fail(true);
    assert_eq!((weights(&group, 6), group.view(6).fails_open), (vec![1, 1, 0], true), "never one that is `down`");
    let group = all_fail(false);
    assert!(group.view(6).is_empty() && !group.view(6).fails_open);
    // Back again by time.
    assert_eq!((weights(&group, 12_000), group.view(12_000).fails_open), (vec![1, 1, 0], false));
}

#[test]
fn slow_start_gives_a_tenth_first_and_the_whole_in_the_end() {
    let slow = Peer { slow_start: Some(Duration::from_secs(10)), weight: 2, ..peer("a") };
    let group = group_of(Upstream::new("g", vec![slow, peer("b")]));
    assert_eq!(weights(&group, 0), [2, 1], "at the beginning all are equal");
    eject(&group, 0, 5);
    assert_eq!(weights(&group, 12_000), [2, 1], "on probation it has one request at a time anyway");
    group.entries()[0].member.succeeded(20_000);
    let table = [
        (20_000, [2, 10]),
        (20_999, [2, 10]),
        (21_000, [4, 10]),
        (25_500, [12, 10]),
        (29_999, [20, 10]),
        (30_000, [2, 1]),
    ];
    for (now, expected) in table {
        let view = weights(&group, now);
        let ratio = |w: &[u32]| f64::from(w[0]) / f64::from(w[1]);
        assert_eq!(ratio(&view), ratio(&expected), "{now}: {view:?}");
    }
}

#[test]
fn an_operator_drains_and_weighs_and_a_reload_keeps_it() {
    let before = group_of(Upstream::new("g", vec![peer("a"), peer("b")]));
    before.entries()[0].member.set_override(Override { drained: true, weight: None });
    before.entries()[1].member.set_override(Override { drained: false, weight: Some(7) });
    assert_eq!(weights(&before, 0), [0, 7]);
    let after = Group::new(&Upstream::new("g", vec![peer("b"), peer("c"), peer("a")]), 2, &|_| None, Some(&before));
    assert_eq!(weights(&after, 0), [7, 1, 0]);
    // The file says something new about its weight: the file counts.
    let heavier = Peer { weight: 3, ..peer("b") };
    let last = Group::new(&Upstream::new("g", vec![heavier, peer("a")]), 2, &|_| None, Some(&after));
    assert_eq!(weights(&last, 0), [3, 0]);
}

#[test]
fn who_stays_keeps_counters_and_health_and_who_is_new_begins_anew() {
    let before = Arc::new(group_of(Upstream::new("g", vec![peer("a"), peer("b"), peer("b")])));
    let picker = Picker::new(before.clone(), 1, 0);
    [0, 1, 1, 2].iter().for_each(|&server| picker.begin(server));
    eject(&before, 0, 5);
    let after = Group::new(&Upstream::new("g", vec![peer("c"), peer("b"), peer("a")]), 2, &|_| None, Some(&before));
    let in_flight: Vec<_> = (0..3).map(|server| after.in_flight(server)).collect();
    assert_eq!(in_flight, [0, 2, 1]);
    assert_eq!(states(&after), [State::Up, State::Up, State::Ejected]);
    // Requests that began before end at the same counters.
    picker.end(0);
    assert_eq!(after.in_flight(2), 0);
    // A picker of the old generation sees changes, too.
    assert_eq!(weights(&before, 6), [0, 1, 1]);
}

#[test]
fn a_name_becomes_a_server_for_each_address_and_changes_with_them() {
    let host = Host { name: "app".into(), port: 80 };
    let named = || vec![Peer { host: Some(host.clone()), ..Peer::new("app", Vec::new()) }];
    let answer =
        |addresses: &[&str]| -> Option<Vec<IpAddr>> { Some(addresses.iter().map(|a| a.parse().unwrap()).collect()) };
    let nothing = Group::new(&Upstream::new("g", named()), 1, &|_| None, None);
    assert_eq!(nothing.entries().len(), 1);
    assert!(nothing.view(0).is_empty(), "it is shown, but cannot be used");
    let two = Group::new(&Upstream::new("g", named()), 1, &|_| answer(&["10.0.0.1", "10.0.0.2"]), Some(&nothing));
    assert_eq!(weights(&two, 0), [1, 1]);
    eject(&two, 1, 5);
    let other = Group::new(&Upstream::new("g", named()), 1, &|_| answer(&["10.0.0.2", "10.0.0.3"]), Some(&two));
    assert_eq!(states(&other), [State::Ejected, State::Up]);
    assert_eq!(other.entries()[1].member.addresses, [Address::Tcp("10.0.0.3:80".parse().unwrap())]);
    // Addresses of this machine are doors of one server.
    let doors = Group::new(&Upstream::new("g", named()), 1, &|_| answer(&["::1", "127.0.0.1"]), None);
    assert_eq!((doors.entries().len(), doors.entries()[0].member.addresses.len()), (1, 2));
}

#[test]
fn permits_are_never_more_than_max_conns() {
    let group = group_of(Upstream::new("g", vec![peer("a")]));
    let member = &group.entries()[0].member;
    let most = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    if member.acquire(3) {
                        most.fetch_max(member.held(), std::sync::atomic::Ordering::Relaxed);
                        member.release();
                    }
                }
            });
        }
    });
    assert_eq!(member.held(), 0);
    assert!((1..=3).contains(&most.into_inner()));
}

fn check() -> crate::config::plan::HealthCheck {
    crate::config::plan::HealthCheck {
        kind: crate::config::plan::CheckKind::Tcp,
        port: None,
        interval: Duration::from_secs(1),
        jitter: 0,
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 2,
    }
}

fn put_down(group: &Group, server: ServerIndex, now: u64) {
    let failed = || Verdict::Failed { why: "no".to_owned(), slow: false };
    (0..2).for_each(|_| group.checked(server, failed(), false, now));
}

#[test]
fn a_server_whose_check_is_taken_away_is_not_down_for_ever() {
    let peers = || vec![peer("a"), peer("b")];
    let first = group_of(Upstream { health_check: Some(check()), ..Upstream::new("g", peers()) });
    put_down(&first, 1, 5);
    assert_eq!(weights(&first, 6), [1, 0]);
    let second = Group::new(&Upstream::new("g", peers()), 2, &|_| None, Some(&first));
    assert_eq!(weights(&second, 1_000_000), [1, 1]);
}

#[test]
fn a_server_that_is_down_and_was_ejected_does_not_make_views_old_at_once() {
    let group = group_of(Upstream { health_check: Some(check()), ..Upstream::new("g", vec![peer("a"), peer("b")]) });
    eject(&group, 1, 5);
    put_down(&group, 1, 6);
    let view = group.view(1_000_000);
    assert!(group.is_current(&view, 1_000_100), "nothing will change by itself, but valid until {}", view.until);
}

#[test]
fn a_reload_while_names_cannot_be_found_keeps_the_addresses() {
    let named = |addresses: Vec<Address>| Peer {
        host: Some(Host { name: "app.internal".to_owned(), port: 80 }),
        ..Peer::new("app.internal:80", addresses)
    };
    let address = Address::Tcp(([10, 0, 0, 1], 80).into());
    let before = group_of(Upstream::new("g", vec![named(vec![address])]));
    // Steering's `names` has nothing: the name was found at start and has not changed since.
    let after = Group::new(&Upstream::new("g", vec![named(Vec::new())]), 2, &|_| None, Some(&before));
    assert_eq!(weights(&after, 10), [1]);
}

#[test]
fn what_an_operator_said_of_a_name_counts_for_its_later_servers() {
    let host = Host { name: "app".into(), port: 80 };
    let named = || vec![Peer { host: Some(host.clone()), ..Peer::new("app:80", Vec::new()) }, peer("other")];
    let group = |addresses: &[&str], before: Option<&Group>| {
        let answer: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        Group::new(&Upstream::new("g", named()), 1, &|_| Some(answer.clone()), before)
    };
    let first = group(&["10.0.0.1"], None);
    let drained = Override { drained: true, weight: Some(5) };
    first.entries()[0].member.set_override(drained);
    first.lineage().set_override("app:80", drained);
    let moved = group(&["10.0.0.2", "10.0.0.3"], Some(&first));
    assert_eq!(weights(&moved, 0), [0, 0, 1]);
    assert_eq!(moved.entries()[1].member.overridden(), drained);
    // Gone from the file, and back.
    let without = Group::new(&Upstream::new("g", vec![peer("other")]), 1, &|_| None, Some(&moved));
    let back = group(&["10.0.0.9"], Some(&without));
    assert_eq!(weights(&back, 0), [0, 1]);
}

#[test]
fn a_server_that_leaves_and_comes_back_while_it_is_busy_is_the_same() {
    let limited = || Peer { max_conns: Some(1), ..peer("a") };
    let first = group_of(Upstream::new("g", vec![limited(), peer("b")]));
    let busy = first.entries()[0].member.clone();
    assert!(busy.acquire(1));
    let without = Group::new(&Upstream::new("g", vec![peer("b")]), 2, &|_| None, Some(&first));
    drop(first);
    let back = Group::new(&Upstream::new("g", vec![limited(), peer("b")]), 2, &|_| None, Some(&without));
    assert!(Arc::ptr_eq(&back.entries()[0].member, &busy) && !back.entries()[0].member.acquire(1));
}
