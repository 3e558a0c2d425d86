//! TLS: certificates from files, what sections offer to clients and ask of backends, and encrypted streams over sockets.
//!
//! [`Terms`] is rustls' side of a plan. Certificates live in a [`Store`] that outlives plans: the control plane swaps renewed ones
//! into its slots, and workers see no more of it than the next handshake. A [`Stream`] is a socket, with TLS or without.

pub mod certificate;
mod dialer;
mod engine;
pub mod facts;
mod offer;
pub mod placeholder;
pub mod stamp;
pub mod store;
mod stream;
pub mod terms;
#[cfg(test)]
pub mod testing;
mod tickets;
mod trust;
pub mod verify;
pub mod words;

pub use facts::Facts;
pub use store::Store;
pub use stream::Stream;
pub use terms::{Dialer, Offer, Terms};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trust_tests;
