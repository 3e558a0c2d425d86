//! Scripted servers in memory and in virtual time: what they say, what the check makes of it, and what it said itself.

use super::*;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use tokio::io::{DuplexStream, duplex};

/// What a server does.
enum Step {
    /// Reads until it has seen these bytes.
    Hear(&'static [u8]),
    Say(Vec<u8>),
    /// One byte a second.
    Drip(&'static [u8]),
    /// The same for ever.
    Endless(&'static [u8]),
    /// Closes its side.
    End,
}
use Step::{Drip, End, Endless, Hear};

fn say(bytes: impl AsRef<[u8]>) -> Step {
    Step::Say(bytes.as_ref().to_vec())
}

/// Plays the steps, reads until the client closes, returns all that it heard.
async fn play(mut stream: DuplexStream, steps: Vec<Step>) -> Vec<u8> {
    let mut heard = Vec::new();
    for step in steps {
        match step {
            Hear(bytes) => {
                while memchr::memmem::find(&heard, bytes).is_none() {
                    assert!(stream.read_buf(&mut heard).await.unwrap() > 0, "only {}", heard.escape_ascii());
                }
            }
            Step::Say(bytes) => drop(stream.write_all(&bytes).await),
            Drip(bytes) => {
                for byte in bytes {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    let _ = stream.write_all(&[*byte]).await;
                }
            }
            Endless(bytes) => while stream.write_all(bytes).await.is_ok() {},
            End => stream.shutdown().await.unwrap(),
        }
    }
    let _ = stream.read_to_end(&mut heard).await;
    heard
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

fn health_check(kind: CheckKind) -> HealthCheck {
    let seconds = Duration::from_secs;
    HealthCheck { kind, port: None, interval: seconds(5), jitter: 0, timeout: seconds(3), rise: 2, fall: 3 }
}

/// The verdict, and what the server heard. The check ends within its timeout and reads no more than it may.
#[track_caller]
fn asked(kind: &CheckKind, steps: Vec<Step>) -> (Result<(), String>, Vec<u8>) {
    let check = health_check(kind.clone());
    let (ours, theirs) = duplex(1024);
    let address = Address::Tcp("10.1.2.3:8080".parse().unwrap());
    runtime().block_on(async {
        let begun = Instant::now();
        let checking = async {
            let verdict = converse(Conn::on(Box::new(ours)), &address, &check, begun + check.timeout).await;
            assert!(begun.elapsed() <= check.timeout + Duration::from_millis(1), "{:?}", begun.elapsed());
            verdict
        };
        tokio::join!(checking, play(theirs, steps))
    })
}

#[track_caller]
fn expect(kind: &CheckKind, steps: Vec<Step>, verdict: Result<(), &str>) -> Vec<u8> {
    let (found, heard) = asked(kind, steps);
    assert_eq!(found, verdict.map_err(str::to_owned));
    heard
}

/// What no server of any kind may do.
#[track_caller]
fn expect_no_nonsense(kind: &CheckKind, not_its: &str) {
    expect(kind, vec![End], Err("closed without an answer"));
    expect(kind, vec![], Err("no answer within 3 s"));
    expect(kind, vec![say(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 hello \xff\xfe"), End], Err(not_its));
    expect(kind, vec![Endless(b"\x7fELF never a line\0\0")], Err(not_its));
}

fn http(status: &[RangeInclusive<u16>], body: Option<&str>) -> CheckKind {
    CheckKind::Http {
        ssl: None,
        path: "/up?x=1".into(),
        host: None,
        status: status.to_vec(),
        body: body.map(str::to_owned),
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nit ok";

#[test]
fn http_asks_politely() {
    let heard = expect(&http(&[200..=399], None), vec![Hear(b"\r\n\r\n"), say(OK), End], Ok(()));
    let agent = env!("CARGO_PKG_VERSION");
    let head = format!(
        "GET /up?x=1 HTTP/1.1\r\nHost: 10.1.2.3:8080\r\nUser-Agent: ringgate-check/{agent}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(String::from_utf8_lossy(&heard), head);
    let named = CheckKind::Http {
        ssl: None,
        path: "/".into(),
        host: Some("a.test".into()),
        status: vec![200..=200],
        body: None,
    };
    let heard = expect(&named, vec![Hear(b"\r\n\r\n"), say(OK), End], Ok(()));
    assert!(heard.starts_with(b"GET / HTTP/1.1\r\nHost: a.test\r\n"), "{}", heard.escape_ascii());
    assert_eq!(http::host_of(&Address::Tcp("[::1]:80".parse().unwrap())), "[::1]:80");
    assert_eq!(http::host_of(&Address::Unix("/run/x".into())), "localhost");
}

#[test]
fn http_judges_by_status() {
    let status = |code: &str| format!("HTTP/1.1 {code}\r\nContent-Length: 0\r\n\r\n");
    type Row<'a> = (&'a str, &'a [RangeInclusive<u16>], Result<(), &'a str>);
    let rows: [Row; 8] = [
        ("200 OK", &[200..=399], Ok(())),
        ("204 No Content", &[200..=399], Ok(())),
        ("399 x", &[200..=399], Ok(())),
        ("400 x", &[200..=399], Err("status 400, expected 200-399")),
        ("503 Service Unavailable", &[200..=399], Err("status 503, expected 200-399")),
        ("404 Not Found", &[200..=299, 404..=404], Ok(())),
        ("403 Forbidden", &[200..=299, 404..=404], Err("status 403, expected 200-299, 404")),
        ("101 Switching Protocols", &[100..=399], Err("the answer is not valid HTTP")),
    ];
    for (code, passing, verdict) in rows {
        expect(&http(passing, None), vec![say(status(code))], verdict);
    }
    // Answers before the final one do not count; without end they are none.
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    expect(&http(&[200..=200], None), vec![say(early), say(early), say(OK)], Ok(()));
    expect(&http(&[200..=200], None), vec![Endless(early.as_bytes())], Err("too many interim answers"));
    // A status is a verdict before the body has come, and even if it never ends.
    expect(&http(&[200..=200], None), vec![say("HTTP/1.1 200 OK\r\n\r\n"), Endless(b"body")], Ok(()));
}

#[test]
fn http_finds_a_text_in_the_body() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let close = "HTTP/1.0 200 OK\r\n\r\n";
    let length = |bytes: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
    let lacks = Err("the body lacks \"it ok\"");
    let long = "x".repeat(CHECK_ANSWER_MAX);
    let rows = [
        (OK.to_owned(), Ok(())),
        (format!("{}it bad", length(6)), lacks),
        // Behind the message's end it is not part of it; in the head it is not either.
        (format!("{}not yet it ok", length(7)), lacks),
        ("HTTP/1.1 200 it ok\r\nX: it ok\r\nContent-Length: 0\r\n\r\n".to_owned(), lacks),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), lacks),
        // Cut by chunks it is one text.
        (format!("{chunked}3\r\nit \r\n2\r\nok\r\n0\r\n\r\n"), Ok(())),
        (format!("{chunked}1\r\ni\r\n0\r\n\r\nt ok"), lacks),
        (format!("{chunked}zz\r\nit ok"), Err("the answer's chunks are malformed")),
        (format!("{close}so it ok is"), Ok(())),
        (format!("{close}no"), lacks),
        (format!("{}half", length(9)), Err("closed in the middle of its answer")),
        (format!("{close}{long}it ok"), Err("the first 65536 bytes lack \"it ok\"")),
    ];
    for (answer, verdict) in rows {
        expect(&http(&[200..=299], Some("it ok")), vec![say(&answer), End], verdict);
    }
    let slow = vec![say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Drip(b"it")];
    expect(&http(&[200..=200], Some("it ok")), slow, Err("no complete answer within 3 s"));
    let slow = vec![say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nit "), Drip(b"ok")];
    expect(&http(&[200..=200], Some("it ok")), slow, Ok(()));
}

#[test]
fn http_takes_no_nonsense() {
    let kind = http(&[200..=599], None);
    expect_no_nonsense(&kind, "the answer is not valid HTTP");
    expect(&kind, vec![say("HTTP/1.1 200 OK\r\nX:"), End], Err("closed in the middle of its answer"));
    expect(&kind, vec![Drip(b"HTTP/1.1 200 OK")], Err("no complete answer within 3 s"));
    expect(&kind, vec![say("HTTP/1.1 200 OK\r\n"), Endless(b"X: y\r\n")], Err("the answer's head is too large"));
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx";
    expect(&kind, vec![say(two)], Err("the answer is not valid HTTP"));
}

const GSSENC: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";

#[test]
fn postgres_without_a_user_is_asked_for_an_answer() {
    let kind = CheckKind::Postgres { user: String::new() };
    for answer in ["N", "G", "EFATAL:  unsupported frontend protocol 1234.5680: server supports 1.0 to 3.0\n\0"] {
        assert_eq!(expect(&kind, vec![Hear(GSSENC), say(answer)], Ok(())), GSSENC, "nothing else is said");
    }
    let full = "Ecould not fork new process for connection: Cannot allocate memory\n\0";
    let words = "could not fork new process for connection: Cannot allocate memory";
    expect(&kind, vec![Hear(GSSENC), say(full), End], Err(words));
    expect_no_nonsense(&kind, "the answer is not PostgreSQL's");
}

/// A message of PostgreSQL's.
fn message(kind: char, body: &str) -> Vec<u8> {
    let mut message = vec![kind as u8];
    message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(body.as_bytes());
    message
}

#[test]
fn postgres_with_a_user_is_asked_for_a_session() {
    let kind = CheckKind::Postgres { user: "me".into() };
    let startup = b"\0\0\0\x43\0\x03\0\0user\0me\0database\0postgres\0application_name\0ringgate-check\0\0";
    let password = message('R', "\0\0\0\x0aSCRAM-SHA-256\0\0");
    let heard = expect(&kind, vec![Hear(b"-check\0\0"), say(password)], Ok(()));
    assert_eq!(heard.escape_ascii().to_string(), startup.escape_ascii().to_string(), "and no Terminate");
    let welcome =
        [message('R', "\0\0\0\0"), message('S', "a\0b\0"), message('K', "12345678"), message('Z', "I")].concat();
    let heard = expect(&kind, vec![Hear(b"-check\0\0"), say(&welcome)], Ok(()));
    assert_eq!(heard[startup.len()..], *b"X\0\0\0\x04");
    // In pieces, and only a session that is ready is one.
    let (first, rest) = welcome.split_at(3);
    expect(&kind, vec![say(first), Drip(&[]), say(rest)], Ok(()));
    let half = &welcome[..welcome.len() - 6];
    expect(&kind, vec![say(half), End], Err("closed in the middle of its answer"));
    expect(&kind, vec![say(half)], Err("no complete answer within 3 s"));

    let error = |code: &str, text: &str| message('E', &format!("SFATAL\0VFATAL\0C{code}\0M{text}\0Fx.c\0\0"));
    let rows = [
        ("57P03", "the database system is starting up", Err("the database system is starting up")),
        ("57P03", "the database system is shutting down", Err("the database system is shutting down")),
        ("53300", "sorry, too many clients already", Err("sorry, too many clients already")),
        ("XX000", "a\nline", Err("a line")),
        ("28000", "no pg_hba.conf entry for host", Ok(())),
        ("28P01", "password authentication failed", Ok(())),
        ("3D000", "database \"postgres\" does not exist", Ok(())),
        ("42501", "permission denied for database", Ok(())),
    ];
    for (code, text, verdict) in rows {
        expect(&kind, vec![say(error(code, text)), End], verdict);
        expect(&kind, vec![say([message('R', "\0\0\0\0"), error(code, text)].concat()), End], verdict);
    }
    expect(&kind, vec![say("Ecould not fork new process\n\0"), End], Err("could not fork new process"));
    let not = "the answer is not PostgreSQL's";
    for wrong in [
        &b"R\0\0\0\x03"[..],
        b"R\0\0\0\x06ab",
        b"E\0\0\0\x04",
        b"E\0\0\0\x06ab",
        b"S\xff\xff\xff\xff",
        b"HTTP/1.1 400 ",
    ] {
        expect(&kind, vec![say(wrong), End], Err(not));
    }
    let endless = Err("no end of the answer in 65536 bytes");
    expect(&kind, vec![Endless(b"S\0\0\0\x04")], endless);
    expect(&kind, vec![Endless(b"EEEEE")], endless);
    expect_no_nonsense(&kind, not);
}

fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8, 0, 0, number], body].concat()
}

#[test]
fn mysql_finishes_the_handshake() {
    let kind = CheckKind::Mysql { user: "me".into() };
    let greeting = || say(packet(0, b"\x0a5.5.5-10.11\0\x01\0\0\0abcdefgh\0\xfe\xf7\x08\x02\0\xff\x81\x15"));
    let native = b"mysql_native_password\0";
    let heard = expect(&kind, vec![greeting(), Hear(native), say(packet(2, b"\0\0\0\x02\0\0\0"))], Ok(()));
    let (handshake, quit) = heard.split_at(heard.len() - 5);
    assert_eq!(handshake[..8], [58, 0, 0, 1, 0x01, 0x82, 0x08, 0]);
    assert!(handshake.ends_with(b"\0me\0\0mysql_native_password\0"), "{}", handshake.escape_ascii());
    assert_eq!(handshake.len(), 4 + 58);
    assert_eq!(quit, b"\x01\0\0\0\x01", "COM_QUIT");

    // Other methods of authentication.
    let switch = say(packet(2, b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0"));
    let more = say(packet(4, b"\x01\x04"));
    let steps =
        vec![greeting(), Hear(native), switch, Hear(b"\0\0\0\x03"), more, Hear(b"\0\0\0\x05"), say(packet(6, b"\0"))];
    expect(&kind, steps, Ok(()));
    let again = vec![greeting(), Endless(b"\x01\0\0\x02\xfe")];
    expect(&kind, again, Err("it asks again and again who we are"));

    let refused = |code: u16, text: &str| [&[0xff][..], &code.to_le_bytes(), text.as_bytes()].concat();
    let rows = [
        (1045, "#28000Access denied for user 'me'@'x'", Ok(())),
        (1698, "#28000Access denied for user 'me'@'x'", Ok(())),
        (1251, "#08004Client does not support authentication protocol", Ok(())),
        (3159, "#HY000Connections using insecure transport are prohibited", Ok(())),
        (4151, "#HY000Access denied, this account is locked", Ok(())),
        (1040, "#08004Too many connections", Err("Too many connections")),
        (1043, "#08S01Bad handshake", Err("Bad handshake")),
        (1053, "#08S01Server shutdown in progress", Err("Server shutdown in progress")),
        (1226, "#42000User 'me' has exceeded", Err("User 'me' has exceeded")),
    ];
    for (code, text, verdict) in rows {
        let heard = expect(&kind, vec![greeting(), Hear(native), say(packet(2, &refused(code, text))), End], verdict);
        assert_eq!(heard.len(), 4 + 58, "no COM_QUIT where no session is");
    }
    // Instead of a greeting.
    let rows = [
        (1129, "Host '10.0.0.1' is blocked because of many connection errors"),
        (1130, "Host '10.0.0.1' is not allowed to connect to this MySQL server"),
        (1040, "Too many connections"),
    ];
    for (code, text) in rows {
        let heard = expect(&kind, vec![say(packet(0, &refused(code, text))), End], Err(text));
        assert_eq!(heard, b"");
    }
    let not = "the answer is not MySQL's";
    for wrong in [
        packet(0, b""),
        packet(0, b"\x09old"),
        packet(0, b"\xff"),
        packet(0, b"\xff\x01"),
        b"HTTP/1.1 400 Bad".to_vec(),
    ] {
        expect(&kind, vec![say(wrong), End], Err(not));
    }
    expect(&kind, vec![greeting(), say(packet(2, b"\x02"))], Err(not));
    expect(&kind, vec![greeting(), End], Err("closed in the middle of its answer"));
    expect(&kind, vec![greeting()], Err("no complete answer within 3 s"));
    expect_no_nonsense(&kind, not);
}

#[test]
fn redis_is_pinged() {
    let rows = [
        ("+PONG\r\n", Ok(())),
        ("-NOAUTH Authentication required.\r\n", Ok(())),
        ("-NOPERM this user has no permissions to run the 'ping' command\r\n", Ok(())),
        ("-LOADING Redis is loading the dataset in memory\r\n", Err("LOADING Redis is loading the dataset in memory")),
        ("-MASTERDOWN Link with MASTER is down\r\n", Err("MASTERDOWN Link with MASTER is down")),
        ("-ERR max number of clients reached\r\n", Err("ERR max number of clients reached")),
        ("-NOAUTHX\r\n", Err("NOAUTHX")),
        ("+PONG and more\r\n", Err("the answer is not Redis's")),
        ("+OK\r\n", Err("the answer is not Redis's")),
        ("$4\r\nPONG\r\n", Err("the answer is not Redis's")),
        ("HTTP/1.1 400 Bad Request\r\n", Err("the answer is not Redis's")),
    ];
    for (answer, verdict) in rows {
        assert_eq!(expect(&CheckKind::Redis, vec![Hear(b"PING\r\n"), say(answer)], verdict), b"PING\r\n");
    }
    expect(&CheckKind::Redis, vec![Drip(b"+P"), say("ONG\r\n")], Ok(()));
    expect(&CheckKind::Redis, vec![Drip(b"+PONG\r\n")], Err("no complete answer within 3 s"));
    expect(&CheckKind::Redis, vec![say("+PON"), End], Err("closed in the middle of its answer"));
    expect(&CheckKind::Redis, vec![Endless(b"+PONG")], Err("the answer is not Redis's"));
    expect_no_nonsense(&CheckKind::Redis, "the answer is not Redis's");
}

#[test]
fn send_expect_sends_and_expects() {
    let kind = |send: &str, expect: &str, quit: &str| CheckKind::SendExpect {
        send: send.into(),
        expect: expect.into(),
        quit: quit.into(),
    };
    let smtp = kind("", "220", "QUIT\r\n");
    let steps = vec![say("220 mail.test ESMTP\r\n"), Hear(b"QUIT\r\n"), say("221 Bye\r\n"), End];
    assert_eq!(expect(&smtp, steps, Ok(())), b"QUIT\r\n");
    let busy = vec![say("421 too busy\r\n"), End];
    expect(&smtp, busy, Err("the answer lacks \"220\": 421 too busy"));
    expect(&smtp, vec![say("421 too busy\r\n")], Err("no complete answer within 3 s"));
    // One that never answers to QUIT is not waited for.
    expect(&smtp, vec![say("220")], Ok(()));
    // The text may come in pieces, and anywhere.
    expect(&smtp, vec![say("- 2"), Drip(b"2"), say("0 -")], Ok(()));
    let echo = kind("hello", "hello", "");
    assert_eq!(expect(&echo, vec![Hear(b"hello"), say("hello")], Ok(())), b"hello");
    assert_eq!(expect(&kind("x", "", ""), vec![], Ok(())), b"x");
    expect(&smtp, vec![End], Err("closed without an answer"));
    expect(&smtp, vec![], Err("no answer within 3 s"));
    expect(&smtp, vec![Endless(b"22122")], Err("the first 65536 bytes lack \"220\""));
    expect(&smtp, vec![Drip(b"2 20")], Err("no complete answer within 3 s"));
}

/// Checks over real sockets, whose ends and errors memory does not have.
fn over_sockets(address: &Address, check: &HealthCheck) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(super::check(address, check, None))
}

#[test]
fn connecting_tells_why_it_failed() {
    let tcp = health_check(CheckKind::Tcp);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(over_sockets(&Address::Tcp(address), &tcp), Ok(()));
    let elsewhere = HealthCheck { port: Some(address.port()), ..tcp.clone() };
    assert_eq!(over_sockets(&Address::Tcp("127.0.0.1:1".parse().unwrap()), &elsewhere), Ok(()));
    drop(listener);
    assert_eq!(over_sockets(&Address::Tcp(address), &tcp), Err("connection refused".to_owned()));

    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("socket");
    assert_eq!(over_sockets(&Address::Unix(path.clone()), &tcp), Err("no such file or directory".to_owned()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    // A port means nothing there.
    assert_eq!(over_sockets(&Address::Unix(path.clone()), &elsewhere), Ok(()));
    drop(listener);
    assert_eq!(over_sockets(&Address::Unix(path), &tcp), Err("connection refused".to_owned()));
}

#[test]
fn a_reset_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let resetting = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let found = over_sockets(
        &address,
        &health_check(CheckKind::SendExpect { send: String::new(), expect: "x".into(), quit: String::new() }),
    );
    resetting.join().unwrap();
    assert_eq!(found, Err("connection reset by peer".to_owned()));
}

/// A connection that is only made is closed in order: the server reads an end, not an error.
#[test]
fn a_tcp_check_ends_in_order() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    assert_eq!(over_sockets(&address, &health_check(CheckKind::Tcp)), Ok(()));
    let (mut stream, _) = listener.accept().unwrap();
    let mut read = Vec::new();
    assert_eq!(std::io::Read::read_to_end(&mut stream, &mut read).map_err(|e| e.kind()), Ok(0));
}

#[test]
fn words_fit_one_line() {
    assert_eq!(words(b"  a\r\nb\0c\x1b[31m \xff "), "a  b c [31m \u{fffd}");
    assert_eq!(words(&[b'x'; 5000]).len(), CHECK_WORDS_MAX);
    assert_eq!(shown(Duration::from_millis(1500)), "1.5 s");
}
