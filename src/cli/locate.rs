//! Which configuration file is meant.

use std::path::{Path, PathBuf};

/// Where it is looked for when `-c` is not given, in this order.
const PLACES: [&str; 2] = ["ringgate.toml", "/etc/ringgate/ringgate.toml"];

/// The given file, whether it is there or not; else the first place that has one. The error says what to do.
pub fn find_config(given: Option<&Path>) -> Result<PathBuf, String> {
    find_in(given, &PLACES.map(Path::new))
}

fn find_in(given: Option<&Path>, places: &[&Path]) -> Result<PathBuf, String> {
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    // Whatever stands there is taken: a file that cannot be read must not be passed over in silence.
    let found = places.iter().find(|place| place.symlink_metadata().is_ok());
    found.map(|place| place.to_path_buf()).ok_or_else(|| {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        format!(
            "there is no configuration file (looked for {})\n  \
             ringgate init              writes a first one into this directory\n  \
             ringgate run -c FILE       takes another one\n  \
             ringgate proxy --listen 8080 --to 127.0.0.1:3000   needs none",
            places.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_given_file_wins_even_if_it_is_not_there() {
        assert_eq!(find_in(Some(Path::new("/no/such")), &[]), Ok(PathBuf::from("/no/such")));
    }

    #[test]
    fn the_first_place_that_has_a_file_wins() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("a.toml"), directory.path().join("b.toml"));
        let message = find_in(None, &[&first, &second]).unwrap_err();
        assert!(message.contains("a.toml and ") && message.contains("ringgate init"), "{message}");
        std::fs::write(&second, "").unwrap();
        assert_eq!(find_in(None, &[&first, &second]), Ok(second.clone()));
        std::os::unix::fs::symlink("/no/such", &first).unwrap();
        assert_eq!(find_in(None, &[&first, &second]), Ok(first.clone()));
    }
}
