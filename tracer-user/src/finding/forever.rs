//! Goroutines that wait for what never comes: nil channels, `select {}`, and objects that no live
//! goroutine can reach.

use std::collections::BTreeMap;

use super::{
    evidence_level::Proof,
    grouping::{Members, by_site},
    index::{MAIN, SnapshotIndex, capitalised},
    model::{Finding, FindingKind, Verdict},
    phrase::{count, duration},
};
use graph::{Fate, Verdicts};
use ids::Goid;
use image::WaitReason;
use snapshot::{Goroutine, ObjectKind, Status};

/// Groups of goroutines that wait for ever, each with the finding that tells of it.
///
/// `select {}` in main, or `<-make(chan T)`, keeps a program running on purpose and is left out.
/// `Unreachable` rests on reachability: without a walk it is told as part of a whole-process deadlock
/// only.
pub(super) fn forever<'a>(
    scene: &SnapshotIndex<'a>,
    verdicts: &Verdicts,
    walked: bool,
    proof: Proof,
) -> Vec<(Finding, Vec<Goid>)> {
    let mut of_kind: BTreeMap<FindingKind, Vec<&'a Goroutine>> = BTreeMap::new();
    for (goid, fate) in &verdicts.dead {
        if let Some(g) = scene.goroutine(*goid)
            && let Some(kind) = kind(scene, g, fate, walked)
        {
            of_kind.entry(kind).or_default().push(g);
        }
    }
    let mut found = Vec::new();
    for (kind, goroutines) in of_kind {
        for members in by_site(scene, goroutines.into_iter()) {
            let goids = members.goroutines.iter().map(|g| g.goid).collect();
            found.push((tell(scene, kind, &members, proof), goids));
        }
    }
    found
}

/// Whether `g` is main keeping the program running by `select {}` or the like.
pub(super) fn is_habit(scene: &SnapshotIndex<'_>, g: &Goroutine) -> bool {
    g.goid == MAIN && (scene.main_rests || g.wait_reason == Some(WaitReason::SelectNoCases))
}

fn kind(
    scene: &SnapshotIndex<'_>,
    g: &Goroutine,
    fate: &Fate,
    walked: bool,
) -> Option<FindingKind> {
    match fate {
        Fate::Never | Fate::Unreachable if is_habit(scene, g) => None,
        Fate::Never if g.wait_reason == Some(WaitReason::SelectNoCases) => {
            Some(FindingKind::SelectForever)
        }
        Fate::Never => Some(FindingKind::NilChannel),
        Fate::Unreachable | Fate::Orphaned if walked => Some(FindingKind::Unreachable),
        Fate::Unreachable | Fate::Orphaned | Fate::OnCycle(_) | Fate::Queued { .. } => None,
    }
}

fn tell(
    scene: &SnapshotIndex<'_>,
    kind: FindingKind,
    members: &Members<'_>,
    proof: Proof,
) -> Finding {
    let id = members.identity(scene, kind).id();
    let total = members.count();
    let who = match (total, members.example()) {
        (1, Some(g)) => SnapshotIndex::name(g.goid),
        _ => count(total, "goroutine"),
    };
    let one = total == 1;
    let (verb, place) = (if one { "waits" } else { "wait" }, members.place());
    let what = match kind {
        FindingKind::SelectForever => format!("{verb} in select {{}} and never wakes"),
        FindingKind::NilChannel => format!("{verb} on a nil channel and never wakes"),
        _ if proof.verdict() == Verdict::Proven => {
            format!("{verb} for ever on {}", unreachable_object(members))
        }
        _ => format!("{verb} on {}", unreachable_object(members)),
    };
    let what = if one {
        what
    } else {
        what.replace("never wakes", "never wake")
    };
    Finding {
        verdict: proof.verdict(),
        count: total,
        objects: members.objects(),
        summary: format!("{who} {what}{place}"),
        story: story(scene, kind, members, proof),
        doubts: proof.doubts(),
        since_ns: members.oldest_ns(),
        group: members.group(),
        ..Finding::new(kind, id).of(members.goids())
    }
}

fn unreachable_object(members: &Members<'_>) -> &'static str {
    let wait = members
        .example()
        .and_then(|g| g.waits_on.first().map(|w| (g, w)));
    match wait {
        Some((g, _)) if g.waits_on.len() > 1 => "channels that no live goroutine can reach",
        Some((_, wait)) => match wait.object.kind {
            ObjectKind::Channel => "a channel that no live goroutine can reach",
            ObjectKind::WaitGroup => "a WaitGroup that no live goroutine can reach",
            ObjectKind::Cond => "a Cond that no live goroutine can reach",
            ObjectKind::Mutex | ObjectKind::RwMutex => "a lock that no live goroutine can reach",
            ObjectKind::Semaphore => "a semaphore that no live goroutine can reach",
        },
        None => "something that no live goroutine can reach",
    }
}

fn story(
    scene: &SnapshotIndex<'_>,
    kind: FindingKind,
    members: &Members<'_>,
    proof: Proof,
) -> Vec<String> {
    let mut story = Vec::new();
    if let Some(example) = members.example() {
        story.push(capitalised(&format!(
            "{} {}.",
            SnapshotIndex::name(example.goid),
            scene.doing(example)
        )));
        if let Some(site) = scene.created_at(example) {
            let parent = example.parent.map(|p| format!(" by goroutine {p}"));
            story.push(format!(
                "It was created at {site}{}.",
                parent.unwrap_or_default()
            ));
        }
        if example.goid == MAIN {
            story.push("This is the main goroutine: the program never ends by itself.".to_owned());
        }
        story.extend(partners(scene, example));
        if example.status == Status::Leaked {
            story.push(MARKED.to_owned());
        }
    }
    if members.count() > 1
        && let Some(oldest) = members.oldest_ns()
    {
        let age = duration(scene.snapshot.taken_ns.saturating_sub(oldest));
        story.push(format!(
            "{} wait at this place, the oldest for {age}.",
            count(members.count(), "goroutine")
        ));
    }
    story.push(
        match kind {
            FindingKind::NilChannel => {
                "Nobody can ever send or receive on a nil channel: look for a channel variable or \
                 field that was never made."
            }
            FindingKind::SelectForever => "A select without cases never ends.",
            _ if proof.verdict() == Verdict::Proven => {
                "Whoever could wake them has dropped its last reference: these goroutines and what \
                 they hold on to stay until the process ends."
            }
            _ => "No goroutine that lives was found to reach what they wait for.",
        }
        .to_owned(),
    );
    story
}

/// By what else it is known that a goroutine waits for ever.
const MARKED: &str = "Go's own goroutineleak profile has marked it as leaked.";

/// How many goroutines are told of that would serve a wait.
const PARTNERS_TOLD: usize = 3;

/// Sentences on who would serve `g`'s wait, as far as code was seen to.
pub(super) fn partners(scene: &SnapshotIndex<'_>, g: &Goroutine) -> Vec<String> {
    let Some(g) = scene.goroutine(g.goid) else {
        return Vec::new();
    };
    scene
        .partners(g)
        .take(PARTNERS_TOLD)
        .map(|(goid, object, kind)| {
            super::deadlock::would(scene, goid, &scene.object(object), kind)
        })
        .collect()
}
