//! A certificate for a site whose own is not there yet: signed by itself, so that the server starts and a webroot challenge can be
//! answered, which is how the real one comes.

use super::certificate::{self, About};
use super::stamp::Stamps;
use super::store::Held;
use crate::config::plan::CertificateFiles;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::ASN1Time;

/// In the place of `files`, which are not there. Made out to `names` as configured (`*.example.org`, `.example.org`; what a certificate cannot say is left out), good for a year
/// from `now` (seconds since 1970).
pub fn make(files: &CertificateFiles, names: &[String], now: i64) -> Result<Held, String> {
    let stamps = Stamps::of(files, now);
    let failed = |error: &dyn std::fmt::Display| format!("a placeholder certificate cannot be made: {error}");
    let mut params = CertificateParams::new(certifiable(names)).map_err(|error| failed(&error))?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "ringgate placeholder");
    params.distinguished_name = name;
    // A day early: clocks differ.
    let day = Duration::from_secs(86_400);
    params.not_before = time_of(now).to_datetime() - day;
    params.not_after = time_of(now).to_datetime() + 365 * day;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| failed(&error))?;
    let made = params.self_signed(&key).map_err(|error| failed(&error))?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| failed(&error))?;
    let signing = any_supported_type(&private).map_err(|error| failed(&error))?;
    let der = made.der().clone();
    let about = certificate::about(&der, Some(&*signing)).ok_or_else(|| failed(&"it cannot be read"))?;
    let about = About { placeholder: true, ..about };
    Ok(Held { key: Arc::new(CertifiedKey::new(vec![der], signing)), about, stamps })
}

fn time_of(seconds: i64) -> ASN1Time {
    ASN1Time::from_timestamp(seconds).unwrap_or(ASN1Time::now())
}

/// The names that a certificate can have.
fn certifiable(names: &[String]) -> Vec<String> {
    let mut able: Vec<String> = Vec::new();
    for name in names {
        let expanded = match name.strip_prefix('.') {
            Some(bare) => vec![bare.to_owned(), format!("*.{bare}")],
            None => vec![name.clone()],
        };
        let host = |name: &str| ServerName::try_from(name.strip_prefix("*.").unwrap_or(name).to_owned()).is_ok();
        able.extend(expanded.into_iter().filter(|name| name.is_ascii() && host(name)));
    }
    able.sort();
    able.dedup();
    able
}
