//! What became of each directive: for the person who has to trust the result.

use crate::import::syntax::{Directive, Place};
use std::fmt::Write;

/// What became of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It means the same here.
    Translated,
    /// It would change nothing here.
    Unneeded,
    /// Behaviour is another one, which is said.
    Differs,
    /// It was left out, and behaviour is another one.
    Lost,
    /// A file that it names is not there.
    Missing,
}

impl Outcome {
    fn title(self) -> &'static str {
        match self {
            Outcome::Translated => "translated",
            Outcome::Unneeded => "not needed here",
            Outcome::Differs => "differs",
            Outcome::Lost => "not supported",
            Outcome::Missing => "missing",
        }
    }
}

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What became of it.
    pub outcome: Outcome,
    /// Its name.
    pub name: String,
    /// Why, or how; empty for what was translated.
    pub why: String,
    /// Where it begins; `None`: it is nginx's default.
    pub place: Option<Place>,
}

/// All of them, in the order of the files.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// Places that are named for one reason.
const PLACES_SHOWN: usize = 6;

impl Report {
    fn add(&mut self, outcome: Outcome, directive: &Directive, why: &str) {
        let (name, place) = (directive.name.clone(), Some(directive.place.clone()));
        let entry = Entry { outcome, name, why: why.to_string(), place };
        // A directive may have several differences, but each only once.
        if !self.entries.contains(&entry) || outcome == Outcome::Translated {
            self.entries.push(entry);
        }
    }

    /// It means the same here.
    pub fn translated(&mut self, directive: &Directive) {
        self.add(Outcome::Translated, directive, "");
    }

    /// It would change nothing here, because...
    pub fn unneeded(&mut self, directive: &Directive, why: &str) {
        self.add(Outcome::Unneeded, directive, why);
    }

    /// Behaviour is another one: how.
    pub fn differs(&mut self, directive: &Directive, how: &str) {
        self.add(Outcome::Differs, directive, how);
    }

    /// It was left out: why.
    pub fn lost(&mut self, directive: &Directive, why: &str) {
        self.add(Outcome::Lost, directive, why);
    }

    /// A file is not there.
    pub fn missing(&mut self, directive: &Directive, what: &str) {
        self.add(Outcome::Missing, directive, what);
    }

    /// A default of nginx's that is another one here, told once.
    pub fn default_differs(&mut self, name: &str, how: &str) {
        let entry = Entry { outcome: Outcome::Differs, name: name.to_string(), why: how.to_string(), place: None };
        if !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
    }

    /// How many there are.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.entries.iter().filter(|entry| entry.outcome == outcome).count()
    }

    /// Nothing is left out that changes behaviour, and nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.count(Outcome::Lost) == 0 && self.count(Outcome::Missing) == 0
    }

    /// Grouped, for a person; each line ends in a newline.
    pub fn render(&self) -> String {
        let mut text = String::new();
        self.translated_line(&mut text);
        for outcome in [Outcome::Unneeded, Outcome::Differs, Outcome::Lost, Outcome::Missing] {
            let mut groups: Vec<(&str, &str, Vec<&Place>)> = Vec::new();
            for entry in self.entries.iter().filter(|entry| entry.outcome == outcome) {
                match groups.iter_mut().find(|(name, why, _)| *name == entry.name && *why == entry.why) {
                    Some((_, _, places)) => places.extend(&entry.place),
                    None => groups.push((&entry.name, &entry.why, entry.place.iter().collect())),
                }
            }
            if !groups.is_empty() {
                let _ = writeln!(text, "{}:", outcome.title());
            }
            for (name, why, places) in groups {
                let places = if places.is_empty() { "nginx's default".to_string() } else { shown(&places) };
                let _ = writeln!(text, "  {name}: {why} ({places})");
            }
        }
        text
    }

    fn translated_line(&self, text: &mut String) {
        let mut names: Vec<(&str, usize)> = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.outcome == Outcome::Translated) {
            match names.iter_mut().find(|(name, _)| *name == entry.name) {
                Some((_, count)) => *count += 1,
                None => names.push((&entry.name, 1)),
            }
        }
        if names.is_empty() {
            return;
        }
        let names = names.iter().map(|(name, count)| match count {
            1 => (*name).to_string(),
            _ => format!("{name} ({count})"),
        });
        let _ = writeln!(text, "translated:");
        let mut line = String::from(" ");
        for (i, name) in names.enumerate() {
            if i > 0 {
                line.push(',');
            }
            if line.len() + name.len() > 100 {
                let _ = writeln!(text, "{line}");
                line = String::from(" ");
            }
            line.push(' ');
            line.push_str(&name);
        }
        let _ = writeln!(text, "{line}");
    }

    /// One line with the numbers.
    pub fn summary(&self) -> String {
        let all = [Outcome::Translated, Outcome::Unneeded, Outcome::Differs, Outcome::Lost, Outcome::Missing];
        let numbers = all.map(|outcome| format!("{} {}", self.count(outcome), outcome.title()));
        format!("{} directives: {}", self.entries.iter().filter(|e| e.place.is_some()).count(), numbers.join(", "))
    }
}

/// `nginx.conf:3, 7, conf.d/a.conf:1`, the file once for its lines.
fn shown(places: &[&Place]) -> String {
    let mut text = String::new();
    let mut file = "";
    for place in places.iter().take(PLACES_SHOWN) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        match *file == *place.file {
            true => text.push_str(&place.line.to_string()),
            false => text.push_str(&place.to_string()),
        }
        file = &place.file;
    }
    if places.len() > PLACES_SHOWN {
        let _ = write!(text, " and {} more", places.len() - PLACES_SHOWN);
    }
    text
}
