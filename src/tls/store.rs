//! What outlives plans: certificates by their files, and keys of session tickets.

use super::certificate::{About, Certificate};
use super::stamp::Stamps;
use super::tickets::Tickets;
use crate::config::plan::CertificateFiles;
use arc_swap::ArcSwap;
use rustls::server::ProducesTickets;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// One for the whole process, empty at first.
#[derive(Debug, Default)]
pub struct Store {
    slots: Mutex<HashMap<CertificateFiles, Weak<Slot>>>,
    tickets: Mutex<HashMap<(u64, Duration), Weak<Tickets>>>,
}

/// The place of one pair: what a handshake takes from it may be another from one moment to the next.
#[derive(Debug)]
pub struct Slot {
    /// Where it comes from.
    pub files: CertificateFiles,
    held: ArcSwap<Held>,
    /// Why the files are not what is held.
    trouble: Mutex<Option<String>>,
}

/// What a slot holds.
#[derive(Debug)]
pub struct Held {
    /// For handshakes.
    pub key: Arc<CertifiedKey>,
    /// What is known of it.
    pub about: About,
    /// The files that it was read from; of a placeholder, that they were not there.
    pub stamps: Stamps,
}

impl From<Certificate> for Held {
    fn from(certificate: Certificate) -> Held {
        Held { key: certificate.key, about: certificate.about, stamps: certificate.stamps }
    }
}

impl Slot {
    pub(super) fn new(files: CertificateFiles, held: Held) -> Slot {
        Slot { files, held: ArcSwap::from_pointee(held), trouble: Mutex::default() }
    }

    /// What it holds now.
    pub fn held(&self) -> Arc<Held> {
        self.held.load_full()
    }

    /// The same without counting: for handshakes.
    pub(super) fn look(&self) -> arc_swap::Guard<Arc<Held>> {
        self.held.load()
    }

    /// Another certificate from now on.
    pub fn put(&self, held: Held) {
        self.held.store(Arc::new(held));
        self.set_trouble(None);
    }

    /// The same certificate, from files with other times.
    pub fn refresh(&self, held: Held) {
        self.held.store(Arc::new(held));
    }

    /// Why the files are not what is held; `None`: they are.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    /// Says why the files are not what is held. True: that is news.
    pub fn set_trouble(&self, trouble: Option<String>) -> bool {
        let mut told = locked(&self.trouble);
        let news = *told != trouble;
        *told = trouble;
        news
    }
}

impl Store {
    /// The slot of these files, if anything running has one.
    pub fn slot(&self, files: &CertificateFiles) -> Option<Arc<Slot>> {
        locked(&self.slots).get(files)?.upgrade()
    }

    /// All slots that something running has, in the order of their files.
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        let mut slots: Vec<_> = locked(&self.slots).values().filter_map(Weak::upgrade).collect();
        slots.sort_by(|a, b| a.files.cmp(&b.files));
        slots
    }

    /// A new slot, for as long as somebody has it.
    pub(super) fn add(&self, slot: &Arc<Slot>) {
        let mut slots = locked(&self.slots);
        slots.retain(|_, slot| slot.strong_count() > 0);
        slots.insert(slot.files.clone(), Arc::downgrade(slot));
    }

    /// The tickets of a realm: the same ones through reloads, as long as somebody offers them.
    pub(super) fn tickets(&self, realm: u64, lifetime: Duration) -> Result<Arc<dyn ProducesTickets>, String> {
        let mut all = locked(&self.tickets);
        if let Some(tickets) = all.get(&(realm, lifetime)).and_then(Weak::upgrade) {
            return Ok(tickets);
        }
        all.retain(|_, tickets| tickets.strong_count() > 0);
        let tickets = Arc::new(Tickets::new(lifetime)?);
        all.insert((realm, lifetime), Arc::downgrade(&tickets));
        Ok(tickets)
    }
}

/// What is locked here is whole at any time, also after a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
