//! Waits whose length says nothing: whoever serves others is idle most of the time.

use super::scene::{MAIN, Scene};
use crate::{
    image::WaitReason,
    snapshot::{Goroutine, ObjectState, Operation, WaitOn},
};

/// Whether `g` waits the way goroutines wait for work, for the end of the program, or for a
/// cancellation: long, and in good health.
///
/// - It comes back for more: a worker, an event loop.
/// - It is main and waits for the others to end, or for the signal to.
/// - It receives from a `chan struct{}`, as everybody does who waits for `ctx.Done()`.
/// - It waits for a signal of the operating system.
/// - It is in `Cond.Wait`, whose callers wait in a loop for something to do.
/// - It waits for a `WaitGroup` of goroutines that are idle in turn, or for what one sends or closes
///   at its end: for a server to stop.
///
/// A sender, or whoever wants a lock, is never idle: it has work to do and cannot go on.
pub(super) fn is_idle(scene: &Scene<'_>, g: &Goroutine) -> bool {
    match g.wait_reason {
        Some(WaitReason::ChanReceive | WaitReason::Select) => {
            let receives = |wait: &WaitOn| wait.operation == Operation::Receive;
            let signalled = |wait: &WaitOn| receives(wait) && carries_signals(scene, *wait);
            let cancelled_by = |wait: &WaitOn| receives(wait) && carries_nothing(scene, *wait);
            g.waits_on.iter().any(receives)
                && (g.goid == MAIN
                    || g.waits_on.iter().all(cancelled_by)
                    || g.waits_on.iter().any(signalled)
                    || scene.comes_back(g)
                    || waits_for_an_end(scene, g))
        }
        Some(WaitReason::CondWait) => true,
        Some(WaitReason::WaitGroupWait) => g.goid == MAIN || waits_for_idle(scene, g),
        _ => false,
    }
}

fn carries_nothing(scene: &Scene<'_>, wait: WaitOn) -> bool {
    let object = scene.snapshot.objects.get(&wait.object.addr);
    matches!(
        object.and_then(|object| object.state.as_ref()),
        Some(ObjectState::Channel { element, .. }) if element.size == 0
    )
}

fn carries_signals(scene: &Scene<'_>, wait: WaitOn) -> bool {
    let object = scene.snapshot.objects.get(&wait.object.addr);
    matches!(
        object.and_then(|object| object.state.as_ref()),
        Some(ObjectState::Channel { element, .. })
            if element.type_name.as_deref() == Some("os.Signal")
    )
}

/// Whether somebody who serves others gives what `g` waits to receive, and only at his end.
fn waits_for_an_end(scene: &Scene<'_>, g: &Goroutine) -> bool {
    let serves = |other: &Goroutine| {
        other.goid != g.goid && (scene.accepts(other) || scene.comes_back(other))
    };
    let receives = |wait: &&WaitOn| wait.operation == Operation::Receive;
    let waits = g.waits_on.iter().filter(receives);
    waits
        .flat_map(|wait| scene.givers_at_their_end(wait.object.addr))
        .any(serves)
}

/// Whether everybody who owes `Done` to the `WaitGroup` that `g` waits for is known and idle.
fn waits_for_idle(scene: &Scene<'_>, g: &Goroutine) -> bool {
    let wait = g.waits_on.first();
    let Some(owed) = wait.and_then(|wait| scene.holders.get(&wait.object.addr)) else {
        return false;
    };
    let is_idle = |owing: &Goroutine| {
        owing.wait_reason != Some(WaitReason::WaitGroupWait) && is_idle(scene, owing)
    };
    owed.exclusive.complete
        && owed
            .exclusive
            .holders
            .iter()
            .all(|goid| scene.goroutine(*goid).is_some_and(is_idle))
}
