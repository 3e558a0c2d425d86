//! By what it is seen that a file is another than before, without reading it.

use crate::config::plan::CertificateFiles;
use crate::limits::STAMP_SETTLED;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The files of a pair at one moment, at the ends of the links that lead there; `None`: not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    chain: Option<Stamp>,
    key: Option<Stamp>,
    /// Nothing was written just now: a second write could still have the same times.
    settled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    /// Looks at the files. `now`: seconds since 1970. To be done before they are read.
    pub fn of(files: &CertificateFiles, now: i64) -> Stamps {
        let (chain, key) = (Stamp::of(&files.chain), Stamp::of(&files.key));
        let settled = |stamp: &Stamp| !(0..STAMP_SETTLED).contains(&(now - stamp.modified.0.max(stamp.changed.0)));
        Stamps { chain, key, settled: [chain, key].iter().flatten().all(settled) }
    }

    /// The files are surely the same as when `self` was made.
    pub fn are_still(&self, later: &Stamps) -> bool {
        self.settled && (self.chain, self.key) == (later.chain, later.key)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Stamp {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}
