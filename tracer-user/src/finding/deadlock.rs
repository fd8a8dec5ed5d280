//! Goroutines that hold each other up for ever, and those queued behind them.

use rustc_hash::FxHashMap;

use super::{
    identity::Identity,
    model::{Finding, FindingId, FindingKind, MAX_LISTED, Verdict},
    phrase::{self, count},
    proof::Proof,
    scene::{Scene, began_ns, listed},
};
use crate::{
    graph::{Cause, Cycle, Edge, Fate, Verdicts},
    ids::{Goid, TargetAddr},
    snapshot::ObjectKind,
};

/// One finding for each cycle in `verdicts`, in the same order.
pub(super) fn cycles(scene: &Scene<'_>, verdicts: &Verdicts, proof: Proof) -> Vec<Finding> {
    let tell = |(index, cycle)| {
        let behind = verdicts.queued_behind(Cause::Cycle(index)).count() as u64;
        tell_cycle(scene, cycle, behind, proof)
    };
    verdicts.cycles.iter().enumerate().map(tell).collect()
}

fn tell_cycle(scene: &Scene<'_>, cycle: &Cycle, behind: u64, proof: Proof) -> Finding {
    let kind = match cycle.members.len() {
        1 => FindingKind::SelfDeadlock,
        _ => FindingKind::LockCycle,
    };
    let mut objects: Vec<TargetAddr> = cycle.edges.iter().map(|edge| edge.object).collect();
    objects.sort_unstable();
    objects.dedup();
    let id = Identity::new(scene.process, kind)
        .goroutines(&cycle.members)
        .objects(&objects)
        .id();
    let began = |goid: &Goid| scene.goroutine(*goid).and_then(|g| began_ns(g.since));
    let mut doubts = proof.doubts();
    if proof == Proof::SeenActors {
        let known = objects
            .iter()
            .filter_map(|object| scene.holders.get(object));
        doubts.extend(known.flat_map(|holders| holders.doubts.iter().cloned()));
        doubts.dedup();
    }
    let verdict = proof.verdict();
    Finding {
        verdict,
        count: cycle.members.len() as u64,
        summary: summary(scene, cycle, verdict),
        story: story(scene, cycle, behind, proof),
        doubts,
        // It has been closed since the last of them arrived.
        since_ns: cycle.members.iter().filter_map(began).max(),
        waiting_behind: behind,
        goroutines: cycle.members.iter().copied().take(MAX_LISTED).collect(),
        edges: cycle.edges.clone(),
        objects,
        ..Finding::new(kind, id)
    }
}

fn summary(scene: &Scene<'_>, cycle: &Cycle, verdict: Verdict) -> String {
    let word = match verdict {
        Verdict::Proven => "deadlock",
        Verdict::Suspected => "possible deadlock",
    };
    let place = |goid: &Goid| {
        let site = scene.goroutine(*goid).and_then(|g| scene.blocked_at(g));
        site.map(|site| site.to_string())
    };
    if let ([goid], [edge, ..]) = (&cycle.members[..], &cycle.edges[..]) {
        let place = place(goid).map(|p| format!(", at {p}")).unwrap_or_default();
        let object = scene.object(edge.object);
        return format!(
            "{word}: {} waits for {object}, which it holds itself{place}",
            Scene::name(*goid)
        );
    }
    let what = match only_locks(scene, &cycle.edges) {
        true => "each other's locks",
        false => "each other",
    };
    let mut places: Vec<String> = cycle.members.iter().filter_map(place).collect();
    places.dedup();
    places.truncate(3);
    format!(
        "{word}: goroutines {} wait for {what} ({})",
        listed(&cycle.members),
        places.join(", ")
    )
}

fn only_locks(scene: &Scene<'_>, edges: &[Edge]) -> bool {
    let is_lock = |edge: &Edge| {
        let object = scene.snapshot.objects.get(&edge.object);
        object.is_some_and(|o| matches!(o.id.kind, ObjectKind::Mutex | ObjectKind::RwMutex))
    };
    edges.iter().all(is_lock)
}

/// Whether somebody on `cycle` waits for a lock: goroutines that wait for each other's channels only
/// are more often idle than stuck.
pub(super) fn holds_a_lock(scene: &Scene<'_>, cycle: &Cycle) -> bool {
    cycle.edges.iter().any(|edge| only_locks(scene, &[*edge]))
}

/// How many goroutines of a cycle are told of one by one.
const TOLD: usize = 16;

fn story(scene: &Scene<'_>, cycle: &Cycle, behind: u64, proof: Proof) -> Vec<String> {
    let mut story = Vec::new();
    for edge in cycle.edges.iter().take(cycle.core.min(TOLD)) {
        story.push(scene.sentence(edge.from));
        story.push(acts(scene, edge));
    }
    if cycle.core > TOLD {
        let more = (cycle.core - TOLD) as u64;
        story.push(format!(
            "And so on, over {} more.",
            count(more, "goroutine")
        ));
    }
    let besides = cycle.members.get(cycle.core..).unwrap_or_default();
    if !besides.is_empty() {
        story.push(format!(
            "Entangled with them: goroutines {}.",
            listed(besides)
        ));
    }
    match behind {
        0 => {}
        1 => story.push("1 more goroutine queues behind them for ever.".to_owned()),
        _ => story.push(format!(
            "{} queue behind them for ever.",
            count(behind, "more goroutine")
        )),
    }
    story.push(
        match (proof, cycle.members.len()) {
            (Proof::SeenActors, _) => {
                "If nobody else acts on these objects, none of them ever runs again."
            }
            (_, 1) => "Nobody else can release it: only a restart of the process frees it.",
            _ => "Each waits for another of them: only a restart of the process frees them.",
        }
        .to_owned(),
    );
    story
}

/// How it is known that `edge.to` is who has to act.
fn acts(scene: &Scene<'_>, edge: &Edge) -> String {
    if let Some(sentence) = scene.holds(edge.to, edge.object, scene.goroutine(edge.from)) {
        return sentence;
    }
    let object = scene.object(edge.object);
    let partner = scene.goroutine(edge.from).and_then(|from| {
        let mut partners = scene.partners(from);
        partners.find(|(goid, _, _)| *goid == edge.to)
    });
    match partner {
        Some((goid, _, kind)) => would(scene, goid, &object, kind),
        None => format!("{} has to act on {object}.", Scene::name(edge.to)),
    }
}

/// `Goroutine 9 would send on channel 0x…, but waits to lock ….`
pub(super) fn would(
    scene: &Scene<'_>,
    goid: Goid,
    object: &str,
    kind: crate::release::ReleaseKind,
) -> String {
    let verb = phrase::would(kind);
    let doing = scene.goroutine(goid).map(|g| scene.doing(g));
    let doing = doing.unwrap_or_else(|| "was not seen".to_owned());
    super::scene::capitalised(&format!(
        "{} would {verb} {object}, but {doing}.",
        Scene::name(goid)
    ))
}

/// The goroutines that wait behind what others of `verdicts` are dead of: one finding for each
/// cause. `causes` says which finding tells of each cause.
pub(super) fn queued(
    scene: &Scene<'_>,
    verdicts: &Verdicts,
    causes: &FxHashMap<Cause, (FindingId, String)>,
    proof: Proof,
) -> Vec<Finding> {
    let mut queues: FxHashMap<FindingId, (String, Vec<Edge>)> = FxHashMap::default();
    for (from, fate) in &verdicts.dead {
        if let Fate::Queued {
            object,
            behind,
            cause,
        } = fate
            && let Some((id, summary)) = causes.get(cause)
        {
            let (_, edges) = queues
                .entry(*id)
                .or_insert_with(|| (summary.clone(), Vec::new()));
            edges.push(Edge {
                from: *from,
                object: *object,
                to: *behind,
            });
        }
    }
    let mut found: Vec<Finding> = queues
        .into_iter()
        .map(|(cause, (summary, edges))| tell_queue(scene, cause, &summary, edges, proof))
        .collect();
    found.sort_by_key(|finding| finding.id);
    found
}

fn tell_queue(
    scene: &Scene<'_>,
    cause: FindingId,
    cause_summary: &str,
    mut edges: Vec<Edge>,
    proof: Proof,
) -> Finding {
    let id = Identity::new(scene.process, FindingKind::Queued)
        .number(cause.0)
        .id();
    let goroutines: Vec<Goid> = edges.iter().map(|edge| edge.from).collect();
    let total = goroutines.len() as u64;
    let mut objects: Vec<TargetAddr> = edges.iter().map(|edge| edge.object).collect();
    objects.sort_unstable();
    objects.dedup();
    let verb = if total == 1 { "waits" } else { "wait" };
    let mut story: Vec<String> = edges
        .iter()
        .take(3)
        .flat_map(|edge| [scene.sentence(edge.from), acts(scene, edge)])
        .collect();
    story.push(format!("The cause is finding {cause}: {cause_summary}."));
    let began = goroutines
        .iter()
        .filter_map(|goid| began_ns(scene.goroutine(*goid)?.since))
        .min();
    edges.truncate(MAX_LISTED);
    Finding {
        verdict: proof.verdict(),
        count: total,
        summary: format!(
            "{} {verb} for ever behind another finding: {cause_summary}",
            count(total, "goroutine")
        ),
        story,
        doubts: proof.doubts(),
        since_ns: began,
        goroutines: goroutines.into_iter().take(MAX_LISTED).collect(),
        objects: objects.into_iter().take(MAX_LISTED).collect(),
        edges,
        ..Finding::new(FindingKind::Queued, id)
    }
}
