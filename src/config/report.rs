//! How errors and warnings look: one line that a person or grep finds (`FILE:LINE:COLUMN: error: ...`), then the source.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// One file that was read.
#[derive(Debug)]
pub struct Source {
    /// As the person named it.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// Somewhere in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Index into the sources.
    pub file: usize,
    /// Bytes of its text; `None`: the file as a whole.
    pub span: Option<Range<usize>>,
}

/// One thing to tell.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    warning: bool,
    place: Place,
    message: String,
    help: Option<String>,
    also: Option<(Place, String)>,
}

impl Place {
    /// Bytes of a file.
    pub fn at(file: usize, span: Range<usize>) -> Place {
        Place { file, span: Some(span) }
    }

    /// A file as a whole.
    pub fn file(file: usize) -> Place {
        Place { file, span: None }
    }
}

impl Report {
    /// Something that keeps the plan from being made.
    pub fn error(place: Place, message: impl Into<String>) -> Report {
        Report { warning: false, place, message: message.into(), help: None, also: None }
    }

    /// Something that is probably not meant so.
    pub fn warning(place: Place, message: impl Into<String>) -> Report {
        Report { warning: true, ..Report::error(place, message) }
    }

    /// A sentence after the source.
    pub fn help(mut self, help: impl Into<String>) -> Report {
        self.help = Some(help.into());
        self
    }

    /// A second place that explains the first.
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Report {
        self.also = Some((place, label.into()));
        self
    }

    /// Whether the plan can still be made.
    pub fn is_warning(&self) -> bool {
        self.warning
    }

    /// Orders reports as a reader meets them.
    pub fn position(&self) -> (usize, usize) {
        (self.place.file, self.place.span.as_ref().map_or(0, |span| span.start))
    }

    /// The whole text, ending in a newline.
    pub fn render(&self, sources: &[Source]) -> String {
        let source = &sources[self.place.file];
        let (line, column) = line_and_column(&source.text, self.place.span.as_ref().map_or(0, |span| span.start));
        let kind = if self.warning { "warning" } else { "error" };
        let mut text = format!("{}:{line}:{column}: {kind}: {}\n", source.name, printable(&self.message));
        if let Some(snippets) = self.snippets(sources) {
            text.push_str(&snippets);
            text.push('\n');
        }
        if let Some(help) = &self.help {
            let mut indent = "  help: ";
            for line in printable(help).lines() {
                text.push_str(format!("{indent}{line}").trim_end());
                text.push('\n');
                indent = "        ";
            }
        }
        text
    }

    fn snippets(&self, sources: &[Source]) -> Option<String> {
        let level = if self.warning { Level::WARNING } else { Level::ERROR };
        let source = &sources[self.place.file];
        let first = AnnotationKind::Primary.span(shown(&source.text, self.place.span.as_ref()?));
        let mut snippet = Snippet::source(&*source.text).annotation(first);
        let mut other = None;
        if let Some((Place { file, span: Some(span) }, label)) = &self.also {
            let annotation = AnnotationKind::Context.span(shown(&sources[*file].text, span)).label(&**label);
            if *file == self.place.file {
                snippet = snippet.annotation(annotation);
            } else {
                let source = &sources[*file];
                other = Some(Snippet::source(&*source.text).path(&*source.name).annotation(annotation));
            }
        }
        let group = Group::with_level(level).element(snippet).elements(other);
        Some(Renderer::plain().decor_style(DecorStyle::Ascii).render(&[group]))
    }
}

/// Line and column from 1, the column in characters, as editors count.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..boundary(text, offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The part of a span that a caret can mark: within the text, on one line, on whole characters.
fn shown(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = boundary(text, span.start);
    let end = boundary(text, span.end).max(start);
    let line = text[start..end].find('\n').map_or(end, |newline| start + newline);
    start..line
}

/// The last place between two characters that is not behind `offset`.
fn boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// A message quotes the file; control characters in it would speak to the terminal.
fn printable(message: &str) -> String {
    message.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
