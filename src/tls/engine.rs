//! One TLS connection without I/O: records in, data out, and the other way round.
//!
//! It stands on rustls' unbuffered connections, which keep no bytes of their own: an idle connection holds its keys and little else.

use crate::limits::{TLS_BARREN_MAX, TLS_READ_MIN, TLS_SCRATCH};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, Error, ProtocolVersion, ServerConfig};
use std::cell::RefCell;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

thread_local! {
    /// Where records are received and decrypted: by one connection at a time, so all of a worker's share it.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// See the head of this file.
pub(super) struct Engine {
    side: Side,
    /// The beginning of a record, or of a handshake message, whose rest has not come yet.
    partial: Vec<u8>,
    /// Handshake messages and alerts to be sent before anything else.
    out: Vec<u8>,
    /// The peer said that it sends no more.
    closed: bool,
    /// We did.
    said_close: bool,
    /// What the peer did wrong: nothing is read any more.
    failed: Option<Error>,
    /// Records that brought nothing, since data came.
    barren: u32,
    /// The peer may send a certificate: its messages may be large until the handshake ends.
    expects_certificate: bool,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Where decrypted bytes go: into the reader's buffer, and what does not fit into `rest`.
pub(super) struct Sink<'a> {
    buffer: &'a mut [u8],
    filled: usize,
    rest: &'a mut Vec<u8>,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let n = if self.rest.is_empty() { bytes.len().min(self.buffer.len() - self.filled) } else { 0 };
        self.buffer[self.filled..self.filled + n].copy_from_slice(&bytes[..n]);
        self.filled += n;
        self.rest.extend_from_slice(&bytes[n..]);
    }
}

/// What became of some received records.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// So many bytes of data are in the reader's buffer; there may be none.
    Data(usize),
    /// The source had nothing.
    Nothing,
    /// The source ended without a word of TLS (RFC 8446 6.1: a truncation, perhaps an attack).
    Cut,
}

impl Engine {
    /// The server's side.
    pub(super) fn server(config: Arc<ServerConfig>, asks_clients: bool) -> Result<Engine, Error> {
        Ok(Engine::new(Side::Server(UnbufferedServerConnection::new(config)?), asks_clients))
    }

    /// The client's side; its first message is there at once.
    pub(super) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Engine, Error> {
        let mut engine = Engine::new(Side::Client(UnbufferedClientConnection::new(config, name)?), true);
        engine.process(&mut [], &mut Sink { buffer: &mut [], filled: 0, rest: &mut Vec::new() })?;
        Ok(engine)
    }

    fn new(side: Side, expects_certificate: bool) -> Engine {
        let (partial, out) = (Vec::new(), Vec::new());
        Engine { side, partial, out, closed: false, said_close: false, failed: None, barren: 0, expects_certificate }
    }

    /// The server's connection, for what it tells of the client.
    pub(super) fn as_server(&self) -> Option<&UnbufferedServerConnection> {
        match &self.side {
            Side::Server(connection) => Some(connection),
            Side::Client(_) => None,
        }
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        }
    }

    fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// Whether the handshake goes on, and if not, whether the peer waits for the last word of it.
    pub(super) fn stand(&self) -> (bool, bool) {
        let is_old = self.common().protocol_version() == Some(ProtocolVersion::TLSv1_2);
        // In TLS 1.3 the server's last word are tickets, which nobody needs soon. But a client with Nagle's algorithm holds its request
        // back until its own last word is acknowledged: for 40 ms, unless something goes the other way.
        let is_last = is_old || matches!(self.side, Side::Server(_));
        (self.is_handshaking(), !self.out.is_empty() && is_last)
    }

    /// The peer broke TLS's rules.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// What the peer did wrong.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failed.clone().map(broken)
    }

    /// The peer said that it sends no more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing of a record is there whose rest must come.
    pub(super) fn is_between_records(&self) -> bool {
        self.partial.is_empty()
    }

    /// Takes what is to be sent before any data.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Takes records from `read` (bytes into a buffer; `None`: there are none; 0: the end) and decrypts them into `buffer`, and into `rest` what
    /// has no room there.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        rest: &mut Vec<u8>,
        read: impl FnOnce(&mut [u8]) -> io::Result<Option<usize>>,
    ) -> io::Result<Received> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(TLS_SCRATCH, 0);
            let kept = self.partial.len();
            // As much as the reader wants, and a whole record at least: it cannot be read in pieces.
            let most = buffer.len().max(TLS_READ_MIN).min(TLS_SCRATCH - kept);
            let received = match read(&mut scratch[kept..kept + most])? {
                None => return Ok(Received::Nothing),
                Some(0) => return Ok(Received::Cut),
                Some(n) => n,
            };
            scratch[..kept].copy_from_slice(&self.partial);
            self.partial.clear();
            self.take(&mut scratch[..kept + received], buffer, rest).map(Received::Data)
        })
    }

    /// As [`Engine::receive`], with bytes that came before TLS was known to begin.
    pub(super) fn begin_with(&mut self, mut bytes: Vec<u8>, rest: &mut Vec<u8>) -> io::Result<()> {
        self.take(&mut bytes, &mut [], rest).map(drop)
    }

    fn take(&mut self, bytes: &mut [u8], buffer: &mut [u8], rest: &mut Vec<u8>) -> io::Result<usize> {
        let (was_handshaking, before) = (self.is_handshaking(), rest.len());
        let mut sink = Sink { buffer, filled: 0, rest };
        let processed = self.process(bytes, &mut sink);
        let filled = sink.filled;
        let data_came = filled > 0 || rest.len() > before;
        let used = match processed {
            Ok(used) => used,
            // What was good is the reader's; what came behind it is in `failed`, for the next time.
            Err(_) if data_came => return Ok(filled),
            Err(error) => return Err(broken(error)),
        };
        let left = &bytes[used..];
        if left.len() > self.partial_max() {
            return Err(self.give_up("a handshake message is too large"));
        }
        self.partial = Vec::new();
        if !left.is_empty() {
            self.partial.reserve_exact(left.len());
            self.partial.extend_from_slice(left);
        }
        let in_vain = used > 0 && !was_handshaking && !self.closed;
        self.barren = if data_came { 0 } else { self.barren + u32::from(in_vain) };
        if self.barren > TLS_BARREN_MAX {
            return Err(self.give_up("too many records without data"));
        }
        Ok(filled)
    }

    /// It is our side that reads no more. rustls remembers where in the bytes it was, and must not be asked again without them.
    fn give_up(&mut self, why: &'static str) -> io::Error {
        self.failed = Some(Error::General(why.to_owned()));
        invalid(why)
    }

    /// Bytes that may be kept until the rest comes: a record, and a whole message where certificates are expected.
    fn partial_max(&self) -> usize {
        match self.expects_certificate && self.is_handshaking() {
            true => TLS_SCRATCH - TLS_READ_MIN,
            false => TLS_READ_MIN,
        }
    }

    /// Decrypts whole records; returns how many bytes they were.
    fn process(&mut self, bytes: &mut [u8], sink: &mut Sink) -> Result<usize, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Engine { side, out, closed, .. } = self;
        let result = match side {
            Side::Server(connection) => process(connection, bytes, sink, out, closed),
            Side::Client(connection) => process(connection, bytes, sink, out, closed),
        };
        self.failed = result.as_ref().err().cloned();
        result
    }

    /// Encrypts `data` into `to`, behind whatever is to be sent before. The error says how many bytes `to` must have.
    pub(super) fn encrypt(&mut self, data: &[u8], to: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let before = self.out.len();
        if before > to.len() {
            return Err(invalid("no room for what goes before the data"));
        }
        to[..before].copy_from_slice(&self.out);
        let Engine { side, partial, .. } = self;
        let encrypted = match side {
            Side::Server(connection) => write(connection, partial, |traffic| traffic.encrypt(data, &mut to[before..])),
            Side::Client(connection) => write(connection, partial, |traffic| traffic.encrypt(data, &mut to[before..])),
        }?;
        self.out = Vec::new();
        Ok(before + encrypted)
    }

    /// Says that we send no more; it is in [`Engine::out`] then.
    pub(super) fn say_close(&mut self) {
        if std::mem::replace(&mut self.said_close, true) || self.failed.is_some() || self.is_handshaking() {
            return;
        }
        let mut alert = [0; 64]; // a record with two bytes in it
        let Engine { side, partial, .. } = self;
        let written = match side {
            Side::Server(connection) => write(connection, partial, |traffic| traffic.queue_close_notify(&mut alert)),
            Side::Client(connection) => write(connection, partial, |traffic| traffic.queue_close_notify(&mut alert)),
        };
        self.out.extend_from_slice(&alert[..written.unwrap_or(0)]);
    }
}

/// What both sides can do.
trait Records: Deref<Target: Deref<Target = CommonState>> {
    type Data;
    fn records<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn records<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn records<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

fn process<C: Records>(
    connection: &mut C,
    bytes: &mut [u8],
    sink: &mut Sink,
    out: &mut Vec<u8>,
    closed: &mut bool,
) -> Result<usize, Error> {
    let mut used = 0;
    loop {
        let UnbufferedStatus { mut discard, state } = connection.records(&mut bytes[used..]);
        let mut more = true;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    sink.put(record.payload);
                }
            }
            Ok(ConnectionState::EncodeTlsData(message)) => encode(message, out),
            Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
            Ok(ConnectionState::PeerClosed) => *closed = true,
            Ok(_) => more = false,
            Err(error) => {
                // The alert that says so lies ready. More must not be asked for: rustls would look at the records again.
                while connection.wants_write()
                    && let Ok(ConnectionState::EncodeTlsData(message)) = connection.records(&mut bytes[used..]).state
                {
                    encode(message, out);
                }
                return Err(error);
            }
        }
        used += discard;
        if !more {
            return Ok(used);
        }
    }
}

fn encode<Data>(mut message: rustls::unbuffered::EncodeTlsData<'_, Data>, out: &mut Vec<u8>) {
    let Err(EncodeError::InsufficientSize(needed)) = message.encode(&mut []) else { return };
    let begin = out.len();
    out.resize(begin + needed.required_size, 0);
    let written = message.encode(&mut out[begin..]).unwrap_or(0);
    out.truncate(begin + written);
}

/// Lets `act` write, once the connection may. `partial` is what was received and not decrypted yet: rustls remembers where in it it was.
fn write<C: Records>(
    connection: &mut C,
    partial: &mut [u8],
    act: impl FnOnce(&mut rustls::unbuffered::WriteTraffic<'_, C::Data>) -> Result<usize, rustls::unbuffered::EncryptError>,
) -> io::Result<usize> {
    match connection.records(partial).state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            act(&mut traffic).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }
        Ok(_) => Err(invalid("the connection cannot be written to")),
        Err(error) => Err(broken(error)),
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
