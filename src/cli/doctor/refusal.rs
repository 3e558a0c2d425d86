//! Why there is no io_uring: from what the kernel said and what is known about the host to one cause, in words.

use super::cures::{self, Cure, cure};
use super::host::{CAP_IPC_LOCK, CAP_SYS_ADMIN, Host};
use crate::cli::table::bytes;
use crate::limits;

/// The first kernel with all that the workers use.
pub const KERNEL_MIN: (u32, u32) = (6, 1);
/// The first kernel with the sysctl kernel.io_uring_disabled.
const KERNEL_SYSCTL: (u32, u32) = (6, 6);
/// The first kernel that charges rings to the user's locked memory.
pub const KERNEL_CHARGES: (u32, u32) = (6, 14);
const PAGE: u64 = 4096;

/// The cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It lacks what the workers use.
    OldKernel,
    /// It was built without io_uring.
    NotBuilt,
    /// kernel.io_uring_disabled = 2.
    ForEverybody,
    /// kernel.io_uring_disabled = 1, and we are neither root nor in the group.
    ForThisUser,
    /// A seccomp filter.
    Filter,
    /// None of these, so something like SELinux.
    SecurityModule,
    /// The user's limit on locked memory.
    LockedMemory,
    /// The kernel, or the cgroup, has no memory.
    Memory,
    /// The process's limit on open files.
    OpenFiles,
    /// The host's limit on open files.
    HostFiles,
    /// What nobody foresaw.
    Unknown,
}

/// The cause, from the error number of io_uring_setup (or of the use of the ring) and the host. 0: it did not answer in time.
pub fn cause(errno: i32, host: &Host) -> Refusal {
    let kernel = host.kernel();
    let older = |than: (u32, u32)| kernel.is_some_and(|kernel| kernel < than);
    match errno {
        libc::ENOSYS | libc::EINVAL if older(KERNEL_MIN) => Refusal::OldKernel,
        // Some runtimes let their filter say ENOSYS. A kernel that has the sysctl has io_uring, one that should and has not does not.
        libc::ENOSYS if host.io_uring_disabled.is_some() => Refusal::Filter,
        libc::ENOSYS if host.user.filtered && older(KERNEL_SYSCTL) => Refusal::Filter,
        libc::ENOSYS => Refusal::NotBuilt,
        libc::EPERM | libc::EACCES => match host.io_uring_disabled {
            Some(2) => Refusal::ForEverybody,
            Some(1) if !may_when_restricted(host) => Refusal::ForThisUser,
            _ if host.user.filtered => Refusal::Filter,
            _ => Refusal::SecurityModule,
        },
        libc::ENOMEM if host.memlock.is_some() && !host.user.can(CAP_IPC_LOCK) && !older(KERNEL_CHARGES) => {
            Refusal::LockedMemory
        }
        libc::ENOMEM => Refusal::Memory,
        libc::EMFILE => Refusal::OpenFiles,
        libc::ENFILE => Refusal::HostFiles,
        _ => Refusal::Unknown,
    }
}

/// With kernel.io_uring_disabled = 1: CAP_SYS_ADMIN, or the group.
fn may_when_restricted(host: &Host) -> bool {
    let group = host.io_uring_group.and_then(|group| u32::try_from(group).ok());
    host.user.can(CAP_SYS_ADMIN) || group.is_some_and(|group| host.user.groups.contains(&group))
}

/// Bytes that the rings of `workers` workers and of the control plane lock: completion queue with its head, and submission entries.
/// Linux 6.14 and later charge them to the user.
pub fn locked_bytes(workers: usize) -> u64 {
    let ring = (u64::from(limits::CQ_ENTRIES) * 16 + PAGE).next_multiple_of(PAGE) + u64::from(limits::SQ_ENTRIES) * 64;
    workers as u64 * ring + 2 * PAGE
}

/// The cause in words, and what mends it.
pub fn tell(errno: i32, host: &Host, workers: usize) -> (String, Vec<Cure>) {
    let refusal = cause(errno, host);
    let said = match errno {
        0 => "nothing, the ring does not answer".to_owned(),
        _ => std::io::Error::from_raw_os_error(errno).to_string(),
    };
    let (why, cures) = because(refusal, host, workers);
    let lead = match refusal {
        Refusal::LockedMemory | Refusal::Memory | Refusal::OpenFiles | Refusal::HostFiles => {
            "there is not enough for io_uring"
        }
        _ => "io_uring cannot be used",
    };
    (format!("{lead}: {why}; the kernel said: {said}"), cures)
}

/// What an old kernel asks for.
pub fn newer_kernel() -> Cure {
    cure(
        "apt-get install linux-generic-hwe-22.04",
        "on Ubuntu 22.04, as root, and reboot; Debian 12, Ubuntu 24.04 and RHEL 10 have Linux 6.1 or later",
    )
}

fn because(refusal: Refusal, host: &Host, workers: usize) -> (String, Vec<Cure>) {
    let sysctl = |value: u32| cures::sysctl(host, "kernel.io_uring_disabled", value);
    let told = |why: &str, cures: Vec<Cure>| (why.to_owned(), cures);
    match refusal {
        Refusal::OldKernel => {
            (format!("Linux {} is too old, 6.1 or later is needed", host.release), vec![newer_kernel()])
        }
        Refusal::NotBuilt => told(
            "this kernel was built without it, or is an imitation that lacks it (gVisor)",
            vec![cure("run it on a kernel with CONFIG_IO_URING=y", "with Docker: another --runtime")],
        ),
        Refusal::ForEverybody => {
            told("the sysctl kernel.io_uring_disabled is 2, which forbids it to everybody", vec![sysctl(0)])
        }
        Refusal::ForThisUser => {
            let mut mend = vec![sysctl(0)];
            if let (Some(group), false) = (host.user.groups.first(), host.user.namespace) {
                let narrower = cures::sysctl(host, "kernel.io_uring_group", group);
                let note = format!("or to this group only; {}", narrower.note);
                mend.push(Cure { note, ..narrower });
            }
            told("the sysctl kernel.io_uring_disabled is 1, which forbids it to all but root and one group", mend)
        }
        Refusal::Filter => {
            let of = match host.container {
                Some(container) => format!("a seccomp filter of the {} container forbids it", container.name()),
                None => "a seccomp filter forbids it".to_owned(),
            };
            (of, cures::seccomp(host))
        }
        Refusal::SecurityModule => told(
            "neither a sysctl nor a seccomp filter forbids it, so a security module does, such as SELinux",
            vec![cure("ausearch -m avc -c ringgate", "shows what was forbidden, if it is SELinux; `dmesg` for others")],
        ),
        Refusal::LockedMemory => {
            let (limit, needed) = (host.memlock.unwrap_or(0), locked_bytes(workers));
            let why = format!(
                "this user may lock {}, all programs together, and the rings of {} take {}",
                bytes(limit),
                crate::cli::counted(workers, "worker"),
                bytes(needed)
            );
            (why, cures::locked_memory(host, enough_memory(needed)))
        }
        Refusal::Memory => told(
            "the kernel has no memory for the rings, or not in one piece",
            vec![
                cure("free -m; cat /sys/fs/cgroup/memory.max", "shows what there is"),
                cure("echo 1 > /proc/sys/vm/compact_memory", "as root, gathers free memory"),
            ],
        ),
        Refusal::OpenFiles => (
            format!("the limit on open files is {}", host.files_hard.unwrap_or(0)),
            cures::open_files(host, super::judge::FILES_PLENTY),
        ),
        Refusal::HostFiles => told(
            "the whole host has no descriptors left",
            vec![cures::sysctl(host, "fs.file-max", 9_223_372_036_854_775_807_u64)],
        ),
        Refusal::Unknown => told(
            "for a reason unknown to this program",
            vec![cure(
                "strace -f -e io_uring_setup,io_uring_enter ringgate doctor",
                "shows the call; please report it",
            )],
        ),
    }
}

/// What to raise the limit to: a second ringgate may start while the first one drains.
pub fn enough_memory(needed: u64) -> u64 {
    (2 * needed).max(64 << 20)
}

#[cfg(test)]
mod tests {
    use super::super::host::{Container, User};
    use super::*;

    fn host(release: &str, disabled: Option<u64>, filtered: bool, root: bool) -> Host {
        let capabilities = if root { u64::MAX } else { 0 };
        let user = User { capabilities, groups: vec![33], filtered, namespace: false };
        let release = release.to_owned();
        Host {
            release,
            io_uring_disabled: disabled,
            io_uring_group: Some(-1),
            user,
            memlock: Some(8 << 20),
            ..Host::default()
        }
    }

    #[test]
    fn each_refusal_has_its_cause() {
        use Refusal::*;
        let (open, off, some) = (Some(0), Some(2), Some(1));
        let table = [
            // errno, kernel, io_uring_disabled, filtered, root, cause
            (libc::EPERM, "6.18.1", off, false, true, ForEverybody),
            (libc::EPERM, "6.18.1", off, true, false, ForEverybody),
            (libc::EPERM, "6.18.1", some, false, false, ForThisUser),
            (libc::EPERM, "6.18.1", some, true, true, Filter),
            (libc::EPERM, "6.18.1", open, true, true, Filter),
            (libc::EPERM, "6.18.1", open, true, false, Filter),
            (libc::EPERM, "6.1.0", None, true, false, Filter),
            (libc::EPERM, "6.18.1", open, false, false, SecurityModule),
            (libc::EACCES, "6.18.1", open, false, true, SecurityModule),
            (libc::ENOSYS, "6.18.1", open, true, true, Filter),
            (libc::ENOSYS, "6.18.1", None, true, true, NotBuilt),
            (libc::ENOSYS, "6.2.0", None, true, true, Filter),
            (libc::ENOSYS, "6.2.0", None, false, true, NotBuilt),
            (libc::ENOSYS, "4.4.0", None, true, true, OldKernel),
            (libc::EINVAL, "5.15.0", None, false, true, OldKernel),
            (libc::EINVAL, "6.1.0", None, false, true, Unknown),
            (libc::ENOMEM, "6.18.1", open, false, false, LockedMemory),
            (libc::ENOMEM, "6.18.1", open, false, true, Memory),
            // Before 6.14 rings were not charged to the user.
            (libc::ENOMEM, "6.1.0", None, false, false, Memory),
            (libc::EMFILE, "6.18.1", open, false, false, OpenFiles),
            (libc::ENFILE, "6.18.1", open, false, false, HostFiles),
            (libc::EIO, "6.18.1", open, false, false, Unknown),
            (0, "6.18.1", open, false, false, Unknown),
        ];
        for (errno, release, disabled, filtered, root, expected) in table {
            let host = host(release, disabled, filtered, root);
            assert_eq!(cause(errno, &host), expected, "errno {errno} on {host:?}");
        }
    }

    #[test]
    fn the_group_and_the_namespace_count() {
        let mut member = host("6.18.1", Some(1), false, false);
        member.io_uring_group = Some(33);
        assert_eq!(cause(libc::EPERM, &member), Refusal::SecurityModule, "the sysctl allows it to group 33");
        let mut root_within = host("6.18.1", Some(1), false, true);
        root_within.user.namespace = true;
        assert_eq!(cause(libc::EPERM, &root_within), Refusal::ForThisUser);
        assert_eq!(cause(libc::ENOMEM, &root_within), Refusal::LockedMemory);
        let unlimited = Host { memlock: None, ..host("6.18.1", Some(0), false, false) };
        assert_eq!(cause(libc::ENOMEM, &unlimited), Refusal::Memory);
    }

    #[test]
    fn each_cause_is_told_with_a_cure() {
        let mut host = host("6.18.1", Some(2), true, false);
        let (text, cures) = tell(libc::EPERM, &host, 2);
        assert!(
            text.contains("kernel.io_uring_disabled is 2")
                && text.ends_with("; the kernel said: Operation not permitted (os error 1)"),
            "{text}"
        );
        assert_eq!(cures[0].command, "sysctl -w kernel.io_uring_disabled=0");
        assert!(!cures[0].note.contains("container"), "{cures:?}");
        host.container = Some(Container::Docker);
        assert!(tell(libc::EPERM, &host, 2).1[0].note.starts_with("on the host, "));
        host.io_uring_disabled = Some(0);
        let (text, cures) = tell(libc::EPERM, &host, 2);
        assert!(text.contains("a seccomp filter of the Docker container forbids it"), "{text}");
        assert_eq!(cures[0].command, "docker run --security-opt seccomp=unconfined ...");
        host.container = None;
        host.io_uring_disabled = Some(1);
        let (_, cures) = tell(libc::EPERM, &host, 2);
        assert_eq!(cures[1].command, "sysctl -w kernel.io_uring_group=33");
        let (text, cures) = tell(libc::ENOMEM, &host, 64);
        assert!(text.contains("may lock 8.0 MiB") && text.contains("64 workers take 17.3 MiB"), "{text}");
        assert_eq!((&*cures[0].command, &*cures[1].command), ("LimitMEMLOCK=67108864", "ulimit -l 65536"));
        for errno in [libc::ENOSYS, libc::EMFILE, libc::ENFILE, libc::EIO, 0] {
            assert!(!tell(errno, &host, 1).1.is_empty(), "{errno}");
        }
    }

    #[test]
    fn a_ring_locks_69_pages() {
        assert_eq!(locked_bytes(1), (69 + 2) * PAGE);
        assert_eq!(locked_bytes(3), (3 * 69 + 2) * PAGE);
    }
}
