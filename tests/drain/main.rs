//! The end of a run: after SIGTERM or SIGINT nothing that was asked goes unanswered, and the process ends in time.

#[path = "../support/mod.rs"]
mod support;

mod load;
mod logged;
mod patience;
mod queue;

use std::time::Duration;
use support::{Backend, Ringgate, Setup, backend};

/// Idle connections may stay this long after the signal: `limits::DRAIN_GRACE`.
const GRACE: Duration = Duration::from_millis(ringgate::limits::DRAIN_GRACE);

/// Answers at once, or after the milliseconds that the target names: `/250`.
fn backend() -> Backend {
    Backend::answer(|request| {
        let pause = request.target().trim_start_matches('/').parse().unwrap_or(0);
        std::thread::sleep(Duration::from_millis(pause));
        backend::ok(request.target())
    })
}

/// ringgate before it.
#[track_caller]
fn start(backend: &Backend, workers: usize, shutdown_timeout: &str) -> Ringgate {
    let setup = Setup::proxy(&[backend.place()]).workers(workers);
    setup.top(&format!("shutdown_timeout = \"{shutdown_timeout}\"")).start()
}
