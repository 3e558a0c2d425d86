//! The exchange over real sockets: raw clients on one side, scripted backends on the other, the program between them.

#[path = "../support/mod.rs"]
mod support;

mod expect;
mod fields;
mod messages;
mod old_versions;
mod parking;
mod places;
mod pool;
mod pressure;
mod storm;
mod timeouts;
mod tunnel;

use support::{Backend, Ringgate, Setup};

/// ringgate with two workers before one backend.
#[track_caller]
fn before(backend: &Backend) -> Ringgate {
    Setup::proxy(&[backend.place()]).start()
}

/// The same with lines in its only location.
#[track_caller]
fn before_with(backend: &Backend, lines: &str) -> Ringgate {
    let setup = Setup::new().workers(1).upstream("backend", &[backend.place()], "");
    setup.server("127.0.0.1:0", "", &[("/", "http://backend", lines)]).start()
}
