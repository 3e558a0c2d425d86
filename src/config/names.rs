//! Which section of a listener a name belongs to, by nginx's rules: the exact name, then the longest wildcard at the beginning
//! (`*.example.org`), then the longest at the end (`mail.*`), then regular expressions in the order of the file, then the default.

use crate::config::pattern::{Groups, Pattern};
use ahash::HashMap;

/// The sections of one address by name.
#[derive(Debug, Clone, Default)]
pub struct Names {
    exact: HashMap<String, usize>,
    /// `*.example.org` as `.example.org`.
    leading: HashMap<String, usize>,
    /// `mail.*` as `mail.`.
    trailing: HashMap<String, usize>,
    /// `~^www\d+\.` as the pattern.
    regexes: Vec<(Pattern, usize)>,
    /// For names nobody claims: that of `default_server`, else the first.
    pub default: usize,
    /// All sections, in the order of the file.
    pub sections: Vec<usize>,
}

impl Names {
    /// No names, and one section.
    pub fn new(default: usize) -> Names {
        Names { default, sections: vec![default], ..Names::default() }
    }

    /// One more section.
    pub fn add_section(&mut self, section: usize) {
        if !self.sections.contains(&section) {
            self.sections.push(section);
        }
    }

    /// Gives a name (lower case; `.example.org` is `example.org` and `*.example.org`) to a section, unless another has it: the first one
    /// wins. False: another has it.
    pub fn add(&mut self, name: &str, section: usize) -> bool {
        if let Some(regex) = name.strip_prefix('~') {
            return self.add_regex(regex, section);
        }
        let mut give = |table: fn(&mut Names) -> &mut HashMap<String, usize>, name: &str| {
            let owner = *table(self).entry(name.to_owned()).or_insert(section);
            owner == section
        };
        match (name.strip_prefix('*'), name.strip_suffix('*')) {
            (Some(suffix), _) => give(|names| &mut names.leading, suffix),
            (_, Some(prefix)) => give(|names| &mut names.trailing, prefix),
            _ => match name.strip_prefix('.') {
                Some(bare) => give(|names| &mut names.exact, bare) & give(|names| &mut names.leading, name),
                None => give(|names| &mut names.exact, name),
            },
        }
    }

    fn add_regex(&mut self, regex: &str, section: usize) -> bool {
        if let Some((_, owner)) = self.regexes.iter().find(|(known, _)| known.text() == regex) {
            return *owner == section;
        }
        // Names come here in lower case: as in nginx capitals in an expression mean any case.
        let has_capitals = regex.bytes().any(|b| b.is_ascii_uppercase());
        if let Ok(pattern) = Pattern::new(regex, has_capitals) {
            self.regexes.push((pattern, section));
        }
        true
    }

    /// The section that claims `name` (lower case, no port, no dot at the end).
    pub fn claimed(&self, name: &str) -> Option<usize> {
        let by_regex = || self.regexes.iter().find(|(pattern, _)| pattern.is_match(name)).map(|&(_, section)| section);
        self.by_text(name).or_else(by_regex)
    }

    /// The same, and the groups of the regular expression that claims it, if one does.
    pub fn claimed_with(&self, name: &str) -> Option<(usize, Option<(&Pattern, Groups)>)> {
        if let Some(section) = self.by_text(name) {
            return Some((section, None));
        }
        self.regexes.iter().find_map(|(pattern, section)| Some((*section, Some((pattern, pattern.captures(name)?)))))
    }

    fn by_text(&self, name: &str) -> Option<usize> {
        if let Some(&section) = self.exact.get(name) {
            return Some(section);
        }
        if self.leading.is_empty() && self.trailing.is_empty() {
            return None;
        }
        let dots = || name.bytes().enumerate().filter(|&(_, byte)| byte == b'.').map(|(at, _)| at);
        // A wildcard stands for one label or more, never for none.
        let leading = dots().filter(|&at| at > 0).find_map(|at| self.leading.get(&name[at..]));
        let trailing = || {
            let ends: Vec<usize> = dots().filter(|&at| at + 1 < name.len()).collect();
            ends.into_iter().rev().find_map(|at| self.trailing.get(&name[..=at]))
        };
        leading.or_else(trailing).copied()
    }

    /// The section for `name`.
    pub fn find(&self, name: &str) -> usize {
        self.claimed(name).unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_wins_then_the_longest_wildcard() {
        let mut names = Names::new(0);
        for (section, name) in [
            (1, "example.org"),
            (2, "*.example.org"),
            (3, "*.a.example.org"),
            (4, "mail.*"),
            (5, "mail.example.*"),
            (6, ".both.net"),
            (7, "x.example.org"),
        ] {
            assert!(names.add(name, section), "{name}");
        }
        for (name, section) in [
            ("example.org", 1),
            ("w.example.org", 2),
            ("w.w.example.org", 2),
            ("w.a.example.org", 3),
            ("a.example.org", 2),
            ("x.example.org", 7),
            ("mail.org", 4),
            ("mail.example.com", 5),
            ("mail.example.org", 2),
            ("both.net", 6),
            ("w.both.net", 6),
            ("wboth.net", 0),
            (".example.org", 0),
            ("mail.", 0),
            ("mail", 0),
            ("", 0),
            (".", 0),
            ("other", 0),
        ] {
            assert_eq!(names.find(name), section, "{name}");
        }
    }

    #[test]
    fn regular_expressions_come_after_wildcards_in_their_order() {
        let mut names = Names::new(0);
        for (section, name) in [
            (1, "~^(?<user>.+)\\.example\\.org$"),
            (2, "*.w.example.org"),
            (3, "~^a"),
            (4, "a.example.org"),
            (5, "~ROW$"),
        ] {
            assert!(names.add(name, section), "{name}");
        }
        assert!(!names.add("~^a", 5) && names.add("~^a", 3));
        for (name, section, user) in [
            ("joe.example.org", 1, Some("joe")),
            ("abc.example.org", 1, Some("abc")),
            ("x.w.example.org", 2, None),
            ("a.example.org", 4, None),
            ("abc", 3, None),
            ("row", 5, None),
            ("b", 0, None),
        ] {
            assert_eq!(names.find(name), section, "{name}");
            let groups = names.claimed_with(name).and_then(|(claimed, groups)| {
                assert_eq!(claimed, section, "{name}");
                groups
            });
            let group = groups.and_then(|(pattern, groups)| groups[pattern.names().first()?.1].clone());
            assert_eq!(group.map(|group| &name[group]), user, "{name}");
        }
    }

    #[test]
    fn the_first_section_keeps_a_name() {
        let mut names = Names::new(0);
        assert!(names.add("a", 0) && names.add("a", 0));
        assert!(!names.add("a", 1));
        assert!(names.add(".b", 0));
        assert!(!names.add("b", 1) && !names.add("*.b", 1));
        assert_eq!((names.find("a"), names.claimed("c")), (0, None));
    }
}
