//! Real servers as backends, each in a folder and on an address of its own; they end with their owner.

use super::{PATIENCE, Place, tools};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// A running server.
pub struct Server {
    child: Child,
    pub place: Place,
    folder: tempfile::TempDir,
    /// The signal that asks it to end.
    pub stop: &'static str,
}

impl Server {
    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder().join("log")).expect("a log")).into_owned()
    }

    /// Starts it and waits until `place` finds its address in what it printed, and it accepts there.
    #[track_caller]
    pub fn start(command: &mut Command, place: impl Fn(&str) -> Option<Place>, folder: tempfile::TempDir) -> Server {
        // Its output goes to a file: it must not stop because nobody reads a pipe.
        let log = folder.path().join("log");
        let file = std::fs::File::create(&log).expect("a log");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a descriptor")).stderr(file);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if let Some(place) = place(&text)
                && super::Stream::connect(&place).is_ok()
            {
                return Server { child, place, folder, stop: "TERM" };
            }
            let ended = child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none() && Instant::now() < deadline, "{command:?}: {ended:?}\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Politely: some have children of their own.
        tools::signal(self.child.id(), self.stop);
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago, for servers that do not tell which one the kernel chose. It is below those that the kernel
/// gives to clients, so that none of them takes it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(7919);
    let candidate = || 10_000 + (begin.wrapping_add(NEXT.fetch_add(1, SeqCst)) % 22_000) as u16;
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(candidate).take(1000).find(is_free).expect("a free port")
}

/// A folder that any user may look into.
#[track_caller]
pub fn open_folder(prefix: &str) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir().expect("a temporary folder");
    let open: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("our own folder");
    folder
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}
