//! Renewed certificates: looks at the files of all that are served, checks what is new, and puts it where the next handshake takes it.
//! What cannot be used leaves the old one in place, and is said.
//!
//! Files are looked at off the control thread: a network file system may take its time. Workers see no more of it than another
//! certificate.

use crate::config::plan::CertificateFiles;
use crate::limits::{
    CERTIFICATES_HALF_WRITTEN, CERTIFICATES_INTERVAL, CERTIFICATES_RETRY, EXPIRY_REMINDER, EXPIRY_URGENT_DAYS,
    EXPIRY_WARNING_DAYS,
};
use crate::log::{self, Level, LogSender};
use crate::tls::Store;
use crate::tls::certificate::{self, Certificate, Presence};
use crate::tls::stamp::Stamps;
use crate::tls::store::{Held, Slot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Looks after the certificates of `store` for ever. Inside tokio-uring.
pub async fn watch(store: Arc<Store>, log: LogSender) {
    let mut watch = Watch::default();
    loop {
        tokio::time::sleep(Duration::from_millis(CERTIFICATES_INTERVAL)).await;
        let slots = store.slots();
        if slots.is_empty() {
            continue;
        }
        let now = seconds(SystemTime::now());
        let looking = tokio::task::spawn_blocking(move || {
            let said = watch.look(&slots, now, super::now_ms());
            (watch, said)
        });
        match looking.await {
            Ok((kept, said)) => {
                watch = kept;
                said.into_iter().for_each(|(level, line)| log.send(level, line));
            }
            Err(error) => {
                log.error(format!("looking at certificates failed: {error}"));
                watch = Watch::default();
            }
        }
    }
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
struct Watch(BTreeMap<CertificateFiles, Seen>);

#[derive(Debug)]
struct Seen {
    slot: Weak<Slot>,
    failing: Option<Failing>,
    /// When it was last said that it expires or is a placeholder, and how urgent that was.
    told: Option<(i64, Urgency)>,
}

/// Files that cannot be used. In milliseconds.
#[derive(Debug, Clone, Copy)]
struct Failing {
    stamps: Stamps,
    since: u64,
    tried: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Placeholder,
    Soon,
    Urgent,
    Expired,
}

type Said = Vec<(Level, String)>;

impl Watch {
    /// One look at all files. `now`: seconds since 1970; `now_ms`: milliseconds on a clock that is never set.
    fn look(&mut self, slots: &[Arc<Slot>], now: i64, now_ms: u64) -> Said {
        let mut said = Vec::new();
        let mut before = std::mem::take(&mut self.0);
        for slot in slots {
            let known = before.remove(&slot.files).filter(|seen| std::ptr::eq(seen.slot.as_ptr(), Arc::as_ptr(slot)));
            let mut seen = known.unwrap_or(Seen { slot: Arc::downgrade(slot), failing: None, told: None });
            seen.look(slot, now, now_ms, &mut said);
            seen.remind(slot, now, &mut said);
            self.0.insert(slot.files.clone(), seen);
        }
        said
    }
}

impl Seen {
    fn look(&mut self, slot: &Slot, now: i64, now_ms: u64, said: &mut Said) {
        let stamps = Stamps::of(&slot.files, now);
        let held = slot.held();
        if held.stamps.are_still(&stamps) {
            self.is_well(slot, said);
            return;
        }
        let settled = slot.trouble().is_some();
        let is_known = |failing: Failing| {
            failing.stamps.are_still(&stamps) && now_ms.saturating_sub(failing.tried) < CERTIFICATES_RETRY
        };
        if settled && self.failing.is_some_and(is_known) {
            return;
        }
        match try_anew(slot, &held, now) {
            Ok(None) => self.is_well(slot, said),
            Ok(Some(new)) => {
                self.failing = None;
                self.told = None;
                said.extend(news(&slot.files, &held, &new));
                slot.put(new.into());
            }
            Err(why) => {
                let since = self.failing.map_or(now_ms, |failing| failing.since);
                self.failing = Some(Failing { stamps, since, tried: now_ms });
                // Two files are never written at the same moment: what does not fit may be half of what is to come.
                if now_ms.saturating_sub(since) >= CERTIFICATES_HALF_WRITTEN && slot.set_trouble(Some(why.clone())) {
                    said.push((Level::Error, format!("{why}; {} is still served", what_is_held(&held))));
                }
            }
        }
    }

    /// The files are what is held.
    fn is_well(&mut self, slot: &Slot, said: &mut Said) {
        self.failing = None;
        if slot.set_trouble(None) {
            said.push((Level::Info, format!("{} is again what is served", slot.files.chain.display())));
        }
    }

    /// Says once a day what should not stay as it is.
    fn remind(&mut self, slot: &Slot, now: i64, said: &mut Said) {
        let about = &slot.held().about;
        let days = about.days_left(now);
        let urgency = match () {
            () if about.placeholder => Urgency::Placeholder,
            () if now > about.not_after => Urgency::Expired,
            () if days < EXPIRY_URGENT_DAYS => Urgency::Urgent,
            () if days < EXPIRY_WARNING_DAYS => Urgency::Soon,
            () => {
                self.told = None;
                return;
            }
        };
        if self.told.is_some_and(|(at, told)| told >= urgency && now - at < EXPIRY_REMINDER) {
            return;
        }
        self.told = Some((now, urgency));
        let line = match urgency {
            Urgency::Placeholder => {
                let shown = slot.files.chain.display();
                format!("{shown} is not there: a self-signed placeholder is served, which no browser believes")
            }
            _ => certificate::expires(&slot.files, about, now),
        };
        let level = if urgency >= Urgency::Urgent { Level::Error } else { Level::Warn };
        said.push((level, line));
    }
}

/// Reads the pair. `None`: it is what is held already, or still missing as it was.
fn try_anew(slot: &Slot, held: &Held, now: i64) -> Result<Option<Certificate>, String> {
    let files = &slot.files;
    match certificate::presence(files) {
        Presence::Neither if held.about.placeholder => return Ok(None),
        Presence::Neither => return Err(format!("{} and its key are gone", files.chain.display())),
        Presence::One { there, missing } => {
            return Err(format!("{} is not there, though {} is", missing.display(), there.display()));
        }
        Presence::Both => {}
    }
    let new = certificate::read(files, now)?;
    if new.key.cert == held.key.cert {
        // Perhaps written once more; nothing is to be said of it, but its times are others.
        let same = Held { key: held.key.clone(), about: held.about.clone(), stamps: new.stamps };
        slot.refresh(same);
        return Ok(None);
    }
    match new.lapse {
        Some(lapse) if held.about.is_good(now) => Err(lapse),
        _ => Ok(Some(new)),
    }
}

/// What is said of a certificate that is served from now on.
fn news(files: &CertificateFiles, old: &Held, new: &Certificate) -> Said {
    let shown = files.chain.display();
    let until = certificate::date(new.about.not_after);
    let instead = if old.about.placeholder { "the placeholder" } else { "the one before" };
    let mut said = vec![(
        Level::Info,
        format!(
            "the certificate in {shown} is new: signed by {}, good until {until}; it is served instead of {instead}",
            new.about.issuer
        ),
    )];
    let lost: Vec<&str> = old.about.names.iter().filter(|name| !new.about.covers(name)).map(String::as_str).collect();
    if !lost.is_empty() {
        said.push((
            Level::Warn,
            format!("the new certificate in {shown} is no longer made out to {}", lost.join(", ")),
        ));
    }
    said.extend(new.remarks.iter().chain(&new.lapse).map(|remark| (Level::Warn, remark.clone())));
    said
}

fn what_is_held(held: &Held) -> String {
    match held.about.placeholder {
        true => "the placeholder".to_owned(),
        false => format!("the certificate before it (good until {})", certificate::date(held.about.not_after)),
    }
}

/// One certificate that is served, or shown to backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// The file of its chain.
    pub certificate: String,
    /// The file of its key.
    pub key: String,
    /// Host names and addresses that it is made out to.
    pub names: Vec<String>,
    /// `ok`; `placeholder`: the files are not there yet; `kept`: the files cannot be used, and what was there before is served;
    /// `expires`: within two weeks; `expired`; `early`: not good yet.
    pub state: String,
    /// Why, for people; may be empty.
    #[serde(default)]
    pub why: String,
    /// Who signed it.
    pub issuer: String,
    /// `ECDSA`, `RSA`, `Ed25519`.
    pub kind: String,
    /// RFC 3339, UTC.
    pub not_before: String,
    /// RFC 3339, UTC: the last second in which it is good.
    pub not_after: String,
    /// Whole days until then; negative afterwards.
    pub days_left: i64,
    /// SHA-256 of the certificate, hex.
    pub fingerprint: String,
}

/// All certificates for the status.
pub fn status(store: &Store, now: SystemTime) -> Vec<CertificateStatus> {
    let now = seconds(now);
    store.slots().iter().map(|slot| one(slot, now)).collect()
}

fn one(slot: &Slot, now: i64) -> CertificateStatus {
    let (held, trouble) = (slot.held(), slot.trouble());
    let about = &held.about;
    let state = match &trouble {
        _ if about.placeholder => "placeholder",
        _ if now > about.not_after => "expired",
        _ if now < about.not_before => "early",
        Some(_) => "kept",
        None if about.days_left(now) < EXPIRY_WARNING_DAYS => "expires",
        None => "ok",
    };
    let why = trouble.unwrap_or_else(|| match state {
        "placeholder" => "the files are not there yet".to_owned(),
        "early" => "it is not good yet: is this machine's clock right?".to_owned(),
        _ => String::new(),
    });
    let time = |seconds: i64| log::timestamp(UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64));
    CertificateStatus {
        certificate: slot.files.chain.display().to_string(),
        key: slot.files.key.display().to_string(),
        names: about.names.clone(),
        state: state.to_owned(),
        why,
        issuer: about.issuer.clone(),
        kind: about.kind.word().to_owned(),
        not_before: time(about.not_before),
        not_after: time(about.not_after),
        days_left: about.days_left(now),
        fingerprint: about.fingerprint.clone(),
    }
}

#[cfg(test)]
mod tests;
