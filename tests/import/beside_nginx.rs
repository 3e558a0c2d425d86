//! Broken configurations: the line and the words are those of nginx itself.

use super::started::run_in;
use super::support::tools;
use std::path::Path;
use std::process::Command;

/// Each is the inside of a block: which one, and the text.
const BROKEN: [(&str, &str); 74] = [
    ("main", "http {\nserver {\n listen 80\n location / { }\n}\n}"),
    ("main", "http {\nserver {\n listen 80;\n"),
    ("main", "http {\n}\n}\n"),
    ("main", "\n;"),
    ("main", "{"),
    ("main", "htp { }"),
    ("main", "http;"),
    ("main", "server { }"),
    ("main", "worker_processes;"),
    ("http", "serer { }"),
    ("http", "server_name x;"),
    ("http", "server {\n listen 80;\n server_name a.test\n\n location / {\n }\n}"),
    ("http", "upstream a {\n server 127.0.0.1;\n serer 127.0.0.2;\n}"),
    ("http", "upstream a { }"),
    ("http", "upstream { server 127.0.0.1; }"),
    ("http", "upstream a { server 127.0.0.1 foo; }"),
    ("http", "upstream a { server 127.0.0.1; }\nupstream a { server 127.0.0.1; }"),
    ("http", "gzip maybe;"),
    ("http", "gzip on off;"),
    ("http", "map $a b { }"),
    ("http", "map $a { x 1; }"),
    ("http", "map $a $b {\n x;\n}"),
    ("http", "map $a $b {\n x 1 2;\n}"),
    ("http", "map $a $b {\n x 1;\n x 2;\n}"),
    ("http", "map $a $b {\n x {\n y; } }"),
    ("http", "types {\n a { b; } }"),
    ("http", "log_format a;"),
    ("http", "log_format a 'x';\nlog_format a 'y';"),
    ("http", "location / { }"),
    ("http", "proxy_pass http://127.0.0.1;"),
    ("http", "if ($a) { }"),
    ("http", "client_max_body_size 1m;\nclient_max_body_size 2m;"),
    ("server", "serer_name a;"),
    ("server", "listen;"),
    ("server", "listen 80 foo;"),
    ("server", "listen 80;\nlisten 80;"),
    ("server", "location {\n}"),
    ("server", "location /\n{\n root x\n}"),
    ("server", "location / ;"),
    ("server", "location ! /a { }"),
    ("server", "location /a { }\nlocation /a { }"),
    ("server", "location = /a { location /a/b { } }"),
    ("server", "location /a {\n location /b { }\n}"),
    ("server", "location @a { location /b { } }"),
    ("server", "location /a { location @b { } }"),
    ("server", "location ~ x { proxy_pass http://127.0.0.1/a; }"),
    ("server", "server_name \"a\"b;"),
    ("server", "server_name \"a;\n"),
    ("server", "server_name 'a\n\n"),
    ("server", "server_name a'b;\nfoo;"),
    ("server", "return 200 \"a\nb\nc\";\nfoo;"),
    ("server", "return abc;"),
    ("server", "return 9999;"),
    ("server", "return;"),
    ("server", "rewrite ^;"),
    ("server", "rewrite ^ /x foo;"),
    ("server", "set x 1;"),
    ("server", "if $x { return 404; }"),
    ("server", "if ($x { return 404; }"),
    ("server", "if ($a == b) { return 404; }"),
    ("server", "if ($a = b) { listen 80; }"),
    ("server", "fastcgi_pass a;"),
    ("server", "ssl_protocols;"),
    ("location", "root a;\nroot b;"),
    ("location", "alias /a;\nroot /b;"),
    ("location", "listen 80;"),
    ("location", "proxy_pass 127.0.0.1;"),
    ("location", "proxy_set_header a;"),
    ("location", "proxy_set_header a b c;"),
    ("location", "try_files $uri;"),
    ("location", "expires;"),
    ("location", "internal x;"),
    ("location", "grpc_pass;"),
    ("location", "#\n\n\nfoo bar;"),
];

/// The message and the line in nginx's or in our own output.
fn first(said: &str, before: &str) -> Option<(String, String)> {
    let line = said.lines().find(|line| line.contains(before))?;
    match before {
        "[emerg]" => {
            let (message, place) = line.rsplit_once(" in ")?;
            Some((message.split_once(": ")?.1.to_string(), place.rsplit_once(':')?.1.to_string()))
        }
        _ => {
            let (place, message) = line.split_once(before)?;
            Some((message.to_string(), place.rsplit_once(':')?.1.to_string()))
        }
    }
}

fn nginx_says(nginx: &Path, home: &Path) -> Option<(String, String)> {
    let mut test = Command::new(nginx);
    test.arg("-t").arg("-p").arg(home).arg("-c").arg(home.join("nginx.conf"));
    first(&String::from_utf8_lossy(&test.output().expect("nginx runs").stderr), "[emerg]")
}

#[test]
fn broken_files_are_refused_in_the_same_words_at_the_same_line() {
    let Some(nginx) = tools::find("broken_files_are_refused_in_the_same_words", "nginx") else { return };
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut wrong = Vec::new();
    for (block, text) in BROKEN {
        let location = format!("location / {{\n{text}\n}}");
        let server = format!("server {{\n{}\n}}", if block == "location" { &location } else { text });
        let whole = match block {
            "main" => format!("events {{ }}\n{text}"),
            "http" => format!("events {{ }}\nhttp {{\n{text}\n}}"),
            _ => format!("events {{ }}\nhttp {{\n{server}\n}}"),
        };
        std::fs::write(home.path().join("nginx.conf"), &whole).expect("the file can be written");
        let theirs = nginx_says(&nginx, home.path());
        let ours = run_in(home.path(), &["import", "nginx", "nginx.conf"]);
        assert!(theirs.is_some(), "nginx takes this:\n{whole}");
        if first(&ours.err, ": error: ") != theirs || ours.code != Some(1) || !ours.out.is_empty() {
            wrong.push(format!("{whole}\nnginx: {theirs:?}\nringgate: {}", ours.err));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
