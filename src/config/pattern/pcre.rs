//! PCRE's spelling in that of the engine: what both take, but understand differently, is written so that it means what nginx's files mean.

use std::iter::Peekable;
use std::str::Chars;

/// What a class holds at one place.
enum Atom {
    /// One character, as the engine wants it within a class; a range may begin or end here.
    One(String),
    /// Several.
    Set(String),
}

/// `text` for the engine. What is wrong with it stays, so that the engine says so.
pub(super) fn translated(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(mark @ ('<' | '>')) => out.push(mark),
                Some(letter) => match members(letter) {
                    Some((negated, members)) => {
                        out.push_str(if negated { "[^" } else { "[" });
                        out.push_str(members);
                        out.push(']');
                    }
                    None => out.extend(['\\', letter]),
                },
                None => out.push('\\'),
            },
            '[' => class(&mut chars, &mut out),
            _ => out.push(c),
        }
    }
    out
}

/// The characters that a letter behind a backslash stands for, in bytes' terms as nginx compiles without UTF; and whether it is all others.
fn members(letter: char) -> Option<(bool, &'static str)> {
    let members = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "A-Za-z0-9_",
        's' => " \\t\\n\\r\\x0B\\x0C",
        'h' => " \\t",
        _ => return None,
    };
    Some((letter.is_ascii_uppercase(), members))
}

/// A class whose `[` has been read.
fn class(chars: &mut Peekable<Chars>, out: &mut String) {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    while let Some(c) = chars.next() {
        if c == ']' && !first {
            return out.push(']');
        }
        first = false;
        match atom(c, chars) {
            Atom::Set(set) => out.push_str(&set),
            Atom::One(from) => {
                out.push_str(&from);
                let mut ahead = chars.clone();
                if ahead.next() != Some('-') || ahead.peek().is_none_or(|next| *next == ']') {
                    continue;
                }
                // `a-z`; a `-` before several characters is one itself.
                chars.next();
                match chars.next().map(|next| atom(next, chars)) {
                    Some(Atom::One(to)) => {
                        out.push('-');
                        out.push_str(&to);
                    }
                    Some(Atom::Set(set)) => {
                        out.push_str("\\-");
                        out.push_str(&set);
                    }
                    None => {}
                }
            }
        }
    }
}

fn atom(c: char, chars: &mut Peekable<Chars>) -> Atom {
    match c {
        '\\' => match chars.next() {
            Some('b') => Atom::One("\\x08".to_owned()),
            Some(letter @ ('p' | 'P')) => {
                let mut set = format!("\\{letter}");
                if chars.peek() == Some(&'{') {
                    for c in chars.by_ref() {
                        set.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                } else {
                    set.extend(chars.next());
                }
                Atom::Set(set)
            }
            Some('x') => {
                let mut one = "\\x".to_owned();
                if chars.peek() == Some(&'{') {
                    for c in chars.by_ref() {
                        one.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                } else {
                    for _ in 0..2 {
                        one.extend(chars.next_if(char::is_ascii_hexdigit));
                    }
                }
                Atom::One(one)
            }
            Some(letter) if letter.is_ascii_alphanumeric() => match members(letter) {
                Some((true, members)) => Atom::Set(format!("[^{members}]")),
                Some((false, members)) => Atom::Set(members.to_owned()),
                None => Atom::One(format!("\\{letter}")),
            },
            Some(mark) => Atom::One(literal(mark)),
            None => Atom::One("\\".to_owned()),
        },
        '[' if chars.peek() == Some(&':') => {
            let named: String = chars.clone().take_while(|c| *c != ']').collect();
            match named.len() > 1 && named.ends_with(':') {
                true => {
                    chars.by_ref().take(named.chars().count() + 1).for_each(drop);
                    Atom::Set(format!("[{named}]"))
                }
                false => Atom::One(literal('[')),
            }
        }
        c => Atom::One(literal(c)),
    }
}

/// One character that stands for itself in a class.
fn literal(c: char) -> String {
    match c {
        // A backslash before `<` or `>` would mean something.
        '[' | ']' | '&' | '~' | '-' | '^' | '\\' => format!("\\{c}"),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::pattern::Pattern;

    /// Which of the characters match, each alone.
    #[test]
    fn characters_are_those_of_pcre() {
        let rows = [
            (r"\<", "<>w", "<"),
            (r"\>", "<>w", ">"),
            (r"\h", " \ta1", " \t"),
            (r"\H", " \ta1", "a1"),
            (r"[\h]", " \ta1", " \t"),
            (r"[\<\>]", "<>a\\", "<>"),
            (r"[a&&b]", "ab&c", "ab&"),
            (r"[a&b]", "ab&c", "ab&"),
            (r"[+--]", "+,-.", "+,-"),
            (r"[a~~b]", "ab~c", "ab~"),
            (r"[[]", "[a]", "["),
            (r"[[a]", "[a]b", "[a"),
            (r"[]a]", "[a]b", "a]"),
            (r"[^]a]", "[a]b", "[b"),
            (r"[\w-.]", "a_9-.,", "a_9-."),
            (r"[\w.-]", "a_9-.,", "a_9-."),
            (r"[-\w]", "a-.", "a-"),
            (r"[a-\d]", "a-5b", "a-5"),
            (r"[a-c-e]", "abcd-e", "abc-e"),
            (r"[a\-c]", "ab-c", "a-c"),
            (r"[\x41-\x43]", "ABCD", "ABC"),
            (r"[\x{41}-C]", "ABCD", "ABC"),
            (r"[\]]", "]\\", "]"),
            (r"[\\]", "]\\", "\\"),
            (r"[^\\]", "a\\", "a"),
            (r"[a^]", "a^b", "a^"),
            (r"[[:alpha:]_]", "a_1:", "a_"),
            (r"[[:^digit:]]", "a1", "a"),
            (r"[[:a]", "[:ab", "[:a"),
            (r"[\D]", "a1", "a"),
            (r"[\D1]", "a12", "a1"),
            (r"[\t\n]", "\t\nt", "\t\n"),
            (r"\d", "5\u{0665}a", "5"),
            (r"\w", "a_\u{e9}", "a_"),
            (r"\s", " \t\u{a0}\u{0b}", " \t\u{0b}"),
            (r"\S", " \u{a0}", "\u{a0}"),
            (r"[é-í]", "éêîe", "éê"),
            (r"\[a\]|\\", "\\[a", "\\"),
        ];
        for (text, given, wanted) in rows {
            let pattern =
                Pattern::new(&format!("^(?:{text})$"), false).unwrap_or_else(|error| panic!("{text}: {error}"));
            let found: String = given.chars().filter(|c| pattern.is_match(&c.to_string())).collect();
            assert_eq!(found, wanted, "{text}");
            assert_eq!(pattern.text(), format!("^(?:{text})$"));
        }
        for text in ["[a", "[", "[^", "[a-", "[\\", "[[:alpha:]", "[\\p{", "[\\x{", "[z-a]", "[a--b]"] {
            assert!(Pattern::new(text, false).is_err(), "{text}");
        }
    }
}
