//! Open files: the limit, and how many a plan takes.

use crate::config::plan::{Action, FileCache, Plan};
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
    // Each is there twice while it is opened again.
    let logs = 2 * plan.access_logs.len() as u64;
    let control = limits::CONTROL_DESCRIPTORS + lookups + logs;
    let to_start = open + control + workers * per_worker + limits::SPARE_DESCRIPTORS;
    // Each client connection may have one to a server, and a body in a file; idle ones wait in the pools beside them.
    let holds = plan.servers.iter().flat_map(|server| &server.locations).any(|location| location.request_buffering);
    let each = 2 + u64::from(holds);
    let busy = workers * (each * u64::from(plan.worker_connections) + 2 * u64::from(limits::PIPES_MAX));
    let pools = plan.upstreams.iter().map(|upstream| u64::from(upstream.keepalive) * upstream.peers.len() as u64);
    let files = workers * files_kept(plan);
    Needed { to_start, at_most: to_start + busy + pools.sum::<u64>() + files + limits::CHECKS_AT_ONCE as u64 }
}

/// Files and directories that one worker keeps open.
fn files_kept(plan: &Plan) -> u64 {
    let locations = || plan.servers.iter().flat_map(|server| &server.locations);
    if !locations().any(|location| location.action == Action::Files) {
        return 0;
    }
    let mut caches: Vec<&FileCache> = Vec::new();
    for cache in locations().filter_map(|location| location.files.cache.as_ref()) {
        if !caches.contains(&cache) {
            caches.push(cache);
        }
    }
    let kept =
        caches.iter().take(limits::FILE_CACHES_MAX).map(|cache| (cache.max as usize).min(limits::FILES_KEPT_MAX));
    (limits::BASES_MAX + kept.sum::<usize>()) as u64
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
        assert_eq!(needed(&plan, 3), Needed { to_start: start, at_most: start + 2 * (200 + 32) + 20 + 64 });
        plan.upstreams[0].peers[0].host = Some(crate::config::plan::Host { name: "a.test".to_string(), port: 1 });
        let lookups = limits::DNS_LOOKUPS_MAX as u64 * limits::DNS_LOOKUP_DESCRIPTORS;
        assert_eq!(needed(&plan, 3).to_start, start + lookups);
        let text = "workers = 2\nopen_file_cache = \"max=100 inactive=20s\"\n[[server]]\nlisten = \"127.0.0.1:3\"\n\
                    [server.location.\"/\"]\nroot = \"/srv\"\n[server.location.\"/a/\"]\nroot = \"/srv\"\n";
        let plan = crate::config::load_str("test", text).expect("a good configuration").plan;
        assert_eq!(files_kept(&plan), 100 + limits::BASES_MAX as u64);
    }

    #[test]
    fn open_descriptors_are_counted() {
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").expect("it is there")).collect();
        assert!(open_now() > files.len() as u64, "these and the standard ones");
    }
}
