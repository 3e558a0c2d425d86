//! `[[tcp]]` sections.

use super::*;

pub const TCP: &[Row] = &[
    (
        "[tcp]\nlisten = 5432\nproxy_pass = \"127.0.0.1:1\"",
        &["1:1: error: a tcp listener's heading has two brackets, as there can be several; write [[tcp]]"],
    ),
    (
        "[tcp]\nlisten = 5432\n[tcp]\nlisten = 5433",
        &["1:1: error: a tcp listener's heading has two brackets, as there can be several; write [[tcp]]"],
    ),
    (
        "[tcp]\nlisten = 5432\n[[tcp]]\nlisten = 5433",
        &["1:1: error: a tcp listener's heading has two brackets, as there can be several; write [[tcp]]"],
    ),
    ("[tcp.db]\nlisten = 5432", &["1:2: error: a tcp listener's heading has no name; write [[tcp]]"]),
    ("[[tcp.server]]\nlisten = 5432", &["1:3: error: a tcp listener's heading has no name; write [[tcp]]"]),
    ("tcp.listen = 5432", &["1:1: error: a tcp listener is a section; write [[tcp]] on a line above"]),
    (
        "tcp = \"127.0.0.1:5432\"",
        &["1:1: error: a tcp listener is a section; write [[tcp]] and beneath it `listen` and `proxy_pass`"],
    ),
    ("[[tcp]", &["1:1: error: this heading is malformed; write [[tcp]]"]),
    ("[[tpc]]", &["1:3: error: unknown key `tpc`; did you mean [[tcp]]?"]),
    (
        "[stream]\nproxy_timeout = 5",
        &[
            "1:2: error: nginx's `stream` is not needed: write each server of it as [[tcp]], and its groups as [upstream.NAME]",
        ],
    ),
    (
        "[[stream.server]]\nlisten = 5432",
        &[
            "1:3: error: nginx's `stream` is not needed: write each server of it as [[tcp]], and its groups as [upstream.NAME]",
        ],
    ),
    (
        "stream {\n  server {\n",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; `stream` is not needed: write each server of it as \
           [[tcp]], and its groups as [upstream.NAME]",
        ],
    ),
    (
        "[[server]]\nlisten = 5432\nproxy_pass = \"127.0.0.1:5433\"",
        &[
            "3:1: error: `proxy_pass` belongs in [server.location.\"/\"]; or, to pass on TCP, write [[tcp]] instead of [[server]]",
        ],
    ),
    ("[[server]]\nproxy_timeout = 5", &["2:1: error: `proxy_timeout` belongs in [[tcp]]"]),
    ("proxy_timeout = 5", &["1:1: error: `proxy_timeout` belongs in [[tcp]]"]),
    (
        "[[tcp]]\nserver = \"127.0.0.1:1\"\nserver_name = \"a\"\nproxy_read_timeout = 5\nproxytimeout = 5",
        &[
            "2:1: error: `server` is for groups; write [upstream.backend], and here proxy_pass = \"backend\"",
            "4:1: error: `proxy_read_timeout` is for HTTP; write proxy_timeout = \"10m\"",
            "5:1: error: unknown key `proxytimeout`; did you mean `proxy_timeout`?",
        ],
    ),
    (
        "[[tcp]]\nproxy_pass = [\"a:1\"]",
        &["2:14: error: `proxy_pass` has one value, not a list; write proxy_pass = \"127.0.0.1:5432\""],
    ),
    (
        "[[tcp]]\nproxy_timeout = \"off\"",
        &[
            "1:1: error: this tcp section has no `listen`: nobody could connect",
            "1:1: error: this tcp section has no `proxy_pass`: it would lead nowhere",
        ],
    ),
    (
        "[[tcp]]\nlisten = 5432\nproxy_pass = \"127.0.0.1:1\"\n[[tcp]]\nlisten = \"*:5432\"\nproxy_pass = \"127.0.0.1:2\"",
        &["5:10: error: another [[tcp]] section listens here already"],
    ),
    (
        "[[tcp]]\nlisten = 5432\nproxy_pass = \"127.0.0.1:1\"\n[[server]]\nlisten = 5432\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"",
        &["2:10: error: a [[server]] listens here already: an address is for HTTP or for TCP"],
    ),
    (
        "[[tcp]]\nlisten = [\"localhost:5432\", \"127.0.0.1:5432\"]\nproxy_pass = \"127.0.0.1:1\"",
        &["2:29: error: this section already listens here; leave one of them out"],
    ),
    (
        "[upstream.db]\nserver = [\"127.0.0.1:1\", { address = \"app.internal\", weight = 2 }]\n\
         [[tcp]]\nlisten = 5432\nproxy_pass = \"db\"",
        &["2:38: error: \"app.internal\" has no port; write it behind a colon, such as \"app.internal:5432\""],
    ),
];

/// `[upstream.backend]` on line 1, `[[tcp]]` on line 3: rows change the lines beneath it.
fn tcp_site(tcp: &str) -> String {
    format!("[upstream.backend]\n{GROUP}\n[[tcp]]\n{tcp}\n")
}

const VALUES_OF_A_TCP_LISTEN: &[Row] = &[
    ("80000", &["4:10: error: port 80000 is out of range; ports go from 1 to 65535"]),
    ("[]", &["4:10: error: write an address or a port, such as \"80\" or \"127.0.0.1:8080\""]),
    ("\"127.0.0.1\"", &["4:10: error: \"127.0.0.1\" has no port; write it behind a colon, such as \"127.0.0.1:5432\""]),
    ("\"tcp://127.0.0.1:5432\"", &["4:10: error: an address has no scheme; write \"127.0.0.1:5432\""]),
    ("\"5432 udp\"", &["4:10: error: `udp` is not supported yet"]),
    (
        "\"5432 backlog=9\"",
        &[
            "4:10: error: unknown word `backlog=9` in \"5432 backlog=9\"; there are `default_server`, `ssl`, `proxy_protocol`",
        ],
    ),
    (
        "\"[::]:5432 ipv6only=off\"",
        &["4:10: error: a listener takes IPv4 or IPv6, not both; list both: [\"80\", \"[::]:80\"]"],
    ),
];

const VALUES_OF_A_TCP_SECTION: &[Row] = &[
    ("\"http://backend\"", &["5:14: error: a tcp listener passes bytes on and speaks no `http`; write \"backend\""]),
    (
        "\"postgres://me@127.0.0.1:5432/db\"",
        &["5:14: error: a tcp listener passes bytes on and speaks no `postgres`; write \"127.0.0.1:5432\""],
    ),
    (
        "\"https://unix:/run/a.sock\"",
        &[
            "5:14: error: a tcp listener passes bytes on and speaks no `https`; write \"unix:/run/a.sock\" and proxy_ssl = \"on\"",
        ],
    ),
    ("\"\"", &["5:14: error: write a group, or an address with its port, such as \"127.0.0.1:5432\""]),
    ("5433", &["5:14: error: \"5433\" is only a port; write \"127.0.0.1:5433\" for this machine"]),
    ("\"127.0.0.1\"", &["5:14: error: \"127.0.0.1\" has no port; write it behind a colon, such as \"127.0.0.1:5432\""]),
    ("\"127.0.0.1:5433/\"", &["5:14: error: \"/\" cannot stand behind an address; write \"127.0.0.1:5433\""]),
    ("\"/run/a.sock\"", &["5:14: error: a unix socket begins with `unix:`; write \"unix:/run/a.sock\""]),
    ("\"$db:1\"", &["5:14: error: variables in `proxy_pass` are not supported yet; name a group or an address"]),
    ("\"bakend\"", &["5:14: error: there is no group or host `bakend`; did you mean `backend`?"]),
    (
        "\"shop\"",
        &["5:14: error: there is no group [upstream.shop], and \"shop\" has no port; \
           write it behind a colon, such as \"shop:5432\""],
    ),
    (
        "\"Backend:5432\"",
        &["5:14: error: `backend` is a group, whose servers have ports of their own; leave out \":5432\""],
    ),
    (
        "\"backend\"\nproxy_timeout = 0",
        &["6:17: error: a timeout of 0 would let nothing through; write \"off\" for none"],
    ),
    (
        "\"backend\"\nproxy_timeout = \"10 min\"",
        &["6:17: error: \"10 min\" is not a duration; write \"10m\", or \"off\""],
    ),
    (
        "\"backend\"\nproxy_connect_timeout = \"off\"",
        &[
            "6:25: error: \"off\" is not a duration; write a number and a unit (ms, s, m, h, d), such as \"30s\" or \"1m30s\"",
        ],
    ),
    ("\"backend\"\nproxy_next_upstream = \"yes\"", &["6:23: error: write \"on\" or \"off\""]),
    (
        "\"backend\"\nproxy_next_upstream = \"error http_503\"",
        &["6:23: error: a [[tcp]] section sees no HTTP statuses; write \"on\" or \"off\""],
    ),
    (
        "\"backend\"\nproxy_next_upstream = [\"on\"]",
        &["6:23: error: `proxy_next_upstream` has one value, not a list; write proxy_next_upstream = \"off\""],
    ),
    (
        "\"backend\"\nproxy_next_upstream_tries = -1\nproxy_next_upstream_timeout = \"x\"",
        &[
            "6:29: error: -1 is out of range; write a number from 0 to 4096",
            "7:31: error: \"x\" is not a duration; write a number and a unit (ms, s, m, h, d), such as \"30s\" or \"1m30s\", \
             or \"off\"",
        ],
    ),
    (
        "\"backend\"\nproxy_next_upstream_methods = [\"POST\"]",
        &["6:1: error: `proxy_next_upstream_methods` is for HTTP; leave it out"],
    ),
];

#[test]
fn slips() {
    assert_rows(TCP, str::to_string);
    assert!(errors(&tcp_site("listen = 5432\nproxy_pass = \"backend\"")).is_empty());
    assert_rows(VALUES_OF_A_TCP_LISTEN, |text| tcp_site(&format!("listen = {text}\nproxy_pass = \"backend\"")));
    assert_rows(VALUES_OF_A_TCP_SECTION, |text| tcp_site(&format!("listen = 5432\nproxy_pass = {text}")));
}

#[test]
fn tcp_sections_become_listeners() {
    let text = "proxy_connect_timeout = \"2s\"\n[upstream.db]\nserver = [\"127.0.0.1:1\", \"unix:/a weight=2\"]\n\
        [[tcp]]\nlisten = [5432, \"localhost:5432\"]\nproxy_pass = \"db\"\n\
        [[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"tcp://app.internal:25\"\nproxy_timeout = \"10m\"\nproxy_connect_timeout = 3\n\
        [[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"app.internal:25\"\n\
        [[tcp]]\nlisten = \"unix:/x\"\nproxy_pass = \"unix:/y\"\n";
    assert_eq!(warnings(text), [""; 0]);
    let plan = plan(text);
    let row = |l: &crate::config::plan::Listener| match &l.service {
        Service::Tcp(names) => {
            let tcp = &plan.tcps[names.default];
            (
                format!("{:?}", l.address),
                l.optional,
                plan.upstreams[tcp.upstream].name.clone(),
                tcp.proxy_connect_timeout.as_secs(),
                tcp.idle_timeout.map(|timeout| timeout.as_secs()),
            )
        }
        Service::Http(_) => panic!("no server was written"),
    };
    let expected = |address: &str, optional, upstream: &str, connect, idle| {
        (address.to_string(), optional, upstream.to_string(), connect, idle)
    };
    assert_eq!(
        plan.listeners.iter().map(row).collect::<Vec<_>>(),
        [
            expected("Tcp(0.0.0.0:5432)", false, "db", 2, None),
            expected("Tcp([::1]:5432)", true, "db", 2, None),
            expected("Tcp(127.0.0.1:5432)", true, "db", 2, None),
            expected("Tcp(127.0.0.1:0)", false, "app.internal:25", 3, Some(600)),
            expected("Tcp(127.0.0.1:0)", false, "app.internal:25", 2, None),
            expected("Unix(\"/x\")", false, "unix:/y", 2, None),
        ]
    );
    assert_eq!(plan.upstreams.len(), 3, "one address, one upstream");
    // HTTP may use what tcp uses, port 80 included.
    assert!(errors(&format!("{text}[[server]]\nlisten = 80\nlocation.\"/\".proxy_pass = \"http://db\"\n")).is_empty());
}

#[test]
fn a_shared_address_is_shown_at_both_places() {
    for other in [
        "[[tcp]]\nlisten = 81\nproxy_pass = \"127.0.0.1:2\"",
        "[[server]]\nlisten = 81\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:2\"",
    ] {
        let text = format!("[[tcp]]\nlisten = \"*:81\"\nproxy_pass = \"127.0.0.1:1\"\n{other}\n");
        let shown = load(&text).unwrap_err().to_string();
        assert!(shown.contains("2 | listen = \"*:81\"") && shown.contains("5 | listen = 81"), "{shown}");
        assert!(shown.contains("this one") || shown.contains("the other one"), "{shown}");
    }
    let text = "[upstream.db]\nserver = \"127.0.0.1\"\n[[tcp]]\nlisten = 81\nproxy_pass = \"db\"\n";
    let shown = load(text).unwrap_err().to_string();
    assert!(shown.contains("5 | proxy_pass = \"db\"") && shown.contains("this [[tcp]] section leads to it"), "{shown}");
}

#[test]
fn what_only_requests_have_is_refused_where_it_stands() {
    let group = |keys: &str| {
        format!("[upstream.db]\n{keys}\nserver = \"127.0.0.1:1\"\n[[tcp]]\nlisten = 5432\nproxy_pass = \"db\"\n")
    };
    let text = group("sticky = \"cookie route\"\nbalance = \"hash $remote_addr$request_uri\"");
    let expected = [
        "f:2:10: error: `sticky` is for HTTP: the connections of a [[tcp]] section have no cookies",
        "f:3:11: error: the connections of a [[tcp]] section have only $remote_addr; write \"hash $remote_addr\"",
    ];
    assert_eq!(errors(&text), expected);
    let shown = load(&text).unwrap_err().to_string();
    assert_eq!(shown.matches("---- this [[tcp]] section leads to it").count(), 2, "{shown}");
    // Once is enough, however many sections lead there; and HTTP may.
    assert_eq!(errors(&format!("{text}[[tcp]]\nlisten = 5433\nproxy_pass = \"db\"\n")), expected);
    let server = "[[server]]\nlisten = 80\nlocation.\"/\".proxy_pass = \"http://db\"\n";
    assert_eq!(errors(&text.replace("[[tcp]]\nlisten = 5432\nproxy_pass = \"db\"\n", server)), [""; 0]);
    for keys in
        ["balance = \"hash $binary_remote_addr\"", "balance = \"ip_hash\"", "sticky = \"off\"\non_down = \"close\""]
    {
        assert_eq!(errors(&group(keys)), [""; 0], "{keys}");
    }
}

#[test]
fn the_next_server_is_tried_or_not() {
    let retry = |top: &str, section: &str| {
        let text = format!("{top}\n[[tcp]]\nlisten = 5432\nproxy_pass = \"127.0.0.1:1\"\n{section}\n");
        plan(&text).tcps[0].retry.clone()
    };
    assert_eq!(retry("", ""), crate::config::plan::Retry::default());
    let off = retry("", "proxy_next_upstream = \"off\"");
    assert_eq!((off.error, off.timeout), (false, false));
    assert!(!retry("proxy_next_upstream = \"off\"", "").error);
    assert!(retry("proxy_next_upstream = \"off\"", "proxy_next_upstream = \"on\"").error);
    let inherited = retry(
        "proxy_next_upstream = \"error http_503\"\nproxy_next_upstream_methods = \"POST\"\nproxy_next_upstream_tries = 2",
        "proxy_next_upstream_timeout = \"5s\"",
    );
    assert_eq!((inherited.error, inherited.timeout, inherited.tries), (true, false, 2));
    assert_eq!(inherited.within, Some(Duration::from_secs(5)));
    assert!(inherited.statuses.is_empty() && inherited.methods.is_empty(), "of HTTP");
}
