//! `ssl_...`: what is offered to clients.

use super::Written;
use super::files::{self, Named};
use crate::config::ciphers;
use crate::config::plan::{self, ClientCertificates, Protocols, VerifyClient};
use crate::config::report::{Place, Report};
use crate::config::value::{duration, switch};
use crate::limits;
use std::time::Duration;

/// The values in force at one level.
#[derive(Debug, Clone)]
pub struct Ssl {
    certificates: Vec<Named>,
    keys: Vec<Named>,
    reject: bool,
    protocols: Protocols,
    suites: Option<(Vec<u16>, Place)>,
    prefer_server_ciphers: bool,
    session_timeout: Duration,
    session_tickets: bool,
    handshake_timeout: Duration,
    verify: Option<(VerifyClient, Place)>,
    client_certificate: Option<Named>,
    trusted: Option<Named>,
    revoked: Option<Named>,
}

impl Default for Ssl {
    fn default() -> Ssl {
        Ssl {
            certificates: Vec::new(),
            keys: Vec::new(),
            reject: false,
            protocols: Protocols::default(),
            suites: None,
            prefer_server_ciphers: false,
            session_timeout: Duration::from_millis(limits::SSL_SESSION_TIMEOUT_DEFAULT),
            session_tickets: true,
            handshake_timeout: Duration::from_millis(limits::SSL_HANDSHAKE_TIMEOUT_DEFAULT),
            verify: None,
            client_certificate: None,
            trusted: None,
            revoked: None,
        }
    }
}

impl Ssl {
    /// Sets one key (without `ssl_`) from its text; what is strange about it.
    pub fn set(&mut self, key: &str, text: &str, at: &Written) -> Result<Option<String>, String> {
        match key {
            "prefer_server_ciphers" => self.prefer_server_ciphers = switch(text)?,
            "session_timeout" => self.session_timeout = super::wait(text)?,
            "session_tickets" => self.session_tickets = switch(text)?,
            "handshake_timeout" => self.handshake_timeout = super::wait(text)?,
            "reject_handshake" => self.reject = switch(text)?,
            "client_certificate" => self.client_certificate = at.file_or_off(text)?,
            "trusted_certificate" => self.trusted = at.file_or_off(text)?,
            "crl" => self.revoked = at.file_or_off(text)?,
            "verify_client" => self.verify = verify_client(text)?.map(|verify| (verify, at.place.clone())),
            "ciphers" => {
                let (suites, warning) = ciphers::suites(text)?;
                self.suites = Some((suites, at.place.clone()));
                return Ok(warning);
            }
            "password_file" => {
                let how = "write the key without one (openssl pkey -in KEY -out NEW), readable for its owner only";
                return Err(format!("keys behind a password cannot be read; {how}"));
            }
            _ => return Ok(not_needed(key, text)),
        }
        Ok(None)
    }

    /// Sets one key (without `ssl_`) from its values.
    pub fn set_list(&mut self, key: &str, values: &[(&str, Place)], whole: &Written) -> Vec<Report> {
        match key {
            "certificate" => files::all(&mut self.certificates, values, whole),
            "certificate_key" => files::all(&mut self.keys, values, whole),
            _ => super::protocols::set(&mut self.protocols, values, &whole.place),
        }
    }

    /// What a section offers that listens with `ssl` there; without a certificate nothing can be.
    pub fn offer(&self, alpn: Vec<String>, there: &Place) -> (plan::Ssl, Vec<Report>) {
        let mut reports = Vec::new();
        let certificates = match (&self.certificates[..], &self.keys[..]) {
            ([], []) if self.reject => Vec::new(),
            ([], _) => {
                let message = "`ssl` needs a certificate; write `ssl_certificate` and `ssl_certificate_key`";
                reports.push(Report::error(there.clone(), message));
                Vec::new()
            }
            (certificates, keys) => match files::pairs(certificates, keys, "ssl_certificate") {
                Ok(pairs) => pairs,
                Err(report) => {
                    reports.push(*report);
                    Vec::new()
                }
            },
        };
        if let Some((suites, place)) = &self.suites {
            let lack = ciphers::lack(suites, self.protocols, "ssl_protocols");
            reports.extend(lack.map(|message| Report::error(place.clone(), message)));
        }
        let offer = plan::Ssl {
            certificates,
            reject: self.reject,
            protocols: self.protocols,
            suites: self.suites.as_ref().map(|(suites, _)| suites.clone()),
            prefer_server_ciphers: self.prefer_server_ciphers,
            client: self.client(&mut reports),
            session_tickets: self.session_tickets,
            session_timeout: self.session_timeout,
            alpn,
            handshake_timeout: self.handshake_timeout,
        };
        (offer, reports)
    }

    /// Clients are asked for certificates.
    pub fn verifies(&self) -> bool {
        self.verify.is_some()
    }

    /// Where files are named that are of use only if clients are asked. Not `ssl_trusted_certificate`: guides for OCSP stapling set
    /// it, and nothing is lost without.
    pub fn of_clients(&self) -> impl Iterator<Item = &Place> {
        [&self.client_certificate, &self.revoked].into_iter().flatten().map(|named| &named.place)
    }

    fn client(&self, reports: &mut Vec<Report>) -> Option<ClientCertificates> {
        let (verify, place) = self.verify.as_ref()?;
        if let (Some(_), Some(trusted)) = (&self.client_certificate, &self.trusted) {
            let message = "`ssl_client_certificate` says whom to believe, this file does not count: put both into one";
            reports.push(Report::warning(trusted.place.clone(), message));
        }
        let authorities = self.client_certificate.as_ref().or(self.trusted.as_ref());
        if authorities.is_none() && *verify != VerifyClient::OptionalNoCa {
            let message = "whose certificates are good? write `ssl_client_certificate`, a file of their authorities";
            reports.push(Report::error(place.clone(), message));
        }
        if let (None, Some(revoked)) = (authorities, &self.revoked) {
            let message = "this does nothing without `ssl_client_certificate`: nobody is asked who signed what";
            reports.push(Report::warning(revoked.place.clone(), message));
        }
        Some(ClientCertificates {
            verify: *verify,
            authorities: authorities.map(|named| named.path.clone()),
            names_sent: self.client_certificate.is_some(),
            revoked: self.revoked.as_ref().map(|named| named.path.clone()),
        })
    }
}

fn verify_client(text: &str) -> Result<Option<VerifyClient>, String> {
    match text {
        "off" => Ok(None),
        "on" => Ok(Some(VerifyClient::On)),
        "optional" => Ok(Some(VerifyClient::Optional)),
        "optional_no_ca" => Ok(Some(VerifyClient::OptionalNoCa)),
        _ => Err("write \"on\", \"optional\", \"optional_no_ca\" or \"off\"".to_string()),
    }
}

/// Why a key of nginx's has no answer here, if it asks for something.
fn not_needed(key: &str, text: &str) -> Option<String> {
    let why = match (key, text) {
        ("stapling" | "stapling_verify" | "early_data", "off") => return None,
        ("dhparam", _) => "is not needed: rustls exchanges keys by ECDHE only, never by DHE",
        ("session_cache", _) => {
            "is not needed: sessions are resumed by tickets alone (with ssl_session_tickets = \"off\", not at all)"
        }
        ("ecdh_curve", _) => "has no answer here: the key exchange is chosen from all that are safe",
        ("verify_depth", _) => "is not needed: a chain counts if it leads to a trusted authority, whatever its length",
        ("stapling" | "stapling_verify", _) => {
            "has no answer here: nothing is stapled; most authorities answer no OCSP any more"
        }
        ("buffer_size", _) => "is not needed: the size of records is chosen as data comes",
        ("early_data", _) => "has no answer here: requests in early data could be repeated by others",
        ("session_ticket_key", _) => {
            "is not needed: the keys of tickets are made here, renewed, and shared by all workers"
        }
        _ => return None,
    };
    Some(format!("`ssl_{key}` {why}"))
}

/// How long `hsts` counts, in seconds: nginx's durations, with years.
pub fn seconds(text: &str) -> Result<u64, String> {
    let years = text.strip_suffix('y').and_then(|years| years.parse::<u64>().ok());
    let seconds = match (years, text.parse::<u64>()) {
        (Some(years), _) => years.saturating_mul(365 * 86_400),
        (None, Ok(seconds)) => seconds,
        (None, Err(_)) => duration(text)?.as_secs(),
    };
    match seconds <= limits::HSTS_MAX {
        true => Ok(seconds),
        false => Err(format!("\"{text}\" is longer than ten years")),
    }
}
