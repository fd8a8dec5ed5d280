//! Processes whose runtime's tables are made to cost whoever reads them as much as they can: they cost
//! the daemon bounded time and memory, and change nothing for others.

use std::fs;

use libtest_mimic::Trial;

use crate::{
    go::Flavour,
    hanging::{daemon, ends, is_proven},
    running::{Running, built, dying_with_us},
    trial,
};

/// What the unit and the chart allow, in bytes.
const MEMORY: u64 = 512 << 20;

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
    ]
}

fn others_are_followed(table: &str, number: u32) -> Result<(), String> {
    let program = built("hostile/tables", Flavour::Plain)?;
    let mut command = dying_with_us(program.as_os_str());
    let hostile = Running::ready_by(command.args([table, &number.to_string()]))?;
    let daemon = daemon(&[])?;
    // Its look comes first.
    let looked_at = daemon.listed(hostile.pid());
    let other = Running::ready(&built("abba", Flavour::Stripped)?)?;
    is_proven(&daemon, other.pid())?;
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    let peak = peak_bytes(daemon.pid())?;
    assert!(peak < MEMORY, "{} MiB", peak >> 20);
    looked_at?;
    ends(&daemon)
}

/// The most memory that a process has had.
fn peak_bytes(pid: u32) -> Result<u64, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    let kib: u64 = kib.ok_or_else(|| format!("no VmHWM in {status}"))?;
    Ok(kib << 10)
}
