//! A PostgreSQL server in a folder of its own. It does not run as root, so root starts it as nobody.

use super::server::{Server, free_port, is_root, open_folder};
use super::tools::{self, bounded};
use super::{Place, server};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The newest installed server's programs: Debian keeps them out of the PATH.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok).collect();
    found.sort_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    found.into_iter().rev().map(|entry| entry.path().join("bin")).find(|bin| bin.join("initdb").is_file())
}

/// Lets the server own a file that was made for it.
pub fn give(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("root may");
    }
}

/// Starts one with these settings, and the superuser `postgres`. `prepare` may change the cluster's files before; it is ready when
/// it has logged `ready`. Its unix socket is in its folder.
#[track_caller]
pub fn start(test: &str, settings: &[&str], prepare: impl FnOnce(&Path), ready: &'static str) -> Option<Server> {
    let Some(bin) = programs() else {
        tools::skip(test, "no PostgreSQL server is installed");
        return None;
    };
    let as_nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let setpriv = if is_root() { Some(tools::find(test, "setpriv")?) } else { None };
    let unprivileged = |program: &Path, seconds: u32| {
        let Some(setpriv) = &setpriv else { return bounded(program, seconds) };
        let mut command = bounded(setpriv, seconds);
        command.args(as_nobody).arg(program);
        command
    };
    let folder = open_folder("ringgate-postgres-");
    give(folder.path());
    let dir = folder.path().to_str().expect("a plain name").to_owned();
    let data = format!("{dir}/data");
    let mut initdb = unprivileged(&bin.join("initdb"), 60);
    initdb.args(["-D", &data, "-A", "trust", "-U", "postgres", "--no-sync", "--locale=C", "-E", "UTF8"]);
    let output = initdb.current_dir(&dir).output().expect("a program runs");
    assert!(output.status.success(), "{initdb:?}: {}", String::from_utf8_lossy(&output.stderr));
    prepare(Path::new(&data));
    let port = free_port();
    let mut command: Command = unprivileged(&bin.join("postgres"), 600);
    command.args(["-D", &data, "-p", &port.to_string(), "-k", &dir]).current_dir(&dir);
    for setting in [&["listen_addresses=127.0.0.1", "fsync=off"], settings].concat() {
        command.args(["-c", setting]);
    }
    let place = Place::parse(&format!("127.0.0.1:{port}"));
    let ready = move |log: &str| log.contains(ready).then(|| place.clone());
    let mut server = server::Server::start(&mut command, ready, folder);
    server.stop = "INT"; // "fast": it does not wait for clients
    Some(server)
}
