//! Waits whose length says nothing: whoever serves others is idle most of the time.

use super::{
    index::{MAIN, SnapshotIndex},
    timers::waits_for_stopped_timer,
};
use holders::{Certainty, PendingRelease};
use ids::Goid;
use image::WaitReason;
use snapshot::{Goroutine, ObjectState, Operation, WaitOn};

/// Whether `g` waits the way goroutines wait for work, for the end of the program, or for a
/// cancellation: long, and in good health.
///
/// - It comes back for more: a worker, an event loop.
/// - It is main and waits for the others to end, or for the signal to.
/// - It receives from a `chan struct{}`, as everybody does who waits for `ctx.Done()`.
/// - It receives, and one of the things that would wake it is such a cancellation: a long poll, or
///   whoever waits for something and for the end of its request.
/// - It waits for a signal of the operating system.
/// - It is in `Cond.Wait`, whose callers wait in a loop for something to do.
/// - It waits for a `WaitGroup` of goroutines that are idle in turn, or for what one sends or closes
///   at its end: for a server to stop.
///
/// A sender, or whoever wants a lock, is never idle: it has work to do and cannot go on. Nor is who
/// waits for nothing but a timer that does not run: it expects the timer to.
pub(super) fn is_idle(scene: &SnapshotIndex<'_>, g: &Goroutine) -> bool {
    match g.wait_reason {
        Some(WaitReason::ChanReceive | WaitReason::Select) => {
            let receives = |wait: &WaitOn| wait.operation == Operation::Receive;
            let signalled = |wait: &WaitOn| receives(wait) && carries_signals(scene, *wait);
            let cancelled_by = |wait: &WaitOn| receives(wait) && carries_nothing(scene, *wait);
            g.waits_on.iter().any(receives)
                && (g.goid == MAIN
                    || g.waits_on.iter().all(receives) && g.waits_on.iter().any(cancelled_by)
                    || g.waits_on.iter().any(signalled)
                    || scene.comes_back(g) && !waits_for_stopped_timer(scene, g)
                    || waits_for_an_end(scene, g))
        }
        Some(WaitReason::CondWait) => true,
        Some(WaitReason::WaitGroupWait) => g.goid == MAIN || waits_for_idle(scene, g),
        _ => false,
    }
}

fn carries_nothing(scene: &SnapshotIndex<'_>, wait: WaitOn) -> bool {
    let object = scene.snapshot.objects.get(&wait.object.addr);
    matches!(
        object.and_then(|object| object.state.as_ref()),
        Some(ObjectState::Channel { element, .. }) if element.size == 0
    )
}

fn carries_signals(scene: &SnapshotIndex<'_>, wait: WaitOn) -> bool {
    let object = scene.snapshot.objects.get(&wait.object.addr);
    matches!(
        object.and_then(|object| object.state.as_ref()),
        Some(ObjectState::Channel { element, .. })
            if element.type_name.as_deref() == Some("os.Signal")
    )
}

/// Whether somebody who serves others gives what `g` waits to receive, and only at his end.
fn waits_for_an_end(scene: &SnapshotIndex<'_>, g: &Goroutine) -> bool {
    let serves = |other: &Goroutine| {
        other.goid != g.goid && (scene.accepts(other) || scene.comes_back(other))
    };
    let receives = |wait: &&WaitOn| wait.operation == Operation::Receive;
    let waits = g.waits_on.iter().filter(receives);
    waits
        .flat_map(|wait| scene.givers_at_their_end(wait.object.addr))
        .any(serves)
}

/// Whether as many as the `WaitGroup` counts that `g` waits for owe it `Done`, and all of them are
/// idle. That they owe it need not be proven: nothing is concluded but that the wait is no news.
fn waits_for_idle(scene: &SnapshotIndex<'_>, g: &Goroutine) -> bool {
    let Some(group) = g.waits_on.first().map(|wait| wait.object.addr) else {
        return false;
    };
    let object = scene.snapshot.objects.get(&group);
    let counter = match object.and_then(|object| object.state.as_ref()) {
        Some(ObjectState::WaitGroup { counter, .. }) => usize::try_from(*counter).unwrap_or(0),
        _ => return false,
    };
    let owing = scene.holders.get(&group);
    let owing = owing.map_or(&[][..], |holders| &holders.candidates);
    let is_idle = |goid: Goid| {
        scene.goroutine(goid).is_some_and(|owing| {
            owing.wait_reason != Some(WaitReason::WaitGroupWait) && is_idle(scene, owing)
        })
    };
    let comes = |release: &PendingRelease| release.certainty > Certainty::Possible;
    owing.iter().filter(|(_, release)| comes(release)).count() >= counter
        && owing.iter().all(|(goid, _)| is_idle(*goid))
}
