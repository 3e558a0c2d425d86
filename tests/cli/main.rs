//! The commands as somebody meets them who has never used ringgate: exit codes, messages, first steps.

#[path = "../support/mod.rs"]
mod support;

mod demo;
mod files;
mod running;
mod started;
mod starting;

use started::{Output, Started, run, run_in};
