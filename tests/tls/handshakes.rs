//! Handshakes with each kind of certificate, and which certificate is shown to whom.

use super::support::certificates::{Authority, Kind, Order, Pair};
use super::support::server::free_port;
use super::support::tls::{Wish, certificates};
use super::support::{Backend, Client, Place, Setup};
use super::{Site, certificate, expect_sound, folder_with, offering, shown};
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite;
use std::sync::Arc;

#[test]
fn each_kind_of_key_serves_each_version() {
    let backend = Backend::fixed("hello");
    let authority = Authority::new("root");
    let below = authority.intermediate("below");
    let pairs = Kind::ALL.map(|kind| below.issue(&Order::server(&["site.test"]).kind(kind)));
    let names = ["a", "b", "c", "d"];
    let files: Vec<(&str, &Pair)> = names.into_iter().zip(&pairs).collect();
    let mut setup = Setup::new().upstream("app", &[backend.place()], "");
    for (i, name) in names.iter().enumerate() {
        let listen = format!("127.0.0.{}:0 ssl", i + 1);
        setup = setup.server(&listen, &offering(&[name]), &[("/", "http://app", "")]);
    }
    let ringgate = setup.start_in(folder_with(&files));
    let root = authority.pem();
    for ((kind, pair), place) in Kind::ALL.iter().zip(&pairs).zip(ringgate.places()) {
        for version in rustls::ALL_VERSIONS {
            let config = Arc::new(Wish { trusted: Some(&root), versions: &[version], ..Wish::default() }.config());
            let mut client = Client::secure(place, &config, "site.test");
            assert_eq!(client.tls().version(), format!("{:?}", version.version), "{kind:?}");
            assert_eq!(client.tls().peer(), certificates(&pair.identity.chain), "{kind:?}: with those between");
            for _ in 0..3 {
                assert_eq!(client.get("/").text(), "hello", "{kind:?} {version:?}");
            }
            client.finish();
            client.expect_closed();
        }
    }
    expect_sound(&ringgate);
}

/// Each of the nine suites is spoken when a client knows no other.
#[test]
fn each_suite_works() {
    let backend = super::mirror();
    let authority = Authority::new("root");
    let (ecdsa, rsa) =
        (authority.server(&["site.test"]), authority.issue(&Order::server(&["site.test"]).kind(Kind::Rsa)));
    let ringgate = Setup::new()
        .upstream("app", &[backend.place()], "")
        .server(super::LISTEN, &offering(&["ecdsa", "rsa"]), &[("/", "http://app", "")])
        .start_in(folder_with(&[("ecdsa", &ecdsa), ("rsa", &rsa)]));
    let root = authority.pem();
    for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
        let versions = [if suite.tls13().is_some() { &rustls::version::TLS13 } else { &rustls::version::TLS12 }];
        let wish = Wish { trusted: Some(&root), versions: &versions, suite: Some(*suite), ..Wish::default() };
        let mut client = Client::secure(ringgate.place(), &Arc::new(wish.config()), "site.test");
        assert_eq!(client.tls().suite(), format!("{:?}", suite.suite()));
        assert_eq!(client.post("/", &vec![b'x'; 100_000]).text().lines().next(), Some("POST / 100000"), "{suite:?}");
    }
}

#[test]
fn the_certificate_follows_the_name() {
    let authority = Authority::new("root");
    let pair = |names: &[&str]| authority.server(names);
    let files = [
        ("default", pair(&["default.test"])),
        ("one", pair(&["one.test"])),
        ("wild", pair(&["*.wild.test"])),
        ("exact", pair(&["exact.wild.test"])),
        ("first", pair(&["first.test"])),
        ("second", pair(&["second.test"])),
    ];
    let backends: Vec<Backend> =
        ["default", "one", "wild", "exact", "both"].iter().map(|name| Backend::fixed(name)).collect();
    let place = format!("127.0.0.1:{}", free_port());
    let mut setup = Setup::new();
    for (i, backend) in backends.iter().enumerate() {
        setup = setup.upstream(&format!("app{i}"), &[backend.place()], "");
    }
    let section = |setup: Setup, i: usize, listen: &str, names: &str, pairs: &[&str]| {
        let lines = format!("server_name = {names}\n{}", offering(pairs));
        setup.server(listen, &lines, &[("/", &format!("http://app{i}"), "")])
    };
    let listen = format!("{place} ssl");
    setup = section(setup, 1, &listen, "\"one.test\"", &["one"]);
    setup = section(setup, 0, &format!("{place} ssl default_server"), "\"default.test\"", &["default"]);
    setup = section(setup, 2, &listen, "\"*.wild.test\"", &["wild"]);
    setup = section(setup, 3, &listen, "\"exact.wild.test\"", &["exact"]);
    setup = section(setup, 4, &listen, "[\"first.test\", \"second.test\"]", &["first", "second"]);
    let ringgate = setup.start_in(folder_with(&files.each_ref().map(|(name, pair)| (*name, pair))));
    let file = |name: &str| &files.iter().find(|(n, _)| *n == name).expect("one of them").1;
    // Name asked for, the certificate that is shown, the section that answers to this Host.
    for (name, pair, body) in [
        ("one.test", "one", "one"),
        ("ONE.test", "one", "one"),
        ("a.wild.test", "wild", "wild"),
        ("exact.wild.test", "exact", "exact"),
        ("first.test", "first", "both"),
        ("second.test", "second", "both"),
        ("default.test", "default", "default"),
        ("unknown.test", "default", "default"),
        ("wild.test", "default", "default"),
        ("127.0.0.1", "default", "default"), // an address is no SNI
    ] {
        let config = Arc::new(Wish::default().config());
        let mut client = Client::secure(ringgate.place(), &config, name);
        assert_eq!(client.tls().peer()[0].to_vec(), certificate(file(pair)), "{name}");
        assert_eq!(client.get_from(name, "/").text(), body, "{name}");
    }
    // Clients that check are content.
    let trusting = Arc::new(Wish { trusted: Some(&authority.pem()), ..Wish::default() }.config());
    for name in ["one.test", "b.wild.test", "exact.wild.test", "second.test"] {
        Client::secure(ringgate.place(), &trusting, name);
    }
    // A connection may be used for another name: Host decides, as long as both sections let everybody in.
    let mut client = Client::secure(ringgate.place(), &trusting, "one.test");
    assert_eq!(client.get_from("first.test", "/").text(), "both");
    expect_sound(&ringgate);
}

/// One section may have an ECDSA and an RSA certificate for the same name: old clients get the latter.
#[test]
fn the_kind_follows_what_the_client_can() {
    let backend = Backend::fixed("hello");
    let authority = Authority::new("root");
    let (ecdsa, rsa) =
        (authority.server(&["site.test"]), authority.issue(&Order::server(&["site.test"]).kind(Kind::Rsa)));
    let ringgate = Setup::new()
        .upstream("app", &[backend.place()], "")
        .server(super::LISTEN, &offering(&["rsa", "ecdsa"]), &[("/", "http://app", "")])
        .start_in(folder_with(&[("ecdsa", &ecdsa), ("rsa", &rsa)]));
    let get = |suite: SupportedCipherSuite| {
        let wish = Wish { suite: Some(suite), versions: &[&rustls::version::TLS12], ..Wish::default() };
        let client = Client::secure(ringgate.place(), &Arc::new(wish.config()), "site.test");
        client.tls().peer()[0].to_vec()
    };
    assert_eq!(get(cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), certificate(&rsa));
    assert_eq!(get(cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), certificate(&ecdsa));
}

#[test]
fn a_rejecting_section_shows_nothing() {
    let backend = Backend::fixed("hello");
    let pair = Authority::new("root").server(&["one.test"]);
    let place = format!("127.0.0.1:{}", free_port());
    let named = format!("server_name = \"one.test\"\n{}", offering(&["one"]));
    let ringgate = Setup::new()
        .upstream("app", &[backend.place()], "")
        .server(&format!("{place} ssl default_server"), "ssl_reject_handshake = \"on\"\nreturn = \"444\"", &[])
        .server(&format!("{place} ssl"), &named, &[("/", "http://app", "")])
        .start_in(folder_with(&[("one", &pair)]));
    assert_eq!(shown(ringgate.place(), "one.test"), Ok(certificate(&pair)));
    for name in ["two.test", "127.0.0.1"] {
        let refusal = shown(ringgate.place(), name).expect_err("nothing is to be shown");
        assert!(refusal.contains("UnrecognisedName"), "{name}: {refusal}");
    }
    assert_eq!(shown(ringgate.place(), "one.test"), Ok(certificate(&pair)));
}

#[test]
fn http_1_1_is_chosen_by_alpn() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "", "");
    let with = |offers: &[&str]| {
        let mut config = (*site.config()).clone();
        config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
        Client::try_secure(site.ringgate.place(), &Arc::new(config), super::SITE)
    };
    for (offers, chosen) in
        [(&["h2", "http/1.1"][..], Some("http/1.1")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let mut client = with(offers).unwrap_or_else(|e| panic!("{offers:?}: {e}"));
        assert_eq!(client.tls().alpn().as_deref(), chosen, "{offers:?}");
        assert_eq!(client.get("/").text(), "hello");
    }
    let refusal = with(&["h2"]).err().expect("it would speak HTTP/2 to us");
    assert!(refusal.to_string().contains("NoApplicationProtocol"), "{refusal}");
    expect_sound(&site.ringgate);
}

/// Whoever forgets the s is told so in words, and nothing reaches the backend.
#[test]
fn plain_http_on_the_tls_port_is_told_so() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "", "");
    let before = site.ringgate.status();
    for request in ["GET / HTTP/1.1\r\nHost: site.test\r\n\r\n", "POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"] {
        let mut client = site.ringgate.client();
        client.send(request);
        let answer = client.response();
        assert_eq!((answer.status(), answer.reason()), (400, Some("plain_http_on_tls")), "{}", answer.text());
        client.expect_fin();
    }
    assert_eq!(backend.connections(), 0);
    assert_eq!(site.client().get("/").text(), "hello");
    backend.close_all();
    site.ringgate.expect_clean(&before);
}

/// The same port number on two addresses, one with TLS and one without.
#[test]
fn tls_is_a_matter_of_the_address() {
    let backend = super::mirror();
    let pair = Authority::new("root").server(&["site.test"]);
    let pass = [("/", "http://app", "")];
    let ringgate = Setup::new()
        .upstream("app", &[backend.place()], "")
        .section("[[server]]\nlisten = [\"127.0.0.1:0 ssl\", \"127.0.0.2:0\"]")
        .section(&offering(&["site"]))
        .section("[server.location.\"/\"]\nproxy_pass = \"http://app\"")
        .server("127.0.0.3:0", "", &pass)
        .start_in(folder_with(&[("site", &pair)]));
    let [secure, plain, other]: &[Place; 3] = ringgate.places().try_into().expect("three listeners");
    let scheme = |answer: &str| super::mirrored_field(answer, "X-Forwarded-Proto").map(str::to_owned);
    let config = Arc::new(Wish::default().config());
    let answer = Client::secure(secure, &config, "site.test").get("/").text();
    assert_eq!(scheme(&answer).as_deref(), Some("https"), "{answer}");
    for place in [plain, other] {
        let answer = Client::connect(place).get("/").text();
        assert_eq!(scheme(&answer).as_deref(), Some("http"), "{answer}");
    }
}
