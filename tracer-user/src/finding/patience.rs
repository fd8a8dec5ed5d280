//! What counts as a long wait.

use super::{index::SnapshotIndex, phrase::Age, timers::is_timed};
use image::WaitReason;
use snapshot::Goroutine;

/// From when on a wait is worth telling.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Of any wait, in nanoseconds.
    pub(super) long_ns: u64,
    /// Of a wait for a lock that nobody saw begin, when somebody has looked on for so long that it did
    /// not end; `None` while nobody has.
    pub(super) stalled_ns: Option<u64>,
}

impl Patience {
    /// Whether a wait of this age is long.
    pub(super) fn is_long(&self, age: Age) -> bool {
        age.known_ns() >= self.long_ns
    }

    /// Whether a wait of this age went on as long as somebody looked on.
    pub(super) fn is_stalled(&self, age: Age) -> bool {
        self.stalled_ns.is_some_and(|ns| age.known_ns() >= ns)
    }
}

/// Whether `g` goes on by itself, soon or late: it runs, sleeps, is in a system call, or waits for the
/// network or for a timer.
pub(super) fn moves_by_itself(scene: &SnapshotIndex<'_>, g: &Goroutine) -> bool {
    let objects = &scene.snapshot.objects;
    !g.status.is_parked()
        || matches!(g.wait_reason, Some(WaitReason::Sleep | WaitReason::IoWait))
        || g.waits_on.iter().any(|wait| is_timed(objects, *wait))
}
