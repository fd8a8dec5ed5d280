//! Locks that nobody is going to unlock: whoever locked them has ended, or returned on a path
//! without `Unlock`.

use rustc_hash::FxHashSet;

use super::{
    confirm::unmoved,
    diagnose::Options,
    identity::Identity,
    members::by_site,
    model::{Finding, FindingKind},
    phrase::{Age, count},
    scene::{Scene, capitalised},
};
use crate::{
    graph::Verdicts,
    ids::TargetAddr,
    snapshot::{Goroutine, ObjectState, Snapshot, SyncObject},
};

/// Locks that are locked while no goroutine's future unlocks them, with those that wait for them.
///
/// Never proof: a timer's function or a goroutine that reaches the lock may unlock it without
/// having locked it. And only told when every goroutine could be read (one that runs may be the
/// holder), the waiters have not moved since the `earlier` look if there was one, and they have waited
/// for long or nobody knows how long.
pub(super) fn abandoned(
    scene: &Scene<'_>,
    verdicts: &Verdicts,
    earlier: Option<&Snapshot>,
    options: &Options,
) -> Vec<Finding> {
    if !everyone_was_read(scene.snapshot) {
        return Vec::new();
    }
    let lasts = |g: &Goroutine| {
        let long = match scene.age(g) {
            Age::Unknown => true,
            age => age.known_ns() >= options.stuck_after_ns(),
        };
        long && earlier.is_none_or(|earlier| unmoved(earlier, g)) && verdicts.fate(g.goid).is_none()
    };
    let mut objects: Vec<&SyncObject> = scene.snapshot.objects.values().collect();
    objects.sort_unstable_by_key(|object| object.id.addr);
    let of_nobody = objects.into_iter().filter(|o| has_no_holder(scene, o));
    of_nobody
        .filter_map(|object| {
            let waiters = object.waiters.iter();
            let waiters = waiters.filter_map(|goid| scene.goroutine(*goid));
            let waiters: Vec<&Goroutine> = waiters.filter(|g| lasts(g)).collect();
            (!waiters.is_empty()).then(|| tell(scene, object.id.addr, &waiters))
        })
        .collect()
}

/// The locks that `findings` tell of.
pub(super) fn locks(findings: &[Finding]) -> FxHashSet<TargetAddr> {
    let told = findings.iter().flat_map(|finding| &finding.objects);
    told.copied().collect()
}

fn everyone_was_read(snapshot: &Snapshot) -> bool {
    let users = snapshot.goroutines.iter().filter(|g| !g.system);
    let is_read = |g: &Goroutine| !g.stack.frames.is_empty() && !g.stack.truncated;
    users.into_iter().all(is_read)
}

fn has_no_holder(scene: &Scene<'_>, object: &SyncObject) -> bool {
    let locked = match &object.state {
        Some(ObjectState::Mutex(state)) => state.locked,
        Some(ObjectState::RwMutex {
            writer,
            readers,
            writer_pending,
            ..
        }) => writer.locked || *writer_pending || *readers > 0,
        _ => false,
    };
    let holders = scene.holders.get(&object.id.addr);
    locked && holders.is_some_and(|holders| holders.candidates.is_empty())
}

fn tell(scene: &Scene<'_>, lock: TargetAddr, waiters: &[&Goroutine]) -> Finding {
    let kind = FindingKind::AbandonedLock;
    let id = Identity::new(scene.process, kind).objects(&[lock]).id();
    let groups = by_site(scene, waiters.iter().copied());
    let total = waiters.len() as u64;
    let who = match waiters {
        [g] => Scene::name(g.goid),
        _ => count(total, "goroutine"),
    };
    let verb = if total == 1 { "waits" } else { "wait" };
    let place = groups.first().map(|group| group.place());
    let object = scene.object(lock);
    let mut story: Vec<String> = groups
        .iter()
        .take(3)
        .filter_map(|group| Some(scene.sentence(group.example()?.goid)))
        .collect();
    story.push(format!(
        "{} is locked, but no goroutine was found that unlocks it later: whoever locked it \
         has ended, or has returned without unlocking it.",
        capitalised(&object)
    ));
    story.push(
        "Look for a return or a panic between Lock and Unlock, or for a copy of a locked mutex."
            .to_owned(),
    );
    let mut goroutines: Vec<_> = waiters.iter().map(|g| g.goid).collect();
    goroutines.sort_unstable();
    goroutines.truncate(super::model::MAX_LISTED);
    Finding {
        count: total,
        goroutines,
        objects: vec![lock],
        summary: format!(
            "{who} {verb} for {object}, which is locked and nobody unlocks{}",
            place.unwrap_or_default()
        ),
        story,
        doubts: vec!["a timer, or code that was not followed, may still unlock it".to_owned()],
        since_ns: groups.iter().filter_map(|group| group.oldest_ns()).min(),
        group: groups.first().and_then(|group| group.group()),
        ..Finding::new(kind, id)
    }
}
