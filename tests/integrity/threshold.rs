//! `splice_min`: what is smaller is copied, what is larger is spliced, and all of it arrives.

use super::peers::{Body, Frames, Pace, backend, download, upload};
use super::support::{Ringgate, Setup, wait_until};

const SIZE: u64 = 300_000;

/// Two bodies each way under `splice_min`; the bytes spliced.
fn spliced(splice_min: &str) -> u64 {
    let backend = backend();
    let top = format!("splice_min = \"{splice_min}\"");
    let ringgate = Setup::proxy(&[backend.place()]).workers(1).top(&top).start();
    let mut client = ringgate.client();
    let sum = |ringgate: &Ringgate, name| ringgate.status().total(name);
    for seed in 0..2 {
        upload(&mut client, Body::new(seed, SIZE, Frames::Length), Pace::Fast);
        download(&mut client, Body::new(seed, SIZE, Frames::Length), Pace::Fast);
    }
    // What came together with a head is in neither count: at most a buffer of each message.
    let counted = || sum(&ringgate, "bytes_spliced") + sum(&ringgate, "bytes_copied");
    wait_until("most of it is counted", || counted() >= 4 * (SIZE - ringgate::limits::BUFFER_SMALL as u64));
    sum(&ringgate, "bytes_spliced")
}

#[test]
fn bodies_are_spliced_from_the_configured_size_on() {
    assert!(spliced("64k") >= 4 * (SIZE - 64 * 1024));
    assert_eq!(spliced("301k"), 0);
    assert_eq!(spliced("off"), 0);
}
