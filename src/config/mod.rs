//! From TOML text to a checked [`plan::Plan`]: `include` reads, `slips` and `file` give the text its form, `build` its meaning.
//! With any error anywhere there is no plan.

pub mod expires;
pub mod names;
pub mod pattern;
pub mod plan;
pub mod template;

mod address;
mod build;
mod ciphers;
mod file;
mod headers;
mod include;
mod networks;
mod report;
mod resolve;
mod retry;
mod returns;
mod rules;
mod settings;
mod slips;
mod value;

pub use build::balance;

use include::Reading;
use plan::Plan;
use report::Report;
use std::fmt;
use std::path::{Path, PathBuf};

/// A configuration that may run.
#[derive(Debug)]
pub struct Loaded {
    /// What runs.
    pub plan: Plan,
    /// Rendered; each ends in a newline.
    pub warnings: Vec<String>,
    /// Every file that was read, the main one first.
    pub files: Vec<PathBuf>,
}

/// Everything that is wrong with a configuration, rendered.
#[derive(Debug)]
pub struct Errors(Vec<String>);

impl Errors {
    /// One text per error, in the order of the files; each begins with `FILE:LINE:COLUMN: error: `.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.0.join("\n").trim_end())
    }
}

impl std::error::Error for Errors {}

/// Loads a file and all that it includes.
pub fn load(path: &Path) -> Result<Loaded, Errors> {
    finish(include::read(path), &build::Surroundings::read(), &resolve::system())
}

/// Loads a text as if it stood in a file of that name.
pub fn load_str(name: &str, text: &str) -> Result<Loaded, Errors> {
    finish(include::read_str(name, text), &build::Surroundings::read(), &resolve::system())
}

/// The admin socket that a file names, also if the file is wrong otherwise: whoever asks to reload it is to hear what is wrong
/// from the process that runs.
pub fn admin_named_in(path: &Path) -> Option<PathBuf> {
    let text = include::read_text(path).ok()?;
    let table: toml::Table = text.parse().ok()?;
    match table.get("admin") {
        None => build::Surroundings::read().admin_default(),
        Some(toml::Value::String(admin)) if admin != "off" => {
            Some(path.parent()?.join(admin.strip_prefix("unix:").unwrap_or(admin)))
        }
        Some(_) => None,
    }
}

fn finish(reading: Reading, surroundings: &build::Surroundings, lookup: resolve::Lookup) -> Result<Loaded, Errors> {
    let Reading { sources, files, paths, mut reports, .. } = reading;
    // What a broken file would have defined would be missed everywhere else.
    let mut plan = None;
    if reports.is_empty() {
        (plan, reports) = build::build(&files, surroundings, lookup);
    }
    reports.sort_by_key(Report::position);
    let render = |warnings: bool| -> Vec<String> {
        reports.iter().filter(|report| report.is_warning() == warnings).map(|report| report.render(&sources)).collect()
    };
    match plan {
        Some(plan) => Ok(Loaded { plan, warnings: render(true), files: paths }),
        None => Err(Errors(render(false))),
    }
}

#[cfg(test)]
mod tests;
