//! System calls on files that answer from the kernel's memory, or say that they cannot.

use super::check;
use crate::ring::driver::{Descriptor, Kind, OpenHow, Stat};
use std::ffi::CStr;
use std::io;

/// Linux 6.5, for all architectures; the packages do not name it yet.
const SYS_CACHESTAT: libc::c_long = 451;

/// openat2(2) with RESOLVE_CACHED.
pub(super) fn open(at: Option<Descriptor>, path: &CStr, how: OpenHow) -> io::Result<Descriptor> {
    let how = OpenHow { resolve: how.resolve | libc::RESOLVE_CACHED, ..how };
    let at = at.map_or(libc::AT_FDCWD, |at| at.0);
    // SAFETY: the path ends with NUL, and `how` is a `struct open_how` of the size that is told.
    let opened = unsafe { libc::syscall(libc::SYS_openat2, at, path.as_ptr(), &raw const how, size_of::<OpenHow>()) };
    Ok(Descriptor(check(opened)? as i32))
}

pub(super) fn stat(file: Descriptor) -> io::Result<Stat> {
    let mut stat = std::mem::MaybeUninit::<libc::stat64>::zeroed();
    // SAFETY: the kernel writes one `struct stat`; all zeroes are one, too.
    let stat = unsafe {
        check(libc::fstat64(file.0, stat.as_mut_ptr()))?;
        stat.assume_init()
    };
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => Kind::File,
        libc::S_IFDIR => Kind::Directory,
        _ => Kind::Other,
    };
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    Ok(Stat { kind, size, mtime: stat.st_mtime, executable: stat.st_mode & libc::S_IXUSR != 0 })
}

pub(super) fn read_cached(file: Descriptor, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let into = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: one vector, which is writable for its length during the call.
    check(unsafe { libc::preadv2(file.0, &raw const into, 1, offset as libc::off_t, libc::RWF_NOWAIT) } as i64)
}

/// The kernel's `struct cachestat_range` and `struct cachestat`.
#[repr(C)]
struct CachestatRange {
    offset: u64,
    bytes: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

pub(super) fn is_cached(file: Descriptor, offset: u64, bytes: u64) -> io::Result<bool> {
    // Zero bytes would mean the whole rest of the file.
    let Some(last) = (offset + bytes).checked_sub(1).filter(|_| bytes > 0) else { return Ok(true) };
    let range = CachestatRange { offset, bytes };
    let mut found = Cachestat::default();
    // SAFETY: the kernel reads the one structure and writes the other; both are as it declares them.
    check(unsafe { libc::syscall(SYS_CACHESTAT, file.0, &raw const range, &raw mut found, 0) })?;
    // SAFETY: no memory arguments.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(1) as u64;
    Ok(found.cached > last / page - offset / page)
}
