//! Access logs: a worker gathers lines per file, and hands them over in batches through a bounded queue to the file's writer, a task of
//! the control thread. A file that takes nothing (a full disk, a pipe that nobody reads) stalls neither workers nor other files: what
//! does not fit is dropped and counted.

use super::{LogSender, Successor, write};
use crate::limits::{ACCESS_BATCH_MAX, ACCESS_QUEUE_MAX, LOG_FLUSH_MAX};
use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// One file, as workers know it. Its writer ends when nobody holds it any more.
#[derive(Debug)]
pub struct AccessFile {
    path: PathBuf,
    queue: mpsc::Sender<Order>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Order {
    /// Whole lines, and how many they are.
    Lines(Vec<u8>, u64),
    /// Answered once all lines before it are written.
    Flush(oneshot::Sender<()>),
}

/// What comes out at the other end of an [`AccessFile`].
#[derive(Debug)]
pub struct Lines {
    queue: mpsc::Receiver<Order>,
    dropped: Arc<AtomicU64>,
}

impl AccessFile {
    /// A file of that name, and what is to be written into it.
    pub fn new(path: &Path) -> (Arc<AccessFile>, Lines) {
        let (sender, queue) = mpsc::channel(ACCESS_QUEUE_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let file = AccessFile { path: path.to_owned(), queue: sender, dropped: dropped.clone() };
        (Arc::new(file), Lines { queue, dropped })
    }

    /// As configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Never blocks: a full queue drops the lines and counts them.
    fn hand_over(&self, text: Vec<u8>, lines: u64) {
        if self.queue.try_send(Order::Lines(text, lines)).is_err() {
            self.dropped.fetch_add(lines, Relaxed);
        }
    }
}

impl Lines {
    /// What waits, without a runtime: for tests.
    pub fn take_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(order) = self.queue.try_recv() {
            if let Order::Lines(text, _) = order {
                all.extend(text);
            }
        }
        all
    }
}

/// One worker's lines that were not handed over yet.
#[derive(Debug, Default)]
pub struct Gathered(Vec<(Arc<AccessFile>, Vec<u8>, u64)>);

impl Gathered {
    /// One more line: `fill` appends it with its end. True: it is the first that waits.
    pub fn write(&mut self, file: &Arc<AccessFile>, fill: impl FnOnce(&mut Vec<u8>)) -> bool {
        let first = self.0.is_empty();
        let at = match self.0.iter().position(|(known, ..)| Arc::ptr_eq(known, file)) {
            Some(at) => at,
            None => {
                self.0.push((file.clone(), Vec::new(), 0));
                self.0.len() - 1
            }
        };
        let (_, text, lines) = &mut self.0[at];
        fill(text);
        *lines += 1;
        if text.len() >= ACCESS_BATCH_MAX {
            // More of the kind will come.
            let full = std::mem::replace(text, Vec::with_capacity(ACCESS_BATCH_MAX + ACCESS_BATCH_MAX / 8));
            file.hand_over(full, std::mem::take(lines));
        }
        first
    }

    /// No line waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands everything over.
    pub fn hand_over(&mut self) {
        for (file, text, lines) in self.0.drain(..) {
            if lines > 0 {
                file.hand_over(text, lines);
            }
        }
    }
}

/// Opens what lines are appended to: a file (made if it is not there), a pipe, `/dev/stdout` or `/dev/stderr`. Never waits for a
/// pipe's reader.
pub fn open(path: &Path) -> Result<File, String> {
    let opened = match path.to_str() {
        Some("/dev/stdout") => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        Some("/dev/stderr") => io::stderr().as_fd().try_clone_to_owned().map(File::from),
        _ => {
            let is_pipe = std::fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo());
            let mut options = OpenOptions::new();
            match is_pipe {
                true => options.read(true).write(true), // for writing alone it would wait
                false => options.append(true).create(true).mode(0o644),
            };
            options.open(path)
        }
    };
    opened.map_err(|error| format!("cannot open the access log {}: {error}", path.display()))
}

/// Opens all of them, or none: the error names each that cannot be.
pub fn open_all(paths: Vec<PathBuf>) -> Result<Vec<(PathBuf, File)>, String> {
    let (mut opened, mut failed) = (Vec::new(), Vec::new());
    for path in paths {
        match open(&path) {
            Ok(file) => opened.push((path, file)),
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() { Ok(opened) } else { Err(failed.join("\n")) }
}

/// The files that are open, on the control thread.
#[derive(Debug)]
pub struct AccessWriters {
    rows: RefCell<Vec<Row>>,
    log: LogSender,
}

#[derive(Debug)]
struct Row {
    path: PathBuf,
    file: Weak<AccessFile>,
    dropped: Arc<AtomicU64>,
    /// How many of `dropped` the error log has told.
    told: Cell<u64>,
    /// What the last write that failed met.
    failure: Rc<RefCell<Option<io::Error>>>,
    successor: Rc<Successor>,
    /// Until the writer begins.
    waiting: RefCell<Option<(Lines, File)>>,
}

impl AccessWriters {
    /// None yet. `log` is told what goes wrong.
    pub fn new(log: LogSender) -> AccessWriters {
        AccessWriters { rows: RefCell::default(), log }
    }

    /// Those of `paths` that are not open yet.
    pub fn missing(&self, paths: &[PathBuf]) -> Vec<PathBuf> {
        paths.iter().filter(|path| self.find(path).is_none()).cloned().collect()
    }

    /// The files of a plan, in its order; `opened` are those that were not open before. Nothing is written before [`AccessWriters::begin`].
    pub fn files(&self, paths: &[PathBuf], opened: Vec<(PathBuf, File)>) -> Vec<Arc<AccessFile>> {
        let mut opened = opened.into_iter();
        let mut rows = self.rows.borrow_mut();
        rows.retain(|row| row.file.strong_count() > 0 || row.dropped.load(Relaxed) > row.told.get());
        let file = |path: &PathBuf| {
            let known = rows.iter().find_map(|row| row.file.upgrade().filter(|_| row.path == *path));
            known.or_else(|| {
                let (path, target) = opened.find(|(opened, _)| opened == path)?;
                let (file, lines) = AccessFile::new(&path);
                rows.push(Row {
                    path,
                    file: Arc::downgrade(&file),
                    dropped: lines.dropped.clone(),
                    told: Cell::new(0),
                    failure: Rc::default(),
                    successor: Rc::default(),
                    waiting: RefCell::new(Some((lines, target))),
                });
                Some(file)
            })
        };
        // A path stands in a plan once.
        let mut file = file;
        paths.iter().filter_map(&mut file).collect()
    }

    fn find(&self, path: &Path) -> Option<Arc<AccessFile>> {
        self.rows.borrow().iter().find_map(|row| row.file.upgrade().filter(|_| row.path == path))
    }

    /// Starts the writers that do not run yet. Inside tokio-uring.
    pub fn begin(&self) {
        for row in self.rows.borrow().iter() {
            if let Some((lines, target)) = row.waiting.borrow_mut().take() {
                tokio_uring::spawn(write_lines(lines, target, row.successor.clone(), row.failure.clone()));
            }
        }
    }

    /// Opens all of them again by their names: after that nothing is written to files that were moved away. One that cannot be
    /// opened goes on as it is, and is named. Returns how many were opened.
    pub async fn reopen(&self) -> Result<usize, String> {
        let (mut waited, mut failed) = (Vec::new(), Vec::new());
        for row in self.rows.borrow().iter().filter(|row| row.file.strong_count() > 0) {
            match open(&row.path) {
                Ok(file) => {
                    row.successor.put(file);
                    waited.push(row.successor.clone());
                }
                Err(error) => failed.push(error),
            }
        }
        let count = waited.len();
        let all = async {
            for successor in waited {
                successor.taken().await;
            }
        };
        // One that hangs in a write takes it later.
        let _ = tokio::time::timeout(Duration::from_millis(LOG_FLUSH_MAX), all).await;
        if failed.is_empty() { Ok(count) } else { Err(failed.join("\n")) }
    }

    /// Waits until what was handed over before is written, but not for ever.
    pub async fn flush(&self) {
        let files: Vec<Arc<AccessFile>> = self.rows.borrow().iter().filter_map(|row| row.file.upgrade()).collect();
        let (mut flushed, mut full) = (Vec::new(), Vec::new());
        for file in files {
            let (done, written) = oneshot::channel();
            match file.queue.try_send(Order::Flush(done)) {
                Ok(()) => flushed.push(written),
                Err(_) => full.push(file),
            }
        }
        let all = async {
            for written in flushed {
                let _ = written.await;
            }
            // A queue that is full for a moment; one whose file takes nothing holds up no other.
            for file in full {
                let (done, written) = oneshot::channel();
                if file.queue.send(Order::Flush(done)).await.is_ok() {
                    let _ = written.await;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(LOG_FLUSH_MAX), all).await;
    }

    /// Lines that were lost.
    pub fn dropped(&self) -> u64 {
        self.rows.borrow().iter().map(|row| row.dropped.load(Relaxed)).sum()
    }

    /// Tells the error log what was lost since it was told last.
    pub fn tell(&self) {
        for row in self.rows.borrow().iter() {
            let dropped = row.dropped.load(Relaxed);
            let lost = dropped - row.told.replace(dropped);
            if lost == 0 {
                continue;
            }
            let why = match row.failure.take() {
                Some(error) => error.to_string(),
                None => "it does not take them fast enough".to_owned(),
            };
            self.log.warn(format!("{lost} lines of the access log {} were lost: {why}", row.path.display()));
        }
    }
}

/// One file's writer.
async fn write_lines(
    mut lines: Lines,
    target: File,
    successor: Rc<Successor>,
    failure: Rc<RefCell<Option<io::Error>>>,
) {
    let mut file = tokio_uring::fs::File::from_std(target);
    let mut within = false;
    loop {
        let order = tokio::select! {
            biased;
            next = successor.next() => {
                file = tokio_uring::fs::File::from_std(next);
                within = false;
                continue;
            }
            order = lines.queue.recv() => order,
        };
        match order {
            Some(Order::Lines(mut text, count)) => {
                if within {
                    text.insert(0, b'\n');
                }
                match write(&file, text).await {
                    Ok(()) => within = false,
                    Err(cut) => {
                        // If nothing was written the line that was begun before still has no end.
                        within |= cut.within;
                        lines.dropped.fetch_add(count, Relaxed);
                        *failure.borrow_mut() = Some(cut.error);
                    }
                }
            }
            Some(Order::Flush(done)) => drop(done.send(())),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Level, channel};

    /// Orders that wait are no reason to leave without what they say.
    #[test]
    fn a_queue_that_is_full_for_a_moment_is_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let (log, _receiver) = channel(Level::Error);
        let writers = AccessWriters::new(log);
        let files = writers.files(std::slice::from_ref(&path), vec![(path.clone(), open(&path).unwrap())]);
        let mut count = 0;
        while files[0].queue.try_send(Order::Lines(b"x\n".to_vec(), 1)).is_ok() {
            count += 1;
        }
        tokio_uring::start(async {
            writers.begin();
            writers.flush().await;
        });
        assert_eq!(count, ACCESS_QUEUE_MAX);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "x\n".repeat(count));
    }
}
