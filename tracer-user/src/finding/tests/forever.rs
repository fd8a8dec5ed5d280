//! Goroutines that wait for ever, and whole processes of them.

use super::*;

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
    fn solve(
        &mut self,
        nodes: &[GoroutineNode],
        _uses: &[(Goid, TargetAddr)],
    ) -> Result<Walked, String> {
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
    fn solve(
        &mut self,
        nodes: &[GoroutineNode],
        uses: &[(Goid, TargetAddr)],
    ) -> Result<Walked, String> {
        let walked = self.0.solve(nodes, uses)?;
        Ok(Walked {
            unsettled: Some("the heap changed during every walk".to_owned()),
            ..walked
        })
    }

    fn retained_bytes(&mut self, _goroutines: &[Goid]) -> Option<u64> {
        None
    }
}

/// Two inspections, the second with a walk.
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
    assert_eq!(diagnosis.findings[1].cause, Some(diagnosis.findings[0].id));
    let queue = "1 more goroutine waits behind it, at main.wait (main.go:10).";
    assert!(diagnosis.findings[0].story.iter().any(|line| line == queue));
}

#[test]
fn a_cycle_of_a_lock_and_a_channel_that_nobody_reaches_is_no_leak() {
    let mut process = Process::new();
    process.runs(1, Status::Running);
    for channel in [0xc0, 0xc8] {
        process.channel(channel, 0, 0);
    }
    process.mutex(0xa0, true, &[2]);
    process.waits(2, WaitReason::ChanReceive, Operation::Receive, 0xc0);
    process.locks(3, 0xa0);
    process.will(3, ReleaseKind::Close, 0xc0);
    process.locks(4, 0xa0);
    // Waits for what 3 would send afterwards.
    process.waits(5, WaitReason::ChanReceive, Operation::Receive, 0xc8);
    process.will(3, ReleaseKind::Send, 0xc8);
    let suspected = looked(process.clone());
    let diagnosis = walked(&process, &mut Only(vec![]));
    assert_eq!(
        kinds(&diagnosis),
        [
            (FindingKind::LockCycle, Verdict::Proven),
            (FindingKind::Queued, Verdict::Proven),
        ]
    );
    let told = |diagnosis: &Diagnosis| {
        let finding = of_kind(diagnosis, FindingKind::LockCycle);
        let story = finding
            .story
            .iter()
            .filter(|line| line.starts_with("Goroutine"));
        (
            finding.goroutines.clone(),
            story.cloned().collect::<Vec<_>>(),
        )
    };
    assert_eq!(told(&diagnosis).0, goids(&[2, 3]));
    assert_eq!(told(&diagnosis), told(&suspected));
    assert_eq!(
        of_kind(&diagnosis, FindingKind::Queued).goroutines,
        goids(&[4, 5])
    );
}

#[test]
fn timers_that_wake_nobody_are_not_said_to_be_none() {
    let mut process = Process::new();
    process.channel(0xc0, 0, 0);
    process.waits(1, WaitReason::ChanReceive, Operation::Receive, 0xc0);
    process.scheduler().timers = 2;
    let diagnosis = walked(&process, &mut Only(vec![]));
    let finding = of_kind(&diagnosis, FindingKind::WholeProcessDeadlock);
    let story = finding.story.join(" ");
    assert!(
        story.contains("none of the 2 timers that are pending wakes anybody"),
        "{story}"
    );
}
