//! What each kind of wait needs.

use super::*;
use crate::finding::fixture::Process;
use snapshot::{Status, WaitSince};

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
fn nobody_wakes_whom_the_runtime_has_marked() {
    let mut process = Process::new();
    process.channel(0xc0, 0, 0);
    process.waits(1, WaitReason::ChanReceive, Operation::Receive, 0xc0);
    process.goroutine(1).status = Status::Leaked;
    assert_eq!(of(&process, 1), signal(&[]));
}

#[test]
fn channels_need_a_signal_of_timers_too() {
    let mut process = Process::new();
    process.channel(0xc0, 0, 0);
    process.channel(0xc8, 2, 2);
    process.waits(1, WaitReason::ChanReceive, Operation::Receive, 0xc0);
    process.waits(2, WaitReason::ChanSend, Operation::Send, 0xc8);
    assert_eq!(of(&process, 1), signal(&[0xc0]));
    assert_eq!(of(&process, 2), signal(&[0xc8]));
    process.selects(3, &[(Operation::Receive, 0xc0), (Operation::Send, 0xc8)]);
    assert_eq!(of(&process, 3), signal(&[0xc0, 0xc8]));
    // A pending timer is one of those who may reach its channel; a stopped one is not.
    process.timer_channel(0xd0);
    process.selects(4, &[(Operation::Receive, 0xc0), (Operation::Receive, 0xd0)]);
    assert_eq!(of(&process, 4), signal(&[0xc0, 0xd0]));
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
        Assume::SeenActors(&Resumers::default()),
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
