//! `[upstream.NAME]`: its servers and what is said about them.

use super::*;

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
    ("server = \"nowhere.internal\"", &["2:10: error: the host `nowhere.internal` cannot be found: no such name"]),
    (
        "server = \"127.0.0.1:1 weight=0\"",
        &["2:10: error: a weight of 0 would get nothing; leave the server out instead"],
    ),
    ("server = \"127.0.0.1:1 weight=2000\"", &["2:10: error: 2000 is out of range; write a number from 1 to 1000"]),
    (
        "server = \"127.0.0.1:1 backup\"",
        &["2:10: error: `backup` is not supported yet; only `weight=` can stand behind the address"],
    ),
    (
        "server = \"127.0.0.1:1 wait=2\"",
        &["2:10: error: `wait=2` is unknown; only `weight=` can stand behind the address"],
    ),
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
        &["2:11: error: unknown method `fastest`; write \"round_robin\" or \"least_conn\""],
    ),
    (
        "balance = \"ip_hash\"\nserver = \"127.0.0.1:1\"",
        &["2:11: error: `ip_hash` is not supported yet; write \"round_robin\" or \"least_conn\""],
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
];

#[test]
fn slips() {
    assert!(errors(&site(GROUP, SERVER, LOCATION)).is_empty());
    assert_rows(VALUES_OF_A_GROUP, |text| site(text, SERVER, LOCATION));
}

#[test]
fn names_become_peers() {
    let plan = plan(
        &site(
            "server = [\"app.internal:81 weight=3\", \"localhost\", \"unix:/a\"]",
            SERVER,
            "proxy_pass = \"http://app.internal\"\nlocation_placeholder = 1",
        )
        .replace("location_placeholder = 1\n", ""),
    );
    let peers: Vec<(String, String, u32)> = plan
        .upstreams
        .iter()
        .flat_map(|upstream| &upstream.peers)
        .map(|peer| (peer.name.clone(), format!("{:?}", peer.addresses), peer.weight))
        .collect();
    let row = |name: &str, addresses: &str, weight| (name.to_string(), addresses.to_string(), weight);
    assert_eq!(
        peers,
        [
            row("app.internal:81", "[Tcp(10.0.0.1:81)]", 3),
            row("app.internal:81", "[Tcp(10.0.0.2:81)]", 3),
            row("localhost", "[Tcp([::1]:80), Tcp(127.0.0.1:80)]", 1),
            row("unix:/a", "[Unix(\"/a\")]", 1),
            row("app.internal", "[Tcp(10.0.0.1:80)]", 1),
            row("app.internal", "[Tcp(10.0.0.2:80)]", 1),
        ]
    );
}
