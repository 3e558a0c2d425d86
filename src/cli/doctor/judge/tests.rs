//! Hosts and what is thought of them.

use super::super::host::{Container, User};
use super::*;

/// A host with nothing to complain of, for somebody who is not root.
fn healthy() -> Host {
    Host {
        release: "6.18.1".to_owned(),
        io_uring_disabled: Some(0),
        io_uring_group: Some(-1),
        memlock: Some(8 << 20),
        files_soft: Some(1024),
        files_hard: Some(1 << 20),
        nr_open: Some(1 << 20),
        page_size: 4096,
        pipe_max_size: Some(1 << 20),
        pipe_pages_soft: Some(16_384),
        pipe_pages_hard: Some(0),
        cpus_online: Some(4),
        cpus_allowed: Some(4),
        somaxconn: Some(4096),
        ports: Some((32_768, 60_999)),
        tw_reuse: Some(2),
        unprivileged_port: Some(1024),
        ..Host::default()
    }
}

fn root() -> User {
    User { capabilities: u64::MAX, ..User::default() }
}

fn demand(workers: usize) -> Demand {
    let connections = workers as u64 * 65_536;
    let files = Needed { to_start: 50, at_most: 50 + 2 * connections };
    Demand { workers, connections, files, ports: vec![8080] }
}

fn tried(workers: usize) -> Tried {
    Tried { rings: workers, error: None, missing: Vec::new(), pipe: Ok(256 << 10) }
}

/// The findings that are not ok: check, level, and all commands.
fn complaints(findings: &[Finding]) -> Vec<(&'static str, Level, Vec<&str>)> {
    findings
        .iter()
        .filter(|finding| finding.level != Level::Ok)
        .map(|finding| (finding.check, finding.level, finding.cures.iter().map(|cure| cure.command.as_str()).collect()))
        .collect()
}

/// What is said about a host that differs from the healthy one in one thing.
#[track_caller]
fn expect(host: &Host, workers: usize, expected: &[(&str, Level, &str)]) {
    let findings = findings(host, &demand(workers), Some(&tried(workers)));
    let complaints = complaints(&findings);
    let found: Vec<_> =
        complaints.iter().map(|(check, level, cures)| (*check, *level, cures.first().copied().unwrap_or(""))).collect();
    assert_eq!(found, expected, "{findings:?}");
}

#[test]
fn nothing_is_wrong_with_a_healthy_host() {
    let host = healthy();
    expect(&host, 4, &[]);
    expect(&Host { user: root(), ..host.clone() }, 4, &[]);
    let all = findings(&host, &demand(4), Some(&tried(4)));
    assert!((8..=12).contains(&all.len()), "a dozen lines at most: {all:?}");
    let files = &all.iter().find(|finding| finding.check == "open files").unwrap().message;
    assert!(files.starts_with("1,048,576 (ringgate raises the soft limit of 1,024 itself)"), "{files}");
}

#[test]
fn each_thing_that_is_wrong_is_found_alone() {
    use Level::{Problem, Warning};
    let host = healthy();
    let table: [(Host, &str, Level, &str); 13] = [
        (
            Host { release: "5.15.0-91".into(), ..host.clone() },
            "kernel",
            Problem,
            "apt-get install linux-generic-hwe-22.04",
        ),
        (Host { memlock: Some(2 << 20), ..host.clone() }, "locked memory", Warning, "LimitMEMLOCK=67108864"),
        (Host { files_hard: Some(49), ..host.clone() }, "open files", Problem, "LimitNOFILE=65536"),
        (Host { files_hard: Some(50), ..host.clone() }, "open files", Warning, "LimitNOFILE=524288"),
        (
            Host { files_hard: Some(4096), nr_open: Some(65_536), ..host.clone() },
            "open files",
            Warning,
            "sysctl -w fs.nr_open=524288",
        ),
        (
            Host { pipe_pages_soft: Some(4095), ..host.clone() },
            "pipes",
            Warning,
            "sysctl -w fs.pipe-user-pages-soft=4096",
        ),
        (
            Host { pipe_pages_hard: Some(4095), ..host.clone() },
            "pipes",
            Warning,
            "sysctl -w fs.pipe-user-pages-hard=4096",
        ),
        (Host { pipe_max_size: Some(65_536), ..host.clone() }, "pipes", Warning, "sysctl -w fs.pipe-max-size=262144"),
        (Host { cpu_quota: Some(2.5), ..host.clone() }, "CPUs", Warning, "workers = 2"),
        (Host { cpus_allowed: Some(3), ..host.clone() }, "CPUs", Warning, "workers = 3"),
        (Host { somaxconn: Some(128), ..host.clone() }, "accept queue", Warning, "sysctl -w net.core.somaxconn=4096"),
        (
            Host { ports: Some((50_000, 60_000)), ..host.clone() },
            "local ports",
            Warning,
            "sysctl -w \"net.ipv4.ip_local_port_range=10240 65535\"",
        ),
        (
            Host { conntrack_max: Some(65_536), ..host.clone() },
            "conntrack",
            Warning,
            "sysctl -w net.netfilter.nf_conntrack_max=262144",
        ),
    ];
    for (host, check, level, command) in table {
        expect(&host, 4, &[(check, level, command)]);
    }
    let small = Host { memory_limit: Some(256 << 20), ..host.clone() };
    expect(&small, 4, &[("memory", Warning, "MemoryMax=832M")]);
    expect(&Host { cpu_quota: Some(3.2), ..host.clone() }, 4, &[]);
    expect(&Host { cpu_quota: Some(0.5), ..host }, 1, &[]);
}

#[test]
fn limits_of_users_are_not_those_of_root() {
    let tight = Host { memlock: Some(65_536), pipe_pages_soft: Some(1), pipe_pages_hard: Some(1), ..healthy() };
    expect(&Host { user: root(), ..tight.clone() }, 4, &[]);
    let within = User { namespace: true, ..root() };
    let found = findings(&Host { user: within, ..tight }, &demand(4), Some(&tried(4)));
    let checks: Vec<_> = complaints(&found).into_iter().map(|(check, ..)| check).collect();
    assert_eq!(checks, ["locked memory", "pipes"], "root of a user namespace has no rights on the host");
    // Linux before 6.14 does not charge rings to anybody.
    expect(&Host { memlock: Some(65_536), release: "6.12.9".into(), ..healthy() }, 4, &[]);
}

#[test]
fn low_ports_need_rights() {
    let wants = Demand { ports: vec![8080, 443, 80], ..demand(1) };
    let judged = |host: &Host| listening(host, &wants);
    let finding = judged(&healthy());
    assert_eq!(finding.level, Level::Problem);
    assert!(finding.message.starts_with("on port 80: ports below 1024 need"), "{}", finding.message);
    let commands: Vec<_> = finding.cures.iter().map(|cure| &*cure.command).collect();
    assert_eq!(commands[0], "AmbientCapabilities=CAP_NET_BIND_SERVICE");
    assert_eq!(commands[2], "sysctl -w net.ipv4.ip_unprivileged_port_start=80");
    assert_eq!(judged(&Host { user: root(), ..healthy() }).level, Level::Ok);
    assert_eq!(judged(&Host { unprivileged_port: Some(80), ..healthy() }).level, Level::Ok);
    assert_eq!(judged(&Host { unprivileged_port: Some(0), ..healthy() }).level, Level::Ok);
}

#[test]
fn what_was_tried_outweighs_what_was_read() {
    let judge = |tried: Tried| findings(&healthy(), &demand(4), Some(&tried));
    let missing = judge(Tried { missing: vec!["accept"], ..tried(4) });
    assert!(missing[1].level == Level::Problem && missing[1].message.ends_with("lacks: accept"), "{missing:?}");
    let out = judge(Tried { rings: 3, error: Some(libc::ENOMEM), ..tried(4) });
    assert_eq!(complaints(&out), [("io_uring", Level::Problem, vec!["LimitMEMLOCK=67108864", "ulimit -l 65536"])]);
    let shrunk = judge(Tried { pipe: Ok(8192), ..tried(4) });
    assert_eq!(complaints(&shrunk), [("pipes", Level::Warning, vec!["sysctl -w fs.pipe-user-pages-soft=32768"])]);
    let none = judge(Tried { pipe: Err(libc::ENFILE), ..tried(4) });
    assert_eq!(complaints(&none)[0].0, "pipes");
    assert!(complaints(&judge(Tried { pipe: Err(libc::EMFILE), ..tried(4) })).is_empty(), "no fault of the pipes");
    let untried = findings(&Host { files_hard: Some(15), ..healthy() }, &demand(4), None);
    assert_eq!(complaints(&untried), [("open files", Level::Problem, vec!["LimitNOFILE=65536", "ulimit -n 65536"])]);
}

/// In a container the same things are mended by other words.
#[test]
fn cures_fit_the_container() {
    let bad = Host { files_hard: Some(4096), somaxconn: Some(128), pipe_pages_soft: Some(1), ..healthy() };
    for (container, files, queue) in [
        (
            Container::Docker,
            "docker run --ulimit nofile=524288:524288 ...",
            "docker run --sysctl net.core.somaxconn=\"4096\" ...",
        ),
        (
            Container::Podman,
            "podman run --ulimit nofile=524288:524288 ...",
            "podman run --sysctl net.core.somaxconn=\"4096\" ...",
        ),
        (
            Container::Kubernetes,
            "LimitNOFILE=524288",
            "securityContext: { sysctls: [{ name: net.core.somaxconn, value: \"4096\" }] }",
        ),
    ] {
        let found = findings(&Host { container: Some(container), ..bad.clone() }, &demand(4), Some(&tried(4)));
        assert!(found[0].message.contains(&format!("in a {} container", container.name())), "{found:?}");
        let complaints = complaints(&found);
        let commands: Vec<_> = complaints.iter().map(|(check, _, cures)| (*check, cures[0])).collect();
        let pipes = "sysctl -w fs.pipe-user-pages-soft=4096";
        assert_eq!(commands, [("open files", files), ("pipes", pipes), ("accept queue", queue)]);
    }
}
