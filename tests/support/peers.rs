//! A client and a backend that stream known payloads and sum up what they get.

use super::message::Framing;
use super::payload::{Payload, Sum};
use super::{Backend, Client, Conn, Head, backend as answers};
use std::io::{self, Read, Write};
use std::time::Duration;

/// The kernel's buffers are small here up to this length. Beyond it they would take a minute: on the loopback, segments are as
/// large as a small buffer, and the kernel then waits 40 ms for each.
pub const SMALL_BUFFERS_UP_TO: u64 = 2 * 1024 * 1024;

/// How a sender frames its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    Length,
    /// Chunks and writes of varying sizes.
    Chunked,
    /// Chunks of 8 MiB: large enough to be spliced.
    Large,
    /// A response that ends with its connection.
    Close,
}

/// How fast a peer reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Fast,
    /// Pauses, about a hundred for the whole body, with small buffers in the kernel.
    Slow,
}

/// One body.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    pub seed: u64,
    pub length: u64,
    pub frames: Frames,
    pub pace: Pace,
}

impl Body {
    /// A fast one.
    pub fn new(seed: u64, length: u64, frames: Frames) -> Body {
        Body { seed, length, frames, pace: Pace::Fast }
    }

    /// Its SHA-256.
    pub fn sha256(&self) -> String {
        Payload::sha256(self.seed, self.length)
    }

    /// As a target that makes the backend send it: `/down/SEED/LENGTH/FRAMES/PACE`.
    pub fn target(&self) -> String {
        format!("/down/{}/{}/{:?}/{:?}", self.seed, self.length, self.frames, self.pace)
    }

    fn write_large(&self, out: &mut impl Write) -> io::Result<String> {
        let (mut payload, mut sum) = (Payload::new(self.seed, self.length), Sum::default());
        let mut piece = vec![0; 256 * 1024];
        while sum.length < self.length {
            let mut left = LARGE_CHUNK.min(self.length - sum.length);
            write!(out, "{left:x}\r\n")?;
            while left > 0 {
                let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let count = payload.read(&mut piece[..most])?;
                sum.add(&piece[..count]);
                out.write_all(&piece[..count])?;
                left -= count as u64;
            }
            out.write_all(b"\r\n")?;
        }
        out.write_all(b"0\r\n\r\n")?;
        Ok(sum.hex())
    }

    fn from_target(target: &str) -> Option<Body> {
        let mut parts = target.strip_prefix("/down/")?.split('/');
        let (seed, length) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let frames = match parts.next()? {
            "Length" => Frames::Length,
            "Chunked" => Frames::Chunked,
            "Large" => Frames::Large,
            _ => Frames::Close,
        };
        let pace = if parts.next()? == "Slow" { Pace::Slow } else { Pace::Fast };
        Some(Body { seed, length, frames, pace })
    }

    /// The framing field, with its line end.
    pub fn field(&self) -> String {
        match self.frames {
            Frames::Length => format!("Content-Length: {}\r\n", self.length),
            Frames::Chunked | Frames::Large => "Transfer-Encoding: chunked\r\n".to_owned(),
            Frames::Close => "Connection: close\r\n".to_owned(),
        }
    }

    /// Writes all of it; returns the sum of what was written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<String> {
        if self.frames == Frames::Large {
            return self.write_large(out);
        }
        let (mut payload, mut sum) = (Payload::new(self.seed, self.length), Sum::default());
        let mut variety = self.seed ^ self.length;
        let pause_every = self.length / 100 + 1;
        let mut piece = vec![0; 256 * 1024];
        let mut before_pause = pause_every;
        loop {
            variety = variety.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let most = match (variety >> 33) % 8 {
                _ if self.pace == Pace::Slow => pause_every as usize,
                0 => 1,
                1 => 1 + (variety >> 40) as usize % 100,
                2 => 1 + (variety >> 40) as usize % 20_000,
                _ => 65_536 + (variety >> 40) as usize % 180_000,
            };
            let count = payload.read(&mut piece[..most.min(256 * 1024)])?;
            sum.add(&piece[..count]);
            match self.frames {
                Frames::Chunked if count == 0 => out.write_all(b"0\r\n\r\n")?,
                Frames::Chunked => write_chunk(out, &piece[..count], variety >> 20)?,
                _ => out.write_all(&piece[..count])?,
            }
            if count == 0 {
                return Ok(sum.hex());
            }
            before_pause = before_pause.saturating_sub(count as u64);
            if self.pace == Pace::Slow && before_pause == 0 {
                std::thread::sleep(Duration::from_millis(3));
                before_pause = pause_every;
            }
        }
    }
}

/// Data bytes of a chunk of [`Frames::Large`].
const LARGE_CHUNK: u64 = 8 * 1024 * 1024;

/// A chunk in one write, or in two that meet anywhere.
fn write_chunk(out: &mut impl Write, data: &[u8], variety: u64) -> io::Result<()> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    let (first, second) = chunk.split_at(variety as usize % chunk.len());
    out.write_all(first)?;
    out.write_all(second)
}

/// Sums up a body; a slow reader pauses about a hundred times.
pub struct Summing {
    pub sum: Sum,
    pace: Pace,
    pause_every: u64,
    next_pause: u64,
}

impl Summing {
    pub fn new(pace: Pace, length: u64) -> Summing {
        let pause_every = length / 100 + 1;
        Summing { sum: Sum::default(), pace, pause_every, next_pause: pause_every }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.sum.add(bytes);
        if self.pace == Pace::Slow && self.sum.length >= self.next_pause {
            std::thread::sleep(Duration::from_millis(3));
            self.next_pause = self.sum.length + self.pause_every;
        }
    }
}

/// The backend of these tests: `/up/LENGTH/PACE` answers with the length and sum of what it got, `/down/...` sends what is
/// asked for, `/echo` sends back what comes while it comes.
pub fn backend() -> Backend {
    Backend::script(script)
}

/// The script of that backend.
pub fn script(conn: &mut Conn) {
    while let Some(head) = conn.head() {
        let kept = match head.target() {
            target if target.starts_with("/down/") => Body::from_target(target).is_some_and(|body| down(conn, &body)),
            "/echo" => echo(conn, &head),
            _ => up(conn, &head),
        };
        if !kept {
            return;
        }
    }
}

fn down(conn: &mut Conn, body: &Body) -> bool {
    if body.pace == Pace::Slow && body.length <= SMALL_BUFFERS_UP_TO {
        conn.small_buffers();
    }
    let mut out = conn.writer();
    conn.send(format!("HTTP/1.1 200 OK\r\n{}\r\n", body.field()))
        && body.write(&mut out).is_ok()
        && body.frames != Frames::Close
}

fn up(conn: &mut Conn, head: &Head) -> bool {
    let mut parts = head.target().trim_start_matches("/up/").split('/');
    let length = parts.next().and_then(|length| length.parse().ok()).unwrap_or(0);
    let pace = if parts.next() == Some("Slow") { Pace::Slow } else { Pace::Fast };
    if pace == Pace::Slow && length <= SMALL_BUFFERS_UP_TO {
        conn.small_buffers();
    }
    let Ok(framing) = head.request_framing() else { return false };
    let mut summing = Summing::new(pace, length);
    let whole = conn.body(framing, &mut |bytes| summing.add(bytes)).is_some();
    whole && conn.send(answers::ok(&format!("{} {}", summing.sum.length, summing.sum.hex())))
}

fn echo(conn: &mut Conn, head: &Head) -> bool {
    let Ok(framing) = head.request_framing() else { return false };
    let (field, chunked) = match framing {
        Framing::Length(length) => (format!("Content-Length: {length}"), false),
        _ => ("Transfer-Encoding: chunked".to_owned(), true),
    };
    let mut out = conn.writer();
    let mut sent = conn.send(format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n"));
    let whole = conn.body(framing, &mut |bytes| {
        sent = sent
            && match chunked {
                true if bytes.is_empty() => true,
                true => write_chunk(&mut out, bytes, 7).is_ok(),
                false => out.write_all(bytes).is_ok(),
            };
    });
    whole.is_some() && sent && (!chunked || conn.send("0\r\n\r\n"))
}

/// Sends a body, and checks that the backend got it. `reader`: the backend's pace. Whether the connection can be used again.
#[track_caller]
pub fn upload(client: &mut Client, body: Body, reader: Pace) -> bool {
    let path = format!("/up/{}/{reader:?}", body.length);
    client.send(format!("POST {path} HTTP/1.1\r\nHost: test\r\n{}\r\n", body.field()));
    let sum = body.write(&mut client.writer()).unwrap_or_else(|e| panic!("{body:?}: {e}"));
    let answer = client.response();
    assert_eq!(answer.status(), 200, "{body:?}: {:?}", answer.reason());
    assert_eq!(answer.text(), format!("{} {sum}", body.length), "{body:?}");
    assert!(!answer.connection_has("close"), "{body:?}: {answer:?}");
    true
}

/// Asks for a body, and checks what comes. `reader`: the client's pace. Whether the connection can be used again.
#[track_caller]
pub fn download(client: &mut Client, body: Body, reader: Pace) -> bool {
    client.send(format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", body.target()));
    let head = client.head();
    assert_eq!(head.status(), 200, "{body:?}: {:?}", head.reason());
    let framing = head.response_framing("GET").unwrap_or_else(|e| panic!("{body:?}: {e}"));
    let mut summing = Summing::new(reader, body.length);
    client.body(framing, &mut |bytes| summing.add(bytes)).unwrap_or_else(|e| panic!("{body:?}: {e}"));
    assert_eq!((summing.sum.length, summing.sum.hex()), (body.length, body.sha256()), "{body:?}");
    assert!(!head.connection_has("close"), "{body:?}: {head:?}");
    true
}

/// Sends a body and reads it back at once. Whether the connection can be used again: an answer that begins before the request's
/// end may say close.
#[track_caller]
pub fn echoed(client: &mut Client, body: Body, reader: Pace) -> bool {
    client.send(format!("POST /echo HTTP/1.1\r\nHost: test\r\n{}\r\n", body.field()));
    let mut out = client.writer();
    let writing = std::thread::spawn(move || body.write(&mut out));
    let head = client.head();
    assert_eq!(head.status(), 200, "{body:?}: {:?}", head.reason());
    let framing = head.response_framing("POST").unwrap_or_else(|e| panic!("{body:?}: {e}"));
    let mut summing = Summing::new(reader, body.length);
    client.body(framing, &mut |bytes| summing.add(bytes)).unwrap_or_else(|e| panic!("{body:?}: {e}"));
    let sent = writing.join().expect("it only writes").unwrap_or_else(|e| panic!("{body:?}: {e}"));
    assert_eq!((summing.sum.length, summing.sum.hex()), (body.length, sent), "{body:?}");
    !head.connection_has("close")
}
