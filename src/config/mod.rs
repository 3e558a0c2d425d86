//! From TOML text to a checked [`plan::Plan`].
pub mod plan;
