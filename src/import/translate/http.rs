//! `main`, `events`, `http` and `server`.

use super::{Inherited, Scope, Translator};
use crate::import::directives::{self, Context, Fate};
use crate::import::document::{Table, Value};
use crate::import::syntax::Directive;

/// Every directive within, however deep.
pub(super) fn all<'d>(directives: &'d [Directive], found: &mut Vec<&'d Directive>) {
    for directive in directives {
        found.push(directive);
        all(directive.children(), found);
    }
}

impl Translator<'_> {
    /// A whole nginx.conf.
    pub(super) fn main(&mut self, scope: &mut Scope, directives: &[Directive]) {
        let http = || directives.iter().filter(|directive| directive.name == "http").flat_map(Directive::children);
        self.facts.http_error_log = http().any(|child| child.name == "error_log");
        // Those of stream make room for them, wherever they stand.
        let groups = http().filter(|child| child.name == "upstream");
        self.facts.groups = groups.map(|group| group.arg(0).to_string()).collect();
        for directive in directives {
            match directive.name.as_str() {
                "http" => {
                    self.http(scope, directive.children());
                    self.report.translated(directive);
                }
                "stream" => {
                    self.stream(scope, directive.children());
                    self.report.translated(directive);
                }
                "events" => {
                    scope.context = Context::Events;
                    directive.children().iter().for_each(|child| self.setting(scope, child));
                    self.report.translated(directive);
                }
                _ => {
                    scope.context = Context::Main;
                    self.setting(scope, directive);
                }
            }
        }
    }

    /// What stands in `http`, or in a file that is a part of it.
    pub(super) fn http(&mut self, scope: &mut Scope, directives: &[Directive]) {
        scope.context = Context::Http;
        let mut everything = Vec::new();
        all(directives, &mut everything);
        self.learn_listens(directives.iter().filter(|directive| directive.name == "server"));
        self.facts.verifies_clients =
            everything.iter().any(|found| found.name == "ssl_verify_client" && found.arg(0) != "off");
        let has_name = |found: &&Directive| match found.name.as_str() {
            "server" => found.args.iter().any(|word| word == "resolve"),
            "proxy_pass" => {
                let target = found.arg(0);
                target.starts_with('$') || target.split('/').nth(2).is_some_and(|host| host.contains('$'))
            }
            _ => false,
        };
        self.facts.resolves |= everything.iter().any(has_name);
        self.facts.constants = super::constants::Constants::of(&everything);
        self.lift_resolver(scope, directives, &everything);
        self.facts.own_types =
            directives.iter().any(|child| child.name == "types" && !child.place.file.ends_with("mime.types"));
        scope.inherited = self.looked_ahead(scope.inherited, directives);
        for directive in directives {
            scope.context = Context::Http;
            match directive.name.as_str() {
                "server" => self.server(scope, directive),
                "upstream" => {
                    let table = self.upstream(directive, directive.arg(0), Context::Upstream);
                    if scope.table.tables.iter().any(|known| known.heading == table.heading) {
                        self.mistake(directive, format!("duplicate upstream \"{}\"", directive.arg(0)));
                    }
                    adopt(scope, table);
                }
                "map" => self.map(scope, directive),
                _ => self.setting(scope, directive),
            }
        }
        self.finish_proxying(scope);
        self.defaults(scope, &everything);
    }

    /// Settings hold for locations that stand before them, too.
    pub(super) fn looked_ahead(&self, inherited: Inherited, directives: &[Directive]) -> Inherited {
        let has = |name: &str| directives.iter().any(|directive| directive.name == name);
        let guards = |directive: &Directive| {
            let rule = directives::check(directive, Context::Location);
            directive.arg(0) != "off" && matches!(rule.map(|rule| rule.fate), Ok(Fate::Guard(_)))
        };
        Inherited {
            headers: inherited.headers || has("proxy_set_header"),
            verify: inherited.verify || has("proxy_ssl_verify"),
            sni: inherited.sni || has("proxy_ssl_server_name"),
            root: inherited.root || has("root"),
            closed: inherited.closed || directives.iter().any(guards),
        }
    }

    fn server(&mut self, outer: &mut Scope, directive: &Directive) {
        let mut scope = Scope::new(Context::Server, Table::new("server".to_string(), true));
        scope.table.place = Some(directive.place.clone());
        scope.table.comments = std::mem::take(&mut outer.pending);
        scope.table.comments.extend(directive.comments.iter().cloned());
        scope.table.comments.extend(directive.trailing.clone());
        scope.inherited = self.looked_ahead(outer.inherited, directive.children());
        self.learn_server(directive);
        let listens = directive.children().iter().any(|child| child.name == "listen");
        if !listens {
            scope.table.set("listen", Value::Text("80".to_string()), Some(directive.place.clone()));
        }
        for child in directive.children() {
            match child.name.as_str() {
                "location" => self.location(&mut scope, child, None),
                "listen" => drop(self.listen(&mut scope, child)),
                _ => self.setting(&mut scope, child),
            }
        }
        self.report.translated(directive);
        if !scope.table.has("listen") {
            let why = "nothing is left to listen on";
            return self.lost(outer, &Directive { comments: Vec::new(), ..directive.clone() }, why);
        }
        if scope.inherited.closed {
            self.close(&mut scope, directive, "403");
        }
        let ended = self.finish_statements(&mut scope);
        let has_root = |path: &str| path == "/" || path == "^~/";
        let takes_all = directive.children().iter().any(|child| {
            child.name == "location" && child.args.last().is_some_and(|path| has_root(path)) && child.arg(0) != "="
        });
        if !ended && !takes_all && !scope.handled {
            // What no location takes is a file.
            self.facts.serves = true;
            self.facts.needs_root |= !scope.inherited.root;
        }
        self.finish_proxying(&mut scope);
        outer.table.tables.push(scope.finish());
    }

    /// nginx's defaults, where those of ringgate are others and it matters.
    fn defaults(&mut self, scope: &mut Scope, everything: &[&Directive]) {
        let mut wanted: Vec<(&str, Value, &str)> = Vec::new();
        let text = |text: &str| Value::Text(text.to_string());
        wanted.push(("client_max_body_size", text("1m"), "bodies of requests (ringgate: 1g)"));
        if self.facts.proxies {
            wanted.push(("proxy_connect_timeout", text("60s"), "connecting to a server (ringgate: 5s)"));
            wanted.push((
                "proxy_request_buffering",
                text("on"),
                "bodies of requests are read before a server is asked",
            ));
        }
        if self.facts.needs_unverified {
            wanted.push((
                "proxy_ssl_verify",
                text("off"),
                "certificates of servers are not looked at: anybody in between can read",
            ));
        }
        if self.facts.needs_no_sni {
            wanted.push(("proxy_ssl_server_name", text("off"), "servers are not told the name that is wanted"));
        }
        if self.facts.needs_root {
            wanted.push(("root", Value::Text(self.path("html")), "where no `root` stands"));
        }
        let mut place = Vec::new();
        if self.facts.needs_host && !scope.table.has("proxy_set_header") {
            place.push("servers are told the name of `proxy_pass` as Host, not what the browser asked for");
        }
        let mut first = true;
        let mut explain = |entry: &mut crate::import::document::Entry, why: &str| {
            if std::mem::take(&mut first) {
                entry.comments.push("nginx's defaults, where ringgate's are others:".to_string());
            }
            entry.trailing = Some(why.to_string());
        };
        for (key, value, why) in wanted {
            if !scope.table.has(key) {
                explain(scope.table.set(key, value, None), why);
            }
        }
        if let (Some(why), Some(directive)) =
            (place.first(), everything.iter().find(|found| found.name == "proxy_pass"))
        {
            explain(scope.table.push("proxy_set_header", "Host $proxy_host".to_string(), &directive.place), why);
        }
        self.told_once(everything);
    }

    /// Differences that no directive is the cause of.
    fn told_once(&mut self, everything: &[&Directive]) {
        let has = |name: &str| everything.iter().any(|found| found.name == name);
        if self.facts.proxies {
            self.report.default_differs(
                "proxy_set_header",
                "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and X-Real-IP are sent to servers unless a line says otherwise",
            );
            self.report
                .default_differs("max_fails", "a server is out of use after 3 failures in a row (nginx: after 1)");
        }
        if self.facts.proxies && has("internal") && self.facts.serves {
            let how = "X-Accel-Redirect of servers is not followed: `internal` files are not sent for it";
            self.report.default_differs("internal", how);
        }
        if self.facts.serves && !has("disable_symlinks") {
            self.report.default_differs(
                "disable_symlinks",
                "symbolic links that leave the root are refused; symlinks = \"follow\" allows them",
            );
        }
        if !has("access_log") {
            self.report.default_differs("access_log", "no access log is written unless one is named");
        }
        if has("set_real_ip_from") && !has("real_ip_header") {
            self.report.default_differs("real_ip_header", "X-Forwarded-For is believed (nginx: X-Real-IP)");
        }
    }
}

/// Puts a table in its place, with the comments that waited.
fn adopt(scope: &mut Scope, mut table: Table) {
    table.comments.splice(0..0, std::mem::take(&mut scope.pending));
    scope.table.tables.push(table);
}
