//! Ring-buffer records, decoded.

use std::time::Duration;

use tracer_common::{Record, RecordKind};

use ids::{Goid, Pid, TargetAddr, Tid};
use image::WaitReason;

/// What a probe saw. Times are `CLOCK_MONOTONIC` nanoseconds, the clock of Go's `nanotime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A goroutine parks.
    Parked {
        /// Process.
        pid: Pid,
        /// Thread it ran on.
        tid: Tid,
        /// Its id; `None` when it could not be read.
        goid: Option<Goid>,
        /// Address of its `g`.
        g: TargetAddr,
        /// Why.
        reason: WaitReason,
        /// The semaphore for waits of package sync, else the lock argument of `gopark`.
        object: TargetAddr,
        /// The lock argument of `gopark`.
        lock: TargetAddr,
        /// When.
        at_ns: u64,
    },
    /// `runtime.ready` woke a parked goroutine.
    Woken {
        /// Process.
        pid: Pid,
        /// The woken goroutine; `None` when its id could not be read.
        goid: Option<Goid>,
        /// Address of its `g`.
        g: TargetAddr,
        /// Who woke it; `None` for a timer, the netpoller and the scheduler.
        waker: Option<Goid>,
        /// What it waited for.
        reason: WaitReason,
        /// How long.
        waited: Duration,
        /// When it was woken.
        at_ns: u64,
    },
    /// The runtime asks for a thread.
    ThreadStarted {
        /// Process.
        pid: Pid,
        /// The goroutine on whose behalf, if any.
        goid: Option<Goid>,
        /// When.
        at_ns: u64,
    },
    /// A goroutine takes a contended lock, and perhaps waits for it. Told now and then only, at
    /// most [`tracer_common::LOCK_HINT_GAP_NS`] after the last such wait began.
    LockWait {
        /// Process.
        pid: Pid,
        /// The goroutine's `g`.
        g: TargetAddr,
        /// The semaphore of the lock.
        semaphore: TargetAddr,
        /// When.
        at_ns: u64,
    },
    /// The probes of a process were hit [`tracer_common::LOAD_STEP`] times more.
    Load {
        /// Process.
        pid: Pid,
    },
    /// A process, any of the host, executed a program.
    ProcessStarted {
        /// Process.
        pid: Pid,
        /// When.
        at_ns: u64,
    },
    /// A target ended.
    ProcessExited {
        /// Process.
        pid: Pid,
        /// When.
        at_ns: u64,
    },
}

impl Event {
    /// Decodes a record; `reason_of` knows the numbering of the target's Go version. `None` for a
    /// record of no known kind.
    pub(super) fn decode(
        record: &Record,
        reason_of: impl FnOnce(Pid, u8) -> WaitReason,
    ) -> Option<Self> {
        let pid = Pid(record.tgid);
        let id = |number: u64| (number != 0).then_some(Goid(number));
        Some(match RecordKind::from_byte(record.kind)? {
            RecordKind::Parked => Self::Parked {
                pid,
                tid: Tid(record.tid),
                goid: id(record.goid),
                g: TargetAddr(record.g),
                reason: reason_of(pid, record.reason),
                object: TargetAddr(record.other),
                lock: TargetAddr(record.value),
                at_ns: record.time_ns,
            },
            RecordKind::Woken => Self::Woken {
                pid,
                goid: id(record.goid),
                g: TargetAddr(record.g),
                waker: id(record.other),
                reason: reason_of(pid, record.reason),
                waited: Duration::from_nanos(record.value),
                at_ns: record.time_ns,
            },
            RecordKind::ThreadStarted => Self::ThreadStarted {
                pid,
                goid: id(record.goid),
                at_ns: record.time_ns,
            },
            RecordKind::LockWait => Self::LockWait {
                pid,
                g: TargetAddr(record.g),
                semaphore: TargetAddr(record.other),
                at_ns: record.time_ns,
            },
            RecordKind::Load => Self::Load { pid },
            RecordKind::ProcessStarted => Self::ProcessStarted {
                pid,
                at_ns: record.time_ns,
            },
            RecordKind::ProcessExited => Self::ProcessExited {
                pid,
                at_ns: record.time_ns,
            },
        })
    }
}
