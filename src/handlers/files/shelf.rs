//! The files of one worker: opened without waiting for a disk, and kept open as configured.

use super::cache::{Cache, Key};
use super::etag::{etag, last_modified};
use crate::config::plan::{FileCache, Files, Symlinks};
use crate::limits::{BASE_VALID, BASES_MAX, FILE_CACHES_MAX};
use crate::ring::{Driver, File, OpenHow, Reactor, Resolve, Stat};
use ahash::HashMap;
use rustix::io::Errno;
use std::cell::RefCell;
use std::ffi::CString;
use std::io;
use std::rc::Rc;

/// An open file, and what an answer says of it.
pub struct Opened {
    /// To be read.
    pub file: File,
    /// As it was when it was opened.
    pub stat: Stat,
    /// Its entity tag.
    pub etag: String,
    /// Its Last-Modified, if the date has such a form.
    pub last_modified: Option<String>,
}

/// Why a file was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// There is none, or the path leads through something that is no directory, or out of its directory by "..".
    Missing,
    /// This process may not read it.
    Forbidden,
    /// A symbolic link leads where it may not.
    Link,
    /// The kernel's errno: too many open files, an error of the disk, and so on.
    Failed(i32),
}

impl Miss {
    /// What an error of openat2(2) means.
    pub fn of(error: &io::Error) -> Miss {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL | Errno::NXIO | Errno::NODEV) => {
                Miss::Missing
            }
            Some(Errno::ACCESS | Errno::PERM) => Miss::Forbidden,
            Some(Errno::XDEV | Errno::LOOP | Errno::MLINK) => Miss::Link,
            Some(errno) => Miss::Failed(errno.raw_os_error()),
            None => Miss::Missing, // a NUL in the path
        }
    }

    /// So it is only now: too many open files, an interrupted disk.
    fn is_passing(self) -> bool {
        matches!(self, Miss::Failed(_))
    }
}

type Found = Result<Rc<Opened>, Miss>;

/// See the head of this file.
pub struct Shelf<D: Driver> {
    reactor: Reactor<D>,
    /// Directories that paths begin at, and when each was opened, in milliseconds.
    bases: RefCell<HashMap<Box<str>, (File, u64)>>,
    /// One for each `open_file_cache` that differs.
    caches: RefCell<Vec<Cache<Found>>>,
}

/// How links are treated, as the kernel has it.
pub fn resolve(symlinks: Symlinks) -> Resolve {
    match symlinks {
        Symlinks::Inside => Resolve::Beneath,
        Symlinks::Follow => Resolve::Anywhere,
        Symlinks::Off => Resolve::NoLinks,
    }
}

/// A segment of the path leads upwards. Paths of requests have none; one that comes to be by what is put before it (`alias`) is refused
/// whatever is configured for links.
pub fn leads_up(relative: &str) -> bool {
    relative.split('/').any(|part| part == "..")
}

impl<D: Driver> Shelf<D> {
    /// Of this worker.
    pub fn new(reactor: &Reactor<D>) -> Shelf<D> {
        Shelf { reactor: reactor.clone(), bases: RefCell::default(), caches: RefCell::default() }
    }

    /// Opens what lies at `relative` beneath `base`, an absolute path that is trusted; without `relative` it is `base` itself.
    pub async fn open(&self, base: &str, relative: &str, files: &Files) -> Found {
        let resolve = resolve(files.symlinks);
        let Some(settings) = &files.cache else { return self.find(base, relative, resolve).await };
        let (key, now) = (Key { base, relative, resolve }, self.reactor.now_ms());
        if let Some(found) = self.with_cache(settings, |cache| cache.get(key, now)).flatten() {
            return found;
        }
        let found = self.find(base, relative, resolve).await;
        let is_kept = match &found {
            Ok(_) => true,
            Err(miss) => settings.errors && !miss.is_passing(),
        };
        if is_kept {
            self.with_cache(settings, |cache| cache.put(key, found.clone(), now));
        }
        found
    }

    /// Looks what lies at an absolute path, wherever links lead.
    pub async fn look(&self, path: &str) -> io::Result<Stat> {
        let path = CString::new(path)?;
        let file = self.reactor.open(None, &path, OpenHow::to_look(Resolve::Anywhere)).await?;
        self.reactor.stat(&file)
    }

    /// Files that are kept open, and directories.
    pub fn open_now(&self) -> usize {
        self.bases.borrow().len() + self.caches.borrow().iter().map(Cache::len).sum::<usize>()
    }

    async fn find(&self, base: &str, relative: &str, resolve: Resolve) -> Found {
        if leads_up(relative) {
            return Err(Miss::Missing);
        }
        let opened = match relative {
            "" => self.open_from(None, base, Resolve::Anywhere).await,
            relative => match self.base(base).await {
                Ok(directory) => self.open_from(Some(&directory), relative, resolve).await,
                Err(error) => Err(error),
            },
        };
        let stated = opened.and_then(|file| Ok((self.reactor.stat(&file)?, file)));
        let (stat, file) = stated.map_err(|error| Miss::of(&error))?;
        Ok(Rc::new(Opened { file, stat, etag: etag(&stat), last_modified: last_modified(&stat) }))
    }

    async fn open_from(&self, at: Option<&File>, path: &str, resolve: Resolve) -> io::Result<File> {
        let path = CString::new(path)?;
        self.reactor.open(at, &path, OpenHow::to_read(resolve)).await
    }

    /// The directory, opened anew now and then: a deployment may have put another one in its place.
    async fn base(&self, path: &str) -> io::Result<File> {
        let now = self.reactor.now_ms();
        let known =
            self.bases.borrow().get(path).filter(|(_, since)| now - since < BASE_VALID).map(|(file, _)| file.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let text = CString::new(path)?;
        let opened = self.reactor.open(None, &text, OpenHow::to_enter()).await;
        let mut bases = self.bases.borrow_mut();
        if bases.len() >= BASES_MAX || opened.is_err() {
            bases.retain(|_, (_, since)| now - *since < BASE_VALID);
        }
        if bases.len() < BASES_MAX
            && let Ok(file) = &opened
        {
            bases.insert(path.into(), (file.clone(), now));
        }
        opened
    }

    /// `None`: there are too many caches already.
    fn with_cache<T>(&self, settings: &FileCache, act: impl FnOnce(&mut Cache<Found>) -> T) -> Option<T> {
        let mut caches = self.caches.borrow_mut();
        if let Some(cache) = caches.iter_mut().find(|cache| cache.settings() == settings) {
            return Some(act(cache));
        }
        if caches.len() >= FILE_CACHES_MAX {
            // Configurations that were: what is left of them goes.
            let now = self.reactor.now_ms();
            caches.iter_mut().for_each(|cache| cache.expire(now));
            caches.retain(|cache| !cache.is_empty());
        }
        if caches.len() >= FILE_CACHES_MAX {
            return None;
        }
        caches.push(Cache::new(settings.clone()));
        caches.last_mut().map(act)
    }
}
