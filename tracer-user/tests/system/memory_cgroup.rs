//! Processes under a memory limit.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::running::dying_with_us;

/// A cgroup with a memory limit; removed when dropped, after the processes in it have ended.
pub(crate) struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    pub(crate) fn new(limit: u64) -> Result<Self, String> {
        let unified = Path::new("/sys/fs/cgroup");
        let (root, file) = if unified.join("cgroup.controllers").exists() {
            (unified.to_owned(), "memory.max")
        } else {
            (unified.join("memory"), "memory.limit_in_bytes")
        };
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("gostuck-test-{}-{number}", std::process::id());
        let cgroup = Self(root.join(name));
        let made = fs::create_dir(&cgroup.0)
            .and_then(|()| fs::write(cgroup.0.join(file), limit.to_string()));
        made.map_err(|error| format!("no cgroup with a memory limit: {error}"))?;
        Ok(cgroup)
    }

    /// How many of its processes were killed for want of memory.
    pub(crate) fn killed(&self) -> u64 {
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

    /// A command that runs in it.
    pub(crate) fn command(&self) -> Command {
        let mut command = dying_with_us("sh".as_ref());
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
