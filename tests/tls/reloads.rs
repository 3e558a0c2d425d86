//! Reloads that change what is asked of clients: what must not be left behind.

use super::support::certificates::Authority;
use super::support::tls::Wish;
use super::support::{Client, Setup};
use super::{folder_with, mirror, offering};
use std::sync::Arc;

fn asking(folder: &std::path::Path) -> String {
    let authority = folder.join("clients.pem").display().to_string();
    format!("ssl_verify_client = \"on\"\nssl_client_certificate = \"{authority}\"\n")
}

/// A listener gets TLS and wants certificates: who connected before without either is not let in any more.
#[test]
fn a_plain_connection_from_before_does_not_reach_a_server_that_wants_certificates() {
    let backend = mirror();
    let folder = folder_with(&[("site", &Authority::new("root").server(&["site.test"]))]);
    super::write(folder.path(), "clients.pem", &Authority::new("clients").pem());
    let asking = asking(folder.path());
    let setup = |listen: &str, lines: &str| {
        Setup::new().upstream("app", &[backend.place()], "").server(listen, lines, &[("/", "http://app", "")])
    };
    let ringgate = setup("127.0.0.1:0", "").start_in(folder);
    let mut client = ringgate.client();
    assert_eq!(client.get_from("site.test", "/before").status(), 200);
    ringgate.rewrite(&setup("127.0.0.1:0 ssl", &(offering(&["site"]) + &asking)).text());
    ringgate.succeed(&["reload"]);
    // New connections must speak TLS and show a certificate.
    let config = Arc::new(Wish::default().config());
    let mut fresh = Client::secure(ringgate.place(), &config, "site.test");
    assert_eq!(fresh.get_from("site.test", "/secret").status(), 400);
    let answer = client.get_from("site.test", "/secret");
    assert_ne!(answer.status(), 200, "without TLS and without a certificate: {}", answer.text());
}

/// A connection made under terms that are no longer anybody's is of no use: 421 for ever unless it closes.
#[test]
fn a_misdirected_request_ends_the_connection() {
    let backend = mirror();
    let folder = folder_with(&[("site", &Authority::new("root").server(&["site.test"]))]);
    super::write(folder.path(), "clients.pem", &Authority::new("clients").pem());
    let asking = asking(folder.path());
    let setup = |lines: &str| {
        let lines = offering(&["site"]) + lines;
        Setup::new().upstream("app", &[backend.place()], "").server(
            "127.0.0.1:0 ssl",
            &lines,
            &[("/", "http://app", "")],
        )
    };
    let ringgate = setup("").start_in(folder);
    let config = Arc::new(Wish::default().config());
    let mut client = Client::secure(ringgate.place(), &config, "site.test");
    assert_eq!(client.get_from("site.test", "/").status(), 200);
    ringgate.rewrite(&setup(&asking).text());
    ringgate.succeed(&["reload"]);
    let answer = client.get_from("site.test", "/");
    assert_eq!(answer.status(), 421);
    assert!(answer.connection_has("close"), "the same client would get 421 again and again");
}
