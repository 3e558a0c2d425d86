//! What the kernel grants a ringgate here, tried for real: rings as the workers make them, and pipes.

use super::{Unavailable, Uring, pipe};
use crate::limits;
use crate::ring::driver::Driver;
use io_uring::{IoUring, Probe, opcode};
use std::io;

/// user_data of the trial's own operation.
const NOP: u64 = 1;
/// Nanoseconds that an operation which does nothing may take on a machine that is busy.
const PATIENCE: u64 = 5_000_000_000;

/// What came of making all rings of a ringgate at the same time.
#[derive(Debug, Default)]
pub struct Rings {
    /// How many workers' rings could be made.
    pub made: usize,
    /// Why no more, or why they do not work.
    pub error: Option<io::Error>,
    /// Operations of the workers that this kernel lacks.
    pub missing: Vec<&'static str>,
}

/// Makes the rings of `workers` workers and the control plane's, tries the first one, and gives all back.
pub fn rings(workers: usize) -> Rings {
    let mut trial = Rings::default();
    let mut rings = Vec::new();
    while rings.len() < workers {
        match Uring::new() {
            Ok(ring) => rings.push(ring),
            Err(Unavailable { error }) => {
                trial.error = Some(error);
                break;
            }
        }
    }
    trial.made = rings.len();
    if let Some(first) = rings.first_mut() {
        trial.missing = first.missing();
        let tried = first.try_nop().and_then(|()| IoUring::new(limits::CONTROL_RING_ENTRIES).map(drop));
        trial.error = trial.error.or(tried.err());
    }
    trial
}

/// Makes `count` pipes of `bytes` each at the same time, and says how many bytes each got.
pub fn pipes(count: usize, bytes: usize) -> io::Result<Vec<usize>> {
    let pipes: io::Result<Vec<_>> = (0..count).map(|_| pipe(bytes)).collect();
    Ok(pipes?.iter().map(|(_, _, capacity)| *capacity).collect())
}

impl Uring {
    /// One operation there and back, as the workers wait for theirs.
    fn try_nop(&mut self) -> io::Result<()> {
        self.push(opcode::Nop::new().build().user_data(NOP));
        let mut completions = Vec::new();
        self.wait(Some(PATIENCE), &mut completions)?;
        match completions.first() {
            Some(completion) if completion.user_data == NOP && completion.result == 0 => Ok(()),
            Some(completion) => Err(io::Error::from_raw_os_error(-completion.result)),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The operations of `submit` that the kernel does not know. A kernel that does not answer counts as knowing them all: asking is
    /// another system call than using, and may be forbidden alone.
    fn missing(&self) -> Vec<&'static str> {
        let used = [
            ("poll", opcode::PollAdd::CODE),
            ("accept", opcode::AcceptMulti::CODE),
            ("connect", opcode::Connect::CODE),
            ("send", opcode::Send::CODE),
            ("cancel", opcode::AsyncCancel::CODE),
        ];
        let mut probe = Probe::new();
        match self.ring.submitter().register_probe(&mut probe) {
            Ok(()) => used.into_iter().filter(|(_, code)| !probe.is_supported(*code)).map(|(name, _)| name).collect(),
            Err(_) => Vec::new(),
        }
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn rings_of_two_workers_can_be_made_and_used() {
        let trial = rings(2);
        assert!(trial.error.is_none(), "{trial:?}");
        assert_eq!((trial.made, trial.missing.len()), (2, 0));
    }

    #[test]
    fn pipes_have_at_least_a_page() {
        let sizes = pipes(3, limits::PIPE_BYTES).expect("three pipes can be made");
        assert!(sizes.len() == 3 && sizes.iter().all(|&size| size >= 4096), "{sizes:?}");
    }
}
