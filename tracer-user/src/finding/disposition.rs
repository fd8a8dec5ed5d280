//! From what a snapshot says of each goroutine to what the wait graph needs to know: does it move
//! by itself, and if not, what frees it?
//!
//! Whatever cannot be told for certain counts as live, because a false proof is worse than silence.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    graph::{Disposition, GoroutineNode, HolderSet, Need, Requirement},
    ids::{Goid, TargetAddr},
    image::WaitReason,
    release::{LockHolders, PendingRelease, ReleaseKind},
    snapshot::{
        Goroutine, ObjectKind, ObjectState, Operation, Snapshot, SyncObject, ThreadState, WaitOn,
    },
};

/// What may be assumed of objects whose satisfiers are not known for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assume {
    /// Whoever can reach an object may act on it. What is dead under this is dead.
    Anyone,
    /// Only those act on an object whose code was seen to. What is dead under this only is worth a
    /// suspicion.
    SeenActors,
}

/// The graph nodes of all user goroutines.
///
/// System goroutines are left out: they take no user locks, and a holder that is not in the graph
/// counts as live.
pub(super) fn nodes(
    snapshot: &Snapshot,
    holders: &FxHashMap<TargetAddr, LockHolders>,
    pending: &FxHashMap<Goid, Vec<PendingRelease>>,
    assume: Assume,
) -> Vec<GoroutineNode> {
    let mut reader = Reader {
        objects: &snapshot.objects,
        holders,
        actors: match assume {
            Assume::Anyone => FxHashMap::default(),
            Assume::SeenActors => actors(pending),
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

struct Reader<'a> {
    objects: &'a FxHashMap<TargetAddr, SyncObject>,
    holders: &'a FxHashMap<TargetAddr, LockHolders>,
    actors: Actors,
    assume: Assume,
    /// Holder sets already built, to be shared by all waiters of an object.
    sets: FxHashMap<(TargetAddr, Need), Arc<HolderSet>>,
}

impl Reader<'_> {
    fn disposition(&mut self, g: &Goroutine) -> Disposition {
        if !g.status.is_parked() {
            return Disposition::Live;
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
            // Sleep and I/O end by themselves. The partner of a coroutine (iter.Pull) resumes it by
            // a direct switch: the partner would have to be found first. A synctest bubble has its
            // own detector. The rest is the runtime's own business, or nothing we know.
            Some(
                WaitReason::Sleep
                | WaitReason::IoWait
                | WaitReason::Coroutine
                | WaitReason::Synctest
                | WaitReason::FinalizerWait
                | WaitReason::Runtime
                | WaitReason::Unknown,
            )
            | None => Disposition::Live,
        }
    }

    fn channels(&self, waits_on: &[WaitOn]) -> Disposition {
        let stays =
            |wait: &WaitOn| wait.object.kind == ObjectKind::Channel && self.state_holds(*wait);
        if waits_on.is_empty() || !waits_on.iter().all(stays) {
            return Disposition::Live;
        }
        if self.assume == Assume::SeenActors
            && let Some(requirement) = self.seen_partners(waits_on)
        {
            return Disposition::Blocked(requirement);
        }
        Disposition::Blocked(Requirement::Signal {
            objects: waits_on.iter().map(|wait| wait.object.addr).collect(),
        })
    }

    /// The goroutines whose code was seen to serve any of `waits_on`, if there are any for each.
    fn seen_partners(&self, waits_on: &[WaitOn]) -> Option<Requirement> {
        let mut partners = FxHashSet::default();
        for wait in waits_on {
            let before = partners.len();
            for kind in satisfiers(wait.operation) {
                partners.extend(
                    self.actors
                        .get(&(wait.object.addr, *kind))
                        .into_iter()
                        .flatten(),
                );
            }
            if partners.len() == before {
                return None;
            }
        }
        let mut holders: Vec<Goid> = partners.into_iter().copied().collect();
        holders.sort_unstable();
        Some(Requirement::Release {
            object: waits_on.first()?.object.addr,
            holders: Arc::new(HolderSet {
                holders,
                need: Need::OneOf,
                complete: true,
                unseen: Vec::new(),
            }),
        })
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
        if self.assume == Assume::SeenActors
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
            Operation::DrainReaders => (&known.readers, Need::All),
            Operation::Wait => (&known.exclusive, Need::All),
            Operation::Send | Operation::Receive | Operation::CondWait | Operation::Acquire => {
                return None;
            }
        };
        let usable = set.complete || self.assume == Assume::SeenActors;
        if !usable || set.need != need || set.holders.is_empty() {
            return None;
        }
        let shared = self.sets.entry((object, need)).or_insert_with(|| {
            let mut set = HolderSet {
                complete: true,
                ..set.clone()
            };
            if self.assume == Assume::SeenActors {
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
                    len,
                    cap,
                    closed,
                    timer,
                    ..
                }),
                operation,
            ) => {
                let stays = match operation {
                    Operation::Receive => *len == 0,
                    Operation::Send => len >= cap,
                    _ => false,
                };
                stays && !closed && !timer
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::fixture::Process,
        snapshot::{Status, WaitSince},
    };

    fn of(process: &Process, goid: u64) -> Disposition {
        let nodes = nodes(
            &process.snapshot,
            &process.holders,
            &process.pending,
            Assume::Anyone,
        );
        let node = nodes.into_iter().find(|n| n.goid == Goid(goid));
        node.expect("a user goroutine").disposition
    }

    fn released_by(disposition: &Disposition) -> (Need, Vec<u64>) {
        match disposition {
            Disposition::Blocked(Requirement::Release { holders, .. }) => {
                (holders.need, holders.holders.iter().map(|g| g.0).collect())
            }
            other => panic!("no release: {other:?}"),
        }
    }

    fn signal(objects: &[u64]) -> Disposition {
        Disposition::Blocked(Requirement::Signal {
            objects: objects.iter().copied().map(TargetAddr).collect(),
        })
    }

    #[test]
    fn whoever_runs_or_is_woken_from_outside_is_live() {
        let mut process = Process::new();
        for (goid, status) in [
            (1, Status::Running),
            (2, Status::Runnable),
            (3, Status::Syscall),
            (4, Status::Preempted),
            (5, Status::CopyStack),
            (6, Status::Idle),
        ] {
            process.runs(goid, status);
            assert_eq!(of(&process, goid), Disposition::Live, "{status:?}");
        }
        for (goid, reason) in [
            (11, WaitReason::Sleep),
            (12, WaitReason::IoWait),
            (13, WaitReason::Runtime),
            (14, WaitReason::FinalizerWait),
            (15, WaitReason::Unknown),
            (16, WaitReason::Coroutine),
            (17, WaitReason::Synctest),
        ] {
            process.parks(goid, reason, &[]);
            assert_eq!(of(&process, goid), Disposition::Live, "{reason:?}");
        }
    }

    #[test]
    fn system_goroutines_are_left_out() {
        let mut process = Process::new();
        process.runs(1, Status::Running);
        process.parks(2, WaitReason::ChanReceiveNil, &[]).system = true;
        let all = nodes(
            &process.snapshot,
            &process.holders,
            &process.pending,
            Assume::Anyone,
        );
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn nil_channels_and_empty_selects_never_wake() {
        let mut process = Process::new();
        for (goid, reason) in [
            (1, WaitReason::ChanReceiveNil),
            (2, WaitReason::ChanSendNil),
            (3, WaitReason::SelectNoCases),
        ] {
            process.parks(goid, reason, &[]);
            assert_eq!(of(&process, goid), Disposition::Blocked(Requirement::Never));
        }
        process.goroutine(1).status = Status::Leaked;
        assert_eq!(of(&process, 1), Disposition::Blocked(Requirement::Never));
    }

    #[test]
    fn channels_need_a_signal_unless_a_timer_sends() {
        let mut process = Process::new();
        process.channel(0xc0, 0, 0);
        process.channel(0xc8, 2, 2);
        process.waits(1, WaitReason::ChanReceive, Operation::Receive, 0xc0);
        process.waits(2, WaitReason::ChanSend, Operation::Send, 0xc8);
        assert_eq!(of(&process, 1), signal(&[0xc0]));
        assert_eq!(of(&process, 2), signal(&[0xc8]));
        process.selects(3, &[(Operation::Receive, 0xc0), (Operation::Send, 0xc8)]);
        assert_eq!(of(&process, 3), signal(&[0xc0, 0xc8]));
        process.timer_channel(0xd0);
        process.selects(4, &[(Operation::Receive, 0xc0), (Operation::Receive, 0xd0)]);
        assert_eq!(of(&process, 4), Disposition::Live);
    }

    #[test]
    fn a_channel_that_can_serve_its_waiter_is_waking_it() {
        let mut process = Process::new();
        process.channel(0xc0, 1, 2);
        process.waits(1, WaitReason::ChanReceive, Operation::Receive, 0xc0);
        process.waits(2, WaitReason::ChanSend, Operation::Send, 0xc0);
        assert_eq!(of(&process, 1), Disposition::Live);
        assert_eq!(of(&process, 2), Disposition::Live);
        process.parks(3, WaitReason::ChanReceive, &[]);
        assert_eq!(
            of(&process, 3),
            Disposition::Live,
            "no object could be read"
        );
    }

    #[test]
    fn a_mutex_is_released_by_its_holder_while_locked() {
        let mut process = Process::new();
        process.mutex(0xa0, true, &[7]);
        process.locks(1, 0xa0);
        assert_eq!(released_by(&of(&process, 1)), (Need::OneOf, vec![7]));
        process.mutex(0xa0, false, &[7]);
        assert_eq!(
            of(&process, 1),
            Disposition::Live,
            "it is being handed over"
        );
    }

    #[test]
    fn unknown_holders_are_whoever_reaches_the_lock() {
        let mut process = Process::new();
        process.mutex(0xa0, true, &[]);
        process.locks(1, 0xa0);
        assert_eq!(of(&process, 1), signal(&[0xa0]));
        process.mutex(0xa0, true, &[7]).exclusive.complete = false;
        assert_eq!(of(&process, 1), signal(&[0xa0]));
        let suspected = nodes(
            &process.snapshot,
            &process.holders,
            &process.pending,
            Assume::SeenActors,
        );
        assert_eq!(
            released_by(&suspected[0].disposition),
            (Need::OneOf, vec![7])
        );
    }

    #[test]
    fn readers_wait_for_the_writer_and_the_writer_for_all_readers() {
        let mut process = Process::new();
        process.rwmutex(0xb0, &[8, 9], Some(2));
        process.waits(2, WaitReason::RwMutexLock, Operation::DrainReaders, 0xb0);
        process.waits(3, WaitReason::RwMutexRLock, Operation::ReadLock, 0xb0);
        process.waits(4, WaitReason::MutexLock, Operation::Lock, 0xb0);
        assert_eq!(released_by(&of(&process, 2)), (Need::All, vec![8, 9]));
        assert_eq!(released_by(&of(&process, 3)), (Need::OneOf, vec![2]));
        assert_eq!(released_by(&of(&process, 4)), (Need::OneOf, vec![2]));
    }

    #[test]
    fn a_wait_group_waits_for_all_owed_dones_when_all_are_known() {
        let mut process = Process::new();
        process.wait_group(0xe0, 2, &[5, 6], true);
        process.waits(1, WaitReason::WaitGroupWait, Operation::Wait, 0xe0);
        assert_eq!(released_by(&of(&process, 1)), (Need::All, vec![5, 6]));
        process.wait_group(0xe0, 3, &[5, 6], false);
        assert_eq!(of(&process, 1), signal(&[0xe0]));
        process.wait_group(0xe0, 0, &[5, 6], true);
        assert_eq!(of(&process, 1), Disposition::Live);
    }

    #[test]
    fn a_process_without_anything_outside_is_closed() {
        let mut process = Process::new();
        process.parks(1, WaitReason::ChanReceiveNil, &[]).since = WaitSince::Unknown;
        assert!(!outside_may_act(&process.snapshot));
        process.scheduler().timers = 1;
        assert!(outside_may_act(&process.snapshot));
        process.scheduler().timers = 0;
        process.thread(ThreadState::Foreign);
        assert!(outside_may_act(&process.snapshot));
    }
}
