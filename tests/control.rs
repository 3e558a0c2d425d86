//! The control plane from outside: signals, drain, log, admin socket, and the commands that need no configuration.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn ringgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
    command.args(arguments);
    command
}

fn ran(arguments: &[&str]) -> Output {
    ringgate(arguments).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running ringgate with what it says, line by line. Killed when dropped.
struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    said: String,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Running { child, stdout, stderr, said: String::new() }
    }

    /// Waits for a line of standard error with `part` in it.
    fn log(&mut self, part: &str) -> String {
        let line = await_line(&self.stderr, part, &mut self.said);
        line.unwrap_or_else(|| panic!("never logged {part:?}, but:\n{}", self.said))
    }

    fn output(&mut self, part: &str) -> String {
        let line = await_line(&self.stdout, part, &mut self.said);
        line.unwrap_or_else(|| panic!("never printed {part:?}, but:\n{}", self.said))
    }

    /// Where it listens, once it is ready.
    fn address(&mut self) -> SocketAddr {
        let line = self.log("listening on http://");
        self.log("ready");
        line.rsplit("http://").next().unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(kill.unwrap().success());
    }

    /// Its exit code, and how long that took.
    fn exit(&mut self) -> (i32, Duration) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code().expect("not killed"), began.elapsed());
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end:\n{}", self.said);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

fn await_line(lines: &Receiver<String>, part: &str, said: &mut String) -> Option<String> {
    let end = Instant::now() + PATIENCE;
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        said.push_str(&line);
        said.push('\n');
        if line.contains(part) {
            return Some(line);
        }
    }
    None
}

/// A backend that answers every request, after `delay`, and closes.
fn backend(delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap_or(0) == 0 {
                        return;
                    }
                    head.push(byte[0]);
                }
                thread::sleep(delay);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
            });
        }
    });
    address
}

/// Begins a request; its answer is read later.
fn ask(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: SocketAddr) -> String {
    answer(ask(address))
}

fn status(admin: &Path) -> serde_json::Value {
    let output = ran(&["status", "--json", "--admin", admin.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asks for the status until it says what is awaited.
fn await_status(admin: &Path, awaited: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let now = status(admin);
        if awaited(&now) {
            return now;
        }
        assert!(Instant::now() < end, "never came: {now:#}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A directory with a configuration for one backend, and an admin socket in it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(backend: SocketAddr, more: &str) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let admin = directory.path().join("admin.sock");
        let text = format!(
            "workers = 2\nadmin = \"{}\"\n{more}\n[upstream.app]\nserver = [\"{backend}\"]\n\n[[server]]\n\
             listen = \"127.0.0.1:0\"\n\n[server.location.\"/\"]\nproxy_pass = \"http://app\"\n",
            admin.display()
        );
        std::fs::write(directory.path().join("ringgate.toml"), text).unwrap();
        Place { directory }
    }

    fn admin(&self) -> PathBuf {
        self.directory.path().join("admin.sock")
    }

    fn run(&self) -> Command {
        ringgate(&["run", "-c", self.directory.path().join("ringgate.toml").to_str().unwrap()])
    }
}

#[test]
fn proxy_says_what_it_does_counts_it_and_ends_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let admin = directory.path().join("admin.sock");
    let (one, two) = (backend(Duration::ZERO).to_string(), backend(Duration::ZERO).to_string());
    let mut running = Running::start(&mut ringgate(&[
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--to",
        &one,
        "--to",
        &two,
        "--workers",
        "2",
        "--admin",
        admin.to_str().unwrap(),
    ]));
    let address = running.address();
    running.output(&format!("balancing round_robin over 2 servers on http://{address}"));
    for _ in 0..10 {
        assert!(get(address).ends_with("hello"));
        thread::sleep(Duration::from_millis(12));
    }
    let status = await_status(&admin, |status| status["totals"]["in_flight"] == 0);
    assert_eq!(status["state"], "running");
    assert_eq!(status["totals"]["requests"], 10);
    assert_eq!(status["listeners"][0]["address"], format!("http://{address}"));
    assert_eq!(status["listeners"][0]["requests"], 10);
    assert_eq!(status["workers"].as_array().unwrap().len(), 2);
    let servers = &status["upstreams"][0]["servers"];
    assert_eq!((&servers[0]["requests"], &servers[1]["requests"]), (&5.into(), &5.into()));
    assert_eq!(servers[0]["name"], one);

    let page = ran(&["status", "--admin", admin.to_str().unwrap()]);
    let page = text(&page.stdout);
    assert!(page.contains("2 of 2 workers") && page.contains(&one) && page.contains("50 %"), "{page}");

    running.signal("TERM");
    assert_eq!(running.exit().0, 0);
    running.log("info  ended in good order after 10 requests");
    assert!(!admin.exists(), "the admin socket is removed");
}

#[test]
fn log_lines_have_a_time_and_a_level() {
    let place = Place::new(backend(Duration::ZERO), "");
    let mut running = Running::start(&mut place.run());
    let line = running.log("listening on");
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{line}");
    assert!(rest.starts_with("info  listening on http://127.0.0.1:"), "{line}");
}

#[test]
fn what_is_in_flight_at_sigterm_is_answered() {
    let place = Place::new(backend(Duration::from_millis(600)), "");
    let mut running = Running::start(&mut place.run());
    let address = running.address();
    let asked = ask(address);
    await_status(&place.admin(), |status| status["totals"]["in_flight"] == 1);
    running.signal("TERM");
    running.log("SIGTERM: draining 1 requests in flight");
    assert_eq!(status(&place.admin())["state"], "draining");
    assert!(answer(asked).ends_with("hello"));
    assert_eq!(running.exit().0, 0);
    running.log("ended in good order");
}

#[test]
fn what_never_ends_is_cut_off_at_the_shutdown_timeout_with_0() {
    let place = Place::new(backend(Duration::from_secs(100)), "shutdown_timeout = \"1s\"\n");
    let mut running = Running::start(&mut place.run());
    let _asked = ask(running.address());
    await_status(&place.admin(), |status| status["totals"]["in_flight"] == 1);
    running.signal("INT");
    let (code, took) = running.exit();
    assert_eq!(code, 0);
    assert!(took > Duration::from_millis(700) && took < Duration::from_secs(4), "{took:?}");
    assert!(!place.admin().exists());
}

#[test]
fn a_second_signal_ends_at_once_with_1() {
    let place = Place::new(backend(Duration::from_secs(100)), "");
    let mut running = Running::start(&mut place.run());
    let _asked = ask(running.address());
    await_status(&place.admin(), |status| status["totals"]["in_flight"] == 1);
    running.signal("TERM");
    running.log("SIGTERM: draining");
    running.signal("INT");
    let (code, took) = running.exit();
    assert_eq!(code, 1);
    assert!(took < Duration::from_secs(2), "{took:?}");
    running.log("SIGINT again: cut off 1 requests in flight");
    assert!(!place.admin().exists());
}

#[test]
fn nginx_signals_reopen_are_ignored_or_drain() {
    let place = Place::new(backend(Duration::ZERO), "");
    let mut running = Running::start(&mut place.run());
    let address = running.address();
    running.signal("USR1");
    running.log("0 logs reopened");
    running.signal("USR2"); // nginx's word for an upgrade: it must not kill
    running.log("SIGUSR2 is ignored");
    assert!(get(address).ends_with("hello"));
    running.signal("QUIT"); // nginx's graceful end
    running.log("SIGQUIT: draining");
    running.log("ended in good order");
}

#[test]
fn the_log_goes_into_a_file_and_the_terminal_still_learns_of_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("error.log");
    std::fs::write(&log, "from before\n").unwrap();
    let place = Place::new(backend(Duration::ZERO), &format!("error_log = \"{}\"\n", log.display()));
    let mut running = Running::start(&mut place.run());
    running.address();
    running.signal("TERM");
    assert_eq!(running.exit().0, 0);
    let written = std::fs::read_to_string(&log).unwrap();
    for part in
        ["from before\n", "info  listening on", "info  ready\n", "info  SIGTERM: draining", "ended in good order"]
    {
        assert!(written.contains(part), "{part}: {written}");
    }
}

#[test]
fn a_log_that_nobody_reads_stops_neither_answers_nor_the_end() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'x'; 64 * 1024]).unwrap(); // the pipe is full now
    let place = Place::new(backend(Duration::ZERO), "");
    let child = place.run().stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    let mut running = Running { child, stdout: channel().1, stderr: channel().1, said: String::new() };
    while std::os::unix::net::UnixStream::connect(place.admin()).is_err() {
        assert!(running.child.try_wait().unwrap().is_none(), "it did not start");
        thread::sleep(Duration::from_millis(20));
    }
    let address = status(&place.admin())["listeners"][0]["address"].as_str().unwrap().to_owned();
    assert!(get(address.strip_prefix("http://").unwrap().parse().unwrap()).ends_with("hello"));
    running.signal("TERM");
    assert_eq!(running.exit().0, 0);
    drop(reader);
}

#[test]
fn a_second_one_on_the_same_admin_socket_does_not_start_and_harms_nothing() {
    let place = Place::new(backend(Duration::ZERO), "");
    let mut running = Running::start(&mut place.run());
    let address = running.address();
    let second = place.run().output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("running already"), "{}", text(&second.stderr));
    assert!(get(address).ends_with("hello"));
    assert_eq!(status(&place.admin())["pid"], running.child.id());
}

#[test]
fn the_socket_of_a_killed_one_is_replaced() {
    let place = Place::new(backend(Duration::ZERO), "");
    let mut first = Running::start(&mut place.run());
    first.address();
    drop(first); // SIGKILL
    assert!(place.admin().exists());
    let mut second = Running::start(&mut place.run());
    second.address();
    assert_eq!(status(&place.admin())["pid"], second.child.id());
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named() {
    let output = ran(&["proxy", "--listen", "192.0.2.1:1", "--to", "127.0.0.1:1", "--admin", "off"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("192.0.2.1:1"), "{}", text(&output.stderr));
}

#[test]
fn demo_shows_all_three_and_ends_with_0() {
    let mut running =
        Running::start(&mut ringgate(&["demo", "--balance", "round_robin", "--listen", "127.0.0.1:0", "--no-load"]));
    let url = running.output("Open");
    let address: SocketAddr = url.split("http://").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let answers: Vec<_> = (0..6).map(|_| get(address)).collect();
    for name in ["alder", "birch", "cedar"] {
        assert_eq!(answers.iter().filter(|a| a.contains(&format!("Hello from {name}"))).count(), 2, "{answers:#?}");
    }
    running.output("alder 2 (33 %, 0 in flight)   birch 2 (33 %, 0 in flight)   cedar 2 (33 %, 0 in flight)");
    running.signal("INT");
    assert_eq!(running.exit().0, 0);
}

#[test]
fn demo_gives_the_slow_one_less() {
    let mut running = Running::start(&mut ringgate(&["demo", "--listen", "127.0.0.1:0"]));
    running.output("Open");
    running.output("alder");
    running.signal("TERM");
    assert_eq!(running.exit().0, 0);
    let last = running.output("cedar");
    let share = last.split("cedar ").nth(1).unwrap().split(['(', ' ']).nth(2).unwrap();
    assert!((1..29).contains(&share.parse::<u32>().unwrap()), "{last}");
}

#[test]
fn status_says_when_nobody_is_there() {
    let output = ran(&["status", "--admin", "/nonexistent/ringgate.sock"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is ringgate running?"));
}

#[test]
fn the_version_is_told() {
    let output = ran(&["--version"]);
    assert_eq!(text(&output.stdout), format!("ringgate {}\n", env!("CARGO_PKG_VERSION")));
}
