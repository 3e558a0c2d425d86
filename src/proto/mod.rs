//! Protocols without I/O: bytes and time come as arguments, decisions go out as values.
pub mod reason;
