//! ClientHellos made by hand, for what no library sends, and a reader of the first answer to them.

use super::support::{Place, Stream};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

pub const TLS12: u16 = 0x0303;
pub const TLS13: u16 = 0x0304;

/// The six suites of TLS 1.2 that are left to offer.
pub const SUITES_12: [u16; 6] = [0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9];
/// Those of TLS 1.3.
pub const SUITES_13: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// A ClientHello.
#[derive(Debug, Clone)]
pub struct Hello {
    /// As old clients say it.
    pub version: u16,
    /// As new ones do; none: the extension is not sent.
    pub versions: Vec<u16>,
    pub suites: Vec<u16>,
    pub name: Option<String>,
    /// Bytes of an extension that says nothing.
    pub padding: usize,
}

impl Hello {
    /// As a client would send it that knows this version and those suites.
    pub fn new(version: u16, suites: &[u16]) -> Hello {
        let versions = if version >= TLS13 { vec![version] } else { Vec::new() };
        Hello { version: version.min(TLS12), versions, suites: suites.to_vec(), name: None, padding: 0 }
    }

    /// One that every server of our time answers.
    pub fn usual(name: &str) -> Hello {
        Hello { name: Some(name.to_owned()), ..Hello::new(TLS12, &SUITES_12) }
    }

    /// The handshake message, without a record around it.
    pub fn message(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([7; 32]); // the random
        body.push(0); // no session
        body.extend(with_length2(&self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<_>>()));
        body.extend([1, 0]); // no compression
        let mut extensions = Vec::new();
        let mut extension = |kind: u16, bytes: &[u8]| {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(with_length2(bytes));
        };
        if let Some(name) = &self.name {
            let entry = [&[0], &with_length2(name.as_bytes())[..]].concat();
            extension(0, &with_length2(&entry));
        }
        extension(10, &with_length2(&[0, 29, 0, 23, 0, 24, 0, 25])); // X25519, P-256, P-384, P-521
        extension(11, &[1, 0]); // points are not compressed
        let algorithms: Vec<u8> =
            [0x0403_u16, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201]
                .iter()
                .flat_map(|algorithm| algorithm.to_be_bytes())
                .collect();
        extension(13, &with_length2(&algorithms));
        extension(23, &[]); // extended master secret
        extension(0xff01, &[0]); // secure renegotiation
        if !self.versions.is_empty() {
            let list: Vec<u8> = self.versions.iter().flat_map(|version| version.to_be_bytes()).collect();
            extension(43, &[&[list.len() as u8], &list[..]].concat());
            let share = [&[0, 29], &with_length2(&[9; 32])[..]].concat(); // any 32 bytes are a point of X25519
            extension(51, &with_length2(&share));
        }
        if self.padding > 0 {
            extension(21, &vec![0; self.padding]);
        }
        body.extend(with_length2(&extensions));
        let length = (body.len() as u32).to_be_bytes();
        [&[1], &length[1..], &body].concat()
    }

    /// In records of at most so many bytes each.
    pub fn records(&self, most: usize) -> Vec<u8> {
        let version = self.version.min(0x0301);
        self.message().chunks(most).flat_map(|piece| record(22, version, piece)).collect()
    }

    /// In one record, if it fits.
    pub fn bytes(&self) -> Vec<u8> {
        self.records(16_384)
    }
}

fn with_length2(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// One record.
pub fn record(kind: u8, version: u16, bytes: &[u8]) -> Vec<u8> {
    [&[kind], &version.to_be_bytes()[..], &with_length2(bytes)].concat()
}

/// What came first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A ServerHello: version and suite.
    Hello { version: u16, suite: u16 },
    /// An alert.
    Alert(u8),
    /// The connection ended without a word.
    End,
    /// Something that is no TLS.
    Other(Vec<u8>),
}

/// Sends these bytes on a connection of their own, and reads the first answer.
#[track_caller]
pub fn ask(place: &Place, bytes: &[u8]) -> Answer {
    let mut stream = Stream::connect(place).unwrap_or_else(|e| panic!("connect to {place}: {e}"));
    stream.set_timeouts(super::support::PATIENCE, super::support::PATIENCE).expect("timeouts can be set");
    let _ = stream.write_all(bytes); // what refuses early need not read it all
    read_answer(&mut stream).unwrap_or_else(|e| panic!("no answer from {place}: {e}"))
}

fn read_answer(stream: &mut Stream) -> io::Result<Answer> {
    let mut head = [0; 5];
    match stream.read_exact(&mut head) {
        Ok(()) => {}
        Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
            return Ok(Answer::End);
        }
        Err(e) => return Err(e),
    }
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    match head[0] {
        21 | 22 if head[1] == 3 => stream.read_exact(&mut body)?,
        _ => return Ok(Answer::Other(head.to_vec())),
    }
    if head[0] == 21 {
        return Ok(Answer::Alert(body.get(1).copied().unwrap_or_default()));
    }
    server_hello(&body).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("no ServerHello: {body:?}")))
}

fn server_hello(body: &[u8]) -> Option<Answer> {
    let number = |bytes: &[u8], at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    if *body.first()? != 2 {
        return None;
    }
    let mut version = number(body, 4)?;
    let after_session = 4 + 2 + 32 + 1 + usize::from(*body.get(38)?);
    let suite = number(body, after_session)?;
    let mut extensions = body.get(after_session + 5..).unwrap_or_default();
    while let (Some(kind), Some(length)) = (number(extensions, 0), number(extensions, 2)) {
        let value = extensions.get(4..4 + usize::from(length))?;
        if kind == 43 {
            version = number(value, 0)?;
        }
        extensions = &extensions[4 + usize::from(length)..];
    }
    Some(Answer::Hello { version, suite })
}

/// Everything up to the end, for at most that long without a byte.
pub fn rest(stream: &mut Stream, patience: Duration) -> Vec<u8> {
    let _ = stream.set_timeouts(patience, patience);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}
