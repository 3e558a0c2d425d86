//! A backend process seen from the test: this test binary once more, running `inside`.

use super::inside::ENVIRONMENT;
use super::support::server::free_port;
use super::support::{PATIENCE, Place, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// One step of the record that `inside` describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Got { method: String, target: String },
    Answered { status: u16, target: String },
    Cut(String),
    Dropped(String),
}

/// What the process counts.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub connections: usize,
    /// Connections now.
    pub open: usize,
    /// Requests being answered now, and the most at any time.
    pub under_way: usize,
    pub peak: usize,
    /// Requests for /health.
    pub checks: usize,
}

struct Running {
    child: Child,
    stdin: ChildStdin,
    said: Receiver<String>,
}

/// A backend process. Killed when dropped.
pub struct Process {
    pub name: String,
    pub place: Place,
    kind: &'static str,
    record: PathBuf,
    _folder: tempfile::TempDir,
    running: RefCell<Option<Running>>,
}

impl Process {
    /// An HTTP server on a port of its own that answers 200 with `NAME TARGET`.
    #[track_caller]
    pub fn http(name: &str) -> Process {
        Process::on(name, "http", &format!("127.0.0.1:{}", free_port()))
    }

    /// A server that says its name in a line, then sends back whatever comes.
    #[track_caller]
    pub fn echo(name: &str) -> Process {
        Process::on(name, "echo", &format!("127.0.0.1:{}", free_port()))
    }

    /// At an address of the caller's.
    #[track_caller]
    pub fn on(name: &str, kind: &'static str, place: &str) -> Process {
        let folder = tempfile::Builder::new().prefix("ringgate-backend-").tempdir().expect("a temporary folder");
        let record = folder.path().join("record");
        let (name, place) = (name.to_owned(), Place::parse(place));
        let process = Process { name, place, kind, record, _folder: folder, running: RefCell::new(None) };
        process.revive();
        process
    }

    /// Starts it (again), at the same address and with the same record.
    #[track_caller]
    pub fn revive(&self) {
        let mut command = Command::new(std::env::current_exe().expect("this test has a file"));
        command.args(["--exact", "backend_process", "--nocapture", "--test-threads=1"]);
        let record = self.record.to_str().expect("temporary folders have plain names");
        command.envs(ENVIRONMENT.into_iter().zip([&self.name[..], &self.place.to_string(), record, self.kind]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("this test can be run once more");
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.filter_map(|line| line.strip_prefix('@').map(str::to_owned)).try_for_each(|line| sender.send(line))
        });
        let running = Running { child, stdin, said };
        assert_eq!(running.said.recv_timeout(PATIENCE).as_deref(), Ok("ready"), "{} on {}", self.name, self.place);
        *self.running.borrow_mut() = Some(running);
    }

    /// Switches its behaviour; what it does is changed when this returns. The words are those of `inside`.
    #[track_caller]
    pub fn tell(&self, command: &str) {
        assert_eq!(self.ask(command), "done", "{command}");
    }

    #[track_caller]
    fn ask(&self, command: &str) -> String {
        let mut running = self.running.borrow_mut();
        let running = running.as_mut().expect("the backend runs");
        writeln!(running.stdin, "{command}").expect("the backend listens to us");
        let said = running.said.recv_timeout(PATIENCE);
        said.unwrap_or_else(|e| panic!("the backend does not answer to {command}: {e}"))
    }

    /// What it counts (since it was last started).
    #[track_caller]
    pub fn report(&self) -> Report {
        let text = self.ask("report");
        let counts: Vec<usize> = text.split(' ').map(|word| word.parse().expect("a number")).collect();
        let [connections, open, under_way, peak, checks] = counts[..] else { panic!("{text}") };
        Report { connections, open, under_way, peak, checks }
    }

    /// Its address as the configuration names it.
    pub fn address(&self) -> String {
        self.place.to_string()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.running.borrow().as_ref().expect("the backend runs").child)
    }

    /// SIGKILL; the process has ended when this returns.
    #[track_caller]
    pub fn kill(&self) {
        let mut running = self.running.borrow_mut().take().expect("the backend runs");
        running.child.kill().expect("our own child");
        running.child.wait().expect("our own child");
    }

    /// SIGSTOP; no thread of it runs when this returns.
    #[track_caller]
    pub fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).expect("our own child");
        let tasks = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        let stopped = |path: PathBuf| {
            let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('T') || rest.is_empty())
        };
        wait_until("the process is stopped", || {
            std::fs::read_dir(&tasks).expect("it lives").filter_map(Result::ok).all(|task| stopped(task.path()))
        });
    }

    /// SIGCONT.
    #[track_caller]
    pub fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).expect("our own child");
    }

    /// Its record so far.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        let text = std::fs::read_to_string(&self.record).expect("the record can be read");
        let event = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
            ["got", method, target] => Event::Got { method: method.to_owned(), target: target.to_owned() },
            ["answered", status, target] => {
                Event::Answered { status: status.parse().expect("a status"), target: target.to_owned() }
            }
            ["cut", target] => Event::Cut(target.to_owned()),
            ["dropped", target] => Event::Dropped(target.to_owned()),
            _ => panic!("`{line}` in the record"),
        };
        // The last line may be in the making.
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(event).collect()
    }

    /// How many requests it ever got.
    #[track_caller]
    pub fn got(&self) -> usize {
        self.events().iter().filter(|event| matches!(event, Event::Got { .. })).count()
    }

    /// The targets of requests that met this fate, sorted.
    #[track_caller]
    pub fn targets(&self, fate: impl Fn(&Event) -> Option<&String>) -> Vec<String> {
        let mut targets: Vec<String> = self.events().iter().filter_map(|event| fate(event).cloned()).collect();
        targets.sort();
        targets
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.borrow_mut().take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

/// How often each target was got by these backends together.
#[track_caller]
pub fn times_got(backends: &[Process]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for event in backends.iter().flat_map(Process::events) {
        if let Event::Got { target, .. } = event {
            *times.entry(target).or_default() += 1;
        }
    }
    times
}
