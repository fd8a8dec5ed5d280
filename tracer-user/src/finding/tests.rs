//! Whole diagnoses of processes made by hand: which findings, and what they say.

use std::sync::Arc;

use super::{
    fixture::{self, KEY, NOW_NS, Process, Table},
    *,
};
use crate::{
    graph::{GoroutineNode, Reachability, solve},
    ids::{Goid, TargetAddr},
    image::WaitReason,
    process::CpuLimit,
    release::ReleaseKind,
    snapshot::{Operation, Status, ThreadState, WaitSince},
};

const S: u64 = 1_000_000_000;

fn evidence(process: &Process) -> Evidence {
    Evidence {
        process: KEY,
        cpu_limit: None,
        snapshot: Arc::new(process.snapshot.clone()),
        holders: process.holders.clone(),
        pending: process.pending.clone(),
        one_moment: false,
    }
}

/// One look.
fn glance(process: &Process) -> Diagnosis {
    diagnose(evidence(process), None, None, &Table, &Options::default())
}

/// Two looks, with `change` happening in between.
fn look_twice(mut process: Process, change: impl FnOnce(&mut Process)) -> Diagnosis {
    let first = glance(&process);
    process.snapshot.taken_ns += S / 10;
    change(&mut process);
    diagnose(
        evidence(&process),
        None,
        Some(&first),
        &Table,
        &Options::default(),
    )
}

fn looked(process: Process) -> Diagnosis {
    look_twice(process, |_| {})
}

fn of_kind(diagnosis: &Diagnosis, kind: FindingKind) -> &Finding {
    let found: Vec<_> = diagnosis
        .findings
        .iter()
        .filter(|f| f.kind == kind)
        .collect();
    match found[..] {
        [finding] => finding,
        _ => panic!("one {kind} expected: {:#?}", diagnosis.findings),
    }
}

fn kinds(diagnosis: &Diagnosis) -> Vec<(FindingKind, Verdict)> {
    let findings = diagnosis.findings.iter();
    findings.map(|f| (f.kind, f.verdict)).collect()
}

fn goids(goids: &[u64]) -> Vec<Goid> {
    goids.iter().copied().map(Goid).collect()
}

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
        process.locks(goid, 0xa0).since = WaitSince::Unknown;
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
fn nil_channels_are_told_and_select_in_main_is_not() {
    let mut process = Process::new();
    process.parks(1, WaitReason::SelectNoCases, &[]);
    process.parks(2, WaitReason::Sleep, &[]);
    process.parks(3, WaitReason::ChanReceiveNil, &[]);
    process.parks(4, WaitReason::SelectNoCases, &[]);
    let diagnosis = looked(process);
    assert_eq!(
        kinds(&diagnosis),
        [
            (FindingKind::NilChannel, Verdict::Proven),
            (FindingKind::SelectForever, Verdict::Proven),
        ]
    );
    assert_eq!(
        diagnosis.findings[0].summary,
        "goroutine 3 waits on a nil channel and never wakes at main.wait (main.go:10), created by \
         main.start (main.go:20)"
    );
}

#[test]
fn main_in_select_alone_is_no_deadlock() {
    let mut process = Process::new();
    process.parks(1, WaitReason::SelectNoCases, &[]);
    assert_eq!(looked(process).findings, []);
}

#[test]
fn nobody_left_to_run_is_a_whole_process_deadlock() {
    let mut process = Process::new();
    process.scheduler().is_cgo = true;
    process.channel(0xc0, 0, 0);
    process.parks(1, WaitReason::SelectNoCases, &[]);
    process.waits(2, WaitReason::ChanReceive, Operation::Receive, 0xc0);
    process.waits(3, WaitReason::ChanReceive, Operation::Receive, 0xc0);
    let finding = looked(process.clone());
    let finding = of_kind(&finding, FindingKind::WholeProcessDeadlock);
    assert_eq!(finding.verdict, Verdict::Proven);
    assert_eq!(
        finding.summary,
        "whole process: all 3 goroutines are blocked for ever"
    );
    assert_eq!(
        finding.story[0],
        "Goroutine 2 waits to receive from channel 0xc0 for 4 m 10 s at main.wait (main.go:10). So does 1 more."
    );
    assert!(finding.story.last().unwrap().contains("cgo"));
    process.thread(ThreadState::Foreign);
    let diagnosis = looked(process);
    assert!(
        kinds(&diagnosis)
            .iter()
            .all(|(_, verdict)| *verdict == Verdict::Suspected),
        "C code may call back"
    );
}

/// A heap in which only these objects are reachable, whoever is live.
struct Only(Vec<u64>);

impl Reachability for Only {
    fn add_live(&mut self, _goroutines: &[Goid]) {}

    fn is_reachable(&mut self, object: TargetAddr) -> bool {
        self.0.contains(&object.0)
    }
}

impl HeapWalker for Only {
    fn solve(&mut self, nodes: &[GoroutineNode]) -> Result<Walked, String> {
        Ok(Walked {
            verdicts: solve(nodes, self),
            unsettled: None,
        })
    }

    fn retained_bytes(&mut self, goroutines: &[Goid]) -> Option<u64> {
        Some(goroutines.len() as u64 * 4096)
    }
}

/// A walk that never settled.
struct Unsettled(Only);

impl HeapWalker for Unsettled {
    fn solve(&mut self, nodes: &[GoroutineNode]) -> Result<Walked, String> {
        let walked = self.0.solve(nodes)?;
        Ok(Walked {
            unsettled: Some("the heap changed during every walk".to_owned()),
            ..walked
        })
    }

    fn retained_bytes(&mut self, _goroutines: &[Goid]) -> Option<u64> {
        None
    }
}

/// Two looks, the second with a walk.
fn walked(process: &Process, walker: &mut dyn HeapWalker) -> Diagnosis {
    diagnose(
        evidence(process),
        Some(walker),
        Some(&glance(process)),
        &Table,
        &Options::default(),
    )
}

#[test]
fn leaked_goroutines_of_one_site_are_one_finding() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    for goid in 10..510 {
        process.channel(goid * 0x100, 0, 0);
        let g = process.waits(goid, WaitReason::ChanSend, Operation::Send, goid * 0x100);
        g.since = WaitSince::AtLeast(NOW_NS - goid * S);
    }
    process.channel(0x1, 0, 0);
    process
        .waits(600, WaitReason::ChanReceive, Operation::Receive, 0x1)
        .since = WaitSince::Unknown;
    let second = walked(&process, &mut Only(vec![1]));
    let finding = of_kind(&second, FindingKind::Unreachable);
    assert_eq!((finding.verdict, finding.count), (Verdict::Proven, 500));
    assert_eq!(
        finding.summary,
        "500 goroutines wait for ever on a channel that no live goroutine can reach at main.wait \
         (main.go:10), created by main.start (main.go:20)"
    );
    let group = finding.group.as_ref().unwrap();
    assert_eq!(group.example, Goid(509));
    assert_eq!(group.oldest_ns, Some(NOW_NS - 509 * S));
    assert_eq!(group.newest_ns, Some(NOW_NS - 10 * S));
    assert_eq!(group.retained_bytes, Some(500 * 4096));
    let held = "This leak holds 1.9 MiB that nobody else reaches.";
    assert!(
        finding.story.iter().any(|line| line == held),
        "{:#?}",
        finding.story
    );
    assert_eq!(kinds(&second).len(), 1);
}

#[test]
fn a_walk_that_does_not_settle_makes_a_suspicion() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    process.channel(0xc0, 0, 0);
    process
        .waits(2, WaitReason::ChanSend, Operation::Send, 0xc0)
        .since = WaitSince::Unknown;
    let diagnosis = walked(&process, &mut Unsettled(Only(vec![])));
    let finding = of_kind(&diagnosis, FindingKind::Unreachable);
    assert_eq!(finding.verdict, Verdict::Suspected);
    assert_eq!(finding.doubts, ["the heap changed during every walk"]);
}

#[test]
fn whoever_waits_behind_a_leak_is_queued_behind_it() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    process.channel(0xc0, 0, 0);
    process.mutex(0xa0, true, &[2]);
    process.waits(2, WaitReason::ChanSend, Operation::Send, 0xc0);
    process.locks(3, 0xa0);
    let diagnosis = walked(&process, &mut Only(vec![]));
    assert_eq!(
        kinds(&diagnosis),
        [
            (FindingKind::Unreachable, Verdict::Proven),
            (FindingKind::Queued, Verdict::Proven),
        ]
    );
    assert_eq!(diagnosis.findings[0].waiting_behind, 1);
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
