//! What the black-box tests share: a ringgate process, raw clients, scripted backends, known payloads.
//!
//! Nothing here uses the library under test: heads and bodies are parsed by a second, strict reader (`message`), so that a
//! mistake of ringgate's parser cannot hide itself. Everything that waits has a deadline; nothing sleeps for luck.

#![allow(dead_code, unused_imports)] // Each test binary uses its own part of this.

pub mod backend;
pub mod certificates;
pub mod client;
pub mod load;
pub mod message;
pub mod name_server;
pub mod net;
pub mod payload;
pub mod peers;
pub mod postgres;
pub mod process;
pub mod server;
pub mod status;
pub mod tls;
pub mod tools;

pub use backend::{Backend, Conn};
pub use client::{Client, End};
pub use message::{Framing, Head, Message};
pub use net::{Place, Stream};
pub use process::{Ringgate, Setup};
pub use status::Status;

use std::time::{Duration, Instant};

/// How long anything that should happen promptly may take on a busy machine before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls `condition` until it holds; panics with `what` when `PATIENCE` is over.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_until_within(PATIENCE, what, condition);
}

/// The same with a deadline of the caller's.
#[track_caller]
pub fn wait_until_within(at_most: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + at_most;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {at_most:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes as a person reads them in a failed assertion: line ends visible, cut after 2,000 bytes.
pub fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(2000)];
    let mut text = cut.escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n  ");
    if bytes.len() > cut.len() {
        text.push_str(&format!("... ({} bytes in all)", bytes.len()));
    }
    text
}
