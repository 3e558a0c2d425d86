//! Open files: the limit, and how many a plan takes.

use crate::config::plan::Plan;
use crate::limits;
use crate::worker;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard one, and returns the limit as it is now (`None`: unlimited). The soft one is often
/// 1024, for programs that use select(2); a balancer needs two per request.
pub fn raise_limit() -> Option<u64> {
    let hard = getrlimit(Resource::Nofile).maximum;
    let raise = |to| setrlimit(Resource::Nofile, Rlimit { current: to, maximum: to });
    // A hard limit above fs.nr_open, which may have been lowered since, is refused even as it is.
    let nr_open = || std::fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok();
    if raise(hard).is_err() {
        let _ = raise(nr_open()); // as far as it goes
    }
    getrlimit(Resource::Nofile).current
}

/// Descriptors that this process has open now; those that its parent left open count too.
pub fn open_now() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(3, |entries| entries.count() as u64 - 1) // without that of reading
}

/// Descriptors that a ringgate takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// With fewer it does not start.
    pub to_start: u64,
    /// With so many it never runs short.
    pub at_most: u64,
}

/// What `plan` takes when `open` descriptors are open already.
pub fn needed(plan: &Plan, open: u64) -> Needed {
    let workers = worker::count(plan) as u64;
    let per_worker = limits::WORKER_DESCRIPTORS + plan.listeners.len() as u64;
    let named = plan.upstreams.iter().flat_map(|upstream| &upstream.peers).any(|peer| peer.host.is_some());
    let lookups = if named { limits::DNS_LOOKUPS_MAX as u64 * limits::DNS_LOOKUP_DESCRIPTORS } else { 0 };
    let to_start = open + limits::CONTROL_DESCRIPTORS + lookups + workers * per_worker + limits::SPARE_DESCRIPTORS;
    // Each client connection may have one to a server, and idle ones wait in the pools beside them.
    let busy = workers * (2 * u64::from(plan.worker_connections) + 2 * u64::from(limits::PIPES_MAX));
    let pools = plan.upstreams.iter().map(|upstream| u64::from(upstream.keepalive) * upstream.peers.len() as u64);
    Needed { to_start, at_most: to_start + busy + pools.sum::<u64>() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plan_takes() {
        let text = "workers = 2\nworker_connections = 100\n[upstream.a]\nserver = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\nkeepalive = 10\n\
                    [[tcp]]\nlisten = \"127.0.0.1:3\"\nproxy_pass = \"a\"\n";
        let mut plan = crate::config::load_str("test", text).expect("a good configuration").plan;
        let start = 3 + limits::CONTROL_DESCRIPTORS + limits::SPARE_DESCRIPTORS + 2 * (limits::WORKER_DESCRIPTORS + 1);
        assert_eq!(needed(&plan, 3), Needed { to_start: start, at_most: start + 2 * (200 + 32) + 20 });
        plan.upstreams[0].peers[0].host = Some(crate::config::plan::Host { name: "a.test".to_string(), port: 1 });
        let lookups = limits::DNS_LOOKUPS_MAX as u64 * limits::DNS_LOOKUP_DESCRIPTORS;
        assert_eq!(needed(&plan, 3).to_start, start + lookups);
    }

    #[test]
    fn open_descriptors_are_counted() {
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").expect("it is there")).collect();
        assert!(open_now() > files.len() as u64, "these and the standard ones");
    }
}
