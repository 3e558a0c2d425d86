//! Programs that people really use, before and behind ringgate. What is not installed is skipped with a line that says so.

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod curl;
mod generators;
mod python;
mod servers;
mod websockets;

use std::path::Path;
use std::process::Command;

/// What a program printed.
struct Printed {
    out: Vec<u8>,
    err: String,
}

impl Printed {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// Runs a program to its end; it must succeed within so many seconds.
#[track_caller]
fn succeed(program: &Path, arguments: &[&str], seconds: u32) -> Printed {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", &seconds.to_string()]).arg(program).args(arguments);
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let printed = Printed { out: output.stdout, err: String::from_utf8_lossy(&output.stderr).into_owned() };
    assert!(output.status.success(), "{command:?}: {}\n{}\n{}", output.status, printed.text(), printed.err);
    printed
}
