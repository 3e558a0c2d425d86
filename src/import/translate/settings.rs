//! Directives with code of their own that concern one key each.

use super::{Scope, Translator, word};
use crate::import::directives::{self, Context, Level};
use crate::import::document::Value;
use crate::import::syntax::{Directive, join};

const OF_ALL_NAMES: &str = "these name servers are asked for all names of servers";

impl Translator<'_> {
    /// A directive that the tables leave to code.
    pub(super) fn own(&mut self, scope: &mut Scope, directive: &Directive) {
        let name = directive.name.as_str();
        let (first, is_on) = (directive.arg(0), directive.arg(0).eq_ignore_ascii_case("on"));
        match name {
            "rewrite" | "return" | "set" | "break" if !scope.context.is_stream() => self.statement(scope, directive),
            "if" => self.condition(scope, directive),
            "allow" | "deny" => {
                scope.push("access", format!("{name} {first}"), directive);
                self.report.translated(directive);
            }
            "error_page" => self.error_page(scope, directive),
            "large_client_header_buffers" => match head_bytes(directive) {
                Some(bytes) if bytes <= crate::limits::HEAD_MAX as u64 => {
                    self.report.unneeded(directive, "a head has 16 KiB");
                }
                _ => self.report.differs(directive, "a head has 16 KiB, whatever it is made of"),
            },
            "server_name" => self.server_name(scope, directive),
            "access_log" => self.access_log(scope, directive),
            "error_log" => self.error_log(scope, directive),
            "log_format" => self.log_format(scope, directive),
            "proxy_pass" | "proxy_set_header" | "proxy_redirect" | "proxy_read_timeout" | "proxy_http_version"
            | "proxy_ssl_name" | "proxy_protocol" => self.proxying(scope, directive),
            "ssl_protocols" | "proxy_ssl_protocols" => self.protocols(scope, directive),
            "keepalive_timeout" => self.keepalive_timeout(scope, directive),
            "resolver" => self.resolver(scope, directive),
            "set_real_ip_from" | "real_ip_header" | "real_ip_recursive" => self.real_ip(scope, directive),
            "worker_processes" => self.single(scope, directive, "workers", word(first)),
            "worker_connections" => self.single(scope, directive, "worker_connections", word(first)),
            "worker_shutdown_timeout" => self.single(scope, directive, "shutdown_timeout", word(first)),
            "internal" => self.single(scope, directive, "internal", Value::Text("on".to_string())),
            "disable_symlinks" => self.symlinks(scope, directive),
            "limit_except" => self.limit_except(scope, directive),
            "types" => self.types(scope, directive),
            "http2" | "http3" if is_on => self.report.differs(directive, "HTTP/1.1 is offered for now"),
            "ssl" => self.report.translated(directive),
            "merge_slashes" | "ignore_invalid_headers" if is_on => self.report.unneeded(directive, "it is so anyway"),
            "merge_slashes" => self.lost(scope, directive, "slashes are always merged"),
            "ignore_invalid_headers" => self.lost(scope, directive, "fields that are no HTTP are refused"),
            "underscores_in_headers" if is_on => {
                self.lost(scope, directive, "fields with underscores are dropped: servers take them for others");
            }
            "charset" if !is_off(directive) => {
                self.lost(scope, directive, "no charset is added; name it in `types` or let the application say it");
            }
            "http2" | "http3" | "underscores_in_headers" | "charset" => self.report.unneeded(directive, "it is off"),
            "split_clients" | "geo" => self.lost(scope, directive, "not supported"),
            _ => self.lost(scope, directive, "not supported"),
        }
    }

    /// nginx's own statuses for certificates and heads never come up here.
    fn error_page(&mut self, scope: &mut Scope, directive: &Directive) {
        let is_foreign = |word: &&String| ["494", "495", "496", "497"].contains(&word.as_str());
        let (foreign, kept): (Vec<&String>, Vec<&String>) = directive.args.iter().partition(is_foreign);
        let codes = kept.iter().filter(|word| word.bytes().all(|b| b.is_ascii_digit())).count();
        if foreign.is_empty() || codes > 0 {
            scope.push("error_page", join(&kept), directive);
            self.report.translated(directive);
        }
        if let Some(first) = foreign.first() {
            self.lost(scope, directive, &format!("{first} has no page: such requests are answered 400"));
        }
    }

    fn server_name(&mut self, scope: &mut Scope, directive: &Directive) {
        for (i, name) in directive.args.iter().enumerate() {
            match i {
                0 => scope.push("server_name", name.clone(), directive),
                _ => drop(scope.table.push("server_name", name.clone(), &directive.place)),
            }
        }
        self.report.translated(directive);
    }

    /// Versions that nobody should speak any more are left out.
    fn protocols(&mut self, scope: &mut Scope, directive: &Directive) {
        let is_old = |word: &&String| ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1"].contains(&word.as_str());
        let (old, kept): (Vec<&String>, Vec<&String>) = directive.args.iter().partition(is_old);
        if kept.is_empty() {
            return self.lost(scope, directive, "TLS 1.2 and 1.3 are spoken, nothing older");
        }
        if !old.is_empty() {
            self.report.differs(directive, "TLS 1.2 and 1.3 are spoken, nothing older");
        }
        self.single(scope, directive, &directive.name, Value::Text(join(&kept)));
    }

    fn keepalive_timeout(&mut self, scope: &mut Scope, directive: &Directive) {
        if directive.args.len() > 1 {
            self.report.differs(directive, "the field Keep-Alive is not sent: browsers do not heed it");
        }
        if self.reaches(scope, Level::Server, directive) {
            self.single(scope, directive, "keepalive_timeout", word(directive.arg(0)));
        }
    }

    /// nginx asks these servers for names in variables, of `resolve` and for OCSP only; here they are asked for all names.
    fn resolver(&mut self, scope: &mut Scope, directive: &Directive) {
        if !self.facts.resolves {
            return self.report.unneeded(directive, "no name is looked up by it; the system's name servers are asked");
        }
        if scope.level > Level::File && self.facts.resolver.as_ref() == Some(&join(&directive.args)) {
            return self.report.differs(directive, OF_ALL_NAMES);
        }
        if !self.reaches(scope, Level::File, directive) {
            return;
        }
        let foreign =
            |word: &&String| word.starts_with("ipv4=") || word.starts_with("ipv6=") || word.starts_with("status_zone=");
        let kept: Vec<&String> = directive.args.iter().filter(|word| !foreign(word)).collect();
        self.report.differs(directive, OF_ALL_NAMES);
        self.single(scope, directive, "resolver", Value::Text(join(&kept)));
    }

    /// Guides write `resolver` beside `proxy_pass`: where all say the same it is as good as said at the top.
    pub(super) fn lift_resolver(&mut self, scope: &mut Scope, directives: &[Directive], everything: &[&Directive]) {
        let mut all = everything.iter().filter(|found| found.name == "resolver");
        let Some(first) = all.next().filter(|first| all.all(|other| other.args == first.args)) else { return };
        if !self.facts.resolves || directives::check(first, Context::Http).is_err() {
            return;
        }
        self.facts.resolver = Some(join(&first.args));
        if !directives.iter().any(|directive| directive.name == "resolver") {
            self.resolver(scope, first);
        }
    }

    fn real_ip(&mut self, scope: &mut Scope, directive: &Directive) {
        let first = directive.arg(0);
        match directive.name.as_str() {
            "set_real_ip_from" if first == "unix:" => {
                self.report.unneeded(directive, "who reaches a unix socket of ours is on this machine");
            }
            "set_real_ip_from" => {
                if self.reaches(scope, Level::Server, directive) {
                    scope.push("set_real_ip_from", first.to_string(), directive);
                    self.report.translated(directive);
                }
            }
            "real_ip_recursive" if first.eq_ignore_ascii_case("on") => {
                self.report.unneeded(directive, "trusted proxies are passed over, one after the other");
            }
            "real_ip_recursive" => {
                self.report.differs(directive, "trusted proxies are passed over, one after the other");
            }
            _ if first.eq_ignore_ascii_case("X-Forwarded-For") || first == "proxy_protocol" => {
                self.report.unneeded(directive, "X-Forwarded-For and the PROXY protocol's header are believed");
            }
            _ => self.lost(
                scope,
                directive,
                "X-Forwarded-For and the PROXY protocol's header are believed, no other field",
            ),
        }
    }

    fn symlinks(&mut self, scope: &mut Scope, directive: &Directive) {
        let value = match directive.arg(0) {
            "off" => "follow",
            "on" => "off",
            _ => {
                self.report.differs(directive, "links that stay beneath the root are followed, whoever owns them");
                "inside"
            }
        };
        self.single(scope, directive, "symlinks", Value::Text(value.to_string()));
    }

    /// Only its usual form: nobody may use other methods.
    fn limit_except(&mut self, scope: &mut Scope, directive: &Directive) {
        let denies_all = matches!(directive.children(), [only] if only.name == "deny" && only.arg(0) == "all");
        let is_method = |word: &String| word.bytes().all(|b| b.is_ascii_uppercase());
        if !denies_all || !directive.args.iter().all(is_method) {
            return self.guard(scope, directive, "only `limit_except ... { deny all; }` is understood");
        }
        let mut methods = directive.args.clone();
        if methods.iter().any(|method| method == "GET") && !methods.iter().any(|method| method == "HEAD") {
            methods.push("HEAD".to_string());
        }
        let text = format!("if ($request_method !~ ^({})$) {{ return 403; }}", methods.join("|"));
        scope.statements.insert(0, super::rewrite::Statement::instead(text, directive));
        self.report.translated(directive);
    }
}

/// All of the buffers together.
fn head_bytes(directive: &Directive) -> Option<u64> {
    let count: u64 = directive.arg(0).parse().ok()?;
    let size = directive.arg(1).to_ascii_lowercase();
    let (digits, unit) = match (size.strip_suffix('k'), size.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1024),
        (_, Some(digits)) => (digits, 1024 * 1024),
        _ => (size.as_str(), 1),
    };
    count.checked_mul(digits.parse().ok()?)?.checked_mul(unit)
}

fn is_off(directive: &Directive) -> bool {
    directive.arg(0) == "off"
}

/// The contexts in which something can be proxied or served.
pub(super) fn answers(context: Context) -> bool {
    matches!(context, Context::Server | Context::Location)
}
