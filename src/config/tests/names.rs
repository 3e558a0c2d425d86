//! Names of hosts: those that are found, those that are not, and who is asked.

use super::*;

#[test]
fn names_become_peers() {
    let servers = "server = [\"App.internal:81 weight=3\", \"localhost\", \"unix:/a\", \"127.0.0.1\"]";
    let plan = plan(&site(servers, SERVER, "proxy_pass = \"http://app.internal\""));
    let peers: Vec<(String, Option<String>, String, u32)> = plan
        .upstreams
        .iter()
        .flat_map(|upstream| &upstream.peers)
        .map(|peer| {
            let host = peer.host.as_ref().map(|host| format!("{} {}", host.name, host.port));
            (peer.name.clone(), host, format!("{:?}", peer.addresses), peer.weight)
        })
        .collect();
    let row = |name: &str, host: Option<&str>, addresses: &str, weight| {
        (name.to_string(), host.map(str::to_string), addresses.to_string(), weight)
    };
    assert_eq!(
        peers,
        [
            row("App.internal:81", Some("app.internal 81"), "[Tcp(10.0.0.1:81), Tcp(10.0.0.2:81)]", 3),
            row("localhost", Some("localhost 80"), "[Tcp([::1]:80), Tcp(127.0.0.1:80)]", 1),
            row("unix:/a", None, "[Unix(\"/a\")]", 1),
            row("127.0.0.1", None, "[Tcp(127.0.0.1:80)]", 1),
            row("app.internal", Some("app.internal 80"), "[Tcp(10.0.0.1:80), Tcp(10.0.0.2:80)]", 1),
        ]
    );
}

/// Containers come up in any order: a name that cannot be found is no reason not to start.
#[test]
fn names_that_cannot_be_found_are_servers_out_of_use() {
    let now = "cannot be found now (no such name): the server is out of use until it can be";
    let servers = "server = [\"nowhere.internal:1 weight=2\", { address = \"Else\" }, \"127.0.0.1:1\"]";
    let text = site(servers, SERVER, LOCATION);
    assert_eq!(
        warnings(&text),
        [format!("f:2:11: warning: `nowhere.internal` {now}"), format!("f:2:54: warning: `else` {now}")]
    );
    let peers = &plan(&text).upstreams[0].peers;
    assert_eq!(peers.iter().map(|peer| peer.addresses.len()).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(peers[0].host.as_ref().map(|host| (&*host.name, host.port)), Some(("nowhere.internal", 1)));
    assert_eq!(peers[0].weight, 2);

    // Without a group, in both kinds of sections, and once per address.
    let text = "[[server]]\n[server.location.\"/\"]\nproxy_pass = \"http://shop\"\n\
                [server.location.\"/a\"]\nproxy_pass = \"http://shop\"\n\
                [[tcp]]\nlisten = 25\nproxy_pass = \"shop:25\"\n[[tcp]]\nlisten = 26\nproxy_pass = \"a.b:26\"\n";
    let expected = format!("there is no group [upstream.shop], and the host `shop` {now}");
    assert_eq!(
        warnings(text),
        [
            format!("f:3:14: warning: {expected}"),
            format!("f:8:14: warning: {expected}"),
            format!("f:11:14: warning: `a.b` {now}"),
        ]
    );
    let shown = load(text).unwrap().warnings.concat();
    assert!(shown.contains("to make a group, write") && shown.contains("[upstream.shop]"), "{shown}");
    let shown = load(&site(GROUP, SERVER, "proxy_pass = \"http://shop\"")).unwrap().warnings.concat();
    assert!(shown.contains("the groups are `backend`"), "{shown}");
    // What is listened on has to be known.
    assert_eq!(
        errors("[[tcp]]\nlisten = \"nowhere:1\"\nproxy_pass = \"127.0.0.1:1\""),
        ["f:2:10: error: the host `nowhere` cannot be found: no such name"]
    );
}

const NAME_SERVERS: &[Row] = &[
    (
        "[\"8.8.8.8 valid=1x\", \"dns.internal\", \"1.1.1.1:0\", \"1.1.1.1 ipv6=off\", \"x=1\"]",
        &[
            "1:13: error: `valid=1x`: \"1x\" is not a duration; write a number and a unit (ms, s, m, h, d), such as \"30s\" \
             or \"1m30s\"",
            "1:33: error: `dns.internal` is not an IP address; a name server is given by its address, such as \"1.1.1.1\"",
            "1:49: error: port 0 is out of range; ports go from 1 to 65535",
            "1:62: error: `ipv6=off` is not supported: all addresses of a name are used; leave it out",
            "1:82: error: `x=1` is unknown; only valid= can stand behind the addresses",
        ],
    ),
    (
        "\"valid=30s valid=5s local=on\"",
        &[
            "1:12: error: `valid` is set twice",
            "1:12: error: leave `resolver` out: then the name servers of this host are asked",
        ],
    ),
    ("[]", &["1:12: error: write the address of a name server; leave `resolver` out to ask those of this host"]),
    (
        "\"valid=5s\"",
        &["1:12: error: write the address of a name server; leave `resolver` out to ask those of this host"],
    ),
];

#[test]
fn name_servers_are_asked_instead() {
    assert_rows(NAME_SERVERS, |value| format!("resolver = {value}\n{ONE_SERVER}"));
    let resolver = |value: &str| {
        let resolver = plan(&format!("resolver = {value}\n{ONE_SERVER}")).resolver;
        (resolver.servers.iter().map(ToString::to_string).collect::<Vec<_>>(), resolver.valid)
    };
    let list = |servers: &[&str]| servers.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(resolver("\"127.0.0.53\""), (list(&["127.0.0.53:53"]), None));
    let several = (list(&["8.8.8.8:53", "[::1]:5353", "[::2]:53"]), Some(Duration::from_secs(10)));
    assert_eq!(resolver("\"8.8.8.8 [::1]:5353 [::2] 8.8.8.8 valid=10s;\""), several);
    assert_eq!(resolver("[\"8.8.8.8 valid=10\", \"[::1]:5353\", \"::2\"]"), several);

    // They are asked when ringgate runs; those of this host are not asked before, but for what is this host.
    let text = site("server = [\"app.internal:81\", \"nowhere\", \"localhost:82\"]", SERVER, LOCATION);
    let text = format!("resolver = \"127.0.0.1:8600\"\n{text}");
    assert_eq!(warnings(&text), [""; 0]);
    let addresses: Vec<_> = plan(&text).upstreams[0].peers.iter().map(|peer| peer.addresses.len()).collect();
    assert_eq!(addresses, [0, 0, 2]);
}
