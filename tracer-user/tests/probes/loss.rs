//! Records that get lost, and what the next look makes of that.

use std::time::Duration;

use libtest_mimic::Trial;
use testing::{go::NEWEST, wait::until};
use tracer_user::{
    finding::{self, FindingKind, Verdict},
    ids::Pid,
    inspect::{History, Inspector},
    probes::{Event, Probes},
    resources::clock::monotonic_ns,
    snapshot::WaitSince,
    timeline::{self, Parked, ProcessState, Schedule, Why},
};

use super::{attach, load::Load, program, tiny_ring, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "after records were lost the next look puts everything right",
        after_a_loss_the_next_look_puts_everything_right,
    )]
}

fn after_a_loss_the_next_look_puts_everything_right() {
    let (_directory, path, image) = program(NEWEST);
    let mut load = Load::start(&path);
    let pid = load.pid();
    let mut probes = Probes::load(tiny_ring()).unwrap();
    attach(&mut probes, &load, &image);
    let looker = Inspector::new(finding::Options::default());
    let mut past = History::default();
    looker.reinspect(pid, &mut past).unwrap();
    load.pingpong(1000);
    let before_ns = monotonic_ns();
    load.tell("deadlock");
    assert!(load.answer().starts_with("locked"));
    // Of thousands of parks and wakes the first few came; those of the deadlock did not.
    assert!(feed(&mut probes, pid, &mut past.state) > 3000);
    let schedule = Schedule {
        least_gap: Duration::ZERO,
        ..Schedule::default()
    };
    let why = past.state.needs_look(monotonic_ns(), &schedule);
    assert_eq!(why, Some(Why::Lost));

    let mut proven = Vec::new();
    // Both may still be on their way to the locks.
    until("the deadlock is proven", || {
        let look = looker.reinspect(pid, &mut past).unwrap();
        let findings = look.diagnosis.findings.into_iter();
        proven = findings
            .filter(|finding| finding.verdict == Verdict::Proven)
            .collect();
        let snapshot = &look.diagnosis.snapshot;
        for goroutine in &snapshot.goroutines {
            if proven
                .iter()
                .any(|finding| finding.goroutines.contains(&goroutine.goid))
            {
                // No date of a wait that ended unseen.
                assert!(
                    matches!(
                        goroutine.since,
                        WaitSince::Exact(ns) | WaitSince::AtLeast(ns)
                            if (before_ns..=snapshot.taken_ns).contains(&ns)
                    ),
                    "{:?}",
                    goroutine.since
                );
            }
        }
        !proven.is_empty()
    });
    assert_eq!(proven.len(), 1, "{proven:#?}");
    assert_eq!(proven[0].kind, FindingKind::LockCycle);
    assert_eq!(proven[0].goroutines.len(), 2);
    let why = past.state.needs_look(monotonic_ns(), &schedule);
    assert_eq!(why, None, "what was lost is made good");
}

/// Gives `state` what the ring buffer holds, and says how many records it did not.
fn feed(probes: &mut Probes, pid: Pid, state: &mut ProcessState) -> u64 {
    for event in probes.drain() {
        match event {
            Event::Parked {
                g, reason, at_ns, ..
            } => state.apply(timeline::Event::Parked(Parked { g, reason, at_ns })),
            Event::Woken { g, at_ns, .. } => state.apply(timeline::Event::Woken { g, at_ns }),
            _ => {}
        }
    }
    let count = probes.target_statistics(pid).unwrap().lost;
    state.apply(timeline::Event::Lost { count });
    count
}
