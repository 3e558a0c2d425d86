//! The chunked coding (RFC 9112 7.1), read strictly: a chunk line that two parsers could read differently ends the exchange.

use super::body::Decoded;
use super::reason::Reason;
use crate::limits::{CHUNK_LINE_MAX, CHUNK_OVERHEAD_ALLOWANCE, CHUNK_OVERHEAD_FACTOR, TRAILERS_MAX};

/// A chunked body on its way. It keeps no raw bytes but trailers, so that input may be cut anywhere.
pub struct Chunks {
    state: State,
    /// Bytes of the current size line so far.
    line: usize,
    /// Bytes of framing so far.
    overhead: u64,
    /// Data announced so far.
    announced: u64,
    /// Field lines behind the last chunk; allocates only if there are any.
    trailers: Vec<u8>,
    /// They go no further.
    without_trailers: bool,
}

/// What the next byte is.
///
/// ```text
/// Size -> [Blank ->] [Extension ->] SizeEnd -> Data -> DataCr -> DataLf -> Size
///                                      |  (size 0)
///                                      +-> TrailerStart -> Trailer -> TrailerStart ... -> End -> Done
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A digit of the size, or its end.
    Size { size: u64, digits: u8 },
    /// A blank behind the size: only an extension may follow.
    Blank { size: u64 },
    /// Inside chunk extensions, which nobody understands and everybody skips.
    Extension { size: u64 },
    /// The line feed of a size line.
    SizeEnd { size: u64 },
    /// So much of the chunk is left, at least one byte.
    Data { left: u64 },
    /// The carriage return behind a chunk.
    DataCr,
    /// The line feed behind a chunk.
    DataLf,
    /// The first byte of a trailer line, or of the empty line.
    TrailerStart,
    /// Inside a trailer line.
    Trailer,
    /// The line feed of the empty line.
    End,
    /// The body is complete.
    Done,
    /// It was malformed; the rest cannot be understood.
    Failed,
}

const FIRST: State = State::Size { size: 0, digits: 0 };

/// The largest chunk: 16 digits hold more, but parsers with signed numbers would see a negative size.
const SIZE_MAX: u64 = i64::MAX as u64;
/// Digits of a size; more can only be leading zeros.
const DIGITS_MAX: u8 = 16;

impl Chunks {
    pub(super) fn new() -> Self {
        Chunks { state: FIRST, line: 0, overhead: 0, announced: 0, trailers: Vec::new(), without_trailers: false }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The rest of the current chunk.
    pub(super) fn data_left(&self) -> Option<u64> {
        if let State::Data { left } = self.state { Some(left) } else { None }
    }

    /// Data that were taken from the connection by other means.
    pub(super) fn advance(&mut self, count: u64) {
        if let State::Data { left } = self.state {
            self.state = if count < left { State::Data { left: left - count } } else { State::DataCr };
        }
    }

    pub(super) fn trailers(&self) -> &[u8] {
        if self.is_done() && !self.without_trailers { &self.trailers } else { &[] }
    }

    /// See `Decoder::without_trailers`.
    pub(super) fn leave_trailers_out(&mut self) {
        self.without_trailers = true;
    }

    /// See `Decoder::decode`.
    pub(super) fn decode(&mut self, buf: &mut [u8]) -> Result<Decoded, Reason> {
        let (mut read, mut write) = (0, 0);
        while read < buf.len() && self.state != State::Done {
            if let State::Data { left } = self.state {
                let run = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len() - read);
                // Data at the front already, as in every read but the first of a large chunk, need no move.
                if write != read {
                    buf.copy_within(read..read + run, write);
                }
                self.advance(run as u64);
                read += run;
                write += run;
                continue;
            }
            match self.step(buf[read]) {
                Some(next) => self.state = next,
                None => {
                    self.state = State::Failed;
                    return Err(Reason::BadChunk);
                }
            }
            read += 1;
        }
        if self.state == State::Failed {
            return Err(Reason::BadChunk);
        }
        Ok(Decoded { data: write, consumed: read, done: self.is_done() })
    }

    /// The state behind one byte of framing; `None` if it must not stand there.
    #[inline]
    fn step(&mut self, byte: u8) -> Option<State> {
        let next = match self.state {
            State::Size { size, digits } => match (hex_value(byte), byte) {
                (Some(value), _) if digits < DIGITS_MAX => State::Size { size: size << 4 | value, digits: digits + 1 },
                _ if digits == 0 || size > SIZE_MAX => return None,
                (_, b'\r') => State::SizeEnd { size },
                (_, b';') => State::Extension { size },
                (_, b' ' | b'\t') => State::Blank { size },
                _ => return None,
            },
            State::Blank { size } => match byte {
                b' ' | b'\t' => State::Blank { size },
                b';' => State::Extension { size },
                _ => return None,
            },
            State::Extension { size } => match byte {
                b'\r' => State::SizeEnd { size },
                // Line feeds above all: some parsers end the line there, others do not.
                b'\t' | b' '..=b'~' | 0x80.. => State::Extension { size },
                _ => return None,
            },
            State::SizeEnd { size } if byte == b'\n' => return self.end_line(size),
            State::DataCr if byte == b'\r' => State::DataLf,
            State::DataLf if byte == b'\n' => {
                self.overhead += 2;
                return Some(FIRST);
            }
            State::TrailerStart if byte == b'\r' => State::End,
            State::TrailerStart | State::Trailer => return self.keep(byte),
            State::End if byte == b'\n' => return self.check_trailers(),
            _ => return None,
        };
        if let State::Size { .. } | State::Blank { .. } | State::Extension { .. } | State::SizeEnd { .. } = next {
            self.line += 1;
            // The line feed is still to come.
            if self.line >= CHUNK_LINE_MAX {
                return None;
            }
        }
        Some(next)
    }

    /// A size line is complete: bounds what framing may cost, so that nobody keeps us busy with chunks of one byte.
    fn end_line(&mut self, size: u64) -> Option<State> {
        self.overhead += self.line as u64 + 1;
        self.line = 0;
        self.announced = self.announced.saturating_add(size);
        let allowed = CHUNK_OVERHEAD_FACTOR.saturating_mul(self.announced).saturating_add(CHUNK_OVERHEAD_ALLOWANCE);
        if self.overhead > allowed {
            return None;
        }
        Some(if size == 0 { State::TrailerStart } else { State::Data { left: size } })
    }

    /// Keeps one byte of a trailer line.
    fn keep(&mut self, byte: u8) -> Option<State> {
        let bare = byte == b'\n' && self.trailers.last() != Some(&b'\r');
        if bare || self.trailers.len() == TRAILERS_MAX {
            return None;
        }
        self.trailers.push(byte);
        Some(if byte == b'\n' { State::TrailerStart } else { State::Trailer })
    }

    /// The trailer section is complete: its lines must be fields like those of a head.
    fn check_trailers(&mut self) -> Option<State> {
        if self.trailers.is_empty() {
            return Some(State::Done);
        }
        let lines = self.trailers.len();
        self.trailers.extend_from_slice(b"\r\n");
        let mut slots = [httparse::EMPTY_HEADER; crate::limits::FIELDS_MAX];
        let parsed = httparse::parse_headers(&self.trailers, &mut slots);
        let right = matches!(parsed, Ok(httparse::Status::Complete((len, _))) if len == lines + 2);
        self.trailers.truncate(lines);
        right.then_some(State::Done)
    }
}

/// RFC 5234 HEXDIG, in either case.
#[inline]
fn hex_value(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
