//! Certificates of clients.

use super::*;

/// The settings of a section that asks clients for certificates.
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
