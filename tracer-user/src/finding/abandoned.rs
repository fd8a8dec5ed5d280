//! Locks that are locked, and that nobody was seen to unlock later.

use rustc_hash::FxHashSet;

use super::{
    confirm::unmoved,
    grouping::by_site,
    identity::Identity,
    index::{SnapshotIndex, capitalised},
    model::{Finding, FindingKind},
    patience::Patience,
    phrase::count,
    tenure::{self, has_release},
};
use graph::Verdicts;
use holders::{PendingRelease, ReleaseKind, TIMERS};
use ids::{Goid, TargetAddr};
use snapshot::{Goroutine, ObjectState, Snapshot, SyncObject, WaitSince};

/// Locks that are locked while no goroutine's future unlocks them, with those that wait for them.
///
/// Never proof: a goroutine that reaches the lock may unlock it without having locked it. And only
/// told when every goroutine could be read (one that runs may be the holder), no pending timer may
/// unlock it, and the waiters have waited for long, without a move since the `earlier` look if there
/// was one. A wait of which nobody knows how long it lasts is not long.
pub(super) fn abandoned(
    scene: &SnapshotIndex<'_>,
    verdicts: &Verdicts,
    earlier: Option<&Snapshot>,
    patience: Patience,
) -> Vec<Finding> {
    if !everyone_was_read(scene.snapshot) {
        return Vec::new();
    }
    let lasts = |g: &Goroutine| {
        let age = scene.age(g);
        (patience.is_long(age) || patience.is_stalled(age))
            && earlier.is_none_or(|earlier| unmoved(earlier, g))
            && verdicts.fate(g.goid).is_none()
    };
    let mut objects: Vec<&SyncObject> = scene.snapshot.objects.values().collect();
    objects.sort_unstable_by_key(|object| object.id.addr);
    let of_nobody = objects.into_iter().filter(|o| nobody_unlocks(scene, o));
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

fn nobody_unlocks(scene: &SnapshotIndex<'_>, object: &SyncObject) -> bool {
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
    let none = |candidates: &[(Goid, PendingRelease)]| {
        candidates.iter().all(|(_, release)| !has_release(release))
    };
    locked && holders.is_some_and(|h| none(&h.candidates)) && !a_timer_may(scene, object)
}

/// Whether a timer that is pending may unlock `object`.
fn a_timer_may(scene: &SnapshotIndex<'_>, object: &SyncObject) -> bool {
    let unlocks = |kind| {
        matches!(
            kind,
            ReleaseKind::Unlock | ReleaseKind::WriteUnlock | ReleaseKind::ReadUnlock
        )
    };
    let may = |release: &PendingRelease| {
        unlocks(release.kind) && (release.object == object.id.addr || release.object.is_nil())
    };
    scene.pending(TIMERS).iter().any(may)
}

/// Those who were seen to take `lock`, and not to unlock it on any path: `Lock` written in place of
/// `Unlock`, or a path that returns without.
fn keepers(scene: &SnapshotIndex<'_>, lock: TargetAddr) -> Vec<String> {
    const TOLD: usize = 3;
    let holders = scene.holders.get(&lock);
    let candidates = holders.map_or(&[][..], |holders| &holders.candidates);
    let took = candidates.iter().filter(|(_, r)| r.acquired.is_some());
    took.take(TOLD)
        .map(|(goid, release)| tenure::sentence(scene, *goid, release, "it"))
        .collect()
}

fn tell(scene: &SnapshotIndex<'_>, lock: TargetAddr, waiters: &[&Goroutine]) -> Finding {
    let kind = FindingKind::AbandonedLock;
    let id = Identity::new(scene.process, kind).objects(&[lock]).id();
    let groups = by_site(scene, waiters.iter().copied());
    let total = waiters.len() as u64;
    let who = match waiters {
        [g] => SnapshotIndex::name(g.goid),
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
    story.extend(since_unknown(scene, waiters));
    let keepers = keepers(scene, lock);
    if keepers.is_empty() {
        story.push(format!(
            "{} is locked, and no goroutine was seen that unlocks it later.",
            capitalised(&object)
        ));
        story.push(
            "Look for a return or a panic between Lock and Unlock, or for a copy of a locked mutex."
                .to_owned(),
        );
    } else {
        story.extend(keepers);
        story.push("Look for Lock in place of Unlock, or a return without Unlock.".to_owned());
    }
    let mut goroutines: Vec<_> = waiters.iter().map(|g| g.goid).collect();
    goroutines.sort_unstable();
    Finding {
        count: total,
        objects: vec![lock],
        summary: format!(
            "{who} {verb} for {object}, which is locked and which nobody was seen to unlock{}",
            place.unwrap_or_default()
        ),
        story,
        doubts: vec!["code that was not followed may still unlock it".to_owned()],
        since_ns: groups.iter().filter_map(|group| group.oldest_ns()).min(),
        group: groups.first().and_then(|group| group.group()),
        ..Finding::new(kind, id).of(goroutines)
    }
}

/// That it is not known since when they wait, where that is so.
pub(super) fn since_unknown(scene: &SnapshotIndex<'_>, waiters: &[&Goroutine]) -> Option<String> {
    let undated = |g: &&&Goroutine| matches!(g.since, WaitSince::AtLeast(ns) if scene.first_look_ns.is_some_and(|at| ns >= at));
    let undated = waiters.iter().filter(undated).count();
    (undated > 0 && undated == waiters.len())
        .then(|| "Since when is not known: the wait began before anybody looked.".to_owned())
}
