//! Whatever response is accepted, the one that we write from it ends where we say. The first byte chooses the request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate::limits::{BUFFER_SMALL, FIELDS_MAX, HEAD_MAX};
use ringgate::proto::framing::Framing;
use ringgate::proto::request::{FieldSlots, RequestFacts, Version};
use ringgate::proto::response::parse;
use ringgate::proto::rewrite::{Added, write_interim, write_response, write_switching};
use ringgate::proto::writer::Writer;

/// More fields than we ever add.
const OURS: usize = 10;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let request = RequestFacts {
        version: if choice & 1 == 0 { Version::Http11 } else { Version::Http10 },
        is_head: choice & 2 != 0,
        idempotent: true,
        body: Framing::None,
        keep_alive: true,
        expect_continue: false,
        websocket: choice & 4 != 0,
    };
    let close = choice & 8 != 0;
    let mut slots = FieldSlots::new();
    let Ok(Some(response)) = parse(bytes, &mut slots) else { return };
    let Ok(facts) = response.inspect(&request) else { return };
    let framing = facts.framing_to_client(&request);

    let mut buf = vec![0; BUFFER_SMALL];
    let mut w = Writer::new(&mut buf);
    match facts.status {
        101 => write_switching(&mut w, &response, Added::default()),
        100..200 => write_interim(&mut w, &response, None),
        _ => write_response(&mut w, &response, &facts, &request, framing, close, Added::default()),
    }
    let len = w.finish().expect("a rewritten head fits");

    // Our own fields may make a head too large for a reader with our limits; backends and clients have theirs.
    if len > HEAD_MAX || response.fields.len() + OURS > FIELDS_MAX {
        return;
    }
    let mut slots = FieldSlots::new();
    let again = parse(&buf[..len], &mut slots).expect("our head is right").expect("our head is complete");
    assert_eq!(again.len, len);
    let seen = again.inspect(&request).expect("our head is understood");
    assert_eq!((seen.status, seen.body, seen.upgrade_websocket), (facts.status, framing, facts.upgrade_websocket));
    if facts.status >= 200 {
        assert_eq!(seen.keep_alive, !close && framing != Framing::Close);
    }
});
