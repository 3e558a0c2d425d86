//! TLS for the tests' own clients and backends: rustls over a socket, blocking, usable from two threads at a time (one reads,
//! one writes), as sockets are.

use super::net::Stream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ServerConfig, ServerConnection, WebPkiClientVerifier};
use rustls::{
    Connection, DigitallySignedStruct, Error, HandshakeKind, RootCertStore, SignatureScheme, SupportedCipherSuite,
    SupportedProtocolVersion,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    pub chain: String,
    pub key: String,
}

impl Identity {
    /// As rustls wants them.
    pub fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a private key");
        (certificates(&self.chain), key)
    }
}

/// All certificates of a PEM text.
#[track_caller]
pub fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().expect("certificates")
}

/// Those as what is trusted.
#[track_caller]
pub fn roots(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    certificates(pem).into_iter().for_each(|root| roots.add(root).expect("a certificate that can be trusted"));
    roots
}

/// What a test changes of a client; the rest are fields of the configuration that it makes (`alpn_protocols`, `resumption`, `enable_sni`).
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// Whom it trusts (PEM); `None`: everybody.
    pub trusted: Option<&'a str>,
    pub versions: &'a [&'static SupportedProtocolVersion],
    /// Only this suite.
    pub suite: Option<SupportedCipherSuite>,
    /// Its own certificate.
    pub identity: Option<&'a Identity>,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Wish { trusted: None, versions: rustls::ALL_VERSIONS, suite: None, identity: None }
    }
}

impl Wish<'_> {
    /// A configuration with sessions of its own: connections made with it (and its clones) may resume each other's.
    #[track_caller]
    pub fn config(&self) -> ClientConfig {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if let Some(suite) = self.suite {
            provider.cipher_suites = vec![suite];
        }
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(self.versions);
        let builder = builder.expect("versions that fit the suites");
        let builder = match self.trusted {
            Some(pem) => builder.with_root_certificates(roots(pem)),
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(algorithms))),
        };
        match self.identity {
            Some(identity) => {
                let (chain, key) = identity.der();
                builder.with_client_auth_cert(chain, key).expect("a pair that fits")
            }
            None => builder.with_no_client_auth(),
        }
    }
}

/// A backend's side with this certificate; with `authorities` (PEM) it insists on a certificate of the client.
#[track_caller]
pub fn server_config(identity: &Identity, authorities: Option<&str>) -> ServerConfig {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.expect("versions that fit the suites");
    let builder = match authorities {
        Some(pem) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)), provider).build();
            builder.with_client_cert_verifier(verifier.expect("roots"))
        }
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = identity.der();
    builder.with_single_cert(chain, key).expect("a pair that fits")
}

/// Trusts every certificate (but not wrong signatures).
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// A TLS connection; clones are handles of the same. The handshake is made by the first read or write, or `handshake`. When the
/// last handle goes, it says close_notify.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    connection: Mutex<Connection>,
    socket: Stream,
    /// Read from the socket, and not taken by rustls yet. Held while somebody reads, so that records stay in order.
    reading: Mutex<Vec<u8>>,
    /// Likewise for those who write.
    writing: Mutex<()>,
    /// No close_notify is to be sent (any more).
    silent: AtomicBool,
}

impl Tls {
    /// The client's side; `name` goes into SNI (unless it is an address) and is what the certificate must have.
    pub fn client(socket: Stream, config: Arc<ClientConfig>, name: &str) -> io::Result<Tls> {
        let name = ServerName::try_from(name.to_owned()).map_err(|e| io::Error::new(ErrorKind::InvalidInput, e))?;
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Tls::over(socket, connection.into()))
    }

    /// The server's side.
    pub fn server(socket: Stream, config: Arc<ServerConfig>) -> io::Result<Tls> {
        Ok(Tls::over(socket, ServerConnection::new(config).map_err(io::Error::other)?.into()))
    }

    fn over(socket: Stream, connection: Connection) -> Tls {
        let connection = Mutex::new(connection);
        Tls(Arc::new(Inner {
            connection,
            socket,
            reading: Mutex::default(),
            writing: Mutex::new(()),
            silent: AtomicBool::new(false),
        }))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.connection.lock().expect("rustls does not panic")
    }

    /// The socket below: what is written there is no TLS.
    pub fn socket(&self) -> &Stream {
        &self.0.socket
    }

    /// Makes the handshake; an error has the reason in words.
    pub fn handshake(&self) -> io::Result<()> {
        while self.connection().is_handshaking() {
            self.push()?;
            // What it answers is sent by `pull`: after the handshake a reader must not wait for a writer.
            self.pull(true)?;
        }
        Ok(())
    }

    /// Sends what rustls has for the peer.
    fn push(&self) -> io::Result<()> {
        let _turn = self.0.writing.lock().expect("no writer panicked");
        self.push_in_turn()
    }

    fn push_in_turn(&self) -> io::Result<()> {
        let mut bytes = Vec::new();
        {
            let mut connection = self.connection();
            while connection.wants_write() {
                connection.write_tls(&mut bytes)?;
            }
        }
        (&self.0.socket).write_all(&bytes)
    }

    /// Reads from the socket, if nothing is left of an earlier read, and decrypts. `false` if there was no need any more when it was our turn.
    fn pull(&self, only_handshake: bool) -> io::Result<bool> {
        let mut unread = self.0.reading.lock().expect("no reader panicked");
        if only_handshake && !self.connection().is_handshaking() {
            return Ok(false);
        }
        let mut ended = false;
        if unread.is_empty() {
            let mut piece = [0; 16 * 1024];
            let count = (&self.0.socket).read(&mut piece)?;
            unread.extend_from_slice(&piece[..count]);
            ended = count == 0;
        }
        let mut connection = self.connection();
        // It may take only a part of them.
        let mut left = &unread[..];
        connection.read_tls(&mut left)?;
        let taken = unread.len() - left.len();
        unread.drain(..taken);
        let outcome = connection.process_new_packets();
        let wants_write = connection.wants_write();
        if ended && connection.is_handshaking() {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the peer closed within the handshake"));
        }
        drop(connection);
        // Who writes at this moment sends it along.
        if wants_write && let Ok(_turn) = self.0.writing.try_lock() {
            let sent = self.push_in_turn();
            outcome.as_ref().map_or(Ok(()), |_| sent)?;
        }
        outcome.map(|_| true).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))
    }

    /// New keys for what we send, announced to the peer (TLS 1.3).
    pub fn update_keys(&self) -> io::Result<()> {
        self.connection().refresh_traffic_keys().map_err(io::Error::other)?;
        self.push()
    }

    /// `TLSv1_2` or `TLSv1_3`.
    pub fn version(&self) -> String {
        format!("{:?}", self.connection().protocol_version().expect("the handshake is done"))
    }

    /// The suite's name as rustls has it.
    pub fn suite(&self) -> String {
        format!("{:?}", self.connection().negotiated_cipher_suite().expect("the handshake is done").suite())
    }

    /// The protocol chosen by ALPN.
    pub fn alpn(&self) -> Option<String> {
        self.connection().alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// Whether an earlier session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.connection().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What the peer showed, its own certificate first.
    pub fn peer(&self) -> Vec<CertificateDer<'static>> {
        self.connection().peer_certificates().map(<[_]>::to_vec).unwrap_or_default()
    }

    /// The name that the client asked for (server's side).
    pub fn asked_name(&self) -> Option<String> {
        match &*self.connection() {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        }
    }

    /// Whether the socket's end would come without a word: reset, or FIN without close_notify.
    pub fn leave_silently(&self) {
        self.0.silent.store(true, SeqCst);
    }

    /// As for sockets; the end of writing is said by close_notify, then FIN.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read && !self.0.silent.swap(true, SeqCst) {
            self.connection().send_close_notify();
            self.push()?;
        }
        self.0.socket.shutdown(how)
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.handshake()?;
        loop {
            match self.connection().reader().read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.pull(false)?;
        }
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.handshake()?;
        let _turn = self.0.writing.lock().expect("no writer panicked");
        let count = self.connection().writer().write(bytes)?;
        self.push_in_turn()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Ok(connection) = self.connection.get_mut() else { return };
        if !self.silent.load(SeqCst) && !connection.is_handshaking() {
            connection.send_close_notify();
            let mut bytes = Vec::new();
            while connection.wants_write() && connection.write_tls(&mut bytes).is_ok() {}
            // If there is no room for it, the peer does not read anyway.
            let _ = self.socket.send_now(&bytes);
        }
    }
}
