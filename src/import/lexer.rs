//! nginx's words: quotes, escapes, `${}`, comments, and what ends a directive. Whatever is odd about them is kept, because the
//! files that people have were written against it.

use crate::import::syntax::{Mistake, Place};
use crate::limits;
use std::sync::Arc;

/// What one reading yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Words, and `;` behind them.
    Statement,
    /// Words, and `{` behind them.
    Open,
    /// `}`
    Close,
    /// The end of the file.
    End,
}

/// The words of one directive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Words {
    /// Without quotes and escapes.
    pub words: Vec<String>,
    /// The line of the first one.
    pub line: u32,
    /// Comments before the first one, without `#`; with their lines.
    pub comments: Vec<(u32, String)>,
}

/// Reads one file.
#[derive(Debug)]
pub struct Lexer<'a> {
    file: Arc<str>,
    text: &'a [u8],
    at: usize,
    line: u32,
}

/// Within a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Bare,
    Quotes(u8),
}

impl<'a> Lexer<'a> {
    /// At the beginning.
    pub fn new(file: Arc<str>, text: &'a str) -> Lexer<'a> {
        Lexer { file, text: text.as_bytes(), at: 0, line: 1 }
    }

    /// The line that is being read: the one that nginx names.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// A mistake at this line.
    pub fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { place: Place { file: self.file.clone(), line: self.line }, message: message.into() }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        self.line += u32::from(byte == b'\n');
        Some(byte)
    }

    /// The words up to the next `;`, `{`, `}` or the end. The words are there as far as they came also with a mistake.
    pub fn read(&mut self, found: &mut Words) -> Result<Token, Mistake> {
        *found = Words { line: self.line, ..Words::default() };
        // A closing quote wants a blank behind it.
        let mut need_space = false;
        loop {
            let line = self.line;
            let Some(byte) = self.next() else {
                return match found.words.is_empty() && !need_space {
                    true => Ok(Token::End),
                    false => Err(self.mistake("unexpected end of file, expecting \";\" or \"}\"")),
                };
            };
            if need_space {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => need_space = false,
                    b';' => return Ok(Token::Statement),
                    b'{' => return Ok(Token::Open),
                    // `if ($a = "b")`
                    b')' => need_space = self.word(byte, found)?,
                    _ => return Err(self.mistake(format!("unexpected \"{}\"", shown(byte)))),
                }
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'#' => found.comments.push((line, self.comment())),
                b';' | b'{' if found.words.is_empty() => {
                    return Err(self.mistake(format!("unexpected \"{}\"", shown(byte))));
                }
                b';' => return Ok(Token::Statement),
                b'{' => return Ok(Token::Open),
                b'}' if found.words.is_empty() => return Ok(Token::Close),
                b'}' => return Err(self.mistake("unexpected \"}\"")),
                _ => {
                    if found.words.is_empty() {
                        found.line = line;
                    }
                    need_space = self.word(byte, found)?;
                }
            }
        }
    }

    fn comment(&mut self) -> String {
        let rest = &self.text[self.at..];
        let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        // The line's end is read as what it is.
        self.at += end;
        String::from_utf8_lossy(&rest[..end]).trim_end().to_string()
    }

    /// The comment behind a directive, if it is on the same line.
    pub fn trailing(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let blank = rest.iter().position(|&b| b != b' ' && b != b'\t')?;
        if rest[blank] != b'#' {
            return None;
        }
        self.at += blank + 1;
        Some(self.comment())
    }

    /// Reads a word whose first byte was read. Whether it ended in a quote.
    fn word(&mut self, first: u8, found: &mut Words) -> Result<bool, Mistake> {
        let (begin, line) = (self.at - 1, self.line - u32::from(first == b'\n'));
        let mut inside = Inside::Bare;
        let mut start = begin;
        let (mut escaped, mut variable) = (false, false);
        match first {
            b'"' | b'\'' => {
                inside = Inside::Quotes(first);
                start += 1;
            }
            b'\\' => escaped = true,
            b'$' => variable = true,
            _ => {}
        }
        loop {
            if self.at - begin >= limits::NGINX_WORD_MAX {
                return Err(self.too_long(start, line, inside));
            }
            let Some(byte) = self.next() else {
                return Err(self.mistake("unexpected end of file, expecting \";\" or \"}\""));
            };
            if std::mem::take(&mut escaped) || byte == b'{' && variable {
                continue;
            }
            variable = byte == b'$';
            escaped = byte == b'\\';
            let ends = match inside {
                Inside::Quotes(mark) => byte == mark,
                Inside::Bare => matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{'),
            };
            if ends {
                found.words.push(unescape(&self.text[start..self.at - 1]));
                if inside == Inside::Bare {
                    // What ended it counts for itself.
                    self.at -= 1;
                    self.line -= u32::from(byte == b'\n');
                }
                return Ok(inside != Inside::Bare);
            }
        }
    }

    fn too_long(&mut self, start: usize, line: u32, inside: Inside) -> Mistake {
        self.line = line;
        match inside {
            Inside::Quotes(mark) => {
                let mark = shown(mark);
                self.mistake(format!("too long parameter, probably missing terminating \"{mark}\" character"))
            }
            Inside::Bare => {
                let begin = String::from_utf8_lossy(&self.text[start..self.at.min(start + 10)]).into_owned();
                self.mistake(format!("too long parameter \"{begin}...\" started"))
            }
        }
    }
}

fn shown(byte: u8) -> String {
    match byte.is_ascii() {
        true => char::from(byte).to_string(),
        false => format!("\\x{byte:02x}"),
    }
}

/// Only these are escapes; any other backslash is part of the word (`\.` in a regular expression).
fn unescape(raw: &[u8]) -> String {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let meant = match (byte, bytes.peek()) {
            (b'\\', Some(&next @ (b'"' | b'\'' | b'\\'))) => Some(next),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            _ => None,
        };
        if meant.is_some() {
            bytes.next();
        }
        out.push(meant.unwrap_or(byte));
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[path = "lexer_tests.rs"]
mod tests;
