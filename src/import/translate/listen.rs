//! `listen`: what it says of one server, and what of an address.

use super::{Scope, Translator};
use crate::import::syntax::Directive;

/// What all servers of one address have in common, wherever it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    name: String,
    ssl: bool,
    proxy_protocol: bool,
    /// One of them is the default.
    default: bool,
    /// IPv4 comes in by it, too.
    both_families: bool,
}

/// One `listen`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listen {
    default: bool,
    ssl: bool,
    proxy_protocol: bool,
    quic: bool,
    udp: bool,
    both_families: bool,
}

/// Parameters that change nothing here, and those with values.
const UNNEEDED: [&str; 5] = ["reuseport", "bind", "deferred", "ipv6only=on", "multipath"];
const UNNEEDED_VALUES: [&str; 8] =
    ["backlog=", "rcvbuf=", "sndbuf=", "so_keepalive=", "fastopen=", "setfib=", "accept_filter=", "protocol="];

/// `80`, `*:80` and `0.0.0.0:80` are one address.
fn normal(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("unix:") {
        return text.to_string();
    }
    if !lower.is_empty() && lower.bytes().all(|b| b.is_ascii_digit()) {
        return format!("0.0.0.0:{lower}");
    }
    let bracket = lower.rfind(']').unwrap_or(0);
    let with_port = match lower[bracket..].contains(':') {
        true => lower,
        false => format!("{lower}:80"),
    };
    match with_port.strip_prefix("*:") {
        Some(port) => format!("0.0.0.0:{port}"),
        None => with_port,
    }
}

impl Translator<'_> {
    /// Looks at all servers first: what one `listen` says of an address holds for the others.
    pub fn learn_listens<'d>(&mut self, servers: impl Iterator<Item = &'d Directive>) {
        for server in servers {
            let ssl_on = server.children().iter().any(|child| child.name == "ssl" && child.arg(0) == "on");
            let mut own: Vec<String> = Vec::new();
            for directive in server.children().iter().filter(|child| child.name == "listen") {
                let Some(listen) = self.parse(directive) else { continue };
                let name = normal(directive.arg(0));
                if listen.quic {
                    continue;
                }
                if own.contains(&name) {
                    self.mistake(directive, format!("a duplicate listen {name}"));
                }
                own.push(name.clone());
                let (ssl, both_families) = (listen.ssl || ssl_on, listen.both_families);
                let proxy_protocol = listen.proxy_protocol;
                let new = Address { name, ssl, proxy_protocol, default: false, both_families };
                match self.facts.listens.iter_mut().find(|known| known.name == new.name) {
                    Some(known) => {
                        known.ssl |= new.ssl;
                        known.both_families |= new.both_families;
                        known.proxy_protocol |= new.proxy_protocol;
                        if known.default && listen.default {
                            let message = format!("a duplicate default server for {}", known.name);
                            self.mistakes.push(directive.mistake(message));
                        }
                    }
                    None => self.facts.listens.push(new.clone()),
                }
                let known = self.facts.listens.iter_mut().find(|known| known.name == new.name);
                if let Some(known) = known {
                    known.default |= listen.default;
                }
            }
        }
    }

    fn parse(&mut self, directive: &Directive) -> Option<Listen> {
        let mut listen = Listen::default();
        for word in &directive.args[1..] {
            match word.as_str() {
                "default_server" | "default" => listen.default = true,
                "ssl" => listen.ssl = true,
                "proxy_protocol" => listen.proxy_protocol = true,
                "quic" => listen.quic = true,
                "udp" => listen.udp = true,
                "http2" | "spdy" => {}
                "ipv6only=off" => listen.both_families = true,
                word if UNNEEDED.contains(&word) || UNNEEDED_VALUES.iter().any(|start| word.starts_with(start)) => {}
                word => {
                    self.mistake(directive, format!("invalid parameter \"{word}\""));
                    return None;
                }
            }
        }
        Some(listen)
    }

    /// `listen` of a server, or of one of stream. Whether a listener came of it.
    pub fn listen(&mut self, scope: &mut Scope, directive: &Directive) -> bool {
        // What is wrong with it was said when it was looked at first.
        let Some(listen) = self.quietly(directive) else { return false };
        if listen.quic {
            self.report.differs(directive, "HTTP/3 is not offered: browsers take HTTP/1.1");
            return false;
        }
        if listen.udp {
            self.lost(scope, directive, "UDP is not supported");
            return false;
        }
        let (given, name) = (directive.arg(0), normal(directive.arg(0)));
        let known = self.facts.listens.iter().find(|known| known.name == name);
        let (ssl, proxy_protocol, both_families) =
            known.map_or((false, false, false), |known| (known.ssl, known.proxy_protocol, known.both_families));
        let words = [(listen.default, " default_server"), (ssl, " ssl"), (proxy_protocol, " proxy_protocol")];
        let words: String = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        if directive.args.iter().any(|word| word == "http2") {
            self.report.differs(directive, "http2: HTTP/1.1 is offered for now");
        }
        scope.push("listen", format!("{given}{words}"), directive);
        if both_families && let Some(port) = name.strip_prefix("[::]:") {
            scope.push("listen", format!("{port}{words}"), &Directive { comments: Vec::new(), ..directive.clone() });
        }
        self.report.translated(directive);
        true
    }

    fn quietly(&mut self, directive: &Directive) -> Option<Listen> {
        let before = self.mistakes.len();
        let listen = self.parse(directive);
        self.mistakes.truncate(before);
        listen
    }
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn one_address_has_one_name() {
        for (text, name) in [
            ("80", "0.0.0.0:80"),
            ("*:80", "0.0.0.0:80"),
            ("0.0.0.0", "0.0.0.0:80"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("localhost", "localhost:80"),
            ("LocalHost:81", "localhost:81"),
            ("[::]:443", "[::]:443"),
            ("[::1]", "[::1]:80"),
            ("unix:/run/A.sock", "unix:/run/A.sock"),
        ] {
            assert_eq!(normal(text), name, "{text}");
        }
    }
}
