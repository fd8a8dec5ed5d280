//! What is reported.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::site::Site;
pub use graph::Edge;
use ids::{Goid, TargetAddr};

/// Goroutines, objects and edges listed of one finding at most; [`Finding::count`] tells them all.
pub const MAX_LISTED: usize = 10_000;

/// One thing worth telling.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Stable over looks and restarts of ours: a hash of kind and members' identity.
    pub id: FindingId,
    /// What it is.
    pub kind: FindingKind,
    /// How sure.
    pub verdict: Verdict,
    /// The goroutines concerned, ascending; for a cycle in cycle order. At most [`MAX_LISTED`].
    pub goroutines: Vec<Goid>,
    /// All of them, where [`Finding::goroutines`] does not list them all; else empty.
    pub all: Arc<[Goid]>,
    /// How many goroutines are concerned (for the kinds about threads: threads).
    pub count: u64,
    /// The objects concerned, ascending. At most [`MAX_LISTED`].
    pub objects: Vec<TargetAddr>,
    /// Who waits for whom. At most [`MAX_LISTED`].
    pub edges: Vec<Edge>,
    /// What goroutines that are told of together have in common.
    pub group: Option<Group>,
    /// One line: what a person reads first.
    pub summary: String,
    /// The story: who waits for whom, since when, where, what would free it.
    pub story: Vec<String>,
    /// What is missing for `proven`; empty when proven.
    pub doubts: Vec<String>,
    /// `CLOCK_MONOTONIC` nanoseconds since when the condition holds, as far as known.
    pub since_ns: Option<u64>,
    /// Count of goroutines that are not members but wait behind them.
    pub waiting_behind: u64,
    /// The finding that tells why they wait, of those that are queued behind it and told there, too.
    pub cause: Option<FindingId>,
}

impl Finding {
    /// A suspicion with nothing told of it yet.
    pub(crate) fn new(kind: FindingKind, id: FindingId) -> Self {
        Self {
            id,
            kind,
            verdict: Verdict::Suspected,
            goroutines: Vec::new(),
            all: Arc::default(),
            count: 0,
            objects: Vec::new(),
            edges: Vec::new(),
            group: None,
            summary: String::new(),
            story: Vec::new(),
            doubts: Vec::new(),
            since_ns: None,
            waiting_behind: 0,
            cause: None,
        }
    }

    /// The finding with the goroutines concerned: lists [`MAX_LISTED`] of them, and remembers all.
    pub(super) fn of(mut self, mut goroutines: Vec<Goid>) -> Self {
        if goroutines.len() > MAX_LISTED {
            self.all = goroutines.as_slice().into();
            goroutines.truncate(MAX_LISTED);
        }
        self.goroutines = goroutines;
        self
    }

    /// All goroutines concerned, beyond those that are listed, too.
    #[must_use]
    pub fn concerned(&self) -> &[Goid] {
        if self.all.is_empty() {
            &self.goroutines
        } else {
            &self.all
        }
    }
}

/// What goroutines that are told of together have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Where they wait.
    pub blocked_at: Option<Site>,
    /// Where they were created.
    pub created_at: Option<Site>,
    /// One of them, to show its stack: the one that has waited longest.
    pub example: Goid,
    /// `CLOCK_MONOTONIC` nanoseconds since when the first of them waits, as far as known.
    pub oldest_ns: Option<u64>,
    /// Since when the last of them waits, as far as known.
    pub newest_ns: Option<u64>,
    /// Stack and heap memory that they alone keep, in bytes, where a heap walk measured it.
    pub retained_bytes: Option<u64>,
    /// How fast their number grows, in goroutines (or threads) a minute, where that was measured.
    pub per_minute: Option<f64>,
}

/// A finding's stable identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FindingId(pub u64);

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Worth a look; with its age.
    Suspected,
    /// Follows from the graph: no continuation of the program frees these goroutines.
    Proven,
}

impl Verdict {
    /// Returns the verdict in one word, as in JSON and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Proven => "proven",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Goroutines that hold each other's locks.
    LockCycle,
    /// A goroutine that waits for a lock it holds itself.
    SelfDeadlock,
    /// Every user goroutine is blocked for ever.
    WholeProcessDeadlock,
    /// Blocked on something that no live goroutine can reach.
    Unreachable,
    /// Dead because everything they wait for is dead, without being on a cycle.
    Queued,
    /// A receive from or send to a nil channel.
    NilChannel,
    /// `select {}` outside main.
    SelectForever,
    /// Many wait behind one live goroutine.
    RootBlocker,
    /// Waiting for a lock that is locked and that no goroutine is going to unlock.
    AbandonedLock,
    /// Waiting longer than the threshold, cause unknown.
    StuckWait,
    /// Goroutines of one creation site grow without end.
    GoroutineGrowth,
    /// Threads grow without end.
    ThreadGrowth,
    /// GOMAXPROCS exceeds the CPU limit of the cgroup.
    GomaxprocsOverLimit,
    /// One goroutine keeps the others from running.
    Starvation,
}

impl FindingKind {
    /// The name used in JSON, metrics and text, for example `lock-cycle`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LockCycle => "lock-cycle",
            Self::SelfDeadlock => "self-deadlock",
            Self::WholeProcessDeadlock => "whole-process-deadlock",
            Self::Unreachable => "unreachable",
            Self::Queued => "queued",
            Self::NilChannel => "nil-channel",
            Self::SelectForever => "select-forever",
            Self::RootBlocker => "root-blocker",
            Self::AbandonedLock => "abandoned-lock",
            Self::StuckWait => "stuck-wait",
            Self::GoroutineGrowth => "goroutine-growth",
            Self::ThreadGrowth => "thread-growth",
            Self::GomaxprocsOverLimit => "gomaxprocs-over-limit",
            Self::Starvation => "starvation",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspected => "suspected",
            Self::Proven => "proven",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_are_concerned_are_remembered_and_some_listed() {
        let goids = |number| (0..number).map(Goid).collect::<Vec<_>>();
        let of = |number| Finding::new(FindingKind::StuckWait, FindingId(1)).of(goids(number));
        let few = of(3);
        assert_eq!(
            (&few.goroutines[..], few.concerned()),
            (&goids(3)[..], &goids(3)[..])
        );
        let number = MAX_LISTED as u64 + 1;
        let many = of(number);
        assert_eq!(many.goroutines.len(), MAX_LISTED);
        assert_eq!(many.concerned(), goids(number));
    }
}
