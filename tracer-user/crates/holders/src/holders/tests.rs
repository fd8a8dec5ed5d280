//! From releases and the lock's own state to holders.

use std::sync::Arc;

use super::*;
use crate::{Evidence, Held, Taken};
use ids::{ImageAddr, LoadBias, Pid};
use snapshot::{
    InnermostPc, MutexState, ObjectId, ObjectKind, SamplingOutcome, Stack, StackFrame, Status,
    WaitSince,
};

const LOCK: TargetAddr = TargetAddr(0xa000);

fn goroutine(goid: u64, status: Status) -> Goroutine {
    let frames = match status {
        Status::Running => Vec::new(),
        _ => vec![StackFrame {
            pc: ImageAddr(0x1000),
            sp_offset: 0,
            fp_offset: 16,
        }],
    };
    Goroutine {
        goid: Goid(goid),
        g: TargetAddr(goid << 12),
        status,
        wait_reason: None,
        since: WaitSince::Unknown,
        waits_on: Vec::new(),
        parent: None,
        created_at: None,
        start: ImageAddr(0x1000),
        system: false,
        thread: None,
        locked_to_thread: false,
        parks: None,
        stack_bounds: (TargetAddr(0), TargetAddr(0x1000)),
        sp: TargetAddr(0x800),
        stack: Arc::new(Stack {
            frames,
            truncated: status == Status::Running,
            innermost: InnermostPc::ReturnAddress,
        }),
        sampled: None,
    }
}

/// A process in which `LOCK` is locked and `releases` happen later, and who holds it.
fn held(
    state: ObjectState,
    statuses: &[(u64, Status)],
    releases: &[(u64, PendingRelease)],
) -> LockHolders {
    let object = SyncObject {
        id: ObjectId {
            addr: LOCK,
            kind: ObjectKind::Mutex,
        },
        state: Some(state),
        waiters: vec![Goid(1)],
    };
    let snapshot = Snapshot {
        pid: Pid(1),
        taken_ns: 0,
        bias: LoadBias(0),
        goroutines: statuses.iter().map(|(g, s)| goroutine(*g, *s)).collect(),
        objects: [(LOCK, object)].into_iter().collect(),
        threads: Vec::new(),
        scheduler: None,
        incomplete: Vec::new(),
        sampling: SamplingOutcome::default(),
    };
    let mut pending: FxHashMap<Goid, Vec<PendingRelease>> = FxHashMap::default();
    for (goid, release) in releases {
        let of_goroutine = pending.entry(Goid(*goid)).or_default();
        of_goroutine.push(release.clone());
    }
    let locks = Locks {
        pending,
        ..Locks::default()
    };
    holders(&snapshot, &locks).remove(&LOCK).expect("a lock")
}

fn locked() -> ObjectState {
    ObjectState::Mutex(MutexState::from(1 | 1 << 3))
}

const PARKED: [(u64, Status); 3] = [
    (1, Status::Waiting),
    (2, Status::Waiting),
    (3, Status::Waiting),
];

fn release(
    object: TargetAddr,
    kind: ReleaseKind,
    certainty: Certainty,
    acquired: Option<Acquisition>,
) -> PendingRelease {
    PendingRelease {
        object,
        kind,
        certainty,
        evidence: Evidence {
            frame: 0,
            site: ImageAddr(0x1000),
            held: Held::Continuation,
        },
        acquired,
    }
}

type Released = (u64, TargetAddr, Certainty, Option<Acquisition>);

fn exclusive(statuses: &[(u64, Status)], releases: &[Released]) -> HolderSet {
    let release = |&(goid, object, certainty, acquired): &Released| {
        (
            goid,
            release(object, ReleaseKind::Unlock, certainty, acquired),
        )
    };
    let releases: Vec<_> = releases.iter().map(release).collect();
    held(locked(), statuses, &releases).exclusive
}

fn goids(set: &HolderSet) -> Vec<u64> {
    set.holders.iter().map(|goid| goid.0).collect()
}

fn taken(taken: Taken) -> Option<Acquisition> {
    Some(Acquisition {
        frame: 0,
        site: ImageAddr(0x2000),
        taken,
    })
}

#[test]
fn two_witnesses_make_an_owner() {
    let owned = |certainty, acquired| {
        let release = release(LOCK, ReleaseKind::Unlock, certainty, acquired);
        release.is_owned()
    };
    use Certainty::{Certain, Conditional, Possible};
    use Taken::{BeforeUnknownCode, OnEveryPath, OnSomePaths};
    assert!(owned(Certain, taken(OnEveryPath)));
    assert!(owned(Conditional, taken(OnEveryPath)));
    assert!(owned(Certain, taken(BeforeUnknownCode)));
    assert!(!owned(Conditional, taken(BeforeUnknownCode)));
    assert!(!owned(Possible, taken(OnEveryPath)));
    assert!(!owned(Certain, taken(OnSomePaths)));
    assert!(!owned(Certain, None), "it may be handed over");
}

#[test]
fn whoever_may_release_is_an_alternative_to_the_owner() {
    let owner = (2, LOCK, Certainty::Certain, taken(Taken::OnEveryPath));
    let set = exclusive(&PARKED, &[owner, (3, LOCK, Certainty::Possible, None)]);
    assert!(set.is_closed());
    assert_eq!(goids(&set), [2, 3]);
}

#[test]
fn a_future_alone_completes_no_set() {
    for certainty in [
        Certainty::Possible,
        Certainty::Conditional,
        Certainty::Certain,
    ] {
        let set = exclusive(&PARKED, &[(3, LOCK, certainty, None)]);
        assert!(!set.complete, "{certainty:?}");
        assert_eq!(goids(&set), [3]);
    }
}

#[test]
fn two_owners_of_one_lock_are_one_too_many() {
    let owner = |goid| (goid, LOCK, Certainty::Certain, taken(Taken::OnEveryPath));
    assert!(!exclusive(&PARKED, &[owner(2), owner(3)]).complete);
}

#[test]
fn whoever_was_not_seen_may_be_the_holder() {
    let running = [
        (1, Status::Waiting),
        (2, Status::Waiting),
        (3, Status::Running),
    ];
    let owner = (2, LOCK, Certainty::Certain, taken(Taken::OnEveryPath));
    let set = exclusive(&running, &[owner]);
    assert!(set.complete && !set.is_closed());
    assert_eq!(set.unseen, [Goid(3)]);
}

#[test]
fn more_readers_than_are_counted_prove_nothing() {
    let state = |reader_wait| ObjectState::RwMutex {
        writer: MutexState::from(1),
        readers: reader_wait,
        writer_pending: true,
        reader_wait,
    };
    let reads = |acquired| {
        [2, 3].map(|goid| {
            let release = release(LOCK, ReleaseKind::ReadUnlock, Certainty::Certain, acquired);
            (goid, release)
        })
    };
    let readers = |count, acquired| held(state(count), &PARKED, &reads(acquired)).readers;
    let owned = taken(Taken::OnEveryPath);
    assert!(readers(2, owned).complete);
    assert_eq!(goids(&readers(2, owned)), [2, 3]);
    assert!(!readers(1, owned).complete);
    assert!(!readers(2, None).complete);
}

#[test]
fn whoever_else_may_give_a_read_lock_back_has_to_be_dead_too() {
    let state = ObjectState::RwMutex {
        writer: MutexState::from(1),
        readers: 2,
        writer_pending: true,
        reader_wait: 2,
    };
    let read = |goid, object, certainty, acquired| {
        let release = release(object, ReleaseKind::ReadUnlock, certainty, acquired);
        (goid, release)
    };
    let owner = read(2, LOCK, Certainty::Certain, taken(Taken::OnEveryPath));
    let perhaps = read(3, LOCK, Certainty::Certain, taken(Taken::OnSomePaths));
    let nameless = read(1, TargetAddr(0), Certainty::Possible, None);
    let timer = read(TIMERS.0, LOCK, Certainty::Possible, None);
    let found = |releases: &[_]| held(state.clone(), &PARKED, releases);
    let known = found(&[owner.clone(), perhaps.clone(), nameless.clone()]);
    assert!(!known.readers.complete);
    assert!(known.any_reader.is_closed());
    assert_eq!(known.any_reader.need, Need::OneOf);
    assert_eq!(goids(&known.any_reader), [2, 1, 3]);
    assert!(!found(&[perhaps.clone(), nameless]).any_reader.complete);
    assert!(!found(&[owner, perhaps, timer]).any_reader.complete);
}

#[test]
fn who_owes_a_done_is_never_known_for_certain() {
    let group = ObjectState::WaitGroup {
        counter: 1,
        waiters: 1,
    };
    let done = release(LOCK, ReleaseKind::Done, Certainty::Certain, None);
    let set = held(group, &PARKED, &[(2, done)]).exclusive;
    assert!(!set.complete);
    assert_eq!(goids(&set), [2]);
}

#[test]
fn what_a_timer_may_release_is_nobodys_for_certain() {
    let owner = (2, LOCK, Certainty::Certain, taken(Taken::OnEveryPath));
    let timer = (TIMERS.0, LOCK, Certainty::Possible, None);
    let set = exclusive(&PARKED, &[owner, timer]);
    assert!(!set.complete);
    assert_eq!(goids(&set), [2]);
}
