//! nginx's other words: what becomes of them here.

/// Words (a trailing `*` stands for anything) and what to do instead.
const ADVICE: &[(&str, &str)] = &[
    ("worker_processes", "is called `workers` here: write workers = \"auto\""),
    ("events", "is not needed: leave the block out"),
    ("http", "is not needed: write its contents at the top level"),
    ("stream", "is not needed: write each server of it as [[tcp]], and its groups as [upstream.NAME]"),
    ("user", "is not needed: start ringgate as the user it shall be"),
    ("pid", "is not needed: leave it out"),
    ("daemon", "is not needed: leave it out"),
    ("use", "is not needed: leave it out"),
    ("multi_accept", "is not needed: leave it out"),
    ("worker_rlimit_nofile", "is not needed: leave it out"),
    ("sendfile", "is not needed: leave it out"),
    ("tcp_no*", "is not needed: leave it out"),
    ("default_type", "is not needed: leave it out"),
    ("types*", "is not needed: leave it out"),
    ("server_tokens", "is not needed: leave it out"),
    ("http2", "is not supported yet"),
    ("ssl*", "is not supported yet: this version speaks no TLS"),
    ("root", "is not supported yet: this version serves no files"),
    ("alias", "is not supported yet: this version serves no files"),
    ("index", "is not supported yet: this version serves no files"),
    ("autoindex*", "is not supported yet: this version serves no files"),
    ("try_files", "is not supported yet: this version serves no files"),
    ("expires", "is not supported yet: this version serves no files"),
    ("error_page", "is not supported yet"),
    ("return", "is not supported yet"),
    ("rewrite", "is not supported yet"),
    ("if", "is not supported yet"),
    ("map", "is not supported yet; WebSocket needs no configuration"),
    ("set", "is not supported yet"),
    (
        "proxy_set_header",
        "is not needed for Host, X-Real-IP, X-Forwarded-* and WebSocket, which are right by themselves; others are not supported yet",
    ),
    ("proxy_http_version", "is not needed: backends are always spoken to in HTTP/1.1"),
    ("proxy_next_upstream*", "is not needed: ringgate tries the next server wherever that is safe"),
    ("proxy_redirect", "is not supported yet"),
    ("proxy_buffer*", "is not needed: leave it out"),
    ("proxy_request_buffering", "is not needed: request bodies are never held back"),
    ("proxy_cache*", "is not supported yet"),
    ("proxy_ssl*", "is not supported yet: backends are spoken to in plain HTTP"),
    ("proxy_*_header*", "is not supported yet"),
    ("fastcgi*", "is not supported; backends speak HTTP"),
    ("uwsgi*", "is not supported; backends speak HTTP (uwsgi --http-socket)"),
    ("grpc*", "is not supported yet"),
    ("scgi*", "is not supported; backends speak HTTP"),
    ("client_header_buffer_size", "is not needed: a head has 16 KiB"),
    ("large_client_header_buffers", "is not needed: a head has 16 KiB"),
    ("client_body_buffer_size", "is not needed: leave it out"),
    ("lingering_*", "is not needed: leave it out"),
    ("add_header", "is not supported yet"),
    ("gzip*", "is not supported yet"),
    ("brotli*", "is not supported yet"),
    ("access_log", "is not supported yet: there is no access log"),
    ("log_format", "is not supported yet: there is no access log"),
    ("stub_status", "is not needed: see `ringgate status`"),
    ("resolver*", "is not needed: names are looked up at the start"),
    ("limit_*", "is not supported yet"),
    ("allow", "is not supported yet"),
    ("deny", "is not supported yet"),
    ("auth_*", "is not supported yet"),
    ("set_real_ip_from", "is not supported yet"),
    ("real_ip_*", "is not supported yet"),
    ("least_conn", "is a method: write balance = \"least_conn\""),
    ("round_robin", "is a method: write balance = \"round_robin\""),
    ("ip_hash", "is not supported yet; write balance = \"round_robin\" or \"least_conn\""),
    ("hash", "is not supported yet; write balance = \"round_robin\" or \"least_conn\""),
    ("random", "is not supported yet; write balance = \"round_robin\" or \"least_conn\""),
    ("sticky*", "is not supported yet"),
    ("zone", "is not needed: the workers share their counters"),
    ("max_fails", "is not supported yet"),
    ("fail_timeout", "is not supported yet"),
    ("max_conns", "is not supported yet"),
    ("backup", "is not supported yet"),
    ("down", "is not supported yet; leave the server out"),
    ("health_check*", "is not supported yet"),
    ("proxy_protocol", "is not supported yet"),
];

/// What to do instead of a word of nginx's that is none here.
pub fn advice(word: &str) -> Option<&'static str> {
    ADVICE.iter().find(|(pattern, _)| fits(pattern, word)).map(|(_, advice)| *advice)
}

fn fits(pattern: &str, word: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == word,
        Some((start, end)) => {
            let end = end.trim_end_matches('*');
            word.strip_prefix(start).is_some_and(|rest| if end.is_empty() { true } else { rest.contains(end) })
        }
    }
}

/// Blocks that may have an `=` behind their name and are still no TOML.
const BLOCKS: [&str; 9] = ["http", "stream", "events", "server", "upstream", "location", "if", "map", "types"];

/// How every translation begins.
pub const NOTICE: &str = "this is nginx's syntax, but the file is TOML";

/// Whether a line (without comment) is nginx's syntax, and what to write instead.
pub fn translate(line: &str) -> Option<String> {
    let first = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
    if line.starts_with('}') {
        return Some(format!("{NOTICE}; leave the brace out: a section ends where the next one begins"));
    }
    let rest = line[first.len()..].trim();
    if first.is_empty() || rest.starts_with('=') && !(BLOCKS.contains(&first) && line.ends_with('{')) {
        return None;
    }
    let write = match (rest.strip_suffix('{'), rest.strip_suffix(';')) {
        (Some(arguments), _) => block(first, arguments.trim()),
        (_, Some(arguments)) => directive(first, arguments.trim()),
        _ if line.contains('{') && line.ends_with('}') => match rest.split_once('{') {
            Some((arguments, _)) => block(first, arguments.trim()),
            None => return None,
        },
        _ => return None,
    };
    Some(format!("{NOTICE}; {write}"))
}

fn block(name: &str, arguments: &str) -> String {
    match name {
        "server" => "write [[server]]".to_string(),
        "upstream" => format!("write [upstream.{arguments}]"),
        "location" if arguments.starts_with('/') => format!("write [server.location.\"{arguments}\"]"),
        "location" => "write [server.location.\"/\"]; only plain prefixes are supported yet".to_string(),
        _ => match advice(name) {
            Some(advice) => format!("`{name}` {advice}"),
            None => "begin a section with [[server]] or [upstream.NAME]".to_string(),
        },
    }
}

/// One nginx directive as a line of TOML, or what to do instead.
pub fn directive(name: &str, arguments: &str) -> String {
    use super::keys::{Form, anywhere};
    match anywhere(name) {
        Some(key) if key.form == Form::Sections => format!("write {}", key.example),
        _ if arguments.is_empty() && advice(name).is_none() => "write a name, `=` and a value".to_string(),
        Some(_) => format!("write {name} = {}", value(name, arguments)),
        None => match advice(name) {
            Some(advice) => format!("`{name}` {advice}"),
            None => format!("write {name} = {}", value(name, arguments)),
        },
    }
}

/// A value as it should stand behind a key: numbers bare, words quoted, lists of names as lists.
pub fn value(name: &str, arguments: &str) -> String {
    let bare = arguments.trim_matches(['"', '\'']);
    let words: Vec<&str> = bare.split_ascii_whitespace().collect();
    let listed = matches!(name, "server_name" | "include") && words.len() > 1;
    match crate::config::value::is_number(bare) {
        true => bare.to_string(),
        false if listed => {
            format!("[{}]", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
        }
        false => format!("\"{bare}\""),
    }
}
