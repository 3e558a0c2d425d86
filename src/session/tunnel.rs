//! Bytes both ways after an upgrade (WebSocket): each direction is the same function, half-close is passed on.

use super::{Context, ms};
use crate::proto::reason::Reason;
use crate::ring::{Driver, Elapsed, Owner, Socket};
use crate::stats::Counter;
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

/// How long a tunnel may wait for its peers.
pub struct Patience {
    /// No byte either way.
    pub idle: Duration,
    /// One buffer until the client has taken it.
    pub client: Duration,
    /// One buffer until the backend has taken it.
    pub backend: Duration,
}

/// Relays until both sides have ended, one of them failed, or nothing moved for `idle`. `early` are bytes received already,
/// from the client and from the backend. Returns why it ended, if not well.
pub async fn run<D: Driver>(
    cx: &Context<D>,
    owner: Owner,
    client: &Socket<D>,
    backend: &Socket<D>,
    early: [Bytes; 2],
    patience: Patience,
) -> Result<(), Reason> {
    let tunnel = Tunnel { cx, owner, last: Cell::new(cx.reactor.now_ms()) };
    let [from_client, from_backend] = early;
    let stats = cx.stats();
    let idle = patience.idle;
    let mut up = pin!(tunnel.pump(client, backend, from_client, &stats.bytes_in, ms(patience.backend)));
    let mut down = pin!(tunnel.pump(backend, client, from_backend, &stats.bytes_out, ms(patience.client)));
    let (mut up_done, mut down_done) = (false, false);
    let both = poll_fn(|task| {
        if !up_done && let Poll::Ready(result) = up.as_mut().poll(task) {
            result.map_err(|error| blame(&error, Reason::ClientGone, Reason::BackendSendTimeout))?;
            up_done = true;
        }
        if !down_done && let Poll::Ready(result) = down.as_mut().poll(task) {
            result.map_err(|error| blame(&error, Reason::BackendReset, Reason::ClientTimeout))?;
            down_done = true;
        }
        if up_done && down_done { Poll::Ready(Ok(())) } else { Poll::Pending }
    });
    let mut both = pin!(both);
    let timer = cx.reactor.timer();
    timer.set(ms(idle));
    loop {
        match timer.before_deadline(both.as_mut()).await {
            Ok(result) => return result,
            Err(_) => {
                // Bytes only note the time; the deadline is moved here, when it fires.
                let quiet = cx.reactor.now_ms() - tunnel.last.get();
                if quiet >= ms(idle) {
                    return Err(Reason::ClientTimeout);
                }
                timer.set(ms(idle) - quiet);
            }
        }
    }
}

/// Names the end of one direction.
fn blame(error: &Broken, gone: Reason, late: Reason) -> Reason {
    if let Broken::Late = error { late } else { gone }
}

/// How one direction broke.
enum Broken {
    Gone,
    /// What was sent was not taken in time.
    Late,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Broken::Gone
    }
}

impl<D: Driver> Tunnel<'_, D> {
    /// One direction, to its end: FIN in becomes FIN out. Bytes that `to` does not take within `send_ms` end it: they hold a
    /// buffer, and the other direction may keep the tunnel from ever looking idle.
    async fn pump(
        &self,
        from: &Socket<D>,
        to: &Socket<D>,
        mut early: Bytes,
        count: &Counter,
        send_ms: u64,
    ) -> Result<(), Broken> {
        let timer = self.cx.reactor.timer();
        loop {
            if early.is_empty() {
                from.readable().await; // an idle tunnel holds no buffer
            }
            let reservation = self.cx.reactor.buffers().reserve(self.owner, 1).await;
            let mut lease = reservation.take();
            let n = if early.is_empty() {
                match from.try_recv(&mut lease)? {
                    None => continue,
                    Some(0) => break,
                    Some(n) => n,
                }
            } else {
                let n = early.len().min(lease.len());
                lease[..n].copy_from_slice(&early[..n]);
                early.advance(n);
                n
            };
            self.last.set(self.cx.reactor.now_ms());
            count.add(n as u64);
            let sent = async {
                to.send(lease, 0..n).await?;
                drop(reservation); // the lease still counts until it is sent
                to.flushed().await // so at most one buffer per direction is held
            };
            timer.within(send_ms, sent).await.map_err(|Elapsed| Broken::Late)??;
        }
        Ok(to.finish().await?)
    }
}
