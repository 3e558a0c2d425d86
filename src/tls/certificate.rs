//! A certificate and its key: read from files, checked, and what people want to know of it. Time is an argument.

use super::stamp::Stamps;
use super::words::sentence;
use crate::config::plan::CertificateFiles;
use crate::limits::PEM_FILE_MAX;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureAlgorithm};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// A good pair.
#[derive(Debug)]
pub struct Certificate {
    /// For handshakes.
    pub key: Arc<CertifiedKey>,
    /// For people.
    pub about: About,
    /// The files as they were before they were read.
    pub stamps: Stamps,
    /// It has expired, or is not good yet: one sentence.
    pub lapse: Option<String>,
    /// What else is not as it should be, though it can be used; for people.
    pub remarks: Vec<String>,
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Host names (lower case; may begin with `*.`) and IP addresses for which it is good.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970: the last one in which it is good.
    pub not_after: i64,
    /// Who signed it, in few words.
    pub issuer: String,
    /// It signed itself: nobody trusts it unless told to.
    pub self_signed: bool,
    /// Made by us, because the files are not there yet.
    pub placeholder: bool,
    /// Of its key.
    pub kind: Kind,
    /// SHA-256 of the certificate in hex, lower case.
    pub fingerprint: String,
}

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// P-256, P-384 or P-521. Signing is fastest with P-256.
    Ecdsa,
    /// Ed25519
    Ed25519,
    /// RSA
    Rsa,
    /// Whatever else rustls can sign with.
    Other,
}

impl Kind {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ecdsa => "ECDSA",
            Kind::Ed25519 => "Ed25519",
            Kind::Rsa => "RSA",
            Kind::Other => "other",
        }
    }
}

/// Which files of a pair are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence<'f> {
    /// Both, or it cannot be known.
    Both,
    /// None of them, or only links that lead nowhere.
    Neither,
    /// One without the other.
    One {
        /// This one.
        there: &'f Path,
        /// The other one.
        missing: &'f Path,
    },
}

/// Looks which files of a pair are there.
pub fn presence(files: &CertificateFiles) -> Presence<'_> {
    let is_missing = |path: &Path| std::fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    match (is_missing(&files.chain), is_missing(&files.key)) {
        (false, false) => Presence::Both,
        (true, true) => Presence::Neither,
        (true, false) => Presence::One { there: &files.key, missing: &files.chain },
        (false, true) => Presence::One { there: &files.chain, missing: &files.key },
    }
}

/// Reads and checks a pair. `now`: seconds since 1970.
pub fn read(files: &CertificateFiles, now: i64) -> Result<Certificate, String> {
    let stamps = Stamps::of(files, now);
    let chain_text = read_file(&files.chain)?;
    let key_text = read_file(&files.key)?;
    let chain = certificates(&chain_text, &files.chain)?;
    let key = private_key(&key_text, &files.key)?;
    check(files, chain, key, stamps, now)
}

fn check(
    files: &CertificateFiles,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    stamps: Stamps,
    now: i64,
) -> Result<Certificate, String> {
    let (chain_shown, key_shown) = (files.chain.display(), files.key.display());
    let key = any_supported_type(&key).map_err(|_| {
        format!("the key in {key_shown} is of a kind that cannot be used: make one with RSA (2048 to 8192 bits), ECDSA (P-256, P-384) or Ed25519")
    })?;
    let about = about(&chain[0], Some(&*key))
        .ok_or_else(|| format!("{chain_shown}: the first certificate in it cannot be read: it is damaged"))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => return Err(mismatch(files, certified)),
        Err(error) => {
            return Err(format!("{chain_shown}: {}", sentence(&error)));
        }
    }
    let remarks = remarks(files, &certified.cert);
    let lapse = lapse(files, &about, now);
    Ok(Certificate { key: Arc::new(certified), about, stamps, lapse, remarks })
}

/// What is wrong with its time.
fn lapse(files: &CertificateFiles, about: &About, now: i64) -> Option<String> {
    let shown = files.chain.display();
    if now > about.not_after {
        Some(format!("the certificate in {shown} expired on {}: renew it", date(about.not_after)))
    } else if now < about.not_before {
        let from = date(about.not_before);
        Some(format!("the certificate in {shown} is good only from {from} on: is this machine's clock right?"))
    } else {
        None
    }
}

/// A sentence on how long it is still good.
pub fn expires(files: &CertificateFiles, about: &About, now: i64) -> String {
    let shown = files.chain.display();
    let on = date(about.not_after);
    match about.days_left(now) {
        ..0 => format!("the certificate in {shown} expired on {on}: renew it"),
        0 => format!("the certificate in {shown} expires within a day ({on}): renew it"),
        1 => format!("the certificate in {shown} expires in 1 day ({on}): renew it"),
        days => format!("the certificate in {shown} expires in {days} days ({on}): renew it"),
    }
}

/// The key belongs to another certificate, perhaps to a later one of the chain.
fn mismatch(files: &CertificateFiles, certified: CertifiedKey) -> String {
    let (chain_shown, key_shown) = (files.chain.display(), files.key.display());
    let fits =
        |at: usize| CertifiedKey::new(vec![certified.cert[at].clone()], certified.key.clone()).keys_match().is_ok();
    if (1..certified.cert.len()).any(fits) {
        return format!(
            "{chain_shown}: the chain is in the wrong order: the server's certificate comes first, then that of its issuer"
        );
    }
    format!("the key in {key_shown} is not that of the certificate in {chain_shown}")
}

/// What can be used, but will not please every client.
fn remarks(files: &CertificateFiles, chain: &[CertificateDer<'static>]) -> Vec<String> {
    let shown = files.chain.display();
    let parsed: Vec<_> = chain.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    let mut remarks = Vec::new();
    if parsed.len() < chain.len() {
        remarks.push(format!("{shown}: a certificate behind the first one cannot be read"));
    } else if parsed.windows(2).any(|pair| pair[0].issuer().as_raw() != pair[1].subject().as_raw()) {
        remarks.push(format!("{shown}: each certificate should be followed by that of its issuer, and one is not: some clients may refuse the chain"));
    }
    let full = files.chain.with_file_name("fullchain.pem");
    if chain.len() == 1 && files.chain.file_name() == Some("cert.pem".as_ref()) && full.exists() {
        remarks.push(format!(
            "{shown} holds the certificate without those of its issuers, and many clients will refuse it: name {}",
            full.display()
        ));
    }
    remarks
}

/// The text of a regular file, never waiting for anybody: a pipe has no end as long as nobody writes it.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => format!("{shown} is not there"),
        ErrorKind::PermissionDenied => {
            format!(
                "{shown} may not be read by this user: give it the right to read the file and to enter the folders that lead there (chgrp, chmod g+rX), or start ringgate as root"
            )
        }
        _ => format!("{shown} cannot be read: {error}"),
    };
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "a folder" } else { "no regular file" };
        return Err(format!("{shown} is {what}: name a PEM file"));
    }
    let mut text = Vec::new();
    file.take(PEM_FILE_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > PEM_FILE_MAX {
        return Err(format!("{shown} has more than {} KiB: it cannot be what is meant", PEM_FILE_MAX / 1024));
    }
    if text.trim_ascii().is_empty() {
        return Err(format!("{shown} is empty"));
    }
    Ok(text)
}

/// All certificates of a PEM text; at least one.
pub(super) fn certificates(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(without_certificate(text, path)),
        Err(error) => Err(format!("{}: the PEM in it is damaged: {error}", path.display())),
    }
}

fn without_certificate(text: &[u8], path: &Path) -> String {
    let shown = path.display();
    if looks_like_der(text) {
        return format!(
            "{shown} is DER, not PEM: turn it into PEM with `openssl x509 -inform der -in {shown} -out NEW.pem`"
        );
    }
    if has(text, "PRIVATE KEY-----") {
        return format!("{shown} holds a key and no certificate: are the certificate and its key swapped?");
    }
    if has(text, "CERTIFICATE REQUEST-----") {
        return format!("{shown} holds a certificate request: name the certificate that was made from it");
    }
    if has(text, "BEGIN TRUSTED CERTIFICATE-----") {
        return format!(
            "{shown} holds OpenSSL's own form (TRUSTED CERTIFICATE): turn it into the common one with `openssl x509 -in {shown} -out NEW.pem`"
        );
    }
    if has(text, "BEGIN PKCS7-----") {
        return format!(
            "{shown} holds PKCS #7: turn it into certificates with `openssl pkcs7 -print_certs -in {shown} -out NEW.pem`"
        );
    }
    format!("{shown} holds no certificate: PEM begins with `-----BEGIN CERTIFICATE-----`")
}

/// The first key of a PEM text.
fn private_key(text: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let shown = path.display();
    if has(text, "BEGIN ENCRYPTED PRIVATE KEY-----") || has(text, "Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "the key in {shown} is encrypted with a password, which cannot be read: write it without one with `openssl pkey -in {shown} -out NEW.key`, readable for ringgate's user only"
        ));
    }
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(rustls::pki_types::pem::Error::NoItemsFound) => Err(without_key(text, path)),
        Err(error) => Err(format!("{shown}: the PEM in it is damaged: {error}")),
    }
}

fn without_key(text: &[u8], path: &Path) -> String {
    let shown = path.display();
    if looks_like_der(text) {
        return format!(
            "{shown} is DER, not PEM: turn it into PEM with `openssl pkey -inform der -in {shown} -out NEW.key`"
        );
    }
    if has(text, "BEGIN CERTIFICATE-----") {
        return format!("{shown} holds a certificate and no key: are the certificate and its key swapped?");
    }
    if has(text, "BEGIN PUBLIC KEY-----") {
        return format!("{shown} holds the public key: name the file of the private one");
    }
    if has(text, "BEGIN OPENSSH PRIVATE KEY-----") {
        return format!("{shown} holds a key of SSH: TLS takes another form (PKCS #8)");
    }
    if has(text, "BEGIN DSA PRIVATE KEY-----") {
        return format!("{shown} holds a DSA key, which no client accepts any more: make one with ECDSA or RSA");
    }
    format!("{shown} holds no key: PEM begins with `-----BEGIN PRIVATE KEY-----`")
}

fn has(text: &[u8], part: &str) -> bool {
    memchr::memmem::find(text, part.as_bytes()).is_some()
}

/// A SEQUENCE with a long length: certificates and keys begin so.
fn looks_like_der(text: &[u8]) -> bool {
    matches!(text, [0x30, 0x2e..=0x84, ..]) && !has(text, "-----BEGIN ")
}

/// What the certificate says of itself; `None`: it cannot be read.
pub(super) fn about(der: &CertificateDer, key: Option<&dyn rustls::sign::SigningKey>) -> Option<About> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let kind = match key.map(|key| key.algorithm()) {
        Some(SignatureAlgorithm::ECDSA) => Kind::Ecdsa,
        Some(SignatureAlgorithm::ED25519) => Kind::Ed25519,
        Some(SignatureAlgorithm::RSA) => Kind::Rsa,
        _ => Kind::Other,
    };
    Some(About {
        names: names(&parsed),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
        issuer: in_few_words(parsed.issuer()),
        self_signed: parsed.issuer().as_raw() == parsed.subject().as_raw(),
        placeholder: false,
        kind,
        fingerprint: super::facts::hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref()),
    })
}

/// Names of the subject alternative name extension; the common name counts for no client any more.
fn names(certificate: &X509Certificate) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(IpAddr::from([a, b, c, d]).to_string()),
            ref bytes => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

/// `R10, Let's Encrypt`: the common name and the organisation.
pub(super) fn in_few_words(name: &x509_parser::x509::X509Name) -> String {
    let parts = name.iter_common_name().chain(name.iter_organization()).filter_map(|part| part.as_str().ok());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    match parts.is_empty() {
        true => name.to_string(),
        false => parts.join(", "),
    }
}

/// A day, UTC: `2026-11-21`.
pub fn date(seconds: i64) -> String {
    match ASN1Time::from_timestamp(seconds) {
        Ok(time) => {
            let day = time.to_datetime().date();
            format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
        }
        Err(_) => "a day beyond all calendars".to_owned(),
    }
}

impl About {
    /// Whether a client that asks for `name` (lower case, no port) will accept it: by its names, `*` standing for one label.
    pub fn covers(&self, name: &str) -> bool {
        let rest = name.split_once('.').map(|(_, rest)| rest);
        self.names.iter().any(|own| own == name || own.strip_prefix("*.").is_some_and(|own| Some(own) == rest))
    }

    /// Neither a placeholder nor expired, nor too early.
    pub fn is_good(&self, now: i64) -> bool {
        !self.placeholder && (self.not_before..=self.not_after).contains(&now)
    }

    /// Whole days until it expires; negative afterwards.
    pub fn days_left(&self, now: i64) -> i64 {
        (self.not_after - now).div_euclid(86_400)
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
