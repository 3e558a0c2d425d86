//! `map` and `types`: tables of texts.

use super::{Scope, Translator};
use crate::import::document::{Table, Value, key};
use crate::import::syntax::Directive;

impl Translator<'_> {
    /// `map` of HTTP.
    pub(super) fn map(&mut self, scope: &mut Scope, directive: &Directive) {
        let Some(name) = directive.arg(1).strip_prefix('$').filter(|name| !name.is_empty()) else {
            return self.mistake(directive, format!("invalid variable name \"{}\"", directive.arg(1)));
        };
        let heading = format!("map.{}", key(name));
        let mut table = Table::new(heading.clone(), false);
        table.comments.clone_from(&directive.comments);
        table.place = Some(directive.place.clone());
        if scope.table.tables.iter().any(|known| known.heading == heading) {
            return self.lost(scope, directive, "the variable has a map already");
        }
        let mut values = Table::new(format!("{heading}.values"), false);
        let place = Some(directive.place.clone());
        table.set("source", Value::Text(directive.arg(0).to_string()), place);
        for row in directive.children() {
            let place = Some(row.place.clone());
            let text = match (row.name.as_str(), &row.args[..]) {
                ("hostnames", []) => {
                    table.set("hostnames", Value::Text("on".to_string()), place);
                    continue;
                }
                ("volatile", []) => continue,
                (_, [text]) => text.clone(),
                _ => {
                    self.mistake(row, "invalid number of the map parameters");
                    continue;
                }
            };
            let (into, name) = match row.name.as_str() {
                "default" => (&mut table, "default"),
                // So that these words can be looked for.
                "\\hostnames" | "\\include" | "\\volatile" => (&mut values, &row.name[1..]),
                name => (&mut values, name),
            };
            if into.has(name) {
                self.mistake(row, format!("conflicting parameter \"{}\"", row.name));
                continue;
            }
            let entry = into.set(name, Value::Text(text), place);
            entry.comments.clone_from(&row.comments);
            entry.trailing.clone_from(&row.trailing);
        }
        if !values.entries.is_empty() {
            table.tables.push(values);
        }
        scope.table.tables.push(table);
        self.report.translated(directive);
    }

    /// `types`: media types with the endings of file names.
    pub(super) fn types(&mut self, scope: &mut Scope, directive: &Directive) {
        self.report.translated(directive);
        let first = directive.children().first();
        let included = first.is_some() && directive.place.file.ends_with("mime.types");
        if included && is_usual(directive) && !(self.facts.own_types && scope.table.heading.is_empty()) {
            // The built-in table has them.
            return;
        }
        let heading = match scope.table.heading.as_str() {
            "" => "types".to_string(),
            heading => format!("{heading}.types"),
        };
        let at = scope.table.tables.iter().position(|table| table.heading == heading).unwrap_or_else(|| {
            scope.table.tables.push(Table::new(heading, false));
            scope.table.tables.len() - 1
        });
        let table = &mut scope.table.tables[at];
        table.comments.extend(directive.comments.iter().cloned());
        for row in directive.children() {
            let mut endings = row.args.join(" ");
            if let Some(known) = table.entry(&row.name)
                && let Value::Text(text) = &known.value
            {
                endings = format!("{text} {endings}");
            }
            table.set(&row.name, Value::Text(endings), Some(row.place.clone()));
        }
    }
}

/// Types that every `mime.types` of nginx's has had for fifteen years; the built-in table has them and more. A file that lacks some of them is somebody's own.
const USUAL: [(&str, &str); 24] = [
    ("html", "text/html"),
    ("css", "text/css"),
    ("xml", "text/xml"),
    ("gif", "image/gif"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("js", "application/javascript"),
    ("atom", "application/atom+xml"),
    ("rss", "application/rss+xml"),
    ("txt", "text/plain"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ico", "image/x-icon"),
    ("json", "application/json"),
    ("doc", "application/msword"),
    ("pdf", "application/pdf"),
    ("rtf", "application/rtf"),
    ("xls", "application/vnd.ms-excel"),
    ("zip", "application/zip"),
    ("exe", "application/octet-stream"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("avi", "video/x-msvideo"),
];

fn is_usual(types: &Directive) -> bool {
    let has = |ending: &str, kind: &str| {
        let same = |name: &str| name == kind || kind == "application/javascript" && name == "text/javascript";
        types.children().iter().any(|row| same(&row.name) && row.args.iter().any(|word| word == ending))
    };
    USUAL.iter().all(|(ending, kind)| has(ending, kind))
}
