//! The judgement: from what was found to findings. Pure functions; every threshold has its reason.

use super::cures::{self, Cure, cure};
use super::host::{CAP_IPC_LOCK, CAP_SYS_ADMIN, CAP_SYS_RESOURCE, Host};
use super::refusal::{self, KERNEL_MIN, Refusal};
use crate::cli::counted;
use crate::cli::table::{bytes, grouped};
use crate::control::files::Needed;
use crate::limits;
use serde::Serialize;

/// The hard limit on open files that systemd gives every service: who has it has done what is usual.
pub const FILES_PLENTY: u64 = 524_288;
/// Fewer ports than this are not the kernel's default (28,232), but somebody's choice.
const PORTS_FEW: u64 = 20_000;
/// Connections remembered by default on a host with more than 4 GB.
const CONNTRACK_PLENTY: u64 = 262_144;
/// Bytes of buffers of one worker when 4,096 exchanges wait for their servers and all large buffers are out.
const BUFFERS_USUAL: u64 = (limits::BUFFERS_SMALL_MAX / limits::EXCHANGE_BUFFERS) as u64 * limits::BUFFER_SMALL as u64
    + limits::BUFFERS_LARGE_MAX as u64 * limits::BUFFER_LARGE as u64;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// It runs, but not as well as it could.
    Warning,
    /// It does not run.
    Problem,
}

impl Level {
    /// As people and programs read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub level: Level,
    pub message: String,
    pub cures: Vec<Cure>,
}

fn ok(check: &'static str, message: String) -> Finding {
    Finding { check, level: Level::Ok, message, cures: Vec::new() }
}

fn warning(check: &'static str, message: String, cures: Vec<Cure>) -> Finding {
    Finding { check, level: Level::Warning, message, cures }
}

fn problem(check: &'static str, message: String, cures: Vec<Cure>) -> Finding {
    Finding { check, level: Level::Problem, message, cures }
}

/// What the configuration needs.
#[derive(Debug, Clone)]
pub struct Demand {
    pub workers: usize,
    /// Client connections of all workers.
    pub connections: u64,
    pub files: Needed,
    /// TCP ports to listen on; empty without a configuration.
    pub ports: Vec<u16>,
}

/// What was tried for real; not possible where descriptors are too few.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Rings of workers that could be made at the same time, and the error number of what went wrong (0: no answer).
    pub rings: usize,
    pub error: Option<i32>,
    /// Operations that the kernel lacks.
    pub missing: Vec<&'static str>,
    /// Bytes of the smallest of one worker's pipes; or the error number.
    pub pipe: Result<u64, i32>,
}

/// All findings, in the order in which they are shown.
pub fn findings(host: &Host, demand: &Demand, tried: Option<&Tried>) -> Vec<Finding> {
    let tried_for = |judge: fn(&Host, &Demand, &Tried) -> Option<Finding>| tried.and_then(|t| judge(host, demand, t));
    let all = [
        Some(kernel(host)),
        tried_for(io_uring),
        tried_for(locked_memory),
        Some(open_files(host, demand)),
        tried_for(pipes),
        Some(cpus(host, demand)),
        memory(host, demand),
        accept_queue(host),
        local_ports(host),
        Some(listening(host, demand)),
        connection_tracking(host, demand),
    ];
    all.into_iter().flatten().collect()
}

fn kernel(host: &Host) -> Finding {
    let place = host.container.map_or(String::new(), |container| format!(", in a {} container", container.name()));
    let system = format!("Linux {} on {}{place}", host.release, std::env::consts::ARCH);
    match host.kernel() {
        Some(kernel) if kernel < KERNEL_MIN => {
            problem("kernel", format!("{system}: 6.1 or later is needed"), vec![refusal::newer_kernel()])
        }
        _ => ok("kernel", system),
    }
}

fn io_uring(host: &Host, demand: &Demand, tried: &Tried) -> Option<Finding> {
    const CHECK: &str = "io_uring";
    if let Some(errno) = tried.error {
        let (message, cures) = refusal::tell(errno, host, demand.workers);
        return Some(problem(CHECK, message, cures));
    }
    if !tried.missing.is_empty() {
        let message = format!("this kernel's io_uring lacks: {}", tried.missing.join(", "));
        return Some(problem(CHECK, message, vec![refusal::newer_kernel()]));
    }
    Some(ok(CHECK, format!("works: the rings of {} were made and tried", counted(tried.rings, "worker"))))
}

fn locked_memory(host: &Host, demand: &Demand, tried: &Tried) -> Option<Finding> {
    const CHECK: &str = "locked memory";
    if tried.error.is_some_and(|errno| refusal::cause(errno, host) == Refusal::LockedMemory) {
        return None; // said already
    }
    let needed = refusal::locked_bytes(demand.workers);
    let Some(limit) = host.memlock.filter(|_| !host.user.can(CAP_IPC_LOCK)) else {
        return Some(ok(CHECK, "no limit for this user".to_owned()));
    };
    let shown = format!("{} for this user, the rings take {}", bytes(limit), bytes(needed));
    if host.kernel().is_some_and(|kernel| kernel < refusal::KERNEL_CHARGES) {
        return Some(ok(CHECK, format!("{shown}, which this kernel does not count")));
    }
    if limit >= 2 * needed {
        return Some(ok(CHECK, shown));
    }
    let message = format!("{shown}: no second ringgate can start while a first one drains");
    Some(warning(CHECK, message, cures::locked_memory(host, refusal::enough_memory(needed))))
}

fn open_files(host: &Host, demand: &Demand) -> Finding {
    const CHECK: &str = "open files";
    let reachable = host.files_hard.map(|hard| hard.min(host.nr_open.unwrap_or(hard)));
    let Some(limit) = reachable else { return ok(CHECK, "no limit".to_owned()) };
    let Needed { to_start, at_most } = demand.files;
    if limit < to_start {
        let (message, cures) = too_few_files(host, limit, to_start);
        return problem(CHECK, message, cures);
    }
    let connections = (limit - (to_start - limits::SPARE_DESCRIPTORS)) / 2;
    let raised = match host.files_soft.filter(|&soft| soft < limit) {
        Some(soft) => format!(" (ringgate raises the soft limit of {} itself)", grouped(soft)),
        None => String::new(),
    };
    let enough = format!("{}{raised}, enough for {} connections at a time", grouped(limit), grouped(connections));
    let wanted = at_most.min(FILES_PLENTY);
    if limit >= wanted {
        return ok(CHECK, enough);
    }
    let message = format!("{enough}, where worker_connections allows {}", grouped(demand.connections));
    warning(CHECK, message, cures::open_files(host, wanted.next_power_of_two()))
}

/// What `run` says too.
pub fn too_few_files(host: &Host, limit: u64, needed: u64) -> (String, Vec<Cure>) {
    let message =
        format!("the limit on open files is {}, too low: starting alone takes {}", grouped(limit), grouped(needed));
    (message, cures::open_files(host, 65_536.max(needed.next_power_of_two())))
}

fn pipes(host: &Host, demand: &Demand, tried: &Tried) -> Option<Finding> {
    const CHECK: &str = "pipes";
    let most = demand.workers as u64 * u64::from(limits::PIPES_MAX) * limits::PIPE_BYTES as u64;
    let page = host.page_size.max(1);
    let free = host.user.can(CAP_SYS_RESOURCE) || host.user.can(CAP_SYS_ADMIN);
    // A value of 0 means no limit.
    let user_limit = |pages: Option<u64>| pages.filter(|&pages| pages > 0 && !free).map(|pages| pages * page);
    let (soft, hard) = (user_limit(host.pipe_pages_soft), user_limit(host.pipe_pages_hard));
    // Never less than there is: other programs use it too.
    let more =
        |name: &str, now: Option<u64>| vec![cures::sysctl(host, name, most.div_ceil(page).max(2 * now.unwrap_or(0)))];
    let cost = "large bodies are then copied, which takes more CPU time";
    let size = bytes(limits::PIPE_BYTES as u64);
    let short = match tried.pipe {
        Err(libc::EMFILE) => return None, // the limit on open files is too tight even for these, which its own finding says
        Err(errno) => {
            let error = std::io::Error::from_raw_os_error(errno);
            let cures = match host.pipe_pages_hard {
                Some(1..) => more("fs.pipe-user-pages-hard", host.pipe_pages_hard),
                _ if host.user.filtered => cures::seccomp(host),
                _ => vec![],
            };
            Some((format!("none can be had ({error}); {cost}"), cures))
        }
        Ok(_)
            if host.pipe_max_size.is_some_and(|max| max < limits::PIPE_BYTES as u64)
                && !host.user.can(CAP_SYS_RESOURCE) =>
        {
            let message =
                format!("none larger than {} may be made, {size} are wanted", bytes(host.pipe_max_size.unwrap_or(0)));
            Some((message, vec![cures::sysctl(host, "fs.pipe-max-size", limits::PIPE_BYTES)]))
        }
        Ok(got) if got < limits::PIPE_BYTES as u64 => {
            let message = format!("one got {} instead of {size}: this user's pipes are used up; {cost}", bytes(got));
            Some((message, more("fs.pipe-user-pages-soft", host.pipe_pages_soft)))
        }
        Ok(_) => None,
    };
    let limited = [(soft, "fs.pipe-user-pages-soft"), (hard, "fs.pipe-user-pages-hard")];
    let short = short.or_else(|| {
        let (limit, name) = limited.iter().find_map(|(limit, name)| Some((limit.filter(|&l| l < most)?, name)))?;
        let message = format!("this user's may hold {}, the workers' up to {}; {cost}", bytes(limit), bytes(most));
        Some((message, more(name, None)))
    });
    Some(match short {
        Some((message, cures)) => warning(CHECK, message, cures),
        None => ok(CHECK, format!("{size} each, as wanted; the workers' hold up to {}", bytes(most))),
    })
}

fn cpus(host: &Host, demand: &Demand) -> Finding {
    const CHECK: &str = "CPUs";
    let workers = counted(demand.workers, "worker");
    let mut shown = match (host.cpus_online, host.cpus_allowed) {
        (Some(online), Some(allowed)) if allowed < online => format!("{allowed} of {online} may be used"),
        (Some(online), _) => format!("{online} online"),
        (None, _) => "unknown".to_owned(),
    };
    if let Some(quota) = host.cpu_quota {
        shown += &format!(", the cgroup grants the time of {quota:.2}");
    }
    let fewer = |most: usize| cure(format!("workers = {}", most.max(1)), "in the configuration");
    match (host.cpu_quota, host.cpus_allowed) {
        // Rounded up: the last part of a CPU is worth a worker of its own, but not two.
        (Some(quota), _) if demand.workers as f64 > quota.ceil() => {
            let message = format!("{shown}, for {workers}: they stand still when it is used up");
            warning(CHECK, message, vec![fewer(quota as usize), cures::cpu_quota(host, demand.workers)])
        }
        (_, Some(allowed)) if demand.workers > allowed => {
            warning(CHECK, format!("{shown}, for {workers}: they take turns"), vec![fewer(allowed)])
        }
        _ => ok(CHECK, format!("{shown}, for {workers}")),
    }
}

fn memory(host: &Host, demand: &Demand) -> Option<Finding> {
    const CHECK: &str = "memory";
    let limit = host.memory_limit?;
    let usual = demand.workers as u64 * BUFFERS_USUAL;
    let message = format!(
        "the cgroup grants {}; buffers take up to {} when each worker has 4,096 requests waiting",
        bytes(limit),
        bytes(usual)
    );
    Some(if limit < usual { warning(CHECK, message, cures::memory(host, 2 * usual)) } else { ok(CHECK, message) })
}

fn accept_queue(host: &Host) -> Option<Finding> {
    const CHECK: &str = "accept queue";
    let wanted = limits::BACKLOG as u64;
    let most = host.somaxconn?;
    if most >= wanted {
        return Some(ok(CHECK, format!("{} connections may wait", grouped(wanted))));
    }
    let message = format!(
        "only {} connections may wait instead of {}: a burst of more is slowed down",
        grouped(most),
        grouped(wanted)
    );
    Some(warning(CHECK, message, vec![cures::network_sysctl(host, "net.core.somaxconn", &wanted.to_string())]))
}

fn local_ports(host: &Host) -> Option<Finding> {
    const CHECK: &str = "local ports";
    let (first, last) = host.ports?;
    let count = (last + 1).saturating_sub(first);
    let reuse = match host.tw_reuse {
        Some(1) => "closed ones are free again after a second",
        Some(0) => "closed ones rest for a minute",
        _ => "closed ones rest for a minute, but on loopback",
    };
    let message = format!("{} connections at a time to each address of a server; {reuse}", grouped(count));
    if count >= PORTS_FEW {
        return Some(ok(CHECK, message));
    }
    let mut cures = vec![cures::network_sysctl(host, "net.ipv4.ip_local_port_range", "10240 65535")];
    if host.tw_reuse != Some(1) {
        cures.push(cures::network_sysctl(host, "net.ipv4.tcp_tw_reuse", "1"));
    }
    Some(warning(CHECK, format!("only {message}"), cures))
}

fn listening(host: &Host, demand: &Demand) -> Finding {
    const CHECK: &str = "listening";
    let first = host.first_port();
    if first == 0 {
        return ok(CHECK, "on any port".to_owned());
    }
    match demand.ports.iter().map(|&port| u64::from(port)).filter(|&port| port > 0 && port < first).min() {
        Some(port) => {
            let message = format!("on port {port}: ports below {first} need root or CAP_NET_BIND_SERVICE");
            problem(CHECK, message, cures::low_port(host, port))
        }
        None => ok(CHECK, format!("on ports from {first} on: lower ones need root or CAP_NET_BIND_SERVICE")),
    }
}

fn connection_tracking(host: &Host, demand: &Demand) -> Option<Finding> {
    const CHECK: &str = "conntrack";
    let most = host.conntrack_max?;
    let wanted = (2 * demand.connections).min(CONNTRACK_PLENTY);
    let message = format!("the packet filter remembers {} connections; a proxied one counts twice", grouped(most));
    if most >= wanted {
        return Some(ok(CHECK, message));
    }
    let cures = vec![cures::sysctl(host, "net.netfilter.nf_conntrack_max", wanted)];
    Some(warning(CHECK, format!("{message}, and beyond them packets are dropped"), cures))
}

#[cfg(test)]
mod tests;
