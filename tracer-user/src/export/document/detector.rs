//! Go's own deadlock detector in documents.

use serde::Serialize;

use crate::snapshot::Scheduler;

/// Whether `runtime.checkdead` could fire in this process, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadlockDetector {
    /// Whether it would fire once every goroutine were blocked.
    pub armed: bool,
    /// The terms of its formula.
    pub terms: Terms,
    /// One sentence.
    pub reason: String,
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

impl From<&Scheduler> for Terms {
    fn from(scheduler: &Scheduler) -> Self {
        Self {
            threads: scheduler.m_count,
            idle: scheduler.idle,
            idle_locked: scheduler.idle_locked,
            system: scheduler.system,
            running: scheduler.m_count
                - i64::from(scheduler.idle)
                - i64::from(scheduler.idle_locked)
                - i64::from(scheduler.system),
            allowed: i64::from(!scheduler.is_cgo && scheduler.has_extra_m),
            timers: scheduler.timers,
            cgo: scheduler.is_cgo,
            library: scheduler.is_library,
        }
    }
}
