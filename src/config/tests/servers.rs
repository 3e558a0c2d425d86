//! `[[server]]`, its locations, and what stands above them.

use super::*;

const VALUES_OF_A_SERVER: &[Row] = &[
    ("listen = 80000", &["4:10: error: port 80000 is out of range; ports go from 1 to 65535"]),
    ("listen = \"127.0.0.1:99999\"", &["4:10: error: port 99999 is out of range; ports go from 1 to 65535"]),
    ("listen = []", &["4:10: error: write an address or a port, such as \"80\" or \"127.0.0.1:8080\""]),
    ("listen = \":80\"", &["4:10: error: \":80\" has no host; write \"80\" for every address of this machine"]),
    ("listen = \"http://localhost:80\"", &["4:10: error: an address has no scheme; write \"localhost:80\""]),
    (
        "listen = \"80 defaultserver\"",
        &["4:10: error: unknown word `defaultserver` in \"80 defaultserver\"; did you mean `default_server`?"],
    ),
    (
        "listen = \"[::]:80 ipv6only=off\"",
        &["4:10: error: a listener takes IPv4 or IPv6, not both; list both: [\"80\", \"[::]:80\"]"],
    ),
    ("listen = [\"80\", \"*:80\"]", &["4:17: error: this server already listens here; leave one of them out"]),
    ("listen = \"nowhere:80\"", &["4:10: error: the host `nowhere` cannot be found: no such name"]),
    (
        "listen = 80\nserver_name = \"a.org b.org\"",
        &["5:15: error: several names are a list; write [\"a.org\", \"b.org\"]"],
    ),
    (
        "listen = 80\nserver_name = \"www.*.a.org\"",
        &["5:15: error: a `*` is the first label or the last one: \"*.example.org\", \"mail.*\"; for all names write \
           `default_server` in `listen`"],
    ),
    (
        "listen = 80\nserver_name = \"~^(www\"",
        &[
            "5:15: error: `^(www` is no regular expression: Parsing error at position 5: Opening parenthesis without closing parenthesis",
        ],
    ),
    ("listen = 80\nserver_name = \"a.org:80\"", &["5:15: error: the port belongs in `listen`; write \"a.org\""]),
    ("listen = 80\nserver_name = \"http://a.org/\"", &["5:15: error: a name stands alone; write \"a.org\""]),
    ("listen = 80\nserver_name = \"a.org/app\"", &["5:15: error: \"/app\" belongs in a location; write \"a.org\""]),
    (
        "listen = 80\nserver_name = \"müller.de\"",
        &["5:15: error: \"müller.de\" must be in its ASCII form (\"xn--...\"), as browsers send it"],
    ),
    ("listen = 80\nkeepalive_timeout = \"30 s\"", &["5:21: error: \"30 s\" is not a duration; write \"30s\""]),
    ("listen = 80\nclient_max_body_size = \"10 MB\"", &["5:24: error: \"10 MB\" is not a size; write \"10m\""]),
    (
        "listen = 80\nclient_header_timeout = 0",
        &["5:25: error: a timeout of 0 would let nothing through; write a longer one, such as \"1d\""],
    ),
];

const VALUES_OF_A_LOCATION: &[Row] = &[
    ("proxy_pass = \"http://backed\"", &["6:14: error: there is no group or host `backed`; did you mean `backend`?"]),
    ("proxy_pass = \"backend\"", &["6:14: error: \"backend\" lacks \"http://\"; write \"http://backend\""]),
    (
        "proxy_pass = \"127.0.0.1:3000\"",
        &["6:14: error: \"127.0.0.1:3000\" lacks \"http://\"; write \"http://127.0.0.1:3000\""],
    ),
    ("proxy_pass = 3000", &["6:14: error: \"3000\" lacks \"http://\"; write \"http://127.0.0.1:3000\""]),
    (
        "proxy_pass = \"/run/app.sock\"",
        &["6:14: error: \"/run/app.sock\" lacks \"http://\"; write \"http://unix:/run/app.sock\""],
    ),
    (
        "proxy_pass = \"http://backend?x\"",
        &["6:14: error: the path behind the address begins with a slash; write \"http://backend/?x\""],
    ),
    (
        "proxy_pass = \"http://unix:/run/a.sock:x\"",
        &["6:14: error: the path behind the socket begins with a slash; write \"http://unix:/run/a.sock:/x\""],
    ),
    (
        "proxy_pass = \"http://backend:3000\"",
        &["6:14: error: `backend` is a group, whose servers have ports of their own; leave out \":3000\""],
    ),
    ("proxy_pass = \"http://127.0.0.1:70000\"", &["6:14: error: port 70000 is out of range; ports go from 1 to 65535"]),
    (
        "proxy_pass = \"$scheme://backend\"",
        &["6:14: error: whether by TLS must be said here: write \"http://\" or \"https://\" before it"],
    ),
    (
        "send_timeout = \"5s\"",
        &["5:18: error: this location has no `proxy_pass`, no `root` and no `return`: it could answer nothing"],
    ),
];

pub const WHOLE: &[Row] = &[
    ("", &["1:1: error: there is no [[server]] and no [[tcp]] section: nothing would listen"]),
    ("[[server]]\nlisten = 80", &["1:1: error: this server has no location: it could answer nothing"]),
    (
        "[[server]]\nlocation.\"app\".proxy_pass = \"http://127.0.0.1:1\"",
        &["2:10: error: a location begins with a slash; write [server.location.\"/app\"]"],
    ),
    (
        "[[server]]\nlocation.\"/a?b=c\".proxy_pass = \"http://127.0.0.1:1\"",
        &["2:10: error: a location is a path, without a query; write [server.location.\"/a\"]"],
    ),
    (
        "splice_min = \"1k\"\n[[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"",
        &[
            "1:14: error: splicing less than 4096 bytes costs more than copying; write a larger size, or \"off\" for none",
        ],
    ),
    (
        "splice_min = \"always\"\n[[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"",
        &[
            "1:14: error: \"always\" is not a size; write a number of bytes, or with k, m or g, such as \"10m\", or \"off\"",
        ],
    ),
    (
        "workers = 0\nworker_connections = \"many\"\nerror_log = \"off\"\n[[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"",
        &[
            "1:11: error: 0 is out of range; write a number from 1 to 1024, or \"auto\"",
            "2:22: error: \"many\" is not a number; write one from 1 to 1048576",
            "3:13: error: the error log cannot be switched off; write \"/dev/null\" if it must be",
        ],
    ),
    (
        "[[server]]\nlisten = \"80 default_server\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n\
         [[server]]\nlisten = \"*:80 default_server\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"",
        &["5:10: error: there are two `default_server` for the same address"],
    ),
    (
        "[upstream.a]\nserver = \"127.0.0.1:1\"\n[upstream.A]\nserver = \"127.0.0.1:1\"\n\
         [[server]]\nlocation.\"/\".proxy_pass = \"http://a\"",
        &["3:11: error: there are two groups named `A`"],
    ),
];

#[test]
fn slips() {
    assert_rows(WHOLE, str::to_string);
    assert_rows(VALUES_OF_A_SERVER, |text| site(GROUP, text, LOCATION));
    assert_rows(VALUES_OF_A_LOCATION, |text| site(GROUP, SERVER, text));
}

#[test]
fn splicing_begins_at_a_size_or_never() {
    let of = |line: &str| {
        plan(&format!("{line}\n[[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"")).splice_min
    };
    assert_eq!(of(""), Some(crate::limits::SPLICE_MIN_DEFAULT));
    assert_eq!((of("splice_min = \"1m\""), of("splice_min = \"off\"")), (Some(1 << 20), None));
}

#[test]
fn settings_are_inherited() {
    let text = "proxy_read_timeout = 10\nkeepalive_timeout = 0\nclient_max_body_size = 0\n\
        [[server]]\nproxy_read_timeout = \"20s\"\nkeepalive_requests = 7\n\
        [server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:1\"\n\
        [server.location.\"/a\"]\nproxy_pass = \"http://127.0.0.1:1\"\nproxy_read_timeout = \"30s\"\nclient_max_body_size = \"1k\"\n\
        [server.location.\"/a/b\"]\nproxy_pass = \"http://127.0.0.1:1\"\nproxy_first_byte_timeout = \"500ms\"\n\
        [[server]]\nlisten = 81\nkeepalive_timeout = \"1m\"\n\
        [server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:2\"\n";
    let plan = plan(text);
    let [first, second] = &plan.servers[..] else { panic!("two servers") };
    let read: Vec<_> = first.locations.iter().map(|l| (&*l.name, l.proxy_read_timeout.as_secs())).collect();
    assert_eq!(read, [("/", 20), ("/a", 30), ("/a/b", 20)]);
    assert_eq!(first.level.prefixes, [2, 1, 0], "the longest first");
    let first_byte: Vec<_> = first.locations.iter().map(|l| l.proxy_first_byte_timeout.as_millis()).collect();
    assert_eq!(first_byte, [20_000, 30_000, 500]);
    let sizes: Vec<_> = first.locations.iter().map(|l| l.client_max_body_size).collect();
    assert_eq!(sizes, [None, Some(1024), None]);
    assert_eq!((first.keepalive_timeout, first.keepalive_requests), (Duration::ZERO, 7));
    assert_eq!(second.keepalive_timeout, Duration::from_secs(60));
    assert_eq!(second.locations[0].proxy_read_timeout, Duration::from_secs(10));
    assert_eq!(plan.upstreams.len(), 2, "one address, one upstream, however often it is named");
}

#[test]
fn listeners_are_shared() {
    let text = "[[server]]\nlisten = [80, \"localhost:82\"]\nserver_name = \"A.org.\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n\
        [[server]]\nlisten = [\"*:80 default_server\", \"127.0.0.1:82\"]\nserver_name = \"b.org\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:2\"\n\
        [[server]]\nserver_name = [\"_\", \"\"]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:3\"\n";
    let plan = plan(text);
    let listeners: Vec<_> = plan
        .listeners
        .iter()
        .map(|l| match &l.service {
            Service::Http(http) => (format!("{:?}", l.address), http.sections.clone(), http.default, l.optional),
            Service::Tcp(_) => panic!("no tcp section was written"),
        })
        .collect();
    let row = |address: &str, servers: &[usize], default, optional| {
        (address.to_string(), servers.to_vec(), default, optional)
    };
    assert_eq!(
        listeners,
        [
            row("Tcp(0.0.0.0:80)", &[0, 1, 2], 1, false),
            row("Tcp([::1]:82)", &[0], 0, true),
            row("Tcp(127.0.0.1:82)", &[0, 1], 0, false),
        ]
    );
    for (host, names) in [("a.org", &["a.org"][..]), ("c.org", &["b.org"]), ("", &["_", ""])] {
        assert_eq!(plan.server_for(0, host).names, names);
    }
}

#[test]
fn warnings_of_a_plan_that_runs() {
    let double = "server = [\"127.0.0.1:1\", \"127.0.0.1:1\"]";
    for (text, expected) in [
        (
            site(double, SERVER, LOCATION),
            "f:2:26: warning: `127.0.0.1:1` is the same server as `127.0.0.1:1` before it: it gets two shares",
        ),
        (
            site(GROUP, SERVER, "proxy_pass = \"http://localhost:1\""),
            "f:1:11: warning: no `proxy_pass` uses the group `backend`",
        ),
        (
            site("server = \"127.0.0.1:8080\"", SERVER, LOCATION),
            "f:4:10: warning: `127.0.0.1:8080` is this server itself: requests would go round in circles",
        ),
        (
            "[[tcp]]\nlisten = 5432\nproxy_pass = \"127.0.0.1:5432\"\n".to_string(),
            "f:2:10: warning: `127.0.0.1:5432` is this listener itself: connections would go round in circles",
        ),
        (site(GROUP, "listen = 80\nserver_name = [\"a\", \"A\"]", LOCATION), "f:5:21: warning: `a` stands here twice"),
        (
            site(GROUP, SERVER, LOCATION)
                + "[[server]]\nlisten = \"0.0.0.0:8080\"\nlocation.\"/\".proxy_pass = \"http://backend\"",
            "f:8:10: warning: another server on this address has no `server_name` either: this one gets no requests",
        ),
        (
            site(GROUP, "listen = 80\nserver_name = \"a\"", LOCATION)
                + "[[server]]\nserver_name = [\"b\", \"a\"]\nlocation.\"/\".proxy_pass = \"http://backend\"",
            "f:8:1: warning: conflicting server name \"a\": an earlier server on this address gets its requests",
        ),
        (
            site(GROUP, SERVER, LOCATION) + "[server.location.\"/a%20b\"]\nproxy_pass = \"http://backend\"",
            "f:7:18: warning: paths are decoded and tidied (`%20`, `//`, `/../`) before they are compared: this may never match",
        ),
    ] {
        assert_eq!(warnings(&text), [expected], "for\n{text}");
    }
    assert_eq!(
        warnings(&site(GROUP, SERVER, "proxy_pass = \"http://bakend\"")),
        [
            "f:1:11: warning: no `proxy_pass` uses the group `backend`",
            "f:6:14: warning: `bakend` is taken for a host, not for the group `backend`",
        ]
    );
}

#[test]
fn the_admin_socket_has_a_place_that_everyone_finds() {
    let at = |uid, runtime: Option<&str>| {
        Surroundings { uid, runtime_dir: runtime.map(PathBuf::from) }.admin_default().map(|p| p.display().to_string())
    };
    assert_eq!(at(Some(0), Some("/run/user/0")).as_deref(), Some("/run/ringgate.sock"));
    assert_eq!(at(Some(0), None).as_deref(), Some("/run/ringgate.sock"));
    assert_eq!(at(Some(1000), Some("/run/user/1000")).as_deref(), Some("/run/user/1000/ringgate.sock"));
    assert_eq!(at(Some(1000), Some("")).as_deref(), Some("/tmp/ringgate-1000.sock"));
    assert_eq!(at(Some(1000), None).as_deref(), Some("/tmp/ringgate-1000.sock"));
    assert_eq!(at(None, Some("/run/user/1000")), None);
    assert!(Surroundings::read().uid.is_some());

    let admin = |value: &str| plan(&format!("admin = \"{value}\"\n{}", site(GROUP, SERVER, LOCATION))).admin;
    assert_eq!(admin("off"), None);
    assert_eq!(admin("unix:/run/a.sock"), Some("/run/a.sock".into()));
    assert_eq!(admin("a.sock"), Some("a.sock".into()));
}

#[test]
fn without_root_a_server_listens_where_it_may() {
    let text = "[[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"";
    let nobody = Surroundings { uid: Some(1000), runtime_dir: None };
    let address = |world: &Surroundings| {
        finish(include::read_str("f", text), world, &lookup).unwrap().plan.listeners[0].address.clone()
    };
    assert_eq!(address(&world()), Address::Tcp("0.0.0.0:80".parse().unwrap()));
    assert_eq!(address(&nobody), Address::Tcp("0.0.0.0:8000".parse().unwrap()));
}
