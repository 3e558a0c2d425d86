//! Whole configurations: nginx's text in, TOML and report out.

use super::report::Outcome;
use super::{Files, Imported, import};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

mod guides;
mod keys;
mod lost;
mod sessions;

/// Files that stand nowhere.
pub struct Made(BTreeMap<PathBuf, String>);

impl Made {
    /// With these names and texts.
    pub fn new(files: &[(&str, &str)]) -> Made {
        Made(files.iter().map(|(name, text)| (clean(Path::new(name)), (*text).to_string())).collect())
    }
}

/// Without `..`.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}

impl Files for Made {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.0.get(&clean(path)).ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        Ok(found.clone().into_bytes())
    }

    fn list(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let pattern = glob::Pattern::new(&pattern.to_string_lossy()).map_err(io::Error::other)?;
        Ok(self.0.keys().filter(|path| pattern.matches_path_with(path, options)).cloned().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.contains_key(&clean(path))
    }
}

/// Imports a file that is alone.
#[track_caller]
fn imported(text: &str) -> Imported {
    import(Path::new("/n/a.conf"), Some(Path::new("/p")), &Made::new(&[("/n/a.conf", text), ("/n/there", "")]))
        .unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:?}"))
}

/// The TOML without comments, blank lines, and what stands for nginx's defaults.
#[track_caller]
fn keys(text: &str) -> Vec<String> {
    let imported = imported(text);
    imported.text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{}\n{error}", imported.text));
    assert_eq!(imported.text.lines().count(), imported.places.len());
    let mut lines = Vec::new();
    let mut within_defaults = false;
    for line in imported.text.lines() {
        within_defaults |= line.starts_with("# nginx's defaults");
        within_defaults &= !line.is_empty();
        let bare = if line.starts_with('#') { "" } else { line.split("    #").next().unwrap_or(line) };
        if !within_defaults && !bare.is_empty() {
            lines.push(bare.to_string());
        }
    }
    lines
}

/// What became of the directives of a name.
fn outcomes(imported: &Imported, name: &str) -> Vec<Outcome> {
    imported.report.entries.iter().filter(|entry| entry.name == name).map(|entry| entry.outcome).collect()
}

/// The mistakes of a file that is alone.
fn mistakes(text: &str) -> Vec<String> {
    match import(Path::new("/n/a.conf"), None, &Made::new(&[("/n/a.conf", text)])) {
        Ok(imported) => panic!("it was taken:\n{}", imported.text),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}
