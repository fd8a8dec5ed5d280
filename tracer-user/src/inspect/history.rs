//! What earlier inspections of a process leave to later ones.

use std::{sync::Arc, time::Duration};

use rustc_hash::FxHashSet;

use crate::{
    finding::{
        confirm::unmoved,
        diagnose::{Diagnosis, REACH},
        graphs::GraphCache,
        model::{Finding, FindingKind, Verdict},
    },
    timeline::ProcessState,
};
use ids::Goid;
use process::ProcessKey;
use resources::clock::monotonic_ns;
use snapshot::{Goroutine, Incomplete, Snapshot, Target, WaitSince, semaphore_waiters};

/// Least time between two walks of one process's heap.
const WALK_EVERY: Duration = Duration::from_secs(30);
/// Likewise while nobody in it moves: what is reachable changes then only by goroutines that come
/// and go between two inspections.
const WALK_STILL_EVERY: Duration = Duration::from_secs(600);
/// A process that is followed is walked once somebody has waited so long.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// A process's past, as far as it matters to the next inspection.
#[derive(Debug, Default)]
pub struct History {
    /// Its waits over time.
    pub state: ProcessState,
    /// Its wait graphs as of the last inspection.
    pub(super) graphs: GraphCache,
    process: Option<ProcessKey>,
    /// What the last inspection read, of a process that is glanced at between inspections.
    target: Option<Target>,
    walks: Walks,
    walked: Option<Walk>,
}

/// When an inspection walks the heap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Walks {
    /// When it is time.
    #[default]
    NowAndThen,
    /// Always: there will be no later inspection.
    Once,
    /// Never: somebody else does, when it is time.
    Elsewhere,
    /// Always, for looks that leave it to this one.
    ForOthers,
}

/// The last walk that was made.
#[derive(Debug)]
struct Walk {
    snapshot: Arc<Snapshot>,
    /// Whether it came to an end.
    whole: bool,
    /// What it found that looks without a walk cannot.
    dead: Vec<Finding>,
    /// Why it could not be made, or not tell all.
    flaws: Vec<Incomplete>,
}

impl History {
    /// For an inspection that is to tell all there is, now.
    pub(super) fn of_single_look() -> Self {
        Self {
            walks: Walks::Once,
            ..Self::default()
        }
    }

    /// Whether there will be no later inspection.
    pub(super) fn is_of_single_look(&self) -> bool {
        self.walks == Walks::Once
    }

    /// For looks that never walk the heap themselves: whoever makes them asks
    /// [`History::walk_is_due`], and has another thread make an inspection with what [`History::for_walk`] gives.
    #[must_use]
    pub fn walked_elsewhere() -> Self {
        Self {
            walks: Walks::Elsewhere,
            ..Self::default()
        }
    }

    /// For an inspection of its own that walks the heap, after one that said `diagnosis`.
    #[must_use]
    pub fn for_walk(diagnosis: &Diagnosis) -> Self {
        Self {
            state: ProcessState::dated_by(&diagnosis.snapshot),
            process: Some(diagnosis.process),
            walks: Walks::ForOthers,
            ..Self::default()
        }
    }

    /// Takes over what the walk of `other`, of [`History::for_walk`], found. Whether the next inspection has
    /// something to tell of that.
    pub fn take_walk(&mut self, other: Self) -> bool {
        let Some(walk) = other.walked.filter(|_| other.process == self.process) else {
            return false;
        };
        let tells = !walk.dead.is_empty() || !walk.flaws.is_empty();
        self.walked = Some(walk);
        tells
    }

    /// Whether, after the inspection that said `diagnosis`, it is time for a walk elsewhere.
    #[must_use]
    pub fn walk_is_due(&self, diagnosis: &Diagnosis) -> bool {
        self.walks == Walks::Elsewhere && diagnosis.wants_walk() && self.is_due(&diagnosis.snapshot)
    }

    /// An inspection of `process` begins: the past of another is none.
    pub(super) fn begin(&mut self, process: ProcessKey) {
        if self.process != Some(process) {
            *self = Self {
                process: Some(process),
                walks: self.walks,
                ..Self::default()
            };
        }
    }

    /// Before `target` is looked at: sees who waits for semaphores, so that later glances tell who has
    /// come to wait since.
    pub(super) fn begin_with_glance(&mut self, target: &Target) {
        if self.walks == Walks::Elsewhere {
            self.target = Some(target.clone());
            self.glance();
        }
    }

    /// Whether [`History::glance`] tells anything: the process was looked at, and it is known where its
    /// runtime keeps those who wait for semaphores.
    #[must_use]
    pub fn can_glance(&self) -> bool {
        let globals = self.target.as_ref().map(|target| target.image.globals());
        globals.is_some_and(|globals| globals.semtable.is_some())
    }

    /// Sees who waits for semaphores in the process ([`semaphore_waiters`] says what that costs). A
    /// process that cannot be read the next inspection will tell of.
    pub fn glance(&mut self) {
        let waiters = self.target.as_ref().map(semaphore_waiters);
        if let Some(Ok(Some(waiters))) = waiters {
            self.state.apply_glance(waiters, monotonic_ns());
        }
    }

    /// Writes into `snapshot` since when goroutines wait. The inspection that is to tell all there is has
    /// nothing to add to what the runtime says.
    pub(super) fn date(&mut self, snapshot: &mut Snapshot) {
        if self.walks != Walks::Once {
            self.state.apply_snapshot(snapshot);
        }
    }

    /// Whether the inspection that read `now` is to walk the heap.
    pub(super) fn wants_walk(&self, now: &Snapshot) -> bool {
        match self.walks {
            Walks::Once | Walks::ForOthers => true,
            Walks::NowAndThen => self.is_due(now),
            Walks::Elsewhere => false,
        }
    }

    /// Whether it is time to walk the heap: now and then while somebody waits for long.
    fn is_due(&self, now: &Snapshot) -> bool {
        let ago = |ns: u64| Duration::from_nanos(now.taken_ns.saturating_sub(ns));
        let due = self.walked.as_ref().is_none_or(|walk| {
            let ago = ago(walk.snapshot.taken_ns);
            ago >= WALK_STILL_EVERY || ago >= WALK_EVERY && !walk.still_holds(now)
        });
        let long = |g: &Goroutine| match g.since {
            WaitSince::Exact(ns) | WaitSince::AtLeast(ns) => ago(ns) >= LONG_WAIT,
            WaitSince::Unknown => false,
        };
        let mut users = now.goroutines.iter().filter(|g| !g.system);
        due && users.any(|g| !g.waits_on.is_empty() && long(g))
    }

    /// An inspection has ended. Without a walk of its own it keeps what the last walk found, as long as
    /// nobody concerned has moved: who can never run again never will.
    pub(super) fn end(&mut self, diagnosis: &mut Diagnosis) {
        if diagnosis.reach_walked || self.walks == Walks::ForOthers {
            let dead = diagnosis.findings.iter().filter(|f| is_dead(f));
            let flaws = diagnosis.incomplete.iter().filter(|i| i.what == REACH);
            self.walked = Some(Walk {
                snapshot: Arc::clone(&diagnosis.snapshot),
                whole: diagnosis.reach_walked && diagnosis.incomplete.is_empty(),
                dead: dead.cloned().collect(),
                flaws: flaws.cloned().collect(),
            });
        } else if let Some(walk) = &self.walked {
            walk.tell_again(diagnosis);
        }
    }
}

impl Walk {
    /// Whether another walk would find what this one found: nobody has moved, come or gone.
    fn still_holds(&self, now: &Snapshot) -> bool {
        let users = |snapshot: &Snapshot| snapshot.goroutines.iter().filter(|g| !g.system).count();
        self.whole
            && users(now) == users(&self.snapshot)
            && now
                .goroutines
                .iter()
                .filter(|g| !g.system)
                .all(|g| unmoved(&self.snapshot, g))
    }

    /// Adds what it found to a later inspection that found less, where that still stands.
    fn tell_again(&self, diagnosis: &mut Diagnosis) {
        let now = &diagnosis.snapshot;
        let stands = |finding: &&Finding| {
            let mut members = finding.concerned().iter();
            members.all(|goid| {
                now.goroutine(*goid)
                    .is_some_and(|g| unmoved(&self.snapshot, g))
            })
        };
        let told = |finding: &&Finding| {
            let mut known = diagnosis.findings.iter();
            known.any(|f| f.id == finding.id && f.verdict >= finding.verdict)
        };
        let kept = self.dead.iter().filter(stands).filter(|f| !told(f));
        let kept: Vec<Finding> = kept.cloned().collect();
        let members = kept.iter().flat_map(|f| f.concerned().iter().copied());
        let members: FxHashSet<Goid> = members.collect();
        diagnosis.findings.retain(|finding| {
            !is_superseded(finding.kind)
                || finding.verdict == Verdict::Proven
                || !finding
                    .concerned()
                    .iter()
                    .all(|goid| members.contains(goid))
        });
        diagnosis.findings.splice(0..0, kept);
        diagnosis.incomplete.extend(self.flaws.iter().cloned());
    }
}

/// What a walk alone may find, or alone may prove.
fn is_dead(finding: &Finding) -> bool {
    match finding.kind {
        FindingKind::Unreachable | FindingKind::Queued | FindingKind::WholeProcessDeadlock => true,
        FindingKind::LockCycle | FindingKind::SelfDeadlock => finding.verdict == Verdict::Proven,
        _ => false,
    }
}

/// Suspicions that an inspection without a walk has of goroutines of which a walk knew more.
fn is_superseded(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::StuckWait
            | FindingKind::AbandonedLock
            | FindingKind::RootBlocker
            | FindingKind::LockCycle
            | FindingKind::SelfDeadlock
            | FindingKind::Unreachable
            | FindingKind::Queued
            | FindingKind::WholeProcessDeadlock
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{
        FindingId,
        fixture::{KEY, Process},
        tests::glance,
    };
    use image::WaitReason;
    use snapshot::Operation;

    /// `process` after so many seconds.
    fn later(process: &mut Process, seconds: u64) -> &Snapshot {
        process.snapshot.taken_ns += seconds * 1_000_000_000;
        &process.snapshot
    }

    #[test]
    fn what_a_walk_elsewhere_found_is_told_until_somebody_concerned_moves() {
        let mut process = Process::new();
        process.channel(0xc0, 0, 0);
        process.waits(2, WaitReason::ChanReceive, Operation::Receive, 0xc0);
        let mut past = History::walked_elsewhere();
        past.begin(KEY);
        let look = glance(&process);
        assert!(past.walk_is_due(&look) && !past.wants_walk(&look.snapshot));
        let mut elsewhere = History::for_walk(&look);
        assert!(elsewhere.wants_walk(&look.snapshot));
        let mut walked = glance(&process);
        walked.reach_walked = true;
        walked.findings.clear();
        let mut leak = Finding::new(FindingKind::Unreachable, FindingId(7));
        (leak.verdict, leak.goroutines) = (Verdict::Proven, vec![Goid(2)]);
        walked.findings.push(leak);
        elsewhere.end(&mut walked);
        assert!(past.take_walk(elsewhere));

        let told = |process: &Process, past: &mut History| {
            let mut look = glance(process);
            let suspicion = Finding::new(FindingKind::StuckWait, FindingId(8));
            let suspicion = Finding {
                goroutines: vec![Goid(2)],
                ..suspicion
            };
            look.findings.push(suspicion);
            past.end(&mut look);
            assert!(!past.walk_is_due(&look));
            let ids = look.findings.iter().map(|finding| finding.id.0);
            ids.filter(|id| [7, 8].contains(id)).collect::<Vec<_>>()
        };
        assert_eq!(told(&process, &mut past), [7]);
        let moved = process.snapshot.goroutines.iter_mut();
        for goroutine in moved.filter(|g| g.goid == Goid(2)) {
            goroutine.parks = goroutine.parks.map(|parks| parks + 1);
            goroutine.sp = goroutine.sp.offset(8);
        }
        assert_eq!(told(&process, &mut past), [8]);
        assert!(!past.take_walk(History::for_walk(&look)));
    }

    #[test]
    fn a_process_in_which_nobody_moves_is_seldom_walked() {
        let mut process = Process::new();
        process.channel(0xc0, 0, 0);
        process.waits(2, WaitReason::ChanReceive, Operation::Receive, 0xc0);
        let mut past = History::default();
        past.begin(KEY);
        assert!(past.wants_walk(&process.snapshot));
        let mut walked = glance(&process);
        walked.reach_walked = true;
        past.end(&mut walked);
        assert!(!past.wants_walk(later(&mut process, 29)));
        assert!(!past.wants_walk(later(&mut process, 500)));
        assert!(past.wants_walk(later(&mut process, 100)));
        // Another one has come.
        let mut past = History::default();
        past.begin(KEY);
        let mut walked = glance(&process);
        walked.reach_walked = true;
        past.end(&mut walked);
        process.waits(3, WaitReason::ChanReceive, Operation::Receive, 0xc0);
        assert!(!past.wants_walk(later(&mut process, 29)));
        assert!(past.wants_walk(later(&mut process, 1)));
    }
}
