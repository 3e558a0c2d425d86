//! Plans with real files, and handshakes in memory.

mod backends;
mod clients;

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

fn asking(files: &CertificateFiles, verify: VerifyClient, authorities: Option<&Path>, revoked: Option<&Path>) -> Ssl {
    let client = ClientCertificates {
        verify,
        authorities: authorities.map(Path::to_owned),
        names_sent: true,
        revoked: revoked.map(Path::to_owned),
    };
    Ssl { client: Some(client), ..ssl(vec![files.clone()]) }
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
