//! Processor time and memory of a process that runs on.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// What a process had used at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// Processor time, to 10 ms.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
}

/// What process `pid` has used.
pub(crate) fn used(pid: u32) -> Result<Used> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    // After the command, which may hold anything: utime and stime are the 12th and 13th fields.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|kibibytes| kibibytes.parse::<u64>().ok())
        .context("no VmRSS")?;
    // USER_HZ is 100 on every architecture that Go runs on.
    Ok(Used {
        cpu: Duration::from_millis(ticks * 10),
        resident: resident << 10,
    })
}
