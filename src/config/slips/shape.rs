//! Walks over the parsed table before serde does: every unknown key and every value of a wrong form, each with its place.

use super::closest;
use super::keys::{Form, KEYS, Key, Section};
use super::nginx;
use super::two_brackets;
use crate::config::report::{Place, Report};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reports all that the mirror could not take.
pub fn check(source: usize, text: &str, table: &DeTable, reports: &mut Vec<Report>) {
    Shape { source, text, reports }.section(Section::Top, table);
}

struct Shape<'a> {
    source: usize,
    text: &'a str,
    reports: &'a mut Vec<Report>,
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl Shape<'_> {
    fn error(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.reports.push(Report::error(Place::at(self.source, span), message));
    }

    fn section(&mut self, section: Section, table: &DeTable) {
        for (name, value) in table.iter() {
            let Some(key) = section.key(name.get_ref()) else {
                self.unknown(section, name, value.get_ref());
                continue;
            };
            match key.form {
                Form::Word => self.word(key, value),
                Form::Words => self.list(key, value, |shape, key, value| shape.word(key, value)),
                Form::Table => self.table(key, name, value),
                Form::Backends => self.list(key, value, Shape::backend),
                Form::Sections => match key.name {
                    "upstream" => self.upstreams(name, value),
                    "server" => self.servers(value),
                    "tcp" => self.tcps(name, value),
                    "map" => self.maps(name, value),
                    "health_check" => self.health_check(name, value),
                    _ => self.locations(name, value),
                },
            }
        }
    }

    fn word(&mut self, key: &Key, value: &Spanned<DeValue>) {
        let message = match value.get_ref() {
            DeValue::String(_) | DeValue::Integer(_) => return,
            DeValue::Array(_) => format!("`{}` has one value, not a list; write {}", key.name, key.example),
            DeValue::Table(_) => format!("`{}` has a value, not a section; write {}", key.name, key.example),
            DeValue::Boolean(on) if key.is_switch() => {
                format!("`{0}` cannot be a boolean; write {0} = \"{1}\"", key.name, if *on { "on" } else { "off" })
            }
            other => format!("`{}` cannot be a {}; write {}", key.name, other.type_str(), key.example),
        };
        self.error(value.span(), message);
    }

    fn list(&mut self, key: &Key, value: &Spanned<DeValue>, item: fn(&mut Self, &Key, &Spanned<DeValue>)) {
        match value.get_ref() {
            DeValue::Array(values) => {
                for value in values.iter() {
                    match value.get_ref() {
                        DeValue::Array(_) => {
                            let message = format!("a list within a list; write {}", key.example);
                            self.error(value.span(), message);
                        }
                        _ => item(self, key, value),
                    }
                }
            }
            _ => item(self, key, value),
        }
    }

    /// A section whose keys are the file's own, each with one value or several.
    fn table(&mut self, key: &Key, name: &Name, value: &Spanned<DeValue>) {
        let DeValue::Table(table) = value.get_ref() else {
            let message = match value.get_ref() {
                DeValue::String(text) if key.name == "log_format" => {
                    format!("formats stand in a section; write [log_format] and beneath it main = \"{text}\"")
                }
                _ => format!("`{}` is a section; write {}", key.name, key.example),
            };
            return self.error(heading(name, value), message);
        };
        for value in table.values() {
            self.list(key, value, |shape, key, value| match value.get_ref() {
                DeValue::String(_) | DeValue::Integer(_) => {}
                other => {
                    let message = format!("in {} texts stand behind names, not a {}", key.example, other.type_str());
                    shape.error(value.span(), message);
                }
            });
        }
    }

    fn maps(&mut self, name: &Name, value: &Spanned<DeValue>) {
        let DeValue::Table(maps) = value.get_ref() else {
            let message = "a map's heading has one pair of brackets and the name of its variable; write [map.loggable]";
            return self.error(heading(name, value), message);
        };
        for (name, map) in maps.iter() {
            match map.get_ref() {
                DeValue::Table(table) => self.section(Section::Map, table),
                _ => self.error(
                    heading(name, map),
                    "a map needs the name of its variable; write [map.loggable] and beneath it source = \"$http_user_agent\"",
                ),
            }
        }
    }

    fn backend(&mut self, key: &Key, value: &Spanned<DeValue>) {
        match value.get_ref() {
            DeValue::Table(table) => self.section(Section::Backend, table),
            _ => self.word(key, value),
        }
    }

    fn servers(&mut self, value: &Spanned<DeValue>) {
        match value.get_ref() {
            DeValue::Array(servers) => {
                for server in servers.iter() {
                    match server.get_ref() {
                        DeValue::Table(table) => self.section(Section::Server, table),
                        _ => self.stray_backend(server.span()),
                    }
                }
            }
            DeValue::Table(table) => {
                let heading = self.text[value.span().start..].starts_with('[');
                let message = match heading {
                    true => two_brackets("server"),
                    false => "this stands beneath no server; write [[server]] on a line above".to_string(),
                };
                self.error(value.span(), message);
                self.section(Section::Server, table);
            }
            _ => self.stray_backend(value.span()),
        }
    }

    fn tcps(&mut self, name: &Name, value: &Spanned<DeValue>) {
        match value.get_ref() {
            DeValue::Array(tcps) if tcps.iter().all(|tcp| tcp.get_ref().is_table()) => {
                for tcp in tcps.iter() {
                    let DeValue::Table(table) = tcp.get_ref() else { continue };
                    self.section(Section::Tcp, table);
                }
            }
            DeValue::Table(table) if table.values().any(|value| !is_section(value.get_ref())) => {
                let heading = self.text[value.span().start..].starts_with('[');
                let message = match heading {
                    true => two_brackets("tcp"),
                    false => "a tcp listener is a section; write [[tcp]] on a line above".to_string(),
                };
                self.error(value.span(), message);
                self.section(Section::Tcp, table);
            }
            DeValue::Table(table) if !table.is_empty() => {
                self.error(heading(name, value), "a tcp listener's heading has no name; write [[tcp]]");
            }
            DeValue::Table(_) => self.error(value.span(), two_brackets("tcp")),
            _ => self.error(
                name.span(),
                "a tcp listener is a section; write [[tcp]] and beneath it `listen` and `proxy_pass`",
            ),
        }
    }

    fn health_check(&mut self, name: &Name, value: &Spanned<DeValue>) {
        match value.get_ref() {
            DeValue::Table(table) => self.section(Section::HealthCheck, table),
            DeValue::String(text) => {
                let message = format!("a health check is a section; write {}", nginx::health_check(text));
                self.error(value.span(), message);
            }
            DeValue::Array(_) => {
                let message = "a health check's heading has one pair of brackets; write [upstream.NAME.health_check]";
                self.error(heading(name, value), message);
            }
            _ => {
                let message = format!("a health check is a section; write {}", nginx::health_check(""));
                self.error(value.span(), message);
            }
        }
    }

    fn stray_backend(&mut self, span: Range<usize>) {
        self.error(span, "the servers of a group stand beneath its heading; write [upstream.backend] on a line above");
    }

    fn upstreams(&mut self, name: &Name, value: &Spanned<DeValue>) {
        let DeValue::Table(groups) = value.get_ref() else {
            let message = "a group's heading has one pair of brackets and its name; write [upstream.backend]";
            return self.error(heading(name, value), message);
        };
        if groups.iter().any(|(_, value)| !value.get_ref().is_table()) {
            return self.error(heading(name, value), "a group needs a name; write [upstream.backend]");
        }
        for (name, group) in groups.iter() {
            let DeValue::Table(table) = group.get_ref() else { continue };
            let dotted = table
                .iter()
                .find(|(inner, value)| value.get_ref().is_table() && Section::Upstream.key(inner.get_ref()).is_none());
            match dotted {
                Some((inner, _)) if closest(inner.get_ref(), ["health_check"]).is_some() => {
                    let message = format!(
                        "unknown key `{}`; did you mean [upstream.{}.health_check]?",
                        inner.get_ref(),
                        name.get_ref()
                    );
                    self.error(inner.span(), message);
                }
                Some((inner, _)) => {
                    let (outer, inner, span) = (name.get_ref(), inner.get_ref(), inner.span());
                    let message = format!("a name with a dot needs quotes; write [upstream.\"{outer}.{inner}\"]");
                    self.error(span, message);
                }
                None => self.section(Section::Upstream, table),
            }
        }
    }

    fn locations(&mut self, name: &Name, value: &Spanned<DeValue>) {
        let locations = match value.get_ref() {
            DeValue::Table(locations) => locations,
            DeValue::String(path) => {
                let message = format!("a location is a section; write [server.location.\"{path}\"]");
                return self.error(value.span(), message);
            }
            _ => {
                let message =
                    "a location's heading has one pair of brackets and its path; write [server.location.\"/\"]";
                return self.error(heading(name, value), message);
            }
        };
        if let Some((stray, _)) = locations
            .iter()
            .find(|(name, value)| !value.get_ref().is_table() && Section::Location.key(name.get_ref()).is_some())
        {
            let message = format!("`{}` stands beneath no path; write [server.location.\"/\"]", stray.get_ref());
            return self.error(heading(name, value), message);
        }
        for (path, location) in locations.iter() {
            match location.get_ref() {
                DeValue::Table(table) => self.section(Section::Location, table),
                DeValue::String(target) => {
                    let path = path.get_ref();
                    let message = format!(
                        "a location is a section; write [server.location.\"{path}\"] and beneath it proxy_pass = \"{target}\""
                    );
                    self.error(location.span(), message);
                }
                _ => {
                    let message = format!("a location is a section; write [server.location.\"{}\"]", path.get_ref());
                    self.error(location.span(), message);
                }
            }
        }
    }

    fn unknown(&mut self, section: Section, name: &Name, value: &DeValue) {
        let word = name.get_ref().as_ref();
        let arguments = match value {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(number) => number.as_str(),
            _ => "",
        };
        // Of the other sections' keys those that can be meant here.
        let elsewhere = || KEYS.iter().filter(|key| !key.sections[0].is_shy() || section == Section::Upstream);
        let here = || section.keys().map(|key| key.name);
        let message = if let Some(message) = between_server_and_tcp(section, word, value) {
            message
        } else if let Some(key) = elsewhere().find(|key| key.name == word) {
            match key.sections {
                [Section::Backend] if key.name != "address" => {
                    format!("`{word}` {}", nginx::of_a_server(word, arguments))
                }
                _ => format!("`{word}` belongs {}", place_of(key)),
            }
        } else if section == Section::Location && value.is_table() && word.starts_with(['/', '=', '~', '^']) {
            format!(
                "a location within a location stands beneath `location`; write [server.location.\"/\".location.\"{word}\"]"
            )
        } else if let Some(advice) = nginx::advice(word, arguments) {
            format!("nginx's `{word}` {advice}")
        } else if let Some(near) = closest(word, here()).and_then(|near| section.key(near)) {
            format!("unknown key `{word}`; did you mean {}?", shown(near, value))
        } else if let Some(near) = closest(word, elsewhere().map(|key| key.name)) {
            let key = elsewhere().find(|key| key.name == near);
            format!("unknown key `{word}`; did you mean `{near}`, {}?", key.map_or("", place_of))
        } else {
            // Of keys with one beginning one name for all is enough.
            let family = |name: &'static str| match FAMILIES.into_iter().find(|all| name.starts_with(all)) {
                Some(all) if name != "proxy_pass" => format!("`{all}...`"),
                _ => format!("`{name}`"),
            };
            let mut known: Vec<String> = Vec::new();
            here().map(family).for_each(|name| {
                if !known.contains(&name) {
                    known.push(name)
                }
            });
            format!("unknown key `{word}`; known here: {}", known.join(", "))
        };
        self.error(name.span(), message);
    }
}

/// Beginnings that many keys share.
const FAMILIES: [&str; 12] = [
    "proxy_ssl_",
    "proxy_",
    "ssl_",
    "client_",
    "keepalive_",
    "autoindex",
    "open_file_cache",
    "gzip",
    "brotli",
    "zstd",
    "limit_",
    "auth_",
];

/// What stands in a `[[server]]` that should be a `[[tcp]]`, or in a `[[tcp]]` as if it were a `[[server]]`.
fn between_server_and_tcp(section: Section, word: &str, value: &DeValue) -> Option<String> {
    match (section, word, value) {
        (Section::Server, "proxy_pass", DeValue::String(pass)) if !pass.contains("http") => Some(format!(
            "`{word}` belongs in [server.location.\"/\"]; or, to pass on TCP, write [[tcp]] instead of [[server]]"
        )),
        (Section::Tcp, "server" | "upstream" | "balance", _) => {
            Some(format!("`{word}` is for groups; write [upstream.backend], and here proxy_pass = \"backend\""))
        }
        (Section::Tcp, "proxy_next_upstream_methods", _) => Some(format!("`{word}` is for HTTP; leave it out")),
        (Section::Tcp, "proxy_read_timeout" | "proxy_send_timeout" | "proxy_tunnel_timeout", _) => {
            Some(format!("`{word}` is for HTTP; write proxy_timeout = \"10m\""))
        }
        _ => None,
    }
}

fn place_of(key: &Key) -> &'static str {
    match key.sections {
        // Everybody writes it above a `proxy_pass`; the outer levels are for defaults.
        [Section::Top, Section::Server, ..] => Section::Server.title(),
        [first, ..] => first.title(),
        [] => "",
    }
}

/// A section is shown with its brackets: people misspell `[[servers]]` and `[upstreams.NAME]`.
fn shown(key: &Key, value: &DeValue) -> String {
    match (key.form, value) {
        (Form::Sections, DeValue::Table(table)) if key.name == "upstream" && table.len() == 1 => {
            format!("[upstream.{}]", table.keys().next().map_or("NAME", |name| name.get_ref().as_ref()))
        }
        (Form::Sections, _) => key.example.to_string(),
        _ => format!("`{}`", key.name),
    }
}

/// `[x.NAME]` or `[[x.NAME]]`.
fn is_section(value: &DeValue) -> bool {
    match value {
        DeValue::Array(values) => values.first().is_some_and(|value| value.get_ref().is_table()),
        value => value.is_table(),
    }
}

/// The heading of a section where there is one, else its name.
fn heading(name: &Name, value: &Spanned<DeValue>) -> Range<usize> {
    if value.get_ref().is_table() || value.get_ref().is_array() { value.span() } else { name.span() }
}
