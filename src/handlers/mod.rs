//! What is answered without a backend, beyond what the configuration says word for word. Files are read by a thread of their own: a slow
//! disk stalls no worker.
pub mod acme;
