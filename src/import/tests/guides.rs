//! What the guides for beginners teach, whole.

use super::{Made, import, imported};
use std::path::Path;

/// A server that was set up for two Python programs, with certbot's lines.
#[test]
fn two_programs_behind_certbot() {
    let main = "user www-data;\nworker_processes auto;\nevents { worker_connections 1024; }\nhttp {\n  include mime.types;\n  \
                default_type application/octet-stream;\n  upstream shop {\n    server 127.0.0.1:3001;\n    server 127.0.0.1:3002;\n  }\n  \
                include sites-enabled/*;\n}\n";
    let site = "# the shop\nserver {\n  server_name shop.test;\n  location / {\n    proxy_pass http://shop;   # the group\n    \
                proxy_set_header Host $host;\n    proxy_set_header Upgrade $http_upgrade;\n  }\n  listen 443 ssl; # managed by Certbot\n  \
                ssl_certificate /le/fullchain.pem;\n  ssl_certificate_key /le/privkey.pem;\n  include /le/options-ssl-nginx.conf;\n}\n\
                server {\n  if ($host = shop.test) {\n    return 301 https://$host$request_uri;\n  }\n  listen 80;\n  server_name shop.test;\n  \
                return 404;\n}\n";
    let files = Made::new(&[
        ("/etc/nginx/nginx.conf", main),
        ("/etc/nginx/mime.types", "types { text/html html; }"),
        ("/etc/nginx/sites-enabled/shop", site),
        ("/le/fullchain.pem", ""),
        ("/le/privkey.pem", ""),
        ("/le/options-ssl-nginx.conf", "ssl_session_tickets off;\nssl_protocols TLSv1.2 TLSv1.3;\n"),
    ]);
    let imported = import(Path::new("/etc/nginx/nginx.conf"), None, &files).expect("it is good");
    let expected = r#"# Made from nginx's configuration by `ringgate import nginx`:
#   /etc/nginx/nginx.conf
#   /etc/nginx/mime.types
#   /etc/nginx/sites-enabled/shop
#   /le/options-ssl-nginx.conf

workers = "auto"
worker_connections = 1024
default_type = "application/octet-stream"
# nginx's defaults, where ringgate's are others:
client_max_body_size = "1m"    # bodies of requests (ringgate: 1g)
proxy_connect_timeout = "60s"    # connecting to a server (ringgate: 5s)
proxy_request_buffering = "on"    # bodies of requests are read before a server is asked

[types]
"text/html" = "html"

[upstream.shop]
server = ["127.0.0.1:3001", "127.0.0.1:3002"]

# the shop
[[server]]
server_name = "shop.test"
listen = "443 ssl"    # managed by Certbot
ssl_certificate = "/le/fullchain.pem"
ssl_certificate_key = "/le/privkey.pem"
ssl_session_tickets = "off"
ssl_protocols = "TLSv1.2 TLSv1.3"

[server.location."/"]
proxy_pass = "http://shop"    # the group
proxy_set_header = ["Host $host"]

[[server]]
listen = "80"
server_name = "shop.test"
rewrite = ["if ($host = shop.test) { return 301 https://$host$request_uri; }"]
return = "404"
"#;
    assert_eq!(imported.text, expected);
    assert!(imported.report.is_complete(), "{}", imported.report.render());
    let place = |key: &str| {
        let line = imported.text.lines().position(|line| line.starts_with(key)).expect("it is there");
        imported.places[line].as_ref().expect("it comes from somewhere").to_string()
    };
    assert_eq!(place("ssl_session_tickets"), "/le/options-ssl-nginx.conf:1");
    assert_eq!(place("rewrite"), "/etc/nginx/sites-enabled/shop:15");
    assert_eq!(place("workers"), "/etc/nginx/nginx.conf:2");
}

/// nginx serves its own folder where nothing else is said, and tells servers the address as Host.
#[test]
fn nginx_defaults_are_written_down() {
    let text = imported("server { listen 80; }").text;
    assert!(text.contains("\nroot = \"/p/html\" "), "{text}");
    let text = imported("server { location / { proxy_pass http://127.0.0.1:1; } }").text;
    assert!(text.contains("\nproxy_set_header = [\"Host $proxy_host\"]") && !text.contains("\nroot"), "{text}");
    let text = imported(
        "server { location / { proxy_pass https://127.0.0.1:1; proxy_ssl_verify on; proxy_set_header Host a; } }",
    )
    .text;
    assert!(!text.contains("$proxy_host") && !text.contains("proxy_ssl_verify = \"off\""), "{text}");
    assert!(text.contains("proxy_ssl_server_name = \"off\""), "{text}");
}

/// Every beginning of a file is taken or refused, at a line that it has.
#[test]
fn beginnings_of_files_are_no_trouble() {
    let whole = include_str!("everything.conf");
    let mut taken = 0;
    // Where something ends or begins.
    let is_edge = |end: &usize| whole[*end..].starts_with(|c: char| !c.is_alphanumeric());
    for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)).filter(is_edge) {
        let text = &whole[..end];
        let lines = text.matches('\n').count() as u32 + 1;
        match import(Path::new("/n/a.conf"), None, &Made::new(&[("/n/a.conf", text)])) {
            Ok(imported) => {
                taken += 1;
                assert!(imported.text.parse::<toml::Table>().is_ok(), "{end}");
            }
            Err(mistakes) => {
                assert!(!mistakes.is_empty());
                assert!(
                    mistakes.iter().all(|mistake| (1..=lines).contains(&mistake.place.line)),
                    "{end}: {mistakes:?}"
                );
            }
        }
    }
    assert!(taken > 3, "{taken}");
}

/// nginx's own mime.types is built in; one that lacks something, or has company, is written down.
#[test]
fn types_of_files() {
    let usual = "types {\n text/html html; text/css css; text/xml xml; image/gif gif; image/jpeg jpeg jpg; application/javascript js;\n\
                 application/atom+xml atom; application/rss+xml rss; text/plain txt; image/png png; image/svg+xml svg svgz;\n\
                 image/x-icon ico; application/json json; application/msword doc; application/pdf pdf; application/rtf rtf;\n\
                 application/vnd.ms-excel xls; application/zip zip; application/octet-stream bin exe; audio/mpeg mp3;\n\
                 video/mp4 mp4; video/webm webm; video/x-msvideo avi;\n}";
    for (types, more, written) in [
        (usual, "", false),
        (&usual.replace("text/css css;", ""), "", true),
        (&usual.replace("text/css css;", "text/plain css;"), "", true),
        (usual, "types { text/x x; }", true),
    ] {
        let main = format!("events {{ }} http {{ include mime.types; {more} server {{ listen 80; }} }}");
        let files = Made::new(&[("/n/nginx.conf", main.as_str()), ("/n/mime.types", types)]);
        let imported = import(Path::new("/n/nginx.conf"), None, &files).expect("it is good");
        assert_eq!(imported.text.contains("\"image/png\" = \"png\""), written, "{main}\n{}", imported.text);
        assert_eq!(imported.text.contains("\"text/x\""), !more.is_empty());
    }
}
