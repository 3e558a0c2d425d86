//! The logs of the process: what workers have gathered for them, and opening them again when they were moved away.

use crate::config::plan::LogLevel;
use crate::limits::{ACCESS_HAND_OVER_MAX, LOG_FLUSH_MAX};
use crate::log::access::AccessWriters;
use crate::log::{self, Level, LogSender, Successor};
use crate::worker::Workers;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// See the head of this file.
pub struct Logs {
    /// The error log.
    pub log: LogSender,
    /// Where that is written; `None`: to standard error, which nobody moves away.
    pub error_log: Option<PathBuf>,
    /// And the file that takes its place.
    pub successor: Rc<Successor>,
    /// The access logs.
    pub writers: Rc<AccessWriters>,
    /// Who gathers lines for them.
    pub workers: Rc<Workers>,
}

impl Logs {
    /// Opens all logs again by their names, as nginx does on SIGUSR1. What was logged before is written to the files as they were; when
    /// this returns nothing more is written to them. What it says is for people.
    pub async fn reopen(&self) -> Result<String, String> {
        self.hand_over().await;
        self.writers.flush().await;
        let error_log = self.reopen_error_log().await;
        let access_logs = self.writers.reopen().await;
        match (error_log, access_logs) {
            (Ok(one), Ok(more)) => {
                let count = usize::from(one) + more;
                let said = format!("{count} log{} reopened", if count == 1 { "" } else { "s" });
                self.log.info(&*said);
                Ok(format!("{said}\n"))
            }
            (one, more) => {
                let errors: Vec<String> = [one.err(), more.err()].into_iter().flatten().collect();
                errors.iter().for_each(|error| self.log.error(format!("{error}; the old file goes on")));
                Err(errors.join("\n"))
            }
        }
    }

    /// True: it is a file.
    async fn reopen_error_log(&self) -> Result<bool, String> {
        let Some(path) = &self.error_log else { return Ok(false) };
        self.successor.put(log::open(Some(path))?);
        // One that hangs in a write takes it later.
        let _ = tokio::time::timeout(Duration::from_millis(LOG_FLUSH_MAX), self.successor.taken()).await;
        Ok(true)
    }

    /// Waits until the workers have handed over what they gathered, but not for ever.
    pub async fn hand_over(&self) {
        self.workers.hand_over();
        let began = Instant::now();
        while !self.workers.have_handed_over() && began.elapsed() < Duration::from_millis(ACCESS_HAND_OVER_MAX) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until everything is written, but not for ever: the process ends.
    pub async fn finish(&self) {
        self.hand_over().await;
        self.writers.flush().await;
        self.writers.tell();
        self.log.flush().await;
    }
}

/// What a configured level lets through.
pub fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
    }
}
