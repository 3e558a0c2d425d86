use super::*;
use rustls::RootCertStore;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::version::{TLS12, TLS13};
use std::io;

/// Both sides' configurations for the name `a.test`.
fn terms(version: &'static rustls::SupportedProtocolVersion) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
    let server = ServerConfig::builder_with_protocol_versions(&[version]).with_no_client_auth();
    let server = server.with_single_cert(vec![cert.der().clone()], key).expect("they match");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let client = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots);
    (Arc::new(server), Arc::new(client.with_no_client_auth()))
}

fn pair(version: &'static rustls::SupportedProtocolVersion) -> (Engine, Engine) {
    let (server, client) = terms(version);
    let name = ServerName::try_from("a.test").expect("a name");
    (Engine::server(server, false).expect("it fits"), Engine::client(client, name).expect("it fits"))
}

/// One side gets `bytes` in pieces, with a reader's buffer of so many bytes; what it read.
fn give(engine: &mut Engine, bytes: &[u8], piece: usize, buffer: usize) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        let mut left = piece;
        while !left.is_empty() {
            let (mut room, mut rest) = (vec![0; buffer], Vec::new());
            let received = engine.receive(&mut room, &mut rest, |into| {
                let n = left.len().min(into.len());
                into[..n].copy_from_slice(&left[..n]);
                left = &left[n..];
                Ok(Some(n))
            })?;
            let Received::Data(n) = received else { panic!("{received:?}") };
            read.extend_from_slice(&room[..n]);
            read.extend_from_slice(&rest);
        }
    }
    Ok(read)
}

fn take_out(engine: &mut Engine) -> Vec<u8> {
    std::mem::take(engine.out())
}

fn shake_hands(server: &mut Engine, client: &mut Engine, piece: usize) {
    for _ in 0..10 {
        let out = take_out(client);
        give(server, &out, piece, 0).expect("a good handshake");
        let out = take_out(server);
        give(client, &out, piece, 0).expect("a good handshake");
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
}

fn sealed(engine: &mut Engine, data: &[u8]) -> Vec<u8> {
    let mut to = vec![0; data.len() + crate::limits::TLS_ROOM];
    let n = engine.encrypt(data, &mut to).expect("there is room");
    to.truncate(n);
    to
}

#[test]
fn data_passes_whole_however_it_is_cut() {
    let data: Vec<u8> = (0..65_536u32).map(|i| (i * 7 % 251) as u8).collect();
    for version in [&TLS12, &TLS13] {
        for piece in [1, 7, 1000, usize::MAX] {
            let (mut server, mut client) = pair(version);
            shake_hands(&mut server, &mut client, piece);
            for _ in 0..2 {
                let (from, to) = (&mut server, &mut client);
                for (length, buffer) in [(1, 1), (65_536, 1000), (40_000, 65_536), (16_384, 16_384), (65_536, 18_432)] {
                    let records = sealed(from, &data[..length]);
                    assert_eq!(give(to, &records, piece, buffer).expect("good records"), &data[..length]);
                    assert!(to.is_between_records());
                }
                std::mem::swap(&mut server, &mut client);
            }
        }
    }
}

#[test]
fn an_end_is_announced_and_data_may_go_on_the_other_way() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut client) = pair(version);
        shake_hands(&mut server, &mut client, usize::MAX);
        client.say_close();
        client.say_close(); // says it once
        let alert = take_out(&mut client);
        assert!((1..64).contains(&alert.len()));
        assert_eq!(give(&mut server, &alert, 1, 10).expect("an end"), b"");
        assert!(server.is_closed() && !client.is_closed());
        let records = sealed(&mut server, b"still");
        assert_eq!(give(&mut client, &records, 3, 10).expect("data"), b"still");
    }
}

#[test]
fn what_a_peer_breaks_is_an_error_with_an_alert() {
    for version in [&TLS12, &TLS13] {
        // Garbage for a hello.
        let (mut server, _) = pair(version);
        let begun = server.begin_with(b"GET / HTTP/1.1\r\n\r\n".to_vec(), &mut Vec::new());
        assert!(begun.is_err() && server.failure().is_some());
        assert_eq!(take_out(&mut server)[..1], [21], "an alert");
        // A record that was changed on its way, and everything after it.
        let (mut server, mut client) = pair(version);
        shake_hands(&mut server, &mut client, usize::MAX);
        take_out(&mut server);
        let (mut records, after) = (sealed(&mut client, b"transfer 100"), sealed(&mut client, b"again"));
        *records.last_mut().expect("not empty") ^= 1;
        assert!(give(&mut server, &records, usize::MAX, 100).is_err());
        let alert = take_out(&mut server);
        assert!(!alert.is_empty() && give(&mut client, &alert, usize::MAX, 100).is_err());
        assert!(give(&mut server, &after, usize::MAX, 100).is_err(), "it stays broken");
        // One of 64 KiB, which TLS does not have.
        let (mut server, mut client) = pair(version);
        shake_hands(&mut server, &mut client, usize::MAX);
        assert!(give(&mut server, &[23, 3, 3, 0xff, 0xff, 0], 1, 100).is_err());
    }
}

/// What is given up stays so: the bytes are gone that rustls would look at again.
#[test]
fn a_message_without_end_is_given_up_for_good() {
    let (mut server, mut client) = pair(&TLS12);
    let hello = take_out(&mut client);
    give(&mut server, &hello, usize::MAX, 0).expect("a good hello");
    // A ClientKeyExchange of 65,535 bytes, in records of 1,000.
    let message = [&[16, 0, 0xff, 0xff][..], &[0; 30_000]].concat();
    let records: Vec<u8> = message.chunks(1000).flat_map(|piece| [&[22, 3, 3, 3, 232][..], piece].concat()).collect();
    let whole = records.len() / 1005 * 1005;
    assert!(give(&mut server, &records[..whole], 1005, 100).is_err());
    assert!(server.has_failed() && server.failure().is_some());
    server.say_close();
    assert!(give(&mut server, &records[..1005], usize::MAX, 100).is_err());
}

#[test]
fn records_without_data_are_bounded() {
    // New keys are such records: a peer may change them, but not do nothing else.
    let (mut server, mut client) = pair(&TLS13);
    shake_hands(&mut server, &mut client, usize::MAX);
    take_out(&mut server);
    let refresh = |client: &mut Engine| {
        let Side::Client(connection) = &mut client.side else { unreachable!("it is the client") };
        let ConnectionState::WriteTraffic(traffic) = connection.process_tls_records(&mut []).state.expect("fine")
        else {
            panic!("it may write")
        };
        traffic.refresh_traffic_keys().expect("TLS 1.3 can");
        client.process(&mut [], &mut Sink { buffer: &mut [], filled: 0, rest: &mut Vec::new() }).expect("fine");
        take_out(client)
    };
    for round in 0..10 {
        let mut bytes = refresh(&mut client);
        bytes.extend(sealed(&mut client, b"data"));
        assert_eq!(give(&mut server, &bytes, 1, 10).expect("new keys"), b"data", "{round}");
        let answer = sealed(&mut server, b"answer"); // with new keys of its own
        assert_eq!(give(&mut client, &answer, 1, 10).expect("new keys"), b"answer");
    }
    let flood = (0..=TLS_BARREN_MAX).find(|_| {
        let bytes = refresh(&mut client);
        give(&mut server, &bytes, usize::MAX, 10).is_err()
    });
    assert!(flood.is_some_and(|rounds| rounds > 5), "{flood:?}");
}

#[test]
fn parts_of_records_and_messages_never_panic() {
    let (server, client) = terms(&TLS13);
    let name = ServerName::try_from("a.test").expect("a name");
    let hello = take_out(&mut Engine::client(client, name).expect("it fits"));
    for at in 0..hello.len() {
        for change in [0u8, 1, 0x80, 0xff] {
            let mut bytes = hello.clone();
            bytes[at] = bytes[at].wrapping_add(change);
            let mut engine = Engine::server(server.clone(), false).expect("it fits");
            let first = engine.begin_with(bytes[..at].to_vec(), &mut Vec::new());
            if first.is_ok() && give(&mut engine, &bytes[at..], 50, 10).is_ok() {
                let _ = give(&mut engine, &bytes, usize::MAX, 10);
            }
            engine.say_close();
        }
    }
}

#[test]
fn data_before_a_broken_record_is_not_lost() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut client) = pair(version);
        shake_hands(&mut server, &mut client, usize::MAX);
        take_out(&mut server);
        let mut bytes = sealed(&mut client, b"a whole answer");
        let mut broken = sealed(&mut client, b"again");
        *broken.last_mut().expect("not empty") ^= 1;
        bytes.extend(broken);
        let (mut room, mut rest, mut at) = ([0; 100], Vec::new(), 0);
        let received = server.receive(&mut room, &mut rest, |into| {
            at = bytes.len();
            into[..at].copy_from_slice(&bytes);
            Ok(Some(at))
        });
        assert_eq!(received.expect("what was whole is read first"), Received::Data(14));
        assert_eq!(&room[..14], b"a whole answer");
    }
}

#[test]
fn garbage_behind_our_own_end_is_no_panic() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut client) = pair(version);
        shake_hands(&mut server, &mut client, usize::MAX);
        server.say_close();
        take_out(&mut server);
        let mut broken = sealed(&mut client, b"again");
        *broken.last_mut().expect("not empty") ^= 1;
        assert!(give(&mut server, &broken, usize::MAX, 100).is_err());
    }
}

/// A client that has a ticket of another server (or of the one that was here before) sends data at once, which is not wanted.
#[test]
fn early_data_that_is_not_wanted_is_skipped() {
    let (server, client) = terms(&TLS13);
    let mut other = (*server).clone();
    other.max_early_data_size = 16_384;
    let mut client = (*client).clone();
    client.enable_early_data = true;
    let mut server = (*server).clone();
    server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    let (server, other, client) = (Arc::new(server), Arc::new(other), Arc::new(client));
    // From some 5,000 bytes on rustls 0.23 gives up: its unbuffered connections count what they skip more than once.
    for length in [100, 2000, 5000] {
        crate::tls::testing::shake(&other, &client, "a.test").expect("a ticket");
        let name = ServerName::try_from("a.test").expect("a name");
        let mut early = rustls::ClientConnection::new(client.clone(), name).expect("it fits");
        io::Write::write_all(&mut early.early_data().expect("the ticket allows it"), &vec![b'x'; length])
            .expect("room");
        let mut engine = Engine::server(server.clone(), false).expect("it fits");
        for _ in 0..4 {
            let mut bytes = Vec::new();
            while early.wants_write() {
                early.write_tls(&mut bytes).expect("memory");
            }
            give(&mut engine, &bytes, usize::MAX, 10).unwrap_or_else(|e| panic!("{length} bytes: {e}"));
            let out = take_out(&mut engine);
            let mut rest = &out[..];
            while !rest.is_empty() {
                early.read_tls(&mut rest).expect("memory");
                early.process_new_packets().expect("a good server");
            }
        }
        assert!(!engine.is_handshaking() && !early.is_handshaking(), "{length}");
    }
}
