//! What the generations of one group share: a reload or a changed name makes a new [`super::Group`], with the same lineage.

use super::counters::{Column, Counters};
use super::queue::Queue;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the head of this file.
#[derive(Debug)]
pub struct Lineage {
    counters: Counters,
    epoch: Epoch,
    /// Requests that wait for a permit.
    pub queue: Queue,
    ejecting: Mutex<()>,
}

/// On cache lines of its own: read at every pick, written when something changes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Epoch(AtomicU64);

impl Lineage {
    /// Of a new group.
    pub fn new(workers: usize) -> Lineage {
        Lineage {
            counters: Counters::new(workers),
            epoch: Epoch::default(),
            queue: Queue::default(),
            ejecting: Mutex::default(),
        }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.counters.workers()
    }

    pub(super) fn column(&self) -> Column {
        self.counters.column()
    }

    /// Counts the changes of who may be used.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.0.load(Ordering::Acquire)
    }

    /// Who may be used has changed.
    pub(super) fn changed(&self) {
        self.epoch.0.fetch_add(1, Ordering::Release);
        // A server may be back, or none may be left: those that wait look again.
        self.queue.wake_all();
    }

    /// Held while it is decided whether a server is ejected, so that two workers do not eject the last two.
    pub(super) fn ejecting(&self) -> MutexGuard<'_, ()> {
        self.ejecting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
