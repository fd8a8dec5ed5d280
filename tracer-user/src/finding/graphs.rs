//! The wait graph of an inspection, solved under the assumptions that the findings rest on.

use super::{
    confirm::agreed,
    coroutine::Resumers,
    deadlock::holds_a_lock,
    diagnose::{Diagnosis, Evidence},
    disposition::{Assume, nodes, outside_may_act},
    doubt::Doubts,
    supposed::with_cycles,
    walk::{HeapWalker, Walked},
};
use graph::{AssumeReachable, Cycle, Disposition, GoroutineNode, VerdictCache, Verdicts, solve};
use ids::{Goid, TargetAddr};

/// The wait graphs of a process that is looked at again and again: only what changed is worked out
/// anew.
#[derive(Debug, Default)]
pub(crate) struct GraphCache {
    /// As each inspection says.
    current: VerdictCache,
    /// If only those act who were seen to.
    supposed: VerdictCache,
}

/// The wait graph solved under several assumptions.
pub(super) struct Graphs {
    /// What each goroutine needs, as this inspection says.
    pub(super) nodes: Vec<GoroutineNode>,
    /// Who is dead for certain (in as many looks as there were).
    pub(super) certain: Verdicts,
    /// Whether `certain` rests on a heap walk.
    pub(super) walked: bool,
    /// Who is dead by a heap walk that did not settle, and why it did not.
    pub(super) unsettled: Option<(Verdicts, String)>,
    pub(super) walk_failed: Option<String>,
    /// Who holds whom up, whatever moved since the earlier inspection.
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
        followed: &mut GraphCache,
        resumers: &Resumers,
    ) -> Self {
        let snapshot = &*evidence.snapshot;
        let graph = |assume| nodes(snapshot, &evidence.holders, &evidence.pending, assume);
        let nodes = graph(Assume::Anyone);
        let supposed = graph(Assume::SeenActors(resumers));
        let doubts = Doubts::new(snapshot, &evidence.holders);
        let current = followed.current.solve(&nodes).clone();
        let both =
            earlier.map(|earlier| agreed((&earlier.snapshot, &earlier.nodes), (snapshot, &nodes)));
        let agreed = both.as_deref().unwrap_or(&nodes);
        let outside_may_act = outside_may_act(snapshot);
        let somebody_acts = outside_may_act || nodes.iter().any(moves);
        let mut this = Self {
            // Where somebody may send any message, only locks keep goroutines for ever.
            certain: if both.is_none() && somebody_acts {
                current.clone()
            } else {
                solve(agreed, &mut AssumeReachable::new(outside_may_act))
            },
            walked: false,
            unsettled: None,
            walk_failed: None,
            current,
            supposed: doubts.settle(followed.supposed.solve(&supposed).clone(), &supposed),
            nodes: Vec::new(),
        };
        match walker.map(|walker| walker.solve(agreed, &uses(evidence))) {
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
        let tells = |cycle: &Cycle| holds_a_lock(snapshot, cycle);
        let told = |dead| with_cycles(doubts.settle(dead, agreed), &this.supposed, tells);
        this.certain = told(this.certain);
        this.unsettled = this.unsettled.map(|(dead, why)| (told(dead), why));
        this.nodes = nodes;
        this
    }
}

/// Which objects goroutines are going to use by their code, of those that somebody waits for.
fn uses(evidence: &Evidence) -> Vec<(Goid, TargetAddr)> {
    let objects = &evidence.snapshot.objects;
    let releases = evidence.pending.iter().flat_map(|(goid, releases)| {
        let objects = releases.iter().map(|release| release.object);
        objects.map(|object| (*goid, object))
    });
    releases
        .filter(|(_, object)| objects.contains_key(object))
        .collect()
}

fn moves(node: &GoroutineNode) -> bool {
    node.disposition == Disposition::Live
}
