//! 64 MiB and 1 GiB, streamed: nobody holds them whole.

use super::peers::{Body, Frames, Pace, backend, download, echoed, upload};
use super::support::Client;
use super::{expect_idle, moved, start};

const MIB: u64 = 1024 * 1024;

/// In each direction, at least 95 % of what can be spliced is.
fn each_way(length: u64, frames: Frames) {
    let backend = backend();
    let ringgate = start(&backend, 1);
    let before = ringgate.status();
    let mut client = ringgate.client();
    let mut so_far = 0;
    for (direction, transfer) in [("up", upload as fn(&mut Client, Body, Pace) -> bool), ("down", download)] {
        transfer(&mut client, Body::new(1, length, frames), Pace::Fast);
        // Pieces of the size of `Chunked` are all below the threshold.
        let (spliced, copied) = moved(&ringgate);
        let expected = if frames == Frames::Chunked { 0 } else { length * 95 / 100 };
        assert!(spliced - so_far >= expected, "{direction}: {} spliced, {copied} copied", spliced - so_far);
        assert_eq!(spliced == 0, expected == 0, "{direction}");
        so_far = spliced;
    }
    drop(client);
    expect_idle(&ringgate, &backend, &before);
}

#[test]
fn a_gibibyte_of_known_length() {
    each_way(1024 * MIB, Frames::Length);
}

#[test]
fn a_gibibyte_in_large_chunks() {
    each_way(1024 * MIB, Frames::Large);
}

#[test]
fn a_gibibyte_in_chunks() {
    each_way(1024 * MIB, Frames::Chunked);
}

/// With a pause now and then on either side, and both ways at once.
#[test]
fn sixty_four_mebibytes() {
    let backend = backend();
    let ringgate = start(&backend, 2);
    let before = ringgate.status();
    for frames in [Frames::Length, Frames::Chunked, Frames::Large] {
        echoed(&mut ringgate.client(), Body::new(3, 64 * MIB, frames), Pace::Fast);
        let mut client = ringgate.client();
        upload(&mut client, Body { pace: Pace::Slow, ..Body::new(4, 64 * MIB, frames) }, Pace::Fast);
        download(&mut client, Body::new(5, 64 * MIB, frames), Pace::Slow);
    }
    let mut client = ringgate.client();
    download(&mut client, Body::new(6, 64 * MIB, Frames::Close), Pace::Fast);
    drop(client);
    expect_idle(&ringgate, &backend, &before);
}
