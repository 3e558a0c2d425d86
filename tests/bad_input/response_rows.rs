//! Answers of backends: good ones pass, bad ones become 502 with a reason, or a cut connection once the body has begun.

use super::support::{Backend, End, Ringgate, Setup, backend, show, wait_until};
use super::{MARK, bounds, fields, head_of_length};
use std::time::Duration;

/// How a backend ends its answer.
#[derive(Clone, Copy)]
enum After {
    Keep,
    Close,
    Reset,
}

/// What must come out.
enum Out {
    /// Our own page.
    Page(u16, &'static str),
    /// Status and body of the backend's answer.
    Passed(u16, &'static str),
    /// The backend's status, then an end that cannot be taken for a whole body; the reason is in the counters.
    Cut(u16, &'static str),
}

/// What a backend answers in pieces (each sent when the client has the one before, or a moment later), and what must follow.
pub struct Row {
    pub name: &'static str,
    method: &'static str,
    pieces: Vec<Vec<u8>>,
    after: After,
    out: Out,
}

impl Row {
    fn new(name: &'static str, bytes: impl Into<Vec<u8>>, after: After, out: Out) -> Row {
        Row { name, method: "GET", pieces: vec![bytes.into()], after, out }
    }

    fn then(mut self, bytes: &str) -> Row {
        self.pieces.push(bytes.into());
        self
    }

    fn to(self, method: &'static str) -> Row {
        Row { method, ..self }
    }
}

/// All rows.
pub fn rows() -> Vec<Row> {
    use After::{Close, Keep, Reset};
    use Out::{Cut, Page, Passed};
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    let bad = |name, bytes: &str| Row::new(name, bytes, Keep, Page(502, "bad_response"));
    let bad_field = |name, line: &str| Row::new(name, format!("{OK}{line}\r\nok"), Keep, Page(502, "bad_response"));
    let cut = |name, framing: &str, first: &str| {
        Row::new(name, format!("{OK}{framing}\r\n\r\n{first}"), Keep, Cut(200, "bad_response"))
    };
    let chunked = "Transfer-Encoding: chunked";
    let length = "Content-Length: 10";
    vec![
        Row::new("closed without a byte", "", Close, Page(502, "backend_closed")),
        Row::new("reset without a byte", "", Reset, Page(502, "backend_reset")),
        Row::new("closed within the status line", "HTTP/1.1 20", Close, Page(502, "backend_closed")),
        Row::new("closed within the head", format!("{OK}X: y\r\n"), Close, Page(502, "backend_closed")),
        Row::new("reset within the head", format!("{OK}X: y\r\n"), Reset, Page(502, "backend_reset")),
        bad("garbage", "smuggled\r\n\r\n"),
        bad("answer of HTTP/0.9", "<html>smuggled</html>\r\n"),
        bad("answer of SSH", "SSH-2.0-OpenSSH_9.2\r\n"),
        bad("answer of TLS", "\x15\x03\x03\x00\x02\x02\x46"),
        bad("answer in HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("protocol in lower case", "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("status below 100", "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("status of letters", "HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("empty line before the status line", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("bare LFs in an answer", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        bad_field("answer with CL twice", "Content-Length: 2\r\nContent-Length: 3\r\n"),
        bad_field("answer with CL twice, equal", "Content-Length: 2\r\nContent-Length: 2\r\n"),
        bad_field("answer with a list of CL", "Content-Length: 2, 2\r\n"),
        bad_field("answer with CL of letters", "Content-Length: two\r\n"),
        bad_field("answer with CL and plus", "Content-Length: +2\r\n"),
        bad_field("answer with CL and TE", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"),
        bad_field("answer with an unknown coding", "Transfer-Encoding: gzip\r\n"),
        bad_field("answer chunked twice", "Transfer-Encoding: chunked, chunked\r\n"),
        bad_field("answer with a folded field", "Content-Length: 2\r\nX: a\r\n b\r\n"),
        bad_field("answer with a space before a colon", "Content-Length: 2\r\nX : a\r\n"),
        bad_field("answer with NUL in a value", "Content-Length: 2\r\nX: a\0b\r\n"),
        bad_field("answer with a bare CR", "Content-Length: 2\r\nX: a\rb\r\n"),
        bad(
            "101 that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
        Row::new(
            "answer in HTTP/1.0 with TE",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Close,
            Page(502, "bad_response"),
        ),
        Row::new(
            "answer's head one too long",
            head_of_length(&format!("{OK}Content-Length: 0\r\n"), bounds::HEAD_MAX + 1),
            Keep,
            Page(502, "response_head_too_large"),
        ),
        Row::new(
            "answer's head that never ends",
            format!("{OK}X: {}", "a".repeat(bounds::HEAD_MAX)),
            Keep,
            Page(502, "response_head_too_large"),
        ),
        Row::new(
            "one field too many in the answer",
            fields(&format!("{OK}Content-Length: 0\r\n"), bounds::FIELDS_MAX),
            Keep,
            Page(502, "response_head_too_large"),
        ),
        Row::new("closed within a fixed body", format!("{OK}{length}\r\n\r\nhello"), Close, Cut(200, "backend_closed")),
        Row::new("reset within a fixed body", format!("{OK}{length}\r\n\r\nhello"), Keep, Cut(200, "backend_reset"))
            .then("RESET"),
        Row::new("closed before a fixed body", format!("{OK}{length}\r\n\r\n"), Close, Cut(200, "backend_closed")),
        Row::new(
            "closed within a chunk",
            format!("{OK}{chunked}\r\n\r\n9\r\nhello"),
            Close,
            Cut(200, "backend_closed"),
        ),
        Row::new(
            "closed between chunks",
            format!("{OK}{chunked}\r\n\r\n5\r\nhello\r\n"),
            Close,
            Cut(200, "backend_closed"),
        ),
        Row::new(
            "closed within the last chunk",
            format!("{OK}{chunked}\r\n\r\n5\r\nhello\r\n0\r\n"),
            Close,
            Cut(200, "backend_closed"),
        ),
        Row::new("reset of a body without end", format!("{OK}\r\nhello"), Keep, Cut(200, "backend_reset"))
            .then("RESET"),
        cut("bad chunk size in an answer", chunked, "5\r\nhello\r\n").then("zz\r\nsmuggled\r\n0\r\n\r\n"),
        cut("answer's chunk longer than its size", chunked, "5\r\nhello\r\n").then("3\r\nsmuggled\r\n0\r\n\r\n"),
        cut("bare LF in an answer's chunk size", chunked, "5\r\nhello\r\n").then("8\nsmuggled\r\n0\r\n\r\n"),
        cut("bad trailer in an answer", chunked, "5\r\nhello\r\n").then("0\r\nX : smuggled\r\n\r\n"),
        Row::new("status 200 without a phrase", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", Keep, Passed(200, "ok")),
        Row::new("unknown status", "HTTP/1.1 799 Odd\r\nContent-Length: 2\r\n\r\nok", Keep, Passed(799, "ok")),
        Row::new("answer in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", Close, Passed(200, "ok")),
        Row::new(
            "answer of HTTP/1.0 with a length",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Close,
            Passed(200, "ok"),
        ),
        Row::new(
            "answer's head as long as may be",
            head_of_length(&format!("{OK}Content-Length: 0\r\n"), bounds::HEAD_MAX),
            Keep,
            Passed(200, ""),
        ),
        Row::new(
            "as many fields in the answer as may be",
            fields(&format!("{OK}Content-Length: 0\r\n"), bounds::FIELDS_MAX - 1),
            Keep,
            Passed(200, ""),
        ),
        Row::new(
            "bytes behind a fixed body",
            format!("{OK}Content-Length: 2\r\n\r\noksmuggled"),
            Keep,
            Passed(200, "ok"),
        ),
        Row::new(
            "an answer too many",
            format!("{OK}Content-Length: 2\r\n\r\nok{OK}Content-Length: 8\r\n\r\nsmuggled"),
            Keep,
            Passed(200, "ok"),
        ),
        Row::new(
            "bytes behind the last chunk",
            format!("{OK}{chunked}\r\n\r\n2\r\nok\r\n0\r\n\r\nsmuggled"),
            Keep,
            Passed(200, "ok"),
        ),
        Row::new(
            "204 with a body",
            "HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\nsmuggled",
            Keep,
            Passed(204, ""),
        ),
        Row::new("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n", Keep, Passed(304, "")),
        Row::new(
            "304 with a body",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\nsmuggled",
            Keep,
            Passed(304, ""),
        ),
        Row::new("HEAD answered with a body", format!("{OK}Content-Length: 8\r\n\r\nsmuggled"), Keep, Passed(200, ""))
            .to("HEAD"),
        Row::new("bad answer to HEAD", "HTTP/1.1 2 OK\r\n\r\n", Keep, Page(502, "bad_response")).to("HEAD"),
        Row::new(
            "bad answer after 103",
            "HTTP/1.1 103 Early Hints\r\n\r\nsmuggled\r\n\r\n",
            Keep,
            Page(502, "bad_response"),
        ),
        Row::new("closed after 103", "HTTP/1.1 103 Early Hints\r\n\r\n", Close, Page(502, "backend_closed")),
    ]
}

/// A moment in which the first piece reaches the client; if it does not, the verdict may come earlier and must be the same.
const MOMENT: Duration = Duration::from_millis(60);

fn run(row: &Row, index: usize, ringgate: &Ringgate, backend: &Backend) {
    let name = row.name;
    let (Out::Page(_, reason) | Out::Cut(_, reason)) = row.out else {
        return run_passed(row, index, ringgate, backend);
    };
    let before = ringgate.status().errors(reason);
    let mut client = ringgate.client();
    client.send(format!("{} /{index} HTTP/1.1\r\nHost: test\r\n\r\n", row.method));
    match row.out {
        Out::Page(status, reason) => {
            let answer = loop {
                let answer = client.try_response_to(row.method).unwrap_or_else(|e| panic!("{name}: {e}"));
                if answer.status() >= 200 {
                    break answer;
                }
            };
            assert_eq!((answer.status(), answer.reason()), (status, Some(reason)), "{name}: {}", show(&answer.raw));
            super::check_own_page(name, &answer, row.method, answer.connection_has("close"));
            // The request was read to its end, so the client's connection need not suffer.
            assert!(!answer.connection_has("close"), "{name}: {}", show(&answer.raw));
            assert_eq!(client.get("/again").text(), "again", "{name}: the same connection");
        }
        Out::Cut(status, _) => {
            let head = client.reader.head().unwrap_or_else(|e| panic!("{name}: {e}")).expect("a head");
            assert_eq!((head.status(), head.reason()), (status, None), "{name}: {}", show(&head.raw));
            let framing = head.response_framing(row.method).unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut body = Vec::new();
            let whole = client.body(framing, &mut |piece| body.extend_from_slice(piece));
            assert!(whole.is_err(), "{name}: looks like a whole body: {}{}", show(&head.raw), show(&body));
            assert!(b"hello".starts_with(&body[..]), "{name}: body {}", show(&body));
            assert_ne!(client.read_to_end().1, End::Open, "{name}: the connection should have ended");
        }
        Out::Passed(..) => {}
    }
    wait_until(&format!("{name}: {reason} counted once"), || ringgate.status().errors(reason) == before + 1);
}

fn run_passed(row: &Row, index: usize, ringgate: &Ringgate, backend: &Backend) {
    let (name, Out::Passed(status, body)) = (row.name, &row.out) else { return };
    let mut client = ringgate.client();
    let mut connections = Vec::new();
    for _ in 0..2 {
        client.send(format!("{} /{index} HTTP/1.1\r\nHost: test\r\n\r\n", row.method));
        let answer = client.try_response_to(row.method).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((answer.status(), &answer.text()[..]), (*status, *body), "{name}: {}", show(&answer.raw));
        assert!(answer.start.starts_with("HTTP/1.1 "), "{name}: {}", answer.start);
        connections.push(backend.connections());
    }
    // All rows share one pool of one worker; what came too much came before the client had its answer.
    let excess = row.pieces.concat().ends_with(MARK.as_bytes());
    assert!(!excess || connections[1] > connections[0], "{name}: a connection that carried too much was used again");
    // What came too much must not be the answer to somebody else, on whatever connection he comes.
    for client in [&mut client, &mut ringgate.client()] {
        let again = client.get("/again");
        assert_eq!(again.text(), "again", "{name}: {}", show(&again.raw));
    }
}

/// Runs them against one ringgate with one worker, so that pooled connections meet again.
pub fn run_all() {
    let backend = Backend::script(|conn| {
        let rows = rows();
        while let Some(request) = conn.request() {
            let Some(row) = request.target()[1..].parse::<usize>().ok().and_then(|index| rows.get(index)) else {
                conn.send(backend::ok("again"));
                continue;
            };
            for (index, piece) in row.pieces.iter().enumerate() {
                if index > 0 {
                    std::thread::sleep(MOMENT);
                }
                if piece == b"RESET" {
                    return conn.reset();
                }
                conn.send(piece);
            }
            match row.after {
                After::Keep => {}
                After::Close => return,
                After::Reset => {
                    // What lies in our buffer unsent would be lost with the reset.
                    std::thread::sleep(MOMENT);
                    return conn.reset();
                }
            }
        }
    });
    let setup = Setup::proxy(&[backend.place()]).workers(1);
    let ringgate = setup.start();
    let before = ringgate.status();
    for (index, row) in rows().iter().enumerate() {
        run(row, index, &ringgate, &backend);
    }
    assert!(!ringgate.log().contains("panic"), "{}", ringgate.log());
    assert!(!ringgate.log().contains(MARK), "the log repeats a backend's bytes:\n{}", ringgate.log());
    backend.close_all();
    ringgate.expect_clean(&before);
}
