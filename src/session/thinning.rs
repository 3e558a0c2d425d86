//! A flood of log lines of one kind is thinned: so many a second, and then how many more there were.

use crate::limits::LOG_LINES_PER_SECOND;
use crate::proto::reason::Reason;
use std::cell::Cell;

/// One worker's lines, by reason.
pub(super) struct Thinning([Cell<Kind>; Reason::COUNT]);

#[derive(Debug, Clone, Copy, Default)]
struct Kind {
    second: u64,
    /// In that second.
    lines: u64,
    /// Left out since the last line.
    hidden: u64,
}

impl Default for Thinning {
    fn default() -> Thinning {
        Thinning(std::array::from_fn(|_| Cell::default()))
    }
}

impl Thinning {
    /// A line of this kind at `now` (milliseconds): `None` if it is left out, else how many were since the last one.
    pub(super) fn pass(&self, reason: Reason, now: u64) -> Option<u64> {
        let cell = &self.0[reason.index()];
        let mut kind = cell.get();
        if kind.second != now / 1000 {
            (kind.second, kind.lines) = (now / 1000, 0);
        }
        kind.lines += 1;
        let passes = kind.lines <= LOG_LINES_PER_SECOND;
        let hidden = kind.hidden;
        kind.hidden = if passes { 0 } else { hidden + 1 };
        cell.set(kind);
        passes.then_some(hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_thinned_and_counted_and_other_kinds_are_not() {
        let thinning = Thinning::default();
        let passed = (0..1000).filter_map(|i| thinning.pass(Reason::NoServer, 5000 + i / 2)).collect::<Vec<_>>();
        assert_eq!(passed, vec![0; LOG_LINES_PER_SECOND as usize]);
        assert_eq!(thinning.pass(Reason::ConnectRefused, 5500), Some(0));
        assert_eq!(thinning.pass(Reason::NoServer, 6000), Some(1000 - LOG_LINES_PER_SECOND));
        assert_eq!(thinning.pass(Reason::NoServer, 6001), Some(0));
    }
}
