//! Processes whose runtime's tables are made to cost whoever reads them as much as they can: they cost
//! the daemon bounded time and memory, and change nothing for others.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use testing::{
    Result,
    cgroup::MemoryCgroup,
    daemon::Daemon,
    go::{Flavour, newest},
    process::{Process, quiet},
};

use crate::{
    GOSTUCK,
    hanging::{daemon, ends, is_proven},
    trial,
};

/// What the unit and the chart allow, in bytes.
const MEMORY: u64 = 512 << 20;
/// How long it is seen whether the kernel ends the daemon for want of memory.
const WATCHED: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a thousand stacks of a gigabyte", || {
            others_are_followed("stacks", 1_000)
        }),
        trial("deep stacks of nothing but return addresses", || {
            others_are_followed("returns", 200)
        }),
        trial("deferred calls that lead back to themselves", || {
            others_are_followed("defers", 1_000)
        }),
        trial("a million in the tree of those who wait", || {
            others_are_followed("treap", 1_000_000)
        }),
        trial("a list of copied goroutines", || {
            others_are_followed("goroutines", 400_000)
        }),
        trial("three thousand deferred unlocks", || {
            others_are_followed("unlocks", 3_000)
        }),
        trial("goroutines that hold three million locks", more_than_memory),
    ]
}

fn others_are_followed(table: &str, number: u32) -> Result {
    let program = newest("hostile/tables", Flavour::Plain)?;
    let mut command = quiet(&program);
    let hostile = Process::ready(command.args([table, &number.to_string()]))?;
    let daemon = daemon(&[])?;
    // Its look comes first.
    let looked_at = daemon.listed(hostile.pid());
    let other = Process::run(&newest("abba", Flavour::Stripped)?)?;
    is_proven(&daemon, other.pid())?;
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    let peak = peak_bytes(daemon.pid())?;
    assert!(peak < MEMORY, "{} MiB", peak >> 20);
    looked_at?;
    ends(&daemon)
}

/// What a look at one takes is more than the limit allows: it is given up, and the daemon is not killed.
fn more_than_memory() -> Result {
    let program = newest("hostile/tables", Flavour::Plain)?;
    let mut command = quiet(&program);
    let _hostile = Process::ready(command.args(["holding", "130000"]))?;
    let cgroup = MemoryCgroup::new(MEMORY)?;
    let mut command = cgroup.command();
    command.args([GOSTUCK, "run", "--interval", "1s", "--budget", "50%"]);
    let other = newest("abba", Flavour::Stripped)?;
    for program in [&program, &other] {
        command.arg("--command");
        command.arg(program.file_name().unwrap_or_default());
    }
    let daemon = Daemon::start(command)?;
    let other = Process::run(&other)?;
    is_proven(&daemon, other.pid())?;
    let until = Instant::now() + WATCHED;
    while Instant::now() < until && cgroup.killed() == 0 {
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(cgroup.killed(), 0);
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    ends(&daemon)
}

/// The most memory that a process has had.
fn peak_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    let kib: u64 = kib.ok_or_else(|| format!("no VmHWM in {status}"))?;
    Ok(kib << 10)
}
