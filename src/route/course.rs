//! How far a request has come: what is kept between its steps, and for another attempt.

use crate::config::names::Names;
use crate::config::pattern::{Groups, Pattern};
use crate::config::plan::FileKind;
use crate::limits::URI_CHANGES_MAX;
use std::sync::Arc;

/// See the head of this file. Most requests change nothing: they take a few bytes here.
#[derive(Debug, Default, Clone)]
pub struct Course {
    /// The server: index into `Plan::servers`.
    pub server: Option<usize>,
    /// The server's rules ran.
    pub(super) entered: bool,
    /// The location: index into `Server::locations`.
    pub location: Option<usize>,
    /// The location's rules ran.
    pub(super) ruled: bool,
    /// The URI was changed, or an internal redirect made: `internal` locations are open.
    pub internal: bool,
    /// The path begins with what the location's prefix matched (it was not rewritten since).
    pub(super) is_matched: bool,
    /// `try_files` was gone through.
    pub(super) tried: bool,
    /// An error page is on its way: the status that the answer has, if not its own.
    pub status: Option<u16>,
    /// An error page was turned to; without `recursive_error_pages` no other is.
    pub on_error_page: bool,
    /// The request goes on as GET without a body: to an error page.
    pub as_get: bool,
    /// Limits and passwords let it into the location.
    pub admitted: bool,
    /// Looks for a location because the URI changed.
    pub(super) cycles: u8,
    changes: Option<Box<Changes>>,
    /// What happened, for `explain`; `None`: nobody asks.
    #[allow(clippy::box_collection)] // rarely there: 8 bytes instead of 24
    trail: Option<Box<Vec<String>>>,
}

/// What rewriting did.
#[derive(Debug, Default, Clone)]
struct Changes {
    path: Option<String>,
    args: Option<String>,
    /// What `set` and named groups say.
    values: Vec<(Arc<str>, String)>,
    /// The text of the last match with groups, and where they are.
    groups: Option<(String, Groups)>,
    /// What is known of files that were asked for.
    files: Vec<(FileKind, String, bool)>,
}

impl Course {
    /// Chooses the server by name, and keeps what the groups of a regular expression took.
    pub fn choose_server(&mut self, names: &Names, host: &str) -> usize {
        let (server, matched) = names.claimed_with(host).unwrap_or((names.default, None));
        if let Some((pattern, groups)) = matched {
            self.set_groups(pattern, host, groups);
        }
        self.server = Some(server);
        server
    }

    /// The path, if it is not the one that came.
    pub fn path(&self) -> Option<&str> {
        self.changes.as_ref()?.path.as_deref()
    }

    /// The query, if it is not the one that came.
    pub fn args(&self) -> Option<&str> {
        self.changes.as_ref()?.args.as_deref()
    }

    /// The URI is not the one that came.
    pub fn is_changed(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| changes.path.is_some() || changes.args.is_some())
    }

    /// Nothing has taken the place of what the location matched.
    pub fn is_matched(&self) -> bool {
        self.is_matched
    }

    /// What a variable of this name was set to.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.changes.as_ref()?.values.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.as_str())
    }

    /// What the nth group of the last match took.
    pub fn group(&self, nth: usize) -> Option<&str> {
        let (text, groups) = self.changes.as_ref()?.groups.as_ref()?;
        groups.get(nth)?.clone().map(|range| &text[range])
    }

    /// Sets the path.
    pub fn set_path(&mut self, path: String) {
        self.changes().path = Some(path);
    }

    /// Sets the query.
    pub fn set_args(&mut self, args: String) {
        self.changes().args = Some(args);
    }

    /// Sets a variable.
    pub fn set_value(&mut self, name: &Arc<str>, value: String) {
        let values = &mut self.changes().values;
        match values.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => values.push((name.clone(), value)),
        }
    }

    /// Keeps what a match took: `$1` and so on, and the named groups.
    pub fn set_groups(&mut self, pattern: &Pattern, text: &str, groups: Groups) {
        for (name, nth) in pattern.names() {
            let value = groups.get(*nth).cloned().flatten().map_or("", |range| &text[range]);
            self.set_value(&Arc::from(name.as_str()), value.to_owned());
        }
        self.changes().groups = Some((text.to_owned(), groups));
    }

    /// What is known of a file.
    pub fn file(&self, kind: FileKind, path: &str) -> Option<bool> {
        let files = &self.changes.as_ref()?.files;
        files.iter().find(|(known, name, _)| *known == kind && name == path).map(|&(_, _, there)| there)
    }

    /// Notes what was found of a file.
    pub fn set_file(&mut self, kind: FileKind, path: String, there: bool) {
        self.changes().files.push((kind, path, there));
    }

    /// Goes on with another URI, as if it had been asked for from within (nginx's internal redirect). A `?` begins its query; without one
    /// there is none.
    pub fn redirect(&mut self, uri: &str) {
        let (path, args) = uri.split_once('?').unwrap_or((uri, ""));
        self.go(path.to_owned(), args.to_owned());
    }

    /// The same with a path that may have a `?` in it.
    pub fn go(&mut self, path: String, args: String) {
        self.set_path(path);
        self.set_args(args);
        // As in nginx the server's rules see an internal redirect, too.
        self.entered = false;
        self.location = None;
        self.ruled = false;
        self.tried = false;
        self.admitted = false;
        self.internal = true;
        self.is_matched = false;
        self.cycles = self.cycles.saturating_add(1);
    }

    /// The URI was changed as often as it may be.
    pub(super) fn is_exhausted(&self) -> bool {
        self.cycles > URI_CHANGES_MAX
    }

    /// Goes on in a named location: index into `Server::locations`.
    pub fn enter(&mut self, location: usize) {
        self.location = Some(location);
        self.ruled = false;
        self.tried = false;
        self.admitted = false;
        self.internal = true;
        self.is_matched = false;
        self.cycles = self.cycles.saturating_add(1);
    }

    /// One that keeps a trail.
    pub fn told() -> Course {
        Course { trail: Some(Box::default()), ..Course::default() }
    }

    /// What happened so far.
    pub fn trail(&self) -> &[String] {
        self.trail.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Notes what happened, if anybody asks.
    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trail) = &mut self.trail {
            trail.push(what());
        }
    }

    fn changes(&mut self) -> &mut Changes {
        self.changes.get_or_insert_default()
    }
}
