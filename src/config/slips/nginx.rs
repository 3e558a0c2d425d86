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
    ("http2_*", "is not needed: HTTP/1.1 is spoken for now"),
    ("http3*", "is not supported yet: HTTP/1.1 is spoken for now"),
    ("quic*", "is not supported yet: HTTP/1.1 is spoken for now"),
    ("ssl", "is a word of `listen`: write listen = \"443 ssl\""),
    ("ssl_stapling*", "is not needed: most authorities answer no OCSP any more"),
    ("ssl_ocsp*", "is not supported: revoked certificates are named in `ssl_crl`"),
    ("ssl_session_*", "is not needed: sessions are resumed by tickets"),
    ("ssl_conf_command", "has no answer here: leave it out"),
    ("ssl_engine", "has no answer here: leave it out"),
    ("ssl_object_cache*", "has no answer here: leave it out"),
    ("ssl_certificate_c*", "has no answer here: leave it out"),
    ("ssl_ech*", "has no answer here: leave it out"),
    ("ssl_key_log", "has no answer here: leave it out"),
    ("proxy_ssl_conf_command", "has no answer here: leave it out"),
    ("proxy_ssl_certificate_cache", "has no answer here: leave it out"),
    ("proxy_ssl_key_log", "has no answer here: leave it out"),
    ("hsts*", "is one setting: write hsts = \"1y includeSubDomains preload\""),
    ("root", "is not supported yet: this version serves no files"),
    ("alias", "is not supported yet: this version serves no files"),
    ("index", "is not supported yet: this version serves no files"),
    ("autoindex*", "is not supported yet: this version serves no files"),
    ("try_files", "is not supported yet: this version serves no files"),
    ("expires", "is not supported yet: this version serves no files"),
    ("error_page", "is not supported yet"),
    ("rewrite", "is not supported yet; a redirect is return = \"301 https://$host$request_uri\""),
    ("if", "is not supported yet"),
    ("map", "is not supported yet; WebSocket needs no configuration"),
    ("set", "is not supported yet"),
    ("proxy_http_version", "is not needed: backends are always spoken to in HTTP/1.1"),
    ("proxy_redirect", "is not supported yet"),
    ("proxy_buffer*", "is not needed: leave it out"),
    ("proxy_request_buffering", "is not needed: request bodies are never held back"),
    ("proxy_cache*", "is not supported yet"),
    ("proxy_ssl_password_file", "is not supported: keys behind a password cannot be read"),
    ("proxy_*_header*", "is not supported yet"),
    ("fastcgi*", "is not supported; backends speak HTTP"),
    ("uwsgi*", "is not supported; backends speak HTTP (uwsgi --http-socket)"),
    ("grpc*", "is not supported yet"),
    ("scgi*", "is not supported; backends speak HTTP"),
    ("client_header_buffer_size", "is not needed: a head has 16 KiB"),
    ("large_client_header_buffers", "is not needed: a head has 16 KiB"),
    ("client_body_buffer_size", "is not needed: leave it out"),
    ("lingering_*", "is not needed: leave it out"),
    ("add_header", "is not supported yet; for Strict-Transport-Security write hsts = \"1y\""),
    ("gzip*", "is not supported yet"),
    ("brotli*", "is not supported yet"),
    ("access_log", "is not supported yet: there is no access log"),
    ("log_format", "is not supported yet: there is no access log"),
    ("stub_status", "is not needed: see `ringgate status`"),
    ("limit_*", "is not supported yet"),
    ("allow", "is not supported yet"),
    ("deny", "is not supported yet"),
    ("auth_*", "is not supported yet"),
    ("resolver_timeout", "is not needed: names are looked up while requests go on"),
    (
        "real_ip_header",
        "is not needed: of the peers in `set_real_ip_from` the PROXY protocol's header is believed, and X-Forwarded-For",
    ),
    ("real_ip_recursive", "is not needed: trusted proxies are passed over, one after the other"),
    ("zone", "is not needed: the workers share their counters"),
    ("state", "is not supported: servers stand in the file"),
    ("ntlm", "is not supported"),
    ("sticky_*", "is called `sticky` here: write sticky = \"cookie route\""),
    ("match", "is not needed: write `status` and `body` in [upstream.NAME.health_check]"),
    ("fails", "is called `fall` here: write fall = 3"),
    ("passes", "is called `rise` here: write rise = 2"),
    ("mandatory", "is not needed: a server counts as up until a check says otherwise"),
    ("persistent", "is not needed: what is known of a server outlives a reload"),
    ("check_http_send", "is called `uri` here, in [upstream.NAME.health_check]: write uri = \"/\""),
    (
        "check_http_expect_alive",
        "is called `status` here, in [upstream.NAME.health_check]: write status = [\"200-399\"]",
    ),
    ("check_*", "is not needed: see [upstream.NAME.health_check]"),
    ("proxy_protocol_timeout", "is called `preread_timeout` here: write preread_timeout = \"30s\""),
];

/// Methods of choosing, which are directives in nginx.
const METHODS: [&str; 6] = ["round_robin", "least_conn", "ip_hash", "hash", "random", "least_time"];

/// What to do instead of a word of nginx's that is none here, with what stands behind it.
pub fn advice(word: &str, arguments: &str) -> Option<String> {
    match word {
        _ if METHODS.contains(&word) => {
            let rest = match (word, arguments) {
                ("hash", "") => " $request_uri".to_string(),
                (_, "") => String::new(),
                _ => format!(" {}", arguments.replace(['"', '\''], "")),
            };
            Some(format!("is a method: write balance = \"{word}{rest}\""))
        }
        "add_header" if arguments.to_ascii_lowercase().starts_with("strict-transport-security") => {
            let value = arguments.split_once(' ').map_or("", |(_, value)| value.trim_end_matches(" always"));
            let value = value.trim_matches([' ', '"', '\'']);
            Some(format!("is not supported yet; for Strict-Transport-Security write hsts = \"{value}\""))
        }
        "check" => Some(format!("is a section here: write {}", health_check(arguments))),
        _ => ADVICE.iter().find(|(pattern, _)| fits(pattern, word)).map(|(_, advice)| (*advice).to_string()),
    }
}

/// nginx Plus's `health_check uri=/x interval=5s fails=3`, Tengine's `check interval=3000 type=http`: the section that says the same.
pub fn health_check(arguments: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in arguments.split_ascii_whitespace() {
        let (name, value) = word.trim_end_matches(';').split_once('=').unwrap_or((word, ""));
        // Tengine counts in milliseconds, without a unit.
        let long = crate::config::value::is_number(value) && value.len() > 2;
        lines.extend(match (name, value) {
            (_, "") => None,
            ("fails" | "fall", number) => Some(format!("fall = {number}")),
            ("passes" | "rise", number) => Some(format!("rise = {number}")),
            ("port", number) => Some(format!("port = {number}")),
            ("interval" | "timeout", number) if long => Some(format!("{name} = \"{number}ms\"")),
            ("interval" | "timeout" | "uri" | "type", text) => Some(format!("{name} = \"{text}\"")),
            _ => None,
        });
    }
    match lines.is_empty() {
        true => "[upstream.NAME.health_check] and beneath it type = \"tcp\", or uri = \"/health\"".to_string(),
        false => format!("[upstream.NAME.health_check] and beneath it {}", lines.join(", ")),
    }
}

/// A parameter of a server that stands beside it.
pub fn of_a_server(name: &str, arguments: &str) -> String {
    let parameter = match (name, arguments) {
        ("backup" | "down" | "resolve", _) => name.to_string(),
        (_, "") => format!("{name}=..."),
        _ => format!("{name}={arguments}"),
    };
    format!("belongs to each server: write server = [\"127.0.0.1:8000 {parameter}\"]")
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
const BLOCKS: [&str; 10] =
    ["http", "stream", "events", "server", "upstream", "location", "if", "map", "types", "match"];

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
        _ => match advice(name, "") {
            Some(advice) => format!("`{name}` {advice}"),
            None => "begin a section with [[server]] or [upstream.NAME]".to_string(),
        },
    }
}

/// One nginx directive as a line of TOML, or what to do instead.
pub fn directive(name: &str, arguments: &str) -> String {
    use super::keys::{Form, Section, anywhere};
    let advice = advice(name, arguments);
    match (anywhere(name), advice) {
        (Some(key), _) if key.name == "health_check" => format!("write {}", health_check(arguments)),
        (Some(key), _) if key.form == Form::Sections => format!("write {}", key.example),
        (Some(key), _) if key.sections == [Section::Backend] && name != "address" => {
            format!("`{name}` {}", of_a_server(name, arguments))
        }
        (Some(key), Some(advice)) if key.sections[0].is_shy() => format!("`{name}` {advice}"),
        (None, Some(advice)) => format!("`{name}` {advice}"),
        _ if arguments.is_empty() => "write a name, `=` and a value".to_string(),
        _ => format!("write {name} = {}", value(name, arguments)),
    }
}

/// A value as it should stand behind a key: numbers bare, words quoted, lists of names as lists.
pub fn value(name: &str, arguments: &str) -> String {
    let bare = arguments.trim_matches(['"', '\'']);
    let mut words: Vec<&str> = bare.split_ascii_whitespace().collect();
    if name == "resolver" {
        // nginx needs these words; here they mean nothing.
        words.retain(|word| !word.starts_with("ipv") && !word.starts_with("status_zone="));
        return format!("\"{}\"", words.join(" "));
    }
    if let ("queue", [number, time]) = (name, &words[..])
        && let Some(time) = time.strip_prefix("timeout=")
    {
        return format!("{number} and queue_timeout = \"{time}\"");
    }
    if name == "proxy_set_header" {
        let (field, text) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let text = text.trim().trim_matches(['"', '\'']);
        return format!("[\"{field} {}\"]", if text.is_empty() { "''" } else { text });
    }
    if name == "return" {
        return format!("\"{}\"", arguments.replace('"', ""));
    }
    let listed = matches!(name, "server_name" | "include" | "set_real_ip_from") && words.len() > 1;
    match crate::config::value::is_number(bare) {
        true => bare.to_string(),
        false if listed => {
            format!("[{}]", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
        }
        false => format!("\"{bare}\""),
    }
}
