//! Variables in the host of `proxy_pass`: guides for Docker put a name into one so that nginx looks it up again, which ringgate does anyway.

use super::Translator;
use crate::import::syntax::Directive;

/// What is known of variables and of the hosts that they can name.
#[derive(Debug, Default)]
pub(super) struct Constants {
    /// Those that something besides `set` sets.
    others: Vec<String>,
    /// Texts in which groups may have names: regular expressions.
    expressions: Vec<String>,
    /// Groups, and hosts of every `proxy_pass` without variables.
    hosts: Vec<String>,
    /// What `set` statements of the server that is translated set, each time.
    set: Vec<String>,
    of_server: Vec<(String, String)>,
    here: Vec<(String, String)>,
}

/// What a target becomes.
pub(super) enum Target {
    /// It leads somewhere.
    Known(String),
    /// It does not: why.
    Lost(&'static str),
}

impl Constants {
    /// Looks at everything in `http`.
    pub(super) fn of(everything: &[&Directive]) -> Constants {
        let mut known = Constants::default();
        for directive in everything {
            let name = match directive.name.as_str() {
                "map" | "geo" | "split_clients" => directive.args.last(),
                "set" => None,
                name if name.contains("set") => directive.args.first(),
                _ => None,
            };
            known.others.extend(name.and_then(|name| name.strip_prefix('$')).map(str::to_owned));
            known.expressions.extend(directive.args.iter().filter(|word| word.contains("(?")).cloned());
            match directive.name.as_str() {
                "upstream" => known.hosts.push(directive.arg(0).to_ascii_lowercase()),
                "proxy_pass" => {
                    let host = host(directive.arg(0)).filter(|host| !host.contains('$'));
                    known.hosts.extend(host.map(str::to_ascii_lowercase));
                }
                _ => {}
            }
        }
        known
    }

    /// A server is entered: `everything` in it, and what stands in it itself.
    pub(super) fn enter_server(&mut self, everything: &[&Directive], children: &[Directive]) {
        let set = everything.iter().filter(|found| found.name == "set");
        self.set = set.filter_map(|found| found.arg(0).strip_prefix('$').map(str::to_owned)).collect();
        self.of_server = self.among(children);
        self.here.clone_from(&self.of_server);
    }

    /// A location is entered. What is returned is given to [`Constants::leave`]. Statements of a location around it do not count in it.
    pub(super) fn enter_location(&mut self, children: &[Directive]) -> Vec<(String, String)> {
        let mut here = self.among(children);
        here.extend(self.of_server.iter().cloned());
        std::mem::replace(&mut self.here, here)
    }

    pub(super) fn leave(&mut self, before: Vec<(String, String)>) {
        self.here = before;
    }

    /// Variables that have one value wherever they have one.
    fn among(&self, children: &[Directive]) -> Vec<(String, String)> {
        let set = children.iter().filter(|child| child.name == "set" && !child.arg(1).contains('$'));
        let named = set.filter_map(|child| Some((child.arg(0).strip_prefix('$')?, child.arg(1))));
        let is_one = |name: &str| {
            let group = [format!("<{name}>"), format!("'{name}'")];
            self.set.iter().filter(|known| *known == name).count() == 1
                && !self.others.iter().any(|other| other == name)
                && !self.expressions.iter().any(|text| group.iter().any(|group| text.contains(group)))
        };
        named.filter(|(name, _)| is_one(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// A target of `proxy_pass` with variables.
    pub(super) fn target(&self, target: &str) -> Target {
        // With a variable the URI behind the host is the whole one, without it takes the place of the location's path.
        let filled = self.filled(target);
        let Some(host) = host(&filled) else {
            return Target::Lost("the scheme must be written: http:// or https://");
        };
        let has_uri = filled.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?']));
        match host.contains('$') {
            false if filled.contains('$') || !has_uri => return Target::Known(filled),
            // The variable says where the URI begins; the group or address is found by it.
            false if self.is_findable(target, &filled, host) => return Target::Known(target.to_owned()),
            false => return Target::Lost("write the host instead of the variable"),
            true => {}
        }
        if lone(&filled).is_some_and(|name| self.others.iter().chain(&self.set).any(|known| known == name)) {
            return Target::Known(filled);
        }
        let (start, _) = host.split_once('$').unwrap_or((host, ""));
        let last = host.rsplit_once('$').map_or("", |(_, last)| last);
        let end = match last.strip_prefix('{') {
            Some(last) => last.split_once('}').map_or("", |(_, end)| end),
            None => last.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'),
        };
        let (start, end) = (start.to_ascii_lowercase(), end.to_ascii_lowercase());
        match self.hosts.iter().any(|known| known.starts_with(&start) && known.ends_with(&end)) {
            true => Target::Known(filled),
            false => Target::Lost("no group, and no address of another `proxy_pass`, can be what its variable says"),
        }
    }

    /// `target`, as it is written, leads to `host` when its variables are filled in.
    fn is_findable(&self, target: &str, filled: &str, host_filled: &str) -> bool {
        let Some(written) = host(target) else { return false };
        // What the configuration's `set` says is made ready, if it is a host and nothing else.
        let is_all = lone(target).is_some() && target.len() - written.len() == filled.len() - host_filled.len();
        is_all || self.hosts.contains(&host_filled.to_ascii_lowercase())
    }

    /// With the values of those variables that have one.
    fn filled(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let behind = &rest[at + 1..];
            let (name, left) = match behind.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some(parts) => parts,
                None => behind.split_at(behind.find(|c: char| !is_of_name(c)).unwrap_or(behind.len())),
            };
            out.push_str(&rest[..at]);
            match self.here.iter().find(|(known, _)| known == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&rest[at..rest.len() - left.len()]),
            }
            rest = left;
        }
        out + rest
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Variables that are a URI, and no part of a host that stands before them.
const URIS: [&str; 5] = ["$request_uri", "$uri", "$document_uri", "$is_args", "${request_uri}"];

/// What stands between scheme and path.
fn host(target: &str) -> Option<&str> {
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"))?;
    let path = rest.find(['/', '?']).unwrap_or(rest.len());
    let end = URIS.iter().filter_map(|name| rest.find(name)).filter(|&at| at > 0).fold(path, usize::min);
    Some(&rest[..end])
}

/// The variable that is the whole host.
fn lone(target: &str) -> Option<&str> {
    let name = host(target)?.strip_prefix('$')?;
    let bare = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    bare.chars().all(is_of_name).then_some(bare)
}

impl Translator<'_> {
    /// Every directive within, however deep.
    pub(super) fn learn_server(&mut self, server: &Directive) {
        let mut everything = Vec::new();
        super::http::all(server.children(), &mut everything);
        self.facts.constants.enter_server(&everything, server.children());
    }
}
