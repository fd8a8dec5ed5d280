//! Proof takes two looks: whoever is called dead must have been parked in the same wait in both,
//! and must not have run in between.
//!
//! A snapshot is not taken at one instant. But a goroutine that did not run between two looks was
//! parked, with the same stack, at every instant between them; so what is found of such goroutines
//! alone is true of one instant. Everybody else counts as live in the second look.

use rustc_hash::FxHashMap;

use super::diagnose::Diagnosis;
use crate::{
    graph::{Disposition, GoroutineNode},
    ids::Goid,
    snapshot::{Goroutine, Snapshot},
};

/// Makes everybody live whom `earlier` did not find dead in the very same wait.
pub(super) fn keep_confirmed(
    nodes: &mut [GoroutineNode],
    snapshot: &Snapshot,
    earlier: &Diagnosis,
) {
    let now: FxHashMap<Goid, &Goroutine> =
        snapshot.goroutines.iter().map(|g| (g.goid, g)).collect();
    for node in nodes {
        let confirmed = now.get(&node.goid).is_some_and(|g| {
            earlier.verdicts.fate(node.goid).is_some() && unmoved(&earlier.snapshot, g)
        });
        if !confirmed {
            node.disposition = Disposition::Live;
        }
    }
}

/// Whether `g` sat in the same wait in the snapshot `earlier`, and did not run since.
pub(super) fn unmoved(earlier: &Snapshot, g: &Goroutine) -> bool {
    let goroutines = &earlier.goroutines;
    let Ok(at) = goroutines.binary_search_by_key(&g.goid, |other| other.goid) else {
        return false;
    };
    goroutines
        .get(at)
        .is_some_and(|before| same_wait(before, g))
}

/// Whether two descriptions of a goroutine are of one and the same wait.
fn same_wait(a: &Goroutine, b: &Goroutine) -> bool {
    a.status.is_parked()
        && b.status.is_parked()
        && a.goid == b.goid
        && a.g == b.g
        && a.parks == b.parks
        && a.sp == b.sp
        && a.wait_reason == b.wait_reason
        && a.waits_on == b.waits_on
        && a.stack == b.stack
}
