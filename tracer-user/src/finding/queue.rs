//! Goroutines that wait behind what others are dead of.

use rustc_hash::FxHashMap;

use super::{
    deadlock::acts,
    evidence_level::Proof,
    grouping::by_site,
    identity::Identity,
    index::{SnapshotIndex, began_ns},
    model::{Finding, FindingId, FindingKind, MAX_LISTED, Verdict},
    phrase::{self, count},
};
use graph::{Cause, Edge, Fate, Verdicts};
use ids::{Goid, TargetAddr};
use snapshot::{Goroutine, ObjectKind};

/// How many places of a queue are told of.
const PLACES: usize = 3;

/// One sentence on all who wait behind others: `behind` whom, and whether for the same `objects`.
pub(super) fn queue(
    scene: &SnapshotIndex<'_>,
    waiters: &[&Goroutine],
    objects: &[TargetAddr],
    behind: &str,
) -> Option<String> {
    let total = waiters.len() as u64;
    if total == 0 {
        return None;
    }
    let verb = if total == 1 { "waits" } else { "wait" };
    let same = |g: &&&Goroutine| g.waits_on.iter().any(|w| objects.contains(&w.object.addr));
    let what = if waiters.iter().filter(same).count() == waiters.len() {
        let wanted = |object: &&TargetAddr| {
            let waits = waiters.iter().flat_map(|g| &g.waits_on);
            waits.into_iter().any(|wait| wait.object.addr == **object)
        };
        let wanted: Vec<TargetAddr> = objects.iter().filter(wanted).copied().collect();
        format!("for the same {}", things(scene, &wanted))
    } else {
        format!("behind {behind}")
    };
    let who = count(total, "more goroutine");
    Some(format!("{who} {verb} {what}{}.", places(scene, waiters)))
}

/// `lock`, `two locks`, `two objects`: what is waited for, in so many words.
fn things(scene: &SnapshotIndex<'_>, objects: &[TargetAddr]) -> String {
    let kinds = objects.iter().filter_map(|object| {
        let object = scene.snapshot.objects.get(object)?;
        Some(match object.id.kind {
            ObjectKind::Mutex | ObjectKind::RwMutex => "lock",
            kind => phrase::kind(kind),
        })
    });
    let mut kinds: Vec<&str> = kinds.collect();
    kinds.dedup();
    let kind = match kinds[..] {
        [kind] => kind,
        _ => "object",
    };
    match objects.len() {
        1 => kind.to_owned(),
        2 => format!("two {kind}s"),
        3 => format!("three {kind}s"),
        many => format!("{many} {kind}s"),
    }
}

/// `: 200 at main.f (x.go:3) and 14 at main.g (x.go:9)`.
pub(super) fn places(scene: &SnapshotIndex<'_>, waiters: &[&Goroutine]) -> String {
    let groups = by_site(scene, waiters.iter().copied());
    let mut counts: Vec<(String, u64)> = Vec::new();
    for group in &groups {
        let Some(site) = &group.blocked_at else {
            continue;
        };
        let place = site.to_string();
        match counts.iter_mut().find(|(known, _)| *known == place) {
            Some((_, number)) => *number += group.count(),
            None => counts.push((place, group.count())),
        }
    }
    if let [(place, _)] = &counts[..] {
        return format!(", at {place}");
    }
    let mut told: Vec<String> = counts
        .iter()
        .take(PLACES)
        .map(|(place, number)| format!("{number} at {place}"))
        .collect();
    if let Some(rest) = counts.get(PLACES..).filter(|rest| !rest.is_empty()) {
        let number: u64 = rest.iter().map(|(_, number)| number).sum();
        told.push(format!("{number} elsewhere"));
    }
    match &told[..] {
        [] => String::new(),
        [some @ .., last] => format!(": {} and {last}", some.join(", ")),
    }
}

/// The goroutines that wait behind what others of `verdicts` are dead of: one finding for each
/// cause. `causes` says which finding tells of each cause.
pub(super) fn queued(
    scene: &SnapshotIndex<'_>,
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
    scene: &SnapshotIndex<'_>,
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
    let ever = match proof.verdict() {
        Verdict::Proven => " for ever",
        Verdict::Suspected => "",
    };
    let mut story: Vec<String> = Vec::new();
    if let Some(first) = edges.first() {
        story.extend([scene.sentence(first.from), acts(scene, first)]);
    }
    let others = edges.iter().skip(1);
    let others = others.filter_map(|edge| scene.goroutine(edge.from));
    let others: Vec<&Goroutine> = others.collect();
    let cause_of = "the same cause";
    story.extend(queue(scene, &others, &objects, cause_of));
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
            "{} {verb}{ever} behind another finding: {cause_summary}",
            count(total, "goroutine")
        ),
        cause: Some(cause),
        story,
        doubts: proof.doubts(),
        since_ns: began,
        objects: objects.into_iter().take(MAX_LISTED).collect(),
        edges,
        ..Finding::new(FindingKind::Queued, id).of(goroutines)
    }
}
