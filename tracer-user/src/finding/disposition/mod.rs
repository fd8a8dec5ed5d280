//! From what a snapshot says of each goroutine to what the wait graph needs to know: does it move
//! by itself, and if not, what frees it?
//!
//! Whatever cannot be told for certain counts as live, because a false proof is worse than silence.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{coroutine::Resumers, timers::may_be_timed};
use graph::{Disposition, GoroutineNode, HolderSet, Need, Requirement};
use holders::{LockHolders, PendingRelease, ReleaseKind};
use ids::{Goid, TargetAddr};
use image::WaitReason;
use snapshot::{
    Goroutine, ObjectKind, ObjectState, Operation, Snapshot, Status, SyncObject, ThreadState,
    WaitOn,
};

/// What may be assumed of objects whose satisfiers are not known for certain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Assume<'a> {
    /// Whoever can reach an object may act on it. What is dead under this is dead.
    Anyone,
    /// Only those act on an object whose code was seen to, and coroutines are resumed by whom is
    /// expected to. What is dead under this only is worth a suspicion.
    SeenActors(&'a Resumers),
}

/// The graph nodes of all user goroutines.
///
/// System goroutines are left out: they take no user locks, and a holder that is not in the graph
/// counts as live.
pub(super) fn nodes(
    snapshot: &Snapshot,
    holders: &FxHashMap<TargetAddr, LockHolders>,
    pending: &FxHashMap<Goid, Vec<PendingRelease>>,
    assume: Assume<'_>,
) -> Vec<GoroutineNode> {
    let mut reader = Reader {
        objects: &snapshot.objects,
        holders,
        actors: match assume {
            Assume::Anyone => FxHashMap::default(),
            Assume::SeenActors(_) => actors(pending),
        },
        assume,
        sets: FxHashMap::default(),
    };
    snapshot
        .goroutines
        .iter()
        .filter(|g| !g.system)
        .map(|g| GoroutineNode {
            goid: g.goid,
            disposition: reader.disposition(g),
        })
        .collect()
}

/// Whether something that is no user goroutine of the snapshot may still free one: a pending timer,
/// C code that calls back into Go, or what could not be read.
pub(super) fn outside_may_act(snapshot: &Snapshot) -> bool {
    let Some(scheduler) = &snapshot.scheduler else {
        return true;
    };
    scheduler.timers > 0
        || scheduler.is_library
        || scheduler.panicking
        || snapshot.threads.is_empty()
        || !snapshot.incomplete.is_empty()
        || snapshot
            .threads
            .iter()
            .any(|t| matches!(t.state, ThreadState::Foreign | ThreadState::Cgo))
}

/// Which goroutines were seen to perform an operation on an object later.
type Actors = FxHashMap<(TargetAddr, ReleaseKind), Vec<Goid>>;

fn actors(pending: &FxHashMap<Goid, Vec<PendingRelease>>) -> Actors {
    let mut actors = Actors::default();
    for (goid, releases) in pending {
        for release in releases {
            let of_object: &mut Vec<Goid> =
                actors.entry((release.object, release.kind)).or_default();
            of_object.push(*goid);
        }
    }
    actors
}

/// The operations by others that let a goroutine go on which waits for `operation`.
pub(super) const fn satisfiers(operation: Operation) -> &'static [ReleaseKind] {
    match operation {
        Operation::Send => &[ReleaseKind::Receive, ReleaseKind::Close],
        Operation::Receive => &[ReleaseKind::Send, ReleaseKind::Close],
        Operation::Lock => &[ReleaseKind::Unlock, ReleaseKind::WriteUnlock],
        Operation::ReadLock => &[ReleaseKind::WriteUnlock],
        Operation::DrainReaders => &[ReleaseKind::ReadUnlock],
        Operation::Wait => &[ReleaseKind::Done],
        Operation::CondWait => &[ReleaseKind::Notify],
        Operation::Acquire => &[],
    }
}

/// Whether the runtime itself has found that nobody reaches what `g` waits for: its goroutineleak profile
/// (Go 1.26 and later) marks such goroutines, and `ready` throws if one of them were woken
/// (`findGoroutineLeaks`, runtime/mgc.go). Locks are left to their holders, which tell more.
fn marked_leaked(g: &Goroutine) -> bool {
    g.status == Status::Leaked
        && !g.waits_on.is_empty()
        && !g.waits_on.iter().any(|wait| wait.operation.takes_lock())
}

struct Reader<'a> {
    objects: &'a FxHashMap<TargetAddr, SyncObject>,
    holders: &'a FxHashMap<TargetAddr, LockHolders>,
    actors: Actors,
    assume: Assume<'a>,
    /// Holder sets already built, to be shared by all waiters of an object: that of a writer that waits
    /// for the readers, or that of those who wait for the lock.
    sets: FxHashMap<(TargetAddr, bool, Need), Arc<HolderSet>>,
}

impl Reader<'_> {
    fn disposition(&mut self, g: &Goroutine) -> Disposition {
        if !g.status.is_parked() {
            return Disposition::Live;
        }
        if marked_leaked(g) {
            return Disposition::Blocked(Requirement::Signal {
                objects: Vec::new(),
            });
        }
        match g.wait_reason {
            Some(
                WaitReason::ChanReceiveNil
                | WaitReason::ChanSendNil
                | WaitReason::SelectNoCases
                | WaitReason::SelectAllNil,
            ) => Disposition::Blocked(Requirement::Never),
            Some(WaitReason::ChanReceive | WaitReason::ChanSend | WaitReason::Select) => {
                self.channels(&g.waits_on)
            }
            Some(
                WaitReason::MutexLock
                | WaitReason::RwMutexRLock
                | WaitReason::RwMutexLock
                | WaitReason::WaitGroupWait
                | WaitReason::CondWait
                | WaitReason::Semacquire,
            ) => match g.waits_on[..] {
                [wait] => self.synchronisation(wait),
                _ => Disposition::Live,
            },
            Some(WaitReason::Coroutine) => self.coroutine(g),
            // Sleep and I/O end by themselves. A synctest bubble has its own detector. The rest is
            // the runtime's own business, or nothing we know.
            Some(
                WaitReason::Sleep
                | WaitReason::IoWait
                | WaitReason::Synctest
                | WaitReason::FinalizerWait
                | WaitReason::Runtime
                | WaitReason::Unknown,
            )
            | None => Disposition::Live,
        }
    }

    const fn assumes_seen_actors(&self) -> bool {
        matches!(self.assume, Assume::SeenActors(_))
    }

    /// A coroutine (`iter.Pull`) is resumed by a direct switch, of anybody who has its `next`.
    fn coroutine(&self, g: &Goroutine) -> Disposition {
        let Assume::SeenActors(resumers) = self.assume else {
            return Disposition::Live;
        };
        let resumer = resumers.get(&g.goid).map(|resumer| resumer.goid());
        resumer.map_or(Disposition::Live, |resumer| {
            // The switch has no object that others could wait on: the `g` stands for it.
            Disposition::Blocked(one_of(g.g, vec![resumer]))
        })
    }

    fn channels(&self, waits_on: &[WaitOn]) -> Disposition {
        let stays =
            |wait: &WaitOn| wait.object.kind == ObjectKind::Channel && self.state_holds(*wait);
        if waits_on.is_empty() || !waits_on.iter().all(stays) {
            return Disposition::Live;
        }
        if self.assumes_seen_actors()
            && let Some(requirement) = self.seen_partners(waits_on)
        {
            return Disposition::Blocked(requirement);
        }
        Disposition::Blocked(Requirement::Signal {
            objects: waits_on.iter().map(|wait| wait.object.addr).collect(),
        })
    }

    /// The goroutines whose code was seen to serve any of `waits_on`. `None` where there are none, or
    /// where one of the cases waits for time to pass.
    fn seen_partners(&self, waits_on: &[WaitOn]) -> Option<Requirement> {
        if waits_on
            .iter()
            .any(|wait| may_be_timed(self.objects, *wait))
        {
            return None;
        }
        let served = |wait: &WaitOn| {
            let object = wait.object.addr;
            let kinds = satisfiers(wait.operation).iter();
            kinds.filter_map(move |kind| self.actors.get(&(object, *kind)))
        };
        // A case that nobody was seen to serve takes nothing away from the others.
        let object = waits_on.iter().find(|wait| served(wait).next().is_some())?;
        let partners: FxHashSet<Goid> = waits_on
            .iter()
            .flat_map(served)
            .flatten()
            .copied()
            .collect();
        let mut holders: Vec<Goid> = partners.into_iter().collect();
        holders.sort_unstable();
        Some(one_of(object.object.addr, holders))
    }

    fn synchronisation(&mut self, wait: WaitOn) -> Disposition {
        // A bare semaphore belongs to the runtime or to internal/poll: who releases it is unknown.
        if wait.operation == Operation::Acquire || !self.state_holds(wait) {
            return Disposition::Live;
        }
        let object = wait.object.addr;
        if let Some(holders) = self.set(object, wait.operation) {
            return Disposition::Blocked(Requirement::Release { object, holders });
        }
        if self.assumes_seen_actors()
            && let Some(requirement) = self.seen_partners(&[wait])
        {
            return Disposition::Blocked(requirement);
        }
        // Holders that are not known: whoever releases it must at least reach it.
        Disposition::Blocked(Requirement::Signal {
            objects: vec![object],
        })
    }

    /// Who has to act before `operation` on `object` succeeds, when all of them are known.
    fn set(&mut self, object: TargetAddr, operation: Operation) -> Option<Arc<HolderSet>> {
        let known = self.holders.get(&object)?;
        let (set, need) = match operation {
            Operation::Lock | Operation::ReadLock => (&known.exclusive, Need::OneOf),
            Operation::DrainReaders if known.readers.complete || self.assumes_seen_actors() => {
                (&known.readers, Need::All)
            }
            Operation::DrainReaders => (&known.any_reader, Need::OneOf),
            Operation::Wait => (&known.exclusive, Need::All),
            Operation::Send | Operation::Receive | Operation::CondWait | Operation::Acquire => {
                return None;
            }
        };
        let usable = set.complete || self.assumes_seen_actors();
        if !usable || set.need != need || set.holders.is_empty() {
            return None;
        }
        let by_seen_actors = self.assumes_seen_actors();
        let key = (object, operation == Operation::DrainReaders, need);
        let shared = self.sets.entry(key).or_insert_with(|| {
            let mut set = HolderSet {
                complete: true,
                ..set.clone()
            };
            if by_seen_actors {
                set.unseen.clear();
            }
            Arc::new(set)
        });
        Some(Arc::clone(shared))
    }

    /// Whether the object's own state says that the wait goes on. When it does not, the waiter is
    /// being woken, or what was read is torn; either way it counts as live.
    fn state_holds(&self, wait: WaitOn) -> bool {
        let Some(object) = self.objects.get(&wait.object.addr) else {
            return false;
        };
        match (&object.state, wait.operation) {
            (
                Some(ObjectState::Channel {
                    len, cap, closed, ..
                }),
                operation,
            ) => {
                let stays = match operation {
                    Operation::Receive => *len == 0,
                    Operation::Send => len >= cap,
                    _ => false,
                };
                stays && !closed
            }
            (Some(ObjectState::Mutex(state)), Operation::Lock) => state.locked,
            (Some(ObjectState::RwMutex { writer, .. }), Operation::Lock) => writer.locked,
            (Some(ObjectState::RwMutex { writer_pending, .. }), Operation::ReadLock) => {
                *writer_pending
            }
            (Some(ObjectState::RwMutex { reader_wait, .. }), Operation::DrainReaders) => {
                *reader_wait > 0
            }
            (Some(ObjectState::WaitGroup { counter, .. }), Operation::Wait) => *counter > 0,
            (Some(ObjectState::Cond { waiters, .. }), Operation::CondWait) => *waiters > 0,
            _ => false,
        }
    }
}

/// Any one of `holders` has to act on `object`.
fn one_of(object: TargetAddr, holders: Vec<Goid>) -> Requirement {
    Requirement::Release {
        object,
        holders: Arc::new(HolderSet {
            holders,
            need: Need::OneOf,
            complete: true,
            unseen: Vec::new(),
        }),
    }
}

#[cfg(test)]
mod tests;
