//! Programs that people really use, before and behind ringgate. What is not installed is skipped with a line that says so.

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod curl;
mod generators;
mod python;
mod servers;
mod websockets;

use support::tools::{Printed, succeed};
