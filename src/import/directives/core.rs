//! The process and its events.

use super::Fate::{Differs, Lost, Own, Unneeded};
use super::{Rule, row};

/// In the order of their names.
pub(super) const ROWS: &[Rule] = &[
    row("accept_mutex", "e", "on", Unneeded("one thread per CPU, without a master process")),
    row("accept_mutex_delay", "e", "1", Unneeded("one thread per CPU, without a master process")),
    row("daemon", "m", "on", Unneeded("one thread per CPU, without a master process")),
    row("debug_connection", "e", "1", Unneeded("the process takes what the host gives; see `ringgate doctor`")),
    row("debug_points", "m", "1", Unneeded("the process takes what the host gives; see `ringgate doctor`")),
    row("env", "m", "1", Unneeded("the process takes what the host gives; see `ringgate doctor`")),
    row("epoll_events", "e", "1", Unneeded("one thread per CPU, without a master process")),
    row("error_log", "m", "1+", Own),
    row("events", "m", "0{", Own),
    row(
        "google_perftools_profiles",
        "m",
        "1",
        Unneeded("the process takes what the host gives; see `ringgate doctor`"),
    ),
    row("http", "m", "0{", Own),
    row("load_module", "m", "1", Unneeded("what nginx's modules do is built in, or named in this report")),
    row("lock_file", "m", "1", Unneeded("one thread per CPU, without a master process")),
    row("master_process", "m", "on", Unneeded("one thread per CPU, without a master process")),
    row("multi_accept", "e", "on", Unneeded("one thread per CPU, without a master process")),
    row("pcre_jit", "m", "on", Unneeded("the process takes what the host gives; see `ringgate doctor`")),
    row("pid", "m", "1", Unneeded("there is no such file")),
    row("quic_bpf", "m", "on", Unneeded("one thread per CPU, without a master process")),
    row("ssl_engine", "m", "1", Lost("OpenSSL's commands mean nothing to rustls")),
    row(
        "ssl_object_cache_inheritable",
        "m",
        "on",
        Unneeded("certificates are kept in memory, and read again when their files change"),
    ),
    row("stream", "m", "0{", Own),
    row("thread_pool", "m", "2-3", Unneeded("one thread per CPU, without a master process")),
    row("timer_resolution", "m", "1", Unneeded("the process takes what the host gives; see `ringgate doctor`")),
    row("use", "e", "1", Unneeded("one thread per CPU, without a master process")),
    row("user", "m", "1-2", Differs("no privileges are dropped: start ringgate as the user it shall be")),
    row("worker_aio_requests", "e", "1", Unneeded("one thread per CPU, without a master process")),
    row("worker_connections", "e", "1", Own),
    row("worker_cpu_affinity", "m", "1+", Differs("threads are pinned one to a CPU")),
    row("worker_priority", "m", "1", Unneeded("the process takes what the host gives; see `ringgate doctor`")),
    row("worker_processes", "m", "1", Own),
    row("worker_rlimit_core", "m", "1", Unneeded("the process takes what the host gives; see `ringgate doctor`")),
    row("worker_rlimit_nofile", "m", "1", Unneeded("the process takes what the host gives; see `ringgate doctor`")),
    row("worker_shutdown_timeout", "m", "1", Own),
    row("working_directory", "m", "1", Unneeded("the process takes what the host gives; see `ringgate doctor`")),
];
