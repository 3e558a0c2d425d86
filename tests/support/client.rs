//! A raw client: it sends exactly the bytes it is told, and reads strictly.

use super::message::{Framing, Head, Message, Reader};
use super::net::{Place, Stream};
use super::tls::Tls;
use super::{PATIENCE, show};
use rustls::ClientConfig;
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer closed in order.
    Fin,
    /// The peer reset the connection.
    Reset,
    /// The peer of a TLS connection closed without saying so (close_notify): bytes may be missing.
    Cut,
    /// It is still open: nothing came within the time.
    Open,
}

/// One connection.
pub struct Client {
    pub reader: Reader<Stream>,
    out: Stream,
}

impl Client {
    /// Connects, or panics.
    #[track_caller]
    pub fn connect(place: &Place) -> Client {
        Client::try_connect(place).unwrap_or_else(|e| panic!("connect to {place}: {e}"))
    }

    /// Connects.
    pub fn try_connect(place: &Place) -> io::Result<Client> {
        Client::over(Stream::connect(place)?)
    }

    /// Connects and makes the handshake; `name` as for [`Tls::client`].
    pub fn try_secure(place: &Place, config: &Arc<ClientConfig>, name: &str) -> io::Result<Client> {
        let socket = Stream::connect(place)?;
        socket.set_timeouts(PATIENCE, PATIENCE)?;
        let tls = Tls::client(socket, config.clone(), name)?;
        tls.handshake()?;
        Client::over(Stream::Tls(tls))
    }

    /// The same, or panics.
    #[track_caller]
    pub fn secure(place: &Place, config: &Arc<ClientConfig>, name: &str) -> Client {
        Client::try_secure(place, config, name).unwrap_or_else(|e| panic!("TLS to {name} at {place}: {e}"))
    }

    /// Uses a stream that is connected already.
    pub fn over(stream: Stream) -> io::Result<Client> {
        stream.set_timeouts(PATIENCE, PATIENCE)?;
        Ok(Client { out: stream.try_clone()?, reader: Reader::new(stream) })
    }

    /// Limits each read.
    pub fn set_read_timeout(&self, timeout: Duration) {
        self.out.set_timeouts(timeout, PATIENCE).expect("a timeout can be set");
    }

    /// Sends all of it, or panics.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).unwrap_or_else(|e| panic!("send {}: {e}", show(bytes.as_ref())));
    }

    /// Sends all of it; an error tells that the peer has closed (or that it does not read).
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Its TLS.
    #[track_caller]
    pub fn tls(&self) -> &Tls {
        self.out.tls().expect("a connection with TLS")
    }

    /// A second handle for writing, for another thread.
    pub fn writer(&self) -> Stream {
        self.out.try_clone().expect("a socket can be duplicated")
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let _ = self.out.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let _ = self.out.reset_on_close();
    }

    /// Our own port.
    pub fn port(&self) -> u16 {
        self.out.local_port()
    }

    /// The next head; panics if none comes.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        match self.reader.head() {
            Ok(Some(head)) => head,
            Ok(None) => panic!("the connection was closed instead of an answer"),
            Err(e) => panic!("no answer: {e}; read so far: {}", show(self.reader.pending())),
        }
    }

    /// The next message, as the answer to `method`; interim answers (1xx) are messages of their own.
    pub fn try_response_to(&mut self, method: &str) -> io::Result<Message> {
        let head =
            self.reader.head()?.ok_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, "closed before an answer"))?;
        let framing = head.response_framing(method)?;
        let mut body = Vec::new();
        let trailers = self.reader.body(framing, &mut |bytes| body.extend_from_slice(bytes))?;
        Ok(Message { head, framing, body, trailers })
    }

    /// The same; panics if none comes.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Message {
        self.try_response_to(method)
            .unwrap_or_else(|e| panic!("no answer: {e}; not used: {}", show(self.reader.pending())))
    }

    /// The next answer to a method whose answers have bodies.
    #[track_caller]
    pub fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// The next final answer; interim ones before it are skipped.
    #[track_caller]
    pub fn final_response(&mut self) -> Message {
        loop {
            let answer = self.response();
            if answer.status() >= 200 {
                return answer;
            }
        }
    }

    /// A request with that method and path, no body, and its answer.
    #[track_caller]
    pub fn exchange(&mut self, method: &str, target: &str) -> Message {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response_to(method)
    }

    /// GET from that host, and its answer.
    #[track_caller]
    pub fn get_from(&mut self, host: &str, target: &str) -> Message {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        self.response()
    }

    /// GET and its answer.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Message {
        self.exchange("GET", target)
    }

    /// POST with a body of known length, and its answer.
    #[track_caller]
    pub fn post(&mut self, target: &str, body: &[u8]) -> Message {
        self.send(format!("POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()));
        self.send(body);
        self.response_to("POST")
    }

    /// The body that follows `head`, piece by piece.
    pub fn body(&mut self, framing: Framing, sink: &mut dyn FnMut(&[u8])) -> io::Result<Vec<(String, String)>> {
        self.reader.body(framing, sink)
    }

    /// Exactly `count` raw bytes, or panics.
    #[track_caller]
    pub fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count);
        let outcome = self.reader.exactly(count as u64, &mut |piece| bytes.extend_from_slice(piece));
        outcome.unwrap_or_else(|e| panic!("{count} bytes expected: {e}; got {}", show(&bytes)));
        bytes
    }

    /// Everything up to the end, and what the end was (`Open`: nothing came for `PATIENCE`, or the time that was set).
    pub fn read_to_end(&mut self) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        loop {
            match self.reader.some() {
                Ok(piece) if piece.is_empty() => return (bytes, End::Fin),
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return (bytes, End::Open),
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return (bytes, End::Cut),
                Err(_) => return (bytes, End::Reset),
            }
        }
    }

    /// Asserts that the peer closes (in order) without sending anything more.
    #[track_caller]
    pub fn expect_fin(&mut self) {
        let (rest, end) = self.read_to_end();
        assert_eq!(end, End::Fin, "the connection should have been closed; rest: {}", show(&rest));
        assert!(rest.is_empty(), "more than expected: {}", show(&rest));
    }

    /// Asserts that the peer closes without sending anything more; over TLS it need not say so, for whoever was idle misses nothing.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let (rest, end) = self.read_to_end();
        assert!(rest.is_empty() && matches!(end, End::Fin | End::Cut), "{end:?} after {}", show(&rest));
    }

    /// Asserts that nothing comes and the connection stays open for that long.
    #[track_caller]
    pub fn expect_silence(&mut self, duration: Duration) {
        self.set_read_timeout(duration);
        let (rest, end) = self.read_to_end();
        self.set_read_timeout(PATIENCE);
        assert_eq!((show(&rest), end), (String::new(), End::Open), "silence expected");
    }
}
