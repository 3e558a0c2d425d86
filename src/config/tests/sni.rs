//! `[[tcp]]` sections that share an address, and what else of TLS and the PROXY protocol they have.

use super::*;
use crate::config::plan::ProxyProtocol;

/// From line 2 on, beneath `[[tcp]]`; `proxy_pass` is the last line.
fn tcp(keys: &str) -> String {
    format!("[[tcp]]\n{keys}\nproxy_pass = \"127.0.0.1:1\"\n")
}

const SLIPS: &[Row] = &[
    ("listen = 1\nssl_preread = 1", &["3:15: error: write \"on\" or \"off\""]),
    (
        "listen = 1\npreread_timeout = 0",
        &["3:19: error: a timeout of 0 would let nothing through; write a longer one, such as \"1d\""],
    ),
    ("listen = 1\nproxy_protocol = \"v3\"", &["3:18: error: write \"on\", \"v1\", \"v2\" or \"off\""]),
    ("listen = 1\nproxy_ssl = \"yes\"", &["3:13: error: write \"on\" or \"off\""]),
    ("listen = 1\nssl_alpn = [\"\", \"a\"]", &[]),
    (
        "listen = 1\nssl_preread = \"on\"\nproxy_ssl = \"on\"",
        &["4:13: error: with `ssl_preread` the client's TLS goes to the server as it is: leave `proxy_ssl` out"],
    ),
    (
        "listen = \"1 ssl\"",
        &["2:10: error: `ssl` needs a certificate; write `ssl_certificate` and `ssl_certificate_key`"],
    ),
    (
        "listen = \"1 ssl\"\nssl_reject_handshake = \"on\"\nssl_preread = \"on\"",
        &["2:10: error: with `ssl` the name is known anyway: leave `ssl_preread` out, or `ssl` to pass TLS on"],
    ),
    (
        "listen = \"1 proxy_protocol\"",
        &["2:10: error: whose headers are believed? write `set_real_ip_from`, the addresses of those who send them"],
    ),
    ("listen = \"1 http2\"", &["2:10: error: `http2` is for [[server]] only; leave it out"]),
    ("listen = 1\nserver_name = \"a b\"", &["3:15: error: several names are a list; write [\"a\", \"b\"]"]),
    ("listen = 1\nhsts = \"1y\"", &["3:1: error: `hsts` belongs in [[server]]"]),
];

/// Keys of two sections on one address.
const PAIRS: &[(&str, &str, &[&str])] = &[
    ("listen = 1", "listen = 1\nserver_name = \"b\"", &["5:10: error: another [[tcp]] section listens here already"]),
    (
        "listen = 1\nssl_preread = \"on\"",
        "listen = 1\nserver_name = \"b\"",
        &["6:10: error: another [[tcp]] section listens here already"],
    ),
    (
        "listen = 1\nssl_preread = \"on\"",
        "listen = 1\nssl_preread = \"on\"",
        &[
            "6:10: error: only the default of an address can do without a name: write `server_name`, or `default_server` here",
        ],
    ),
    (
        "listen = 1\nssl_preread = \"on\"",
        "listen = \"1 default_server\"\nssl_preread = \"on\"",
        &[
            "2:10: error: only the default of an address can do without a name: write `server_name`, or `default_server` here",
        ],
    ),
    (
        "listen = \"1 default_server\"\nssl_preread = \"on\"",
        "listen = \"1 default_server\"\nssl_preread = \"on\"\nserver_name = \"b\"",
        &["6:10: error: there are two `default_server` for the same address"],
    ),
    ("listen = 1\nssl_preread = \"on\"", "listen = 1\nssl_preread = \"on\"\nserver_name = \"b\"", &[]),
    (
        "listen = \"1 ssl\"\nssl_reject_handshake = \"on\"",
        "listen = \"1 ssl\"\nssl_reject_handshake = \"on\"\nserver_name = \"b\"",
        &[],
    ),
];

#[test]
fn slips() {
    assert_rows(SLIPS, tcp);
    for (first, second, expected) in PAIRS {
        let text = format!("{}{}", tcp(first), tcp(second));
        let expected: Vec<String> = expected.iter().map(|error| format!("f:{error}")).collect();
        assert_eq!(errors(&text), expected, "{text}");
    }
    let shown = load(&format!("{}{}", tcp("listen = 1"), tcp("listen = 1"))).unwrap_err().to_string();
    assert!(shown.contains("help: several sections share an address if the client's TLS handshake says"), "{shown}");
}

#[test]
fn sections_share_an_address_by_name() {
    let text = "set_real_ip_from = \"10.0.0.0/8\"\n".to_string()
        + &tcp(
            "listen = [\"443\", \"127.0.0.1:0\"]\nssl_preread = \"on\"\nserver_name = [\"A.org\", \"*.a.org\"]\npreread_timeout = \"5s\"",
        )
        + &tcp(
            "listen = [\"443 default_server\", \"127.0.0.1:0 default_server\"]\nssl_preread = \"on\"\nproxy_protocol = \"on\"",
        )
        + &tcp(
            "listen = [\"443\", \"127.0.0.1:0\"]\nssl_preread = \"on\"\nserver_name = \"a.org\"\nproxy_protocol = \"v2\"",
        )
        + &tcp("listen = [\"127.0.0.1:0\"]")
        + &tcp(
            "listen = \"993 ssl proxy_protocol\"\nssl_certificate = \"c\"\nssl_certificate_key = \"k\"\nssl_alpn = [\"imap x\", \"y\"]\nset_real_ip_from = \"::1\"",
        );
    assert_eq!(
        warnings(&text),
        [
            "f:14:11: warning: conflicting server name \"a.org\": an earlier section on this address gets its connections",
            "f:14:18: warning: conflicting server name \"a.org\": an earlier section on this address gets its connections",
        ]
    );
    let plan = plan(&text);
    let listeners: Vec<_> = plan
        .listeners
        .iter()
        .map(|listener| match (&listener.service, &listener.address) {
            (Service::Tcp(names), Address::Tcp(address)) => {
                (address.port(), names.default, names.sections.clone(), listener.ssl, listener.proxy_protocol)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        listeners,
        [
            (443, 1, vec![0, 1, 2], false, false),
            (0, 1, vec![0, 1, 2], false, false),
            (0, 3, vec![3], false, false),
            (993, 4, vec![4], true, true),
        ]
    );
    for (name, section) in [("a.org", 0), ("w.a.org", 0), ("b.org", 1), ("", 1)] {
        assert_eq!(plan.names(0).find(name), section, "{name}");
    }
    let told: Vec<_> = plan.tcps.iter().map(|tcp| tcp.proxy_protocol).collect();
    assert_eq!(told, [None, Some(ProxyProtocol::V1), Some(ProxyProtocol::V2), None, None]);
    let preread: Vec<_> = plan.tcps.iter().map(|tcp| (tcp.ssl_preread, tcp.preread_timeout.as_secs())).collect();
    assert_eq!(preread, [(true, 5), (true, 30), (true, 30), (false, 30), (false, 30)]);
    let ssl = plan.tcps[4].ssl.as_ref().expect("it listens with ssl");
    assert_eq!(ssl.alpn, ["imap", "x", "y"]);
    assert!(plan.tcps[..4].iter().all(|tcp| tcp.ssl.is_none()));
    let trusted: Vec<String> = plan.tcps.iter().map(|tcp| tcp.real_ip_from[0].to_string()).collect();
    assert_eq!(trusted[3..], ["10.0.0.0/8", "::1/128"]);
}

#[test]
fn names_that_nobody_tells_are_said() {
    assert_eq!(
        warnings(&tcp("listen = 2\nserver_name = \"a\"")),
        [
            "f:2:10: warning: nobody tells a name here: `server_name` means nothing without `ssl` in `listen` or ssl_preread = \"on\""
        ]
    );
    assert_eq!(
        warnings(&tcp("listen = 2\nssl_certificate = \"c\"\nssl_certificate_key = \"k\"")),
        [
            "f:3:19: warning: no `listen` of this section has `ssl`: `ssl_certificate`, `ssl_certificate_key` mean nothing; write listen = \"443 ssl\""
        ]
    );
    let long = format!("listen = 2\nssl_alpn = \"{}\"", "a".repeat(256));
    assert_eq!(errors(&tcp(&long)), ["f:3:12: error: the name of a protocol has 1 to 255 bytes"]);
}
