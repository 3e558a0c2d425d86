//! How backends are spoken to.

use super::store::Slot;
use super::terms::{Loading, versions};
use super::trust::{Authorities, revocations};
use super::verify::{Anybody, Backends, unusable_revocations};
use crate::config::plan::ProxySsl;
use crate::limits::BACKEND_SESSIONS_MAX;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// How backends are spoken to. The same `Arc` through reloads as long as nothing about it changed, the contents of the files it names
/// included (pools are keyed by it); but for its own certificate, which is swapped within.
#[derive(Debug)]
pub struct Dialer {
    /// For rustls.
    pub config: Arc<ClientConfig>,
    /// As configured.
    pub asked: ProxySsl,
    /// Of the files of authorities and revocations.
    digest: u64,
}

impl Dialer {
    /// `None`: something is wrong, as `loading` will say.
    pub(super) fn load(asked: &ProxySsl, loading: &mut Loading) -> Option<Dialer> {
        let own = match &asked.certificate {
            Some(files) => Some(loading.slot(files, false)?),
            None => None,
        };
        let provider = loading.provider(asked.suites.as_ref());
        let mut hasher = DefaultHasher::new();
        let config = config(asked, own, provider, &mut hasher, loading);
        let config = config.map_err(|error| loading.errors.push(error)).ok()?;
        Some(Dialer { config: Arc::new(config), asked: asked.clone(), digest: hasher.finish() })
    }

    pub(super) fn is_same(&self, other: &Dialer) -> bool {
        (&self.asked, self.digest) == (&other.asked, other.digest)
    }

    /// The name that a server's certificate must have, and that is sent. `host`: as configured, without port: a name, an address,
    /// or empty for unix sockets. `None`: no certificate can have such a name.
    pub fn name(&self, host: &str) -> Option<ServerName<'static>> {
        let host = self.asked.name.as_deref().unwrap_or(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // As nginx: what is reached by a unix socket is this machine.
        let host = if host.is_empty() { "localhost" } else { host };
        ServerName::try_from(host.to_owned()).ok()
    }
}

fn config(
    asked: &ProxySsl,
    own: Option<Arc<Slot>>,
    provider: Arc<CryptoProvider>,
    hasher: &mut DefaultHasher,
    loading: &mut Loading,
) -> Result<ClientConfig, String> {
    let verifier = verifier(asked, &provider, hasher, loading)?;
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions(asked.protocols));
    let config =
        config.map_err(|error| format!("`proxy_ssl_ciphers` and `proxy_ssl_protocols` do not go together: {error}"))?;
    let config = config.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some(slot) => config.with_client_cert_resolver(Arc::new(Own(slot))),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = asked.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    config.enable_sni = asked.server_name;
    config.resumption = match asked.session_reuse {
        true => Resumption::in_memory_sessions(BACKEND_SESSIONS_MAX),
        false => Resumption::disabled(),
    };
    Ok(config)
}

fn verifier(
    asked: &ProxySsl,
    provider: &Arc<CryptoProvider>,
    hasher: &mut DefaultHasher,
    loading: &mut Loading,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if !asked.verify {
        return Ok(Arc::new(Anybody(provider.signature_verification_algorithms)));
    }
    let authorities = match &asked.trusted {
        Some(path) => Authorities::load(path, asked.revoked.is_some(), hasher, loading)?,
        None => Authorities::from(loading.system_roots(hasher)?),
    };
    let revoked = revocations(asked.revoked.as_deref(), hasher, loading)?;
    let judge = match authorities.anchors.is_empty() {
        true => None,
        false => Some(
            WebPkiServerVerifier::builder_with_provider(authorities.anchors.clone(), provider.clone())
                .with_crls(revoked)
                .enforce_revocation_expiration()
                .build()
                .map_err(|error| unusable_revocations(asked.revoked.as_deref(), &error))?,
        ),
    };
    let algorithms = provider.signature_verification_algorithms;
    Ok(Arc::new(Backends { authorities, judge, algorithms }))
}

/// Our own certificate, whatever it is now.
#[derive(Debug)]
struct Own(Arc<Slot>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let key = self.0.look().key.clone();
        key.key.choose_scheme(schemes).is_some().then_some(key)
    }

    fn has_certs(&self) -> bool {
        true
    }
}
