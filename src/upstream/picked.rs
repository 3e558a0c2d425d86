//! A server chosen for one attempt.

use super::pool::Peer;
use super::{Pools, Upstreams};
use crate::balance::health::{Cause, State};
use crate::balance::{Picker, ServerIndex};
use crate::config::plan::{Address, Balance};
use crate::proto::reason::Reason;
use crate::ring::{Driver, Elapsed, Owner, Reservation, Socket, Timer};
use crate::stats::ServerStats;
use crate::tls::{Dialer, Stream, words};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// What asking for a server comes to.
pub enum Pick<D: Driver> {
    /// This one.
    Server(Picked<D>),
    /// All that could be used are at their `max_conns`: wait.
    Busy,
    /// None is left.
    None,
}

/// A server chosen for one attempt; counted in flight until dropped.
pub struct Picked<D: Driver> {
    upstreams: Rc<Upstreams<D>>,
    pools: Rc<Pools<D>>,
    peer: Rc<Peer<D>>,
    /// Its position in the group.
    pub server: ServerIndex,
    /// It holds one of the server's `max_conns`.
    permit: bool,
    /// It is the one request that a server on probation gets, as long as it has not shown anything.
    trial: Cell<bool>,
    /// The server of the client's cookie can be used all the same: it is full for a moment.
    pub is_stand_in: bool,
}

/// What asking one server for room comes to.
pub(super) enum Admission<D: Driver> {
    In(Picked<D>),
    /// It is at its `max_conns`.
    Full,
    /// It is on probation, and another request tries it.
    OnTrial,
}

impl<D: Driver> Picked<D> {
    /// Lets a request in at `server`, if there is room. `anyway`: also beside another one that tries it.
    pub(super) fn admit(
        upstreams: &Rc<Upstreams<D>>,
        pools: &Rc<Pools<D>>,
        picker: &Picker,
        server: ServerIndex,
        anyway: bool,
    ) -> Admission<D> {
        let entry = &pools.group.entries()[server];
        let permit = match entry.peer.max_conns {
            Some(most) if !entry.member.acquire(most) => return Admission::Full,
            most => most.is_some(),
        };
        let trial = entry.member.state() == State::Probation && entry.member.begin_trial();
        if !trial && !anyway && entry.member.state() == State::Probation {
            if permit {
                entry.member.release();
            }
            return Admission::OnTrial;
        }
        picker.begin(server);
        pools.running.set(pools.running.get() + 1);
        let (upstreams, pools, peer) = (upstreams.clone(), pools.clone(), pools.peers[server].clone());
        peer.member.stats(upstreams.worker).requests.add(1);
        Admission::In(Self { upstreams, pools, peer, server, permit, trial: Cell::new(trial), is_stand_in: false })
    }

    /// This worker's counters of the server.
    pub fn stats(&self) -> &ServerStats {
        self.peer.member.stats(self.upstreams.worker)
    }

    /// As configured, for people.
    pub fn name(&self) -> &str {
        &self.peer.member.name
    }

    /// The one of its addresses that was connected to last.
    pub fn address(&self) -> Option<&Address> {
        self.peer.member.addresses.get(self.peer.last_good.get())
    }

    /// For the cookie that names it.
    pub fn identity(&self) -> u64 {
        self.pools.group.entries()[self.server].identity
    }

    /// It took so long to answer: a head, or a connection in TCP. Counted only where the choice goes by it.
    pub fn took(&self, microseconds: u64) {
        if self.pools.group.upstream().balance == Balance::LeastTime {
            let Upstreams { worker, reactor, .. } = &*self.upstreams;
            self.peer.member.observe(*worker, reactor.now_ms(), microseconds);
        }
    }

    /// A pooled connection made under these terms that is open and silent as far as this turn knows.
    pub fn take_idle(&self, dialer: Option<&Arc<Dialer>>) -> Option<Stream<D>> {
        let found = self.peer.take(dialer, self.upstreams.worker, self.upstreams.reactor.now_ms());
        if found.is_some() {
            self.stats().reused.add(1);
        }
        found
    }

    /// Puts a connection back whose last exchange ended well. `keeps_for`: for how many seconds the server said that it keeps it.
    pub fn put_idle(&self, socket: Stream<D>, keeps_for: Option<u32>) {
        if let Some(seconds) = keeps_for {
            self.peer.told(seconds);
        }
        let Upstreams { watcher, worker, reactor, .. } = &*self.upstreams;
        self.peer.put(socket, self.pools.keepalive, *watcher, *worker, reactor.now_ms());
    }

    /// The attempt failed by the server's fault: counted, and judged by its health.
    pub fn failed(&self, cause: Cause) {
        self.end_trial();
        self.stats().failures.add(1);
        let reactor = &self.upstreams.reactor;
        self.pools.group.failed(self.server, cause, reactor.now_ms(), reactor.random());
    }

    /// The attempt failed as others of the same request did before: counted, and not held against the server.
    pub fn failed_too(&self) {
        self.end_trial();
        self.stats().failures.add(1);
    }

    /// The server did what it should.
    pub fn succeeded(&self) {
        self.end_trial();
        self.peer.member.succeeded(self.upstreams.reactor.now_ms());
    }

    /// It answers: what a trial is for. How the answer ends matters for the others.
    pub fn answers(&self) {
        if self.trial.get() {
            self.succeeded();
        }
    }

    /// Another request may try it: a session goes on for hours after it has shown that the server is well.
    fn end_trial(&self) {
        if self.trial.take() {
            self.peer.member.end_trial();
        }
    }

    /// It takes the place of `named`, the server of the client's cookie unless that has failed this very request.
    pub(super) fn standing_in(mut self, named: Option<ServerIndex>) -> Self {
        let entry = named.map(|named| &self.pools.group.entries()[named]);
        self.is_stand_in = entry.is_some_and(|entry| !entry.is_out() && entry.member.state() == State::Up);
        self
    }

    /// Waits until the server is found to have gone down, if sessions end with it; else for ever.
    pub async fn went_down(&self) {
        if !self.pools.group.upstream().close_on_down {
            return std::future::pending().await;
        }
        let mut watch = Watch { peer: &self.peer, downs: self.peer.downs(), row: None };
        poll_fn(|task| watch.peer.poll_down(watch.downs, &mut watch.row, task)).await
    }

    /// Connects, trying all addresses of the server in turn, and shakes hands by TLS if there is a `dialer`, within `ms` milliseconds
    /// in all.
    pub async fn connect(&self, timer: &Timer, ms: u64, opening: &Opening<'_>) -> Result<Stream<D>, Failure> {
        timer.set(ms);
        let result = self.connect_until(timer, opening).await;
        match &result {
            Ok(_) => self.stats().connects.add(1),
            Err(failure) if failure.reason == Reason::Overloaded => {}
            Err(_) => self.stats().connect_failures.add(1),
        }
        result
    }

    async fn connect_until(&self, timer: &Timer, opening: &Opening<'_>) -> Result<Stream<D>, Failure> {
        let peer = &self.peer;
        let mut reason = Reason::ConnectFailed;
        for step in 0..peer.addresses.len() {
            let at = (peer.last_good.get() + step) % peer.addresses.len();
            let connecting = Socket::connect(&self.upstreams.reactor, &peer.addresses[at]);
            match timer.before_deadline(connecting).await {
                Ok(Ok(socket)) => {
                    peer.last_good.set(at);
                    return match opening {
                        Opening { dialer: None, header: [], .. } => Ok(Stream::plain(socket)),
                        _ => Box::pin(self.open(socket, timer, opening)).await,
                    };
                }
                Ok(Err(error)) => reason = connect_reason(&error),
                Err(Elapsed) => {
                    reason = Reason::ConnectTimeout;
                    break;
                }
            }
        }
        Err(reason.into())
    }

    /// What comes before the first byte of a request or session.
    async fn open(&self, socket: Socket<D>, timer: &Timer, opening: &Opening<'_>) -> Result<Stream<D>, Failure> {
        let Opening { dialer, header, owner, held } = *opening;
        socket.set_owner(owner);
        let opened = async {
            if !header.is_empty() {
                let mut lease = match held {
                    Some(held) => held.take(),
                    None => self.upstreams.reactor.buffers().reserve(owner, 1).await.take(),
                };
                lease[..header.len()].copy_from_slice(header);
                socket.send(lease, 0..header.len()).await?;
            }
            let Some(dialer) = dialer else { return Ok(Stream::plain(socket)) };
            let host = self.pools.group.entries()[self.server].host();
            let name = dialer.name(&host).ok_or_else(|| {
                let message = format!("{host:?} is no name to verify: set proxy_ssl_name");
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })?;
            let stream = Stream::client(socket, dialer.clone(), name)?;
            stream.handshake(held).await?;
            Ok(stream)
        };
        match timer.before_deadline(opened).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if dialer.is_none() => Err(connect_reason(&error).into()),
            Ok(Err(error)) => {
                Err(Failure { reason: Reason::BackendTlsFailed, detail: words::failure(&error, words::Peer::Backend) })
            }
            Err(Elapsed) => {
                let detail = if dialer.is_some() { "in the TLS handshake" } else { "" };
                Err(Failure { reason: Reason::ConnectTimeout, detail: detail.to_owned() })
            }
        }
    }
}

/// What comes before the first byte of a request or session.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// TLS, after `header`.
    pub dialer: Option<&'a Arc<Dialer>>,
    /// A PROXY protocol header; may be empty.
    pub header: &'a [u8],
    /// Whose connection it will be.
    pub owner: Owner,
    /// The owner's buffers; `None`: it holds none. One who holds some must not wait for others.
    pub held: Option<&'a Reservation>,
}

/// Why there is no connection.
#[derive(Debug)]
pub struct Failure {
    /// As counted.
    pub reason: Reason,
    /// For the log; may be empty.
    pub detail: String,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure { reason, detail: String::new() }
    }
}

/// Leaves nothing behind when the session ends first.
struct Watch<'p, D: Driver> {
    peer: &'p Peer<D>,
    downs: u32,
    row: Option<usize>,
}

impl<D: Driver> Drop for Watch<'_, D> {
    fn drop(&mut self) {
        if let Some(row) = self.row {
            self.peer.forget(row, self.downs);
        }
    }
}

impl<D: Driver> Drop for Picked<D> {
    fn drop(&mut self) {
        self.pools.picker.borrow().end(self.server);
        self.pools.running.set(self.pools.running.get() - 1);
        self.end_trial();
        if self.permit {
            self.peer.member.release();
        }
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
