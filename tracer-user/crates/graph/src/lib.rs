//! The wait graph of one process: who needs what from whom, who can still move, and the cycles
//! among those who cannot. Pure: no I/O and no clock.
//!
//! [`solve`] looks at a whole process at once; [`VerdictCache`] keeps what it said for as long as nothing has changed that it follows from.

mod adjacency;
mod compact;
mod components;
mod cycle;
mod fate;
mod liveness;
mod reachability;
mod requirement;
mod root_blocker;
mod verdict_cache;

pub use cycle::Cycle;
pub use fate::{Cause, Fate, Verdicts};
pub use reachability::AssumeReachable;
pub use requirement::{
    Disposition, Edge, GoroutineNode, HolderSet, Need, Reachability, Requirement,
};
pub use root_blocker::RootBlocker;
pub use verdict_cache::VerdictCache;

use ids::{Goid, TargetAddr};

/// Decides for every goroutine whether it can ever run again, and if not, why.
///
/// Linear in goroutines plus holders, apart from what `reach` costs. A goroutine listed twice
/// counts as live, as does a holder that is not listed.
#[must_use]
pub fn solve(nodes: &[GoroutineNode], reach: &mut dyn Reachability) -> Verdicts {
    let graph = compact::Compact::new(nodes);
    let live = liveness::live(&graph, reach);
    let (dead, cycles) = fate::fates(&graph, &live, &|_, _, _| 0);
    Verdicts::new(dead, cycles, root_blocker::root_blockers(&graph, &live))
}

/// Tells anew why those are dead who are dead in `verdicts`, which followed from `nodes`: where any
/// of several goroutines may be the one that holds an object, those count of whom `doubt` (of object,
/// holder, and whether that one waits for the very same) says least. Whoever only may hold what he waits for is a waiter then, and no member of
/// a cycle. Who is dead stays the same.
#[must_use]
pub fn retold(
    verdicts: Verdicts,
    nodes: &[GoroutineNode],
    doubt: &dyn Fn(TargetAddr, Goid, bool) -> u8,
) -> Verdicts {
    let graph = compact::Compact::new(nodes);
    let live: Vec<bool> = graph
        .goids
        .iter()
        .map(|goid| verdicts.fate(*goid).is_none())
        .collect();
    let (dead, cycles) = fate::fates(&graph, &live, doubt);
    Verdicts::new(dead, cycles, verdicts.root_blockers)
}

#[cfg(test)]
mod tests;
