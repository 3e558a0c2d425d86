//! TLS as configured, towards clients and towards backends. Files are named here and read in `tls`.

use std::path::PathBuf;
use std::time::Duration;

/// A certificate chain and its private key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateFiles {
    /// The certificate, then those of its issuers.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Versions of TLS; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocols {
    /// TLS 1.2
    pub tls12: bool,
    /// TLS 1.3
    pub tls13: bool,
}

impl Default for Protocols {
    fn default() -> Protocols {
        Protocols { tls12: true, tls13: true }
    }
}

/// What is offered to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssl {
    /// At least one, unless `reject`. The first is for clients that name no server, or one that no certificate names.
    pub certificates: Vec<CertificateFiles>,
    /// `ssl_reject_handshake`: nothing is offered.
    pub reject: bool,
    /// Versions.
    pub protocols: Protocols,
    /// Cipher suites by their IANA numbers, the best first; `None`: all that are safe.
    pub suites: Option<Vec<u16>>,
    /// Our order counts, not the client's.
    pub prefer_server_ciphers: bool,
    /// Certificates that clients are asked for.
    pub client: Option<ClientCertificates>,
    /// Sessions may be resumed.
    pub session_tickets: bool,
    /// For how long, at most.
    pub session_timeout: Duration,
    /// Protocols by ALPN, the best first; none: the extension is not answered.
    pub alpn: Vec<String>,
    /// From the first byte of a connection to the end of its handshake.
    pub handshake_timeout: Duration,
}

/// How clients prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// What becomes of those who do not.
    pub verify: VerifyClient,
    /// Certificates of the authorities, PEM; `None` only with `VerifyClient::OptionalNoCa`.
    pub authorities: Option<PathBuf>,
    /// Whether their names are sent to clients (`ssl_client_certificate`) or not (`ssl_trusted_certificate`).
    pub names_sent: bool,
    /// Revoked certificates, PEM.
    pub revoked: Option<PathBuf>,
}

/// `ssl_verify_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyClient {
    /// `on`: no request without a good certificate.
    On,
    /// `optional`: without one, or with a bad one... the handshake goes on without, and fails with a bad one.
    Optional,
    /// `optional_no_ca`: as `optional`, but nobody need have signed it.
    OptionalNoCa,
}

/// What is asked of backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySsl {
    /// Their certificates must be good.
    pub verify: bool,
    /// Certificates of the authorities, PEM; `None`: the system's.
    pub trusted: Option<PathBuf>,
    /// Revoked certificates, PEM.
    pub revoked: Option<PathBuf>,
    /// The name to verify and to send; `None`: that of the server as configured.
    pub name: Option<String>,
    /// The name is sent (SNI).
    pub server_name: bool,
    /// Our own certificate.
    pub certificate: Option<CertificateFiles>,
    /// Versions.
    pub protocols: Protocols,
    /// As in [`Ssl::suites`].
    pub suites: Option<Vec<u16>>,
    /// Sessions are resumed.
    pub session_reuse: bool,
    /// Protocols by ALPN; none: the extension is not sent.
    pub alpn: Vec<String>,
}

impl Default for ProxySsl {
    fn default() -> ProxySsl {
        ProxySsl {
            verify: true,
            trusted: None,
            revoked: None,
            name: None,
            server_name: true,
            certificate: None,
            protocols: Protocols::default(),
            suites: None,
            session_reuse: true,
            alpn: Vec::new(),
        }
    }
}
