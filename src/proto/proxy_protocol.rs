//! The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): the proxy before us tells whose connection it passes on, and
//! we tell the server behind us. Whether a peer may say so is decided elsewhere.

use super::writer::Writer;
use crate::limits::{PROXY_V1_MAX, PROXY_V2_MAX};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; what follows them is the client's.
    pub len: usize,
    /// The client. `None`: the proxy speaks for itself (LOCAL) or cannot tell (UNKNOWN, unix sockets); the connection's own
    /// addresses count. IPv4 addresses in IPv6 clothes are taken out of them.
    pub source: Option<SocketAddr>,
    /// Where the client connected to; `None` exactly if `source` is.
    pub destination: Option<SocketAddr>,
}

/// No PROXY protocol header, or a wrong one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Which form is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

const V1_BEGIN: &[u8] = b"PROXY ";
const V2_BEGIN: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family, length.
const V2_FIXED: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Most bytes that [`write`] writes.
pub const WRITTEN_MAX: usize = PROXY_V1_MAX;

/// Reads the header at the beginning of `bytes`, all that the peer has sent so far; the version is seen from it. `None`: more is needed.
/// With more bytes an answer does not change.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let begins = |begin: &[u8]| bytes.starts_with(begin) || begin.starts_with(bytes);
    if begins(V1_BEGIN) {
        parse_v1(bytes)
    } else if begins(V2_BEGIN) {
        parse_v2(bytes)
    } else {
        Err(Malformed)
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let searched = &bytes[..bytes.len().min(PROXY_V1_MAX)];
    let Some(end) = memchr::memchr2(b'\r', b'\n', searched) else {
        return if searched.len() == PROXY_V1_MAX { Err(Malformed) } else { Ok(None) };
    };
    match &searched[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if searched.len() < PROXY_V1_MAX => return Ok(None),
        _ => return Err(Malformed),
    }
    let line = searched[..end].strip_prefix(V1_BEGIN).ok_or(Malformed)?;
    let addresses = v1_addresses(line).ok_or(Malformed)?;
    Ok(Some(header(end + 2, addresses)))
}

fn header(len: usize, addresses: Option<(SocketAddr, SocketAddr)>) -> Header {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = addresses.map(|(from, to)| (canonical(from), canonical(to))).unzip();
    Header { len, source, destination }
}

/// What stands between "PROXY " and the end of the line; `None`: malformed.
fn v1_addresses(line: &[u8]) -> Option<Option<(SocketAddr, SocketAddr)>> {
    // What follows UNKNOWN is to be ignored, whatever it is.
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Some(None);
    }
    let mut words = str::from_utf8(line).ok()?.split(' ');
    let address: fn(&str) -> Option<IpAddr> = match words.next()? {
        "TCP4" => |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (from, to) = (address(words.next()?)?, address(words.next()?)?);
    let (from_port, to_port) = (port(words.next()?)?, port(words.next()?)?);
    let ended = words.next().is_none();
    ended.then(|| Some((SocketAddr::new(from, from_port), SocketAddr::new(to, to_port))))
}

/// Digits without a zero in front of others, which some would read as octal.
fn port(word: &str) -> Option<u16> {
    let right = word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if right { word.parse().ok() } else { None }
}

fn parse_v2(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((fixed, rest)) = bytes.split_at_checked(V2_FIXED) else { return Ok(None) };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let least = match (command, family) {
        // The rest of what it says is to be ignored, even the family.
        (LOCAL, _) => 0,
        (PROXY, 0x11 | 0x12) => 2 * 4 + 2 * 2,
        (PROXY, 0x21 | 0x22) => 2 * 16 + 2 * 2,
        (PROXY, 0x31 | 0x32) => 2 * 108,
        // Unspecified, in whole or in half.
        (PROXY, 0x00..=0x02 | 0x10 | 0x20 | 0x30) => 0,
        _ => return Err(Malformed),
    };
    if length < least || V2_FIXED + length > PROXY_V2_MAX {
        return Err(Malformed);
    }
    let Some(block) = rest.get(..length) else { return Ok(None) };
    let addresses = match (command, family) {
        (PROXY, TCP4) => pair(block, |ip: [u8; 4]| Ipv4Addr::from(ip).into()),
        (PROXY, TCP6) => pair(block, |ip: [u8; 16]| Ipv6Addr::from(ip).into()),
        // Datagrams do not come by a stream: as the text has it, what is not supported is unspecified.
        _ => None,
    };
    Ok(Some(header(V2_FIXED + length, addresses)))
}

/// Two addresses, then their ports.
fn pair<const N: usize>(block: &[u8], address: impl Fn([u8; N]) -> IpAddr) -> Option<(SocketAddr, SocketAddr)> {
    let (from, rest) = block.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (from_port, rest) = rest.split_first_chunk::<2>()?;
    let (to_port, _extensions) = rest.split_first_chunk::<2>()?;
    let with_port = |ip: &[u8; N], port: &[u8; 2]| SocketAddr::new(address(*ip), u16::from_be_bytes(*port));
    Some((with_port(from, from_port), with_port(to, to_port)))
}

/// Writes a header to the front of `out`, which has room for [`WRITTEN_MAX`] bytes; returns its length, or 0 if there is less room than it
/// needs. `source`: the client; `destination`: where it connected to; `None`: a unix socket. Unless both have an address, the header says
/// that the connection's own addresses count (UNKNOWN, LOCAL). IPv4 addresses in IPv6 clothes are written as IPv4. Version 1 has no
/// way to name addresses of different families: UNKNOWN; in version 2 both are written as IPv6.
pub fn write(version: Version, source: Option<SocketAddr>, destination: Option<SocketAddr>, out: &mut [u8]) -> usize {
    let addresses = source.zip(destination);
    let ips = addresses.map(|(from, to)| (from.ip().to_canonical(), to.ip().to_canonical()));
    let ports = addresses.map_or((0, 0), |(from, to)| (from.port(), to.port()));
    let mut w = Writer::new(out);
    match version {
        Version::V1 => write_v1(&mut w, ips, ports),
        Version::V2 => write_v2(&mut w, ips, ports),
    }
    w.finish().unwrap_or(0)
}

fn write_v1(w: &mut Writer, ips: Option<(IpAddr, IpAddr)>, ports: (u16, u16)) {
    let family = match ips {
        Some((IpAddr::V4(_), IpAddr::V4(_))) => "TCP4",
        Some((IpAddr::V6(_), IpAddr::V6(_))) => "TCP6",
        _ => return w.put_str("PROXY UNKNOWN\r\n"),
    };
    let Some((from, to)) = ips else { return };
    w.put_str(&format!("PROXY {family} {from} {to} {} {}\r\n", ports.0, ports.1));
}

fn write_v2(w: &mut Writer, ips: Option<(IpAddr, IpAddr)>, ports: (u16, u16)) {
    w.put(V2_BEGIN);
    let v6 = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    match ips {
        None => return w.put(&[LOCAL, 0, 0, 0]),
        Some((IpAddr::V4(from), IpAddr::V4(to))) => {
            w.put(&[PROXY, TCP4, 0, 12]);
            w.put(&from.octets());
            w.put(&to.octets());
        }
        Some((from, to)) => {
            w.put(&[PROXY, TCP6, 0, 36]);
            w.put(&v6(from));
            w.put(&v6(to));
        }
    }
    w.put(&ports.0.to_be_bytes());
    w.put(&ports.1.to_be_bytes());
}

#[cfg(test)]
#[path = "proxy_protocol_tests.rs"]
mod tests;
