//! Clients that show certificates, and what the backend learns of them.

use super::support::certificates::{Authority, Order};
use super::support::tls::{Identity, Wish};
use super::support::{Client, Message};
use super::{SITE, Site, expect_sound, mirror, mirrored_field};
use std::sync::Arc;

const FIELDS: &str = "proxy_set_header = [\"X-Verify $ssl_client_verify\", \"X-Subject $ssl_client_s_dn\", \
     \"X-Issuer $ssl_client_i_dn\", \"X-Serial $ssl_client_serial\", \"X-Fingerprint $ssl_client_fingerprint\", \
     \"X-Protocol $ssl_protocol\", \"X-Cipher $ssl_cipher\", \"X-Name $ssl_server_name\", \"X-Certificate $ssl_client_escaped_cert\"]\n";

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It reached the backend, which was told this of the client.
    Through(String),
    /// ringgate answered itself, or ended the handshake: no certificate, or a bad one.
    Refused,
}

fn outcome(
    site: &Site,
    version: &'static rustls::SupportedProtocolVersion,
    identity: Option<&Identity>,
) -> (Outcome, Option<Message>) {
    let wish = Wish { trusted: Some(&site.authority.pem()), versions: &[version], identity, suite: None };
    let Ok(mut client) = Client::try_secure(site.ringgate.place(), &Arc::new(wish.config()), SITE) else {
        return (Outcome::Refused, None);
    };
    let sent =
        client.try_send(b"GET / HTTP/1.1\r\nHost: site.test\r\nX-Verify: SUCCESS\r\nX-Subject: CN=forged\r\n\r\n");
    // With TLS 1.3 the refusal of a certificate comes after the client's handshake is done.
    let Ok(answer) = sent.and_then(|()| client.try_response_to("GET")) else { return (Outcome::Refused, None) };
    match (answer.status(), answer.reason()) {
        (200, None) => {
            let text = answer.text();
            let verify = mirrored_field(&text, "X-Verify").unwrap_or("(none)").to_owned();
            (Outcome::Through(verify), Some(answer))
        }
        (400, Some("client_certificate_required" | "client_certificate_bad")) => (Outcome::Refused, Some(answer)),
        other => panic!("{other:?}: {}", answer.text()),
    }
}

fn success() -> Outcome {
    Outcome::Through("SUCCESS".into())
}

#[test]
fn certificates_are_asked_for_and_checked() {
    let backend = mirror();
    let clients = Authority::new("clients");
    let strangers = Authority::new("strangers");
    let below = clients.intermediate("clients below");
    let good = clients.issue(&Order::client("alice"));
    let through = below.issue(&Order::client("bob"));
    let expired = clients.issue(&Order::client("carol").expired());
    let revoked = clients.issue(&Order::client("dave"));
    let stranger = strangers.issue(&Order::client("eve"));
    let none = || Outcome::Through("NONE".into());
    // Configuration, whether each of these gets through: none, good, by an intermediate, expired, revoked, of another authority.
    for (verify, without, bad_is_let_in) in
        [("on", Outcome::Refused, false), ("optional", none(), false), ("optional_no_ca", none(), true)]
    {
        let lines = format!(
            "{FIELDS}ssl_verify_client = \"{verify}\"\nssl_client_certificate = \"{{dir}}/clients.pem\"\nssl_crl = \"{{dir}}/clients.crl\""
        );
        let site = start(&backend, &lines, &clients, &(clients.revoked(&[revoked.serial]) + &below.revoked(&[])));
        for version in rustls::ALL_VERSIONS {
            let case = format!("{verify}, {:?}", version.version);
            let ask = |identity: Option<&Identity>| outcome(&site, version, identity).0;
            assert_eq!(ask(None), without, "{case}: none");
            assert_eq!(ask(Some(&good.identity)), success(), "{case}: good");
            assert_eq!(ask(Some(&through.identity)), success(), "{case}: by an intermediate");
            for (what, pair) in [("expired", &expired), ("revoked", &revoked), ("a stranger", &stranger)] {
                match ask(Some(&pair.identity)) {
                    Outcome::Refused => assert!(!bad_is_let_in || what != "a stranger", "{case}: {what}"),
                    // `optional_no_ca` lets in whom nobody knows, and says so.
                    Outcome::Through(verify) => {
                        assert!(bad_is_let_in && verify.starts_with("FAILED"), "{case}: {what}: {verify}")
                    }
                }
            }
        }
        expect_sound(&site.ringgate);
    }
}

/// A site whose clients this authority certifies.
#[track_caller]
fn start(backend: &super::Backend, lines: &str, clients: &Authority, crl: &str) -> Site {
    // The files must be there before ringgate is: a folder of their own.
    let files = super::folder();
    super::write(files.path(), "clients.pem", &clients.pem());
    super::write(files.path(), "clients.crl", crl);
    let lines = lines.replace("{dir}/clients", &files.path().join("clients").display().to_string());
    Site::start(backend.place(), &lines, "")
}

/// The page for those without a certificate says which of the two it is.
#[test]
fn who_shows_none_is_told_so() {
    let backend = mirror();
    let clients = Authority::new("clients");
    let lines = "ssl_verify_client = \"on\"\nssl_client_certificate = \"{dir}/clients.pem\"";
    let site = start(&backend, lines, &clients, "");
    for version in rustls::ALL_VERSIONS {
        let (_, answer) = outcome(&site, version, None);
        let answer = answer.expect("a page");
        assert_eq!(answer.reason(), Some("client_certificate_required"));
    }
    assert_eq!(backend.connections(), 0, "no request went through");
}

#[test]
fn the_backend_learns_who_it_is() {
    let backend = mirror();
    let clients = Authority::new("clients");
    let alice = clients.issue(&Order::client("alice"));
    let lines = format!("{FIELDS}ssl_verify_client = \"optional\"\nssl_client_certificate = \"{{dir}}/clients.pem\"");
    let site = start(&backend, &lines, &clients, "");
    for version in rustls::ALL_VERSIONS {
        let (through, answer) = outcome(&site, version, Some(&alice.identity));
        assert_eq!(through, success());
        let text = answer.expect("an answer").text();
        let field = |name: &str| mirrored_field(&text, name).unwrap_or_default();
        assert_eq!((field("X-Subject"), field("X-Issuer")), ("CN=alice", "CN=clients"), "{text}");
        assert_eq!(u64::from_str_radix(field("X-Serial"), 16), Ok(alice.serial), "{text}");
        let sum = field("X-Fingerprint");
        assert!(sum.len() == 40 && sum.bytes().all(|b| b.is_ascii_hexdigit()), "SHA-1, as nginx has it: {text}");
        let named = if version.version == rustls::ProtocolVersion::TLSv1_2 { "TLSv1.2" } else { "TLSv1.3" };
        assert_eq!((field("X-Protocol"), field("X-Name")), (named, SITE), "{text}");
        assert!(field("X-Cipher").contains("AES") || field("X-Cipher").contains("CHACHA20"), "{text}");
        assert!(field("X-Certificate").starts_with("-----BEGIN%20CERTIFICATE-----%0A"), "{text}");
        assert!(!text.contains("forged"), "what clients write is replaced: {text}");
        // Without a certificate the fields are empty, and a client cannot fill them.
        let (through, answer) = outcome(&site, version, None);
        assert_eq!(through, Outcome::Through("NONE".into()));
        let text = answer.expect("an answer").text();
        assert_eq!(mirrored_field(&text, "X-Subject").unwrap_or_default(), "", "{text}");
        assert!(!text.contains("forged"), "{text}");
    }
}

/// A resumed session still knows whose it is.
#[test]
fn a_resumed_session_keeps_its_client() {
    let backend = mirror();
    let clients = Authority::new("clients");
    let alice = clients.issue(&Order::client("alice"));
    let lines = format!("{FIELDS}ssl_verify_client = \"on\"\nssl_client_certificate = \"{{dir}}/clients.pem\"");
    let site = start(&backend, &lines, &clients, "");
    for version in rustls::ALL_VERSIONS {
        let config = Wish { versions: &[version], identity: Some(&alice.identity), ..Wish::default() }.config();
        let config = Arc::new(config);
        for turn in 0..4 {
            let mut client = Client::secure(site.ringgate.place(), &config, SITE);
            let text = client.get_from(SITE, "/").text();
            assert_eq!(
                (mirrored_field(&text, "X-Verify"), mirrored_field(&text, "X-Subject")),
                (Some("SUCCESS"), Some("CN=alice"))
            );
            assert_eq!(client.tls().is_resumed(), turn > 0, "{version:?} {turn}");
        }
    }
}
