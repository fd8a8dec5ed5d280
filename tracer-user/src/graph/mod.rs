//! The wait graph of one process: who needs what from whom, who can still move, and the cycles
//! among those who cannot. Pure: no I/O and no clock.
//!
//! [`solve`] looks at a whole process at once; [`WaitGraph`] follows single changes.

mod adjacency;
mod compact;
mod components;
mod cycle;
mod fate;
mod liveness;
mod reachability;
mod requirement;
mod root_blocker;
mod wait_graph;

pub use cycle::Cycle;
pub use fate::{Cause, Fate, Verdicts};
pub use reachability::AssumeReachable;
pub use requirement::{
    Disposition, Edge, GoroutineNode, HolderSet, Need, Reachability, Requirement,
};
pub use root_blocker::RootBlocker;
pub use wait_graph::WaitGraph;

/// Decides for every goroutine whether it can ever run again, and if not, why.
///
/// Linear in goroutines plus holders, apart from what `reach` costs. A goroutine listed twice
/// counts as live, as does a holder that is not listed.
#[must_use]
pub fn solve(nodes: &[GoroutineNode], reach: &mut dyn Reachability) -> Verdicts {
    let graph = compact::Compact::new(nodes);
    let live = liveness::live(&graph, reach);
    let (dead, cycles) = fate::fates(&graph, &live);
    Verdicts::new(dead, cycles, root_blocker::root_blockers(&graph, &live))
}

#[cfg(test)]
mod tests;
