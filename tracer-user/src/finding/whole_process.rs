//! A process in which nobody will ever run again.

use super::{
    evidence_level::Proof,
    forever::is_habit,
    grouping::by_site,
    identity::Identity,
    index::{SnapshotIndex, began_ns},
    model::{Finding, FindingKind, Verdict},
    phrase::count,
};
use graph::Verdicts;
use ids::Goid;

/// How many places are told of.
const TOLD: usize = 5;

/// A finding when every user goroutine is dead, unless there is only main, which keeps the program
/// running on purpose.
pub(super) fn whole_process(
    scene: &SnapshotIndex<'_>,
    verdicts: &Verdicts,
    proof: Proof,
) -> Option<Finding> {
    let users = || scene.snapshot.goroutines.iter().filter(|g| !g.system);
    let all_dead = users().all(|g| verdicts.fate(g.goid).is_some());
    if !all_dead || users().all(|g| is_habit(scene, g)) {
        return None;
    }
    let total = users().count() as u64;
    let groups = by_site(scene, users());
    let mut story: Vec<String> = groups
        .iter()
        .take(TOLD)
        .filter_map(|members| {
            let example = members.example()?;
            let sentence = scene.sentence(example.goid);
            Some(match members.count() {
                1 => sentence,
                2 => format!("{sentence} So does 1 more."),
                n => format!("{sentence} So do {}.", count(n - 1, "more goroutine")),
            })
        })
        .collect();
    story.push(ending(scene, proof));
    let mut goroutines: Vec<Goid> = users().map(|g| g.goid).collect();
    goroutines.sort_unstable();
    let blocked = if total == 1 {
        "the only goroutine is blocked".to_owned()
    } else {
        format!("all {} are blocked", count(total, "goroutine"))
    };
    Some(Finding {
        verdict: proof.verdict(),
        count: total,
        summary: match proof.verdict() {
            Verdict::Proven => format!("whole process: {blocked} for ever"),
            Verdict::Suspected => format!("whole process: {blocked}"),
        },
        story,
        doubts: proof.doubts(),
        since_ns: users().filter_map(|g| began_ns(g.since)).max(),
        ..Finding::new(
            FindingKind::WholeProcessDeadlock,
            Identity::new(scene.process, FindingKind::WholeProcessDeadlock).id(),
        )
        .of(goroutines)
    })
}

/// Why nothing happens any more.
fn ending(scene: &SnapshotIndex<'_>, proof: Proof) -> String {
    let timers = scene.snapshot.scheduler.as_ref().map_or(0, |s| s.timers);
    let timers = match timers {
        0 => "no timer is pending".to_owned(),
        1 => "the timer that is pending wakes nobody".to_owned(),
        many => format!("none of the {many} timers that are pending wakes anybody"),
    };
    let restart = match proof.verdict() {
        Verdict::Proven => ": only a restart frees it",
        Verdict::Suspected => "",
    };
    format!("No goroutine runs, {timers} and nothing outside the process is waited for{restart}.")
}
