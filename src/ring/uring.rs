//! The driver for earnest: one io_uring, created on the thread that uses it.

mod disk;
pub mod trial;

use super::driver::{Completion, Descriptor, Domain, Driver, Notify, OpenHow, Operation, PipeEnds, Shutdown, Stat};
use crate::limits;
use io_uring::{IoUring, opcode, squeue, types};
use std::ffi::CStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

/// user_data of the poll on our own eventfd. Op slots never use it: their generations start at one.
const WAKE: u64 = 0;
const GETEVENTS: u32 = 1;
const EXT_ARG: u32 = 8;

/// io_uring and the direct system calls beside it.
pub struct Uring {
    ring: IoUring,
    wake: Arc<OwnedFd>,
    wake_armed: bool,
    /// The ring failed while an operation was being queued; told by the next `wait`, which ends the worker.
    failed: Option<io::Error>,
    random: u64,
}

/// io_uring cannot be used here. `cli::doctor` finds out why.
#[derive(Debug)]
pub struct Unavailable {
    /// What the kernel said.
    pub error: io::Error,
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "io_uring cannot be used: {}", self.error)
    }
}

impl Uring {
    /// Creates the ring on this thread, which alone may use it (SINGLE_ISSUER).
    pub fn new() -> Result<Self, Unavailable> {
        let build = |no_sqarray: bool| {
            let mut builder = IoUring::builder();
            builder
                .setup_single_issuer()
                .setup_defer_taskrun()
                .setup_submit_all()
                .setup_coop_taskrun()
                .setup_cqsize(limits::CQ_ENTRIES)
                .setup_clamp()
                .dontfork();
            if no_sqarray {
                builder.setup_no_sqarray(); // Linux 6.6
            }
            builder.build(limits::SQ_ENTRIES)
        };
        let ring = match build(true) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => build(false),
            other => other,
        };
        let ring = ring.map_err(|error| Unavailable { error })?;
        // SAFETY: eventfd has no memory arguments; its result is checked before it is owned.
        let wake = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if wake < 0 {
            return Err(Unavailable { error: io::Error::last_os_error() });
        }
        // SAFETY: `wake` was just created and nobody else owns it.
        let wake = Arc::new(unsafe { OwnedFd::from_raw_fd(wake) });
        let random = ahash::RandomState::new().hash_one(wake.as_raw_fd()) | 1;
        let mut uring = Self { ring, wake, wake_armed: false, failed: None, random };
        // A filter may allow the setup and forbid the use: better told now than by a worker that dies at its first turn.
        uring.enter(0, None).map_err(|error| Unavailable { error })?;
        Ok(uring)
    }

    fn push(&mut self, entry: squeue::Entry) {
        loop {
            // SAFETY: the entry's memory is kept valid by the caller of `submit` (see the trait), or it has none.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            // The queue is full: hand it over without waiting. EBUSY (completions overflowed) is mended by GETEVENTS.
            if let Err(error) = self.enter(0, None) {
                self.failed = Some(error);
                return;
            }
        }
    }

    /// One io_uring_enter. GETEVENTS always: with DEFER_TASKRUN nothing completes without it.
    fn enter(&mut self, want: u32, timeout_ns: Option<u64>) -> io::Result<()> {
        let queued = self.ring.submission().len() as u32;
        let result = match timeout_ns {
            Some(ns) => {
                let spec = types::Timespec::new().sec(ns / 1_000_000_000).nsec((ns % 1_000_000_000) as u32);
                let arguments = types::SubmitArgs::new().timespec(&spec);
                // SAFETY: `arguments` and `spec` outlive the call, and EXT_ARG says what they are.
                unsafe { self.ring.submitter().enter(queued, want, GETEVENTS | EXT_ARG, Some(&arguments)) }
            }
            // SAFETY: no argument is passed.
            None => unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, want, GETEVENTS, None) },
        };
        match result {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // The time is up; a signal came; completions must be taken first. All are mended by the next turn.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    fn arm_wake(&mut self) {
        if !self.wake_armed {
            self.wake_armed = true;
            let fd = types::Fd(self.wake.as_raw_fd());
            self.push(opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build().user_data(WAKE));
        }
    }

    fn woken(&mut self, more: bool) {
        self.wake_armed = more;
        let mut count = [0u8; 8];
        // SAFETY: the buffer is eight bytes, as eventfd wants; the descriptor is ours and non-blocking.
        unsafe { libc::read(self.wake.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

fn check(result: impl Into<i64>) -> io::Result<usize> {
    usize::try_from(result.into()).map_err(|_| io::Error::last_os_error())
}

/// What getpeername(2) or getsockname(2) says; `None` for unix sockets.
///
/// # Safety
/// `ask` writes at most `len` bytes of an address into the storage, and then how many, or returns -1.
unsafe fn address_of(
    ask: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int,
) -> io::Result<Option<SocketAddr>> {
    // SAFETY: the caller's promise is what `try_init` asks for.
    let (_, address) =
        unsafe { socket2::SockAddr::try_init(|storage, len| check(ask(storage.cast(), len)).map(drop)) }?;
    Ok(address.as_socket())
}

/// The socket obeys only its own O_NONBLOCK, the pipe only SPLICE_F_NONBLOCK: both are needed.
fn splice(from: Descriptor, to: Descriptor, most: usize, flags: u32) -> io::Result<usize> {
    let flags = flags | libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: no offsets are passed, and the kernel touches no memory of ours.
    check(unsafe { libc::splice(from.0, std::ptr::null_mut(), to.0, std::ptr::null_mut(), most, flags) } as i64)
}

/// Its ends for reading and writing, and how many bytes it holds: `bytes`, or fewer.
fn pipe(bytes: usize) -> io::Result<(OwnedFd, OwnedFd, usize)> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two descriptors into the array.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) })?;
    // SAFETY: both were just created and nobody else owns them.
    let [read, write] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    // EPERM beyond the user's soft limit: the pipe keeps what it has, which F_GETPIPE_SZ tells.
    // SAFETY: no memory arguments, and the descriptor is ours.
    let granted = unsafe {
        libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, bytes as libc::c_int);
        libc::fcntl(write.as_raw_fd(), libc::F_GETPIPE_SZ)
    };
    Ok((read, write, usize::try_from(granted).unwrap_or(4096)))
}

fn set_option<T>(socket: Descriptor, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` is valid for its size during the call, and the kernel copies it.
    check(unsafe { libc::setsockopt(socket.0, level, name, (value as *const T).cast(), size_of::<T>() as u32) })?;
    Ok(())
}

impl Driver for Uring {
    fn now(&self) -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the clock exists on every Linux and writes into `time` only.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    fn random(&mut self) -> u64 {
        // xorshift64: spreads first picks and jitter, nothing else.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn notify(&self) -> Notify {
        let wake = self.wake.clone();
        Arc::new(move || {
            let one = 1u64.to_ne_bytes();
            // SAFETY: eight readable bytes; the descriptor is kept open by the Arc. A full counter (EAGAIN) wakes just as well.
            unsafe { libc::write(wake.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        })
    }

    unsafe fn submit(&mut self, operation: Operation, user_data: u64) {
        let entry = match operation {
            Operation::PollRead(d) => {
                opcode::PollAdd::new(types::Fd(d.0), (libc::POLLIN | libc::POLLRDHUP) as u32).multi(true).build()
            }
            Operation::PollWrite(d) => opcode::PollAdd::new(types::Fd(d.0), libc::POLLOUT as u32).build(),
            Operation::PollRoom(d) => opcode::PollAdd::new(types::Fd(d.0), libc::POLLOUT as u32).multi(true).build(),
            Operation::Accept(d) => {
                opcode::AcceptMulti::new(types::Fd(d.0)).flags(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC).build()
            }
            Operation::Connect(d, address, len) => opcode::Connect::new(types::Fd(d.0), address, len).build(),
            Operation::Send(d, data, len) => {
                // Never MSG_WAITALL, and DONTWAIT: the kernel polls and sends on by itself only 128 times, then hands the rest of
                // a slow reader's send to a kernel worker thread (io-wq). What is left is sent on by the op slot.
                opcode::Send::new(types::Fd(d.0), data, len).flags(libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT).build()
            }
            Operation::Open(at, path, how) => {
                opcode::OpenAt2::new(types::Fd(at.map_or(libc::AT_FDCWD, |at| at.0)), path, how.cast()).build()
            }
            Operation::Read(d, data, len, offset) => {
                opcode::Read::new(types::Fd(d.0), data, len).offset(offset).build()
            }
            Operation::Write(d, data, len, offset) => {
                opcode::Write::new(types::Fd(d.0), data, len).offset(offset).build()
            }
            Operation::Unlink(path) => opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), path).build(),
            Operation::Cancel(target) => opcode::AsyncCancel::new(target).build(),
        };
        self.push(entry.user_data(user_data));
    }

    fn wait(&mut self, timeout_ns: Option<u64>, out: &mut Vec<Completion>) -> io::Result<()> {
        self.arm_wake();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let waiting = !self.ring.completion().is_empty(); // left over from a capped turn
        match timeout_ns {
            Some(0) => self.enter(0, None)?,
            _ if waiting => self.enter(0, None)?,
            Some(ns) => self.enter(1, Some(ns))?,
            None => self.enter(1, None)?,
        }
        let mut woken = None;
        for entry in self.ring.completion().take(limits::COMPLETIONS_PER_TURN) {
            let more = io_uring::cqueue::more(entry.flags());
            match entry.user_data() {
                WAKE => woken = Some(more),
                user_data => out.push(Completion { user_data, result: entry.result(), more }),
            }
        }
        if let Some(more) = woken {
            self.woken(more);
        }
        Ok(())
    }

    fn recv(&mut self, socket: Descriptor, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer is writable for its length during the call.
        check(unsafe { libc::recv(socket.0, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) } as i64)
    }

    fn peek(&mut self, socket: Descriptor) -> io::Result<usize> {
        let mut byte = 0u8;
        let flags = libc::MSG_DONTWAIT | libc::MSG_PEEK;
        // SAFETY: one writable byte.
        check(unsafe { libc::recv(socket.0, (&raw mut byte).cast(), 1, flags) } as i64)
    }

    fn socket(&mut self, domain: Domain) -> io::Result<Descriptor> {
        let family = match domain {
            Domain::V4 => libc::AF_INET,
            Domain::V6 => libc::AF_INET6,
            Domain::Unix => libc::AF_UNIX,
        };
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no memory arguments.
        let socket = Descriptor(check(unsafe { libc::socket(family, kind, 0) })? as i32);
        if domain != Domain::Unix {
            let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32);
        }
        Ok(socket)
    }

    fn accept(&mut self, listener: Descriptor) -> io::Result<Descriptor> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: accept4 may be given no address.
        let result = unsafe { libc::accept4(listener.0, std::ptr::null_mut(), std::ptr::null_mut(), flags) };
        Ok(Descriptor(check(result)? as i32))
    }

    fn peer(&mut self, socket: Descriptor) -> io::Result<Option<SocketAddr>> {
        // SAFETY: getpeername does as `address_of` asks.
        unsafe { address_of(|storage, len| libc::getpeername(socket.0, storage, len)) }
    }

    fn local(&mut self, socket: Descriptor) -> io::Result<Option<SocketAddr>> {
        // SAFETY: getsockname does as `address_of` asks.
        unsafe { address_of(|storage, len| libc::getsockname(socket.0, storage, len)) }
    }

    fn shutdown(&mut self, socket: Descriptor, half: Shutdown) -> io::Result<()> {
        let how = match half {
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        // SAFETY: no memory arguments.
        check(unsafe { libc::shutdown(socket.0, how) })?;
        Ok(())
    }

    fn pipe(&mut self, bytes: usize) -> io::Result<PipeEnds> {
        let (read, write, capacity) = pipe(bytes)?;
        Ok(PipeEnds { read: Descriptor(read.into_raw_fd()), write: Descriptor(write.into_raw_fd()), capacity })
    }

    fn splice_in(&mut self, from: Descriptor, pipe: Descriptor, most: usize) -> io::Result<usize> {
        splice(from, pipe, most, 0)
    }

    fn splice_out(&mut self, pipe: Descriptor, to: Descriptor, most: usize, more: bool) -> io::Result<usize> {
        splice(pipe, to, most, if more { libc::SPLICE_F_MORE } else { 0 })
    }

    fn open(&mut self, at: Option<Descriptor>, path: &CStr, how: OpenHow) -> io::Result<Descriptor> {
        disk::open(at, path, how)
    }

    fn stat(&mut self, file: Descriptor) -> io::Result<Stat> {
        disk::stat(file)
    }

    fn read_cached(&mut self, file: Descriptor, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        disk::read_cached(file, buffer, offset)
    }

    fn set_blocking(&mut self, file: Descriptor) {
        // SAFETY: no memory arguments. Of the flags that may be set files here have no other.
        unsafe { libc::fcntl(file.0, libc::F_SETFL, 0) };
    }

    fn is_cached(&mut self, file: Descriptor, offset: u64, bytes: u64) -> io::Result<bool> {
        disk::is_cached(file, offset, bytes)
    }

    fn send_more(&mut self, socket: Descriptor, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_MORE;
        // SAFETY: the bytes are readable for their length during the call.
        check(unsafe { libc::send(socket.0, bytes.as_ptr().cast(), bytes.len(), flags) } as i64)
    }

    fn send_file(&mut self, to: Descriptor, file: Descriptor, offset: u64, most: usize) -> io::Result<usize> {
        let mut offset = offset as libc::off64_t;
        // SAFETY: the kernel reads and writes one offset; the socket is non-blocking.
        check(unsafe { libc::sendfile64(to.0, file.0, &raw mut offset, most) } as i64)
    }

    fn unacknowledged(&mut self, socket: Descriptor) -> usize {
        let mut bytes: libc::c_int = 0;
        // SAFETY: TIOCOUTQ (SIOCOUTQ) writes one int.
        unsafe { libc::ioctl(socket.0, libc::TIOCOUTQ, &raw mut bytes) };
        usize::try_from(bytes).unwrap_or(0)
    }

    fn keep_alive(&mut self, socket: Descriptor) {
        let _ = set_option(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, &1i32);
        for (name, seconds) in [
            (libc::TCP_KEEPIDLE, limits::TCP_KEEPALIVE_IDLE),
            (libc::TCP_KEEPINTVL, limits::TCP_KEEPALIVE_INTERVAL),
            (libc::TCP_KEEPCNT, limits::TCP_KEEPALIVE_PROBES),
        ] {
            let _ = set_option(socket, libc::IPPROTO_TCP, name, &seconds);
        }
    }

    fn reset_on_close(&mut self, socket: Descriptor) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let _ = set_option(socket, libc::SOL_SOCKET, libc::SO_LINGER, &linger);
    }

    fn refuse_new(&mut self, listener: Descriptor) -> io::Result<()> {
        // TCP's socket filters see the TCP header first; byte 13 holds the flags, 0x02 is SYN. A SYN is dropped without an
        // answer, everything else passes: a client sends it again and then meets a closed port, or our successor.
        let instruction = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
        let mut program = [
            instruction(0x30, 0, 0, 13),          // ldb [13]
            instruction(0x45, 0, 1, 0x02),        // jset #SYN, next, skip one
            instruction(0x06, 0, 0, 0),           // ret #0: drop
            instruction(0x06, 0, 0, 0xffff_ffff), // ret #-1: pass
        ];
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        set_option(listener, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
    }

    fn close(&mut self, descriptor: Descriptor) {
        // SAFETY: the socket table owned the descriptor and gives it up here; no operation on it is in flight.
        unsafe { libc::close(descriptor.0) };
    }
}
