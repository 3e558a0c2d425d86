//! `upstream`, of HTTP and of stream.

use super::{Scope, Translator, word};
use crate::import::directives::{self, Context, Fate};
use crate::import::document::{Table, Value, key};
use crate::import::syntax::{Directive, join};

const WITH_VALUE: [&str; 5] = ["weight=", "max_conns=", "max_fails=", "fail_timeout=", "slow_start="];
const ALONE: [&str; 3] = ["backup", "down", "resolve"];

impl Translator<'_> {
    /// One group. `name`: what it is called here.
    pub(super) fn upstream(&mut self, directive: &Directive, name: &str, context: Context) -> Table {
        let mut scope = Scope::new(context, Table::new(format!("upstream.{}", key(name)), false));
        scope.table.comments.clone_from(&directive.comments);
        scope.table.comments.extend(directive.trailing.clone());
        scope.table.place = Some(directive.place.clone());
        for child in directive.children() {
            match directives::check(child, context).map(|rule| rule.fate) {
                Ok(Fate::Own) => self.group_setting(&mut scope, child),
                _ => self.setting(&mut scope, child),
            }
        }
        if !scope.table.has("server") {
            self.mistakes.push(directive.mistake("no servers are inside upstream"));
        }
        self.report.translated(directive);
        scope.finish()
    }

    fn group_setting(&mut self, scope: &mut Scope, child: &Directive) {
        let method = |text: String| Value::Text(text);
        match child.name.as_str() {
            "server" => self.peer(scope, child),
            "least_conn" => self.balance(scope, child, method("least_conn".to_string())),
            "ip_hash" => {
                self.report.differs(child, "the whole address of a client counts, not its first three octets");
                self.balance(scope, child, method("ip_hash".to_string()));
            }
            "random" => {
                let text = match child.arg(1) {
                    "" => child.args.first().map_or("random".to_string(), |_| "random two".to_string()),
                    "least_conn" => "random two least_conn".to_string(),
                    _ => "least_time".to_string(),
                };
                if child.args.is_empty() {
                    self.report.differs(child, "the less loaded of two random servers is taken");
                }
                self.balance(scope, child, method(text));
            }
            "least_time" => self.balance(scope, child, method("least_time".to_string())),
            "hash" => {
                if child.arg(1) != "consistent" {
                    self.report.differs(child, "always consistent: a server that leaves moves only its own share");
                }
                self.balance(scope, child, method(format!("hash {}", join(&child.args))));
            }
            "keepalive" => self.single(scope, child, "keepalive", word(child.arg(0))),
            "keepalive_timeout" => self.single(scope, child, "keepalive_timeout", word(child.arg(0))),
            "sticky" if child.arg(0) == "cookie" => {
                self.single(scope, child, "sticky", Value::Text(join(&child.args)));
            }
            "sticky" => self.lost(scope, child, "a server can be kept by a cookie only"),
            _ => self.lost(scope, child, "not supported"),
        }
    }

    fn balance(&mut self, scope: &mut Scope, directive: &Directive, value: Value) {
        if scope.table.has("balance") {
            return self.mistake(directive, "load balancing method redefined");
        }
        self.single(scope, directive, "balance", value);
    }

    fn peer(&mut self, scope: &mut Scope, directive: &Directive) {
        let mut words = vec![directive.arg(0)];
        for word in &directive.args[1..] {
            let known = WITH_VALUE.iter().any(|start| word.starts_with(start)) || ALONE.contains(&word.as_str());
            let foreign = ["service=", "route=", "id=", "status_zone="].iter().any(|start| word.starts_with(start));
            match (known, foreign || word == "drain") {
                (true, _) => words.push(word),
                (_, true) => self.report.lost(directive, &format!("`{word}` is not supported")),
                _ => return self.mistake(directive, format!("invalid parameter \"{word}\"")),
            }
        }
        scope.push("server", join(&words), directive);
        self.report.translated(directive);
    }
}
