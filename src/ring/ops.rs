//! Op slots: each owns everything that the kernel may touch until the op's last completion. Nothing but a completion frees
//! a slot; dropping a future or a socket handle only makes the answer uninteresting.

use super::buffers::Lease;
use super::driver::OpenHow;
use super::files::{File, Wait};
use super::memory::shrink;
use super::sockaddr::KernelAddress;
use slab::Slab;
use std::ffi::CString;
use std::rc::Rc;

/// What a completion's user_data names. Four bits of kind, 28 of generation, 32 of index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An op slot.
    Op { index: u32, generation: u32 },
    /// The read poll of a socket: it lives in the socket's own entry, so that an idle connection costs no op slot.
    Poll { socket: u32, generation: u32 },
    /// The answer to a cancellation; nobody waits for it.
    Cancel,
}

const GENERATION_MASK: u32 = (1 << 28) - 1;

impl Target {
    pub(super) fn pack(self) -> u64 {
        let (kind, generation, index) = match self {
            Self::Op { index, generation } => (1u64, generation, index),
            Self::Poll { socket, generation } => (2, generation, socket),
            Self::Cancel => (3, 0, 0),
        };
        kind << 60 | u64::from(generation & GENERATION_MASK) << 32 | u64::from(index)
    }

    pub(super) fn unpack(user_data: u64) -> Option<Self> {
        let generation = (user_data >> 32) as u32 & GENERATION_MASK;
        let index = user_data as u32;
        match user_data >> 60 {
            1 => Some(Self::Op { index, generation }),
            2 => Some(Self::Poll { socket: index, generation }),
            3 => Some(Self::Cancel),
            _ => None,
        }
    }
}

/// What an op does and what it holds meanwhile. `socket` is the index in the socket table.
pub(super) enum Op {
    /// Sends `lease[start..end]`; `start` moves on with short writes. `polling`: it waits for room first, after EAGAIN.
    Send { socket: u32, lease: Lease, start: u32, end: u32, polling: bool },
    /// Connects; boxed, because sockaddr_storage is large and connecting is rare.
    Connect { socket: u32, address: Box<KernelAddress> },
    /// Accepts until cancelled.
    Accept { socket: u32 },
    /// Waits for room to write into, for a splice.
    Room { socket: u32 },
    /// Opens a file. Boxed, because what is not in the kernel's memory is rare.
    Open(Box<Opening>),
    /// Reads `lease[start..end]` from a file.
    Read { file: File, lease: Lease, start: u32, end: u32, wait: Rc<Wait> },
    /// Writes `bytes[start..]` into a file.
    Write { file: File, bytes: Vec<u8>, start: usize, wait: Rc<Wait> },
    /// Takes a name away from a file.
    Unlink(Box<Unlinking>),
}

/// All that openat2 reads.
pub(super) struct Opening {
    /// The directory; kept open for the kernel.
    pub(super) at: Option<File>,
    pub(super) path: CString,
    pub(super) how: OpenHow,
    pub(super) wait: Rc<Wait>,
}

/// All that unlinkat reads.
pub(super) struct Unlinking {
    pub(super) path: CString,
    pub(super) wait: Rc<Wait>,
}

impl Op {
    /// `None`: it is about a file.
    pub(super) fn socket(&self) -> Option<u32> {
        match self {
            Self::Send { socket, .. } | Self::Connect { socket, .. } => Some(*socket),
            Self::Accept { socket } | Self::Room { socket } => Some(*socket),
            Self::Open(_) | Self::Read { .. } | Self::Write { .. } | Self::Unlink(_) => None,
        }
    }
}

struct Slot {
    generation: u32,
    op: Op,
}

/// All op slots of one worker.
#[derive(Default)]
pub(super) struct Ops {
    slots: Slab<Slot>,
    generation: u32,
}

impl Ops {
    /// Takes a slot; its name goes to the kernel as user_data.
    pub(super) fn insert(&mut self, op: Op) -> Target {
        self.generation = (self.generation + 1) & GENERATION_MASK;
        let index = self.slots.insert(Slot { generation: self.generation, op }) as u32;
        Target::Op { index, generation: self.generation }
    }

    /// The op of this name; `None` if it ended long ago.
    pub(super) fn get(&mut self, index: u32, generation: u32) -> Option<&mut Op> {
        self.slots.get_mut(index as usize).filter(|slot| slot.generation == generation).map(|slot| &mut slot.op)
    }

    /// Frees the slot: only after the last completion.
    pub(super) fn remove(&mut self, index: u32) -> Op {
        self.slots.remove(index as usize).op
    }

    pub(super) fn shrink(&mut self) {
        shrink(&mut self.slots);
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_survive_packing() {
        for target in [
            Target::Op { index: 0, generation: 0 },
            Target::Op { index: u32::MAX, generation: GENERATION_MASK },
            Target::Poll { socket: 77, generation: 123_456_789 },
            Target::Cancel,
        ] {
            assert_eq!(Target::unpack(target.pack()), Some(target));
        }
        assert_eq!(Target::unpack(0), None);
        assert_eq!(Target::unpack(u64::MAX), None);
    }

    #[test]
    fn a_reused_slot_has_another_name() {
        let mut ops = Ops::default();
        let Target::Op { index, generation } = ops.insert(Op::Accept { socket: 1 }) else { unreachable!() };
        assert!(ops.get(index, generation).is_some());
        ops.remove(index);
        assert!(ops.get(index, generation).is_none());
        let again = ops.insert(Op::Accept { socket: 2 });
        assert_ne!(again, Target::Op { index, generation });
        assert!(ops.get(index, generation).is_none(), "a late completion finds nothing");
    }
}
