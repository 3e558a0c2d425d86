//! Programs that some tests need. A missing one skips its test with a plain line, except in CI, where it fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Says on the real standard error (not the one that the test harness captures) why a test did not run.
#[track_caller]
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test}: {why}, and in CI nothing is skipped");
    cannot_run(test, why);
}

/// The same for what this machine or user cannot do at all, in CI neither.
pub fn cannot_run(test: &str, why: &str) {
    let line = format!("SKIPPED {test}: {why}\n");
    match std::fs::OpenOptions::new().append(true).open("/dev/stderr") {
        Ok(mut stderr) => drop(stderr.write_all(line.as_bytes())),
        Err(_) => eprint!("{line}"),
    }
}

/// The path of a program; `None` (and a line that says so) if it is not installed.
#[track_caller]
pub fn find(test: &str, tool: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.extend(std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo/bin")));
    let found = folders.into_iter().map(|folder| folder.join(tool)).find(|path| path.is_file());
    if found.is_none() {
        skip(test, &format!("{tool} is not installed"));
    }
    found
}

/// python3, if it is installed with these modules.
#[track_caller]
pub fn python(test: &str, modules: &[&str]) -> Option<PathBuf> {
    let python = find(test, "python3")?;
    for module in modules {
        let mut import = Command::new(&python);
        import.args(["-c", &format!("import {module}")]).stdout(Stdio::null()).stderr(Stdio::null());
        if !import.status().is_ok_and(|status| status.success()) {
            skip(test, &format!("the Python module {module} is not installed"));
            return None;
        }
    }
    Some(python)
}

/// What a program printed.
pub struct Printed {
    pub out: Vec<u8>,
    pub err: String,
}

impl Printed {
    /// Its standard output.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// Runs a program to its end; it must succeed within so many seconds.
#[track_caller]
pub fn succeed(program: &Path, arguments: &[&str], seconds: u32) -> Printed {
    let mut command = bounded(program, seconds);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let printed = Printed { out: output.stdout, err: String::from_utf8_lossy(&output.stderr).into_owned() };
    assert!(output.status.success(), "{command:?}: {}\n{}\n{}", output.status, printed.text(), printed.err);
    printed
}

/// A command that is killed after so many seconds, whatever becomes of the test.
pub fn bounded(program: &Path, seconds: u32) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", &seconds.to_string()]).arg(program);
    command
}

/// For Chromium: print the page as it stands after its scripts, and ask nobody else.
pub const HEADLESS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--virtual-time-budget=15000",
    "--dump-dom",
];

/// Sends a signal (`TERM`, `INT`, `STOP`, ...) to a process.
#[track_caller]
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().expect("sh runs");
    assert!(status.success(), "kill -{name} {pid}: {status}");
}

/// A child process that ends with its owner.
pub struct Daemon(pub std::process::Child);

impl Daemon {
    /// Starts it with its output thrown away.
    #[track_caller]
    pub fn start(command: &mut Command) -> Daemon {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Daemon(child.unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
