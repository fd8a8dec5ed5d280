//! What a heap walk adds to findings: leaks it could not settle, and what leaks keep in memory.

use super::{
    forever::forever,
    model::{Finding, FindingKind},
    phrase::bytes,
    proof::Proof,
    scene::Scene,
    walk::HeapWalker,
};
use crate::graph::Verdicts;

/// Leaks by a walk that is no proof, and `why` it is none.
pub(super) fn suspected(scene: &Scene<'_>, verdicts: &Verdicts, why: &str) -> Vec<Finding> {
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

/// Says of each leak what it keeps in memory.
pub(super) fn weigh(findings: &mut [Finding], walker: &mut dyn HeapWalker) {
    let leaks = findings
        .iter_mut()
        .filter(|finding| finding.kind == FindingKind::Unreachable);
    for finding in leaks {
        let Some(retained) = walker.retained_bytes(&finding.goroutines) else {
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
