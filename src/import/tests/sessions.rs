//! nginx's stream module.

use super::{Outcome, imported, keys, outcomes};

#[test]
fn a_server_becomes_a_section() {
    let lines = keys(
        "stream { proxy_connect_timeout 1s; upstream db { least_conn; server 10.0.0.1:5432; }\n\
         server { listen 5432; proxy_pass db; }\n\
         server { listen 993 ssl; ssl_certificate there; ssl_certificate_key there; proxy_pass 10.0.0.2:143; proxy_timeout 1h; \
         proxy_protocol on; proxy_connect_timeout 2s; } }",
    );
    assert_eq!(
        lines,
        [
            "[upstream.db]",
            "balance = \"least_conn\"",
            "server = [\"10.0.0.1:5432\"]",
            "[[tcp]]",
            "listen = \"5432\"",
            "proxy_connect_timeout = \"1s\"",
            "proxy_timeout = \"10m\"",
            "proxy_pass = \"db\"",
            "[[tcp]]",
            "listen = \"993 ssl\"",
            "ssl_certificate = \"/n/there\"",
            "ssl_certificate_key = \"/n/there\"",
            "proxy_timeout = \"1h\"",
            "proxy_protocol = \"on\"",
            "proxy_connect_timeout = \"2s\"",
            "proxy_pass = \"10.0.0.2:143\"",
        ]
    );
}

#[test]
fn a_map_of_names_becomes_sections() {
    let lines = keys(
        "map $ssl_preread_server_name $to { hostnames; a.test one; *.b.test one; c.test two; default two; }\n\
         server { listen 443; ssl_preread on; proxy_pass $to; }",
    );
    let told: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| ["listen", "server_name", "proxy_pass"].iter().any(|start| line.starts_with(start)))
        .collect();
    assert_eq!(
        told,
        [
            "listen = \"443\"",
            "server_name = [\"a.test\", \"*.b.test\"]",
            "proxy_pass = \"one\"",
            "listen = \"443\"",
            "server_name = \"c.test\"",
            "proxy_pass = \"two\"",
            "listen = \"443 default_server\"",
            "proxy_pass = \"two\"",
        ]
    );
}

/// nginx closes sessions to names that no line has; here they would reach the first section.
#[test]
fn a_map_without_default_is_a_loss() {
    let text =
        "map $ssl_preread_server_name $to { a.test one; }\nserver { listen 443; ssl_preread on; proxy_pass $to; }";
    assert!(outcomes(&imported(text), "map").contains(&Outcome::Lost));
    let other =
        "map $ssl_preread_protocol $to { default one; }\nserver { listen 443; ssl_preread on; proxy_pass $to; }";
    let other = imported(other);
    assert!(!other.report.is_complete() && !other.text.contains("[[tcp]]"), "{}", other.text);
}

#[test]
fn groups_of_both_kinds_share_a_room() {
    let lines = keys(
        "events { }\nstream { upstream a { server 10.0.0.1:1; } server { listen 1; proxy_pass a; } }\n\
         http { upstream a { server 10.0.0.2; } }",
    );
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("[upstream")).collect::<Vec<_>>(),
        ["[upstream.a_tcp]", "[upstream.a]"]
    );
    assert!(lines.contains(&"proxy_pass = \"a_tcp\"".to_string()), "{lines:?}");
}

/// A filter that is not there opens no door.
#[test]
fn a_filter_of_addresses_closes_the_section() {
    let imported = imported("stream { server { listen 1; allow 10.0.0.0/8; deny all; proxy_pass a:1; } }");
    assert!(!imported.text.contains("[[tcp]]") && !imported.report.is_complete(), "{}", imported.text);
}

/// What only `stream` itself has is no setting of its servers.
#[test]
fn settings_of_stream_alone() {
    for directive in [
        "log_format a '$remote_addr';",
        "map_hash_bucket_size 64;",
        "variables_hash_max_size 64;",
        "server_names_hash_max_size 64;",
        "limit_conn_zone $binary_remote_addr zone=a:1m;",
    ] {
        let lines = keys(&format!("stream {{ {directive} server {{ listen 1; proxy_pass a:1; }} }}"));
        assert!(lines.contains(&"proxy_pass = \"a:1\"".to_string()), "{directive} {lines:?}");
    }
    let text = "stream { limit_conn_zone $binary_remote_addr zone=a:1m; server { listen 1; proxy_pass a:1; } \
                server { listen 2; proxy_pass a:1; } }";
    assert_eq!(outcomes(&imported(text), "limit_conn_zone"), [Outcome::Lost]);
    let wrong = super::mistakes("stream { no_such_thing 1; server { listen 1; proxy_pass a:1; } }");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let wrong = super::mistakes("stream { proxy_pass b; server { listen 1; proxy_pass a:1; } }");
    assert!(wrong[0].contains("\"proxy_pass\" directive is not allowed here"), "{wrong:?}");
}

/// What `http` says at the top is not meant for sessions.
#[test]
fn settings_of_http_stay_there() {
    let lines = keys(
        "events { }\nhttp { set_real_ip_from 10.0.0.0/8; proxy_next_upstream_tries 2; }\nstream { server { listen 1; proxy_pass a:1; } }",
    );
    let section = &lines[lines.iter().position(|line| line == "[[tcp]]").expect("it is there")..];
    assert!(section.contains(&"set_real_ip_from = []".to_string()), "{lines:?}");
    assert!(section.contains(&"proxy_next_upstream_tries = 0".to_string()), "{lines:?}");
}
