//! Cgroups with limits, for programs that run in one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{Result, process::quiet};

/// Where hierarchies with a CPU controller are mounted: version 2, then version 1.
const UNIFIED: &str = "/sys/fs/cgroup";
const CPU: &str = "/sys/fs/cgroup/cpu";
/// The kernel's default period, in microseconds.
const PERIOD_US: f64 = 100_000.0;

/// A cgroup with a CPU limit; removed when dropped, after the processes in it have ended.
#[derive(Debug)]
pub struct CpuCgroup(PathBuf);

impl CpuCgroup {
    /// Reports whether this machine lets us make one.
    pub fn possible() -> bool {
        Self::new(1.0).is_ok()
    }

    /// Makes one that allows `cpus`.
    ///
    /// # Errors
    /// When this machine does not let us.
    pub fn new(cpus: f64) -> Result<Self> {
        let name = name();
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
    ///
    /// # Errors
    /// When it has ended.
    pub fn take(&self, pid: u32) -> Result {
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

/// Returns a name that no other cgroup has.
fn name() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    format!("gostuck-test-{}-{number}", std::process::id())
}

/// A cgroup with a memory limit; removed when dropped, after the processes in it have ended.
#[derive(Debug)]
pub struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    /// Reports whether this machine lets us make one.
    pub fn possible() -> bool {
        Self::new(1 << 30).is_ok()
    }

    /// Makes one that allows `limit` bytes.
    ///
    /// # Errors
    /// When this machine does not let us.
    pub fn new(limit: u64) -> Result<Self> {
        let unified = Path::new("/sys/fs/cgroup");
        let (root, file) = if unified.join("cgroup.controllers").exists() {
            (unified.to_owned(), "memory.max")
        } else {
            (unified.join("memory"), "memory.limit_in_bytes")
        };
        let cgroup = Self(root.join(name()));
        let made = fs::create_dir(&cgroup.0)
            .and_then(|()| fs::write(cgroup.0.join(file), limit.to_string()));
        made.map_err(|error| format!("no cgroup with a memory limit: {error}"))?;
        Ok(cgroup)
    }

    /// Returns how many of its processes were killed for want of memory.
    pub fn killed(&self) -> u64 {
        let read = |file| fs::read_to_string(self.0.join(file)).ok();
        let events = read("memory.events").or_else(|| read("memory.oom_control"));
        let events = events.unwrap_or_default();
        let count = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        count
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Returns a command that runs in it what follows.
    pub fn command(&self) -> Command {
        let mut command = quiet("sh");
        command
            .arg("-c")
            .arg(format!(
                "echo $$ > {}/cgroup.procs && exec \"$@\"",
                self.0.display()
            ))
            .arg("sh")
            .stdout(Stdio::null());
        command
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
