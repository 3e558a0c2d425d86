//! Every directive that nginx knows: where it may stand, what follows it, and what becomes of it here. The tables are those of nginx's own
//! modules, with brotli and zstd besides.

mod core;
mod families;
mod foreign;
mod http;
mod others;
mod proxy;
mod ssl;
mod stream;
mod upstream;

use crate::import::syntax::{Directive, Mistake};

/// Where a directive may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Outside of all blocks.
    Main,
    /// `events`
    Events,
    /// `http`
    Http,
    /// `server` of HTTP.
    Server,
    /// `location`
    Location,
    /// `if` in a server.
    IfInServer,
    /// `if` in a location.
    IfInLocation,
    /// `limit_except`
    LimitExcept,
    /// `upstream` of HTTP.
    Upstream,
    /// `stream`
    Stream,
    /// `server` of stream.
    StreamServer,
    /// `upstream` of stream.
    StreamUpstream,
}

impl Context {
    fn letter(self) -> char {
        match self {
            Context::Main => 'm',
            Context::Events => 'e',
            Context::Http => 'h',
            Context::Server => 's',
            Context::Location => 'l',
            Context::IfInServer => 'i',
            Context::IfInLocation => 'j',
            Context::LimitExcept => 'x',
            Context::Upstream => 'u',
            Context::Stream => 't',
            Context::StreamServer => 'v',
            Context::StreamUpstream => 'w',
        }
    }

    /// What stands in the block of this directive; `None`: nothing that is looked at (tables, other modules).
    pub fn within(self, name: &str) -> Option<Context> {
        Some(match (self, name) {
            (Context::Main, "http") => Context::Http,
            (Context::Main, "events") => Context::Events,
            (Context::Main, "stream") => Context::Stream,
            (Context::Http, "server") => Context::Server,
            (Context::Http, "upstream") => Context::Upstream,
            (Context::Server | Context::Location, "location") => Context::Location,
            (Context::Server, "if") => Context::IfInServer,
            (Context::Location, "if") => Context::IfInLocation,
            (Context::Location, "limit_except") => Context::LimitExcept,
            (Context::Stream, "server") => Context::StreamServer,
            (Context::Stream, "upstream") => Context::StreamUpstream,
            _ => return None,
        })
    }

    /// It is of the stream module.
    pub fn is_stream(self) -> bool {
        matches!(self, Context::Stream | Context::StreamServer | Context::StreamUpstream)
    }
}

/// How far down ringgate has a setting. Above that, everything that nginx has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// At the top of the file.
    File,
    /// Also in `[[server]]`, or `[[tcp]]`.
    Server,
    /// Also in locations.
    Location,
}

/// What becomes of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has code of its own.
    Own,
    /// The same key with the same words.
    Same(Level),
    /// A list, an entry for each time that it stands.
    List(Level),
    /// A list of its words.
    Words(Level),
    /// A path, relative to nginx's prefix.
    Path(Level),
    /// A file that must be there, relative to nginx.conf's directory.
    ConfPath(Level),
    /// A list of them.
    ConfPaths(Level),
    /// It would change nothing here.
    Unneeded(&'static str),
    /// It is left out, and behaviour is another one, but no worse.
    Differs(&'static str),
    /// Not supported, and left out.
    Lost(&'static str),
    /// Not supported, and it keeps somebody out: without it nobody may be let in.
    Guard(&'static str),
    /// Not supported, and it answers the requests of its location.
    Handler(&'static str),
}

/// One row of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The directive.
    pub name: &'static str,
    contexts: &'static str,
    args: &'static str,
    /// What becomes of it.
    pub fate: Fate,
}

impl Rule {
    /// It is on or off, which nginx takes in capitals too.
    pub fn is_flag(&self) -> bool {
        self.args == "on"
    }
}

/// `contexts`: a letter each (see [`Context`]), `*`: all. `args`: `on` (on or off), `0`, `1`, `1-2`, `1+`, and `{` for a block.
const fn row(name: &'static str, contexts: &'static str, args: &'static str, fate: Fate) -> Rule {
    Rule { name, contexts, args, fate }
}

const TABLES: [&[Rule]; 7] =
    [core::ROWS, http::ROWS, proxy::ROWS, ssl::ROWS, stream::ROWS, upstream::ROWS, others::ROWS];

/// Servers that speak another protocol than HTTP.
const FAMILIES: [(&str, char, &str); 5] = [
    ("fastcgi_", 'f', "FastCGI is not spoken; let the application speak HTTP"),
    ("uwsgi_", 'u', "uwsgi's protocol is not spoken; let it speak HTTP (uwsgi --http-socket)"),
    ("scgi_", 's', "SCGI is not spoken; let the application speak HTTP"),
    ("grpc_", 'g', "gRPC is not spoken yet"),
    ("memcached_", 'm', "memcached is not spoken"),
];

/// All rows of a name.
fn rows(name: &str) -> Vec<Rule> {
    let plain = TABLES.iter().flat_map(|table| table.iter()).filter(|rule| rule.name == name).copied();
    let mut rows: Vec<Rule> = plain.collect();
    for (prefix, letter, why) in FAMILIES {
        let Some(rest) = name.strip_prefix(prefix) else { continue };
        let of_family = families::ROWS.iter().filter(|(known, _, _, who)| *known == rest && who.contains(letter));
        rows.extend(of_family.map(|&(known, contexts, args, _)| Rule {
            name: known,
            contexts,
            args,
            fate: if known == "pass" { Fate::Handler(why) } else { Fate::Unneeded(why) },
        }));
    }
    if rows.is_empty() {
        let named = format!("{name} ");
        let of_module = foreign::BEGINNINGS.iter().find(|(beginning, _)| named.starts_with(beginning));
        rows.extend(of_module.map(|&(name, fate)| Rule { name, contexts: "*", args: "0+", fate }));
    }
    rows
}

/// The row for a directive where it stands, or what nginx says of it.
pub fn check(directive: &Directive, context: Context) -> Result<Rule, Mistake> {
    let name = &directive.name;
    let rows = rows(name);
    let letter = context.letter();
    let here = rows.iter().find(|rule| rule.contexts == "*" || rule.contexts.contains(letter));
    let Some(rule) = here else {
        return Err(directive.mistake(match rows.is_empty() {
            true => format!("unknown directive \"{name}\""),
            false => format!("\"{name}\" directive is not allowed here"),
        }));
    };
    let (args, wants_block) = match rule.args.strip_suffix('{') {
        Some(args) => (args, true),
        None => (rule.args, false),
    };
    // Of what other modules have nothing is known.
    let is_foreign = rule.args == "0+";
    if directive.block.is_some() != wants_block && !is_foreign {
        return Err(directive.mistake(match wants_block {
            true => format!("directive \"{name}\" has no opening \"{{\""),
            false => format!("directive \"{name}\" is not terminated by \";\""),
        }));
    }
    let count = directive.args.len();
    let (least, most) = range(args);
    if count < least || count > most {
        return Err(directive.mistake(format!("invalid number of arguments in \"{name}\" directive")));
    }
    if args == "on" && !["on", "off"].iter().any(|word| directive.arg(0).eq_ignore_ascii_case(word)) {
        let value = directive.arg(0);
        let message = format!("invalid value \"{value}\" in \"{name}\" directive, it must be \"on\" or \"off\"");
        return Err(directive.mistake(message));
    }
    Ok(*rule)
}

/// The least and the greatest number of arguments.
fn range(args: &str) -> (usize, usize) {
    let number = |text: &str| text.parse::<usize>().unwrap_or(1);
    match (args.strip_suffix('+'), args.split_once('-')) {
        (Some(least), _) => (number(least), usize::MAX),
        (_, Some((least, most))) => (number(least), number(most)),
        _ => (number(args), number(args)),
    }
}

/// A directive of this name may stand there.
pub fn allows(name: &str, context: Context) -> bool {
    rows(name).iter().any(|rule| rule.contexts == "*" || rule.contexts.contains(context.letter()))
}

/// The names that may stand in the contexts, for telling what a file without `http` is.
pub fn is_known(name: &str, context: Context) -> bool {
    rows(name).iter().any(|rule| rule.contexts == "*" && rule.args != "0+" || rule.contexts.contains(context.letter()))
}

#[cfg(test)]
#[path = "directives_tests.rs"]
mod tests;
