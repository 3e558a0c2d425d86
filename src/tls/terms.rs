//! rustls' side of a plan: what its sections offer and ask. Made as a whole or not at all.

use super::certificate::{self, Presence};
use super::store::{Held, Slot, Store};
use super::{dialer, offer, placeholder};
use crate::config::plan::{CertificateFiles, Plan, ProxySsl, Ssl};
use crate::limits::{EXPIRY_WARNING_DAYS, TICKET_KEYS_LIFETIME};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use dialer::Dialer;
pub use offer::Offer;

/// rustls' side of one plan.
#[derive(Debug, Default)]
pub struct Terms {
    /// By `Plan::servers`; `None`: no TLS.
    pub servers: Vec<Option<Arc<Offer>>>,
    /// By `Plan::tcps`; `None`: no TLS.
    pub tcps: Vec<Option<Arc<Offer>>>,
    /// By `Plan::proxy_ssls`.
    pub dialers: Vec<Arc<Dialer>>,
}

impl Terms {
    /// Of a plan without TLS.
    pub fn none(plan: &Plan) -> Terms {
        Terms { servers: vec![None; plan.servers.len()], tcps: vec![None; plan.tcps.len()], dialers: Vec::new() }
    }

    /// Reads all files that `plan` names. Certificates of files that `store` knows get what is in them now. `before`: what ran until now;
    /// dialers stay the same where nothing about them changed.
    ///
    /// Also returns warnings for people. `Err`: everything that is wrong, for people; then nothing has changed.
    pub fn load(plan: &Plan, store: &Arc<Store>, before: Option<&Terms>) -> Result<(Terms, Vec<String>), Vec<String>> {
        let mut loading = Loading::new(store, now());
        loading.name_certificates(plan);
        let servers: Vec<_> = plan.servers.iter().map(|server| loading.offer(server.ssl.as_ref(), false)).collect();
        let tcps: Vec<_> = plan.tcps.iter().map(|tcp| loading.offer(tcp.ssl.as_ref(), true)).collect();
        let dialers: Vec<_> = plan.proxy_ssls.iter().map(|asked| loading.dialer(asked, before)).collect();
        for (names, offer) in sections(plan).zip(servers.iter().chain(&tcps)) {
            if let Some(offer) = offer.as_ref().filter(|offer| !offer.reject) {
                loading.miss_names(names, offer);
            }
        }
        // Many sections may name one file.
        for said in [&mut loading.errors, &mut loading.warnings] {
            let mut known = BTreeSet::new();
            said.retain(|line| known.insert(line.clone()));
        }
        if !loading.errors.is_empty() {
            return Err(loading.errors);
        }
        loading.swaps.into_iter().for_each(|(slot, held)| slot.put(held));
        let terms = Terms { servers, tcps, dialers: dialers.into_iter().flatten().collect() };
        Ok((terms, loading.warnings))
    }
}

/// The names of all sections, servers first.
fn sections(plan: &Plan) -> impl Iterator<Item = &[String]> {
    plan.servers.iter().map(|server| &*server.names).chain(plan.tcps.iter().map(|tcp| &*tcp.names))
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// One reading of everything.
pub(super) struct Loading<'s> {
    pub(super) store: &'s Arc<Store>,
    pub(super) now: i64,
    pub(super) warnings: Vec<String>,
    pub(super) errors: Vec<String>,
    /// For whom certificates are: the names of the sections that have them.
    names: BTreeMap<CertificateFiles, BTreeSet<String>>,
    slots: BTreeMap<CertificateFiles, Arc<Slot>>,
    /// What slots in use get when everything is good.
    swaps: Vec<(Arc<Slot>, Held)>,
    offers: Vec<(Ssl, bool, Arc<Offer>)>,
    providers: BTreeMap<Option<Vec<u16>>, Arc<CryptoProvider>>,
    /// The system's authorities, once they were needed, and their digest.
    system: Option<(Arc<RootCertStore>, u64)>,
}

impl<'s> Loading<'s> {
    fn new(store: &'s Arc<Store>, now: i64) -> Loading<'s> {
        Loading {
            store,
            now,
            warnings: Vec::new(),
            errors: Vec::new(),
            names: BTreeMap::new(),
            slots: BTreeMap::new(),
            swaps: Vec::new(),
            offers: Vec::new(),
            providers: BTreeMap::new(),
            system: None,
        }
    }

    fn name_certificates(&mut self, plan: &Plan) {
        let ssls = plan.servers.iter().map(|server| &server.ssl).chain(plan.tcps.iter().map(|tcp| &tcp.ssl));
        for (names, ssl) in sections(plan).zip(ssls) {
            for files in ssl.iter().flat_map(|ssl| &ssl.certificates) {
                self.names.entry(files.clone()).or_default().extend(names.iter().cloned());
            }
        }
    }

    /// What a section offers; `None`: no TLS, or something is wrong. `strict`: bad client certificates end the handshake.
    fn offer(&mut self, ssl: Option<&Ssl>, strict: bool) -> Option<Arc<Offer>> {
        let ssl = ssl?;
        if let Some((_, _, offer)) = self.offers.iter().find(|(asked, s, _)| (asked, *s) == (ssl, strict)) {
            return Some(offer.clone());
        }
        if ssl.session_tickets && ssl.session_timeout.as_secs() > TICKET_KEYS_LIFETIME {
            self.warnings.push("`ssl_session_timeout`: sessions are resumed for 12 hours at most".to_owned());
        }
        let offer = Offer::load(ssl, strict, self)?;
        self.offers.push((ssl.clone(), strict, offer.clone()));
        Some(offer)
    }

    fn dialer(&mut self, asked: &ProxySsl, before: Option<&Terms>) -> Option<Arc<Dialer>> {
        let dialer = Dialer::load(asked, self)?;
        let before = before.into_iter().flat_map(|terms| &terms.dialers);
        let same = before.into_iter().find(|before| before.is_same(&dialer)).cloned();
        Some(same.unwrap_or_else(|| Arc::new(dialer)))
    }

    /// The slot of a pair; `None`: something is wrong with it. `may_wait`: a placeholder does until the files come.
    pub(super) fn slot(&mut self, files: &CertificateFiles, may_wait: bool) -> Option<Arc<Slot>> {
        if let Some(slot) = self.slots.get(files) {
            return Some(slot.clone());
        }
        let before = self.store.slot(files);
        let held = match certificate::presence(files) {
            Presence::Neither if before.as_ref().is_some_and(|slot| !slot.held().about.placeholder) => None,
            Presence::Neither if may_wait => Some(self.placeholder(files)?),
            Presence::One { there, missing } => {
                self.errors.push(format!(
                    "{} is not there, though {} is: both are needed (if neither were there, a placeholder would do)",
                    missing.display(),
                    there.display()
                ));
                return None;
            }
            Presence::Neither | Presence::Both => Some(self.read(files, before.as_deref())?),
        };
        let slot = match (before, held) {
            (Some(slot), None) => {
                let shown = files.chain.display();
                self.warnings
                    .push(format!("{shown} and its key are gone; the certificate that was there is still served"));
                slot
            }
            (Some(slot), Some(held)) => {
                self.swaps.push((slot.clone(), held));
                slot
            }
            (None, held) => {
                let slot = Arc::new(Slot::new(files.clone(), held?));
                self.store.add(&slot);
                slot
            }
        };
        self.slots.insert(files.clone(), slot.clone());
        Some(slot)
    }

    fn placeholder(&mut self, files: &CertificateFiles) -> Option<Held> {
        let names: Vec<String> = self.names.get(files).into_iter().flatten().cloned().collect();
        let shown = files.chain.display();
        self.warnings.push(format!(
            "{shown} is not there yet: a self-signed placeholder is served until it and its key {} come",
            files.key.display()
        ));
        placeholder::make(files, &names, self.now).map_err(|error| self.errors.push(error)).ok()
    }

    fn read(&mut self, files: &CertificateFiles, before: Option<&Slot>) -> Option<Held> {
        let certificate = match certificate::read(files, self.now) {
            Ok(certificate) => certificate,
            Err(problem) => {
                self.errors.push(problem);
                return None;
            }
        };
        self.warnings.extend(certificate.remarks.iter().cloned());
        match &certificate.lapse {
            // Better than what runs it is not; but who starts with it alone has to get along.
            Some(lapse) if before.is_some_and(|slot| slot.held().about.is_good(self.now)) => {
                self.errors.push(lapse.clone());
                return None;
            }
            Some(lapse) => self.warnings.push(lapse.clone()),
            None if certificate.about.days_left(self.now) < EXPIRY_WARNING_DAYS => {
                self.warnings.push(certificate::expires(files, &certificate.about, self.now));
            }
            None => {}
        }
        Some(certificate.into())
    }

    /// Says which names of a section no certificate of it has.
    fn miss_names(&mut self, names: &[String], offer: &Offer) {
        let held: Vec<_> = offer.slots().iter().map(|slot| self.will_hold(slot)).collect();
        if held.is_empty() || held.iter().any(|about| about.placeholder) {
            return;
        }
        let bare = |name: &String| name.strip_prefix('.').map(str::to_owned);
        let wild = |name: &String| name.strip_prefix('.').map(|bare| format!("*.{bare}"));
        let wanted = names.iter().flat_map(|name| match bare(name) {
            Some(bare) => vec![Some(bare), wild(name)],
            None => vec![Some(name.clone())],
        });
        // `_` and the like is how nginx's users say "whatever else"; `mail.*` no certificate can say.
        let is_name = |name: &String| name.contains('.') && !name.ends_with('*');
        let missed: BTreeSet<String> =
            wanted.flatten().filter(is_name).filter(|name| !held.iter().any(|about| about.covers(name))).collect();
        if missed.is_empty() {
            return;
        }
        let missed: Vec<_> = missed.into_iter().collect();
        let have: BTreeSet<&str> = held.iter().flat_map(|about| &about.names).map(String::as_str).collect();
        let have: Vec<_> = have.into_iter().collect();
        let have = if have.is_empty() { "no name at all".to_owned() } else { have.join(", ") };
        let files: Vec<_> = offer.slots().iter().map(|slot| slot.files.chain.display().to_string()).collect();
        self.warnings.push(format!(
            "no certificate of the server is made out to {}: browsers will warn ({} has {have})",
            missed.join(", "),
            files.join(", ")
        ));
    }

    fn will_hold(&self, slot: &Arc<Slot>) -> certificate::About {
        let swap = self.swaps.iter().find(|(swapped, _)| Arc::ptr_eq(swapped, slot));
        swap.map_or_else(|| slot.held().about.clone(), |(_, held)| held.about.clone())
    }

    /// The system's authorities, read once for all; their digest goes into `hasher`. `Err`: there are none.
    pub(super) fn system_roots(&mut self, hasher: &mut impl Hasher) -> Result<Arc<RootCertStore>, String> {
        if self.system.is_none() {
            let mut found = rustls_native_certs::load_native_certs().certs;
            found.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
            let mut digest = DefaultHasher::new();
            found.iter().for_each(|certificate| certificate.as_ref().hash(&mut digest));
            let mut roots = RootCertStore::empty();
            // Some systems have one that rustls cannot read; the others suffice.
            roots.add_parsable_certificates(found);
            if roots.is_empty() {
                return Err("this system has no certificates of authorities (/etc/ssl/certs): install the package \
                            ca-certificates, or name a file with `proxy_ssl_trusted_certificate`"
                    .to_owned());
            }
            self.system = Some((Arc::new(roots), digest.finish()));
        }
        let (roots, digest) = self.system.as_ref().ok_or("the system's authorities were not read")?;
        digest.hash(hasher);
        Ok(roots.clone())
    }

    /// Cryptography with these suites, in this order; those of TLS 1.3 are always there.
    pub(super) fn provider(&mut self, suites: Option<&Vec<u16>>) -> Arc<CryptoProvider> {
        let make = || {
            let all = aws_lc_rs::default_provider();
            let Some(wanted) = suites else { return Arc::new(all) };
            let number = |suite: &rustls::SupportedCipherSuite| u16::from(suite.suite());
            let place = |suite: &rustls::SupportedCipherSuite| wanted.iter().position(|&w| w == number(suite));
            let mut suites = all.cipher_suites;
            suites.retain(|suite| suite.tls13().is_some() || place(suite).is_some());
            // Sorting is stable: what was not named keeps its order, at the end of its version.
            suites.sort_by_key(|suite| (suite.tls13().is_none(), place(suite).unwrap_or(usize::MAX)));
            Arc::new(CryptoProvider { cipher_suites: suites, ..all })
        };
        self.providers.entry(suites.cloned()).or_insert_with(make).clone()
    }
}

/// rustls' versions.
pub(super) fn versions(protocols: crate::config::plan::Protocols) -> Vec<&'static SupportedProtocolVersion> {
    [(protocols.tls13, &TLS13), (protocols.tls12, &TLS12)].into_iter().filter(|(on, _)| *on).map(|(_, v)| v).collect()
}
