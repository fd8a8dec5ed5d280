//! The daemon under the memory limit that it is shipped with, beside processes with very many
//! goroutines, while somebody watches them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
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
/// How long each process is watched.
const WATCHED: Duration = Duration::from_secs(15);
/// Largest answer to the page.
const ANSWER: usize = 256 << 10;

/// A process with very many goroutines.
struct Crowd {
    /// What the trial is called.
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    /// Goroutines that the overview tells of at least.
    least: u64,
}

/// One for each shape that cost memory out of proportion once.
static CROWDS: [Crowd; 3] = [
    Crowd {
        name: "200,000 leaked goroutines are watched within the memory limit",
        program: "leak-many",
        arguments: &["200000"],
        least: 150_000,
    },
    Crowd {
        name: "20,000 goroutines that wait for one mutex are watched within the memory limit",
        program: "bench/parked",
        arguments: &["20000", "mutex"],
        least: 20_000,
    },
    Crowd {
        name: "a million parked goroutines are watched within the memory limit",
        program: "bench/parked",
        arguments: &["1000000"],
        least: 100_000,
    },
];

pub(crate) fn trials() -> Vec<Trial> {
    let trials = CROWDS
        .iter()
        .map(|crowd| trial(crowd.name, &["setpriv"], || is_watched_within_limit(crowd)));
    trials.collect()
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

fn is_watched_within_limit(crowd: &Crowd) -> Result<(), String> {
    let program = built(crowd.program, Flavour::Stripped)?;
    let name = program.file_name().unwrap_or_default().to_owned();
    let mut command = dying_with_us(program.as_os_str());
    let target = Running::ready_by(command.args(crowd.arguments))?;
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
        let groups = overview["groups"].as_array().into_iter().flatten();
        let told: u64 = groups.filter_map(|group| group["count"].as_u64()).sum();
        assert!(told >= crowd.least, "{told} goroutines");
        answers += 1;
        thread::sleep(Duration::from_millis(500));
    }
    assert!(answers > 1, "{answers} answers");
    assert_eq!(cgroup.killed(), 0);
    Ok(())
}
