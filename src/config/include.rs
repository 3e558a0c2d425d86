//! Reads the main file and what it includes. Every problem found on the way becomes a report; nothing stops at the first.

use crate::config::file::{File, Many, Word};
use crate::config::report::{Place, Report, Source};
use crate::config::slips;
use crate::limits;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// One file, read and understood.
#[derive(Debug)]
pub struct Parsed {
    /// Index of its source.
    pub source: usize,
    /// Where relative paths in it start.
    pub directory: PathBuf,
    /// What stands in it.
    pub file: File,
}

/// All files of one configuration.
#[derive(Debug, Default)]
pub struct Reading {
    /// In the order in which they were met; the main file is the first.
    pub sources: Vec<Source>,
    /// Those that could be parsed. A file's own sections come before those of the files that it includes.
    pub files: Vec<Parsed>,
    /// Where they are, for whoever wants to watch them.
    pub paths: Vec<PathBuf>,
    /// What was wrong.
    pub reports: Vec<Report>,
    /// Resolved paths of the files that are being read, outermost first.
    open: Vec<PathBuf>,
    /// Resolved paths of all files read so far.
    seen: Vec<PathBuf>,
}

/// Reads a file and all that it includes.
pub fn read(path: &Path) -> Reading {
    let mut reading = Reading::default();
    reading.sources.push(Source { name: path.display().to_string(), text: String::new() });
    reading.paths.push(path.to_path_buf());
    match read_text(path) {
        Ok(text) => reading.take(0, path, text),
        Err((message, help)) => {
            let report = Report::error(Place::file(0), message);
            reading.reports.push(if help.is_empty() { report } else { report.help(help) });
        }
    }
    reading
}

/// Reads a text as if it stood in a file of that name.
pub fn read_str(name: &str, text: &str) -> Reading {
    let mut reading = Reading::default();
    reading.sources.push(Source { name: name.to_string(), text: String::new() });
    reading.take(0, Path::new(name), text.to_string());
    reading
}

impl Reading {
    fn take(&mut self, source: usize, path: &Path, text: String) {
        // Editors on Windows put a byte order mark in front; it is no part of the text.
        let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_string);
        let parsed = slips::parse(source, &text, &mut self.reports);
        self.sources[source].text = text;
        let Some(file) = parsed else { return };
        let directory = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let includes: Vec<(String, Place)> = match &file.include {
            Some(include) => {
                let items = Many::items(include).into_iter();
                items.map(|(Word(pattern), span)| (pattern.clone(), Place::at(source, span))).collect()
            }
            None => Vec::new(),
        };
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        self.files.push(Parsed { source, directory: directory.clone(), file });
        self.seen.push(identity.clone());
        self.open.push(identity);
        for (pattern, place) in includes {
            match matches(&directory, &pattern) {
                Ok(paths) => paths.iter().for_each(|path| self.include(path, &place)),
                Err(message) => self.reports.push(Report::error(place, message)),
            }
        }
        self.open.pop();
    }

    fn include(&mut self, path: &Path, place: &Place) {
        let shown = path.display();
        let fail = |message: String| Report::error(place.clone(), message);
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if self.open.contains(&identity) {
            let own = self.open.last() == Some(&identity);
            let whom = if own { "this file itself" } else { "a file that includes this one" };
            return self.reports.push(fail(format!("`{shown}` is {whom}; an include cannot go in circles")));
        }
        if self.seen.contains(&identity) {
            return self.reports.push(fail(format!("`{shown}` is included twice; leave one of them out")));
        }
        if self.open.len() > limits::INCLUDE_DEPTH_MAX {
            let message = format!("includes are nested more than {} deep", limits::INCLUDE_DEPTH_MAX);
            return self.reports.push(fail(message));
        }
        if self.sources.len() > limits::INCLUDES_MAX {
            // One report says it all.
            if self.sources.len() == limits::INCLUDES_MAX + 1 {
                self.sources.push(Source { name: String::new(), text: String::new() });
                self.reports.push(fail(format!("more than {} included files", limits::INCLUDES_MAX)));
            }
            return;
        }
        match read_text(path) {
            Ok(text) => {
                self.sources.push(Source { name: shown.to_string(), text: String::new() });
                self.paths.push(path.to_path_buf());
                self.take(self.sources.len() - 1, path, text);
            }
            Err((message, _)) => self.reports.push(fail(format!("`{shown}`: {message}"))),
        }
    }
}

/// The files that a pattern names, in the order of their names. A plain name is itself, whether it is there or not.
fn matches(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    if pattern.is_empty() {
        return Err("write a path or a pattern, such as \"conf.d/*.toml\"".to_string());
    }
    if !pattern.contains(['*', '?', '[']) {
        let path = directory.join(pattern);
        if path.is_dir() {
            let pattern = pattern.trim_end_matches('/');
            return Err(format!("`{pattern}` is a directory; write \"{pattern}/*.toml\""));
        }
        return Ok(vec![path]);
    }
    let full = if pattern.starts_with('/') || directory.as_os_str().is_empty() {
        pattern.to_string()
    } else {
        // The directory's own name is no pattern, whatever characters are in it.
        format!("{}/{pattern}", glob::Pattern::escape(&directory.to_string_lossy()))
    };
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let paths = glob::glob_with(&full, options).map_err(|error| format!("\"{pattern}\" is not a pattern: {error}"))?;
    let paths: Result<Vec<PathBuf>, _> = paths.collect();
    let mut paths = paths.map_err(|error| format!("cannot list `{}`: {}", error.path().display(), error.error()))?;
    paths.retain(|path| !path.is_dir());
    paths.sort();
    Ok(paths)
}

/// The text of a file, or a message and what to do about it.
pub(super) fn read_text(path: &Path) -> Result<String, (String, String)> {
    let plain = |message: String| (message, String::new());
    if path.is_dir() {
        return Err(plain("this is a directory, not a file".to_string()));
    }
    // Opening a named pipe waits for its writer, perhaps for ever. Those of a shell (`<(...)`) have one.
    let is_pipe = std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    if is_pipe && !path.starts_with("/dev") && !path.starts_with("/proc") {
        return Err(plain("this is a named pipe, not a file".to_string()));
    }
    let file = std::fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            ("there is no such file".to_string(), "`ringgate init` writes a first one".to_string())
        }
        _ => plain(format!("cannot be opened: {error}")),
    })?;
    let mut bytes = Vec::new();
    let read = file.take(limits::CONFIG_FILE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| plain(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > limits::CONFIG_FILE_MAX {
        return Err(plain(format!("is larger than {} bytes", limits::CONFIG_FILE_MAX)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|&&b| b == b'\n').count() + 1;
        plain(format!("line {line} is not UTF-8 text; save the file as UTF-8"))
    })
}
