//! From releases and the lock's own state to holders.

use std::sync::Arc;

use super::*;
use crate::{
    ids::{ImageAddr, LoadBias, Pid},
    release::{Evidence, Held},
    snapshot::{
        InnermostPc, MutexState, ObjectId, ObjectKind, SamplingOutcome, Stack, StackFrame, Status,
        WaitSince,
    },
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
        wait_reason: (goid == 9).then_some(WaitReason::ChanReceive),
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

/// A process in which `LOCK` is locked and `releases` happen later, and who holds it. Goroutine 9
/// waits for a message.
fn held(
    state: ObjectState,
    statuses: &[(u64, Status)],
    releases: &[(u64, TargetAddr, ReleaseKind, Certainty)],
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
    for &(goid, object, kind, certainty) in releases {
        pending.entry(Goid(goid)).or_default().push(PendingRelease {
            object,
            kind,
            certainty,
            evidence: Evidence {
                frame: 0,
                site: ImageAddr(0x1000),
                held: Held::Continuation,
            },
            acquired: None,
        });
    }
    holders(&snapshot, &pending).remove(&LOCK).expect("a lock")
}

fn locked() -> ObjectState {
    ObjectState::Mutex(MutexState::from(1 | 1 << 3))
}

const PARKED: [(u64, Status); 3] = [
    (1, Status::Waiting),
    (2, Status::Waiting),
    (3, Status::Waiting),
];

fn exclusive(statuses: &[(u64, Status)], releases: &[(u64, TargetAddr, Certainty)]) -> HolderSet {
    let releases: Vec<_> = releases
        .iter()
        .map(|&(goid, object, certainty)| (goid, object, ReleaseKind::Unlock, certainty))
        .collect();
    held(locked(), statuses, &releases).exclusive
}

fn goids(set: &HolderSet) -> Vec<u64> {
    set.holders.iter().map(|goid| goid.0).collect()
}

#[test]
fn whoever_may_release_is_an_alternative_to_whoever_must() {
    let set = exclusive(
        &PARKED,
        &[
            (2, LOCK, Certainty::Certain),
            (3, LOCK, Certainty::Possible),
        ],
    );
    assert!(set.is_closed());
    assert_eq!(goids(&set), [2, 3]);
    let alone = exclusive(&PARKED, &[(3, LOCK, Certainty::Possible)]);
    assert!(!alone.complete);
}

#[test]
fn a_lock_found_through_memory_may_be_anybodys_who_was_not_seen() {
    let releases = [(2, LOCK, Certainty::Conditional)];
    assert!(exclusive(&PARKED, &releases).is_closed());
    let running = [
        (1, Status::Waiting),
        (2, Status::Waiting),
        (3, Status::Running),
    ];
    let set = exclusive(&running, &releases);
    assert!(set.complete && !set.is_closed());
    assert_eq!(set.unseen, [Goid(3)]);
    let certain = exclusive(&running, &[(2, LOCK, Certainty::Certain)]);
    assert!(certain.is_closed(), "its own frames name the lock");
}

#[test]
fn whoever_releases_an_unknown_lock_may_release_this_one() {
    let unknown = TargetAddr(0);
    let set = exclusive(
        &PARKED,
        &[
            (2, LOCK, Certainty::Conditional),
            (3, unknown, Certainty::Possible),
        ],
    );
    assert_eq!(goids(&set), [2, 3]);
}

#[test]
fn more_readers_than_are_counted_prove_nothing() {
    let state = |reader_wait| ObjectState::RwMutex {
        writer: MutexState::from(1),
        readers: reader_wait,
        writer_pending: true,
        reader_wait,
    };
    let reads = |certainty| [2, 3].map(|goid| (goid, LOCK, ReleaseKind::ReadUnlock, certainty));
    let readers = |count, certainty| held(state(count), &PARKED, &reads(certainty)).readers;
    assert_eq!(goids(&readers(2, Certainty::Certain)), [2, 3]);
    assert!(!readers(1, Certainty::Certain).complete);
    assert!(!readers(1, Certainty::Conditional).complete);
    assert!(readers(2, Certainty::Conditional).complete);
}

#[test]
fn every_done_that_is_owed_must_be_found() {
    let state = |counter| ObjectState::WaitGroup {
        counter,
        waiters: 1,
    };
    let done = [2, 3].map(|goid| (goid, LOCK, ReleaseKind::Done, Certainty::Certain));
    assert!(held(state(2), &PARKED, &done).exclusive.complete);
    assert!(!held(state(3), &PARKED, &done).exclusive.complete);
}

#[test]
fn what_a_timer_may_release_is_nobodys_for_certain() {
    let by = |holder, timers_lock| {
        let timer = (TIMERS.0, timers_lock, Certainty::Possible);
        exclusive(&PARKED, &[(2, LOCK, holder), timer])
    };
    let set = by(Certainty::Certain, LOCK);
    assert!(!set.complete);
    assert_eq!(goids(&set), [2]);
    // A lock that could not be told may be this one, unless its owner names it.
    assert!(by(Certainty::Certain, TargetAddr(0)).complete);
    assert!(!by(Certainty::Conditional, TargetAddr(0)).complete);
}

#[test]
fn whoever_waits_for_a_message_may_be_told_that_the_lock_is_its_own() {
    let unknown = TargetAddr(0);
    let statuses = [
        (1, Status::Waiting),
        (3, Status::Running),
        (9, Status::Waiting),
    ];
    let alone = exclusive(&statuses, &[(9, LOCK, Certainty::Certain)]);
    assert_eq!(
        (goids(&alone), &alone.unseen[..]),
        (vec![9], &[Goid(3)][..])
    );
    let nameless = (3, unknown, Certainty::Possible);
    let set = exclusive(&statuses, &[(9, LOCK, Certainty::Certain), nameless]);
    assert_eq!(goids(&set), [3, 9]);
    let owner = (1, LOCK, Certainty::Certain);
    let set = exclusive(&statuses, &[(9, LOCK, Certainty::Certain), owner]);
    assert!(set.is_closed());
}

#[test]
fn a_done_by_a_timer_is_owed_by_nobody_that_was_found() {
    let group = || ObjectState::WaitGroup {
        counter: 1,
        waiters: 1,
    };
    let done = |goid| (goid, LOCK, ReleaseKind::Done, Certainty::Certain);
    assert!(held(group(), &PARKED, &[done(2)]).exclusive.complete);
    assert!(
        !held(group(), &PARKED, &[done(2), done(TIMERS.0)])
            .exclusive
            .complete
    );
}
