//! nginx's words: what blanks, `;` and braces stand between, with quotes and backslashes as nginx reads them.

use std::borrow::Cow;

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A word, and whether it stood in quotes.
    Word(String, bool),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// Takes a text apart. A brace within a word belongs to it (`\d{4}`, `${name}`), also without the quotes that nginx wants there.
pub fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        rest = match first {
            ';' => {
                tokens.push(Token::End);
                behind
            }
            '{' => {
                tokens.push(Token::Open);
                behind
            }
            '}' => {
                tokens.push(Token::Close);
                behind
            }
            '"' | '\'' => {
                let (word, left) = quoted(behind, first)?;
                if !left.is_empty() && !left.starts_with(|c: char| c.is_ascii_whitespace() || ";{})".contains(c)) {
                    return Err(format!("a blank belongs behind the closing quote of {first}{word}{first}"));
                }
                tokens.push(Token::Word(word, true));
                left
            }
            _ => {
                let (word, left) = bare(rest);
                tokens.push(Token::Word(word, false));
                left
            }
        }
        .trim_start();
    }
    Ok(tokens)
}

/// What nginx reads if the whole text is one word in quotes; otherwise the text as it is.
pub fn unquoted(text: &str) -> Cow<'_, str> {
    match text.starts_with(['"', '\'']).then(|| tokens(text)) {
        Some(Ok(tokens)) => match &tokens[..] {
            [Token::Word(word, true)] => Cow::Owned(word.clone()),
            _ => plainly_unquoted(text),
        },
        Some(Err(_)) => plainly_unquoted(text),
        None => Cow::Borrowed(text),
    }
}

/// Quotes around a text that nginx would not take for one word: `'it's'`.
fn plainly_unquoted(text: &str) -> Cow<'_, str> {
    let inner = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    Cow::Borrowed(inner.unwrap_or(text))
}

/// What nginx makes of the character behind a backslash; `None`: both stay.
fn unescaped(c: char) -> Option<char> {
    match c {
        '"' | '\'' | '\\' => Some(c),
        't' => Some('\t'),
        'r' => Some('\r'),
        'n' => Some('\n'),
        _ => None,
    }
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => escape(&mut word, chars.next().map(|(_, next)| next)),
            _ if c == quote => return Ok((word, &text[at + 1..])),
            _ => word.push(c),
        }
    }
    Err(format!("the closing {quote} is missing"))
}

fn escape(word: &mut String, next: Option<char>) {
    match (next, next.and_then(unescaped)) {
        (_, Some(c)) => word.push(c),
        (Some(c), None) => word.extend(['\\', c]),
        (None, None) => word.push('\\'),
    }
}

fn bare(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut depth = 0;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let behind = &text[at + c.len_utf8()..];
        match c {
            '\\' => escape(&mut word, chars.next().map(|(_, next)| next)),
            '{' if word.ends_with('$') || behind.starts_with(|c: char| c.is_ascii_digit()) => {
                depth += 1;
                word.push(c);
            }
            '}' if depth > 0 => {
                depth -= 1;
                word.push(c);
            }
            _ if c.is_ascii_whitespace() || ";{}".contains(c) => return (word, &text[at..]),
            _ => word.push(c),
        }
    }
    (word, "")
}

/// The words of a text that has nothing but words; a `;` may end it.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = tokens(text)?;
    if tokens.last() == Some(&Token::End) {
        tokens.pop();
    }
    tokens
        .into_iter()
        .map(|token| match token {
            Token::Word(word, _) => Ok(word),
            Token::End => Err("no `;` within; each statement is one text of the list".to_string()),
            Token::Open | Token::Close => Err("a brace stands in quotes here".to_string()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_nginx_s() {
        let word = |text: &str| Token::Word(text.to_string(), false);
        let in_quotes = |text: &str| Token::Word(text.to_string(), true);
        for (text, wanted) in [
            ("", vec![]),
            (" a  b\t;", vec![word("a"), word("b"), Token::End]),
            (r"^/(\d{4})/(\d{1,2})$ /$1/${x}y", vec![word(r"^/(\d{4})/(\d{1,2})$"), word("/$1/${x}y")]),
            (r#""a b" 'c"d';"#, vec![in_quotes("a b"), in_quotes("c\"d"), Token::End]),
            (r#""a \"b\" \\. \.""#, vec![in_quotes(r#"a "b" \. \."#)]),
            (r"a\ b \; c\\d", vec![word(r"a\ b"), word(r"\;"), word(r"c\d")]),
            ("if ($a){break;}", vec![word("if"), word("($a)"), Token::Open, word("break"), Token::End, Token::Close]),
            (r#"("a")"#, vec![word("(\"a\")")]),
            (r#"~ "a")"#, vec![word("~"), in_quotes("a"), word(")")]),
            ("''", vec![in_quotes("")]),
            ("a\\", vec![word("a\\")]),
        ] {
            assert_eq!(tokens(text).as_ref(), Ok(&wanted), "{text}");
        }
        for (text, part) in [("\"a", "closing \""), ("'a\\'", "closing '"), ("\"a\"b", "blank")] {
            let error = tokens(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(words("a 'b c';"), Ok(vec!["a".to_string(), "b c".to_string()]));
        assert!(words("a; b").is_err() && words("a {").is_err() && words("a 'b").is_err());
    }
}
