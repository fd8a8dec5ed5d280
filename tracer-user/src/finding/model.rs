//! What is reported.

use serde::{Deserialize, Serialize};

pub use crate::graph::Edge;
use crate::ids::{Goid, TargetAddr};

/// One thing worth telling.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Stable over looks and restarts of ours: a hash of kind and members' identity.
    pub id: FindingId,
    /// What it is.
    pub kind: FindingKind,
    /// How sure.
    pub verdict: Verdict,
    /// The goroutines concerned, ascending; for a cycle in cycle order.
    pub goroutines: Vec<Goid>,
    /// The objects concerned.
    pub objects: Vec<TargetAddr>,
    /// Who waits for whom.
    pub edges: Vec<Edge>,
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
}

/// A finding's stable identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FindingId(pub u64);

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Worth a look; with its age.
    Suspected,
    /// Follows from the graph: no continuation of the program frees these goroutines.
    Proven,
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
