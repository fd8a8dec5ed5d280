//! The daemon under the memory limit that it is shipped with, beside processes with very many
//! goroutines, while somebody watches them.

use std::{
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use testing::{
    Result,
    cgroup::MemoryCgroup,
    daemon::Daemon,
    go::{Flavour, newest},
    json,
    process::{Process, quiet},
};

use crate::{GOSTUCK, trial};

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
        .map(|crowd| trial(crowd.name, &[], || is_watched_within_limit(crowd)));
    trials.collect()
}

fn is_watched_within_limit(crowd: &Crowd) -> Result {
    let program = newest(crowd.program, Flavour::Stripped)?;
    let name = program.file_name().unwrap_or_default().to_owned();
    let mut command = quiet(&program);
    let target = Process::ready(command.args(crowd.arguments))?;
    let pid = target.pid();
    let cgroup = MemoryCgroup::new(LIMIT)?;
    let mut command = cgroup.command();
    command.args([GOSTUCK, "run", "--budget", "50%", "--command"]);
    command.arg(name);
    let daemon = Daemon::start(command)?;
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
