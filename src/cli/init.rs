//! `ringgate init`: a first file to change.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// What the file says. Short enough to be read, complete enough to run.
const FIRST: &str = r#"# ringgate: requests to port 8080 go to two applications in turn.
# Check it with `ringgate check`, start it with `ringgate run`.

[upstream.backend]
# balance = "least_conn"           # the one with the fewest requests in flight, instead of in turn
server = [
  "127.0.0.1:3001",
  "127.0.0.1:3002",                # "localhost:3003", "[::1]:3004", "unix:/run/app.sock", "10.0.0.5:80 weight=2"
]

[[server]]
listen = ["127.0.0.1:8080"]        # "8080" or "[::]:8080": reachable from outside too
# server_name = ["example.org"]    # without it: every name

[server.location."/"]              # the longest matching prefix wins
proxy_pass = "http://backend"      # a group as above, or an address: "http://127.0.0.1:3001"
"#;

/// Writes the file and says what to do next. An existing file is left alone.
pub fn init(path: Option<&Path>) -> ExitCode {
    let path = path.unwrap_or(Path::new("ringgate.toml"));
    match write_new(path) {
        Ok(()) => {
            // Whoever closed standard output still has the file.
            let _ = writeln!(io::stdout(), "{}", next_steps(path));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ringgate: {}", failure(path, &error));
            ExitCode::FAILURE
        }
    }
}

fn write_new(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(FIRST.as_bytes());
    if written.is_err() {
        // Half a file would stand in the way of the next try; if it cannot be removed, the first error says why.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn failure(path: &Path, error: &io::Error) -> String {
    let name = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{name} is there already and stays as it is; name another file: `ringgate init other.toml`")
        }
        io::ErrorKind::NotFound => format!("{name} cannot be written: its directory is not there"),
        _ => format!("{name} cannot be written: {error}"),
    }
}

fn next_steps(path: &Path) -> String {
    let name = path.display();
    // The default file needs no option.
    let option = if path == Path::new("ringgate.toml") { String::new() } else { format!(" -c {name}") };
    format!(
        "wrote {name}\n\n\
         next:\n  \
         1. put the addresses of your applications into it (now 127.0.0.1:3001 and 127.0.0.1:3002)\n  \
         2. ringgate check{option}\n  \
         3. ringgate run{option}\n  \
         4. curl http://127.0.0.1:8080/\n\n\
         no application at hand? these two will do, each in a terminal of its own:\n  \
         python3 -m http.server 3001\n  \
         python3 -m http.server 3002"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn the_first_file_is_good_and_short() {
        let loaded = config::load_str("ringgate.toml", FIRST).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.plan.upstreams[0].peers.len(), 2);
        assert!((12..=20).contains(&FIRST.lines().count()));
        // Its hints are good as well.
        let all = FIRST.replace("# balance", "balance").replace("# server_name", "server_name");
        config::load_str("ringgate.toml", &all).unwrap();
    }

    #[test]
    fn nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringgate.toml");
        write_new(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        let error = write_new(&path).unwrap_err();
        assert!(failure(&path, &error).contains("stays as it is"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let error = write_new(&directory.path().join("no/such/ringgate.toml")).unwrap_err();
        assert!(failure(&path, &error).contains("directory is not there"));
    }

    #[test]
    fn the_next_steps_name_the_file() {
        assert!(next_steps(Path::new("ringgate.toml")).contains("ringgate run\n"));
        assert!(next_steps(Path::new("/tmp/x.toml")).contains("ringgate run -c /tmp/x.toml\n"));
    }
}
