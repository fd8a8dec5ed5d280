//! Why Go's own deadlock detector, `runtime.checkdead`, fires or keeps silent in a process.
//!
//! The detector is a count of threads, not a graph (`runtime/proc.go`, the same formula from Go
//! 1.17 to 1.27): it speaks only when `mcount - nmidle - nmidlelocked - nmsys <= run0`, no timer is
//! set, and the program is not a C library. `run0` is 1 only where an extra M exists without cgo
//! (Windows). With cgo the extra M kept for callbacks from C counts as running for ever.

use super::{Scheduler, Snapshot, Status, Thread, ThreadState};

/// The verdict on the detector of one process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detector {
    /// Whether it would end the process if every goroutine were blocked for ever.
    pub armed: bool,
    /// The formula's terms; `None` when they could not be read.
    pub terms: Option<Terms>,
    /// One sentence: why it would or would not fire.
    pub reason: String,
}

/// The terms of `checkdead`'s formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// `mcount()`: Ms that exist, extra ones included.
    pub m_count: i64,
    /// `sched.nmidle`.
    pub idle: i64,
    /// `sched.nmidlelocked`.
    pub idle_locked: i64,
    /// `sched.nmsys`.
    pub system: i64,
    /// `run0`.
    pub run0: i64,
    /// Timers in all heaps.
    pub timers: u64,
}

impl Terms {
    /// `mcount - nmidle - nmidlelocked - nmsys`: the threads that count as running.
    #[must_use]
    pub const fn running(&self) -> i64 {
        self.m_count - self.idle - self.idle_locked - self.system
    }
}

impl From<&Scheduler> for Terms {
    fn from(s: &Scheduler) -> Self {
        Self {
            m_count: s.m_count,
            idle: s.idle.into(),
            idle_locked: s.idle_locked.into(),
            system: s.system.into(),
            run0: i64::from(!s.is_cgo && s.has_extra_m),
            timers: s.timers,
        }
    }
}

impl Detector {
    /// Evaluates the formula on `snapshot`.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let Some(scheduler) = &snapshot.scheduler else {
            return Self {
                armed: false,
                terms: None,
                reason: "the scheduler's counters could not be read".to_owned(),
            };
        };
        let terms = Terms::from(scheduler);
        let (armed, reason) = match silenced_by(scheduler, &terms, snapshot) {
            Some(reason) => (false, reason),
            None => (true, armed_because(&terms, snapshot)),
        };
        Self {
            armed,
            terms: Some(terms),
            reason,
        }
    }
}

/// What keeps the detector silent even when every goroutine is blocked for ever.
fn silenced_by(scheduler: &Scheduler, terms: &Terms, snapshot: &Snapshot) -> Option<String> {
    if scheduler.is_library {
        return Some(
            "silent: the program is a C library or archive, for which the detector is off".into(),
        );
    }
    if scheduler.panicking {
        return Some("silent: the process is already dying of a panic".into());
    }
    if scheduler.is_cgo && scheduler.has_extra_m {
        return Some(
            "silent: cgo is linked in, and the extra thread structure kept for callbacks from C \
             counts as running for ever"
                .into(),
        );
    }
    if terms.timers > 0 {
        let (count, s) = (terms.timers, plural(terms.timers));
        return Some(format!(
            "silent: {count} timer{s} set; it waits while any is"
        ));
    }
    let count = |state: ThreadState| {
        let is = |thread: &&Thread| thread.state == state && thread.m.is_some();
        snapshot.threads.iter().filter(is).count() as u64
    };
    for (state, what) in [
        (ThreadState::Cgo, "in C code"),
        (ThreadState::Syscall, "in a system call"),
        (ThreadState::NetPoll, "waiting for the network"),
    ] {
        let count = count(state);
        if count > 0 {
            let s = plural(count);
            let verb = if count == 1 { "counts" } else { "count" };
            return Some(format!(
                "silent: {count} thread{s} {what} {verb} as running"
            ));
        }
    }
    None
}

fn armed_because(terms: &Terms, snapshot: &Snapshot) -> String {
    let runs = snapshot.goroutines.iter().any(|goroutine| {
        let moves = matches!(
            goroutine.status,
            Status::Running | Status::Runnable | Status::Syscall
        );
        moves && !goroutine.system
    });
    if runs {
        return "armed, and rightly silent: goroutines are running".to_owned();
    }
    let running = terms.running();
    if running > terms.run0 {
        let (s, verb) = if running == 1 {
            ("", "counts")
        } else {
            ("s", "count")
        };
        return format!("armed, but {running} thread{s} still {verb} as running");
    }
    "armed: no thread counts as running and no timer is set, so it fires".to_owned()
}

const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
