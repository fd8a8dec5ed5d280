//! Long waits behind live goroutines, limits, and nothing at all.

use std::time::Duration;

use super::*;
use holders::TIMERS;

#[test]
fn many_behind_one_live_goroutine_are_told_of_it() {
    let mut process = Process::new();
    process.parks(1, WaitReason::Sleep, &[]);
    process.parks(77, WaitReason::IoWait, &[]);
    process.mutex(0xa0, true, &[77]);
    for goid in 100..314 {
        process.locks(goid, 0xa0);
    }
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::RootBlocker);
    assert_eq!(
        finding.summary,
        "214 goroutines wait behind goroutine 77, which has held mutex 0xa0 for at least 4 m 10 s \
         in IO wait at main.wait (main.go:10)"
    );
    assert_eq!(finding.verdict, Verdict::Suspected);
    assert_eq!((finding.count, finding.waiting_behind), (215, 214));
    assert_eq!(finding.edges.len(), 214);
    assert_eq!(
        kinds(&diagnosis),
        [(FindingKind::RootBlocker, Verdict::Suspected)],
        "those behind it are not told of again as stuck"
    );
}

#[test]
fn passing_contention_is_not_told() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    process.mutex(0xa0, true, &[1]);
    for goid in 2..6 {
        process.locks(goid, 0xa0).since = WaitSince::AtLeast(NOW_NS - 4 * S);
    }
    assert!(glance(&process).wants_confirmation());
    let diagnosis = look_twice(process, |p| {
        for goid in 2..6 {
            p.goroutine(goid).parks = Some(8);
        }
    });
    assert_eq!(diagnosis.findings, []);
}

#[test]
fn a_lock_that_many_want_is_not_told_while_its_holder_gets_on() {
    let mut process = Process::new();
    process.parks(1, WaitReason::Sleep, &[]);
    process.mutex(0xa0, true, &[1]);
    for goid in 2..6 {
        process.locks(goid, 0xa0).since = WaitSince::Exact(NOW_NS - S);
    }
    assert_eq!(looked(process.clone()).findings, []);
    process.goroutine(2).since = WaitSince::Exact(NOW_NS - 4 * S);
    let diagnosis = looked(process);
    let doubts = &of_kind(&diagnosis, FindingKind::RootBlocker).doubts;
    assert_eq!(
        doubts[..],
        ["goroutine 1 (main) is alive and may release it at any moment"]
    );
}

#[test]
fn long_waits_are_suspected_by_site() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    process.channel(0xc0, 0, 0);
    for (goid, seconds) in [(2, 3), (3, 31), (4, 300)] {
        process
            .waits(goid, WaitReason::ChanReceive, Operation::Receive, 0xc0)
            .since = WaitSince::Exact(NOW_NS - seconds * S);
    }
    let diagnosis = glance(&process);
    let finding = of_kind(&diagnosis, FindingKind::StuckWait);
    assert_eq!(finding.goroutines, goids(&[3, 4]));
    assert_eq!(
        finding.summary,
        "2 goroutines have been in chan receive for up to 5 m at main.wait (main.go:10), created \
         by main.start (main.go:20)"
    );
}

#[test]
fn gomaxprocs_over_the_limit_is_told() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    process.scheduler().gomaxprocs = 64;
    let evidence = Evidence {
        cpu_limit: Some(CpuLimit(2.0)),
        ..evidence(&process)
    };
    let diagnosis = diagnose(evidence, None, None, &Table, &Options::default());
    assert_eq!(
        kinds(&diagnosis),
        [(FindingKind::GomaxprocsOverLimit, Verdict::Suspected)]
    );
}

#[test]
fn a_healthy_process_has_nothing_to_tell() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    process.parks(2, WaitReason::IoWait, &[]);
    process.parks(3, WaitReason::Sleep, &[]);
    process.mutex(0xa0, true, &[1]);
    process.locks(4, 0xa0).since = WaitSince::Exact(NOW_NS - 1000);
    process.timer_channel(0xd0);
    process.selects(5, &[(Operation::Receive, 0xd0)]);
    assert_eq!(looked(process).findings, []);
}

#[test]
fn idle_goroutines_are_not_stuck() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    let ages = |g: &mut snapshot::Goroutine| g.since = WaitSince::Exact(NOW_NS - 300 * S);
    // A worker, which receives from the same channel again.
    process.channel(0xc0, 0, 0);
    ages(process.waits(2, WaitReason::ChanReceive, Operation::Receive, 0xc0));
    process.will(2, ReleaseKind::Receive, 0xc0);
    // One that waits for a context to end.
    process.closing_channel(0xd0);
    ages(process.waits(3, WaitReason::ChanReceive, Operation::Receive, 0xd0));
    // Another receives once: it may be stuck.
    process.channel(0xe0, 0, 0);
    ages(process.waits(4, WaitReason::ChanReceive, Operation::Receive, 0xe0));
    let diagnosis = glance(&process);
    let finding = of_kind(&diagnosis, FindingKind::StuckWait);
    assert_eq!(finding.goroutines, goids(&[4]));
}

#[test]
fn whoever_waits_for_a_server_to_end_is_not_stuck() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    // The server, which is idle, sends when its loop is over.
    process.channel(0xc0, 0, 0);
    process.waits(2, WaitReason::ChanReceive, Operation::Receive, 0xc0);
    process.will(2, ReleaseKind::Receive, 0xc0);
    process.channel(0xd0, 0, 0);
    process.waits(3, WaitReason::ChanReceive, Operation::Receive, 0xd0);
    process.will_at_its_end(2, ReleaseKind::Send, 0xd0);
    // What it sends in its loop has not come for long.
    process.channel(0xe0, 0, 0);
    process.waits(4, WaitReason::ChanReceive, Operation::Receive, 0xe0);
    process.will(2, ReleaseKind::Send, 0xe0);
    let diagnosis = glance(&process);
    let finding = of_kind(&diagnosis, FindingKind::StuckWait);
    assert_eq!(finding.goroutines, goids(&[4]));
}

#[test]
fn main_waits_for_the_others_as_long_as_they_live() {
    let mut process = Process::new();
    process.runs(2, Status::Running);
    process.channel(0xc0, 0, 0);
    process
        .waits(1, WaitReason::ChanReceive, Operation::Receive, 0xc0)
        .since = WaitSince::Exact(NOW_NS - 300 * S);
    assert_eq!(looked(process).findings, []);
}

/// Goroutine 2 waits for a mutex that nobody unlocks.
fn left_locked() -> Process {
    let mut process = Process::new();
    process.parks(1, WaitReason::Sleep, &[]);
    process.mutex(0xa0, true, &[]);
    process.locks(2, 0xa0);
    process
}

#[test]
fn a_lock_that_nobody_unlocks_is_told() {
    let diagnosis = looked(left_locked());
    let finding = of_kind(&diagnosis, FindingKind::AbandonedLock);
    assert_eq!(finding.goroutines, goids(&[2]));
    assert_eq!(finding.verdict, Verdict::Suspected);
    assert_eq!(
        finding.story[1],
        "Mutex 0xa0 is locked, and no goroutine was seen that unlocks it later."
    );
}

#[test]
fn a_wait_of_unknown_age_is_not_long_until_somebody_looked_on() {
    let mut process = left_locked();
    process.goroutine(2).since = WaitSince::Unknown;
    assert_eq!(looked(process.clone()).findings, []);
    process.goroutine(2).since = WaitSince::AtLeast(NOW_NS - 2 * S);
    assert_eq!(looked(process.clone()).findings, []);
    let diagnosis = watched(&process);
    let finding = of_kind(&diagnosis, FindingKind::AbandonedLock);
    assert_eq!(
        finding.story[..2],
        [
            "Goroutine 2 waits to lock mutex 0xa0 for at least 2 s at main.wait (main.go:10).",
            "Since when is not known: the wait began before anybody looked.",
        ]
    );
}

/// An inspection that has looked on for two seconds.
fn watched(process: &Process) -> Diagnosis {
    let evidence = Evidence {
        watched: Some(Duration::from_secs(2)),
        ..evidence(process)
    };
    diagnose(evidence, None, None, &Table, &Options::default())
}

#[test]
fn a_timer_that_is_pending_may_unlock() {
    for object in [0xa0, 0] {
        let mut process = left_locked();
        process.will(TIMERS.0, ReleaseKind::Unlock, object);
        let told = kinds(&looked(process));
        assert_eq!(told, [(FindingKind::StuckWait, Verdict::Suspected)]);
    }
}

#[test]
fn who_locked_and_does_not_unlock_is_named() {
    let mut process = left_locked();
    process.parks(7, WaitReason::Sleep, &[]);
    let holders = process.mutex(0xa0, true, &[7]);
    holders.exclusive.complete = false;
    let (_, release) = &mut holders.candidates[0];
    release.evidence.site = ImageAddr(0);
    release.acquired = Some(Acquisition {
        frame: 1,
        site: ImageAddr(3),
        taken: Taken::OnEveryPath,
    });
    let holders = holders.exclusive.holders.clone();
    assert_eq!(holders, goids(&[7]));
    process
        .holders
        .get_mut(&TargetAddr(0xa0))
        .unwrap()
        .exclusive
        .holders
        .clear();
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::AbandonedLock);
    assert_eq!(
        finding.story[1],
        "Goroutine 7 locked it at main.at (main.go:3) and does not unlock it on any path that \
         was seen."
    );
}

#[test]
fn a_holder_that_waits_for_a_stopped_timer_is_told() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    process.stopped_timer_channel(0xd0);
    process.mutex(0xa0, true, &[3]);
    process
        .waits(3, WaitReason::ChanReceive, Operation::Receive, 0xd0)
        .since = WaitSince::AtLeast(NOW_NS - 2 * S);
    process.locks(2, 0xa0).since = WaitSince::AtLeast(NOW_NS - 2 * S);
    assert_eq!(looked(process.clone()).findings, []);
    let diagnosis = watched(&process);
    let finding = of_kind(&diagnosis, FindingKind::RootBlocker);
    assert_eq!(
        finding.summary,
        "1 goroutine waits behind goroutine 3, which has held mutex 0xa0 for at least 2 s and waits \
         for a timer that does not run at main.wait (main.go:10)"
    );
    assert_eq!(
        finding.doubts,
        ["goroutine 3 may still be freed by one that was not seen to"]
    );
}

#[test]
fn whoever_runs_may_hold_the_lock() {
    let mut process = Process::new();
    process.runs(1, Status::Running).stack = fixture::no_stack();
    process.mutex(0xa0, true, &[]);
    process.locks(2, 0xa0);
    assert_eq!(
        kinds(&looked(process)),
        [(FindingKind::StuckWait, Verdict::Suspected)]
    );
}
