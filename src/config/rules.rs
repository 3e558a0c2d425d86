//! `rewrite`: the statements of nginx's rewrite module.

use super::pattern::Pattern;
use super::plan::{Condition, FileKind, Flag, Rule};
use super::returns;
use super::slips::closest;
use super::template::{Known, Part, Template, Variable};
use std::sync::Arc;

pub mod words;

use words::{Token, tokens};

/// Words that begin a statement. A text that begins with none of them is a `rewrite` without that word.
const STATEMENTS: [&str; 5] = ["rewrite", "return", "set", "break", "if"];

/// What people write into an `if` of nginx's that is no statement of its rewrite module.
const NO_STATEMENTS: [&str; 12] = [
    "proxy_pass",
    "add_header",
    "access_log",
    "root",
    "expires",
    "error_page",
    "proxy_set_header",
    "limit_rate",
    "allow",
    "deny",
    "try_files",
    "auth_basic",
];

/// The statements of one text, and what is strange about them.
pub fn rules(text: &str, known: &Known) -> Result<(Vec<Rule>, Vec<String>), String> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err("write a statement, such as \"^/old/(.*)$ /new/$1 permanent\"".to_string());
    }
    let mut parser = Parser { tokens: &tokens, known, warnings: Vec::new() };
    let mut rules = Vec::new();
    while !parser.tokens.is_empty() {
        rules.push(parser.statement(true)?);
    }
    Ok((rules, parser.warnings))
}

/// The variables that `set` statements of a text make.
pub fn names_set(text: &str) -> Vec<String> {
    let tokens = tokens(text).unwrap_or_default();
    let pairs = tokens.windows(2).filter_map(|pair| match pair {
        [Token::Word(set, false), Token::Word(name, _)] if set == "set" => name.strip_prefix('$'),
        _ => None,
    });
    pairs.map(str::to_owned).collect()
}

/// The named groups of the regular expressions in a text.
pub fn names_of_groups(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for piece in text.split("(?").skip(1) {
        let begun = piece.strip_prefix('P').unwrap_or(piece);
        let name = begun.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let name = name.or_else(|| begun.strip_prefix('\'').and_then(|rest| rest.split_once('\'')));
        if let Some((name, _)) = name
            && is_name(name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// It may be the name of a variable.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

struct Parser<'a> {
    tokens: &'a [Token],
    known: &'a Known,
    warnings: Vec<String>,
}

impl Parser<'_> {
    /// The next statement with its end. Outside of braces the last one needs no `;`, and `rewrite` may be left out.
    fn statement(&mut self, outside: bool) -> Result<Rule, String> {
        let length = self.tokens.iter().take_while(|token| matches!(token, Token::Word(..))).count();
        let (words, rest) = self.tokens.split_at(length);
        let words: Vec<(&str, bool)> = words
            .iter()
            .filter_map(|token| match token {
                Token::Word(word, quoted) => Some((word.as_str(), *quoted)),
                _ => None,
            })
            .collect();
        let Some(&(first, quoted)) = words.first() else {
            return Err(match rest.first() {
                Some(Token::Close) => "a `}` without its `{`".to_string(),
                Some(Token::Open) => "a `{` stands behind `if (...)` only".to_string(),
                _ => "a `;` without a statement before it".to_string(),
            });
        };
        if first == "if" && !quoted || first.starts_with("if(") {
            self.tokens = rest;
            return self.branch(&words);
        }
        self.tokens = match (rest.first(), outside) {
            (Some(Token::End), _) => &rest[1..],
            (None, true) => rest,
            (Some(Token::Open), _) => {
                return Err(format!("no `{{` behind `{first}`: braces stand behind `if (...)` only"));
            }
            (Some(Token::Close), true) => return Err("a `}` without its `{`".to_string()),
            _ => return Err(format!("`{first}` lacks the `;` behind it")),
        };
        let arguments: Vec<&str> = words[1..].iter().map(|(word, _)| *word).collect();
        match first {
            _ if quoted && outside => self.bare(&words),
            "rewrite" => self.rewrite(&arguments),
            "return" => self.returned(&arguments),
            "set" => self.set(&arguments),
            "break" if arguments.is_empty() => Ok(Rule::Break),
            "break" => Err("`break` stands alone".to_string()),
            _ if outside && !NO_STATEMENTS.contains(&first) => self.bare(&words),
            _ => Err(unknown(first)),
        }
    }

    /// A `rewrite` without that word, unless it is another statement, misspelt.
    fn bare(&mut self, words: &[(&str, bool)]) -> Result<Rule, String> {
        let first = words[0].0;
        if first.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && words.len() != 2 && words.len() != 3 {
            return Err(unknown(first));
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.rewrite(&all)
    }

    fn rewrite(&mut self, words: &[&str]) -> Result<Rule, String> {
        let (regex, replacement, flag) = match words {
            [regex, replacement] => (regex, replacement, None),
            [regex, replacement, flag] => (regex, replacement, Some(*flag)),
            _ => {
                let example = "such as \"^/old/(.*)$ /new/$1 permanent\"";
                return Err(format!(
                    "a rewrite is a regular expression, what takes its place, and a flag perhaps, {example}"
                ));
            }
        };
        let is_url = ["http://", "https://", "$scheme://"].iter().any(|start| replacement.starts_with(start));
        let flag = match flag {
            Some("permanent") => Flag::Permanent,
            Some("redirect") => Flag::Redirect,
            Some("last" | "break") | None if is_url => Flag::Redirect,
            Some("last") => Flag::Last,
            Some("break") => Flag::Break,
            None => Flag::None,
            Some(other) => {
                let flags = ["last", "break", "redirect", "permanent"];
                return Err(match closest(other, flags) {
                    Some(near) => format!("unknown flag `{other}`; did you mean `{near}`?"),
                    None => format!(
                        "unknown flag `{other}`; there are last, break, redirect and permanent; a text with blanks stands in quotes"
                    ),
                });
            }
        };
        let pattern = Pattern::new(regex, false)?;
        let drops_args = replacement.ends_with('?');
        let replacement = Template::parse(replacement.strip_suffix('?').unwrap_or(replacement), self.known)?;
        if let Some(Part::Text(text)) = replacement.parts().first()
            && !text.starts_with('/')
            && !is_url
        {
            self.warnings
                .push(format!("a path begins with a slash: \"{replacement}\" is none; write \"/{replacement}\""));
        }
        Ok(Rule::Rewrite { pattern, replacement, drops_args, flag })
    }

    fn returned(&mut self, words: &[&str]) -> Result<Rule, String> {
        match words {
            [status] => returns::returns(status, self.known).map(Rule::Return),
            [status, text] => returns::answer(status, text, self.known).map(Rule::Return),
            _ => {
                Err("`return` has a status, and a text or a URL perhaps; a text with blanks stands in quotes"
                    .to_string())
            }
        }
    }

    fn set(&mut self, words: &[&str]) -> Result<Rule, String> {
        let [name, value] = words else {
            return Err(
                "`set` has a variable and its value, such as \"set $mobile yes\"; a text with blanks stands in quotes"
                    .to_string(),
            );
        };
        let Some(bare) = name.strip_prefix('$').filter(|name| is_name(name)) else {
            return Err(format!("`{name}` is no variable; write \"set ${}\"", name.trim_start_matches('$')));
        };
        match Variable::named(bare) {
            None | Some(Variable::Args) => Ok(Rule::Set(Arc::from(bare), Template::parse(value, self.known)?)),
            Some(_) => Err(format!("`{name}` is what a request says: it cannot be set; choose another name")),
        }
    }

    fn branch(&mut self, words: &[(&str, bool)]) -> Result<Rule, String> {
        let condition = self.condition(words)?;
        match self.tokens.split_first() {
            Some((Token::Open, rest)) => self.tokens = rest,
            _ => return Err("`if` needs braces; write \"if (...) { return 403; }\"".to_string()),
        }
        let mut rules = Vec::new();
        loop {
            match self.tokens.split_first() {
                Some((Token::Close, rest)) => {
                    self.tokens = rest;
                    break;
                }
                None => return Err("the `}` of an `if` is missing".to_string()),
                Some((Token::Word(word, _), _)) if word == "if" || word.starts_with("if(") => {
                    return Err(
                        "an `if` cannot stand within an `if`; set a variable in the first, and ask for it in a second"
                            .to_string(),
                    );
                }
                Some(_) => rules.push(self.statement(false)?),
            }
        }
        Ok(Rule::If(condition, rules))
    }

    /// What stands between `if` and the brace.
    fn condition(&mut self, words: &[(&str, bool)]) -> Result<Condition, String> {
        const FORM: &str = "a condition stands in parentheses: \"if ($host = example.org) { ... }\"";
        let mut words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        match words[0].strip_prefix("if") {
            Some("") => drop(words.remove(0)),
            Some(rest) => words[0] = rest,
            None => {}
        }
        let Some(first) = words.first_mut() else { return Err(FORM.to_string()) };
        *first = first.strip_prefix('(').ok_or(FORM)?;
        // `if ($a = b) return 403`, as one writes elsewhere: what follows is said by `branch`.
        let end = words.iter().position(|word| *word == ")" || word.ends_with(')'));
        match end {
            Some(at) if at + 1 < words.len() && self.tokens.first() != Some(&Token::Open) => words.truncate(at + 1),
            _ => {}
        }
        let last = words.last_mut().ok_or(FORM)?;
        *last = last.strip_suffix(')').ok_or(FORM)?;
        // Of `( $a )` and `"text" )` the parentheses are words of their own.
        if words.len() > 1 && words[0].is_empty() {
            words.remove(0);
        }
        if words.len() > 1 && words.last() == Some(&"") {
            words.pop();
        }
        let (value, operator, right) = match words[..] {
            [value] => (value, "", ""),
            [test, path] if test.trim_start_matches('!').starts_with('-') => return self.file(test, path),
            [value, operator, text] => (value, operator, text),
            [value, operator] if ["=", "!="].contains(&operator) => (value, operator, ""),
            _ => return Err(
                "a condition is a variable, `$a = text`, `$a != text`, `$a ~ regex` (or ~*, !~, !~*), or `-f file`; \
                a text with blanks stands in quotes"
                    .to_string(),
            ),
        };
        if !value.starts_with('$') {
            return Err(format!("a condition begins with a variable, not with \"{value}\""));
        }
        let value = Template::parse(value, self.known)?;
        let matches = |caseless, negated, value| {
            Ok(Condition::Matches { value, pattern: Pattern::new(right, caseless)?, negated })
        };
        match operator {
            "" => Ok(Condition::Is(value)),
            "=" | "!=" => {
                let text = Template::parse(right, self.known)?;
                Ok(Condition::Equals { value, text, negated: operator == "!=" })
            }
            "~" => matches(false, false, value),
            "~*" => matches(true, false, value),
            "!~" => matches(false, true, value),
            "!~*" => matches(true, true, value),
            "==" => Err("two texts are compared by one `=`".to_string()),
            "=~" => Err("a regular expression stands behind `~`".to_string()),
            _ => Err(format!("unknown operator `{operator}`; there are =, !=, ~, ~*, !~ and !~*")),
        }
    }

    fn file(&mut self, test: &str, path: &str) -> Result<Condition, String> {
        let negated = test.starts_with('!');
        let kind = match test.trim_start_matches('!') {
            "-f" => FileKind::File,
            "-d" => FileKind::Directory,
            "-e" => FileKind::Any,
            "-x" => FileKind::Executable,
            _ => return Err(format!("unknown test `{test}`; there are -f, -d, -e and -x, and with ! before them")),
        };
        Ok(Condition::Exists { kind, path: Template::parse(path, self.known)?, negated })
    }
}

fn unknown(word: &str) -> String {
    if NO_STATEMENTS.contains(&word) {
        return format!(
            "`{word}` cannot stand here: only if, set, rewrite, break and return can; set a variable, or use a [map.NAME]"
        );
    }
    match closest(word, STATEMENTS) {
        Some(near) => format!("unknown statement `{word}`; did you mean `{near}`?"),
        None => format!("unknown statement `{word}`; there are rewrite, return, set, break and if"),
    }
}

#[cfg(test)]
mod tests;
