//! The slips of people in a hurry, one row each, and what a whole configuration becomes.

use super::build::Surroundings;
use super::plan::{Address, Plan, Service};
use super::{Errors, Loaded, finish, include};
use crate::limits;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A world with three names in it.
fn lookup(host: &str) -> io::Result<Vec<SocketAddr>> {
    let ips: &[&str] = match host {
        "localhost" => &["[::1]:0", "127.0.0.1:0", "127.0.0.1:0"],
        "app.internal" => &["10.0.0.1:0", "10.0.0.2:0"],
        "bakend" => &["10.0.0.9:0"],
        _ => return Err(io::Error::other("no such name")),
    };
    Ok(ips.iter().map(|ip| ip.parse().unwrap()).collect())
}

fn world() -> Surroundings {
    Surroundings { uid: Some(0), runtime_dir: None }
}

fn load(text: &str) -> Result<Loaded, Errors> {
    finish(include::read_str("f", text), &world(), &lookup)
}

fn load_file(path: &Path) -> Result<Loaded, Errors> {
    finish(include::read(path), &world(), &lookup)
}

/// The first lines of all errors.
fn errors(text: &str) -> Vec<String> {
    match load(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.lines().next().unwrap().to_string()).collect(),
    }
}

fn plan(text: &str) -> Plan {
    load(text).unwrap_or_else(|errors| panic!("{errors}")).plan
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = load(text).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.warnings.iter().map(|warning| warning.lines().next().unwrap().to_string()).collect()
}

/// Text of a file, and for each error `LINE:COLUMN: error: message`.
type Row = (&'static str, &'static [&'static str]);

const QUOTES: &[Row] = &[
    ("[[server]]\nlisten = 127.0.0.1:80", &["2:10: error: quotes are missing; write listen = \"127.0.0.1:80\""]),
    ("listen = 80 default_server", &["1:10: error: quotes are missing; write listen = \"80 default_server\""]),
    ("listen = [::]:80", &["1:10: error: quotes are missing; write listen = \"[::]:80\""]),
    ("listen = *:80;", &["1:10: error: quotes are missing; write listen = \"*:80\""]),
    ("  proxy_pass = http://backend", &["1:16: error: quotes are missing; write proxy_pass = \"http://backend\""]),
    ("balance = least_conn # all", &["1:11: error: quotes are missing; write balance = \"least_conn\""]),
    ("keepalive_timeout = 30s", &["1:21: error: quotes are missing; write keepalive_timeout = \"30s\""]),
    ("a = 10m\r\nb = 1\r\n", &["1:5: error: quotes are missing; write a = \"10m\""]),
    ("error_log = /var/log/x", &["1:13: error: quotes are missing; write error_log = \"/var/log/x\""]),
    ("server_name = a.org b.org", &["1:15: error: quotes are missing; write server_name = [\"a.org\", \"b.org\"]"]),
    ("server = [127.0.0.1:80, \"x\"]", &["1:11: error: quotes are missing; write \"127.0.0.1:80\""]),
    ("server = [\"127.0.0.1:80\", localhost:1]", &["1:27: error: quotes are missing; write \"localhost:1\""]),
    ("server = [\n  \"127.0.0.1:80\",\n  localhost:1,\n]", &["3:3: error: quotes are missing; write \"localhost:1\""]),
    ("server = [\n  127.0.0.1:80\n]", &["2:3: error: quotes are missing; write \"127.0.0.1:80\""]),
    ("a = \"abc\nb = 1", &["1:5: error: the quote is not closed; write a = \"abc\""]),
    ("a = \"abc;\nb = 1", &["1:5: error: the quote is not closed; write a = \"abc\""]),
    ("a = “abc”", &["1:5: error: these quotes are typographic ones; write a = \"abc\""]),
    (
        "listen = \"80\" default_server",
        &["1:10: error: nothing can stand behind the quotes; write listen = \"80 default_server\""],
    ),
    ("server = \"a:1\", \"b:2\"", &["1:10: error: several values are a list; write server = [\"a:1\", \"b:2\"]"]),
    ("server = \"a:1\" \"b:2\";", &["1:10: error: several values are a list; write server = [\"a:1\", \"b:2\"]"]),
];

const TOML: &[Row] = &[
    ("workers = 4;", &["1:12: error: no semicolon in TOML; write workers = 4"]),
    ("listen = \"80\"; # http", &["1:14: error: no semicolon in TOML; write listen = \"80\""]),
    ("workers: 5", &["1:1: error: `=` stands between key and value; write workers = 5"]),
    ("workers 5", &["1:1: error: `=` is missing; write workers = 5"]),
    ("workers == 5", &["1:1: error: one `=` is enough; write workers = 5"]),
    ("workers =", &["1:1: error: `workers` has no value; write workers = 4"]),
    ("// comment\nworkers = 4", &["1:1: error: a comment begins with #"]),
    ("workers = 4 // all", &["1:13: error: a comment begins with #"]),
    ("a = [ \"x\" \"y\" ]", &["1:11: error: a comma or the closing bracket of the list is missing here"]),
    (
        "a = [\"x\",\n\"y\"\n[[server]]",
        &["3:1: error: a list above this line is not closed; write its closing bracket"],
    ),
    ("a = { address = \"x\" weight = 2 }", &["1:21: error: a comma is missing here"]),
    ("workers = 1\nworkers = 2", &["2:1: error: `workers` is set twice in this section"]),
    ("[[server]]\nlisten = 80\nlisten = 81", &["3:1: error: `listen` is set twice in this section"]),
    (
        "[upstream.a]\nserver = \"a:1\"\nserver = \"b:2\"",
        &["3:1: error: `server` is set twice in this section; several values are a list: \
           server = [\"127.0.0.1:8000\", \"127.0.0.1:8001\"]"],
    ),
];

const HEADINGS: &[Row] = &[
    (
        "[server]\nlisten = 80",
        &["1:1: error: a server's heading has two brackets, as there can be several; write [[server]]"],
    ),
    (
        "[server]\nlisten = 80\n[server]\nlisten = 81",
        &["1:1: error: a server's heading has two brackets, as there can be several; write [[server]]"],
    ),
    (
        "[server] # one\nlisten = 80\n[[server]]\nlisten = 81",
        &["1:1: error: a server's heading has two brackets, as there can be several; write [[server]]"],
    ),
    (
        "[server.location.\"/\"]\nproxy_pass = \"http://a\"\n[[server]]\nlisten = 80",
        &["1:1: error: this location stands above its server; write [[server]] on a line before it"],
    ),
    (
        "[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:1\"",
        &["1:2: error: this stands beneath no server; write [[server]] on a line above"],
    ),
    (
        "[[server]]\n[server.location.\"/\"]\n[server.location.\"/\"]",
        &["3:1: error: this server has two locations \"/\"; a new server begins with [[server]]"],
    ),
    ("[[servers]]\nlisten = 80", &["1:3: error: unknown key `servers`; did you mean [[server]]?"]),
    ("[upstreams.app]", &["1:2: error: unknown key `upstreams`; did you mean [upstream.app]?"]),
    ("[upstream.a]\n[upstream.a]", &["2:1: error: there are two groups named `a`"]),
    ("[upstream]\nserver = [\"a:1\"]", &["1:1: error: a group needs a name; write [upstream.backend]"]),
    (
        "[[upstream]]\nname = \"x\"",
        &["1:1: error: a group's heading has one pair of brackets and its name; write [upstream.backend]"],
    ),
    ("[upstream.my.app]", &["1:14: error: a name with a dot needs quotes; write [upstream.\"my.app\"]"]),
    ("[upstream my_app]", &["1:1: error: this heading is malformed; write [upstream.my_app]"]),
    ("[[server]", &["1:1: error: this heading is malformed; write [[server]]"]),
    ("[server]]", &["1:1: error: this heading is malformed; write [[server]]"]),
    (
        "[[server]] listen = 80",
        &["1:1: error: a heading stands on a line of its own; write `listen = 80` on the next one"],
    ),
    ("[server.location./app]", &["1:1: error: this heading is malformed; write [server.location.\"/app\"]"]),
    ("[server.location \"/\"]", &["1:1: error: this heading is malformed; write [server.location.\"/\"]"]),
    ("[location /app]", &["1:1: error: this heading is malformed; write [server.location.\"/app\"]"]),
    ("[location.\"/\"]", &["1:2: error: `location` belongs in [[server]]"]),
    ("[[server]]\nlocation = \"/\"", &["2:12: error: a location is a section; write [server.location.\"/\"]"]),
    (
        "[[server]]\nlocation.\"/\" = \"http://a\"",
        &[
            "2:16: error: a location is a section; write [server.location.\"/\"] and beneath it proxy_pass = \"http://a\"",
        ],
    ),
    (
        "[[server]]\n[server.location]\nproxy_pass = \"http://a\"",
        &["2:1: error: `proxy_pass` stands beneath no path; write [server.location.\"/\"]"],
    ),
    (
        "[[server]]\n[[server.location]]\npath = \"/\"",
        &["2:1: error: a location's heading has one pair of brackets and its path; write [server.location.\"/\"]"],
    ),
    (
        "[[server]]\n[server.location.\"/\".\"/x\"]",
        &["2:22: error: a location within a location is not supported yet; write both beneath their [[server]]"],
    ),
];

const KEYS: &[Row] = &[
    (
        "[upstream.a]\nservers = \"a:1\"\nbalanse = \"least_conn\"",
        &[
            "2:1: error: unknown key `servers`; did you mean `server`?",
            "3:1: error: unknown key `balanse`; did you mean `balance`?",
        ],
    ),
    (
        "[[server]]\nserver-name = \"a\"\nserver_names = \"a\"\nlisten_on = 1\nport = 80",
        &[
            "2:1: error: unknown key `server-name`; did you mean `server_name`?",
            "5:1: error: unknown key `port`; known here: `listen`, `server_name`, `location`, `client_header_timeout`, \
             `keepalive_timeout`, `keepalive_requests`, `client_max_body_size`, `client_body_timeout`, `send_timeout`, \
             `proxy_connect_timeout`, `proxy_first_byte_timeout`, `proxy_read_timeout`, `proxy_send_timeout`, \
             `proxy_tunnel_timeout`",
            "4:1: error: unknown key `listen_on`; did you mean `listen`?",
            "3:1: error: unknown key `server_names`; did you mean `server_name`?",
        ],
    ),
    (
        "[[server]]\n[server.location.\"/\"]\nproxypass = \"x\"",
        &["3:1: error: unknown key `proxypass`; did you mean `proxy_pass`?"],
    ),
    ("[[server]]\nproxy_pass = \"http://a\"", &["2:1: error: `proxy_pass` belongs in [server.location.\"/\"]"]),
    (
        "[[server]]\nproxypas = 1",
        &["2:1: error: unknown key `proxypas`; did you mean `proxy_pass`, in [server.location.\"/\"]?"],
    ),
    ("[[server]]\nworkers = 4", &["2:1: error: `workers` belongs at the top of the file, above the first section"]),
    ("[[server]]\nkeepalive = 4", &["2:1: error: `keepalive` belongs in [upstream.NAME]"]),
    ("[upstream.a]\nproxy_read_timeout = \"5s\"", &["2:1: error: `proxy_read_timeout` belongs in [[server]]"]),
    (
        "server = [\"127.0.0.1:1\"]",
        &["1:11: error: the servers of a group stand beneath its heading; write [upstream.backend] on a line above"],
    ),
    (
        "[upstream.a]\nserver = [{ adress = \"a:1\" }, { address = \"a:1\", wieght = 3 }]",
        &[
            "2:13: error: unknown key `adress`; did you mean `address`?",
            "2:50: error: unknown key `wieght`; did you mean `weight`?",
        ],
    ),
    (
        "worker_processes = 4",
        &["1:1: error: nginx's `worker_processes` is called `workers` here: write workers = \"auto\""],
    ),
    (
        "[[server]]\nssl_certificate = \"x\"\nroot = \"/srv\"",
        &[
            "2:1: error: nginx's `ssl_certificate` is not supported yet: this version speaks no TLS",
            "3:1: error: nginx's `root` is not supported yet: this version serves no files",
        ],
    ),
    (
        "[upstream.a]\nleast_conn = true",
        &["2:1: error: nginx's `least_conn` is a method: write balance = \"least_conn\""],
    ),
    ("[http]\ngzip = true", &["1:2: error: nginx's `http` is not needed: write its contents at the top level"]),
    ("workers = true", &["1:11: error: `workers` cannot be a boolean; write workers = 4"]),
    ("workers = [4]", &["1:11: error: `workers` has one value, not a list; write workers = 4"]),
    ("[workers]\na = 1", &["1:1: error: `workers` has a value, not a section; write workers = 4"]),
    ("send_timeout = 1.5", &["1:16: error: `send_timeout` cannot be a float; write send_timeout = \"60s\""]),
    ("include = [[\"a\"]]", &["1:12: error: a list within a list; write include = [\"conf.d/*.toml\"]"]),
    (
        "[upstream.a]\nserver = [1.5]",
        &["2:11: error: `server` cannot be a float; write server = [\"127.0.0.1:8000\", \"127.0.0.1:8001\"]"],
    ),
];

const NGINX: &[Row] = &[
    ("server {\n listen 80;\n}", &["1:1: error: this is nginx's syntax, but the file is TOML; write [[server]]"]),
    (
        "# group\nupstream web {\n  server 10.0.0.1:80;\n}",
        &["2:1: error: this is nginx's syntax, but the file is TOML; write [upstream.web]"],
    ),
    (
        "  location /app/ {",
        &["1:3: error: this is nginx's syntax, but the file is TOML; write [server.location.\"/app/\"]"],
    ),
    (
        "location / { proxy_pass http://a; }",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write [server.location.\"/\"]"],
    ),
    (
        "location = /x {",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write [server.location.\"/\"]; \
           only plain prefixes are supported yet"],
    ),
    (
        "http {",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; `http` is not needed: write its contents at the top level",
        ],
    ),
    (
        "events { worker_connections 768; }",
        &["1:1: error: this is nginx's syntax, but the file is TOML; `events` is not needed: leave the block out"],
    ),
    (
        "[[server]]\nlisten = 80\n}",
        &[
            "3:1: error: this is nginx's syntax, but the file is TOML; leave the brace out: a section ends where the next one begins",
        ],
    ),
    ("listen 80;", &["1:1: error: this is nginx's syntax, but the file is TOML; write listen = 80"]),
    ("listen 80", &["1:1: error: `=` is missing; write listen = 80"]),
    (
        "server_name a.org www.a.org; # names",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write server_name = [\"a.org\", \"www.a.org\"]"],
    ),
    (
        "server 10.0.0.1:80 weight=2;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write server = \"10.0.0.1:80 weight=2\""],
    ),
    (
        "least_conn;",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; `least_conn` is a method: write balance = \"least_conn\"",
        ],
    ),
    (
        "user www-data;",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; `user` is not needed: start ringgate as the user it shall be",
        ],
    ),
    (
        "worker_processes auto;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; `worker_processes` is called `workers` here: \
           write workers = \"auto\""],
    ),
    (
        "ssl_protocols TLSv1.3;",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; `ssl_protocols` is not supported yet: this version speaks no TLS",
        ],
    ),
];

const TCP: &[Row] = &[
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
            "3:1: error: `server_name` belongs in [[server]]",
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
    (
        "\"5432 default_server\"",
        &[
            "4:10: error: `default_server` is for [[server]] only: a tcp listener has nothing to choose from; leave it out",
        ],
    ),
    ("\"5432 udp\"", &["4:10: error: `udp` is not supported yet"]),
    ("\"5432 ssl\"", &["4:10: error: `ssl` is not supported yet; a tcp listener passes TLS on as it is"]),
    (
        "\"5432 backlog=9\"",
        &["4:10: error: unknown word `backlog=9` in \"5432 backlog=9\"; nothing can stand behind the address"],
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
        &["5:14: error: a tcp listener passes bytes on and speaks no `https`; write \"unix:/run/a.sock\""],
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
        "\"nowhere:1\"",
        &["5:14: error: there is no group [upstream.nowhere], and the host `nowhere` cannot be found: no such name"],
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
];

/// `[upstream.backend]` on line 1, `[[server]]` on line 3, `[server.location."/"]` on line 5: rows change one line.
fn site(group: &str, server: &str, location: &str) -> String {
    format!("[upstream.backend]\n{group}\n[[server]]\n{server}\n[server.location.\"/\"]\n{location}\n")
}

const GROUP: &str = "server = [\"127.0.0.1:3001\", \"127.0.0.1:3002\"]";
const SERVER: &str = "listen = 8080";
const LOCATION: &str = "proxy_pass = \"http://backend\"";

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
    ("listen = \"443 ssl\"", &["4:10: error: `ssl` is not supported yet; this version speaks plain HTTP/1.1"]),
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
        "listen = 80\nserver_name = \"*.a.org\"",
        &["5:15: error: wildcards in `server_name` are not supported yet; list the names"],
    ),
    (
        "listen = 80\nserver_name = \"~^www\"",
        &["5:15: error: regular expressions in `server_name` are not supported yet; list the names"],
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
        "proxy_pass = \"https://backend/x\"",
        &["6:14: error: https to backends is not supported yet; write \"http://backend\""],
    ),
    (
        "proxy_pass = \"http://backend/\"",
        &["6:14: error: the path \"/\" behind the address is not supported yet; write \"http://backend\": \
           requests keep their own path"],
    ),
    (
        "proxy_pass = \"http://unix:/run/a.sock:/x\"",
        &["6:14: error: the path \"/x\" behind the address is not supported yet; write \"http://unix:/run/a.sock\": \
           requests keep their own path"],
    ),
    (
        "proxy_pass = \"http://backend:3000\"",
        &["6:14: error: `backend` is a group, whose servers have ports of their own; leave out \":3000\""],
    ),
    ("proxy_pass = \"http://127.0.0.1:70000\"", &["6:14: error: port 70000 is out of range; ports go from 1 to 65535"]),
    (
        "proxy_pass = \"http://$host\"",
        &["6:14: error: variables in `proxy_pass` are not supported yet; name a group or an address"],
    ),
    (
        "proxy_pass = \"http://shop\"",
        &["6:14: error: there is no group [upstream.shop], and the host `shop` cannot be found: no such name"],
    ),
    ("send_timeout = \"5s\"", &["5:18: error: this location has no `proxy_pass`: it could answer nothing"]),
];

const WHOLE: &[Row] = &[
    ("", &["1:1: error: there is no [[server]] and no [[tcp]] section: nothing would listen"]),
    ("[[server]]\nlisten = 80", &["1:1: error: this server has no location: it could answer nothing"]),
    (
        "[[server]]\nlocation.\"app\".proxy_pass = \"http://127.0.0.1:1\"",
        &["2:10: error: a location begins with a slash; write [server.location.\"/app\"]"],
    ),
    (
        "[[server]]\nlocation.\"~ \\\\.php$\".proxy_pass = \"http://127.0.0.1:1\"",
        &["2:10: error: only plain prefixes such as \"/app/\" are supported yet, not `=`, `~`, `^~` or `@`"],
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

fn assert_rows(rows: &[Row], whole: impl Fn(&str) -> String) {
    for (text, expected) in rows {
        let mut expected: Vec<String> = expected.iter().map(|error| format!("f:{error}")).collect();
        expected.sort_by_key(|error| error.split(':').nth(1).and_then(|line| line.parse::<usize>().ok()));
        assert_eq!(errors(&whole(text)), expected, "for\n{}", whole(text));
    }
}

#[test]
fn slips_of_form() {
    for rows in [QUOTES, TOML, HEADINGS, KEYS, NGINX, TCP, WHOLE] {
        assert_rows(rows, str::to_string);
    }
}

#[test]
fn slips_of_meaning() {
    assert!(errors(&site(GROUP, SERVER, LOCATION)).is_empty());
    assert_rows(VALUES_OF_A_GROUP, |text| site(text, SERVER, LOCATION));
    assert_rows(VALUES_OF_A_SERVER, |text| site(GROUP, text, LOCATION));
    assert_rows(VALUES_OF_A_LOCATION, |text| site(GROUP, SERVER, text));
    assert!(errors(&tcp_site("listen = 5432\nproxy_pass = \"backend\"")).is_empty());
    assert_rows(VALUES_OF_A_TCP_LISTEN, |text| tcp_site(&format!("listen = {text}\nproxy_pass = \"backend\"")));
    assert_rows(VALUES_OF_A_TCP_SECTION, |text| tcp_site(&format!("listen = 5432\nproxy_pass = {text}")));
}

#[test]
fn an_error_shows_its_line() {
    let text = site(GROUP, SERVER, "\tproxy_pass = \"http://bakcend\" # über");
    assert_eq!(
        load(&text).unwrap_err().to_string(),
        "f:6:15: error: there is no group or host `bakcend`; did you mean `backend`?\n\
         \x20 |\n\
         6 |     proxy_pass = \"http://bakcend\" # über\n\
         \x20 |                  ^^^^^^^^^^^^^^^^"
    );
    let columns = errors("server_name = [\"ü\", true]");
    assert_eq!(columns, ["f:1:1: error: `server_name` belongs in [[server]]"]);
    let columns = errors("[[server]]\nserver_name = [\"üü\", true]");
    assert!(columns[0].starts_with("f:2:22: "), "columns are characters: {columns:?}");
}

#[test]
fn a_second_place_is_shown_and_terminals_are_safe() {
    let text = site(GROUP, "listen = [\"80\",\n \"*:80\"]", LOCATION);
    let shown = load(&text).unwrap_err().to_string();
    assert!(shown.contains("---- the same address"), "{shown}");
    let shown = load("[[server]]\n\"evil\\u001b[31m\" = 1\n").unwrap_err().to_string();
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

/// Whatever stands in the file, the answer is a plan or errors.
#[test]
fn no_text_makes_it_panic() {
    let good = site(GROUP, "listen = [\"80\", \"[::]:80\"]\nserver_name = \"a\"", LOCATION);
    let strange =
        ['"', '\'', '[', ']', '{', '}', '=', ';', '\n', '\r', '\0', '\u{1b}', 'ü', '“', '#', '.', ' ', '/', ':', '%'];
    for at in 0..good.len() {
        let _ = load(&good[..at]);
        let _ = load(&good[at..]);
        for c in strange {
            let _ = load(&format!("{}{c}{}", &good[..at], &good[at..]));
            let _ = load(&format!("{}{c}{}", &good[..at], &good[at + 1..]));
        }
    }
    for rows in [QUOTES, TOML, HEADINGS, KEYS, NGINX, TCP, WHOLE] {
        for (text, _) in rows {
            for (at, c) in text.char_indices() {
                let _ = load(&text[..at]);
                let _ = load(&format!("{}{}", &text[..at], &text[at + c.len_utf8()..]));
            }
        }
    }
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
    let read: Vec<_> = first.locations.iter().map(|l| (&*l.prefix, l.proxy_read_timeout.as_secs())).collect();
    assert_eq!(read, [("/a/b", 20), ("/a", 30), ("/", 20)]);
    let first_byte: Vec<_> = first.locations.iter().map(|l| l.proxy_first_byte_timeout.as_millis()).collect();
    assert_eq!(first_byte, [500, 30_000, 20_000]);
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
            Service::Http(http) => (format!("{:?}", l.address), http.servers.clone(), http.default_server, l.optional),
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
    assert_eq!(plan.server_for(0, "a.org").names, ["a.org"]);
    assert_eq!(plan.server_for(0, "c.org").names, ["b.org"]);
    assert_eq!(plan.server_for(0, "").names, ["_", ""]);
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
    let row = |l: &super::plan::Listener| match &l.service {
        Service::Tcp(tcp) => (
            format!("{:?}", l.address),
            l.optional,
            plan.upstreams[tcp.upstream].name.clone(),
            tcp.proxy_connect_timeout.as_secs(),
            tcp.idle_timeout.map(|timeout| timeout.as_secs()),
        ),
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
    assert!(shown.contains("5 | proxy_pass = \"db\"") && shown.contains("this leads to it"), "{shown}");
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

/// Files in a directory of their own.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Files(directory)
    }

    fn load(&self) -> Result<Loaded, Errors> {
        load_file(&self.0.path().join("main.toml"))
    }

    fn errors(&self) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        let errors = self.load().unwrap_err();
        errors.iter().map(|error| error.lines().next().unwrap().replace(&directory, "")).collect()
    }
}

const ONE_SERVER: &str = "[[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n";

#[test]
fn included_files_are_part_of_the_whole() {
    let files = Files::new(&[
        (
            "main.toml",
            &format!("include = [\"a.d/*.toml\", \"none/*.toml\", \"b.toml\"]\nerror_log = \"log\"\n{ONE_SERVER}"),
        ),
        ("a.d/2.toml", "[[server]]\nserver_name = \"two\"\nlocation.\"/\".proxy_pass = \"http://group\"\n"),
        (
            "a.d/1.toml",
            "include = \"deep/x.toml\"\n[[server]]\nserver_name = \"one\"\nlocation.\"/\".proxy_pass = \"http://group\"\n",
        ),
        ("a.d/deep/x.toml", "send_timeout = 5\n[upstream.group]\nserver = \"127.0.0.1:9\"\n"),
        ("a.d/.hidden.toml", "nonsense"),
        ("a.d/sub.toml/x", ""),
        ("b.toml", "[[server]]\nserver_name = \"three\"\nlocation.\"/\".proxy_pass = \"http://group\"\n"),
    ]);
    let loaded = files.load().unwrap();
    let names: Vec<_> = loaded.plan.servers.iter().flat_map(|server| &server.names).collect();
    assert_eq!(names, ["one", "two", "three"], "the main file's own server is the first");
    assert!(loaded.plan.servers[0].names.is_empty());
    assert_eq!(loaded.plan.servers[0].locations[0].send_timeout, Duration::from_secs(5));
    assert_eq!(loaded.plan.error_log, Some(files.0.path().join("log")));
    assert_eq!(loaded.files.len(), 5);
}

#[test]
fn errors_in_included_files_name_them() {
    let main = format!("include = \"*.d/*.toml\"\n{ONE_SERVER}");
    let files = Files::new(&[
        ("main.toml", &main),
        ("x.d/a.toml", "workers = 2\n[upstream.g]\nserver = \"127.0.0.1:99999\"\n"),
        ("x.d/b.toml", "send_timeout = 5\n[upstream.g]\nserver = \"127.0.0.1:1\"\n"),
        ("x.d/c.toml", "send_timeout = 6\n"),
    ]);
    assert_eq!(
        files.errors(),
        [
            "x.d/a.toml:1:11: error: `workers` concerns the whole process; it belongs in the main file",
            "x.d/a.toml:3:10: error: port 99999 is out of range; ports go from 1 to 65535",
            "x.d/b.toml:2:11: error: there are two groups named `g`",
            "x.d/c.toml:1:16: error: `send_timeout` is already set for all servers",
        ]
    );
    assert!(files.load().unwrap_err().to_string().contains("x.d/a.toml:2:11"), "the other group's place is shown");

    let files = Files::new(&[("main.toml", &main), ("x.d/a.toml", "listen 80;"), ("x.d/b.toml", "a = b")]);
    assert_eq!(
        files.errors(),
        [
            "x.d/a.toml:1:1: error: this is nginx's syntax, but the file is TOML; write listen = 80",
            "x.d/b.toml:1:5: error: quotes are missing; write a = \"b\"",
        ]
    );
}

#[test]
fn includes_that_lead_nowhere() {
    for (include, expected) in [
        ("\"none.toml\"", "main.toml:1:11: error: `none.toml`: there is no such file"),
        ("[\"x.d\"]", "main.toml:1:12: error: `x.d` is a directory; write \"x.d/*.toml\""),
        ("\"\"", "main.toml:1:11: error: write a path or a pattern, such as \"conf.d/*.toml\""),
        ("\"a***b\"", "main.toml:1:11: error: \"a***b\" is not a pattern: "),
        ("\"*.toml\"", "main.toml:1:11: error: `main.toml` is this file itself; an include cannot go in circles"),
        (
            "\"x.d/round.toml\"",
            "x.d/round.toml:1:12: error: `x.d/../main.toml` is a file that includes this one; an include cannot go in circles",
        ),
        (
            "[\"x.d/good.toml\", \"x.d/g*.toml\"]",
            "main.toml:1:29: error: `x.d/good.toml` is included twice; leave one of them out",
        ),
        ("\"x.d/latin\"", "main.toml:1:11: error: `x.d/latin`: line 2 is not UTF-8 text; save the file as UTF-8"),
    ] {
        let files = Files::new(&[
            ("main.toml", &format!("include = {include}\n{ONE_SERVER}")),
            ("x.d/round.toml", "include = [\"../main.toml\"]"),
            ("x.d/good.toml", ""),
        ]);
        std::fs::write(files.0.path().join("x.d/latin"), b"# fine\n# \xfc\n").unwrap();
        let errors = files.errors();
        assert!(errors.len() == 1 && errors[0].starts_with(expected), "{include}: {errors:?}");
    }
}

#[test]
fn the_number_of_files_is_bounded() {
    let files = Files::new(&[("main.toml", "include = \"d/*\"")]);
    std::fs::create_dir(files.0.path().join("d")).unwrap();
    for number in 0..limits::INCLUDES_MAX + 5 {
        std::fs::write(files.0.path().join(format!("d/{number}")), "").unwrap();
    }
    assert_eq!(files.errors(), ["main.toml:1:11: error: more than 1000 included files"]);

    // So is the length of a chain.
    let chain = |length: usize| {
        let next = |number: usize| format!("include = \"{}\"", number + 1);
        let files = Files::new(&[("main.toml", &next(0)), (&length.to_string(), ONE_SERVER)]);
        for number in 1..length {
            std::fs::write(files.0.path().join(number.to_string()), next(number)).unwrap();
        }
        files
    };
    let most = limits::INCLUDE_DEPTH_MAX;
    assert_eq!(chain(most).load().unwrap().files.len(), most + 1);
    assert_eq!(chain(most + 1).errors(), ["16:1:11: error: includes are nested more than 16 deep"]);
}

#[test]
fn depth_is_no_danger() {
    let _ = load(&format!("a = {}", "[".repeat(100_000)));
    let _ = load(&format!("a = {}", "{a=".repeat(100_000)));
    let _ = load(&format!("a{} = 1", ".a".repeat(100_000)));
    let _ = load(&format!("[a{}]", ".a".repeat(100_000)));
}

#[test]
fn a_directory_with_the_name_of_a_pattern_is_no_pattern() {
    let files = Files::new(&[
        ("[ab]/main.toml", "include = \"c.d/*\"\n"),
        ("[ab]/c.d/one.toml", ONE_SERVER),
        ("a/c.d/wrong.toml", "wrong"),
    ]);
    let loaded = load_file(&files.0.path().join("[ab]/main.toml")).unwrap();
    assert_eq!(loaded.plan.servers.len(), 1);
}

#[test]
fn a_byte_order_mark_and_crlf_are_fine() {
    let text = format!("\u{feff}workers = 2\r\n{}", ONE_SERVER.replace('\n', "\r\n"));
    assert_eq!(plan(&text).workers, Some(2));
    assert!(errors("\u{feff}wrkers = 0")[0].starts_with("f:1:1: "), "the mark is no column");
}
