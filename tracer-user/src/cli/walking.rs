//! What a walk of a target's heap has to say, on standard error, and how followed processes are
//! walked.

use std::time::Duration;

use crate::reach::{self, Progress};

/// Tells how far a walk has got that takes long.
pub fn tell(progress: Progress) {
    eprintln!(
        "gostuck: walking the heap: {} MiB read in {:.0} s",
        progress.bytes_read >> 20,
        progress.took.as_secs_f64()
    );
}

/// Says beforehand that a process will be held still.
pub fn announce_freeze(pid: u32, limit: Duration) {
    eprintln!(
        "gostuck: holding process {pid} still for up to {} while its memory is copied",
        humantime::format_duration(limit)
    );
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
