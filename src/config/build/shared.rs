//! What is defined once for all: names of variables, zones, log formats, types.

use super::Builder;
use crate::config::file;
use crate::config::file::{Many, Named, Table, Word, Words};
use crate::config::include::Parsed;
use crate::config::plan::{LimitConnZone, LimitReqZone};
use crate::config::report::Place;
use crate::config::rules::words::words;
use crate::config::rules::{is_name, names_of_groups, names_set};
use crate::config::settings::logs::{built_in, log_format};
use crate::config::settings::served::media_type;
use crate::config::settings::{Defined, Settings};
use crate::config::template::{Known, Template};
use crate::config::value::{count, size};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

/// The variables that the files themselves name: of maps, `set` statements and named groups, wherever they stand.
pub(super) fn names_of(files: &[Parsed]) -> Known {
    let mut known = Known::default();
    let mut add = |names: Vec<String>| names.iter().for_each(|name| known.add(name));
    for Parsed { file, .. } in files {
        for (name, map) in &file.map.0 {
            add(vec![name.get_ref().clone()]);
            for (key, _) in map.values.iter().flat_map(|values| &values.0) {
                add(names_of_groups(key.get_ref()));
            }
        }
        for server in &file.server {
            let server = server.get_ref();
            for (Word(name), _) in server.server_name.as_ref().map(Many::items).unwrap_or_default() {
                add(names_of_groups(name));
            }
            of_rules(&server.rewrite, &mut add);
            of_locations(&server.location, &mut add);
        }
    }
    known
}

fn of_locations(locations: &Named<file::Location>, add: &mut impl FnMut(Vec<String>)) {
    for (name, location) in &locations.0 {
        add(names_of_groups(name.get_ref()));
        of_rules(&location.rewrite, add);
        of_locations(&location.location, add);
    }
}

fn of_rules(rules: &Words, add: &mut impl FnMut(Vec<String>)) {
    for (Word(text), _) in rules.as_ref().map(Many::items).unwrap_or_default() {
        add(names_set(text));
        add(names_of_groups(text));
    }
}

impl Builder<'_> {
    /// Zones and log formats of all files.
    pub(super) fn define(&mut self, files: &[Parsed]) -> (Vec<LimitReqZone>, Vec<LimitConnZone>) {
        let (mut requests, mut connections) = (Vec::new(), Vec::new());
        let mut formats = built_in();
        let (own, mut taken) = (formats.len(), HashSet::new());
        for Parsed { source, file, .. } in files {
            for zone in self.zones(&file.limit_req_zone, *source, true) {
                requests.push(LimitReqZone { name: zone.name, key: zone.key, bytes: zone.bytes, rate: zone.rate });
            }
            for zone in self.zones(&file.limit_conn_zone, *source, false) {
                connections.push(LimitConnZone { name: zone.name, key: zone.key, bytes: zone.bytes });
            }
            for (name, text) in file.log_format.iter().flat_map(|formats| &formats.0) {
                let text: String = Many::items(text).into_iter().map(|(Word(piece), _)| piece.as_str()).collect();
                let place = Place::at(*source, name.span());
                // Only nginx's own format cannot be another one.
                let known = formats.iter().position(|format| format.name == *name.get_ref());
                let replaced = known.filter(|&at| at < own && name.get_ref() != "combined" && taken.insert(at));
                if known.is_some() && replaced.is_none() {
                    self.error(place, format!("there is a format `{}` already", name.get_ref()));
                    continue;
                }
                match log_format(name.get_ref(), &text, &self.known) {
                    Ok(format) => match replaced {
                        Some(at) => formats[at] = Arc::new(format),
                        None => formats.push(Arc::new(format)),
                    },
                    Err(message) => self.error(place, message),
                }
            }
        }
        let req_zones: Vec<String> = requests.iter().map(|zone| zone.name.clone()).collect();
        let conn_zones: Vec<String> = connections.iter().map(|zone| zone.name.clone()).collect();
        self.defined = Rc::new(Defined { req_zones, conn_zones, formats });
        (requests, connections)
    }

    fn zones(&mut self, list: &Words, source: usize, has_rate: bool) -> Vec<Zone> {
        let mut zones: Vec<Zone> = Vec::new();
        for (Word(text), span) in list.as_ref().map(Many::items).unwrap_or_default() {
            match zone(text, has_rate, &self.known) {
                Ok(zone) if zones.iter().any(|known| known.name == zone.name) => {
                    self.error(Place::at(source, span), format!("there is a zone `{}` already", zone.name));
                }
                Ok(zone) => zones.push(zone),
                Err(message) => self.error(Place::at(source, span), message),
            }
        }
        zones
    }

    /// `[types]`: takes the place of all that were inherited.
    pub(super) fn types(&mut self, settings: &mut Settings, table: &Option<Table>, source: usize) {
        let Some(table) = table else { return };
        let types = Arc::make_mut(&mut settings.served.types);
        types.by_extension.clear();
        for (name, extensions) in &table.0 {
            let media: Arc<str> = match media_type(name.get_ref()) {
                Ok(media) if !media.is_empty() => media.into(),
                Ok(_) => "text/plain".into(),
                Err(message) => {
                    self.error(Place::at(source, name.span()), message);
                    continue;
                }
            };
            for (Word(text), span) in Many::items(extensions) {
                for extension in text.trim_end_matches(';').split_ascii_whitespace() {
                    let bare = extension.trim_start_matches('.').to_ascii_lowercase();
                    if bare.is_empty() || bare.contains('/') {
                        self.error(
                            Place::at(source, span.clone()),
                            format!("`{extension}` is no extension; write one such as \"html\""),
                        );
                    }
                    types.by_extension.insert(bare, media.clone());
                }
            }
        }
    }
}

struct Zone {
    name: String,
    key: Template,
    bytes: u64,
    rate: u64,
}

/// `$binary_remote_addr zone=one:10m rate=10r/s`.
fn zone(text: &str, has_rate: bool, known: &Known) -> Result<Zone, String> {
    let form = match has_rate {
        true => "write \"$binary_remote_addr zone=NAME:10m rate=10r/s\"",
        false => "write \"$binary_remote_addr zone=NAME:10m\"",
    };
    let words = words(text)?;
    let Some((key, words)) = words.split_first() else { return Err(form.to_string()) };
    if key.starts_with("zone=") {
        return Err(format!("by what are they counted? {form}"));
    }
    let key = Template::parse(key, known)?;
    let (mut named, mut rate) = (None, None);
    for word in words {
        match word.split_once('=') {
            Some(("zone", zone)) => {
                let (name, bytes) = zone.split_once(':').ok_or_else(|| format!("how much memory? {form}"))?;
                if !is_name(&name.replace('-', "_")) {
                    return Err(format!("`{name}` is no name of a zone; {form}"));
                }
                let bytes = size(bytes)?;
                if bytes < 32 * 1024 {
                    return Err("a zone has 32k at least".to_string());
                }
                named = Some((name.to_owned(), bytes));
            }
            Some(("rate", text)) if has_rate => rate = Some(requests(text)?),
            _ => return Err(format!("unknown word `{word}`; {form}")),
        }
    }
    let (name, bytes) = named.ok_or_else(|| format!("which name? {form}"))?;
    match (rate, has_rate) {
        (None, true) => Err(format!("how often? {form}")),
        (rate, _) => Ok(Zone { name, key, bytes, rate: rate.unwrap_or(0) }),
    }
}

/// `10r/s`, `30r/m`: requests in 1,000 seconds.
fn requests(text: &str) -> Result<u64, String> {
    let (number, thousandths) = match (text.strip_suffix("r/s"), text.strip_suffix("r/m")) {
        (Some(number), _) => (number, 60_000),
        (_, Some(number)) => (number, 1000),
        _ => return Err(format!("`{text}` is no rate; write \"10r/s\" or \"30r/m\"")),
    };
    Ok(count(number, 1, 1_000_000)? * thousandths / 60)
}
