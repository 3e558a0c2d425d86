//! Statements of nginx's rewrite module: `rewrite`, `return`, `set`, `break`, `if`, in their order.

use super::{Scope, Translator};
use crate::import::directives::Context;
use crate::import::document::Value;
use crate::import::syntax::{Directive, join, quote};

/// One of them as it will be written.
#[derive(Debug, Clone)]
pub struct Statement {
    text: String,
    source: Directive,
    /// Nothing behind it is reached.
    ends: bool,
}

impl Statement {
    /// What takes the place of another directive.
    pub fn instead(text: String, source: &Directive) -> Statement {
        Statement { text, source: source.clone(), ends: false }
    }

    /// `return STATUS`, in place of something that is not supported.
    pub fn closing(status: &str, source: &Directive) -> Statement {
        let source = Directive { comments: Vec::new(), trailing: None, ..source.clone() };
        Statement { text: format!("return {status}"), source, ends: true }
    }
}

const FLAGS: [&str; 4] = ["last", "break", "redirect", "permanent"];

impl Translator<'_> {
    /// Adds a statement to those of a server or location.
    pub fn statement(&mut self, scope: &mut Scope, directive: &Directive) {
        if let Some(text) = self.said(directive) {
            let ends = directive.name == "return";
            scope.statements.push(Statement { text, source: directive.clone(), ends });
            self.report.translated(directive);
        }
    }

    /// One statement in nginx's words, unless nginx would refuse it.
    fn said(&mut self, directive: &Directive) -> Option<String> {
        let args = &directive.args;
        match directive.name.as_str() {
            "rewrite" if args.len() == 3 && !FLAGS.contains(&args[2].as_str()) => {
                self.mistake(directive, format!("invalid parameter \"{}\"", args[2]));
                return None;
            }
            "set" if !args[0].starts_with('$') => {
                self.mistake(directive, format!("invalid variable name \"{}\"", args[0]));
                return None;
            }
            "return" if !is_code(&args[0]) && (args.len() == 2 || !is_url(&args[0])) => {
                self.mistake(directive, format!("invalid return code \"{}\"", args[0]));
                return None;
            }
            _ => {}
        }
        let words = join(args);
        Some(if words.is_empty() { directive.name.clone() } else { format!("{} {words}", directive.name) })
    }

    /// `if`: only statements of the rewrite module can be in it.
    pub fn condition(&mut self, scope: &mut Scope, directive: &Directive) {
        let condition = match condition(&directive.args) {
            Ok(condition) => condition,
            Err(message) => return self.mistake(directive, message),
        };
        let inner = match scope.context {
            Context::Server => Context::IfInServer,
            _ => Context::IfInLocation,
        };
        let mut inside = Scope::new(inner, Default::default());
        let mut statements: Vec<String> = Vec::new();
        let mut loses_answer = false;
        for child in directive.children() {
            match child.name.as_str() {
                "rewrite" | "return" | "set" | "break" => {
                    statements.extend(self.said(child));
                    self.report.translated(child);
                }
                "rewrite_log" | "uninitialized_variable_warn" => self.setting(&mut inside, child),
                name => {
                    loses_answer |= name.ends_with("_pass");
                    self.report.lost(child, "only return, rewrite, set and break can stand in `if`");
                    inside.note(child);
                }
            }
        }
        scope.pending.append(&mut inside.pending);
        if loses_answer {
            // nginx would have answered by it when all statements are done, not with a file.
            const INSTEAD: &str = "return 502";
            let breaks = |text: &String| text == "break" || text.starts_with("rewrite ") && text.ends_with(" break");
            match statements.iter().position(breaks) {
                Some(at) => drop(statements.splice(at.., [INSTEAD.to_string()])),
                None => scope.at_last.push(Statement::instead(format!("if ({condition}) {{ {INSTEAD}; }}"), directive)),
            }
        }
        let text = match &statements[..] {
            [] => return,
            all => format!("if ({condition}) {{ {}; }}", all.join("; ")),
        };
        scope.statements.push(Statement { text, source: directive.clone(), ends: false });
        self.report.translated(directive);
    }

    /// Writes the statements down: `return` as a key of its own where nothing is proxied, the others as `rewrite`. Whether nothing behind them is reached.
    pub fn finish_statements(&mut self, scope: &mut Scope) -> bool {
        let mut statements = std::mem::take(&mut scope.statements);
        statements.append(&mut scope.at_last);
        let end = statements.iter().position(|statement| statement.ends);
        if let Some(end) = end {
            for unreached in statements.drain(end + 1..) {
                self.report.unneeded(&unreached.source, "the `return` before it ends everything");
            }
        }
        let last = if end.is_some() { statements.pop() } else { None };
        for statement in statements {
            scope.push("rewrite", statement.text, &statement.source);
        }
        // A key of its own would say that nothing is ever passed on, and a `break` before it may see to that.
        if let Some(last) = last {
            if scope.table.has("proxy_pass") {
                scope.push("rewrite", last.text, &last.source);
                return true;
            }
            let text = last.text.strip_prefix("return ").unwrap_or(&last.text).to_string();
            scope.set("return", Value::Text(text), &last.source);
        }
        end.is_some()
    }
}

/// Without its parentheses, in nginx's words, or what nginx says of it.
fn condition(args: &[String]) -> Result<String, String> {
    let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
    let invalid = |word: &str| Err(format!("invalid condition \"{word}\""));
    let Some(first) = words.first().and_then(|first| first.strip_prefix('(')) else {
        return invalid(words.first().unwrap_or(&""));
    };
    words[0] = first;
    let last = words.len() - 1;
    let Some(bare) = words[last].strip_suffix(')') else { return invalid(words[last]) };
    words[last] = bare;
    // The parentheses may stand alone; an empty text behind an operator is one: `($a = "")`.
    if words[0].is_empty() {
        words.remove(0);
    }
    if words.last().is_some_and(|word| word.is_empty()) && words.len() != 3 {
        words.pop();
    }
    let files = ["-f", "!-f", "-d", "!-d", "-e", "!-e", "-x", "!-x"];
    let is_variable = |word: &str| word.len() > 1 && word.starts_with('$');
    match words[..] {
        [variable] if is_variable(variable) => Ok(variable.to_string()),
        [test, path] if files.contains(&test) => Ok(format!("{test} {}", quote(path))),
        [variable, operator, text] if is_variable(variable) => match operator {
            "=" | "!=" | "~" | "~*" | "!~" | "!~*" => Ok(format!("{variable} {operator} {}", quote(text))),
            _ => Err(format!("unexpected \"{operator}\" in condition")),
        },
        [] => invalid(""),
        [.., last] => invalid(last),
    }
}

fn is_code(text: &str) -> bool {
    text.len() <= 3 && text.parse::<u16>().is_ok()
}

fn is_url(text: &str) -> bool {
    ["http://", "https://", "$scheme"].iter().any(|start| text.starts_with(start))
}
