//! nginx's `try_files`.

use super::course::Course;
use super::place::place;
use super::source::Source;
use crate::config::plan::{Fallback, FileKind, Location, TryFiles};

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Tried {
    /// The location's action, perhaps with another path.
    Go,
    /// Another look for a location, or the named one: the course is set.
    Elsewhere,
    /// This status.
    Status(u16),
    /// No location has that name.
    NoName,
    /// A file must be looked at: note what was found by [`Course::set_file`], and try again.
    Ask(FileKind, String),
}

/// Goes through a location's `try_files`, once.
pub fn tried(files: &TryFiles, location: &Location, source: &Source, course: &mut Course) -> Tried {
    if course.tried {
        return Tried::Go;
    }
    let now = course.clone();
    let source = Source { course: &now, location: Some(location), ..*source };
    for (candidate, is_directory) in &files.candidates {
        let text = source.string(candidate);
        let path = if *is_directory { text.strip_suffix('/').unwrap_or(&text) } else { &text };
        let Some(place) = place(location, &source, path) else { continue };
        let kind = if *is_directory { FileKind::Directory } else { FileKind::File };
        match course.file(kind, &place.path()) {
            None => return Tried::Ask(kind, place.path()),
            Some(false) => course.note(|| format!("try_files: {} is not there", place.path())),
            Some(true) => {
                course.note(|| format!("try_files: {} is there", place.path()));
                course.tried = true;
                course.set_path(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") });
                return Tried::Go;
            }
        }
    }
    course.tried = true;
    match &files.last {
        Fallback::Status(status) => Tried::Status(*status),
        Fallback::Named(name) => match source.server.named.get(name) {
            Some(&nth) => {
                course.enter(nth);
                Tried::Elsewhere
            }
            None => Tried::NoName,
        },
        Fallback::Uri(template) => {
            course.redirect(&source.string(template));
            Tried::Elsewhere
        }
    }
}
