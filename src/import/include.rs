//! A configuration from its main file: includes are read in their place, and each directive is looked at as nginx looks at it, in the same
//! order, so that the first mistake is the one that nginx names.

use crate::import::Files;
use crate::import::directives::{self, Context};
use crate::import::parser::{self, is_table};
use crate::import::report::Report;
use crate::import::syntax::{Directive, Mistake, Place};
use crate::limits;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was read.
#[derive(Debug)]
pub struct Whole {
    /// Includes are replaced by what stands in them.
    pub directives: Vec<Directive>,
    /// What the main file is.
    pub context: Context,
    /// What nginx would refuse, in its order.
    pub mistakes: Vec<Mistake>,
    /// Every file, the main one first.
    pub files: Vec<PathBuf>,
}

/// Reads a file and all that it includes. Missing files go to the report.
pub fn read(path: &Path, files: &dyn Files, report: &mut Report) -> Whole {
    let directory = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut reader = Reader { files, directory, report, mistakes: Vec::new(), read: Vec::new(), open: Vec::new() };
    let mut context = Context::Main;
    let directives = match reader.text(path) {
        Ok(text) => {
            let name: Arc<str> = path.display().to_string().into();
            let parsed = parser::parse(&name, &text);
            context = kind(&parsed.directives);
            reader.open.push(path.to_path_buf());
            let directives = reader.walk(parsed.directives, Some(context), false);
            reader.mistakes.extend(parsed.mistake);
            directives
        }
        Err(error) => {
            let place = Place { file: path.display().to_string().into(), line: 1 };
            reader.mistakes.push(Mistake { place, message: failed(&error) });
            Vec::new()
        }
    };
    Whole { directives, context, mistakes: reader.mistakes, files: reader.read }
}

fn failed(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_string(),
        _ => format!("the file cannot be read: {error}"),
    }
}

/// Files of `sites-available` are parts of `http`, some are parts of `stream`.
fn kind(directives: &[Directive]) -> Context {
    let has = |names: &[&str]| directives.iter().any(|directive| names.contains(&directive.name.as_str()));
    if has(&["http", "events", "stream", "worker_processes", "user", "pid", "daemon", "mail"]) {
        return Context::Main;
    }
    let servers: Vec<&Directive> = directives.iter().filter(|directive| directive.name == "server").collect();
    let of_http = |server: &&Directive| {
        let names = ["location", "root", "return", "rewrite", "if", "try_files", "server_name"];
        server.children().iter().any(|child| names.contains(&child.name.as_str()))
    };
    let passes = |server: &&Directive| server.children().iter().any(|child| child.name == "proxy_pass");
    let parts = ["server", "upstream", "map", "geo", "split_clients", "include", "log_format"];
    match directives.first() {
        Some(_) if !servers.is_empty() && servers.iter().all(|server| passes(server) && !of_http(server)) => {
            Context::Stream
        }
        Some(first) if has(&parts[..4]) || directives::is_known(&first.name, Context::Http) => Context::Http,
        _ => Context::Main,
    }
}

struct Reader<'a> {
    files: &'a dyn Files,
    /// Where relative includes begin: that of the main file.
    directory: PathBuf,
    report: &'a mut Report,
    mistakes: Vec<Mistake>,
    read: Vec<PathBuf>,
    /// The files that are being read, outermost first.
    open: Vec<PathBuf>,
}

impl Reader<'_> {
    fn text(&mut self, path: &Path) -> io::Result<String> {
        let bytes = self.files.read(path)?;
        self.read.push(path.to_path_buf());
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// `context` is `None` in blocks that nothing is known of; `table`: their lines are no directives.
    fn walk(&mut self, directives: Vec<Directive>, context: Option<Context>, table: bool) -> Vec<Directive> {
        let mut out = Vec::new();
        for mut directive in directives {
            if directive.name == "include" && (!table || directive.args.len() == 1) {
                self.include(&directive, context, table, &mut out);
                continue;
            }
            if let (Some(context), false) = (context, table)
                && let Err(mistake) = directives::check(&directive, context)
            {
                self.mistakes.push(mistake);
                continue;
            }
            if directive.args.iter().any(|word| word.contains(char::REPLACEMENT_CHARACTER)) {
                self.mistakes.push(directive.mistake("this is not UTF-8 text; save the file as UTF-8"));
                continue;
            }
            if let Some(block) = directive.block.take() {
                let table = is_table(&directive.name);
                let within = context.and_then(|context| context.within(&directive.name));
                directive.block = Some(self.walk(block, within, table));
            }
            out.push(directive);
        }
        out
    }

    fn include(&mut self, directive: &Directive, context: Option<Context>, table: bool, out: &mut Vec<Directive>) {
        if let Err(mistake) = directives::check(directive, context.unwrap_or(Context::Main)) {
            return self.mistakes.push(mistake);
        }
        let path = self.directory.join(directive.arg(0));
        if !directive.arg(0).contains(['*', '?', '[']) {
            return self.file(directive, &path, context, table, out);
        }
        match self.files.list(&path) {
            Ok(paths) => paths.iter().for_each(|path| self.file(directive, path, context, table, out)),
            Err(error) => {
                self.mistakes.push(directive.mistake(format!("{} cannot be listed: {error}", path.display())))
            }
        }
    }

    /// A symbolic link that some tool copied as a text.
    fn linked(&self, path: &Path, text: &str) -> Option<PathBuf> {
        let target = text.trim();
        let is_path =
            target.starts_with(['.', '/']) && !target.contains(|c: char| c.is_whitespace() || ";{}#".contains(c));
        let target = path.parent()?.join(target);
        (is_path && self.files.exists(&target)).then_some(target)
    }

    fn file(&mut self, at: &Directive, path: &Path, context: Option<Context>, table: bool, out: &mut Vec<Directive>) {
        let shown = path.display();
        if self.open.iter().any(|open| open == path) {
            return self.mistakes.push(at.mistake(format!("{shown} includes itself")));
        }
        if self.open.len() > limits::INCLUDE_DEPTH_MAX {
            let message = format!("includes are nested more than {} deep", limits::INCLUDE_DEPTH_MAX);
            return self.mistakes.push(at.mistake(message));
        }
        if self.read.len() > limits::INCLUDES_MAX {
            // Once is enough.
            let message = format!("more than {} included files", limits::INCLUDES_MAX);
            let known = self.mistakes.iter().any(|mistake| mistake.message == message);
            if !known {
                self.mistakes.push(at.mistake(message));
            }
            return;
        }
        let text = match self.text(path) {
            Ok(text) => match self.linked(path, &text) {
                Some(target) => {
                    self.report.differs(at, &format!("{shown} holds the path of a file, which is read instead"));
                    return self.file(at, &target, context, table, out);
                }
                None => text,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.ends_with("mime.types") => {
                let why = format!("{shown} is not there: the built-in types are used");
                return self.report.differs(at, &why);
            }
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => format!("{shown} is not there"),
                    _ => format!("{shown} cannot be read: {error}"),
                };
                return self.report.missing(at, &why);
            }
        };
        let name: Arc<str> = shown.to_string().into();
        let parsed = parser::parse(&name, &text);
        self.open.push(path.to_path_buf());
        let mut inside = self.walk(parsed.directives, context, table);
        self.mistakes.extend(parsed.mistake);
        self.open.pop();
        if let Some(first) = inside.first_mut() {
            first.comments.splice(0..0, at.comments.iter().cloned());
        }
        self.report.translated(at);
        out.extend(inside);
    }
}

#[cfg(test)]
#[path = "include_tests.rs"]
mod tests;
