//! nginx's rewrite module: statements in their order.

use super::source::Source;
use super::uri::{escaped_as_argument, unescape_for_redirect};
use crate::config::pattern::Pattern;
use crate::config::plan::{Condition, FileKind, Flag, Return, Rule};
use crate::config::template::{Part, Template, Variable};
use std::mem;

/// What a list of statements came to.
#[derive(Debug, PartialEq)]
pub enum Ran<'a> {
    /// Its end, or a `break`. True: the URI was changed, and a location is to be looked for.
    Through(bool),
    /// An answer.
    Return(&'a Return),
    /// A `rewrite` to another URL: status and the URL.
    Redirect(u16, Vec<u8>),
    /// A regular expression took too long.
    TooHard,
    /// A file must be looked at first; then all of it is run anew.
    Ask(FileKind, String),
}

/// Runs `rules` over the request of `source`, whose course they change: `course` is a copy of it that the caller puts in its place unless
/// a file is asked for.
pub fn run<'a>(rules: &'a [Rule], source: &Source, course: &mut super::Course) -> Ran<'a> {
    let mut state = State { source, changed: false };
    match state.list(rules, course) {
        Some(ran) => ran,
        None => Ran::Through(state.changed),
    }
}

struct State<'s, 'x, 'h, 'b> {
    source: &'s Source<'x, 'h, 'b>,
    /// The URI was changed, and the next look for a location is due.
    changed: bool,
}

impl State<'_, '_, '_, '_> {
    /// `None`: on to what follows.
    fn list<'a>(&mut self, rules: &'a [Rule], course: &mut super::Course) -> Option<Ran<'a>> {
        for rule in rules {
            match rule {
                Rule::Return(returned) => return Some(Ran::Return(returned)),
                Rule::Break => {
                    if mem::take(&mut self.changed) {
                        course.is_matched = false;
                    }
                    return Some(Ran::Through(false));
                }
                Rule::Set(name, value) => {
                    let value = self.string(value, course);
                    match &**name {
                        "args" => course.set_args(value),
                        _ => course.set_value(name, value),
                    }
                }
                Rule::Rewrite { pattern, replacement, drops_args, flag } => {
                    let ended = self.rewrite(pattern, (replacement, *drops_args), *flag, course);
                    if ended.is_some() {
                        return ended;
                    }
                }
                Rule::If(condition, rules) => match self.holds(condition, course) {
                    Err(ask) => return Some(ask),
                    Ok(false) => {}
                    Ok(true) => {
                        course.note(|| "an `if` holds".to_owned());
                        let ended = self.list(rules, course);
                        if ended.is_some() {
                            return ended;
                        }
                    }
                },
            }
        }
        None
    }

    fn string(&self, template: &Template, course: &super::Course) -> String {
        Source { course, ..*self.source }.string(template)
    }

    fn rewrite<'a>(
        &mut self,
        pattern: &Pattern,
        (replacement, drops_args): (&Template, bool),
        flag: Flag,
        course: &mut super::Course,
    ) -> Option<Ran<'a>> {
        let path = Source { course, ..*self.source }.path().to_owned();
        let Ok(groups) = pattern.matched(&path) else { return Some(Ran::TooHard) };
        let Some(groups) = groups else {
            course.note(|| format!("`rewrite {}` does not match {path}", pattern.text()));
            return None;
        };
        course.set_groups(pattern, &path, groups);
        let redirects = matches!(flag, Flag::Redirect | Flag::Permanent);
        let (uri, args) = self.replaced(replacement, redirects, course);
        let before = Source { course, ..*self.source }.args().to_owned();
        if redirects {
            let mut url = unescape_for_redirect(&match &args {
                Some(args) => format!("{uri}?{args}").into_bytes(),
                None => uri.into_bytes(),
            });
            if !drops_args && !before.is_empty() {
                url.push(if args.is_some() { b'&' } else { b'?' });
                url.extend_from_slice(before.as_bytes());
            }
            return Some(Ran::Redirect(if flag == Flag::Permanent { 301 } else { 302 }, url));
        }
        match args {
            Some(mut args) => {
                if !drops_args && !before.is_empty() {
                    args.push('&');
                    args.push_str(&before);
                }
                course.set_args(args);
            }
            None if drops_args => course.set_args(String::new()),
            None => {}
        }
        course.note(|| format!("`rewrite {}` makes {path} {uri}", pattern.text()));
        course.set_path(uri);
        course.internal = true;
        match flag {
            Flag::Break => {
                course.is_matched = false;
                self.changed = false;
                Some(Ran::Through(false))
            }
            Flag::Last => {
                self.changed = true;
                Some(Ran::Through(true))
            }
            _ => {
                self.changed = true;
                None
            }
        }
    }

    /// A replacement with its variables put in: the path, and the query if it has one. What groups took is encoded where it comes to stand
    /// in a query or a URL, if the request had encoded characters, as in nginx.
    fn replaced(&self, replacement: &Template, redirects: bool, course: &super::Course) -> (String, Option<String>) {
        let source = Source { course, ..*self.source };
        let quoted = source.request.target.contains(['%', '+']);
        let (mut path, mut args): (String, Option<String>) = (String::new(), None);
        for part in replacement.parts() {
            match part {
                Part::Text(text) => match (&mut args, text.split_once('?')) {
                    (Some(args), _) => args.push_str(text),
                    (None, Some((before, behind))) => {
                        path.push_str(before);
                        args = Some(behind.to_owned());
                    }
                    (None, None) => path.push_str(text),
                },
                Part::Variable(variable) => {
                    let mut value = Vec::new();
                    source.write_one(variable, &mut |piece| value.extend_from_slice(piece));
                    let mut value = String::from_utf8_lossy(&value).into_owned();
                    let is_group = matches!(variable, Variable::Capture(_));
                    if is_group && quoted && (redirects || args.is_some()) {
                        value = escaped_as_argument(&value);
                    }
                    args.as_mut().unwrap_or(&mut path).push_str(&value);
                }
            }
        }
        (path, args)
    }

    fn holds<'a>(&self, condition: &Condition, course: &mut super::Course) -> Result<bool, Ran<'a>> {
        Ok(match condition {
            Condition::Is(value) => !matches!(self.string(value, course).as_str(), "" | "0"),
            Condition::Equals { value, text, negated } => {
                (self.string(value, course) == self.string(text, course)) != *negated
            }
            Condition::Matches { value, pattern, negated } => {
                let text = self.string(value, course);
                let groups = pattern.matched(&text).map_err(|_| Ran::TooHard)?;
                let matches = groups.is_some();
                if let Some(groups) = groups {
                    course.set_groups(pattern, &text, groups);
                }
                matches != *negated
            }
            Condition::Exists { kind, path, negated } => {
                let path = self.string(path, course);
                match course.file(*kind, &path) {
                    Some(there) => there != *negated,
                    None => return Err(Ran::Ask(*kind, path)),
                }
            }
        })
    }
}
