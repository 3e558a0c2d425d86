//! One worker's connections to the backends: idle pools, connecting, counting.
//!
//! A pooled connection keeps its poll armed, so a backend's FIN is seen in the turn it arrives and the connection leaves the
//! pool ([`Upstreams::tend`]). It is looked at once more when it is taken.

use crate::balance::{Picker, ServerIndex, Tried};
use crate::config::plan::{Address, Plan};
use crate::limits::UPSTREAM_EXCHANGES_MAX;
use crate::proto::reason::Reason;
use crate::ring::sockaddr::KernelAddress;
use crate::ring::{Driver, Elapsed, Reactor, Socket, Timer, Watcher};
use crate::stats::{ServerStats, Stats};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

struct Idle<D: Driver> {
    socket: Socket<D>,
    /// When it was put here, in milliseconds.
    since: u64,
}

struct Peer<D: Driver> {
    /// Its place in [`Upstreams::tags`].
    tag: u32,
    addresses: Vec<KernelAddress>,
    /// The address that worked last: `localhost` may have one that refuses.
    last_good: Cell<usize>,
    /// Oldest first; the newest is used next, so that the surplus grows old and goes.
    idle: RefCell<Vec<Idle<D>>>,
}

struct Group<D: Driver> {
    picker: RefCell<Picker>,
    /// This worker's attempts under way.
    running: Cell<u32>,
    seen_turn: Cell<u64>,
    peers: Vec<Peer<D>>,
    /// Idle connections per server kept by this worker.
    keepalive: usize,
    keepalive_ms: u64,
}

/// All upstreams as one worker sees them.
pub struct Upstreams<D: Driver> {
    reactor: Reactor<D>,
    stats: Arc<Stats>,
    worker: usize,
    groups: Vec<Group<D>>,
    /// Whose news of pooled connections come to this room.
    watcher: Watcher,
    /// Group and server of each tag.
    tags: Vec<(usize, ServerIndex)>,
}

impl<D: Driver> Upstreams<D> {
    /// Pools for all upstreams of `plan`. Fails on an address that the kernel cannot hold (a unix path too long).
    pub fn new(reactor: Reactor<D>, plan: &Plan, stats: Arc<Stats>, worker: usize) -> io::Result<Self> {
        let workers = stats.workers.len().max(1);
        let mut groups = Vec::new();
        let mut tags = Vec::new();
        for (upstream, group) in plan.upstreams.iter().zip(&stats.groups) {
            let mut peers = Vec::new();
            for peer in &upstream.peers {
                let kernel = |address: &Address| match address {
                    Address::Tcp(address) => Ok(KernelAddress::tcp(*address)),
                    Address::Unix(path) => KernelAddress::unix(path),
                };
                let addresses = peer.addresses.iter().map(kernel).collect::<io::Result<Vec<_>>>()?;
                let tag = tags.len() as u32;
                tags.push((groups.len(), peers.len()));
                peers.push(Peer { tag, addresses, last_good: Cell::new(0), idle: RefCell::default() });
            }
            groups.push(Group {
                picker: RefCell::new(Picker::new(group.clone(), worker, 0)),
                running: Cell::new(0),
                seen_turn: Cell::new(0),
                peers,
                keepalive: (upstream.keepalive as usize).div_ceil(workers),
                keepalive_ms: upstream.keepalive_timeout.as_millis() as u64,
            });
        }
        let watcher = reactor.watcher();
        Ok(Self { reactor, stats, worker, groups, watcher, tags })
    }

    /// This group holds its share of the worker's exchanges, and others may want theirs.
    pub fn is_crowded(&self, group: usize) -> bool {
        self.groups.len() > 1 && self.groups[group].running.get() >= UPSTREAM_EXCHANGES_MAX
    }

    /// Chooses a server that was not tried yet and counts a request in flight there until the result is dropped.
    pub fn pick(self: &Rc<Self>, group: usize, tried: &Tried) -> Option<Picked<D>> {
        let entry = &self.groups[group];
        let mut picker = entry.picker.borrow_mut();
        if entry.seen_turn.replace(self.reactor.turns()) != self.reactor.turns() {
            picker.new_turn();
        }
        let server = picker.pick(tried, self.reactor.now_ms())?;
        picker.begin(server);
        entry.running.set(entry.running.get() + 1);
        self.server_stats(group, server).requests.add(1);
        Some(Picked { upstreams: self.clone(), group, server })
    }

    fn server_stats(&self, group: usize, server: ServerIndex) -> &ServerStats {
        &self.stats.workers[self.worker].servers[group][server]
    }

    /// Closes pooled connections as soon as their backend does, and those idle too long. Runs as long as the worker.
    pub async fn tend(self: Rc<Self>) {
        let timer = self.reactor.timer();
        timer.set(1000);
        loop {
            match timer.before_deadline(self.reactor.next_watched(self.watcher)).await {
                Ok(watched) => {
                    let (group, server) = self.tags[watched.tag as usize];
                    let mut idle = self.groups[group].peers[server].idle.borrow_mut();
                    let Some(at) = idle.iter().rposition(|i| i.socket.id() == watched.socket) else { continue };
                    if idle[at].socket.seems_quiet() {
                        // Old news: of bytes that were read before the connection came here.
                        idle[at].socket.watch(self.watcher, watched.tag);
                        continue;
                    }
                    drop(idle.remove(at));
                    self.server_stats(group, server).idle.set(idle.len() as u64);
                }
                Err(Elapsed) => {
                    self.expire();
                    timer.set(1000);
                }
            }
        }
    }

    fn expire(&self) {
        let now = self.reactor.now_ms();
        for (g, group) in self.groups.iter().enumerate() {
            for (p, peer) in group.peers.iter().enumerate() {
                let mut idle = peer.idle.borrow_mut();
                let old = idle.partition_point(|i| i.since + group.keepalive_ms <= now);
                if old > 0 {
                    idle.drain(..old);
                    self.server_stats(g, p).idle.set(idle.len() as u64);
                }
            }
        }
    }

    /// Closes every pooled connection: the worker ends.
    pub fn close_idle(&self) {
        for (g, group) in self.groups.iter().enumerate() {
            for (p, peer) in group.peers.iter().enumerate() {
                peer.idle.borrow_mut().clear();
                self.server_stats(g, p).idle.set(0);
            }
        }
    }
}

/// A server chosen for one attempt; counted in flight until dropped.
pub struct Picked<D: Driver> {
    upstreams: Rc<Upstreams<D>>,
    group: usize,
    /// Its position in the group.
    pub server: ServerIndex,
}

impl<D: Driver> Picked<D> {
    fn peer(&self) -> &Peer<D> {
        &self.upstreams.groups[self.group].peers[self.server]
    }

    /// This worker's counters of the server.
    pub fn stats(&self) -> &ServerStats {
        self.upstreams.server_stats(self.group, self.server)
    }

    /// A pooled connection that is open and silent as far as this turn knows.
    pub fn take_idle(&self) -> Option<Socket<D>> {
        let mut idle = self.peer().idle.borrow_mut();
        let found = loop {
            let Some(Idle { socket, .. }) = idle.pop() else { break None };
            if socket.seems_quiet() {
                socket.unwatch();
                break Some(socket);
            }
        };
        self.stats().idle.set(idle.len() as u64);
        drop(idle);
        if found.is_some() {
            self.stats().reused.add(1);
        }
        found
    }

    /// Puts a connection back whose last exchange ended well. Reasons not to keep it: the pool is full, it is not silent.
    pub fn put_idle(&self, socket: Socket<D>) {
        let group = &self.upstreams.groups[self.group];
        let mut idle = self.peer().idle.borrow_mut();
        if group.keepalive == 0 || !socket.seems_quiet() {
            return;
        }
        if idle.len() >= group.keepalive {
            idle.remove(0); // the oldest goes: its backend will close it first
        }
        socket.set_owner(0);
        socket.watch(self.upstreams.watcher, self.peer().tag);
        idle.push(Idle { socket, since: self.upstreams.reactor.now_ms() });
        self.stats().idle.set(idle.len() as u64);
    }

    /// Connects, trying all addresses of the server in turn, within `ms` milliseconds in all.
    pub async fn connect(&self, timer: &Timer, ms: u64) -> Result<Socket<D>, Reason> {
        let peer = self.peer();
        timer.set(ms);
        let mut reason = Reason::ConnectFailed;
        for step in 0..peer.addresses.len() {
            let at = (peer.last_good.get() + step) % peer.addresses.len();
            let connecting = Socket::connect(&self.upstreams.reactor, &peer.addresses[at]);
            match timer.before_deadline(connecting).await {
                Ok(Ok(socket)) => {
                    peer.last_good.set(at);
                    self.stats().connects.add(1);
                    return Ok(socket);
                }
                Ok(Err(error)) => reason = connect_reason(&error),
                Err(Elapsed) => {
                    reason = Reason::ConnectTimeout;
                    break;
                }
            }
        }
        if reason != Reason::Overloaded {
            self.stats().connect_failures.add(1);
        }
        Err(reason)
    }
}

impl<D: Driver> Drop for Picked<D> {
    fn drop(&mut self) {
        let group = &self.upstreams.groups[self.group];
        group.picker.borrow().end(self.server);
        group.running.set(group.running.get() - 1);
    }
}

/// This machine ran out of something: no server is to blame.
fn is_ours(error: &io::Error) -> bool {
    let short = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|errno| short.contains(&errno))
}

fn connect_reason(error: &io::Error) -> Reason {
    match error.kind() {
        // A unix socket that nobody made, or whose server died, is refused just as a closed port is.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Reason::ConnectRefused,
        io::ErrorKind::TimedOut => Reason::ConnectTimeout,
        _ if is_ours(error) => Reason::Overloaded,
        _ => Reason::ConnectFailed,
    }
}
