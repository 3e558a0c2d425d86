//! TLS towards backends: `proxy_pass = "https://..."`, `proxy_ssl` and the `proxy_ssl_` keys.

use super::*;
use crate::config::plan::{Action, CertificateFiles, Pass, Protocols, Proxy, ProxySsl, ProxyUri};

/// On line 7, beneath a location that leads to `https://backend`.
const KEYS: &[Row] = &[
    ("proxy_ssl_verify = \"no\"", &["7:20: error: write \"on\" or \"off\""]),
    (
        "proxy_ssl_name = \"$host\"",
        &[
            "7:18: error: variables in a name are not supported yet; leave it out for the name that each server has in the file, or \
           write the one in their certificates",
        ],
    ),
    ("proxy_ssl_name = \"\"", &["7:18: error: write the name that is in the certificates, such as \"app.internal\""]),
    (
        "proxy_ssl_name = \"*.a.org\"",
        &["7:18: error: write the name that is in the certificates, such as \"app.internal\""],
    ),
    ("proxy_ssl_name = \"a.org:443\"", &["7:18: error: the port is known from the server; write \"a.org\""]),
    (
        "proxy_ssl_server_name = \"yes\"\nproxy_ssl_session_reuse = 0",
        &["7:25: error: write \"on\" or \"off\"", "8:27: error: write \"on\" or \"off\""],
    ),
    (
        "proxy_ssl_trusted_certificate = \"\"\nproxy_ssl_crl = \"data:x\"",
        &[
            "7:33: error: write the path of a file, or \"off\" for none",
            "8:17: error: only files are read here; write the path of one",
        ],
    ),
    ("proxy_ssl_certificate = \"a\"", &["7:25: error: a certificate needs its key; write `proxy_ssl_certificate_key`"]),
    ("proxy_ssl_certificate_key = \"a\"", &["7:29: error: a key needs its certificate; write `proxy_ssl_certificate`"]),
    ("proxy_ssl_protocols = \"TLSv1\"", &["7:23: error: rustls does not speak TLSv1; write \"TLSv1.2 TLSv1.3\""]),
    ("proxy_ssl = \"on\"", &["7:1: error: `proxy_ssl` belongs in [[tcp]]"]),
];

fn to(pass: &str, keys: &str) -> String {
    site("server = [\"127.0.0.1:3001\", \"app.internal:3002\"]", SERVER, &format!("proxy_pass = \"{pass}\"\n{keys}"))
}

#[test]
fn slips() {
    assert_rows(KEYS, |keys| to("https://backend", keys));
}

#[test]
fn demands_are_made() {
    let base = ProxySsl { alpn: vec!["http/1.1".to_string()], ..ProxySsl::default() };
    for (keys, expected) in [
        ("", base.clone()),
        ("proxy_ssl_verify = \"on\"\nproxy_ssl_server_name = \"off\"", ProxySsl { server_name: false, ..base.clone() }),
        (
            "proxy_ssl_trusted_certificate = \"/ca\"\nproxy_ssl_crl = \"/crl\"\nproxy_ssl_name = \"App.Internal\"",
            ProxySsl {
                trusted: Some("/ca".into()),
                revoked: Some("/crl".into()),
                name: Some("app.internal".to_string()),
                ..base.clone()
            },
        ),
        ("proxy_ssl_name = \"[::1]\"", ProxySsl { name: Some("::1".to_string()), ..base.clone() }),
        (
            "proxy_ssl_certificate = \"c\"\nproxy_ssl_certificate_key = \"k\"\nproxy_ssl_session_reuse = \"off\"",
            ProxySsl {
                certificate: Some(CertificateFiles { chain: "c".into(), key: "k".into() }),
                session_reuse: false,
                ..base.clone()
            },
        ),
        (
            "proxy_ssl_protocols = \"TLSv1.2\"\nproxy_ssl_ciphers = \"CHACHA20\"",
            ProxySsl {
                protocols: Protocols { tls12: true, tls13: false },
                suites: Some(vec![0x1302, 0x1301, 0x1303, 0xCCA9, 0xCCA8]),
                ..base.clone()
            },
        ),
    ] {
        let text = to("https://backend", keys);
        let plan = plan(&text);
        assert_eq!(
            plan.servers[0].locations[0].action,
            Action::Proxy(Proxy { to: Pass::Upstream(0), ssl: Some(0), uri: ProxyUri::AsSent })
        );
        assert_eq!(plan.proxy_ssls, [expected], "{keys}");
        assert_eq!(warnings(&text), [""; 0], "{keys}");
    }
}

#[test]
fn what_is_not_verified_is_loud() {
    let text = to("https://backend", "proxy_ssl_verify = \"off\"");
    let loud =
        "the certificates of these servers are NOT verified: whoever gets in between can read and change everything";
    assert_eq!(warnings(&text), [format!("f:7:20: warning: {loud}")]);
    assert!(!plan(&text).proxy_ssls[0].verify);
    for (text, expected) in [
        (
            to("https://backend", "proxy_ssl_verify_depth = 2"),
            "f:7:26: warning: `proxy_ssl_verify_depth` is not needed: a chain counts if it leads to a trusted authority, whatever its length",
        ),
        (
            to("https://backend", "").replace(":3002", ""),
            "f:6:14: warning: `app.internal` has no port, so it is asked at port 80; write \"app.internal:443\" in the group",
        ),
        (
            to("https://backend", "proxy_ssl_ciphers = \"HIGH:AES256-SHA\""),
            "f:7:21: warning: rustls does not have AES256-SHA: left out",
        ),
    ] {
        assert_eq!(warnings(&text), [expected], "{text}");
    }
}

#[test]
fn equal_demands_are_one() {
    let text = "proxy_ssl_name = \"a\"\n\
        [[server]]\n\
        [server.location.\"/\"]\nproxy_pass = \"https://app.internal\"\n\
        [server.location.\"/b\"]\nproxy_pass = \"https://127.0.0.1\"\n\
        [server.location.\"/cc\"]\nproxy_pass = \"https://127.0.0.1:443\"\nproxy_ssl_name = \"b\"\n\
        [server.location.\"/ddd\"]\nproxy_pass = \"http://127.0.0.1:443\"\n\
        [server.location.\"/eeee\"]\nproxy_pass = \"https://unix:/a\"\n\
        [[tcp]]\nlisten = 993\nproxy_pass = \"app.internal:993\"\nproxy_ssl = \"on\"\n";
    let plan = plan(text);
    let names: Vec<_> = plan.upstreams.iter().map(|upstream| &*upstream.name).collect();
    assert_eq!(names, ["app.internal", "127.0.0.1", "unix:/a", "app.internal:993"]);
    let ports: Vec<_> = plan.upstreams[0].peers[0].host.iter().map(|host| host.port).collect();
    assert_eq!(ports, [443]);
    let led: Vec<_> =
        plan.servers[0].locations.iter().map(|location| (&*location.name, location.action.clone())).collect();
    let by = |upstream, ssl| Action::Proxy(Proxy { to: Pass::Upstream(upstream), ssl, uri: ProxyUri::AsSent });
    assert_eq!(
        led,
        [
            ("/", by(0, Some(0))),
            ("/b", by(1, Some(0))),
            ("/cc", by(1, Some(1))),
            ("/ddd", by(1, None)),
            ("/eeee", by(2, Some(0))),
        ]
    );
    let asked: Vec<_> = plan.proxy_ssls.iter().map(|asked| (asked.name.as_deref(), asked.alpn.len())).collect();
    assert_eq!(asked, [(Some("a"), 1), (Some("b"), 1), (Some("a"), 0)]);
    assert_eq!(plan.tcps[0].proxy_ssl, Some(2));
}

#[test]
fn a_unix_socket_has_no_name() {
    let nameless = "a unix socket has no name to look for in the certificate; write `proxy_ssl_name`";
    let text = to("https://unix:/a", "").replace("backend", "b");
    assert_eq!(errors(&text), [format!("f:6:14: error: {nameless}")]);
    let tcp = "[[tcp]]\nlisten = 1\nproxy_pass = \"unix:/a\"\nproxy_ssl = \"on\"\n";
    assert_eq!(errors(tcp), [format!("f:4:13: error: {nameless}")]);
    assert_eq!(errors(&format!("{tcp}proxy_ssl_name = \"a\"\n")), [""; 0]);
    assert_eq!(errors(&format!("{tcp}proxy_ssl_verify = \"off\"\n")), [""; 0]);
}

/// Keys about TLS where none is spoken.
#[test]
fn what_does_nothing_is_said() {
    let tcp = "[[tcp]]\nlisten = 2\nproxy_pass = \"127.0.0.1:1\"\n";
    let https = "location.\"/a\".proxy_pass = \"https://127.0.0.1:1\"\n";
    let keys = "proxy_ssl_name = \"a\"\nproxy_ssl_crl = \"crl\"\n";
    for (text, expected) in [
        (
            format!("{tcp}{keys}"),
            vec![
                "f:4:18: warning: servers are not asked by TLS here: `proxy_ssl_name`, `proxy_ssl_crl` mean nothing; write proxy_ssl = \"on\"",
            ],
        ),
        (
            format!("{tcp}proxy_ssl = \"off\"\nproxy_ssl_trusted_certificate = \"ca\"\n"),
            vec![
                "f:5:33: warning: servers are not asked by TLS here: `proxy_ssl_trusted_certificate` means nothing; write proxy_ssl = \"on\"",
            ],
        ),
        (
            format!("{ONE_SERVER}{keys}"),
            vec![
                "f:3:18: warning: no location here asks by TLS: `proxy_ssl_name`, `proxy_ssl_crl` mean nothing; write proxy_pass = \"https://...\"",
            ],
        ),
        (
            to("http://backend", "proxy_ssl_protocols = \"TLSv1.3\""),
            vec![
                "f:7:23: warning: no server is asked by TLS here: `proxy_ssl_protocols` means nothing; write proxy_pass = \"https://...\"",
            ],
        ),
        // Of use to somebody, or nobody's own, or nothing that anybody counts on.
        (format!("{tcp}proxy_ssl = \"on\"\n{keys}"), vec![]),
        (format!("{ONE_SERVER}{https}{keys}"), vec![]),
        (format!("{keys}{ONE_SERVER}{tcp}"), vec![]),
        (format!("{tcp}proxy_ssl_session_reuse = \"off\"\nproxy_ssl_name = \"off\"\n"), vec![]),
    ] {
        assert_eq!(warnings(&text), expected, "{text}");
    }
}

#[test]
fn what_levels_above_name_can_be_taken_back() {
    let keys = "proxy_ssl_name = \"a\"\nproxy_ssl_trusted_certificate = \"ca\"\nproxy_ssl_crl = \"crl\"\n\
        proxy_ssl_certificate = \"c\"\nproxy_ssl_certificate_key = \"k\"\n";
    let off = "proxy_ssl_name = \"off\"\nproxy_ssl_trusted_certificate = \"off\"\nproxy_ssl_crl = \"off\"\nproxy_ssl_certificate = \"off\"";
    let base = ProxySsl { alpn: vec!["http/1.1".to_string()], ..ProxySsl::default() };
    assert_eq!(plan(&format!("{keys}{}", to("https://backend", off))).proxy_ssls, [base]);
    // The certificate's key goes with it, but not the other way round.
    let text = format!("{keys}{}", to("https://backend", "proxy_ssl_certificate_key = \"off\""));
    assert_eq!(errors(&text), ["f:4:25: error: a certificate needs its key; write `proxy_ssl_certificate_key`"]);
}
