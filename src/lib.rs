//! ringgate: a Layer-4/Layer-7 load balancer, thread per core, one io_uring per thread.
pub mod balance;
pub mod cli;
pub mod config;
pub mod control;
pub mod limits;
pub mod log;
pub mod proto;
pub mod ring;
pub mod session;
pub mod stats;
pub mod upstream;
pub mod worker;
