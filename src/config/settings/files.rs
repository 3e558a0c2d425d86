//! Files that settings name: certificates, keys, authorities. They are read in `tls`, not here.

use super::Written;
use crate::config::plan::CertificateFiles;
use crate::config::report::{Place, Report};
use std::path::PathBuf;

/// A file and where it is named.
#[derive(Debug, Clone)]
pub struct Named {
    /// Relative to the file that names it, and with that file's directory before it.
    pub path: PathBuf,
    /// Where.
    pub place: Place,
}

impl Written<'_> {
    /// The file that a text names here; `"off"`: none, whatever the levels above name.
    pub fn file_or_off(&self, text: &str) -> Result<Option<Named>, String> {
        let path = file_or_off(text, self.directory)?;
        Ok(path.map(|path| Named { path, place: self.place.clone() }))
    }
}

/// A path, or `"off"`.
pub fn file_or_off(text: &str, directory: &std::path::Path) -> Result<Option<PathBuf>, String> {
    match text.trim_end_matches(';') {
        "off" => Ok(None),
        "" => Err("write the path of a file, or \"off\" for none".to_string()),
        text => file(text, directory).map(Some),
    }
}

/// A path as a configuration file in `directory` writes it.
pub fn file(text: &str, directory: &std::path::Path) -> Result<PathBuf, String> {
    match text.strip_suffix(';').unwrap_or(text) {
        "" => Err("write the path of a file".to_string()),
        text if text.contains('\0') => Err("a path cannot hold a NUL byte".to_string()),
        text if text.contains('$') => {
            Err("variables in paths of files are not supported yet; write the path".to_string())
        }
        text if text.starts_with("data:") || text.starts_with("engine:") || text.starts_with("store:") => {
            Err("only files are read here; write the path of one".to_string())
        }
        text if text.starts_with("-----BEGIN") => Err("write the path of the file that has this in it".to_string()),
        text => Ok(directory.join(text)),
    }
}

/// All the files of a list.
pub fn all(files: &mut Vec<Named>, values: &[(&str, Place)], whole: &Written) -> Vec<Report> {
    files.clear();
    let mut reports = Vec::new();
    for (text, place) in values {
        match file(text, whole.directory) {
            Ok(path) => files.push(Named { path, place: place.clone() }),
            Err(message) => reports.push(Report::error(place.clone(), message)),
        }
    }
    reports
}

/// Certificates and keys side by side. `key`: the name of the first list.
pub fn pairs(certificates: &[Named], keys: &[Named], key: &str) -> Result<Vec<CertificateFiles>, Box<Report>> {
    let Some(first) = certificates.first() else { return Ok(Vec::new()) };
    if keys.is_empty() {
        let message = format!("a certificate needs its key; write `{key}_key`");
        return Err(Box::new(Report::error(first.place.clone(), message)));
    }
    if let Some(lonely) = certificates.get(keys.len()).or(keys.get(certificates.len())) {
        let message = format!("there are {} in `{key}`, but {} in `{key}_key`", certificates.len(), keys.len());
        return Err(Box::new(Report::error(lonely.place.clone(), message)));
    }
    let pair = |(chain, key): (&Named, &Named)| CertificateFiles { chain: chain.path.clone(), key: key.path.clone() };
    Ok(certificates.iter().zip(keys).map(pair).collect())
}
