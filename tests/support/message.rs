//! A second reader of HTTP/1.1 messages, for both sides of the tests. It is strict: what ringgate writes must be canonical
//! (CRLF only, plain hexadecimal chunk sizes, one framing field), or the reader fails with `InvalidData`.

use std::io::{self, ErrorKind, Read};
use std::ops::Deref;

/// How the body of a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    Close,
}

/// A start line and fields, as received.
#[derive(Debug, Clone)]
pub struct Head {
    pub raw: Vec<u8>,
    pub start: String,
    pub fields: Vec<(String, String)>,
}

/// A head with its whole body.
#[derive(Debug, Clone)]
pub struct Message {
    pub head: Head,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Deref for Message {
    type Target = Head;
    fn deref(&self) -> &Head {
        &self.head
    }
}

impl Message {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text.into())
}

impl Head {
    fn parse(raw: Vec<u8>) -> io::Result<Head> {
        let text = std::str::from_utf8(&raw).map_err(|e| invalid(format!("head is not text: {e}")))?;
        let mut lines = text.strip_suffix("\r\n\r\n").ok_or_else(|| invalid("head without end"))?.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines.map(parse_field).collect::<io::Result<Vec<_>>>()?;
        if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
            return Err(invalid(format!("bare CR, LF or NUL in {text:?}")));
        }
        Ok(Head { start, fields, raw })
    }

    /// The value of the first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The values of all fields of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The status of a response; 0 if this is none.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Why ringgate made this answer itself; `None` if it came from a backend.
    pub fn reason(&self) -> Option<&str> {
        self.field("x-ringgate-reason")
    }

    /// Whether `Connection` holds this token.
    pub fn connection_has(&self, token: &str) -> bool {
        self.all("connection").iter().flat_map(|v| v.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    }

    /// How the body of this request ends.
    pub fn request_framing(&self) -> io::Result<Framing> {
        self.framing_fields(Framing::None)
    }

    /// How the body of this response to `method` ends.
    pub fn response_framing(&self, method: &str) -> io::Result<Framing> {
        match self.status() {
            0 => Err(invalid(format!("no status in {:?}", self.start))),
            100..200 | 204 | 304 => Ok(Framing::None),
            _ if method == "HEAD" => Ok(Framing::None),
            _ => self.framing_fields(Framing::Close),
        }
    }

    fn framing_fields(&self, otherwise: Framing) -> io::Result<Framing> {
        match (&self.all("content-length")[..], &self.all("transfer-encoding")[..]) {
            ([], []) => Ok(otherwise),
            ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
                length.parse().map(Framing::Length).map_err(|e| invalid(format!("Content-Length {length:?}: {e}")))
            }
            ([], ["chunked"]) => Ok(Framing::Chunked),
            (lengths, codings) => Err(invalid(format!("framing by lengths {lengths:?} and codings {codings:?}"))),
        }
    }
}

fn parse_field(line: &str) -> io::Result<(String, String)> {
    let (name, value) = line.split_once(':').ok_or_else(|| invalid(format!("field without colon: {line:?}")))?;
    if name.is_empty() || name.contains(|c: char| c.is_ascii_whitespace()) {
        return Err(invalid(format!("bad field name: {line:?}")));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Reads messages from a stream; keeps what came too much for the next one.
pub struct Reader<R> {
    pub input: R,
    buffer: Vec<u8>,
    start: usize,
}

impl<R: Read> Reader<R> {
    /// A reader with nothing read yet.
    pub fn new(input: R) -> Reader<R> {
        Reader { input, buffer: Vec::new(), start: 0 }
    }

    /// Bytes read and not used yet.
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// One read(2) more; 0 at the end of the stream.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let mut chunk = [0; 64 * 1024];
        let count = loop {
            match self.input.read(&mut chunk) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                other => break other?,
            }
        };
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    fn fill_or_fail(&mut self, within: &str) -> io::Result<()> {
        match self.fill()? {
            0 => Err(io::Error::new(ErrorKind::UnexpectedEof, format!("the stream ended within {within}"))),
            _ => Ok(()),
        }
    }

    /// The next head; `None` if the stream ended before its first byte.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        let mut searched = 0;
        loop {
            let pending = self.pending();
            if let Some(at) = pending[searched..].windows(4).position(|w| w == b"\r\n\r\n") {
                let raw = pending[..searched + at + 4].to_vec();
                self.consume(raw.len());
                return Head::parse(raw).map(Some);
            }
            searched = pending.len().saturating_sub(3);
            if pending.len() > 1024 * 1024 {
                return Err(invalid("a head of more than 1 MiB"));
            }
            if self.fill()? == 0 {
                return match self.pending() {
                    [] => Ok(None),
                    rest => Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        format!("the stream ended within a head: {}", super::show(rest)),
                    )),
                };
            }
        }
    }

    /// Hands the body to `sink` piece by piece; returns the trailers.
    pub fn body(&mut self, framing: Framing, sink: &mut dyn FnMut(&[u8])) -> io::Result<Vec<(String, String)>> {
        match framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(length) => self.exactly(length, sink).map(|()| Vec::new()),
            Framing::Close => loop {
                sink(self.pending());
                self.consume(self.pending().len());
                if self.fill()? == 0 {
                    return Ok(Vec::new());
                }
            },
            Framing::Chunked => loop {
                let line = self.line()?;
                if line.is_empty() || line.len() > 16 || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(invalid(format!("chunk size {line:?}")));
                }
                match u64::from_str_radix(&line, 16).map_err(|e| invalid(format!("chunk size {line:?}: {e}")))? {
                    0 => return self.trailers(),
                    size => self.exactly(size, sink)?,
                }
                let end = self.line()?;
                if !end.is_empty() {
                    return Err(invalid(format!("chunk data not followed by CRLF but by {end:?}")));
                }
            },
        }
    }

    fn trailers(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut trailers = Vec::new();
        loop {
            match &self.line()?[..] {
                "" => return Ok(trailers),
                line => trailers.push(parse_field(line)?),
            }
        }
    }

    /// Exactly `length` bytes to `sink`.
    pub fn exactly(&mut self, mut length: u64, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        while length > 0 {
            if self.pending().is_empty() {
                self.fill_or_fail("a body")?;
            }
            let count = self.pending().len().min(usize::try_from(length).unwrap_or(usize::MAX));
            sink(&self.pending()[..count]);
            self.consume(count);
            length -= count as u64;
        }
        Ok(())
    }

    /// One line, without its CRLF.
    pub fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.pending().windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.pending()[..at]).into_owned();
                self.consume(at + 2);
                return match line.contains(['\r', '\n']) {
                    true => Err(invalid(format!("bare CR or LF in {line:?}"))),
                    false => Ok(line),
                };
            }
            self.fill_or_fail("a line")?;
        }
    }

    /// What comes before that byte, as text; the byte is taken too.
    pub fn line_to(&mut self, end: u8) -> io::Result<String> {
        loop {
            if let Some(at) = self.pending().iter().position(|&byte| byte == end) {
                let line = String::from_utf8_lossy(&self.pending()[..at]).into_owned();
                self.consume(at + 1);
                return Ok(line);
            }
            self.fill_or_fail("a line")?;
        }
    }

    /// Whatever is there: what was read too much, else what the next read brings; empty at the end of the stream.
    pub fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.pending().is_empty() {
            self.fill()?;
        }
        let bytes = self.pending().to_vec();
        self.consume(bytes.len());
        Ok(bytes)
    }
}
