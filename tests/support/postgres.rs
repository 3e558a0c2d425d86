//! A PostgreSQL of a test's own.

use super::Place;
use super::server::{Server, free_port, is_root, open_folder};
use super::tools::{self, bounded, succeed};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seconds that a program of these tests may take.
pub const SECONDS: u32 = 240;

/// A running server, and its clients.
pub struct Postgres {
    pub server: Server,
    pub psql: PathBuf,
    pub pgbench: PathBuf,
}

/// The newest installed server's programs: Debian keeps them out of the PATH.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok).collect();
    found.sort_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    found.into_iter().rev().map(|entry| entry.path().join("bin")).find(|bin| bin.join("initdb").is_file())
}

impl Postgres {
    /// Starts one, on a port of 127.0.0.1; `None` (and a line that says so) if it is not installed.
    #[track_caller]
    pub fn start(test: &str) -> Option<Postgres> {
        let (psql, pgbench) = (tools::find(test, "psql")?, tools::find(test, "pgbench")?);
        let Some(bin) = programs() else {
            tools::skip(test, "no PostgreSQL server is installed");
            return None;
        };
        // It does not run as root.
        let as_nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let setpriv = if is_root() { Some(tools::find(test, "setpriv")?) } else { None };
        let unprivileged = |program: &Path, seconds: u32| {
            let Some(setpriv) = &setpriv else { return bounded(program, seconds) };
            let mut command = bounded(setpriv, seconds);
            command.args(as_nobody).arg(program);
            command
        };
        let folder = open_folder("ringgate-postgres-");
        if is_root() {
            std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).expect("root may");
        }
        let dir = folder.path().to_str().expect("a plain name").to_owned();
        let data = format!("{dir}/data");
        let mut initdb = unprivileged(&bin.join("initdb"), 60);
        initdb.args(["-D", &data, "-A", "trust", "-U", "postgres", "--no-sync", "--locale=C", "-E", "UTF8"]);
        let output = initdb.current_dir(&dir).output().expect("a program runs");
        assert!(output.status.success(), "{initdb:?}: {}", String::from_utf8_lossy(&output.stderr));
        let port = free_port();
        let mut command = unprivileged(&bin.join("postgres"), 600);
        command.args(["-D", &data, "-p", &port.to_string(), "-k", &dir]).current_dir(&dir);
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "max_wal_size=4GB"] {
            command.args(["-c", setting]);
        }
        let place = Place::parse(&format!("127.0.0.1:{port}"));
        let ready = move |log: &str| log.contains("ready to accept connections").then(|| place.clone());
        let mut server = Server::start(&mut command, ready, folder);
        server.stop = "INT"; // "fast": it does not wait for clients
        Some(Postgres { server, psql, pgbench })
    }

    /// psql, connected to ringgate or directly.
    pub fn psql(&self, to: &Place, arguments: &[&str]) -> Command {
        let mut command = bounded(&self.psql, SECONDS);
        command.args(connection(&to.port().to_string())).args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).args(arguments);
        command
    }

    /// What the server answers when it is asked directly.
    #[track_caller]
    pub fn asked(&self, sql: &str) -> String {
        let port = self.server.place.port().to_string();
        let arguments = [&connection(&port)[..], &["-X", "-q", "-A", "-t", "-c", sql]].concat();
        succeed(&self.psql, &arguments, SECONDS).text().trim().to_owned()
    }
}

/// Arguments that name the server for psql.
pub fn connection(port: &str) -> [&str; 8] {
    ["-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", "postgres"]
}
