//! Reading directories for listings. The kernel reads directories only while the caller waits, so a thread of its own does it.

use super::autoindex::{self, Entry};
use super::shelf::leads_up;
use crate::config::plan::{Autoindex, Symlinks};
use crate::limits::{AUTOINDEX_ENTRIES_MAX, LISTING_QUEUE_MAX};
use crate::ring::{Kind, Stat, utc_offset};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, statat};
use rustix::io::Errno;
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use tokio::sync::{mpsc, oneshot};

/// Which directory is to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Absolute and trusted.
    pub base: String,
    /// Beneath it; "" for itself.
    pub relative: String,
    /// What becomes of links, to it and in it.
    pub symlinks: Symlinks,
    /// As its page is called: the request's path.
    pub path: String,
    /// How it is shown.
    pub settings: Autoindex,
}

struct Question {
    directory: Directory,
    answer: oneshot::Sender<io::Result<Vec<u8>>>,
}

/// Where a worker asks. The thread begins with the first question and ends with the desk.
#[derive(Debug, Default)]
pub struct Desk(RefCell<Option<mpsc::Sender<Question>>>);

impl Desk {
    /// Asks for the page about a directory. `Err`: too many ask, or no thread can be had.
    pub fn ask(&self, directory: Directory) -> Result<oneshot::Receiver<io::Result<Vec<u8>>>, String> {
        let mut queue = self.0.borrow_mut();
        if queue.as_ref().is_none_or(mpsc::Sender::is_closed) {
            *queue = Some(start().map_err(|error| format!("no thread to read directories: {error}"))?);
        }
        let (answer, receiver) = oneshot::channel();
        let sent = queue.as_ref().map(|queue| queue.try_send(Question { directory, answer }));
        match sent {
            Some(Ok(())) => Ok(receiver),
            _ => Err(format!("{LISTING_QUEUE_MAX} directories wait to be read")),
        }
    }
}

fn start() -> io::Result<mpsc::Sender<Question>> {
    let (sender, mut questions) = mpsc::channel::<Question>(LISTING_QUEUE_MAX);
    std::thread::Builder::new().name("ringgate-listing".to_owned()).spawn(move || {
        while let Some(Question { directory, answer }) = questions.blocking_recv() {
            if !answer.is_closed() {
                let _ = answer.send(list(&directory)); // whoever asked may have gone
            }
        }
    })?;
    Ok(sender)
}

const FLAGS: OFlags = OFlags::CLOEXEC.union(OFlags::RDONLY).union(OFlags::DIRECTORY).union(OFlags::NONBLOCK);

/// Ways that may be gone, for the kernel.
fn resolve(symlinks: Symlinks) -> ResolveFlags {
    ResolveFlags::NO_MAGICLINKS
        | match symlinks {
            Symlinks::Inside => ResolveFlags::BENEATH,
            Symlinks::Follow => ResolveFlags::empty(),
            Symlinks::Off => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        }
}

/// The page about it.
fn list(directory: &Directory) -> io::Result<Vec<u8>> {
    let Directory { base, relative, symlinks, path, settings } = directory;
    if leads_up(relative) {
        return Err(Errno::NOENT.into());
    }
    let base = openat(CWD, base.as_str(), OFlags::CLOEXEC | OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let opened = match relative.as_str() {
        "" => openat(&base, ".", FLAGS, Mode::empty())?,
        relative => openat2(&base, relative, FLAGS, Mode::empty(), resolve(*symlinks))?,
    };
    let mut entries = Vec::new();
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes().starts_with(b".") {
            continue;
        }
        if entries.len() == AUTOINDEX_ENTRIES_MAX {
            break;
        }
        // It may be gone by now.
        let Ok(own) = statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let is_link = FileType::from_raw_mode(own.st_mode) == FileType::Symlink;
        let target = if is_link { target(&base, relative, name.to_bytes(), *symlinks) } else { None };
        let stat = target.unwrap_or(own);
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            _ => Kind::Other,
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let stat = Stat { kind, size, mtime: stat.st_mtime as i64, executable: false };
        entries.push(Entry { name: name.to_bytes().to_vec(), stat });
    }
    autoindex::sort(&mut entries);
    Ok(autoindex::render(path, &entries, *settings, utc_offset()))
}

/// What a link leads to; `None`: nothing, or where it may not.
fn target(base: &OwnedFd, relative: &str, name: &[u8], symlinks: Symlinks) -> Option<rustix::fs::Stat> {
    if symlinks == Symlinks::Off {
        return None;
    }
    let separator: &[u8] = if relative.is_empty() || relative.ends_with('/') { b"" } else { b"/" };
    let path = [relative.as_bytes(), separator, name].concat();
    let file = openat2(base, path, OFlags::CLOEXEC | OFlags::PATH, Mode::empty(), resolve(symlinks)).ok()?;
    fstat(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const HTML: Autoindex = Autoindex { exact_size: true, localtime: false, json: false };

    fn directory(base: &std::path::Path, relative: &str, symlinks: Symlinks) -> Directory {
        let base = base.to_str().unwrap().to_owned();
        Directory { base, relative: relative.to_owned(), symlinks, path: "/p/".to_owned(), settings: HTML }
    }

    fn ask(desk: &Desk, directory: Directory) -> io::Result<String> {
        let page = desk.ask(directory).unwrap().blocking_recv().unwrap()?;
        Ok(String::from_utf8(page).unwrap())
    }

    /// Name and what is shown as its size, line by line.
    fn lines(page: &str) -> Vec<(String, String)> {
        let shown = page.lines().filter(|line| line.starts_with("<a href=") && !line.contains("../"));
        let word = |line: &str| line.split_whitespace().last().unwrap().to_owned();
        shown.map(|line| (line.split('"').nth(1).unwrap().to_owned(), word(line))).collect()
    }

    #[test]
    fn directories_are_listed() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let sub = root.path().join("sub");
        fs::create_dir_all(sub.join("deep")).unwrap();
        fs::write(root.path().join("up.txt"), "12345").unwrap();
        fs::write(outside.path().join("secret"), "1234567").unwrap();
        fs::write(sub.join("a.txt"), "123").unwrap();
        fs::write(sub.join(".hidden"), "123").unwrap();
        symlink("../up.txt", sub.join("inner")).unwrap();
        symlink(outside.path().join("secret"), sub.join("outer")).unwrap();
        symlink("nowhere", sub.join("broken")).unwrap();
        let own = |name: &str| fs::symlink_metadata(sub.join(name)).unwrap().len().to_string();
        let desk = Desk::default();
        let rows = [
            (Symlinks::Inside, "5".to_owned(), own("outer")),
            (Symlinks::Follow, "5".to_owned(), "7".to_owned()),
            (Symlinks::Off, own("inner"), own("outer")),
        ];
        for (symlinks, inner, outer) in rows {
            for relative in ["sub", "sub/"] {
                let page = ask(&desk, directory(root.path(), relative, symlinks)).unwrap();
                let wanted =
                    [("deep/", "-"), ("a.txt", "3"), ("broken", &own("broken")), ("inner", &inner), ("outer", &outer)];
                let wanted: Vec<_> = wanted.map(|(name, size)| (name.to_owned(), size.to_owned())).into();
                assert_eq!(lines(&page), wanted, "{symlinks:?}");
                assert!(page.contains("<title>Index of /p/</title>"), "{page}");
            }
        }
        let page = ask(&desk, directory(&sub.join("deep"), "", Symlinks::Inside)).unwrap();
        assert_eq!(lines(&page), []);
    }

    #[test]
    fn what_cannot_be_listed_is_said() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        symlink(outside.path(), root.path().join("link")).unwrap();
        let desk = Desk::default();
        let rows = [
            ("missing", Symlinks::Follow, Errno::NOENT),
            ("..", Symlinks::Follow, Errno::NOENT),
            ("file/../..", Symlinks::Inside, Errno::NOENT),
            ("file", Symlinks::Follow, Errno::NOTDIR),
            ("link", Symlinks::Inside, Errno::XDEV),
            ("link", Symlinks::Off, Errno::LOOP),
        ];
        for (relative, symlinks, wanted) in rows {
            let error = ask(&desk, directory(root.path(), relative, symlinks)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(wanted.raw_os_error()), "{relative}");
        }
        assert!(ask(&desk, directory(root.path(), "link", Symlinks::Follow)).is_ok());
    }

    #[test]
    fn a_full_queue_is_said_and_a_thread_that_ended_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let (sender, questions) = mpsc::channel(1);
        let desk = Desk(RefCell::new(Some(sender)));
        let waiting = desk.ask(directory(root.path(), "", Symlinks::Inside)).unwrap();
        assert!(desk.ask(directory(root.path(), "", Symlinks::Inside)).is_err());
        drop(questions);
        assert!(waiting.blocking_recv().is_err());
        assert!(ask(&desk, directory(root.path(), "", Symlinks::Inside)).is_ok());
    }
}
