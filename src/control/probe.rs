//! Active checks: one question to one server, asked so that nothing fills its log and nothing blocks this host.
//!
//! tokio's sockets, not tokio-uring's: a check that is over or not wanted any more is dropped, which closes its connection.

mod http;
mod mysql;
mod postgres;
mod redis;
mod secured;
mod send_expect;

#[cfg(test)]
mod tests;

pub use secured::Secured;

use crate::config::plan::{Address, CheckKind, HealthCheck};
use crate::limits::{CHECK_ANSWER_MAX, CHECK_FAREWELL_MAX, CHECK_WORDS_MAX};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

/// Asks the server at `address` (on `check.port`, if there is one), by TLS if `tls` says how. `Err` says what is wrong in words for a person, short and on one
/// line. Takes `check.timeout` at most, connecting and taking leave included; at most `limits::CHECK_ANSWER_MAX` bytes are read.
/// Needs a tokio runtime with I/O and time.
pub async fn check(address: &Address, check: &HealthCheck, tls: Option<&Secured>) -> Result<(), String> {
    let deadline = Instant::now() + check.timeout;
    let address = at_port(address, check.port);
    let late = |what: &str| format!("{what} within {}", shown(check.timeout));
    let mut conn = timeout_at(deadline, Conn::open(&address)).await.map_err(|_| late("not connected"))??;
    if let Some(tls) = tls {
        let securing = timeout_at(deadline, secured::secure(conn, tls)).await;
        conn = securing.map_err(|_| late("no end of the TLS handshake"))??;
    }
    converse(conn, &address, check, deadline).await
}

async fn converse(mut conn: Conn, address: &Address, check: &HealthCheck, deadline: Instant) -> Result<(), String> {
    let verdict = match timeout_at(deadline, ask(&mut conn, address, &check.kind)).await {
        Ok(verdict) => verdict,
        Err(_) if conn.received == 0 => Err(format!("no answer within {}", shown(check.timeout))),
        Err(_) => Err(format!("no complete answer within {}", shown(check.timeout))),
    };
    // The verdict stands. What follows is courtesy: it may fail or be cut short.
    let until = deadline.min(Instant::now() + conn.farewell.patience);
    let _ = timeout_at(until, conn.take_leave()).await;
    verdict
}

async fn ask(conn: &mut Conn, address: &Address, kind: &CheckKind) -> Result<(), String> {
    match kind {
        CheckKind::Tcp => Ok(()),
        CheckKind::Http { path, host, status, body, .. } => {
            let host = host.clone().unwrap_or_else(|| http::host_of(address));
            http::ask(conn, path, &host, status, body.as_deref()).await
        }
        CheckKind::Postgres { user } => postgres::ask(conn, user).await,
        CheckKind::Mysql { user } => mysql::ask(conn, user).await,
        CheckKind::Redis => redis::ask(conn).await,
        CheckKind::SendExpect { send, expect, quit } => send_expect::ask(conn, send, expect, quit).await,
    }
}

fn at_port(address: &Address, port: Option<u16>) -> Address {
    match (address, port) {
        (Address::Tcp(tcp), Some(port)) => Address::Tcp(SocketAddr::new(tcp.ip(), port)),
        _ => address.clone(),
    }
}

/// How a connection is left.
struct Farewell {
    /// Said first.
    words: Vec<u8>,
    /// Then our side is closed: the server sees the end, and not that we vanish.
    half_close: bool,
    /// How long the server's end is awaited; with bytes unread, closing would reset the connection.
    patience: Duration,
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A connection to the server that is checked.
struct Conn {
    stream: Box<dyn Stream>,
    /// What was received and not taken yet.
    read: Vec<u8>,
    /// Bytes received in all.
    received: usize,
    farewell: Farewell,
}

impl Conn {
    async fn open(address: &Address) -> Result<Conn, String> {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp(address) => Box::new(TcpStream::connect(address).await.map_err(told)?),
            Address::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(told)?),
        };
        Ok(Conn::on(stream))
    }

    fn on(stream: Box<dyn Stream>) -> Conn {
        let farewell = Farewell { words: Vec::new(), half_close: true, patience: Duration::ZERO };
        Conn { stream, read: Vec::new(), received: 0, farewell }
    }

    /// Sends all of it. A server that has closed may have said why before, so that is left to reading.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Receives more. False: the server has closed its side.
    async fn more(&mut self) -> Result<bool, String> {
        let room = CHECK_ANSWER_MAX.saturating_sub(self.received);
        if room == 0 {
            return Err(format!("no end of the answer in {CHECK_ANSWER_MAX} bytes"));
        }
        let mut piece = [0; 4096];
        let count = match self.stream.read(&mut piece[..room.min(4096)]).await {
            // Servers that end TLS without a word are many, and what they said counts as much.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            received => received.map_err(told)?,
        };
        self.received += count;
        self.read.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    /// Receives until so many bytes can be taken.
    async fn want(&mut self, count: usize) -> Result<(), String> {
        while self.read.len() < count {
            if !self.more().await? {
                return Err(self.ended());
            }
        }
        Ok(())
    }

    /// The next `count` bytes.
    async fn take(&mut self, count: usize) -> Result<Vec<u8>, String> {
        self.want(count).await?;
        Ok(self.read.drain(..count).collect())
    }

    /// Why there is no answer when the server has closed.
    fn ended(&self) -> String {
        match self.received {
            0 => "closed without an answer".to_owned(),
            _ => "closed in the middle of its answer".to_owned(),
        }
    }

    /// Leave is taken like this: `words`, the end of our side, and a moment for the server to end its own.
    fn leave_with(&mut self, words: &[u8], half_close: bool) {
        let patience = Duration::from_millis(CHECK_FAREWELL_MAX);
        self.farewell = Farewell { words: words.to_vec(), half_close, patience };
    }

    async fn take_leave(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.farewell.words).await?;
        if self.farewell.half_close {
            self.stream.shutdown().await?;
        }
        let mut piece = [0; 4096];
        for _ in 0..CHECK_ANSWER_MAX / piece.len() {
            if self.stream.read(&mut piece).await? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// An error of the operating system without its number: "connection refused".
fn told(error: io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The server's own words, made fit for one line of a log.
fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(CHECK_WORDS_MAX).collect()
}

/// Whether `text` occurs in `bytes`, of which so many were searched before; the empty text always does.
fn holds(bytes: &[u8], text: &str, searched: usize) -> bool {
    let new = &bytes[searched.saturating_sub(text.len())..];
    memchr::memmem::find(new, text.as_bytes()).is_some()
}

/// `3 s`, `1.5 s`.
pub(super) fn shown(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
