//! The graph's input: what each goroutine needs before it can run again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use ids::{Goid, TargetAddr};

/// One edge of the wait graph: `from` waits on `object`, which `to` has to release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edge {
    /// The waiting goroutine.
    pub from: Goid,
    /// What it waits on.
    pub object: TargetAddr,
    /// Who has to act.
    pub to: Goid,
}

/// One goroutine as the graph sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoroutineNode {
    /// Who.
    pub goid: Goid,
    /// Whether it moves by itself, or what it needs.
    pub disposition: Disposition,
}

/// Whether a goroutine moves by itself, or what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Running, runnable, in a system call, sleeping, in I/O, woken by a timer or by the runtime:
    /// it will run again whatever the other goroutines do.
    Live,
    /// Parked until `Requirement` is met.
    Blocked(Requirement),
}

/// What must happen before a blocked goroutine can run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing can wake it: a nil channel, `select {}`.
    Never,
    /// A release of `object` by its holders: locks, and WaitGroups whose owed `Done`s are all known.
    Release {
        /// The lock.
        object: TargetAddr,
        /// Who has to release it: one set shared by all waiters of the object, so that ten
        /// thousand of them cost one set.
        holders: Arc<HolderSet>,
    },
    /// An operation on any one of `objects` by any goroutine that can reach it: channels
    /// (a select lists several), condition variables, WaitGroups.
    Signal {
        /// The objects; satisfied as soon as one of them is.
        objects: Vec<TargetAddr>,
    },
}

/// Who has to release a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderSet {
    /// The goroutines concerned. Those that the graph does not know count as live. Of several
    /// that all have to act, the first is the one that [`RootBlocker`](super::RootBlocker) names.
    pub holders: Vec<Goid>,
    /// Whether any one of them or all of them decide.
    pub need: Need,
    /// Whether `holders` is known to be everybody who could do it. When false, someone unknown may
    /// release the lock, and its waiters count as live.
    pub complete: bool,
    /// Goroutines that could not be looked into, where that matters: one of them may be the holder
    /// instead. They run, so the waiters count as live; but two looks that agree on everything else
    /// clear whom either of them saw.
    pub unseen: Vec<Goid>,
}

impl HolderSet {
    /// Whether nobody but `holders` can release the lock.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.complete && self.unseen.is_empty()
    }
}

/// How many of the holders have to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// Exactly one of the holders is the true one and we do not know which: the waiter is dead
    /// only when all of them are. Of nobody: nobody will ever act.
    OneOf,
    /// Every one of them has to act (readers before a writer, owed `Done`s): the waiter is dead as
    /// soon as one of them is. Of nobody: nothing is missing.
    All,
}

/// Which objects the live goroutines can reach. Grows as goroutines become live.
///
/// Implemented by the heap walk in `reach`; [`AssumeReachable`](super::AssumeReachable) stands in
/// where no walk was made.
pub trait Reachability {
    /// Goroutines that have just been found live: whatever they reach is reachable from now on.
    fn add_live(&mut self, goroutines: &[Goid]);

    /// Whether some live goroutine (or the runtime on its behalf) can reach `object`.
    fn is_reachable(&mut self, object: TargetAddr) -> bool;
}
