//! `[upstream.NAME]`: its servers and what is said about them.

use super::*;
use crate::config::plan::{Balance, Peer, Sticky, Upstream};
use crate::config::template::Template;

const VALUES_OF_A_GROUP: &[Row] = &[
    ("server = []", &["2:10: error: the group `backend` has no server"]),
    ("balance = \"round_robin\"", &["1:11: error: the group `backend` has no server"]),
    ("server = [\"127.0.0.1:80800\"]", &["2:11: error: port 80800 is out of range; ports go from 1 to 65535"]),
    ("server = \"127.0.0.1:0\"", &["2:10: error: port 0 is out of range; ports go from 1 to 65535"]),
    ("server = \"127.0.0.1:http\"", &["2:10: error: `http` in \"127.0.0.1:http\" is not a port number"]),
    ("server = 8001", &["2:10: error: \"8001\" is only a port; write \"127.0.0.1:8001\" for this machine"]),
    ("server = \":8001\"", &["2:10: error: \":8001\" has no host; write \"127.0.0.1:8001\" for this machine"]),
    ("server = \"http://127.0.0.1:1/\"", &["2:10: error: an address has no scheme; write \"127.0.0.1:1\""]),
    ("server = \"127.0.0.1:1;\"", &["2:10: error: no semicolon within the quotes; write \"127.0.0.1:1\""]),
    ("server = \"127.0.0.300:1\"", &["2:10: error: `127.0.0.300` is not an IPv4 address (four numbers from 0 to 255)"]),
    ("server = \"::1:8000\"", &["2:10: error: an IPv6 address stands in brackets; write \"[::1]:8000\""]),
    ("server = \"fe80::1\"", &["2:10: error: an IPv6 address stands in brackets; write \"[fe80::1]\""]),
    ("server = \"/run/app.sock\"", &["2:10: error: a unix socket begins with `unix:`; write \"unix:/run/app.sock\""]),
    (
        "server = \"unix:app.sock\"",
        &["2:10: error: a unix socket needs an absolute path, such as \"unix:/run/app.sock\""],
    ),
    (
        "server = \"127.0.0.1:1 weight=0\"",
        &["2:10: error: `weight=0`: a weight of 0 would get nothing; leave the server out instead"],
    ),
    (
        "server = \"127.0.0.1:1 weight=2000\"",
        &["2:10: error: `weight=2000`: 2000 is out of range; write a number from 1 to 1000"],
    ),
    (
        "server = \"127.0.0.1:1 wait=2 max_fail=3 backup=1 max_conns down; weight=2 weight=3 drain\"",
        &[
            "2:10: error: `wait=2` is unknown; behind the address can stand weight=, max_conns=, max_fails=, fail_timeout=, \
             slow_start=, backup, down, resolve",
            "2:10: error: `max_fail=3` is unknown; did you mean max_fails?",
            "2:10: error: `backup` stands alone, without a value; write backup, or leave it out",
            "2:10: error: `max_conns` needs a value; write max_conns=2",
            "2:10: error: `weight` stands behind the address twice",
            "2:10: error: `drain` is said while it runs: `ringgate drain UPSTREAM SERVER`; here write down",
        ],
    ),
    (
        "server = [\"127.0.0.1:1 max_conns=-1 max_fails=1001\", \"127.0.0.1:2 fail_timeout=now slow_start=soon\"]",
        &[
            "2:11: error: `max_conns=-1`: -1 is out of range; write a number from 0 to 1048576",
            "2:11: error: `max_fails=1001`: 1001 is out of range; write a number from 0 to 1000",
            "2:54: error: `fail_timeout=now`: \"now\" is not a duration; write a number and a unit (ms, s, m, h, d), \
             such as \"30s\" or \"1m30s\"",
            "2:54: error: `slow_start=soon`: \"soon\" is not a duration; write a number and a unit (ms, s, m, h, d), \
             such as \"30s\" or \"1m30s\"",
        ],
    ),
    (
        "server = [{ address = \"127.0.0.1:1\", backup = \"yes\", max_conns = \"many\", resolve = \"off\" }]",
        &[
            "2:47: error: write \"on\" or \"off\"",
            "2:66: error: \"many\" is not a number; write one from 0 to 1048576",
            "2:84: error: names are always looked up again; leave `resolve` out",
        ],
    ),
    (
        "server = [{ address = \"127.0.0.1:1 backup\" }]",
        &["2:23: error: in a table `backup` is a key of its own; write { address = \"127.0.0.1:1\", weight = 2 }"],
    ),
    ("server = \"\"", &["2:10: error: write an address, such as \"127.0.0.1:8000\""]),
    (
        "server = [{ address = \"a.b.c:1:2\", weight = 0 }]",
        &[
            "2:23: error: \"a.b.c:1:2\" is not an address",
            "2:45: error: a weight of 0 would get nothing; leave the server out instead",
        ],
    ),
    (
        "server = [{ weight = 2 }]",
        &["2:11: error: a server needs an address; write { address = \"127.0.0.1:8000\", weight = 2 }"],
    ),
    (
        "balance = \"least-conn\"\nserver = \"127.0.0.1:1\"",
        &["2:11: error: unknown method `least-conn`; did you mean \"least_conn\"?"],
    ),
    (
        "balance = \"fastest\"\nserver = \"127.0.0.1:1\"",
        &[
            "2:11: error: unknown method `fastest`; write \"round_robin\", \"least_conn\", \"ip_hash\", \"hash $request_uri\", \"random\" \
           or \"least_time\"",
        ],
    ),
    (
        "balance = \"hash\"\nsticky = \"cookie\"\nserver = \"127.0.0.1:1\"",
        &[
            "2:11: error: `hash` needs a text to choose by; write \"hash $request_uri\"",
            "3:10: error: the cookie needs a name; write \"cookie route\"",
        ],
    ),
    (
        "max_ejected = \"101%\"\nmax_fail_rate = 0\nretry_budget = \"some\"\nserver = \"127.0.0.1:1\"",
        &[
            "2:15: error: \"101%\" is out of range; write \"0%\" to \"100%\"",
            "3:17: error: \"0\" is out of range; write \"1%\" to \"100%\", or \"off\"",
            "4:16: error: \"some\" is not a percentage; write \"0%\" to \"100%\", or \"off\"",
        ],
    ),
    (
        "fail_open = \"yes\"\nqueue = \"off\"\nqueue_timeout = 0\non_down = \"kill\"\nserver = \"127.0.0.1:1\"",
        &[
            "2:13: error: write \"on\" or \"off\"",
            "3:9: error: write 0 for no queue",
            "4:17: error: a timeout of 0 would let nothing through; write a longer one, such as \"1d\"",
            "5:11: error: write \"keep\" or \"close\"",
        ],
    ),
    (
        "queue = \"100 timeout=70s\"\nserver = \"127.0.0.1:1\"",
        &["2:9: error: the time is a setting of its own; write queue = 100 and queue_timeout = \"70s\""],
    ),
    (
        "keepalive = -1\nserver = \"127.0.0.1:1\"",
        &["2:13: error: -1 is out of range; write a number from 0 to 1048576"],
    ),
    (
        "server = [\"127.0.0.1:1 weight=997\", \"127.0.0.1:2 weight=991\", \"127.0.0.1:3 weight=983\", \
         \"127.0.0.1:4 weight=977\", \"127.0.0.1:5 weight=971\"]",
        &["1:11: error: the weights of `backend` repeat only after 4919 requests (at most 4096); \
           write smaller ones in the same ratio"],
    ),
    // Each address of a name is a server, but for those of this machine.
    (
        "server = [\"app.internal:1 weight=997\", \"127.0.0.1:2 weight=991\", \"127.0.0.1:3 weight=983\", \
         \"localhost:4 weight=977\"]",
        &["1:11: error: the weights of `backend` repeat only after 4945 requests (at most 4096); \
           write smaller ones in the same ratio"],
    ),
];

#[test]
fn slips() {
    assert!(errors(&site(GROUP, SERVER, LOCATION)).is_empty());
    assert_rows(VALUES_OF_A_GROUP, |text| site(text, SERVER, LOCATION));
}

#[test]
fn servers_have_parameters_in_both_forms() {
    let strings = "server = [\"127.0.0.1:1 weight=2 backup max_conns=5 max_fails=0 fail_timeout=1m slow_start=30s resolve\", \
         \"127.0.0.1:2 down;\", \"127.0.0.1:3 max_conns=0 slow_start=0\"]";
    let tables = "server = [{ address = \"127.0.0.1:1\", weight = 2, backup = \"on\", down = \"off\", max_conns = 5, \
                  max_fails = 0, fail_timeout = \"1m\", slow_start = 30, resolve = \"on\" }, \
                  { address = \"127.0.0.1:2\", down = \"on\" }, \
                  { address = \" 127.0.0.1:3\", max_conns = 0, slow_start = 0 }]";
    for text in [strings, tables] {
        let peers = plan(&site(text, SERVER, LOCATION)).upstreams.remove(0).peers;
        let peer = |port: u16| {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            Peer::new(&address.to_string(), vec![Address::Tcp(address)])
        };
        let first = Peer {
            weight: 2,
            backup: true,
            max_conns: Some(5),
            max_fails: 0,
            fail_timeout: Duration::from_secs(60),
            slow_start: Some(Duration::from_secs(30)),
            ..peer(1)
        };
        assert_eq!(peers, [first, Peer { down: true, ..peer(2) }, peer(3)], "{text}");
    }
}

/// nginx's words for a server that is never out of use, whatever else is said.
#[test]
fn a_fail_timeout_of_nothing_counts_no_failures() {
    for server in [
        "\"unix:/run/gunicorn.sock fail_timeout=0\"",
        "\"unix:/run/gunicorn.sock fail_timeout=0s max_fails=3\"",
        "{ address = \"unix:/run/gunicorn.sock\", fail_timeout = 0 }",
    ] {
        let peer = plan(&site(&format!("server = [{server}]"), SERVER, LOCATION)).upstreams.remove(0).peers.remove(0);
        assert_eq!((peer.max_fails, peer.fail_timeout.is_zero()), (0, false), "{server}");
    }
}

#[test]
fn groups_have_settings() {
    let group = |keys: &str| plan(&site(&format!("{GROUP}\n{keys}"), SERVER, LOCATION)).upstreams.remove(0);
    let default = group("");
    assert_eq!(default, Upstream::new("backend", default.peers.clone()));
    let changed = group(
        "balance = \"hash $uri\"\nsticky = \"cookie route\"\nkeepalive = 0\nkeepalive_timeout = 5\nmax_ejected = 50\n\
         max_fail_rate = \"30%\"\nfail_open = \"off\"\nretry_budget = \"5%\"\nqueue = 0\nqueue_timeout = \"1s\"\n\
         on_down = \"close\"",
    );
    let expected = Upstream {
        balance: Balance::Hash(Template::parse("$uri", &crate::config::template::Known::default()).unwrap()),
        sticky: Some(Sticky { name: "route".to_string(), attributes: "; Path=/".to_string() }),
        keepalive: 0,
        keepalive_timeout: Duration::from_secs(5),
        max_ejected: 50,
        max_fail_rate: Some(30),
        fail_open: false,
        retry_budget: 5,
        queue: 0,
        queue_timeout: Duration::from_secs(1),
        close_on_down: true,
        ..default.clone()
    };
    assert_eq!(changed, expected);
    let off = group(
        "sticky = \"off\"\nmax_fail_rate = \"off\"\nretry_budget = \"off\"\nfail_open = \"on\"\non_down = \"keep\"",
    );
    assert_eq!(off, Upstream { retry_budget: 100, ..default });
}

#[test]
fn what_is_strange_is_said() {
    let group = |text: &str| site(text, SERVER, LOCATION);
    for (text, expected) in [
        (
            group("server = [\"127.0.0.1:1 down\", \"127.0.0.1:2 down backup\"]"),
            "f:1:11: warning: all servers of `backend` are `down`: nobody would answer",
        ),
        (
            group("server = [\"127.0.0.1:1 backup\", \"127.0.0.1:2 down\"]"),
            "f:1:11: warning: the servers of `backend` that are not `down` are all `backup`: there is nobody to stand in for",
        ),
        (
            group("server = [\"localhost:1\", \"127.0.0.1:1\"]"),
            "f:2:26: warning: `127.0.0.1:1` is the same server as `localhost:1` before it: it gets two shares",
        ),
        (
            group("server = [\"app.internal:1\", \"10.0.0.2:1\"]"),
            "f:2:29: warning: `10.0.0.2:1` has an address in common with `app.internal:1` before it: it gets two shares",
        ),
        (
            group("server = [\"app.internal:1\", \"APP.internal:1 backup\"]"),
            "f:2:29: warning: `APP.internal:1` is the same server as `app.internal:1` before it: nobody backs itself up",
        ),
        (
            "[upstream.a]\nsticky = \"cookie c\"\nserver = \"127.0.0.1:1\"\n\
             [upstream.b]\nsticky = \"cookie c\"\nserver = \"127.0.0.1:2\"\n\
             [[server]]\nlocation.\"/\".proxy_pass = \"http://a\"\nlocation.\"/b\".proxy_pass = \"http://b\"\n\
             location.\"/b2\".proxy_pass = \"http://b\"\n"
                .to_string(),
            "f:4:11: warning: `a` and `b` share the cookie `c` on one site: each would overwrite the other's; \
             name them differently",
        ),
    ] {
        assert_eq!(warnings(&text), [expected], "for\n{text}");
    }
    for text in [
        "server = [\"app.internal:1\", \"app.internal:2\"]",
        "server = [\"127.0.0.1:1 down\", \"127.0.0.1:1\"]",
        "server = [\"127.0.0.1:1\", \"127.0.0.1:2 backup\"]\nbalance = \"ip_hash\"",
    ] {
        assert_eq!(warnings(&group(text)), [""; 0], "{text}");
    }
}
