//! The kernel's room: driver, op slots, buffers, timers, executor, sockets. The only room with `unsafe`.
//!
//! Code above it is async/await on a small single-threaded executor. That is sound on completions because of these
//! invariants (design section 3; each has its tests in `ring/tests.rs`):
//!
//! 1. An op slot owns everything that the kernel may touch until the op's last completion ([`ops`]).
//! 2. Receiving is by readiness: a receive that nobody awaits any more leaves its bytes in the kernel ([`socket`]).
//! 3. One writer at a time: a socket has at most one send in flight, and nothing else writes meanwhile.
//! 4. A socket closes in order: flush, cancel its poll, last completion, close ([`socket`]).
//! 5. A waker is three integers, never a pointer ([`executor`]).
#![allow(unsafe_code)]

pub mod buffers;
pub mod driver;
pub mod executor;
mod files;
mod local_time;
mod memory;
mod ops;
mod pipes;
mod reactor;
pub mod sockaddr;
mod socket;
mod splice;
pub mod timers;
pub mod uring;

#[cfg(test)]
pub mod scripted;
#[cfg(test)]
mod tests;

pub use buffers::{Buffers, Lease, Owner, Reservation, Size};
pub use driver::{Descriptor, Driver, Kind, OpenHow, Resolve, Stat};
pub use files::File;
pub use local_time::{utc_offset, utc_offset_at};
pub use pipes::Pipe;
pub use reactor::{Gauges, Reactor, Watched, Watcher};
pub use socket::{Listener, Socket, SocketId};
pub use timers::{Elapsed, Timer};
