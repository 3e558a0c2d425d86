//! Pooled pipes for splicing. Their number is bounded; who gets none copies. A pipe goes back only when it is empty, so bytes of
//! one connection never come out in another. A user who has too many pages in pipes (pipe-user-pages-soft) gets small ones from the
//! kernel: they are counted, and those too small are closed again.

use super::driver::{Driver, PipeEnds};
use super::reactor::Reactor;
use crate::limits::{PIPE_BYTES, PIPE_BYTES_MIN, PIPES_ASIDE_MAX};
use std::io;

/// The pipes of one worker.
#[derive(Default)]
pub(super) struct Pipes {
    free: Vec<PipeEnds>,
    most: u32,
    out: u32,
    /// Pipes on loan whose readers do not read: they do not count towards `most`, or a few such readers would hold them all.
    aside: u32,
    /// The fewest free pipes since the last trim: so many were of no use.
    idle: usize,
    /// The kernel gave none, or too small a one, since the last trim: it is not asked again before the next.
    refused: bool,
    /// splice(2) is refused: nobody gets a pipe any more.
    forbidden: bool,
    failures: u64,
    shrunken: u64,
}

impl Pipes {
    pub(super) fn new(most: u32) -> Self {
        Self { most, ..Self::default() }
    }

    /// Pipes on loan, and pipes open in all.
    pub(super) fn open(&self) -> (u32, usize) {
        let out = self.out + self.aside;
        (out, self.free.len() + out as usize)
    }

    /// How often none could be had, and how many came out smaller than wanted.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.failures, self.shrunken)
    }
}

/// A pipe on loan.
pub struct Pipe<D: Driver> {
    reactor: Reactor<D>,
    pub(super) ends: PipeEnds,
    /// Bytes in it.
    pub(super) held: usize,
    aside: bool,
}

impl<D: Driver> Reactor<D> {
    /// An empty pipe, unless all are out or the kernel gives none that is large enough; that is counted, and the caller copies.
    pub fn take_pipe(&self) -> Option<Pipe<D>> {
        let mut pipes = self.0.pipes.borrow_mut();
        if pipes.forbidden {
            pipes.failures += 1;
            return None;
        }
        let Some(ends) = pipes.free.pop().or_else(|| self.open_pipe(&mut pipes)) else {
            pipes.failures += 1;
            return None;
        };
        pipes.idle = pipes.idle.min(pipes.free.len());
        pipes.out += 1;
        Some(Pipe { reactor: self.clone(), ends, held: 0, aside: false })
    }

    /// No more pipes: splicing does not work here.
    pub(super) fn forbid_pipes(&self) {
        self.0.pipes.borrow_mut().forbidden = true;
    }

    fn open_pipe(&self, pipes: &mut Pipes) -> Option<PipeEnds> {
        if pipes.out == pipes.most || pipes.refused {
            return None;
        }
        let ends = self.0.driver.borrow_mut().pipe(PIPE_BYTES).ok();
        pipes.shrunken += u64::from(ends.is_some_and(|ends| ends.capacity < PIPE_BYTES));
        let (kept, small) = match ends {
            Some(ends) if ends.capacity < PIPE_BYTES_MIN => (None, vec![ends]),
            ends => (ends, vec![]),
        };
        self.close_pipes(small);
        pipes.refused = kept.is_none();
        kept
    }

    /// Closes pipes that lay idle since the last call: they are descriptors, and count against the user's limit.
    pub fn trim_pipes(&self) {
        let mut pipes = self.0.pipes.borrow_mut();
        let idle = pipes.idle.min(pipes.free.len());
        let free: Vec<PipeEnds> = pipes.free.drain(..idle).collect();
        pipes.idle = pipes.free.len();
        pipes.refused = false;
        drop(pipes);
        self.close_pipes(free);
    }

    /// Closes all pipes that nobody uses.
    pub fn close_free_pipes(&self) {
        let free = std::mem::take(&mut self.0.pipes.borrow_mut().free);
        self.close_pipes(free);
    }

    fn close_pipes(&self, free: Vec<PipeEnds>) {
        let mut driver = self.0.driver.borrow_mut();
        for ends in free {
            driver.close(ends.read);
            driver.close(ends.write);
        }
    }
}

impl<D: Driver> Pipe<D> {
    /// Bytes that were put in and not yet taken out.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Bytes that it can hold.
    pub fn capacity(&self) -> usize {
        self.ends.capacity
    }

    /// Makes room for another one: this one waits for its reader. Beyond [`PIPES_ASIDE_MAX`] it goes on counting.
    pub(super) fn set_aside(&mut self) {
        let mut pipes = self.reactor.0.pipes.borrow_mut();
        if !self.aside && pipes.aside < PIPES_ASIDE_MAX {
            self.aside = true;
            pipes.out -= 1;
            pipes.aside += 1;
        }
    }

    pub(super) fn add(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        let n = result?;
        self.held += n;
        Ok(n)
    }
}

impl<D: Driver> Drop for Pipe<D> {
    fn drop(&mut self) {
        let mut pipes = self.reactor.0.pipes.borrow_mut();
        match self.aside {
            true => pipes.aside -= 1,
            false => pipes.out -= 1,
        }
        if self.held == 0 {
            pipes.free.push(self.ends);
        } else {
            let mut driver = self.reactor.0.driver.borrow_mut();
            driver.close(self.ends.read);
            driver.close(self.ends.write);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::scripted::{Faults, Scripted};

    fn reactor(pipe_most: usize) -> Reactor<Scripted> {
        Reactor::new(Scripted::new(1, Faults { pipe_most, ..Faults::default() }), 16, 2)
    }

    #[test]
    fn a_shrunken_pipe_is_counted_and_one_too_small_is_closed() {
        let reactor = reactor(PIPE_BYTES_MIN - 1);
        assert!(reactor.take_pipe().is_none() && reactor.take_pipe().is_none());
        let gauges = reactor.gauges();
        // The second time nobody asked the kernel.
        assert_eq!((gauges.pipe_failures, gauges.pipes_shrunken, gauges.pipes_open), (2, 1, 0));
        reactor.trim_pipes();
        assert!(reactor.take_pipe().is_none());
        assert_eq!((reactor.gauges().pipe_failures, reactor.gauges().pipes_shrunken), (3, 2));
    }

    #[test]
    fn a_pipe_that_is_smaller_but_large_enough_is_used() {
        let reactor = reactor(PIPE_BYTES_MIN);
        let pipe = reactor.take_pipe().expect("large enough");
        assert_eq!(pipe.capacity(), PIPE_BYTES_MIN);
        drop(pipe);
        assert!(reactor.take_pipe().is_some());
        let gauges = reactor.gauges();
        assert_eq!((gauges.pipe_failures, gauges.pipes_shrunken, gauges.pipes_open), (0, 1, 1));
    }

    #[test]
    fn where_splicing_is_forbidden_nobody_gets_a_pipe() {
        let faults = Faults { splice_error: libc::EPERM, ..Faults::default() };
        let driver = Scripted::new(1, faults);
        let reactor = Reactor::new(driver.clone(), 16, 2);
        let descriptor = driver.world().open();
        driver.world().feed(descriptor, b"bytes");
        let socket = reactor.adopt(descriptor);
        let mut pipe = reactor.take_pipe().expect("nobody knows yet");
        assert_eq!(socket.try_splice_in(&mut pipe, 5).expect("nothing is lost"), None);
        assert!(reactor.take_pipe().is_none());
        assert_eq!(socket.try_recv(&mut [0; 8]).expect("they are still there"), Some(5));
        assert_eq!(reactor.gauges().pipe_failures, 1);
    }

    #[test]
    fn no_more_than_the_bound_are_out() {
        let reactor = reactor(0);
        let mut held: Vec<_> = (0..crate::limits::PIPES_MAX).filter_map(|_| reactor.take_pipe()).collect();
        assert!(held.len() == crate::limits::PIPES_MAX as usize && reactor.take_pipe().is_none());
        held.pop();
        assert!(reactor.take_pipe().is_some());
        assert_eq!((reactor.gauges().pipe_failures, reactor.gauges().pipes_shrunken), (1, 0));
    }

    #[test]
    fn pipes_whose_readers_do_not_read_are_not_all_there_are() {
        let reactor = reactor(0);
        let all = crate::limits::PIPES_MAX + PIPES_ASIDE_MAX;
        let mut held = Vec::new();
        while let Some(mut pipe) = reactor.take_pipe() {
            pipe.set_aside();
            held.push(pipe);
        }
        assert_eq!((held.len(), reactor.gauges().pipes), (all as usize, all), "bounded all the same");
        drop(held);
        assert_eq!(reactor.gauges().pipes, 0);
        assert!(reactor.take_pipe().is_some());
    }
}
