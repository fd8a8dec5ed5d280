//! Waits that end when time has passed.

use rustc_hash::FxHashMap;

use super::index::SnapshotIndex;
use ids::TargetAddr;
use snapshot::{Goroutine, ObjectState, SyncObject, WaitOn};

type Objects = FxHashMap<TargetAddr, SyncObject>;

fn state(objects: &Objects, wait: WaitOn) -> Option<&ObjectState> {
    objects.get(&wait.object.addr)?.state.as_ref()
}

/// Whether a timer ends the wait.
pub(super) fn is_timed(objects: &Objects, wait: WaitOn) -> bool {
    matches!(
        state(objects, wait),
        Some(ObjectState::Channel {
            timer: true,
            stopped: false,
            ..
        })
    )
}

/// Whether a timer ends the wait, as far as can be told: until Go 1.22 a timer's channel is known by
/// what it carries only.
pub(super) fn may_be_timed(objects: &Objects, wait: WaitOn) -> bool {
    let carries_time = match state(objects, wait) {
        Some(ObjectState::Channel {
            timer: false,
            stopped: false,
            element,
            ..
        }) => element.type_name.as_deref() == Some("time.Time"),
        _ => false,
    };
    carries_time || is_timed(objects, wait)
}

/// Whether it is a timer that would end the wait, but that does not run.
pub(crate) fn is_stopped(objects: &Objects, wait: WaitOn) -> bool {
    matches!(
        state(objects, wait),
        Some(ObjectState::Channel { stopped: true, .. })
    )
}

/// Whether all that `g` waits for is timers that do not run.
pub(super) fn waits_for_stopped_timer(scene: &SnapshotIndex<'_>, g: &Goroutine) -> bool {
    let objects = &scene.snapshot.objects;
    !g.waits_on.is_empty() && g.waits_on.iter().all(|wait| is_stopped(objects, *wait))
}

/// Why nothing comes for `g`, which waits for timers that do not run.
pub(super) fn why_stopped(scene: &SnapshotIndex<'_>, g: &Goroutine) -> &'static str {
    let knows_its_timer = |wait: &WaitOn| {
        matches!(
            state(&scene.snapshot.objects, *wait),
            Some(ObjectState::Channel { timer: true, .. })
        )
    };
    if g.waits_on.iter().any(knows_its_timer) {
        "Since Go 1.23 the channel of a timer that was stopped stays empty: nothing comes unless \
         somebody resets it."
    } else {
        "It was stopped before it fired, or what it sent has been received already: nothing comes \
         unless somebody resets it. (A channel of time.Time with room for one is a timer's by its \
         looks; no timer that is set sends on it.)"
    }
}
