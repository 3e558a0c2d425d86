//! Signals, as the control plane's tasks await them.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, SIGINT or SIGQUIT (nginx's graceful end): end, politely the first time.
    End(&'static str),
    /// SIGHUP: load the file again.
    Reload,
    /// SIGUSR1: open the logs again.
    Reopen,
    /// SIGUSR2: nothing, but it must not kill the process either.
    Ignore(&'static str),
}

/// The signals ringgate listens to. From its making on they no longer have their usual effect.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    quit: Signal,
}

impl Signals {
    /// Inside a tokio runtime.
    pub fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next one. May be dropped and called again: no signal is lost.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End("SIGTERM"),
            _ = self.interrupt.recv() => Asked::End("SIGINT"),
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.user1.recv() => Asked::Reopen,
            _ = self.user2.recv() => Asked::Ignore("SIGUSR2"),
            _ = self.quit.recv() => Asked::End("SIGQUIT"),
        }
    }
}
