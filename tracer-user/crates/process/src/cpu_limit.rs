//! How much CPU a process's cgroups let it use.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use super::{Process, cgroup::CgroupPath};

/// Deepest cgroup nesting looked at.
const DEPTH_LIMIT: usize = 64;

/// A limit in CPUs, for example 0.5 or 2.0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct CpuLimit(pub f64);

/// The tightest CPU quota among the cgroups of `process` and all that enclose them; `None` when
/// there is no quota or it cannot be read.
#[must_use]
pub fn cpu_limit(process: &Process) -> Option<CpuLimit> {
    let hierarchies = Hierarchy::mounted("cpu");
    let own_root = PathBuf::from(format!("/proc/{}/root", process.pid()));
    let v2 = process.cgroups.unified.as_ref();
    let v1 = process.cgroups.v1_path("cpu");
    hierarchies
        .iter()
        .filter_map(|hierarchy| {
            let path = if hierarchy.unified { v2 } else { v1 }?;
            hierarchy
                .limit(path)
                // A path outside of our cgroup namespace: the target's own mount shows its part.
                .or_else(|| hierarchy.below(&own_root).limit_at(Path::new("")))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
}

/// A mounted cgroup hierarchy that may limit something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    mount_point: PathBuf,
    /// Which cgroup the mount shows at its root.
    root: PathBuf,
    pub(super) unified: bool,
}

impl Hierarchy {
    /// The unified hierarchy, and that of `controller`.
    pub(super) fn mounted(controller: &str) -> Vec<Self> {
        let mounts = procfs::process::Process::myself().and_then(|own| own.mountinfo());
        let Ok(mounts) = mounts else {
            return Vec::new();
        };
        mounts
            .into_iter()
            .filter(|mount| match mount.fs_type.as_str() {
                "cgroup2" => true,
                "cgroup" => mount.super_options.contains_key(controller),
                _ => false,
            })
            .map(|mount| Self {
                unified: mount.fs_type == "cgroup2",
                root: PathBuf::from(mount.root),
                mount_point: mount.mount_point,
            })
            .collect()
    }

    /// The same mount as seen below another root directory, where it shows that process's own
    /// cgroup.
    fn below(&self, root: &Path) -> Self {
        let relative = self.mount_point.strip_prefix("/").unwrap_or(Path::new(""));
        Self {
            mount_point: root.join(relative),
            root: PathBuf::from("/"),
            unified: self.unified,
        }
    }

    /// The tightest limit on the way from `path` up to the mount's root.
    fn limit(&self, path: &CgroupPath) -> Option<CpuLimit> {
        self.limit_at(self.inside(path)?)
    }

    fn limit_at(&self, inside: &Path) -> Option<CpuLimit> {
        self.upwards(inside)
            .filter_map(|group| self.own_limit(&group))
            .min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// The part of `path` below the mount.
    pub(super) fn inside<'p>(&self, path: &'p CgroupPath) -> Option<&'p Path> {
        let inside = path.0.strip_prefix(&self.root).ok()?;
        let plain = |c: Component<'_>| matches!(c, Component::Normal(_));
        inside.components().all(plain).then_some(inside)
    }

    /// The folders of the cgroup `inside` and of all that enclose it.
    pub(super) fn upwards(&self, inside: &Path) -> impl Iterator<Item = PathBuf> {
        let groups = inside.ancestors().take(DEPTH_LIMIT);
        groups.map(|group| self.mount_point.join(group))
    }

    /// The quota of one cgroup alone.
    fn own_limit(&self, group: &Path) -> Option<CpuLimit> {
        if self.unified {
            return parse_cpu_max(&fs::read_to_string(group.join("cpu.max")).ok()?);
        }
        let number = |file: &str| -> Option<i64> {
            let text = fs::read_to_string(group.join(file)).ok()?;
            text.trim().parse().ok()
        };
        ratio(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
    }
}

/// `cpu.max`: "QUOTA PERIOD" in microseconds, or "max PERIOD" for no limit
/// (Documentation/admin-guide/cgroup-v2.rst).
fn parse_cpu_max(text: &str) -> Option<CpuLimit> {
    let (quota, period) = text.trim().split_once(' ')?;
    ratio(quota.parse().ok()?, period.parse().ok()?)
}

/// `None` for the −1 that stands for no limit in v1, and for nonsense.
#[allow(clippy::cast_precision_loss)] // microseconds of a scheduling period are far below 2^52
fn ratio(quota_us: i64, period_us: i64) -> Option<CpuLimit> {
    (quota_us > 0 && period_us > 0).then(|| CpuLimit(quota_us as f64 / period_us as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn hierarchy(mount_point: &Path, root: &str, unified: bool) -> Hierarchy {
        Hierarchy {
            mount_point: mount_point.to_owned(),
            root: root.into(),
            unified,
        }
    }

    fn path(text: &str) -> CgroupPath {
        CgroupPath(text.into())
    }

    #[test]
    fn the_tightest_ancestor_decides_in_v2() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, "pod/cpu.max", "150000 100000\n");
        write(root, "pod/a/cpu.max", "max 100000\n");
        write(root, "pod/b/cpu.max", "50000 100000\n");
        let v2 = hierarchy(root, "/", true);
        assert_eq!(v2.limit(&path("/pod/a")), Some(CpuLimit(1.5)));
        assert_eq!(v2.limit(&path("/pod/b")), Some(CpuLimit(0.5)));
        assert_eq!(v2.limit(&path("/elsewhere")), None);
        assert_eq!(v2.limit(&path("/../pod/b")), None);
    }

    #[test]
    fn v1_says_minus_one_for_no_limit() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for (group, quota) in [("docker", "-1"), ("docker/x", "200000")] {
            write(root, &format!("{group}/cpu.cfs_quota_us"), quota);
            write(root, &format!("{group}/cpu.cfs_period_us"), "100000");
        }
        let v1 = hierarchy(root, "/", false);
        assert_eq!(v1.limit(&path("/docker/x")), Some(CpuLimit(2.0)));
        assert_eq!(v1.limit(&path("/docker")), None);
    }

    #[test]
    fn a_mount_may_show_a_part_of_the_hierarchy() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, "x/cpu.max", "300000 100000\n");
        let part = hierarchy(root, "/docker", true);
        assert_eq!(part.limit(&path("/docker/x")), Some(CpuLimit(3.0)));
        assert_eq!(part.limit(&path("/other/x")), None);
    }

    #[test]
    fn nonsense_is_no_limit() {
        for text in [
            "",
            "max",
            "max 100000",
            "0 100000",
            "1 0",
            "-5 100000",
            "a b",
        ] {
            assert_eq!(parse_cpu_max(text), None, "{text}");
        }
    }
}
