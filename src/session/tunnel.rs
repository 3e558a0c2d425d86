//! Bytes both ways: TCP passthrough, and what follows an upgrade (WebSocket). Each direction is the same function; half-close is
//! passed on; long streams are spliced.

use super::{Context, ms};
use crate::limits::{BUFFER_SMALL, ORPHAN_MAX, SPLICE_WORTH, TURN_BUDGET};
use crate::proto::reason::Reason;
use crate::ring::executor::yield_now;
use crate::ring::{Driver, Elapsed, Owner, Pipe, Socket, Timer};
use crate::stats::Counter;
use crate::tls::Stream;
use crate::upstream::Picked;
use bytes::{Buf, Bytes};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// What both directions share.
struct Tunnel<'a, D: Driver> {
    cx: &'a Context<D>,
    owner: Owner,
    /// When a byte last moved, in milliseconds.
    last: Cell<u64>,
}

/// One direction.
struct Way<'a, D: Driver> {
    from: &'a Stream<D>,
    to: &'a Stream<D>,
    /// Bytes received already.
    early: Bytes,
    /// One buffer until `to` has taken it, in milliseconds.
    send_ms: u64,
    /// Bytes moved.
    moved: &'a Counter,
    /// The server's count of them: a check wants to know whether it answers.
    server: &'a Counter,
}

/// How long a tunnel may wait for its peers; `None`: for ever.
pub struct Patience {
    /// No byte either way.
    pub idle: Option<Duration>,
    /// One buffer until the client has taken it.
    pub client: Option<Duration>,
    /// One buffer until the backend has taken it.
    pub backend: Option<Duration>,
}

/// How a tunnel ended.
pub struct Ended {
    /// Why, if not by FIN of both sides.
    pub result: Result<(), Reason>,
    /// Bytes moved from the client and from the backend.
    pub moved: [u64; 2],
}

/// Relays until both sides have ended, one of them failed, or nothing moved for too long. `early` are bytes received already, from
/// the client and from the backend. When `picked` goes down and its sessions
/// go with it, it ends with `ServerDown`.
pub async fn run<D: Driver>(
    cx: &Context<D>,
    owner: Owner,
    [client, backend]: [&Stream<D>; 2],
    early: [Bytes; 2],
    patience: Patience,
    picked: &Picked<D>,
) -> Ended {
    let tunnel = Tunnel { cx, owner, last: Cell::new(cx.reactor.now_ms()) };
    let [from_client, from_backend] = early;
    let moved = [Counter::default(), Counter::default()];
    let server = picked.stats();
    let send_ms = |patience: Option<Duration>| ms(patience.unwrap_or(Duration::MAX));
    let up = Way {
        from: client,
        to: backend,
        early: from_client,
        send_ms: send_ms(patience.backend),
        moved: &moved[0],
        server: &server.bytes_out,
    };
    let down = Way {
        from: backend,
        to: client,
        early: from_backend,
        send_ms: send_ms(patience.client),
        moved: &moved[1],
        server: &server.bytes_in,
    };
    let (mut up, mut down) = (pin!(tunnel.pump(up)), pin!(tunnel.pump(down)));
    let mut cut = pin!(picked.went_down());
    let (mut up_done, mut down_done, mut failure) = (false, false, None);
    let taken = || client.acknowledged_bytes() + backend.acknowledged_bytes();
    let orphan = Orphan { timer: cx.reactor.timer(), taken: Cell::new(None) };
    let both = poll_fn(|task| {
        if !up_done && let Poll::Ready(result) = up.as_mut().poll(task) {
            match result {
                Ok(()) => {}
                Err(Broken::Read) => return Poll::Ready(Err(Reason::ClientGone)),
                // What it sent before it went is still to be read: the other direction ends by itself.
                Err(Broken::Write) => failure = Some(Reason::BackendReset),
                Err(Broken::Late) => return Poll::Ready(Err(Reason::BackendSendTimeout)),
            }
            up_done = true;
        }
        if !down_done && let Poll::Ready(result) = down.as_mut().poll(task) {
            match result {
                Ok(()) => {}
                Err(Broken::Read) => return Poll::Ready(Err(Reason::BackendReset)),
                Err(Broken::Write) => failure = Some(Reason::ClientGone),
                Err(Broken::Late) => return Poll::Ready(Err(Reason::ClientTimeout)),
            }
            down_done = true;
        }
        if cut.as_mut().poll(task).is_ready() {
            return Poll::Ready(Err(Reason::ServerDown));
        }
        if up_done && down_done {
            return Poll::Ready(failure.map_or(Ok(()), Err));
        }
        // A direction may wait for ever for a side that waits in turn for one that is gone.
        let gone = client.poll_failed(task).is_ready() | backend.poll_failed(task).is_ready();
        if (failure.is_some() || gone) && orphan.poll_stuck(task, taken).is_ready() {
            let by_whom = if client.has_failed() { Reason::ClientGone } else { Reason::BackendReset };
            return Poll::Ready(Err(failure.unwrap_or(by_whom)));
        }
        // A direction that ended reads no more, so nobody would see its side vanish while the other one is silent.
        if up_done && client.poll_failed(task).is_ready() {
            return Poll::Ready(Err(Reason::ClientGone));
        }
        if down_done && backend.poll_failed(task).is_ready() {
            return Poll::Ready(Err(Reason::BackendReset));
        }
        Poll::Pending
    });
    let result = tunnel.until_idle(patience.idle, taken, both).await;
    cx.stats().bytes_in.add(moved[0].get());
    cx.stats().bytes_out.add(moved[1].get());
    Ended { result, moved: [moved[0].get(), moved[1].get()] }
}

/// What is left of a tunnel when one side is gone: it may finish as long as it moves.
struct Orphan {
    timer: Timer,
    /// Bytes that both sides had acknowledged at the last look; `None`: both are there.
    taken: Cell<Option<u64>>,
}

impl Orphan {
    /// Ready when nobody has taken a byte for [`ORPHAN_MAX`].
    fn poll_stuck(&self, task: &mut std::task::Context<'_>, taken: impl Fn() -> u64) -> Poll<()> {
        if self.taken.get().is_none() {
            self.taken.set(Some(taken()));
            self.timer.set(ORPHAN_MAX);
        }
        while self.timer.poll_expired(task.waker()) {
            let now = Some(taken());
            if self.taken.replace(now) == now {
                return Poll::Ready(());
            }
            self.timer.set(ORPHAN_MAX);
        }
        Poll::Pending
    }
}

/// How one direction broke.
enum Broken {
    Read,
    Write,
    /// What was sent was not taken in time.
    Late,
}

impl<D: Driver> Tunnel<'_, D> {
    /// Runs `both` until it ends or no byte moved for `idle`.
    async fn until_idle(
        &self,
        idle: Option<Duration>,
        taken: impl Fn() -> u64,
        both: impl Future<Output = Result<(), Reason>>,
    ) -> Result<(), Reason> {
        let Some(idle) = idle else { return both.await };
        let mut both = pin!(both);
        let timer = self.cx.reactor.timer();
        timer.set(ms(idle));
        let mut before = taken();
        loop {
            if let Ok(result) = timer.before_deadline(both.as_mut()).await {
                return result;
            }
            // A slow reader takes what was moved long ago: that is no idleness.
            let now = taken();
            if std::mem::replace(&mut before, now) != now {
                timer.set(ms(idle));
                continue;
            }
            // Bytes only note the time; the deadline is moved here, when it fires.
            let quiet = self.cx.reactor.now_ms() - self.last.get();
            if quiet >= ms(idle) {
                return Err(Reason::ClientTimeout);
            }
            timer.set(ms(idle) - quiet);
        }
    }

    /// One direction, to its end: FIN in becomes FIN out. Bytes that `to` does not take in time end it: they hold a buffer, and
    /// the other direction may keep the tunnel from ever looking idle.
    async fn pump(&self, mut way: Way<'_, D>) -> Result<(), Broken> {
        let timer = self.cx.reactor.timer();
        // How much this looks like a stream rather than a conversation, from 0 to 4: large reads in a row, less small splices.
        let mut full = 0;
        loop {
            if way.early.is_empty() {
                way.from.readable().await; // an idle tunnel holds no buffer
                if full >= 2
                    && self.cx.live().plan.splice_min.is_some()
                    && let (Some(from), Some(to)) = (way.from.raw(), way.to.raw())
                    && let Some(pipe) = self.cx.reactor.take_pipe()
                {
                    let before = way.moved.get();
                    if self.splice(&way, from, to, pipe).await? {
                        break;
                    }
                    if way.moved.get() - before < SPLICE_WORTH {
                        full -= 1; // a conversation again, perhaps
                    }
                    continue;
                }
            }
            let reservation = self.cx.reactor.buffers().reserve(self.owner, 1).await;
            let bonus = if full > 0 { reservation.try_take_large() } else { None };
            let mut lease = bonus.unwrap_or_else(|| reservation.take());
            let n = if way.early.is_empty() {
                match way.from.try_recv(&mut lease).map_err(|_| Broken::Read)? {
                    None => continue,
                    Some(0) => break,
                    Some(n) => n,
                }
            } else {
                let n = way.early.len().min(lease.len());
                lease[..n].copy_from_slice(&way.early[..n]);
                way.early.advance(n);
                n
            };
            full = if n >= BUFFER_SMALL { 4.min(full + 1) } else { 0 };
            self.note(&way, n, &self.cx.stats().bytes_copied);
            let sent = async {
                way.to.send(lease, 0..n).await?;
                drop(reservation); // the lease still counts until it is sent
                way.to.flushed().await // so at most one buffer per direction is held
            };
            in_time(way.to.while_taking(&timer, way.send_ms, sent).await)?;
        }
        in_time(way.to.while_taking(&timer, way.send_ms, way.to.finish()).await)
    }

    /// Moves what is there through a pipe; true at FIN.
    async fn splice(
        &self,
        way: &Way<'_, D>,
        from: &Socket<D>,
        to: &Socket<D>,
        mut pipe: Pipe<D>,
    ) -> Result<bool, Broken> {
        let timer = self.cx.reactor.timer();
        let mut budget = TURN_BUDGET;
        loop {
            let most = pipe.capacity();
            let n = match from.try_splice_in(&mut pipe, most).map_err(|_| Broken::Read)? {
                None => return Ok(false),
                Some(0) => return Ok(true),
                Some(n) => n,
            };
            self.note(way, n, &self.cx.stats().bytes_spliced);
            while pipe.held() > 0 {
                in_time(to.while_taking(&timer, way.send_ms, to.splice_out(&mut pipe, false)).await)?;
            }
            budget = budget.saturating_sub(n);
            if budget == 0 {
                yield_now().await; // others' turn
                budget = TURN_BUDGET;
            }
        }
    }

    fn note(&self, way: &Way<'_, D>, n: usize, how: &Counter) {
        self.last.set(self.cx.reactor.now_ms());
        way.moved.add(n as u64);
        way.server.add(n as u64);
        how.add(n as u64);
    }
}

fn in_time(sent: Result<io::Result<()>, Elapsed>) -> Result<(), Broken> {
    match sent {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Broken::Write),
        Err(Elapsed) => Err(Broken::Late),
    }
}
