//! nginx's search for a location: the exact one; else the longest prefix, what is nested in it, and regular expressions in their order.

use crate::config::pattern::{Groups, Pattern};
use crate::config::plan::{Action, Level, Location, Matching, Server};

/// What the search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Index into `Server::locations`.
    Location(usize),
    /// `/app` was asked for, and `/app/` is there: the client is sent to that location's prefix.
    Slash(usize),
    /// None, and the server has nothing else.
    Nothing,
    /// A regular expression took too long.
    TooHard,
}

/// The last regular expression that matched on the way, and what its groups took.
pub type Matched<'a> = Option<(&'a Pattern, Groups)>;

/// Searches for the location of `path`.
pub fn find<'a>(server: &'a Server, path: &str) -> (Found, Matched<'a>) {
    let mut matched = None;
    let hit = at_level(server, &server.level, path, &mut matched);
    (hit.map_or(server.fallback.map_or(Found::Nothing, Found::Location), |hit| hit.found), matched)
}

/// The location of `path`, whatever its rules do.
pub fn location_for<'a>(server: &'a Server, path: &str) -> Option<&'a Location> {
    match find(server, path).0 {
        Found::Location(nth) => Some(&server.locations[nth]),
        Found::Slash(_) | Found::Nothing | Found::TooHard => None,
    }
}

/// A location that was found, and whether regular expressions of outer levels are looked at all the same: they are behind a prefix.
struct Hit {
    found: Found,
    is_last: bool,
}

fn at_level<'a>(server: &'a Server, level: &'a Level, path: &str, matched: &mut Matched<'a>) -> Option<Hit> {
    if let Some(&exact) = level.exact.get(path) {
        return Some(Hit { found: Found::Location(exact), is_last: true });
    }
    let prefix = |&nth: &usize| match &server.locations[nth].matching {
        Matching::Prefix { prefix, .. } => prefix.as_str(),
        _ => "",
    };
    let mut longest = level.prefixes.iter().copied().find(|nth| path.starts_with(prefix(nth)));
    if longest.is_none_or(|nth| prefix(&nth) != path)
        && let Some(slash) = slash(server, level, path)
    {
        return Some(Hit { found: slash, is_last: true });
    }
    let mut is_final = false;
    if let Some(nth) = longest {
        let location = &server.locations[nth];
        is_final = matches!(location.matching, Matching::Prefix { is_final: true, .. });
        match within(server, location, path, matched) {
            Some(Hit { found: Found::Location(nested), is_last: false }) => longest = Some(nested),
            Some(hit) => return Some(hit),
            None => {}
        }
    }
    if !is_final {
        for &nth in &level.regexes {
            let location = &server.locations[nth];
            let Matching::Regex(pattern) = &location.matching else { continue };
            let Ok(groups) = pattern.matched(path) else {
                return Some(Hit { found: Found::TooHard, is_last: true });
            };
            if let Some(groups) = groups {
                *matched = Some((pattern, groups));
                let found = within(server, location, path, matched).map_or(Found::Location(nth), |hit| hit.found);
                return Some(Hit { found, is_last: true });
            }
        }
    }
    longest.map(|nth| Hit { found: Found::Location(nth), is_last: false })
}

/// A location nested in this one.
fn within<'a>(server: &'a Server, location: &'a Location, path: &str, matched: &mut Matched<'a>) -> Option<Hit> {
    let level = &location.nested;
    if level.is_empty() {
        return None;
    }
    at_level(server, level, path, matched)
}

/// A location that passes on what is beneath `path` + `/`.
fn slash(server: &Server, level: &Level, path: &str) -> Option<Found> {
    let passes = |nth: usize| matches!(server.locations[nth].action, Action::Proxy(_));
    let beneath = |text: &str| text.strip_suffix('/') == Some(path);
    let exact = || {
        let beneath = if level.exact.is_empty() { None } else { level.exact.get(&format!("{path}/")) };
        beneath.copied().filter(|&nth| passes(nth))
    };
    let prefix = level.prefixes.iter().copied().find(|&nth| match &server.locations[nth].matching {
        Matching::Prefix { prefix, .. } => beneath(prefix) && passes(nth),
        _ => false,
    });
    prefix.or_else(exact).map(Found::Slash)
}
