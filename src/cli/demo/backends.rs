//! Three small HTTP/1.1 servers on threads and loopback ports. Each answers with its name; one takes its time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// One running backend.
#[derive(Debug, Clone)]
pub struct Backend {
    /// For people.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// How long it thinks about each answer.
    pub delay: Duration,
}

const NAMES: [(&str, u64); 3] = [("alder", 5), ("birch", 5), ("cedar", 200)];

/// Bytes of a head that a backend reads; it is only ever spoken to by the balancer, but anybody on this machine could.
const HEAD_MAX: u64 = 64 * 1024;
const IDLE: Duration = Duration::from_secs(75);

/// Starts all three. They end with the process.
pub fn start() -> io::Result<Vec<Backend>> {
    NAMES.iter().map(|&(name, delay)| serve(name, Duration::from_millis(delay))).collect()
}

fn serve(name: &'static str, delay: Duration) -> io::Result<Backend> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let backend = Backend { name, address: listener.local_addr()?, delay };
    let (served, answering) = (Arc::new(AtomicU64::new(0)), backend.clone());
    thread::Builder::new().name(format!("demo {name}")).spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                thread::sleep(Duration::from_millis(100)); // out of descriptors, most likely
                continue;
            };
            let (backend, served) = (answering.clone(), served.clone());
            // A connection that gets no thread is closed, which the balancer knows how to live with.
            let _ = thread::Builder::new().spawn(move || converse(&stream, &backend, &served));
        }
    })?;
    Ok(backend)
}

/// Answers request after request until one side has enough.
fn converse(stream: &TcpStream, backend: &Backend, served: &AtomicU64) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(request) = read_head(&mut reader)? {
        if request.expects {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        io::copy(&mut reader.by_ref().take(request.length), &mut io::sink())?;
        thread::sleep(backend.delay);
        let count = served.fetch_add(1, Relaxed) + 1;
        let body = body(backend, &request, count);
        let close = if request.close { "Connection: close\r\n" } else { "" };
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Backend: {}\r\n{close}\r\n",
            body.len(),
            backend.name
        );
        if !request.head_only {
            answer.push_str(&body);
        }
        writer.write_all(answer.as_bytes())?;
        if request.close {
            break;
        }
    }
    Ok(())
}

fn body(backend: &Backend, request: &Request, count: u64) -> String {
    let pace = if backend.delay > Duration::from_millis(50) { "the slow one" } else { "a quick one" };
    format!(
        "Hello from {}, {pace} (port {}).\nIt is my request number {count}. You asked for {}\n",
        backend.name,
        backend.address.port(),
        request.target
    )
}

/// What matters of a request.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    target: String,
    head_only: bool,
    length: u64,
    expects: bool,
    close: bool,
}

/// The next head; `None` when the other side is done or speaks something else.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut lines = reader.by_ref().take(HEAD_MAX);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target), Some("HTTP/1.1")) = (words.next(), words.next(), words.next()) else {
        return Ok(None);
    };
    let mut request =
        Request { target: target.to_owned(), head_only: method == "HEAD", length: 0, expects: false, close: false };
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else { break };
        let value = value.trim().to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => match value.parse() {
                Ok(length) => request.length = length,
                Err(_) => return Ok(None),
            },
            "expect" => request.expects = value == "100-continue",
            "connection" => request.close |= value.split(',').any(|token| token.trim() == "close"),
            // Reading chunks is not worth it here: answer, and close behind the body that nobody read.
            "transfer-encoding" => request.close = true,
            _ => {}
        }
    }
    Ok(Some(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_far_as_they_matter() {
        let request = |target: &str| Request {
            target: target.to_owned(),
            head_only: false,
            length: 0,
            expects: false,
            close: false,
        };
        let table = [
            ("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", Some(request("/a?b"))),
            ("HEAD / HTTP/1.1\r\n\r\n", Some(Request { head_only: true, ..request("/") })),
            (
                "POST / HTTP/1.1\r\ncontent-LENGTH: 5\r\nExpect: 100-Continue\r\n\r\nhello",
                Some(Request { length: 5, expects: true, ..request("/") }),
            ),
            ("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", Some(Request { close: true, ..request("/") })),
            ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Some(Request { close: true, ..request("/") })),
            ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nHost: x", None),
            ("GET / HTTP/2\r\n\r\n", None),
            ("", None),
        ];
        for (bytes, expected) in table {
            assert_eq!(read_head(&mut bytes.as_bytes()).unwrap(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_connection_is_kept_and_answers_name_their_backend() {
        let backend = serve("oak", Duration::ZERO).unwrap();
        let mut stream = TcpStream::connect(backend.address).unwrap();
        stream
            .write_all(b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcHEAD /2 HTTP/1.1\r\n\r\n")
            .unwrap();
        stream.write_all(b"GET /3 HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3);
        assert_eq!(text.matches("Hello from oak").count(), 2);
        assert!(text.contains("request number 3. You asked for /3\n") && !text.contains("/2\n"), "{text}");
    }
}
