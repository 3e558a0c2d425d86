//! `ringgate doctor` on this host, as root and as somebody else, with things taken away; and that the commands which cannot start
//! for the same reason say the same.

#[allow(dead_code)] // tests/cli uses all of it, these tests a part
#[path = "cli/started.rs"]
mod started;
#[path = "support/mod.rs"]
mod support;

use serde_json::Value;
use started::{Output, Started};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use support::{Client, PATIENCE, Place, tools};

/// Where this user's pipes and locked memory are counted, one test at a time.
static OF_THE_USER: Mutex<()> = Mutex::new(());

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A user id that nobody has, and that no other test uses.
fn new_user() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    1_000_000 + std::process::id() % 100_000 * 100 + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A folder that everybody may use, with the program in it: not everybody may look into the folder where it was built.
struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Room {
        let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).expect("our own folder");
        // Not by this process: another test's child could hold the copy open for writing, and what is written to does not run.
        let copied =
            Command::new("cp").arg(env!("CARGO_BIN_EXE_ringgate")).arg(folder.path().join("ringgate")).status();
        assert!(copied.is_ok_and(|status| status.success()), "the program can be copied");
        Room { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path
    }

    /// `ringgate` behind other commands (`prlimit --nofile=15`), as the user of this test.
    fn command(&self, before: &[&str], arguments: &[&str]) -> Command {
        let program = self.path().join("ringgate");
        let words: Vec<&str> = before.iter().copied().chain([program.to_str().expect("plain")]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(arguments).current_dir(self.path());
        command.env("XDG_RUNTIME_DIR", self.path()).env("TMPDIR", self.path());
        command
    }

    /// The same as somebody who is not root, and whose pipes and locked memory nobody else uses (if this test is root).
    fn unprivileged(&self, before: &[&str], arguments: &[&str]) -> Command {
        if !is_root() {
            return self.command(before, arguments);
        }
        let own = new_user();
        let (uid, gid) = (format!("--reuid={own}"), format!("--regid={own}"));
        let setpriv = ["setpriv", &uid, &gid, "--clear-groups", "--inh-caps=-all"];
        self.command(&[&setpriv, before].concat(), arguments)
    }
}

#[track_caller]
fn run(mut command: Command) -> Output {
    Started::new(&mut command).wait(PATIENCE)
}

/// The report of `doctor --json`; the exit code fits it.
#[track_caller]
fn report(command: Command) -> Value {
    let output = run(command);
    let report: Value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(output.code, Some(if report["can_run"] == true { 0 } else { 1 }), "{output:?}");
    report
}

#[track_caller]
fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("a list");
    findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no {check}: {report:#}"))
}

fn text<'a>(finding: &'a Value, name: &str) -> &'a str {
    finding[name].as_str().unwrap_or_else(|| panic!("no {name}: {finding}"))
}

/// What a command that could not start says: the finding's message, its cures, and where to learn more.
#[track_caller]
fn expect_same_words(finding: &Value, output: &Output) {
    assert_eq!(output.code, Some(1), "{output:?}");
    let cures = finding["cures"].as_array().expect("a list");
    assert!(!cures.is_empty(), "{finding}");
    let words = cures.iter().map(|cure| text(cure, "command")).chain([text(finding, "message"), "> ringgate doctor"]);
    words.for_each(|words| assert!(output.err.contains(words), "no `{words}` in {}", output.err));
    assert!(!output.err.contains("panicked"), "{}", output.err);
    assert!(output.err.lines().count() <= 6, "short: {}", output.err);
}

const PROXY: [&str; 7] = ["proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--admin", "off"];
const TCP: [&str; 7] = ["tcp", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--admin", "off"];
const CONFIG: &str =
    "admin = \"off\"\n[[server]]\nlisten = \"127.0.0.1:0\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:9\"\n";

#[test]
fn this_host_is_healthy_for_root_and_for_others() {
    let _alone = OF_THE_USER.lock().unwrap_or_else(PoisonError::into_inner);
    let room = Room::new();
    for (who, command) in [("own", room.command(&[], &["doctor"])), ("other", room.unprivileged(&[], &["doctor"]))] {
        let output = run(command);
        assert_eq!((output.code, &*output.err), (Some(0), ""), "{who}: {}", output.out);
        assert!(output.out.contains("\nok       io_uring"), "{who}: {}", output.out);
        assert!(!output.out.contains("\nproblem"), "{who}: {}", output.out);
        let verdict = output.out.lines().last().unwrap_or_default();
        assert!(verdict.starts_with("ringgate can run here"), "{who}: {}", output.out);
    }
}

#[test]
fn the_report_for_programs_has_its_fields() {
    let room = Room::new();
    let file = room.file("own.toml", &format!("workers = 3\nworker_connections = 1000\n{CONFIG}"));
    let report = report(room.command(&[], &["doctor", "--json", "-c", file.to_str().expect("plain")]));
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&report["workers"], &report["worker_connections"]), (&3.into(), &1000.into()));
    assert_eq!(report["config"], file.to_str().expect("plain"));
    assert_eq!(report["can_run"], true);
    assert!(matches!(report["level"].as_str(), Some("ok" | "warning")), "{report:#}");
    let findings = report["findings"].as_array().expect("a list");
    for finding in findings {
        assert!(matches!(text(finding, "level"), "ok" | "warning"), "{finding}");
        assert!(!text(finding, "check").is_empty() && !text(finding, "message").is_empty());
        let cures = finding["cures"].as_array().expect("a list");
        assert_eq!(
            cures.is_empty(),
            finding["level"] == "ok",
            "a cure for what is not ok, and only for that: {finding}"
        );
        cures.iter().for_each(|cure| assert!(!text(cure, "command").is_empty() && cure["note"].is_string()));
    }
    assert!((8..=13).contains(&findings.len()), "about a dozen: {report:#}");
    assert!(text(finding(&report, "io_uring"), "message").contains("3 workers"));
}

#[test]
fn a_configuration_with_errors_is_not_judged() {
    let room = Room::new();
    let file = room.file("bad.toml", "wokers = 1\n");
    let output = run(room.command(&[], &["doctor", "-c", file.to_str().expect("plain")]));
    assert_eq!((output.code, &*output.out), (Some(1), ""), "{output:?}");
    assert!(
        output.err.contains("bad.toml:1:1: error: ") && output.err.contains("nothing was judged"),
        "{}",
        output.err
    );
}

/// A seccomp filter, as container runtimes set one, for this process only.
const FILTER: &str = r#"
import ctypes, os, struct, sys
call, errno = int(sys.argv[1]), int(sys.argv[2])
code = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x50000 | errno), (0x06, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0, "no_new_privs"
assert prctl(22, 2, ctypes.byref(Program(len(code), ctypes.addressof(program))), 0, 0) == 0, "seccomp"
os.execv(sys.argv[3], sys.argv[3:])
"#;

#[test]
fn a_seccomp_filter_is_named_by_all() {
    const TEST: &str = "a_seccomp_filter_is_named_by_all";
    let Some(python) = tools::python(TEST, &["ctypes"]) else { return };
    let (setup, enter) = ("425", "426"); // the same on all architectures
    let room = Room::new();
    let file = room.file("run.toml", CONFIG);
    for (call, errno) in [(setup, libc::EPERM), (enter, libc::EPERM), (setup, libc::ENOSYS)] {
        let errno = errno.to_string();
        let before = [python.to_str().expect("plain"), "-c", FILTER, call, &errno];
        if errno == libc::ENOSYS.to_string() && !Path::new("/proc/sys/kernel/io_uring_disabled").exists() {
            continue; // from here it looks like a kernel without io_uring
        }
        let report = report(room.command(&before, &["doctor", "--json"]));
        let finding = finding(&report, "io_uring");
        assert_eq!((&report["can_run"], &finding["level"]), (&false.into(), &"problem".into()), "{report:#}");
        assert!(text(finding, "message").contains("a seccomp filter"), "{finding}");
        let cures = finding["cures"].to_string();
        assert!(cures.contains("seccomp") || cures.contains("SystemCallFilter"), "{cures}");
        let run_file = ["run", "-c", file.to_str().expect("plain")];
        for arguments in [&PROXY[..], &TCP, &run_file, &["demo", "--listen", "127.0.0.1:0"]] {
            expect_same_words(finding, &run(room.command(&before, arguments)));
        }
    }
}

#[test]
fn too_few_open_files_are_told_in_one_line() {
    let room = Room::new();
    let file = room.file("run.toml", CONFIG);
    let tight = ["prlimit", "--nofile=15"];
    let file = file.to_str().expect("plain");
    let of_doctor = report(room.command(&tight, &["doctor", "--json", "-c", file]));
    let finding = finding(&of_doctor, "open files");
    assert_eq!(finding["level"], "problem", "{finding}");
    assert!(text(finding, "message").contains("the limit on open files is 15, too low"), "{finding}");
    expect_same_words(finding, &run(room.command(&tight, &["run", "-c", file])));
    for arguments in [&PROXY[..], &TCP, &["demo", "--listen", "127.0.0.1:0"]] {
        let output = run(room.command(&tight, arguments));
        assert_eq!(output.code, Some(1), "{output:?}");
        let first = output.err.lines().next().unwrap_or_default();
        assert!(first.starts_with("ringgate: the limit on open files is 15, too low"), "{}", output.err);
        assert!(!output.err.contains("panicked"), "{}", output.err);
    }
}

/// What is said to be needed is enough: with just so many, it starts, answers and ends.
#[test]
fn as_many_open_files_as_it_asks_for_are_enough() {
    let room = Room::new();
    let refused = run(room.command(&["prlimit", "--nofile=15"], &PROXY)).err;
    let needed = refused.split("starting alone takes ").nth(1).and_then(|rest| rest.lines().next()).expect("a number");
    let limit = format!("--nofile={}", needed.replace(',', ""));
    let started = Started::new(&mut room.command(&["prlimit", &limit], &PROXY));
    let place = started.expect("address", |out, err| {
        err.lines().find(|line| line.ends_with(" ready"))?;
        Some(Place::parse(out.lines().find_map(|line| line.split_once("http://"))?.1.trim_end_matches('/')))
    });
    assert_eq!(Client::connect(&place).get("/").status(), 502, "nobody is behind it");
    started.signal("TERM");
    assert_eq!(started.wait(PATIENCE).code, Some(0));
}

#[test]
fn too_little_locked_memory_is_told_to_users() {
    let _alone = OF_THE_USER.lock().unwrap_or_else(PoisonError::into_inner);
    let room = Room::new();
    let file = room.file("run.toml", &format!("workers = 2\n{CONFIG}"));
    let file = file.to_str().expect("plain");
    let (doctor, start) = (["doctor", "--json", "-c", file], ["run", "-c", file]);
    // Two rings of 276 KiB and one of 8.
    let (short, enough) = (["prlimit", "--memlock=573439"], ["prlimit", "--memlock=573440"]);
    let refused = report(room.unprivileged(&short, &doctor));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("it is there");
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    if (numbers.next(), numbers.next()) < (Some(6), Some(14)) {
        assert_eq!(refused["can_run"], true, "this kernel does not charge rings: {refused:#}");
        return;
    }
    let finding = finding(&refused, "io_uring");
    assert_eq!(finding["level"], "problem", "{refused:#}");
    assert!(text(finding, "message").contains("the rings of 2 workers take 560.0 KiB"), "{finding}");
    expect_same_words(finding, &run(room.unprivileged(&short, &start)));
    // The memory of rings is given back late, so one user may have to wait for what it had before.
    support::wait_until("the rings fit", || report(room.unprivileged(&enough, &doctor))["can_run"] == true);
    support::wait_until("it starts", || {
        let started = Started::new(&mut room.unprivileged(&enough, &start));
        let ready = started.expect("start or refusal", |_, err| {
            let ready = err.lines().any(|line| line.ends_with(" ready"));
            (ready || err.contains("ringgate: ")).then_some(ready)
        });
        if ready {
            started.signal("TERM");
        }
        started.wait(PATIENCE).code == Some(0)
    });
}

/// As the user given (if it may), makes pipes of 1 MiB until that user may have no more, then runs the rest of its arguments.
const PIPES: &str = r#"
import fcntl, os, subprocess, sys
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(*[int(sys.argv[1])] * 3)
    os.setresuid(*[int(sys.argv[1])] * 3)
pipes, used_up = [], False
while not used_up and len(pipes) < 4000:
    pipes.append(os.pipe())
    try:
        fcntl.fcntl(pipes[-1][1], fcntl.F_SETPIPE_SZ, 1 << 20)
    except PermissionError:
        used_up = fcntl.fcntl(pipes[-1][1], fcntl.F_GETPIPE_SZ) < 65536
print("used up" if used_up else "endless", file=sys.stderr)
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"#;

#[test]
fn used_up_pipes_are_found() {
    const TEST: &str = "used_up_pipes_are_found";
    let Some(python) = tools::python(TEST, &["fcntl"]) else { return };
    let soft = std::fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft").unwrap_or_default();
    if !(1..=262_144).contains(&soft.trim().parse().unwrap_or(0)) {
        return tools::skip(TEST, "here users may have as many pipes as they like");
    }
    let _alone = OF_THE_USER.lock().unwrap_or_else(PoisonError::into_inner);
    let room = Room::new();
    let user = new_user().to_string();
    let output = run(room.command(&[python.to_str().expect("plain"), "-c", PIPES, &user], &["doctor"]));
    assert!(output.err.contains("used up"), "{output:?}");
    assert_eq!(output.code, Some(0), "it is slower, but runs: {output:?}");
    let line =
        output.out.lines().find(|line| line.starts_with("warning  pipes")).unwrap_or_else(|| panic!("{output:?}"));
    assert!(line.contains("KiB instead of 256.0 KiB") && line.contains("used up"), "{line}");
    assert!(output.out.contains("> sysctl -w fs.pipe-user-pages-soft="), "{}", output.out);
}

#[test]
fn a_low_port_needs_rights() {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if first.trim().parse::<u16>().is_ok_and(|first| first <= 79) {
        return tools::skip("a_low_port_needs_rights", "here every user may listen on port 79");
    }
    let room = Room::new();
    let file = room.file("low.toml", &CONFIG.replace("127.0.0.1:0", "127.0.0.1:79"));
    let file = file.to_str().expect("plain");
    let report = report(room.unprivileged(&[], &["doctor", "--json", "-c", file]));
    let finding = finding(&report, "listening");
    assert_eq!((&report["can_run"], &finding["level"]), (&false.into(), &"problem".into()), "{report:#}");
    let said = run(room.unprivileged(&[], &["run", "-c", file]));
    assert_eq!(said.code, Some(1), "{said:?}");
    let words = finding["cures"].as_array().expect("a list").iter().map(|cure| text(cure, "command"));
    for words in words.chain(["need root or CAP_NET_BIND_SERVICE", "> ringgate doctor"]) {
        assert!(said.err.contains(words), "no `{words}` in {}", said.err);
    }
}

#[test]
fn the_cpus_that_may_be_used_are_counted() {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is there");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("it is listed").trim();
    let first = list.split([',', '-']).next().expect("at least one");
    let room = Room::new();
    let report = report(room.command(&["taskset", "-c", first], &["doctor", "--json"]));
    assert_eq!(report["workers"], 1, "{report:#}");
    let cpus = finding(&report, "CPUs");
    assert_eq!(cpus["level"], "ok");
    if list != first {
        assert!(text(cpus, "message").starts_with("1 of "), "{cpus}");
    }
}
