//! `gzip`, `brotli` and `zstd`.

use super::answers::each;
use crate::config::plan::{Coding, Compression, Proxied};
use crate::config::report::{Place, Report};
use crate::config::slips::closest;
use crate::config::value::{count, size, switch};
use std::sync::Arc;

/// The values in force at one level.
#[derive(Debug, Clone)]
pub struct Compressed {
    gzip: One,
    brotli: One,
    zstd: One,
    vary: bool,
    proxied: Proxied,
    http11_only: bool,
}

/// Those of one coding.
#[derive(Debug, Clone)]
struct One {
    on: bool,
    coding: Coding,
}

impl One {
    fn new(level: u8) -> One {
        let types = Arc::new(vec!["text/html".to_string()]);
        One { on: false, coding: Coding { level, min_length: 20, types } }
    }

    fn made(&self) -> Option<Coding> {
        self.on.then(|| self.coding.clone())
    }
}

impl Default for Compressed {
    fn default() -> Compressed {
        Compressed {
            gzip: One::new(1),
            brotli: One::new(6),
            zstd: One::new(3),
            vary: false,
            proxied: Proxied::default(),
            http11_only: true,
        }
    }
}

impl Compressed {
    /// Sets one key; false: it is none of these.
    pub fn set(&mut self, key: &str, text: &str) -> Result<bool, String> {
        match key {
            "gzip_vary" => self.vary = switch(text)?,
            "gzip_http_version" => {
                self.http11_only = match text {
                    "1.0" => false,
                    "1.1" => true,
                    _ => return Err("write \"1.1\" or \"1.0\"".to_string()),
                }
            }
            _ => {
                let (coding, what) = key.split_once('_').unwrap_or((key, ""));
                let (one, least, most) = match coding {
                    "gzip" => (&mut self.gzip, 1, 9),
                    "brotli" => (&mut self.brotli, 0, 11),
                    "zstd" => (&mut self.zstd, 1, 22),
                    _ => return Ok(false),
                };
                match what {
                    "" => one.on = switch(text)?,
                    "comp_level" => one.coding.level = count(text, least, most)? as u8,
                    "min_length" => one.coding.min_length = size(text)?,
                    _ => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Sets one list; `None`: it is none of these.
    pub fn set_list(&mut self, key: &str, values: &[(&str, Place)]) -> Option<Vec<Report>> {
        let mut reports = Vec::new();
        let one = match key {
            "gzip_types" => &mut self.gzip,
            "brotli_types" => &mut self.brotli,
            "zstd_types" => &mut self.zstd,
            "gzip_proxied" => {
                let mut said = Proxied::default();
                each(values, &mut reports, |text, _| proxied(text, &mut said));
                self.proxied = said;
                return Some(reports);
            }
            _ => return None,
        };
        // nginx compresses text/html, whatever else is named.
        let mut types = vec!["text/html".to_string()];
        for list in each(values, &mut reports, |text, _| media_types(text)) {
            list.into_iter().for_each(|name| {
                if !types.contains(&name) {
                    types.push(name)
                }
            });
        }
        one.coding.types = Arc::new(types);
        Some(reports)
    }

    /// What a location has of it.
    pub fn compression(&self) -> Compression {
        let made = Compression {
            gzip: self.gzip.made(),
            brotli: self.brotli.made(),
            zstd: self.zstd.made(),
            vary: self.vary,
            proxied: self.proxied,
            http11_only: self.http11_only,
        };
        if made.is_off() { Compression::default() } else { made }
    }
}

fn media_types(text: &str) -> Result<Vec<String>, String> {
    let words = text.trim_end_matches(';').split_ascii_whitespace();
    words
        .map(|word| {
            match word == "*" || word.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty()) {
                true => Ok(word.to_ascii_lowercase()),
                false => Err(format!(
                    "\"{word}\" is no media type; write one such as \"application/json\", or \"*\" for all"
                )),
            }
        })
        .collect()
}

fn proxied(text: &str, said: &mut Proxied) -> Result<(), String> {
    const WORDS: [&str; 9] =
        ["off", "any", "expired", "no-cache", "no-store", "private", "no_last_modified", "no_etag", "auth"];
    for word in text.trim_end_matches(';').split_ascii_whitespace() {
        *match word {
            "off" => {
                *said = Proxied::default();
                continue;
            }
            "any" => &mut said.any,
            "expired" => &mut said.expired,
            "no-cache" => &mut said.no_cache,
            "no-store" => &mut said.no_store,
            "private" => &mut said.private,
            "no_last_modified" => &mut said.no_last_modified,
            "no_etag" => &mut said.no_etag,
            "auth" => &mut said.auth,
            _ => {
                return Err(match closest(word, WORDS) {
                    Some(near) => format!("unknown word `{word}`; did you mean \"{near}\"?"),
                    None => format!("unknown word `{word}`; there are {}", WORDS.join(", ")),
                });
            }
        } = true;
    }
    Ok(())
}
