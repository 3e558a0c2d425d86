//! Text to `File`, with every error of form turned into a sentence that says what to write.

use crate::config::file::File;
use crate::config::report::{Place, Report};
use serde::Deserialize;
use toml::de::{DeTable, Deserializer};

/// The file, or reports about why not.
pub fn parse(source: usize, text: &str, reports: &mut Vec<Report>) -> Option<File> {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            reports.push(Report::error(Place::at(source, error.span().unwrap_or(0..0)), error.message()));
            return None;
        }
    };
    match File::deserialize(Deserializer::from(table)) {
        Ok(file) => Some(file),
        Err(error) => {
            reports.push(Report::error(Place::at(source, error.span().unwrap_or(0..0)), error.message()));
            None
        }
    }
}

/// The known word that was probably meant.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let tidy = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let word = tidy(word);
    let distance = |other: &str| strsim::damerau_levenshtein(&word, &tidy(other));
    let (near, distance) = known.into_iter().map(|other| (other, distance(other))).min_by_key(|(_, d)| *d)?;
    (distance <= (word.chars().count() / 3).max(1)).then_some(near)
}
