//! Goroutines that wait for each other's locks.

use super::*;

/// Goroutines 7 and 8 hold each other's mutexes; main accepts connections.
fn ab_ba() -> Process {
    let mut process = Process::new();
    process.parks(1, WaitReason::IoWait, &[]);
    process.scheduler().m_count = 6;
    process.mutex(0xa0, true, &[8]);
    process.mutex(0xb0, true, &[7]);
    process.locks(7, 0xa0);
    process.locks(8, 0xb0);
    process
}

#[test]
fn two_locks_in_opposite_order_are_told_as_a_deadlock() {
    let diagnosis = looked(ab_ba());
    let finding = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(finding.verdict, Verdict::Proven);
    assert_eq!(finding.goroutines, goids(&[7, 8]));
    assert_eq!(finding.objects, [TargetAddr(0xa0), TargetAddr(0xb0)]);
    assert_eq!(finding.doubts, Vec::<String>::new());
    assert_eq!(finding.since_ns, Some(NOW_NS - 250 * S));
    assert_eq!(
        finding.summary,
        "deadlock: goroutines 7 and 8 wait for each other's locks (main.wait (main.go:10))"
    );
    assert_eq!(
        finding.story,
        [
            "Goroutine 7 waits to lock mutex 0xa0 for 4 m 10 s at main.wait (main.go:10).",
            "Goroutine 8 unlocks it later at main.wait (main.go:12).",
            "Goroutine 8 waits to lock mutex 0xb0 for 4 m 10 s at main.wait (main.go:10).",
            "Goroutine 7 unlocks it later at main.wait (main.go:12).",
            "Each waits for another of them: only a restart of the process frees them.",
            "Go's own detector is silent: 1 thread counts as busy: a thread watches the network \
             for goroutine 1.",
        ]
    );
    assert_eq!(
        kinds(&diagnosis),
        [(FindingKind::LockCycle, Verdict::Proven)]
    );
}

#[test]
fn one_look_proves_nothing() {
    let diagnosis = glance(&ab_ba());
    let finding = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(finding.verdict, Verdict::Suspected);
    assert_eq!(finding.doubts, ["seen in one look only"]);
    assert!(finding.summary.starts_with("possible deadlock"));
    assert!(diagnosis.wants_confirmation());
}

#[test]
fn whoever_moved_between_the_looks_is_not_called_dead() {
    for change in [
        (|p| p.goroutine(8).parks = Some(8)) as fn(&mut Process),
        |p| p.goroutine(8).sp = TargetAddr(0xc000_8100),
        |p| p.goroutine(8).g = TargetAddr(0xc200_0000),
        |p| p.goroutine(8).stack = fixture::stack(0x77),
        |p| {
            p.runs(8, Status::Runnable);
        },
        |p| {
            p.mutex(0xc0, true, &[7]);
            p.locks(8, 0xc0);
        },
    ] {
        let diagnosis = look_twice(ab_ba(), change);
        assert!(
            diagnosis
                .findings
                .iter()
                .all(|f| f.verdict == Verdict::Suspected),
            "{:#?}",
            diagnosis.findings
        );
    }
}

#[test]
fn a_finding_keeps_its_id_from_look_to_look() {
    let first = glance(&ab_ba());
    let second = looked(ab_ba());
    assert_eq!(first.findings[0].id, second.findings[0].id);
}

#[test]
fn a_lock_taken_again_is_a_self_deadlock() {
    let mut process = ab_ba();
    process.mutex(0xc0, true, &[9]);
    process.locks(9, 0xc0);
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::SelfDeadlock);
    assert_eq!(finding.verdict, Verdict::Proven);
    assert_eq!(finding.goroutines, goids(&[9]));
    assert_eq!(
        finding.summary,
        "deadlock: goroutine 9 waits for mutex 0xc0, which it holds itself, at main.wait (main.go:10)"
    );
}

#[test]
fn fifty_goroutines_queue_behind_a_cycle() {
    let mut process = ab_ba();
    for goid in 100..150 {
        process.locks(goid, 0xa0);
    }
    let diagnosis = looked(process);
    let cycle = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(cycle.goroutines, goids(&[7, 8]));
    assert_eq!(cycle.waiting_behind, 50);
    assert!(
        cycle
            .story
            .contains(&"50 more goroutines queue behind them for ever.".to_owned())
    );
    let queued = of_kind(&diagnosis, FindingKind::Queued);
    assert_eq!((queued.verdict, queued.count), (Verdict::Proven, 50));
    assert_eq!(queued.edges.len(), 50);
    assert!(queued.story.last().unwrap().contains("detector is silent"));
    assert!(
        queued
            .story
            .iter()
            .any(|line| line.contains(&format!("The cause is finding {}", cycle.id)))
    );
}

#[test]
fn a_reader_of_a_lock_that_upgrades_holds_itself_up() {
    let mut process = ab_ba();
    process.rwmutex(0xd0, &[5], Some(5));
    process.waits(5, WaitReason::RwMutexLock, Operation::DrainReaders, 0xd0);
    process.waits(6, WaitReason::RwMutexRLock, Operation::ReadLock, 0xd0);
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::SelfDeadlock);
    assert_eq!(finding.goroutines, goids(&[5]));
    assert_eq!(finding.waiting_behind, 1);
    let told = finding.story.join(" ");
    assert!(
        told.contains("Goroutine 5 has read-locked it and gives it back later"),
        "{told}"
    );
}

#[test]
fn a_wait_group_waited_for_under_a_lock_its_workers_need() {
    let mut process = Process::new();
    process.parks(1, WaitReason::IoWait, &[]);
    process.mutex(0xa0, true, &[2]);
    process.wait_group(0xe0, 2, &[3, 4], true);
    process.waits(2, WaitReason::WaitGroupWait, Operation::Wait, 0xe0);
    process.locks(3, 0xa0);
    process.locks(4, 0xa0);
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(finding.verdict, Verdict::Proven);
    assert_eq!(finding.count, 3);
    assert!(
        finding.summary.contains("wait for each other ("),
        "{}",
        finding.summary
    );
}

#[test]
fn an_uncertain_holder_makes_a_suspicion() {
    let mut process = ab_ba();
    let holders = process.mutex(0xa0, true, &[8]);
    holders.exclusive.complete = false;
    holders.doubts = vec!["goroutine 12 could not be read".to_owned()];
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(finding.verdict, Verdict::Suspected);
    assert_eq!(
        finding.doubts,
        [
            "somebody who was not seen may still act on these objects",
            "goroutine 12 could not be read",
        ]
    );
}

#[test]
fn a_channel_partner_behind_the_senders_own_lock_is_suspected() {
    let mut process = Process::new();
    process.parks(1, WaitReason::IoWait, &[]);
    process.channel(0xc0, 0, 0);
    process.mutex(0xa0, true, &[5]);
    process.waits(5, WaitReason::ChanReceive, Operation::Receive, 0xc0);
    process.locks(9, 0xa0);
    process.will(9, ReleaseKind::Send, 0xc0);
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(finding.verdict, Verdict::Suspected);
    assert_eq!(finding.goroutines, goids(&[5, 9]));
    assert_eq!(
        finding.story[1],
        "Goroutine 9 would send on channel 0xc0, but waits to lock mutex 0xa0 for 4 m 10 s at \
         main.wait (main.go:10)."
    );
}

#[test]
fn idle_workers_that_feed_each_other_are_no_deadlock() {
    let mut process = Process::new();
    process.parks(1, WaitReason::IoWait, &[]);
    process.channel(0xc0, 0, 0);
    for goid in 5..9 {
        process
            .waits(goid, WaitReason::ChanReceive, Operation::Receive, 0xc0)
            .since = WaitSince::Unknown;
        process.will(goid, ReleaseKind::Send, 0xc0);
    }
    assert_eq!(looked(process).findings, []);
}
