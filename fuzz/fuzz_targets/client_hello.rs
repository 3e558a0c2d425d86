//! A ClientHello means the same however it arrives, and no more of it is waited for than allowed. The first byte chooses a cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate::limits::{CLIENT_HELLO_ALPN_MAX, CLIENT_HELLO_WIRE_MAX};
use ringgate::proto::client_hello::parse;

fuzz_target!(|bytes: &[u8]| {
    let [cut, bytes @ ..] = bytes else { return };
    let whole = parse(bytes);
    let part = parse(&bytes[..bytes.len() * usize::from(*cut) / 256]);
    assert!(part == Ok(None) || part == whole);
    match whole {
        Ok(None) => assert!(bytes.len() < CLIENT_HELLO_WIRE_MAX),
        Ok(Some(hello)) => {
            assert!(hello.alpn.len() <= CLIENT_HELLO_ALPN_MAX);
            let name = hello.server_name.unwrap_or("a".to_owned());
            assert!(!name.is_empty() && name == name.to_ascii_lowercase() && !name.ends_with('.'));
        }
        Err(cause) => assert!(!cause.text().is_empty()),
    }
});
