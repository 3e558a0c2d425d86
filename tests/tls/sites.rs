//! What a site with TLS does besides: HSTS, the way from HTTP to HTTPS, the path of ACME's challenges.

use super::support::certificates::Authority;
use super::support::tls::Wish;
use super::support::{Backend, Client, Place, Setup};
use super::{LISTEN, folder_with, mirror, offering};
use std::sync::Arc;

/// HSTS is said over TLS, on ringgate's own answers too, and never over plain HTTP, where RFC 6797 forbids it.
#[test]
fn hsts_is_said_over_tls_only() {
    let backend = Backend::answer(|request| match request.target() {
        "/own" => b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=5\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => super::backend::ok("hello"),
    });
    let pair = Authority::new("root").server(&["site.test"]);
    for (asked, said) in [
        ("1y", "max-age=31536000"),
        ("1y includeSubDomains preload", "max-age=31536000; includeSubDomains; preload"),
        ("max-age=0", "max-age=0"),
    ] {
        let ringgate = Setup::new()
            .upstream("app", &[backend.place()], "")
            .section("[[server]]\nlisten = [\"127.0.0.1:0 ssl\", \"127.0.0.2:0\"]")
            .section(&format!("hsts = \"{asked}\"\n{}", offering(&["site"])))
            .section("[server.location.\"/app\"]\nproxy_pass = \"http://app\"")
            .section("[server.location.\"/own\"]\nproxy_pass = \"http://app\"")
            .start_in(folder_with(&[("site", &pair)]));
        let config = Arc::new(Wish::default().config());
        let mut client = Client::secure(&ringgate.places()[0], &config, "site.test");
        for (target, status, expected) in [("/app", 200, &[said][..]), ("/nowhere", 404, &[said])] {
            let answer = client.get(target);
            assert_eq!(answer.status(), status);
            assert_eq!(answer.all("Strict-Transport-Security"), expected, "{asked}: {target}");
        }
        assert_eq!(client.get("/own").all("Strict-Transport-Security").len(), 1, "{asked}: once, whoever says it");
        let mut plain = Client::connect(&ringgate.places()[1]);
        assert_eq!(plain.get("/app").field("Strict-Transport-Security"), None, "{asked}");
        assert_eq!(plain.get("/nowhere").field("Strict-Transport-Security"), None, "{asked}");
    }
}

/// The line that everybody writes: all of HTTP is sent to HTTPS, but for ACME's challenges.
#[test]
fn http_is_sent_to_https() {
    let backend = mirror();
    let pair = Authority::new("root").server(&["site.test"]);
    let folder = folder_with(&[("site", &pair)]);
    let challenges = folder.path().join("www/.well-known/acme-challenge");
    std::fs::create_dir_all(&challenges).expect("a folder");
    std::fs::write(challenges.join("token-1_A"), "token-1_A.thumbprint").expect("a file");
    std::fs::write(folder.path().join("www/secret"), "secret").expect("a file");
    let ringgate = Setup::new()
        .upstream("app", &[backend.place()], "")
        .server("127.0.0.1:0", "return = \"301 https://$host$request_uri\"\nacme_webroot = \"{dir}/www\"", &[])
        .server("127.0.0.2:0 ssl", &offering(&["site"]), &[("/", "http://app", "")])
        .start_in(folder);
    let mut client = ringgate.client();
    for (host, target, location) in [
        ("site.test", "/", "https://site.test/"),
        ("site.test", "/a/b?c=d&e=%20f", "https://site.test/a/b?c=d&e=%20f"),
        ("site.test:8080", "/", "https://site.test/"),
    ] {
        let answer = client.get_from(host, target);
        assert_eq!((answer.status(), answer.field("Location")), (301, Some(location)), "{host} {target}");
    }
    let found = client.get("/.well-known/acme-challenge/token-1_A");
    assert_eq!((found.status(), found.text()), (200, "token-1_A.thumbprint".to_owned()));
    assert_eq!(client.get("/.well-known/acme-challenge/unknown").status(), 404);
    for evil in ["../../secret", "%2e%2e/%2e%2e/secret", "..%2f..%2fsecret", "token-1_A/../../../secret", ".."] {
        let answer = client.get(&format!("/.well-known/acme-challenge/{evil}"));
        assert!(
            answer.status() != 200 && !answer.text().contains("secret\n") && answer.text() != "secret",
            "{evil}: {}",
            answer.text()
        );
        if answer.connection_has("close") {
            client = ringgate.client();
        }
    }
    // A POST keeps its method only with 308, and its body is not waited for in vain.
    let answer = ringgate.client().post("/form", b"a=b");
    assert_eq!((answer.status(), answer.field("Location")), (301, Some("https://test/form")));
    assert_eq!(backend.connections(), 0, "nothing of it is the backend's");
    let place: &Place = &ringgate.places()[1];
    let config = Arc::new(Wish::default().config());
    assert_eq!(Client::secure(place, &config, "site.test").get("/").status(), 200);
}

/// What a backend and a person read of the connection.
#[test]
fn a_redirect_may_be_a_locations_own() {
    let backend = mirror();
    let pair = Authority::new("root").server(&["site.test"]);
    let ringgate = Setup::new()
        .upstream("app", &[backend.place()], "")
        .server(LISTEN, &offering(&["site"]), &[("/", "http://app", "")])
        .section("[server.location.\"/old\"]\nreturn = \"https://other.test/new\"")
        .section("[server.location.\"/gone\"]\nreturn = \"410\"")
        .section("[server.location.\"/said\"]\nreturn = \"200 some words\"")
        .section("[server.location.\"/cut\"]\nreturn = \"444\"")
        .start_in(folder_with(&[("site", &pair)]));
    let config = Arc::new(Wish::default().config());
    let mut client = Client::secure(ringgate.place(), &config, "site.test");
    let answer = client.get("/old");
    assert_eq!((answer.status(), answer.field("Location")), (302, Some("https://other.test/new")));
    assert_eq!(client.get("/gone").status(), 410);
    let answer = client.get("/said");
    assert_eq!((answer.status(), answer.text()), (200, "some words".to_owned()));
    client.send("GET /cut HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert!(client.read_to_end().0.is_empty(), "444 says nothing");
}
