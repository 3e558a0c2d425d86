//! What is looked up about the host: everything that `doctor` reads, in one place. Nothing is judged here; what cannot be read is `None`.

use super::cgroup;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// Capabilities, as bits of CapEff.
pub const CAP_NET_BIND_SERVICE: u32 = 10;
/// See above.
pub const CAP_IPC_LOCK: u32 = 14;
/// See above.
pub const CAP_SYS_ADMIN: u32 = 21;
/// See above.
pub const CAP_SYS_RESOURCE: u32 = 24;

/// In what ringgate runs, if it is not the host itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    Docker,
    Podman,
    Kubernetes,
    Lxc,
    Nspawn,
    Other,
}

impl Container {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
            Self::Kubernetes => "Kubernetes",
            Self::Lxc => "LXC",
            Self::Nspawn => "systemd-nspawn",
            Self::Other => "Linux",
        }
    }
}

/// A limit of a process; `None`: unlimited.
pub type Limit = Option<u64>;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// As in `uname -r`.
    pub release: String,
    pub container: Option<Container>,
    /// The sysctls kernel.io_uring_disabled and kernel.io_uring_group; absent before Linux 6.6.
    pub io_uring_disabled: Option<u64>,
    pub io_uring_group: Option<i64>,
    pub user: User,
    /// Bytes that this user may lock.
    pub memlock: Limit,
    /// Open files, soft (as it was at the start) and hard.
    pub files_soft: Limit,
    pub files_hard: Limit,
    /// The largest limit on open files that can be given (fs.nr_open).
    pub nr_open: Option<u64>,
    /// Bytes of a page.
    pub page_size: u64,
    /// Bytes of the largest pipe that a user without rights may have.
    pub pipe_max_size: Option<u64>,
    /// Pages of all pipes of a user, beyond which pipes shrink, and beyond which there are none; 0: no limit.
    pub pipe_pages_soft: Option<u64>,
    pub pipe_pages_hard: Option<u64>,
    pub cpus_online: Option<usize>,
    pub cpus_allowed: Option<usize>,
    /// CPUs' worth of time that the cgroup grants.
    pub cpu_quota: Option<f64>,
    /// Bytes that the cgroup grants.
    pub memory_limit: Option<u64>,
    pub somaxconn: Option<u64>,
    /// The first and last port for connections to servers.
    pub ports: Option<(u64, u64)>,
    /// net.ipv4.tcp_tw_reuse.
    pub tw_reuse: Option<u64>,
    /// The first port that everybody may listen on.
    pub unprivileged_port: Option<u64>,
    /// Connections that the packet filter remembers, where it does.
    pub conntrack_max: Option<u64>,
}

/// What this process may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// CapEff.
    pub capabilities: u64,
    /// The effective group and the supplementary ones.
    pub groups: Vec<u32>,
    /// A seccomp filter stands between it and the kernel.
    pub filtered: bool,
    /// Within a user namespace, capabilities do not count for limits of the whole host.
    pub namespace: bool,
}

impl User {
    /// Whether it has a capability on the host.
    pub fn can(&self, capability: u32) -> bool {
        !self.namespace && self.can_here(capability)
    }

    /// Whether it has a capability over its own network.
    pub fn can_here(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 == 1
    }
}

impl Host {
    /// The first port that this user may listen on.
    pub fn first_port(&self) -> u64 {
        if self.user.can_here(CAP_NET_BIND_SERVICE) { 0 } else { self.unprivileged_port.unwrap_or(1024) }
    }

    /// Looks. The soft limit on open files is as it is now: ask before it is raised.
    pub fn look() -> Host {
        let (files, memlock) = (getrlimit(Resource::Nofile), getrlimit(Resource::Memlock));
        let groups = text("/proc/self/cgroup");
        Host {
            release: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            container: container(),
            io_uring_disabled: number("/proc/sys/kernel/io_uring_disabled"),
            io_uring_group: number("/proc/sys/kernel/io_uring_group"),
            user: user(&text("/proc/self/status"), &text("/proc/self/uid_map")),
            memlock: memlock.current,
            files_soft: files.current,
            files_hard: files.maximum,
            nr_open: number("/proc/sys/fs/nr_open"),
            page_size: rustix::param::page_size() as u64,
            pipe_max_size: number("/proc/sys/fs/pipe-max-size"),
            pipe_pages_soft: number("/proc/sys/fs/pipe-user-pages-soft"),
            pipe_pages_hard: number("/proc/sys/fs/pipe-user-pages-hard"),
            cpus_online: listed(&text("/sys/devices/system/cpu/online")),
            cpus_allowed: core_affinity::get_core_ids().map(|cpus| cpus.len()),
            cpu_quota: cgroup::cpu_quota(Path::new("/sys/fs/cgroup"), &groups),
            memory_limit: cgroup::memory_limit(Path::new("/sys/fs/cgroup"), &groups),
            somaxconn: number("/proc/sys/net/core/somaxconn"),
            ports: pair(&text("/proc/sys/net/ipv4/ip_local_port_range")),
            tw_reuse: number("/proc/sys/net/ipv4/tcp_tw_reuse"),
            unprivileged_port: number("/proc/sys/net/ipv4/ip_unprivileged_port_start"),
            conntrack_max: number("/proc/sys/net/netfilter/nf_conntrack_max"),
        }
    }

    /// Major and minor number of the kernel.
    pub fn kernel(&self) -> Option<(u32, u32)> {
        let mut numbers = self.release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        }
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn number<T: std::str::FromStr>(path: &str) -> Option<T> {
    text(path).trim().parse().ok()
}

fn pair(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// How many CPUs a list like `0-3,6` names.
fn listed(text: &str) -> Option<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    text.trim().split(',').map(range).sum()
}

fn user(status: &str, uid_map: &str) -> User {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().split_whitespace().collect::<Vec<_>>()
    };
    let effective_group = field("Gid").get(1).copied();
    let groups = effective_group.into_iter().chain(field("Groups"));
    User {
        capabilities: field("CapEff").first().and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0),
        groups: groups.filter_map(|group| group.parse().ok()).collect(),
        filtered: field("Seccomp") == ["2"],
        namespace: !uid_map.is_empty() && uid_map.split_whitespace().ne(["0", "0", "4294967295"]),
    }
}

/// By the marks that the usual ones leave.
fn container() -> Option<Container> {
    let named = std::env::var("container").unwrap_or_else(|_| text("/run/systemd/container"));
    let exists = |path: &str| Path::new(path).exists();
    let kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let marks = [
        (Container::Kubernetes, kubernetes || exists("/var/run/secrets/kubernetes.io")),
        (Container::Podman, exists("/run/.containerenv")),
        (Container::Docker, exists("/.dockerenv")),
    ];
    let marked = marks.into_iter().find(|(_, there)| *there).map(|(container, _)| container);
    marked.or_else(|| by_name(named.trim())).or_else(|| by_group(&text("/proc/1/cgroup")))
}

fn by_name(name: &str) -> Option<Container> {
    match name {
        "" => None,
        "podman" => Some(Container::Podman),
        "docker" => Some(Container::Docker),
        "systemd-nspawn" => Some(Container::Nspawn),
        "lxc" | "lxc-libvirt" => Some(Container::Lxc),
        _ => Some(Container::Other),
    }
}

fn by_group(first_process: &str) -> Option<Container> {
    let names = [
        ("kubepods", Container::Kubernetes),
        ("libpod", Container::Podman),
        ("docker", Container::Docker),
        ("lxc", Container::Lxc),
        ("containerd", Container::Other),
    ];
    names.into_iter().find(|(name, _)| first_process.contains(name)).map(|(_, container)| container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_counted() {
        let table = [("0\n", Some(1)), ("0-3\n", Some(4)), ("0-1,4,8-9", Some(5)), ("", None), ("3-1", None)];
        table.iter().for_each(|(text, count)| assert_eq!(listed(text), *count, "{text}"));
    }

    #[test]
    fn kernels_are_numbered() {
        let kernel = |release: &str| Host { release: release.into(), ..Host::default() }.kernel();
        assert_eq!(kernel("6.18.44-fc"), Some((6, 18)));
        assert_eq!(kernel("6.1-rc3"), Some((6, 1)));
        assert_eq!((kernel(""), kernel("x")), (None, None));
    }

    #[test]
    fn the_own_status_is_understood() {
        let status = "Name:\tx\nGid:\t5\t6\t7\t8\nGroups:\t20 30 \nCapEff:\t0000000000200400\nSeccomp:\t2\n";
        let found = user(status, "         0          0 4294967295\n");
        assert_eq!((&found.groups[..], found.filtered, found.namespace), (&[6, 20, 30][..], true, false));
        assert!(found.can(CAP_SYS_ADMIN) && found.can(CAP_NET_BIND_SERVICE) && !found.can(CAP_IPC_LOCK));
        let within = user(status, "0 100000 65536\n");
        assert!(within.namespace && !within.can(CAP_SYS_ADMIN) && within.can_here(CAP_NET_BIND_SERVICE));
        assert_eq!(user("", ""), User::default());
    }

    #[test]
    fn containers_are_known_by_their_marks() {
        assert_eq!(by_name("podman"), Some(Container::Podman));
        assert_eq!((by_name(""), by_name("oci")), (None, Some(Container::Other)));
        assert_eq!(by_group("0::/kubepods.slice/x.scope"), Some(Container::Kubernetes));
        assert_eq!((by_group("12:cpu:/docker/1f"), by_group("0::/init.scope")), (Some(Container::Docker), None));
    }
}
