//! What the directives are in ringgate's keys. The tables of [`crate::import::directives`] say most of it; what has code of its own is in the files beneath.

mod constants;
mod http;
mod listen;
mod locations;
mod logs;
mod maps;
mod proxy;
mod rewrite;
mod settings;
mod stream;
mod upstreams;

use crate::import::Files;
use crate::import::directives::{self, Context, Fate, Level, Rule};
use crate::import::document::{Entry, Table, Value};
use crate::import::include::Whole;
use crate::import::report::Report;
use crate::import::syntax::{Directive, Mistake, join};
use std::path::{Path, PathBuf};

/// Where paths begin, and who knows whether something is there.
pub struct Paths<'a> {
    /// Of `root` and logs.
    pub prefix: PathBuf,
    /// Of nginx.conf: certificates and lists of passwords.
    pub directory: PathBuf,
    /// Asked whether files are there.
    pub files: &'a dyn Files,
}

/// Translates a whole configuration.
pub fn translate(whole: &Whole, paths: Paths, report: &mut Report) -> Result<Table, Vec<Mistake>> {
    let mut translator = Translator { paths, report, mistakes: Vec::new(), facts: Facts::default() };
    let mut file = Scope::new(Context::Main, Table::default());
    match whole.context {
        Context::Http => translator.http(&mut file, &whole.directives),
        Context::Stream => translator.stream(&mut file, &whole.directives),
        _ => translator.main(&mut file, &whole.directives),
    }
    match translator.mistakes.is_empty() {
        true => Ok(file.finish()),
        false => Err(translator.mistakes),
    }
}

/// What is known of the whole before a part of it is translated, or found out on the way.
#[derive(Debug, Default)]
struct Facts {
    /// Names of groups in `http`: those of `stream` share the room here.
    groups: Vec<String>,
    /// Addresses with what all of their servers have in common.
    listens: Vec<listen::Address>,
    /// Clients are asked for certificates.
    verifies_clients: bool,
    /// Variables that have one value.
    constants: constants::Constants,
    /// The same name servers are named only further inside: they stand at the top.
    resolver: Option<String>,
    /// A name is looked up while nginx runs.
    resolves: bool,
    /// The error log is named in `http`, which counts more than what is outside.
    http_error_log: bool,
    /// `http` has types besides those of mime.types: all of them are written.
    own_types: bool,
    /// Something is proxied.
    proxies: bool,
    /// Something is proxied without a Host of its own.
    needs_host: bool,
    /// By TLS, without a word about certificates.
    needs_unverified: bool,
    /// By TLS, without a word about SNI.
    needs_no_sni: bool,
    /// Files are served.
    serves: bool,
    /// Files are served from nginx's own root.
    needs_root: bool,
}

/// What a level says itself or inherits.
#[derive(Debug, Default, Clone, Copy)]
struct Inherited {
    headers: bool,
    verify: bool,
    sni: bool,
    root: bool,
    /// Something that keeps people out is not supported: nobody gets in.
    closed: bool,
}

/// A level that is being translated.
struct Scope {
    context: Context,
    level: Level,
    table: Table,
    /// Comments that wait for a key.
    pending: Vec<String>,
    inherited: Inherited,
    /// Statements of the rewrite module.
    statements: Vec<rewrite::Statement>,
    /// Statements behind all others.
    at_last: Vec<rewrite::Statement>,
    /// Something that answers requests stands here.
    handled: bool,
}

impl Scope {
    fn new(context: Context, table: Table) -> Scope {
        let level = match context {
            Context::Server | Context::StreamServer => Level::Server,
            Context::Location | Context::IfInLocation | Context::LimitExcept => Level::Location,
            _ => Level::File,
        };
        let (pending, inherited) = (Vec::new(), Inherited::default());
        Scope { context, level, table, pending, inherited, statements: Vec::new(), at_last: Vec::new(), handled: false }
    }

    /// The comments before a directive, for the next key.
    fn remember(&mut self, directive: &Directive) {
        self.pending.extend(directive.comments.iter().cloned());
    }

    fn set(&mut self, key: &str, value: Value, directive: &Directive) {
        self.remember(directive);
        let comments = std::mem::take(&mut self.pending);
        let entry = self.table.set(key, value, Some(directive.place.clone()));
        describe(entry, comments, directive);
    }

    fn push(&mut self, key: &str, text: String, directive: &Directive) {
        self.remember(directive);
        let comments = std::mem::take(&mut self.pending);
        let entry = self.table.push(key, text, &directive.place);
        describe(entry, comments, directive);
    }

    /// A line that says what is not there.
    fn note(&mut self, directive: &Directive) {
        self.remember(directive);
        let words = join(&directive.args);
        let more = if directive.block.is_some() { " { ... }" } else { ";" };
        let gap = if words.is_empty() { "" } else { " " };
        self.pending.push(format!("not taken over: {}{gap}{words}{more} ({})", directive.name, directive.place));
    }

    fn finish(mut self) -> Table {
        self.table.tail.append(&mut self.pending);
        self.table
    }
}

/// Said twice, nginx has the words of both.
const ADDS_UP: [&str; 8] = [
    "brotli_types",
    "gzip_proxied",
    "gzip_types",
    "index",
    "proxy_next_upstream",
    "proxy_ssl_protocols",
    "ssl_protocols",
    "zstd_types",
];

/// Comments of several directives may come together in one list.
fn describe(entry: &mut Entry, comments: Vec<String>, directive: &Directive) {
    entry.comments.extend(comments);
    match (&entry.trailing, &directive.trailing) {
        (None, Some(text)) => entry.trailing = Some(text.clone()),
        (Some(known), Some(text)) if known != text => entry.comments.push(text.clone()),
        _ => {}
    }
}

/// A number stays one.
fn word(text: &str) -> Value {
    let digits = !text.is_empty() && text.len() < 18 && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && (text == "0" || !text.starts_with('0')) => Value::Number(number),
        _ => Value::Text(text.to_string()),
    }
}

struct Translator<'a> {
    paths: Paths<'a>,
    report: &'a mut Report,
    mistakes: Vec<Mistake>,
    facts: Facts,
}

impl Translator<'_> {
    fn mistake(&mut self, directive: &Directive, message: impl Into<String>) {
        self.mistakes.push(directive.mistake(message));
    }

    /// One directive that is no block of its own.
    fn setting(&mut self, scope: &mut Scope, directive: &Directive) {
        let rule = match directives::check(directive, scope.context) {
            Ok(rule) => rule,
            Err(mistake) => return self.mistakes.push(mistake),
        };
        let fate = rule.fate;
        match fate {
            Fate::Lost(_) | Fate::Guard(_) | Fate::Differs(_) if is_off(&rule, directive) => {
                self.report.unneeded(directive, "it is off, or as it is here anyway");
            }
            Fate::Own => self.own(scope, directive),
            Fate::Unneeded(why) => self.report.unneeded(directive, why),
            Fate::Differs(how) => self.report.differs(directive, how),
            Fate::Lost(why) => self.lost(scope, directive, why),
            Fate::Guard(why) => self.guard(scope, directive, why),
            Fate::Handler(why) => {
                // A file that an application would have run is never sent.
                self.lost(scope, directive, why);
                self.close(scope, directive, "501");
            }
            Fate::Same(level) => {
                if self.reaches(scope, level, directive) {
                    self.single(scope, directive, &directive.name, same(&rule, directive));
                }
            }
            Fate::List(level) => {
                if self.reaches(scope, level, directive) {
                    scope.push(&directive.name, join(&directive.args), directive);
                    self.report.translated(directive);
                }
            }
            Fate::Words(level) => {
                if self.reaches(scope, level, directive) {
                    for (i, text) in directive.args.iter().enumerate() {
                        match i {
                            0 => scope.push(&directive.name, text.clone(), directive),
                            _ => drop(scope.table.push(&directive.name, text.clone(), &directive.place)),
                        }
                    }
                    self.report.translated(directive);
                }
            }
            Fate::Path(level) => {
                if self.reaches(scope, level, directive) {
                    let path = self.path(directive.arg(0));
                    let other = if directive.name == "root" { "alias" } else { "root" };
                    if scope.table.has(other) && scope.context == Context::Location {
                        let name = &directive.name;
                        let message =
                            format!("\"{name}\" directive is duplicate, \"{other}\" directive was specified earlier");
                        return self.mistake(directive, message);
                    }
                    scope.inherited.root |= directive.name == "root";
                    self.single(scope, directive, &directive.name, Value::Text(path));
                }
            }
            Fate::ConfPath(level) | Fate::ConfPaths(level) => {
                if self.reaches(scope, level, directive) {
                    self.file(scope, directive, matches!(fate, Fate::ConfPaths(_)));
                }
            }
        }
    }

    /// It can be said at this level.
    fn reaches(&mut self, scope: &mut Scope, level: Level, directive: &Directive) -> bool {
        if scope.level <= level {
            return true;
        }
        let where_else = if level == Level::File { "for the whole file" } else { "for a whole server" };
        self.lost(scope, directive, &format!("it is said once {where_else}"));
        false
    }

    /// A key that stands once.
    fn single(&mut self, scope: &mut Scope, directive: &Directive, key: &str, value: Value) {
        if let Some(known) = scope.table.entry(key) {
            let (Value::Text(words), Value::Text(more)) = (&mut known.value, &value) else {
                return self.mistake(directive, format!("\"{}\" directive is duplicate", directive.name));
            };
            if !ADDS_UP.contains(&key) || scope.context.is_stream() && key == "proxy_next_upstream" {
                return self.mistake(directive, format!("\"{}\" directive is duplicate", directive.name));
            }
            words.push(' ');
            words.push_str(more);
            describe(known, directive.comments.clone(), directive);
            return self.report.translated(directive);
        }
        scope.inherited.verify |= key == "proxy_ssl_verify";
        scope.inherited.sni |= key == "proxy_ssl_server_name";
        scope.set(key, value, directive);
        self.report.translated(directive);
    }

    /// Left out, with a line in its place.
    fn lost(&mut self, scope: &mut Scope, directive: &Directive, why: &str) {
        scope.note(directive);
        self.report.lost(directive, why);
    }

    /// Left out, and nobody is let in where it stood, nor beneath.
    fn guard(&mut self, scope: &mut Scope, directive: &Directive, why: &str) {
        self.lost(scope, directive, &format!("{why}; closed instead"));
        scope.inherited.closed = true;
        scope.handled = true;
    }

    /// Requests get this answer before anything else is looked at.
    fn close(&mut self, scope: &mut Scope, directive: &Directive, status: &str) {
        scope.statements.insert(0, rewrite::Statement::closing(status, directive));
        scope.handled = true;
    }

    /// A path as nginx resolves those of `root` and logs.
    fn path(&self, text: &str) -> String {
        absolute(&self.paths.prefix, text)
    }

    /// A file that must be there.
    fn file(&mut self, scope: &mut Scope, directive: &Directive, several: bool) {
        let text = directive.arg(0);
        let name = directive.name.as_str();
        if matches!(name, "ssl_trusted_certificate" | "ssl_client_certificate" | "ssl_crl")
            && !self.facts.verifies_clients
        {
            return self.report.unneeded(directive, "clients are not asked for certificates");
        }
        let is_file =
            !text.contains('$') && !["data:", "engine:", "store:"].iter().any(|start| text.starts_with(start));
        if !is_file {
            return match name {
                "auth_basic_user_file" | "ssl_client_certificate" | "ssl_crl" => {
                    self.guard(scope, directive, "only a plain file can be named")
                }
                _ => self.lost(scope, directive, "only a plain file can be named"),
            };
        }
        let path = absolute(&self.paths.directory, text);
        if !self.paths.files.exists(Path::new(&path)) {
            self.report.missing(directive, &format!("{path} is not there"));
        }
        if several {
            scope.push(name, path, directive);
            self.report.translated(directive);
        } else {
            self.single(scope, directive, name, Value::Text(path));
        }
    }
}

/// Relative paths begin at `base`; a variable in front stays there.
fn absolute(base: &Path, text: &str) -> String {
    match text.starts_with(['/', '$']) {
        true => text.to_string(),
        false => base.join(text).display().to_string(),
    }
}

/// Not supported, but on in nginx unless it is said, or a text that may happen to be `off`.
const OFF_IS_NEWS: [&str; 12] = [
    "add_header_inherit",
    "chunked_transfer_encoding",
    "mirror_request_body",
    "proxy_method",
    "proxy_pass_request_body",
    "proxy_pass_request_headers",
    "proxy_set_body",
    "secure_link",
    "secure_link_md5",
    "secure_link_secret",
    "sub_filter_once",
    "sub_filter_types",
];
/// Words from a list, which nginx takes in capitals too. Elsewhere `Off` may be a realm, or a file.
const CASELESS: [&str; 5] = ["gzip_static", "brotli_static", "zstd_static", "if_modified_since", "ssl_verify_client"];

/// What is not supported is not wanted either.
fn is_off(rule: &Rule, directive: &Directive) -> bool {
    let says_so = match &directive.args[..] {
        [one] => one == "off" || rule.is_flag() && one.eq_ignore_ascii_case("off"),
        _ => false,
    };
    says_so && !OFF_IS_NEWS.contains(&directive.name.as_str())
}

/// One word as it is, several as they would stand in nginx's file.
fn same(rule: &Rule, directive: &Directive) -> Value {
    let caseless = rule.is_flag() || CASELESS.contains(&directive.name.as_str());
    match &directive.args[..] {
        [one] => match one.to_ascii_lowercase().as_str() {
            lower @ ("on" | "off") if caseless => Value::Text(lower.to_string()),
            _ => word(one),
        },
        args => Value::Text(join(args)),
    }
}
