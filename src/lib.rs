//! ringgate: a Layer-4/Layer-7 load balancer for Linux. One process, one pinned thread per CPU, one io_uring per thread.
//!
//! # The house
//!
//! | room | what it does | may use |
//! |---|---|---|
//! | [`cli`] | one file per subcommand; every message that a person reads | all |
//! | [`control`] | the control plane, one thread on tokio-uring: signals, reload, drain, checks, names, admin socket | worker, site, tls, route, handlers::access, config, balance, stats, log |
//! | [`worker`] | one core: owns ring, listeners, pools, counters; accepts, drains | session, upstream, site, ring, config, balance, stats, log |
//! | [`session`] | what happens on a connection: the HTTP exchange, bodies, TCP passthrough, tunnels | handlers, limit, route, upstream, tls, ring, proto, config, balance, stats, log |
//! | [`handlers`] | what is answered without a backend: ACME challenges, static files, passwords, who may ask; compression; no worker waits for a disk | config's plan, proto, ring, limits |
//! | [`route`] | which server, location and URI a request comes to: nginx's locations, rewrite rules, maps, variables; what is changed in heads of answers | config, proto, balance, limits |
//! | [`limit`] | how often and how many at once, over all workers: the zones of `limit_req` and `limit_conn` | config's plan and templates, limits |
//! | [`upstream`] | a worker's connections to the backends: pools, connecting, counting | site, limit, tls, ring, proto, config, balance, stats, log |
//! | [`site`] | everything that runs as one value: plan, groups, TLS terms, zones of limits, open access logs | limit, tls, balance, config, log |
//! | [`tls`] | certificates and their files, what is offered and asked, who a client is, encrypted streams over sockets | ring, config, proto, limits |
//! | [`ring`] | the kernel's room, the only one with `unsafe`: driver, op slots, buffers, timers, executor, sockets | limits |
//! | [`proto`] | HTTP/1.1 without I/O: heads, framing, bodies, rewriting | limits |
//! | [`balance`] | who gets it: one policy per file, one `pick`; health; sharded counters | config's plan, proto's reasons, stats, limits |
//! | [`import`] | nginx.conf to TOML, with a report of what became of each directive; files are asked for | limits |
//! | [`config`] | from TOML to the checked plan | proto's reasons, limits |
//! | [`stats`] | what is counted, one writer per counter | config, proto |
//! | [`log`] | the error log and access logs: bounded queues and their writers | limits |
//! | [`limits`] | every bound: name, unit, reason | nothing |
//!
//! A request's way: [`worker`] accepts and spawns `session::http::serve`, which reads a head (`session::http::client`), chooses
//! a server and tries it (`exchange`, `attempt`), reads the answer's head (`answer`) and moves bodies (`session::relay`).
//!
//! # What is always true
//!
//! - `proto`, `balance` and `config` never see a file descriptor, a clock or `unsafe`; time is an argument.
//! - Every system call on a socket, the clock and randomness go through [`ring::Driver`]; workers are generic over it.
//! - What the kernel may touch is owned by an op slot until the op's last completion. The other invariants stand in [`ring`].
//! - A panic is our bug, never a peer's doing; it ends its task only, and is counted.
//! - Everything from the network is bounded before it is believed; the bounds stand in [`limits`].
//! - Workers share nothing that a request writes, except round robin's tickets (in blocks under load), the permits of
//!   servers with `max_conns`, and the zones of [`limit`].
//!
//! `tests/house.rs` keeps this map true. Decisions and their reasons: ARCHITECTURE.md.
pub mod balance;
pub mod cli;
pub mod config;
pub mod control;
pub mod handlers;
pub mod import;
pub mod limit;
pub mod limits;
pub mod log;
pub mod proto;
pub mod ring;
pub mod route;
pub mod session;
pub mod site;
pub mod stats;
pub mod tls;
pub mod upstream;
pub mod worker;
