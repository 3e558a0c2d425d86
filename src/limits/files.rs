//! Bounds of static files.

/// Ranges of one request; a request for more gets the whole file. Each has a head of its own, up to six times as long as what asks
/// for it.
pub const RANGES_MAX: usize = 1000;
/// Bytes of a file from which it goes from the page cache to the socket without being copied, if the connection is in clear text.
pub const SENDFILE_MIN: u64 = 64 * 1024;
/// Bytes of a file of which it is asked at a time whether they are in memory.
pub const SENDFILE_WINDOW: u64 = 1024 * 1024;
/// Milliseconds for which the answer counts. A page that goes within them makes one call wait for the disk.
pub const SENDFILE_KNOWN: u64 = 100;
/// Bytes that a head of a file's answer may have, to choose a buffer by that holds both.
pub const FILE_HEAD_ROOM: usize = 1024;
/// Files that one worker keeps open (nginx has no bound but what is configured).
pub const FILES_KEPT_MAX: usize = 65_536;
/// Different `open_file_cache` that one worker heeds.
pub const FILE_CACHES_MAX: usize = 64;
/// Milliseconds that the directory of a root or alias stays open: a deployment may change where a link leads.
pub const BASE_VALID: u64 = 1_000;
/// Such directories of one worker.
pub const BASES_MAX: usize = 256;
/// Names in one listing; further ones are left out.
pub const AUTOINDEX_ENTRIES_MAX: usize = 20_000;
/// Listings of one worker that wait to be made.
pub const LISTING_QUEUE_MAX: usize = 64;
