//! A cgroup with a CPU limit, for programs that want one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use testing::trials::Need;

/// Where hierarchies with a CPU controller are mounted: version 2, then version 1.
const UNIFIED: &str = "/sys/fs/cgroup";
const CPU: &str = "/sys/fs/cgroup/cpu";
/// The kernel's default period, in microseconds.
const PERIOD_US: f64 = 100_000.0;

/// Removed when dropped, after the processes in it have ended.
pub(crate) struct CpuCgroup(PathBuf);

impl CpuCgroup {
    /// Returns the need of a machine that lets us make one.
    pub(crate) fn need() -> Need {
        Need::Machine("a cgroup with a CPU limit", Self::new(1.0).is_ok())
    }

    /// One that allows `cpus`.
    pub(crate) fn new(cpus: f64) -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gostuck-test-{}-{number}", std::process::id());
        let quota = (cpus * PERIOD_US).round();
        let made = if unified_has_cpu() {
            Self::make(UNIFIED, &name, "cpu.max", &format!("{quota} {PERIOD_US}"))
        } else {
            Self::make(CPU, &name, "cpu.cfs_quota_us", &quota.to_string())
        };
        made.map_err(|error| format!("no cgroup with a CPU limit: {error}"))
    }

    fn make(root: &str, name: &str, file: &str, limit: &str) -> io::Result<Self> {
        let cgroup = Self(Path::new(root).join(name));
        fs::create_dir(&cgroup.0)?;
        fs::write(cgroup.0.join(file), limit)?;
        Ok(cgroup)
    }

    /// Puts a process into it.
    pub(crate) fn take(&self, pid: u32) -> Result<(), String> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
            .map_err(|error| format!("{}: {error}", self.0.display()))
    }
}

impl Drop for CpuCgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn unified_has_cpu() -> bool {
    let controllers = fs::read_to_string(Path::new(UNIFIED).join("cgroup.subtree_control"));
    controllers.is_ok_and(|list| list.split_whitespace().any(|name| name == "cpu"))
}
