//! ACME challenges by HTTP (RFC 8555 8.3): answers that a client such as certbot lays into a webroot.

use crate::limits::{ACME_ANSWER_MAX, ACME_QUEUE_MAX, ACME_TOKEN_MAX};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, oneshot};

/// Where challenges are looked for, in URLs and beneath the webroot alike.
const FOLDER: &str = "/.well-known/acme-challenge/";

/// The token of a path that is about a challenge.
pub fn token(path: &str) -> Option<&str> {
    path.strip_prefix(FOLDER)
}

/// The answer to a challenge, or why there is none: a sentence that names the file.
pub type Answer = Result<Vec<u8>, String>;

struct Question {
    root: PathBuf,
    token: String,
    answer: oneshot::Sender<Answer>,
}

/// Where a worker asks. The thread that reads begins with the first question, since nearly all workers never have one, and ends with
/// the desk.
#[derive(Debug, Default)]
pub struct Desk(RefCell<Option<mpsc::Sender<Question>>>);

impl Desk {
    /// Asks for the answer beneath the webroot `root`. `Err`: too many ask, or no thread can be had. An answer that never comes is
    /// an error of the receiver's.
    pub fn ask(&self, root: &Path, token: &str) -> Result<oneshot::Receiver<Answer>, String> {
        let (answer, receiver) = oneshot::channel();
        if !is_token(token) {
            let _ = answer.send(Err(format!("{:?} is not a token", shown(token))));
            return Ok(receiver);
        }
        let mut queue = self.0.borrow_mut();
        // Also a new one where the thread ended, by a panic of ours.
        if queue.as_ref().is_none_or(mpsc::Sender::is_closed) {
            *queue = Some(start().map_err(|error| format!("no thread to read files: {error}"))?);
        }
        let question = Question { root: root.to_owned(), token: token.to_owned(), answer };
        let sent = queue.as_ref().map(|queue| queue.try_send(question));
        match sent {
            Some(Ok(())) => Ok(receiver),
            _ => Err(format!("{ACME_QUEUE_MAX} challenges wait to be read")),
        }
    }
}

fn start() -> io::Result<mpsc::Sender<Question>> {
    let (sender, mut questions) = mpsc::channel::<Question>(ACME_QUEUE_MAX);
    std::thread::Builder::new().name("ringgate-files".to_owned()).spawn(move || {
        while let Some(Question { root, token, answer }) = questions.blocking_recv() {
            let _ = answer.send(read(&root, &token)); // whoever asked may have gone
        }
    })?;
    Ok(sender)
}

/// RFC 8555 8.3: the alphabet of base64url.
fn is_token(token: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=ACME_TOKEN_MAX).contains(&token.len()) && token.bytes().all(is_known)
}

/// So much of a text as a log line needs.
fn shown(token: &str) -> String {
    token.chars().take(ACME_TOKEN_MAX).collect()
}

/// Reads one answer. The kernel keeps the way beneath the root; the root itself may be a symbolic link.
fn read(root: &Path, token: &str) -> Answer {
    let relative = format!("{}{token}", &FOLDER[1..]);
    let path = root.join(&relative);
    let failed = |error: io::Error| match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP) => format!("{}: a symbolic link beneath the webroot is not followed", path.display()),
        _ => format!("{}: {error}", path.display()),
    };
    let flags = OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::PATH;
    let root = openat(CWD, root, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    // NONBLOCK: a pipe that lies there must not be waited for.
    let flags = OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = openat2(&root, &relative, flags, Mode::empty(), resolve).map_err(|error| failed(error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("{}: not a regular file", path.display()));
    }
    let mut bytes = Vec::new();
    file.take(ACME_ANSWER_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > ACME_ANSWER_MAX {
        true => Err(format!("{}: more than {ACME_ANSWER_MAX} bytes", path.display())),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn webroot() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER.trim_matches('/'));
        fs::create_dir_all(&folder).unwrap();
        (root, folder)
    }

    fn ask(desk: &Desk, root: &Path, token: &str) -> Answer {
        desk.ask(root, token).unwrap().blocking_recv().unwrap()
    }

    #[test]
    fn paths_have_tokens_or_not() {
        let rows = [
            ("/.well-known/acme-challenge/abc", Some("abc")),
            ("/.well-known/acme-challenge/", Some("")),
            ("/.well-known/acme-challenge/a/b", Some("a/b")),
            ("/.well-known/acme-challenge", None),
            ("/x/.well-known/acme-challenge/abc", None),
            ("/.Well-known/acme-challenge/abc", None),
        ];
        for (path, wanted) in rows {
            assert_eq!(token(path), wanted, "{path}");
        }
    }

    #[test]
    fn answers_are_read() {
        let (root, folder) = webroot();
        let largest = "x".repeat(ACME_ANSWER_MAX as usize);
        for (token, text) in
            [("a-Z_9", "a-Z_9.thumb"), ("empty", ""), ("largest", &largest), (&"t".repeat(128), "long")]
        {
            fs::write(folder.join(token), text).unwrap();
            assert_eq!(ask(&Desk::default(), root.path(), token), Ok(text.as_bytes().to_vec()), "{token}");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(root.path(), elsewhere.path().join("root")).unwrap();
        assert_eq!(ask(&Desk::default(), &elsewhere.path().join("root"), "largest"), Ok(largest.into_bytes()));
    }

    #[test]
    fn what_is_no_answer_is_said() {
        let (root, folder) = webroot();
        fs::write(root.path().join("secret"), "secret").unwrap();
        fs::write(folder.join("too-large"), "x".repeat(ACME_ANSWER_MAX as usize + 1)).unwrap();
        fs::create_dir(folder.join("folder")).unwrap();
        symlink(root.path().join("secret"), folder.join("link")).unwrap();
        symlink("too-large", folder.join("near")).unwrap();
        rustix::fs::mknodat(CWD, folder.join("pipe"), rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let desk = Desk::default();
        let rows = [
            ("missing", "No such file"),
            ("too-large", "more than 4096 bytes"),
            ("folder", "not a regular file"),
            ("pipe", "not a regular file"),
            ("link", "symbolic link"),
            ("near", "symbolic link"),
        ];
        for (token, part) in rows {
            let error = ask(&desk, root.path(), token).unwrap_err();
            assert!(error.contains(part) && error.contains(folder.join(token).to_str().unwrap()), "{error}");
        }
        let long = "t".repeat(129);
        for token in ["", ".", "..", "../../secret", "a/b", "a.b", "a b", "a\0", "\u{e9}", "a%2f", &long] {
            let error = ask(&desk, root.path(), token).unwrap_err();
            assert!(error.contains("not a token") && error.len() < 300, "{error}");
        }
        let error = ask(&desk, &root.path().join("nowhere"), "abc").unwrap_err();
        assert!(error.contains("nowhere/.well-known/acme-challenge/abc: No such file"), "{error}");
        // A folder on the way that leads elsewhere.
        let (outer, outer_folder) = webroot();
        fs::remove_dir(&outer_folder).unwrap();
        symlink(&folder, &outer_folder).unwrap();
        fs::write(folder.join("there"), "there").unwrap();
        assert!(ask(&desk, outer.path(), "there").unwrap_err().contains("symbolic link"));
        if !rustix::process::geteuid().is_root() {
            fs::set_permissions(folder.join("there"), fs::Permissions::from_mode(0o000)).unwrap();
            assert!(ask(&desk, root.path(), "there").unwrap_err().contains("ermission denied"));
        }
    }

    #[test]
    fn a_full_queue_is_said_and_a_thread_that_ended_is_replaced() {
        let (root, folder) = webroot();
        fs::write(folder.join("abc"), "abc").unwrap();
        // A queue that nobody empties.
        let (sender, questions) = mpsc::channel(1);
        let desk = Desk(RefCell::new(Some(sender)));
        let waiting = desk.ask(root.path(), "abc").unwrap();
        assert!(desk.ask(root.path(), "abc").is_err());
        drop(questions);
        assert!(waiting.blocking_recv().is_err());
        assert_eq!(ask(&desk, root.path(), "abc"), Ok(b"abc".to_vec()));
    }
}
