//! Verdicts that are kept from inspection to inspection, for as long as nothing that they follow from
//! changes.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    fate::Verdicts,
    reachability::AssumeReachable,
    requirement::{Disposition, GoroutineNode, Requirement},
    solve,
};
use ids::Goid;

/// The verdicts of one process where every object counts as reachable.
///
/// Most goroutines of a busy process move from one inspection to the next; those that wait for a lock, or for
/// ever, and those that they wait for, seldom do. The graph is solved again only if one of these has changed.
#[derive(Debug, Default)]
pub struct VerdictCache {
    /// What `verdicts` follow from.
    entangled: Vec<GoroutineNode>,
    verdicts: Verdicts,
}

impl VerdictCache {
    /// Returns what [`solve`] says of `nodes` with everything in reach.
    ///
    /// Linear in the goroutines; where nobody who is entangled has changed, at the cost of comparing them.
    pub fn solve(&mut self, nodes: &[GoroutineNode]) -> &Verdicts {
        let entangled = entangled(nodes);
        if !are_same(&self.entangled, &entangled) {
            self.verdicts = solve(&entangled, &mut AssumeReachable::new(true));
            self.entangled = entangled;
        }
        &self.verdicts
    }
}

/// Those of `nodes` that wait for a release or for ever, and those that they wait for.
fn entangled(nodes: &[GoroutineNode]) -> Vec<GoroutineNode> {
    let mut holders = FxHashSet::default();
    let mut sets = FxHashSet::default();
    for node in nodes {
        if let Disposition::Blocked(Requirement::Release { holders: set, .. }) = &node.disposition
            && sets.insert(Arc::as_ptr(set))
        {
            holders.extend(set.holders.iter().copied());
        }
    }
    let kept = nodes.iter().filter_map(|node| match &node.disposition {
        Disposition::Blocked(Requirement::Release { .. } | Requirement::Never) => {
            Some(node.clone())
        }
        Disposition::Live | Disposition::Blocked(Requirement::Signal { .. }) => {
            let is_holder = holders.contains(&node.goid);
            is_holder.then_some(GoroutineNode {
                goid: node.goid,
                disposition: Disposition::Live,
            })
        }
    });
    let mut entangled: Vec<GoroutineNode> = kept.collect();
    // Cycles are named in the order of the goroutines.
    entangled.sort_by_key(|node| node.goid);
    live_where_listed_twice(&mut entangled, nodes);
    entangled
}

/// Makes those live that `nodes` lists twice: a torn snapshot, of which neither description can be trusted.
fn live_where_listed_twice(entangled: &mut [GoroutineNode], nodes: &[GoroutineNode]) {
    let mut seen = FxHashSet::default();
    let twice: FxHashSet<Goid> = nodes
        .iter()
        .map(|node| node.goid)
        .filter(|goid| !seen.insert(*goid))
        .collect();
    if twice.is_empty() {
        return;
    }
    let torn = entangled
        .iter_mut()
        .filter(|node| twice.contains(&node.goid));
    torn.for_each(|node| node.disposition = Disposition::Live);
}

/// Whether two lists say the same. Each pair of shared holder sets is compared once: ten thousand waiters
/// share one.
fn are_same(before: &[GoroutineNode], now: &[GoroutineNode]) -> bool {
    let mut sets: FxHashMap<_, bool> = FxHashMap::default();
    let mut same =
        |before: &GoroutineNode, now: &GoroutineNode| match (&before.disposition, &now.disposition)
        {
            (
                Disposition::Blocked(Requirement::Release { object, holders }),
                Disposition::Blocked(Requirement::Release {
                    object: other,
                    holders: others,
                }),
            ) => {
                let pair = (Arc::as_ptr(holders), Arc::as_ptr(others));
                object == other && *sets.entry(pair).or_insert_with(|| holders == others)
            }
            (before, now) => before == now,
        };
    before.len() == now.len()
        && before
            .iter()
            .zip(now)
            .all(|(before, now)| before.goid == now.goid && same(before, now))
}
