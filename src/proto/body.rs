//! Bodies: out of one framing (`Decoder`), into another (`Encoder`).

use super::chunked::Chunks;
use super::framing::Framing;
use super::reason::Reason;
use super::rewrite::write_trailers;
use super::writer::{HEX_DIGITS_MAX, Writer, hex_before};
use crate::limits::{CHUNK_HEADROOM, CHUNK_TAILROOM};
use std::ops::Range;

/// Takes one body out of the bytes of a connection. Raw bytes in, data out, in place.
pub enum Decoder {
    /// The body is complete: nothing more belongs to it.
    Done,
    /// So many bytes are left.
    Length(u64),
    /// A chunked body and its trailers.
    Chunked(Chunks),
    /// Everything until the connection ends.
    Close,
}

/// What one call of `Decoder::decode` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of data, now at `buf[..data]`.
    pub data: usize,
    /// Raw bytes used. What lies behind them belongs to the next message and is left as it was; it exists only when `done`.
    pub consumed: usize,
    /// The body is complete.
    pub done: bool,
}

impl Decoder {
    /// For a body that begins.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Decoder::Done,
            Framing::Length(bytes) => Decoder::Length(bytes),
            Framing::Chunked => Decoder::Chunked(Chunks::new()),
            Framing::Close => Decoder::Close,
        }
    }

    /// The trailers are checked as ever, and left out: some backends take them for fields of the head, and one that the
    /// configuration sets there is the client's nowhere. RFC 9110 6.5.1 allows that to whoever passes a message on.
    pub fn without_trailers(mut self) -> Self {
        if let Decoder::Chunked(chunks) = &mut self {
            chunks.leave_trailers_out();
        }
        self
    }

    /// True when the body is complete.
    pub fn is_done(&self) -> bool {
        match self {
            Decoder::Done => true,
            Decoder::Chunked(chunks) => chunks.is_done(),
            _ => false,
        }
    }

    /// Decodes `buf` in place: the data move to its front. Everything is used up until the body ends, so that nothing needs
    /// to be kept between calls. Only chunked bodies move bytes. After an error every call repeats it.
    pub fn decode(&mut self, buf: &mut [u8]) -> Result<Decoded, Reason> {
        let count = match self {
            Decoder::Done => 0,
            Decoder::Close => buf.len(),
            Decoder::Chunked(chunks) => return chunks.decode(buf),
            Decoder::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len()),
        };
        self.advance(count as u64);
        Ok(Decoded { data: count, consumed: count, done: self.is_done() })
    }

    /// The connection ended. True if that completes the body, or it was complete; false if it was cut short.
    pub fn end_of_input(&mut self) -> bool {
        if let Decoder::Close = self {
            *self = Decoder::Done;
        }
        self.is_done()
    }

    /// Raw bytes that are certain to be data: the rest of the body, or of the current chunk. `None`: not known now.
    pub fn remaining_length(&self) -> Option<u64> {
        match self {
            Decoder::Length(left) => Some(*left),
            Decoder::Chunked(chunks) => chunks.data_left(),
            Decoder::Done | Decoder::Close => None,
        }
    }

    /// Takes note of data that went past the decoder, at most `remaining_length` (or any number where the body ends with the
    /// connection).
    pub fn advance(&mut self, count: u64) {
        match self {
            Decoder::Length(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    *self = Decoder::Done;
                }
            }
            Decoder::Chunked(chunks) => chunks.advance(count),
            Decoder::Done | Decoder::Close => {}
        }
    }

    /// The trailer section's field lines as received; empty if there are none or they are not complete.
    pub fn trailers(&self) -> &[u8] {
        match self {
            Decoder::Chunked(chunks) => chunks.trailers(),
            _ => &[],
        }
    }
}

/// Puts data into a framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoder {
    /// As they are: Content-Length, or until the connection ends.
    Raw,
    /// In chunks.
    Chunked,
}

impl Encoder {
    /// The one for this framing.
    pub fn new(framing: Framing) -> Self {
        if framing == Framing::Chunked { Encoder::Chunked } else { Encoder::Raw }
    }

    /// Frames the data at `buf[data]` as one chunk and returns what to send. `CHUNK_HEADROOM` bytes before them and
    /// `CHUNK_TAILROOM` bytes behind them are free for that; without them this is a bug that panics.
    /// No data: nothing to send, since an empty chunk would end the body.
    pub fn frame(self, buf: &mut [u8], data: Range<usize>) -> Range<usize> {
        if self == Encoder::Raw || data.is_empty() {
            return data;
        }
        buf[data.end..data.end + 2].copy_from_slice(b"\r\n");
        buf[data.start - 2..data.start].copy_from_slice(b"\r\n");
        hex_before(buf, data.start - 2, data.len() as u64)..data.end + 2
    }

    /// Ends the body: the last chunk and those trailers that may go on.
    pub fn write_end(self, w: &mut Writer, trailers: &[u8]) {
        if self == Encoder::Chunked {
            w.put(b"0\r\n");
            write_trailers(w, trailers);
            w.put(b"\r\n");
        }
    }
}

const _: () = assert!(CHUNK_HEADROOM >= HEX_DIGITS_MAX, "any length that a buffer can have fits before it");
const _: () = assert!(CHUNK_TAILROOM >= b"\r\n0\r\n\r\n".len(), "the last chunk fits behind the data");

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
