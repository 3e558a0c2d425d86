//! `location`, nested ones too.

use super::{Inherited, Scope, Translator};
use crate::import::directives::Context;
use crate::import::document::{Table, string};
use crate::import::syntax::Directive;

/// What a location is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Prefix,
    Exact,
    Final,
    Regex,
    Named,
}

/// The modifier and the path, which may stand together.
fn parse(args: &[String]) -> Result<(Kind, &'static str, &str), String> {
    let modifiers = [("=", Kind::Exact), ("^~", Kind::Final), ("~*", Kind::Regex), ("~", Kind::Regex)];
    match args {
        [modifier, path] => match modifiers.iter().find(|(known, _)| known == modifier) {
            Some((known, kind)) => Ok((*kind, known, path)),
            None => Err(format!("invalid location modifier \"{modifier}\"")),
        },
        [whole] => {
            let found = modifiers.iter().find(|(known, _)| whole.starts_with(known));
            Ok(match found {
                Some((known, kind)) => (*kind, known, whole[known.len()..].trim_start()),
                None if whole.starts_with('@') => (Kind::Named, "", whole),
                None => (Kind::Prefix, "", whole),
            })
        }
        _ => Err("invalid number of arguments in \"location\" directive".to_string()),
    }
}

/// As it stands in a heading.
fn name(modifier: &str, path: &str) -> String {
    if modifier.is_empty() { path.to_string() } else { format!("{modifier} {path}") }
}

impl Translator<'_> {
    /// A location of `outer`, a server or another location. `around`: the path of that one.
    pub(super) fn location(&mut self, outer: &mut Scope, directive: &Directive, around: Option<&Directive>) {
        let (kind, modifier, path) = match parse(&directive.args) {
            Ok(parsed) => parsed,
            Err(message) => return self.mistake(directive, message),
        };
        if let Some(Err(message)) = around.map(|around| fits(kind, path, around)) {
            return self.mistake(directive, message);
        }
        let name = name(modifier, path);
        let heading = format!("{}.location.{}", outer.table.heading, string(&name));
        if outer.table.tables.iter().any(|table| table.heading == heading) {
            return match kind {
                Kind::Regex => self.report.unneeded(directive, "the same regular expression stands before it"),
                _ => self.mistake(directive, format!("duplicate location \"{path}\"")),
            };
        }
        if !path.starts_with('/') && matches!(kind, Kind::Prefix | Kind::Exact | Kind::Final) {
            return self.report.unneeded(directive, "no path begins without a slash: no request comes here");
        }
        let mut scope = Scope::new(Context::Location, Table::new(heading, false));
        scope.table.place = Some(directive.place.clone());
        scope.table.comments = std::mem::take(&mut outer.pending);
        scope.table.comments.extend(directive.comments.iter().cloned());
        scope.table.comments.extend(directive.trailing.clone());
        // A server that is closed is so before a location is looked for.
        let closed = outer.inherited.closed && outer.context == Context::Location;
        scope.inherited = self.looked_ahead(Inherited { closed, ..outer.inherited }, directive.children());
        let before = self.facts.constants.enter_location(directive.children());
        for child in directive.children() {
            match child.name.as_str() {
                "location" => self.location(&mut scope, child, Some(directive)),
                _ => self.setting(&mut scope, child),
            }
        }
        self.facts.constants.leave(before);
        if scope.inherited.closed {
            self.close(&mut scope, directive, "403");
        }
        scope.handled |= self.finish_statements(&mut scope);
        self.finish_proxying(&mut scope);
        outer.table.tables.push(scope.finish());
        self.report.translated(directive);
    }
}

/// nginx's rules for locations within locations.
fn fits(kind: Kind, path: &str, around: &Directive) -> Result<(), String> {
    let Ok((outer_kind, _, outer_path)) = parse(&around.args) else { return Ok(()) };
    let shown = path;
    let outer = outer_path;
    match (outer_kind, kind) {
        (Kind::Exact, _) => Err(format!("location \"{shown}\" cannot be inside the exact location \"{outer}\"")),
        (Kind::Named, _) => Err(format!("location \"{shown}\" cannot be inside the named location \"{outer}\"")),
        (_, Kind::Named) => Err(format!("named location \"{shown}\" can be on the server level only")),
        (Kind::Prefix | Kind::Final, Kind::Prefix | Kind::Final | Kind::Exact) if !path.starts_with(outer_path) => {
            Err(format!("location \"{path}\" is outside location \"{outer_path}\""))
        }
        _ => Ok(()),
    }
}
