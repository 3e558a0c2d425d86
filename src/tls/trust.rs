//! Authorities and what they revoked, from files: where chains may end, what may stand between, and who is believed as it is.

use super::certificate::{certificates, date, in_few_words, read_file};
use super::terms::Loading;
use super::verify::is_self_issued;
use super::words::sentence;
use crate::limits::EXPIRY_WARNING_DAYS;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore};
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// Whom to believe.
#[derive(Debug)]
pub(super) struct Authorities {
    /// Chains end here. Only those that were good by their time when they were read; perhaps none.
    pub(super) anchors: Arc<RootCertStore>,
    /// Not ends of chains, as they can be revoked; but peers need not show them.
    between: Vec<CertificateDer<'static>>,
    /// Believed as a peer's own certificate, too. What `openssl req -x509` makes is an authority, and webpki takes none for a peer's own.
    named: Vec<CertificateDer<'static>>,
    /// Of all in the file: what clients are told.
    pub(super) subjects: Vec<DistinguishedName>,
}

impl From<Arc<RootCertStore>> for Authorities {
    fn from(anchors: Arc<RootCertStore>) -> Authorities {
        Authorities { anchors, between: Vec::new(), named: Vec::new(), subjects: Vec::new() }
    }
}

impl Authorities {
    /// Those of a PEM file; what is read goes into `digest` too. `revocable`: there are revocation lists.
    pub(super) fn load(
        path: &Path,
        revocable: bool,
        digest: &mut impl Hasher,
        loading: &mut Loading,
    ) -> Result<Authorities, String> {
        let text = read_file(path)?;
        text.hash(digest);
        let shown = path.display();
        let all = certificates(&text, path)?;
        let mut known = RootCertStore::empty();
        for (n, certificate) in all.iter().enumerate() {
            known.add(certificate.clone()).map_err(|error| {
                format!("{shown}: certificate {} of it cannot be an authority: {}", n + 1, sentence(&error))
            })?;
        }
        // As OpenSSL: one in the middle is no end of a chain. Where there is nothing else it has to be.
        let (mut ends, mut between): (Vec<_>, Vec<_>) = all.into_iter().partition(is_self_issued);
        if ends.is_empty() {
            ends = std::mem::take(&mut between);
        }
        let now = loading.now;
        let mut anchors = RootCertStore::empty();
        for end in &ends {
            let lapse = lapse(end, now);
            lapse.is_some().hash(digest);
            match lapse {
                Some(lapse) => loading.warnings.push(format!("{shown}: {lapse}; it is not trusted")),
                None => _ = anchors.add_parsable_certificates([end.clone()]),
            }
        }
        // What somebody else signed may be revoked, and is looked up.
        let named = ends.into_iter().filter(|end| !revocable || is_self_issued(end)).collect();
        Ok(Authorities { anchors: Arc::new(anchors), between, named, subjects: known.subjects() })
    }

    /// The certificate itself is named; only its time and its name are left to be looked at.
    pub(super) fn has(&self, own: &CertificateDer) -> bool {
        self.named.iter().any(|named| named == own)
    }

    /// What was shown, and what is known anyway.
    pub(super) fn with_known<'a>(&'a self, shown: &'a [CertificateDer]) -> Vec<CertificateDer<'a>> {
        shown.iter().chain(&self.between).map(|der| CertificateDer::from(&der[..])).collect()
    }
}

/// An authority outside of its time.
fn lapse(certificate: &CertificateDer, now: i64) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let who = in_few_words(parsed.subject());
    let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    match now {
        _ if now > until => Some(format!("the authority {who} expired on {}", date(until))),
        _ if now < from => Some(format!("the authority {who} is good only from {} on", date(from))),
        _ => None,
    }
}

/// It is not past its time, nor before it.
pub(super) fn in_its_time(certificate: &CertificateDer, now: UnixTime) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let seconds = now.as_secs() as i64;
    let validity = parsed.validity();
    if seconds > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    if seconds < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

/// The revocation lists of a PEM file, if one is named.
pub(super) fn revocations(
    path: Option<&Path>,
    digest: &mut impl Hasher,
    loading: &mut Loading,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let text = read_file(path)?;
    text.hash(digest);
    let shown = path.display();
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    match lists {
        // rustls calls it damaged.
        Ok(lists) if lists.iter().any(is_version_1) => Err(format!(
            "{shown}: a revocation list is version 1: make it with the extension crlNumber (openssl ca: crl_extensions)"
        )),
        Ok(lists) if !lists.is_empty() => {
            loading.warnings.extend(lists.iter().filter_map(|list| expiry(list, path, loading.now)));
            Ok(lists)
        }
        Ok(_) => Err(format!("{shown} holds no revocation list: PEM begins with `-----BEGIN X509 CRL-----`")),
        Err(error) => Err(format!("{shown}: the PEM in it is damaged: {error}")),
    }
}

fn is_version_1(list: &CertificateRevocationListDer) -> bool {
    CertificateRevocationList::from_der(list).is_ok_and(|(_, parsed)| parsed.version().is_none())
}

/// A list that has expired, or will soon: in the last quarter of its time, as some are made for a day and some for a year.
fn expiry(list: &CertificateRevocationListDer, path: &Path, now: i64) -> Option<String> {
    let (_, parsed) = CertificateRevocationList::from_der(list).ok()?;
    let (from, until) = (parsed.last_update().timestamp(), parsed.next_update()?.timestamp());
    let (who, shown, on) = (in_few_words(parsed.issuer()), path.display(), date(until));
    let left = until - now;
    if left < 0 {
        return Some(format!(
            "the revocation list (CRL) of {who} in {shown} expired on {on}: no certificate of {who} is accepted; put a new one there and reload"
        ));
    }
    (left < EXPIRY_WARNING_DAYS * 86_400 && left < (until - from) / 4).then(|| {
        format!(
            "the revocation list (CRL) of {who} in {shown} expires on {on}, and then no certificate of {who} is accepted: put a new one there and reload"
        )
    })
}
