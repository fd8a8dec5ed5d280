//! Goroutines in documents.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Address, Frame, Site, Symbolizer, frame::shared_site};
use crate::finding::is_plumbing;
use holders::is_standard_library;
use ids::{Goid, Tid};
use snapshot::{self, Status, WaitSince};

/// One goroutine.
#[derive(Debug, Clone, Serialize)]
pub struct Goroutine {
    /// Its id.
    pub id: Goid,
    /// What it does: `running`, `runnable`, `syscall`, `waiting`, …
    pub status: &'static str,
    /// Why it waits, in the runtime's words; `null` unless it waits.
    pub wait_reason: Option<&'static str>,
    /// For how long it has waited, in seconds; `null` where unknown.
    pub wait_seconds: Option<f64>,
    /// How well `wait_seconds` is known.
    pub wait_since: Precision,
    /// Whether the runtime itself owns it.
    pub system: bool,
    /// Its stack, innermost frame first; equal stacks are shared.
    #[serde(serialize_with = "frames")]
    pub stack: Arc<[Frame]>,
    /// Whether frames are missing at the end of `stack`.
    pub stack_truncated: bool,
    /// Whether `stack` is what the kernel saw at one instant while the goroutine ran.
    pub sampled: bool,
    /// The `go` statement that made it; `null` for the first goroutine.
    #[serde(serialize_with = "shared_site")]
    pub created_by: Option<Arc<Site>>,
    /// The goroutine that made it (Go 1.21 and later).
    pub parent_id: Option<Goid>,
    /// Addresses of the objects it waits on; several for a select.
    pub waits_on: Vec<Address>,
    /// What it wants of them.
    pub operation: Option<&'static str>,
    /// The thread that runs it, or that it is locked to.
    pub thread: Option<Tid>,
    /// Whether `LockOSThread` pins it.
    pub locked_to_thread: bool,
}

/// How well a wait's beginning is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Seen by a probe.
    Exact,
    /// It waits at least that long: the runtime noted the wait some time after it began.
    AtLeast,
    /// It waited before anybody looked, or does not wait.
    Unknown,
}

impl Goroutine {
    /// `goroutine` as it was at `now_ns` on the monotonic clock.
    pub fn new(
        goroutine: &snapshot::Goroutine,
        now_ns: u64,
        symbolizer: &mut Symbolizer<'_>,
    ) -> Self {
        let (wait_since, wait_seconds) = wait_of(goroutine, now_ns);
        Self {
            id: goroutine.goid,
            status: status_text(goroutine.status),
            wait_reason: goroutine.wait_reason.map(|reason| reason.as_str()),
            wait_seconds,
            wait_since,
            system: goroutine.system,
            stack: symbolizer.stack(&goroutine.stack),
            stack_truncated: goroutine.stack.truncated,
            sampled: goroutine.sampled.is_some(),
            created_by: goroutine
                .created_at
                .map(|pc| symbolizer.innermost(pc, true))
                // The runtime makes the first goroutine in assembly (rt0_go); that is no `go`.
                .filter(|site| site.function != "runtime.newproc"),
            parent_id: goroutine.parent,
            waits_on: goroutine
                .waits_on
                .iter()
                .map(|wait| wait.object.addr.into())
                .collect(),
            operation: goroutine
                .waits_on
                .first()
                .map(|wait| operation_text(wait.operation)),
            thread: goroutine.thread,
            locked_to_thread: goroutine.locked_to_thread,
        }
    }

    /// Where a person would say that it waits: the first frame outside the standard library, or else the
    /// first that does more than carry out the wait.
    #[must_use]
    pub fn place(&self) -> Option<&Frame> {
        let frames = self.stack.iter();
        let mut own = frames.filter(|frame| !is_plumbing(frame.function.raw()));
        let library = own.clone().next();
        own.find(|frame| !is_standard_library(frame.function.raw()))
            .or(library)
            .or(self.stack.first())
    }
}

/// The status in the words of a goroutine dump.
#[must_use]
pub const fn status_text(status: Status) -> &'static str {
    match status {
        Status::Idle => "idle",
        Status::Runnable => "runnable",
        Status::Running => "running",
        Status::Syscall => "syscall",
        Status::Waiting => "waiting",
        Status::CopyStack => "copystack",
        Status::Preempted => "preempted",
        Status::Leaked => "leaked",
    }
}

const fn operation_text(operation: snapshot::Operation) -> &'static str {
    use snapshot::Operation;
    match operation {
        Operation::Send => "send",
        Operation::Receive => "receive",
        Operation::Lock => "lock",
        Operation::ReadLock => "read-lock",
        Operation::DrainReaders => "drain-readers",
        Operation::Wait => "wait",
        Operation::CondWait => "cond-wait",
        Operation::Acquire => "acquire",
    }
}

/// For how long `goroutine` has waited at `now_ns`, in seconds, and how well that is known.
pub(super) fn wait_of(goroutine: &snapshot::Goroutine, now_ns: u64) -> (Precision, Option<f64>) {
    let age = |since_ns: u64| Some(seconds(now_ns.saturating_sub(since_ns)));
    match goroutine.since {
        WaitSince::Exact(since_ns) => (Precision::Exact, age(since_ns)),
        WaitSince::AtLeast(since_ns) => (Precision::AtLeast, age(since_ns)),
        WaitSince::Unknown => (Precision::Unknown, None),
    }
}

/// Nanoseconds as seconds, to the millisecond: no reader needs more and the text stays short.
#[must_use]
pub fn seconds(ns: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "durations stay far below 2^53 ms"
    )]
    let milliseconds = (ns / 1_000_000) as f64;
    milliseconds / 1e3
}

/// Serialises a shared stack as if it were not shared.
pub(super) fn frames<S: Serializer>(
    frames: &Arc<[Frame]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    frames.as_ref().serialize(serializer)
}
