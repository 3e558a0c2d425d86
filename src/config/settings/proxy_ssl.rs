//! `proxy_ssl_...`: what is asked of backends that speak TLS.

use super::Written;
use super::files::{Named, pairs};
use crate::config::address;
use crate::config::ciphers;
use crate::config::plan;
use crate::config::report::{Place, Report};
use crate::config::value::switch;

/// The values in force at one level.
#[derive(Debug, Clone, Default)]
pub struct ProxySsl {
    /// All but the certificate.
    asked: plan::ProxySsl,
    certificate: Option<Named>,
    key: Option<Named>,
    /// Where the suites are named.
    ciphers: Option<Place>,
}

impl ProxySsl {
    /// Sets one key (without `proxy_ssl_`) from its text; what is strange about it.
    pub fn set(&mut self, key: &str, text: &str, at: &Written) -> Result<Option<String>, String> {
        let asked = &mut self.asked;
        match key {
            "verify" => {
                asked.verify = switch(text)?;
                return Ok((!asked.verify).then(|| UNVERIFIED.to_string()));
            }
            "trusted_certificate" => asked.trusted = at.file_or_off(text)?.map(|named| named.path),
            "crl" => asked.revoked = at.file_or_off(text)?.map(|named| named.path),
            "name" => asked.name = name(text)?,
            "server_name" => asked.server_name = switch(text)?,
            "session_reuse" => asked.session_reuse = switch(text)?,
            "certificate" => {
                self.certificate = at.file_or_off(text)?;
                if self.certificate.is_none() {
                    self.key = None;
                }
            }
            "certificate_key" => self.key = at.file_or_off(text)?,
            "ciphers" => {
                let (suites, warning) = ciphers::suites(text)?;
                asked.suites = Some(suites);
                self.ciphers = Some(at.place.clone());
                return Ok(warning);
            }
            "verify_depth" => {
                let why = "a chain counts if it leads to a trusted authority, whatever its length";
                return Ok(Some(format!("`proxy_ssl_verify_depth` is not needed: {why}")));
            }
            _ => unreachable!("the file's mirror has no other key that begins so"),
        }
        Ok(None)
    }

    /// Sets `proxy_ssl_protocols`.
    pub fn set_protocols(&mut self, values: &[(&str, Place)], whole: &Place) -> Vec<Report> {
        super::protocols::set(&mut self.asked.protocols, values, whole)
    }

    /// What a location or tcp section asks that speaks TLS to its servers.
    pub fn asked(&self, alpn: &[&str]) -> Result<plan::ProxySsl, Box<Report>> {
        let certificate = match (&self.certificate, &self.key) {
            (None, Some(key)) => {
                let message = "a key needs its certificate; write `proxy_ssl_certificate`";
                return Err(Box::new(Report::error(key.place.clone(), message)));
            }
            (certificate, key) => pairs(certificate.as_slice(), key.as_slice(), "proxy_ssl_certificate")?.pop(),
        };
        let lack = |suites: &Vec<u16>| ciphers::lack(suites, self.asked.protocols, "proxy_ssl_protocols");
        if let (Some(message), Some(place)) = (self.asked.suites.as_ref().and_then(lack), &self.ciphers) {
            return Err(Box::new(Report::error(place.clone(), message)));
        }
        let alpn = alpn.iter().map(ToString::to_string).collect();
        Ok(plan::ProxySsl { certificate, alpn, ..self.asked.clone() })
    }
}

/// Loud, because nobody notices otherwise.
pub const UNVERIFIED: &str =
    "the certificates of these servers are NOT verified: whoever gets in between can read and change everything";

/// The name that a server's certificate must have; `None`, in words `"off"`: the one that each server has in the file.
pub fn name(text: &str) -> Result<Option<String>, String> {
    if text == "off" {
        return Ok(None);
    }
    if text.contains('$') {
        let hint = "leave it out for the name that each server has in the file, or write the one in their certificates";
        return Err(format!("variables in a name are not supported yet; {hint}"));
    }
    if text.is_empty() || text == "_" || text.contains('*') {
        return Err("write the name that is in the certificates, such as \"app.internal\"".to_string());
    }
    address::server_name(text)
        .map(|name| Some(name.trim_start_matches('[').trim_end_matches(']').to_string()))
        .map_err(|message| message.replace("belongs in `listen`", "is known from the server"))
}
