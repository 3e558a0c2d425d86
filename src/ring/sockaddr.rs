//! Addresses in the kernel's form.

use super::driver::Domain;
use socket2::SockAddr;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// An address ready for connect(2); cheap to share.
#[derive(Debug, Clone)]
pub struct KernelAddress {
    /// The kernel's form.
    pub raw: SockAddr,
    /// Which kind of socket reaches it.
    pub domain: Domain,
}

impl KernelAddress {
    /// A TCP address.
    pub fn tcp(address: SocketAddr) -> Self {
        Self { raw: address.into(), domain: if address.is_ipv4() { Domain::V4 } else { Domain::V6 } }
    }

    /// A unix socket; fails when the path is longer than sockaddr_un holds (107 bytes).
    pub fn unix(path: &Path) -> io::Result<Self> {
        Ok(Self { raw: SockAddr::unix(path)?, domain: Domain::Unix })
    }
}
