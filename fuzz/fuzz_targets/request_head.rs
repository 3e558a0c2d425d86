//! Whatever head is accepted, the one that we write from it is accepted too, and means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate::limits::{BUFFER_SMALL, FIELDS_MAX, HEAD_MAX};
use ringgate::proto::request::{FieldSlots, RequestFacts, Version, parse};
use ringgate::proto::rewrite::{Forwarding, write_request};
use ringgate::proto::writer::Writer;

/// More fields than we ever add.
const OURS: usize = 10;

fuzz_target!(|bytes: &[u8]| {
    let mut slots = FieldSlots::new();
    let Ok(Some(request)) = parse(bytes, &mut slots) else { return };
    assert!(request.len <= bytes.len());
    let Ok((facts, route)) = request.inspect() else { return };
    assert!(route.path.starts_with('/') && !route.path.contains("//"));
    assert!(route.path.split('/').all(|segment| segment != "." && segment != ".."));

    let forwarding = Forwarding { peer_ip: "192.0.2.1", client_ip: "192.0.2.1", scheme: "http", trusted: false, fallback_host: "backend", set: None, method: None, target: None };
    let mut buf = vec![0; BUFFER_SMALL];
    let mut w = Writer::new(&mut buf);
    write_request(&mut w, &request, &facts, &route, &forwarding);
    let len = w.finish().expect("a rewritten head fits");

    // Our own fields may make a head too large for a reader with our limits; backends and clients have theirs.
    if len > HEAD_MAX || request.fields.len() + OURS > FIELDS_MAX {
        return;
    }
    let mut slots = FieldSlots::new();
    let again = parse(&buf[..len], &mut slots).expect("our head is right").expect("our head is complete");
    assert_eq!(again.len, len);
    let (seen, seen_route) = again.inspect().expect("our head is understood");
    assert_eq!(seen, RequestFacts { version: Version::Http11, keep_alive: true, ..facts });
    assert_eq!(seen_route.path, route.path);
    for name in ["host", "x-real-ip", "x-forwarded-for", "x-forwarded-proto"] {
        assert_eq!(again.fields.iter().filter(|f| f.name.eq_ignore_ascii_case(name)).count(), 1, "{name}");
    }
    assert!(again.fields.iter().all(|f| !f.name.contains('_')));
});
