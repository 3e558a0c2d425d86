//! Slips of form: quotes, brackets, headings, names of keys, nginx's syntax.

use super::*;

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
        &[
            "2:22: error: a location within a location stands beneath `location`; write [server.location.\"/\".location.\"/x\"]",
        ],
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
            "5:1: error: unknown key `port`; known here: `listen`, `server_name`, `hsts`, `acme_webroot`, `rewrite`, `return`, `try_files`, \
             `location`, `client_...`, `keepalive_...`, `send_timeout`, `proxy_...`, `ssl_...`, `proxy_ssl_...`, \
             `recursive_error_pages`, `error_page`, `add_header`, `expires`, `root`, `index`, `autoindex...`, `types`, \
             `default_type`, `etag`, `if_modified_since`, `max_ranges`, `symlinks`, `open_file_cache...`, `gzip...`, \
             `brotli...`, `zstd...`, `log_not_found`, `absolute_redirect`, `port_in_redirect`, `server_name_in_redirect`, \
             `server_tokens`, `access`, `satisfy`, `auth_...`, `limit_...`, `access_log`, `http2`, `set_real_ip_from`",
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
        "[[server]]\nssl = \"on\"\nssl_conf_command = \"x\"\nroot = \"/srv\"\nssl_certifcate = \"x\"\nhttp3 = \"on\"",
        &[
            "2:1: error: nginx's `ssl` is a word of `listen`: write listen = \"443 ssl\"",
            "3:1: error: nginx's `ssl_conf_command` has no answer here: leave it out",
            "5:1: error: unknown key `ssl_certifcate`; did you mean `ssl_certificate`?",
            "6:1: error: nginx's `http3` is not supported yet: HTTP/1.1 is spoken for now",
        ],
    ),
    (
        "[upstream.a]\nleast_conn = true",
        &["2:1: error: nginx's `least_conn` is a method: write balance = \"least_conn\""],
    ),
    (
        "[upstream.a]\nhash = \"$request_uri consistent\"",
        &["2:1: error: nginx's `hash` is a method: write balance = \"hash $request_uri consistent\""],
    ),
    (
        "[upstream.a]\nrandom = \"two least_conn\"\nip_hash = \"\"",
        &[
            "3:1: error: nginx's `ip_hash` is a method: write balance = \"ip_hash\"",
            "2:1: error: nginx's `random` is a method: write balance = \"random two least_conn\"",
        ],
    ),
    (
        "[upstream.a]\nmax_fails = 3\nslow_start = \"30s\"\nbackup = \"on\"\naddress = \"a:1\"",
        &[
            "5:1: error: `address` belongs in { address = \"127.0.0.1:8000\", weight = 2 }",
            "4:1: error: `backup` belongs to each server: write server = [\"127.0.0.1:8000 backup\"]",
            "2:1: error: `max_fails` belongs to each server: write server = [\"127.0.0.1:8000 max_fails=3\"]",
            "3:1: error: `slow_start` belongs to each server: write server = [\"127.0.0.1:8000 slow_start=30s\"]",
        ],
    ),
    (
        "[upstream.a]\nzone = \"a 64k\"\nsticky_cookie_insert = \"x\"\nstate = \"/x\"",
        &[
            "2:1: error: nginx's `zone` is not needed: the workers share their counters",
            "3:1: error: nginx's `sticky_cookie_insert` is called `sticky` here: write sticky = \"cookie route\"",
            "4:1: error: nginx's `state` is not supported: servers stand in the file",
        ],
    ),
    (
        "[upstream.a]\nserver = { address = \"a:1\", backup = true, slowstart = \"5s\" }\nfail_open = true",
        &[
            "2:38: error: `backup` cannot be a boolean; write backup = \"on\"",
            "2:44: error: unknown key `slowstart`; did you mean `slow_start`?",
            "3:13: error: `fail_open` cannot be a boolean; write fail_open = \"on\"",
        ],
    ),
    (
        "[upstream.a]\nhealth_check = \"uri=/x interval=5s fails=3 passes=2 mandatory\"",
        &["2:16: error: a health check is a section; write [upstream.NAME.health_check] and beneath it uri = \"/x\", \
           interval = \"5s\", fall = 3, rise = 2"],
    ),
    (
        "[upstream.a]\nhealth_check = true\ncheck = \"interval=3000 rise=2 fall=5 timeout=1000 type=http\"",
        &[
            "3:1: error: nginx's `check` is a section here: write [upstream.NAME.health_check] and beneath it \
             interval = \"3000ms\", rise = 2, fall = 5, timeout = \"1000ms\", type = \"http\"",
            "2:16: error: a health check is a section; write [upstream.NAME.health_check] and beneath it type = \"tcp\", \
             or uri = \"/health\"",
        ],
    ),
    (
        "[[upstream.a.health_check]]\nuri = \"/\"",
        &["1:1: error: a health check's heading has one pair of brackets; write [upstream.NAME.health_check]"],
    ),
    (
        "[upstream.a.healthcheck]\nuri = \"/\"",
        &["1:13: error: unknown key `healthcheck`; did you mean [upstream.a.health_check]?"],
    ),
    (
        "[upstream.a]\ninterval = \"5s\"\nuris = \"/\"",
        &[
            "2:1: error: `interval` belongs in [upstream.NAME.health_check]",
            "3:1: error: unknown key `uris`; did you mean `uri`, in [upstream.NAME.health_check]?",
        ],
    ),
    (
        "[upstream.a.health_check]\nfails = 3\nmatch = \"ok\"\nintervall = 5\nuri = [\"/\"]",
        &[
            "2:1: error: nginx's `fails` is called `fall` here: write fall = 3",
            "4:1: error: unknown key `intervall`; did you mean `interval`?",
            "3:1: error: nginx's `match` is not needed: write `status` and `body` in [upstream.NAME.health_check]",
            "5:7: error: `uri` has one value, not a list; write uri = \"/health\"",
        ],
    ),
    ("[[server]]\nhealth_check = \"uri=/\"", &["2:1: error: `health_check` belongs in [upstream.NAME]"]),
    ("[http]\ngzip = true", &["1:2: error: nginx's `http` is not needed: write its contents at the top level"]),
    // What was meant goes into the advice, whatever the example says.
    (
        "handover = true\nssl_reject_handshake = false\nssl_prefer_server_ciphers = true\nproxy_ssl_verify = false",
        &[
            "1:12: error: `handover` cannot be a boolean; write handover = \"on\"",
            "2:24: error: `ssl_reject_handshake` cannot be a boolean; write ssl_reject_handshake = \"off\"",
            "3:29: error: `ssl_prefer_server_ciphers` cannot be a boolean; write ssl_prefer_server_ciphers = \"on\"",
            "4:20: error: `proxy_ssl_verify` cannot be a boolean; write proxy_ssl_verify = \"off\"",
        ],
    ),
    (
        "[[tcp]]\nssl_preread = true\nproxy_ssl = false\nproxy_next_upstream = true\nproxy_timeout = false",
        &[
            "2:15: error: `ssl_preread` cannot be a boolean; write ssl_preread = \"on\"",
            "3:13: error: `proxy_ssl` cannot be a boolean; write proxy_ssl = \"off\"",
            "4:23: error: `proxy_next_upstream` cannot be a boolean; write proxy_next_upstream = \"on\"",
            "5:17: error: `proxy_timeout` cannot be a boolean; write proxy_timeout = \"10m\"",
        ],
    ),
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
        &["1:1: error: this is nginx's syntax, but the file is TOML; write [server.location.\"= /x\"]"],
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
        "ip_hash;",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; `ip_hash` is a method: write balance = \"ip_hash\"",
        ],
    ),
    (
        "hash $request_uri consistent;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; `hash` is a method: \
           write balance = \"hash $request_uri consistent\""],
    ),
    (
        "max_fails 3;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; `max_fails` belongs to each server: \
           write server = [\"127.0.0.1:8000 max_fails=3\"]"],
    ),
    (
        "server 10.0.0.1:80 backup max_fails=3 fail_timeout=5s;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; \
           write server = \"10.0.0.1:80 backup max_fails=3 fail_timeout=5s\""],
    ),
    (
        "zone backend 64k;",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; `zone` is not needed: the workers share their counters",
        ],
    ),
    (
        "sticky cookie srv_id expires=1h;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write sticky = \"cookie srv_id expires=1h\""],
    ),
    (
        "queue 100 timeout=70s;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write queue = 100 and queue_timeout = \"70s\""],
    ),
    (
        "health_check uri=/x interval=5s;",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; write [upstream.NAME.health_check] and beneath it \
           uri = \"/x\", interval = \"5s\"",
        ],
    ),
    (
        "check interval=3000 type=tcp;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; `check` is a section here: \
           write [upstream.NAME.health_check] and beneath it interval = \"3000ms\", type = \"tcp\""],
    ),
    (
        "match ok {",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; `match` is not needed: write `status` and `body` in \
           [upstream.NAME.health_check]",
        ],
    ),
    (
        "proxy_next_upstream error timeout http_503;",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; write proxy_next_upstream = \"error timeout http_503\"",
        ],
    ),
    (
        "proxy_next_upstream_tries 2;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write proxy_next_upstream_tries = 2"],
    ),
    (
        "resolver 8.8.8.8 valid=10s ipv6=off;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write resolver = \"8.8.8.8 valid=10s\""],
    ),
    (
        "set_real_ip_from 10.0.0.0/8;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write set_real_ip_from = \"10.0.0.0/8\""],
    ),
    (
        "real_ip_header X-Forwarded-For;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; `real_ip_header` is not needed: of the peers in \
           `set_real_ip_from` the PROXY protocol's header is believed, and X-Forwarded-For"],
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
        "ssl_protocols TLSv1.2 TLSv1.3;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write ssl_protocols = \"TLSv1.2 TLSv1.3\""],
    ),
    (
        "listen 443 ssl http2;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write listen = \"443 ssl http2\""],
    ),
    (
        "ssl_certificate /etc/letsencrypt/live/a/fullchain.pem;",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; write ssl_certificate = \"/etc/letsencrypt/live/a/fullchain.pem\"",
        ],
    ),
    (
        "return 301 https://$host$request_uri;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write return = \"301 https://$host$request_uri\""],
    ),
    (
        "return 200 \"all is well\";",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write return = \"200 all is well\""],
    ),
    (
        "proxy_set_header X-Client-DN \"$ssl_client_s_dn\";",
        &["1:1: error: this is nginx's syntax, but the file is TOML; \
           write proxy_set_header = [\"X-Client-DN $ssl_client_s_dn\"]"],
    ),
    (
        "proxy_set_header Accept-Encoding \"\";",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; write proxy_set_header = [\"Accept-Encoding ''\"]",
        ],
    ),
    (
        "add_header Strict-Transport-Security \"max-age=63072000\" always;",
        &["1:1: error: this is nginx's syntax, but the file is TOML; write hsts = \"max-age=63072000\""],
    ),
    (
        "ssl on;",
        &[
            "1:1: error: this is nginx's syntax, but the file is TOML; `ssl` is a word of `listen`: write listen = \"443 ssl\"",
        ],
    ),
];

#[test]
fn slips_of_form() {
    for rows in [QUOTES, TOML, HEADINGS, KEYS, NGINX] {
        assert_rows(rows, str::to_string);
    }
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
    for rows in [QUOTES, TOML, HEADINGS, KEYS, NGINX, tcp::TCP, servers::WHOLE] {
        for (text, _) in rows {
            for (at, c) in text.char_indices() {
                let _ = load(&text[..at]);
                let _ = load(&format!("{}{}", &text[..at], &text[at + c.len_utf8()..]));
            }
        }
    }
}

#[test]
fn depth_is_no_danger() {
    let _ = load(&format!("a = {}", "[".repeat(100_000)));
    let _ = load(&format!("a = {}", "{a=".repeat(100_000)));
    let _ = load(&format!("a{} = 1", ".a".repeat(100_000)));
    let _ = load(&format!("[a{}]", ".a".repeat(100_000)));
}

#[test]
fn a_byte_order_mark_and_crlf_are_fine() {
    let text = format!("\u{feff}workers = 2\r\n{}", ONE_SERVER.replace('\n', "\r\n"));
    assert_eq!(plan(&text).workers, Some(2));
    assert!(errors("\u{feff}wrkers = 0")[0].starts_with("f:1:1: "), "the mark is no column");
}
