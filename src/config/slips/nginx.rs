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
    (
        "if",
        "is a statement of `rewrite` here: write rewrite = [\"if ($host = a.org) { return 301 https://b.org$request_uri; }\"]",
    ),
    (
        "map",
        "is a section here: write [map.NAME] and beneath it source = \"$http_upgrade\"; WebSocket needs no configuration",
    ),
    ("set", "is a statement of `rewrite` here: write rewrite = [\"set $name value\"]"),
    ("proxy_buffer*", "is not needed: leave it out"),
    ("proxy_cache*", "is not supported yet"),
    ("proxy_ssl_password_file", "is not supported: keys behind a password cannot be read"),
    ("fastcgi*", "is not supported; backends speak HTTP"),
    ("uwsgi*", "is not supported; backends speak HTTP (uwsgi --http-socket)"),
    ("grpc*", "is not supported yet"),
    ("scgi*", "is not supported; backends speak HTTP"),
    ("client_header_buffer_size", "is not needed: a head has 16 KiB"),
    ("large_client_header_buffers", "is not needed: a head has 16 KiB"),
    ("lingering_*", "is not needed: leave it out"),
    ("stub_status", "is not needed: see `ringgate status`"),
    ("gzip_*", "is not needed: leave it out"),
    ("brotli_*", "is not needed: leave it out"),
    ("limit_rate*", "is not supported yet"),
    (
        "limit_except",
        "is not supported yet; write rewrite = [\"if ($request_method !~ ^(GET|HEAD)$) { return 403; }\"]",
    ),
    ("break", "is a statement of `rewrite` here: write rewrite = [\"break\"]"),
    ("types_hash*", "is not needed: leave it out"),
    ("map_hash*", "is not needed: leave it out"),
    ("server_names_hash*", "is not needed: leave it out"),
    ("variables_hash*", "is not needed: leave it out"),
    ("merge_slashes", "is not needed: several slashes are one"),
    ("disable_symlinks", "is called `symlinks` here: write symlinks = \"off\", \"inside\" or \"follow\""),
    ("directio*", "is not needed: leave it out"),
    ("aio*", "is not needed: leave it out"),
    ("output_buffers", "is not needed: leave it out"),
    ("reset_timedout_connection", "is not needed: leave it out"),
    ("rewrite_log", "is not needed: `ringgate explain` shows where a request goes"),
    ("charset*", "is not supported: write default_type = \"text/html; charset=utf-8\", or name it in [types]"),
    ("sub_filter*", "is not supported: bodies are not changed"),
    ("geo", "is not supported yet"),
    ("split_clients", "is not supported yet; weights of servers share requests out"),
    ("mirror*", "is not supported yet"),
    ("proxy_store*", "is not supported"),
    ("allow", "is written access = [\"allow 10.0.0.0/8\", \"deny all\"] here"),
    ("deny", "is written access = [\"allow 10.0.0.0/8\", \"deny all\"] here"),
    ("auth_*", "is not supported: there are `auth_basic` and `auth_basic_user_file`"),
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
        "location" if arguments.is_empty() => "write [server.location.\"/\"]".to_string(),
        // In single quotes TOML leaves backslashes alone.
        "location" if arguments.contains('\\') => format!("write [server.location.'{arguments}']"),
        "location" => format!("write [server.location.\"{arguments}\"]"),
        "map" if let Some((source, name)) = arguments.rsplit_once(" $") => {
            format!("write [map.{name}] and beneath it source = \"{source}\", and [map.{name}.values]")
        }
        "if" => format!("write rewrite = [\"if {} {{ ... }}\"]", arguments.replace('"', "'")),
        "types" => "write [types] and beneath it \"text/css\" = \"css\"".to_string(),
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
    match name {
        "add_header" if arguments.to_ascii_lowercase().starts_with("strict-transport-security") => {
            let value = arguments.split_once(' ').map_or("", |(_, value)| value.trim_end_matches(" always"));
            return format!("write hsts = \"{}\"", value.trim_matches([' ', '"', '\'']));
        }
        "allow" | "deny" => return format!("write access = [\"{name} {arguments}\"], with all of them in the list"),
        "set" | "break" => {
            return format!("write rewrite = [\"{}\"]", format!("{name} {}", arguments.replace('"', "'")).trim_end());
        }
        "log_format" => {
            let (format, text) = arguments.split_once(char::is_whitespace).unwrap_or((arguments, ""));
            return format!("write [log_format] and beneath it {format} = {}", toml_text(text.trim()));
        }
        _ => {}
    }
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

/// A text of nginx's, in quotes of TOML's that leave it as it is.
fn toml_text(text: &str) -> String {
    let bare = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text);
    match (bare.contains(['"', '\\']), bare.contains('\'')) {
        (false, _) => format!("\"{bare}\""),
        (true, false) => format!("'{bare}'"),
        (true, true) => format!("\'\'\'{bare}\'\'\'"),
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
    if name == "proxy_set_header" || name == "add_header" {
        let (field, text) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let text = text.trim();
        if name == "add_header" {
            return format!("[\"{field} {}\"]", text.replace('"', "'"));
        }
        let text = text.trim_matches(['"', '\'']);
        return format!("[\"{field} {}\"]", if text.is_empty() { "''" } else { text });
    }
    if ["rewrite", "error_page", "proxy_redirect", "limit_req", "limit_conn", "limit_req_zone", "limit_conn_zone"]
        .contains(&name)
    {
        let text = arguments.replace('"', "'");
        return if text.contains('\\') { format!("['{}']", text.replace('\'', "\"")) } else { format!("[\"{text}\"]") };
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
