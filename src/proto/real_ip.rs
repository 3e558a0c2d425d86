//! Who the client really is, behind proxies of one's own (nginx's `set_real_ip_from` with `real_ip_recursive on`).
//!
//! Each proxy appends the address that it saw to X-Forwarded-For. Read from the right, an entry is true as long as the one who
//! wrote it is trusted; what stands left of the first stranger, that stranger may have invented.

use super::fields::trim;
use crate::limits::FORWARDED_HOPS_MAX;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The client's address. `peer`: whom the connection comes from; a peer that is not trusted is the client, whatever it says.
/// `forwarded_for`: the values of all X-Forwarded-For fields, in their order. IPv4 addresses in IPv6 clothes are taken out
/// of them, here and before `is_trusted` is asked.
pub fn client<'b>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'b [u8]>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    named_by_trusted(forwarded_for, is_trusted).unwrap_or(peer)
}

/// The client that a trusted peer names, for a peer without an address (a unix socket): the rightmost address that is not trusted; if all
/// are, the leftmost. Stops at what is no address, and after `limits::FORWARDED_HOPS_MAX` entries, with the last one believed.
pub fn named_by_trusted<'b>(
    forwarded_for: impl DoubleEndedIterator<Item = &'b [u8]>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut believed = None;
    let entries = forwarded_for.rev().flat_map(entries_from_the_right).take(FORWARDED_HOPS_MAX);
    // RFC 9110 5.6.1: empty elements say nothing.
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let Some(address) = address(entry) else { break };
        believed = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    believed
}

/// Found as they are asked for: a list may be 16 KiB long.
fn entries_from_the_right(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.rsplit(|&b| b == b',').map(trim)
}

/// An address, perhaps in brackets, perhaps with a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?;
    let plain = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    plain.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10.0.0.0/8 and fd00::/8 are ours.
    fn ours(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => address.octets()[0] == 10,
            IpAddr::V6(address) => address.octets()[0] == 0xfd,
        }
    }

    fn of(peer: &str, fields: &[&str]) -> String {
        client(peer.parse().unwrap(), fields.iter().map(|field| field.as_bytes()), ours).to_string()
    }

    #[test]
    fn the_client_is_found() {
        let rows: [(&str, &[&str], &str); 41] = [
            // A stranger is the client, whatever it says.
            ("192.0.2.9", &[], "192.0.2.9"),
            ("192.0.2.9", &["10.0.0.1"], "192.0.2.9"),
            ("192.0.2.9", &["192.0.2.1, 10.0.0.1"], "192.0.2.9"),
            ("2001:db8::9", &["192.0.2.1"], "2001:db8::9"),
            ("::ffff:192.0.2.9", &["192.0.2.1"], "192.0.2.9"),
            // A proxy of ours names it, or does not.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            // Several of ours in a row; all of them ours: the leftmost.
            ("10.0.0.1", &["192.0.2.1, 10.0.0.3, 10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1", "10.0.0.3", "10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["10.0.0.4, 10.0.0.3", "10.0.0.2"], "10.0.0.4"),
            // Spoofed: what the client sent stands left of what our proxy saw.
            ("10.0.0.1", &["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["10.0.0.7, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["10.0.0.7", "192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["127.0.0.1, ::1, localhost, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1, 192.0.2.2"], "192.0.2.2"),
            // Ports and brackets.
            ("10.0.0.1", &["192.0.2.1:5678"], "192.0.2.1"),
            ("10.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["192.0.2.1:1, [fd00::2]:80, 10.0.0.2:443"], "192.0.2.1"),
            ("10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["[::ffff:192.0.2.1]:80"], "192.0.2.1"),
            // Blanks and empty elements.
            ("10.0.0.1", &[" \t192.0.2.1\t ,,10.0.0.2 , "], "192.0.2.1"),
            ("10.0.0.1", &[",", "192.0.2.1", "", " , "], "192.0.2.1"),
            ("10.0.0.1", &[",,,"], "10.0.0.1"),
            // What is no address ends the walk; the last one believed counts.
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["unknown, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1 10.0.0.2"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1:"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1:99999"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.256"], "10.0.0.1"),
            ("10.0.0.1", &["[192.0.2.1]"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db8::1"], "10.0.0.1"),
            ("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
            ("10.0.0.1", &["\"192.0.2.1\""], "10.0.0.1"),
            ("10.0.0.1", &["for=192.0.2.1"], "10.0.0.1"),
        ];
        for (peer, fields, wanted) in rows {
            assert_eq!(of(peer, fields), wanted, "{peer}, {fields:?}");
        }
        let bytes: &[u8] = b"192.0.2.1, \xff";
        assert_eq!(client("10.0.0.1".parse().unwrap(), [bytes].into_iter(), ours).to_string(), "10.0.0.1");
    }

    #[test]
    fn a_unix_peer_has_no_address_of_its_own() {
        let named = |value: &'static str| named_by_trusted([value.as_bytes()].into_iter(), ours);
        assert_eq!(named("192.0.2.1, 10.0.0.2"), "192.0.2.1".parse().ok());
        assert_eq!(named("10.0.0.2"), "10.0.0.2".parse().ok());
        assert_eq!((named(""), named("?")), (None, None));
    }

    #[test]
    fn work_is_bounded() {
        let hops = |count: usize, entry: &str| format!("192.0.2.1{}", format!(", {entry}").repeat(count));
        assert_eq!(of("10.0.0.1", &[&hops(FORWARDED_HOPS_MAX - 1, "10.0.0.2")]), "192.0.2.1");
        assert_eq!(of("10.0.0.1", &[&hops(FORWARDED_HOPS_MAX, "10.0.0.2")]), "10.0.0.2");
        assert_eq!(of("10.0.0.1", &[&hops(100_000, "")]), "10.0.0.1");
        let asked = std::cell::Cell::new(0);
        let long = hops(10_000, "10.0.0.2");
        client("10.0.0.1".parse().unwrap(), [long.as_bytes(); 100].into_iter(), |address| {
            asked.set(asked.get() + 1);
            ours(address)
        });
        assert_eq!(asked.get(), 1 + FORWARDED_HOPS_MAX);
    }
}
