//! Where the kernel gives no pipes, or small ones, bodies are copied: as correctly, and counted.

use super::peers::{Body, Frames, Pace, backend, download, upload};
use super::support::server::{is_root, open_folder};
use super::support::tools::{self, Daemon};
use super::support::{Backend, Ringgate, Setup, Status, wait_until};
use super::{expect_idle, moved};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LENGTH: u64 = 64 * 1024 * 1024;

/// ringgate with one worker, started by a command that becomes it: `prefix ringgate run -c FILE`.
#[track_caller]
fn start(backend: &Backend, folder: tempfile::TempDir, program: &Path, prefix: &[&str]) -> Ringgate {
    let dir = folder.path().to_str().expect("a plain name").to_owned();
    let file = folder.path().join("ringgate.toml");
    std::fs::write(&file, Setup::proxy(&[backend.place()]).workers(1).text().replace("{dir}", &dir)).expect("a file");
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).arg(program).arg("run").arg("-c").arg(file);
    Ringgate::launch(folder, command)
}

/// Bodies go both ways whole; returns the status then.
#[track_caller]
fn bodies(ringgate: &Ringgate, backend: &Backend) -> Status {
    let before = ringgate.status();
    for frames in [Frames::Length, Frames::Large] {
        let mut client = ringgate.client();
        upload(&mut client, Body::new(1, LENGTH, frames), Pace::Fast);
        download(&mut client, Body::new(2, LENGTH, frames), Pace::Fast);
    }
    expect_idle(ringgate, backend, &before);
    ringgate.status()
}

/// The smallest limit on a process's descriptors that lets it open so many more. The limit is on their numbers, and inherited
/// ones may be beyond it.
#[track_caller]
fn limit_with_room_for(more: usize, pid: u32) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<usize>().ok();
    let open: std::collections::BTreeSet<usize> = entries.filter_map(name).collect();
    (1..).find(|&limit| limit - open.range(..limit).count() == more).expect("numbers are endless")
}

#[test]
fn without_descriptors_for_pipes_bodies_are_copied() {
    const TEST: &str = "without_descriptors_for_pipes_bodies_are_copied";
    let Some(prlimit) = tools::find(TEST, "prlimit") else { return };
    let backend = backend();
    let ringgate = Setup::proxy(&[backend.place()]).workers(1).start();
    // The connection of the last question for its status may still be closing.
    let look = |_| {
        std::thread::sleep(Duration::from_millis(10));
        limit_with_room_for(3, ringgate.pid())
    };
    // A client, its backend, and a question to the admin socket; a pipe would need two. Set later: it would not start so.
    let limit = (0..50).map(look).min().expect("fifty");
    tools::succeed(&prlimit, &["--pid", &ringgate.pid().to_string(), &format!("--nofile={limit}:{limit}")], 10);
    let status = bodies(&ringgate, &backend);
    assert!(status.total("pipe_failures") > 0, "{}", status.text());
    assert_eq!((moved(&ringgate).0, status.total("pipes_shrunken")), (0, 0));
}

/// Pages of pipes that an unprivileged user may have before the kernel shrinks further ones.
fn soft_limit() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft").expect("every Linux has it");
    text.trim().parse().expect("a number")
}

/// Pipes of a user, in pages, until it ends.
const HOLD: &str = "
import fcntl, os, sys, time
left, pipes = int(sys.argv[1]), []
while left > 0:
    # A new pipe has 16 pages, and its size is a power of two.
    pages = max(p for p in (1, 2, 4, 8, 16, 32, 64, 128, 256) if p <= left)
    pipes.append(os.pipe())
    fcntl.fcntl(pipes[-1][1], 1031, pages * 4096)
    left -= pages
print(len(pipes), file=open(sys.argv[2], 'w'), flush=True)
time.sleep(120)
";

/// A ringgate whose user has `left` pages for pipes left. Each test has a user of its own, whom nobody else uses.
#[track_caller]
fn with_pages_left(test: &str, user: u32, left: u64) -> Option<(Ringgate, Backend, Daemon)> {
    let (python, setpriv) = (tools::find(test, "python3")?, tools::find(test, "setpriv")?);
    // Of several, the system's: others may lie where that user may not go.
    let python = Some(PathBuf::from("/usr/bin/python3")).filter(|path| path.is_file()).unwrap_or(python);
    if !is_root() {
        tools::cannot_run(test, "only root can act as another user");
        return None;
    }
    if soft_limit() == 0 {
        tools::cannot_run(test, "fs.pipe-user-pages-soft is 0, no limit");
        return None;
    }
    let backend = backend();
    let folder = open_folder("ringgate-fallback-");
    std::os::unix::fs::chown(folder.path(), Some(user), Some(user)).expect("root may");
    // The build folder may be closed to others.
    let program = folder.path().join("ringgate");
    std::fs::copy(env!("CARGO_BIN_EXE_ringgate"), &program).expect("a copy");
    let held = folder.path().join("held");
    let (id, setpriv) = (user.to_string(), setpriv.to_str().expect("a plain path").to_owned());
    let as_user = [&setpriv, "--reuid", &id, "--regid", &id, "--clear-groups", "--"];
    let mut command = Command::new(&setpriv);
    command.args(&as_user[1..]).arg(python).args(["-c", HOLD, &(soft_limit() - left).to_string()]).arg(&held);
    let holder = Daemon::start(&mut command);
    wait_until("the pages are held", || std::fs::read_to_string(&held).is_ok_and(|text| text.ends_with('\n')));
    Some((start(&backend, folder, &program, &as_user), backend, holder))
}

#[test]
fn pipes_of_two_pages_are_not_used() {
    let Some((ringgate, backend, holder)) = with_pages_left("pipes_of_two_pages_are_not_used", 61_871, 0) else {
        return;
    };
    let status = bodies(&ringgate, &backend);
    assert!(status.total("pipe_failures") > 0 && status.total("pipes_shrunken") > 0, "{}", status.text());
    assert_eq!(moved(&ringgate).0, 0, "{}", status.text());
    // When there are pages again, pipes are used again.
    drop(holder);
    let spliced = || {
        download(&mut ringgate.client(), Body::new(3, LENGTH, Frames::Length), Pace::Fast);
        moved(&ringgate).0
    };
    wait_until("bodies are spliced again", || spliced() > LENGTH * 95 / 100);
}

#[test]
fn pipes_of_sixteen_pages_are_used_and_counted() {
    let left = with_pages_left("pipes_of_sixteen_pages_are_used_and_counted", 61_872, 32);
    let Some((ringgate, backend, _holder)) = left else { return };
    let status = bodies(&ringgate, &backend);
    assert!(status.total("pipes_shrunken") > 0, "{}", status.text());
    assert_eq!(status.total("pipe_failures"), 0, "{}", status.text());
    let (spliced, copied) = moved(&ringgate);
    assert!(spliced as f64 >= 0.95 * (spliced + copied) as f64, "{spliced} spliced, {copied} copied");
}
