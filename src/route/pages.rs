//! nginx's `error_page`.

use super::course::Course;
use super::source::Source;
use crate::config::plan::{ErrorPage, Location};

/// What comes of an error.
#[derive(Debug, PartialEq, Eq)]
pub enum Turned {
    /// No page is configured: the built-in one.
    No,
    /// The course is set to the page.
    Elsewhere,
    /// A redirect with this status to this URL.
    Redirect(u16, Vec<u8>),
}

/// Whether an answer with this status gets another page.
pub fn has_page(location: &Location, course: &Course, status: u16) -> bool {
    let is_open = !course.on_error_page || location.recursive_error_pages;
    // Closing without a word is no error, and pages of pages have an end.
    is_open && status != 444 && !course.is_exhausted() && page(location, status).is_some()
}

fn page(location: &Location, status: u16) -> Option<&ErrorPage> {
    location.error_pages.iter().find(|page| page.statuses.contains(&status))
}

/// Turns to the page for `status`.
pub fn turn(location: &Location, status: u16, source: &Source, course: &mut Course) -> Turned {
    if !has_page(location, course, status) {
        course.status = None; // of an error page that failed itself
        return Turned::No;
    }
    let Some(page) = page(location, status) else { return Turned::No };
    let target = Source { course, location: Some(location), ..*source }.string(&page.target);
    course.on_error_page = true;
    // A page has content: what has none is no status for it.
    course.status = page.answer.unwrap_or(Some(status)).filter(|status| !matches!(status, 204 | 205 | 304));
    if let Some(name) = target.strip_prefix('@') {
        return match source.server.named.get(name) {
            Some(&nth) => {
                course.enter(nth);
                Turned::Elsewhere
            }
            None => Turned::No,
        };
    }
    if target.starts_with('/') {
        course.redirect(&target);
        course.as_get = true;
        return Turned::Elsewhere;
    }
    let status = course.status.filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308)).unwrap_or(302);
    Turned::Redirect(status, target.into_bytes())
}
