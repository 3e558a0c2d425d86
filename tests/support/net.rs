//! TCP and unix sockets behind one type, for clients and backends alike, with or without TLS.

use super::tls::Tls;
use rustls::ServerConfig;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    /// Reads `127.0.0.1:80`, `[::1]:80` or `unix:/path`.
    #[track_caller]
    pub fn parse(text: &str) -> Place {
        match text.trim_start_matches("tcp://").strip_prefix("unix:") {
            Some(path) => Place::Unix(PathBuf::from(path)),
            None => Place::Tcp(
                text.trim_start_matches("tcp://").parse().unwrap_or_else(|e| panic!("`{text}` is no address: {e}")),
            ),
        }
    }

    /// The port; panics for a unix socket.
    #[track_caller]
    pub fn port(&self) -> u16 {
        match self {
            Place::Tcp(address) => address.port(),
            Place::Unix(path) => panic!("{} has no port", path.display()),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Tcp(address) => address.fmt(f),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A connected stream socket.
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Tls),
}

impl Stream {
    /// Connects; TCP sends are not delayed, so that each write of a test is one segment.
    pub fn connect(place: &Place) -> io::Result<Stream> {
        match place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, super::PATIENCE)?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Place::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
        }
    }

    /// Limits each read and each write.
    pub fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_read_timeout(Some(read)).and_then(|()| s.set_write_timeout(Some(write))),
            Stream::Unix(s) => s.set_read_timeout(Some(read)).and_then(|()| s.set_write_timeout(Some(write))),
            Stream::Tls(s) => s.socket().set_timeouts(read, write),
        }
    }

    /// A second handle of the same socket.
    pub fn try_clone(&self) -> io::Result<Stream> {
        match self {
            Stream::Tcp(s) => s.try_clone().map(Stream::Tcp),
            Stream::Unix(s) => s.try_clone().map(Stream::Unix),
            Stream::Tls(s) => Ok(Stream::Tls(s.clone())),
        }
    }

    /// shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.shutdown(how),
            Stream::Unix(s) => s.shutdown(how),
            Stream::Tls(s) => s.shutdown(how),
        }
    }

    /// Makes the coming close a reset (TCP; a unix socket simply closes).
    pub fn reset_on_close(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => socket2::SockRef::from(s).set_linger(Some(Duration::ZERO)),
            Stream::Unix(_) => Ok(()),
            Stream::Tls(s) => {
                s.leave_silently();
                s.socket().reset_on_close()
            }
        }
    }

    /// Shrinks the kernel's buffers, so that back-pressure comes early.
    pub fn small_buffers(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => {
                let socket = socket2::SockRef::from(s);
                socket.set_recv_buffer_size(16 * 1024)?;
                socket.set_send_buffer_size(16 * 1024)
            }
            Stream::Unix(_) => Ok(()),
            Stream::Tls(s) => s.socket().small_buffers(),
        }
    }

    /// The TLS on it, if any.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Stream::Tls(tls) => Some(tls),
            _ => None,
        }
    }

    /// The socket below any TLS.
    fn bare(&self) -> socket2::SockRef<'_> {
        match self {
            Stream::Tcp(s) => socket2::SockRef::from(s),
            Stream::Unix(s) => socket2::SockRef::from(s),
            Stream::Tls(s) => s.socket().bare(),
        }
    }

    /// Sends as much as there is room for, without waiting; TLS is not involved.
    pub fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.bare().send_with_flags(bytes, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    }

    /// What the next read would bring, without waiting and without taking it: 0 for FIN, `WouldBlock` for nothing yet.
    pub fn peek(&self) -> io::Result<usize> {
        self.bare().recv_with_flags(&mut [std::mem::MaybeUninit::uninit(); 1], libc::MSG_PEEK | libc::MSG_DONTWAIT)
    }

    /// Our own port of a TCP connection.
    pub fn local_port(&self) -> u16 {
        match self {
            Stream::Tcp(s) => s.local_addr().map_or(0, |a| a.port()),
            Stream::Unix(_) => 0,
            Stream::Tls(s) => s.socket().local_port(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(buffer)
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => (&mut &*s).read(buffer),
            Stream::Unix(s) => (&mut &*s).read(buffer),
            Stream::Tls(s) => s.clone().read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => (&mut &*s).write(bytes),
            Stream::Unix(s) => (&mut &*s).write(bytes),
            Stream::Tls(s) => s.clone().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A listening socket.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
    /// Every connection begins with a handshake, which its first read or write makes.
    Tls(Box<Listener>, Arc<ServerConfig>),
}

impl Listener {
    /// Binds `127.0.0.1:0`, `[::1]:0`, `unix:/path` ...
    pub fn bind(place: &Place) -> io::Result<Listener> {
        match place {
            Place::Tcp(address) => TcpListener::bind(address).map(Listener::Tcp),
            Place::Unix(path) => {
                let _ = std::fs::remove_file(path);
                UnixListener::bind(path).map(|listener| Listener::Unix(listener, path.clone()))
            }
        }
    }

    /// The address really bound.
    pub fn place(&self) -> Place {
        match self {
            Listener::Tcp(listener) => Place::Tcp(listener.local_addr().expect("a bound socket has an address")),
            Listener::Unix(_, path) => Place::Unix(path.clone()),
            Listener::Tls(below, _) => below.place(),
        }
    }

    /// Waits for the next connection.
    pub fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Listener::Unix(listener, _) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
            Listener::Tls(below, config) => Tls::server(below.accept()?, config.clone()).map(Stream::Tls),
        }
    }
}

/// An address of the loopback on which nothing listens, and to which a connect is refused.
/// The port stays bound (without listening) as long as the guard lives, so that no other test can get it.
pub fn refusing() -> (Place, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    let address = socket.local_addr().expect("a bound socket has an address").as_socket().expect("an IP address");
    (Place::Tcp(address), socket)
}
