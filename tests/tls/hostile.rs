//! Clients that mean harm: what they cost is bounded, in memory and in time, and nobody else notices.

use super::hello::{Answer, Hello, ask, record, rest};
use super::support::certificates::{Authority, Pair};
use super::support::server::free_port;
use super::support::tls::Wish;
use super::support::{Backend, Client, End, PATIENCE, Place, Ringgate, Setup, Stream, tools, wait_until};
use super::{SITE, Site, certificate, expect_sound, folder_with, offering};
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A site that waits two seconds for a handshake.
const IMPATIENT: &str = "ssl_handshake_timeout = \"2s\"";

/// Others are served.
#[track_caller]
fn expect_served(site: &Site) {
    let answer = site.client().get("/");
    assert_eq!((answer.status(), answer.text()), (200, "hello".to_owned()), "{}", site.ringgate.log());
}

/// A bare connection to the site.
#[track_caller]
fn connect(ringgate: &Ringgate) -> Stream {
    let stream = Stream::connect(ringgate.place()).expect("a connection");
    stream.set_timeouts(PATIENCE, PATIENCE).expect("timeouts can be set");
    stream
}

/// The peer ends the connection (in any way) while nothing more is sent; what it said until then.
#[track_caller]
fn expect_ended(stream: &mut Stream, what: &str) -> Vec<u8> {
    let began = Instant::now();
    let bytes = rest(stream, PATIENCE);
    assert!(began.elapsed() < PATIENCE, "{what}: still open");
    bytes
}

#[test]
fn who_does_not_finish_the_handshake_is_dropped() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), IMPATIENT, "");
    expect_served(&site);
    backend.close_all();
    let before = site.ringgate.status();
    let usual = Hello::usual(SITE).bytes();
    // Nothing at all; a part of a hello; all of it, and then nothing.
    for count in [0, 1, 5, 6, usual.len() / 2, usual.len() - 1, usual.len()] {
        let mut stream = connect(&site.ringgate);
        stream.write_all(&usual[..count]).expect("it is read");
        expect_ended(&mut stream, &format!("silent after {count} bytes"));
    }
    let status = site.ringgate.status();
    assert!(status.errors("tls_handshake_timeout") >= 6, "{}", status.text());
    expect_served(&site);
    backend.close_all();
    site.ringgate.expect_clean(&before);
}

/// The time is that of the whole handshake: bytes that dribble in do not prolong it.
#[test]
fn a_byte_now_and_then_is_no_handshake() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), IMPATIENT, "");
    for bytes in [Hello::usual(SITE).bytes(), Hello::usual(SITE).records(1)] {
        let mut stream = connect(&site.ringgate);
        // At this pace the hello would take a minute or more.
        let sent = bytes.iter().position(|byte| {
            std::thread::sleep(Duration::from_millis(250));
            stream.write_all(&[*byte]).is_err()
        });
        assert!(sent.is_some_and(|sent| sent < bytes.len() / 2), "{sent:?} of {} bytes were taken", bytes.len());
        expect_served(&site);
    }
}

#[test]
fn garbage_is_refused() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), IMPATIENT, "");
    expect_served(&site);
    backend.close_all();
    let before = site.ringgate.status();
    let usual = Hello::usual(SITE);
    let message = usual.message();
    let mut rows: Vec<(String, Vec<u8>)> = vec![
        ("zeros".into(), vec![0; 5000]),
        ("ones".into(), vec![0xff; 5000]),
        ("an empty record".into(), record(22, 0x0301, &[])),
        ("application data first".into(), record(23, 0x0303, b"GET / HTTP/1.1\r\n\r\n")),
        ("an unknown kind of record".into(), record(99, 0x0301, &message)),
        ("an unknown version of records".into(), record(22, 0x0909, &message)),
        ("change_cipher_spec first".into(), record(20, 0x0303, &[1])),
        ("a Finished first".into(), record(22, 0x0301, &[20, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("a record that is too long".into(), record(22, 0x0301, &vec![1; 40_000])),
        ("a hello with more behind it".into(), record(22, 0x0301, &[&message[..], b"more"].concat())),
        ("a close_notify first".into(), record(21, 0x0301, &[1, 0])),
        ("SSH".into(), b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("HTTP/2".into(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("a PROXY header".into(), [b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", &usual.bytes()[..]].concat()),
    ];
    // A good hello with one byte changed: refused, or taken for what it then says, but always ended in time.
    let good = usual.bytes();
    let mut state = 1_u64;
    for at in 0..good.len() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (state >> 61);
        if at % 4 == 0 {
            bytes.truncate(at + 1 + (state >> 33) as usize % (good.len() - at));
        }
        rows.push((format!("a hello with byte {at} changed"), bytes));
    }
    // All at the same time, for some end only by the handshake's time.
    let mut streams = Vec::new();
    for (what, bytes) in &rows {
        let mut stream = connect(&site.ringgate);
        let _ = stream.write_all(bytes);
        streams.push((what, stream));
    }
    expect_served(&site);
    for (what, stream) in &mut streams {
        let bytes = expect_ended(stream, what);
        assert!(bytes.len() < 8000 && !bytes.windows(5).any(|w| w == b"hello"), "{what}: {} bytes", bytes.len());
    }
    drop(streams);
    expect_served(&site);
    backend.close_all();
    site.ringgate.expect_clean(&before);
    expect_sound(&site.ringgate);
}

/// Long hellos are read up to a bound; what claims to be longer is refused while it is being sent.
#[test]
fn a_hello_without_end_is_cut_off() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "ssl_handshake_timeout = \"30s\"", "");
    let before = site.ringgate.resident();
    // Post-quantum key shares make hellos of some 2 KiB; such must pass.
    let long = Hello { padding: 3000, ..Hello::usual(SITE) };
    assert!(matches!(ask(site.ringgate.place(), &long.bytes()), Answer::Hello { .. }));
    for padding in [14_000, 50_000, 65_000] {
        let hello = Hello { padding, ..Hello::usual(SITE) };
        let answer = ask(site.ringgate.place(), &hello.bytes());
        assert!(matches!(answer, Answer::Hello { .. } | Answer::Alert(_) | Answer::End), "{padding}: {answer:?}");
    }
    // A message of 16 MiB, as its length says, in full records.
    for claimed in [0x00ff_ffff_u32, 0x0002_0000] {
        let mut stream = connect(&site.ringgate);
        let first = [&[1], &claimed.to_be_bytes()[1..], &[3, 3]].concat();
        let mut taken = stream.write_all(&record(22, 0x0301, &first)).map_or(0, |()| first.len());
        while taken < claimed as usize && stream.write_all(&record(22, 0x0301, &[7; 16_000])).is_ok() {
            taken += 16_000;
            // The kernel's buffers take some MiB before a write fails: the refusal comes well before.
            if stream.peek().is_ok() {
                break;
            }
        }
        assert!(taken < 8 * 1024 * 1024, "{taken} bytes of a hello were taken");
        expect_ended(&mut stream, "an endless hello");
    }
    let grown = site.ringgate.resident().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes more are resident");
    expect_served(&site);
}

/// However a hello is torn, it is the same hello: the name in it is found, and its certificate shown. In more records than any
/// client makes it may be refused, but never be taken for another's.
#[test]
fn a_hello_in_the_smallest_pieces_is_still_one() {
    let backend = Backend::fixed("hello");
    let authority = Authority::new("root");
    let pairs: [Pair; 2] = [authority.server(&["one.test"]), authority.server(&["two.test"])];
    let listen = format!("127.0.0.1:{} ssl", free_port());
    let section = |name: &str| format!("server_name = \"{name}.test\"\n{}", offering(&[name]));
    let ringgate = Setup::new()
        .upstream("app", &[backend.place()], "")
        .server(&listen, &section("one"), &[("/", "http://app", "")])
        .server(&listen, &section("two"), &[("/", "http://app", "")])
        .start_in(folder_with(&[("one", &pairs[0]), ("two", &pairs[1])]));
    let [first, second] = pairs.each_ref().map(certificate);
    for (name, wanted, other) in [("one.test", &first, &second), ("two.test", &second, &first)] {
        let hello = Hello::usual(name);
        for (most, may_be_refused) in [(1, true), (2, true), (8, false), (100, false), (16_384, false)] {
            for apart in [false, true] {
                let case = format!("{name}, records of {most} bytes, byte by byte: {apart}");
                let bytes = hello.records(most);
                let mut stream = connect(&ringgate);
                let sent = match apart {
                    false => stream.write_all(&bytes).is_ok(),
                    true => bytes.iter().all(|byte| stream.write_all(&[*byte]).is_ok()),
                };
                // In TLS 1.2 the certificate comes in clear.
                let has = |got: &[u8], what: &[u8]| got.windows(what.len()).any(|w| w == what);
                let mut got = Vec::new();
                let mut piece = [0; 4096];
                while !has(&got, wanted) {
                    assert!(!has(&got, other), "{case}: the certificate of another");
                    let count = match stream.read(&mut piece) {
                        Ok(count) => count,
                        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => 0,
                        Err(e) => panic!("{case}: {e} after {} bytes", got.len()),
                    };
                    if count == 0 {
                        assert!(may_be_refused, "{case}: refused (all was sent: {sent})");
                        break;
                    }
                    got.extend_from_slice(&piece[..count]);
                }
            }
        }
    }
    expect_sound(&ringgate);
}

/// TLS 1.2 lets a client ask for a new handshake within the old; it is not granted, however often it is asked for.
#[test]
fn renegotiation_is_refused() {
    const TEST: &str = "renegotiation_is_refused";
    let Some(openssl) = tools::find(TEST, "openssl") else { return };
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "", "");
    let before = site.ringgate.status();
    let mut command = tools::bounded(&openssl, 30);
    command.args(["s_client", "-tls1_2", "-servername", SITE, "-connect", &site.ringgate.place().to_string()]);
    command.arg("-CAfile").arg(site.authority_file());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("openssl runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    wait_until("it is connected", || site.ringgate.status().total("connections") == 1);
    // It takes a line as a command only if the line comes alone.
    for _ in 0..5 {
        let _ = stdin.write_all(b"R\n");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("RENEGOTIATING"), "it did ask: {text}");
    assert_eq!(text.matches("depth=0").count(), 1, "a second handshake has shown its certificate again: {text}");
    expect_served(&site);
    backend.close_all();
    site.ringgate.expect_clean(&before);
    expect_sound(&site.ringgate);
}

/// Key updates are cheap to ask for: a flood of them ends, or is worked off, but nothing grows.
#[test]
fn a_flood_of_key_updates_costs_nothing_lasting() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "", "");
    expect_served(&site);
    let before = site.ringgate.resident();
    for _ in 0..4 {
        let client = site.client();
        assert_eq!(client.tls().version(), "TLSv1_3");
        let mut taken = 0;
        while taken < 20_000 && client.tls().update_keys().is_ok() {
            taken += 1;
        }
        expect_served(&site);
    }
    let grown = site.ringgate.resident().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes more are resident");
    wait_until("they are gone", || site.ringgate.status().total("connections") == 0);
    expect_sound(&site.ringgate);
}

/// Warnings before the handshake, and empty records: a few are no harm, a flood is an end.
#[test]
fn a_flood_of_alerts_ends() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), IMPATIENT, "");
    let before = site.ringgate.resident();
    for (what, one) in [
        ("user_canceled", record(21, 0x0301, &[1, 90])),
        ("no_renegotiation", record(21, 0x0301, &[1, 100])),
        ("an unknown warning", record(21, 0x0301, &[1, 255])),
        ("an empty handshake record", record(22, 0x0301, &[])),
        ("change_cipher_spec", record(20, 0x0303, &[1])),
    ] {
        let mut stream = connect(&site.ringgate);
        let flood = one.repeat(1000);
        let mut sent = 0;
        let began = Instant::now();
        while began.elapsed() < PATIENCE && stream.write_all(&flood).is_ok() {
            sent += flood.len();
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {sent} bytes were taken, and it is still open");
        expect_served(&site);
    }
    let grown = site.ringgate.resident().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes more are resident");
}

/// FIN without close_notify may be anybody's: a request that it cuts is never whole, whatever its framing.
#[test]
fn a_cut_request_is_not_a_whole_one() {
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "", "");
    expect_served(&site);
    backend.close_all();
    backend.expect_all_ended();
    let (before, requests, connections) = (site.ringgate.status(), backend.requests(), backend.connections());
    let body = "x".repeat(5000);
    for version in rustls::ALL_VERSIONS {
        let config = Arc::new(Wish { versions: &[version], ..Wish::default() }.config());
        for (head, silent) in [
            ("Content-Length: 20000", true),
            ("Content-Length: 20000", false),
            ("Transfer-Encoding: chunked", true),
            ("Transfer-Encoding: chunked", false),
        ] {
            let mut client = Client::secure(site.ringgate.place(), &config, SITE);
            client.send(format!("POST / HTTP/1.1\r\nHost: {SITE}\r\n{head}\r\n\r\n"));
            client.send(if head.starts_with('C') { body.clone() } else { format!("1388\r\n{body}\r\n") });
            if silent {
                client.tls().leave_silently();
            }
            client.finish();
            let (bytes, end) = client.read_to_end();
            assert!(!bytes.starts_with(b"HTTP/1.1 200"), "{version:?} {head}: taken as whole");
            assert_ne!(end, End::Open, "{version:?} {head}");
        }
    }
    backend.expect_all_ended();
    for received in &backend.received()[connections..] {
        let text = String::from_utf8_lossy(received);
        assert!(
            !text.contains("\r\n0\r\n\r\n") && received.len() < 20_000,
            "a whole request reached the backend: {text}"
        );
    }
    assert!(backend.requests() <= requests + 8);
    site.ringgate.expect_clean(&before);
    expect_served(&site);
}

/// Half-open handshakes of two kinds, a thousand each: without a whole hello, and without an answer to ours.
#[test]
fn a_thousand_half_open_handshakes_are_bounded() {
    const COUNT: usize = 1000;
    /// What one may cost, resident, with everything that rustls keeps for it.
    const EACH: u64 = 32 * 1024;
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "ssl_handshake_timeout = \"4s\"", "");
    expect_served(&site);
    backend.close_all();
    let (rest_before, resident_before) = (site.ringgate.status(), site.ringgate.resident());
    let descriptors = site.ringgate.descriptors();
    for (what, bytes) in [
        ("half a hello", Hello::usual(SITE).bytes()[..60].to_vec()),
        ("a hello of TLS 1.2 and nothing more", Hello::usual(SITE).bytes()),
        (
            "a hello of TLS 1.3 and nothing more",
            Hello { name: Some(SITE.into()), ..Hello::new(0x0304, &[0x1301]) }.bytes(),
        ),
    ] {
        let place: &Place = site.ringgate.place();
        let streams: Vec<Stream> = (0..COUNT)
            .map(|_| {
                let mut stream = Stream::connect(place).expect("a connection");
                let _ = stream.write_all(&bytes);
                stream
            })
            .collect();
        // On a slow machine some are gone already when the last one comes.
        expect_served(&site);
        let grown = site.ringgate.resident().saturating_sub(resident_before);
        assert!(grown < EACH * COUNT as u64, "{what}: {} bytes each", grown / COUNT as u64);
        wait_until(&format!("{what}: they are gone"), || site.ringgate.descriptors() <= descriptors + 20);
        drop(streams);
        expect_served(&site);
    }
    backend.close_all();
    site.ringgate.expect_clean(&rest_before);
    let grown = site.ringgate.resident().saturating_sub(resident_before);
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes stay");
    expect_sound(&site.ringgate);
}

/// A thousand handshakes that stop in the middle of a large message, which takes no cryptography to send: as bounded as others.
#[test]
fn half_a_large_handshake_message_is_not_kept_for_nothing() {
    const COUNT: u64 = 300;
    let backend = Backend::fixed("hello");
    let site = super::Site::start(backend.place(), "ssl_handshake_timeout = \"20s\"", "");
    assert_eq!(site.client().get("/").status(), 200);
    let before = site.ringgate.resident();
    let mut bytes = Hello::usual(super::SITE).bytes();
    // A ClientKeyExchange of 65,535 bytes, but for the last record.
    let message = [&[16, 0, 0xff, 0xff][..], &[0; 64_000]].concat();
    for piece in message.chunks(16_000) {
        bytes.extend([22, 3, 3]);
        bytes.extend((piece.len() as u16).to_be_bytes());
        bytes.extend(piece);
    }
    let streams: Vec<Stream> = (0..COUNT)
        .map(|_| {
            let mut stream = Stream::connect(site.ringgate.place()).expect("a connection");
            stream.write_all(&bytes).expect("it is taken");
            stream
        })
        .collect();
    assert_eq!(site.client().get("/").status(), 200);
    // Whoever is served after them is served when what they sent was read, whichever the worker.
    (0..50).for_each(|_| assert_eq!(site.client().get("/").status(), 200));
    let grown = site.ringgate.resident().saturating_sub(before) / COUNT;
    drop(streams);
    assert!(grown < 32 * 1024, "{grown} bytes each");
}
