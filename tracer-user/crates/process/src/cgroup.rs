//! The cgroups a process belongs to.

use std::path::{Path, PathBuf};

/// Most lines of `/proc/PID/cgroup` kept: v1 has about fifteen hierarchies.
const HIERARCHY_LIMIT: usize = 64;

/// A cgroup's path below its hierarchy's root, as our own cgroup namespace sees it.
///
/// It begins with `/..` for a process outside of that namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CgroupPath(pub PathBuf);

/// `/proc/PID/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CgroupMembership {
    /// The path in the unified hierarchy (v2).
    pub unified: Option<CgroupPath>,
    /// The paths in v1 hierarchies with their controllers (`cpu`, `name=systemd`).
    pub v1: Vec<(Vec<String>, CgroupPath)>,
}

impl CgroupMembership {
    pub(super) fn read(handle: &procfs::process::Process) -> Option<Self> {
        let groups = handle.cgroups().ok()?;
        let mut membership = Self::default();
        for group in groups.into_iter().take(HIERARCHY_LIMIT) {
            let path = CgroupPath(PathBuf::from(group.pathname));
            if group.hierarchy == 0 {
                membership.unified = Some(path);
            } else {
                membership.v1.push((group.controllers, path));
            }
        }
        Some(membership)
    }

    /// The path in the v1 hierarchy that has `controller`.
    #[must_use]
    pub fn v1_path(&self, controller: &str) -> Option<&CgroupPath> {
        let has = |controllers: &[String]| controllers.iter().any(|c| c == controller);
        let found = self.v1.iter().find(|(controllers, _)| has(controllers));
        found.map(|(_, path)| path)
    }

    /// Every distinct path, the unified one first.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.unified
            .iter()
            .chain(self.v1.iter().map(|(_, path)| path))
            .map(|path| path.0.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_membership() {
        let own = procfs::process::Process::myself().unwrap();
        let membership = CgroupMembership::read(&own).unwrap();
        assert!(membership.paths().all(Path::is_absolute));
        assert!(membership.paths().next().is_some());
    }
}
