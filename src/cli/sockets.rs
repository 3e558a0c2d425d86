//! Where the admin sockets of `proxy` and `demo` are, so that several can run and `status` finds them.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The admin socket of this process when nobody named one: its process id keeps several apart.
pub fn own() -> PathBuf {
    let directory = directories().into_iter().next().unwrap_or_else(std::env::temp_dir);
    directory.join(format!("ringgate-{}.sock", std::process::id()))
}

/// Admin sockets of this user (for root: of anybody) in the usual places, live or not.
pub fn found() -> Vec<PathBuf> {
    let mut sockets: Vec<_> = directories().iter().flat_map(|directory| in_directory(directory)).collect();
    sockets.sort();
    sockets.dedup();
    sockets
}

/// The usual places, the best first: those that exist and that this user may write in.
fn directories() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let system = (user() == Some(0)).then(|| PathBuf::from("/run"));
    let places = runtime.into_iter().chain(system).chain([std::env::temp_dir()]);
    places.filter(|path| is_writable(path)).collect()
}

/// As far as owner and mode tell: `sudo` may leave another user's XDG_RUNTIME_DIR behind.
fn is_writable(directory: &Path) -> bool {
    let writable = |metadata: std::fs::Metadata| {
        metadata.is_dir() && (metadata.mode() & 0o002 != 0 || Some(metadata.uid()) == user())
    };
    std::fs::metadata(directory).is_ok_and(writable)
}

fn in_directory(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let named = entries.flatten().map(|entry| entry.path()).filter(|path| is_our_name(path));
    named.filter(|path| is_own_socket(path)).collect()
}

fn is_our_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("ringgate") && name.ends_with(".sock")
}

/// In a directory like /tmp anybody can leave a socket of that name.
fn is_own_socket(path: &Path) -> bool {
    let me = user();
    let trusted =
        |metadata: std::fs::Metadata| metadata.file_type().is_socket() && (me == Some(0) || me == Some(metadata.uid()));
    std::fs::symlink_metadata(path).is_ok_and(trusted)
}

/// The effective user: the owner of our own entry in /proc.
fn user() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_sockets_are_found_by_name_and_kind() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["ringgate.sock", "ringgate-17.sock", "other.sock"] {
            drop(std::os::unix::net::UnixListener::bind(directory.path().join(name)).unwrap());
        }
        std::fs::write(directory.path().join("ringgate-18.sock"), "a file").unwrap();
        let mut found = in_directory(directory.path());
        found.sort();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["ringgate-17.sock", "ringgate.sock"]);
        assert!(in_directory(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn the_own_socket_names_this_process() {
        let own = own();
        assert!(is_our_name(&own) && own.is_absolute());
        assert!(own.to_str().unwrap().contains(&std::process::id().to_string()));
    }
}
