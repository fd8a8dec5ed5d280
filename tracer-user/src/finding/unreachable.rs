//! What a heap walk adds to findings: leaks it could not settle, and what leaks keep in memory.

use rustc_hash::FxHashMap;

use super::{
    evidence_level::Proof,
    forever::forever,
    index::SnapshotIndex,
    model::{Finding, FindingId, FindingKind},
    phrase::bytes,
    walk::HeapWalker,
};
use graph::Verdicts;
use ids::Goid;

/// Leaks by a walk that is no proof, and `why` it is none.
pub(super) fn suspected(scene: &SnapshotIndex<'_>, verdicts: &Verdicts, why: &str) -> Vec<Finding> {
    forever(scene, verdicts, true, Proof::SeenActors)
        .into_iter()
        .map(|(finding, _)| finding)
        .filter(|finding| finding.kind == FindingKind::Unreachable)
        .map(|finding| Finding {
            doubts: vec![why.to_owned()],
            ..finding
        })
        .collect()
}

/// All goroutines of each group that waits for ever; a finding lists not more than some of them.
pub(super) type Leaks = FxHashMap<FindingId, Vec<Goid>>;

/// Says of each leak what it keeps in memory.
pub(super) fn weigh(findings: &mut [Finding], leaks: &Leaks, walker: &mut dyn HeapWalker) {
    for finding in findings {
        if finding.kind != FindingKind::Unreachable {
            continue;
        }
        let goroutines = leaks.get(&finding.id).unwrap_or(&finding.goroutines);
        let Some(retained) = walker.retained_bytes(goroutines) else {
            continue;
        };
        if let Some(group) = &mut finding.group {
            group.retained_bytes = Some(retained);
        }
        finding.story.push(format!(
            "This leak holds {} that nobody else reaches.",
            bytes(retained)
        ));
    }
}
