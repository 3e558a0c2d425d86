//! Giving memory back: what a crowd once needed must not stay resident for ever.
//!
//! Freed memory stays with glibc, which gives back only what lies at the end of its heaps; `malloc_trim` gives back the rest. Its cost
//! grows with what there is to give (200 ms were seen for 150 MB), so it goes in steps of [`TRIM_STEP`] buffers.

use super::driver::Driver;
use super::reactor::Reactor;
use crate::limits::{TICK, TRIM_STEP};
use slab::Slab;

/// Rows of a socket table that are left as they are: 512 KiB.
const SPARE_ROWS: usize = 4096;
/// Between two looks, in milliseconds. What lay idle from one to the next goes.
const EVERY: u64 = 1_000;

impl<D: Driver> Reactor<D> {
    /// Gives back what lies idle, for as long as the worker runs.
    pub async fn tidy(self) {
        let timer = self.timer();
        timer.sleep(EVERY).await;
        loop {
            self.trim_pipes();
            self.0.buffers.look();
            let mut gone = self.0.executor.shrink() | self.shrink_sockets();
            loop {
                let freed = self.0.buffers.trim(TRIM_STEP);
                if freed > 0 || std::mem::take(&mut gone) {
                    self.shrink_tables();
                    give_back();
                }
                if freed < TRIM_STEP {
                    break;
                }
                timer.sleep(TICK).await;
            }
            timer.sleep(EVERY).await;
        }
    }

    /// Frees the unused end of a large socket table; whether there was one. Parked connections leave without a task, and one row in
    /// use at the end may keep a table that is nearly empty: that is no reason to trim every second.
    fn shrink_sockets(&self) -> bool {
        let mut sockets = self.0.sockets.borrow_mut();
        let before = sockets.capacity();
        if before > SPARE_ROWS {
            shrink(&mut sockets);
        }
        sockets.capacity() < before
    }

    fn shrink_tables(&self) {
        self.shrink_sockets();
        let inner = &*self.0;
        inner.ops.borrow_mut().shrink();
        inner.timers.shrink();
    }
}

/// Frees the unused end of a table that is at most half full.
pub(super) fn shrink<T>(table: &mut Slab<T>) {
    if table.len() < table.capacity() / 2 {
        table.shrink_to_fit();
    }
}

/// Free memory of all heaps goes back to the system.
fn give_back() {
    #[cfg(all(target_env = "gnu", not(miri)))]
    // SAFETY: it takes no pointers, locks what it touches, and moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
