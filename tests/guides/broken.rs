//! Slips of guides, and of those who follow them: refused, at the line where nginx refuses.

use super::guide;
use super::site::{Guide, told};

/// The line that nginx names, and the one that stands in what ringgate says.
#[track_caller]
fn refused(guide: &Guide, line: usize, words: &[&str]) {
    if let Some((good, said)) = guide.test_in_nginx() {
        assert!(!good && said.contains(&format!("nginx.conf:{line}\n")), "nginx: {said}");
    }
    let output = guide.import();
    let said = told(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&format!("nginx.conf:{line}")), "no line {line}: {said}");
    for word in words {
        assert!(said.contains(word), "no {word}: {said}");
    }
}

#[test]
fn a_missing_semicolon_is_found_where_nginx_finds_it() {
    refused(&guide!("missing_semicolon.broken"), 9, &["server_name"]);
}

#[test]
fn a_misspelt_directive_is_found() {
    refused(&guide!("misspelt_server.broken"), 4, &["unknown directive \"sever\""]);
}

#[test]
fn other_slips_are_found_at_their_lines() {
    let app = || guide!("single_app.conf");
    refused(&app().with("location / {", "location / "), 6, &[]);
    refused(&app().with("    }\n}", "    }\n"), 14, &[]);
    refused(&app().with("    }\n}", "    }\n}\n}"), 14, &[]);
    refused(&app().with("proxy_pass http://127.0.0.1:5000;", "proxy_pass 127.0.0.1:5000;"), 6, &["invalid URL prefix"]);
    refused(&app().with("proxy_pass http://127.0.0.1:5000;", "proxy_pass;"), 6, &["proxy_pass"]);
    refused(&app().with("server_name notes.example.com;", "server_name \"notes.example.com;"), 14, &[]);
    refused(&app().with("listen 80;", "listen 80 sll;"), 2, &["sll"]);
    refused(&app().with("listen 80;", "listen 800000;"), 2, &["800000"]);
    refused(&app().with("location / {", "location ~ ( {"), 5, &[]);
    refused(&app().with("server_name", "upstream x { } server_name"), 3, &["upstream"]);
    refused(&guide!("balanced.conf").with("#METHOD", "lest_conn;"), 2, &["lest_conn"]);
    refused(&guide!("balanced.conf").with("server 127.0.0.1:5001;", "server 127.0.0.1:5001 wieght=2;"), 4, &["wieght"]);
}
