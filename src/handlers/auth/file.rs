//! Files of names and hashed passwords (htpasswd), kept read until they change.

use crate::limits::{AUTH_FILE_MAX, AUTH_FILES_MAX, AUTH_LOOK_INTERVAL};
use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What tells that a file is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    place: (u64, u64),
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Identity {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file as it was read.
pub struct Passwords {
    pub identity: Identity,
    users: HashMap<Vec<u8>, String>,
}

impl Passwords {
    /// The hashed password of this name.
    pub fn of(&self, user: &[u8]) -> Option<&str> {
        self.users.get(user).map(String::as_str)
    }

    /// Anybody's.
    pub fn any(&self) -> Option<&str> {
        self.users.values().next().map(String::as_str)
    }
}

/// `name:hash` in each line, and perhaps `:comment`; the first of a name counts. Lines with `#` first are comments.
fn parse(text: &[u8]) -> HashMap<Vec<u8>, String> {
    let mut users = HashMap::new();
    for line in text.split(|&byte| byte == b'\n') {
        let mut parts = line.strip_suffix(b"\r").unwrap_or(line).split(|&byte| byte == b':');
        if let (Some(user), Some(hash)) = (parts.next(), parts.next())
            && !user.is_empty()
            && !user.starts_with(b"#")
        {
            users.entry(user.to_vec()).or_insert_with(|| String::from_utf8_lossy(hash).into_owned());
        }
    }
    users
}

/// Reads one. NONBLOCK: a pipe that lies there must not be waited for.
fn read(path: &Path) -> io::Result<Passwords> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits();
    let file: File = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    (&file).take(AUTH_FILE_MAX + 1).read_to_end(&mut text)?;
    match text.len() as u64 > AUTH_FILE_MAX {
        true => Err(io::Error::other(format!("more than {AUTH_FILE_MAX} bytes"))),
        // What it was before it was read: a change while it was read is seen as one.
        false => Ok(Passwords { identity: Identity::of(&metadata), users: parse(&text) }),
    }
}

/// The files that were asked for.
#[derive(Default)]
pub struct Files(HashMap<PathBuf, (Instant, Passwords)>);

impl Files {
    /// The file as it is, or was within the last second.
    pub fn get(&mut self, path: &Path, now: Instant) -> io::Result<&Passwords> {
        if !self.is_fresh(path, now) {
            let passwords = read(path).inspect_err(|_| drop(self.0.remove(path)))?;
            if self.0.len() >= AUTH_FILES_MAX {
                self.0.clear();
            }
            self.0.insert(path.to_owned(), (now, passwords));
        }
        self.0.get(path).map(|(_, passwords)| passwords).ok_or_else(|| io::Error::other("it was not kept"))
    }

    fn is_fresh(&mut self, path: &Path, now: Instant) -> bool {
        let Some((looked, passwords)) = self.0.get_mut(path) else { return false };
        if now.saturating_duration_since(*looked) < Duration::from_millis(AUTH_LOOK_INTERVAL) {
            return true;
        }
        *looked = now;
        std::fs::metadata(path).is_ok_and(|metadata| Identity::of(&metadata) == passwords.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_nginx_reads_them() {
        let text = b"# a comment\nann:one\nbob:two:a comment\r\n\n:none\nann:three\n#eve:no\nhash#:four\n no name\nlast:five\r\n\xff:\xfe";
        let users = parse(text);
        let rows: [(&[u8], Option<&str>); 9] = [
            (b"ann", Some("one")),
            (b"bob", Some("two")),
            (b"hash#", Some("four")),
            (b"last", Some("five")),
            (b"\xff", Some("\u{fffd}")),
            (b"", None),
            (b"#eve", None),
            (b"eve", None),
            (b" no name", None),
        ];
        for (user, wanted) in rows {
            assert_eq!(users.get(user).map(String::as_str), wanted, "{user:?}");
        }
        assert_eq!(users.len(), 5);
        assert!(parse(b"").is_empty());
    }

    #[test]
    fn files_are_read_again_when_they_changed_and_a_second_passed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        std::fs::write(&path, "a:1\n").unwrap();
        let (mut files, begin) = (Files::default(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        let mut seen = |ms| files.get(&path, at(ms)).map(|file| file.of(b"a").map(str::to_owned)).ok().flatten();
        assert_eq!(seen(0).as_deref(), Some("1"));
        // Renamed into place, as editors and htpasswd do: another inode, whatever the clock says.
        let replace = |text: &str| {
            std::fs::write(folder.path().join("new"), text).unwrap();
            std::fs::rename(folder.path().join("new"), &path).unwrap();
        };
        replace("a:2\n");
        assert_eq!(seen(AUTH_LOOK_INTERVAL - 1).as_deref(), Some("1"));
        assert_eq!(seen(AUTH_LOOK_INTERVAL).as_deref(), Some("2"));
        std::fs::write(&path, "a:three\n").unwrap();
        assert_eq!(seen(2 * AUTH_LOOK_INTERVAL).as_deref(), Some("three"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(seen(2 * AUTH_LOOK_INTERVAL + 1).as_deref(), Some("three"));
        assert_eq!(seen(3 * AUTH_LOOK_INTERVAL), None);
        replace("a:4\n");
        assert_eq!(seen(3 * AUTH_LOOK_INTERVAL).as_deref(), Some("4"), "an error is not kept");
    }

    #[test]
    fn what_is_no_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = |name: &str| match Files::default().get(&folder.path().join(name), Instant::now()) {
            Ok(_) => panic!("{name} was read"),
            Err(error) => error,
        };
        assert_eq!(error("missing").kind(), io::ErrorKind::NotFound);
        assert!(error(".").to_string().contains("not a regular file"));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(error("pipe").to_string().contains("not a regular file"));
        let large = File::create(folder.path().join("large")).unwrap();
        large.set_len(AUTH_FILE_MAX + 1).unwrap();
        assert!(error("large").to_string().contains("more than"));
    }
}
