//! `ringgate check`: is this configuration good? Speaks nginx's words, to standard error as nginx does.

use crate::cli::locate::find_config;
use crate::config;
use crate::config::plan::Plan;
use crate::tls::Terms;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Loads the file and says whether it could run.
pub fn check(path: Option<&Path>) -> ExitCode {
    let mut text = Vec::new();
    let good = check_to(path, &mut text).is_ok_and(|good| good);
    // Whoever closed standard error still gets the exit code.
    let _ = io::stderr().write_all(&text);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check_to(path: Option<&Path>, out: &mut impl Write) -> io::Result<bool> {
    let path = match find_config(path) {
        Ok(path) => path,
        Err(message) => {
            writeln!(out, "ringgate: {message}")?;
            return Ok(false);
        }
    };
    let name = path.display();
    match config::load(&path) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                writeln!(out, "{warning}")?;
            }
            writeln!(out, "ringgate: the configuration file {name} syntax is ok")?;
            if !files_are_good(&loaded.plan, out)? {
                writeln!(out, "ringgate: configuration file {name} test failed")?;
                return Ok(false);
            }
            writeln!(out, "ringgate: configuration file {name} test is successful")?;
            Ok(true)
        }
        Err(errors) => {
            writeln!(out, "{errors}\n\nringgate: configuration file {name} test failed")?;
            Ok(false)
        }
    }
}

/// As nginx: the certificates and keys that a plan names are looked at too.
fn files_are_good(plan: &Plan, out: &mut impl Write) -> io::Result<bool> {
    let (level, lines, good) = match Terms::load(plan, &Arc::default(), None) {
        Ok((_, warnings)) => ("warning", warnings, true),
        Err(errors) => ("error", errors, false),
    };
    for line in lines {
        writeln!(out, "{level}: {line}")?;
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{self, Authority, Wanted, plan, ssl};

    fn run(text: &str) -> (bool, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringgate.toml");
        std::fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let good = check_to(Some(&path), &mut out).unwrap();
        (good, String::from_utf8(out).unwrap().replace(directory.path().to_str().unwrap(), "DIR"))
    }

    #[test]
    fn a_good_file_gets_two_lines() {
        let (good, text) = run("[[server]]\nlisten = 8080\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:3000\"\n");
        assert!(good);
        assert_eq!(
            text,
            "ringgate: the configuration file DIR/ringgate.toml syntax is ok\n\
             ringgate: configuration file DIR/ringgate.toml test is successful\n"
        );
    }

    #[test]
    fn a_bad_file_gets_its_errors_and_a_verdict() {
        let (good, text) = run("wokers = 4\n");
        assert!(!good);
        assert!(text.starts_with("DIR/ringgate.toml:1:1: error: "), "{text}");
        assert!(text.ends_with("\n\nringgate: configuration file DIR/ringgate.toml test failed\n"), "{text}");
    }

    #[test]
    fn warnings_come_first() {
        let (good, text) = run("[upstream.spare]\nserver = \"127.0.0.1:1\"\n[[server]]\nlisten = 8080\n\
             location.\"/\".proxy_pass = \"http://127.0.0.1:3000\"\n");
        assert!(good);
        assert!(text.starts_with("DIR/ringgate.toml:1:11: warning: "), "{text}");
        assert!(text.ends_with("test is successful\n"), "{text}");
    }

    #[test]
    fn a_missing_file_is_told_with_its_name() {
        let mut out = Vec::new();
        assert!(!check_to(Some(Path::new("/no/such.toml")), &mut out).unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("/no/such.toml:1:1: error: there is no such file\n"), "{text}");
    }

    #[test]
    fn the_files_that_it_names_are_looked_at() {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
        let files = testing::files(folder.path(), "a");
        let look = || {
            let mut out = Vec::new();
            let good = files_are_good(&plan(&[(&["a.test"], ssl(vec![files.clone()]))]), &mut out).unwrap();
            (good, String::from_utf8(out).unwrap().replace(folder.path().to_str().unwrap(), "DIR"))
        };
        let (good, text) = look();
        assert!(good && text.starts_with("warning: DIR/a.pem is not there yet: a self-signed placeholder"), "{text}");
        authority.server(&["a.test"]).write(folder.path(), "a");
        assert_eq!(look(), (true, String::new()));
        authority.server(&["b.test"]).write(folder.path(), "a");
        let (good, text) = look();
        assert!(good && text.starts_with("warning: no certificate of the server is made out to a.test"), "{text}");
        authority.sign(Wanted { days: -1..10, ..Wanted::default() }).write(folder.path(), "a");
        let (good, text) = look();
        assert!(good && text.starts_with("warning: the certificate in DIR/a.pem expires in "), "{text}");
        std::fs::write(&files.chain, authority.server(&["a.test"]).certificate).unwrap();
        let (good, text) = look();
        assert!(
            !good && text.starts_with("error: the key in DIR/a.key is not that of the certificate in DIR/a.pem"),
            "{text}"
        );
    }
}
