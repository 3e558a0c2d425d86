//! A ringgate process of a test's own: generated configuration in a temporary folder, ports chosen by the kernel,
//! readiness read from its standard error, killed on drop.

use super::client::Client;
use super::net::Place;
use super::status::Status;
use super::{PATIENCE, tools};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The configuration to start with. `{dir}` in any text stands for the temporary folder.
#[derive(Debug, Clone)]
pub struct Setup {
    workers: usize,
    top: String,
    upstreams: String,
    servers: String,
}

impl Setup {
    /// Nothing but two workers; add `upstream`s and `server`s.
    pub fn new() -> Setup {
        Setup { workers: 2, top: String::new(), upstreams: String::new(), servers: String::new() }
    }

    /// One listener on a free port of 127.0.0.1 that passes everything to these backends, in turn.
    pub fn proxy(backends: &[&Place]) -> Setup {
        Setup::new().upstream("backend", backends, "").server("127.0.0.1:0", "", &[("/", "http://backend", "")])
    }

    /// `workers = count`.
    pub fn workers(mut self, count: usize) -> Setup {
        self.workers = count;
        self
    }

    /// Lines above all sections, such as defaults for all servers: `send_timeout = "1s"`.
    pub fn top(mut self, lines: &str) -> Setup {
        writeln!(self.top, "{lines}").expect("a string takes all");
        self
    }

    /// `[upstream.NAME]` with these servers, and more lines.
    pub fn upstream(self, name: &str, backends: &[&Place], lines: &str) -> Setup {
        let list = backends.iter().map(|place| format!("\"{place}\"")).collect::<Vec<_>>().join(", ");
        self.upstream_list(name, &list, lines)
    }

    /// The same with the list written out, for weights and names: `{ address = "...", weight = 2 }, "localhost:1"`.
    pub fn upstream_list(mut self, name: &str, list: &str, lines: &str) -> Setup {
        writeln!(self.upstreams, "[upstream.{name}]\nserver = [{list}]\n{lines}").expect("a string takes all");
        self
    }

    /// `[[server]]` with one `listen`, more lines, and locations: prefix, `proxy_pass`, more lines.
    pub fn server(mut self, listen: &str, lines: &str, locations: &[(&str, &str, &str)]) -> Setup {
        writeln!(self.servers, "[[server]]\nlisten = \"{listen}\"\n{lines}").expect("a string takes all");
        for (prefix, pass, lines) in locations {
            writeln!(self.servers, "[server.location.\"{prefix}\"]\nproxy_pass = \"{pass}\"\n{lines}")
                .expect("a string takes all");
        }
        self
    }

    /// Any other section, as it is written in the file.
    pub fn section(mut self, text: &str) -> Setup {
        writeln!(self.servers, "{text}").expect("a string takes all");
        self
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let Setup { workers, top, upstreams, servers } = self;
        format!("workers = {workers}\nadmin = \"{{dir}}/admin.sock\"\n{top}\n{upstreams}\n{servers}")
    }

    /// Runs ringgate with it and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> Ringgate {
        Ringgate::start(&self.text())
    }

    /// The same in a folder of the caller's.
    #[track_caller]
    pub fn start_in(&self, folder: tempfile::TempDir) -> Ringgate {
        Ringgate::start_in(folder, &self.text())
    }
}

impl Default for Setup {
    fn default() -> Setup {
        Setup::new()
    }
}

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    ended: bool,
}

/// A running ringgate.
pub struct Ringgate {
    child: Child,
    log: Arc<(Mutex<Log>, Condvar)>,
    folder: tempfile::TempDir,
    places: Vec<Place>,
}

impl Ringgate {
    /// Runs with this configuration (`{dir}`: the temporary folder) and waits until it is ready.
    #[track_caller]
    pub fn start(config: &str) -> Ringgate {
        let folder = tempfile::Builder::new().prefix("ringgate-test-").tempdir().expect("a temporary folder");
        Ringgate::start_in(folder, config)
    }

    /// The same in a folder of the caller's, where unix sockets or included files may lie already.
    #[track_caller]
    pub fn start_in(folder: tempfile::TempDir, config: &str) -> Ringgate {
        let file = folder.path().join("ringgate.toml");
        let dir = folder.path().to_str().expect("temporary folders have plain names");
        std::fs::write(&file, config.replace("{dir}", dir)).expect("the configuration can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
        command.arg("run").arg("-c").arg(&file);
        Ringgate::launch(folder, command)
    }

    /// `ringgate tcp` without a file, on a free port, with one server.
    #[track_caller]
    pub fn tcp(to: &Place) -> Ringgate {
        let folder = tempfile::Builder::new().prefix("ringgate-test-").tempdir().expect("a temporary folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
        command.args(["tcp", "--workers", "2", "--listen", "127.0.0.1:0", "--to", &to.to_string(), "--admin"]);
        command.arg(folder.path().join("admin.sock"));
        Ringgate::launch(folder, command)
    }

    /// Runs any command that becomes a ringgate whose admin socket is `admin.sock` in that folder, and waits until it is ready.
    #[track_caller]
    pub fn launch(folder: tempfile::TempDir, mut command: Command) -> Ringgate {
        command.env("XDG_RUNTIME_DIR", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let log = Arc::new((Mutex::new(Log::default()), Condvar::new()));
        let stderr = child.stderr.take().expect("standard error is a pipe");
        std::thread::spawn({
            let log = log.clone();
            move || collect(stderr, &log)
        });
        let mut ringgate = Ringgate { child, log, folder, places: Vec::new() };
        let is_ready = |line: &str| line == "ready" || line.ends_with(" ready");
        if !ringgate.wait_log_for(PATIENCE, |lines| lines.iter().any(|line| is_ready(line))) {
            panic!("ringgate did not get ready with\n{}\nIts log:\n{}", ringgate.config(), ringgate.log());
        }
        let text = ringgate.log();
        let bound = text.lines().filter_map(|line| line.split_once("listening on ")).map(|(_, place)| place.trim());
        let schemes = ["http://", "https://"];
        let bare = |place| schemes.iter().find_map(|&scheme| str::strip_prefix(place, scheme)).unwrap_or(place);
        let bound = bound.map(|place| bare(place).trim_end_matches('/'));
        ringgate.places = bound.map(Place::parse).collect();
        assert!(!ringgate.places.is_empty(), "ready, but no `listening on` line:\n{text}");
        if ringgate.admin().exists() {
            ringgate.settle();
        }
        ringgate
    }

    /// Waits until each worker has published its gauges: they are written at the end of a turn, and a worker may be ready
    /// but not yet at the end of its first.
    #[track_caller]
    fn settle(&self) {
        let mut before = None;
        super::wait_until("all workers count", || {
            let now = self.status().at_rest();
            let settled = now.iter().flatten().all(|&gauge| gauge > 0) && before.as_ref() == Some(&now);
            before = Some(now);
            settled
        });
    }

    /// The configuration as it was read.
    pub fn config(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("ringgate.toml")).unwrap_or_default()
    }

    /// The temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The addresses really bound, in the order of the `listening on` lines.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The first of them.
    pub fn place(&self) -> &Place {
        &self.places[0]
    }

    /// `http://ADDRESS` of the first listener, for real clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.place())
    }

    /// A new connection to the first listener.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.place())
    }

    /// The path of the admin socket.
    pub fn admin(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// What the admin socket answers to `GET /status`.
    #[track_caller]
    pub fn status(&self) -> Status {
        Status::ask(&Place::Unix(self.admin()))
    }

    /// Writes the configuration anew (`{dir}`: the temporary folder); nobody is told.
    #[track_caller]
    pub fn rewrite(&self, config: &str) {
        let dir = self.folder.path().to_str().expect("temporary folders have plain names");
        // In one step: it may be read at any moment.
        let (file, draft) = (self.folder.path().join("ringgate.toml"), self.folder.path().join("draft"));
        std::fs::write(&draft, config.replace("{dir}", dir)).expect("the configuration can be written");
        std::fs::rename(draft, file).expect("the configuration can be replaced");
    }

    /// Runs `ringgate ARGUMENTS --admin SOCKET`: a command to this process.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
        command.args(arguments).arg("--admin").arg(self.admin()).stdin(Stdio::null());
        command.output().expect("the program runs")
    }

    /// The same; it must succeed.
    #[track_caller]
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "ringgate {arguments:?}: {}\n{out}{err}\nlog:\n{}", output.status, self.log());
        out.into_owned()
    }

    /// Waits until nothing of any exchange is left: see `Status::leftovers`.
    #[track_caller]
    pub fn expect_clean(&self, before: &Status) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.status();
            let leftovers = now.leftovers(before);
            if leftovers.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still in use: {leftovers:?}\n{}\nIts log:\n{}", now.text(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything written to standard error so far.
    pub fn log(&self) -> String {
        self.log.0.lock().expect("no reader panicked").lines.join("\n")
    }

    /// Waits until a line of the log holds `text`.
    #[track_caller]
    pub fn expect_log(&self, text: &str) {
        let found = self.wait_log_for(PATIENCE, |lines| lines.iter().any(|line| line.contains(text)));
        assert!(found, "no `{text}` in the log:\n{}", self.log());
    }

    fn wait_log_for(&self, at_most: Duration, found: impl Fn(&[String]) -> bool) -> bool {
        let (log, changed) = &*self.log;
        let guard = log.lock().expect("no reader panicked");
        let waiting = |log: &mut Log| !log.ended && !found(&log.lines);
        let (guard, _) = changed.wait_timeout_while(guard, at_most, waiting).expect("no reader panicked");
        found(&guard.lines)
    }

    /// Sends a signal: `TERM`, `INT`, ...
    #[track_caller]
    pub fn signal(&self, name: &str) {
        tools::signal(self.pid(), name);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_exit(&mut self, at_most: Duration) -> ExitStatus {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {at_most:?}; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resident memory now, in bytes.
    #[track_caller]
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory so far, in bytes.
    #[track_caller]
    pub fn resident_peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    #[track_caller]
    fn memory(&self, field: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process lives");
        let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("/proc names it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB") * 1024
    }

    /// Open descriptors of the process.
    #[track_caller]
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the process lives").count()
    }
}

impl Drop for Ringgate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("ringgate's log:\n{}", self.log());
        }
    }
}

fn collect(stderr: impl std::io::Read, log: &(Mutex<Log>, Condvar)) {
    for line in BufReader::new(stderr).split(b'\n') {
        let Ok(line) = line else { break };
        log.0.lock().expect("no waiter panicked").lines.push(String::from_utf8_lossy(&line).into_owned());
        log.1.notify_all();
    }
    log.0.lock().expect("no waiter panicked").ended = true;
    log.1.notify_all();
}
