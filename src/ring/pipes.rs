//! Pooled pipes for splicing. Their number is bounded; who gets none copies. A pipe goes back only when it is empty, so bytes of
//! one connection never come out in another.

use super::driver::{Driver, PipeEnds};
use super::reactor::Reactor;
use crate::limits::PIPE_BYTES;
use std::io;

/// The pipes of one worker.
#[derive(Default)]
pub(super) struct Pipes {
    free: Vec<PipeEnds>,
    most: u32,
    out: u32,
    /// The fewest free pipes since the last trim: so many were of no use.
    idle: usize,
    failures: u64,
}

impl Pipes {
    pub(super) fn new(most: u32) -> Self {
        Self { most, ..Self::default() }
    }

    /// Pipes on loan, pipes open in all, and how often none could be had.
    pub(super) fn counts(&self) -> (u32, usize, u64) {
        (self.out, self.free.len() + self.out as usize, self.failures)
    }
}

/// A pipe on loan.
pub struct Pipe<D: Driver> {
    reactor: Reactor<D>,
    pub(super) ends: PipeEnds,
    /// Bytes in it.
    pub(super) held: usize,
}

impl<D: Driver> Reactor<D> {
    /// An empty pipe, unless all are out or the kernel gives none; both are counted, and the caller copies.
    pub fn take_pipe(&self) -> Option<Pipe<D>> {
        let mut pipes = self.0.pipes.borrow_mut();
        if pipes.out == pipes.most {
            pipes.failures += 1;
            return None;
        }
        let ends = match pipes.free.pop() {
            Some(ends) => ends,
            None => match self.0.driver.borrow_mut().pipe(PIPE_BYTES) {
                Ok(ends) => ends,
                Err(_) => {
                    pipes.failures += 1;
                    return None;
                }
            },
        };
        pipes.idle = pipes.idle.min(pipes.free.len());
        pipes.out += 1;
        Some(Pipe { reactor: self.clone(), ends, held: 0 })
    }

    /// Closes pipes that lay idle since the last call: they are descriptors, and count against the user's limit.
    pub fn trim_pipes(&self) {
        let mut pipes = self.0.pipes.borrow_mut();
        let idle = pipes.idle.min(pipes.free.len());
        let free: Vec<PipeEnds> = pipes.free.drain(..idle).collect();
        pipes.idle = pipes.free.len();
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

    pub(super) fn add(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        let n = result?;
        self.held += n;
        Ok(n)
    }
}

impl<D: Driver> Drop for Pipe<D> {
    fn drop(&mut self) {
        let mut pipes = self.reactor.0.pipes.borrow_mut();
        pipes.out -= 1;
        if self.held == 0 {
            pipes.free.push(self.ends);
        } else {
            let mut driver = self.reactor.0.driver.borrow_mut();
            driver.close(self.ends.read);
            driver.close(self.ends.write);
        }
    }
}
