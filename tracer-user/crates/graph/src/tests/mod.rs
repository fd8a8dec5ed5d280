//! The whole graph: chosen situations, and random ones against a definition too simple to be wrong.

mod definition;
mod kept;
mod random;
mod situations;

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::*;
use ids::{Goid, TargetAddr};

fn live(goid: u64) -> GoroutineNode {
    node(goid, Disposition::Live)
}

fn node(goid: u64, disposition: Disposition) -> GoroutineNode {
    GoroutineNode {
        goid: Goid(goid),
        disposition,
    }
}

fn release(object: u64, need: Need, holders: &[u64]) -> Disposition {
    Disposition::Blocked(Requirement::Release {
        object: TargetAddr(object),
        holders: Arc::new(HolderSet {
            holders: holders.iter().copied().map(Goid).collect(),
            need,
            complete: true,
            unseen: Vec::new(),
        }),
    })
}

/// `goid` waits for the lock at `object`, which `holder` holds.
fn locked(goid: u64, object: u64, holder: u64) -> GoroutineNode {
    node(goid, release(object, Need::OneOf, &[holder]))
}

fn signal(goid: u64, objects: &[u64]) -> GoroutineNode {
    let objects = objects.iter().copied().map(TargetAddr).collect();
    node(goid, Disposition::Blocked(Requirement::Signal { objects }))
}

fn never(goid: u64) -> GoroutineNode {
    node(goid, Disposition::Blocked(Requirement::Never))
}

fn solved(nodes: &[GoroutineNode]) -> Verdicts {
    solve(nodes, &mut AssumeReachable::new(true))
}

fn dead(verdicts: &Verdicts) -> Vec<u64> {
    verdicts.dead.iter().map(|(goid, _)| goid.0).collect()
}

/// Which goroutine can reach which object.
#[derive(Debug, Clone, Default)]
struct Table {
    reach: Vec<(u64, u64)>,
    live: FxHashSet<u64>,
}

impl Reachability for Table {
    fn add_live(&mut self, goroutines: &[Goid]) {
        self.live.extend(goroutines.iter().map(|g| g.0));
    }

    fn is_reachable(&mut self, object: TargetAddr) -> bool {
        self.reach
            .iter()
            .any(|(goid, o)| *o == object.0 && self.live.contains(goid))
    }
}
