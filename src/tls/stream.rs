//! A connection as sessions and pools see it: a socket, and TLS over it where there is any. Same words, same promises as
//! [`Socket`]: readiness, a wait that is given up loses nothing, one send in flight.

use super::engine::{Engine, Received};
use super::facts::Facts;
use super::terms::{Dialer, Offer};
use crate::limits::TLS_ROOM;
use crate::ring::{Driver, Lease, Owner, Reactor, Reservation, Socket, SocketId, Timer, Watcher};
use bytes::{Buf, Bytes};
use rustls::pki_types::{ServerName, UnixTime};
use std::cell::{OnceCell, Ref, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

/// See the head of this file. Dropping it closes the socket in order; only [`Stream::finish`] says so in TLS, too.
pub struct Stream<D: Driver> {
    socket: Socket<D>,
    /// `None`: bytes go as they are.
    layer: Option<Box<RefCell<Layer>>>,
}

struct Layer {
    /// Received and decrypted, and not read yet.
    early: Bytes,
    tls: Option<Tls>,
}

struct Tls {
    engine: Engine,
    terms: Side,
    /// Made when something asks for it.
    facts: OnceCell<Box<Facts>>,
}

/// Under whose terms a connection was made.
enum Side {
    /// And the name that the client asked for.
    Offer(Arc<Offer>, Option<Box<str>>),
    Dialer(Arc<Dialer>),
}

impl<D: Driver> Stream<D> {
    /// Without TLS.
    pub fn plain(socket: Socket<D>) -> Self {
        Self { socket, layer: None }
    }

    /// Without TLS; `early` were received already and are read first.
    pub fn with_early(socket: Socket<D>, early: Bytes) -> Self {
        let layer = (!early.is_empty()).then(|| Box::new(RefCell::new(Layer { early, tls: None })));
        Self { socket, layer }
    }

    /// The server's side of TLS; `begun` are the client's first bytes, which ask for `name`. [`Stream::handshake`] must follow.
    pub fn server(socket: Socket<D>, offer: Arc<Offer>, name: Option<String>, begun: Vec<u8>) -> io::Result<Self> {
        let engine = Engine::server(offer.config.clone(), offer.asks_clients()).map_err(io::Error::other)?;
        let stream = Self::with_engine(socket, engine, Side::Offer(offer, name.map(Into::into)));
        // An error is in the engine, too: the handshake finds it there, and its alert.
        let _ = stream.with_tls(|tls, rest| tls.engine.begin_with(begun, rest));
        Ok(stream)
    }

    /// The client's side of TLS. [`Stream::handshake`] must follow.
    pub fn client(socket: Socket<D>, dialer: Arc<Dialer>, name: ServerName<'static>) -> io::Result<Self> {
        let engine = Engine::client(dialer.config.clone(), name).map_err(io::Error::other)?;
        Ok(Self::with_engine(socket, engine, Side::Dialer(dialer)))
    }

    fn with_engine(socket: Socket<D>, engine: Engine, terms: Side) -> Self {
        let layer = Layer { early: Bytes::new(), tls: Some(Tls { engine, terms, facts: OnceCell::new() }) };
        Self { socket, layer: Some(Box::new(RefCell::new(layer))) }
    }

    /// Acts on TLS, if there is any; data that it decrypts into the vector is read next.
    fn with_tls<T>(&self, act: impl FnOnce(&mut Tls, &mut Vec<u8>) -> T) -> Option<T> {
        let mut layer = self.layer.as_ref()?.borrow_mut();
        let Layer { early, tls } = &mut *layer;
        let mut rest = Vec::new();
        let result = act(tls.as_mut()?, &mut rest);
        if !rest.is_empty() {
            *early = if early.is_empty() { rest.into() } else { [&early[..], &rest].concat().into() };
        }
        Some(result)
    }

    fn tls(&self) -> Option<Ref<'_, Tls>> {
        Ref::filter_map(self.layer.as_ref()?.borrow(), |layer| layer.tls.as_ref()).ok()
    }

    fn early(&self) -> bool {
        self.layer.as_ref().is_some_and(|layer| !layer.borrow().early.is_empty())
    }

    /// The peer said within TLS that it sends no more.
    fn is_closed(&self) -> bool {
        self.tls().is_some_and(|tls| tls.engine.is_closed())
    }

    // ---- What it is. ----

    /// The socket, if bytes go as they are: they may be spliced.
    pub fn raw(&self) -> Option<&Socket<D>> {
        match &self.layer {
            None => Some(&self.socket),
            Some(layer) if layer.borrow().tls.is_none() && !self.early() => Some(&self.socket),
            Some(_) => None,
        }
    }

    /// TLS is spoken here.
    pub fn is_tls(&self) -> bool {
        self.tls().is_some()
    }

    /// What the client was offered; `None` without TLS.
    pub fn offer(&self) -> Option<Ref<'_, Offer>> {
        Ref::filter_map(self.tls()?, |tls| match &tls.terms {
            Side::Offer(offer, _) => Some(&**offer),
            Side::Dialer(_) => None,
        })
        .ok()
    }

    /// What is known of the client; `None` without TLS.
    pub fn facts(&self) -> Option<Ref<'_, Facts>> {
        Ref::filter_map(self.tls()?, |tls| {
            let (Side::Offer(offer, name), Some(connection)) = (&tls.terms, tls.engine.as_server()) else {
                return None;
            };
            let make = || Box::new(offer.facts(connection, name.as_deref(), UnixTime::now()));
            Some(&**tls.facts.get_or_init(make))
        })
        .ok()
    }

    /// It was made under these terms for backends; `None`: without TLS.
    pub fn is_dialed_by(&self, dialer: Option<&Arc<Dialer>>) -> bool {
        match (self.tls(), dialer) {
            (None, None) => true,
            (Some(tls), Some(dialer)) => matches!(&tls.terms, Side::Dialer(own) if Arc::ptr_eq(own, dialer)),
            _ => false,
        }
    }

    // ---- The handshake. ----

    /// Shakes hands; data that came behind it is read next. An error's text says what was wrong, in words of TLS. Nothing bounds the
    /// time but the caller; dropping the future gives up. `held`: buffers of the caller's, whose owner is the socket's; one who holds
    /// some must not wait for others.
    pub async fn handshake(&self, held: Option<&Reservation>) -> io::Result<()> {
        loop {
            let stand = self.with_tls(|tls, _| (tls.engine.stand(), tls.engine.out().len()));
            let ((handshaking, waits), left) = stand.unwrap_or_default();
            // There is room for so much before any data.
            if !handshaking && left <= TLS_ROOM / 2 && (!waits || self.early()) {
                return Ok(()); // what is left goes with the first data
            }
            self.send_out(held).await?;
            if let Some(error) = self.with_tls(|tls, _| tls.engine.failure()).flatten() {
                return Err(error);
            }
            if !handshaking {
                return Ok(());
            }
            self.socket.readable().await;
            let received =
                self.with_tls(|tls, rest| tls.engine.receive(&mut [], rest, |buffer| self.socket.try_recv(buffer)));
            match received {
                Some(Ok(Received::Cut)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(Err(error)) => {
                    let _ = self.send_out(held).await; // the alert
                    return Err(error);
                }
                _ => {}
            }
        }
    }

    /// Sends what TLS itself has to say; all else that it has goes with the next data.
    pub async fn send_out(&self, held: Option<&Reservation>) -> io::Result<()> {
        while self.with_tls(|tls, _| !tls.engine.out().is_empty()).unwrap_or(false) {
            self.socket.flushed().await?;
            let mut lease = match held {
                Some(held) => held.take(),
                None => self.socket.reactor().buffers().reserve(self.socket.owner(), 1).await.take(),
            };
            let taken = self.with_tls(|tls, _| {
                let out = tls.engine.out();
                let n = out.len().min(lease.len());
                lease[..n].copy_from_slice(&out[..n]);
                out.drain(..n);
                if out.is_empty() {
                    *out = Vec::new();
                }
                n
            });
            self.socket.start_send(lease, 0..taken.unwrap_or(0));
        }
        Ok(())
    }

    // ---- Receiving. ----

    /// See [`Socket::poll_readable`].
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_nothing() {
            return Poll::Ready(());
        }
        self.socket.poll_readable(cx)
    }

    /// See [`Socket::readable`].
    pub async fn readable(&self) {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// See [`Socket::try_recv`]. Data that breaks TLS's rules, and an end that TLS did not announce, are errors.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match &self.layer {
            None => self.socket.try_recv(buffer),
            Some(layer) => self.recv_layered(&mut layer.borrow_mut(), buffer),
        }
    }

    fn recv_layered(&self, layer: &mut Layer, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Layer { early, tls } = layer;
        if !early.is_empty() {
            let n = early.len().min(buffer.len());
            early.copy_to_slice(&mut buffer[..n]);
            if early.is_empty() {
                *early = Bytes::new();
            }
            return Ok(Some(n));
        }
        let Some(Tls { engine, .. }) = tls else { return self.socket.try_recv(buffer) };
        if engine.is_closed() {
            return Ok(Some(0));
        }
        let mut rest = Vec::new();
        let received = engine.receive(buffer, &mut rest, |records| self.socket.try_recv(records));
        if !rest.is_empty() {
            *early = rest.into();
        }
        match received? {
            Received::Data(0) if engine.is_closed() => Ok(Some(0)),
            Received::Data(0) | Received::Nothing => Ok(None),
            Received::Data(n) => Ok(Some(n)),
            Received::Cut => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Waits for what is to be thrown away without a look at it ([`Stream::try_discard`]).
    pub async fn discardable(&self) {
        self.socket.readable().await;
    }

    /// Receives what is to be thrown away.
    pub fn try_discard(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.socket.try_recv(buffer)
    }

    /// See [`Socket::has_failed`].
    pub fn has_failed(&self) -> bool {
        self.socket.has_failed()
    }

    /// See [`Socket::has_ended`].
    pub fn has_ended(&self) -> bool {
        self.socket.has_ended() || self.is_closed()
    }

    /// See [`Socket::seems_quiet`].
    pub fn seems_quiet(&self) -> bool {
        self.has_nothing() && self.socket.seems_quiet()
    }

    /// See [`Socket::is_quiet`]. The beginning of a record is no request yet.
    pub fn is_quiet(&self) -> bool {
        self.has_nothing() && self.socket.is_quiet()
    }

    fn has_nothing(&self) -> bool {
        self.layer.is_none()
            || !self.early() && !self.tls().is_some_and(|tls| tls.engine.is_closed() || tls.engine.has_failed())
    }

    /// As [`Stream::seems_quiet`] of a pooled connection: what TLS itself has to say (tickets for later sessions) is taken in.
    pub fn settles(&self) -> bool {
        if !self.is_tls() {
            return self.seems_quiet();
        }
        while !self.socket.seems_quiet() && !self.is_closed() && !self.early() {
            if !matches!(self.try_recv(&mut [0]), Ok(None)) {
                return false;
            }
        }
        self.seems_quiet() && !self.is_mid_record()
    }

    /// Bytes of a record are here, and its rest is not.
    pub fn is_mid_record(&self) -> bool {
        self.tls().is_some_and(|tls| !tls.engine.is_between_records())
    }

    /// See [`Socket::has_bytes`].
    pub fn has_bytes(&self) -> bool {
        self.early() || self.socket.has_bytes()
    }

    /// See [`Socket::poll_failed`].
    pub fn poll_failed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_failed(cx)
    }

    /// See [`Socket::poll_ended`].
    pub fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_ended(cx)
    }

    /// See [`Socket::watch`].
    pub fn watch(&self, watcher: Watcher, tag: u32) {
        self.socket.watch(watcher, tag);
    }

    /// See [`Socket::unwatch`].
    pub fn unwatch(&self) {
        self.socket.unwatch();
    }

    // ---- Sending. ----

    /// See [`Socket::flushed`].
    pub async fn flushed(&self) -> io::Result<()> {
        self.socket.flushed().await
    }

    /// See [`Socket::send`]. Under TLS the bytes are encrypted when their turn comes.
    pub async fn send(&self, lease: Lease, range: Range<usize>) -> io::Result<()> {
        self.socket.flushed().await?;
        if self.layer.is_none() {
            self.socket.start_send(lease, range);
            return Ok(());
        }
        self.start_encrypted(lease, range)
    }

    fn start_encrypted(&self, mut lease: Lease, range: Range<usize>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (begin, end) = (range.start, range.end);
        let sealed = self.with_tls(|tls, _| lease.rewrite(|plain, to| tls.engine.encrypt(&plain[begin..end], to)));
        match sealed {
            Some(sealed) => self.socket.start_send(lease, 0..sealed?),
            None => self.socket.start_send(lease, range),
        }
        Ok(())
    }

    /// See [`Socket::finish`]. Under TLS the end is announced first, if a buffer for that is to be had at once.
    pub async fn finish(&self) -> io::Result<()> {
        self.socket.flushed().await?;
        if let Some(owner) = self.with_tls(|tls, _| tls.engine.say_close()).map(|()| self.socket.owner())
            && let Some(reservation) = self.socket.reactor().buffers().spare(owner)
        {
            let mut lease = reservation.take();
            let n = self.with_tls(|tls, _| {
                let out = std::mem::take(tls.engine.out());
                let n = out.len().min(lease.len());
                lease[..n].copy_from_slice(&out[..n]);
                n
            });
            self.socket.start_send(lease, 0..n.unwrap_or(0));
        }
        self.socket.finish().await
    }

    /// See [`Socket::finish_now`]: without a word of TLS.
    pub fn finish_now(&self) -> io::Result<()> {
        self.socket.finish_now()
    }

    /// See [`Socket::is_flushed`].
    pub fn is_flushed(&self) -> bool {
        self.socket.is_flushed()
    }

    /// See [`Socket::while_taking`].
    pub async fn while_taking<T>(
        &self,
        timer: &Timer,
        ms: u64,
        write: impl Future<Output = T>,
    ) -> Result<T, crate::ring::Elapsed> {
        self.socket.while_taking(timer, ms, write).await
    }

    /// See [`Socket::accepted_bytes`]: of TLS records.
    pub fn accepted_bytes(&self) -> u64 {
        self.socket.accepted_bytes()
    }

    /// See [`Socket::may_have_sent`].
    pub fn may_have_sent(&self, before: u64) -> bool {
        self.socket.may_have_sent(before)
    }

    /// See [`Socket::acknowledged_bytes`].
    pub fn acknowledged_bytes(&self) -> u64 {
        self.socket.acknowledged_bytes()
    }

    /// See [`Socket::unacknowledged`].
    pub fn unacknowledged(&self) -> usize {
        self.socket.unacknowledged()
    }

    /// See [`Socket::abort`].
    pub fn abort(self) {
        self.reset_when_dropped();
    }

    /// See [`Socket::reset_when_dropped`].
    pub fn reset_when_dropped(&self) {
        self.socket.reset_when_dropped();
    }

    // ---- The rest of the socket's. ----

    /// See [`Socket::reactor`].
    pub fn reactor(&self) -> &Reactor<D> {
        self.socket.reactor()
    }

    /// See [`Socket::local`].
    pub fn local(&self) -> io::Result<Option<SocketAddr>> {
        self.socket.local()
    }

    /// See [`Socket::id`].
    pub fn id(&self) -> SocketId {
        self.socket.id()
    }

    /// See [`Socket::set_owner`].
    pub fn set_owner(&self, owner: Owner) {
        self.socket.set_owner(owner);
    }

    /// See [`Socket::keep_alive`].
    pub fn keep_alive(&self) {
        self.socket.keep_alive();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_stays_small() {
        // What an idle client costs beside its keys, which are rustls' own and on the heap; 4.9 KB in all when this was written.
        assert!(size_of::<RefCell<Layer>>() <= 1536, "{}", size_of::<RefCell<Layer>>());
    }
}
