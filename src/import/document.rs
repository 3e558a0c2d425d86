//! The TOML that is written: tables in the order of the source, each with its keys first, as TOML wants it.

use crate::import::syntax::Place;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Number(u64),
    /// Strings, each with its place.
    List(Vec<(String, Place)>),
}

/// A key with its value and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Not quoted.
    pub key: String,
    /// What it is.
    pub value: Value,
    /// Lines before it.
    pub comments: Vec<String>,
    /// Behind it.
    pub trailing: Option<String>,
    /// What it was made from; `None`: one of nginx's defaults.
    pub place: Option<Place>,
}

/// A table and those beneath it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Table {
    /// As in its heading, without brackets; empty for the file as a whole.
    pub heading: String,
    /// `[[heading]]`
    pub array: bool,
    /// Lines before the heading.
    pub comments: Vec<String>,
    /// Its keys.
    pub entries: Vec<Entry>,
    /// Lines behind its keys.
    pub tail: Vec<String>,
    /// Tables beneath it, or behind it.
    pub tables: Vec<Table>,
    /// Where it begins in the source.
    pub place: Option<Place>,
}

/// The text, and for each of its lines what it was made from.
#[derive(Debug, Default, Clone)]
pub struct Written {
    /// The whole.
    pub text: String,
    /// By line, from 0.
    pub places: Vec<Option<Place>>,
    /// By line: lists that stand on one, what each item was made from.
    pub items: BTreeMap<usize, Vec<Place>>,
}

impl Table {
    /// One with a heading.
    pub fn new(heading: String, array: bool) -> Table {
        Table { heading, array, ..Table::default() }
    }

    /// The entry of this key.
    pub fn entry(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    /// It has this key.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Sets a key; what it had is replaced.
    pub fn set(&mut self, key: &str, value: Value, place: Option<Place>) -> &mut Entry {
        let at = self.entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            let (comments, value) = (Vec::new(), Value::Number(0));
            self.entries.push(Entry { key: key.to_string(), value, comments, trailing: None, place: None });
            self.entries.len() - 1
        });
        let entry = &mut self.entries[at];
        (entry.value, entry.place) = (value, place);
        entry
    }

    /// Adds to the list of a key.
    pub fn push(&mut self, key: &str, text: String, place: &Place) -> &mut Entry {
        let place = place.clone();
        match self.entries.iter().position(|entry| entry.key == key) {
            Some(at) => {
                let entry = &mut self.entries[at];
                match &mut entry.value {
                    Value::List(items) => items.push((text, place)),
                    other => *other = Value::List(vec![(text, place)]),
                }
                &mut self.entries[at]
            }
            None => self.set(key, Value::List(vec![(text, place.clone())]), Some(place)),
        }
    }

    /// Renders the whole document.
    pub fn write(&self) -> Written {
        let mut written = Written::default();
        self.write_to(&mut written);
        written
    }

    fn write_to(&self, out: &mut Written) {
        if !self.heading.is_empty() {
            if !out.text.is_empty() && !out.text.ends_with("\n\n") {
                out.line("", None);
            }
            out.comments(&self.comments);
            let heading = &self.heading;
            let line = if self.array { format!("[[{heading}]]") } else { format!("[{heading}]") };
            out.line(&line, self.place.as_ref());
        }
        for entry in &self.entries {
            out.entry(entry);
        }
        out.comments(&self.tail);
        for table in &self.tables {
            table.write_to(out);
        }
    }
}

/// Lists that are a plain string when there is one entry, as people write them.
const ALONE: [&str; 5] = ["listen", "server_name", "ssl_certificate", "ssl_certificate_key", "access_log"];
/// Longest line of a list that stands on one.
const LINE_MAX: usize = 120;

impl Written {
    /// Adds a line.
    pub fn line(&mut self, text: &str, place: Option<&Place>) {
        self.text.push_str(text);
        self.text.push('\n');
        self.places.push(place.cloned());
    }

    /// Adds comments, a line each.
    pub fn comments(&mut self, comments: &[String]) {
        for comment in comments.iter().flat_map(|comment| comment.lines()) {
            self.line(commented(comment).trim_end(), None);
        }
    }

    fn entry(&mut self, entry: &Entry) {
        self.comments(&entry.comments);
        let trailing = entry.trailing.as_ref().map_or(String::new(), |text| format!("    {}", commented(text)));
        let (key, place) = (key(&entry.key), entry.place.as_ref());
        match &entry.value {
            Value::Text(text) => self.line(&format!("{key} = {}{trailing}", string(text)), place),
            Value::Number(number) => self.line(&format!("{key} = {number}{trailing}"), place),
            Value::List(items) => {
                if let ([(item, _)], true) = (&items[..], ALONE.contains(&entry.key.as_str())) {
                    return self.line(&format!("{key} = {}{trailing}", string(item)), place);
                }
                let all: Vec<String> = items.iter().map(|(item, _)| string(item)).collect();
                let one = format!("{key} = [{}]", all.join(", "));
                self.items.insert(self.places.len(), items.iter().map(|(_, place)| place.clone()).collect());
                if items.len() <= 1 || one.len() <= LINE_MAX && !entry.key.starts_with("rewrite") {
                    return self.line(&format!("{one}{trailing}"), place);
                }
                self.line(&format!("{key} = [{trailing}"), place);
                for (item, (_, place)) in all.iter().zip(items) {
                    self.line(&format!("  {item},"), Some(place));
                }
                self.line("]", place);
            }
        }
    }
}

fn commented(text: &str) -> String {
    // TOML forbids control characters in comments.
    let clean: String = text.chars().filter(|c| !c.is_control() || *c == '\t').collect();
    format!("#{}{clean}", if clean.is_empty() || clean.starts_with([' ', '#']) { "" } else { " " })
}

/// A key as TOML has it.
pub fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_string() } else { string(name) }
}

/// A string as TOML has it; regular expressions stay readable in single quotes.
pub fn string(text: &str) -> String {
    if text.contains(['\\', '"']) && !text.contains(|c: char| c == '\'' || c.is_control()) {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
