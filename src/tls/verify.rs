//! Whose certificates are believed: clients', with nginx's words for what is wrong with them, and backends'.

use super::terms::Loading;
use super::trust::{Authorities, in_its_time, revocations};
use super::words::{is_authority, sentence, unusable};
use crate::config::plan::{ClientCertificates, VerifyClient};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, VerifierBuilderError};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What is asked of clients' certificates.
#[derive(Debug)]
pub struct Clients {
    /// What becomes of those who have none, or a bad one.
    pub verify: VerifyClient,
    /// `None`: there are no authorities where chains could end.
    judge: Option<Arc<dyn ClientCertVerifier>>,
    authorities: Option<Authorities>,
    names_sent: bool,
    algorithms: WebPkiSupportedAlgorithms,
    digest: u64,
}

/// What is thought of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It showed no certificate.
    None,
    /// A good one.
    Success,
    /// A bad one.
    Failed {
        /// In OpenSSL's words, as nginx's users know them.
        reason: String,
        /// It is only that nobody we know signed it: `optional_no_ca` lets it pass.
        unknown_signer: bool,
    },
}

/// Why a client's requests are not answered: nginx's pages for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// "No required SSL certificate was sent".
    NoCertificate,
    /// "The SSL certificate error".
    BadCertificate,
}

impl Verdict {
    /// As in `$ssl_client_verify`.
    pub fn word(&self) -> String {
        match self {
            Verdict::None => "NONE".to_owned(),
            Verdict::Success => "SUCCESS".to_owned(),
            Verdict::Failed { reason, .. } => format!("FAILED:{reason}"),
        }
    }
}

impl Clients {
    /// Reads the authorities and what they revoked.
    pub(super) fn load(
        asked: &ClientCertificates,
        provider: &Arc<CryptoProvider>,
        loading: &mut Loading,
    ) -> Result<Clients, String> {
        let mut hasher = DefaultHasher::new();
        (asked.verify as u8, asked.names_sent, &asked.authorities).hash(&mut hasher);
        let algorithms = provider.signature_verification_algorithms;
        let authorities = match &asked.authorities {
            Some(path) => Some(Authorities::load(path, asked.revoked.is_some(), &mut hasher, loading)?),
            None => None,
        };
        let judge = match &authorities {
            Some(authorities) => {
                let revoked = revocations(asked.revoked.as_deref(), &mut hasher, loading)?;
                match authorities.anchors.is_empty() {
                    true => None,
                    false => Some(
                        WebPkiClientVerifier::builder_with_provider(authorities.anchors.clone(), provider.clone())
                            .with_crls(revoked)
                            .enforce_revocation_expiration()
                            .build()
                            .map_err(|error| unusable_revocations(asked.revoked.as_deref(), &error))?,
                    ),
                }
            }
            None => None,
        };
        let digest = hasher.finish();
        Ok(Clients { verify: asked.verify, judge, authorities, names_sent: asked.names_sent, algorithms, digest })
    }

    /// Differs where the settings or the files differ.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// The handshake's part. `strict`: a bad certificate, or with `on` none, ends the handshake.
    pub(super) fn in_handshake(self: &Arc<Self>, strict: bool) -> Arc<dyn ClientCertVerifier> {
        Arc::new(InHandshake { clients: self.clone(), strict })
    }

    /// What is thought of who showed these certificates, its own first. Whoever got through a handshake has the key to it.
    pub fn verdict(&self, shown: &[CertificateDer], now: UnixTime) -> Verdict {
        let Some((own, others)) = shown.split_first() else { return Verdict::None };
        match self.judge(own, others, now) {
            Ok(()) => Verdict::Success,
            Err(error) => Verdict::Failed {
                reason: reason(&error, own, others),
                unknown_signer: matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer)),
            },
        }
    }

    fn judge(&self, own: &CertificateDer, others: &[CertificateDer], now: UnixTime) -> Result<(), Error> {
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authorities = self.authorities.as_ref().ok_or_else(unknown)?;
        if authorities.has(own) {
            return in_its_time(own, now);
        }
        let judge = self.judge.as_ref().ok_or_else(unknown)?;
        match judge.verify_client_cert(own, &authorities.with_known(others), now) {
            // An authority of its own, as `openssl req -x509` makes it: above all, nobody knows it.
            Err(Error::InvalidCertificate(what)) if is_authority(&what) && is_self_issued(own) => Err(unknown()),
            judged => judged.map(drop),
        }
    }

    /// Whether requests are answered.
    pub fn admits(&self, verdict: &Verdict) -> Result<(), Refusal> {
        match (verdict, self.verify) {
            (Verdict::Success, _) => Ok(()),
            (Verdict::None, VerifyClient::On) => Err(Refusal::NoCertificate),
            (Verdict::None, _) => Ok(()),
            (Verdict::Failed { unknown_signer: true, .. }, VerifyClient::OptionalNoCa) => Ok(()),
            (Verdict::Failed { .. }, _) => Err(Refusal::BadCertificate),
        }
    }
}

/// See [`Clients::in_handshake`].
#[derive(Debug)]
struct InHandshake {
    clients: Arc<Clients>,
    strict: bool,
}

impl ClientCertVerifier for InHandshake {
    fn client_auth_mandatory(&self) -> bool {
        self.strict && self.clients.verify == VerifyClient::On
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        let authorities = self.clients.authorities.as_ref().filter(|_| self.clients.names_sent);
        authorities.map_or(&[], |authorities| &authorities.subjects)
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !self.strict {
            return Ok(ClientCertVerified::assertion());
        }
        let no_ca = self.clients.verify == VerifyClient::OptionalNoCa;
        match self.clients.judge(own, others, now) {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) if no_ca => {}
            judged => judged?,
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.clients.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.clients.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.algorithms.supported_schemes()
    }
}

/// Believes backends whose chain ends at an authority, and those whose own certificate is named among the authorities.
#[derive(Debug)]
pub(super) struct Backends {
    pub(super) authorities: Authorities,
    /// `None`: there are no authorities where chains could end.
    pub(super) judge: Option<Arc<WebPkiServerVerifier>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Backends {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.authorities.has(own) {
            in_its_time(own, now)?;
            verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let judge = self.judge.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        judge.verify_server_cert(own, &self.authorities.with_known(others), name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Believes any backend (`proxy_ssl_verify off`).
#[derive(Debug)]
pub(super) struct Anybody(pub(super) WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // Who may have any certificate need not prove that it is his; old devices have ones that rustls could not even read.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// The sentence for revocation lists that rustls cannot use.
pub(super) fn unusable_revocations(path: Option<&Path>, error: &VerifierBuilderError) -> String {
    format!("{}: {}", path.unwrap_or(Path::new("")).display(), unusable(error))
}

/// What OpenSSL calls it.
fn reason(error: &Error, own: &CertificateDer, others: &[CertificateDer]) -> String {
    use CertificateError as C;
    let Error::InvalidCertificate(what) = error else { return sentence(error) };
    let text = match what {
        C::Expired | C::ExpiredContext { .. } => "certificate has expired",
        C::NotValidYet | C::NotValidYetContext { .. } => "certificate is not yet valid",
        C::Revoked => "certificate revoked",
        C::BadSignature => "certificate signature failure",
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => "unsuitable certificate purpose",
        C::UnknownRevocationStatus => "unable to get certificate CRL",
        C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => "CRL has expired",
        C::UnhandledCriticalExtension => "unhandled critical extension",
        C::UnknownIssuer if is_self_issued(own) => "self-signed certificate",
        C::UnknownIssuer if others.iter().any(is_self_issued) => "self-signed certificate in certificate chain",
        C::UnknownIssuer if others.is_empty() => "unable to verify the first certificate",
        C::UnknownIssuer => "unable to get local issuer certificate",
        what if is_authority(what) => "unsuitable certificate purpose",
        _ => return sentence(error),
    };
    text.to_owned()
}

/// Its issuer has its own name.
pub(super) fn is_self_issued(certificate: &CertificateDer) -> bool {
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, parsed)| parsed.issuer().as_raw() == parsed.subject().as_raw())
}
