//! TLS towards clients: `listen ... ssl` and the `ssl_` keys.

use super::*;
use crate::config::plan::{CertificateFiles, ClientCertificates, Protocols, Ssl, VerifyClient};

const CERTIFICATE: &str = "ssl_certificate = \"a.pem\"\nssl_certificate_key = \"a.key\"";

/// `[[server]]` on line 1, `listen` on line 2, rows from line 5 on.
fn https(keys: &str) -> String {
    format!(
        "[[server]]\nlisten = \"443 ssl\"\n{CERTIFICATE}\n{keys}\n[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:1\"\n"
    )
}

const KEYS: &[Row] = &[
    (
        "ssl_protocols = \"SSLv3 TLSv1 TLSv1.1;\"",
        &["5:17: error: rustls does not speak SSLv3, TLSv1, TLSv1.1; write \"TLSv1.2 TLSv1.3\""],
    ),
    (
        "ssl_protocols = [\"TLSv1.2\", \"TLS1.3\", \"TLSv12\", \"tls1.2\"]",
        &[
            "5:29: error: unknown version `TLS1.3`; did you mean \"TLSv1.3\"?",
            "5:39: error: unknown version `TLSv12`; there are \"TLSv1.2\" and \"TLSv1.3\"",
            "5:49: error: unknown version `tls1.2`; did you mean \"TLSv1.2\"?",
        ],
    ),
    ("ssl_protocols = []", &["5:17: error: write the versions to speak: \"TLSv1.2 TLSv1.3\""]),
    (
        "ssl_ciphers = \"AES128-SHA\"",
        &["5:15: error: none of these suites is there; rustls has ECDHE-ECDSA-AES256-GCM-SHA384:\
           ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
           ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256, or write \"DEFAULT\""],
    ),
    (
        "ssl_prefer_server_ciphers = \"yes\"\nssl_session_tickets = 1\nssl_reject_handshake = \"\"",
        &[
            "5:29: error: write \"on\" or \"off\"",
            "6:23: error: write \"on\" or \"off\"",
            "7:24: error: write \"on\" or \"off\"",
        ],
    ),
    (
        "ssl_session_timeout = 0\nssl_handshake_timeout = \"1 min\"",
        &[
            "5:23: error: a timeout of 0 would let nothing through; write a longer one, such as \"1d\"",
            "6:25: error: \"1 min\" is not a duration; write \"1m\"",
        ],
    ),
    ("ssl_verify_client = \"require\"", &["5:21: error: write \"on\", \"optional\", \"optional_no_ca\" or \"off\""]),
    (
        "ssl_verify_client = \"on\"",
        &["5:21: error: whose certificates are good? write `ssl_client_certificate`, a file of their authorities"],
    ),
    (
        "ssl_verify_client = \"on\"\nssl_client_certificate = \"\"\nssl_crl = \"$crl\"\nssl_trusted_certificate = \"a\\u0000\"",
        &[
            "5:21: error: whose certificates are good? write `ssl_client_certificate`, a file of their authorities",
            "6:26: error: write the path of a file, or \"off\" for none",
            "7:11: error: variables in paths of files are not supported yet; write the path",
            "8:27: error: a path cannot hold a NUL byte",
        ],
    ),
    (
        "ssl_password_file = \"p\"",
        &[
            "5:21: error: keys behind a password cannot be read; write the key without one (openssl pkey -in KEY -out NEW), \
           readable for its owner only",
        ],
    ),
    ("http2 = 1", &["5:9: error: write \"on\" or \"off\""]),
    ("ssl_preread = \"on\"", &["5:1: error: `ssl_preread` belongs in [[tcp]]"]),
];

/// Beneath `[[server]]` and a `listen` with `ssl`, from line 3 on.
const CERTIFICATES: &[Row] = &[
    ("", &["2:10: error: `ssl` needs a certificate; write `ssl_certificate` and `ssl_certificate_key`"]),
    (
        "ssl_certificate_key = \"a.key\"",
        &["2:10: error: `ssl` needs a certificate; write `ssl_certificate` and `ssl_certificate_key`"],
    ),
    ("ssl_certificate = \"a.pem\"", &["3:19: error: a certificate needs its key; write `ssl_certificate_key`"]),
    (
        "ssl_certificate = [\"a.pem\", \"b.pem\"]\nssl_certificate_key = \"a.key\"",
        &["3:29: error: there are 2 in `ssl_certificate`, but 1 in `ssl_certificate_key`"],
    ),
    (
        "ssl_certificate = \"a.pem\"\nssl_certificate_key = [\"a.key\", \"b.key\"]",
        &["4:33: error: there are 1 in `ssl_certificate`, but 2 in `ssl_certificate_key`"],
    ),
    (
        "ssl_certificate = \"data:$x\"\nssl_certificate_key = \"engine:x\"",
        &[
            "2:10: error: `ssl` needs a certificate; write `ssl_certificate` and `ssl_certificate_key`",
            "3:19: error: variables in paths of files are not supported yet; write the path",
            "4:23: error: only files are read here; write the path of one",
        ],
    ),
    (
        "ssl_certificate = \"-----BEGIN CERTIFICATE-----\"\nssl_certificate_key = \"a\"",
        &[
            "2:10: error: `ssl` needs a certificate; write `ssl_certificate` and `ssl_certificate_key`",
            "3:19: error: write the path of the file that has this in it",
        ],
    ),
];

#[test]
fn slips() {
    assert_rows(KEYS, https);
    assert_rows(CERTIFICATES, |keys| https("").replace(CERTIFICATE, keys));
}

/// What many servers inherit is told once.
#[test]
fn an_inherited_slip_is_told_once() {
    let server = "[[server]]\nlisten = \"443 ssl\"\nserver_name = \"NAME\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n";
    let text = format!("ssl_certificate = \"a\"\n{}{}", server.replace("NAME", "a"), server.replace("NAME", "b"));
    assert_eq!(errors(&text), ["f:1:19: error: a certificate needs its key; write `ssl_certificate_key`"]);
}

fn offer(keys: &str) -> Ssl {
    plan(&https(keys)).servers[0].ssl.clone().expect("it listens with ssl")
}

#[test]
fn offers_are_made() {
    let files =
        |name: &str| CertificateFiles { chain: format!("{name}.pem").into(), key: format!("{name}.key").into() };
    let base = Ssl {
        certificates: vec![files("a")],
        reject: false,
        protocols: Protocols { tls12: true, tls13: true },
        suites: None,
        prefer_server_ciphers: false,
        client: None,
        session_tickets: true,
        session_timeout: Duration::from_secs(2 * 60 * 60),
        alpn: vec!["http/1.1".to_string()],
        handshake_timeout: Duration::from_secs(60),
    };
    let verified = |verify, authorities: Option<&str>, names_sent, revoked: Option<&str>| {
        let (authorities, revoked) = (authorities.map(PathBuf::from), revoked.map(PathBuf::from));
        Ssl { client: Some(ClientCertificates { verify, authorities, names_sent, revoked }), ..base.clone() }
    };
    let only13 = Protocols { tls12: false, tls13: true };
    for (keys, expected) in [
        ("", base.clone()),
        ("ssl_protocols = \"TLSv1.3;\"", Ssl { protocols: only13, ..base.clone() }),
        ("ssl_protocols = [\"TLSv1.3\"]", Ssl { protocols: only13, ..base.clone() }),
        (
            "ssl_ciphers = \"AES128:!ECDSA\"\nssl_prefer_server_ciphers = \"on\"",
            Ssl { suites: Some(vec![0x1302, 0x1301, 0x1303, 0xC02F]), prefer_server_ciphers: true, ..base.clone() },
        ),
        (
            "ssl_session_tickets = \"off\"\nssl_session_timeout = \"1440m\"\nssl_handshake_timeout = 5",
            Ssl {
                session_tickets: false,
                session_timeout: Duration::from_secs(86_400),
                handshake_timeout: Duration::from_secs(5),
                ..base.clone()
            },
        ),
        ("ssl_reject_handshake = \"on\"", Ssl { reject: true, ..base.clone() }),
        ("ssl_verify_client = \"off\"", base.clone()),
        (
            "ssl_verify_client = \"on\"\nssl_client_certificate = \"/ca.pem\"\nssl_crl = \"crl.pem\"",
            verified(VerifyClient::On, Some("/ca.pem"), true, Some("crl.pem")),
        ),
        (
            "ssl_verify_client = \"optional\"\nssl_trusted_certificate = \"ca.pem\"",
            verified(VerifyClient::Optional, Some("ca.pem"), false, None),
        ),
        ("ssl_verify_client = \"optional_no_ca\"", verified(VerifyClient::OptionalNoCa, None, false, None)),
    ] {
        assert_eq!(offer(keys), expected, "{keys}");
        assert_eq!(warnings(&https(keys)), [""; 0], "{keys}");
    }
    let several = https("")
        .replace(CERTIFICATE, "ssl_certificate = [\"a.pem\", \"b.pem\"]\nssl_certificate_key = [\"a.key\", \"b.key\"]");
    assert_eq!(
        plan(&several).servers[0].ssl.as_ref().map(|ssl| ssl.certificates.clone()),
        Some(vec![files("a"), files("b")])
    );
    let rejecting = https("").replace(CERTIFICATE, "ssl_reject_handshake = \"on\"");
    assert_eq!(plan(&rejecting).servers[0].ssl.as_ref().map(|ssl| ssl.certificates.len()), Some(0));
}

#[test]
fn what_means_nothing_here_is_said_once() {
    for (keys, expected) in [
        (
            "ssl_dhparam = \"/x\"",
            "5:15: warning: `ssl_dhparam` is not needed: rustls exchanges keys by ECDHE only, never by DHE",
        ),
        (
            "ssl_session_cache = \"shared:SSL:10m\"",
            "5:21: warning: `ssl_session_cache` is not needed: sessions are resumed by tickets alone (with ssl_session_tickets = \"off\", not at all)",
        ),
        (
            "ssl_ecdh_curve = \"auto\"",
            "5:18: warning: `ssl_ecdh_curve` has no answer here: the key exchange is chosen from all that are safe",
        ),
        (
            "ssl_verify_depth = 2",
            "5:20: warning: `ssl_verify_depth` is not needed: a chain counts if it leads to a trusted authority, whatever its length",
        ),
        (
            "ssl_stapling = \"on\"",
            "5:16: warning: `ssl_stapling` has no answer here: nothing is stapled; most authorities answer no OCSP any more",
        ),
        (
            "ssl_stapling_verify = \"on\"",
            "5:23: warning: `ssl_stapling_verify` has no answer here: nothing is stapled; most authorities answer no OCSP any more",
        ),
        (
            "ssl_buffer_size = \"4k\"",
            "5:19: warning: `ssl_buffer_size` is not needed: the size of records is chosen as data comes",
        ),
        (
            "ssl_early_data = \"on\"",
            "5:18: warning: `ssl_early_data` has no answer here: requests in early data could be repeated by others",
        ),
        (
            "ssl_session_ticket_key = \"/x\"",
            "5:26: warning: `ssl_session_ticket_key` is not needed: the keys of tickets are made here, renewed, and shared by all workers",
        ),
        ("http2 = \"on\"", "5:9: warning: HTTP/2 is not spoken yet: browsers are offered HTTP/1.1, and take it"),
        (
            "ssl_protocols = \"TLSv1 TLSv1.1 TLSv1.2\"",
            "5:17: warning: rustls does not speak TLSv1, TLSv1.1, which are not safe any more: left out",
        ),
        ("ssl_ciphers = \"HIGH:AES128-SHA\"", "5:15: warning: rustls does not have AES128-SHA: left out"),
        (
            "ssl_client_certificate = \"/ca\"",
            "5:26: warning: this does nothing without ssl_verify_client = \"on\" or \"optional\"",
        ),
        ("ssl_crl = \"/crl\"", "5:11: warning: this does nothing without ssl_verify_client = \"on\" or \"optional\""),
        (
            "ssl_verify_client = \"optional_no_ca\"\nssl_crl = \"/crl\"",
            "6:11: warning: this does nothing without `ssl_client_certificate`: nobody is asked who signed what",
        ),
        (
            "ssl_verify_client = \"on\"\nssl_client_certificate = \"/a\"\nssl_trusted_certificate = \"/b\"",
            "7:27: warning: `ssl_client_certificate` says whom to believe, this file does not count: put both into one",
        ),
    ] {
        assert_eq!(warnings(&https(keys)), [format!("f:{expected}")], "{keys}");
    }
    let quiet = "ssl_stapling = \"off\"\nssl_stapling_verify = \"off\"\nssl_early_data = \"off\"\nhttp2 = \"off\"\nssl_trusted_certificate = \"/a\"";
    assert_eq!(warnings(&https(quiet)), [""; 0]);
    // certbot's options-ssl-nginx.conf.
    let certbot = "ssl_session_cache = \"shared:le_nginx_SSL:10m\"\nssl_session_timeout = \"1440m\"\nssl_session_tickets = \"off\"\n\
        ssl_protocols = \"TLSv1.2 TLSv1.3\"\nssl_prefer_server_ciphers = \"off\"\n\
        ssl_ciphers = \"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384\"\n\
        ssl_dhparam = \"/etc/letsencrypt/ssl-dhparams.pem\"";
    let lines: Vec<String> = warnings(&https(certbot)).iter().map(|line| line[..4].to_string()).collect();
    assert_eq!(lines, ["f:5:", "f:10", "f:11"]);
    assert_eq!(offer(certbot).suites.map(|suites| suites.len()), Some(9));
}

/// What many inherit is of no use only if it is of none to anybody.
#[test]
fn files_about_clients_are_inherited_by_those_that_do_not_ask() {
    let top = "ssl_client_certificate = \"ca\"\nssl_crl = \"crl\"\n";
    let idle = "warning: this does nothing without ssl_verify_client = \"on\" or \"optional\"";
    let other = https("").replace("443 ssl", "444 ssl");
    assert_eq!(warnings(&format!("{top}{}{other}", https("ssl_verify_client = \"on\""))), [""; 0]);
    assert_eq!(warnings(&format!("{top}{}{other}", https(""))), [format!("f:1:26: {idle}"), format!("f:2:11: {idle}")]);
    // Not its own, and nobody hears them.
    assert_eq!(warnings(&format!("{top}ssl_verify_client = \"on\"\n{ONE_SERVER}")), [""; 0]);
}

#[test]
fn what_levels_above_name_can_be_taken_back() {
    let top = "ssl_client_certificate = \"ca\"\nssl_trusted_certificate = \"tca\"\nssl_crl = \"crl\"\nssl_verify_client = \"optional_no_ca\"\n";
    let own = "ssl_client_certificate = \"off\"\nssl_trusted_certificate = \"off\"\nssl_crl = \"off\"";
    let client = plan(&format!("{top}{}", https(own))).servers[0].ssl.as_ref().and_then(|ssl| ssl.client.clone());
    let verify = VerifyClient::OptionalNoCa;
    assert_eq!(client, Some(ClientCertificates { verify, authorities: None, names_sent: false, revoked: None }));
    let client = plan(&format!("{top}{}", https("ssl_client_certificate = \"off\""))).servers[0]
        .ssl
        .as_ref()
        .and_then(|ssl| ssl.client.clone());
    let (authorities, revoked) = (Some("tca".into()), Some("crl".into()));
    assert_eq!(client, Some(ClientCertificates { verify, authorities, names_sent: false, revoked }));
}

/// Suites of TLS 1.3 alone are enough for TLS 1.3 alone, whichever level says so.
#[test]
fn suites_suffice_for_the_versions() {
    let lack = |key: &str| {
        format!(
            "error: these suites are for TLS 1.3 only; write {key} = \"TLSv1.3\", or add suites of TLS 1.2, such as HIGH"
        )
    };
    let suites = "ssl_ciphers = \"TLS_AES_256_GCM_SHA384\"\n";
    assert_eq!(errors(&https(suites)), [format!("f:5:15: {}", lack("ssl_protocols"))]);
    assert_eq!(
        errors(&format!("{suites}{}", https("ssl_protocols = \"TLSv1.2\""))),
        [format!("f:1:15: {}", lack("ssl_protocols"))]
    );
    let only = https(&format!("{suites}ssl_protocols = \"TLSv1.3\""));
    assert_eq!(
        (warnings(&only), offer(&format!("{suites}ssl_protocols = \"TLSv1.3\"")).suites),
        (vec![], Some(vec![0x1302, 0x1301, 0x1303]))
    );
    assert_eq!(errors(&format!("{suites}{}", https("ssl_protocols = \"TLSv1.3\""))), [""; 0]);
    let tcp = "[[tcp]]\nlisten = 1\nproxy_pass = \"127.0.0.1:1\"\nproxy_ssl = \"on\"\nproxy_ssl_ciphers = \"TLS_AES_128_GCM_SHA256\"\n";
    assert_eq!(errors(tcp), [format!("f:5:21: {}", lack("proxy_ssl_protocols"))]);
    assert_eq!(errors(&format!("{tcp}proxy_ssl_protocols = \"TLSv1.3\"\n")), [""; 0]);
}

#[test]
fn words_behind_an_address_count_for_all() {
    let text = format!(
        "set_real_ip_from = \"10.0.0.0/8\"\n{CERTIFICATE}\n\
        [[server]]\nlisten = \"8443 ssl proxy_protocol\"\nserver_name = \"a\"\nreturn = 404\n\
        [[server]]\nlisten = [\"8443\", \"80\"]\nserver_name = \"b\"\nreturn = 404\n\
        [[server]]\nlisten = \"81\"\nreturn = 404\n"
    );
    assert_eq!(
        warnings(&text),
        [
            "f:9:11: warning: `ssl` counts for all who listen here; write it here, too",
            "f:9:11: warning: `proxy_protocol` counts for all who listen here; write it here, too",
        ]
    );
    let plan = plan(&text);
    let words: Vec<_> = plan.listeners.iter().map(|listener| (listener.ssl, listener.proxy_protocol)).collect();
    assert_eq!(words, [(true, true), (false, false), (false, false)]);
    let offers: Vec<_> = plan.servers.iter().map(|server| server.ssl.is_some()).collect();
    assert_eq!(offers, [true, true, false]);
}

#[test]
fn words_that_fail_or_are_unheard() {
    for (text, expected) in [
        (
            https("").replace("443 ssl", "443"),
            "f:3:19: warning: no `listen` of this server has `ssl`: `ssl_certificate`, `ssl_certificate_key` mean nothing; write listen = \"443 ssl\"",
        ),
        (
            https("ssl_verify_client = \"on\"\nssl_stapling = \"off\"")
                .replace("443 ssl", "443")
                .replace(CERTIFICATE, "\n"),
            "f:5:21: warning: no `listen` of this server has `ssl`: `ssl_verify_client` means nothing; write listen = \"443 ssl\"",
        ),
        (
            https("ssl_crl = \"crl\"\nssl_protocols = \"TLSv1.3\"\nssl_session_tickets = \"off\"")
                .replace("443 ssl", "443")
                .replace(CERTIFICATE, "\n"),
            "f:5:11: warning: no `listen` of this server has `ssl`: `ssl_crl`, `ssl_protocols` mean nothing; write listen = \"443 ssl\"",
        ),
        (
            "[[tcp]]\nlisten = 2\nproxy_pass = \"127.0.0.1:1\"\nssl_verify_client = \"on\"\n".to_string(),
            "f:4:21: warning: no `listen` of this section has `ssl`: `ssl_verify_client` means nothing; write listen = \"443 ssl\"",
        ),
        (
            https("").replace("443 ssl", "443 ssl http2"),
            "f:2:10: warning: HTTP/2 is not spoken yet: browsers are offered HTTP/1.1, and take it",
        ),
        (
            https("").replace("\"443 ssl\"", "[\"443 quic reuseport\", \"443 ssl\"]"),
            "f:2:11: warning: HTTP/3 is not spoken yet: this `listen` is left out",
        ),
        (
            https("hsts = \"1y\"").replace("443 ssl", "443").replace(CERTIFICATE, "\n"),
            "f:5:8: warning: `hsts` is said on TLS only: nobody hears it without a `listen` with `ssl`",
        ),
    ] {
        assert_eq!(warnings(&text), [expected], "{text}");
    }
    for (listen, expected) in [
        ("443 quic", "f:2:10: error: nothing is left to listen on; write listen = \"443 ssl\""),
        (
            "443 ssl proxy_protocol",
            "f:2:10: error: whose headers are believed? write `set_real_ip_from`, the addresses of those who send them",
        ),
        (
            "unix:/a ssl proxy_protocol",
            "f:2:10: error: peers on unix sockets cannot be named in `set_real_ip_from` yet: no header would be believed",
        ),
    ] {
        assert_eq!(errors(&https("").replace("443 ssl", listen)), [expected], "{listen}");
    }
    let trusting = https("set_real_ip_from = \"10.0.0.1\"").replace("443 ssl", "443 ssl proxy_protocol");
    assert!(plan(&trusting).listeners[0].proxy_protocol);
    let other = "[[server]]\nlisten = \"443 ssl proxy_protocol\"\nssl_reject_handshake = \"on\"\nserver_name = \"b\"\nreturn = 404\n";
    assert_eq!(
        warnings(&format!("{trusting}{other}")),
        [
            "f:9:10: warning: headers come before names: `set_real_ip_from` of the default of this address counts for them"
        ]
    );
}

#[test]
fn names_may_be_wildcards() {
    let text = "[[server]]\nreturn = 404\n[[server]]\nserver_name = [\"*.a.org\", \".b.org\", \"mail.*\"]\nreturn = 404\n\
        [[server]]\nserver_name = [\"x.a.org\", \"b.org\"]\nreturn = 404\n";
    assert_eq!(
        warnings(text),
        ["f:6:1: warning: conflicting server name \"b.org\": an earlier server on this address gets its requests"]
    );
    let plan = plan(text);
    for (host, server) in [("w.a.org", 1), ("x.a.org", 2), ("b.org", 1), ("w.b.org", 1), ("mail.net", 1), ("c.org", 0)]
    {
        assert_eq!(plan.names(0).find(host), server, "{host}");
    }
}

#[test]
fn paths_go_on_from_the_file_that_names_them() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    let main = write("main.toml", "include = \"sites/*\"\nssl_certificate_key = \"common.key\"\n");
    write(
        "sites/a.toml",
        "[[server]]\nlisten = \"443 ssl\"\nssl_certificate = \"a.pem\"\nacme_webroot = \"acme\"\nlocation.\"/\".proxy_pass = \"https://127.0.0.1:1\"\nproxy_ssl_trusted_certificate = \"../ca.pem\"\n",
    );
    let plan = load_file(&main).unwrap_or_else(|errors| panic!("{errors}")).plan;
    let at = |name: &str| directory.path().join(name);
    let files = CertificateFiles { chain: at("sites/a.pem"), key: at("common.key") };
    assert_eq!(plan.servers[0].ssl.as_ref().map(|ssl| ssl.certificates.clone()), Some(vec![files]));
    assert_eq!(plan.servers[0].acme_webroot, Some(at("sites/acme")));
    assert_eq!(plan.proxy_ssls[0].trusted, Some(at("sites/../ca.pem")));
}
