//! Candidates become holders: what goroutines have taken and will release, checked against the locks'
//! own state.
//!
//! A locked mutex has exactly one holder; `RWMutex` counts its readers, `WaitGroup` the `Done`s it
//! is owed. Who the holder is follows from two witnesses only (`docs/verdicts.md` says why): a
//! goroutine *owns* a lock if it has taken it, by the code that it has executed, and gives it back, by
//! the code that it will execute ([`PendingRelease::is_owned`]). A release that is seen in a future alone
//! makes its goroutine an alternative: the lock may be handed to it. Without an owner anybody may be
//! the holder who can reach the lock.
//!
//! Whoever owns a lock, everybody who was seen to release it, on whatever path, is an alternative:
//! mutexes are also used as signals.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    analyzer::Locks,
    model::{
        Acquisition, Certainty, Evidence, Held, LockHolders, PendingRelease, ReleaseKind, TIMERS,
    },
};
use graph::{HolderSet, Need};
use ids::{Goid, ImageAddr, TargetAddr};
use snapshot::{Goroutine, ObjectState, Snapshot, SyncObject};

/// Who holds each lock that somebody waits for, and who owes each `WaitGroup` its `Done`s.
#[must_use]
pub fn holders(snapshot: &Snapshot, locks: &Locks) -> FxHashMap<TargetAddr, LockHolders> {
    let judge = Judge::new(snapshot, locks);
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
    /// Who has taken each lock and not given it back, where no release was seen.
    kept: FxHashMap<TargetAddr, Vec<(Goid, ReleaseKind, Acquisition)>>,
    /// Who gives back a lock that could not be told: see [`Locks::nameless`]; and pending timers.
    nameless: Vec<(Goid, ReleaseKind)>,
    /// Goroutines whose stacks could not be read: they may hold anything.
    unseen: Vec<Goid>,
}

impl Judge {
    fn new(snapshot: &Snapshot, locks: &Locks) -> Self {
        let pending = &locks.pending;
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
        let of_timers = timers.clone().filter(|release| release.object.is_nil());
        let of_timers = of_timers.map(|release| (TIMERS, release.kind));
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
            kept: kept(snapshot, locks),
            nameless: locks.nameless.iter().copied().chain(of_timers).collect(),
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
        let none = || {
            [Need::All, Need::OneOf].map(|need| HolderSet {
                holders: Vec::new(),
                need,
                complete: false,
                unseen: Vec::new(),
            })
        };
        let (candidates, exclusive, [readers, any_reader]) = match object.state.as_ref()? {
            ObjectState::Mutex(state) => {
                let kinds = [ReleaseKind::Unlock];
                let candidates = of(&kinds);
                let exclusive =
                    self.exclusive((addr, &candidates), &kinds, state.locked, &mut doubts);
                (candidates, exclusive, none())
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
                let readers = self.readers((addr, &reading), count, &mut doubts);
                ([writers, reading].concat(), exclusive, readers)
            }
            ObjectState::WaitGroup { counter, .. } => {
                let candidates = of(&[ReleaseKind::Done]);
                let owed = u32::try_from(*counter).unwrap_or(0);
                let exclusive = self.owed((addr, &candidates), owed, &mut doubts);
                (candidates, exclusive, none())
            }
            ObjectState::Channel { .. } | ObjectState::Cond { .. } | ObjectState::Semaphore(_) => {
                return None;
            }
        };
        let keepers = self.kept.get(&addr).into_iter().flatten();
        let candidates = candidates.into_iter().chain(keepers.map(keeper));
        Some(LockHolders {
            object: addr,
            candidates: candidates.collect(),
            exclusive,
            readers,
            any_reader,
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
        let all = goids(candidates.iter());
        if kinds.iter().any(|kind| self.by_timer(*kind, object)) {
            doubts.push("a timer that is pending may release it".to_owned());
            return set(all, false);
        }
        let owners = goids(candidates.iter().filter(|(_, release)| release.is_owned()));
        match owners[..] {
            [] if all.iter().any(|goid| !self.is_parked(*goid)) => return set(all, true),
            [] => {}
            [_] => return self.owned((all, kinds), doubts),
            [one, other, ..] => {
                doubts.push(format!("goroutines {one} and {other} both seem to hold it"))
            }
        }
        if owners.is_empty() {
            doubts.extend(self.missing_witness(object, candidates));
        }
        set(all, false)
    }

    /// Who may release a lock that one goroutine owns: that one, or others of `all`, who were seen to. It
    /// may be anybody's guess who else does where a lock that could not be told is given back, in one of the
    /// ways `kinds`: a third goroutine may take a lock away from its owner for a while, and lock it again
    /// for it.
    fn owned(
        &self,
        (all, kinds): (Vec<Goid>, &[ReleaseKind]),
        doubts: &mut Vec<String>,
    ) -> HolderSet {
        let mut nameless = self.nameless.iter();
        let another = nameless.find(|(goid, kind)| kinds.contains(kind) && !all.contains(goid));
        if let Some((goid, _)) = another {
            doubts.push(match *goid {
                TIMERS => "a timer that is pending may release it".to_owned(),
                goid => format!(
                    "goroutine {goid} may release it: which lock it gives back could not be told"
                ),
            });
        }
        self.doubt_unseen(doubts);
        HolderSet {
            holders: all,
            need: Need::OneOf,
            complete: another.is_none(),
            unseen: self.unseen.clone(),
        }
    }

    /// Why none of `candidates` is known to own the lock.
    fn missing_witness(&self, object: TargetAddr, candidates: &[Candidate]) -> Option<String> {
        let kept = self.kept.get(&object).and_then(|kept| kept.first());
        let Some((goid, release)) = candidates.iter().max_by_key(|(_, r)| r.certainty) else {
            return Some(match kept {
                Some((goid, ..)) => {
                    format!("goroutine {goid} has locked it, but was not seen to release it later")
                }
                None => "no goroutine was found that releases it".to_owned(),
            });
        };
        Some(match (release.certainty, release.acquired) {
            (Certainty::Possible, _) => {
                format!("goroutine {goid} releases it on some paths only")
            }
            (_, None) => format!("goroutine {goid} was not seen to lock it"),
            (Certainty::AsThingsStand, _) => {
                format!("goroutine {goid} releases it only if flags in memory stay as they are")
            }
            (_, Some(_)) => format!("goroutine {goid} may have released it already"),
        })
    }

    fn by_timer(&self, kind: ReleaseKind, object: TargetAddr) -> bool {
        self.by_timers.contains(&(kind, object))
    }

    fn doubt_unseen(&self, doubts: &mut Vec<String>) {
        if let Some(unseen) = self.unseen.first() {
            doubts.push(format!(
                "goroutine {unseen} was running and may hold it instead"
            ));
        }
    }

    /// The readers that a writer waits for. Each of them has to leave, so those that are known to be
    /// readers count whether or not the others are. Where others were seen who may give a read lock
    /// back, what they give back may be one of theirs: then the writer can go on as long as anyone can
    /// of the readers and those others, which is what the second set says.
    fn readers(
        &self,
        (object, candidates): (TargetAddr, &[Candidate]),
        count: u32,
        doubts: &mut Vec<String>,
    ) -> [HolderSet; 2] {
        let owns = |candidate: &&Candidate| candidate.1.is_owned();
        let owned: Vec<&Candidate> = candidates.iter().filter(owns).collect();
        // Whoever else gives a read lock back lets the writer go on as well.
        let nameless = self.of(TargetAddr(0), &[ReleaseKind::ReadUnlock]);
        let nameless = nameless.iter().filter(|(_, r)| r.acquired.is_none());
        let others = candidates.iter().filter(|candidate| !owns(candidate));
        let others = goids(others.chain(nameless));
        if !others.is_empty() && !owned.is_empty() {
            doubts.push("somebody else may give a read lock back".to_owned());
        }
        let plausible = tally(owned.len()) <= count;
        if !plausible {
            doubts.push(format!(
                "{} read locks are going to be released, but it counts {count}",
                owned.len()
            ));
        }
        let known = plausible && !owned.is_empty();
        let by_timer = |object| self.by_timer(ReleaseKind::ReadUnlock, object);
        let owners = goids(owned.into_iter());
        let complete = known && others.is_empty();
        let readers = HolderSet {
            complete,
            holders: match complete {
                true => owners.clone(),
                false => goids(candidates.iter()),
            },
            need: Need::All,
            unseen: Vec::new(),
        };
        let more = others.iter().filter(|goid| !owners.contains(goid));
        let any_reader = HolderSet {
            complete: known && !by_timer(object) && !by_timer(TargetAddr(0)),
            holders: owners.iter().chain(more).copied().collect(),
            need: Need::OneOf,
            unseen: Vec::new(),
        };
        [readers, any_reader]
    }

    /// Who owes a `WaitGroup` its `Done`s. Nobody takes one on: whoever can reach the group may call
    /// `Done`, and those that were seen to only explain.
    fn owed(
        &self,
        (object, candidates): (TargetAddr, &[Candidate]),
        owed: u32,
        doubts: &mut Vec<String>,
    ) -> HolderSet {
        if self.by_timer(ReleaseKind::Done, object) {
            doubts.push("a timer that is pending may call Done".to_owned());
        }
        let found = tally(candidates.len());
        if found != owed {
            doubts.push(format!("{owed} Done are owed, {found} were found"));
        }
        HolderSet {
            holders: goids(candidates.iter()),
            need: Need::All,
            complete: false,
            unseen: Vec::new(),
        }
    }
}

/// A goroutine that has taken a lock and was not seen to release it: a candidate whose release has no
/// site.
fn keeper(&(goid, kind, acquisition): &(Goid, ReleaseKind, Acquisition)) -> Candidate {
    let release = PendingRelease {
        object: TargetAddr(0),
        kind,
        certainty: Certainty::Possible,
        evidence: Evidence {
            frame: acquisition.frame,
            site: ImageAddr(0),
            held: Held::Continuation,
        },
        acquired: Some(acquisition),
    };
    (goid, release)
}

/// Who has taken which lock that somebody waits for, and was not seen to give it back.
fn kept(
    snapshot: &Snapshot,
    locks: &Locks,
) -> FxHashMap<TargetAddr, Vec<(Goid, ReleaseKind, Acquisition)>> {
    let mut kept: FxHashMap<_, Vec<_>> = FxHashMap::default();
    for (goid, taken) in &locks.taken {
        let pending = locks.pending.get(goid);
        for taking in taken {
            let released = pending
                .into_iter()
                .flatten()
                .any(|release| (release.object, release.kind) == (taking.object, taking.release));
            if !released && snapshot.objects.contains_key(&taking.object) {
                let of_object = kept.entry(taking.object).or_default();
                of_object.push((*goid, taking.release, taking.acquisition));
            }
        }
    }
    for of_object in kept.values_mut() {
        of_object.sort_by_key(|(goid, ..)| *goid);
    }
    kept
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
