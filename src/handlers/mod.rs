//! What is answered without a backend, beyond what the configuration says word for word. Files are read by threads of their own: a slow
//! disk stalls no worker. And who may be answered at all.
pub mod access;
pub mod acme;
pub mod auth;
pub mod compress;
pub mod files;
