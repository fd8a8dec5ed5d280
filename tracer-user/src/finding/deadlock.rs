//! Goroutines that hold each other up for ever.

use super::{
    evidence_level::Proof,
    identity::Identity,
    index::{SnapshotIndex, began_ns, capitalised, listed},
    model::{Finding, FindingKind, Verdict},
    phrase::{self, count},
    queue::queue,
    shape::{Shape, shape},
};
use graph::{Cause, Cycle, Edge, Verdicts};
use ids::{Goid, TargetAddr};
use snapshot::{Goroutine, ObjectKind, ObjectState, Operation, Snapshot};

/// One finding for each cycle in `verdicts`, in the same order.
pub(super) fn cycles(scene: &SnapshotIndex<'_>, verdicts: &Verdicts, proof: Proof) -> Vec<Finding> {
    let tell = |(index, cycle)| {
        let behind = verdicts.queued_behind(Cause::Cycle(index));
        let behind: Vec<&Goroutine> = behind.filter_map(|goid| scene.goroutine(goid)).collect();
        tell_cycle(scene, cycle, &behind, proof)
    };
    verdicts.cycles.iter().enumerate().map(tell).collect()
}

fn tell_cycle(
    scene: &SnapshotIndex<'_>,
    cycle: &Cycle,
    behind: &[&Goroutine],
    proof: Proof,
) -> Finding {
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
    // A coroutine's wait has no object of its own.
    objects.retain(|object| scene.snapshot.objects.contains_key(object));
    let mut story = story(scene, cycle);
    story.extend(queue(scene, behind, &objects, "them"));
    story.push(ending(cycle, proof).to_owned());
    Finding {
        verdict: proof.verdict(),
        count: cycle.members.len() as u64,
        summary: summary(scene, cycle, proof.verdict()),
        story,
        doubts,
        // It has been closed since the last of them arrived.
        since_ns: cycle.members.iter().filter_map(began).max(),
        waiting_behind: behind.len() as u64,
        edges: cycle.edges.clone(),
        objects,
        ..Finding::new(kind, id).of(cycle.members.clone())
    }
}

fn summary(scene: &SnapshotIndex<'_>, cycle: &Cycle, verdict: Verdict) -> String {
    let word = match verdict {
        Verdict::Proven => "deadlock",
        Verdict::Suspected => "possible deadlock",
    };
    let core = cycle.members.get(..cycle.core).unwrap_or_default();
    let goroutines = core.iter().filter_map(|goid| scene.goroutine(*goid));
    let mut places: Vec<String> = goroutines.filter_map(|g| scene.place(g)).collect();
    places.dedup();
    places.truncate(3);
    let place = match &places[..] {
        [] => String::new(),
        [some @ .., last] if !some.is_empty() => {
            format!(", at {} and {last}", some.join(", "))
        }
        [place, ..] => format!(", at {place}"),
    };
    let more = match cycle.members.len() - core.len() {
        0 => String::new(),
        1 => "; 1 more waits with them".to_owned(),
        more => format!("; {more} more wait with them"),
    };
    let what = match shape(scene, cycle) {
        Shape::OnceWithinItself(goid, object) => format!(
            "sync.Once within itself: {} waits for the function that it runs (its {})",
            SnapshotIndex::name(goid),
            scene.object(object)
        ),
        Shape::Upgrade(goid, object) => format!(
            "{} waits to lock {}, which it has read-locked itself",
            SnapshotIndex::name(goid),
            scene.object(object)
        ),
        Shape::Alone(goid, object) => format!(
            "{} waits for {}, which it holds itself",
            SnapshotIndex::name(goid),
            scene.object(object)
        ),
        Shape::OwnReceiver(goid, object) => format!(
            "{} waits to send on {}, from which nobody was seen to receive but itself",
            SnapshotIndex::name(goid),
            scene.object(object)
        ),
        Shape::RecursiveRead {
            reader,
            writer,
            lock,
        } => format!(
            "recursive read lock: {} waits to read-lock {}, which it has read-locked already, \
             behind {}, which waits for the readers to leave",
            SnapshotIndex::name(reader),
            scene.object(lock),
            SnapshotIndex::name(writer),
        ),
        Shape::Ring => format!(
            "goroutines {} wait for {}",
            listed(core),
            match only_locks(scene.snapshot, &cycle.edges) {
                true => "each other's locks",
                false => "each other",
            }
        ),
    };
    format!("{word}: {what}{place}{more}")
}

fn only_locks(snapshot: &Snapshot, edges: &[Edge]) -> bool {
    let is_lock = |edge: &Edge| {
        let object = snapshot.objects.get(&edge.object);
        object.is_some_and(|o| matches!(o.id.kind, ObjectKind::Mutex | ObjectKind::RwMutex))
    };
    edges.iter().all(is_lock)
}

/// Whether somebody on `cycle` waits for a lock: goroutines that wait for each other's channels only
/// are more often idle than stuck.
pub(super) fn holds_a_lock(snapshot: &Snapshot, cycle: &Cycle) -> bool {
    cycle
        .edges
        .iter()
        .any(|edge| only_locks(snapshot, &[*edge]))
}

/// Whether all on `cycle` wait to send on channels without a buffer. A blocked sender is never idle; and
/// who could receive would have been seen in an inspection in which nobody ran ([`nobody_ran`]).
pub(super) fn only_senders(scene: &SnapshotIndex<'_>, cycle: &Cycle) -> bool {
    cycle.members.iter().all(|goid| {
        let waits = scene.goroutine(*goid).map(|g| &g.waits_on[..]);
        matches!(waits, Some([wait])
            if wait.operation == Operation::Send
                && is_unbuffered(scene.snapshot, wait.object.addr))
    })
}

/// Whether it was seen what everybody does.
pub(super) fn nobody_ran(snapshot: &Snapshot) -> bool {
    let mut goroutines = snapshot.goroutines.iter().filter(|g| !g.system);
    goroutines.all(|g| g.status.is_parked())
}

fn is_unbuffered(snapshot: &Snapshot, channel: TargetAddr) -> bool {
    let object = snapshot.objects.get(&channel);
    matches!(
        object.and_then(|object| object.state.as_ref()),
        Some(ObjectState::Channel { cap: 0, .. })
    )
}

/// How many goroutines of a cycle are told of one by one.
const TOLD: usize = 16;
/// So many of those besides are, too.
const FEW: usize = 3;

fn story(scene: &SnapshotIndex<'_>, cycle: &Cycle) -> Vec<String> {
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
    story.extend(besides(scene, cycle));
    story
}

/// Those who are on longer cycles with the members of the shortest one.
fn besides(scene: &SnapshotIndex<'_>, cycle: &Cycle) -> Vec<String> {
    match cycle.members.get(cycle.core..).unwrap_or_default() {
        some if some.len() <= FEW => some.iter().map(|goid| scene.sentence(*goid)).collect(),
        many => vec![format!("Goroutines {} wait with them.", listed(many))],
    }
}

/// What would free the members of `cycle`.
fn ending(cycle: &Cycle, proof: Proof) -> &'static str {
    match (proof, cycle.core) {
        (Proof::SeenActors, _) => {
            "If nobody else acts on these objects, none of them ever runs again."
        }
        (Proof::OneLook, 1) => "Nobody else was found that can release it.",
        (Proof::OneLook, _) => "Each waits for another of them.",
        (_, 1) => "Nobody else can release it: only a restart of the process frees it.",
        _ => "Each waits for another of them: only a restart of the process frees them.",
    }
}

/// How it is known that `edge.to` is who has to act.
pub(super) fn acts(scene: &SnapshotIndex<'_>, edge: &Edge) -> String {
    let from = scene.goroutine(edge.from);
    if let Some(sentence) = scene.holds(edge.to, edge.object, from, "it") {
        return sentence;
    }
    if let Some(sentence) = from.and_then(|g| scene.resumes(g, edge.to)) {
        return sentence;
    }
    let object = scene.object(edge.object);
    if edge.from == edge.to {
        return format!("It receives from {object} only after this send.");
    }
    let partner = from.and_then(|from| {
        let mut partners = scene.partners(from);
        partners.find(|(goid, _, _)| *goid == edge.to)
    });
    match partner {
        Some((goid, _, kind)) => would(scene, goid, &object, kind),
        None => format!("{} has to act on {object}.", SnapshotIndex::name(edge.to)),
    }
}

/// `Goroutine 9 would send on channel 0x…, but waits to lock ….`
pub(crate) fn would(
    scene: &SnapshotIndex<'_>,
    goid: Goid,
    object: &str,
    kind: holders::ReleaseKind,
) -> String {
    let verb = phrase::would(kind);
    let doing = scene.goroutine(goid).map(|g| scene.doing(g));
    let doing = doing.unwrap_or_else(|| "was not seen".to_owned());
    capitalised(&format!(
        "{} would {verb} {object}, but {doing}.",
        SnapshotIndex::name(goid)
    ))
}
