//! Regular expressions in PCRE's syntax, as nginx's files have them.

mod pcre;

use crate::limits::REGEX_STEPS_MAX;
use fancy_regex::{Regex, RegexBuilder};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One compiled expression. Matching is bounded: what needs more than `REGEX_STEPS_MAX` steps of backtracking does not match.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    caseless: bool,
    regex: Arc<Regex>,
    names: Arc<Vec<(String, usize)>>,
}

/// A match would take more than `REGEX_STEPS_MAX` steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooHard;

/// What the groups of a match took: places in the text, the whole match first.
pub type Groups = Vec<Option<Range<usize>>>;

impl Pattern {
    /// Compiles `text`; without regard to ASCII case if `caseless`. The error is a sentence.
    pub fn new(text: &str, caseless: bool) -> Result<Pattern, String> {
        // PCRE's `$` also stands before a line end that is the last: what is denied for `\.sql$` is denied for `/a.sql%0a`.
        let ends = text.strip_suffix('$').filter(|before| !is_escaped(before));
        let written =
            ends.map_or_else(|| pcre::translated(text), |before| format!("{}(?:\\n?\\z)", pcre::translated(before)));
        let mut builder = RegexBuilder::new(&written);
        builder.case_insensitive(caseless).backtrack_limit(REGEX_STEPS_MAX);
        let regex = builder.build().map_err(|error| format!("`{text}` is no regular expression: {error}"))?;
        let names = regex.capture_names().enumerate().filter_map(|(nth, name)| Some((name?.to_owned(), nth))).collect();
        Ok(Pattern { text: text.to_owned(), caseless, regex: Arc::new(regex), names: Arc::new(names) })
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// ASCII case does not matter.
    pub fn is_caseless(&self) -> bool {
        self.caseless
    }

    /// Its named groups (`(?<name>...)`) and their numbers.
    pub fn names(&self) -> &[(String, usize)] {
        &self.names
    }

    /// There is a match somewhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text).unwrap_or(false)
    }

    /// The groups of the first match.
    pub fn captures(&self, text: &str) -> Option<Groups> {
        self.matched(text).ok().flatten()
    }

    /// The same where it matters whether the bound was met: a text that takes too long must not pass for one that does not match.
    pub fn matched(&self, text: &str) -> Result<Option<Groups>, TooHard> {
        let captures = self.regex.captures(text).map_err(|_| TooHard)?;
        Ok(captures.map(|captures| {
            (0..captures.len()).map(|nth| captures.get(nth).map(|group| group.start()..group.end())).collect()
        }))
    }
}

/// What follows `before` has a backslash of its own.
fn is_escaped(before: &str) -> bool {
    before.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text && self.caseless == other.caseless
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Pattern({}{:?})", if self.caseless { "~*" } else { "~" }, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_and_groups() {
        let rows: [(&str, bool, &str, Option<&[&str]>); 12] = [
            (r"\.php$", false, "/a.php", Some(&[".php"])),
            (r"\.php$", false, "/a.PHP", None),
            (r"\.php$", true, "/a.PHP", Some(&[".PHP"])),
            (r"^/a/(.*)/(b)?$", false, "/a/x/", Some(&["/a/x/", "x", "-"])),
            (r"^/(?!api/)(.*)$", false, "/api/x", None),
            (r"^/(?!api/)(.*)$", false, "/app", Some(&["/app", "app"])),
            (r"^\/a\/(\d+)\-x$", false, "/a/12-x", Some(&["/a/12-x", "12"])),
            (r"(.)\1", false, "/aa", Some(&["aa", "a"])),
            (r"\.sql$", false, "/a.sql\n", Some(&[".sql\n"])),
            (r"\.sql$", false, "/a.sql\nb", None),
            (r"a\$", false, "/a$", Some(&["a$"])),
            (r"^(?<user>.+)\.example\.org$", false, "joe.example.org", Some(&["joe.example.org", "joe"])),
        ];
        for (text, caseless, subject, wanted) in rows {
            let pattern = Pattern::new(text, caseless).unwrap();
            let groups = pattern.captures(subject);
            let texts = groups.as_ref().map(|groups| {
                groups.iter().map(|group| group.clone().map_or("-", |group| &subject[group])).collect::<Vec<_>>()
            });
            assert_eq!(texts.as_deref(), wanted, "{text} {subject}");
            assert_eq!(pattern.is_match(subject), wanted.is_some());
        }
        let named = Pattern::new(r"(.)(?<a>.)(?P<b>.)", false).unwrap();
        assert_eq!(named.names(), [("a".to_owned(), 2), ("b".to_owned(), 3)]);
    }

    #[test]
    fn what_is_none_is_said_and_what_would_not_end_does_not_match() {
        for text in ["(", "[a", "(?<n>"] {
            assert!(Pattern::new(text, false).unwrap_err().contains("no regular expression"), "{text}");
        }
        let hard = Pattern::new(r"^(a+)(a+)(a+)\1\2\3c$", false).unwrap();
        let text = "a".repeat(400);
        assert_eq!(hard.matched(&text), Err(TooHard));
        assert!(!hard.is_match(&text) && hard.captures(&text).is_none());
    }
}
