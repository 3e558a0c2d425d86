//! Plans with real files, and handshakes in memory.

use super::store::Slot;
use super::testing::{Authority, Wanted, age, client, distinguished, files, now, plan, shake, ssl};
use super::*;
use crate::config::plan::{CertificateFiles, ClientCertificates, Plan, Protocols, ProxySsl, Ssl, VerifyClient};
use rcgen::DnType;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, ProtocolVersion};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn load(plan: &Plan) -> (Terms, Vec<String>) {
    Terms::load(plan, &Arc::default(), None).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn one_offer(names: &[&str], ssl: Ssl) -> Arc<Offer> {
    load(&plan(&[(names, ssl)])).0.servers[0].clone().unwrap()
}

fn name_of(der: &CertificateDer) -> String {
    super::certificate::about(der, None).unwrap().fingerprint
}

#[test]
fn a_plan_without_tls_needs_nothing() {
    let mut plan = plan(&[(&["a.test"], ssl(Vec::new()))]);
    plan.servers[0].ssl = None;
    let (terms, warnings) = load(&plan);
    assert!(warnings.is_empty());
    let none = Terms::none(&plan);
    for terms in [terms, none] {
        assert_eq!((terms.servers.len(), terms.tcps.len(), terms.dialers.len()), (1, 1, 0));
        assert!(terms.servers[0].is_none() && terms.tcps[0].is_none());
    }
}

#[test]
fn equal_sections_share_an_offer() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.server(&["a.test", "b.test"]).write(folder.path(), "a");
    let same = || ssl(vec![files.clone()]);
    let other = Ssl { session_tickets: false, ..same() };
    let mut plan = plan(&[(&["a.test"], same()), (&["b.test"], same()), (&["a.test"], other)]);
    plan.tcps[0].ssl = Some(same());
    let (terms, warnings) = load(&plan);
    assert!(warnings.is_empty(), "{warnings:?}");
    let offer = |n: usize| terms.servers[n].as_ref().unwrap();
    assert!(Arc::ptr_eq(offer(0), offer(1)) && !Arc::ptr_eq(offer(0), offer(2)));
    assert!(!Arc::ptr_eq(offer(0), terms.tcps[0].as_ref().unwrap()));
    // All have the same certificate, and it is read once.
    assert!(Arc::ptr_eq(&offer(0).slots()[0], &offer(2).slots()[0]));
    assert_eq!((offer(0).realm, offer(0).handshake_ms, offer(0).reject), (0, 60_000, false));
}

#[test]
fn the_certificate_is_chosen_by_name_and_key() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let write = |file: &str, names: &[&str], kind| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let pair = authority.sign(Wanted { names, kind, ..Wanted::default() });
        (file.to_owned(), name_of(&pair.der), pair.write(folder.path(), file))
    };
    let (ecdsa, rsa) = (&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256);
    let all = [
        write("rsa", &["a.test", "*.w.test"], rsa),
        write("ecdsa", &["a.test", "*.w.test"], ecdsa),
        write("exact", &["x.w.test"], rsa),
        write("ed", &["ed.test"], &rcgen::PKCS_ED25519),
        write("wide", &["*.ed.test"], ecdsa),
    ];
    let offer = one_offer(&[], ssl(all.iter().map(|(_, _, files)| files.clone()).collect()));
    let provider = |suites: &dyn Fn(&str) -> bool| {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| suites(suite.suite().as_str().unwrap()));
        Arc::new(provider)
    };
    let shown = |name: Option<&str>, suites: &dyn Fn(&str) -> bool| {
        let config =
            ClientConfig::builder_with_provider(provider(suites)).with_safe_default_protocol_versions().unwrap();
        let anybody = verify::Anybody(rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms);
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(anybody));
        let mut config = config.with_no_client_auth();
        config.enable_sni = name.is_some();
        let (_, client) = shake(&offer.config, &Arc::new(config), name.unwrap_or("none.test")).unwrap();
        let fingerprint = name_of(&client.peer_certificates().unwrap()[0]);
        all.iter().find(|(_, of, _)| *of == fingerprint).unwrap().0.clone()
    };
    let any = |_: &str| true;
    let old = |suite: &str| suite.starts_with("TLS_ECDHE_RSA");
    type Suites<'s> = &'s dyn Fn(&str) -> bool;
    let rows: [(Option<&str>, Suites, &str); 10] = [
        (Some("a.test"), &any, "ecdsa"),
        (Some("A.TEST"), &any, "ecdsa"),
        (Some("a.test"), &old, "rsa"),
        (Some("y.w.test"), &any, "ecdsa"),
        (Some("y.w.test"), &old, "rsa"),
        // The exact name counts for more than a better key.
        (Some("x.w.test"), &any, "exact"),
        (Some("ed.test"), &any, "ed"),
        (Some("x.ed.test"), &any, "wide"),
        // Nobody's name: the first, or its twin.
        (Some("unknown.test"), &old, "rsa"),
        (None, &any, "ecdsa"),
    ];
    for (name, suites, wanted) in rows {
        assert_eq!(shown(name, suites), wanted, "{name:?}");
    }
}

#[test]
fn a_suite_is_there_for_the_chosen_key() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let rsa = authority.sign(Wanted { kind: &rcgen::PKCS_RSA_SHA256, ..Wanted::default() }).write(folder.path(), "rsa");
    let ecdsa = authority.server(&["a.test"]).write(folder.path(), "ecdsa");
    // TLS 1.2 with RSA's suites only, though clients could check ECDSA.
    let section = Ssl {
        protocols: Protocols { tls12: true, tls13: false },
        suites: Some(vec![CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256.into()]),
        ..ssl(vec![ecdsa, rsa])
    };
    let (server, _) = shake(&one_offer(&[], section).config, &Arc::new(client(&authority)), "a.test").unwrap();
    let suite = server.negotiated_cipher_suite().map(|suite| suite.suite());
    assert_eq!(suite, Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256));
}

#[test]
fn protocols_and_suites_are_those_of_the_section() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.server(&["a.test"]).write(folder.path(), "a");
    let client = Arc::new(client(&authority));
    let (aes128, aes256) =
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
    let get = |tls12, tls13, suites: Option<&[CipherSuite]>, prefer_server_ciphers| {
        let suites = suites.map(|suites| suites.iter().map(|&suite| suite.into()).collect());
        let protocols = Protocols { tls12, tls13 };
        let alpn = vec!["http/1.1".to_owned()];
        let section = Ssl { protocols, suites, prefer_server_ciphers, alpn, ..ssl(vec![files.clone()]) };
        let offer = one_offer(&[], section);
        let (server, _) = shake(&offer.config, &client, "a.test").unwrap();
        let facts = offer.facts(&server, Some("A.test"), UnixTime::now());
        assert_eq!((&facts.ssl_server_name[..], facts.ssl_session_reused), ("a.test", "."));
        assert_eq!((&facts.ssl_client_verify[..], facts.refusal, offer.asks_clients()), ("", None, false));
        (facts.ssl_protocol, facts.ssl_cipher)
    };
    let tls12 = |cipher: &str| ("TLSv1.2", cipher.to_owned());
    let tls13 = |cipher: &str| ("TLSv1.3", cipher.to_owned());
    let rows = [
        (get(true, true, None, false), tls13("TLS_AES_256_GCM_SHA384")),
        // What is named are the suites of TLS 1.2; those of 1.3 are always there.
        (get(true, true, Some(&[aes128]), true), tls13("TLS_AES_256_GCM_SHA384")),
        (
            get(true, true, Some(&[aes128, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256]), true),
            tls13("TLS_CHACHA20_POLY1305_SHA256"),
        ),
        (get(true, false, None, false), tls12("ECDHE-ECDSA-AES256-GCM-SHA384")),
        (get(true, false, Some(&[aes128]), false), tls12("ECDHE-ECDSA-AES128-GCM-SHA256")),
        // The client prefers 256 bits.
        (get(true, false, Some(&[aes128, aes256]), false), tls12("ECDHE-ECDSA-AES256-GCM-SHA384")),
        (get(true, false, Some(&[aes128, aes256]), true), tls12("ECDHE-ECDSA-AES128-GCM-SHA256")),
        (
            get(true, false, Some(&[CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]), false),
            tls12("ECDHE-ECDSA-CHACHA20-POLY1305"),
        ),
    ];
    for (got, wanted) in rows {
        assert_eq!(got, wanted);
    }
}

/// Only this version.
fn only(
    client: &ClientConfig,
    version: &'static rustls::SupportedProtocolVersion,
    authority: &Authority,
) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let config = ClientConfig::builder_with_provider(client.crypto_provider().clone());
    Arc::new(config.with_protocol_versions(&[version]).unwrap().with_root_certificates(roots).with_no_client_auth())
}

#[test]
fn sessions_are_resumed_with_tickets_and_through_reloads() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.server(&["a.test"]).write(folder.path(), "a");
    let client = client(&authority);
    let store = Arc::new(Store::default());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let kind = |client: &Arc<ClientConfig>, offer: &Offer| {
            let (server, _) = shake(&offer.config, client, "a.test").unwrap();
            let facts = offer.facts(&server, None, UnixTime::now());
            assert_eq!(facts.ssl_session_reused == "r", server.handshake_kind() == Some(HandshakeKind::Resumed));
            facts.ssl_session_reused
        };
        let offer = |section: Ssl, before: Option<&Terms>| {
            let (terms, _) = Terms::load(&plan(&[(&["a.test"], section)]), &store, before).unwrap();
            (terms.servers[0].clone().unwrap(), terms)
        };
        let (first, terms) = offer(ssl(vec![files.clone()]), None);
        let (second, _terms) = offer(Ssl { alpn: vec!["x".to_owned()], ..ssl(vec![files.clone()]) }, Some(&terms));
        let own = only(&client, version, &authority);
        assert_eq!((kind(&own, &first), kind(&own, &first), kind(&own, &second)), (".", "r", "r"));
        // Without tickets there is nothing to resume from, whatever the client brings.
        let without = Ssl { session_tickets: false, ..ssl(vec![files.clone()]) };
        let (third, _terms) = offer(without, None);
        assert_eq!((kind(&own, &third), kind(&own, &third)), (".", "."));
        let fresh = only(&client, version, &authority);
        assert_eq!((kind(&fresh, &third), kind(&fresh, &third)), (".", "."));
    }
}

/// The settings of a section that asks clients for certificates.
fn asking(files: &CertificateFiles, verify: VerifyClient, authorities: Option<&Path>, revoked: Option<&Path>) -> Ssl {
    let client = ClientCertificates {
        verify,
        authorities: authorities.map(Path::to_owned),
        names_sent: true,
        revoked: revoked.map(Path::to_owned),
    };
    Ssl { client: Some(client), ..ssl(vec![files.clone()]) }
}

fn with_certificate(
    config: &ClientConfig,
    authority: &Authority,
    chain: Vec<CertificateDer<'static>>,
    key: &rcgen::KeyPair,
) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ClientConfig::builder_with_provider(config.crypto_provider().clone());
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    Arc::new(config.with_client_auth_cert(chain, key).unwrap())
}

#[test]
fn clients_are_judged_in_nginx_words() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let stranger = Authority::new("Stranger");
    let below = authority.intermediate("Below");
    let files = authority.server(&["a.test"]).write(folder.path(), "a");
    let (ca, crl) = (folder.path().join("ca"), folder.path().join("crl"));
    std::fs::write(&ca, authority.pem()).unwrap();
    std::fs::write(&crl, authority.revoke(&[7], 5)).unwrap();
    let sign = |by: &Authority, serial, days, client| {
        by.sign(Wanted { serial, days, client, names: vec![], ..Wanted::default() })
    };
    let plain = client(&authority);
    let good = sign(&authority, 5, -1..9, true);
    let through = sign(&below, 5, -1..9, true);
    let own = Authority::new("Own");
    let own_key = rcgen::KeyPair::generate().unwrap();
    let mut own_params = rcgen::CertificateParams::new(vec![]).unwrap();
    own_params.distinguished_name = distinguished(&[(DnType::CommonName, "me")]);
    let own_signed = own_params.self_signed(&own_key).unwrap();
    type Shown<'s> = Option<(Vec<CertificateDer<'static>>, &'s rcgen::KeyPair)>;
    let revoked = sign(&authority, 7, -1..9, true);
    let expired = sign(&authority, 5, -9..-1, true);
    let early = sign(&authority, 5, 1..9, true);
    let server = sign(&authority, 5, -1..9, false);
    let unknown = sign(&stranger, 5, -1..9, true);
    let of = |pair: &'_ super::testing::Pair, more: &[&Authority]| {
        let more = more.iter().map(|authority| authority.der());
        [pair.der.clone()].into_iter().chain(more).collect::<Vec<_>>()
    };
    let rows: Vec<(Shown, &str, [bool; 3])> = vec![
        (None, "NONE", [false, true, true]),
        (Some((of(&good, &[]), &good.key)), "SUCCESS", [true, true, true]),
        (Some((of(&good, &[&authority]), &good.key)), "SUCCESS", [true, true, true]),
        (Some((of(&expired, &[]), &expired.key)), "FAILED:certificate has expired", [false, false, false]),
        (Some((of(&early, &[]), &early.key)), "FAILED:certificate is not yet valid", [false, false, false]),
        (Some((of(&revoked, &[]), &revoked.key)), "FAILED:certificate revoked", [false, false, false]),
        (Some((of(&server, &[]), &server.key)), "FAILED:unsuitable certificate purpose", [false, false, false]),
        (
            Some((of(&unknown, &[]), &unknown.key)),
            "FAILED:unable to verify the first certificate",
            [false, false, true],
        ),
        (
            Some((of(&through, &[]), &through.key)),
            "FAILED:unable to verify the first certificate",
            [false, false, true],
        ),
        // Nobody says what Below revoked.
        (Some((of(&through, &[&below]), &through.key)), "FAILED:unable to get certificate CRL", [false, false, false]),
        (
            Some((of(&unknown, &[&below]), &unknown.key)),
            "FAILED:unable to get local issuer certificate",
            [false, false, true],
        ),
        (
            Some((of(&unknown, &[&stranger]), &unknown.key)),
            "FAILED:self-signed certificate in certificate chain",
            [false, false, true],
        ),
        (Some((vec![own_signed.der().clone()], &own_key)), "FAILED:self-signed certificate", [false, false, true]),
        (
            Some((vec![own_signed.der().clone(), own.der()], &own_key)),
            "FAILED:self-signed certificate",
            [false, false, true],
        ),
    ];
    let modes = [VerifyClient::On, VerifyClient::Optional, VerifyClient::OptionalNoCa];
    let offers = modes.map(|mode| one_offer(&[], asking(&files, mode, Some(&ca), Some(&crl))));
    for (shown, word, admitted) in rows {
        let config = match &shown {
            None => Arc::new(plain.clone()),
            Some((chain, key)) => with_certificate(&plain, &authority, chain.clone(), key),
        };
        for (n, offer) in offers.iter().enumerate() {
            // The second time it is resumed, and the verdict is the same.
            for reused in [".", "r"] {
                let (server, _) =
                    shake(&offer.config, &config, "a.test").unwrap_or_else(|error| panic!("{word}: {error}"));
                let facts = offer.facts(&server, None, UnixTime::now());
                assert_eq!((&facts.ssl_client_verify[..], facts.ssl_session_reused), (word, reused), "{n}");
                assert_eq!(facts.refusal.is_none(), admitted[n], "{word} {n}");
                assert_eq!(facts.ssl_client_fingerprint.is_empty(), shown.is_none());
            }
        }
    }
}

#[test]
fn strict_sections_end_the_handshake() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.server(&["a.test"]).write(folder.path(), "a");
    let ca = folder.path().join("ca");
    std::fs::write(&ca, authority.pem()).unwrap();
    let plain = client(&authority);
    let (good, bad) = (authority.client("good"), Authority::new("Stranger").client("bad"));
    let configs = [
        Arc::new(plain.clone()),
        with_certificate(&plain, &authority, vec![good.der.clone()], &good.key),
        with_certificate(&plain, &authority, vec![bad.der.clone()], &bad.key),
    ];
    let rows = [
        (VerifyClient::On, [false, true, false]),
        (VerifyClient::Optional, [true, true, false]),
        (VerifyClient::OptionalNoCa, [true, true, true]),
    ];
    let store = Arc::new(Store::default());
    for (mode, wanted) in rows {
        let section = asking(&files, mode, Some(&ca), None);
        let mut plan = plan(&[(&["a.test"], section.clone())]);
        plan.tcps[0].ssl = Some(section);
        let (terms, _) = Terms::load(&plan, &store, None).unwrap();
        let (lenient, strict) = (terms.servers[0].as_ref().unwrap(), terms.tcps[0].as_ref().unwrap());
        for (config, wanted) in configs.iter().zip(wanted) {
            // Sessions of the lenient section are at hand, and are no way around it.
            shake(&lenient.config, config, "a.test").unwrap();
            let (resumed, _) = shake(&lenient.config, config, "a.test").unwrap();
            assert_eq!(resumed.handshake_kind(), Some(HandshakeKind::Resumed));
            assert_eq!(shake(&strict.config, config, "a.test").is_ok(), wanted, "{mode:?}");
        }
    }
}

#[test]
fn a_session_does_not_leave_its_realm() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.server(&["a.test"]).write(folder.path(), "a");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (ca, other) = (write("ca", authority.pem()), write("other", Authority::new("Other").pem()));
    let open = ssl(vec![files.clone()]);
    let asks = |verify, ca: &Path| asking(&files, verify, Some(ca), None);
    let sections = [
        open,
        asks(VerifyClient::On, &ca),
        asks(VerifyClient::Optional, &ca),
        asks(VerifyClient::On, &other),
        asking(&files, VerifyClient::OptionalNoCa, None, None),
    ];
    let servers: Vec<(&[&str], Ssl)> = sections.iter().map(|section| (&["a.test"][..], section.clone())).collect();
    let (terms, _) = load(&plan(&servers));
    let offers: Vec<_> = terms.servers.iter().flatten().collect();
    let shown = authority.client("me");
    for version in ["1.3", "1.2"] {
        for (from, a) in offers.iter().enumerate() {
            for (to, b) in offers.iter().enumerate() {
                assert_eq!(a.realm == b.realm, from == to);
                let mut config =
                    (*with_certificate(&client(&authority), &authority, vec![shown.der.clone()], &shown.key)).clone();
                if version == "1.2" {
                    config = (*only(&config, &rustls::version::TLS12, &authority)).clone();
                }
                let config = Arc::new(config);
                shake(&a.config, &config, "a.test").unwrap();
                let (server, _) = shake(&b.config, &config, "a.test").unwrap();
                let resumed = server.handshake_kind() == Some(HandshakeKind::Resumed);
                assert_eq!(resumed, from == to, "{version}: {from} to {to}");
            }
        }
    }
}

#[test]
fn facts_of_a_client_are_those_of_nginx() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.server(&["a.test"]).write(folder.path(), "a");
    let offer = one_offer(&[], asking(&files, VerifyClient::OptionalNoCa, None, None));
    let subject = distinguished(&[
        (DnType::CountryName, "DE"),
        (DnType::StateOrProvinceName, "Bayern"),
        (DnType::OrganizationName, "#Größe, \"x\"; "),
        (DnType::CustomDnType(vec![1, 2, 3, 4]), "odd"),
        (DnType::CustomDnType(vec![1, 2, 840, 113549, 1, 9, 1]), "a+b@x.test\r\nX: y"),
        (DnType::CommonName, " me\\<>"),
    ]);
    let pair =
        authority.sign(Wanted { names: vec![], subject, serial: 0x00FE_0102, client: true, ..Wanted::default() });
    let config = with_certificate(&client(&authority), &authority, vec![pair.der.clone()], &pair.key);
    let (server, _) = shake(&offer.config, &config, "a.test").unwrap();
    let now = UnixTime::now();
    let facts = offer.facts(&server, Some("a.test"), now);
    assert_eq!(
        facts.ssl_client_s_dn,
        "CN=\\ me\\\\\\<\\>,emailAddress=a\\+b@x.test\\0D\\0AX: y,1.2.3.4=#0C036F6464,O=\\#Gr\\C3\\B6\\C3\\9Fe\\, \\\"x\\\"\\;\\ ,ST=Bayern,C=DE"
    );
    assert_eq!((&facts.ssl_client_i_dn[..], &facts.ssl_client_serial[..]), ("CN=CA,O=Test", "FE0102"));
    assert_eq!((&facts.ssl_client_verify[..], facts.refusal), ("FAILED:unable to verify the first certificate", None));
    assert_eq!(facts.ssl_client_fingerprint.len(), 40);
    assert!(matches!(&facts.ssl_client_v_remain[..], "89" | "90"), "{}", facts.ssl_client_v_remain);
    for time in [&facts.ssl_client_v_start, &facts.ssl_client_v_end] {
        assert!(time.ends_with(" GMT") && time.len() == "Nov 21 16:18:03 2026 GMT".len(), "{time}");
    }
    let escaped = &facts.ssl_client_escaped_cert;
    assert!(
        escaped.starts_with("-----BEGIN%20CERTIFICATE-----%0A") && escaped.ends_with("-----END%20CERTIFICATE-----%0A")
    );
    assert!(escaped.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
    // What goes into a header field has no control characters, whatever a certificate holds.
    for text in [&facts.ssl_client_s_dn, &facts.ssl_client_i_dn, &facts.ssl_client_verify] {
        assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text}");
    }
    assert_eq!((facts.ssl_protocol, &facts.ssl_curve[..]), ("TLSv1.3", "X25519MLKEM768"));
    assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[test]
fn what_is_wrong_with_a_plan_is_said_at_once_and_together() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let path = |name: &str| folder.path().join(name);
    let good = authority.server(&["a.test"]).write(folder.path(), "good");
    std::fs::write(path("half.pem"), authority.server(&["a.test"]).certificate).unwrap();
    std::fs::write(path("text"), "hello").unwrap();
    std::fs::write(path("ca"), authority.pem()).unwrap();
    std::fs::write(path("crl"), authority.revoke(&[], 5)).unwrap();
    let ask = |authorities: &str, revoked: Option<&str>| {
        asking(&good, VerifyClient::On, Some(&path(authorities)), revoked.map(path).as_deref())
    };
    let mut plan = plan(&[
        (&["a.test"], ssl(vec![files(folder.path(), "half")])),
        (&["a.test"], ssl(vec![CertificateFiles { chain: path("text"), key: good.key.clone() }])),
        (&["a.test"], ask("missing", None)),
        (&["a.test"], ask("text", None)),
        (&["a.test"], ask("ca", Some("missing-crl"))),
        (&["a.test"], ask("ca", Some("text"))),
        (&["a.test"], ask("crl", None)),
    ]);
    plan.proxy_ssls = vec![
        ProxySsl { trusted: Some(path("nowhere")), ..ProxySsl::default() },
        ProxySsl { certificate: Some(files(folder.path(), "none")), trusted: Some(path("ca")), ..ProxySsl::default() },
    ];
    let store = Arc::new(Store::default());
    let errors = Terms::load(&plan, &store, None).expect_err("it is full of errors");
    // What two sections say of one file is said once.
    let parts = [
        "half.key is not there, though",
        "text holds no certificate",
        "missing is not there",
        "missing-crl is not there",
        "text holds no revocation list",
        "crl holds no certificate",
        "nowhere is not there",
        "none.pem is not there",
    ];
    assert_eq!(errors.len(), parts.len(), "{errors:#?}");
    errors.iter().zip(parts).for_each(|(error, part)| assert!(error.contains(part), "{error}: {part}"));
    assert!(store.slots().is_empty(), "nothing is left of what failed");
}

#[test]
fn what_is_missing_gets_a_placeholder_and_is_said() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = files(folder.path(), "later");
    let names = ["a.test", ".b.test", "*.c.test", "mail.*", "_", "bücher.test", "192.0.2.1", "-"];
    let plan = plan(&[(&names, ssl(vec![files.clone()]))]);
    let store = Arc::new(Store::default());
    let (terms, warnings) = Terms::load(&plan, &store, None).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("later.pem is not there yet: a self-signed placeholder"), "{warnings:?}");
    let slot: Arc<Slot> = terms.servers[0].as_ref().unwrap().slots()[0].clone();
    let about = slot.held().about.clone();
    assert!(about.placeholder && about.self_signed && !about.is_good(now()));
    for name in ["a.test", "b.test", "x.b.test", "x.c.test", "192.0.2.1"] {
        assert!(about.covers(name), "{name}: {:?}", about.names);
    }
    assert!(!about.covers("mail.a") && !about.covers("bücher.test"));

    // A reload while it is missing keeps it missing; one after it came takes it.
    let (again, warnings) = Terms::load(&plan, &store, Some(&terms)).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(Arc::ptr_eq(&again.servers[0].as_ref().unwrap().slots()[0], &slot));
    authority.server(&["a.test"]).write(folder.path(), "later");
    let (_third, warnings) = Terms::load(&plan, &store, Some(&again)).unwrap();
    assert!(!slot.held().about.placeholder);
    assert!(
        warnings.iter().any(|warning| warning.contains("no certificate of the server is made out to")),
        "{warnings:?}"
    );

    // And if it goes again, what was there stays.
    std::fs::remove_file(&files.chain).unwrap();
    std::fs::remove_file(&files.key).unwrap();
    let (_fourth, warnings) = Terms::load(&plan, &store, Some(&again)).unwrap();
    assert!(!slot.held().about.placeholder && warnings[0].contains("are gone"), "{warnings:?}");
}

#[test]
fn a_reload_takes_all_or_nothing() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let first = authority.server(&["a.test"]).write(folder.path(), "a");
    let second = authority.server(&["b.test"]).write(folder.path(), "b");
    let plan = plan(&[(&["a.test"], ssl(vec![first.clone()])), (&["b.test"], ssl(vec![second.clone()]))]);
    let store = Arc::new(Store::default());
    let (terms, warnings) = Terms::load(&plan, &store, None).unwrap();
    assert!(warnings.is_empty());
    let slots: Vec<_> = terms.servers.iter().flatten().map(|offer| offer.slots()[0].clone()).collect();
    let held = || slots.iter().map(|slot| slot.held().about.fingerprint.clone()).collect::<Vec<_>>();
    let before = held();
    // The first is renewed, the second broken.
    authority.server(&["a.test"]).write(folder.path(), "a");
    std::fs::write(&second.chain, "").unwrap();
    let errors = Terms::load(&plan, &store, Some(&terms)).expect_err("the second is empty");
    assert!(errors.len() == 1 && errors[0].contains("b.pem is empty"), "{errors:?}");
    assert_eq!(held(), before);
    // One that expired is no better than what runs, and is an error only then.
    let expired = authority.sign(Wanted { names: vec!["b.test".to_owned()], days: -9..-1, ..Wanted::default() });
    expired.write(folder.path(), "b");
    let errors = Terms::load(&plan, &store, Some(&terms)).expect_err("the second expired");
    assert!(errors.len() == 1 && errors[0].contains("b.pem expired on"), "{errors:?}");
    let (_, warnings) = Terms::load(&plan, &Arc::default(), None).unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("b.pem expired on"), "{warnings:?}");
    assert_eq!(held(), before);
    let soon = authority.sign(Wanted { names: vec!["b.test".to_owned()], days: -9..9, ..Wanted::default() });
    soon.write(folder.path(), "b");
    let (_, warnings) = Terms::load(&plan, &store, Some(&terms)).unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("b.pem expires in "), "{warnings:?}");
    assert!(held().iter().zip(&before).all(|(now, before)| now != before));
}

#[test]
fn names_that_no_certificate_has_are_said() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.server(&["a.test", "*.a.test"]).write(folder.path(), "a");
    let rows: [(&[&str], Option<&str>); 9] = [
        (&["a.test", "x.a.test", "*.a.test", ".a.test"], None),
        (&[], None),
        (&["_", "localhost", "mail.*"], None),
        (&["b.test"], Some("made out to b.test:")),
        (&["a.test", "x.y.a.test"], Some("made out to x.y.a.test:")),
        (&[".b.test"], Some("made out to *.b.test, b.test:")),
        (&["*.x.a.test"], Some("made out to *.x.a.test:")),
        (&["192.0.2.1"], Some("192.0.2.1")),
        (&["test.a"], Some("has *.a.test, a.test")),
    ];
    for (names, part) in rows {
        let (_, warnings) = load(&plan(&[(names, ssl(vec![files.clone()]))]));
        match part {
            None => assert!(warnings.is_empty(), "{names:?}: {warnings:?}"),
            Some(part) => assert!(warnings.len() == 1 && warnings[0].contains(part), "{names:?}: {warnings:?}"),
        }
    }
}

#[test]
fn slots_live_as_long_as_somebody_serves_them() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let (a, b) = (
        authority.server(&["a.test"]).write(folder.path(), "a"),
        authority.server(&["b.test"]).write(folder.path(), "b"),
    );
    let store = Arc::new(Store::default());
    let both = plan(&[(&["a.test"], ssl(vec![a.clone()])), (&["b.test"], ssl(vec![b]))]);
    let (terms, _) = Terms::load(&both, &store, None).unwrap();
    assert_eq!(store.slots().len(), 2);
    let (one, _) = Terms::load(&plan(&[(&["a.test"], ssl(vec![a.clone()]))]), &store, Some(&terms)).unwrap();
    drop(terms);
    assert_eq!(store.slots().iter().map(|slot| slot.files.clone()).collect::<Vec<_>>(), [a]);
    drop(one);
    assert!(store.slots().is_empty());
}

#[test]
fn backends_are_checked_as_configured() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("ca"), authority.pem()).unwrap();
    std::fs::write(path("other"), Authority::new("Other").pem()).unwrap();
    std::fs::write(path("crl"), authority.revoke(&[7], 5)).unwrap();
    std::fs::write(path("old"), authority.revoke(&[], -1)).unwrap();
    let backend = |serial| {
        let pair = authority.sign(Wanted { serial, ..Wanted::default() });
        one_offer(&[], ssl(vec![pair.write(folder.path(), &format!("backend{serial}"))]))
    };
    let (seven, eight) = (backend(7), backend(8));
    let ca = |name: &str| ProxySsl { trusted: Some(path(name)), ..ProxySsl::default() };
    let rows: Vec<(ProxySsl, &Offer, &str, Option<&str>)> = vec![
        (ca("ca"), &seven, "a.test", None),
        (ca("ca"), &seven, "b.test", Some("NotValidForName")),
        (ca("other"), &seven, "a.test", Some("UnknownIssuer")),
        (ProxySsl { name: Some("a.test".to_owned()), ..ca("ca") }, &seven, "10.0.0.1", None),
        (ProxySsl { server_name: false, ..ca("ca") }, &seven, "a.test", None),
        (ProxySsl { verify: false, ..ca("other") }, &seven, "b.test", None),
        (ProxySsl { revoked: Some(path("crl")), ..ca("ca") }, &seven, "a.test", Some("Revoked")),
        (ProxySsl { revoked: Some(path("crl")), ..ca("ca") }, &eight, "a.test", None),
        (ProxySsl { revoked: Some(path("old")), ..ca("ca") }, &eight, "a.test", Some("ExpiredRevocationList")),
    ];
    for (asked, offer, host, wrong) in rows {
        let mut plan = plan(&[]);
        plan.proxy_ssls = vec![asked.clone()];
        let (terms, _) = load(&plan);
        let dialer = &terms.dialers[0];
        let name = dialer.name(host).unwrap().to_str().into_owned();
        let done = shake(&offer.config, &dialer.config, &name);
        match wrong {
            None => {
                let (server, _) = done.unwrap_or_else(|error| panic!("{asked:?}: {error}"));
                assert_eq!(server.server_name().is_some(), asked.server_name);
            }
            Some(part) => assert!(format!("{:?}", done.map(drop).unwrap_err()).contains(part), "{asked:?}"),
        }
    }
}

#[test]
fn names_of_backends_are_as_configured() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    std::fs::write(folder.path().join("ca"), authority.pem()).unwrap();
    let dialer = |name: Option<&str>| {
        let mut plan = plan(&[]);
        let trusted = Some(folder.path().join("ca"));
        plan.proxy_ssls = vec![ProxySsl { name: name.map(str::to_owned), trusted, ..ProxySsl::default() }];
        load(&plan).0.dialers.remove(0)
    };
    let rows = [
        (None, "a.test", Some("a.test")),
        (None, "a.test.", Some("a.test")),
        (None, "10.0.0.1", Some("10.0.0.1")),
        (None, "[::1]", Some("::1")),
        (None, "::1", Some("::1")),
        (None, "", Some("localhost")),
        (None, "a b", None),
        (None, "ä.test", None),
        (Some("b.test"), "a.test", Some("b.test")),
        (Some("b.test"), "", Some("b.test")),
        (Some("192.0.2.1"), "a.test", Some("192.0.2.1")),
    ];
    for (configured, host, wanted) in rows {
        let name: Option<ServerName> = dialer(configured).name(host);
        assert_eq!(name.as_ref().map(ServerName::to_str).as_deref(), wanted, "{configured:?} {host}");
    }
}

#[test]
fn dialers_stay_the_same_until_something_about_them_changes() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let ca = folder.path().join("ca");
    std::fs::write(&ca, authority.pem()).unwrap();
    let own = authority.client("me").write(folder.path(), "me");
    let store = Arc::new(Store::default());
    let asked = ProxySsl { trusted: Some(ca.clone()), certificate: Some(own), ..ProxySsl::default() };
    let mut plan = plan(&[]);
    plan.proxy_ssls = vec![asked.clone()];
    let (first, _) = Terms::load(&plan, &store, None).unwrap();
    plan.proxy_ssls = vec![ProxySsl { session_reuse: false, ..asked.clone() }, asked];
    // Its own certificate may be renewed: it is swapped within.
    authority.client("me").write(folder.path(), "me");
    let (second, _) = Terms::load(&plan, &store, Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&first.dialers[0], &second.dialers[1]));
    assert!(!Arc::ptr_eq(&first.dialers[0], &second.dialers[0]));
    std::fs::write(&ca, Authority::new("New").pem()).unwrap();
    let (third, _) = Terms::load(&plan, &store, Some(&second)).unwrap();
    assert!(!Arc::ptr_eq(&second.dialers[1], &third.dialers[1]));
}

#[test]
fn backends_are_shown_our_certificate() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let ca = folder.path().join("ca");
    std::fs::write(&ca, authority.pem()).unwrap();
    let backend = authority.server(&["a.test"]).write(folder.path(), "backend");
    let backend = one_offer(&[], asking(&backend, VerifyClient::On, Some(&ca), None));
    let own = authority.client("me").write(folder.path(), "me");
    let mut plan = plan(&[]);
    plan.proxy_ssls =
        vec![ProxySsl { trusted: Some(ca), certificate: Some(own), session_reuse: false, ..ProxySsl::default() }];
    let store = Arc::new(Store::default());
    let (terms, _) = Terms::load(&plan, &store, None).unwrap();
    let shown = || {
        let (server, _) = shake(&backend.config, &terms.dialers[0].config, "a.test").unwrap();
        let facts = backend.facts(&server, None, UnixTime::now());
        assert_eq!((&facts.ssl_client_verify[..], facts.ssl_session_reused), ("SUCCESS", "."));
        facts.ssl_client_s_dn
    };
    assert_eq!(shown(), "CN=me");
    let renewed = authority.client("renewed").write(folder.path(), "me");
    store.slots()[0].put(super::certificate::read(&renewed, now()).unwrap().into());
    assert_eq!(shown(), "CN=renewed");
}

#[test]
fn stamps_tell_another_file_through_links() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("CA");
    let (one, two) = (authority.server(&["a.test"]), authority.server(&["a.test"]));
    let (first, second) = (one.write(folder.path(), "one"), two.write(folder.path(), "two"));
    let live = files(folder.path(), "live");
    let link = |to: &CertificateFiles| {
        for (from, to) in [(&live.chain, &to.chain), (&live.key, &to.key)] {
            let _ = std::fs::remove_file(from);
            std::os::unix::fs::symlink(to, from).unwrap();
        }
    };
    let later = || stamp::Stamps::of(&live, now() + 60);
    let missing = later();
    assert!(missing.are_still(&later()));
    link(&first);
    let linked = later();
    assert!(!missing.are_still(&linked) && linked.are_still(&later()));
    // What was written just now may be written once more without another time.
    assert!(!stamp::Stamps::of(&live, now()).are_still(&stamp::Stamps::of(&live, now())));
    link(&second);
    assert!(!linked.are_still(&later()));
    link(&first);
    assert!(linked.are_still(&later()));
    age(&first.key, Duration::from_secs(100));
    assert!(!linked.are_still(&later()));
}

fn shown(offer: &Offer, authority: &Authority, name: &str) -> Result<(), rustls::Error> {
    shake(&offer.config, &Arc::new(client(authority)), name).map(drop)
}

#[test]
fn a_placeholder_does_not_displace_a_real_certificate() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let rsa = authority.sign(Wanted { kind: &rcgen::PKCS_RSA_SHA256, ..Wanted::default() }).write(folder.path(), "rsa");
    let offer = one_offer(&["a.test", "b.test"], ssl(vec![rsa, files(folder.path(), "not-yet")]));
    shown(&offer, &authority, "a.test").expect("the real certificate is there, and every client can check it");
}

#[test]
fn an_expired_certificate_does_not_displace_a_good_one() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let rsa = authority.sign(Wanted { kind: &rcgen::PKCS_RSA_SHA256, ..Wanted::default() }).write(folder.path(), "rsa");
    let old = authority.sign(Wanted { days: -90..-1, ..Wanted::default() }).write(folder.path(), "old");
    let offer = one_offer(&["a.test"], ssl(vec![rsa, old]));
    shown(&offer, &authority, "a.test").expect("one of the two is good");
}

#[test]
fn a_file_that_many_sections_name_is_complained_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("CA");
    let good = authority.server(&["a.test"]).write(folder.path(), "a");
    let other = authority.server(&["a.test"]).write(folder.path(), "b");
    let bad = CertificateFiles { chain: good.chain, key: other.key };
    let section = || ssl(vec![bad.clone()]);
    let plan = plan(&[(&["a.test"], section()), (&["b.test"], section()), (&["c.test"], section())]);
    assert_eq!(Terms::load(&plan, &Arc::default(), None).unwrap_err().len(), 1);
}

#[test]
fn nobody_misses_a_name_where_handshakes_are_rejected() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.server(&["a.test"]).write(folder.path(), "a");
    let (_, warnings) = load(&plan(&[(&["b.test"], Ssl { reject: true, ..ssl(vec![files]) })]));
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn sessions_longer_than_keys_live_are_said() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.server(&["a.test"]).write(folder.path(), "a");
    for (hours, tickets, said) in [(12, true, 0), (13, true, 1), (24, false, 0)] {
        let session_timeout = Duration::from_secs(hours * 3600);
        let section = Ssl { session_timeout, session_tickets: tickets, ..ssl(vec![files.clone()]) };
        let (_, warnings) = load(&plan(&[(&["a.test"], section)]));
        assert_eq!(warnings.len(), said, "{warnings:?}");
    }
}

/// What is out of its time loses against one that has the name by a wildcard, or against the twin of the first.
#[test]
fn good_ones_come_first() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let write = |file: &str, name: &str, days| {
        authority.sign(Wanted { names: vec![name.to_owned()], days, ..Wanted::default() }).write(folder.path(), file)
    };
    let (old, early) = (write("old", "x.a.test", -9..-1), write("early", "x.a.test", 5..9));
    let wild = write("wild", "*.a.test", -1..9);
    let offer = one_offer(&[], ssl(vec![old, early, files(folder.path(), "not-yet"), wild.clone()]));
    let good = &offer.slots()[3].held().key.cert[0].clone();
    for name in ["x.a.test", "y.a.test"] {
        let (_, client) = shake(&offer.config, &Arc::new(client(&authority)), name).unwrap();
        assert_eq!(&client.peer_certificates().unwrap()[0], good, "{name}");
    }
    let anybody = verify::Anybody(rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms);
    let mut config = client(&authority);
    config.dangerous().set_certificate_verifier(Arc::new(anybody));
    let (_, client) = shake(&offer.config, &Arc::new(config), "unknown.test").unwrap();
    assert_eq!(&client.peer_certificates().unwrap()[0], good);
}
