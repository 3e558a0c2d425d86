//! nginx's stream module: each `server` becomes a `[[tcp]]` section, or several if a `map` of names chooses the group.

use super::{Scope, Translator};
use crate::import::directives::{self, Context};
use crate::import::document::{Table, Value};
use crate::import::report::Outcome;
use crate::import::syntax::{Directive, Place};

const PREREAD: &str = "$ssl_preread_server_name";

/// It is a setting of servers: what only `stream` itself has is looked at once.
fn is_inherited(directive: &Directive) -> bool {
    let is_own = directive.block.is_some() || directive.name == "resolver";
    !is_own && directives::allows(&directive.name, Context::StreamServer)
}

/// Groups by the names that lead to them.
#[derive(Debug, Default)]
struct Ways {
    /// For names that are not listed.
    default: Option<String>,
    named: Vec<(String, Vec<(String, Place)>)>,
}

impl Translator<'_> {
    /// What stands in `stream`, or in a file that is a part of it.
    pub(super) fn stream(&mut self, file: &mut Scope, directives: &[Directive]) {
        let of = |name: &'static str| directives.iter().filter(move |directive| directive.name == name);
        self.learn_listens(of("server"));
        let groups: Vec<(String, String)> =
            of("upstream").map(|group| (group.arg(0).to_string(), self.group_name(group.arg(0)))).collect();
        self.facts.resolves |=
            of("upstream").flat_map(Directive::children).any(|child| child.args.iter().any(|word| word == "resolve"));
        for directive in directives {
            match directive.name.as_str() {
                "upstream" => {
                    let known = groups.iter().find(|(name, _)| name == directive.arg(0));
                    let name = known.map_or(directive.arg(0), |(_, name)| name);
                    let mut table = self.upstream(directive, name, Context::StreamUpstream);
                    table.comments.splice(0..0, std::mem::take(&mut file.pending));
                    file.table.tables.push(table);
                }
                "server" => self.session(file, directive, directives, &groups),
                "map" if directive.arg(0) == PREREAD => {
                    let used = of("server").flat_map(Directive::children);
                    let mut used = used.filter(|child| child.name == "proxy_pass");
                    match used.any(|child| child.arg(0) == directive.arg(1)) {
                        true => self.report.translated(directive),
                        false => self.report.unneeded(directive, "no `proxy_pass` uses it"),
                    }
                }
                "map" => self.lost(file, directive, "in `stream` only maps of $ssl_preread_server_name are understood"),
                "resolver" if self.facts.resolves && !file.table.has("resolver") => {
                    file.context = Context::Stream;
                    self.setting(file, directive);
                }
                // Settings of all servers are looked at with each of them.
                _ if of("server").next().is_some() && is_inherited(directive) => {}
                _ => {
                    file.context = Context::Stream;
                    self.setting(file, directive);
                }
            }
        }
    }

    /// Groups of HTTP and of stream are one set here.
    fn group_name(&self, name: &str) -> String {
        let mut free = name.to_string();
        while self.facts.groups.contains(&free) {
            free.push_str("_tcp");
        }
        free
    }

    fn session(&mut self, file: &mut Scope, server: &Directive, around: &[Directive], groups: &[(String, String)]) {
        let mut scope = Scope::new(Context::StreamServer, Table::new("tcp".to_string(), true));
        scope.table.place = Some(server.place.clone());
        scope.table.comments = std::mem::take(&mut file.pending);
        scope.table.comments.extend(server.comments.iter().cloned());
        scope.table.comments.extend(server.trailing.clone());
        let own = |name: &str| server.children().iter().any(|child| child.name == name);
        let inherited = around.iter().filter(|outer| is_inherited(outer) && !own(&outer.name));
        let mut pass = None;
        for child in server.children().iter().chain(inherited) {
            match child.name.as_str() {
                "listen" => drop(self.listen(&mut scope, child)),
                "proxy_pass" => pass = Some(child),
                "pass" | "return" => self.lost(&mut scope, child, "a [[tcp]] section passes bytes on"),
                _ => self.setting(&mut scope, child),
            }
        }
        self.report.translated(server);
        let bare = Directive { comments: Vec::new(), ..server.clone() };
        let Some(pass) = pass.filter(|_| scope.table.has("listen") && !scope.handled) else {
            return self.lost(file, &bare, "nothing is left of it that could be used");
        };
        self.session_defaults(file, &mut scope);
        let Some(ways) = self.ways(&mut scope, pass, around) else {
            file.pending.append(&mut scope.pending);
            return self.lost(file, &bare, "nothing is left of it that could be used");
        };
        self.report.translated(pass);
        let renamed = |target: &str| {
            let known = groups.iter().find(|(name, _)| name == target);
            known.map_or_else(|| target.to_string(), |(_, name)| name.clone())
        };
        let base = scope.finish();
        let is_alone = ways.named.is_empty();
        for (target, names) in &ways.named {
            let mut table = base.clone();
            for (name, place) in names {
                table.push("server_name", name.clone(), place);
            }
            table.set("proxy_pass", Value::Text(renamed(target)), Some(pass.place.clone()));
            file.table.tables.push(table);
        }
        if let Some(target) = &ways.default {
            let mut table = base;
            if let Some(entry) = table.entry("listen").filter(|_| !is_alone)
                && let Value::List(items) = &mut entry.value
            {
                items.iter_mut().for_each(|(item, _)| item.push_str(" default_server"));
            }
            let entry = table.set("proxy_pass", Value::Text(renamed(target)), Some(pass.place.clone()));
            (entry.comments, entry.trailing) = (pass.comments.clone(), pass.trailing.clone());
            file.table.tables.push(table);
        }
    }

    /// nginx's defaults, and what is said at the top for HTTP.
    fn session_defaults(&mut self, file: &Scope, scope: &mut Scope) {
        let text = |text: &str| Value::Text(text.to_string());
        let is_on =
            |table: &mut Table, key: &str| table.entry(key).is_some_and(|e| e.value == Value::Text("on".to_string()));
        let mut wanted = vec![("proxy_timeout", text("10m")), ("proxy_connect_timeout", text("60s"))];
        if is_on(&mut scope.table, "proxy_ssl") {
            wanted.extend([("proxy_ssl_verify", text("off")), ("proxy_ssl_server_name", text("off"))]);
        }
        let of_http = [
            ("proxy_next_upstream_tries", Value::Number(0)),
            ("proxy_next_upstream_timeout", text("off")),
            ("set_real_ip_from", Value::List(Vec::new())),
        ];
        wanted.extend(of_http.into_iter().filter(|(key, _)| file.table.has(key)));
        for (key, value) in wanted {
            if !scope.table.has(key) {
                scope.table.set(key, value, None);
            }
        }
    }

    /// Where sessions go; `None`: that cannot be said.
    fn ways(&mut self, scope: &mut Scope, pass: &Directive, around: &[Directive]) -> Option<Ways> {
        let target = pass.arg(0);
        if !target.contains('$') {
            return Some(Ways { default: Some(target.to_string()), named: Vec::new() });
        }
        let map = around.iter().find(|outer| outer.name == "map" && outer.arg(0) == PREREAD && outer.arg(1) == target);
        let Some(map) = map else {
            self.lost(scope, pass, "only a variable of a map of $ssl_preread_server_name can stand here");
            return None;
        };
        let hostnames = map.children().iter().any(|row| row.name == "hostnames" && row.args.is_empty());
        let mut ways = Ways::default();
        let mut nameless = None;
        for row in map.children() {
            let value = row.arg(0).to_string();
            match row.name.as_str() {
                "hostnames" | "volatile" if row.args.is_empty() => {}
                _ if row.args.len() != 1 => self.mistake(row, "invalid number of the map parameters"),
                _ if value.contains('$') => self.report.lost(row, "variables in groups' names are not supported"),
                "default" => ways.default = Some(value),
                "" => nameless = Some((value, row)),
                name if name.starts_with('~') => self.report.lost(row, "names are texts or wildcards here"),
                name if !hostnames && (name.contains('*') || name.starts_with('.')) => {
                    self.report.unneeded(row, "without `hostnames` no name is equal to it");
                }
                name => {
                    let item = (name.to_string(), row.place.clone());
                    match ways.named.iter_mut().find(|(target, _)| *target == value) {
                        Some((_, names)) => names.push(item),
                        None => ways.named.push((value, vec![item])),
                    }
                }
            }
        }
        match (&ways.default, nameless) {
            (Some(default), Some((value, row))) if *default != value => {
                self.report.lost(row, "clients without a name get what `default` says");
            }
            (None, Some((value, row))) => {
                self.report.lost(row, "names that are not listed go where clients without a name go");
                ways.default = Some(value);
            }
            (None, None) => {
                self.report.lost(map, "it has no `default`: names that are not listed reach its first group")
            }
            _ => {}
        }
        let any = ways.default.is_some() || !ways.named.is_empty();
        debug_assert!(any || self.report.count(Outcome::Lost) > 0);
        any.then_some(ways)
    }
}
