//! Directive by directive.

use super::{keys, mistakes};

/// In `http`: the lines at the top.
#[test]
fn what_stands_in_http() {
    let rows: [(&str, &[&str]); 27] = [
        ("client_max_body_size 50m;", &["client_max_body_size = \"50m\""]),
        ("keepalive_timeout 65;", &["keepalive_timeout = 65"]),
        ("keepalive_timeout 75s 60s;", &["keepalive_timeout = \"75s\""]),
        (
            "gzip ON; gzip_types text/css application/json;",
            &["gzip = \"on\"", "gzip_types = \"text/css application/json\""],
        ),
        ("index a.html b.html;", &["index = \"a.html b.html\""]),
        ("index a; index b c;", &["index = \"a b c\""]),
        ("gzip_types a/b; gzip_types c/d;", &["gzip_types = \"a/b c/d\""]),
        ("ssl_protocols TLSv1.2; ssl_protocols TLSv1.3;", &["ssl_protocols = \"TLSv1.2 TLSv1.3\""]),
        ("proxy_next_upstream error; proxy_next_upstream timeout;", &["proxy_next_upstream = \"error timeout\""]),
        ("auth_basic Off; gzip_static OFF;", &["auth_basic = \"Off\"", "gzip_static = \"off\""]),
        ("error_page 497 404 /a;", &["error_page = [\"404 /a\"]"]),
        ("log_format json '$host';", &["[log_format]", "json = \"$host\""]),
        ("root html;", &["root = \"/p/html\""]),
        ("root /srv/www;", &["root = \"/srv/www\""]),
        ("root $where/x;", &["root = \"$where/x\""]),
        ("error_log logs/e.log warn;", &["error_log = \"/p/logs/e.log warn\""]),
        ("error_log stderr;", &["error_log = \"stderr\""]),
        ("access_log /l main buffer=32k if=$x;", &["access_log = \"/l main buffer=32k if=$x\""]),
        ("access_log /l; access_log /m j;", &["access_log = [\"/l\", \"/m j\"]"]),
        ("allow 10.0.0.0/8; deny all;", &["access = [\"allow 10.0.0.0/8\", \"deny all\"]"]),
        ("error_page 404 /404.html; error_page 500 =200 @x;", &["error_page = [\"404 /404.html\", \"500 =200 @x\"]"]),
        (
            "limit_conn_zone $binary_remote_addr zone=a:10m;",
            &["limit_conn_zone = [\"$binary_remote_addr zone=a:10m\"]"],
        ),
        ("add_header X-A \"a b\" always; add_header Y $z;", &["add_header = [\"X-A 'a b' always\", \"Y $z\"]"]),
        ("proxy_set_header Host $host;", &["proxy_set_header = [\"Host $host\"]"]),
        ("proxy_set_header X y;", &["proxy_set_header = [\"Host $proxy_host\", \"X y\"]"]),
        ("proxy_set_header Connection ''; sendfile on;", &["proxy_set_header = [\"Host $proxy_host\"]"]),
        (
            "log_format m '$a ' '\"$b\"'; log_format j escape=json '{}';",
            &["[log_format]", "m = '$a \"$b\"'", "j = \"escape=json {}\""],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(keys(&format!("events {{ }} http {{ {text} }}")), expected, "{text}");
    }
}

/// In a location.
#[test]
fn what_stands_in_a_location() {
    let rows: [(&str, &[&str]); 23] = [
        ("return 404;", &["return = \"404\""]),
        ("return 301 https://$host$request_uri;", &["return = \"301 https://$host$request_uri\""]),
        ("return https://a.test/;", &["return = \"https://a.test/\""]),
        ("return 200 'a b';", &["return = \"200 'a b'\""]),
        (
            "rewrite ^/a/(.*)$ /b/$1 last; break;",
            &["rewrite = [", "  \"rewrite ^/a/(.*)$ /b/$1 last\",", "  \"break\",", "]"],
        ),
        ("set $a \"b c\";", &["rewrite = [\"set $a 'b c'\"]"]),
        ("if ($a) { return 403; }", &["rewrite = [\"if ($a) { return 403; }\"]"]),
        ("if ( $a != \"\" ) { break; }", &["rewrite = [\"if ($a != '') { break; }\"]"]),
        (
            "if (!-f $request_filename) { rewrite ^ /x; }",
            &["rewrite = [\"if (!-f $request_filename) { rewrite ^ /x; }\"]"],
        ),
        (
            "if ($a ~* \"x y\") { set $b 1; rewrite ^ /z break; }",
            &["rewrite = [\"if ($a ~* 'x y') { set $b 1; rewrite ^ /z break; }\"]"],
        ),
        ("return 403; set $a 1;", &["return = \"403\""]),
        (
            "proxy_pass http://a; if ($b) { break; } return 403;",
            &["proxy_pass = \"http://a\"", "rewrite = [", "  \"if ($b) { break; }\",", "  \"return 403\",", "]"],
        ),
        ("alias data/;", &["alias = \"/p/data/\""]),
        ("expires modified +24h;", &["expires = \"modified +24h\""]),
        ("try_files $uri $uri/ =404;", &["try_files = \"$uri $uri/ =404\""]),
        ("internal;", &["internal = \"on\""]),
        ("disable_symlinks off;", &["symlinks = \"follow\""]),
        ("proxy_pass http://127.0.0.1:80/;", &["proxy_pass = \"http://127.0.0.1:80/\""]),
        ("proxy_read_timeout 1d;", &["proxy_read_timeout = \"1d\"", "proxy_tunnel_timeout = \"1d\""]),
        ("proxy_redirect off;", &["proxy_redirect = \"off\""]),
        ("proxy_redirect ~^http://a(.*)$ $1;", &["proxy_redirect = [\"~^http://a(.*)$ $1\"]"]),
        ("limit_except GET { deny all; }", &["rewrite = [\"if ($request_method !~ ^(GET|HEAD)$) { return 403; }\"]"]),
        ("types { text/x x y; text/x z; }", &["[server.location.\"/\".types]", "\"text/x\" = \"x y z\""]),
    ];
    for (text, expected) in rows {
        let lines = keys(&format!("server {{ listen 80; location / {{ {text} }} }}"));
        assert_eq!(lines[..3], ["[[server]]", "listen = \"80\"", "[server.location.\"/\"]"], "{text}");
        assert_eq!(lines[3..], *expected, "{text}");
    }
}

#[test]
fn locations_of_every_kind() {
    for (text, heading) in [
        ("/a", "[server.location.\"/a\"]"),
        ("= /a", "[server.location.\"= /a\"]"),
        ("=/a", "[server.location.\"= /a\"]"),
        ("^~ /a/", "[server.location.\"^~ /a/\"]"),
        ("^~/a/", "[server.location.\"^~ /a/\"]"),
        ("~ \\.php$", "[server.location.'~ \\.php$']"),
        ("~\\.php$", "[server.location.'~ \\.php$']"),
        ("~* \"\\.(a|b){2}$\"", "[server.location.'~* \\.(a|b){2}$']"),
        ("@app", "[server.location.\"@app\"]"),
    ] {
        let lines = keys(&format!("server {{ listen 80; location {text} {{ return 404; }} }}"));
        assert_eq!(lines[2], heading, "{text}");
    }
    let nested = keys("server { location /a/ { location /a/b/ { location = /a/b/c { return 404; } } } }");
    assert_eq!(
        nested[2..],
        [
            "[server.location.\"/a/\"]",
            "[server.location.\"/a/\".location.\"/a/b/\"]",
            "[server.location.\"/a/\".location.\"/a/b/\".location.\"= /a/b/c\"]",
            "return = \"404\"",
        ]
    );
}

#[test]
fn listeners() {
    let of = |text: &str| {
        let lines = keys(&format!("server {{ {text} return 404; }}"));
        lines.into_iter().filter(|line| line.starts_with("listen")).collect::<String>()
    };
    for (text, expected) in [
        ("", "listen = \"80\""),
        ("listen 8080;", "listen = \"8080\""),
        ("listen 127.0.0.1;", "listen = \"127.0.0.1\""),
        ("listen 80 default_server reuseport backlog=511 deferred;", "listen = \"80 default_server\""),
        ("listen 80 default;", "listen = \"80 default_server\""),
        ("listen 443 ssl http2;", "listen = \"443 ssl\""),
        ("listen 443; ssl on;", "listen = \"443 ssl\""),
        ("listen 443 quic reuseport; listen 443 ssl;", "listen = \"443 ssl\""),
        ("listen 80; listen [::]:80 ipv6only=on;", "listen = [\"80\", \"[::]:80\"]"),
        ("listen [::]:80 ipv6only=off;", "listen = [\"[::]:80\", \"80\"]"),
        ("listen unix:/run/a.sock proxy_protocol;", "listen = \"unix:/run/a.sock proxy_protocol\""),
    ] {
        assert_eq!(of(text), expected, "{text}");
    }
    // What one server says of an address holds for all.
    let lines = keys("server { listen *:443 ssl; return 404; } server { listen 443; return 404; }");
    assert_eq!(lines.iter().filter(|line| line.contains("ssl")).count(), 2, "{lines:?}");
}

#[test]
fn groups() {
    let of = |text: &str| keys(&format!("upstream a {{ {text} server 127.0.0.1:1; }}"))[1..].to_vec();
    let server = "server = [\"127.0.0.1:1\"]".to_string();
    for (text, expected) in [
        ("least_conn;", "balance = \"least_conn\""),
        ("ip_hash;", "balance = \"ip_hash\""),
        ("hash $request_uri consistent;", "balance = \"hash $request_uri consistent\""),
        ("random two least_conn;", "balance = \"random two least_conn\""),
        ("keepalive 16;", "keepalive = 16"),
        ("keepalive_timeout 30s;", "keepalive_timeout = \"30s\""),
    ] {
        assert_eq!(of(text), [expected.to_string(), server.clone()], "{text}");
    }
    assert_eq!(of("zone a 64k;"), [server]);
    assert_eq!(
        of("server unix:/run/x down; server a.test weight=2 max_fails=0 fail_timeout=1s backup resolve;"),
        [
            "server = [\"unix:/run/x down\", \"a.test weight=2 max_fails=0 fail_timeout=1s backup resolve\", \"127.0.0.1:1\"]"
        ]
    );
}

#[test]
fn maps() {
    let lines = keys("map $http_upgrade $u { hostnames; default a; '' close; ~*^x(.) $1; \\default b; }");
    assert_eq!(
        lines,
        [
            "[map.u]",
            "source = \"$http_upgrade\"",
            "hostnames = \"on\"",
            "default = \"a\"",
            "[map.u.values]",
            "\"\" = \"close\"",
            "\"~*^x(.)\" = \"$1\"",
            "'\\default' = \"b\"",
        ]
    );
}

/// What nginx says when it makes sense of words that are well formed.
#[test]
fn mistakes_are_nginx_own() {
    for (text, message) in [
        ("server { root a; root b; }", "\"root\" directive is duplicate"),
        (
            "server { location / { alias a; root b; } }",
            "\"root\" directive is duplicate, \"alias\" directive was specified earlier",
        ),
        ("server { location /a { } location /a { } }", "duplicate location \"/a\""),
        ("server { location ! /a { } }", "invalid location modifier \"!\""),
        ("server { location /a { location /b { } } }", "location \"/b\" is outside location \"/a\""),
        (
            "server { location = /a { location /a/b { } } }",
            "location \"/a/b\" cannot be inside the exact location \"/a\"",
        ),
        ("server { location @a { location /b { } } }", "location \"/b\" cannot be inside the named location \"@a\""),
        ("server { location / { location @b { } } }", "named location \"@b\" can be on the server level only"),
        ("server { listen 80 foo; }", "invalid parameter \"foo\""),
        ("server { listen 80; listen *:80; }", "a duplicate listen 0.0.0.0:80"),
        (
            "server { listen 80 default_server; } server { listen 80 default_server; }",
            "a duplicate default server for 0.0.0.0:80",
        ),
        ("server { if $a { break; } }", "invalid condition \"$a\""),
        ("server { if ($a == b) { break; } }", "unexpected \"==\" in condition"),
        ("server { if ($a = b { break; } }", "invalid condition \"b\""),
        ("server { if () { break; } }", "invalid condition \"\""),
        ("server { return a; }", "invalid return code \"a\""),
        ("server { return 9999; }", "invalid return code \"9999\""),
        ("server { rewrite a b c; }", "invalid parameter \"c\""),
        ("server { set a b; }", "invalid variable name \"a\""),
        ("server { location / { proxy_pass 127.0.0.1; } }", "invalid URL prefix"),
        ("upstream a { }", "no servers are inside upstream"),
        ("upstream a { server b c; }", "invalid parameter \"c\""),
        ("upstream a { least_conn; ip_hash; server b; }", "load balancing method redefined"),
        ("upstream a { server b; } upstream a { server b; }", "duplicate upstream \"a\""),
        ("map $a b { }", "invalid variable name \"b\""),
        ("map $a $b { c; }", "invalid number of the map parameters"),
        ("map $a $b { c 1; c 2; }", "conflicting parameter \"c\""),
        ("log_format a b; log_format a c;", "duplicate \"log_format\" name \"a\""),
    ] {
        let said = mistakes(text);
        assert_eq!(said.first(), Some(&format!("/n/a.conf:1: error: {message}")), "{text}: {said:?}");
    }
    let uri = mistakes("server { location ~ x { proxy_pass http://a/b; } }");
    assert!(uri[0].contains("\"proxy_pass\" cannot have URI part in location given by regular expression"), "{uri:?}");
}

/// What one server says of an address holds for all that listen there.
#[test]
fn both_families_of_an_address() {
    let lines = keys("server { listen [::]:80 ipv6only=off; } server { listen [::]:80; server_name b; }");
    assert_eq!(lines.iter().filter(|line| *line == "listen = [\"[::]:80\", \"80\"]").count(), 2, "{lines:?}");
}

/// Guides for containers say it beside each `proxy_pass`.
#[test]
fn name_servers_said_inside_stand_at_the_top() {
    let text = "upstream a { server b; } server { location / { resolver 127.0.0.11 valid=30s; proxy_pass http://$host; } \
                location /b { resolver 127.0.0.11 valid=30s; proxy_pass http://$host; } }";
    let lines = keys(text);
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("resolver")).collect::<Vec<_>>(),
        ["resolver = \"127.0.0.11 valid=30s\""]
    );
    assert_eq!(lines[0], "resolver = \"127.0.0.11 valid=30s\"");
}
