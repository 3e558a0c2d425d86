//! Which file a URI stands for.

use super::source::Source;
use crate::config::plan::{Location, Matching, Root};
use crate::config::template::{Part, Template};

/// A file by a directory that is opened as it is configured, and a path that must stay beneath it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Absolute, as configured up to the last slash before a variable; symbolic links in it are followed.
    pub base: String,
    /// Relative, without a leading slash; empty for the directory itself. Ends with a slash where a directory is asked for.
    pub relative: String,
}

impl Place {
    /// Both as one path.
    pub fn path(&self) -> String {
        match self.relative.is_empty() {
            true => self.base.clone(),
            false => format!("{}/{}", self.base.trim_end_matches('/'), self.relative),
        }
    }
}

/// The file that `path` stands for in a location; `None`: the location has no root.
pub fn place(location: &Location, source: &Source, path: &str) -> Option<Place> {
    match (&location.files.root, &location.matching) {
        (Root::None, _) => None,
        (Root::Root(root), _) => {
            let rest = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            Some(beneath(root, source, &rest, true))
        }
        (Root::Alias(alias), Matching::Exact(prefix) | Matching::Prefix { prefix, .. }) => {
            // A path that was rewritten to another place has none here.
            Some(beneath(alias, source, path.strip_prefix(prefix.as_str())?, false))
        }
        (Root::Within(alias, prefix), _) => {
            // A path that was rewritten to another place has none here.
            Some(beneath(alias, source, path.strip_prefix(prefix.as_str())?, false))
        }
        (Root::Alias(alias), _) => Some(beneath(alias, source, "", false)),
    }
}

/// What `text` and `rest` come to. What is configured without variables is the base; so is what stands before the last slash ahead of the
/// first variable. `is_directory`: a text without variables names a directory, with a slash at its end or not.
fn beneath(text: &Template, source: &Source, rest: &str, is_directory: bool) -> Place {
    let first = match text.parts() {
        [Part::Text(text), ..] => text.as_str(),
        _ => "",
    };
    let is_whole = text.as_literal().is_some();
    if is_whole && (is_directory || first.ends_with('/') || rest.is_empty() || rest.starts_with('/')) {
        // The slash tells the directory `/srv/a` that was asked for from a beginning of names.
        let slash = if !is_directory && rest.starts_with('/') && !first.ends_with('/') { "/" } else { "" };
        return Place { base: format!("{first}{slash}"), relative: rest.trim_start_matches('/').to_owned() };
    }
    let (base, begun) = first.split_at(first.rfind('/').map_or(0, |at| at + 1));
    let all = source.string(text);
    let behind = all.get(first.len()..).unwrap_or_default();
    let relative = match is_directory {
        true => format!("{}{rest}", format!("{begun}{behind}").trim_end_matches('/')),
        false => format!("{begun}{behind}{rest}"),
    };
    let base = if base.is_empty() { "/" } else { base };
    Place { base: base.to_owned(), relative: relative.trim_start_matches('/').to_owned() }
}

/// nginx's `$document_root`.
pub(super) fn document_root(source: &Source) -> String {
    match source.location.map(|location| &location.files.root) {
        Some(Root::Root(template) | Root::Alias(template) | Root::Within(template, _)) => source.string(template),
        _ => String::new(),
    }
}

/// nginx's `$request_filename`.
pub(super) fn request_filename(source: &Source) -> String {
    let place = source.location.and_then(|location| place(location, source, source.path()));
    place.map(|place| place.path()).unwrap_or_default()
}
