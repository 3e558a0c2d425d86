//! Who is believed, by the files of authorities and revocations.

use super::testing::{Authority, client, distinguished, files, plan, shake, ssl};
use super::words::{Peer, failure};
use super::*;
use crate::config::plan::{CertificateFiles, ClientCertificates, ProxySsl, Ssl, VerifyClient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn load(names: &[&str], section: Ssl) -> (Arc<Offer>, Vec<String>) {
    let (terms, warnings) =
        Terms::load(&plan(&[(names, section)]), &Arc::default(), None).unwrap_or_else(|errors| panic!("{errors:?}"));
    (terms.servers[0].clone().unwrap(), warnings)
}

fn asking(files: &CertificateFiles, verify: VerifyClient, authorities: &Path, revoked: Option<&Path>) -> Ssl {
    let authorities = Some(authorities.to_owned());
    let client = ClientCertificates { verify, authorities, names_sent: true, revoked: revoked.map(Path::to_owned) };
    Ssl { client: Some(client), ..ssl(vec![files.clone()]) }
}

fn with_certificate(authority: &Authority, chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = client(authority).crypto_provider().clone();
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap())
}

/// Of a client with this chain: the word, and whether it is let in.
fn verdict(offer: &Offer, client: &Arc<ClientConfig>) -> (String, bool) {
    let (server, _) = shake(&offer.config, client, "a.test").unwrap();
    let facts = offer.facts(&server, None, UnixTime::now());
    (facts.ssl_client_verify.clone(), facts.refusal.is_none())
}

/// What `openssl req -x509` makes: signed by itself, and an authority.
fn self_signed(days_before: u64) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.distinguished_name = distinguished(&[(DnType::CommonName, "me")]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    if days_before > 0 {
        params.not_after = (SystemTime::now() - Duration::from_secs(days_before * 86_400)).into();
    }
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

#[test]
fn a_revoked_intermediate_is_revoked_although_it_is_named_among_the_authorities() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let below = CertifiedIssuer::signed_by(
        {
            let mut params = CertificateParams::default();
            params.distinguished_name = distinguished(&[(DnType::CommonName, "Below")]);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.serial_number = Some(77.into());
            params
        },
        KeyPair::generate().unwrap(),
        authority.issuer(),
    )
    .unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![]).unwrap().signed_by(&key, &below).unwrap();
    let server = authority.server(&["a.test"]).write(folder.path(), "a");
    let (ca, crl) = (folder.path().join("ca"), folder.path().join("crl"));
    std::fs::write(&ca, authority.pem() + &below.pem()).unwrap();
    // Below has a list, too, on which nobody stands.
    let nobody = rcgen::CertificateRevocationListParams {
        this_update: (SystemTime::now() - Duration::from_secs(86_400)).into(),
        next_update: (SystemTime::now() + Duration::from_secs(86_400)).into(),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    std::fs::write(&crl, authority.revoke(&[77], 5) + &nobody.signed_by(&below).unwrap().pem().unwrap()).unwrap();
    let (offer, _) = load(&[], asking(&server, VerifyClient::On, &ca, Some(&crl)));
    let client = with_certificate(&authority, vec![leaf.der().clone(), below.der().clone()], &key);
    let (word, admitted) = verdict(&offer, &client);
    assert!(!admitted, "{word}: nginx says `certificate revoked`");
}

#[test]
fn optional_no_ca_lets_in_what_signed_itself() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let server = authority.server(&["a.test"]).write(folder.path(), "a");
    let ca = folder.path().join("ca");
    std::fs::write(&ca, authority.pem()).unwrap();
    let (offer, _) = load(&[], asking(&server, VerifyClient::OptionalNoCa, &ca, None));
    let (certificate, key) = self_signed(0);
    let client = with_certificate(&authority, vec![certificate.der().clone()], &key);
    assert_eq!(verdict(&offer, &client), ("FAILED:self-signed certificate".to_owned(), true));
}

#[test]
fn a_backend_is_believed_whose_own_certificate_is_the_trusted_one() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = self_signed(0);
    let files = files(folder.path(), "own");
    std::fs::write(&files.chain, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    let (offer, _) = load(&["a.test"], ssl(vec![files.clone()]));
    let mut plan = plan(&[]);
    plan.proxy_ssls = vec![ProxySsl { trusted: Some(files.chain), ..ProxySsl::default() }];
    let (terms, _) = Terms::load(&plan, &Arc::default(), None).unwrap();
    shake(&offer.config, &terms.dialers[0].config, "a.test").expect("as nginx and OpenSSL");
}

#[test]
fn an_expired_authority_is_said_at_least() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let server = authority.server(&["a.test"]).write(folder.path(), "a");
    let ca = folder.path().join("ca");
    std::fs::write(&ca, self_signed(3).0.pem()).unwrap();
    let (_, warnings) = load(&["a.test"], asking(&server, VerifyClient::On, &ca, None));
    assert!(warnings.iter().any(|warning| warning.contains("expired")), "{warnings:?}");
}

#[test]
fn an_expired_revocation_list_is_said() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let server = authority.server(&["a.test"]).write(folder.path(), "a");
    let (ca, crl) = (folder.path().join("ca"), folder.path().join("crl"));
    std::fs::write(&ca, authority.pem()).unwrap();
    std::fs::write(&crl, authority.revoke(&[], -1)).unwrap();
    let (_, warnings) = load(&["a.test"], asking(&server, VerifyClient::On, &ca, Some(&crl)));
    assert!(warnings.iter().any(|warning| warning.contains("crl")), "no client gets in, and nobody says so");
}

/// With `ssl_crl` or not, by lenient sections and by strict ones.
#[test]
fn a_client_is_believed_whose_own_certificate_is_named() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let server = authority.server(&["a.test"]).write(folder.path(), "a");
    let (ca, crl) = (folder.path().join("ca"), folder.path().join("crl"));
    std::fs::write(&crl, authority.revoke(&[], 5)).unwrap();
    let rows = [(0, "SUCCESS", true), (3, "FAILED:certificate has expired", false)];
    for (days_before, word, admitted) in rows {
        let (certificate, key) = self_signed(days_before);
        std::fs::write(&ca, authority.pem() + &certificate.pem()).unwrap();
        let client = with_certificate(&authority, vec![certificate.der().clone()], &key);
        for revoked in [None, Some(&*crl)] {
            let section = asking(&server, VerifyClient::On, &ca, revoked);
            let mut plan = plan(&[(&["a.test"], section.clone())]);
            plan.tcps[0].ssl = Some(section);
            let (terms, _) = Terms::load(&plan, &Arc::default(), None).unwrap();
            assert_eq!(verdict(terms.servers[0].as_ref().unwrap(), &client), (word.to_owned(), admitted));
            let strict = terms.tcps[0].as_ref().unwrap();
            assert_eq!(shake(&strict.config, &client, "a.test").is_ok(), admitted);
        }
    }
}

#[test]
fn a_strict_section_lets_nobody_in_who_signed_himself() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let server = authority.server(&["a.test"]).write(folder.path(), "a");
    let ca = folder.path().join("ca");
    std::fs::write(&ca, authority.pem()).unwrap();
    let (certificate, key) = self_signed(0);
    let client = with_certificate(&authority, vec![certificate.der().clone()], &key);
    for (mode, wanted) in
        [(VerifyClient::On, false), (VerifyClient::Optional, false), (VerifyClient::OptionalNoCa, true)]
    {
        let mut plan = plan(&[]);
        plan.tcps[0].ssl = Some(asking(&server, mode, &ca, None));
        let (terms, _) = Terms::load(&plan, &Arc::default(), None).unwrap();
        assert_eq!(shake(&terms.tcps[0].as_ref().unwrap().config, &client, "a.test").is_ok(), wanted, "{mode:?}");
    }
}

/// What a backend with this certificate, of the name a.test, is to who believes `trusted`.
fn dialed(trusted: &str, chain: &str, key: &KeyPair, name: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), "own");
    std::fs::write(&files.chain, chain).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    let (offer, _) = load(&[], ssl(vec![files]));
    let ca = folder.path().join("ca");
    std::fs::write(&ca, trusted).unwrap();
    let mut plan = plan(&[]);
    plan.proxy_ssls = vec![ProxySsl { trusted: Some(ca), ..ProxySsl::default() }];
    let (terms, _) = Terms::load(&plan, &Arc::default(), None).unwrap();
    let done = shake(&offer.config, &terms.dialers[0].config, name).map(drop);
    done.map_err(|error| failure(&std::io::Error::other(error), Peer::Backend))
}

#[test]
fn why_a_backend_is_not_believed_is_said_in_words() {
    let authority = Authority::new("CA");
    let ((own, own_key), (old, old_key)) = (self_signed(0), self_signed(3));
    let leaf = authority.server(&["a.test"]);
    let below = authority.intermediate("Below");
    let through = below.server(&["a.test"]);
    let unknown =
        "no authority that is trusted signed the certificate: name its authority in `proxy_ssl_trusted_certificate`";
    type Row<'r> = (String, String, &'r KeyPair, &'r str, Result<(), &'r str>);
    let rows: [Row; 9] = [
        (own.pem(), own.pem(), &own_key, "a.test", Ok(())),
        (authority.pem() + &own.pem(), own.pem(), &own_key, "a.test", Ok(())),
        (own.pem(), own.pem(), &own_key, "b.test", Err("the certificate is not made out to b.test but to a.test")),
        (old.pem(), old.pem(), &old_key, "a.test", Err("the certificate has expired")),
        (
            authority.pem(),
            own.pem(),
            &own_key,
            "a.test",
            Err("the certificate is an authority's (CA:TRUE): name it itself"),
        ),
        (own.pem(), leaf.certificate.clone(), &leaf.key, "a.test", Err(unknown)),
        (leaf.certificate.clone(), leaf.certificate.clone(), &leaf.key, "a.test", Ok(())),
        // One in the middle is known without being shown, and suffices if there is nothing else.
        (authority.pem() + &below.pem(), through.certificate.clone(), &through.key, "a.test", Ok(())),
        (below.pem(), through.certificate.clone(), &through.key, "a.test", Ok(())),
    ];
    for (n, (trusted, chain, key, name, wanted)) in rows.iter().enumerate() {
        match (dialed(trusted, chain, key, name), wanted) {
            (Ok(()), Ok(())) => {}
            (Err(why), Err(part)) if why.starts_with(part) => {}
            (found, _) => panic!("{n}: {found:?}"),
        }
    }
}

/// One in the middle is no authority where others are: its own may have been revoked, or be unknown.
#[test]
fn one_in_the_middle_is_no_end_of_a_chain() {
    let (authority, stranger) = (Authority::new("CA"), Authority::new("Stranger"));
    let below = stranger.intermediate("Below");
    let leaf = below.server(&["a.test"]);
    assert!(dialed(&(authority.pem() + &below.pem()), &leaf.certificate, &leaf.key, "a.test").is_err());
    assert_eq!(
        dialed(&(authority.pem() + &below.pem() + &stranger.pem()), &leaf.certificate, &leaf.key, "a.test"),
        Ok(())
    );
}

#[test]
fn revocation_lists_that_end_soon_are_said() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let server = authority.server(&["a.test"]).write(folder.path(), "a");
    let (ca, crl) = (folder.path().join("ca"), folder.path().join("crl"));
    std::fs::write(&ca, authority.pem()).unwrap();
    // Such a list is thirty days old.
    for (until, wanted) in [(-1, Some("expired on")), (5, Some("expires on")), (12, None), (60, None)] {
        std::fs::write(&crl, authority.revoke(&[], until)).unwrap();
        let (_, warnings) = load(&["a.test"], asking(&server, VerifyClient::On, &ca, Some(&crl)));
        match wanted {
            None => assert_eq!(warnings, Vec::<String>::new()),
            Some(part) => assert!(warnings.len() == 1 && warnings[0].contains(part), "{until}: {warnings:?}"),
        }
    }
}

/// As `openssl x509 -req` makes it without -extfile.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBFzCBvQIUSROzazDV7SlOqoFzSJVrXvk0CxQwCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCdjEwIBcNMjYxMTIxMTgwMTI4WhgPMjEyNjEwMjgxODAxMjhaMA0xCzAJ
BgNVBAMMAnYxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1gWBpqSShaQeVr3s
njvVpzSPF4zkmCexzylZ2cOeye5m4fktYqVXXLywULedmOnRh1wK+cyv5gRsQETb
GYuqHDAKBggqhkjOPQQDAgNJADBGAiEAo2HErWq3YudTtGbCsNihCqEI+EmkUjO0
aFxKjOfWFMACIQDK9z+rmZxTnpnANROVHssILS8f+SekURHu4Ilu14bCKg==
-----END CERTIFICATE-----
";

/// As `openssl ca -gencrl` makes it without crl_extensions.
const LIST_OF_VERSION_1: &str = "\
-----BEGIN X509 CRL-----
MIGSMDswCgYIKoZIzj0EAwIwDTELMAkGA1UEAwwCdjEXDTI2MTEyMTE4MDEyOFoY
DzIxMjYxMDI4MTgwMTI4WjAKBggqhkjOPQQDAgNHADBEAiBhHF2X0IgrPQyBR63N
nBpMHbpKZEF2PJhehjywIYrNeQIgU7eP8N9CuZ5/kr2u6a4d61JwD2pBe56jiUj/
/Pdz7mw=
-----END X509 CRL-----
";

#[test]
fn what_is_of_version_1_is_said_to_be() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let server = authority.server(&["a.test"]).write(folder.path(), "a");
    let (ca, crl) = (folder.path().join("ca"), folder.path().join("crl"));
    std::fs::write(&ca, authority.pem()).unwrap();
    std::fs::write(&crl, LIST_OF_VERSION_1).unwrap();
    let first = CertificateFiles { chain: folder.path().join("first"), key: server.key.clone() };
    std::fs::write(&first.chain, VERSION_1).unwrap();
    let rows = [
        (ssl(vec![first]), "is X.509 version 1: sign it with -extfile"),
        (asking(&server, VerifyClient::On, &ca, Some(&crl)), "a revocation list is version 1"),
    ];
    for (section, part) in rows {
        let errors = Terms::load(&plan(&[(&["a.test"], section)]), &Arc::default(), None).unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains(part), "{errors:?}");
    }
}
