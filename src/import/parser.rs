//! Directives and blocks from words. Reading stops at the first mistake, as nginx's does, and what came before it is kept: nginx acts on each
//! directive as it reads it, so an earlier one may be the first that is wrong.

use crate::import::lexer::{Lexer, Token, Words};
use crate::import::syntax::{Directive, Mistake, Place};
use crate::limits;
use std::sync::Arc;

/// Blocks whose lines are no directives: values and types stand first in them.
const TABLES: [&str; 5] = ["types", "map", "geo", "split_clients", "charset_map"];

/// One file.
#[derive(Debug, Default)]
pub struct Parsed {
    /// What stands in it, up to the mistake if there is one.
    pub directives: Vec<Directive>,
    /// What is wrong with its form.
    pub mistake: Option<Mistake>,
}

/// Whether the lines of this block are no directives.
pub fn is_table(name: &str) -> bool {
    TABLES.contains(&name)
}

/// Reads a whole file.
pub fn parse(file: &Arc<str>, text: &str) -> Parsed {
    let mut parser = Parser { file: file.clone(), lexer: Lexer::new(file.clone(), text), mistake: None };
    let directives = parser.block(0, false);
    Parsed { directives, mistake: parser.mistake }
}

struct Parser<'a> {
    file: Arc<str>,
    lexer: Lexer<'a>,
    mistake: Option<Mistake>,
}

impl Parser<'_> {
    fn block(&mut self, depth: usize, table: bool) -> Vec<Directive> {
        let mut directives = Vec::new();
        let mut words = Words::default();
        while self.mistake.is_none() {
            let token = self.lexer.read(&mut words);
            let opens = match token {
                Ok(Token::Statement) => false,
                Ok(Token::Open) if table => {
                    self.mistake = Some(self.lexer.mistake("unexpected \"{\""));
                    break;
                }
                Ok(Token::Open) => true,
                Ok(Token::Close) if depth > 0 => break,
                Ok(Token::End) if depth == 0 => break,
                Ok(Token::Close) => {
                    self.mistake = Some(self.lexer.mistake("unexpected \"}\""));
                    break;
                }
                Ok(Token::End) => {
                    self.mistake = Some(self.lexer.mistake("unexpected end of file, expecting \"}\""));
                    break;
                }
                Err(mistake) => {
                    self.mistake = Some(mistake);
                    break;
                }
            };
            directives.push(self.directive(std::mem::take(&mut words), opens, depth));
        }
        directives
    }

    fn directive(&mut self, words: Words, opens: bool, depth: usize) -> Directive {
        let place = Place { file: self.file.clone(), line: words.line };
        let end = self.lexer.line();
        let mut args = words.words;
        // The lexer never yields a directive without words.
        let name = if args.is_empty() { String::new() } else { args.remove(0) };
        let trailing = self.lexer.trailing();
        let comments = words.comments.into_iter().map(|(_, text)| text).collect();
        let block = match opens {
            true if depth >= limits::NGINX_DEPTH_MAX => {
                let message = format!("blocks are nested more than {} deep", limits::NGINX_DEPTH_MAX);
                self.mistake = Some(self.lexer.mistake(message));
                Some(Vec::new())
            }
            true => Some(self.block(depth + 1, is_table(&name))),
            false => None,
        };
        Directive { name, args, place, end, block, comments, trailing }
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
