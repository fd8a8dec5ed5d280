//! Events against memory, in hand-made and random orders.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use rustc_hash::FxHashMap;

use super::*;
use ids::{Goid, ImageAddr, LoadBias, Pid, TargetAddr};
use image::WaitReason;
use snapshot::{Goroutine, SamplingOutcome, Snapshot, Stack, Status, WaitSince};

const MS: u64 = 1_000_000;

fn g(goid: u64) -> TargetAddr {
    TargetAddr(0xc000 + goid * 0x200)
}

fn parked(goid: u64, reason: WaitReason, at_ns: u64) -> Event {
    Event::Parked(Parked {
        g: g(goid),
        reason,
        at_ns,
    })
}

fn woken(goid: u64, at_ns: u64) -> Event {
    Event::Woken { g: g(goid), at_ns }
}

/// A goroutine that waits for a mutex; `parks` counts its parks.
fn waiter(goid: u64, parks: u8) -> Goroutine {
    Goroutine {
        goid: Goid(goid),
        g: g(goid),
        status: Status::Waiting,
        wait_reason: Some(WaitReason::MutexLock),
        since: WaitSince::Unknown,
        waits_on: Vec::new(),
        parent: None,
        created_at: None,
        start: ImageAddr(0),
        system: false,
        thread: None,
        locked_to_thread: false,
        stack_bounds: (TargetAddr(0), TargetAddr(0)),
        sp: TargetAddr(0x1000),
        stack: Arc::new(Stack::default()),
        sampled: None,
        parks: Some(parks),
    }
}

fn snapshot(taken_ns: u64, goroutines: Vec<Goroutine>) -> Snapshot {
    Snapshot {
        pid: Pid(1),
        taken_ns,
        bias: LoadBias(0),
        goroutines,
        objects: FxHashMap::default(),
        threads: Vec::new(),
        scheduler: None,
        incomplete: Vec::new(),
        sampling: SamplingOutcome::default(),
    }
}

fn dated(state: &mut ProcessState, taken_ns: u64, goroutine: Goroutine) -> WaitSince {
    let mut snapshot = snapshot(taken_ns, vec![goroutine]);
    state.apply_snapshot(&mut snapshot);
    snapshot.goroutines[0].since
}

#[test]
fn a_park_that_memory_confirms_dates_the_wait_exactly() {
    let mut state = ProcessState::new();
    state.apply(parked(7, WaitReason::MutexLock, 5 * MS));
    assert_eq!(
        dated(&mut state, 9 * MS, waiter(7, 1)),
        WaitSince::Exact(5 * MS)
    );
    assert_eq!(
        dated(&mut state, 12 * MS, waiter(7, 1)),
        WaitSince::Exact(5 * MS),
        "and still does at the next look"
    );
}

#[test]
fn memory_overrules_events() {
    let mut state = ProcessState::new();
    state.apply(parked(7, WaitReason::ChanSend, 5 * MS));
    assert_eq!(
        dated(&mut state, 9 * MS, waiter(7, 1)),
        WaitSince::AtLeast(9 * MS),
        "it waits for something else by now"
    );
    let mut state = ProcessState::new();
    state.apply(parked(7, WaitReason::MutexLock, 5 * MS));
    let running = Goroutine {
        status: Status::Running,
        wait_reason: None,
        ..waiter(7, 1)
    };
    assert_eq!(dated(&mut state, 6 * MS, running), WaitSince::Unknown);
    assert_eq!(
        dated(&mut state, 9 * MS, waiter(7, 2)),
        WaitSince::AtLeast(9 * MS),
        "the park was over when it was seen to run"
    );
}

#[test]
fn without_events_the_first_look_dates_a_wait() {
    let mut state = ProcessState::new();
    assert_eq!(
        dated(&mut state, 3 * MS, waiter(7, 1)),
        WaitSince::AtLeast(3 * MS)
    );
    assert_eq!(
        dated(&mut state, 8 * MS, waiter(7, 1)),
        WaitSince::AtLeast(3 * MS)
    );
    assert_eq!(
        dated(&mut state, 9 * MS, waiter(7, 2)),
        WaitSince::AtLeast(9 * MS),
        "it ran in between"
    );
    let known = Goroutine {
        since: WaitSince::AtLeast(MS),
        ..waiter(7, 2)
    };
    assert_eq!(dated(&mut state, 10 * MS, known), WaitSince::AtLeast(MS));
}

#[test]
fn a_loss_is_repaired_by_a_look() {
    let schedule = Schedule::default();
    let mut state = ProcessState::new();
    assert_eq!(state.needs_look(0, &schedule), Some(Why::Never));
    state.apply_snapshot(&mut snapshot(0, Vec::new()));
    assert_eq!(state.needs_look(600 * MS, &schedule), None);
    state.apply(parked(7, WaitReason::MutexLock, 601 * MS));
    state.apply(Event::Lost { count: 3 });
    assert_eq!(state.needs_look(602 * MS, &schedule), Some(Why::Lost));
    assert_eq!(
        dated(&mut state, 700 * MS, waiter(7, 1)),
        WaitSince::AtLeast(700 * MS),
        "what came before a loss dates nothing"
    );
    assert_eq!(state.needs_look(1300 * MS, &schedule), None);
    assert_eq!(state.lost(), 3);
}

#[test]
fn a_long_wait_for_a_lock_is_examined_once() {
    let schedule = Schedule::default();
    let mut state = ProcessState::new();
    state.apply_snapshot(&mut snapshot(0, Vec::new()));
    state.apply(parked(7, WaitReason::MutexLock, 600 * MS));
    state.apply(parked(8, WaitReason::ChanReceive, 600 * MS));
    assert_eq!(state.needs_look(700 * MS, &schedule), None);
    assert_eq!(state.needs_look(801 * MS, &schedule), Some(Why::LockWait));
    dated(&mut state, 900 * MS, waiter(7, 1));
    assert_eq!(state.needs_look(1500 * MS, &schedule), None);
    assert_eq!(
        state.needs_look(10_900 * MS, &schedule),
        Some(Why::Interval)
    );
}

#[test]
fn a_short_wait_needs_no_look() {
    let mut state = ProcessState::new();
    state.apply_snapshot(&mut snapshot(0, Vec::new()));
    state.apply(parked(7, WaitReason::MutexLock, 600 * MS));
    state.apply(woken(7, 601 * MS));
    assert_eq!(state.needs_look(2000 * MS, &Schedule::default()), None);
}

#[test]
fn the_park_table_replaces_what_events_told() {
    let wait = |goid, at_ns| Parked {
        g: g(goid),
        reason: WaitReason::MutexLock,
        at_ns,
    };
    let schedule = Schedule::default();
    let mut state = ProcessState::new();
    state.apply_snapshot(&mut snapshot(0, Vec::new()));
    state.apply_parked([wait(7, 100 * MS)]);
    assert_eq!(state.needs_look(600 * MS, &schedule), Some(Why::LockWait));
    state.apply_parked([]);
    assert_eq!(state.needs_look(600 * MS, &schedule), None);
    // A wait that an inspection has seen deserves no other, as long as it lasts.
    state.apply_snapshot(&mut snapshot(700 * MS, vec![waiter(7, 1)]));
    state.apply_parked([wait(7, 100 * MS)]);
    assert_eq!(state.needs_look(2000 * MS, &schedule), None);
    state.apply_parked([wait(7, 100 * MS), wait(8, 800 * MS)]);
    assert_eq!(state.needs_look(2000 * MS, &schedule), Some(Why::LockWait));
}

#[test]
fn while_somebody_waits_for_a_lock_any_wait_deserves_a_look() {
    let wait = |goid, reason, at_ns| Parked {
        g: g(goid),
        reason,
        at_ns,
    };
    let lock = wait(7, WaitReason::MutexLock, 100 * MS);
    let channel = wait(8, WaitReason::ChanReceive, 800 * MS);
    let schedule = Schedule::default();
    let mut state = ProcessState::new();
    state.apply_snapshot(&mut snapshot(700 * MS, vec![waiter(7, 1)]));
    state.apply_parked([channel]);
    assert_eq!(state.needs_look(2000 * MS, &schedule), None);
    // It may hold the lock that the other has been waiting for.
    state.apply_parked([channel, lock]);
    assert_eq!(state.needs_look(2000 * MS, &schedule), Some(Why::LongWait));
    let seldom = Schedule {
        hint_gap: Duration::from_secs(5),
        ..schedule
    };
    assert_eq!(state.needs_look(2000 * MS, &seldom), None);
    state.apply_parked([channel, lock, wait(9, WaitReason::MutexLock, 900 * MS)]);
    assert_eq!(state.needs_look(2000 * MS, &seldom), Some(Why::LockWait));
}

#[test]
fn who_is_seen_to_wait_for_a_semaphore_in_glance_after_glance_deserves_one_look() {
    let queued = |goid: u64, sudog| SemaphoreWaiter {
        g: g(goid),
        sudog: TargetAddr(sudog),
        semaphore: TargetAddr(0x5e4a),
    };
    let schedule = Schedule::default();
    let mut state = ProcessState::new();
    state.apply_snapshot(&mut snapshot(0, Vec::new()));
    state.apply_glance([queued(7, 1), queued(8, 2)], 600 * MS);
    // It has waited, and waits again.
    state.apply_glance([queued(7, 3)], 850 * MS);
    assert_eq!(state.needs_look(1000 * MS, &schedule), None);
    state.apply_glance([queued(7, 3)], 1100 * MS);
    assert_eq!(state.needs_look(1100 * MS, &schedule), Some(Why::LockWait));
    state.apply_snapshot(&mut snapshot(1200 * MS, Vec::new()));
    state.apply_glance([queued(7, 3)], 2000 * MS);
    assert_eq!(state.needs_look(2000 * MS, &schedule), None);
    state.apply_glance([queued(7, 3), queued(9, 4)], 2250 * MS);
    assert_eq!(state.needs_look(2500 * MS, &schedule), None);
    // It has not run since, and need not be read again.
    state.apply_stillness(2500 * MS);
    assert_eq!(state.needs_look(2500 * MS, &schedule), Some(Why::LockWait));
}

#[test]
fn a_hint_at_a_lock_leads_to_one_look_after_a_while() {
    let schedule = Schedule::default();
    let mut state = ProcessState::new();
    state.apply_snapshot(&mut snapshot(0, Vec::new()));
    for at in [700, 750, 800] {
        state.apply(Event::LockHint { at_ns: at * MS });
    }
    assert_eq!(state.needs_look(850 * MS, &schedule), None);
    assert_eq!(state.needs_look(900 * MS, &schedule), Some(Why::LongWait));
    dated(&mut state, 900 * MS, waiter(7, 1));
    assert_eq!(state.needs_look(2000 * MS, &schedule), None);
}

proptest! {
    /// Whatever events come in whatever order: nobody who runs is dated, and no date lies after
    /// the snapshot or before a park that could have begun the wait.
    #[test]
    fn events_never_outweigh_memory(
        events in prop::collection::vec((0_u64..4, 0_u8..4), 0..60),
        running in any::<bool>(),
    ) {
        let mut state = ProcessState::new();
        for (at, (goid, what)) in (1_u64..).zip(events.iter().copied()) {
            state.apply(match what {
                0 => parked(goid, WaitReason::MutexLock, at),
                1 => parked(goid, WaitReason::Select, at),
                2 => woken(goid, at),
                _ => Event::Lost { count: 1 },
            });
        }
        let taken = 40;
        let status = if running { Status::Running } else { Status::Waiting };
        let goroutine = Goroutine { status, ..waiter(1, 1) };
        let since = dated(&mut state, taken, goroutine);
        let began = events.iter().zip(1_u64..).any(|(event, at)| {
            *event == (1, 0) && WaitSince::Exact(at) == since
        });
        match since {
            WaitSince::Unknown => prop_assert!(running),
            WaitSince::AtLeast(ns) => prop_assert!(!running && ns == taken),
            WaitSince::Exact(ns) => prop_assert!(!running && ns <= taken && began),
        }
    }
}
