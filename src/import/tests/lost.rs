//! What is not taken over: it is said, and what kept people out keeps them out.

use super::{Outcome, imported, keys, outcomes};

#[test]
fn everything_has_an_outcome() {
    use Outcome::{Differs, Lost, Missing, Translated, Unneeded};
    for (text, name, outcome) in [
        ("user x;", "user", Differs),
        // nginx's default is on, or it is a text.
        ("http { chunked_transfer_encoding off; }", "chunked_transfer_encoding", Lost),
        ("http { proxy_pass_request_body off; }", "proxy_pass_request_body", Lost),
        ("http { proxy_pass_request_headers OFF; }", "proxy_pass_request_headers", Lost),
        ("http { proxy_set_body off; }", "proxy_set_body", Lost),
        ("http { gunzip OFF; }", "gunzip", Unneeded),
        ("http { limit_req_log_level warn; }", "limit_req_log_level", Unneeded),
        ("http { auth_request Off; }", "auth_request", Lost),
        ("http { auth_request off; }", "auth_request", Unneeded),
        ("http { secure_link off; }", "secure_link", Lost),
        ("http { large_client_header_buffers 4 4k; }", "large_client_header_buffers", Unneeded),
        ("http { large_client_header_buffers 4 32k; }", "large_client_header_buffers", Differs),
        ("http { error_page 497 https://$host/; }", "error_page", Lost),
        ("http { error_page 404 /a; }", "error_page", Translated),
        ("http { sendfile on; }", "sendfile", Unneeded),
        ("http { http2 on; }", "http2", Differs),
        ("http { proxy_cache_bypass $a; }", "proxy_cache_bypass", Unneeded),
        ("http { proxy_cache one; }", "proxy_cache", Lost),
        ("http { proxy_cache off; }", "proxy_cache", Unneeded),
        ("http { ssl_dhparam x; }", "ssl_dhparam", Unneeded),
        ("http { ssl_stapling on; }", "ssl_stapling", Unneeded),
        ("http { ssl_protocols TLSv1 TLSv1.2; }", "ssl_protocols", Differs),
        ("http { ssl_protocols TLSv1.2; }", "ssl_protocols", Translated),
        ("http { ssl_protocols SSLv3; }", "ssl_protocols", Lost),
        ("http { ssl_certificate no; }", "ssl_certificate", Missing),
        ("http { ssl_certificate there; }", "ssl_certificate", Translated),
        ("http { ssl_certificate data:$x; }", "ssl_certificate", Lost),
        ("http { auth_basic_user_file no; }", "auth_basic_user_file", Missing),
        ("http { ssl_client_certificate no; }", "ssl_client_certificate", Unneeded),
        ("http { include no; }", "include", Missing),
        ("http { resolver 8.8.8.8; }", "resolver", Unneeded),
        ("http { resolver 8.8.8.8; upstream a { server b resolve; } }", "resolver", Differs),
        ("http { real_ip_header X-Forwarded-For; }", "real_ip_header", Unneeded),
        ("http { real_ip_header CF-Connecting-IP; }", "real_ip_header", Lost),
        ("http { access_log syslog:server=a; }", "access_log", Lost),
        ("http { charset utf-8; }", "charset", Lost),
        ("http { charset off; }", "charset", Unneeded),
        ("http { sub_filter a b; }", "sub_filter", Lost),
        ("http { geo $a { default 1; } }", "geo", Lost),
        ("http { server { location / { proxy_http_version 1.1; } } }", "proxy_http_version", Unneeded),
        (
            "http { upstream b { server a; } server { location / { resolver 8.8.8.8; proxy_pass http://$a; } } }",
            "resolver",
            Differs,
        ),
        (
            "http { server { location / { resolver 8.8.8.8; } location /a { resolver 8.8.4.4; proxy_pass http://$a; } } }",
            "resolver",
            Lost,
        ),
        ("http { server { location / { proxy_pass http://$host; } } }", "proxy_pass", Lost),
        ("http { server { location / { proxy_pass $scheme://a; } } }", "proxy_pass", Lost),
        ("http { server { location / { set_real_ip_from 10.0.0.1; } } }", "set_real_ip_from", Lost),
        ("http { server { location / { keepalive_timeout 5; } } }", "keepalive_timeout", Lost),
        ("http { server { if ($a) { add_header a b; } } }", "add_header", Lost),
        ("stream { access_log /a b; server { listen 1; proxy_pass a:1; } }", "access_log", Lost),
        ("stream { server { listen 53 udp; proxy_pass a:1; } }", "listen", Lost),
    ] {
        let text = format!("events {{ }} {text}").replace("if ($a) { add", "location / { if ($a) { add");
        let text = if text.contains("location / { if") { format!("{text} }}") } else { text };
        let imported = imported(&text);
        let found = outcomes(&imported, name);
        assert!(found.contains(&outcome), "{text}: {found:?}\n{}", imported.report.render());
        let complete = !matches!(outcome, Lost | Missing);
        assert_eq!(imported.report.is_complete(), complete, "{text}\n{}", imported.report.render());
    }
}

/// A program's source is not sent as a file because the program cannot be asked.
#[test]
fn what_is_not_supported_answers_nothing_else() {
    let lines = keys("server { root /w; location ~ \\.php$ { fastcgi_pass a; } location /s { stub_status; } }");
    let returns: Vec<_> = lines.iter().filter(|line| line.starts_with("return")).collect();
    assert_eq!(returns, ["return = \"501\"", "return = \"501\""]);
}

/// Neither because a server cannot be asked.
#[test]
fn a_lost_proxy_pass_serves_no_files() {
    for (location, answer) in [
        ("proxy_pass $u;", "return = \"502\""),
        ("proxy_pass http://$u;", "return = \"502\""),
        ("proxy_pass http://x-$u:80;", "return = \"502\""),
        ("set $u http://a:1/b; proxy_pass $u;", "return = \"502\""),
        ("if ($u) { proxy_pass http://a; }", "rewrite = [\"if ($u) { return 502; }\"]"),
        ("if ($u) { break; proxy_pass http://a; }", "rewrite = [\"if ($u) { return 502; }\"]"),
        // `if` ends nothing by itself.
        ("if ($u) { proxy_pass http://a; } return 200 x;", "return = \"200 x\""),
    ] {
        let text = format!("server {{ root /w; location / {{ {location} }} }}");
        let lines = keys(&text);
        let answers = lines.iter().filter(|line| line.starts_with("return") || line.starts_with("rewrite"));
        assert_eq!(answers.collect::<Vec<_>>(), [answer], "{text}");
        assert!(!imported(&text).report.is_complete(), "{text}");
    }
}

/// A variable with one value is that value; nothing else is put in its place.
#[test]
fn constants_in_a_proxy_pass() {
    for (server, location, target) in [
        ("", "set $u http://app:3000; proxy_pass $u;", Some("http://app:3000")),
        ("set $b backend;", "proxy_pass http://$b:8080;", Some("http://backend:8080")),
        ("set $b backend;", "proxy_pass http://${b}:8080$request_uri;", Some("http://backend:8080$request_uri")),
        ("", "set $b app; proxy_pass http://$b/x;", Some("http://$b/x")),
        ("", "set $b app; proxy_pass http://$b:1/x;", None),
        ("", "set $b a.test; proxy_pass http://$b:2/x;", Some("http://$b:2/x")),
        ("", "set $b /x; proxy_pass http://g1$b;", Some("http://g1$b")),
        ("", "set $b app/x; proxy_pass http://$b;", None),
        ("", "set $b a; set $b b; proxy_pass http://$b:1;", None),
        ("", "if ($host) { set $b a; } proxy_pass http://$b:1;", None),
        ("", "set $b $host; proxy_pass http://$b:1;", None),
        ("if ($host ~ (?<b>x)) { break; }", "set $b a; proxy_pass http://$b:1;", None),
        ("location /o { set $b a; }", "proxy_pass http://$b:1;", None),
        ("", "set $b a; location /z/i { proxy_pass http://$b:1; }", None),
        ("", "proxy_pass http://$b.test:2;", Some("http://$b.test:2")),
        ("", "proxy_pass http://g$b;", Some("http://g$b")),
        ("location /o { proxy_pass http://x.test:1/; }", "proxy_pass http://$host:1;", Some("http://$host:1")),
    ] {
        let text = format!(
            "upstream g1 {{ server a; }} upstream a.test:2 {{ server a; }} server {{ {server} location /z {{ {location} }} }}"
        );
        let lines = keys(&text);
        let found = lines.iter().rev().filter_map(|line| line.strip_prefix("proxy_pass = ")).next();
        assert_eq!(found.map(|found| found.trim_matches('"')), target, "{text}\n{}", lines.join("\n"));
        assert_eq!(lines.contains(&"return = \"502\"".to_string()), target.is_none(), "{text}");
    }
}

/// Where permission cannot be asked for nobody gets in, whatever else is there, and neither beneath.
#[test]
fn what_kept_people_out_keeps_them_out() {
    let closed = |text: &str| {
        let lines = keys(text);
        lines.iter().filter(|line| line.contains("return 403\"]") || *line == "return = \"403\"").count()
    };
    for (text, count) in [
        ("server { location / { auth_request /a; proxy_pass http://b; } }", 1),
        ("server { location / { location /x { proxy_pass http://b; } auth_request /a; } }", 2),
        ("server { auth_request /a; location / { proxy_pass http://b; } }", 1),
        ("auth_request /a; server { return 200 x; } server { location / { proxy_pass http://b; } }", 2),
        ("server { location / { secure_link $a; if ($x) { return 200 a; } } }", 1),
        ("server { location / { limit_except GET { allow 10.0.0.1; deny all; } proxy_pass http://b; } }", 1),
        ("server { location / { auth_request off; proxy_pass http://b; } }", 0),
        ("server { location / { auth_basic a; auth_basic_user_file $x; } }", 1),
    ] {
        assert_eq!(closed(text), count, "{text}\n{}", keys(text).join("\n"));
    }
    // The rule comes before all others.
    let lines = keys("server { location / { auth_request /a; rewrite ^ /b last; return 200 x; } }");
    assert!(!lines.iter().any(|line| line.contains("rewrite") || line.contains("200")), "{lines:?}");
}

#[test]
fn the_text_names_what_is_not_in_it() {
    let imported = imported("server {\n listen 80;\n # words\n sub_filter a 'b c';\n location / { return 404; }\n}");
    assert!(
        imported.text.contains("\n# words\n# not taken over: sub_filter a 'b c'; (/n/a.conf:4)\n"),
        "{}",
        imported.text
    );
    assert!(imported.text.contains("# NOT COMPLETE: 1 not taken over"), "{}", imported.text);
}

#[test]
fn the_report_is_short() {
    let text = "sendfile on;\nserver { listen 80; sendfile on; gzip on; listen 81 http2; sub_filter a b; }";
    let report = imported(text).report;
    let said = report.render();
    assert!(said.starts_with("translated:\n  listen (2), gzip, server\n"), "{said}");
    assert!(said.contains("not needed here:\n  sendfile: io_uring does it (/n/a.conf:1, 2)\n"), "{said}");
    assert!(said.contains("  listen: http2: HTTP/1.1 is offered for now (/n/a.conf:2)\n"), "{said}");
    assert!(said.contains("not supported:\n  sub_filter: answers are not changed (/n/a.conf:2)\n"), "{said}");
    assert!(report.summary().ends_with("1 not supported, 0 missing"), "{}", report.summary());
}

/// What only ringgate refuses can be left out, unless that would open a door.
#[test]
fn refused_lines_can_be_left_out() {
    let mut imported =
        imported("server { listen 80; expires soon; deny all; add_header a b; add_header c d; return 200 x; }");
    let line = |imported: &crate::import::Imported, start: &str| {
        imported.text.lines().position(|line| line.starts_with(start))
    };
    let at = line(&imported, "expires");
    assert!(imported.leave_out(at, "f:1:1: error: that is no time\n  | more"));
    assert!(imported.text.contains("\n# not taken over: expires = \"soon\"\n"), "{}", imported.text);
    assert_eq!(imported.text.lines().count(), imported.places.len());
    assert_eq!(outcomes(&imported, "expires"), [Outcome::Lost]);
    assert!(imported.report.render().contains("  expires: that is no time (/n/a.conf:1)\n"));
    for start in ["[[server]]", "access", "return", "listen", "# not taken", "client_max_body_size"] {
        let at = line(&imported, start);
        assert!(at.is_some() && !imported.leave_out(at, "x"), "{start}");
    }
    assert!(!imported.leave_out(None, "x") && !imported.leave_out(Some(9999), "x"));
}

/// Of a list only the item goes, wherever it stands; of a map nothing stays; what keeps people out stays.
#[test]
fn items_and_maps_can_be_left_out() {
    let long = "x".repeat(60);
    let text = format!(
        "map $bad $m {{\n default a;\n b c;\n}}\nserver {{ listen 80;\n add_header A a; add_header B b;\n\
         proxy_hide_header {long}1;\n proxy_hide_header {long}2;\n root /w; error_page 404 /x; return 200 x; }}"
    );
    let mut imported = imported(&text);
    let count = imported.text.lines().count();
    let line = |imported: &crate::import::Imported, start: &str| {
        imported.text.lines().position(|line| line.starts_with(start))
    };
    let at = line(&imported, "add_header").expect("it is there");
    let column = imported.text.lines().nth(at).and_then(|line| line.find("B b")).expect("it is there") + 1;
    assert!(imported.leave_out(Some(at), &format!("f:{}:{column}: error: no", at + 1)));
    assert!(imported.text.contains("\nadd_header = [\"A a\"]    # not taken over: \"B b\"\n"), "{}", imported.text);
    assert!(imported.report.render().contains("  add_header: no (/n/a.conf:6)\n"), "{}", imported.report.render());
    assert_eq!(outcomes(&imported, "add_header"), [Outcome::Translated, Outcome::Lost]);
    let at = line(&imported, &format!("  \"{long}2"));
    assert!(imported.leave_out(at, "f:1:1: error: no"));
    assert!(
        imported.text.contains(&format!("\n  \"{long}1\",\n# not taken over: \"{long}2\",\n]\n")),
        "{}",
        imported.text
    );
    let at = line(&imported, "source");
    assert!(imported.leave_out(at, "f:1:1: error: unknown variable"));
    let map: Vec<&str> = imported.text.lines().filter(|line| line.contains("map") || line.contains("\"c\"")).collect();
    assert_eq!(
        map,
        ["# not taken over: [map.m]", "# not taken over: [map.m.values]", "# not taken over: b = \"c\""],
        "{}",
        imported.text
    );
    assert_eq!(outcomes(&imported, "map"), [Outcome::Lost]);
    assert_eq!((imported.text.lines().count(), imported.places.len()), (count, count));
    assert!(imported.text.parse::<toml::Table>().is_ok(), "{}", imported.text);
    for start in ["root", "error_page"] {
        let at = line(&imported, start);
        assert!(at.is_some() && !imported.leave_out(at, "f:1:1: error: no"), "{start}");
    }
}
