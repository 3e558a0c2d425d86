//! Bodies arrive as they were sent: every size around a buffer's edge, both framings, fast and slow, cut and whole.

#[path = "../support/mod.rs"]
mod support;

mod cut;
mod fallback;
mod huge;
mod pipelined;
mod sizes;
mod slow;
mod spliced;
mod threshold;
mod together;
mod torn;

use support::{Backend, Ringgate, Setup, peers};

/// ringgate may hold this much in these tests, whatever passes through it. A debug build with its tables needs some 15 MiB.
const RESIDENT_MAX: u64 = 64 * 1024 * 1024;

/// ringgate before a backend, with room for a body of 1 GiB and a byte.
#[track_caller]
fn start(backend: &Backend, workers: usize) -> Ringgate {
    Setup::proxy(&[backend.place()]).workers(workers).top("client_max_body_size = \"2g\"").start()
}

/// Bytes spliced and copied so far.
#[track_caller]
fn moved(ringgate: &Ringgate) -> (u64, u64) {
    let status = ringgate.status();
    (status.total("bytes_spliced"), status.total("bytes_copied"))
}

/// Nothing is left in use, and memory stayed within its bound.
#[track_caller]
fn expect_idle(ringgate: &Ringgate, backend: &Backend, before: &support::Status) {
    backend.close_all();
    ringgate.expect_clean(before);
    let status = ringgate.status();
    assert_eq!(status.total("panics"), 0, "{}", ringgate.log());
    let peak = ringgate.resident_peak();
    assert!(peak < RESIDENT_MAX, "{peak} bytes resident");
}
