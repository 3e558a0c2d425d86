//! What is asked of backends.

use super::*;

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
