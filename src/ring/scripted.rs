//! A driver without a kernel, for tests: sockets are queues in memory, time is virtual, and a script of faults bends what a
//! kernel may legally do (short reads and writes, late and reordered completions, EAGAIN after readiness, errors).
//!
//! Bytes of a send are read through the operation's pointer when it *completes*, not when it is submitted: memory that was
//! given up early shows here, and under Miri as undefined behaviour.

use super::driver::{
    Completion, Descriptor, Domain, Driver, Kind, Notify, OpenHow, Operation, PipeEnds, Shutdown, Stat,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CStr;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the kernel is bent to do. The default bends nothing.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// At most so many bytes per recv; 0: as many as fit.
    pub read_most: usize,
    /// At most so many bytes per send; 0: all.
    pub write_most: usize,
    /// Completions are late by up to so many turns, and overtake one another; 0: at once, in order.
    pub late_turns: u64,
    /// Every n-th recv after readiness says EAGAIN though bytes are there, and readiness is told again; 0: never.
    pub recv_eagain: u64,
    /// Every n-th send says EAGAIN; 0: never.
    pub send_eagain: u64,
    /// Every n-th read poll ends (no F_MORE) with its first event; 0: never.
    pub poll_ends: u64,
    /// Pipes hold at most so many bytes; 0: as many as asked for.
    pub pipe_most: usize,
    /// Every splice fails with this errno; 0: none.
    pub splice_error: i32,
    /// cachestat fails with this errno; 0: it does not.
    pub cachestat_error: i32,
    /// Files without names cannot be made.
    pub no_tmpfile: bool,
    /// So many bytes can be written to files, then the disk is full; 0: any number.
    pub disk_most: usize,
    /// The next sockets made fail with this errno.
    pub socket_errors: VecDeque<i32>,
}

/// A file of the scripted world.
#[derive(Debug, Clone)]
pub struct Disk {
    /// What it is.
    pub kind: Kind,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// See [`Stat::mtime`].
    pub mtime: i64,
    /// The kernel has its name in memory; opening it by way of the ring puts it there.
    pub is_known: bool,
    /// So many bytes are in the page cache; reading by way of the ring puts them there.
    pub cached: usize,
    /// Opening it fails with this errno; 0: it does not.
    pub error: i32,
}

impl Disk {
    /// A regular file, all in memory.
    pub fn file(bytes: &[u8]) -> Disk {
        Disk {
            kind: Kind::File,
            bytes: bytes.to_vec(),
            mtime: 784_111_777,
            is_known: true,
            cached: bytes.len(),
            error: 0,
        }
    }

    /// A directory.
    pub fn directory() -> Disk {
        Disk { kind: Kind::Directory, ..Disk::file(b"") }
    }
}

/// One end of a connection, as the code under test holds it.
#[derive(Debug, Default)]
pub struct End {
    /// Bytes that the peer sent and nobody read.
    pub inbox: VecDeque<u8>,
    /// The peer sent FIN.
    pub fin: bool,
    /// The peer reset the connection: reading and writing fail with this.
    pub error: Option<i32>,
    /// Bytes that the code under test sent.
    pub outbox: Vec<u8>,
    /// It sent FIN.
    pub finished: bool,
    /// Its close will reset.
    pub resets: bool,
    /// It is closed.
    pub closed: bool,
    /// Nobody takes its bytes: sends do not complete.
    pub stalled: bool,
    /// Of a stalled send the kernel took so many bytes before it stalled: its cancellation reports them, not ECANCELED.
    pub stalled_after: i32,
    /// Connections waiting to be accepted, for a listener; negative: an errno.
    pub backlog: VecDeque<i32>,
    /// user_data of its armed poll.
    poll: Option<u64>,
    accept: Option<u64>,
    /// Something happened since the last event was told.
    news: bool,
}

struct Pending {
    due: u64,
    order: u64,
    operation: Operation,
    user_data: u64,
}

/// The world behind the driver.
#[derive(Default)]
pub struct World {
    /// All ends ever made, by descriptor.
    pub ends: BTreeMap<i32, End>,
    /// The faults in force.
    pub faults: Faults,
    /// Descriptors that connect() made, in order, not yet looked at by the test.
    pub connected: VecDeque<i32>,
    /// Results for the coming connects; 0 when empty.
    pub connect_results: VecDeque<i32>,
    /// Connects neither succeed nor fail.
    pub hold_connects: bool,
    /// Connects and stalled sends: in the kernel's hands until something changes.
    held: Vec<Pending>,
    /// Pipes by their reading end, and the reading ends by the writing ones.
    pipes: BTreeMap<i32, VecDeque<u8>>,
    pipe_writers: BTreeMap<i32, i32>,
    /// Files by their absolute paths, without a slash at the end.
    pub disk: BTreeMap<String, Disk>,
    /// Bytes written to files so far.
    pub disk_written: usize,
    /// Descriptors of open ones.
    pub open_files: BTreeMap<i32, String>,
    /// Turns so far.
    pub turns: u64,
    now: u64,
    seed: u64,
    next_descriptor: i32,
    order: u64,
    recvs: u64,
    sends: u64,
    polls: u64,
    pending: Vec<Pending>,
    completions: VecDeque<Completion>,
}

/// The driver, and the test's hold on its world.
#[derive(Clone)]
pub struct Scripted {
    world: Rc<RefCell<World>>,
    notified: Arc<AtomicBool>,
}

impl World {
    /// A connection that the code under test will get by accept or adopt.
    pub fn open(&mut self) -> Descriptor {
        self.next_descriptor += 1;
        self.ends.insert(self.next_descriptor, End::default());
        Descriptor(self.next_descriptor)
    }

    /// The end behind a descriptor.
    pub fn end(&mut self, descriptor: Descriptor) -> &mut End {
        self.ends.get_mut(&descriptor.0).expect("the test knows its descriptors")
    }

    /// The peer sends bytes.
    pub fn feed(&mut self, descriptor: Descriptor, bytes: &[u8]) {
        let end = self.end(descriptor);
        end.inbox.extend(bytes);
        end.news = true;
    }

    /// The peer sends FIN.
    pub fn fin(&mut self, descriptor: Descriptor) {
        let end = self.end(descriptor);
        end.fin = true;
        end.news = true;
    }

    /// The connection breaks with this errno.
    pub fn break_off(&mut self, descriptor: Descriptor, errno: i32) {
        let end = self.end(descriptor);
        end.error = Some(errno);
        end.news = true;
    }

    /// A completion that the kernel never owed.
    pub fn forge(&mut self, completion: Completion) {
        self.completions.push_back(completion);
    }

    /// user_data of all that is pending, for forging.
    pub fn pending(&self) -> Vec<u64> {
        self.pending.iter().map(|p| p.user_data).chain(self.ends.values().filter_map(|e| e.poll)).collect()
    }

    /// Held connects go on.
    pub fn let_connects_go(&mut self) {
        self.hold_connects = false;
        let (connects, others) =
            std::mem::take(&mut self.held).into_iter().partition(|p| matches!(p.operation, Operation::Connect(..)));
        self.held = others;
        self.pending.extend::<Vec<Pending>>(connects);
    }

    /// A stalled send is in the kernel's hands.
    pub fn holds_sends(&self) -> bool {
        self.held.iter().any(|p| matches!(p.operation, Operation::Send(..)))
    }

    /// Lets time pass.
    pub fn advance(&mut self, ms: u64) {
        self.now += ms * 1_000_000;
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below.max(1)
    }

    fn every(count: &mut u64, nth: u64) -> bool {
        *count += 1;
        nth > 0 && count.is_multiple_of(nth)
    }

    fn complete(&mut self, user_data: u64, result: i32, more: bool) {
        self.completions.push_back(Completion { user_data, result, more });
    }

    fn submit(&mut self, operation: Operation, user_data: u64) {
        self.order += 1;
        let late = self.faults.late_turns;
        let due = self.turns + if late > 0 { self.random(late + 1) } else { 0 };
        self.pending.push(Pending { due, order: self.order, operation, user_data });
    }

    /// Completes what is due.
    fn work(&mut self) {
        let turns = self.turns;
        for held in std::mem::take(&mut self.held) {
            match held.operation {
                Operation::Send(d, ..) if !self.ends[&d.0].stalled || self.ends[&d.0].error.is_some() => {
                    self.pending.push(held)
                }
                _ => self.held.push(held),
            }
        }
        // One at a time: a cancellation finds whatever is still pending, due or not.
        let next = |pending: &[Pending]| {
            let due = pending.iter().enumerate().filter(|(_, p)| p.due <= turns);
            due.min_by_key(|(_, p)| (p.due, p.order)).map(|(at, _)| at)
        };
        while let Some(at) = next(&self.pending) {
            let pending = self.pending.remove(at);
            self.perform(pending);
        }
        let descriptors: Vec<i32> = self.ends.keys().copied().collect();
        for descriptor in descriptors {
            self.tell(descriptor);
        }
    }

    fn perform(&mut self, pending: Pending) {
        let (operation, user_data) = (pending.operation, pending.user_data);
        match operation {
            Operation::Cancel(target) => {
                let taken = |p: &Pending| match p.operation {
                    Operation::Send(d, ..) if p.user_data == target => self.ends[&d.0].stalled_after,
                    _ => 0,
                };
                let taken = self.held.iter().map(taken).find(|&n| n > 0);
                let before = self.pending.len() + self.held.len();
                self.pending.retain(|p| p.user_data != target);
                self.held.retain(|p| p.user_data != target);
                let cancelled = before - self.pending.len() - self.held.len();
                let ends = self.ends.values_mut();
                let armed =
                    ends.filter_map(|end| [&mut end.poll, &mut end.accept].into_iter().find(|a| **a == Some(target)));
                let found = cancelled + armed.map(|armed| *armed = None).count();
                for _ in 0..found {
                    self.complete(target, taken.unwrap_or(-libc::ECANCELED), false);
                }
                self.complete(user_data, if found > 0 { 0 } else { -libc::ENOENT }, false);
            }
            Operation::PollRead(d) => {
                let end = self.ends.get_mut(&d.0).expect("polls name open sockets");
                assert!(!end.closed && end.poll.is_none(), "one poll per open socket");
                end.poll = Some(user_data);
                end.news = true;
            }
            Operation::Accept(d) => {
                let end = self.ends.get_mut(&d.0).expect("accepts name listeners");
                end.accept = Some(user_data);
            }
            Operation::PollWrite(d) | Operation::PollRoom(d) => {
                assert!(!self.ends[&d.0].closed);
                self.complete(user_data, i32::from(libc::POLLOUT), false);
            }
            Operation::Connect(..) if self.hold_connects => self.held.push(pending),
            Operation::Connect(d, address, len) => {
                assert!(!address.is_null() && len > 0);
                // SAFETY: the submitter keeps the address valid until this completion; its family is its first field.
                let family = unsafe { (*address).sa_family };
                assert!([libc::AF_INET, libc::AF_INET6, libc::AF_UNIX].contains(&i32::from(family)));
                let result = self.connect_results.pop_front().unwrap_or(0);
                if result == 0 {
                    self.connected.push_back(d.0);
                }
                self.complete(user_data, result, false);
            }
            Operation::Send(d, data, len) => self.send(d, data, len, user_data),
            Operation::Open(at, path, how) => {
                // SAFETY: the submitter keeps both valid until this completion.
                let (path, how) = unsafe { (CStr::from_ptr(path), *how) };
                let opened = self.open_file(at, path, how, true);
                self.complete(user_data, opened.unwrap_or_else(|errno| -errno), false);
            }
            Operation::Read(d, data, len, offset) => {
                let file = self.open_disk(d);
                let offset = file.bytes.len().min(offset as usize);
                let n = (file.bytes.len() - offset).min(len as usize);
                file.cached = file.cached.max(offset + n);
                // SAFETY: the submitter keeps this memory valid until this completion.
                unsafe { std::ptr::copy_nonoverlapping(file.bytes[offset..].as_ptr(), data, n) };
                self.complete(user_data, n as i32, false);
            }
            Operation::Write(d, data, len, offset) => {
                let short = if self.faults.write_most == 0 { usize::MAX } else { self.faults.write_most };
                let left = match self.faults.disk_most {
                    0 => usize::MAX,
                    most => most - self.disk_written,
                };
                let n = (len as usize).min(short).min(left);
                // SAFETY: the submitter keeps these bytes valid and unchanged until this completion.
                let bytes = unsafe { std::slice::from_raw_parts(data, n) };
                let (file, offset) = (self.open_disk(d), offset as usize);
                file.bytes.resize(file.bytes.len().max(offset + n), 0);
                file.bytes[offset..offset + n].copy_from_slice(bytes);
                self.disk_written += n;
                self.complete(user_data, if n == 0 { -libc::ENOSPC } else { n as i32 }, false);
            }
            Operation::Unlink(path) => {
                // SAFETY: the submitter keeps the path valid until this completion.
                let name = unsafe { CStr::from_ptr(path) }.to_str().expect("a path that a test has").to_owned();
                let file = self.disk.remove(&name).expect("what is unlinked is there");
                let nameless = format!("{name}#");
                self.open_files.values_mut().filter(|open| **open == name).for_each(|open| *open = nameless.clone());
                self.disk.insert(nameless, file);
                self.complete(user_data, 0, false);
            }
        }
    }

    /// Opens a file, as openat2 does. `is_patient`: also one that is not in memory.
    fn open_file(&mut self, at: Option<Descriptor>, path: &CStr, how: OpenHow, is_patient: bool) -> Result<i32, i32> {
        let path = path.to_str().expect("a path that a test has").to_owned();
        let base = at.map_or(String::new(), |at| format!("{}/", self.open_files[&at.0]));
        let is_beneath = how.resolve & libc::RESOLVE_BENEATH != 0;
        if is_beneath && (path.starts_with('/') || path.split('/').any(|part| part == "..")) {
            return Err(libc::EXDEV);
        }
        let full = format!("{base}{path}");
        let name = full.trim_end_matches('/');
        let makes = |flag: i32| how.flags & flag as u64 == flag as u64;
        if makes(libc::O_TMPFILE) || makes(libc::O_CREAT) {
            return self.make_file(name, makes(libc::O_TMPFILE), is_patient);
        }
        let file = self.disk.get_mut(name).ok_or(libc::ENOENT)?;
        if !file.is_known && !is_patient {
            return Err(libc::EAGAIN);
        }
        file.is_known = true;
        let needs_directory = full.ends_with('/') || how.flags & libc::O_DIRECTORY as u64 != 0;
        match file.error {
            0 if needs_directory && file.kind != Kind::Directory => return Err(libc::ENOTDIR),
            0 => {}
            errno => return Err(errno),
        }
        let name = name.to_owned();
        self.next_descriptor += 1;
        self.open_files.insert(self.next_descriptor, name);
        Ok(self.next_descriptor)
    }

    /// A new file of this name, or a nameless one in this directory.
    fn make_file(&mut self, path: &str, is_nameless: bool, is_patient: bool) -> Result<i32, i32> {
        if !is_patient {
            return Err(libc::EAGAIN); // never from memory alone
        }
        let directory = if is_nameless { path } else { path.rsplit_once('/').expect("an absolute path").0 };
        match self.disk.get(directory) {
            None => return Err(libc::ENOENT),
            Some(found) if found.error != 0 => return Err(found.error),
            Some(_) if is_nameless && self.faults.no_tmpfile => return Err(libc::EOPNOTSUPP),
            Some(_) => {}
        }
        self.next_descriptor += 1;
        let name = if is_nameless { format!("{path}/{}#", self.next_descriptor) } else { path.to_owned() };
        assert!(self.disk.insert(name.clone(), Disk::file(b"")).is_none(), "a new file");
        self.open_files.insert(self.next_descriptor, name);
        Ok(self.next_descriptor)
    }

    fn open_disk(&mut self, file: Descriptor) -> &mut Disk {
        let name = self.open_files.get(&file.0).expect("an open file");
        self.disk.get_mut(name).expect("files are not removed while open")
    }

    fn send(&mut self, d: Descriptor, data: *const u8, len: u32, user_data: u64) {
        let again = Self::every(&mut self.sends, self.faults.send_eagain);
        let most = if self.faults.write_most == 0 { usize::MAX } else { self.faults.write_most };
        let end = self.ends.get_mut(&d.0).expect("sends name open sockets");
        assert!(!end.closed, "a socket is closed only after its last completion");
        assert!(!end.finished, "nothing is sent behind FIN");
        let result = match end.error {
            Some(errno) => -errno,
            None if end.stalled => {
                let operation = Operation::Send(d, data, len);
                self.held.push(Pending { due: 0, order: 0, operation, user_data });
                return;
            }
            None if again => -libc::EAGAIN,
            None => {
                let n = (len as usize).min(most);
                // SAFETY: the submitter keeps these bytes valid and unchanged until this completion.
                end.outbox.extend_from_slice(unsafe { std::slice::from_raw_parts(data, n) });
                n as i32
            }
        };
        self.complete(user_data, result, false);
    }

    /// Tells a socket's news to its armed poll or accept.
    fn tell(&mut self, descriptor: i32) {
        let ends_now = self.faults.poll_ends;
        let end = self.ends.get_mut(&descriptor).expect("listed");
        if let Some(user_data) = end.accept {
            while let Some(accepted) = end.backlog.pop_front() {
                // An error ends a multishot accept.
                self.completions.push_back(Completion { user_data, result: accepted, more: accepted >= 0 });
                if accepted < 0 {
                    end.accept = None;
                    break;
                }
            }
        }
        let Some(user_data) = end.poll.filter(|_| end.news) else { return };
        let mut mask = 0;
        if !end.inbox.is_empty() || end.fin {
            mask |= libc::POLLIN;
        }
        if end.fin {
            mask |= libc::POLLRDHUP;
        }
        if end.error.is_some() {
            mask |= libc::POLLIN | libc::POLLERR | libc::POLLHUP;
        }
        if mask == 0 {
            return;
        }
        end.news = false;
        let more = !Self::every(&mut self.polls, ends_now);
        if !more {
            end.poll = None;
        }
        self.complete(user_data, i32::from(mask), more);
    }
}

impl Scripted {
    /// A world with these faults, repeatable from `seed`.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let world = World { seed, faults, now: 1_000_000_000, next_descriptor: 100, ..World::default() };
        Self { world: Rc::new(RefCell::new(world)), notified: Arc::default() }
    }

    /// The world, for the test.
    pub fn world(&self) -> std::cell::RefMut<'_, World> {
        self.world.borrow_mut()
    }
}

impl Driver for Scripted {
    fn now(&self) -> u64 {
        self.world.borrow().now
    }

    fn random(&mut self) -> u64 {
        self.world().random(u64::MAX)
    }

    fn notify(&self) -> Notify {
        let notified = self.notified.clone();
        Arc::new(move || notified.store(true, Ordering::Release))
    }

    unsafe fn submit(&mut self, operation: Operation, user_data: u64) {
        self.world().submit(operation, user_data);
    }

    fn wait(&mut self, timeout_ns: Option<u64>, out: &mut Vec<Completion>) -> io::Result<()> {
        let mut world = self.world();
        world.turns += 1;
        world.now += 1_000; // even a busy turn takes a microsecond
        world.work();
        if world.completions.is_empty() && world.pending.is_empty() && !self.notified.swap(false, Ordering::AcqRel) {
            world.now += timeout_ns.unwrap_or(0); // nothing else can happen: time jumps
        }
        let most = crate::limits::COMPLETIONS_PER_TURN.min(world.completions.len());
        out.extend(world.completions.drain(..most));
        Ok(())
    }

    fn recv(&mut self, socket: Descriptor, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "a recv of nothing looks like FIN");
        let mut world = self.world();
        let world = &mut *world;
        let again = World::every(&mut world.recvs, world.faults.recv_eagain);
        let most = world.faults.read_most;
        let end = world.ends.get_mut(&socket.0).expect("an open socket");
        assert!(!end.closed);
        if again {
            end.news = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(errno) = end.error {
            return Err(io::Error::from_raw_os_error(errno));
        }
        if end.inbox.is_empty() {
            return if end.fin { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let n = buffer.len().min(end.inbox.len()).min(if most == 0 { usize::MAX } else { most });
        for (slot, byte) in buffer.iter_mut().zip(end.inbox.drain(..n)) {
            *slot = byte;
        }
        // A kernel tells readiness again only for news; a capped read here is like bytes that arrived meanwhile.
        end.news |= most > 0 && !end.inbox.is_empty();
        Ok(n)
    }

    fn peek(&mut self, socket: Descriptor) -> io::Result<usize> {
        let mut world = self.world();
        let end = world.end(socket);
        match end.error {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None if !end.inbox.is_empty() => Ok(1),
            None if end.fin => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn socket(&mut self, _: Domain) -> io::Result<Descriptor> {
        let mut world = self.world();
        match world.faults.socket_errors.pop_front() {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(world.open()),
        }
    }

    fn accept(&mut self, listener: Descriptor) -> io::Result<Descriptor> {
        let accepted = self.world().end(listener).backlog.pop_front();
        accepted.filter(|&a| a >= 0).map(Descriptor).ok_or(io::ErrorKind::WouldBlock.into())
    }

    fn peer(&mut self, _: Descriptor) -> io::Result<Option<SocketAddr>> {
        Ok(Some(([192, 0, 2, 1], 12345).into()))
    }

    fn local(&mut self, _: Descriptor) -> io::Result<Option<SocketAddr>> {
        Ok(Some(([198, 51, 100, 1], 80).into()))
    }

    fn shutdown(&mut self, socket: Descriptor, half: Shutdown) -> io::Result<()> {
        let mut world = self.world();
        let end = world.end(socket);
        assert!(!end.closed);
        end.finished = true;
        if half == Shutdown::Both {
            end.error = Some(libc::EPIPE);
            end.news = true;
        }
        Ok(())
    }

    fn pipe(&mut self, bytes: usize) -> io::Result<PipeEnds> {
        let mut world = self.world();
        let capacity = if world.faults.pipe_most == 0 { bytes } else { bytes.min(world.faults.pipe_most) };
        let (read, write) = (world.next_descriptor + 1, world.next_descriptor + 2);
        world.next_descriptor += 2;
        world.pipes.insert(read, VecDeque::new());
        world.pipe_writers.insert(write, read);
        Ok(PipeEnds { read: Descriptor(read), write: Descriptor(write), capacity })
    }

    fn splice_in(&mut self, from: Descriptor, pipe: Descriptor, most: usize) -> io::Result<usize> {
        let errno = self.world().faults.splice_error;
        if errno != 0 {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let mut bytes = vec![0; most];
        let n = self.recv(from, &mut bytes)?;
        let mut world = self.world();
        let read = world.pipe_writers[&pipe.0];
        world.pipes.get_mut(&read).expect("an open pipe").extend(&bytes[..n]);
        Ok(n)
    }

    fn splice_out(&mut self, pipe: Descriptor, to: Descriptor, most: usize, _more: bool) -> io::Result<usize> {
        let mut world = self.world();
        let world = &mut *world;
        let again = World::every(&mut world.sends, world.faults.send_eagain);
        let most = if world.faults.write_most == 0 { most } else { most.min(world.faults.write_most) };
        let end = world.ends.get_mut(&to.0).expect("an open socket");
        assert!(!end.closed && !end.finished);
        match end.error {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None if again || end.stalled => Err(io::ErrorKind::WouldBlock.into()),
            None => {
                let held = world.pipes.get_mut(&pipe.0).expect("an open pipe");
                let n = most.min(held.len());
                end.outbox.extend(held.drain(..n));
                Ok(n)
            }
        }
    }

    fn open(&mut self, at: Option<Descriptor>, path: &CStr, how: OpenHow) -> io::Result<Descriptor> {
        self.world().open_file(at, path, how, false).map(Descriptor).map_err(io::Error::from_raw_os_error)
    }

    fn stat(&mut self, file: Descriptor) -> io::Result<Stat> {
        let mut world = self.world();
        let file = world.open_disk(file);
        Ok(Stat { kind: file.kind, size: file.bytes.len() as u64, mtime: file.mtime, executable: false })
    }

    fn read_cached(&mut self, file: Descriptor, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut world = self.world();
        let file = world.open_disk(file);
        let offset = offset as usize;
        if offset >= file.bytes.len() {
            return Ok(0);
        }
        let n = file.cached.saturating_sub(offset).min(buffer.len());
        buffer[..n].copy_from_slice(&file.bytes[offset..offset + n]);
        if n == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn set_blocking(&mut self, _: Descriptor) {}

    fn is_cached(&mut self, file: Descriptor, offset: u64, bytes: u64) -> io::Result<bool> {
        let mut world = self.world();
        match world.faults.cachestat_error {
            0 => Ok((offset + bytes) as usize <= world.open_disk(file).cached),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn send_more(&mut self, socket: Descriptor, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.world();
        let world = &mut *world;
        let again = World::every(&mut world.sends, world.faults.send_eagain);
        let most = if world.faults.write_most == 0 { usize::MAX } else { world.faults.write_most };
        let end = world.ends.get_mut(&socket.0).expect("an open socket");
        assert!(!end.closed && !end.finished);
        match end.error {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None if again || end.stalled => Err(io::ErrorKind::WouldBlock.into()),
            None => {
                let n = bytes.len().min(most);
                end.outbox.extend_from_slice(&bytes[..n]);
                Ok(n)
            }
        }
    }

    fn send_file(&mut self, to: Descriptor, file: Descriptor, offset: u64, most: usize) -> io::Result<usize> {
        let bytes = {
            let mut world = self.world();
            let file = world.open_disk(file);
            let from = file.bytes.len().min(offset as usize);
            let n = most.min(file.bytes.len() - from);
            assert!(from + n <= file.cached, "sendfile would have waited for the disk");
            file.bytes[from..from + n].to_vec()
        };
        if bytes.is_empty() { Ok(0) } else { self.send_more(to, &bytes) }
    }

    fn unacknowledged(&mut self, _: Descriptor) -> usize {
        0
    }

    fn keep_alive(&mut self, _: Descriptor) {}

    fn reset_on_close(&mut self, socket: Descriptor) {
        self.world().end(socket).resets = true;
    }

    fn refuse_new(&mut self, _: Descriptor) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, descriptor: Descriptor) {
        let mut world = self.world();
        let reads = |p: &Pending| matches!(p.operation, Operation::Read(d, ..) | Operation::Write(d, ..) | Operation::Open(Some(d), ..) if d == descriptor);
        if let Some(name) = world.open_files.remove(&descriptor.0) {
            if name.ends_with('#') {
                world.disk.remove(&name);
            }
            assert!(!world.pending.iter().any(reads), "closed with an operation in the kernel's hands");
            return;
        }
        if world.pipes.remove(&descriptor.0).is_some() || world.pipe_writers.remove(&descriptor.0).is_some() {
            return;
        }
        let pending = |p: &Pending| match p.operation {
            Operation::Send(d, ..)
            | Operation::Connect(d, ..)
            | Operation::PollRead(d)
            | Operation::PollWrite(d)
            | Operation::PollRoom(d) => d == descriptor,
            Operation::Accept(d) => d == descriptor,
            Operation::Open(..) | Operation::Read(..) | Operation::Write(..) => false,
            Operation::Unlink(_) | Operation::Cancel(_) => false,
        };
        assert!(
            !world.pending.iter().chain(&world.held).any(pending),
            "closed with an operation in the kernel's hands"
        );
        let end = world.end(descriptor);
        assert!(!end.closed, "closed twice");
        assert!(end.poll.is_none() && end.accept.is_none(), "closed with a poll or accept armed");
        end.closed = true;
    }
}
