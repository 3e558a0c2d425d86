//! Moving one body from one socket to another: the same function for requests and responses.

mod coded;

pub use coded::Begun;

use crate::limits::{BUFFER_SMALL, CHUNK_HEADROOM, CHUNK_TAILROOM, TURN_BUDGET};
use crate::proto::body::{Decoder, Encoder};
use crate::proto::reason::Reason;
use crate::proto::writer::Writer;
use crate::ring::executor::yield_now;
use crate::ring::{Driver, Elapsed, Lease, Pipe, Reservation, Socket, Timer};
use crate::stats::{Tally, WorkerStats};
use crate::tls::Stream;
use bytes::BytesMut;
use std::io;

/// How a body did not reach its end.
#[derive(Debug)]
pub enum Broken {
    /// Reading failed.
    Read(io::Error),
    /// FIN came before the body's end.
    Cut,
    /// No byte came in time.
    ReadTimeout,
    /// Writing failed.
    Write(io::Error),
    /// The other side did not read in time.
    WriteTimeout,
    /// The body is malformed.
    Malformed(Reason),
    /// More bytes than allowed.
    TooLarge,
}

/// One body on its way.
pub struct Relay<'a, D: Driver> {
    /// Where its bytes come from.
    pub from: &'a Stream<D>,
    /// Where they go.
    pub to: &'a Stream<D>,
    /// Undoes the incoming framing.
    pub decoder: &'a mut Decoder,
    /// Makes the outgoing framing.
    pub encoder: Encoder,
    /// The last chunk is written already.
    pub ended: bool,
    /// Buffers to move the bytes with.
    pub reservation: &'a Reservation,
    /// Times both sides in turn.
    pub timer: &'a Timer,
    /// Between two reads, in milliseconds.
    pub read_ms: u64,
    /// For one write.
    pub send_ms: u64,
    /// Bytes of data allowed in what is still to come; `None`: any.
    pub most: Option<u64>,
    /// Bytes certain to follow from which they are spliced; `None`: never.
    pub splice_min: Option<u64>,
    /// Raw bytes that were received already.
    pub carried: &'a [u8],
    /// Takes raw bytes that were received but belong to the next message.
    pub spill: &'a mut BytesMut,
    /// Counts raw bytes received.
    pub received: Tally<'a>,
    /// Counts bytes sent.
    pub sent: Tally<'a>,
    /// Counts spliced and copied bytes.
    pub stats: &'a WorkerStats,
}

impl<D: Driver> Relay<'_, D> {
    /// Moves the body to its end. Its last bytes may still be in flight when this returns.
    pub async fn run(mut self) -> Result<(), Broken> {
        let mut budget = TURN_BUDGET;
        let mut full = false;
        while !self.decoder.is_done() {
            if self.carried.is_empty() {
                let readable = self.timer.within(self.read_ms, self.from.readable()).await;
                readable.map_err(|Elapsed| Broken::ReadTimeout)?;
            }
            let remaining = self.decoder.remaining_length();
            let unread = |&n: &u64| self.splice_min.is_some_and(|min| n >= min) && self.carried.is_empty();
            // Under TLS bytes are changed on their way: they are copied.
            if let Some(certain) = remaining.filter(unread)
                && let (Some(from), Some(to)) = (self.from.raw(), self.to.raw())
            {
                self.pass(from, to, certain).await?;
                continue;
            }
            // A large buffer where much is certain to come, or just came.
            let large = full || remaining.is_some_and(|n| n > BUFFER_SMALL as u64);
            let bonus = if large { self.reservation.try_take_large() } else { None };
            let mut lease = bonus.unwrap_or_else(|| self.reservation.take());
            let Some(raw) = self.receive(&mut lease, &mut full)? else { continue };
            let data = self.decode(&mut lease, raw)?;
            if !data.is_empty() {
                self.send(lease, data).await?;
            }
            self.stats.bytes_copied.add(raw as u64);
            budget = budget.saturating_sub(raw);
            if budget == 0 {
                yield_now().await; // others' turn
                budget = TURN_BUDGET;
            }
        }
        self.spill.extend_from_slice(self.carried);
        if !self.ended {
            // Trailers are bounded far below a buffer.
            let trailers = self.decoder.trailers().to_vec();
            let encoder = self.encoder;
            self.write(|writer| encoder.write_end(writer, &trailers)).await?;
        }
        Ok(())
    }

    /// Moves `certain` bytes of data unread: the rest of the body, or of a chunk, which becomes one chunk. They are spliced, or copied
    /// while no pipe is to be had.
    async fn pass(&mut self, from: &Socket<D>, to: &Socket<D>, certain: u64) -> Result<(), Broken> {
        if let Some(most) = &mut self.most {
            *most = most.checked_sub(certain).ok_or(Broken::TooLarge)?;
        }
        if self.encoder == Encoder::Chunked {
            self.write(|writer| {
                writer.put_hex(certain);
                writer.put(b"\r\n");
            })
            .await?;
        }
        let (mut left, mut budget) = (certain, TURN_BUDGET);
        while left > 0 {
            let readable = self.timer.within(self.read_ms, self.from.readable()).await;
            readable.map_err(|Elapsed| Broken::ReadTimeout)?;
            // Exactly to the end: one byte more would be the next message's.
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let flushed = self.to.while_taking(self.timer, self.send_ms, self.to.flushed()).await;
            flushed.map_err(|Elapsed| Broken::WriteTimeout)?.map_err(Broken::Write)?;
            // A pipe is held while bytes come, not while they are awaited: slow bodies would hold them all.
            let n = match self.from.reactor().take_pipe() {
                Some(pipe) => self.splice(from, to, pipe, most, &mut budget).await?,
                None => self.copy(most, &mut budget).await?,
            };
            left -= n;
            self.decoder.advance(n);
            if budget == 0 {
                yield_now().await;
                budget = TURN_BUDGET;
            }
        }
        if self.encoder == Encoder::Chunked {
            self.write(|writer| writer.put(b"\r\n")).await?;
        }
        Ok(())
    }

    /// Moves what is there through a pipe, until the source is empty or the budget used up.
    async fn splice(
        &mut self,
        from: &Socket<D>,
        to: &Socket<D>,
        mut pipe: Pipe<D>,
        most: usize,
        budget: &mut usize,
    ) -> Result<u64, Broken> {
        let mut moved = 0;
        while moved < most && *budget > 0 {
            let n = match from.try_splice_in(&mut pipe, most - moved).map_err(Broken::Read)? {
                None => break,
                Some(0) => return Err(Broken::Cut),
                Some(n) => n,
            };
            moved += n;
            *budget = budget.saturating_sub(n);
            self.received.add(n as u64);
            self.sent.add(n as u64);
            self.stats.bytes_spliced.add(n as u64);
            while pipe.held() > 0 {
                let written = to.while_taking(self.timer, self.send_ms, to.splice_out(&mut pipe, false)).await;
                written.map_err(|Elapsed| Broken::WriteTimeout)?.map_err(Broken::Write)?;
            }
        }
        Ok(moved as u64)
    }

    /// Moves what is there, at most a buffer of it.
    async fn copy(&mut self, most: usize, budget: &mut usize) -> Result<u64, Broken> {
        let mut lease = self.reservation.try_take_large().unwrap_or_else(|| self.reservation.take());
        let most = most.min(lease.len());
        let n = match self.from.try_recv(&mut lease[..most]).map_err(Broken::Read)? {
            None => return Ok(0),
            Some(0) => return Err(Broken::Cut),
            Some(n) => n,
        };
        *budget = budget.saturating_sub(n);
        self.received.add(n as u64);
        self.stats.bytes_copied.add(n as u64);
        self.send(lease, 0..n).await?;
        Ok(n as u64)
    }

    /// Sends a few bytes of framing.
    async fn write(&mut self, fill: impl FnOnce(&mut Writer)) -> Result<(), Broken> {
        let mut lease = self.reservation.take();
        let mut writer = Writer::new(&mut lease);
        fill(&mut writer);
        let end = writer.finish().unwrap_or(0); // far smaller than a buffer
        self.send(lease, 0..end).await
    }

    /// Raw bytes into the buffer, behind the room for a chunk-size line. `None`: nothing came, or FIN ended the body well.
    fn receive(&mut self, lease: &mut Lease, full: &mut bool) -> Result<Option<usize>, Broken> {
        let end = lease.len() - CHUNK_TAILROOM;
        let room = &mut lease[CHUNK_HEADROOM..end];
        if !self.carried.is_empty() {
            let n = room.len().min(self.carried.len());
            room[..n].copy_from_slice(&self.carried[..n]);
            self.carried = &self.carried[n..];
            return Ok(Some(n));
        }
        // Of a body of known length not one byte more is read: what follows stays in the kernel.
        let left = if let Decoder::Length(left) = self.decoder { *left } else { u64::MAX };
        let certain = left.min(room.len() as u64) as usize;
        match self.from.try_recv(&mut room[..certain]).map_err(Broken::Read)? {
            None => Ok(None),
            Some(0) if self.decoder.end_of_input() => Ok(None),
            Some(0) => Err(Broken::Cut),
            Some(n) => {
                self.received.add(n as u64);
                *full = n == certain;
                Ok(Some(n))
            }
        }
    }

    /// Decodes and frames the raw bytes in the buffer; returns what is to be sent.
    fn decode(&mut self, lease: &mut Lease, raw: usize) -> Result<std::ops::Range<usize>, Broken> {
        let filled = CHUNK_HEADROOM + raw;
        let decoded = self.decoder.decode(&mut lease[CHUNK_HEADROOM..filled]).map_err(Broken::Malformed)?;
        if let Some(most) = &mut self.most {
            *most = most.checked_sub(decoded.data as u64).ok_or(Broken::TooLarge)?;
        }
        self.spill.extend_from_slice(&lease[CHUNK_HEADROOM + decoded.consumed..filled]);
        let mut range = CHUNK_HEADROOM..CHUNK_HEADROOM;
        if decoded.data > 0 {
            range = self.encoder.frame(lease, CHUNK_HEADROOM..CHUNK_HEADROOM + decoded.data);
        }
        if decoded.done && !self.ended && self.decoder.trailers().is_empty() {
            let mut writer = Writer::new(&mut lease[range.end..]);
            self.encoder.write_end(&mut writer, &[]);
            if let Some(n) = writer.finish() {
                range.end += n;
                self.ended = true;
            }
        }
        Ok(range)
    }

    async fn send(&mut self, lease: Lease, range: std::ops::Range<usize>) -> Result<(), Broken> {
        self.sent.add(range.len() as u64);
        let queued = self.to.while_taking(self.timer, self.send_ms, self.to.send(lease, range)).await;
        queued.map_err(|Elapsed| Broken::WriteTimeout)?.map_err(Broken::Write)
    }
}

/// What [`append`] did.
pub struct Appended {
    /// The buffer's new length.
    pub len: usize,
    /// Raw bytes used.
    pub consumed: usize,
    /// Bytes of data among them.
    pub data: usize,
    /// The body's end is written.
    pub ended: bool,
}

/// Decodes as much of `raw` as fits behind a head of `at` bytes and frames it there, so that a small message is one send.
pub fn append(
    out: &mut [u8],
    at: usize,
    raw: &[u8],
    decoder: &mut Decoder,
    encoder: Encoder,
) -> Result<Appended, Reason> {
    let mut result = Appended { len: at, consumed: 0, data: 0, ended: false };
    let start = at + CHUNK_HEADROOM;
    let room = out.len().saturating_sub(start + CHUNK_TAILROOM);
    let n = raw.len().min(room);
    if n > 0 && !decoder.is_done() {
        out[start..start + n].copy_from_slice(&raw[..n]);
        let decoded = decoder.decode(&mut out[start..start + n])?;
        result.consumed = decoded.consumed;
        result.data = decoded.data;
        if decoded.data > 0 {
            // Framed with its headroom, then moved up to the head.
            let framed = encoder.frame(out, start..start + decoded.data);
            result.len = at + framed.len();
            out.copy_within(framed, at);
        }
    }
    if decoder.is_done() {
        let mut writer = Writer::new(&mut out[result.len..]);
        encoder.write_end(&mut writer, decoder.trailers());
        if let Some(n) = writer.finish() {
            result.len += n;
            result.ended = true;
        }
    }
    Ok(result)
}
