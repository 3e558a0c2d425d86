//! A body that is compressed on its way. It is always copied; what has come so far goes on as soon as the source has no more ready.

use super::{Broken, Relay};
use crate::handlers::compress::{Coder, Goal};
use crate::limits::{CHUNK_HEADROOM, CHUNK_TAILROOM};
use crate::proto::reason::Reason;
use crate::proto::writer::Writer;
use crate::ring::executor::yield_now;
use crate::ring::{Driver, Elapsed, Lease};
use std::cell::Cell;
use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;

/// Less room than this is not worth a step: the coders would emit their markers in pieces.
const ROOM_MIN: usize = 256;

/// What there is when a body begins.
pub struct Begun<'a> {
    /// The message's head: `out[..len]`. It goes with the first bytes of the body, if they come with it.
    pub out: Lease,
    /// See `out`.
    pub len: usize,
    /// Raw bytes of the body that came already: `back[raw]`.
    pub back: Lease,
    /// See `back`.
    pub raw: Range<usize>,
    /// What the data go through.
    pub coder: &'a mut Coder,
    /// Set when the head is on its way.
    pub sent: &'a Cell<bool>,
}

/// What is to be sent: a head perhaps, then room for a chunk-size line, then data.
struct Outgoing<'a> {
    lease: Option<Lease>,
    /// Bytes of the head.
    head: usize,
    /// Bytes of data.
    filled: usize,
    coder: &'a mut Coder,
    sent: &'a Cell<bool>,
    /// The coder has taken data that it has not let out.
    holds: bool,
}

impl<D: Driver> Relay<'_, D> {
    /// Moves head and body to the body's end. Its last bytes may still be in flight when this returns. The coder may be asked for its totals
    /// then, also after an error.
    pub async fn run_coded(mut self, begun: Begun<'_>) -> Result<(), Broken> {
        let Begun { out, len, back, raw, coder, sent } = begun;
        let mut outgoing = Outgoing { lease: Some(out), head: len, filled: 0, coder, sent, holds: false };
        let mut spare = Some(back);
        let mut raw = Some(raw).filter(|raw| !raw.is_empty());
        while !self.decoder.is_done() {
            let Some(came) = raw.take() else {
                if !self.is_ready().await {
                    if outgoing.holds {
                        self.code(&mut outgoing, &[], Goal::Flush).await?;
                    }
                    self.emit(&mut outgoing, false).await?;
                    spare = None; // no buffer is held while the source thinks
                    let readable = self.timer.within(self.read_ms, self.from.readable()).await;
                    readable.map_err(|Elapsed| Broken::ReadTimeout)?;
                }
                let mut lease = spare.take().unwrap_or_else(|| self.reservation.take());
                raw = self.receive(&mut lease, &mut false)?.map(|n| CHUNK_HEADROOM..CHUNK_HEADROOM + n);
                spare = Some(lease);
                continue;
            };
            let mut lease = spare.take().unwrap_or_else(|| self.reservation.take());
            let decoded = self.decoder.decode(&mut lease[came.clone()]).map_err(Broken::Malformed)?;
            self.spill.extend_from_slice(&lease[came.start + decoded.consumed..came.end]);
            self.stats.bytes_copied.add(came.len() as u64);
            if decoded.data > 0 {
                self.code(&mut outgoing, &lease[came.start..came.start + decoded.data], Goal::More).await?;
                outgoing.holds = true;
            }
            spare = Some(lease);
            yield_now().await; // others' turn: a buffer of data costs as much time as many small exchanges
        }
        drop(spare);
        self.code(&mut outgoing, &[], Goal::End).await?;
        self.emit(&mut outgoing, true).await?;
        if !self.ended {
            let trailers = self.decoder.trailers().to_vec();
            let encoder = self.encoder;
            self.write(|writer| encoder.write_end(writer, &trailers)).await?;
        }
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        poll_fn(|task| Poll::Ready(self.from.poll_readable(task).is_ready())).await
    }

    /// Puts `input` through the coder, and sends each buffer that becomes full.
    async fn code(&mut self, outgoing: &mut Outgoing<'_>, input: &[u8], goal: Goal) -> Result<(), Broken> {
        let mut used = 0;
        loop {
            let lease = outgoing.lease.get_or_insert_with(|| self.reservation.take());
            let (begin, end) = (outgoing.head + CHUNK_HEADROOM + outgoing.filled, lease.len() - CHUNK_TAILROOM);
            if begin + ROOM_MIN > end {
                self.emit(outgoing, false).await?;
                continue;
            }
            let step = outgoing.coder.step(&input[used..], &mut lease[begin..end], goal);
            let step = step.map_err(|_| Broken::Malformed(Reason::Internal))?;
            used += step.consumed;
            outgoing.filled += step.written;
            if step.done {
                outgoing.holds &= goal == Goal::More;
                return Ok(());
            }
            if step.consumed == 0 && step.written == 0 {
                return Err(Broken::Malformed(Reason::Internal)); // it would never end
            }
        }
    }

    /// Sends what is there, if anything is. `last`: the body ends with it.
    async fn emit(&mut self, outgoing: &mut Outgoing<'_>, last: bool) -> Result<(), Broken> {
        let Some(mut lease) = outgoing.lease.take() else { return Ok(()) };
        let (head, filled) = (std::mem::take(&mut outgoing.head), std::mem::take(&mut outgoing.filled));
        let start = head + CHUNK_HEADROOM;
        let mut range = if head == 0 { start..start } else { 0..head };
        if filled > 0 {
            let framed = self.encoder.frame(&mut lease, start..start + filled);
            range = match head {
                0 => framed,
                _ => {
                    lease.copy_within(framed.clone(), head);
                    0..head + framed.len()
                }
            };
        }
        if last && self.decoder.trailers().is_empty() {
            let mut writer = Writer::new(&mut lease[range.end..]);
            self.encoder.write_end(&mut writer, &[]);
            if let Some(n) = writer.finish() {
                range.end += n;
                self.ended = true;
            }
        }
        if range.is_empty() {
            return Ok(());
        }
        outgoing.sent.set(true);
        self.send(lease, range).await
    }
}
