//! The wait graph of a look, solved under the assumptions that the findings rest on.

use super::{
    Diagnosis, Evidence, HeapWalker, Walked,
    confirm::agreed,
    disposition::{Assume, nodes, outside_may_act},
};
use crate::graph::{AssumeReachable, Disposition, GoroutineNode, Requirement, Verdicts, solve};

/// The wait graph solved under several assumptions.
pub(super) struct Graphs {
    /// What each goroutine needs, as this look says.
    pub(super) nodes: Vec<GoroutineNode>,
    /// Who is dead for certain (in as many looks as there were).
    pub(super) certain: Verdicts,
    /// Whether `certain` rests on a heap walk.
    pub(super) walked: bool,
    /// Who is dead by a heap walk that did not settle, and why it did not.
    pub(super) unsettled: Option<(Verdicts, String)>,
    pub(super) walk_failed: Option<String>,
    /// Who holds whom up, whatever moved since the earlier look.
    pub(super) current: Verdicts,
    /// Who is dead if only those act who were seen to.
    pub(super) supposed: Verdicts,
}

impl Graphs {
    /// Solves what `evidence` says, with what a walk adds; `certain` is what `earlier` agrees with.
    pub(super) fn solve(
        evidence: &Evidence,
        walker: Option<&mut (dyn HeapWalker + '_)>,
        earlier: Option<&Diagnosis>,
    ) -> Self {
        let snapshot = &*evidence.snapshot;
        let graph = |assume| nodes(snapshot, &evidence.holders, &evidence.pending, assume);
        let nodes = graph(Assume::Anyone);
        let both =
            earlier.map(|earlier| agreed((&earlier.snapshot, &earlier.nodes), (snapshot, &nodes)));
        let agreed = both.as_deref().unwrap_or(&nodes);
        let mut reach = AssumeReachable::new(outside_may_act(snapshot));
        let mut this = Self {
            certain: solve(agreed, &mut reach),
            walked: false,
            unsettled: None,
            walk_failed: None,
            current: solve_locks(&nodes),
            supposed: solve_locks(&graph(Assume::SeenActors)),
            nodes: Vec::new(),
        };
        match walker.map(|walker| walker.solve(agreed)) {
            None => {}
            Some(Err(why)) => this.walk_failed = Some(why),
            Some(Ok(Walked {
                verdicts,
                unsettled: Some(why),
            })) => this.unsettled = Some((verdicts, why)),
            Some(Ok(Walked { verdicts, .. })) => {
                this.certain = verdicts;
                this.walked = true;
            }
        }
        this.nodes = nodes;
        this
    }
}

/// The verdicts on locks alone: whoever waits for a signal counts as live.
fn solve_locks(nodes: &[GoroutineNode]) -> Verdicts {
    if nodes.iter().any(waits_for_release) {
        solve(nodes, &mut AssumeReachable::new(true))
    } else {
        Verdicts::default()
    }
}

fn waits_for_release(node: &GoroutineNode) -> bool {
    matches!(
        node.disposition,
        Disposition::Blocked(Requirement::Release { .. })
    )
}
