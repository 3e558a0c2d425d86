//! TLS servers in memory: what a check makes of them.

use super::super::{check, converse};
use super::*;
use crate::config::plan::{Address, CheckKind, HealthCheck};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{RootCertStore, ServerConfig};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server for `a.example`, and a client that knows its certificate, or none.
fn sides(known: bool, name: &str) -> (TlsAcceptor, Secured) {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    if known {
        roots.add(made.cert.der().clone()).unwrap();
    }
    let client = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(server)), Secured { config, name: ServerName::try_from(name.to_owned()).ok() })
}

fn get(body: Option<&str>) -> HealthCheck {
    let seconds = Duration::from_secs;
    let kind = CheckKind::Http {
        ssl: Some(0),
        path: "/up".into(),
        host: Some("a.example".into()),
        status: vec![200..=200],
        body: body.map(str::to_owned),
    };
    HealthCheck { kind, port: None, interval: seconds(5), jitter: 0, timeout: seconds(3), rise: 2, fall: 3 }
}

/// The verdict over a server that does this with its end.
fn asked<F: Future<Output = ()>>(
    with: &Secured,
    body: Option<&str>,
    serve: impl FnOnce(DuplexStream) -> F,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (ours, theirs) = duplex(1024);
        let (address, check) = (Address::Tcp("10.1.2.3:443".parse().unwrap()), get(body));
        let checking = async {
            let conn = secure(Conn::on(Box::new(ours)), with).await?;
            converse(conn, &address, &check, Instant::now() + check.timeout).await
        };
        tokio::join!(checking, serve(theirs)).0
    })
}

/// Reads a request and answers it; then ends TLS as it should be, or just closes.
async fn answer(acceptor: TlsAcceptor, stream: DuplexStream, answer: &[u8], in_order: bool) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    assert_eq!(stream.get_ref().1.server_name(), Some("a.example"));
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut heard).await.unwrap() > 0, "only {}", heard.escape_ascii());
    }
    assert!(heard.starts_with(b"GET /up HTTP/1.1\r\nHost: a.example\r\n"), "{}", heard.escape_ascii());
    stream.write_all(answer).await.unwrap();
    stream.flush().await.unwrap();
    if in_order {
        stream.shutdown().await.unwrap();
    }
}

#[test]
fn a_server_that_proves_its_name_is_asked() {
    let until_end = b"HTTP/1.1 200 OK\r\n\r\nit is well";
    for in_order in [true, false] {
        for (body, answered, verdict) in [
            (None, OK, Ok(())),
            (Some("ok"), OK, Ok(())),
            (Some("well"), &until_end[..], Ok(())),
            (Some("ill"), &until_end[..], Err("the body lacks \"ill\"")),
            (None, b"HTTP/1.1 503 Down\r\n\r\n", Err("status 503, expected 200")),
            (None, b"", Err("closed without an answer")),
        ] {
            let (acceptor, with) = sides(true, "a.example");
            let found = asked(&with, body, |stream| answer(acceptor, stream, answered, in_order));
            assert_eq!(found, verdict.map_err(str::to_owned), "in order: {in_order}, {}", answered.escape_ascii());
        }
    }
}

#[test]
fn a_server_that_does_not_is_told_apart() {
    for (known, name, begin) in [
        (
            false,
            "a.example",
            "no authority that is trusted signed the certificate: name its authority in `proxy_ssl_trusted_certificate`",
        ),
        (true, "b.example", "the certificate is not made out to b.example but to a.example"),
        (true, "10.1.2.3", "the certificate is not made out to 10.1.2.3 but to a.example"),
        (true, "no name", "there is no name to verify; set ssl_name"),
    ] {
        let (acceptor, with) = sides(known, name);
        let why = asked(&with, None, |stream| async { drop(acceptor.accept(stream).await) }).unwrap_err();
        assert!(why.starts_with(begin), "{why}");
        assert!(!why.contains('\n') && why.len() < 200, "{why}");
    }
}

#[test]
fn what_speaks_no_tls_is_told_apart() {
    let (_, with) = sides(true, "a.example");
    let plain = |mut stream: DuplexStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    assert_eq!(asked(&with, None, plain), Err("the server does not speak TLS".to_owned()));
    let closing = |mut stream: DuplexStream| async move {
        let _ = stream.read(&mut [0; 2000]).await;
    };
    assert_eq!(asked(&with, None, closing), Err("closed in the middle of the TLS handshake".to_owned()));
}

#[test]
fn a_handshake_is_not_waited_for_beyond_the_timeout() {
    let (_, with) = sides(true, "a.example");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let impatient = HealthCheck { timeout: Duration::from_millis(200), ..get(None) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let verdict = runtime.block_on(check(&address, &impatient, Some(&with)));
    assert_eq!(verdict, Err("no end of the TLS handshake within 0.2 s".to_owned()));
}

#[test]
fn the_same_is_the_same_configuration_and_name() {
    let ((_, one), (_, other)) = (sides(true, "a.example"), sides(true, "a.example"));
    assert!(one == one.clone() && one != other);
    assert!(one != Secured { name: None, ..one.clone() });
}
