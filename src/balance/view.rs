//! Who may be used now, and with what weight: made anew when health, weights or servers change, shared by all workers.

use super::group::Entry;
use super::health::State;
use super::maglev::Maglev;
use super::random_two::Weighted;
use super::round_robin;
use crate::config::plan::Balance;
use crate::limits::SLOW_START_STEPS;
use std::sync::Arc;

/// One moment's choice.
#[derive(Debug)]
pub struct View {
    /// The lineage's epoch that it shows.
    pub(super) epoch: u64,
    /// When time alone makes it old, in milliseconds.
    pub(super) until: u64,
    /// By server; 0: not to be chosen.
    pub weights: Box<[u32]>,
    /// Backups while primaries are in use: for requests whose primaries all failed. Weights by server, empty if there are none.
    pub spare: Box<[u32]>,
    /// Round robin's order.
    pub(super) cycle: Box<[u16]>,
    /// The table of `hash` and `ip_hash`: of all servers, so that one that goes moves nobody but its own.
    pub(super) table: Option<Arc<Table>>,
    /// For what is drawn at random.
    pub(super) weighted: Option<Weighted>,
    /// No server is well, and they are used all the same.
    pub fails_open: bool,
}

impl View {
    /// `before`: the table of the view before, which is kept if it is still right; making one takes milliseconds.
    pub(super) fn new(
        balance: &Balance,
        entries: &[Entry],
        fail_open: bool,
        epoch: u64,
        now: u64,
        before: Option<&Arc<Table>>,
    ) -> View {
        let is_well = |entry: &Entry| matches!(entry.member.state(), State::Up | State::Probation);
        let slow = entries.iter().any(|entry| slow_start_step(entry, now) < SLOW_START_STEPS);
        let weight = |entry: &Entry| match slow {
            true => entry.weight() * slow_start_step(entry, now),
            false => entry.weight(),
        };
        let those = |wanted: &dyn Fn(&Entry) -> bool| -> Box<[u32]> {
            entries.iter().map(|entry| if !entry.is_out() && wanted(entry) { weight(entry) } else { 0 }).collect()
        };
        let primaries = those(&|entry| !entry.peer.backup && is_well(entry));
        let backups = those(&|entry| entry.peer.backup && is_well(entry));
        let any = |weights: &[u32]| weights.iter().any(|&weight| weight > 0);
        let (weights, spare, fails_open) = match (any(&primaries), any(&backups)) {
            (true, true) => (primaries, backups, false),
            (true, false) => (primaries, Box::default(), false),
            (false, true) => (backups, Box::default(), false),
            (false, false) => {
                let all = if fail_open { those(&|_| true) } else { primaries };
                let fails_open = any(&all);
                (all, Box::default(), fails_open)
            }
        };
        let cycle = match balance {
            Balance::RoundRobin => round_robin::cycle(&weights),
            _ => Box::default(),
        };
        let until = entries.iter().filter_map(|entry| next_change(entry, now)).min().unwrap_or(u64::MAX);
        let table = matches!(balance, Balance::IpHash | Balance::Hash(_)).then(|| table(entries, before));
        let weighted = matches!(balance, Balance::Random | Balance::LeastTime).then(|| Weighted::new(&weights));
        View { epoch, until, weights, spare, cycle, table, weighted, fails_open }
    }

    /// No server at all may be used.
    pub fn is_empty(&self) -> bool {
        self.weights.iter().all(|&weight| weight == 0)
    }
}

/// A Maglev table and what it was made from.
#[derive(Debug)]
pub(super) struct Table {
    of: Vec<(u64, u32)>,
    pub(super) maglev: Maglev,
}

/// The table of all servers by their weights in force. Slow start does not show in it: it would move keys for a while.
fn table(entries: &[Entry], before: Option<&Arc<Table>>) -> Arc<Table> {
    let of: Vec<_> = entries.iter().map(|entry| (entry.identity, entry.weight())).collect();
    match before {
        Some(before) if before.of == of => before.clone(),
        _ => Arc::new(Table { maglev: Maglev::new(&of), of }),
    }
}

/// How far a server that came back has got: 1 to `SLOW_START_STEPS`.
fn slow_start_step(entry: &Entry, now: u64) -> u32 {
    let Some((since, whole)) = slow_start(entry) else { return SLOW_START_STEPS };
    let step = (now.saturating_sub(since) * u64::from(SLOW_START_STEPS) / whole + 1).min(u64::from(SLOW_START_STEPS));
    step as u32
}

/// When it came back, and how long it takes to get its whole share, in milliseconds.
fn slow_start(entry: &Entry) -> Option<(u64, u64)> {
    let whole = entry.peer.slow_start?.as_millis() as u64;
    Some((entry.member.look(|health| health.up_since())?, whole.max(1)))
}

/// When time alone changes something about it.
fn next_change(entry: &Entry, now: u64) -> Option<u64> {
    let health = entry.member.look(|health| health.next_change());
    let step = slow_start(entry).and_then(|(since, whole)| {
        let step = slow_start_step(entry, now);
        (step < SLOW_START_STEPS).then(|| since + (u64::from(step) * whole).div_ceil(u64::from(SLOW_START_STEPS)))
    });
    [health, step].into_iter().flatten().map(|at| at.max(now + 1)).min()
}
