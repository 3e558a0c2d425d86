//! A started command: its output line by line, its end within a bound.

use super::support::{PATIENCE, tools};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A command that runs; dropping it kills it.
pub struct Started {
    child: Child,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// `ringgate` with these arguments, in `folder`, where its admin socket is too.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
    command.args(arguments).current_dir(folder).env("XDG_RUNTIME_DIR", folder);
    command
}

/// Runs it to its end in an empty folder.
#[track_caller]
pub fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_in(folder.path(), arguments)
}

/// The same in a folder of the caller's.
#[track_caller]
pub fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    Started::new(&mut command(folder, arguments)).wait(PATIENCE)
}

impl Started {
    /// Starts it.
    #[track_caller]
    pub fn new(command: &mut Command) -> Started {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (out, err) = (Arc::default(), Arc::default());
        let stdout = collect(child.stdout.take().expect("a pipe"), &out);
        let stderr = collect(child.stderr.take().expect("a pipe"), &err);
        Started { child, out, err, readers: vec![stdout, stderr] }
    }

    /// What it wrote to standard output so far.
    pub fn out(&self) -> String {
        self.out.lock().expect("no reader panicked").clone()
    }

    /// What it wrote to standard error so far.
    pub fn err(&self) -> String {
        self.err.lock().expect("no reader panicked").clone()
    }

    /// Waits until `find` finds something in standard output and standard error.
    #[track_caller]
    pub fn expect<T>(&self, what: &str, find: impl Fn(&str, &str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(&self.out(), &self.err()) {
                return found;
            }
            let said = (self.out(), self.err());
            assert!(Instant::now() < deadline, "no {what} in\n{}\n{}", said.0, said.1);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        tools::signal(self.child.id(), name);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self, at_most: Duration) -> Output {
        let deadline = Instant::now() + at_most;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            let said = (self.out(), self.err());
            assert!(Instant::now() < deadline, "still running after {at_most:?}:\n{}\n{}", said.0, said.1);
            std::thread::sleep(Duration::from_millis(5));
        };
        self.readers.drain(..).for_each(|reader| reader.join().expect("no reader panicked"));
        Output { code: status.code(), out: self.out(), err: self.err() }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: impl Read + Send + 'static, to: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let to = to.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            let mut text = to.lock().expect("no waiter panicked");
            text.push_str(&String::from_utf8_lossy(&line));
            text.push('\n');
        }
    })
}
