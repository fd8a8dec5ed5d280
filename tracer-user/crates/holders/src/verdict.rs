//! What the ends of all paths have in common: how certain each release is.

use super::{
    code::Code,
    executor::{Effects, Executor},
    model::{Certainty, Evidence, Held, PendingRelease, ReleaseKind},
};
use ids::{ImageAddr, TargetAddr};
use snapshot::{Goroutine, Operation, WaitOn};

/// Everything seen released, with how certain that is.
pub fn releases(
    code: &Code,
    g: &Goroutine,
    executor: &Executor<'_>,
    ends: &[Effects],
) -> Vec<PendingRelease> {
    let mut releases = protocol(code, g);
    for (&(kind, object), sighting) in &executor.seen {
        let (count, certainty) = weigh(g, ends, kind, object);
        let release = PendingRelease {
            object,
            kind,
            certainty,
            evidence: Evidence {
                frame: sighting.frame,
                site: sighting.site,
                held: sighting.held,
            },
            acquired: None,
        };
        for _ in 0..count.max(1) {
            releases.push(release.clone());
        }
    }
    releases.sort_by_key(|r| (r.evidence.frame, r.evidence.site, r.object, r.kind));
    releases
}

/// Whether some lock is released on some paths only.
pub fn leaves_locks_open(releases: &[PendingRelease]) -> bool {
    releases
        .iter()
        .any(|r| r.certainty == Certainty::Possible && is_of_lock(r.kind))
}

const fn is_of_lock(kind: ReleaseKind) -> bool {
    use ReleaseKind::{Done, ReadUnlock, Unlock, WriteUnlock};
    matches!(kind, Unlock | WriteUnlock | ReadUnlock | Done)
}

/// Adds to `releases` what is released on every path if memory stays as it is (`as_things_stand`). Where
/// every path releases a lock without a name, that names it. Else it says who most likely holds a lock,
/// and proves nothing: a flag may be there for the very case that somebody else gives the lock back.
pub fn add_conditional(releases: &mut Vec<PendingRelease>, as_things_stand: Vec<PendingRelease>) {
    let sure = |r: &PendingRelease| r.certainty > Certainty::Possible && is_of_lock(r.kind);
    let nameless = |releases: &[PendingRelease], kind| {
        let nameless = releases.iter().filter(|r| r.object.is_nil() && sure(r));
        nameless.filter(|r| r.kind == kind).count()
    };
    let known: Vec<_> = releases
        .iter()
        .filter(|r| sure(r))
        .map(|r| (r.kind, r.object))
        .collect();
    let found: Vec<_> = as_things_stand
        .iter()
        .filter(|r| sure(r) && !known.contains(&(r.kind, r.object)))
        .cloned()
        .collect();
    let named = |kind| found.iter().filter(|r| r.kind == kind).count();
    let are_named = |kind| {
        named(kind) + nameless(&as_things_stand, kind) <= nameless(releases.as_slice(), kind)
    };
    let same = |a: &PendingRelease, b: &PendingRelease| {
        a.certainty == Certainty::Possible && (a.kind, a.object) == (b.kind, b.object)
    };
    let more: Vec<_> = found
        .iter()
        .map(|release| {
            let on_some_paths = releases.iter().any(|r| same(r, release));
            PendingRelease {
                certainty: match !on_some_paths && are_named(release.kind) {
                    true => Certainty::Conditional,
                    false => Certainty::AsThingsStand,
                },
                ..release.clone()
            }
        })
        .collect();
    releases.retain(|r| !more.iter().any(|release| same(r, release)));
    releases.extend(more);
}

/// How often all paths release `object`, and how certain that makes it.
fn weigh(
    g: &Goroutine,
    ends: &[Effects],
    kind: ReleaseKind,
    object: TargetAddr,
) -> (u32, Certainty) {
    let mut count = u32::MAX;
    let mut conditional = false;
    for end in ends {
        let found = end
            .released
            .iter()
            .find(|r| r.kind == kind && r.object == object.0);
        count = count.min(found.map_or(0, |r| r.count));
        conditional |= found.is_some_and(|r| r.after_unknown || r.reloaded);
    }
    if ends.is_empty() || count == 0 || !g.status.is_parked() {
        return (1, Certainty::Possible);
    }
    if conditional {
        return (count, Certainty::Conditional);
    }
    (count, Certainty::Certain)
}

/// A writer that waits for the readers to leave keeps other writers and new readers out.
fn protocol(code: &Code, g: &Goroutine) -> Vec<PendingRelease> {
    let drains = |w: &&WaitOn| w.operation == Operation::DrainReaders;
    let frame = g.stack.frames.iter().position(|frame| {
        code.callee(frame.pc)
            .is_some_and(|c| &*c.function.name == "sync.(*RWMutex).Lock")
    });
    let site = |index: usize| g.stack.frames.get(index).map(|f| f.pc);
    g.waits_on
        .iter()
        .filter(drains)
        .map(|wait| PendingRelease {
            object: wait.object.addr,
            kind: ReleaseKind::WriteUnlock,
            certainty: if g.status.is_parked() {
                Certainty::Certain
            } else {
                Certainty::Possible
            },
            evidence: Evidence {
                frame: frame.unwrap_or(0),
                site: frame.and_then(site).unwrap_or(ImageAddr(0)),
                held: Held::Protocol,
            },
            acquired: None,
        })
        .collect()
}
