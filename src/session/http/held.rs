//! Bodies of requests that are read to their end before a server is asked (`proxy_request_buffering = "on"`). What is held has left the
//! input: the head alone stays there, and what came behind the body follows it.

use super::client::Client;
use crate::config::plan::Location;
use crate::limits::{BUFFER_SMALL, CLIENT_BODY_BUFFER_SIZES, TURN_BUDGET};
use crate::proto::body::Decoder;
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::proto::request::RequestFacts;
use crate::ring::executor::yield_now;
use crate::ring::{Driver, Elapsed, File, Lease, Reactor};
use crate::session::ms;
use crate::session::relay::Broken;
use crate::stats::Tally;
use crate::tls::Stream;
use bytes::Buf;
use std::io;

/// The body of one request, decoded.
#[derive(Default)]
pub(super) struct Held {
    /// Its beginning, where all of it would have been too much memory.
    file: Option<File>,
    in_file: u64,
    /// What comes behind that.
    memory: Vec<u8>,
}

impl Held {
    /// Bytes of data.
    pub(super) fn len(&self) -> u64 {
        self.in_file + self.memory.len() as u64
    }

    /// Puts the whole body behind a head of `len` bytes, so that a small message is one send; the new length. `None`: it does not fit.
    pub(super) fn append(&self, out: &mut [u8], len: usize) -> Option<usize> {
        if self.file.is_some() {
            return None;
        }
        let end = len + self.memory.len();
        out.get_mut(len..end)?.copy_from_slice(&self.memory);
        Some(end)
    }

    /// Sends the body. Its last bytes may still be in flight when this returns. `send_ms`: for one write.
    pub(super) async fn send<D: Driver>(
        &self,
        client: &Client<'_, D>,
        to: &Stream<D>,
        send_ms: u64,
        sent: Tally<'_>,
    ) -> Result<(), Broken> {
        let (timer, mut at, mut budget) = (client.cx.reactor.timer(), 0, TURN_BUDGET);
        while at < self.len() {
            let lease = buffer(client, self.len() - at);
            let (lease, n) = match self.read(&client.cx.reactor, lease, at).await {
                Ok(read) => read,
                Err(error) => {
                    client.cx.log(crate::log::Level::Error, format!("a held body cannot be read again: {error}"));
                    return Err(Broken::Malformed(Reason::BodyNotKept));
                }
            };
            sent.add(n as u64);
            client.cx.stats().bytes_copied.add(n as u64);
            let queued = to.while_taking(&timer, send_ms, to.send(lease, 0..n)).await;
            queued.map_err(|Elapsed| Broken::WriteTimeout)?.map_err(Broken::Write)?;
            at += n as u64;
            spend(&mut budget, n).await;
        }
        Ok(())
    }

    /// Fills the buffer from this place on, as far as one read goes.
    async fn read<D: Driver>(&self, reactor: &Reactor<D>, mut lease: Lease, at: u64) -> io::Result<(Lease, usize)> {
        let in_file =
            self.file.as_ref().and_then(|file| Some((file, self.in_file.checked_sub(at).filter(|&n| n > 0)?)));
        let Some((file, left)) = in_file else {
            let data = &self.memory[(at - self.in_file) as usize..];
            let n = data.len().min(lease.len());
            lease[..n].copy_from_slice(&data[..n]);
            return Ok((lease, n));
        };
        let most = left.min(lease.len() as u64) as usize;
        let n = match reactor.try_read(file, &mut lease[..most], at)? {
            Some(n) => n,
            None => {
                let (back, read) = reactor.read(file, lease, 0..most, at).await;
                lease = back;
                read?
            }
        };
        if n == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok((lease, n)) }
    }

    /// Takes more data: `most` bytes at a time stay in memory, what came before them goes into the file.
    async fn store<D: Driver>(&mut self, reactor: &Reactor<D>, mut data: &[u8], most: usize) -> io::Result<()> {
        while !data.is_empty() {
            if self.memory.len() == most {
                self.write(reactor).await?;
            }
            let (len, capacity) = (self.memory.len(), self.memory.capacity());
            let n = data.len().min(most - len);
            if capacity - len < n {
                // As vectors grow, but never beyond the bound.
                self.memory.reserve_exact((2 * capacity).max(len + n).min(most) - len);
            }
            self.memory.extend_from_slice(&data[..n]);
            data = &data[n..];
        }
        Ok(())
    }

    async fn write<D: Driver>(&mut self, reactor: &Reactor<D>) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(reactor.temporary(&std::env::temp_dir()).await?).clone(),
        };
        let (mut bytes, written) = reactor.write(&file, std::mem::take(&mut self.memory), self.in_file).await;
        written?;
        self.in_file += bytes.len() as u64;
        bytes.clear();
        self.memory = bytes;
        Ok(())
    }
}

/// A large buffer where much is to come and one is left.
fn buffer<D: Driver>(client: &Client<'_, D>, bytes: u64) -> Lease {
    let reservation = client.reservation();
    let large = if bytes > BUFFER_SMALL as u64 { reservation.try_take_large() } else { None };
    large.unwrap_or_else(|| reservation.take())
}

/// Lets others have their turn when the budget is used up.
async fn spend(budget: &mut usize, bytes: usize) {
    *budget = budget.saturating_sub(bytes);
    if *budget == 0 {
        yield_now().await;
        *budget = TURN_BUDGET;
    }
}

/// What is to be held, and how.
pub(super) struct Holding<'a> {
    pub(super) location: &'a Location,
    /// What is known of the request, and its head's bytes.
    pub(super) known: (RequestFacts, usize),
}

/// Why a body is not held, and what the log says of it.
pub(super) struct NotHeld(pub(super) Reason, pub(super) String);

impl From<Reason> for NotHeld {
    fn from(reason: Reason) -> NotHeld {
        NotHeld(reason, String::new())
    }
}

/// Takes the body of the request in the input out of there and out of the connection. If that fails nothing but the head is left, and no
/// other request may follow.
pub(super) async fn hold<D: Driver>(client: &mut Client<'_, D>, holding: &Holding<'_>) -> Result<(), NotHeld> {
    let Holding { location, known: (facts, _) } = holding;
    let [least, most] = CLIENT_BODY_BUFFER_SIZES;
    let size = usize::try_from(location.client_body_buffer_size).unwrap_or(usize::MAX);
    let mut taking = Taking {
        decoder: Decoder::new(facts.body).without_trailers(),
        held: Held::default(),
        in_memory: size.clamp(least, most),
        most: location.client_max_body_size,
        raw: 0,
    };
    let taken = taking.take(client, holding).await;
    client.record.body.set(taking.raw);
    if taken.is_ok() {
        client.held = Some(Box::new(taking.held));
    }
    taken
}

/// A body on its way.
struct Taking {
    decoder: Decoder,
    held: Held,
    /// Bytes of it that stay in memory.
    in_memory: usize,
    /// Bytes of data allowed in what is still to come; `None`: any.
    most: Option<u64>,
    /// Bytes used so far, as they came.
    raw: u64,
}

impl Taking {
    async fn take<D: Driver>(&mut self, client: &mut Client<'_, D>, holding: &Holding<'_>) -> Result<(), NotHeld> {
        let Holding { location, known: (facts, head) } = *holding;
        let cx = client.cx;
        let came = client.start + head..client.end;
        let kept = match &mut client.input {
            Some(input) => self.keep(&cx.reactor, &mut input[came]).await,
            None => Ok(0),
        };
        client.leave_out(head, if self.decoder.is_done() { kept.as_ref().ok().copied() } else { None });
        // Bytes that came behind an earlier body stand between the input and what the socket has.
        let mut behind = std::mem::take(&mut client.pushback);
        kept?;
        let used = self.keep(&cx.reactor, &mut behind).await?;
        behind.advance(used);
        client.pushback = behind;
        if facts.expect_continue && self.raw == 0 {
            ask_for_it(client, ms(location.send_timeout)).await?;
        }
        let mut budget = TURN_BUDGET;
        while !self.decoder.is_done() {
            let readable = client.timer.within(ms(location.client_body_timeout), client.socket.readable()).await;
            readable.map_err(|Elapsed| Reason::BodyTimeout)?;
            // Of a body of known length not one byte more is read: what follows stays in the kernel.
            let certain = if let Decoder::Length(left) = self.decoder { left } else { u64::MAX };
            let mut lease = buffer(client, self.decoder.remaining_length().unwrap_or(0));
            let most = certain.min(lease.len() as u64) as usize;
            match client.socket.try_recv(&mut lease[..most]) {
                Ok(None) => {}
                Ok(Some(0)) | Err(_) => return Err(Reason::ClientGone.into()),
                Ok(Some(n)) => {
                    cx.stats().bytes_in.add(n as u64);
                    cx.stats().bytes_copied.add(n as u64);
                    let used = self.keep(&cx.reactor, &mut lease[..n]).await?;
                    client.pushback.extend_from_slice(&lease[used..n]);
                    spend(&mut budget, n).await;
                }
            }
        }
        Ok(())
    }

    /// Decodes what came and stores the data in it; how many of the bytes were the body's.
    async fn keep<D: Driver>(&mut self, reactor: &Reactor<D>, came: &mut [u8]) -> Result<usize, NotHeld> {
        if came.is_empty() || self.decoder.is_done() {
            return Ok(0);
        }
        let decoded = self.decoder.decode(came)?;
        self.raw += decoded.consumed as u64;
        if let Some(most) = &mut self.most {
            *most = most.checked_sub(decoded.data as u64).ok_or(Reason::BodyTooLarge)?;
        }
        let stored = self.held.store(reactor, &came[..decoded.data], self.in_memory).await;
        stored.map_err(|error| {
            let detail = format!(", in {}: {error}", std::env::temp_dir().display());
            NotHeld(Reason::BodyNotKept, detail)
        })?;
        Ok(decoded.consumed)
    }
}

/// Says 100 (Continue): the client waits for it, and no server is asked yet.
async fn ask_for_it<D: Driver>(client: &Client<'_, D>, send_ms: u64) -> Result<(), NotHeld> {
    let mut lease = client.reservation().take();
    let text = b"HTTP/1.1 100 Continue\r\n\r\n";
    lease[..text.len()].copy_from_slice(text);
    client.cx.stats().bytes_out.add(text.len() as u64);
    let sent = client.socket.while_taking(&client.timer, send_ms, client.socket.send(lease, 0..text.len())).await;
    match sent {
        Ok(Ok(())) => Ok(()),
        _ => Err(Reason::ClientGone.into()),
    }
}

/// This request's body is to be held, and is not yet.
pub(super) fn is_wanted(location: &Location, facts: &RequestFacts) -> bool {
    location.request_buffering && !facts.body.is_empty() && !facts.websocket
}

/// What a server is told of a request whose body is held.
pub(super) fn told(facts: RequestFacts, held: &Held) -> RequestFacts {
    RequestFacts { body: Framing::Length(held.len()), ..facts }
}
