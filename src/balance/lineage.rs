//! What the generations of one group share: a reload or a changed name makes a new [`super::Group`], with the same lineage.

use super::counters::{Column, Counters};
use super::group::Entry;
use super::member::{Member, Override};
use super::queue::Queue;
use crate::config::plan::Address;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// See the head of this file.
#[derive(Debug)]
pub struct Lineage {
    counters: Counters,
    epoch: Epoch,
    /// Requests that wait for a permit.
    pub queue: Queue,
    ejecting: Mutex<()>,
    /// What an operator said of a configured name: it counts for servers that the name will mean later, too.
    overrides: Mutex<HashMap<String, Override>>,
    /// Every server that somebody still uses: one that left and comes back is the same.
    members: Mutex<Vec<Weak<Member>>>,
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
            overrides: Mutex::default(),
            members: Mutex::default(),
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

    /// The workers have gone over to another generation: those that wait for a server of the old one look again.
    pub fn has_moved_on(&self) {
        self.queue.wake_all();
    }

    /// Held while it is decided whether a server is ejected, so that two workers do not eject the last two.
    pub(super) fn ejecting(&self) -> MutexGuard<'_, ()> {
        self.ejecting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an operator said of a configured name.
    pub fn overridden(&self, name: &str) -> Override {
        let overrides = self.overrides.lock().unwrap_or_else(PoisonError::into_inner);
        overrides.get(name).copied().unwrap_or_default()
    }

    /// Notes it.
    pub fn set_override(&self, name: &str, new: Override) {
        let mut overrides = self.overrides.lock().unwrap_or_else(PoisonError::into_inner);
        match new == Override::default() {
            true => overrides.remove(name),
            false => overrides.insert(name.to_owned(), new),
        };
    }

    /// The server of that name and addresses that is not among `taken`, as it was, or a new one.
    pub(super) fn member(self: &Arc<Self>, name: &str, addresses: &[Address], taken: &[Entry]) -> Arc<Member> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        let is_free = |member: &Arc<Member>| !taken.iter().any(|entry| Arc::ptr_eq(&entry.member, member));
        let is_it = |member: &Arc<Member>| member.name == name && member.addresses == addresses && is_free(member);
        if let Some(member) = members.iter().filter_map(Weak::upgrade).find(is_it) {
            return member;
        }
        let member = Arc::new(Member::new(self, name, addresses.to_vec()));
        members.push(Arc::downgrade(&member));
        member
    }
}
