//! Addresses as nginx writes them: `listen`, `server` of an upstream, `proxy_pass`, `server_name`. Pure: names are resolved
//! elsewhere. An error is a sentence that says what to write.

use crate::config::pattern::Pattern;
use crate::config::value::{count, is_number};
use crate::limits;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Where `http` and `https` lead without a port.
pub const HTTP: u16 = 80;
/// See [`HTTP`].
pub const HTTPS: u16 = 443;

/// Where something is, before names are resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// An address in digits.
    Ip(SocketAddr),
    /// A host name and a port.
    Name(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// One `listen`.
#[derive(Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; `80` and `*:80` are 0.0.0.0:80.
    pub target: Target,
    /// The word `default_server` stands behind it.
    pub default_server: bool,
    /// TLS ends here.
    pub ssl: bool,
    /// Connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// HTTP/2 was asked for.
    pub http2: bool,
    /// HTTP/3, which is not TCP, was asked for.
    pub quic: bool,
}

/// Where `proxy_pass` leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Pass {
    /// A group by its name, else a host.
    Host(String),
    /// A host and a port, or digits.
    Address(Target),
}

/// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`, `app.internal`, `unix:/run/app.sock`. Without a default a port is required.
pub fn target(text: &str, default_port: Option<u16>) -> Result<Target, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path).map(Target::Unix);
    }
    refuse_foreign(text)?;
    let (host, port) = split_port(text)?;
    let given = match port {
        Some(port) => Some(port_number(text, port, 1)?),
        None => default_port,
    };
    let target = host_target(text, host, given.unwrap_or(0))?;
    if given.is_some() { Ok(target) } else { Err(no_port(text)) }
}

/// Nothing says which port is meant.
pub fn no_port(text: &str) -> String {
    format!("\"{text}\" has no port; write it behind a colon, such as \"{text}:5432\"")
}

/// nginx's `listen`: an address or a port, then words.
pub fn listen(text: &str) -> Result<Listen, String> {
    listen_to(text, Some(80))
}

/// The same in a `[[tcp]]` section, as in nginx's stream module: the port has to be given.
pub fn tcp_listen(text: &str) -> Result<Listen, String> {
    listen_to(text, None)
}

fn listen_to(text: &str, default_port: Option<u16>) -> Result<Listen, String> {
    const WORDS: [&str; 3] = ["default_server", "ssl", "proxy_protocol"];
    let (address, words) = listen_words(text)?;
    let http = default_port.is_some();
    for word in &words {
        match *word {
            "http2" | "quic" if http => {}
            "http2" | "quic" => return Err(format!("`{word}` is for [[server]] only; leave it out")),
            "udp" => return Err("`udp` is not supported yet".to_string()),
            word if WORDS.contains(&word) || word == "default" => {}
            word => {
                let near = WORDS.into_iter().find(|known| strsim::damerau_levenshtein(word, known) <= known.len() / 3);
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are `{}`", WORDS.join("`, `")),
                };
                return Err(format!("unknown word `{word}` in \"{text}\"; {hint}"));
            }
        }
    }
    let has = |word: &str| words.contains(&word);
    Ok(Listen {
        target: listen_target(address, default_port)?,
        default_server: has("default_server") || has("default"),
        ssl: has("ssl"),
        proxy_protocol: has("proxy_protocol"),
        http2: has("http2"),
        quic: has("quic"),
    })
}

/// The address and the words behind it, without those for what ringgate does anyway.
fn listen_words(text: &str) -> Result<(&str, Vec<&str>), String> {
    let mut words = text.split_ascii_whitespace();
    let address = words.next().ok_or("write an address or a port, such as \"80\" or \"127.0.0.1:8080\"")?;
    let words = words.map(|word| word.trim_end_matches(';'));
    let words: Vec<&str> = words.filter(|word| !["reuseport", "ipv6only=on", "bind"].contains(word)).collect();
    if words.contains(&"ipv6only=off") {
        return Err("a listener takes IPv4 or IPv6, not both; list both: [\"80\", \"[::]:80\"]".to_string());
    }
    Ok((address, words))
}

fn listen_target(address: &str, default_port: Option<u16>) -> Result<Target, String> {
    if let Some(path) = address.strip_prefix("unix:") {
        return unix(path).map(Target::Unix);
    }
    let any = |port| Target::Ip(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    if is_number(address) {
        return Ok(any(port_number(address, address, 0)?));
    }
    refuse_foreign(address)?;
    let (host, port) = split_port(address)?;
    let port = match port {
        Some(port) => port_number(address, port, 0)?,
        None => default_port.ok_or_else(|| no_port(address))?,
    };
    match host {
        "*" => Ok(any(port)),
        "" => Err(format!("\"{address}\" has no host; write \"{port}\" for every address of this machine")),
        _ => host_target(address, host, port),
    }
}

/// What a location's `proxy_pass` says.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed<'a> {
    /// Who is asked.
    pub to: Asked<'a>,
    /// `https`.
    pub https: bool,
    /// The URI part, from its slash or, with variables, its `$` on; "" if there is none.
    pub uri: &'a str,
}

/// The host part of a `proxy_pass`.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// The same always; as written, and read.
    Fixed(&'a str, Pass),
    /// With variables.
    Variable(&'a str),
}

/// Variables that begin the URI part where they stand behind a host, with no slash between.
const URI_VARIABLES: [&str; 5] = ["$request_uri", "$uri", "$document_uri", "$is_args", "${request_uri}"];

/// `http://backend`, `https://127.0.0.1:3000/app/`, `http://unix:/run/app.sock:/app/`, `http://$pool$request_uri`.
pub fn pass(text: &str) -> Result<Passed<'_>, String> {
    let text = text.trim().trim_end_matches(';');
    let (rest, https) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        (None, None) if text.starts_with('$') => {
            return Err("whether by TLS must be said here: write \"http://\" or \"https://\" before it".to_string());
        }
        (None, None) => return Err(no_scheme(text)),
    };
    let (scheme, port) = if https { ("https", HTTPS) } else { ("http", HTTP) };
    if let Some(path) = rest.strip_prefix("unix:") {
        let (path, uri) = path.split_once(':').unwrap_or((path, ""));
        if !uri.is_empty() && !uri.starts_with('/') {
            return Err(format!(
                "the path behind the socket begins with a slash; write \"{scheme}://unix:{path}:/{uri}\""
            ));
        }
        let written = &rest[.."unix:".len() + path.len()];
        return unix(path).map(|path| Passed {
            to: Asked::Fixed(written, Pass::Address(Target::Unix(path))),
            https,
            uri,
        });
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // `http://backend$request_uri`, `http://$pool$uri`.
    let end = URI_VARIABLES.iter().filter_map(|name| rest.find(name)).filter(|&at| at > 0).fold(end, usize::min);
    let (host, uri) = rest.split_at(end);
    if host.is_empty() {
        return Err(format!("nothing stands behind \"{scheme}://\"; write a group or an address"));
    }
    if uri.starts_with(['?', '#']) {
        return Err(format!("the path behind the address begins with a slash; write \"{scheme}://{host}/{uri}\""));
    }
    if host.contains('$') {
        return Ok(Passed { to: Asked::Variable(host), https, uri });
    }
    let pass = match split_port(host)? {
        (name, None) if !name.starts_with('[') && name.parse::<IpAddr>().is_err() => {
            host_target(host, name, port)?;
            Pass::Host(name.to_string())
        }
        _ => target(host, Some(port)).map(Pass::Address)?,
    };
    Ok(Passed { to: Asked::Fixed(host, pass), https, uri })
}

fn no_scheme(text: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    let rest = if is_number(rest) { format!("127.0.0.1:{rest}") } else { rest.trim_start_matches('/').to_string() };
    match text.split_once("://") {
        Some((scheme, _)) => format!("`{scheme}` is not spoken here; write \"http://{rest}\""),
        None if text.is_empty() => "write \"http://\" and a group or an address".to_string(),
        None if text.starts_with('/') => format!("\"{text}\" lacks \"http://\"; write \"http://unix:{text}\""),
        None => format!("\"{text}\" lacks \"http://\"; write \"http://{rest}\""),
    }
}

/// The same in a `[[tcp]]` section, as in nginx's stream module: `backend`, `127.0.0.1:5432`, `unix:/run/app.sock`.
pub fn tcp_pass(text: &str) -> Result<Pass, String> {
    let text = text.trim();
    if text.contains('$') {
        return Err("variables in `proxy_pass` are not supported yet; name a group or an address".to_string());
    }
    let address = match text.split_once("://") {
        Some(("tcp", rest)) => rest,
        Some((scheme, rest)) => {
            let end = if rest.starts_with("unix:") { None } else { rest.find(['/', '?', '#']) };
            let rest = &rest[..end.unwrap_or(rest.len())];
            // `postgres://user@host`
            let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            let tls = if scheme == "https" { " and proxy_ssl = \"on\"" } else { "" };
            return Err(format!("a tcp listener passes bytes on and speaks no `{scheme}`; write \"{rest}\"{tls}"));
        }
        None => text,
    };
    if address.is_empty() {
        return Err("write a group, or an address with its port, such as \"127.0.0.1:5432\"".to_string());
    }
    if !address.starts_with("unix:") {
        refuse_foreign(address)?;
        if let (host, None) = split_port(address)?
            && let Target::Name(name, _) = host_target(address, host, 0)?
        {
            return Ok(Pass::Host(name));
        }
    }
    target(address, None).map(Pass::Address)
}

/// A host name as in `server_name`, in lower case, perhaps a wildcard (see [`crate::config::names`]), or as it is a regular
/// expression behind `~`. `_` and `""` are allowed, as nginx's guides write them.
pub fn server_name(text: &str) -> Result<String, String> {
    if let Some(regex) = text.strip_prefix('~') {
        return Pattern::new(regex, false).map(|_| text.to_string());
    }
    let name = text.to_ascii_lowercase();
    if text.split_whitespace().count() > 1 {
        let list: Vec<String> = text.split_whitespace().map(|name| format!("\"{name}\"")).collect();
        return Err(format!("several names are a list; write [{}]", list.join(", ")));
    }
    if let Some((_, rest)) = name.split_once("://") {
        return Err(format!("a name stands alone; write \"{}\"", rest.split(['/', ':']).next().unwrap_or(rest)));
    }
    if let Some((host, path)) = name.split_once('/') {
        return Err(format!("\"/{path}\" belongs in a location; write \"{host}\""));
    }
    if name.starts_with('[') || name.parse::<Ipv6Addr>().is_ok() {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        return match bare.parse::<Ipv6Addr>() {
            Ok(_) => Ok(format!("[{bare}]")),
            Err(_) => Err(format!("\"{text}\" is not an IPv6 address in brackets")),
        };
    }
    if let Some((host, _)) = name.split_once(':') {
        return Err(format!("the port belongs in `listen`; write \"{host}\""));
    }
    if !name.is_ascii() {
        return Err(format!("\"{text}\" must be in its ASCII form (\"xn--...\"), as browsers send it"));
    }
    let bare = match (name.strip_prefix("*."), name.strip_suffix(".*")) {
        (Some(bare), _) | (None, Some(bare)) if !bare.starts_with('.') => bare,
        _ => &name,
    };
    if bare.contains('*') {
        return Err("a `*` is the first label or the last one: \"*.example.org\", \"mail.*\"; for all names write `default_server` in `listen`".to_string());
    }
    if let Some(strange) = bare.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._".contains(*c)) {
        return Err(format!("`{strange}` cannot stand in a host name"));
    }
    if name.len() > limits::HOST_MAX {
        return Err(format!("a host name has at most {} bytes", limits::HOST_MAX));
    }
    // One dot may begin a name (a wildcard), one may end it.
    let inner = bare.strip_prefix('.').unwrap_or(bare);
    let inner = inner.strip_suffix('.').unwrap_or(inner);
    if !name.is_empty() && inner.split('.').any(str::is_empty) {
        return Err(format!("there is nothing between two dots in \"{text}\""));
    }
    Ok(name.trim_end_matches('.').to_string())
}

/// A path for a unix socket.
pub fn unix(path: &str) -> Result<PathBuf, String> {
    if !path.starts_with('/') {
        return Err(format!("a unix socket needs an absolute path, such as \"unix:/run/{}\"", path.trim_matches('.')));
    }
    if path.len() > limits::UNIX_PATH_MAX {
        return Err(format!("the path of a unix socket has at most {} bytes", limits::UNIX_PATH_MAX));
    }
    if path.contains('\0') {
        return Err("a path cannot hold a NUL byte".to_string());
    }
    Ok(PathBuf::from(path))
}

/// What is no address at all, but often written in its place.
fn refuse_foreign(text: &str) -> Result<(), String> {
    if let Some((_, rest)) = text.split_once("://") {
        return Err(format!("an address has no scheme; write \"{}\"", rest.trim_end_matches('/')));
    }
    if text.starts_with('/') {
        return Err(format!("a unix socket begins with `unix:`; write \"unix:{text}\""));
    }
    if let Some((host, path)) = text.split_once('/') {
        return Err(format!("\"/{path}\" cannot stand behind an address; write \"{host}\""));
    }
    match text.strip_suffix(';') {
        Some(rest) => Err(format!("no semicolon within the quotes; write \"{rest}\"")),
        None => Ok(()),
    }
}

/// Splits off the port, if there is one. Brackets stay on an IPv6 address.
fn split_port(text: &str) -> Result<(&str, Option<&str>), String> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or_else(|| format!("\"{text}\" lacks its closing bracket"))?;
        let (host, rest) = text.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("\"{rest}\" cannot stand behind the bracket; write a colon and the port")),
        };
    }
    if text.matches(':').count() > 1 {
        let whole = text.parse::<Ipv6Addr>().is_ok();
        let split = text.rsplit_once(':').filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok());
        return Err(match (whole, split) {
            (_, Some((host, port))) if !whole || port.len() > 1 => {
                format!("an IPv6 address stands in brackets; write \"[{host}]:{port}\"")
            }
            (true, _) => format!("an IPv6 address stands in brackets; write \"[{text}]\""),
            _ => format!("\"{text}\" is not an address"),
        });
    }
    Ok(match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    })
}

fn port_number(text: &str, port: &str, min: u64) -> Result<u16, String> {
    if !is_number(port) {
        return Err(format!("`{port}` in \"{text}\" is not a port number"));
    }
    let number = count(port, min, u16::MAX.into());
    number.map(|n| n as u16).map_err(|_| format!("port {port} is out of range; ports go from 1 to 65535"))
}

fn host_target(text: &str, host: &str, port: u16) -> Result<Target, String> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let parsed = format!("[{inner}]:{port}").parse::<SocketAddr>();
        return parsed.map(Target::Ip).map_err(|_| format!("`{inner}` is not an IPv6 address"));
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(Target::Ip(SocketAddr::from((ip, port))));
    }
    if host.is_empty() {
        return Err(format!("\"{text}\" has no host; write \"127.0.0.1{text}\" for this machine"));
    }
    if is_number(host) {
        return Err(format!("\"{text}\" is only a port; write \"127.0.0.1:{host}\" for this machine"));
    }
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(format!("`{host}` is not an IPv4 address (four numbers from 0 to 255)"));
    }
    if host == "*" {
        return Err("`*` can only be listened on; name one host".to_string());
    }
    if let Some(strange) = host.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._".contains(*c)) {
        return Err(match strange {
            '$' => "variables in addresses are not supported yet".to_string(),
            _ => format!("`{strange}` cannot stand in a host name"),
        });
    }
    Ok(Target::Name(host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Target {
        Target::Ip(text.parse().unwrap())
    }

    fn listened(target: Target) -> Listen {
        Listen { target, default_server: false, ssl: false, proxy_protocol: false, http2: false, quic: false }
    }

    #[test]
    fn what_stands_behind_an_address() {
        let base = || listened(ip("0.0.0.0:443"));
        for (text, expected) in [
            ("443 ssl", Listen { ssl: true, ..base() }),
            ("443 proxy_protocol;", Listen { proxy_protocol: true, ..base() }),
            (
                "443 default_server ssl proxy_protocol reuseport",
                Listen { ssl: true, proxy_protocol: true, default_server: true, ..base() },
            ),
        ] {
            assert_eq!(listen(text), Ok(expected), "{text}");
            assert_eq!(tcp_listen(text), listen(text), "{text}");
        }
        assert_eq!(listen("443 ssl http2"), Ok(Listen { ssl: true, http2: true, ..base() }));
        assert_eq!(listen("443 quic"), Ok(Listen { quic: true, ..base() }));
        for (text, hint) in [
            ("443 sll", "did you mean `ssl`?"),
            ("443 proxy-protocol", "did you mean `proxy_protocol`?"),
            ("443 tls", "there are `default_server`, `ssl`, `proxy_protocol`"),
            ("443 udp", "not supported yet"),
        ] {
            for listen in [listen, tcp_listen] {
                let error = listen(text).expect_err(text);
                assert!(error.contains(hint), "{text}: {error}");
            }
        }
        assert!(tcp_listen("443 ssl http2").is_err() && tcp_listen("443 quic").is_err());
    }

    #[test]
    fn what_listen_takes() {
        for (text, target) in [
            ("80", ip("0.0.0.0:80")),
            ("*:81", ip("0.0.0.0:81")),
            ("*", ip("0.0.0.0:80")),
            ("127.0.0.1", ip("127.0.0.1:80")),
            ("127.0.0.1:0", ip("127.0.0.1:0")),
            ("[::]:80", ip("[::]:80")),
            ("[::1]", ip("[::1]:80")),
            ("Localhost:82", Target::Name("localhost".to_string(), 82)),
            ("unix:/run/x.sock", Target::Unix("/run/x.sock".into())),
        ] {
            for (words, default_server) in
                [("", false), (" default_server", true), ("  reuseport default_server ", true)]
            {
                let expected = Listen { default_server, ..listened(target.clone()) };
                assert_eq!(listen(&format!("{text}{words}")), Ok(expected));
            }
        }
    }

    #[test]
    fn what_an_upstream_takes() {
        for (text, expected) in [
            ("127.0.0.1:8000", ip("127.0.0.1:8000")),
            ("127.0.0.1", ip("127.0.0.1:80")),
            ("[::1]:8003", ip("[::1]:8003")),
            ("[fe80::1%2]:80", ip("[fe80::1%2]:80")),
            ("app_1.internal", Target::Name("app_1.internal".to_string(), 80)),
            ("unix:/run/a:b.sock", Target::Unix("/run/a:b.sock".into())),
        ] {
            assert_eq!(target(text, Some(80)), Ok(expected), "{text}");
        }
        for text in [
            "",
            "*:80",
            "a b",
            "[::1",
            "[::1]80",
            "[nonsense]:80",
            "a:b:c",
            "a:",
            "$host:80",
            "1.2.3:80",
            "unix:",
            "unix:/\0",
        ] {
            assert!(target(text, Some(80)).is_err(), "{text}");
        }
        assert!(target(&format!("unix:/{}", "a".repeat(200)), Some(80)).is_err());
    }

    #[test]
    fn what_proxy_pass_takes() {
        let host = |name: &str| Pass::Host(name.to_string());
        let fixed = |text: &'static str| match pass(text) {
            Ok(Passed { to: Asked::Fixed(_, pass), https, uri }) => Ok((pass, https, uri)),
            other => Err(other),
        };
        for (text, expected, uri) in [
            ("http://backend/", host("backend"), "/"),
            ("http://backend/a/b?c", host("backend"), "/a/b?c"),
            ("http://backend$request_uri", host("backend"), "$request_uri"),
            ("http://127.0.0.1:81/a$uri", Pass::Address(ip("127.0.0.1:81")), "/a$uri"),
            ("http://unix:/run/x.sock:/a/", Pass::Address(Target::Unix("/run/x.sock".into())), "/a/"),
        ] {
            assert_eq!(fixed(text), Ok((expected, false, uri)), "{text}");
        }
        for (text, name, uri) in [
            ("http://$pool", "$pool", ""),
            ("http://$pool/a", "$pool", "/a"),
            ("http://$pool$request_uri", "$pool", "$request_uri"),
            ("http://${pool}:8080/$1", "${pool}:8080", "/$1"),
            ("http://app_$arg_v", "app_$arg_v", ""),
        ] {
            assert_eq!(pass(text), Ok(Passed { to: Asked::Variable(name), https: false, uri }), "{text}");
        }
        for (text, expected) in [
            ("http://backend", host("backend")),
            ("http://app.internal", host("app.internal")),
            ("http://app.internal:81", Pass::Address(Target::Name("app.internal".to_string(), 81))),
            ("http://127.0.0.1", Pass::Address(ip("127.0.0.1:80"))),
            ("http://[::1]:81", Pass::Address(ip("[::1]:81"))),
            ("http://unix:/run/x.sock", Pass::Address(Target::Unix("/run/x.sock".into()))),
        ] {
            assert_eq!(fixed(text), Ok((expected, false, "")), "{text}");
        }
        for (text, expected) in [
            ("https://backend", host("backend")),
            ("https://127.0.0.1", Pass::Address(ip("127.0.0.1:443"))),
            ("https://[::1]:81", Pass::Address(ip("[::1]:81"))),
            ("https://unix:/run/x.sock", Pass::Address(Target::Unix("/run/x.sock".into()))),
        ] {
            assert_eq!(fixed(text), Ok((expected, true, "")), "{text}");
        }
        for text in [
            "",
            "https://",
            "$scheme://a",
            "http://unix:/a:b",
            "http://a#b",
            "http://",
            "http:///x",
            "ftp://a",
            "http://a b",
            "http://a?b",
            "http://::1",
        ] {
            assert!(pass(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_tcp_section_takes() {
        for (text, target) in [
            ("5432", ip("0.0.0.0:5432")),
            ("*:5432 reuseport", ip("0.0.0.0:5432")),
            ("[::1]:5432", ip("[::1]:5432")),
            ("Localhost:5432", Target::Name("localhost".to_string(), 5432)),
            ("unix:/run/x.sock", Target::Unix("/run/x.sock".into())),
        ] {
            assert_eq!(tcp_listen(text), Ok(listened(target)), "{text}");
        }
        for text in ["", "*", "127.0.0.1", "[::1]", "localhost", "5432 udp", "5432 x", ":5432"] {
            assert!(tcp_listen(text).is_err(), "{text}");
        }
        for (text, expected) in [
            ("backend", Pass::Host("backend".to_string())),
            ("tcp://Backend", Pass::Host("backend".to_string())),
            ("app.internal", Pass::Host("app.internal".to_string())),
            (" app.internal:5432", Pass::Address(Target::Name("app.internal".to_string(), 5432))),
            ("127.0.0.1:5432", Pass::Address(ip("127.0.0.1:5432"))),
            ("tcp://[::1]:5432", Pass::Address(ip("[::1]:5432"))),
            ("unix:/run/x.sock", Pass::Address(Target::Unix("/run/x.sock".into()))),
        ] {
            assert_eq!(tcp_pass(text), Ok(expected), "{text}");
        }
        for text in
            ["", "tcp://", "5432", "127.0.0.1", "[::1]", "::1", "a b", "a:0", "a:1/", "$a", "http://a", "/x", "*"]
        {
            assert!(tcp_pass(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_server_name_takes() {
        for (text, name) in [
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org"),
            ("_", "_"),
            ("", ""),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("::1", "[::1]"),
            ("*.Example.org", "*.example.org"),
            (".example.org", ".example.org"),
            ("mail.*", "mail.*"),
            ("~^(?<User>.+)\\.A$", "~^(?<User>.+)\\.A$"),
            ("*.example.org.", "*.example.org"),
        ] {
            assert_eq!(server_name(text).as_deref(), Ok(name));
        }
        for text in [
            "*",
            "*.",
            ".*",
            "a*",
            "a.*.b",
            "*.a.*",
            "*a.b",
            "a..b",
            ".",
            "a..",
            "*..a",
            "..a",
            "a;",
            "a,b",
            "~(",
            "[a",
            &"a".repeat(300),
        ] {
            assert!(server_name(text).is_err(), "{text}");
        }
    }
}
