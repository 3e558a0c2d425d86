//! What the other files of this room speak of: places, mistakes, directives.

use std::fmt;
use std::sync::Arc;

/// A line of a file, as nginx names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file's name as shown.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something that nginx would refuse, in its words and at the line that it would name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where nginx notices it.
    pub place: Place,
    /// Without the place.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: error: {}", self.place, self.message)
    }
}

/// A name with its arguments, and a block if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Quotes and escapes are resolved, here and in the arguments.
    pub name: String,
    /// The words behind it.
    pub args: Vec<String>,
    /// Where it begins.
    pub place: Place,
    /// The line of its `;` or `{`: what nginx names when something is wrong with it.
    pub end: u32,
    /// What stands in its braces.
    pub block: Option<Vec<Directive>>,
    /// Comments on lines of their own before it, without `#`.
    pub comments: Vec<String>,
    /// The comment behind it on its last line.
    pub trailing: Option<String>,
}

impl Directive {
    /// A mistake where nginx would notice it.
    pub fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { place: Place { file: self.place.file.clone(), line: self.end }, message: message.into() }
    }

    /// One argument, or nothing.
    pub fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    /// What is in its block.
    pub fn children(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// Words as they would stand in nginx's file: with quotes where they need them.
pub fn join<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// One word, with quotes only if it needs them.
pub fn quote(word: &str) -> String {
    let special = |c: char| c.is_whitespace() || matches!(c, ';' | '{' | '}');
    // `${name}` needs no quotes.
    let bare = word.replace("${", "$");
    let braces = bare.matches('{').count() == 0 && word.matches("${").count() == word.matches('}').count();
    let plain = !word.is_empty()
        && !word.starts_with(['"', '\'', '#', '}'])
        && (braces && !bare.contains(|c: char| special(c) && c != '}'));
    if plain {
        return escape(word, None);
    }
    let mark = if word.contains('\'') && !word.contains('"') { '"' } else { '\'' };
    format!("{mark}{}{mark}", escape(word, Some(mark)))
}

/// A backslash that the next reading would take for the beginning of an escape is doubled.
fn escape(word: &str, mark: Option<char>) -> String {
    let mut out = String::with_capacity(word.len());
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        let ambiguous = c == '\\' && matches!(chars.peek(), None | Some('"' | '\'' | '\\' | 't' | 'r' | 'n'));
        if ambiguous || mark == Some(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
