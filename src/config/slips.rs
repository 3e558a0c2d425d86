//! Text to `File`, with every error of form turned into a sentence that says what to write.

mod keys;
mod nginx;
mod shape;
mod syntax;

use crate::config::file::File;
use crate::config::report::{Place, Report};
use serde::Deserialize;
use toml::de::{DeTable, Deserializer};

/// The file, or reports about why not.
pub fn parse(source: usize, text: &str, reports: &mut Vec<Report>) -> Option<File> {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            reports.push(syntax::explain(source, text, &error));
            return None;
        }
    };
    let known = reports.len();
    shape::check(source, text, table.get_ref(), reports);
    if reports.len() > known {
        return None;
    }
    // The shape was right, so this fails only where `keys` and `file` differ.
    File::deserialize(Deserializer::from(table))
        .map_err(|error| reports.push(Report::error(Place::at(source, error.span().unwrap_or(0..0)), error.message())))
        .ok()
}

/// `[server]` or `[tcp]`, where there can be several.
fn two_brackets(name: &str) -> String {
    let whose = if name == "tcp" { "a tcp listener's" } else { "a server's" };
    format!("{whose} heading has two brackets, as there can be several; write [[{name}]]")
}

/// The known word that was probably meant.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let tidy = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let word = tidy(word);
    let distance = |other: &str| strsim::damerau_levenshtein(&word, &tidy(other));
    let (near, distance) = known.into_iter().map(|other| (other, distance(other))).min_by_key(|(_, d)| *d)?;
    (distance <= (word.chars().count() / 3).max(1)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::keys::{Form, KEYS, Section};
    use super::*;

    /// The list of keys and the mirror name the same keys in the same sections.
    #[test]
    fn keys_and_mirror_agree() {
        for (section, head) in [
            (Section::Top, ""),
            (Section::Upstream, "[upstream.a]\n"),
            (Section::HealthCheck, "[upstream.a.health_check]\n"),
            (Section::Backend, "[[upstream.a.server]]\n"),
            (Section::Server, "[[server]]\n"),
            (Section::Location, "[[server]]\n[server.location.\"/\"]\n"),
            (Section::Tcp, "[[tcp]]\n"),
            (Section::Map, "[map.a]\n"),
        ] {
            let text = format!("{head}nonsense = 1\n");
            let error = toml::from_str::<File>(&text).unwrap_err();
            let mut mirror: Vec<&str> = error.message().split('`').skip(3).step_by(2).collect();
            let mut listed: Vec<&str> = section.keys().map(|key| key.name).collect();
            mirror.sort_unstable();
            listed.sort_unstable();
            assert_eq!(mirror, listed, "{section:?}");
            for key in section.keys().filter(|key| !matches!(key.form, Form::Sections | Form::Table)) {
                let mut reports = Vec::new();
                parse(0, &format!("{head}{}\n", key.example), &mut reports);
                assert!(reports.is_empty(), "{}: {reports:?}", key.example);
            }
        }
        assert!(KEYS.iter().all(|key| !key.sections.is_empty()));
    }

    #[test]
    fn near_words() {
        for (word, near) in [
            ("proxypass", Some("proxy_pass")),
            ("proxy-pass", Some("proxy_pass")),
            ("Listen", Some("listen")),
            ("liste", Some("listen")),
            ("something", None),
        ] {
            assert_eq!(closest(word, ["listen", "proxy_pass"]), near);
        }
    }
}
