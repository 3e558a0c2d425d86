//! One body into gzip, brotli or zstd, piece by piece: bytes in, bytes out, nothing waits.

use crate::limits::{COMPRESSION_LEVEL_MAX, COMPRESSION_WINDOW_LOG_MAX, COMPRESSION_WINDOW_LOG_MIN, COMPRESSIONS_MAX};
use crate::proto::accept_encoding::ContentCoding;
use brotli::enc::StandardAlloc;
use brotli::enc::encode::{
    BrotliEncoderDestroyInstance, BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct,
};
use flate2::{Compress, Compression, FlushCompress, Status};
use std::cell::Cell;
use std::io;
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// What is wanted of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Take the input; what comes of it may come later.
    More,
    /// And let everything out that was taken so far: the client must be able to read it.
    Flush,
    /// And end the body.
    End,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes of input used.
    pub consumed: usize,
    /// Bytes of output written.
    pub written: usize,
    /// The goal is reached; if not, there was too little room: another step with the rest of the input, and room.
    pub done: bool,
}

/// A body that is being compressed. Holds memory as [`COMPRESSIONS_MAX`] tells.
pub struct Coder {
    kind: Kind,
    consumed: u64,
    written: u64,
    _place: Place,
}

enum Kind {
    Gzip(Compress),
    Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>),
    Zstd(Encoder<'static>),
}

impl Coder {
    /// Begins a body of `length` bytes, if that is known. `level` as configured: gzip 1 to 9, brotli 0 to 11, zstd 1 to 22; above
    /// [`COMPRESSION_LEVEL_MAX`] counts as that. `None`: this
    /// thread compresses [`COMPRESSIONS_MAX`] bodies already, or there is no memory.
    pub fn new(coding: ContentCoding, level: u8, length: Option<u64>) -> Option<Coder> {
        let place = Place::take()?;
        let window = window_log(length);
        let kind = match coding {
            // zlib's window has 32 KiB at most.
            ContentCoding::Gzip => {
                Kind::Gzip(Compress::new_gzip(Compression::new(level.clamp(1, 9).into()), window.min(15)))
            }
            ContentCoding::Brotli => {
                let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
                state.set_parameter(
                    BrotliEncoderParameter::BROTLI_PARAM_QUALITY,
                    level.min(COMPRESSION_LEVEL_MAX).into(),
                );
                state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, window.into());
                Kind::Brotli(Box::new(state))
            }
            ContentCoding::Zstd => {
                let mut encoder = Encoder::new(level.clamp(1, COMPRESSION_LEVEL_MAX).into()).ok()?;
                encoder.set_parameter(CParameter::WindowLog(window.into())).ok()?;
                // Its tables do not follow the window by themselves: at level 12 they have 30 MiB.
                encoder.set_parameter(CParameter::HashLog(window.min(17).into())).ok()?;
                encoder.set_parameter(CParameter::ChainLog(window.min(17).into())).ok()?;
                Kind::Zstd(encoder)
            }
        };
        Some(Coder { kind, consumed: 0, written: 0, _place: place })
    }

    /// Works until the goal is reached or `out` is full. `out` should have some hundred bytes of room at least. The error: no memory, or a bug.
    pub fn step(&mut self, input: &[u8], out: &mut [u8], goal: Goal) -> io::Result<Step> {
        let step = match &mut self.kind {
            Kind::Gzip(state) => gzip(state, input, out, goal),
            Kind::Brotli(state) => brotli(state, input, out, goal),
            Kind::Zstd(state) => zstd(state, input, out, goal),
        }?;
        self.consumed += step.consumed as u64;
        self.written += step.written as u64;
        Ok(step)
    }

    /// Bytes in and out so far: for `$gzip_ratio`.
    pub fn totals(&self) -> (u64, u64) {
        (self.consumed, self.written)
    }
}

impl Drop for Coder {
    fn drop(&mut self) {
        if let Kind::Brotli(state) = &mut self.kind {
            BrotliEncoderDestroyInstance(state);
        }
    }
}

/// How far back is looked: not farther than the body is long.
fn window_log(length: Option<u64>) -> u8 {
    let needed = length.map_or(u64::BITS, |length| u64::BITS - length.saturating_sub(1).leading_zeros());
    needed.clamp(COMPRESSION_WINDOW_LOG_MIN.into(), COMPRESSION_WINDOW_LOG_MAX.into()) as u8
}

fn gzip(state: &mut Compress, input: &[u8], out: &mut [u8], goal: Goal) -> io::Result<Step> {
    let flush = match goal {
        Goal::More => FlushCompress::None,
        Goal::Flush => FlushCompress::Sync,
        Goal::End => FlushCompress::Finish,
    };
    let (read, made) = (state.total_in(), state.total_out());
    let status = state.compress(input, out, flush)?;
    let (consumed, written) = ((state.total_in() - read) as usize, (state.total_out() - made) as usize);
    let done = match goal {
        Goal::More => consumed == input.len(),
        Goal::Flush => consumed == input.len() && written < out.len(),
        Goal::End => status == Status::StreamEnd,
    };
    Ok(Step { consumed, written, done })
}

fn brotli(
    state: &mut BrotliEncoderStateStruct<StandardAlloc>,
    input: &[u8],
    out: &mut [u8],
    goal: Goal,
) -> io::Result<Step> {
    let operation = match goal {
        Goal::More => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
        Goal::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
        Goal::End => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
    };
    let (mut left, mut consumed, mut room, mut written) = (input.len(), 0, out.len(), 0);
    let is_well = state.compress_stream(
        operation,
        &mut left,
        input,
        &mut consumed,
        &mut room,
        out,
        &mut written,
        &mut None,
        &mut |_, _, _, _| (),
    );
    if !is_well {
        return Err(io::Error::other("brotli"));
    }
    let done = match goal {
        Goal::More | Goal::Flush => left == 0 && !state.has_more_output(),
        Goal::End => state.is_finished(),
    };
    Ok(Step { consumed, written, done })
}

fn zstd(state: &mut Encoder, input: &[u8], out: &mut [u8], goal: Goal) -> io::Result<Step> {
    let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(out));
    if !input.is_empty() {
        state.run(&mut from, &mut to)?;
    }
    let is_taken = from.pos() == input.len();
    let left = match goal {
        Goal::Flush if is_taken => state.flush(&mut to)?,
        Goal::End if is_taken => state.finish(&mut to, true)?,
        _ => 0,
    };
    Ok(Step { consumed: from.pos(), written: to.pos(), done: is_taken && left == 0 })
}

thread_local! {
    static RUNNING: Cell<u32> = const { Cell::new(0) };
}

/// One of the coders that a worker may have at a time.
struct Place;

impl Place {
    fn take() -> Option<Place> {
        RUNNING.with(|running| {
            (running.get() < COMPRESSIONS_MAX).then(|| {
                running.set(running.get() + 1);
                Place
            })
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        RUNNING.with(|running| running.set(running.get() - 1));
    }
}

#[cfg(test)]
#[path = "coder_tests.rs"]
mod tests;
