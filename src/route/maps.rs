//! nginx's `map`: a value by the text of another.

use crate::config::pattern::{Groups, Pattern};
use crate::config::plan::Map;
use crate::config::template::Template;
use std::ops::Range;

/// The value for a text, and the groups of the regular expression that chose it. As in nginx: the text itself, the longest name with a
/// wildcard in front, the longest with one behind, regular expressions in their order, the default.
pub(super) fn find<'a>(map: &'a Map, text: &str) -> (&'a Template, Option<(&'a Pattern, Groups)>) {
    let mut lower = text.to_ascii_lowercase();
    if map.hostnames && lower.ends_with('.') {
        lower.pop();
    }
    if let Some(value) = map.exact.get(&lower) {
        return (value, None);
    }
    if map.hostnames
        && let Some(value) = by_wildcard(map, &lower)
    {
        return (value, None);
    }
    for (pattern, value) in &map.regexes {
        if let Some(groups) = pattern.captures(text) {
            return (value, Some((pattern, groups)));
        }
    }
    (&map.default, None)
}

fn by_wildcard<'a>(map: &'a Map, name: &str) -> Option<&'a Template> {
    let dots = || name.bytes().enumerate().filter(|&(_, byte)| byte == b'.').map(|(at, _)| at);
    let leading = dots().filter(|&at| at > 0).find_map(|at| map.leading.get(&name[at..]));
    let trailing = || dots().filter(|&at| at + 1 < name.len()).collect::<Vec<_>>().into_iter().rev();
    leading.or_else(|| trailing().find_map(|at| map.trailing.get(&name[..=at])))
}

/// Where the group of that name is.
pub(super) fn group(pattern: &Pattern, groups: &Groups, name: &str) -> Option<Range<usize>> {
    let (_, nth) = pattern.names().iter().find(|(known, _)| known == name)?;
    groups.get(*nth)?.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn values_by_text() {
        let value = Template::literal;
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), value(v))).collect();
        let map = Map {
            name: Arc::from("m"),
            source: value(""),
            hostnames: true,
            exact: pairs(&[("a.org", "exact"), ("", "empty")]),
            leading: pairs(&[(".a.org", "under a"), (".b.a.org", "under b.a")]),
            trailing: pairs(&[("mail.", "mail"), ("mail.x.", "mail x")]),
            regexes: vec![(Pattern::new("^(?<n>z+)$", false).unwrap(), value("regex"))],
            default: value("default"),
        };
        let rows = [
            ("A.org", "exact"),
            ("a.org.", "exact"),
            ("", "empty"),
            ("x.a.org", "under a"),
            ("x.b.a.org", "under b.a"),
            ("mail.y", "mail"),
            ("mail.x.y", "mail x"),
            ("zz", "regex"),
            ("ZZ", "default"),
            ("a.orgs", "default"),
            (".a.org", "default"),
        ];
        for (text, wanted) in rows {
            assert_eq!(find(&map, text).0.to_string(), wanted, "{text}");
        }
        let (_, groups) = find(&map, "zzz");
        let (pattern, groups) = groups.unwrap();
        assert_eq!((group(pattern, &groups, "n"), group(pattern, &groups, "m")), (Some(0..3), None));
        let plain = Map { hostnames: false, ..map };
        assert_eq!(find(&plain, "x.a.org").0.to_string(), "default");
        assert_eq!(find(&plain, "a.org.").0.to_string(), "default");
    }
}
