//! Go's own deadlock detector in documents.

use serde::Serialize;

use crate::{finding::Detector, target_text::TargetText};

/// Whether `runtime.checkdead` could fire in this process, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadlockDetector {
    /// Whether it could ever fire: nothing lasting keeps it from it.
    pub armed: bool,
    /// Whether its conditions hold at this moment.
    pub fires: bool,
    /// The terms of its formula.
    pub terms: Terms,
    /// One sentence.
    pub reason: TargetText,
}

/// `checkdead`'s formula: silent while `running` = `threads` − `idle` − `idle_locked` − `system`
/// exceeds `allowed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// `mcount()`: Ms made minus Ms freed.
    pub threads: i64,
    /// `sched.nmidle`.
    pub idle: i32,
    /// `sched.nmidlelocked`.
    pub idle_locked: i32,
    /// `sched.nmsys`.
    pub system: i32,
    /// What is left.
    pub running: i64,
    /// `run0`: 1 in a program without cgo that has an extra M, else 0.
    pub allowed: i64,
    /// Timers in the heaps of all Ps: any of them keeps the detector silent.
    pub timers: u64,
    /// `iscgo`.
    pub cgo: bool,
    /// Built as a C library or archive: the detector is off.
    pub library: bool,
}

impl From<&Detector> for DeadlockDetector {
    fn from(detector: &Detector) -> Self {
        let scheduler = &detector.terms;
        Self {
            armed: detector.armed,
            fires: detector.fires,
            terms: Terms {
                threads: scheduler.m_count,
                idle: scheduler.idle,
                idle_locked: scheduler.idle_locked,
                system: scheduler.system,
                running: detector.run,
                allowed: detector.run0,
                timers: scheduler.timers,
                cgo: scheduler.is_cgo,
                library: scheduler.is_library,
            },
            reason: detector.reason.as_str().into(),
        }
    }
}
