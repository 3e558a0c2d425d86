//! Active checks of real servers: what they find, and that they leave no trace. What is not installed is skipped with a line that says so.

#[path = "../support/mod.rs"]
mod support;

mod mysql;
mod nginx;
mod postgres;
mod prober;
mod redis;
mod smtp;

use ringgate::config::plan::{Address, CheckKind, HealthCheck};
use ringgate::control::probe;
use std::time::Duration;
use support::{PATIENCE, Place};

/// One check, by itself.
fn check_within(place: &Place, kind: &CheckKind, timeout: Duration) -> Result<(), String> {
    let address = match place {
        Place::Tcp(address) => Address::Tcp(*address),
        Place::Unix(path) => Address::Unix(path.clone()),
    };
    let check = HealthCheck { kind: kind.clone(), port: None, interval: timeout, jitter: 0, timeout, rise: 1, fall: 1 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(probe::check(&address, &check, None))
}

fn check(place: &Place, kind: &CheckKind) -> Result<(), String> {
    check_within(place, kind, PATIENCE)
}

/// So many, one after the other; all pass.
#[track_caller]
fn all_pass(place: &Place, kind: &CheckKind, count: usize) {
    for turn in 0..count {
        assert_eq!(check(place, kind), Ok(()), "check {turn} of {kind:?} at {place}");
    }
}
