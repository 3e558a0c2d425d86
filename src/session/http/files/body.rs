//! The body of an answer about a file. What is in the page cache is sent from there; what is not is read by way of the ring.

use crate::handlers::compress::Coder;
use crate::limits::{BUFFER_SMALL, SENDFILE_KNOWN, SENDFILE_MIN, SENDFILE_WINDOW, TURN_BUDGET};
use crate::ring::executor::yield_now;
use crate::ring::{Driver, Elapsed, File, Lease, Socket};
use crate::session::http::client::Client;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::task::Poll;

/// A piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// This.
    Text(Vec<u8>),
    /// These bytes of the file.
    File(Range<u64>),
}

impl Part {
    pub(super) fn len(&self) -> u64 {
        match self {
            Part::Text(text) => text.len() as u64,
            Part::File(range) => range.end - range.start,
        }
    }
}

/// So many bytes go to this client without being copied, if they are in the page cache.
pub(super) fn is_for_sendfile<D: Driver>(client: &Client<'_, D>, length: u64) -> bool {
    length >= SENDFILE_MIN && client.socket.raw().is_some()
}

/// Waits for something that takes its time, unless the client goes away meanwhile.
pub(super) async fn unless_gone<D: Driver, T>(client: &Client<'_, D>, waited: impl Future<Output = T>) -> Option<T> {
    let mut waited = pin!(waited);
    poll_fn(|task| match waited.as_mut().poll(task) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => client.socket.poll_failed(task).map(|()| None),
    })
    .await
}

/// Sends what lies in the buffer already, the head, and the parts behind it. Their last bytes may still be in flight when this returns.
/// `file`: whose bytes they are. `coder`: what the parts go through. `send_ms`: for one write.
pub(super) async fn send<D: Driver>(
    client: &Client<'_, D>,
    (out, filled): (Lease, usize),
    file: Option<&File>,
    parts: &[Part],
    coder: Option<&mut Coder>,
    send_ms: u64,
) -> io::Result<()> {
    client.record.head(&out[..filled]);
    let mut sending = Sending { client, out: Some(out), filled, send_ms, budget: TURN_BUDGET };
    if let Some(coder) = coder {
        return sending.coded(file, parts, coder).await;
    }
    for part in parts {
        match (part, file) {
            (Part::Text(text), _) => sending.text(text).await?,
            (Part::File(range), Some(file)) => sending.file(file, range.clone()).await?,
            (Part::File(_), None) => {}
        }
    }
    sending.flush().await
}

pub(super) struct Sending<'x, 'c, D: Driver> {
    pub(super) client: &'x Client<'c, D>,
    /// What is to be sent next: so many bytes of it are filled.
    pub(super) out: Option<Lease>,
    pub(super) filled: usize,
    send_ms: u64,
    /// Bytes until others have their turn.
    budget: usize,
}

impl<D: Driver> Sending<'_, '_, D> {
    /// A write, as long as the client takes bytes.
    async fn timed<T>(&self, write: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let client = self.client;
        let written = client.socket.while_taking(&client.timer, self.send_ms, write).await;
        written.map_err(|Elapsed| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Sends what is in the buffer.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let filled = std::mem::take(&mut self.filled);
        self.client.cx.stats().bytes_out.add(filled as u64);
        self.client.record.sent.add(filled as u64);
        self.timed(self.client.socket.send(out, 0..filled)).await?;
        self.spend(filled).await;
        Ok(())
    }

    async fn spend(&mut self, bytes: usize) {
        self.budget = self.budget.saturating_sub(bytes);
        if self.budget == 0 {
            yield_now().await; // others' turn
            self.budget = TURN_BUDGET;
        }
    }

    /// A buffer with room, for `left` bytes that are to come.
    async fn room(&mut self, left: u64) -> io::Result<Lease> {
        if self.out.as_ref().is_some_and(|out| self.filled == out.len()) {
            self.flush().await?;
        }
        let reservation = self.client.reservation();
        Ok(self.out.take().unwrap_or_else(|| {
            let large = if left > BUFFER_SMALL as u64 { reservation.try_take_large() } else { None };
            large.unwrap_or_else(|| reservation.take())
        }))
    }

    async fn text(&mut self, mut text: &[u8]) -> io::Result<()> {
        while !text.is_empty() {
            let mut out = self.room(text.len() as u64).await?;
            let room = &mut out[self.filled..];
            let n = room.len().min(text.len());
            room[..n].copy_from_slice(&text[..n]);
            text = &text[n..];
            self.filled += n;
            self.out = Some(out);
        }
        Ok(())
    }

    async fn file(&mut self, file: &File, mut range: Range<u64>) -> io::Result<()> {
        if is_for_sendfile(self.client, range.end - range.start)
            && let Some(socket) = self.client.socket.raw()
        {
            range.start = self.pass(socket, file, range.clone()).await?;
        }
        while range.start < range.end {
            range.start += self.copy(file, range.clone()).await? as u64;
        }
        Ok(())
    }

    /// Copies the beginning of the range into the buffer, as much as is there at once or the disk gives in one read.
    async fn copy(&mut self, file: &File, range: Range<u64>) -> io::Result<usize> {
        let reactor = &self.client.cx.reactor;
        let mut out = self.room(range.end - range.start).await?;
        let room = out.len() - self.filled;
        let end = self.filled + usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(room);
        let read = match reactor.try_read(file, &mut out[self.filled..end], range.start)? {
            Some(n) => n,
            None => {
                let (back, read) = reactor.read(file, out, self.filled..end, range.start).await;
                out = back;
                read?
            }
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into()); // it was cut since it was opened, and its length is told
        }
        self.filled += read;
        self.out = Some(out);
        self.client.cx.stats().bytes_copied.add(read as u64);
        Ok(read)
    }

    /// Sends the range straight from the page cache where it is there, and copies what is not. Returns where it stopped: before the end if
    /// the kernel does not tell what is there.
    async fn pass(&mut self, socket: &Socket<D>, file: &File, range: Range<u64>) -> io::Result<u64> {
        let (client, mut at) = (self.client, range.start);
        // What is in memory up to there, and how long that counts: to ask costs some microseconds.
        let (mut known, mut until) = (at, 0);
        while at < range.end {
            let now = client.cx.reactor.now_ms();
            if at >= known || now >= until {
                let window = (range.end - at).min(SENDFILE_WINDOW);
                match client.cx.reactor.is_cached(file, at, window) {
                    Ok(true) => (known, until) = (at + window, now + SENDFILE_KNOWN),
                    Ok(false) => {
                        at += self.copy(file, at..range.end).await? as u64;
                        continue;
                    }
                    Err(_) => return Ok(at),
                }
            }
            self.push(socket).await?;
            let most = (known - at).min(2 * TURN_BUDGET as u64) as usize;
            match socket.try_send_file(file, at, most)? {
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(n) => {
                    at += n as u64;
                    client.cx.stats().bytes_out.add(n as u64);
                    client.record.sent.add(n as u64);
                    client.cx.stats().bytes_spliced.add(n as u64);
                    self.spend(n).await;
                }
                None => {
                    self.timed(async {
                        socket.room().await;
                        Ok(())
                    })
                    .await?;
                }
            }
        }
        Ok(at)
    }

    /// Sends what is in the buffer, so that the kernel has it all and waits for what follows at once.
    async fn push(&mut self, socket: &Socket<D>) -> io::Result<()> {
        if self.out.is_some() || !socket.is_flushed() {
            self.timed(socket.flushed()).await?;
        }
        let Some(out) = self.out.take() else { return Ok(()) };
        let filled = std::mem::take(&mut self.filled);
        self.client.cx.stats().bytes_out.add(filled as u64);
        self.client.record.sent.add(filled as u64);
        let sent = socket.try_send_more(&out[..filled])?;
        if sent < filled {
            self.timed(socket.send(out, sent..filled)).await?;
            self.timed(socket.flushed()).await?;
        }
        Ok(())
    }
}
