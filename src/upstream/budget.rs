//! How many requests may be tried again: a share of all requests, so that a group in trouble does not get several times its load.

use crate::limits::RETRY_BURST;
use std::cell::Cell;

/// Hundredths of a retry.
const ONE: u64 = 100;
/// Retries that can be saved up: those of so many requests at 20 % are what a busy worker sees in a second or two.
const SAVED_MAX: u64 = 4096 * ONE;

/// One group's budget on one worker. It begins with `RETRY_BURST`: who is killed takes all that runs there with it.
pub(super) struct Budget(Cell<u64>);

impl Default for Budget {
    fn default() -> Budget {
        Budget(Cell::new(u64::from(RETRY_BURST) * ONE))
    }
}

impl Budget {
    /// A request came. `percent` of requests may be tried again; 100 or more: as many as there are.
    pub(super) fn earn(&self, percent: u8) {
        self.0.set((self.0.get() + u64::from(percent)).min(SAVED_MAX));
    }

    /// Takes one retry; false: none is left.
    pub(super) fn spend(&self) -> bool {
        let left = self.0.get().checked_sub(ONE);
        self.0.set(left.unwrap_or(self.0.get()));
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &Budget) -> u32 {
        std::iter::repeat_with(|| budget.spend()).take_while(|spent| *spent).count() as u32
    }

    #[test]
    fn a_share_of_requests_may_be_tried_again() {
        let budget = Budget::default();
        assert_eq!(spent(&budget), RETRY_BURST);
        (0..50).for_each(|_| budget.earn(20));
        assert_eq!(spent(&budget), 10);
        (0..50).for_each(|_| budget.earn(0));
        assert_eq!(spent(&budget), 0);
        (0..10_000_000).for_each(|_| budget.earn(100));
        assert_eq!(u64::from(spent(&budget)), SAVED_MAX / ONE);
    }
}
