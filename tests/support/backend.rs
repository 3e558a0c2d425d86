//! A scripted backend: a thread per connection runs the test's closure, and every received byte is recorded.

use super::message::{Framing, Head, Message, Reader};
use super::net::{Listener, Place, Stream};
use super::tls::Tls;
use super::{PATIENCE, wait_until};
use rustls::ServerConfig;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Bytes kept of each connection; the rest is only counted.
const RECORD_MAX: usize = 1024 * 1024;

/// What came in on one connection.
#[derive(Default)]
struct Record {
    bytes: Mutex<Vec<u8>>,
    length: AtomicU64,
    ended: AtomicBool,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    open: AtomicUsize,
    requests: AtomicUsize,
    connections: Mutex<Vec<(Arc<Record>, Option<Stream>)>>,
}

/// A listening backend. Dropping it closes the listener and resets its connections.
pub struct Backend {
    place: Place,
    shared: Arc<Shared>,
    acceptor: Option<std::thread::JoinHandle<()>>,
}

type Script = dyn Fn(&mut Conn) + Send + Sync;

impl Backend {
    /// On a free port of 127.0.0.1; `script` runs once for each connection, which closes when it returns.
    #[track_caller]
    pub fn script(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Backend {
        Backend::script_on(&Place::parse("127.0.0.1:0"), script)
    }

    /// The same at an address of the caller's.
    #[track_caller]
    pub fn script_on(place: &Place, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Backend {
        Backend::try_script_on(place, script).unwrap_or_else(|e| panic!("listen on {place}: {e}"))
    }

    /// The same; an error if the address cannot be bound.
    pub fn try_script_on(place: &Place, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> io::Result<Backend> {
        Ok(Backend::over(Listener::bind(place)?, script))
    }

    /// The same over TLS on a free port; a script sees what was decrypted.
    #[track_caller]
    pub fn secure(config: ServerConfig, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Backend {
        let below = Listener::bind(&Place::parse("127.0.0.1:0")).expect("a free port");
        Backend::over(Listener::Tls(Box::new(below), Arc::new(config)), script)
    }

    /// On a listener of the caller's.
    pub fn over(listener: Listener, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Backend {
        let place = listener.place();
        let shared = Arc::new(Shared::default());
        let script: Arc<Script> = Arc::new(script);
        let acceptor = std::thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared, &script)
        });
        Backend { place, shared, acceptor: Some(acceptor) }
    }

    /// Answers each request (head and body read whole) with the bytes that `answer` makes, and keeps the connection.
    #[track_caller]
    pub fn answer(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Backend {
        Backend::answer_on(&Place::parse("127.0.0.1:0"), answer)
    }

    /// The same at an address of the caller's.
    #[track_caller]
    pub fn answer_on(place: &Place, answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Backend {
        Backend::script_on(place, answering(answer))
    }

    /// Answers 200 with `body` to everything.
    #[track_caller]
    pub fn fixed(body: &str) -> Backend {
        let answer = ok(body);
        Backend::answer(move |request| match request.method() {
            "HEAD" => head_of(&answer),
            _ => answer.clone(),
        })
    }

    /// Where it listens.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().expect("no script panicked here").len()
    }

    /// Connections whose script still runs.
    pub fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// Heads read so far by `Conn::request` and `Conn::head`.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(SeqCst)
    }

    /// The raw bytes received on each connection, in the order of acceptance (each up to 1 MiB).
    pub fn received(&self) -> Vec<Vec<u8>> {
        let connections = self.shared.connections.lock().expect("no script panicked here");
        connections.iter().map(|(record, _)| record.bytes.lock().expect("no reader panicked").clone()).collect()
    }

    /// The same, one after the other.
    pub fn received_bytes(&self) -> Vec<u8> {
        self.received().concat()
    }

    /// How many bytes came in all.
    pub fn received_length(&self) -> u64 {
        let connections = self.shared.connections.lock().expect("no script panicked here");
        connections.iter().map(|(record, _)| record.length.load(SeqCst)).sum()
    }

    /// Waits until that many connections were accepted.
    #[track_caller]
    pub fn expect_connections(&self, count: usize) {
        wait_until(&format!("{count} connections at the backend"), || self.connections() >= count);
    }

    /// Waits until every connection has ended, so that what was received is final.
    #[track_caller]
    pub fn expect_all_ended(&self) {
        wait_until("all connections of the backend ended", || self.open() == 0);
    }

    /// Resets all open connections, as a crash would; the listener stays.
    pub fn reset_all(&self) {
        self.end_all(|stream| {
            let _ = stream.reset_on_close();
            let _ = stream.shutdown(Shutdown::Both);
        });
    }

    /// Closes all open connections in order (FIN), as a server's idle timeout would; the listener stays.
    pub fn close_all(&self) {
        self.end_all(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    fn end_all(&self, end: impl Fn(&Stream)) {
        let mut connections = self.shared.connections.lock().expect("no script panicked here");
        connections.iter_mut().filter_map(|(_, stream)| stream.take()).for_each(|stream| end(&stream));
    }

    /// Stops listening, then resets all connections; returns the address, for a successor.
    pub fn kill(mut self) -> Place {
        self.stop();
        self.place.clone()
    }

    fn stop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        let Some(acceptor) = self.acceptor.take() else { return };
        // The acceptor sleeps in accept(2): a connection wakes it, and the listener goes with it.
        let _ = Stream::connect(&self.place);
        let _ = acceptor.join();
        self.reset_all();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &Listener, shared: &Arc<Shared>, script: &Arc<Script>) {
    loop {
        let Ok(stream) = listener.accept() else {
            // Out of descriptors: others will close theirs.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        if shared.stopped.load(SeqCst) {
            return;
        }
        let record = Arc::new(Record::default());
        let Ok(mut conn) = Conn::new(stream, record.clone(), shared.clone()) else { continue };
        let mut connections = shared.connections.lock().expect("no script panicked here");
        conn.index = connections.len();
        connections.push((record, conn.out.try_clone().ok()));
        drop(connections);
        shared.open.fetch_add(1, SeqCst);
        let script = script.clone();
        std::thread::spawn(move || {
            script(&mut conn);
        });
    }
}

struct Recorded {
    stream: Stream,
    record: Arc<Record>,
}

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        let mut bytes = self.record.bytes.lock().expect("no reader panicked");
        let kept = count.min(RECORD_MAX.saturating_sub(bytes.len()));
        bytes.extend_from_slice(&buffer[..kept]);
        self.record.length.fetch_add(count as u64, SeqCst);
        if count == 0 {
            self.record.ended.store(true, SeqCst);
        }
        Ok(count)
    }
}

/// One connection as its script sees it. Errors of the socket end the script, not the test: the test judges what it sees
/// from the client's side and in the record.
pub struct Conn {
    /// Which connection of this backend it is, from 0.
    pub index: usize,
    reader: Reader<Recorded>,
    out: Stream,
    record: Arc<Record>,
    shared: Arc<Shared>,
}

impl Conn {
    fn new(stream: Stream, record: Arc<Record>, shared: Arc<Shared>) -> io::Result<Conn> {
        stream.set_timeouts(PATIENCE * 6, PATIENCE * 6)?;
        let out = stream.try_clone()?;
        Ok(Conn { index: 0, reader: Reader::new(Recorded { stream, record: record.clone() }), out, record, shared })
    }

    /// The next head; `None` at the end of the connection (or what is no head: the record shows it).
    pub fn head(&mut self) -> Option<Head> {
        let head = self.reader.head().ok().flatten()?;
        self.shared.requests.fetch_add(1, SeqCst);
        Some(head)
    }

    /// The TLS of this connection, if the backend has one.
    pub fn tls(&self) -> Option<&Tls> {
        self.out.tls()
    }

    /// The next head with its whole body.
    pub fn request(&mut self) -> Option<Message> {
        let head = self.head()?;
        let framing = head.request_framing().ok()?;
        let mut body = Vec::new();
        let trailers = self.reader.body(framing, &mut |bytes| body.extend_from_slice(bytes)).ok()?;
        Some(Message { head, framing, body, trailers })
    }

    /// The body after `head`, piece by piece; `None` if it was cut.
    pub fn body(&mut self, framing: Framing, sink: &mut dyn FnMut(&[u8])) -> Option<Vec<(String, String)>> {
        self.reader.body(framing, sink).ok()
    }

    /// Whatever comes next; empty at the end.
    pub fn some(&mut self) -> Vec<u8> {
        self.reader.some().unwrap_or_default()
    }

    /// Exactly so many bytes; `None` if fewer came.
    pub fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.exactly(count as u64, &mut |piece| bytes.extend_from_slice(piece)).ok()?;
        Some(bytes)
    }

    /// Whether nothing comes for that long.
    pub fn is_quiet(&mut self, duration: Duration) -> bool {
        let _ = self.out.set_timeouts(duration, PATIENCE * 6);
        let outcome = self.reader.some();
        let _ = self.out.set_timeouts(PATIENCE * 6, PATIENCE * 6);
        outcome.is_err_and(|e| matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }

    /// Sends all of it; `false` if the peer is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.out.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends one byte at a time with a pause after each.
    pub fn dribble(&mut self, bytes: &[u8], pause: Duration) -> bool {
        bytes.iter().all(|byte| {
            std::thread::sleep(pause);
            self.send([*byte])
        })
    }

    /// Sends no more, but still reads.
    pub fn finish(&mut self) {
        let _ = self.out.shutdown(Shutdown::Write);
    }

    /// Makes the end of this script a reset.
    pub fn reset(&mut self) {
        let _ = self.out.reset_on_close();
    }

    /// Shrinks the kernel's buffers.
    pub fn small_buffers(&mut self) {
        let _ = self.out.small_buffers();
    }

    /// Reads (and records) until the peer ends the connection.
    pub fn drain(&mut self) {
        while !self.some().is_empty() {}
    }

    /// A second handle for writing, for another thread.
    pub fn writer(&self) -> Stream {
        self.out.try_clone().expect("a socket can be duplicated")
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        // The backend keeps a handle for `reset_all`; without it the socket closes with this struct.
        let mut connections = self.shared.connections.lock().expect("no script panicked here");
        if let Some((_, stream)) = connections.get_mut(self.index) {
            *stream = None;
        }
        drop(connections);
        self.shared.open.fetch_sub(1, SeqCst);
    }
}

/// A script that answers each request.
pub fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> impl Fn(&mut Conn) + Send + Sync {
    move |conn| {
        while let Some(request) = conn.request() {
            if !conn.send(answer(&request)) {
                return;
            }
        }
    }
}

/// A 200 with Content-Length.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The head alone of a whole answer, for HEAD.
pub fn head_of(answer: &[u8]) -> Vec<u8> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    answer[..end].to_vec()
}
