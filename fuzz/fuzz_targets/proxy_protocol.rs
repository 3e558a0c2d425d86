//! A PROXY protocol header means the same however it arrives, and what it says can be passed on. The first byte chooses a cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate::limits::PROXY_V2_MAX;
use ringgate::proto::proxy_protocol::{Header, Version, WRITTEN_MAX, parse, write};

fuzz_target!(|bytes: &[u8]| {
    let [cut, bytes @ ..] = bytes else { return };
    let whole = parse(bytes);
    let part = parse(&bytes[..bytes.len() * usize::from(*cut) / 256]);
    assert!(part == Ok(None) || part == whole);
    assert!(whole != Ok(None) || bytes.len() < PROXY_V2_MAX);
    let Ok(Some(Header { len, source, destination })) = whole else { return };
    assert!(len <= bytes.len());
    assert_eq!(parse(&bytes[..len - 1]), Ok(None));
    let mut out = [0; WRITTEN_MAX];
    let len = write(Version::V2, source, destination, &mut out);
    // Addresses of two families come back as IPv6, and from there as they were.
    assert_eq!(parse(&out[..len]), Ok(Some(Header { len, source, destination })));
});
