//! Candidates become holders: what goroutines will release, checked against the locks' own state.
//!
//! A locked mutex has exactly one holder; `RWMutex` counts its readers, `WaitGroup` the `Done`s it
//! is owed. A set is complete only when nobody unseen can matter. Rules:
//! - *Certain*: on every path, with nothing unknown before. In a correct program such a goroutine
//!   holds the lock (or is the one it is handed to): one is enough, several are alternatives.
//! - *Conditional*: code that could not be followed runs before the release and may be what takes
//!   the lock, in which case somebody else holds it now. Counts when every goroutine was seen.
//! - *Possible*: on some paths only, or of a goroutine that is not parked. Never completes a set by
//!   itself, except that a goroutine that is not parked keeps the waiters live anyway.

use rustc_hash::FxHashMap;

use super::model::{Certainty, LockHolders, PendingRelease, ReleaseKind};
use crate::{
    graph::{HolderSet, Need},
    ids::{Goid, TargetAddr},
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

struct Judge {
    by_object: FxHashMap<TargetAddr, Vec<Candidate>>,
    parked: FxHashMap<Goid, bool>,
    /// A goroutine whose stack could not be read: it may hold anything.
    unseen: Option<Goid>,
}

impl Judge {
    fn new(snapshot: &Snapshot, pending: &FxHashMap<Goid, Vec<PendingRelease>>) -> Self {
        let mut by_object: FxHashMap<TargetAddr, Vec<Candidate>> = FxHashMap::default();
        for (goid, releases) in pending {
            for release in releases {
                if snapshot.objects.contains_key(&release.object) {
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
        Self {
            by_object,
            parked: snapshot
                .goroutines
                .iter()
                .map(|g| (g.goid, g.status.is_parked()))
                .collect(),
            unseen: snapshot.goroutines.iter().find(is_unseen).map(|g| g.goid),
        }
    }

    fn object(&self, object: &SyncObject) -> Option<LockHolders> {
        let addr = object.id.addr;
        let of = |kinds: &[ReleaseKind]| -> Vec<Candidate> {
            self.by_object
                .get(&addr)
                .into_iter()
                .flatten()
                .filter(|(_, release)| kinds.contains(&release.kind))
                .cloned()
                .collect()
        };
        let mut doubts = Vec::new();
        let none = |need| HolderSet {
            holders: Vec::new(),
            need,
            complete: false,
        };
        let (candidates, exclusive, readers) = match object.state.as_ref()? {
            ObjectState::Mutex(state) => {
                let candidates = of(&[ReleaseKind::Unlock]);
                let exclusive = self.exclusive(&candidates, state.locked, &mut doubts);
                (candidates, exclusive, none(Need::All))
            }
            ObjectState::RwMutex {
                writer,
                readers,
                writer_pending,
                reader_wait,
            } => {
                let writers = of(&[ReleaseKind::WriteUnlock, ReleaseKind::Unlock]);
                let reading = of(&[ReleaseKind::ReadUnlock]);
                let exclusive = self.exclusive(&writers, writer.locked, &mut doubts);
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
                let exclusive = self.owed(&candidates, owed, &mut doubts);
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

    fn is_parked(&self, goid: Goid) -> bool {
        self.parked.get(&goid).copied().unwrap_or(false)
    }

    /// The one holder of an exclusive lock.
    fn exclusive(
        &self,
        candidates: &[Candidate],
        locked: bool,
        doubts: &mut Vec<String>,
    ) -> HolderSet {
        let set = |holders: Vec<Goid>, complete| HolderSet {
            holders,
            need: Need::OneOf,
            complete,
        };
        if !locked {
            return set(Vec::new(), false);
        }
        let live = |(goid, _): &&Candidate| !self.is_parked(*goid);
        let certain = |c: &&Candidate| c.1.certainty == Certainty::Certain;
        if candidates.iter().any(|c| certain(&c)) {
            return set(
                goids(candidates.iter().filter(|c| certain(c) || live(c))),
                true,
            );
        }
        let all = goids(candidates.iter());
        if candidates.iter().any(|c| live(&c)) {
            return set(all, true);
        }
        let conditional = |c: &Candidate| c.1.certainty == Certainty::Conditional;
        if candidates.iter().any(conditional) {
            let complete = self.unseen.is_none();
            if let Some(unseen) = self.unseen {
                doubts.push(format!(
                    "goroutine {unseen} was running and may hold it instead"
                ));
            }
            return set(all, complete);
        }
        doubts.push(if all.is_empty() {
            "no goroutine was found that releases it".to_owned()
        } else {
            "released on some paths only".to_owned()
        });
        set(all, false)
    }

    /// The readers that a writer waits for. Each of them has to leave, so those that are found
    /// count whether or not the others are.
    fn readers(&self, candidates: &[Candidate], count: u32, doubts: &mut Vec<String>) -> HolderSet {
        let of = |certainty| move |c: &&Candidate| c.1.certainty == certainty;
        let certain: Vec<&Candidate> = candidates.iter().filter(of(Certainty::Certain)).collect();
        let conditional: Vec<&Candidate> = candidates
            .iter()
            .filter(of(Certainty::Conditional))
            .collect();
        let mut counted = certain;
        if self.unseen.is_none() && tally(counted.len() + conditional.len()) <= count {
            counted.extend(conditional);
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
        }
    }

    /// Who owes a `WaitGroup` its `Done`s.
    fn owed(&self, candidates: &[Candidate], owed: u32, doubts: &mut Vec<String>) -> HolderSet {
        let all_certain = candidates.iter().all(|(goid, release)| {
            release.certainty == Certainty::Certain
                || !self.is_parked(*goid)
                || (release.certainty == Certainty::Conditional && self.unseen.is_none())
        });
        let found = tally(candidates.len());
        let complete = all_certain && found == owed && owed > 0;
        if !complete && owed > 0 {
            doubts.push(format!("{owed} Done are owed, {found} were found"));
        }
        HolderSet {
            holders: goids(candidates.iter()),
            need: Need::All,
            complete,
        }
    }
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
