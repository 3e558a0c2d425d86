//! For tests: an authority, what it signs, and handshakes in memory.

use crate::config::plan::{CertificateFiles, Plan, Protocols, Server, Ssl};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::ASN1Time;

pub const DAY: i64 = 86_400;

/// One that signs.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What it signed.
pub struct Pair {
    /// Without those of issuers.
    pub certificate: String,
    pub key: KeyPair,
    pub der: CertificateDer<'static>,
}

/// What is to be signed. The validity is in days from now.
pub struct Wanted {
    pub names: Vec<String>,
    pub days: Range<i64>,
    pub kind: &'static SignatureAlgorithm,
    pub subject: DistinguishedName,
    pub serial: u64,
    pub client: bool,
}

impl Default for Wanted {
    fn default() -> Wanted {
        let names = vec!["a.test".to_owned()];
        let subject = distinguished(&[(DnType::CommonName, "leaf")]);
        Wanted { names, days: -1..90, kind: &rcgen::PKCS_ECDSA_P256_SHA256, subject, serial: 0x8001, client: false }
    }
}

pub fn distinguished(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    parts.iter().for_each(|(kind, value)| name.push(kind.clone(), *value));
    name
}

/// Seconds since 1970, really.
pub fn now() -> i64 {
    super::terms::now()
}

fn set_days(params: &mut CertificateParams, days: Range<i64>) {
    let at = |days: i64| ASN1Time::from_timestamp(now() + days * DAY).unwrap().to_datetime();
    (params.not_before, params.not_after) = (at(days.start), at(days.end));
}

impl Authority {
    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished(&[(DnType::OrganizationName, "Test"), (DnType::CommonName, name)]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    pub fn new(name: &str) -> Authority {
        Authority(CertifiedIssuer::self_signed(Self::params(name), KeyPair::generate().unwrap()).unwrap())
    }

    /// One below it.
    pub fn intermediate(&self, name: &str) -> Authority {
        Authority(CertifiedIssuer::signed_by(Self::params(name), KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For what `sign` cannot say.
    pub fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.0
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub fn sign(&self, wanted: Wanted) -> Pair {
        let mut params = CertificateParams::new(wanted.names).unwrap();
        params.distinguished_name = wanted.subject;
        params.serial_number = Some(SerialNumber::from(wanted.serial));
        set_days(&mut params, wanted.days);
        let purpose =
            if wanted.client { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth };
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate_for(wanted.kind).unwrap();
        let signed = params.signed_by(&key, &self.0).unwrap();
        Pair { certificate: signed.pem(), der: signed.der().clone(), key }
    }

    /// A server's, good for `names`.
    pub fn server(&self, names: &[&str]) -> Pair {
        self.sign(Wanted { names: names.iter().map(|name| (*name).to_owned()).collect(), ..Wanted::default() })
    }

    /// A client's.
    pub fn client(&self, name: &str) -> Pair {
        let subject = distinguished(&[(DnType::CommonName, name)]);
        self.sign(Wanted { names: Vec::new(), subject, client: true, ..Wanted::default() })
    }

    /// Which of what it signed is revoked; until when the list is good, in days from now.
    pub fn revoke(&self, serials: &[u64], until: i64) -> String {
        let time = |days: i64| ASN1Time::from_timestamp(now() + days * DAY).unwrap().to_datetime();
        let revoked = serials.iter().map(|&serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: time(-30),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: time(-30),
            next_update: time(until),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

impl Pair {
    /// Writes it as `NAME.pem` and `NAME.key`.
    pub fn write(&self, folder: &Path, name: &str) -> CertificateFiles {
        let files = files(folder, name);
        std::fs::write(&files.chain, &self.certificate).unwrap();
        std::fs::write(&files.key, self.key.serialize_pem()).unwrap();
        files
    }
}

/// Where `Pair::write` writes.
pub fn files(folder: &Path, name: &str) -> CertificateFiles {
    CertificateFiles { chain: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) }
}

/// A client that believes `authority`.
pub fn client(authority: &Authority) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Both ends after a handshake, and what followed it (tickets).
pub fn shake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<(ServerConnection, ClientConnection), Error> {
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name)?;
    let mut server = ServerConnection::new(server.clone())?;
    // Each round moves what there is, both ways.
    for _ in 0..10 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking(), "ten rounds are enough for any handshake");
    Ok((server, client))
}

/// The modification time of a file, as if it had been written a while ago.
pub fn age(path: &Path, by: Duration) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - by).unwrap();
}

/// A section that offers these certificates.
pub fn ssl(certificates: Vec<CertificateFiles>) -> Ssl {
    Ssl {
        certificates,
        reject: false,
        protocols: Protocols::default(),
        suites: None,
        prefer_server_ciphers: false,
        client: None,
        session_tickets: true,
        session_timeout: Duration::from_secs(600),
        alpn: Vec::new(),
        handshake_timeout: Duration::from_secs(60),
    }
}

/// A plan of servers with these names.
pub fn plan(servers: &[(&[&str], Ssl)]) -> Plan {
    let text = "admin = \"off\"\n[[server]]\nlisten = \"127.0.0.1:1\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n\
                [[tcp]]\nlisten = \"127.0.0.1:2\"\nproxy_pass = \"127.0.0.1:1\"\n";
    let mut plan = crate::config::load_str("test", text).unwrap_or_else(|error| panic!("{error}")).plan;
    let made = |(names, ssl): &(&[&str], Ssl)| Server {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ssl: Some(ssl.clone()),
        ..plan.servers[0].clone()
    };
    plan.servers = servers.iter().map(made).collect();
    plan
}
