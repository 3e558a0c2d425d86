//! The log: a bounded queue that never blocks whoever writes into it, and one writer on the control thread.
//!
//! What does not fit into the queue is dropped and counted, and the count is logged as soon as there is room again. Standard error and
//! files alike are written through the ring: a pipe that nobody reads or a slow disk stalls neither workers nor signals.

pub mod access;

use crate::limits::{LOG_BATCH_MAX, LOG_FLUSH_MAX, LOG_QUEUE_MAX};
use std::cell::RefCell;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, oneshot};

/// How much a line matters, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something is not as it should be, and ringgate goes on.
    Warn,
    /// What happens in normal life.
    Info,
}

impl Level {
    fn padded(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn ",
            Level::Info => "info ",
        }
    }
}

/// The end that everybody holds.
#[derive(Debug, Clone)]
pub struct LogSender {
    queue: mpsc::Sender<Record>,
    dropped: Arc<AtomicU64>,
    /// Lines that matter less are not written: a `Level`.
    least: Arc<AtomicU8>,
}

/// The end that the control plane holds.
#[derive(Debug)]
pub struct LogReceiver {
    queue: mpsc::Receiver<Record>,
    dropped: Arc<AtomicU64>,
    /// How many of `dropped` the log has told.
    told: u64,
}

#[derive(Debug)]
enum Record {
    Line(SystemTime, Level, String),
    /// Answered once all lines before it are written.
    Flush(oneshot::Sender<()>),
}

/// A new, empty log of lines that matter as much as `least` or more.
pub fn channel(least: Level) -> (LogSender, LogReceiver) {
    let (sender, queue) = mpsc::channel(LOG_QUEUE_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let least = Arc::new(AtomicU8::new(least as u8));
    (LogSender { queue: sender, dropped: dropped.clone(), least }, LogReceiver { queue, dropped, told: 0 })
}

impl LogSender {
    /// Hands over a line without its end. Never blocks: a full queue drops it and counts.
    pub fn send(&self, level: Level, message: impl Into<String>) {
        if level as u8 > self.least.load(Relaxed) {
            return;
        }
        match self.queue.try_send(Record::Line(SystemTime::now(), level, message.into())) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => drop(self.dropped.fetch_add(1, Relaxed)),
            // Nobody writes any more: the last words of a process go where they can still be read.
            Err(mpsc::error::TrySendError::Closed(Record::Line(time, level, message))) => {
                tell(line(time, level, &message).trim_end());
            }
            Err(mpsc::error::TrySendError::Closed(Record::Flush(_))) => {}
        }
    }

    /// From now on lines that matter less than this are not written, whoever sends them.
    pub fn set_least(&self, least: Level) {
        self.least.store(least as u8, Relaxed);
    }

    /// A line of normal life.
    pub fn info(&self, message: impl Into<String>) {
        self.send(Level::Info, message);
    }

    /// A line about something that is not as it should be.
    pub fn warn(&self, message: impl Into<String>) {
        self.send(Level::Warn, message);
    }

    /// A line about something broken.
    pub fn error(&self, message: impl Into<String>) {
        self.send(Level::Error, message);
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits until what was sent before is written, but not for ever. False: not all of it is.
    pub async fn flush(&self) -> bool {
        let (done, written) = oneshot::channel();
        let flushed = async { self.queue.send(Record::Flush(done)).await.is_ok() && written.await.is_ok() };
        tokio::time::timeout(Duration::from_millis(LOG_FLUSH_MAX), flushed).await.unwrap_or(false)
    }
}

impl LogReceiver {
    /// Writes lines until every sender is gone. Runs on the control thread, inside tokio-uring.
    pub async fn write_to(self, target: std::fs::File) {
        self.write_to_last(target, Rc::default()).await;
    }

    /// The same, to the file that `successor` has named last.
    pub async fn write_to_last(mut self, target: std::fs::File, successor: Rc<Successor>) {
        let mut file = tokio_uring::fs::File::from_std(target);
        loop {
            let first = tokio::select! {
                biased;
                next = successor.next() => {
                    file = tokio_uring::fs::File::from_std(next);
                    continue;
                }
                first = self.queue.recv() => first,
            };
            let Some(first) = first else { return };
            let (batch, lines, flushed) = self.gather(first);
            if write(&file, batch).await.is_err() {
                self.dropped.fetch_add(lines, Relaxed);
            }
            flushed.into_iter().for_each(|done| done.send(()).unwrap_or_default());
        }
    }

    /// Writes what waits, without a runtime: when starting failed.
    pub fn drain_to(mut self, target: &mut dyn Write) {
        while let Ok(first) = self.queue.try_recv() {
            let (batch, ..) = self.gather(first);
            let _ = target.write_all(&batch);
        }
    }

    /// One batch: its text, how many lines it has, and who waits for it.
    fn gather(&mut self, first: Record) -> (Vec<u8>, u64, Vec<oneshot::Sender<()>>) {
        let (mut batch, mut lines, mut flushed) = (String::new(), 0, Vec::new());
        let mut next = Some(first);
        while let Some(record) = next {
            match record {
                Record::Line(time, level, message) => {
                    batch.push_str(&line(time, level, &message));
                    lines += 1;
                }
                Record::Flush(done) => flushed.push(done),
            }
            next = if batch.len() < LOG_BATCH_MAX { self.queue.try_recv().ok() } else { None };
        }
        let dropped = self.dropped.load(Relaxed);
        if dropped > self.told {
            let message = format!("{} log lines were dropped: the log could not keep up", dropped - self.told);
            batch.push_str(&line(SystemTime::now(), Level::Warn, &message));
            self.told = dropped;
        }
        (batch.into_bytes(), lines, flushed)
    }
}

/// The file that takes the place of the one that a writer writes to: the log was moved away.
#[derive(Debug, Default)]
pub struct Successor {
    file: RefCell<Option<std::fs::File>>,
    put: Notify,
    taken: Notify,
}

impl Successor {
    /// From the next line on it is this one.
    pub fn put(&self, file: std::fs::File) {
        *self.file.borrow_mut() = Some(file);
        self.put.notify_one();
    }

    /// Waits until the writer has gone over to it.
    pub async fn taken(&self) {
        while self.file.borrow().is_some() {
            self.taken.notified().await;
        }
    }

    /// The writer's side. May be dropped and called again.
    async fn next(&self) -> std::fs::File {
        loop {
            let file = self.file.take();
            if let Some(file) = file {
                self.taken.notify_waiters();
                return file;
            }
            self.put.notified().await;
        }
    }
}

/// Where the log goes: a file, which is created or appended to, or standard error.
pub fn open(path: Option<&Path>) -> Result<std::fs::File, String> {
    let failed = |what: &str, error: io::Error| format!("cannot open {what} for the log: {error}");
    match path {
        Some(path) => std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| failed(&path.display().to_string(), error)),
        None => {
            let duplicate = io::stderr().as_fd().try_clone_to_owned();
            duplicate.map(std::fs::File::from).map_err(|error| failed("standard error", error))
        }
    }
}

/// Says something on standard error, outside the log. Unlike `eprintln!` it does not panic when nobody can read it.
pub fn tell(message: &str) {
    let _ = io::stderr().write_all(format!("{message}\n").as_bytes());
}

/// One line as it is written: `2026-11-21T05:06:07.123Z info  message`.
pub fn line(time: SystemTime, level: Level, message: &str) -> String {
    let mut line = format!("{} {} ", timestamp(time), level.padded());
    for c in message.chars() {
        // A message may quote a peer: it must not forge lines or speak to the terminal.
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line.push('\n');
    line
}

/// UTC with milliseconds, as RFC 3339 writes it.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", second % 60, since.subsec_millis())
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar: years begin in March, so that the leap day is the
/// last of its year and months follow one pattern (153 days in every five).
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months = (5 * day_of_year + 2) / 153; // since March
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Writes all at the file's own position, whatever kind of file it is.
async fn write(file: &tokio_uring::fs::File, mut batch: Vec<u8>) -> Result<(), Cut> {
    /// A position of -1: the file's own. Pipes, terminals and files that others append to know no other.
    const CURRENT: u64 = u64::MAX;
    const PAUSE: Duration = Duration::from_millis(20);
    const PAUSES_MAX: u32 = 50;
    let mut pauses = 0;
    let mut last = b'\n';
    let cut = |error, last| Err(Cut { error, within: last != b'\n' });
    while !batch.is_empty() {
        let (result, returned) = file.write_at(batch, CURRENT).submit().await;
        batch = returned;
        match result {
            Ok(0) => return cut(io::ErrorKind::WriteZero.into(), last),
            Ok(written) => last = batch.drain(..written).next_back().unwrap_or(last),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody made the terminal or pipe that we share non-blocking, and it is full.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && pauses < PAUSES_MAX => {
                pauses += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return cut(error, last),
        }
    }
    Ok(())
}

/// Why not all could be written.
#[derive(Debug)]
struct Cut {
    error: io::Error,
    /// A line has been begun, and what comes next belongs on another.
    within: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that goes away in the middle of a line.
    #[test]
    fn a_line_that_was_begun_is_told() {
        use std::io::Read;
        for (text, within) in [(b'x', true), (b'\n', false)] {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let reading = std::thread::spawn(move || reader.read_exact(&mut [0; 10]));
            let cut = tokio_uring::start(async {
                let file = tokio_uring::fs::File::from_std(std::fs::File::from(std::os::fd::OwnedFd::from(writer)));
                write(&file, vec![text; 4 << 20]).await.unwrap_err()
            });
            reading.join().unwrap().unwrap();
            assert_eq!(cut.within, within, "{cut:?}");
        }
    }

    fn drained(receiver: LogReceiver) -> Vec<String> {
        let mut text = Vec::new();
        receiver.drain_to(&mut text);
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn times_are_rfc_3339() {
        let table = [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (951_868_800, 1, "2000-03-01T00:00:00.001Z"),
            (1_709_251_199, 0, "2024-02-29T23:59:59.000Z"),
            (1_795_237_567, 123, "2026-11-21T05:06:07.123Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59.000Z"),
        ];
        for (seconds, millis, expected) in table {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + millis)), expected);
        }
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn lines_have_one_form_and_cannot_be_forged() {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_237_567_123);
        assert_eq!(line(time, Level::Info, "listening"), "2026-11-21T05:06:07.123Z info  listening\n");
        assert_eq!(line(time, Level::Warn, "a"), "2026-11-21T05:06:07.123Z warn  a\n");
        assert_eq!(
            line(time, Level::Error, "host \"x\r\n\u{1b}[31mé\0"),
            "2026-11-21T05:06:07.123Z error host \"x\\r\\n\\u{1b}[31mé\\u{0}\n"
        );
    }

    #[test]
    fn lines_sent_before_anything_runs_are_kept_in_order() {
        let (log, receiver) = channel(Level::Info);
        log.info("one");
        log.clone().warn("two");
        log.error("three");
        let lines = drained(receiver);
        let ends: Vec<_> = lines.iter().map(|l| l.split_once("Z ").unwrap().1).collect();
        assert_eq!(ends, ["info  one", "warn  two", "error three"]);
    }

    #[test]
    fn what_matters_too_little_is_not_written() {
        let (log, receiver) = channel(Level::Warn);
        let other = log.clone();
        log.info("one");
        log.warn("two");
        log.error("three");
        log.set_least(Level::Error);
        other.warn("four");
        other.error("five");
        let lines = drained(receiver);
        let ends: Vec<_> = lines.iter().map(|l| l.rsplit_once(' ').unwrap().1).collect();
        assert_eq!(ends, ["two", "three", "five"]);
    }

    #[test]
    fn a_full_queue_drops_counts_and_tells() {
        let (log, receiver) = channel(Level::Info);
        (0..LOG_QUEUE_MAX + 7).for_each(|i| log.info(format!("{i}")));
        assert_eq!(log.dropped(), 7);
        let lines = drained(receiver);
        let told = lines.iter().filter(|l| l.contains("warn  7 log lines were dropped")).count();
        assert_eq!((lines.len(), told), (LOG_QUEUE_MAX + 1, 1));
    }

    #[test]
    fn sending_to_a_closed_log_does_not_panic() {
        let (log, receiver) = channel(Level::Info);
        drop(receiver);
        log.info("nobody writes this through the queue");
    }

    #[test]
    fn lines_reach_a_file_from_many_threads_and_a_flush_waits_for_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("error.log");
        std::fs::write(&path, "older\n").unwrap();
        let (log, receiver) = channel(Level::Info);
        let target = open(Some(&path)).unwrap();
        tokio_uring::start(async {
            tokio_uring::spawn(receiver.write_to(target));
            for round in 1..=5 {
                std::thread::scope(|scope| {
                    for thread in 0..4 {
                        let log = log.clone();
                        scope.spawn(move || (0..100).for_each(|i| log.info(format!("{thread} {i}"))));
                    }
                });
                assert!(log.flush().await);
                assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1 + 400 * round);
            }
        });
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("older\n"));
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let (log, receiver) = channel(Level::Info);
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        tokio_uring::start(async {
            tokio_uring::spawn(receiver.write_to(full));
            log.info("one");
            log.info("two");
            assert!(log.flush().await);
            assert_eq!(log.dropped(), 2);
        });
    }

    #[test]
    fn a_pipe_that_nobody_reads_delays_a_flush_only_so_long() {
        let (reader, writer) = io::pipe().unwrap();
        let (log, receiver) = channel(Level::Info);
        let began = std::time::Instant::now();
        let text = "x".repeat(1000);
        let runtime = tokio_uring::Runtime::new(&tokio_uring::builder()).unwrap();
        runtime.block_on(async {
            tokio_uring::spawn(receiver.write_to(std::fs::File::from(std::os::fd::OwnedFd::from(writer))));
            (0..200).for_each(|_| log.info(text.clone()));
            assert!(!log.flush().await);
        });
        assert!(began.elapsed() < Duration::from_millis(LOG_FLUSH_MAX * 3));
        // Only now may the runtime end: its drop waits for the write that is under way.
        drop(reader);
        drop(runtime);
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let error = open(Some(Path::new("/nonexistent/error.log"))).unwrap_err();
        assert!(error.contains("/nonexistent/error.log"), "{error}");
    }
}
