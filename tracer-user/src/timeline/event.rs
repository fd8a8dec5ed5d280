//! What probes tell of one process.

use serde::{Deserialize, Serialize};

use ids::TargetAddr;
use image::WaitReason;

/// One thing that happened in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A goroutine parks.
    Parked(Parked),
    /// A goroutine was made runnable.
    Woken {
        /// Its `g`.
        g: TargetAddr,
        /// When, on `CLOCK_MONOTONIC`.
        at_ns: u64,
    },
    /// A goroutine takes a contended lock; nothing will tell whether it waits, and until when.
    LockHint {
        /// When, on `CLOCK_MONOTONIC`.
        at_ns: u64,
    },
    /// Records were lost.
    Lost {
        /// How many.
        count: u64,
    },
}

/// A park as `runtime.gopark` saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The goroutine's `g`. Reused after the goroutine ends, but never while it waits.
    pub g: TargetAddr,
    /// Why.
    pub reason: WaitReason,
    /// When, on `CLOCK_MONOTONIC`.
    pub at_ns: u64,
}
