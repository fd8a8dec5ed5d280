//! Candidates become holders: what goroutines will release, checked against the locks' own state.
//!
//! A locked mutex has exactly one holder; `RWMutex` counts its readers, `WaitGroup` the `Done`s it
//! is owed. A set is complete only when nobody unseen can matter (`docs/verdicts.md` says why):
//! - *Certain*: on every path, of a lock that its own frames name. Nobody else can be the owner in a
//!   program that unlocks only what is locked for it.
//! - *Conditional*: it may be another lock, or taken later, so that somebody else holds this one
//!   now. Counts when every goroutine was seen; whoever releases a lock that could not be told is an
//!   alternative.
//!   So does a certain release by somebody who waits for a message first: it may be the one that says
//!   that the lock is handed over, and if it never comes, somebody else is the owner.
//! - *Possible*: on some paths only, or of a goroutine that is not parked. Never completes a set by
//!   itself, except that a goroutine that is not parked keeps the waiters live anyway.
//!
//! Whatever completes a set of which one suffices, everybody who was seen to release the lock, on
//! whatever path, is an alternative: mutexes are also used as signals.

use rustc_hash::{FxHashMap, FxHashSet};

use super::model::{Certainty, LockHolders, PendingRelease, ReleaseKind, TIMERS};
use crate::{
    graph::{HolderSet, Need},
    ids::{Goid, TargetAddr},
    image::WaitReason,
    snapshot::{Goroutine, ObjectState, Snapshot, SyncObject},
};

/// Who holds each lock that somebody waits for, and who owes each `WaitGroup` its `Done`s.
#[must_use]
pub fn holders(
    snapshot: &Snapshot,
    pending: &FxHashMap<Goid, Vec<PendingRelease>>,
) -> FxHashMap<TargetAddr, LockHolders> {
    let judge = Judge::new(snapshot, pending);
    snapshot
        .objects
        .values()
        .filter_map(|object| {
            judge
                .object(object)
                .map(|holders| (object.id.addr, holders))
        })
        .collect()
}

type Candidate = (Goid, PendingRelease);

/// Goroutines that could not be looked into, of which more need not be told apart.
const MAX_UNSEEN: usize = 1024;

struct Judge {
    /// What pending timers may release.
    by_timers: FxHashSet<(ReleaseKind, TargetAddr)>,
    by_object: FxHashMap<TargetAddr, Vec<Candidate>>,
    parked: FxHashMap<Goid, bool>,
    /// Goroutines that wait for a message: one of them may say that the lock is theirs.
    expectant: FxHashSet<Goid>,
    /// Goroutines whose stacks could not be read: they may hold anything.
    unseen: Vec<Goid>,
}

impl Judge {
    fn new(snapshot: &Snapshot, pending: &FxHashMap<Goid, Vec<PendingRelease>>) -> Self {
        let mut by_object: FxHashMap<TargetAddr, Vec<Candidate>> = FxHashMap::default();
        let goroutines = pending.iter().filter(|(goid, _)| **goid != TIMERS);
        for (goid, releases) in goroutines {
            for release in releases {
                if release.object.is_nil() || snapshot.objects.contains_key(&release.object) {
                    let of_object = by_object.entry(release.object).or_default();
                    of_object.push((*goid, release.clone()));
                }
            }
        }
        for candidates in by_object.values_mut() {
            candidates.sort_by_key(|(goid, release)| (*goid, release.evidence.frame));
        }
        let is_unseen =
            |g: &&Goroutine| !g.system && (g.stack.frames.is_empty() || g.stack.truncated);
        let timers = pending.get(&TIMERS).into_iter().flatten();
        Self {
            by_timers: timers
                .map(|release| (release.kind, release.object))
                .collect(),
            by_object,
            parked: snapshot
                .goroutines
                .iter()
                .map(|g| (g.goid, g.status.is_parked()))
                .collect(),
            expectant: snapshot
                .goroutines
                .iter()
                .filter(|g| waits_for_message(g))
                .map(|g| g.goid)
                .collect(),
            unseen: snapshot
                .goroutines
                .iter()
                .filter(is_unseen)
                .map(|g| g.goid)
                .take(MAX_UNSEEN)
                .collect(),
        }
    }

    fn object(&self, object: &SyncObject) -> Option<LockHolders> {
        let addr = object.id.addr;
        let of = |kinds: &[ReleaseKind]| self.of(addr, kinds);
        let mut doubts = Vec::new();
        let none = |need| HolderSet {
            holders: Vec::new(),
            need,
            complete: false,
            unseen: Vec::new(),
        };
        let (candidates, exclusive, readers) = match object.state.as_ref()? {
            ObjectState::Mutex(state) => {
                let kinds = [ReleaseKind::Unlock];
                let candidates = of(&kinds);
                let exclusive =
                    self.exclusive((addr, &candidates), &kinds, state.locked, &mut doubts);
                (candidates, exclusive, none(Need::All))
            }
            ObjectState::RwMutex {
                writer,
                readers,
                writer_pending,
                reader_wait,
            } => {
                let kinds = [ReleaseKind::WriteUnlock, ReleaseKind::Unlock];
                let writers = of(&kinds);
                let reading = of(&[ReleaseKind::ReadUnlock]);
                let exclusive =
                    self.exclusive((addr, &writers), &kinds, writer.locked, &mut doubts);
                let count = if *writer_pending {
                    reader_wait
                } else {
                    readers
                };
                let count = u32::try_from(*count).unwrap_or(0);
                let readers = self.readers(&reading, count, &mut doubts);
                ([writers, reading].concat(), exclusive, readers)
            }
            ObjectState::WaitGroup { counter, .. } => {
                let candidates = of(&[ReleaseKind::Done]);
                let owed = u32::try_from(*counter).unwrap_or(0);
                let exclusive = self.owed((addr, &candidates), owed, &mut doubts);
                (candidates, exclusive, none(Need::All))
            }
            ObjectState::Channel { .. } | ObjectState::Cond { .. } | ObjectState::Semaphore(_) => {
                return None;
            }
        };
        Some(LockHolders {
            object: addr,
            candidates,
            exclusive,
            readers,
            doubts,
        })
    }

    /// Who releases `object` in one of the ways `kinds`.
    fn of(&self, object: TargetAddr, kinds: &[ReleaseKind]) -> Vec<Candidate> {
        let releases = self.by_object.get(&object).into_iter().flatten();
        releases
            .filter(|(_, release)| kinds.contains(&release.kind))
            .cloned()
            .collect()
    }

    fn is_parked(&self, goid: Goid) -> bool {
        self.parked.get(&goid).copied().unwrap_or(false)
    }

    /// The one holder of an exclusive lock.
    fn exclusive(
        &self,
        (object, candidates): (TargetAddr, &[Candidate]),
        kinds: &[ReleaseKind],
        locked: bool,
        doubts: &mut Vec<String>,
    ) -> HolderSet {
        let set = |holders: Vec<Goid>, complete| HolderSet {
            holders,
            need: Need::OneOf,
            complete,
            unseen: Vec::new(),
        };
        if !locked {
            return set(Vec::new(), false);
        }
        let any = |certainty| candidates.iter().any(|c| self.weight(c) == certainty);
        let all = goids(candidates.iter());
        let by_timer = |object| kinds.iter().any(|kind| self.by_timer(*kind, object));
        let conditional = !any(Certainty::Certain);
        if by_timer(object) || conditional && by_timer(TargetAddr(0)) {
            doubts.push("a timer that is pending may release it".to_owned());
            return set(all, false);
        }
        if any(Certainty::Certain) || candidates.iter().any(|(goid, _)| !self.is_parked(*goid)) {
            return set(all, true);
        }
        if any(Certainty::Conditional) {
            let nameless = self.nameless(kinds);
            self.doubt_unseen(doubts);
            return HolderSet {
                unseen: self.unseen.clone(),
                ..set(goids(candidates.iter().chain(&nameless)), true)
            };
        }
        doubts.push(if all.is_empty() {
            "no goroutine was found that releases it".to_owned()
        } else {
            "released on some paths only".to_owned()
        });
        set(all, false)
    }

    /// How much a candidate proves.
    fn weight(&self, (goid, release): &Candidate) -> Certainty {
        match release.certainty {
            Certainty::Certain if self.expectant.contains(goid) => Certainty::Conditional,
            certainty => certainty,
        }
    }

    fn by_timer(&self, kind: ReleaseKind, object: TargetAddr) -> bool {
        self.by_timers.contains(&(kind, object))
    }

    /// Releases of locks that could not be told.
    fn nameless(&self, kinds: &[ReleaseKind]) -> Vec<Candidate> {
        self.of(TargetAddr(0), kinds)
    }

    fn doubt_unseen(&self, doubts: &mut Vec<String>) {
        if let Some(unseen) = self.unseen.first() {
            doubts.push(format!(
                "goroutine {unseen} was running and may hold it instead"
            ));
        }
    }

    /// The readers that a writer waits for. Each of them has to leave, so those that are found
    /// count whether or not the others are.
    fn readers(&self, candidates: &[Candidate], count: u32, doubts: &mut Vec<String>) -> HolderSet {
        let of = |certainty| move |c: &&Candidate| self.weight(c) == certainty;
        let mut counted: Vec<&Candidate> =
            candidates.iter().filter(of(Certainty::Certain)).collect();
        let nameless = self.nameless(&[ReleaseKind::ReadUnlock]).len();
        let mut unseen = Vec::new();
        if tally(candidates.len() + nameless) <= count
            && (counted.is_empty() || self.unseen.is_empty())
        {
            let certain = counted.len();
            counted.extend(candidates.iter().filter(of(Certainty::Conditional)));
            if counted.len() > certain {
                unseen.clone_from(&self.unseen);
                self.doubt_unseen(doubts);
            }
        }
        let plausible = tally(counted.len()) <= count;
        if !plausible {
            doubts.push(format!(
                "{} read locks are going to be released, but it counts {count}",
                counted.len()
            ));
        }
        HolderSet {
            complete: plausible && !counted.is_empty(),
            holders: goids(counted.into_iter()),
            need: Need::All,
            unseen,
        }
    }

    /// Who owes a `WaitGroup` its `Done`s.
    fn owed(
        &self,
        (object, candidates): (TargetAddr, &[Candidate]),
        owed: u32,
        doubts: &mut Vec<String>,
    ) -> HolderSet {
        let done = ReleaseKind::Done;
        let is = |certainty| {
            let mut parked = candidates.iter().filter(|c| self.is_parked(c.0));
            parked.any(|c| self.weight(c) == certainty)
        };
        let conditional = is(Certainty::Conditional);
        let elsewhere = self.by_timer(done, object)
            || conditional
                && (self.by_timer(done, TargetAddr(0)) || !self.nameless(&[done]).is_empty());
        let found = tally(candidates.len());
        let complete = !is(Certainty::Possible) && !elsewhere && found == owed && owed > 0;
        if !complete && owed > 0 {
            doubts.push(format!("{owed} Done are owed, {found} were found"));
        }
        HolderSet {
            holders: goids(candidates.iter()),
            need: Need::All,
            complete,
            unseen: if conditional {
                self.unseen.clone()
            } else {
                Vec::new()
            },
        }
    }
}

/// Whether `g` waits for what others send or signal, not for a lock or a group.
const fn waits_for_message(g: &Goroutine) -> bool {
    matches!(
        g.wait_reason,
        Some(
            WaitReason::ChanReceive
                | WaitReason::ChanSend
                | WaitReason::Select
                | WaitReason::CondWait
                | WaitReason::ChanReceiveNil
                | WaitReason::ChanSendNil
                | WaitReason::SelectNoCases
                | WaitReason::SelectAllNil
        )
    )
}

fn goids<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Vec<Goid> {
    let mut goids: Vec<Goid> = candidates.map(|(goid, _)| *goid).collect();
    goids.sort_unstable();
    goids.dedup();
    goids
}

fn tally(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
