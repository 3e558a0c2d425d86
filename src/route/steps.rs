//! From a request to the location that takes it.

use super::course::Course;
use super::locate::{Found, find};
use super::rules::{Ran, run};
use super::source::Source;
use crate::config::plan::{FileKind, Location, Matching, Return, Server};

/// Where a request has come to.
#[derive(Debug)]
pub enum Arrived<'a> {
    /// A location, all of whose rules ran.
    At(&'a Location),
    /// A `return`, of the server if the course has no location.
    Return(&'a Return),
    /// A redirect with this status to this URL, which may be a path.
    Redirect(u16, Vec<u8>),
    /// Nothing takes it: 404.
    Nothing,
    /// An internal location that was asked for from outside: 404.
    Internal,
    /// The URI was changed again and again: 500.
    Loop,
    /// A regular expression took too long for this request: 500.
    TooHard,
    /// A file must be looked at: note what was found by [`Course::set_file`], and advance again.
    Ask(FileKind, String),
}

/// Goes on from where `course` is. `source` is the request's; its course and location are not looked at.
pub fn advance<'a>(server: &'a Server, source: &Source, course: &mut Course) -> Arrived<'a> {
    if !course.entered && !server.rules.is_empty() {
        let mut next = course.clone();
        match run(&server.rules, &Source { course, location: None, ..*source }, &mut next) {
            Ran::Through(_) => *course = next,
            Ran::Return(returned) => {
                *course = next;
                return Arrived::Return(returned);
            }
            Ran::Redirect(status, url) => {
                *course = next;
                return Arrived::Redirect(status, url);
            }
            Ran::Ask(kind, path) => return Arrived::Ask(kind, path),
            Ran::TooHard => return Arrived::TooHard,
        }
    }
    course.entered = true;
    loop {
        if course.is_exhausted() {
            return Arrived::Loop;
        }
        let location = match course.location {
            Some(nth) => nth,
            None => {
                let path = course.path().unwrap_or(&source.route.path);
                let (found, matched) = find(server, path);
                if let Some((pattern, groups)) = matched {
                    let path = path.to_owned();
                    course.set_groups(pattern, &path, groups);
                }
                match found {
                    Found::Location(nth) => nth,
                    Found::Slash(nth) => return slash(&server.locations[nth], source, course),
                    Found::Nothing => return Arrived::Nothing,
                    Found::TooHard => return Arrived::TooHard,
                }
            }
        };
        let found = &server.locations[location];
        if course.location.is_none() {
            course.is_matched = true;
            course.location = Some(location);
            if found.internal && !course.internal {
                return Arrived::Internal;
            }
        }
        if course.ruled || found.rules.is_empty() {
            return Arrived::At(found);
        }
        let mut next = course.clone();
        match run(&found.rules, &Source { course, location: Some(found), ..*source }, &mut next) {
            Ran::Ask(kind, path) => return Arrived::Ask(kind, path),
            Ran::TooHard => return Arrived::TooHard,
            Ran::Return(returned) => {
                *course = next;
                return Arrived::Return(returned);
            }
            Ran::Redirect(status, url) => {
                *course = next;
                return Arrived::Redirect(status, url);
            }
            Ran::Through(false) => {
                *course = next;
                course.ruled = true;
                return Arrived::At(found);
            }
            Ran::Through(true) => {
                *course = next;
                course.location = None;
                course.is_matched = false;
                course.cycles = course.cycles.saturating_add(1);
            }
        }
    }
}

/// The redirect to a location's prefix, which ends with a slash.
fn slash<'a>(location: &Location, source: &Source, course: &Course) -> Arrived<'a> {
    let prefix = match &location.matching {
        Matching::Prefix { prefix: text, .. } | Matching::Exact(text) => text,
        _ => "/",
    };
    let mut url = super::uri::escaped(prefix).into_bytes();
    let args = Source { course, ..*source }.args();
    if !args.is_empty() {
        url.push(b'?');
        url.extend_from_slice(args.as_bytes());
    }
    Arrived::Redirect(301, url)
}
