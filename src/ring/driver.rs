//! The seam to the operating system: every system call on a socket, pipe or eventfd, the clock and randomness are methods of
//! [`Driver`]. Workers are generic over it: io_uring ([`super::uring`]) in earnest, a script in the tests.

use std::ffi::{CStr, c_char};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// A file descriptor as the driver names it. Copying it copies a name, not ownership: the socket table owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Descriptor(pub i32);

/// What the kernel is asked to do in its own time.
#[derive(Debug, Clone, Copy)]
pub enum Operation {
    /// Multishot poll for POLLIN | POLLRDHUP; completes with an event mask each time something changes.
    PollRead(Descriptor),
    /// One-shot poll for POLLOUT.
    PollWrite(Descriptor),
    /// Multishot poll for POLLOUT. Of a socket whose peer has ended the one-shot poll says just that, at once and again and again: the kernel
    /// adds POLLRDHUP to every mask. This one says it once, and then when there is room.
    PollRoom(Descriptor),
    /// Multishot accept of non-blocking descriptors.
    Accept(Descriptor),
    /// Connect to the address at this place.
    Connect(Descriptor, *const libc::sockaddr, libc::socklen_t),
    /// Send what the socket takes of these bytes now; EAGAIN if it takes none.
    Send(Descriptor, *const u8, u32),
    /// openat2 of the path at this place, from a directory; the path is absolute without one.
    Open(Option<Descriptor>, *const c_char, *const OpenHow),
    /// Read at most so many bytes of a file into this place, from this offset on.
    Read(Descriptor, *mut u8, u32, u64),
    /// Write so many bytes at this place into a file, from this offset on.
    Write(Descriptor, *const u8, u32, u64),
    /// unlinkat of the path at this place.
    Unlink(*const c_char),
    /// Cancel the operation with this user_data.
    Cancel(u64),
}

/// How a path may lead to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolve {
    /// Wherever it leads.
    Anywhere,
    /// Beneath the directory all along; symbolic links that stay there are followed.
    Beneath,
    /// The same, and no symbolic link is followed.
    NoLinks,
}

/// What openat2(2) is told: the kernel's `struct open_how`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenHow {
    pub(super) flags: u64,
    pub(super) mode: u64,
    pub(super) resolve: u64,
}

impl OpenHow {
    /// For reading. Never waits for a pipe's other end, nor takes a terminal.
    pub fn to_read(resolve: Resolve) -> OpenHow {
        OpenHow::new(libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, resolve)
    }

    /// For a look at what it is; nothing can be read.
    pub fn to_look(resolve: Resolve) -> OpenHow {
        OpenHow::new(libc::O_PATH, resolve)
    }

    /// A directory from which others are opened.
    pub fn to_enter() -> OpenHow {
        OpenHow::new(libc::O_PATH | libc::O_DIRECTORY, Resolve::Anywhere)
    }

    /// A new file without a name in this directory, for this process alone.
    pub fn to_keep() -> OpenHow {
        OpenHow { mode: 0o600, ..OpenHow::new(libc::O_TMPFILE | libc::O_RDWR | libc::O_EXCL, Resolve::Anywhere) }
    }

    /// A new file of this name, for this process alone.
    pub fn to_create() -> OpenHow {
        OpenHow { mode: 0o600, ..OpenHow::new(libc::O_CREAT | libc::O_RDWR | libc::O_EXCL, Resolve::Anywhere) }
    }

    fn new(flags: libc::c_int, resolve: Resolve) -> OpenHow {
        let resolve = match resolve {
            Resolve::Anywhere => libc::RESOLVE_NO_MAGICLINKS,
            Resolve::Beneath => libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_BENEATH,
            Resolve::NoLinks => libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS,
        };
        OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode: 0, resolve }
    }
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A pipe, a device, a socket.
    Other,
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// When it was changed, in seconds since 1970.
    pub mtime: i64,
    /// Its owner may execute it.
    pub executable: bool,
}

/// An answer of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// As given with the operation.
    pub user_data: u64,
    /// The result, or a negative errno.
    pub result: i32,
    /// Further completions of the same operation follow.
    pub more: bool,
}

/// Which half of a connection to shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// No more bytes from us: the peer reads FIN.
    Write,
    /// Both: for aborting only; whatever is in flight completes.
    Both,
}

/// What kind of socket to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// AF_INET
    V4,
    /// AF_INET6
    V6,
    /// AF_UNIX
    Unix,
}

/// A new pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipeEnds {
    /// Where bytes come out.
    pub read: Descriptor,
    /// Where bytes go in.
    pub write: Descriptor,
    /// Bytes that it holds.
    pub capacity: usize,
}

/// Wakes the thread that waits in [`Driver::wait`]; may be called from any thread.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// The operating system, as a worker sees it.
pub trait Driver: 'static {
    /// Monotonic nanoseconds.
    fn now(&self) -> u64;
    /// Sixty-four random bits; not for secrets.
    fn random(&mut self) -> u64;
    /// A way to wake this driver's thread.
    fn notify(&self) -> Notify;

    /// Queues an operation; it goes to the kernel with the next [`Driver::wait`] at the latest.
    ///
    /// # Safety
    /// Memory that `operation` points to stays valid and is not written until the operation's last completion.
    unsafe fn submit(&mut self, operation: Operation, user_data: u64);

    /// Hands over what is queued, waits for a completion, a notification or `timeout_ns` (`None`: without end), and appends
    /// at most [`crate::limits::COMPLETIONS_PER_TURN`] completions.
    fn wait(&mut self, timeout_ns: Option<u64>, out: &mut Vec<Completion>) -> io::Result<()>;

    /// recv(2) on a non-blocking socket.
    fn recv(&mut self, socket: Descriptor, buffer: &mut [u8]) -> io::Result<usize>;
    /// recv(2) with MSG_PEEK of one byte: 0 means FIN.
    fn peek(&mut self, socket: Descriptor) -> io::Result<usize>;
    /// A non-blocking stream socket; TCP ones with TCP_NODELAY.
    fn socket(&mut self, domain: Domain) -> io::Result<Descriptor>;
    /// accept4(2) on a non-blocking listener.
    fn accept(&mut self, listener: Descriptor) -> io::Result<Descriptor>;
    /// getpeername(2); `None` for unix sockets.
    fn peer(&mut self, socket: Descriptor) -> io::Result<Option<SocketAddr>>;
    /// getsockname(2); `None` for unix sockets.
    fn local(&mut self, socket: Descriptor) -> io::Result<Option<SocketAddr>>;
    /// shutdown(2), done directly: IORING_OP_SHUTDOWN always runs on a kernel worker thread.
    fn shutdown(&mut self, socket: Descriptor, half: Shutdown) -> io::Result<()>;
    /// A non-blocking pipe of `bytes` bytes if the kernel grants it (pipe-user-pages-soft), else of what it gives: see `PipeEnds::capacity`.
    fn pipe(&mut self, bytes: usize) -> io::Result<PipeEnds>;
    /// splice(2) of at most `most` bytes from a socket into an empty pipe; 0 at FIN.
    fn splice_in(&mut self, from: Descriptor, pipe: Descriptor, most: usize) -> io::Result<usize>;
    /// splice(2) of at most `most` bytes from a pipe to a socket. `more` follow at once (SPLICE_F_MORE).
    fn splice_out(&mut self, pipe: Descriptor, to: Descriptor, most: usize, more: bool) -> io::Result<usize>;
    /// openat2(2) with what the kernel has in memory: EAGAIN where a disk would have to be asked.
    fn open(&mut self, at: Option<Descriptor>, path: &CStr, how: OpenHow) -> io::Result<Descriptor>;
    /// fstat(2).
    fn stat(&mut self, file: Descriptor) -> io::Result<Stat>;
    /// preadv2(2) of what is in the page cache (RWF_NOWAIT): EAGAIN if nothing is, EOPNOTSUPP where a file system cannot tell.
    fn read_cached(&mut self, file: Descriptor, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Clears O_NONBLOCK. On a file system that cannot tell what is in memory, reads through the ring say EAGAIN for ever with it.
    fn set_blocking(&mut self, file: Descriptor);
    /// cachestat(2): all of these bytes are in the page cache. ENOSYS before Linux 6.5, EPERM for files that this user may not write.
    fn is_cached(&mut self, file: Descriptor, offset: u64, bytes: u64) -> io::Result<bool>;
    /// send(2) with MSG_MORE: what follows at once leaves in the same segment.
    fn send_more(&mut self, socket: Descriptor, bytes: &[u8]) -> io::Result<usize>;
    /// sendfile(2) of at most `most` bytes from `offset` on; 0 at the file's end.
    fn send_file(&mut self, to: Descriptor, file: Descriptor, offset: u64, most: usize) -> io::Result<usize>;
    /// Bytes sent that the peer has not acknowledged (SIOCOUTQ).
    fn unacknowledged(&mut self, socket: Descriptor) -> usize;
    /// TCP keep-alive, so that a peer that vanished is noticed though nothing is sent; a no-op for unix sockets.
    fn keep_alive(&mut self, socket: Descriptor);
    /// SO_LINGER with zero seconds: the coming close sends RST.
    fn reset_on_close(&mut self, socket: Descriptor);
    /// Makes the kernel drop new SYNs to this listener, so that its accept queue can be emptied for good. Handshakes under way
    /// finish. Done by a classic BPF filter; a no-op for unix sockets.
    fn refuse_new(&mut self, listener: Descriptor) -> io::Result<()>;
    /// close(2). The caller has seen the last completion of every operation on it.
    fn close(&mut self, descriptor: Descriptor);
}
