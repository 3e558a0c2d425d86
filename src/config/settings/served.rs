//! Static files: `root`, `index`, `autoindex`, types and how files are kept open.

use super::Written;
use super::types;
use crate::config::plan::{Autoindex, FileCache, Files, IfModifiedSince, Precompressed, Root, Static, Symlinks, Types};
use crate::config::report::{Place, Report};
use crate::config::rules::words::words;
use crate::config::template::Template;
use crate::config::value::{count, duration, switch};
use std::sync::Arc;
use std::time::Duration;

/// The values in force at one level.
#[derive(Debug, Clone)]
pub struct Served {
    /// Where files are.
    pub root: Root,
    /// By extension, and for all else.
    pub types: Arc<Types>,
    index: Vec<Template>,
    autoindex: bool,
    listing: Autoindex,
    etag: bool,
    if_modified_since: IfModifiedSince,
    max_ranges: Option<u32>,
    symlinks: Symlinks,
    /// Files at most, and for how long.
    cache: Option<(u32, Duration)>,
    cache_valid: Duration,
    cache_min_uses: u32,
    cache_errors: bool,
    precompressed: Precompressed,
    log_not_found: bool,
}

impl Default for Served {
    fn default() -> Served {
        let files = Files::default();
        Served {
            root: Root::None,
            types: Arc::new(types::usual()),
            index: vec![Template::literal("index.html")],
            autoindex: false,
            listing: Autoindex { exact_size: true, localtime: false, json: false },
            etag: files.etag,
            if_modified_since: files.if_modified_since,
            max_ranges: files.max_ranges,
            symlinks: files.symlinks,
            cache: None,
            cache_valid: Duration::from_secs(60),
            cache_min_uses: 1,
            cache_errors: false,
            precompressed: files.precompressed,
            log_not_found: files.log_not_found,
        }
    }
}

impl Served {
    /// Sets one key; false: it is none of these.
    pub fn set(&mut self, key: &str, text: &str, at: &Written) -> Result<bool, String> {
        match key {
            "root" => self.root = Root::Root(path(text, at)?),
            "autoindex" => self.autoindex = switch(text)?,
            "autoindex_exact_size" => self.listing.exact_size = switch(text)?,
            "autoindex_localtime" => self.listing.localtime = switch(text)?,
            "autoindex_format" => {
                self.listing.json = match text {
                    "html" => false,
                    "json" => true,
                    "xml" | "jsonp" => return Err(format!("`{text}` is not written here; write \"json\" or \"html\"")),
                    _ => return Err("write \"html\" or \"json\"".to_string()),
                }
            }
            "default_type" => Arc::make_mut(&mut self.types).default = media_type(text)?.into(),
            "etag" => self.etag = switch(text)?,
            "if_modified_since" => {
                self.if_modified_since = match text {
                    "off" => IfModifiedSince::Off,
                    "exact" => IfModifiedSince::Exact,
                    "before" => IfModifiedSince::Before,
                    _ => return Err("write \"exact\", \"before\" or \"off\"".to_string()),
                }
            }
            "max_ranges" => self.max_ranges = Some(count(text, 0, u32::MAX.into())? as u32),
            "symlinks" => {
                self.symlinks = match text {
                    "inside" => Symlinks::Inside,
                    "follow" => Symlinks::Follow,
                    "off" => Symlinks::Off,
                    _ => return Err("write \"inside\", \"follow\" or \"off\"".to_string()),
                }
            }
            "open_file_cache" => self.cache = cache(text)?,
            "open_file_cache_valid" => self.cache_valid = duration(text)?,
            "open_file_cache_min_uses" => self.cache_min_uses = count(text, 1, u32::MAX.into())? as u32,
            "open_file_cache_errors" => self.cache_errors = switch(text)?,
            "gzip_static" => self.precompressed.gzip = precompressed(text)?,
            "brotli_static" => self.precompressed.brotli = precompressed(text)?,
            "zstd_static" => self.precompressed.zstd = precompressed(text)?,
            "log_not_found" => self.log_not_found = switch(text)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `index`: names, in one text or several.
    pub fn set_index(&mut self, values: &[(&str, Place)], whole: &Written) -> Vec<Report> {
        let (mut names, mut reports) = (Vec::new(), Vec::new());
        for (text, place) in values {
            let parsed = words(text).and_then(|words| {
                words.iter().map(|name| Template::parse(name, whole.known)).collect::<Result<Vec<_>, _>>()
            });
            match parsed {
                Ok(more) => names.extend(more),
                Err(message) => reports.push(Report::error(place.clone(), message)),
            }
        }
        if names.is_empty() && reports.is_empty() {
            reports.push(Report::error(whole.place.clone(), "write a file name, such as \"index.html\""));
        }
        self.index = names;
        reports
    }

    /// What a location has of it.
    pub fn files(&self) -> Files {
        Files {
            root: self.root.clone(),
            index: self.index.clone(),
            autoindex: self.autoindex.then_some(self.listing),
            types: self.types.clone(),
            etag: self.etag,
            if_modified_since: self.if_modified_since,
            max_ranges: self.max_ranges,
            symlinks: self.symlinks,
            cache: self.cache.map(|(max, inactive)| FileCache {
                max,
                inactive,
                valid: self.cache_valid,
                min_uses: self.cache_min_uses,
                errors: self.cache_errors,
            }),
            precompressed: self.precompressed,
            log_not_found: self.log_not_found,
        }
    }
}

/// A `root` or an `alias`, from the directory of the file on.
pub fn path(text: &str, at: &Written) -> Result<Template, String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    if text.is_empty() {
        return Err("write the path of a folder, such as \"/var/www/html\"".to_string());
    }
    if text.contains('\0') {
        return Err("a path cannot hold a NUL byte".to_string());
    }
    if text.starts_with(['/', '$']) {
        return Template::parse(text, at.known);
    }
    if text.contains("://") {
        return Err("files are beneath a folder of this machine; what another server has is passed on by `proxy_pass`"
            .to_string());
    }
    let directory = std::path::absolute(at.directory).unwrap_or_else(|_| at.directory.to_path_buf());
    let directory = directory.to_string_lossy();
    match directory.contains('$') {
        // Its dollar signs would be variables.
        true => Err(format!("write the whole path, beginning with a slash: this file is in {directory}")),
        false => Template::parse(&format!("{}/{text}", directory.trim_end_matches('/')), at.known),
    }
}

/// A media type as it stands in Content-Type; empty: none is said.
pub fn media_type(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches(';');
    let is_plain = |c: char| c.is_ascii() && !c.is_ascii_control();
    match text.is_empty() || text.contains('/') && !text.starts_with('/') && text.chars().all(is_plain) {
        true => Ok(text.to_string()),
        false => Err(format!("\"{text}\" is no media type; write one such as \"text/plain\"")),
    }
}

fn precompressed(text: &str) -> Result<Static, String> {
    match text {
        "on" => Ok(Static::On),
        "off" => Ok(Static::Off),
        "always" => Ok(Static::Always),
        _ => Err("write \"on\", \"off\" or \"always\"".to_string()),
    }
}

fn cache(text: &str) -> Result<Option<(u32, Duration)>, String> {
    const FORM: &str = "write \"max=1000 inactive=20s\", or \"off\"";
    let (mut max, mut inactive) = (None, Duration::from_secs(60));
    for word in text.trim_end_matches(';').split_ascii_whitespace() {
        match word.split_once('=') {
            Some(("max", number)) => max = Some(count(number, 1, 1 << 20)? as u32),
            Some(("inactive", time)) => inactive = duration(time)?,
            None if word == "off" && text.trim_end_matches(';').trim() == "off" => return Ok(None),
            _ => return Err(format!("unknown word `{word}`; {FORM}")),
        }
    }
    max.map(|max| Some((max, inactive))).ok_or_else(|| format!("how many files are kept open? {FORM}"))
}
