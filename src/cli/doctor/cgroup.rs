//! What the control group grants: CPU time and memory, version 1 and 2. A limit of any group above counts too, the smallest wins.

use std::fs;
use std::path::{Path, PathBuf};

/// Version 1 says "unlimited" with the largest multiple of a page; nobody has so much memory.
const UNLIMITED_V1: u64 = 1 << 60;

/// CPUs' worth of time. `mounts` is /sys/fs/cgroup, `groups` what /proc/self/cgroup says.
pub fn cpu_quota(mounts: &Path, groups: &str) -> Option<f64> {
    let v2 = v2(mounts, groups).into_iter().filter_map(|group| {
        let text = read(&group, "cpu.max")?;
        let (quota, period) = text.split_once(' ')?;
        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
    });
    let v1 = v1(mounts, groups, "cpu").into_iter().filter_map(|group| {
        let quota: f64 = read(&group, "cpu.cfs_quota_us")?.parse().ok()?;
        let period: f64 = read(&group, "cpu.cfs_period_us")?.parse().ok()?;
        (quota > 0.0).then(|| quota / period)
    });
    v2.chain(v1).filter(|cpus| cpus.is_finite() && *cpus > 0.0).min_by(f64::total_cmp)
}

/// Bytes of memory.
pub fn memory_limit(mounts: &Path, groups: &str) -> Option<u64> {
    let v2 = v2(mounts, groups).into_iter().filter_map(|group| read(&group, "memory.max")?.parse().ok());
    let v1 = v1(mounts, groups, "memory");
    let v1 = v1.into_iter().filter_map(|group| read(&group, "memory.limit_in_bytes")?.parse().ok());
    v2.chain(v1).filter(|&bytes| bytes < UNLIMITED_V1).min()
}

fn read(group: &Path, file: &str) -> Option<String> {
    Some(fs::read_to_string(group.join(file)).ok()?.trim().to_owned())
}

fn v2(mounts: &Path, groups: &str) -> Vec<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let places = [mounts.to_path_buf(), mounts.join("unified")];
    path.map(|path| places.iter().flat_map(|place| upwards(place, path)).collect()).unwrap_or_default()
}

fn v1(mounts: &Path, groups: &str, controller: &str) -> Vec<PathBuf> {
    let found = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some((controllers, path))
    });
    found.map(|(controllers, path)| upwards(&mounts.join(controllers), path)).unwrap_or_default()
}

/// The group and all above it, down to the mount's root. Within a container the path is often that of the host: what is not there
/// is passed over, and the root is the container's own group.
fn upwards(mount: &Path, path: &str) -> Vec<PathBuf> {
    let path = Path::new(path.trim_start_matches('/'));
    path.ancestors().map(|group| mount.join(group)).filter(|group| group.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_wins() {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &[
                ("a/b/cpu.max", "max 100000\n"),
                ("a/cpu.max", "150000 100000\n"),
                ("cpu.max", "400000 100000\n"),
                ("a/b/memory.max", "max\n"),
                ("a/memory.max", "1073741824\n"),
            ],
        );
        assert_eq!(cpu_quota(folder.path(), "0::/a/b\n"), Some(1.5));
        assert_eq!(memory_limit(folder.path(), "0::/a/b\n"), Some(1 << 30));
        assert_eq!(cpu_quota(folder.path(), "0::/elsewhere\n"), Some(4.0), "a container's own root");
        assert_eq!(memory_limit(folder.path(), "0::/elsewhere\n"), None);
        assert_eq!(cpu_quota(folder.path(), ""), None);
    }

    #[test]
    fn version_one_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &[
                ("cpu,cpuacct/x/cpu.cfs_quota_us", "50000\n"),
                ("cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"),
                ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
                ("memory/x/memory.limit_in_bytes", "536870912\n"),
                ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
        );
        let groups = "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n";
        assert_eq!(cpu_quota(folder.path(), groups), Some(0.5));
        assert_eq!(memory_limit(folder.path(), groups), Some(512 << 20));
        assert_eq!(memory_limit(folder.path(), "4:memory:/\n"), None);
    }
}
