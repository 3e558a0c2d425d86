//! `access_log`, `error_log`, `log_format`.

use super::{Scope, Translator};
use crate::import::document::{Table, Value};
use crate::import::syntax::{Directive, join};

impl Translator<'_> {
    pub(super) fn access_log(&mut self, scope: &mut Scope, directive: &Directive) {
        let first = directive.arg(0);
        if first == "off" {
            scope.push("access_log", "off".to_string(), directive);
            return self.report.translated(directive);
        }
        if first.starts_with("syslog:") {
            return self.lost(scope, directive, "logs are files; syslog is not spoken");
        }
        if first.contains('$') {
            return self.lost(scope, directive, "variables in the path of a log are not supported");
        }
        let (zipped, kept): (Vec<&String>, Vec<&String>) =
            directive.args[1..].iter().partition(|word| *word == "gzip" || word.starts_with("gzip="));
        if !zipped.is_empty() {
            self.report.differs(directive, "the log is not compressed while it is written");
        }
        let path = self.path(first);
        let words: Vec<&str> = std::iter::once(path.as_str()).chain(kept.into_iter().map(String::as_str)).collect();
        scope.push("access_log", join(&words), directive);
        self.report.translated(directive);
    }

    /// One log for the whole process.
    pub(super) fn error_log(&mut self, scope: &mut Scope, directive: &Directive) {
        use crate::import::directives::Context;
        let first = directive.arg(0);
        if matches!(scope.context, Context::Server | Context::Location) || scope.table.has("error_log") {
            return self.report.differs(directive, "there is one log for all");
        }
        if scope.context == Context::Main && self.facts.http_error_log {
            return self.report.unneeded(directive, "the one in `http` counts");
        }
        if first.starts_with("syslog:") || first.starts_with("memory:") {
            return self.lost(scope, directive, "the log is a file, or standard error");
        }
        let path = if first == "stderr" { first.to_string() } else { self.path(first) };
        let level = directive.arg(1);
        let text = if level.is_empty() { path } else { format!("{path} {level}") };
        self.single(scope, directive, "error_log", Value::Text(text));
    }

    /// All formats are one table.
    pub(super) fn log_format(&mut self, scope: &mut Scope, directive: &Directive) {
        let name = directive.arg(0);
        let (escape, texts) = match directive.args.get(1) {
            Some(word) if word.starts_with("escape=") => (format!("{word} "), &directive.args[2..]),
            _ => (String::new(), &directive.args[1..]),
        };
        let text = format!("{escape}{}", texts.concat());
        let at = scope.table.tables.iter().position(|table| table.heading == "log_format").unwrap_or_else(|| {
            scope.table.tables.push(Table::new("log_format".to_string(), false));
            scope.table.tables.len() - 1
        });
        let table = &mut scope.table.tables[at];
        if table.has(name) || name == "combined" {
            return self.mistake(directive, format!("duplicate \"log_format\" name \"{name}\""));
        }
        let entry = table.set(name, Value::Text(text), Some(directive.place.clone()));
        entry.comments.clone_from(&directive.comments);
        self.report.translated(directive);
    }
}
