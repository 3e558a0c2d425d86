//! Binding: every worker its own SO_REUSEPORT socket, unix sockets shared.

use crate::config::plan::{Address, Plan};
use crate::limits::{self, BIND_PAUSE, BIND_TRIES};
use crate::ring::uring::Unavailable;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Why the workers could not start, for a person.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be listened on.
    Listen(Address, io::Error),
    /// A backend's address cannot be used.
    Upstream(io::Error),
    /// No io_uring.
    Ring(Unavailable),
    /// No thread.
    Thread(io::Error),
    /// A worker ended before it began: our bug.
    Died,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => {
                match address {
                    Address::Tcp(address) => write!(f, "cannot listen on {address}: {error}")?,
                    Address::Unix(path) => write!(f, "cannot listen on unix:{}: {error}", path.display())?,
                }
                match (error.kind(), address) {
                    (io::ErrorKind::AddrInUse, Address::Tcp(address)) => {
                        write!(f, "; another program has this port: `ss -ltnp 'sport = :{}'` names it", address.port())
                    }
                    (io::ErrorKind::PermissionDenied, Address::Tcp(address)) if address.port() < 1024 => {
                        write!(f, "; ports below 1024 need root or CAP_NET_BIND_SERVICE")
                    }
                    (io::ErrorKind::AddrNotAvailable, _) => write!(f, "; this machine has no such address"),
                    _ => Ok(()),
                }
            }
            Self::Upstream(error) => write!(f, "a backend's address cannot be used: {error}"),
            Self::Ring(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "cannot start a worker thread: {error}"),
            Self::Died => write!(f, "a worker ended before it began"),
        }
    }
}

impl std::error::Error for StartError {}

/// Binds every listener of `plan`, once per worker, and returns the sockets per listener. The plan then holds the addresses really
/// bound (port 0 is chosen), without the optional ones that this machine lacks.
pub(super) fn bind(plan: &mut Plan, workers: usize) -> Result<Vec<Vec<OwnedFd>>, StartError> {
    let mut sockets = Vec::new();
    let mut missing = None;
    for mut listener in std::mem::take(&mut plan.listeners) {
        let mut bound = bind_one(&mut listener.address, workers);
        for _ in 0..BIND_TRIES {
            let Err(error) = &bound else { break };
            if error.kind() != io::ErrorKind::AddrInUse {
                break;
            }
            std::thread::sleep(Duration::from_millis(BIND_PAUSE));
            bound = bind_one(&mut listener.address, workers);
        }
        match bound {
            Ok(bound) => {
                sockets.push(bound);
                plan.listeners.push(listener);
            }
            Err(error) if listener.optional && lacks_address(&error) => missing = Some((listener, error)),
            Err(error) => return Err(StartError::Listen(listener.address, error)),
        }
    }
    match missing {
        Some((listener, error)) if plan.listeners.is_empty() => Err(StartError::Listen(listener.address, error)),
        _ => Ok(sockets),
    }
}

fn bind_one(address: &mut Address, workers: usize) -> io::Result<Vec<OwnedFd>> {
    match address {
        Address::Tcp(address) => bind_tcp(address, workers),
        Address::Unix(path) => bind_unix(path, workers),
    }
}

/// The machine has no such address (`localhost` names ::1, but IPv6 may be off).
fn lacks_address(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT))
}

fn bind_tcp(address: &mut SocketAddr, workers: usize) -> io::Result<Vec<OwnedFd>> {
    // SO_REUSEPORT would let a second ringgate share the port without a word: ask without it first.
    if address.port() != 0 {
        tcp_socket(*address, false)?;
    }
    let mut sockets = Vec::new();
    for _ in 0..workers {
        let socket = tcp_socket(*address, true)?;
        if let Some(bound) = socket.local_addr()?.as_socket() {
            *address = bound; // port 0 is chosen once
        }
        sockets.push(socket);
    }
    for socket in &sockets {
        socket.listen(limits::BACKLOG)?;
    }
    Ok(sockets.into_iter().map(OwnedFd::from).collect())
}

fn tcp_socket(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec().nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.set_tcp_nodelay(true)?; // accepted sockets inherit it
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // as nginx: [::]:80 and 80 stand side by side
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn bind_unix(path: &Path, workers: usize) -> io::Result<Vec<OwnedFd>> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // As nginx does: whoever may reach the directory may connect.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    socket.listen(limits::BACKLOG)?;
    (0..workers).map(|_| socket.try_clone().map(OwnedFd::from)).collect()
}

/// Removes a socket file that nobody listens on any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        },
        _ => Ok(()),
    }
}

/// Removes the files of unix listeners, so that nobody new finds them.
pub(super) fn unlink(plan: &Plan) {
    for listener in &plan.listeners {
        if let Address::Unix(path) = &listener.address {
            let _ = std::fs::remove_file(path);
        }
    }
}
