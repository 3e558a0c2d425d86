//! Bad and borderline input as raw bytes: each row says what goes in and everything that must come out: status, reason,
//! what the backend saw, whether the connection was closed, and which counter moved.
//!
//! All rows of a table run one after the other against one ringgate process: after each of them a request of a bystander
//! must be served, and at the end nothing may be left in use.

#[path = "../support/mod.rs"]
mod support;

mod limits;
mod request_rows;
mod response_rows;

use ringgate::limits as bounds;
use support::message::Reader;
use support::{Backend, Client, End, Head, Message, Ringgate, Setup, backend, show, wait_until};

/// The largest request body at `/small`.
const BODY_MAX: usize = 1000;
/// Bytes that must never reach a backend, or never a client: whoever sees them was smuggled to.
const MARK: &str = "smuggled";

/// What a client sends, and all that must follow from it.
struct Row {
    name: &'static str,
    send: Vec<u8>,
    /// The client says that it sends no more.
    finish: bool,
    /// Status and reason (none: from the backend) of each answer, in order.
    answers: Vec<(u16, Option<&'static str>)>,
    /// Whether ringgate closes after them; if not, the connection must serve one more request.
    closed: bool,
    seen: Seen,
}

/// What the backend sees of a row.
enum Seen {
    /// Not one byte.
    Nothing,
    /// Perhaps the beginning of a request, but never a whole one: the fault was in its body.
    NothingWhole,
    /// Exactly one request, in the form that `normal` gives it.
    One(String),
    /// So many whole requests and nothing else.
    Count(usize),
}

impl Row {
    fn new(name: &'static str, send: impl Into<Vec<u8>>) -> Row {
        let (answers, seen) = (Vec::new(), Seen::Nothing);
        Row { name, send: send.into(), finish: false, answers, closed: true, seen }
    }

    /// The head is refused: nothing goes upstream, and the connection closes.
    fn refused(self, status: u16, reason: &'static str) -> Row {
        Row { answers: vec![(status, Some(reason))], ..self }
    }

    /// The body is refused: the backend may have seen its beginning.
    fn cut(self, status: u16, reason: &'static str) -> Row {
        Row { answers: vec![(status, Some(reason))], seen: Seen::NothingWhole, ..self }
    }

    /// It is served, and the backend sees exactly this.
    fn passed(self, seen: impl Into<String>) -> Row {
        Row { answers: vec![(200, None)], seen: Seen::One(seen.into()), closed: false, ..self }
    }

    /// As many requests are served as were sent in one go; then comes this answer and the end.
    fn then_refused(self, served: usize, status: u16, reason: &'static str) -> Row {
        let mut answers = vec![(200, None); served];
        answers.push((status, Some(reason)));
        Row { answers, seen: Seen::Count(served), ..self }
    }

    /// The client gives up in the middle: no answer, no whole request upstream.
    fn abandoned(self) -> Row {
        Row { finish: true, seen: Seen::NothingWhole, ..self }
    }

    /// The connection ends after the last answer.
    fn then_closed(self) -> Row {
        Row { closed: true, ..self }
    }
}

/// A request as the backend saw it, in a form that is easy to write down: start line; Host and the other fields but the
/// forwarded ones, names in lower case, framing last; an empty line and the decoded body; an empty line and the trailers.
fn normal(request: &Message) -> String {
    let forwarded = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"];
    let framing = ["content-length", "transfer-encoding"];
    let names = request.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (last, first): (Vec<_>, Vec<_>) =
        names.filter(|(name, _)| !forwarded.contains(&&name[..])).partition(|(name, _)| framing.contains(&&name[..]));
    let mut text = request.start.clone();
    for (name, value) in first.iter().chain(&last) {
        text.push_str(&format!("\n{name}: {value}"));
    }
    if !last.is_empty() {
        text.push_str(&format!("\n\n{}", request.text()));
    }
    for (name, value) in &request.trailers {
        text.push_str(&format!("\n\n{}: {value}", name.to_ascii_lowercase()));
    }
    text
}

/// A backend that answers each request on a connection of its own, and records whatever else comes on it.
fn recorder() -> Backend {
    Backend::script(|conn| {
        if let Some(request) = conn.request() {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nseen".to_vec();
            conn.send(if request.method() == "HEAD" { backend::head_of(&answer) } else { answer });
            conn.finish();
            conn.drain();
        }
    })
}

/// The requests of one recorded connection; whether more bytes follow the last whole one.
fn whole_requests(bytes: &[u8]) -> (Vec<Message>, bool) {
    let mut reader = Reader::new(bytes);
    let mut requests = Vec::new();
    while let Ok(Some(head)) = reader.head() {
        let Ok(framing) = head.request_framing() else { return (requests, true) };
        let mut body = Vec::new();
        match reader.body(framing, &mut |piece| body.extend_from_slice(piece)) {
            Ok(trailers) => requests.push(Message { head, framing, body, trailers }),
            Err(_) => return (requests, true),
        }
    }
    let rest = !reader.pending().is_empty();
    (requests, rest)
}

fn check_own_page(row: &str, answer: &Message, method: &str, closing: bool) {
    let reason = answer.reason().unwrap_or_default();
    assert_eq!(answer.connection_has("close"), closing, "{row}: Connection of {}", show(&answer.raw));
    assert!(answer.field("content-length").is_some(), "{row}: {}", show(&answer.raw));
    assert!(answer.field("content-type").is_some(), "{row}: {}", show(&answer.raw));
    assert!(answer.field("date").is_some(), "{row}: {}", show(&answer.raw));
    if method != "HEAD" {
        assert!(answer.text().contains(reason), "{row}: the page names its reason: {}", answer.text());
        assert!(answer.text().contains(&answer.status().to_string()), "{row}: and its status: {}", answer.text());
    }
    assert!(!answer.text().contains(MARK), "{row}: the page repeats the client's bytes: {}", answer.text());
    if answer.status() == 405 {
        assert!(answer.field("allow").is_some(), "{row}: RFC 9110 15.5.6 wants Allow: {}", show(&answer.raw));
    }
}

/// 100, 103: not what a row waits for.
fn is_interim(answer: &Head) -> bool {
    (100..200).contains(&answer.status())
}

fn run(row: &Row, ringgate: &Ringgate, recorder: &Backend) {
    let name = row.name;
    let errors = |reason: &str| ringgate.status().errors(reason);
    let reason = row.answers.iter().find_map(|(_, reason)| *reason);
    let errors_before = reason.map(errors);
    let connections_before = recorder.connections();
    let method = String::from_utf8_lossy(row.send.split(|b| *b == b' ').next().unwrap_or_default()).into_owned();

    let mut client = ringgate.client();
    // ringgate may close before it has read all; what it answered is still there then.
    let _ = client.try_send(&row.send);
    if row.finish {
        client.finish();
    }
    for (index, (status, reason)) in row.answers.iter().enumerate() {
        let answer = loop {
            match client.try_response_to(&method) {
                Ok(answer) if is_interim(&answer) => continue,
                Ok(answer) => break answer,
                Err(e) => panic!("{name}: no answer {index}: {e}; unused: {}", show(client.reader.pending())),
            }
        };
        let got = (answer.status(), answer.reason());
        assert_eq!(got, (*status, *reason), "{name}: answer {index}: {}\n{}", show(&answer.raw), answer.text());
        if reason.is_some() {
            check_own_page(name, &answer, &method, row.closed && index + 1 == row.answers.len());
        }
    }
    if row.closed {
        let (rest, end) = client.read_to_end();
        assert_eq!(show(&rest), "", "{name}: more than the answers");
        // Who gave up in the middle may be told so by a reset; everybody else must be able to read his answer in peace.
        let ended = end == End::Fin || (row.finish && end == End::Reset);
        assert!(ended, "{name}: the connection should have ended in order, it is {end:?}");
    } else {
        client.set_read_timeout(support::PATIENCE);
        client
            .try_send(b"GET /again HTTP/1.1\r\nHost: test\r\n\r\n")
            .unwrap_or_else(|e| panic!("{name}: send again: {e}"));
        let again =
            client.try_response_to("GET").unwrap_or_else(|e| panic!("{name}: the connection should serve on: {e}"));
        assert_eq!(again.text(), "seen", "{name}: the request after it");
    }
    drop(client);

    let bystander = ringgate.client().get("/bystander");
    assert_eq!((bystander.status(), &bystander.text()[..]), (200, "seen"), "{name}: afterwards, somebody else");
    wait_until(&format!("{name}: no connection to the backend left"), || recorder.open() == 0);
    check_seen(row, &recorder.received()[connections_before..]);
    if let (Some(reason), Some(before)) = (reason, errors_before) {
        wait_until(&format!("{name}: {reason} counted once"), || errors(reason) == before + 1);
    }
}

fn check_seen(row: &Row, records: &[Vec<u8>]) {
    let name = row.name;
    let all = || records.iter().map(|bytes| show(bytes)).collect::<Vec<_>>().join("\n--\n");
    let mut requests = Vec::new();
    let mut partial = false;
    for bytes in records {
        let (whole, rest) = whole_requests(bytes);
        requests.extend(whole);
        partial |= rest;
        assert!(!show(bytes).contains(MARK), "{name}: the backend saw what it must not see:\n{}", all());
    }
    requests.retain(|request| !["/again", "/bystander"].contains(&request.target()));
    let texts: Vec<String> = requests.iter().map(normal).collect();
    match &row.seen {
        Seen::Nothing => assert!(requests.is_empty() && !partial, "{name}: the backend saw\n{}", all()),
        Seen::NothingWhole => assert!(requests.is_empty(), "{name}: the backend saw a whole request:\n{}", all()),
        Seen::One(expected) => {
            assert_eq!(texts, [&expected[..]], "{name}: the backend saw");
            assert!(!partial, "{name}: and something more:\n{}", all());
        }
        Seen::Count(count) => {
            assert_eq!(texts.len(), *count, "{name}: whole requests at the backend:\n{}", all());
            assert!(!partial, "{name}: and something more:\n{}", all());
        }
    }
}

fn run_all(rows: &[Row]) {
    let recorder = recorder();
    let small = format!("client_max_body_size = {BODY_MAX}");
    let locations = [("/", "http://backend", ""), ("/small", "http://backend", &small)];
    let ringgate =
        Setup::new().upstream("backend", &[recorder.place()], "").server("127.0.0.1:0", "", &locations).start();
    let before = ringgate.status();
    for row in rows {
        run(row, &ringgate, &recorder);
    }
    ringgate.expect_clean(&before);
}

#[test]
fn framing_of_requests() {
    run_all(&request_rows::framing());
}

#[test]
fn heads_of_requests() {
    run_all(&request_rows::heads());
}

#[test]
fn targets_and_hosts() {
    run_all(&request_rows::targets());
}

#[test]
fn chunked_bodies_of_requests() {
    run_all(&request_rows::chunks());
}

#[test]
fn limits_met_and_exceeded_by_one() {
    run_all(&limits::rows());
}

#[test]
fn answers_of_backends() {
    response_rows::run_all();
}

#[test]
fn the_table_is_as_large_as_promised() {
    let requests = [
        request_rows::framing(),
        request_rows::heads(),
        request_rows::targets(),
        request_rows::chunks(),
        limits::rows(),
    ];
    let mut names: Vec<&str> = requests.iter().flatten().map(|row| row.name).collect();
    names.extend(response_rows::rows().iter().map(|row| row.name));
    let count = names.len();
    assert!(count >= 100, "{count} rows");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "each row has a name of its own");
}

/// A request may also come byte by byte; the verdict must be the same.
#[test]
fn the_verdict_does_not_depend_on_the_segments() {
    let recorder = recorder();
    let ringgate = Setup::proxy(&[recorder.place()]).start();
    let rows = [request_rows::framing(), request_rows::heads(), request_rows::targets()];
    for row in rows.iter().flatten().filter(|row| row.send.len() < 400 && !row.finish) {
        let mut client: Client = ringgate.client();
        for byte in &row.send {
            if client.try_send(&[*byte]).is_err() {
                break;
            }
            std::thread::yield_now();
        }
        let method = String::from_utf8_lossy(row.send.split(|b| *b == b' ').next().unwrap_or_default()).into_owned();
        for expected in &row.answers {
            let answer = loop {
                match client.try_response_to(&method) {
                    Ok(answer) if is_interim(&answer) => continue,
                    Ok(answer) => break answer,
                    Err(e) => panic!("{}: {e}", row.name),
                }
            };
            assert_eq!((answer.status(), answer.reason()), *expected, "{}", row.name);
        }
    }
    wait_until("no connection to the backend left", || recorder.open() == 0);
    assert!(!show(&recorder.received_bytes()).contains(MARK), "{}", show(&recorder.received_bytes()));
}

/// Fields of `count` and of a total that makes a head of exactly `length` bytes.
fn head_of_length(start: &str, length: usize) -> Vec<u8> {
    let fixed = format!("{start}X-Long: \r\n\r\n").len();
    format!("{start}X-Long: {}\r\n\r\n", "a".repeat(length - fixed)).into_bytes()
}

fn fields(start: &str, count: usize) -> Vec<u8> {
    let lines: String = (0..count).map(|i| format!("X-{i}: {i}\r\n")).collect();
    format!("{start}{lines}\r\n").into_bytes()
}

const _: () = assert!(BODY_MAX > bounds::CHUNK_LINE_MAX, "a chunk of the largest body is longer than its line");
