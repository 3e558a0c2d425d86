//! `[upstream.NAME.health_check]`.

use super::*;
use crate::config::plan::{CertificateFiles, CheckKind, HealthCheck, Protocols, ProxySsl};
use std::ops::RangeInclusive;

/// `[upstream.backend.health_check]` on line 3.
const VALUES: &[Row] = &[
    ("type = \"htpp\"", &["4:8: error: unknown type `htpp`; did you mean \"http\"?"]),
    ("type = \"postgresql\"", &["4:8: error: unknown type `postgresql`; did you mean \"postgres\"?"]),
    ("type = \"mariadb\"", &["4:8: error: write type = \"mysql\""]),
    ("type = \"smtp\"", &["4:8: error: write type = \"send_expect\", expect = \"220\", quit = \"QUIT\\r\\n\""]),
    ("type = \"tls\"", &["4:8: error: write type = \"https\", or \"tcp\" for whether it can be connected to"]),
    (
        "type = \"https\"\nssl_verify = \"yes\"\nssl_name = \"*.a.org\"\nssl_trusted_certificate = \"\"\nuser = \"me\"",
        &[
            "5:14: error: write \"on\" or \"off\"",
            "6:12: error: write the name that is in the certificates, such as \"app.internal\"",
            "7:27: error: write the path of a file, or \"off\" for none",
            "8:8: error: `user` belongs to type = \"postgres\" or \"mysql\", but this check has type = \"https\"",
        ],
    ),
    (
        "type = \"http\"\nssl_verify = \"off\"",
        &["5:14: error: `ssl_verify` belongs to type = \"https\", but this check has type = \"http\""],
    ),
    (
        "type = \"ping me\"",
        &[
            "4:8: error: unknown type `ping me`; there are \"tcp\", \"http\", \"https\", \"postgres\", \"mysql\", \"redis\", \"send_expect\"",
        ],
    ),
    (
        "type = \"redis\"\nuri = \"/\"\nuser = \"me\"\nstatus = 200\nexpect = \"x\"",
        &[
            "5:7: error: `uri` belongs to type = \"http\" or \"https\", but this check has type = \"redis\"",
            "6:8: error: `user` belongs to type = \"postgres\" or \"mysql\", but this check has type = \"redis\"",
            "7:10: error: `status` belongs to type = \"http\" or \"https\", but this check has type = \"redis\"",
            "8:10: error: `expect` belongs to type = \"send_expect\", but this check has type = \"redis\"",
        ],
    ),
    ("user = \"me\"", &["3:1: error: what is checked? write type = \"postgres\" or \"mysql\""]),
    (
        "uri = \"/\"\nsend = \"x\"",
        &[
            "3:1: error: what is checked? write type = \"tcp\" or \"http\" or \"https\" or \"postgres\" or \"mysql\" or \"redis\" \
           or \"send_expect\"",
        ],
    ),
    ("interval = 0", &["4:12: error: checks so close together are a load; write at least \"100ms\""]),
    (
        "interval = \"5 s\"\ntimeout = 0",
        &[
            "4:12: error: \"5 s\" is not a duration; write \"5s\"",
            "5:11: error: a timeout of 0 would let nothing through; write a longer one, such as \"1d\"",
        ],
    ),
    ("jitter = \"60%\"", &["4:10: error: \"60%\" is out of range; write \"0%\" to \"50%\""]),
    ("jitter = \"1s\"", &["4:10: error: the jitter is a part of the interval; write \"10%\""]),
    (
        "rise = 0\nfall = 1001\nport = 65536",
        &[
            "4:8: error: 0 is out of range; write a number from 1 to 1000",
            "5:8: error: 1001 is out of range; write a number from 1 to 1000",
            "6:8: error: 65536 is out of range; write a number from 1 to 65535",
        ],
    ),
    ("uri = \"health\"", &["4:7: error: a path begins with a slash; write \"/health\""]),
    ("uri = \"http://a/health\"", &["4:7: error: the address is known from the server; write \"/health\""]),
    ("path = \"/a b\"", &["4:8: error: ` ` cannot stand in a path as it is; write it with % and its number"]),
    ("path = \"/\"\nuri = \"/\"", &["4:8: error: `path` and `uri` are the same; leave one of them out"]),
    ("host = \"http://a.org/\"", &["4:8: error: a host has no scheme; write \"a.org\""]),
    ("host = \"a.org\\r\\nX: y\"", &["4:8: error: `\u{fffd}` cannot stand in a host"]),
    ("host = \"\"", &["4:8: error: write a name, such as \"example.org\""]),
    (
        "status = [\"399-200\", \"2xx\", \"ok\", 99, \"! 500\"]",
        &[
            "4:11: error: `399-200` runs backwards; write \"200-399\"",
            "4:22: error: write \"200-299\"",
            "4:29: error: `ok` is no status; write numbers from 200 to 599, such as \"200-399\" or \"200\"",
            "4:35: error: `99` is no status; write numbers from 200 to 599, such as \"200-399\" or \"200\"",
            "4:39: error: write the statuses that pass, such as \"200-399\"",
        ],
    ),
    ("status = []", &["4:10: error: no status would pass; write \"200-399\""]),
    (
        "body = \"~ ^ok\"",
        &["4:8: error: regular expressions are not supported; write a text that occurs in the answer"],
    ),
    ("body = \"\"", &["4:8: error: every answer has this in it; write a text, or leave the key out"]),
    ("type = \"mysql\"\nuser = \"\"", &["5:8: error: write a name, or leave it out"]),
    (
        "type = \"mysql\"\nuser = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        &["5:8: error: a name has at most 32 bytes here"],
    ),
    ("type = \"postgres\"\nuser = \"a\\u0000b\"", &["5:8: error: a name cannot hold a NUL byte"]),
    ("send = \"PING\"", &["3:1: error: type = \"send_expect\" needs what the server says; write expect = \"220\""]),
    ("expect = \"\"", &["4:10: error: every answer has this in it; write a text, or leave the key out"]),
];

fn checked(check: &str) -> String {
    site(&format!("server = \"127.0.0.1:1\"\n[upstream.backend.health_check]\n{check}"), SERVER, LOCATION)
}

#[test]
fn slips() {
    assert_rows(VALUES, checked);
}

#[test]
fn checks_are_understood() {
    let of = |text: &str| plan(&checked(text)).upstreams.remove(0).health_check.expect("it is configured");
    let seconds = Duration::from_secs;
    let default = HealthCheck {
        kind: CheckKind::Tcp,
        port: None,
        interval: seconds(5),
        jitter: 10,
        timeout: seconds(3),
        rise: 2,
        fall: 3,
    };
    assert_eq!(of(""), default);
    assert_eq!(plan(&site(GROUP, SERVER, LOCATION)).upstreams[0].health_check, None);
    let timed = HealthCheck {
        port: Some(9000),
        interval: seconds(2),
        jitter: 0,
        timeout: Duration::from_millis(500),
        rise: 1,
        fall: 5,
        ..default.clone()
    };
    assert_eq!(of("interval = \"2s\"\ntimeout = \"500ms\"\njitter = \"0%\"\nrise = 1\nfall = 5\nport = 9000"), timed);
    assert_eq!(of("interval = \"1s\"").timeout, seconds(1), "the default is not longer than the interval");

    let text = str::to_string;
    let http = |path: &str, host: Option<&str>, status: &[RangeInclusive<u16>], body: Option<&str>| CheckKind::Http {
        ssl: None,
        path: path.to_string(),
        host: host.map(str::to_string),
        status: status.to_vec(),
        body: body.map(str::to_string),
    };
    let send_expect = |send: &str, expect: &str, quit: &str| CheckKind::SendExpect {
        send: text(send),
        expect: text(expect),
        quit: text(quit),
    };
    for (written, kind) in [
        ("type = \"tcp\"", CheckKind::Tcp),
        ("type = \"http\"", http("/", None, &[200..=399], None)),
        ("uri = \"/health?x=1\"", http("/health?x=1", None, &[200..=399], None)),
        (
            "path = \"/h\"\nhost = \"[::1]:80\"\nstatus = [200, \"204 301-302\"]\nbody = \"fine\"",
            http("/h", Some("[::1]:80"), &[200..=200, 204..=204, 301..=302], Some("fine")),
        ),
        ("status = \"200-299\"", http("/", None, &[200..=299], None)),
        ("type = \"postgres\"", CheckKind::Postgres { user: String::new() }),
        ("type = \"postgres\"\nuser = \"monitor\"", CheckKind::Postgres { user: text("monitor") }),
        ("type = \"mysql\"\nuser = \"me\"", CheckKind::Mysql { user: text("me") }),
        ("type = \"redis\"", CheckKind::Redis),
        ("expect = \"220\"\nquit = \"QUIT\\r\\n\"", send_expect("", "220", "QUIT\r\n")),
        ("type = \"send_expect\"\nsend = \"a\\u0000\"\nexpect = \"b\"", send_expect("a\0", "b", "")),
    ] {
        assert_eq!(of(written), HealthCheck { kind, ..default.clone() }, "{written}");
    }
}

#[test]
fn checks_by_tls_know_what_to_expect() {
    let asked = |text: &str| {
        let plan = plan(&checked(text));
        let kind = &plan.upstreams[0].health_check.as_ref().expect("it is configured").kind;
        let CheckKind::Http { ssl: Some(ssl), .. } = kind else { panic!("{kind:?}") };
        plan.proxy_ssls[*ssl].clone()
    };
    let base = ProxySsl { alpn: vec!["http/1.1".to_string()], ..ProxySsl::default() };
    let named = |name: &str| ProxySsl { name: Some(name.to_string()), ..base.clone() };
    for (text, expected) in [
        ("type = \"https\"", base.clone()),
        ("type = \"https\"\nuri = \"/up\"\nhost = \"a.org:444\"", named("a.org")),
        ("host = \"[::1]:444\"\nssl_verify = \"on\"", named("::1")),
        ("host = \"a.org\"\nssl_name = \"B.org\"", named("b.org")),
        ("ssl_verify = \"off\"", ProxySsl { verify: false, ..base.clone() }),
        ("ssl_trusted_certificate = \"/ca\"", ProxySsl { trusted: Some("/ca".into()), ..base.clone() }),
    ] {
        assert_eq!(asked(text), expected, "{text}");
    }
    let text = checked("type = \"https\"").replace("127.0.0.1:1", "unix:/a");
    let nameless = "a unix socket has no name to look for in the certificate; write `ssl_name`";
    assert_eq!(errors(&text), [format!("f:3:1: error: {nameless}")]);
    assert_eq!(errors(&text.replace("\"https\"", "\"https\"\nssl_verify = \"off\"")), [""; 0]);
}

/// A check works where traffic works.
#[test]
fn checks_by_tls_ask_what_traffic_asks() {
    let base = ProxySsl { alpn: vec!["http/1.1".to_string()], ..ProxySsl::default() };
    let files =
        |name: &str| CertificateFiles { chain: format!("{name}.pem").into(), key: format!("{name}.key").into() };
    let traffic = ProxySsl {
        verify: false,
        trusted: Some("/ca".into()),
        revoked: Some("/crl".into()),
        name: Some("a.org".to_string()),
        server_name: false,
        certificate: Some(files("me")),
        protocols: Protocols { tls12: false, tls13: true },
        session_reuse: false,
        ..base.clone()
    };
    let keys = "proxy_ssl_verify = \"off\"\nproxy_ssl_trusted_certificate = \"/ca\"\nproxy_ssl_crl = \"/crl\"\n\
        proxy_ssl_name = \"a.org\"\nproxy_ssl_server_name = \"off\"\nproxy_ssl_certificate = \"me.pem\"\n\
        proxy_ssl_certificate_key = \"me.key\"\nproxy_ssl_protocols = \"TLSv1.3\"\nproxy_ssl_session_reuse = \"off\"\n";
    let location = |path: &str, keys: &str| format!("[server.location.\"{path}\"]\nproxy_pass = \"https://b\"\n{keys}");
    let server = "[[server]]\nlisten = 1\n";
    let tcp = |keys: &str| format!("[[tcp]]\nlisten = 2\nproxy_pass = \"b\"\nproxy_ssl = \"on\"\n{keys}");
    let named = |name: &str| ProxySsl { name: Some(name.to_string()), ..base.clone() };
    for (top, check, sections, expected) in [
        ("", "", format!("{server}{}", location("/", keys)), traffic.clone()),
        ("", "", format!("{server}{}{}", location("/", keys), location("/a", keys)), traffic.clone()),
        ("", "", format!("{server}{}{}", location("/", keys), tcp(keys)), traffic.clone()),
        ("", "", format!("{server}{keys}{}", location("/", "")), traffic.clone()),
        ("", "", tcp(keys), traffic.clone()),
        // What goes there in the clear says nothing of TLS.
        (
            "",
            "",
            format!("{server}{}[server.location.\"/a\"]\nproxy_pass = \"http://b\"\n", location("/", keys)),
            traffic.clone(),
        ),
        // The traffic does not agree: the file decides.
        ("", "", format!("{server}{}{}", location("/", keys), location("/a", "")), base.clone()),
        (
            "proxy_ssl_name = \"top.org\"\n",
            "host = \"h.org\"\n",
            format!("{server}{}{}", location("/", keys), location("/a", "")),
            named("top.org"),
        ),
        ("", "host = \"h.org\"\n", format!("{server}{}{}", location("/", keys), location("/a", "")), named("h.org")),
        // There is none.
        (keys, "", format!("{server}location.\"/\".proxy_pass = \"http://b\"\n"), traffic.clone()),
        // `host` is for the request: traffic finds its servers without.
        ("", "host = \"h.org\"\n", format!("{server}{}", location("/", "")), base.clone()),
        ("", "host = \"h.org\"\n", format!("{server}{}", location("/", keys)), traffic.clone()),
        // The check's own keys win.
        (
            "",
            "ssl_verify = \"on\"\nssl_name = \"own.org\"\nssl_trusted_certificate = \"/own\"\n",
            format!("{server}{}", location("/", keys)),
            ProxySsl {
                verify: true,
                name: Some("own.org".to_string()),
                trusted: Some("/own".into()),
                revoked: None,
                ..traffic.clone()
            },
        ),
        (
            "",
            "ssl_name = \"off\"\nssl_trusted_certificate = \"off\"\n",
            format!("{server}{}", location("/", keys)),
            ProxySsl { name: None, trusted: None, revoked: None, ..traffic.clone() },
        ),
    ] {
        let text = format!(
            "{top}[upstream.b]\nserver = \"127.0.0.1:1\"\n[upstream.b.health_check]\ntype = \"https\"\n{check}{sections}"
        );
        let plan = plan(&text);
        let kind = plan.upstreams[0].health_check.as_ref().map(|check| &check.kind);
        let Some(CheckKind::Http { ssl: Some(ssl), .. }) = kind else { panic!("{kind:?}") };
        assert_eq!(plan.proxy_ssls[*ssl], expected, "{text}");
    }
    let incomplete = "proxy_ssl_certificate = \"a\"\n[upstream.b]\nserver = \"127.0.0.1:1\"\n\
        [upstream.b.health_check]\ntype = \"https\"\n[[server]]\nlocation.\"/\".proxy_pass = \"http://b\"\n";
    assert_eq!(errors(incomplete), ["f:1:25: error: a certificate needs its key; write `proxy_ssl_certificate_key`"]);
}

#[test]
fn what_is_strange_is_said() {
    for (text, expected) in [
        (
            checked("interval = \"1s\"\ntimeout = \"2s\""),
            "f:5:11: warning: a check may take longer than the interval: the next one begins when it has ended",
        ),
        (
            checked("type = \"https\"\nssl_verify = \"off\""),
            "f:5:14: warning: the certificates of these servers are NOT verified: whoever gets in between can read and change everything",
        ),
        (
            checked("interval = 3000"),
            "f:4:12: warning: a bare number is seconds; were milliseconds meant, write interval = \"3000ms\"",
        ),
        (
            checked("port = 81").replace("\"127.0.0.1:1\"", "[\"127.0.0.1:1\", \"unix:/a\"]"),
            "f:4:8: warning: `unix:/a` has no port: it is checked where it is",
        ),
    ] {
        assert_eq!(warnings(&text), [expected], "for\n{text}");
    }
}
