//! nginx's own lines, pasted into the file: each is told how it is written here, and so written it loads.

use super::*;

const NOTICE: &str = "f:1:1: error: this is nginx's syntax, but the file is TOML; write ";

#[test]
fn what_is_told_is_right() {
    // Where it stands: above, in a server or in a location.
    for (pasted, told, head) in [
        ("location = /x {", "[server.location.\"= /x\"]", "[[server]]\n"),
        ("location ~ \\.php$ {", "[server.location.'~ \\.php$']", "[[server]]\n"),
        ("location ^~ /a/ {", "[server.location.\"^~ /a/\"]", "[[server]]\n"),
        ("location @app {", "[server.location.\"@app\"]", "[[server]]\n"),
        ("rewrite ^/a/(.*)$ /b/$1 last;", "rewrite = [\"^/a/(.*)$ /b/$1 last\"]", "[[server]]\n"),
        ("rewrite ^/(\\d+)$ /n/$1 break;", "rewrite = ['^/(\\d+)$ /n/$1 break']", "[[server]]\n"),
        ("set $a \"b c\";", "rewrite = [\"set $a 'b c'\"]", "[[server]]\n"),
        ("break;", "rewrite = [\"break\"]", "[[server]]\n"),
        ("root /var/www;", "root = \"/var/www\"", "[[server]]\n"),
        ("index index.html index.htm;", "index = \"index.html index.htm\"", "[[server]]\n"),
        ("try_files $uri $uri/ =404;", "try_files = \"$uri $uri/ =404\"", "[[server]]\nroot = \"/a\"\n"),
        ("error_page 500 502 /50x.html;", "error_page = [\"500 502 /50x.html\"]", "[[server]]\n"),
        ("add_header X-A \"b c\" always;", "add_header = [\"X-A 'b c' always\"]", ""),
        ("gzip_types text/css text/xml;", "gzip_types = \"text/css text/xml\"", ""),
        ("expires 7d;", "expires = \"7d\"", ""),
        ("access_log /a combined;", "access_log = \"/a combined\"", ""),
        (
            "log_format main '$remote_addr \"$request\"';",
            "[log_format] and beneath it main = '$remote_addr \"$request\"'",
            "",
        ),
        (
            "limit_req_zone $binary_remote_addr zone=a:10m rate=1r/s;",
            "limit_req_zone = [\"$binary_remote_addr zone=a:10m rate=1r/s\"]",
            "",
        ),
        ("map $http_a $b {", "[map.b] and beneath it source = \"$http_a\", and [map.b.values]", ""),
        ("types {", "[types] and beneath it \"text/css\" = \"css\"", ""),
        ("allow 10.0.0.0/8;", "access = [\"allow 10.0.0.0/8\"], with all of them in the list", ""),
        ("deny all;", "access = [\"deny all\"], with all of them in the list", ""),
        ("if ($a = b) {", "rewrite = [\"if ($a = b) { ... }\"]", ""),
        ("auth_basic \"Members only\";", "auth_basic = \"Members only\"", ""),
    ] {
        assert_eq!(errors(&format!("{pasted}\n")), [format!("{NOTICE}{told}")], "{pasted}");
        // One line of TOML is to load where it belongs.
        let is_line = !told.contains(" and beneath") && !told.contains("...") && !told.contains(", with");
        if is_line && !told.starts_with("auth_basic") {
            let rest = match told.starts_with('[') {
                true => "proxy_pass = \"http://127.0.0.1:1\"\n".to_string(),
                false if head.is_empty() => ONE_SERVER.to_string(),
                false => "location.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n".to_string(),
            };
            assert_eq!(errors(&format!("{head}{told}\n{rest}")), [""; 0], "{told}");
        }
    }
}

#[test]
fn nginx_s_words_as_keys() {
    for (key, part) in [
        ("allow = \"all\"", "is written access = "),
        ("deny = \"all\"", "is written access = "),
        ("if = \"x\"", "is a statement of `rewrite` here"),
        ("set = \"x\"", "is a statement of `rewrite` here"),
        ("merge_slashes = \"off\"", "several slashes are one"),
        ("disable_symlinks = \"on\"", "is called `symlinks` here"),
        ("types_hash_max_size = 2048", "is not needed"),
        ("auth_request = \"/a\"", "is not supported"),
        ("try_file = \"$uri\"", "did you mean `try_files`?"),
        ("alias = \"/a\"", "`alias` belongs in [server.location"),
        ("log_format = \"x\"", "`log_format` belongs at the top"),
    ] {
        let found = errors(&format!("[[server]]\n{key}\nreturn = 404\n"));
        assert!(found.len() == 1 && found[0].contains(part), "{key}: {found:?}");
    }
    let found = errors(&format!("log_format = \"$status\"\n{ONE_SERVER}"));
    assert!(found[0].contains("write [log_format] and beneath it main = \"$status\""), "{found:?}");
}
