//! The parser's syntax errors in words that say what to write. It stops at the first, so this one has to be right.

use super::keys::anywhere;
use super::nginx;
use super::two_brackets;
use crate::config::report::{Place, Report};
use std::ops::Range;
use toml::de::{DeTable, Error};

const CURLY: [char; 8] = ['“', '”', '„', '‘', '’', '‚', '«', '»'];

/// A report about the first syntax error.
pub fn explain(source: usize, text: &str, error: &Error) -> Report {
    let span = error.span().unwrap_or(0..0);
    let line = Line::at(text, span.start);
    let (span, message) = match error.message() {
        "duplicate key" => duplicate(text, span, &line),
        message => line.explain(message, &span).unwrap_or_else(|| (span, plain(message))),
    };
    let nginx = message.starts_with(nginx::NOTICE);
    let report = Report::error(Place::at(source, span), message);
    if nginx { report.help("`ringgate init other.toml` writes a small file that shows the form") } else { report }
}

/// The line on which the parser stopped.
struct Line<'a> {
    /// Where it begins in the text.
    start: usize,
    /// Without comment, indentation and trailing blanks.
    code: &'a str,
}

impl<'a> Line<'a> {
    fn at(text: &'a str, offset: usize) -> Line<'a> {
        let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let whole = text[start..].lines().next().unwrap_or("");
        let code = without_comment(whole).trim_end();
        let indent = code.len() - code.trim_start().len();
        Line { start: start + indent, code: &code[indent..] }
    }

    fn span(&self) -> Range<usize> {
        self.start..self.start + self.code.len()
    }

    fn explain(&self, message: &str, span: &Range<usize>) -> Option<(Range<usize>, String)> {
        if self.code.starts_with("//") || self.code.starts_with("/*") || self.code.starts_with("--") {
            return Some((self.span(), "a comment begins with #".to_string()));
        }
        if let Some(found) = self.code.find(CURLY) {
            let end = self.code.rfind(CURLY).unwrap_or(found);
            let straight = self.code.replace(CURLY, "\"");
            let span = self.start + found..self.start + end + self.code[end..].chars().next()?.len_utf8();
            return Some((span, format!("these quotes are typographic ones; write {straight}")));
        }
        if let Some(message) = nginx::translate(self.code) {
            return Some((self.span(), message));
        }
        let list = message.starts_with("missing comma between array") || message == "unclosed array, expected `]`";
        if self.code.starts_with('[') && list {
            return Some((self.span(), "a list above this line is not closed; write its closing bracket".to_string()));
        }
        if self.code.starts_with('[') && !self.code.starts_with("[:") {
            return self.heading().map(|message| (self.span(), message));
        }
        let name_end =
            self.code.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.\"".contains(c)).unwrap_or(self.code.len());
        let (name, rest) = self.code.split_at(name_end);
        match rest.trim_start().strip_prefix('=') {
            Some(value) if !name.is_empty() => self.assignment(name, value.trim(), message, span),
            _ if message.starts_with("key with no value") && !name.is_empty() => {
                let value = rest.trim_start_matches([':', ' ', '\t']);
                let what = if rest.starts_with(':') { "`=` stands between key and value" } else { "`=` is missing" };
                Some((self.span(), format!("{what}; {}", nginx::directive(name, value.trim_end_matches(';')))))
            }
            _ => self.item(message, span),
        }
    }

    /// `[server.location./app]`, `[upstream backend]`, `[[server]`.
    fn heading(&self) -> Option<String> {
        let inner = self.code.trim_start_matches('[');
        let (inner, behind) = inner.split_once(']').unwrap_or((inner, ""));
        let rest = behind.trim_start_matches(']').trim();
        if !rest.is_empty() && !inner.contains('"') {
            return Some(format!("a heading stands on a line of its own; write `{rest}` on the next one"));
        }
        let (kind, name) = inner.trim().split_at(inner.trim().find([' ', '.']).unwrap_or(inner.trim().len()));
        let name = name.trim_matches([' ', '.']);
        let heading = match kind {
            "server" if name.is_empty() => "[[server]]".to_string(),
            "server" => {
                let path = name.strip_prefix("location")?.trim_matches([' ', '.', '"', '\'']);
                format!("[server.location.\"{path}\"]")
            }
            "location" => format!("[server.location.\"{}\"]", name.trim_matches(['"', '\''])),
            "upstream" => format!("[upstream.{name}]"),
            "tcp" | "stream" => "[[tcp]]".to_string(),
            _ => return None,
        };
        Some(format!("this heading is malformed; write {heading}"))
    }

    /// `name = value`, where something about the value is wrong.
    fn assignment(
        &self,
        name: &str,
        value: &str,
        message: &str,
        span: &Range<usize>,
    ) -> Option<(Range<usize>, String)> {
        let start = self.start + self.code.len() - value.len();
        let whole = start..start + value.len();
        if value.is_empty() {
            let example = anywhere(name).map_or("a value behind the `=`", |key| key.example);
            return Some((self.span(), format!("`{name}` has no value; write {example}")));
        }
        if let Some(rest) = value.strip_prefix('=') {
            return Some((self.span(), format!("one `=` is enough; write {name} = {}", rest.trim())));
        }
        let bare = value.trim_end_matches(';').trim_end();
        if bare.len() < value.len() && is_toml(bare) {
            let semicolon = whole.start + bare.len()..whole.end;
            return Some((semicolon, format!("no semicolon in TOML; write {name} = {bare}")));
        }
        if let Some(quote) = value.chars().next().filter(|c| ['"', '\''].contains(c)) {
            return Some(match value[1..].split_once(quote) {
                None => {
                    (whole, format!("the quote is not closed; write {name} = {quote}{}{quote}", bare[1..].trim_end()))
                }
                Some((first, rest)) => (whole, behind_quote(name, first, rest.trim_end_matches(';').trim())?),
            });
        }
        if value.starts_with('[') && !value.contains("]:") {
            return self.item(message, span);
        }
        if let Some((before, _)) = bare.split_once("//").filter(|(before, _)| before.ends_with(' ') && is_toml(before))
        {
            let comment = whole.start + before.len()..whole.end;
            return Some((comment, "a comment begins with #".to_string()));
        }
        let quoted = nginx::value(name, bare);
        match value.starts_with('{') || !is_toml(&quoted) {
            true => None,
            false => Some((whole, format!("quotes are missing; write {name} = {quoted}"))),
        }
    }

    /// One item of a list, without quotes or without a comma.
    fn item(&self, message: &str, span: &Range<usize>) -> Option<(Range<usize>, String)> {
        if message.starts_with("missing comma between array") {
            return Some((span.clone(), "a comma or the closing bracket of the list is missing here".to_string()));
        }
        let at = span.start.checked_sub(self.start)?;
        let before = self.code.get(..at)?;
        // An IPv6 address has brackets of its own, so only a bracket behind `=` opens the list.
        let opening = self.code.find('[').filter(|_| self.code.contains('=')).map_or(0, |bracket| bracket + 1);
        let from = before.rfind(',').map_or(0, |comma| comma + 1).max(opening.min(at));
        let rest = &self.code[from..];
        let item = rest[..rest.find(',').unwrap_or(rest.len())].trim_end_matches(']').trim();
        if item.is_empty() || item.contains(['"', '\'', '=', '{', '}']) || is_toml(item) {
            return None;
        }
        let start = self.start + from + rest.find(item)?;
        Some((start..start + item.len(), format!("quotes are missing; write \"{}\"", item.trim_end_matches(';'))))
    }
}

/// `"80" default_server`, `"a", "b"`, `"a" "b"`.
fn behind_quote(name: &str, first: &str, rest: &str) -> Option<String> {
    if rest.is_empty() {
        return None;
    }
    if rest.starts_with([',', '"', '\'']) {
        let items = rest.split([',', '"', '\'']).map(str::trim).filter(|item| !item.is_empty());
        let list: Vec<String> = std::iter::once(first).chain(items).map(|item| format!("\"{item}\"")).collect();
        return Some(format!("several values are a list; write {name} = [{}]", list.join(", ")));
    }
    Some(format!("nothing can stand behind the quotes; write {name} = \"{first} {rest}\""))
}

fn duplicate(text: &str, span: Range<usize>, line: &Line) -> (Range<usize>, String) {
    let name = text.get(span.clone()).unwrap_or("");
    if !line.code.starts_with('[') {
        let message = match anywhere(name).map(|key| key.example).filter(|example| example.contains('[')) {
            Some(example) => format!("`{name}` is set twice in this section; several values are a list: {example}"),
            None => format!("`{name}` is set twice in this section"),
        };
        return (span, message);
    }
    if name == "server" || name == "tcp" {
        // The first heading is the wrong one: what stands there made the second a contradiction.
        let mut start = 0;
        for other in text.split_inclusive('\n') {
            let heading = other.trim();
            if heading.starts_with(&format!("[{name}]")) {
                return (start..start + other.trim_end().len(), two_brackets(name));
            }
            if name == "server" && heading.starts_with("[server.") {
                let message = "this location stands above its server; write [[server]] on a line before it";
                return (start..start + other.trim_end().len(), message.to_string());
            }
            start += other.len();
        }
    }
    let message = if line.code.starts_with("[upstream.") {
        format!("there are two groups named `{name}`")
    } else if line.code.starts_with("[server.location.") {
        format!("this server has two locations {name}; a new server begins with [[server]]")
    } else {
        format!("there are two sections `{name}`")
    };
    (line.span(), message)
}

/// The parser's own words, a little shorter.
fn plain(message: &str) -> String {
    match message.split_once(", expected ") {
        Some(("missing comma between key-value pairs", _)) => "a comma is missing here".to_string(),
        Some(("unclosed inline table", _)) => "the closing brace is missing".to_string(),
        Some(("unclosed array", _)) => "the closing bracket of the list is missing".to_string(),
        Some((what, "nothing")) => what.to_string(),
        Some((what, expected)) => format!("{what}; expected {expected}"),
        None => message.to_string(),
    }
}

fn is_toml(value: &str) -> bool {
    DeTable::parse(&format!("a = {value}\n")).is_ok()
}

/// A line up to its `#`, unless that stands in quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (index, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return &line[..index],
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    line
}
