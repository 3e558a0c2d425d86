use super::*;
use crate::config::load_str;
use std::sync::Arc;

const FILE: &str = r#"
    limit_req_zone = "$binary_remote_addr zone=one:10m rate=10r/s"
    [upstream.app]
    balance = "hash $request_uri"
    server = ["127.0.0.1:3001", "127.0.0.1:3002", "127.0.0.1:3003 down"]
    [[server]]
    listen = "127.0.0.1:80"
    server_name = "shop.example.org"
    rewrite = "^/old/(.*)$ /new/$1"
    [server.location."/"]
    proxy_pass = "http://app"
    [server.location."/app/"]
    proxy_pass = "http://127.0.0.1:9000/"
    proxy_set_header = ["Host $host", "X-Way $request_uri"]
    limit_req = "zone=one burst=5"
    access = ["deny 192.0.2.7", "allow all"]
    [server.location."= /exact"]
    return = "200 exactly"
    [server.location."~ \\.png$"]
    root = "/nowhere"
    [server.location."/inside/"]
    internal = "on"
    root = "/nowhere"
    [[server]]
    listen = ["127.0.0.1:80", "127.0.0.1:443 ssl"]
    ssl_reject_handshake = "on"
    server_name = "other.example.org"
    return = "301 https://$host$request_uri"
    [[tcp]]
    listen = "127.0.0.1:5432"
    proxy_pass = "127.0.0.1:5433"
"#;

fn ask(method: &str, url: &str, headers: &[&str], from: &str) -> Result<String, String> {
    let plan = Arc::new(load_str("test", FILE).unwrap_or_else(|errors| panic!("{errors}")).plan);
    let headers = headers.iter().map(|&header| header.to_owned()).collect();
    let question =
        Question { method: method.to_owned(), url: url.to_owned(), headers, from: from.parse().expect("an address") };
    explain(&Site::plain(plan, 1, None), &question)
}

#[track_caller]
fn says(url: &str, parts: &[&str]) {
    let text = ask("GET", url, &[], "192.0.2.7").unwrap();
    for part in parts {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn the_way_is_told() {
    says(
        "http://shop.example.org/app/x?y=1",
        &[
            "listener  127.0.0.1:80\n",
            "server    shop.example.org: `shop.example.org` is one of its names\n",
            "      not other.example.org\n",
            "location  \"/app/\" for /app/x: the longest prefix\n",
            "      not \"/\": a longer prefix fits\n",
            "      not \"= /exact\": not this path\n",
            "      not \"~ \\\\.png$\": does not match\n",
            "limit_req one with the key \"192.0.2.7\": 10 a second, burst 5\n",
            "access    denied by address: 403\n",
            "request   GET /x?y=1 HTTP/1.1\n",
            "Host: shop.example.org\n",
            "X-Way: /app/x?y=1\n",
        ],
    );
    says(
        "http://shop.example.org/exact",
        &["location  \"= /exact\" for /exact: the very path", "answer    return 200 exactly"],
    );
    says(
        "http://shop.example.org/app/a.png",
        &["the first regular expression that matches", "file      /nowhere/app/a.png (it is not there: 404)"],
    );
    says(
        "http://shop.example.org/old/x",
        &["`rewrite ^/old/(.*)$` makes /old/x /new/x", "request   GET /new/x HTTP/1.1"],
    );
    says("http://shop.example.org/app", &["answer    redirect 301 to /app/"]);
    says("http://shop.example.org/inside/x", &["answer    404: the location is `internal`"]);
    says(
        "http://nobody.example.org/",
        &["no server of this listener is called `nobody.example.org`: this is its default_server"],
    );
    says("http://other.example.org/a?b", &["answer    return 301 https://other.example.org/a?b"]);
}

#[test]
fn servers_are_told_with_their_state_and_the_choice_does_not_change() {
    let first = ask("GET", "http://shop.example.org/a", &[], "192.0.2.1").unwrap();
    assert!(
        first.contains("group     app by hash") && first.contains("127.0.0.1:3003  down by configuration"),
        "{first}"
    );
    assert_eq!(first.matches("<- would be picked").count(), 1, "{first}");
    assert_eq!(ask("GET", "http://shop.example.org/a", &[], "192.0.2.1").unwrap(), first);
}

#[test]
fn listeners_that_do_not_fit_are_named() {
    says(
        "http://shop.example.org:81/",
        &["none listens on port 81: there are 127.0.0.1:80, 127.0.0.1:443 ssl, 127.0.0.1:5432 (tcp)"],
    );
    says("http://shop.example.org:443/", &["it speaks TLS: plain HTTP gets 400"]);
    says("https://shop.example.org:80/", &["it does not speak TLS"]);
    says("http://shop.example.org:5432/", &["bytes are passed on unread here"]);
    says("https://other.example.org/", &["listener  127.0.0.1:443 ssl", "return 301"]);
}

#[test]
fn the_listener_is_the_one_that_the_kernel_would_choose() {
    let text = "[[server]]\nlisten = [\"[::]:80\", \"0.0.0.0:80\", \"127.0.0.1:80\"]\nreturn = 404\n";
    let plan = Arc::new(load_str("test", text).unwrap_or_else(|errors| panic!("{errors}")).plan);
    let site = Site::plain(plan, 1, None);
    for (host, listener) in [("127.0.0.1", "127.0.0.1:80"), ("192.0.2.1", "0.0.0.0:80"), ("[::1]", "[::]:80")] {
        let question = Question {
            method: "GET".to_owned(),
            url: format!("http://{host}/"),
            headers: Vec::new(),
            from: "192.0.2.7".parse().expect("an address"),
        };
        let text = explain(&site, &question).unwrap();
        assert!(text.contains(&format!("listener  {listener}\n")), "{text}");
    }
}

#[test]
fn what_no_client_would_send_is_refused() {
    for (method, url, header, part) in [
        ("GET", "ftp://a/", None, "`ftp` is not http or https"),
        ("GET", "http:///x", None, "the URL has no host"),
        ("GET", "http://a:x/", None, "`x` is not a port"),
        ("GET", "http://[::1", None, "`[::1` is not a host"),
        ("GET", "http://shop.example.org/", Some("X-A"), "is no header"),
        ("GET", "http://shop.example.org/", Some("X-A: b\r\nHost: c"), "is no header"),
        ("GET", "http://shop.example.org/%zz", None, "bad_target"),
        ("G T", "http://shop.example.org/", None, "bad_"),
        ("CONNECT", "http://shop.example.org/", None, ""),
    ] {
        let headers: Vec<&str> = header.into_iter().collect();
        let told = ask(method, url, &headers, "192.0.2.1");
        assert!(told.as_ref().is_err_and(|error| error.contains(part)), "{method} {url} {header:?}: {told:?}");
    }
}
