//! How things are mended: the command, fitting where ringgate runs.

use super::host::{Container, Host};
use serde::Serialize;

/// A command, or a line for a file, and where or for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cure {
    pub command: String,
    pub note: String,
}

/// A cure.
pub fn cure(command: impl Into<String>, note: impl Into<String>) -> Cure {
    Cure { command: command.into(), note: note.into() }
}

/// Sets a sysctl of the whole host.
pub fn sysctl(host: &Host, name: &str, value: impl std::fmt::Display) -> Cure {
    let place = if host.container.is_some() { "on the host, not in the container; " } else { "" };
    let note = format!("{place}`{name} = {value}` in /etc/sysctl.d/ringgate.conf keeps it");
    cure(format!("sysctl -w {name}={value}"), note)
}

/// Sets one that each network namespace has for itself.
pub fn network_sysctl(host: &Host, name: &str, value: &str) -> Cure {
    match host.container {
        Some(Container::Docker) => cure(format!("docker run --sysctl {name}=\"{value}\" ..."), ""),
        Some(Container::Podman) => cure(format!("podman run --sysctl {name}=\"{value}\" ..."), ""),
        Some(Container::Kubernetes) => cure(
            format!("securityContext: {{ sysctls: [{{ name: {name}, value: \"{value}\" }}] }}"),
            "in the pod's specification",
        ),
        _ => {
            let keep = format!("`{name} = {value}` in /etc/sysctl.d/ringgate.conf keeps it");
            let quoted = if value.contains(' ') { format!("\"{name}={value}\"") } else { format!("{name}={value}") };
            cure(format!("sysctl -w {quoted}"), keep)
        }
    }
}

/// Raises the limit on open files.
pub fn open_files(host: &Host, count: u64) -> Vec<Cure> {
    let mut cures = limit(host, ("nofile", "LimitNOFILE"), ("-n", count), count.to_string());
    if let Some(most) = host.nr_open.filter(|&most| most < count) {
        let note = "on the host, first";
        cures.insert(0, cure(format!("sysctl -w fs.nr_open={count}"), format!("{note}: it allows {most} at most")));
    }
    cures
}

/// Raises the limit on locked memory.
pub fn locked_memory(host: &Host, bytes: u64) -> Vec<Cure> {
    let mib = bytes.div_ceil(1 << 20);
    limit(host, ("memlock", "LimitMEMLOCK"), ("-l", mib << 10), (mib << 20).to_string())
}

fn limit(host: &Host, names: (&str, &str), shell: (&str, u64), value: String) -> Vec<Cure> {
    let (name, systemd) = names;
    match host.container {
        Some(Container::Docker) => vec![cure(format!("docker run --ulimit {name}={value}:{value} ..."), "")],
        Some(Container::Podman) => vec![cure(format!("podman run --ulimit {name}={value}:{value} ..."), "")],
        Some(Container::Kubernetes) => {
            vec![cure(
                format!("{systemd}={value}"),
                "in the unit of the node's container runtime, such as containerd.service",
            )]
        }
        _ => vec![
            cure(format!("{systemd}={value}"), "under [Service], if systemd starts it"),
            cure(
                format!("ulimit {} {}", shell.0, shell.1),
                "in the shell that starts it; beyond the hard limit as root only",
            ),
        ],
    }
}

/// Grants the time of so many CPUs.
pub fn cpu_quota(host: &Host, cpus: usize) -> Cure {
    match host.container {
        Some(Container::Docker) => cure(format!("docker run --cpus={cpus} ..."), ""),
        Some(Container::Podman) => cure(format!("podman run --cpus={cpus} ..."), ""),
        Some(Container::Kubernetes) => {
            cure(format!("resources: {{ limits: {{ cpu: \"{cpus}\" }} }}"), "in the pod's specification")
        }
        _ => cure(format!("CPUQuota={}%", cpus * 100), "under [Service], if systemd starts it"),
    }
}

/// Grants so many bytes of memory.
pub fn memory(host: &Host, bytes: u64) -> Vec<Cure> {
    let mib = bytes.div_ceil(1 << 20);
    vec![match host.container {
        Some(Container::Docker) => cure(format!("docker run --memory={mib}m ..."), ""),
        Some(Container::Podman) => cure(format!("podman run --memory={mib}m ..."), ""),
        Some(Container::Kubernetes) => {
            cure(format!("resources: {{ limits: {{ memory: {mib}Mi }} }}"), "in the pod's specification")
        }
        _ => cure(format!("MemoryMax={mib}M"), "under [Service], if systemd starts it"),
    }]
}

/// Lifts a filter on system calls.
pub fn seccomp(host: &Host) -> Vec<Cure> {
    let profile = "or a profile that allows io_uring_setup, io_uring_enter and io_uring_register";
    match host.container {
        Some(Container::Docker) => vec![cure("docker run --security-opt seccomp=unconfined ...", profile)],
        Some(Container::Podman) => vec![cure("podman run --security-opt seccomp=unconfined ...", profile)],
        Some(Container::Kubernetes) => {
            vec![cure(
                "securityContext: { seccompProfile: { type: Unconfined } }",
                format!("in the pod's specification, {profile}"),
            )]
        }
        Some(Container::Lxc) => {
            vec![cure("lxc.seccomp.profile =", format!("in the container's configuration, {profile}"))]
        }
        Some(Container::Nspawn) => vec![cure("systemd-nspawn --system-call-filter=@aio ...", "")],
        Some(Container::Other) => {
            vec![cure("seccomp=unconfined", format!("in the words of what starts the container, {profile}"))]
        }
        None => vec![cure(
            "SystemCallFilter=@aio",
            "under [Service], beside the other SystemCallFilter= lines, if systemd starts it",
        )],
    }
}

/// For a port that the kernel refuses: a low one, or one that a security module keeps for others.
pub fn port_forbidden(host: &Host, port: u64) -> Vec<Cure> {
    match port < host.first_port() {
        true => low_port(host, port),
        false => vec![cure(
            "ausearch -m avc -c ringgate",
            "a security module forbids it; this shows SELinux's reason, `dmesg` others'",
        )],
    }
}

/// Lets somebody who is not root listen on `port`.
pub fn low_port(host: &Host, port: u64) -> Vec<Cure> {
    let name = "net.ipv4.ip_unprivileged_port_start";
    let mut cures = vec![network_sysctl(host, name, &port.to_string())];
    if host.container.is_none() {
        cures.insert(0, cure("AmbientCapabilities=CAP_NET_BIND_SERVICE", "under [Service], if systemd starts it"));
        cures.insert(
            1,
            cure("setcap cap_net_bind_service=+ep \"$(command -v ringgate)\"", "as root, after each update"),
        );
    }
    cures
}
