//! worker

