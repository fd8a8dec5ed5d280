//! What a walk of a target's heap has to say, on standard error, how followed processes are walked, and
//! how much looks may take in.

use std::time::Duration;

use super::stderr;
use crate::finding::MemoryBudget;
use process::{host_memory, own_memory_limit};
use reach::{self, Progress};

/// How much a command may take in: as fits into the memory limit of its cgroup, else into half of this
/// host's memory.
pub fn budget_of_command() -> MemoryBudget {
    budget(2)
}

/// Likewise a daemon, which runs beside all others: without a limit a quarter.
pub fn budget_of_daemon() -> MemoryBudget {
    budget(4)
}

fn budget(part: u64) -> MemoryBudget {
    let limit = own_memory_limit().or_else(|| Some(host_memory()? / part));
    limit.map_or_else(MemoryBudget::default, MemoryBudget::within)
}

/// Tells how far a walk has got that takes long.
pub fn tell(progress: Progress) {
    stderr::say(format_args!(
        "gostuck: walking the heap: {} MiB read in {:.0} s",
        progress.bytes_read >> 20,
        progress.took.as_secs_f64()
    ));
}

/// Says beforehand that a process will be held still.
pub fn announce_freeze(pid: u32, limit: Duration) {
    stderr::say(format_args!(
        "gostuck: holding process {pid} still for up to {} while its memory is copied",
        humantime::format_duration(limit)
    ));
}

/// How the heap of the one process that is followed is walked: giving way to others, or not at all.
pub fn of_followed(no_reach: bool) -> Option<reach::Options> {
    (!no_reach).then(|| reach::Options {
        low_priority: true,
        ..reach::Options::default()
    })
}

/// Likewise where walks are made only while a CPU is idle, and other processes wait for theirs.
pub fn of_many(no_reach: bool) -> Option<reach::Options> {
    of_followed(no_reach).map(|options| reach::Options {
        limit: Duration::from_secs(30),
        ..options
    })
}
