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
        "deadlock: goroutines 7 and 8 wait for each other's locks, at main.wait (main.go:10)"
    );
    assert_eq!(
        finding.story,
        [
            "Goroutine 7 waits to lock mutex 0xa0 for 4 m 10 s at main.wait (main.go:10).",
            "Goroutine 8 holds it, and unlocks it later at main.wait (main.go:12).",
            "Goroutine 8 waits to lock mutex 0xb0 for 4 m 10 s at main.wait (main.go:10).",
            "Goroutine 7 holds it, and unlocks it later at main.wait (main.go:12).",
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
    let told = "50 more goroutines wait for the same lock, at main.wait (main.go:10).";
    assert!(cycle.story.iter().any(|line| line == told), "{cycle:#?}");
    let queued = of_kind(&diagnosis, FindingKind::Queued);
    assert_eq!((queued.verdict, queued.count), (Verdict::Proven, 50));
    assert_eq!(queued.edges.len(), 50);
    assert_eq!(queued.cause, Some(cycle.id));
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
    assert_eq!(
        finding.summary,
        "deadlock: goroutine 5 waits to lock RWMutex 0xd0, which it has read-locked itself, at \
         main.wait (main.go:10)"
    );
    let told = finding.story.join(" ");
    assert!(
        told.contains("Goroutine 5 holds a read lock of it, and read-unlocks it later"),
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
        finding.summary.contains("wait for each other, at"),
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

/// What `goid` will do with `object` is known of, with where it took it.
fn took(process: &mut Process, goid: u64, object: u64, taken: Taken) {
    let holders = process.holders.get_mut(&TargetAddr(object)).unwrap();
    let mut mine = holders.candidates.iter_mut().filter(|(g, _)| g.0 == goid);
    mine.next().unwrap().1.acquired = Some(Acquisition {
        frame: 1,
        site: ImageAddr(9),
        taken,
    });
}

#[test]
fn where_a_lock_was_taken_is_told() {
    let mut process = ab_ba();
    took(&mut process, 8, 0xa0, Taken::OnEveryPath);
    took(&mut process, 7, 0xb0, Taken::OnSomePaths);
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(
        finding.story[1],
        "Goroutine 8 holds it: locked at main.at (main.go:9), unlocks it later at main.wait \
         (main.go:12)."
    );
    assert_eq!(
        finding.story[3],
        "Goroutine 7 holds it: perhaps locked at main.at (main.go:9), unlocks it later at main.wait \
         (main.go:12)."
    );
}

#[test]
fn where_only_the_frame_is_known_it_is_told_so() {
    let mut process = ab_ba();
    took(&mut process, 8, 0xa0, Taken::OnEveryPath);
    let holders = process.holders.get_mut(&TargetAddr(0xa0)).unwrap();
    holders.candidates[0].1.acquired.as_mut().unwrap().site = ImageAddr(0);
    let diagnosis = looked(process);
    assert_eq!(
        of_kind(&diagnosis, FindingKind::LockCycle).story[1],
        "Goroutine 8 holds it: has locked it at or before main.wait (main.go:10), unlocks it later \
         at main.go:12."
    );
}

#[test]
fn who_waits_for_the_lock_that_it_may_unlock_is_no_member_of_the_cycle() {
    let mut process = ab_ba();
    let holders = process.mutex(0xa0, true, &[3, 8, 9]);
    for (goid, release) in &mut holders.candidates {
        if goid.0 != 8 {
            release.certainty = Certainty::Possible;
        }
    }
    for goid in [3, 9] {
        process.locks(goid, 0xa0);
    }
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(finding.goroutines, goids(&[7, 8]));
    assert_eq!(finding.edges.len(), 2);
    assert_eq!(finding.waiting_behind, 2);
}

#[test]
fn a_recursive_read_lock_is_called_that() {
    let mut process = Process::new();
    process.parks(1, WaitReason::IoWait, &[]);
    process.rwmutex(0xd0, &[5], Some(6));
    process.waits(6, WaitReason::RwMutexLock, Operation::DrainReaders, 0xd0);
    process.waits(5, WaitReason::RwMutexRLock, Operation::ReadLock, 0xd0);
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(
        finding.summary,
        "deadlock: recursive read lock: goroutine 5 waits to read-lock RWMutex 0xd0, which it has \
         read-locked already, behind goroutine 6, which waits for the readers to leave, at main.wait \
         (main.go:10)"
    );
}

#[test]
fn a_select_with_a_case_that_nobody_serves_keeps_its_other_partners() {
    let mut process = Process::new();
    process.parks(1, WaitReason::IoWait, &[]);
    process.channel(0xc0, 0, 0);
    process.channel(0xd0, 0, 0);
    process.mutex(0xa0, true, &[5]);
    process.selects(5, &[(Operation::Receive, 0xd0), (Operation::Send, 0xc0)]);
    process.locks(9, 0xa0);
    process.will(9, ReleaseKind::Receive, 0xc0);
    let suspected = looked(process.clone());
    let finding = of_kind(&suspected, FindingKind::LockCycle);
    assert_eq!(finding.verdict, Verdict::Suspected);
    assert_eq!(finding.goroutines, goids(&[5, 9]));
    assert!(
        !finding.story.join(" ").contains("for ever"),
        "{finding:#?}"
    );
    // Unless a timer ends the wait.
    process.timer_channel(0xe0);
    let cases = [
        (Operation::Receive, 0xd0),
        (Operation::Send, 0xc0),
        (Operation::Receive, 0xe0),
    ];
    process.selects(5, &cases);
    let timed = looked(process);
    assert!(
        kinds(&timed)
            .iter()
            .all(|(kind, _)| *kind != FindingKind::LockCycle)
    );
}

#[test]
fn a_coroutine_waits_for_who_pulls_it() {
    let mut process = Process::new();
    process.parks(1, WaitReason::IoWait, &[]);
    process.rwmutex(0xd0, &[7], Some(6));
    process.waits(6, WaitReason::RwMutexLock, Operation::DrainReaders, 0xd0);
    let coroutine = process.parks(7, WaitReason::Coroutine, &[]);
    coroutine.start = ImageAddr(fixture::CORO_START_PC);
    coroutine.parent = Some(Goid(6));
    let diagnosis = looked(process);
    let finding = of_kind(&diagnosis, FindingKind::LockCycle);
    assert_eq!(finding.verdict, Verdict::Suspected);
    assert_eq!(finding.goroutines, goids(&[6, 7]));
    assert_eq!(finding.objects, [TargetAddr(0xd0)]);
    let told = finding.story.join(" ");
    assert!(told.contains("Goroutine 7 is a coroutine of iter.Pull and waits to be pulled"));
    assert!(
        told.contains("Goroutine 6 made that coroutine at main.start (main.go:20)"),
        "{told}"
    );
}
