//! Waits for locks of which an inspection cannot say how long they last: nobody saw them begin, and the
//! garbage collector has not come by to note that they are there.
//!
//! One inspection sees one moment. So where somebody waits for a lock like that, it looks on for a moment:
//! in a healthy program the wait ends meanwhile, and else it is known to last at least so long.

use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::finding::{confirm::unmoved, diagnose::Diagnosis, model::Finding, timers::is_stopped};
use ids::{Goid, TargetAddr};
use image::WaitReason;
use resources::cancellation::sleep;
use snapshot::{Goroutine, Snapshot, Target, WaitSince, take_of};

/// How long is looked on.
const WATCHED: Duration = Duration::from_secs(2);
/// How often it is seen whether the waits have ended.
const STEP: Duration = Duration::from_millis(200);
/// Goroutines watched at most; they stand for the others.
const MAX_WATCHED: usize = 256;

/// Whether some wait that `diagnosis` can neither date nor explain goes on for as long as is looked
/// on. Returns as soon as none does.
pub(super) fn lingers(diagnosis: &Diagnosis, target: &Target) -> bool {
    let mut left: Vec<&Goroutine> = undated(diagnosis).take(MAX_WATCHED).collect();
    let mut steps = WATCHED.as_millis() / STEP.as_millis();
    while !left.is_empty() && steps > 0 {
        sleep(STEP);
        steps -= 1;
        let gs: Vec<TargetAddr> = left.iter().map(|g| g.g).collect();
        // What became of a process that cannot be read any more is not for this inspection to tell.
        let Ok(now) = take_of(target, &gs) else {
            return false;
        };
        let now: FxHashMap<Goid, &Goroutine> = now.iter().map(|g| (g.goid, g)).collect();
        left.retain(|g| now.get(&g.goid).is_some_and(|now| now.is_same_wait(g)));
    }
    !left.is_empty()
}

/// Waits for locks, and for timers that do not run, of unknown length and of which no finding tells:
/// neither of the goroutine nor of what it waits for.
fn undated(diagnosis: &Diagnosis) -> impl Iterator<Item = &Goroutine> {
    let told = diagnosis.findings.iter().flat_map(Finding::concerned);
    let told: FxHashSet<Goid> = told.copied().collect();
    let objects = diagnosis.findings.iter().flat_map(|f| &f.objects);
    let objects: FxHashSet<TargetAddr> = objects.copied().collect();
    let goroutines = diagnosis.snapshot.goroutines.iter();
    goroutines.filter(move |g| {
        !g.system
            && g.since == WaitSince::Unknown
            && waits_for_lock_or_timer(&diagnosis.snapshot, g)
            && !told.contains(&g.goid)
            && !g.waits_on.iter().any(|w| objects.contains(&w.object.addr))
            && diagnosis.verdicts.fate(g.goid).is_none()
    })
}

fn waits_for_lock_or_timer(snapshot: &Snapshot, g: &Goroutine) -> bool {
    match g.wait_reason {
        Some(WaitReason::MutexLock | WaitReason::RwMutexRLock | WaitReason::RwMutexLock) => true,
        Some(WaitReason::ChanReceive) => {
            let mut waits = g.waits_on.iter();
            waits.any(|wait| is_stopped(&snapshot.objects, *wait))
        }
        _ => false,
    }
}

/// Dates those waits in `now` that nobody has dated and that were there in `earlier` already.
pub(super) fn date(now: &mut Snapshot, earlier: &Snapshot) {
    for g in &mut now.goroutines {
        if g.since == WaitSince::Unknown && unmoved(earlier, g) {
            g.since = WaitSince::AtLeast(earlier.taken_ns);
        }
    }
}
