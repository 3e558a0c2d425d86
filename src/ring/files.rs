//! Files for tasks. Nothing here waits for a disk on the worker's own thread: what the kernel has in memory is taken at once, all else
//! goes through the ring.

use super::buffers::Lease;
use super::driver::{Descriptor, Driver, OpenHow, Operation, Stat};
use super::ops::{Op, Opening, Target, Unlinking};
use super::reactor::Reactor;
use super::socket::Socket;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// What a worker keeps of its files.
#[derive(Default)]
pub(super) struct FileBooks {
    /// Nobody has them any more; closed at the end of the turn.
    closing: Rc<RefCell<Vec<Descriptor>>>,
    opens: Cell<u64>,
    reads: Cell<u64>,
    direct: Cell<u64>,
}

impl FileBooks {
    /// Files opened by way of the ring, read so, and read or sent straight from the page cache.
    pub(super) fn counts(&self) -> [u64; 3] {
        [&self.opens, &self.reads, &self.direct].map(Cell::get)
    }
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// An open file. Clones share it; it is closed when the last one is gone, the kernel's included.
#[derive(Clone)]
pub struct File(Rc<Handle>);

struct Handle {
    descriptor: Descriptor,
    closing: Rc<RefCell<Vec<Descriptor>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.closing.borrow_mut().push(self.descriptor);
    }
}

/// What the kernel answered, and who waits for it. Shared by the op slot and the future.
#[derive(Default)]
pub(super) struct Wait(RefCell<(Option<Answer>, Option<Waker>)>);

enum Answer {
    Opened(io::Result<File>),
    Read(Lease, io::Result<usize>),
    Written(Vec<u8>, io::Result<usize>),
    Unlinked(io::Result<()>),
}

impl Wait {
    fn done(&self, answer: Answer) {
        let mut wait = self.0.borrow_mut();
        wait.0 = Some(answer);
        if let Some(waker) = wait.1.take() {
            waker.wake();
        }
    }

    async fn answer(&self) -> Answer {
        poll_fn(|cx| {
            let mut wait = self.0.borrow_mut();
            match wait.0.take() {
                Some(answer) => Poll::Ready(answer),
                None => {
                    wait.1 = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// EAGAIN and EINTR.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn result_of(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}

impl<D: Driver> Reactor<D> {
    fn own(&self, descriptor: Descriptor) -> File {
        File(Rc::new(Handle { descriptor, closing: self.0.files.closing.clone() }))
    }

    /// Opens a file, from a directory or by an absolute path.
    pub async fn open(&self, at: Option<&File>, path: &CStr, how: OpenHow) -> io::Result<File> {
        let opened = self.0.driver.borrow_mut().open(at.map(|at| at.0.descriptor), path, how);
        match opened {
            Ok(descriptor) => Ok(self.own(descriptor)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.open_by_ring(at, path, how).await,
            Err(error) => Err(error),
        }
    }

    async fn open_by_ring(&self, at: Option<&File>, path: &CStr, how: OpenHow) -> io::Result<File> {
        loop {
            count(&self.0.files.opens);
            let wait = Rc::new(Wait::default());
            let opening = Opening { at: at.cloned(), path: path.to_owned(), how, wait: wait.clone() };
            self.start(Op::Open(Box::new(opening)), 0);
            match wait.answer().await {
                // What was walked through was renamed meanwhile, and ".." or a link could not be judged.
                Answer::Opened(Err(error)) if is_passing(&error) => {
                    super::executor::yield_now().await;
                }
                Answer::Opened(opened) => return opened,
                _ => unreachable!("an open is answered as an open"),
            }
        }
    }

    /// What is known of it; it is in the kernel's memory while the file is open.
    pub fn stat(&self, file: &File) -> io::Result<Stat> {
        self.0.driver.borrow_mut().stat(file.0.descriptor)
    }

    /// Reads what is in the page cache, 0 at the file's end; `None`: the beginning is not there, or nobody can tell.
    pub fn try_read(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let read = self.0.driver.borrow_mut().read_cached(file.0.descriptor, buffer, offset);
        match read {
            Ok(n) => {
                count(&self.0.files.direct);
                Ok(Some(n))
            }
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads into `lease[range]` by way of the ring; 0 at the file's end. Dropping the future loses the lease only until the kernel is
    /// done with it.
    pub async fn read(
        &self,
        file: &File,
        mut lease: Lease,
        range: Range<usize>,
        offset: u64,
    ) -> (Lease, io::Result<usize>) {
        loop {
            count(&self.0.files.reads);
            let wait = Rc::new(Wait::default());
            let (start, end) = (range.start as u32, range.end as u32);
            self.start(Op::Read { file: file.clone(), lease, start, end, wait: wait.clone() }, offset);
            match wait.answer().await {
                Answer::Read(back, Err(error)) if is_passing(&error) => {
                    lease = back;
                    self.0.driver.borrow_mut().set_blocking(file.0.descriptor);
                    super::executor::yield_now().await;
                }
                Answer::Read(lease, result) => return (lease, result),
                _ => unreachable!("a read is answered as a read"),
            }
        }
    }

    /// Writes all of `bytes` by way of the ring and gives them back. Dropping the future loses them only until the kernel is done with them.
    pub async fn write(&self, file: &File, mut bytes: Vec<u8>, offset: u64) -> (Vec<u8>, io::Result<()>) {
        let mut start = 0;
        while start < bytes.len() {
            let wait = Rc::new(Wait::default());
            self.start(Op::Write { file: file.clone(), bytes, start, wait: wait.clone() }, offset + start as u64);
            let Answer::Written(back, result) = wait.answer().await else {
                unreachable!("a write is answered as a write")
            };
            bytes = back;
            match result {
                Ok(0) => return (bytes, Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => start += n,
                Err(error) if is_passing(&error) => super::executor::yield_now().await,
                Err(error) => return (bytes, Err(error)),
            }
        }
        (bytes, Ok(()))
    }

    /// A new file in this directory, to be written and read, that has no name: it is gone with its last [`File`].
    pub async fn temporary(&self, directory: &Path) -> io::Result<File> {
        let nameless = self.open(None, &CString::new(directory.as_os_str().as_bytes())?, OpenHow::to_keep()).await;
        // Not every file system has files without names.
        let is_unknown = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR));
        if !nameless.as_ref().is_err_and(is_unknown) {
            return nameless;
        }
        let name = directory.join(format!("ringgate-{:016x}", self.random()));
        let path = CString::new(name.as_os_str().as_bytes())?;
        let file = self.open(None, &path, OpenHow::to_create()).await?;
        let wait = Rc::new(Wait::default());
        self.start(Op::Unlink(Box::new(Unlinking { path, wait: wait.clone() })), 0);
        match wait.answer().await {
            Answer::Unlinked(unlinked) => unlinked.map(|()| file),
            _ => unreachable!("an unlink is answered as an unlink"),
        }
    }

    /// All of these bytes are in the page cache, as far as the kernel tells this user.
    pub fn is_cached(&self, file: &File, offset: u64, bytes: u64) -> io::Result<bool> {
        self.0.driver.borrow_mut().is_cached(file.0.descriptor, offset, bytes)
    }

    fn start(&self, op: Op, offset: u64) {
        let mut ops = self.0.ops.borrow_mut();
        let target = ops.insert(op);
        let Target::Op { index, generation } = target else { unreachable!("an op slot names an op") };
        let operation = match ops.get(index, generation) {
            Some(Op::Open(opening)) => {
                let at = opening.at.as_ref().map(|at| at.0.descriptor);
                Operation::Open(at, opening.path.as_ptr(), &raw const opening.how)
            }
            Some(Op::Read { file, lease, start, end, .. }) => {
                let room = &mut lease[*start as usize..*end as usize];
                Operation::Read(file.0.descriptor, room.as_mut_ptr(), room.len() as u32, offset)
            }
            Some(Op::Write { file, bytes, start, .. }) => {
                let data = &bytes[*start..];
                let len = u32::try_from(data.len()).unwrap_or(u32::MAX); // the rest is written next
                Operation::Write(file.0.descriptor, data.as_ptr(), len, offset)
            }
            Some(Op::Unlink(unlinking)) => Operation::Unlink(unlinking.path.as_ptr()),
            _ => unreachable!("just inserted"),
        };
        // SAFETY: the op slot owns the boxed path and open_how, or the memory of the lease or the vector, and the files themselves,
        // until the op's only completion; nobody else can reach them meanwhile.
        unsafe { self.0.driver.borrow_mut().submit(operation, target.pack()) };
    }

    /// The one completion of an op about a file.
    pub(super) fn record_file(&self, op: Op, result: i32) {
        match op {
            Op::Open(opening) => {
                let opened = result_of(result).map(|descriptor| self.own(Descriptor(descriptor)));
                opening.wait.done(Answer::Opened(opened));
            }
            Op::Read { lease, wait, .. } => wait.done(Answer::Read(lease, result_of(result).map(|n| n as usize))),
            Op::Write { bytes, wait, .. } => wait.done(Answer::Written(bytes, result_of(result).map(|n| n as usize))),
            Op::Unlink(unlinking) => unlinking.wait.done(Answer::Unlinked(result_of(result).map(drop))),
            _ => {}
        }
    }

    /// Closes files that nobody has any more.
    pub(super) fn close_files(&self) {
        let mut closing = self.0.files.closing.borrow_mut();
        if closing.is_empty() {
            return;
        }
        let mut driver = self.0.driver.borrow_mut();
        closing.drain(..).for_each(|descriptor| driver.close(descriptor));
    }
}

impl<D: Driver> Socket<D> {
    /// Sends what the socket takes at once of `bytes`, which more follow; nothing that was sent may be in flight.
    pub fn try_send_more(&self, bytes: &[u8]) -> io::Result<usize> {
        let (descriptor, sending) = self.with(|entry| (entry.descriptor, entry.sending.is_some()));
        assert!(!sending, "one writer at a time");
        let sent = self.reactor.0.driver.borrow_mut().send_more(descriptor, bytes);
        match sent {
            Ok(n) => {
                self.with(|entry| entry.accepted_bytes += n as u64);
                Ok(n)
            }
            Err(error) if is_passing(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Sends at most `most` bytes of a file from `offset` on, straight from the page cache: as many as the socket takes at once, 0 at the
    /// file's end; `None`: there is no room ([`Socket::room`]). Nothing that was sent may be in flight, and the bytes should be in
    /// the page cache ([`Reactor::is_cached`]), for the disk is waited for.
    pub fn try_send_file(&self, file: &File, offset: u64, most: usize) -> io::Result<Option<usize>> {
        let (descriptor, sending) = self.with(|entry| (entry.descriptor, entry.sending.is_some()));
        assert!(!sending, "one writer at a time");
        let sent = self.reactor.0.driver.borrow_mut().send_file(descriptor, file.0.descriptor, offset, most);
        match sent {
            Ok(n) => {
                count(&self.reactor.0.files.direct);
                self.with(|entry| entry.accepted_bytes += n as u64);
                Ok(Some(n))
            }
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
