//! Locations: which requests each takes, and what they get.

use super::Builder;
use super::listening::of_no_use;
use crate::config::address::{self, Asked, Passed};
use crate::config::file::{self, Many, Named, Setting, Word, Words};
use crate::config::pattern::Pattern;
use crate::config::plan::{
    AccessLog, Action, Fallback, Level, Location, Matching, Pass, Proxy, ProxyUri, Root, Rule, TryFiles,
};
use crate::config::report::{Place, Report};
use crate::config::returns::returns;
use crate::config::rules::rules;
use crate::config::rules::words::words;
use crate::config::settings::served::path;
use crate::config::settings::{Settings, Written};
use crate::config::template::Template;
use crate::config::value::{count, switch};
use ahash::HashMap;
use std::cmp::Reverse;
use std::sync::Arc;

/// The locations of one server as they are built.
pub(super) struct Tree {
    pub(super) source: usize,
    pub(super) locations: Vec<Location>,
    pub(super) named: HashMap<String, usize>,
    /// Named locations that something leads to, and where.
    pub(super) wanted: Vec<(String, Place)>,
}

impl Tree {
    /// Notes what `try_files` and `error_page` lead to.
    pub(super) fn want(&mut self, try_files: &Words, error_page: &Words) {
        for list in [try_files, error_page].into_iter().flatten() {
            for (Word(text), span) in Many::items(list) {
                if let Some(name) =
                    text.trim_end_matches(';').split_ascii_whitespace().last().and_then(|word| word.strip_prefix('@'))
                {
                    self.wanted.push((name.to_owned(), Place::at(self.source, span)));
                }
            }
        }
    }
}

impl Builder<'_> {
    /// The locations of one level, with what is nested in them. `around`: the location that they stand in.
    pub(super) fn locations(
        &mut self,
        tree: &mut Tree,
        sections: &Named<file::Location>,
        around: Option<usize>,
        settings: &Settings,
    ) -> Level {
        let mut level = Level::default();
        for (key, section) in &sections.0 {
            let place = Place::at(tree.source, key.span());
            let matching = match matching(key.get_ref()) {
                Ok(matching) => matching,
                Err(message) => {
                    self.error(place, message);
                    continue;
                }
            };
            self.warn_untidy(&matching, &place);
            if let Some(around) = around {
                self.check_nested(&tree.locations[around], &matching, key.get_ref(), &place);
            }
            if twice(tree, &level, &matching) {
                self.error(place.clone(), format!("duplicate location `{}`", key.get_ref()));
            }
            let mut settings = settings.clone();
            if let Some(around) = around {
                keep_alias(&mut settings, &tree.locations[around]);
            }
            let nth = tree.locations.len();
            match &matching {
                Matching::Exact(text) => drop(level.exact.insert(text.clone(), nth)),
                Matching::Prefix { .. } => level.prefixes.push(nth),
                Matching::Regex(_) => level.regexes.push(nth),
                Matching::Named(name) => drop(tree.named.insert(name.clone(), nth)),
                Matching::Rest => {}
            }
            let location = self.one(tree.source, key.get_ref(), matching, section, (&mut settings, &place));
            tree.locations.push(location);
            tree.want(&section.try_files, &section.error_page);
            tree.locations[nth].nested = self.locations(tree, &section.location, Some(nth), &settings);
        }
        let length = |nth: &usize| match &tree.locations[*nth].matching {
            Matching::Prefix { prefix, .. } => Reverse(prefix.len()),
            _ => Reverse(0),
        };
        level.prefixes.sort_by_key(length);
        level
    }

    /// One location, without what is nested in it. `settings` become its own.
    fn one(
        &mut self,
        source: usize,
        name: &str,
        matching: Matching,
        section: &file::Location,
        (settings, place): (&mut Settings, &Place),
    ) -> Location {
        self.inherit(settings, section.inherited(), source);
        self.types(settings, &section.types, source);
        self.alias(settings, section, &matching, source);
        let rules = self.rules(&section.rewrite, &section.returns, source);
        let try_files = self.try_files(&section.try_files, source).map(Arc::new);
        let action = self.action(section, settings, &matching, (source, place));
        if let (None, Some((place, keys))) = (action.ssl(), of_no_use(&section.inherited(), "proxy_ssl_", source))
            && section.location.0.is_empty()
        {
            let message = format!("no server is asked by TLS here: {keys}; write proxy_pass = \"https://...\"");
            self.reports.push(Report::warning(place, message));
        }
        let is_proxy = matches!(action, Action::Proxy(_));
        let mut location = self.location(settings, name.to_owned(), matching, action);
        if is_proxy {
            let passed = section.proxy_pass.as_ref().and_then(|pass| address::pass(&pass.get_ref().0).ok());
            let default = passed.and_then(|passed| default_redirect(&passed, &location.matching));
            let (answers, report) =
                settings.answers.answers(default.as_ref().map(|(url, to)| (url.as_str(), to.as_str())));
            location.answers = Arc::new(answers);
            report.into_iter().for_each(|report| self.report_once(report));
        }
        let internal = self.setting(source, &section.internal, false, switch);
        Location { internal, rules: Arc::new(rules), try_files, ..location }
    }

    /// A location with these settings.
    pub(super) fn location(
        &mut self,
        settings: &Settings,
        name: String,
        matching: Matching,
        action: Action,
    ) -> Location {
        let access = settings.access.access().unwrap_or_else(|report| {
            self.report_once(*report);
            Default::default()
        });
        let mut logs = Vec::new();
        for log in &settings.logs {
            let known = self.access_logs.iter().position(|path| *path == log.path);
            let file = known.unwrap_or_else(|| {
                self.access_logs.push(log.path.clone());
                self.access_logs.len() - 1
            });
            logs.push(AccessLog { file, format: log.format.clone(), condition: log.condition.clone() });
        }
        let location = settings.location(name, matching, action);
        Location { access: Arc::new(access), access_log: Arc::new(logs), ..location }
    }

    /// The statements of `rewrite`, then `return`.
    pub(super) fn rules(&mut self, rewrite: &Words, returned: &Setting, source: usize) -> Vec<Rule> {
        let known = self.known.clone();
        let mut all = Vec::new();
        for (Word(text), span) in rewrite.as_ref().map(Many::items).unwrap_or_default() {
            let place = Place::at(source, span);
            match rules(text, &known) {
                Ok((more, warnings)) => {
                    self.reports.extend(warnings.into_iter().map(|warning| Report::warning(place.clone(), warning)));
                    all.extend(more);
                }
                Err(message) => self.error(place, message),
            }
        }
        note_sets(&all, &mut self.set);
        let returned = self.setting(source, returned, None, |text| returns(text, &known).map(Some));
        all.extend(returned.map(Rule::Return));
        all
    }

    /// `try_files`: in one text or several.
    pub(super) fn try_files(&mut self, list: &Words, source: usize) -> Option<TryFiles> {
        let list = list.as_ref()?;
        let text: Vec<&str> = Many::items(list).into_iter().map(|(Word(text), _)| text.as_str()).collect();
        let known = self.known.clone();
        let template = |text: &str| Template::parse(text, &known);
        let read = || -> Result<TryFiles, String> {
            let words = words(&text.join(" "))?;
            let Some((last, files)) = words.split_last().filter(|(_, files)| !files.is_empty()) else {
                return Err(
                    "write files and what if none is there, such as \"$uri $uri/ /index.html\" or \"$uri =404\""
                        .to_string(),
                );
            };
            if let Some(early) = files.iter().find(|file| file.starts_with(['=', '@'])) {
                return Err(format!("`{early}` is the last word, if it is one of them"));
            }
            let candidates = files.iter().map(|file| Ok((template(file)?, file.ends_with('/'))));
            let last = match (last.strip_prefix('='), last.strip_prefix('@')) {
                (Some(status), _) => Fallback::Status(count(status, 200, 599)? as u16),
                (_, Some(name)) => Fallback::Named(name.to_owned()),
                _ => Fallback::Uri(template(last)?),
            };
            Ok(TryFiles { candidates: candidates.collect::<Result<_, String>>()?, last })
        };
        match read() {
            Ok(try_files) => Some(try_files),
            Err(message) => {
                self.error(Place::at(source, list.span()), message);
                None
            }
        }
    }

    fn alias(&mut self, settings: &mut Settings, section: &file::Location, matching: &Matching, source: usize) {
        let Some(alias) = &section.alias else { return };
        let place = Place::at(source, alias.span());
        if let Some(root) = &section.root {
            let report = Report::error(place.clone(), "`alias` takes the place of `root`: leave one of them out");
            self.reports.push(report.also(Place::at(source, root.span()), "here"));
        }
        if let Matching::Named(_) = matching {
            self.error(place.clone(), "`alias` cannot stand in a named location: no prefix is there; write `root`");
        }
        let directory = self.directory(source);
        let (known, defined) = (self.known.clone(), self.defined.clone());
        let at = Written { place: place.clone(), directory: &directory, known: &known, defined: &defined };
        match path(&alias.get_ref().0, &at) {
            Ok(alias) => {
                let text = alias.to_string();
                if let Matching::Prefix { prefix, .. } = matching
                    && prefix.ends_with('/')
                    && !text.ends_with('/')
                    && alias.as_literal().is_some()
                {
                    let message = format!("`{prefix}x` becomes `{text}x`; write \"{text}/\"");
                    self.reports.push(Report::warning(place, message));
                }
                settings.served.root = Root::Alias(alias);
            }
            Err(message) => self.error(place, message),
        }
    }

    /// What a location does.
    fn action(
        &mut self,
        section: &file::Location,
        settings: &Settings,
        matching: &Matching,
        (source, place): (usize, &Place),
    ) -> Action {
        if let (Some(returns), Some(pass)) = (&section.returns, &section.proxy_pass) {
            let message = "`return` answers here: nothing would be passed on; leave one of them out";
            let report = Report::error(Place::at(source, pass.span()), message);
            self.reports.push(report.also(Place::at(source, returns.span()), "this answers"));
        }
        if let Some(pass) = &section.proxy_pass {
            let place = Place::at(source, pass.span());
            return match self.proxy(&pass.get_ref().0, settings, matching, &place) {
                Ok(proxy) => Action::Proxy(proxy),
                Err(report) => {
                    self.reports.push(*report);
                    Action::Nothing // with an error there is no plan
                }
            };
        }
        if settings.served.root != Root::None {
            return Action::Files;
        }
        let says_something = section.returns.is_some()
            || section.rewrite.is_some()
            || section.try_files.is_some()
            || section.error_page.is_some()
            || section.access.is_some()
            || section.alias.is_some()
            || section.root.is_some()
            || !section.location.0.is_empty();
        if !says_something {
            let message = "this location has no `proxy_pass`, no `root` and no `return`: it could answer nothing";
            let report = Report::error(place.clone(), message);
            self.reports.push(report.help("write\n\nproxy_pass = \"http://127.0.0.1:3000\""));
        }
        Action::Nothing
    }

    fn proxy(
        &mut self,
        text: &str,
        settings: &Settings,
        matching: &Matching,
        place: &Place,
    ) -> Result<Proxy, Box<Report>> {
        let error = |message: String| Box::new(Report::error(place.clone(), message));
        let passed = address::pass(text).map_err(error)?;
        let uri = match passed.uri {
            "" => ProxyUri::AsSent,
            uri if uri.contains('$') || matches!(passed.to, Asked::Variable(_)) => {
                ProxyUri::Whole(Template::parse(uri, &self.known).map_err(error)?)
            }
            uri => match matching {
                Matching::Exact(_) | Matching::Prefix { .. } => ProxyUri::Replace(uri.to_owned()),
                _ => {
                    let message = format!(
                        "`proxy_pass` cannot have a URI part (\"{uri}\") in a location by regular expression or name: which part of the \
                         path would it replace? leave it out, or write a `rewrite`"
                    );
                    return Err(error(message));
                }
            },
        };
        let to = self.pass(&passed, place)?;
        let upstream = match &to {
            Pass::Upstream(upstream) => Some(*upstream),
            Pass::Named(_) => None,
        };
        let ssl = passed.https.then(|| self.proxy_ssl(&settings.proxy_ssl, &["http/1.1"], upstream, place));
        Ok(Proxy { to, ssl, uri })
    }

    /// Named locations that nobody made: nginx finds out when a request comes.
    pub(super) fn warn_of_names(&mut self, tree: &Tree) {
        for (name, place) in &tree.wanted {
            if !tree.named.contains_key(name) {
                let message = format!("there is no location `@{name}` in this server: requests would get an error");
                self.report_once(Report::warning(place.clone(), message));
            }
        }
    }

    fn check_nested(&mut self, around: &Location, matching: &Matching, name: &str, place: &Place) {
        let message = match (&around.matching, matching) {
            (_, Matching::Named(_)) => "a named location stands in its server, not in a location".to_string(),
            (Matching::Exact(_) | Matching::Named(_), _) => {
                format!("no location can stand within `{}`: write both beneath their [[server]]", around.name)
            }
            (_, Matching::Regex(_)) => return,
            (Matching::Prefix { prefix, .. }, Matching::Exact(text) | Matching::Prefix { prefix: text, .. })
                if text.starts_with(prefix.as_str()) =>
            {
                return;
            }
            _ => format!("location `{name}` is outside of location `{}`, in which it stands", around.name),
        };
        self.error(place.clone(), message);
    }

    fn warn_untidy(&mut self, matching: &Matching, place: &Place) {
        let (Matching::Exact(path) | Matching::Prefix { prefix: path, .. }) = matching else { return };
        let strange = path.split('/').any(|segment| segment == "." || segment == "..");
        if strange || path.contains("//") || path.contains('%') {
            let message =
                "paths are decoded and tidied (`%20`, `//`, `/../`) before they are compared: this may never match";
            self.reports.push(Report::warning(place.clone(), message));
        }
    }
}

/// Which requests a location takes, by what stands behind nginx's `location`.
fn matching(name: &str) -> Result<Matching, String> {
    let modifier = ["=", "^~", "~*", "~"].into_iter().find(|modifier| name.starts_with(modifier));
    let rest = name[modifier.map_or(0, str::len)..].trim();
    match modifier {
        Some("=") => Ok(Matching::Exact(plain(rest, "= ")?)),
        Some("^~") => Ok(Matching::Prefix { prefix: plain(rest, "^~ ")?, is_final: true }),
        Some(_) if rest.is_empty() => Err(format!("what must the path look like? write \"{name} \\\\.php$\"")),
        Some(modifier) => Pattern::new(rest, modifier == "~*").map(Matching::Regex),
        None => match name.trim().strip_prefix('@') {
            Some("") => Err("a named location needs a name, such as \"@app\"".to_string()),
            Some(name) => Ok(Matching::Named(name.to_owned())),
            None => Ok(Matching::Prefix { prefix: plain(name, "")?, is_final: false }),
        },
    }
}

/// A path as it stands in a location.
fn plain(path: &str, modifier: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("a location begins with a slash; write [server.location.\"{modifier}/{path}\"]"));
    }
    if let Some((path, _)) = path.split_once(['?', '#']) {
        return Err(format!("a location is a path, without a query; write [server.location.\"{modifier}{path}\"]"));
    }
    Ok(path.to_owned())
}

/// A location of this kind for the same text is there.
fn twice(tree: &Tree, level: &Level, matching: &Matching) -> bool {
    match matching {
        Matching::Exact(text) => level.exact.contains_key(text),
        Matching::Named(name) => tree.named.contains_key(name),
        Matching::Prefix { prefix, .. } => level.prefixes.iter().any(
            |&nth| matches!(&tree.locations[nth].matching, Matching::Prefix { prefix: other, .. } if other == prefix),
        ),
        Matching::Regex(_) | Matching::Rest => false,
    }
}

/// Within a location an alias goes on to take the place of that location's prefix.
fn keep_alias(settings: &mut Settings, around: &Location) {
    if let (Root::Alias(alias), Matching::Prefix { prefix, .. }) = (&settings.served.root, &around.matching) {
        settings.served.root = Root::Within(alias.clone(), prefix.clone());
    }
}

/// What `proxy_redirect default` means: a URL, and what takes its place.
fn default_redirect(passed: &Passed, matching: &Matching) -> Option<(String, String)> {
    let Asked::Fixed(host, _) = passed.to else { return None };
    let scheme = if passed.https { "https" } else { "http" };
    match (passed.uri, matching) {
        ("", _) => Some((format!("{scheme}://{host}/"), "/".to_owned())),
        (uri, Matching::Exact(text) | Matching::Prefix { prefix: text, .. }) if !uri.contains('$') => {
            Some((format!("{scheme}://{host}{uri}"), text.clone()))
        }
        _ => None,
    }
}

fn note_sets(rules: &[Rule], noted: &mut Vec<(Arc<str>, Template)>) {
    for rule in rules {
        match rule {
            Rule::Set(name, value) => noted.push((name.clone(), value.clone())),
            Rule::If(_, rules) => note_sets(rules, noted),
            _ => {}
        }
    }
}
