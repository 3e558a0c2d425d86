//! `proxy_pass` and what goes with it.

use super::constants::Target;
use super::settings::answers;
use super::{Scope, Translator, word};
use crate::import::directives::Context;
use crate::import::document::Value;
use crate::import::syntax::{Directive, join};

const CARRIED: &str = "connections to servers are kept open, and WebSocket passes, by themselves";

impl Translator<'_> {
    pub(super) fn proxying(&mut self, scope: &mut Scope, directive: &Directive) {
        let first = directive.arg(0);
        match directive.name.as_str() {
            "proxy_pass" => self.proxy_pass(scope, directive),
            "proxy_set_header" => self.set_header(scope, directive),
            "proxy_redirect" => match &directive.args[..] {
                [one] if one == "off" && !scope.table.has("proxy_redirect") => {
                    scope.set("proxy_redirect", Value::Text(one.clone()), directive);
                    self.report.translated(directive);
                }
                args => {
                    scope.push("proxy_redirect", join(args), directive);
                    self.report.translated(directive);
                }
            },
            "proxy_read_timeout" => {
                self.single(scope, directive, "proxy_read_timeout", word(first));
                // nginx has one time for answers and WebSocket alike.
                if !scope.table.has("proxy_tunnel_timeout") {
                    let place = Some(directive.place.clone());
                    scope.table.set("proxy_tunnel_timeout", word(first), place);
                }
            }
            "proxy_http_version" => match first {
                "1.1" => self.report.unneeded(directive, "servers are always spoken to in HTTP/1.1"),
                "1.0" => self.report.differs(directive, "servers are always spoken to in HTTP/1.1"),
                "2" => self.lost(scope, directive, "servers are always spoken to in HTTP/1.1"),
                _ => self.mistake(directive, format!("invalid value \"{first}\"")),
            },
            "proxy_ssl_name" if first.contains('$') => {
                self.lost(scope, directive, "the name is that of the server in the file, or a text without variables");
            }
            "proxy_ssl_name" => self.single(scope, directive, "proxy_ssl_name", Value::Text(first.to_string())),
            "proxy_protocol" => self.single(scope, directive, "proxy_protocol", Value::Text(first.to_string())),
            _ => self.lost(scope, directive, "not supported"),
        }
    }

    fn proxy_pass(&mut self, scope: &mut Scope, directive: &Directive) {
        let filled = match directive.arg(0).contains('$').then(|| self.facts.constants.target(directive.arg(0))) {
            Some(Target::Known(filled)) => Some(filled),
            Some(Target::Lost(why)) => {
                // What the server would have answered is not to be a file.
                self.lost(scope, directive, why);
                return self.close(scope, directive, "502");
            }
            None => None,
        };
        let target = filled.as_deref().unwrap_or(directive.arg(0));
        let Some((_, rest)) = target.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme)) else {
            return self.mistake(directive, "invalid URL prefix");
        };
        let path = scope.table.heading.rsplit_once(".location.").map_or("", |(_, path)| path);
        let has_uri = match rest.strip_prefix("unix:") {
            Some(unix) => unix.contains(':'),
            None => rest.contains(['/', '?', '#']),
        };
        let forbids = ["\"~", "'~", "\"@", "'@"].iter().any(|start| path.starts_with(start));
        if has_uri && forbids && !rest.contains('$') {
            return self.mistake(
                directive,
                "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named location, \
                 or inside \"if\" statement, or inside \"limit_except\" block",
            );
        }
        scope.handled = true;
        self.facts.proxies = true;
        self.single(scope, directive, "proxy_pass", Value::Text(target.to_string()));
    }

    /// Fields of requests. What is about the connection is left to ringgate.
    fn set_header(&mut self, scope: &mut Scope, directive: &Directive) {
        let name = directive.arg(0).to_ascii_lowercase();
        scope.inherited.headers = true;
        // The list of this level begins here, whatever is in it.
        if !scope.table.has("proxy_set_header") {
            let place = Some(directive.place.clone());
            scope.table.set("proxy_set_header", Value::List(Vec::new()), place);
        }
        if ["connection", "upgrade"].contains(&name.as_str()) {
            return self.report.unneeded(directive, CARRIED);
        }
        if ["keep-alive", "te", "trailer", "transfer-encoding", "content-length", "expect"].contains(&name.as_str()) {
            return self.report.differs(directive, "it is about one connection, and each side has its own");
        }
        let entry = scope.table.entry("proxy_set_header");
        let twice = entry.is_some_and(|entry| match &entry.value {
            Value::List(items) => items.iter().any(|(item, _)| field(item) == name),
            _ => false,
        });
        if twice {
            return self.lost(scope, directive, "a field is sent once");
        }
        scope.push("proxy_set_header", join(&directive.args), directive);
        self.report.translated(directive);
    }

    /// When a level is done: what nginx does where nothing is said, and ringgate does not.
    pub(super) fn finish_proxying(&mut self, scope: &mut Scope) {
        if let Some(entry) = scope.table.entry("proxy_set_header")
            && let Value::List(items) = &mut entry.value
            && !items.iter().any(|(item, _)| field(item) == "host")
            && let Some(place) = entry.place.clone()
        {
            items.insert(0, ("Host $proxy_host".to_string(), place));
        }
        if !answers(scope.context) {
            return;
        }
        let target = scope.table.entry("proxy_pass").map(|entry| entry.value.clone());
        if let Some(Value::Text(target)) = target {
            self.facts.needs_host |= !scope.inherited.headers;
            if target.starts_with("https:") {
                self.facts.needs_unverified |= !scope.inherited.verify;
                self.facts.needs_no_sni |= !scope.inherited.sni;
            }
        } else if !scope.handled {
            self.facts.serves |= scope.context == Context::Location || scope.inherited.root;
            let aliased = scope.table.has("alias");
            self.facts.needs_root |= scope.context == Context::Location && !scope.inherited.root && !aliased;
        }
    }
}

/// The name that an entry begins with, in lower case.
fn field(item: &str) -> String {
    item.split(' ').next().unwrap_or("").trim_matches(['\'', '"']).to_ascii_lowercase()
}
