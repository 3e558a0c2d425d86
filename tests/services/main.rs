//! Redis, PostgreSQL and mail through TCP passthrough, with their own clients. What is not installed is skipped with a line that says so.

#[path = "../support/mod.rs"]
mod support;

mod postgres;
mod redis;
mod smtp;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use support::payload::Sum;
use support::{PATIENCE, Place, Ringgate, Setup};

/// ringgate with a `[[tcp]]` section before one server.
#[track_caller]
fn passthrough(to: &Place) -> Ringgate {
    Setup::new().upstream("db", &[to], "[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"db\"").start()
}

/// All sessions have ended and left nothing.
#[track_caller]
fn expect_clean(ringgate: &Ringgate, before: &support::Status) {
    ringgate.expect_clean(before);
    assert_eq!(ringgate.status().total("panics"), 0, "{}", ringgate.log());
}

/// At least 95 % of what went through was spliced.
#[track_caller]
fn expect_spliced(ringgate: &Ringgate, at_least: u64) {
    let status = ringgate.status();
    let (spliced, copied) = (status.total("bytes_spliced"), status.total("bytes_copied"));
    assert!(spliced + copied >= at_least, "{spliced} spliced, {copied} copied of {at_least}");
    assert!(spliced as f64 >= 0.95 * (spliced + copied) as f64, "{spliced} spliced, {copied} copied");
}

/// A program that is fed by `feed` while its output is summed up; it must succeed.
#[track_caller]
fn summed(command: &mut Command, feed: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static) -> Sum {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let feeding = std::thread::spawn(move || feed(&mut stdin));
    let mut stderr = child.stderr.take().expect("a pipe");
    let complaining = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let mut stdout = child.stdout.take().expect("a pipe");
    let (mut sum, mut piece) = (Sum::default(), vec![0; 256 * 1024]);
    while let Ok(count @ 1..) = stdout.read(&mut piece) {
        sum.add(&piece[..count]);
    }
    let status = child.wait().expect("a child can be waited for");
    let complaints = complaining.join().expect("it only reads");
    assert!(status.success(), "{command:?}: {status}\n{complaints}");
    feeding.join().expect("it only writes").unwrap_or_else(|e| panic!("{command:?}: {e}\n{complaints}"));
    sum
}

/// A program to talk with, line by line; it ends with its owner.
struct Dialogue {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Dialogue {
    #[track_caller]
    fn start(command: &mut Command) -> Dialogue {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Dialogue { child, stdin, lines, seen: Vec::new() }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("it listens");
    }

    /// Waits for a line that holds `text`.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => self.seen.push(line),
                Err(e) => panic!("no `{text}`: {e}; {:?}", self.seen),
            }
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // Not killed: `timeout` must pass the signal on.
        if matches!(self.child.try_wait(), Ok(None)) {
            support::tools::signal(self.child.id(), "TERM");
        }
        let _ = self.child.wait();
    }
}
