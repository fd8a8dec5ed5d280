//! The daemon under the memory limit that it is shipped with, beside a process with very many
//! goroutines, while somebody watches that.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;

use crate::{
    go::Flavour,
    running::{Daemon, GOSTUCK, Running, built, dying_with_us, json},
    trial,
};

/// What unit and chart grant.
const LIMIT: u64 = 512 << 20;
/// Goroutines of the process that is watched.
const LEAKED: &str = "200000";
/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// Largest answer to the page.
const ANSWER: usize = 256 << 10;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "200,000 leaked goroutines are watched within the memory limit",
        &["setpriv"],
        a_leak_is_watched_within_the_limit,
    )]
}

/// A cgroup with a memory limit; removed when dropped, after the processes in it have ended.
struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    fn new(limit: u64) -> Result<Self, String> {
        let unified = Path::new("/sys/fs/cgroup");
        let (root, file) = if unified.join("cgroup.controllers").exists() {
            (unified.to_owned(), "memory.max")
        } else {
            (unified.join("memory"), "memory.limit_in_bytes")
        };
        let cgroup = Self(root.join(format!("gostuck-test-{}", std::process::id())));
        let made = fs::create_dir(&cgroup.0)
            .and_then(|()| fs::write(cgroup.0.join(file), limit.to_string()));
        made.map_err(|error| format!("no cgroup with a memory limit: {error}"))?;
        Ok(cgroup)
    }

    /// How many of its processes were killed for want of memory.
    fn killed(&self) -> u64 {
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
    fn command(&self) -> Command {
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

fn a_leak_is_watched_within_the_limit() -> Result<(), String> {
    let program = built("leak-many", Flavour::Stripped)?;
    let name = program.file_name().unwrap_or_default().to_owned();
    let mut leaking = dying_with_us(program.as_os_str());
    let target = Running::ready_by(leaking.arg(LEAKED))?;
    let pid = target.pid();
    let cgroup = MemoryCgroup::new(LIMIT)?;
    let mut command = cgroup.command();
    command.args([GOSTUCK, "run", "--budget", "50%", "--command"]);
    command.arg(name);
    let daemon = Daemon::start_by(command)?;
    daemon.listed(pid)?;
    let until = Instant::now() + WATCHED;
    let mut answers = 0;
    while Instant::now() < until {
        let path = format!("/api/v1/processes/{pid}?view=groups&fresh=true");
        let overview = daemon.get(&path).ok_or("no overview")?;
        assert!(overview.len() < ANSWER, "{} bytes", overview.len());
        let overview = json(&overview)?;
        let count = &overview["groups"][0]["count"];
        assert!(
            count.as_u64().is_some_and(|count| count > 150_000),
            "{count}"
        );
        answers += 1;
        thread::sleep(Duration::from_millis(500));
    }
    assert!(answers > 1, "{answers} answers");
    assert_eq!(cgroup.killed(), 0);
    Ok(())
}
