//! From nginx.conf to TOML: `lexer` and `parser` read nginx's language, `include` puts the files together and checks each directive as nginx
//! does (`directives`), `translate` says it in ringgate's keys, `document` writes it down, `report` tells what became of what. Pure: files are
//! asked for through [`Files`].

mod directives;
mod document;
mod include;
mod lexer;
mod parser;
pub mod report;
pub mod syntax;
mod translate;

use document::{Table, Written};
use report::{Entry, Outcome, Report};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use syntax::{Mistake, Place};

/// Where configurations come from.
pub trait Files {
    /// The whole of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The files that a pattern of the shell's names, sorted; none is no error.
    fn list(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;
    /// There is such a file.
    fn exists(&self, path: &Path) -> bool;
}

/// What was made of a configuration.
#[derive(Debug)]
pub struct Imported {
    /// The TOML.
    pub text: String,
    /// By line of the text, from 0: what it was made from.
    pub places: Vec<Option<Place>>,
    /// By line: what each item of a list on it was made from.
    items: BTreeMap<usize, Vec<Place>>,
    /// What became of each directive.
    pub report: Report,
    /// Every file that was read, the main one first.
    pub files: Vec<PathBuf>,
}

/// Keys that let somebody in, or send requests elsewhere, if they are left out.
const NEVER_LEFT_OUT: [&str; 17] = [
    "root",
    "alias",
    "try_files",
    "error_page",
    "access",
    "auth_basic",
    "auth_basic_user_file",
    "satisfy",
    "internal",
    "return",
    "rewrite",
    "listen",
    "server_name",
    "proxy_pass",
    "limit_req",
    "limit_conn",
    "set_real_ip_from",
];

impl Imported {
    /// What a line (from 0) was made from.
    pub fn place(&self, line: usize) -> Option<&Place> {
        self.places.get(line)?.as_ref()
    }

    /// Leaves out a line that ringgate refuses, or an item of a list, and says so in its place and in the report. Whether that can be done:
    /// headings stay, and what keeps somebody out. `rendered`: the refusal.
    pub fn leave_out(&mut self, line: Option<usize>, rendered: &str) -> bool {
        let Some(line) = line else { return false };
        let (Some(place), Some(text)) = (self.place(line).cloned(), self.text.lines().nth(line)) else { return false };
        let why =
            rendered.lines().next().and_then(|first| first.split_once("error: ")).map_or("refused", |(_, why)| why);
        let why = why.to_string();
        if text.starts_with("  ") && text.ends_with(',') {
            // An item on a line of its own, and the key above it.
            let key = self.text.lines().take(line).filter(|above| !above.starts_with([' ', '#'])).last();
            let Some(name) = key.and_then(|key| key.split_once(" = ")).map(|(name, _)| name.to_string()) else {
                return false;
            };
            let written = format!("# not taken over: {}", text.trim());
            return !is_kept(&name) && self.lose(&name, place, why, &[(line, written)]);
        }
        let (key, value) = text.split_once(" = ").unwrap_or((text, ""));
        let name = key.trim().to_string();
        if name == "source" {
            return self.leave_out_map(line, why);
        }
        let fixed = name.starts_with(['[', ']', '#', '"', '\''])
            || value.is_empty()
            || value.starts_with('[') && !value.contains(']');
        if fixed || is_kept(&name) {
            return false;
        }
        if let Some((nth, span)) = item_at(text, rendered)
            && let Some(places) = self.items.get_mut(&line).filter(|places| places.len() > nth && places.len() > 1)
        {
            let place = places.remove(nth);
            let (before, behind) = (&text[..span.start], &text[span.end..]);
            let (before, behind) = match behind.strip_prefix(", ") {
                Some(behind) => (before, behind),
                None => (before.strip_suffix(", ").unwrap_or(before), behind),
            };
            let written = format!("{before}{behind}    # not taken over: {}", &text[span]);
            return self.lose(&name, place, why, &[(line, written)]);
        }
        let written = format!("# not taken over: {text}");
        self.lose(&name, place, why, &[(line, written)])
    }

    /// A map without its source is none.
    fn leave_out_map(&mut self, line: usize, why: String) -> bool {
        let lines: Vec<&str> = self.text.lines().collect();
        let Some(start) = lines[..line].iter().rposition(|text| text.starts_with("[map.")) else { return false };
        let values = format!("{}.values]", lines[start].trim_end_matches(']'));
        let is_next = |text: &&str| text.starts_with('[') && **text != *values;
        let end = lines[line..].iter().position(is_next).map_or(lines.len(), |at| line + at);
        let of_map = (start..end).filter(|&at| !lines[at].is_empty() && !lines[at].starts_with('#'));
        let written: Vec<(usize, String)> = of_map.map(|at| (at, format!("# not taken over: {}", lines[at]))).collect();
        let Some(place) = self.place(start).cloned() else { return false };
        self.lose("map", place, why, &written)
    }

    /// Puts these lines in place of others, and the directive among what was lost.
    fn lose(&mut self, name: &str, place: Place, why: String, written: &[(usize, String)]) -> bool {
        // Others of its kind may stand on the same line.
        let was = self.report.entries.iter().rposition(|entry| {
            entry.outcome == Outcome::Translated && entry.place.as_ref() == Some(&place) && entry.name == name
        });
        was.map(|at| self.report.entries.remove(at));
        self.report.entries.push(Entry { outcome: Outcome::Lost, name: name.to_string(), why, place: Some(place) });
        let mut lines: Vec<&str> = self.text.lines().collect();
        for (at, text) in written {
            lines[*at] = text;
        }
        self.text = lines.join("\n") + "\n";
        true
    }
}

/// Without this key somebody would get in, or requests would go elsewhere.
fn is_kept(name: &str) -> bool {
    NEVER_LEFT_OUT.contains(&name) || name.starts_with("ssl_")
}

/// The item of a list on one line that a refusal (`FILE:LINE:COLUMN: error: ...`) points at, and where it stands in the line.
fn item_at(text: &str, rendered: &str) -> Option<(usize, Range<usize>)> {
    let (position, _) = rendered.lines().next()?.split_once(": error: ")?;
    let column: usize = position.rsplit(':').next()?.parse().ok()?;
    let at = text.char_indices().nth(column.checked_sub(1)?)?.0;
    let line: BTreeMap<String, Vec<toml::Spanned<String>>> = toml::from_str(text).ok()?;
    let items = line.into_values().next()?;
    items.iter().map(toml::Spanned::span).enumerate().find(|(_, span)| span.contains(&at))
}

/// Reads and translates. The mistakes are those that nginx would refuse the file for, the one that it names first.
///
/// `prefix`: where nginx's relative paths of `root` and logs begin (`nginx -p`); `None`: as packages have it.
pub fn import(path: &Path, prefix: Option<&Path>, files: &dyn Files) -> Result<Imported, Vec<Mistake>> {
    let mut report = Report::default();
    let whole = include::read(path, files, &mut report);
    if !whole.mistakes.is_empty() {
        return Err(whole.mistakes);
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    // What is written stands elsewhere, so that no path in it may be relative.
    let directory = std::path::absolute(directory.join(".")).unwrap_or_else(|_| directory.to_path_buf());
    let prefix = prefix.map_or_else(|| prefix_of(&directory), Path::to_path_buf);
    let table = translate::translate(&whole, translate::Paths { prefix, directory, files }, &mut report)?;
    let Written { text, places, items } = written(&table, &whole.files, &report);
    Ok(Imported { text, places, items, report, files: whole.files })
}

/// The prefix that a configuration in this directory most probably has.
fn prefix_of(directory: &Path) -> PathBuf {
    match directory.file_name().and_then(|name| name.to_str()) {
        // Debian and those that descend from it.
        Some("nginx") if directory.starts_with("/etc") => PathBuf::from("/usr/share/nginx"),
        // As nginx is built by itself.
        Some("conf") => directory.parent().unwrap_or(directory).to_path_buf(),
        _ => directory.to_path_buf(),
    }
}

fn written(table: &Table, files: &[PathBuf], report: &Report) -> Written {
    let mut out = Written::default();
    out.line("# Made from nginx's configuration by `ringgate import nginx`:", None);
    for file in files {
        out.comments(&[format!("   {}", file.display())]);
    }
    let left = report.count(Outcome::Lost) + report.count(Outcome::Missing);
    if left > 0 {
        out.comments(&[format!("NOT COMPLETE: {left} not taken over; the report of the import names them.")]);
    }
    out.line("", None);
    let body = table.write();
    out.text.push_str(&body.text);
    let before = out.places.len();
    out.items.extend(body.items.into_iter().map(|(line, places)| (before + line, places)));
    out.places.extend(body.places);
    out
}

#[cfg(test)]
mod tests;
