//! What went wrong, in short sentences for people: never the names of rustls' variants.

use super::certificate::date;
use rustls::pki_types::UnixTime;
use rustls::{CertRevocationListError, CertificateError, Error};
use std::io;

/// Who did not get through a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A client of ours.
    Client,
    /// A server behind us.
    Backend,
}

/// Names of a foreign certificate that are repeated to people.
const NAMES_SHOWN: usize = 5;

/// Why a handshake failed: one line.
pub fn failure(error: &io::Error, peer: Peer) -> String {
    let text = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) if peer == Peer::Backend => "the server does not speak TLS".to_owned(),
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => format!(
            "no authority that is trusted signed the certificate: name its authority in `{}`",
            match peer {
                Peer::Client => "ssl_client_certificate",
                Peer::Backend => "proxy_ssl_trusted_certificate",
            }
        ),
        Some(Error::InvalidCertificate(what)) if is_authority(what) && peer == Peer::Backend => {
            "the certificate is an authority's (CA:TRUE): name it itself in `proxy_ssl_trusted_certificate` if it signed itself"
                .to_owned()
        }
        Some(error) => sentence(error),
        // As reading meets it, or writing.
        None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) => match peer {
            Peer::Client => "the client closed in the middle of it".to_owned(),
            Peer::Backend => "closed in the middle of the TLS handshake".to_owned(),
        },
        None => error.to_string(),
    };
    printable(&text)
}

/// The same for what rustls says.
pub(super) fn sentence(error: &Error) -> String {
    printable(&match error {
        Error::InvalidCertificate(what) => format!("the certificate {}", certificate(what)),
        Error::InvalidCertRevocationList(what) => format!("the revocation list {}", revocation_list(what)),
        other => other.to_string(),
    })
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn day(time: &UnixTime) -> String {
    date(time.as_secs() as i64)
}

fn certificate(what: &CertificateError) -> String {
    use CertificateError as C;
    let text = match what {
        C::BadEncoding => "is damaged",
        C::Expired => "has expired",
        C::ExpiredContext { not_after, .. } => return format!("expired on {}", day(not_after)),
        C::NotValidYet => "is not good yet",
        C::NotValidYetContext { not_before, .. } => return format!("is good only from {} on", day(not_before)),
        C::Revoked => "was revoked",
        C::UnhandledCriticalExtension => "has a critical extension that is unknown here",
        C::UnknownIssuer => "was signed by no authority that is trusted",
        C::UnknownRevocationStatus => "or one above it is in no revocation list's care: each authority needs one",
        C::ExpiredRevocationList => "cannot be checked: the revocation list has expired",
        C::ExpiredRevocationListContext { next_update, .. } => {
            return format!("cannot be checked: the revocation list expired on {}", day(next_update));
        }
        C::BadSignature => "has a wrong signature",
        C::NotValidForName => "is made out to another name",
        C::NotValidForNameContext { expected, presented } => {
            return format!("is not made out to {} but to {}", expected.to_str(), names(presented));
        }
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => "is for another purpose (extendedKeyUsage)",
        C::Other(_) if is_version_1(what) => {
            "is X.509 version 1: sign it with -extfile and a file that holds basicConstraints=CA:FALSE"
        }
        C::Other(_) if is_authority(what) => "is an authority's (CA:TRUE), not that of a server or client",
        // There are several, old ones without their context.
        other if format!("{other:?}").starts_with("UnsupportedSignatureAlgorithm") => {
            "is signed in a way that is not supported (SHA-1, perhaps)"
        }
        _ => "cannot be used",
    };
    text.to_owned()
}

fn names(presented: &[String]) -> String {
    // As `DnsName("a.test")`.
    let bare = |name: &String| match name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")")) {
        Some(name) => name.to_owned(),
        None => name.clone(),
    };
    let shown: Vec<String> = presented.iter().take(NAMES_SHOWN).map(bare).collect();
    match presented.len() {
        0 => "no name at all".to_owned(),
        1..=NAMES_SHOWN => shown.join(", "),
        _ => format!("{} and others", shown.join(", ")),
    }
}

fn revocation_list(what: &CertRevocationListError) -> &'static str {
    use CertRevocationListError as L;
    match what {
        L::UnsupportedCrlVersion => "is version 1: make it with the extension crlNumber (openssl ca: crl_extensions)",
        L::BadSignature => "has a wrong signature",
        L::ParseError => "is damaged",
        L::InvalidCrlNumber => "has no good number (crlNumber)",
        L::IssuerInvalidForCrl => "was signed by an authority that may not sign it (keyUsage without cRLSign)",
        L::UnsupportedDeltaCrl => "holds changes only (delta): name a whole one",
        L::UnsupportedIndirectCrl => "is of another than who signed the certificates (indirect): name a direct one",
        L::UnsupportedCriticalExtension => "has a critical extension that is unknown here",
        _ => "cannot be used",
    }
}

/// The sentence for revocation lists that rustls cannot use.
pub(super) fn unusable(error: &rustls::server::VerifierBuilderError) -> String {
    match error {
        rustls::server::VerifierBuilderError::InvalidCrl(what) => {
            format!("a revocation list {}", revocation_list(what))
        }
        other => other.to_string(),
    }
}

/// It may sign others, and is shown as somebody's own: webpki wants none of it.
pub(super) fn is_authority(what: &CertificateError) -> bool {
    is_other(what, "CaUsedAsEndEntity")
}

fn is_version_1(what: &CertificateError) -> bool {
    is_other(what, "UnsupportedCertVersion")
}

/// webpki's own errors come through rustls as texts only.
fn is_other(what: &CertificateError, name: &str) -> bool {
    matches!(what, CertificateError::Other(other) if other.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use std::time::Duration;

    #[test]
    fn what_went_wrong_is_said_in_plain_words() {
        use CertificateError as C;
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let name = || ServerName::try_from("b.test").unwrap();
        let presented = vec!["DnsName(\"a.test\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        let rows: [(Error, Peer, &str); 7] = [
            (
                C::UnknownIssuer.into(),
                Peer::Client,
                "no authority that is trusted signed the certificate: name its authority in `ssl_client_certificate`",
            ),
            (
                C::UnknownIssuer.into(),
                Peer::Backend,
                "no authority that is trusted signed the certificate: name its authority in `proxy_ssl_trusted_certificate`",
            ),
            (
                C::ExpiredContext { time: at(864_000), not_after: at(86_400) }.into(),
                Peer::Backend,
                "the certificate expired on 1970-01-02",
            ),
            (
                C::NotValidForNameContext { expected: name(), presented }.into(),
                Peer::Backend,
                "the certificate is not made out to b.test but to a.test, IpAddress(10.0.0.1)",
            ),
            (
                C::NotValidForNameContext { expected: name(), presented: vec!["x\n".to_owned(); 9] }.into(),
                Peer::Backend,
                "the certificate is not made out to b.test but to x , x , x , x , x  and others",
            ),
            (
                Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
                Peer::Backend,
                "the server does not speak TLS",
            ),
            (
                CertRevocationListError::IssuerInvalidForCrl.into(),
                Peer::Client,
                "the revocation list was signed by an authority that may not sign it (keyUsage without cRLSign)",
            ),
        ];
        for (error, peer, wanted) in rows {
            assert_eq!(failure(&io::Error::new(io::ErrorKind::InvalidData, error), peer), wanted);
        }
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(failure(&cut, Peer::Backend), "closed in the middle of the TLS handshake");
    }
}
