//! nginx's `auth_basic`: names and passwords looked up in htpasswd files. Reading files and hashing passwords would hold a worker up (bcrypt:
//! 50 ms and more), so a thread of its own does both, with less right to its CPU than the worker. What was right once is remembered.

mod file;
mod hash;

use crate::limits::{AUTH_KNOWN_MAX, AUTH_KNOWN_TIME, AUTH_LOOK_INTERVAL, AUTH_QUEUE_MAX};
use crate::proto::authorization::Basic;
use aws_lc_rs::hmac;
use file::{Files, Identity};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// What is said of a name and a password. Texts are for the log and name the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// They are right, by this file.
    Right(Identity),
    /// They are not.
    Wrong(String),
    /// What the file has for this name is no hash that can be verified.
    Unusable(String),
    /// The file is not there.
    Missing(String),
    /// It cannot be read.
    Unreadable(String),
}

/// A keyed hash of file, name and password: what is remembered tells nobody a password.
type Tag = [u8; 32];

/// What was right.
struct Known {
    file: Identity,
    /// When the password was hashed, and when the file was last seen unchanged, in milliseconds.
    hashed: u64,
    looked: u64,
}

struct Question {
    path: PathBuf,
    basic: Basic,
    /// They were right by this file: if it is still the same, they are.
    known: Option<Identity>,
    answer: oneshot::Sender<Answer>,
}

/// Where a worker asks. The thread begins with the first question and ends with the desk.
pub struct Desk {
    queue: RefCell<Option<mpsc::Sender<Question>>>,
    known: RefCell<HashMap<Tag, Known>>,
    key: hmac::Key,
}

/// What a question comes to.
pub enum Asked {
    /// They are right: they were a moment ago.
    Right,
    /// The answer is on its way; one that never comes is an error of the receiver's. It is to be handed to [`Desk::remember`].
    Waits(Pending, oneshot::Receiver<Answer>),
}

/// A question that was sent.
pub struct Pending {
    tag: Tag,
    was_known: bool,
}

impl Default for Desk {
    fn default() -> Self {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).expect("a kernel that runs us has randomness");
        Self { queue: RefCell::default(), known: RefCell::default(), key: hmac::Key::new(hmac::HMAC_SHA256, &key) }
    }
}

impl Desk {
    /// Asks whether `basic` is right by the file at `path`, at `now` in milliseconds. `Err`: too many ask, or no thread can be had.
    pub fn ask(&self, path: &Path, basic: &Basic, now: u64) -> Result<Asked, String> {
        let tag = self.tag(path, basic);
        let known = match self.known.borrow().get(&tag) {
            Some(known) if now < known.looked + AUTH_LOOK_INTERVAL => return Ok(Asked::Right),
            Some(known) if now < known.hashed + AUTH_KNOWN_TIME => Some(known.file),
            _ => None,
        };
        let (answer, receiver) = oneshot::channel();
        let was_known = known.is_some();
        let question = Question { path: path.to_owned(), basic: basic.clone(), known, answer };
        let mut queue = self.queue.borrow_mut();
        // Also a new one where the thread ended, by a panic of ours.
        if queue.as_ref().is_none_or(mpsc::Sender::is_closed) {
            *queue = Some(start().map_err(|error| format!("no thread to look passwords up: {error}"))?);
        }
        match queue.as_ref().is_some_and(|queue| queue.try_send(question).is_ok()) {
            true => Ok(Asked::Waits(Pending { tag, was_known }, receiver)),
            false => Err(format!("{AUTH_QUEUE_MAX} passwords wait to be looked at")),
        }
    }

    /// Remembers the answer to a question; what is wrong is forgotten.
    pub fn remember(&self, pending: &Pending, answer: &Answer, now: u64) {
        let mut known = self.known.borrow_mut();
        let Answer::Right(file) = *answer else {
            known.remove(&pending.tag);
            return;
        };
        if let Some(known) = known.get_mut(&pending.tag) {
            // Hashed anew unless it was enough to look at the file.
            let is_same = pending.was_known && known.file == file;
            (known.file, known.looked) = (file, now);
            known.hashed = if is_same { known.hashed } else { now };
            return;
        }
        if known.len() >= AUTH_KNOWN_MAX {
            known.retain(|_, known| now < known.looked + AUTH_KNOWN_TIME);
        }
        // Names that browse are in it soon again.
        if known.len() >= AUTH_KNOWN_MAX {
            known.clear();
        }
        known.insert(pending.tag, Known { file, hashed: now, looked: now });
    }

    fn tag(&self, path: &Path, basic: &Basic) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [path.as_os_str().as_bytes(), &basic.user, &basic.password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut tag = Tag::default();
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

fn start() -> io::Result<mpsc::Sender<Question>> {
    let (sender, mut questions) = mpsc::channel::<Question>(AUTH_QUEUE_MAX);
    std::thread::Builder::new().name("ringgate-auth".to_owned()).spawn(move || {
        // It has its worker's CPU: a flood of passwords must not take half of it. Without the right to do so it is as it was.
        let _ = rustix::process::setpriority_process(None, 10);
        let mut files = Files::default();
        while let Some(question) = questions.blocking_recv() {
            // Whoever asked may have gone.
            if !question.answer.is_closed() {
                let answer = look(&mut files, &question, Instant::now());
                let _ = question.answer.send(answer);
            }
        }
    })?;
    Ok(sender)
}

/// Looks a password up.
fn look(files: &mut Files, question: &Question, now: Instant) -> Answer {
    let Question { path, basic: Basic { user, password }, known, .. } = question;
    let shown = String::from_utf8_lossy(&user[..user.len().min(64)]).into_owned();
    let file = match files.get(path, now) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Answer::Missing(format!("{}: {error}", path.display()));
        }
        Err(error) => return Answer::Unreadable(format!("{}: {error}", path.display())),
    };
    if *known == Some(file.identity) {
        return Answer::Right(file.identity);
    }
    let Some(stored) = file.of(user) else {
        // As long as with a name that is there: the time tells nobody which names there are.
        let _ = file.any().map(|stored| hash::verify(stored, password));
        return Answer::Wrong(format!("{shown:?} is not in {}", path.display()));
    };
    match hash::verify(stored, password) {
        Ok(true) => Answer::Right(file.identity),
        Ok(false) => Answer::Wrong(format!("the password of {shown:?} is not the one in {}", path.display())),
        Err(why) => Answer::Unusable(format!("{shown:?} in {}: {why}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn basic(user: &str, password: &str) -> Basic {
        Basic { user: user.into(), password: password.into() }
    }

    /// Asks and waits. The second tells that the thread was asked.
    fn ask(desk: &Desk, path: &Path, user: &str, password: &str, now: u64) -> (Answer, bool) {
        match desk.ask(path, &basic(user, password), now).unwrap() {
            Asked::Right => (Answer::Right(file_at(path)), false),
            Asked::Waits(pending, answer) => {
                let answer = answer.blocking_recv().unwrap();
                desk.remember(&pending, &answer, now);
                (answer, true)
            }
        }
    }

    fn file_at(path: &Path) -> Identity {
        Files::default().get(path, Instant::now()).unwrap().identity
    }

    #[test]
    fn passwords_are_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        fs::write(&path, "ann:{PLAIN}one\nbob:$apr1$abcdefgh$ZAdX7G.l3eDbgTYbm5ePE0\nold:abvOVwEVZZ8hM\n").unwrap();
        let desk = Desk::default();
        let right = Answer::Right(file_at(&path));
        for (user, password) in [("ann", "one"), ("bob", "secret pass")] {
            assert_eq!(ask(&desk, &path, user, password, 0), (right.clone(), true));
        }
        for (user, password, part) in
            [("ann", "two", "password of \"ann\""), ("eve", "one", "\"eve\" is not in"), ("ANN", "one", "not in")]
        {
            let (Answer::Wrong(why), true) = ask(&desk, &path, user, password, 0) else { panic!("{user} is right") };
            assert!(why.contains(part) && why.contains(path.to_str().unwrap()), "{why}");
        }
        let (Answer::Unusable(why), true) = ask(&desk, &path, "old", "secret pass", 0) else {
            panic!("DES is not refused")
        };
        assert!(why.contains("DES crypt") && why.contains("\"old\" in /"), "{why}");
        let nowhere = folder.path().join("nowhere");
        let (Answer::Missing(why), true) = ask(&desk, &nowhere, "ann", "one", 0) else { panic!("it is not there") };
        assert!(why.contains("nowhere"), "{why}");
        let (Answer::Unreadable(why), true) = ask(&desk, folder.path(), "ann", "one", 0) else {
            panic!("it is a folder")
        };
        assert!(why.contains("not a regular file"), "{why}");
    }

    #[test]
    fn what_was_right_is_remembered_and_only_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        fs::write(&path, "ann:{PLAIN}one\n").unwrap();
        let desk = Desk::default();
        let right = Answer::Right(file_at(&path));
        assert_eq!(ask(&desk, &path, "ann", "one", 0), (right.clone(), true));
        assert_eq!(ask(&desk, &path, "ann", "one", AUTH_LOOK_INTERVAL - 1), (right.clone(), false));
        assert!(
            ask(&desk, &path, "ann", "two", 1).1 && ask(&desk, &path, "ann", "two", 1).1,
            "wrong ones are not kept"
        );
        assert!(ask(&desk, &path, "annon", "e", 1).1, "names and passwords do not run together");
        assert_eq!(ask(&desk, &path, "ann", "one", AUTH_LOOK_INTERVAL), (right.clone(), true));
        assert_eq!(ask(&desk, &path, "ann", "one", AUTH_LOOK_INTERVAL + 1), (right, false));
        let known = desk.known.borrow();
        assert_eq!(
            known.values().map(|known| (known.hashed, known.looked)).collect::<Vec<_>>(),
            [(0, AUTH_LOOK_INTERVAL)]
        );
    }

    #[test]
    fn a_known_file_saves_the_hashing_and_a_new_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        fs::write(&path, "ann:{PLAIN}one\n").unwrap();
        let (answer, _receiver) = oneshot::channel();
        let known = file_at(&path);

        let asked = basic("ann", "other");
        let mut question = Question { path: path.clone(), basic: asked, known: Some(known), answer };
        let now = Instant::now();
        let mut files = Files::default();
        assert_eq!(look(&mut files, &question, now), Answer::Right(known), "what is known was hashed before");
        fs::write(&path, "ann:{PLAIN}changed\n").unwrap();
        let later = now + std::time::Duration::from_millis(AUTH_LOOK_INTERVAL);
        assert!(matches!(look(&mut files, &question, later), Answer::Wrong(_)));
        question.basic = basic("ann", "changed");
        assert_eq!(look(&mut files, &question, later), Answer::Right(file_at(&path)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        let lines: String = (0..=AUTH_KNOWN_MAX).map(|nth| format!("u{nth}:{{PLAIN}}p\n")).collect();
        fs::write(&path, lines).unwrap();
        let desk = Desk::default();
        for nth in 0..AUTH_KNOWN_MAX {
            assert!(matches!(ask(&desk, &path, &format!("u{nth}"), "p", 0), (Answer::Right(_), true)));
        }
        assert_eq!(desk.known.borrow().len(), AUTH_KNOWN_MAX);
        ask(&desk, &path, &format!("u{AUTH_KNOWN_MAX}"), "p", 0);
        assert_eq!(desk.known.borrow().len(), 1);
    }

    #[test]
    fn a_full_queue_is_said_and_a_thread_that_ended_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        fs::write(&path, "ann:{PLAIN}one\n").unwrap();
        // A queue that nobody empties.
        let (sender, questions) = mpsc::channel(1);
        let desk = Desk::default();
        *desk.queue.borrow_mut() = Some(sender);
        let Ok(Asked::Waits(_, waiting)) = desk.ask(&path, &basic("ann", "one"), 0) else { panic!("there is room") };
        assert!(desk.ask(&path, &basic("ann", "one"), 0).is_err());
        drop(questions);
        assert!(waiting.blocking_recv().is_err());
        assert!(matches!(ask(&desk, &path, "ann", "one", 0), (Answer::Right(_), true)));
    }
}
