//! worker
pub mod stats;
