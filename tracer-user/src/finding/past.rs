//! What earlier looks at a process leave to later ones.

use std::{sync::Arc, time::Duration};

use rustc_hash::FxHashSet;

use super::{
    confirm::unmoved,
    diagnose::Diagnosis,
    model::{Finding, FindingKind},
};
use crate::{
    ids::Goid,
    process::ProcessKey,
    snapshot::{Goroutine, Snapshot, WaitSince},
    state::ProcessState,
};

/// Least time between two walks of one process's heap.
const WALK_EVERY: Duration = Duration::from_secs(30);
/// Likewise while nobody in it moves: what is reachable changes then only by goroutines that come
/// and go between two looks.
const WALK_STILL_EVERY: Duration = Duration::from_secs(600);
/// A process that is followed is walked once somebody has waited so long.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// A process's past, as far as it matters to the next look.
#[derive(Debug, Default)]
pub struct Past {
    /// Its waits over time.
    pub state: ProcessState,
    process: Option<ProcessKey>,
    /// Whether there will be no later look.
    once: bool,
    walked: Option<Walk>,
}

/// The last walk that was made.
#[derive(Debug)]
struct Walk {
    snapshot: Arc<Snapshot>,
    /// Whether it came to an end.
    whole: bool,
    /// What it found out of reach, and who waits behind that.
    leaks: Vec<Finding>,
}

impl Past {
    /// For a look that is to tell all there is, now.
    pub(super) fn of_single_look() -> Self {
        Self {
            once: true,
            ..Self::default()
        }
    }

    /// A look at `process` begins: the past of another is none.
    pub(super) fn begin(&mut self, process: ProcessKey) {
        if self.process != Some(process) {
            *self = Self {
                process: Some(process),
                once: self.once,
                ..Self::default()
            };
        }
    }

    /// Writes into `snapshot` since when goroutines wait. The look that is to tell all there is has
    /// nothing to add to what the runtime says.
    pub(super) fn date(&mut self, snapshot: &mut Snapshot) {
        if !self.once {
            self.state.apply_snapshot(snapshot);
        }
    }

    /// Whether it is time to walk the heap: always in a single look, else now and then while
    /// somebody waits for long.
    pub(super) fn wants_walk(&self, now: &Snapshot) -> bool {
        if self.once {
            return true;
        }
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

    /// A look has ended. Without a walk of its own it keeps what the last walk found out of reach,
    /// as long as nobody concerned has moved: who is out of reach once remains so.
    pub(super) fn end(&mut self, diagnosis: &mut Diagnosis) {
        self.state.apply_graph(&diagnosis.nodes);
        if diagnosis.reach_walked {
            let leaks = diagnosis.findings.iter().filter(|f| is_leak(f));
            self.walked = Some(Walk {
                snapshot: Arc::clone(&diagnosis.snapshot),
                whole: diagnosis.incomplete.is_empty(),
                leaks: leaks.cloned().collect(),
            });
        } else if let Some(walk) = &self.walked {
            let now = &diagnosis.snapshot;
            let stands = |finding: &&Finding| {
                finding
                    .goroutines
                    .iter()
                    .all(|goid| goroutine(now, *goid).is_some_and(|g| unmoved(&walk.snapshot, g)))
            };
            let known = |finding: &&Finding| diagnosis.findings.iter().all(|f| f.id != finding.id);
            let kept = walk.leaks.iter().filter(stands).filter(known);
            let kept: Vec<Finding> = kept.cloned().collect();
            let told = kept.iter().flat_map(|f| f.goroutines.iter().copied());
            let told: FxHashSet<Goid> = told.collect();
            diagnosis.findings.retain(|finding| {
                !matches!(
                    finding.kind,
                    FindingKind::StuckWait | FindingKind::AbandonedLock
                ) || !finding.goroutines.iter().all(|goid| told.contains(goid))
            });
            diagnosis.findings.splice(0..0, kept);
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
}

fn is_leak(finding: &Finding) -> bool {
    matches!(
        finding.kind,
        FindingKind::Unreachable | FindingKind::Queued | FindingKind::WholeProcessDeadlock
    )
}

fn goroutine(snapshot: &Snapshot, goid: Goid) -> Option<&Goroutine> {
    let at = snapshot.goroutines.binary_search_by_key(&goid, |g| g.goid);
    snapshot.goroutines.get(at.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::{
            fixture::{KEY, Process},
            tests::glance,
        },
        image::WaitReason,
        snapshot::Operation,
    };

    /// `process` after so many seconds.
    fn later(process: &mut Process, seconds: u64) -> &Snapshot {
        process.snapshot.taken_ns += seconds * 1_000_000_000;
        &process.snapshot
    }

    #[test]
    fn a_process_in_which_nobody_moves_is_seldom_walked() {
        let mut process = Process::new();
        process.channel(0xc0, 0, 0);
        process.waits(2, WaitReason::ChanReceive, Operation::Receive, 0xc0);
        let mut past = Past::default();
        past.begin(KEY);
        assert!(past.wants_walk(&process.snapshot));
        let mut walked = glance(&process);
        walked.reach_walked = true;
        past.end(&mut walked);
        assert!(!past.wants_walk(later(&mut process, 29)));
        assert!(!past.wants_walk(later(&mut process, 500)));
        assert!(past.wants_walk(later(&mut process, 100)));
        // Another one has come.
        let mut past = Past::default();
        past.begin(KEY);
        let mut walked = glance(&process);
        walked.reach_walked = true;
        past.end(&mut walked);
        process.waits(3, WaitReason::ChanReceive, Operation::Receive, 0xc0);
        assert!(!past.wants_walk(later(&mut process, 29)));
        assert!(past.wants_walk(later(&mut process, 1)));
    }
}
