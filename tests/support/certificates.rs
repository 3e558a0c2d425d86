//! Certificates made while a test runs: authorities, and what they sign.

use super::tls::Identity;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, RevocationReason, RevokedCertParams, RsaKeySize, SerialNumber, date_time_ymd,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a key is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ecdsa,
    Ecdsa384,
    Rsa,
    Ed25519,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Ecdsa, Kind::Ecdsa384, Kind::Rsa, Kind::Ed25519];

    /// A new key.
    pub fn key(self) -> KeyPair {
        match self {
            Kind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Kind::Ecdsa384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Kind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            Kind::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
        }
        .expect("a key")
    }
}

/// What a certificate is for, and when.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    pub kind: Kind,
    /// The common name; servers get it from their first name.
    pub subject: &'a str,
    /// Names and addresses of a server; none: it is a client's.
    pub names: &'a [&'a str],
    /// From and to, in days from now.
    pub days: (i64, i64),
}

impl<'a> Order<'a> {
    /// A server's certificate for these names.
    pub fn server(names: &'a [&'a str]) -> Order<'a> {
        Order { kind: Kind::Ecdsa, subject: names.first().copied().unwrap_or_default(), names, days: (-1, 90) }
    }

    /// A client's.
    pub fn client(subject: &'a str) -> Order<'a> {
        Order { kind: Kind::Ecdsa, subject, names: &[], days: (-1, 90) }
    }

    /// With another key.
    pub fn kind(self, kind: Kind) -> Order<'a> {
        Order { kind, ..self }
    }

    /// That ended yesterday.
    pub fn expired(self) -> Order<'a> {
        Order { days: (-30, -1), ..self }
    }
}

/// Who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    /// What is sent behind a certificate: those between this authority and the root.
    between: String,
}

/// A certificate with its key, and its number.
#[derive(Debug, Clone)]
pub struct Pair {
    pub identity: Identity,
    pub serial: u64,
}

fn params(subject: &str, names: &[&str], days: (i64, i64)) -> (CertificateParams, u64) {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let at = |days: i64| {
        let shift = DAY * u32::try_from(days.unsigned_abs()).expect("some days");
        date_time_ymd(1970, 1, 1) + if days < 0 { now - shift } else { now + shift }
    };
    (params.not_before, params.not_after) = (at(days.0), at(days.1));
    params.distinguished_name.push(DnType::CommonName, subject);
    // Of other processes, too: a browser refuses two certificates of one issuer with one number.
    let serial = now.subsec_nanos() as u64 * 1_000_000 + SERIAL.fetch_add(1, SeqCst);
    params.serial_number = Some(SerialNumber::from(serial));
    (params, serial)
}

fn authority(subject: &str) -> CertificateParams {
    let (mut params, _) = params(subject, &[], (-2, 3000));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

impl Authority {
    /// A root of that name.
    pub fn new(subject: &str) -> Authority {
        let (params, key) = (authority(subject), Kind::Ecdsa.key());
        let certificate = params.self_signed(&key).expect("a certificate");
        Authority { issuer: Issuer::new(params, key), certificate, between: String::new() }
    }

    /// An authority below this one.
    pub fn intermediate(&self, subject: &str) -> Authority {
        let (params, key) = (authority(subject), Kind::Ecdsa.key());
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let between = certificate.pem() + &self.between;
        Authority { issuer: Issuer::new(params, key), certificate, between }
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Signs a new key.
    pub fn issue(&self, order: &Order) -> Pair {
        let (mut params, serial) = params(order.subject, order.names, order.days);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match order.names {
            [] => ExtendedKeyUsagePurpose::ClientAuth,
            _ => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        let key = order.kind.key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = certificate.pem() + &self.between;
        Pair { identity: Identity { chain, key: key.serialize_pem() }, serial }
    }

    /// A server's certificate with an ECDSA key.
    pub fn server(&self, names: &[&str]) -> Pair {
        self.issue(&Order::server(names))
    }

    /// The list of those that are revoked, PEM.
    pub fn revoked(&self, serials: &[u64]) -> String {
        let revoked = |&serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a list").pem().expect("a list")
    }
}

impl Pair {
    /// Writes `NAME.crt` and `NAME.key`, each in one step, for they may be read at any moment.
    pub fn write(&self, folder: &Path, name: &str) {
        // The key first: who sees the new certificate finds its key.
        replace(&folder.join(format!("{name}.key")), &self.identity.key);
        replace(&folder.join(format!("{name}.crt")), &self.identity.chain);
    }
}

/// Writes a file in one step.
pub fn replace(file: &Path, text: &str) {
    let draft: PathBuf = file.with_extension("draft");
    std::fs::write(&draft, text).expect("a file can be written");
    std::fs::rename(draft, file).expect("a file can be replaced");
}
