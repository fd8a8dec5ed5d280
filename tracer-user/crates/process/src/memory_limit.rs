//! How much memory our own cgroups let us use.

use std::{fs, path::Path};

use super::{cgroup::CgroupMembership, cpu_limit::Hierarchy};

/// More than this is what v1 says for no limit.
const MAX_LIMIT: u64 = 1 << 60;

/// The tightest memory limit, in bytes, among our own cgroup and all that enclose it; `None` when there is no
/// limit or it cannot be read.
#[must_use]
pub fn own_memory_limit() -> Option<u64> {
    let own = procfs::process::Process::myself().ok()?;
    let membership = CgroupMembership::read(&own)?;
    let hierarchies = Hierarchy::mounted("memory");
    let limits = hierarchies.iter().filter_map(|hierarchy| {
        let path = if hierarchy.unified {
            membership.unified.as_ref()
        } else {
            membership.v1_path("memory")
        };
        // A container may see its own cgroup at the root of the mount.
        let inside = hierarchy.inside(path?).unwrap_or(Path::new(""));
        let groups = hierarchy.upwards(inside);
        groups
            .filter_map(|group| limit_of(&group, hierarchy.unified))
            .min()
    });
    limits.min()
}

/// The memory of this host in bytes; `None` when the kernel does not tell.
#[must_use]
pub fn host_memory() -> Option<u64> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let total = told
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// The limit of one cgroup alone.
fn limit_of(group: &Path, unified: bool) -> Option<u64> {
    let file = if unified {
        "memory.max"
    } else {
        "memory.limit_in_bytes"
    };
    let limit = fs::read_to_string(group.join(file)).ok()?;
    limit.trim().parse().ok().filter(|limit| *limit < MAX_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_some_memory() {
        assert!(host_memory().unwrap() > 1 << 20);
    }

    #[test]
    fn no_limit_is_said_in_two_ways() {
        let group = tempfile::tempdir().unwrap();
        let limit = |file: &str, text: &str| {
            fs::write(group.path().join(file), text).unwrap();
            limit_of(group.path(), file == "memory.max")
        };
        assert_eq!(limit("memory.max", "536870912\n"), Some(512 << 20));
        assert_eq!(limit("memory.max", "max\n"), None);
        let v1 = "memory.limit_in_bytes";
        assert_eq!(limit(v1, "536870912\n"), Some(512 << 20));
        assert_eq!(limit(v1, "9223372036854771712\n"), None);
    }
}
