//! `[map.NAME]`.

use super::Builder;
use crate::config::file::{self, Many, Named, Word};
use crate::config::pattern::Pattern;
use crate::config::plan::Map;
use crate::config::report::{Place, Report};
use crate::config::rules::is_name;
use crate::config::template::{Template, Variable};
use crate::config::value::switch;
use ahash::HashMap;

impl Builder<'_> {
    pub(super) fn maps(&mut self, maps: &Named<file::Map>, source: usize) {
        for (name, map) in &maps.0 {
            let (place, name) = (Place::at(source, name.span()), name.get_ref().as_str());
            if !is_name(name) {
                let bare = name.trim_start_matches('$');
                self.error(
                    place,
                    format!(
                        "`{name}` is no name of a variable; write [map.{}]",
                        if is_name(bare) { bare } else { "NAME" }
                    ),
                );
                continue;
            }
            if Variable::named(name).is_some() {
                self.error(place, format!("`${name}` is what a request says; choose another name"));
                continue;
            }
            if self.maps.iter().any(|known| *known.name == *name) {
                self.error(place, format!("there are two maps named `{name}`"));
                continue;
            }
            self.map(name, map, place, source);
        }
    }

    fn map(&mut self, name: &str, section: &file::Map, place: Place, source: usize) {
        let known = self.known.clone();
        let template = |text: &str| Template::parse(text, &known);
        if section.source.is_none() {
            let report = Report::error(place, "this map has no `source`: what is looked up?");
            self.reports.push(report.help("write\n\nsource = \"$http_upgrade\""));
        }
        let nothing = || Template::literal("");
        let mut map = Map {
            name: name.into(),
            source: self.setting(source, &section.source, nothing(), template),
            hostnames: self.setting(source, &section.hostnames, false, switch),
            exact: HashMap::default(),
            leading: HashMap::default(),
            trailing: HashMap::default(),
            regexes: Vec::new(),
            default: self.setting(source, &section.default, nothing(), template),
        };
        for (key, value) in section.values.iter().flat_map(|values| &values.0) {
            let place = Place::at(source, key.span());
            let items = Many::items(value);
            let [(Word(text), span)] = &items[..] else {
                self.error(Place::at(source, value.span()), "a text becomes one other, not several");
                continue;
            };
            let value = match template(text) {
                Ok(value) => value,
                Err(message) => {
                    self.error(Place::at(source, span.clone()), message);
                    continue;
                }
            };
            if key.get_ref() == "default" {
                match &section.default {
                    Some(other) => {
                        let report = Report::error(place, "the default stands here twice");
                        self.reports.push(report.also(Place::at(source, other.span()), "the other one"));
                    }
                    None => map.default = value,
                }
                continue;
            }
            // So that the word itself can be looked for, as in nginx.
            let key = if key.get_ref() == "\\default" { "default" } else { key.get_ref() };
            match insert(&mut map, key, value) {
                Ok(()) => {}
                Err(message) => self.error(place, message),
            }
        }
        self.maps.push(map);
    }
}

/// One more text and its value.
fn insert(map: &mut Map, key: &str, value: Template) -> Result<(), String> {
    if let Some(regex) = key.strip_prefix('~') {
        let (regex, caseless) = match regex.strip_prefix('*') {
            Some(regex) => (regex, true),
            None => (regex, false),
        };
        map.regexes.push((Pattern::new(regex, caseless)?, value));
        return Ok(());
    }
    // What would be read otherwise has a backslash before it, as in nginx.
    let text = key.strip_prefix('\\').unwrap_or(key).to_ascii_lowercase();
    let twice = || Err(format!("`{key}` stands here twice"));
    let hostnames = map.hostnames;
    let mut give = |table: fn(&mut Map) -> &mut HashMap<String, Template>, text: &str| {
        table(map).insert(text.to_owned(), value.clone()).map_or(Ok(()), |_| twice())
    };
    if !hostnames || !has_wildcard(&text) {
        return give(|map| &mut map.exact, &text);
    }
    match (text.strip_prefix('*'), text.strip_suffix('*')) {
        (Some(suffix), _) => give(|map| &mut map.leading, suffix),
        (_, Some(prefix)) => give(|map| &mut map.trailing, prefix),
        _ => {
            give(|map| &mut map.exact, text.trim_start_matches('.'))?;
            give(|map| &mut map.leading, &text)
        }
    }
}

fn has_wildcard(text: &str) -> bool {
    text.starts_with("*.") || text.ends_with(".*") || text.starts_with('.')
}
