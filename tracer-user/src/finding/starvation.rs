//! Goroutines that are ready to run and get no processor.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::{
    identity::Identity,
    index::{SnapshotIndex, capitalised, listed},
    model::{Finding, FindingKind},
    phrase::{count, duration},
    site::{Site, Symbols, is_plumbing},
};
use ids::{Goid, TargetAddr};
use process::ProcessKey;
use snapshot::{Goroutine, Snapshot, Status};

/// From when on a goroutine that is ready to run is told of. `sysmon` takes the processor from
/// whoever has run for 10 ms (`runtime/proc.go`, `forcePreemptNS`), by a signal since Go 1.14; so in
/// a process that gets CPU everybody has a turn long before.
const STARVED_AFTER: Duration = Duration::from_secs(5);
/// Looks that must have found a goroutine ready and unmoved.
const LEAST_LOOKS: u32 = 3;

/// Who is ready to run, and since when, over the looks at one process.
#[derive(Debug, Default)]
pub struct Readiness {
    ready: FxHashMap<Goid, Ready>,
}

#[derive(Debug, Clone, Copy)]
struct Ready {
    since_ns: u64,
    looks: u32,
    /// `g.trackingSeq`, which counts how often it ran, and where its stack stands.
    unmoved: (Option<u8>, TargetAddr),
}

impl Readiness {
    /// Takes in an inspection, and tells who has been ready for long without running once.
    pub fn update(
        &mut self,
        process: ProcessKey,
        snapshot: &Snapshot,
        symbols: &dyn Symbols,
    ) -> Option<Finding> {
        let users = snapshot.goroutines.iter().filter(|g| !g.system);
        let ready = users.clone().filter(|g| g.status == Status::Runnable);
        let now: FxHashMap<Goid, Ready> = ready
            .map(|g| (g.goid, self.still(g, snapshot.taken_ns)))
            .collect();
        self.ready = now;
        let starved_ns = u64::try_from(STARVED_AFTER.as_nanos()).unwrap_or(u64::MAX);
        let starves = |g: &&Goroutine| {
            self.ready.get(&g.goid).is_some_and(|ready| {
                ready.looks >= LEAST_LOOKS
                    && snapshot.taken_ns.saturating_sub(ready.since_ns) >= starved_ns
            })
        };
        let starving: Vec<&Goroutine> = users.clone().filter(starves).collect();
        let oldest = starving.iter().filter_map(|g| self.ready.get(&g.goid));
        let since_ns = oldest.map(|ready| ready.since_ns).min()?;
        let running: Vec<&Goroutine> = users.filter(|g| g.status == Status::Running).collect();
        Some(tell(
            process, snapshot, symbols, &starving, &running, since_ns,
        ))
    }

    fn still(&self, g: &Goroutine, now_ns: u64) -> Ready {
        let unmoved = (g.parks, g.sp);
        match self.ready.get(&g.goid) {
            Some(before) if before.unmoved == unmoved => Ready {
                looks: before.looks + 1,
                ..*before
            },
            _ => Ready {
                since_ns: now_ns,
                looks: 1,
                unmoved,
            },
        }
    }
}

fn tell(
    process: ProcessKey,
    snapshot: &Snapshot,
    symbols: &dyn Symbols,
    starving: &[&Goroutine],
    running: &[&Goroutine],
    since_ns: u64,
) -> Finding {
    let kind = FindingKind::Starvation;
    let age = duration(snapshot.taken_ns.saturating_sub(since_ns));
    let total = starving.len() as u64;
    let verb = if total == 1 { "has" } else { "have" };
    let procs = snapshot.scheduler.as_ref().map(|s| s.gomaxprocs);
    let procs = procs.map_or(String::new(), |n| format!(" (GOMAXPROCS is {n})"));
    let runners: Vec<Goid> = running.iter().map(|g| g.goid).collect();
    let mut story = Vec::new();
    for g in starving.iter().take(3) {
        let place = place(symbols, g).map(|site| format!(" at {site}"));
        story.push(format!(
            "Goroutine {} is ready to run{}.",
            g.goid,
            place.unwrap_or_default()
        ));
    }
    story.push(match &runners[..] {
        [] => "No goroutine was seen running: the process itself gets no CPU, or its threads are \
               held up."
            .to_owned(),
        [one] => format!("All the while {} runs.", SnapshotIndex::name(*one)),
        some => format!("Goroutines {} run.", listed(some)),
    });
    for g in running.iter().take(3) {
        if let Some(site) = place(symbols, g) {
            story.push(format!(
                "{} was seen running at {site}.",
                capitalised(&SnapshotIndex::name(g.goid))
            ));
        }
    }
    story.push(
        "Since Go 1.14 a loop alone does not do this: whoever runs for 10 ms is preempted. Inspection \
         for GODEBUG=asyncpreemptoff=1, long assembly, or a CPU quota that is used up."
            .to_owned(),
    );
    Finding {
        count: total,
        summary: format!(
            "{} {verb} been ready to run for {age} without running once{procs}",
            count(total, "goroutine")
        ),
        story,
        doubts: vec!["the process may have been stopped or throttled".to_owned()],
        since_ns: Some(since_ns),
        ..Finding::new(kind, Identity::new(process, kind).id())
            .of(starving.iter().map(|g| g.goid).collect())
    }
}

/// The innermost place of `g` that is the program's own.
fn place(symbols: &dyn Symbols, g: &Goroutine) -> Option<Site> {
    let frames = g.stack.frames.iter().enumerate();
    let mut sites = frames.flat_map(|(depth, frame)| symbols.sites(frame.pc, depth > 0));
    sites.find(|site| !is_plumbing(&site.function))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::fixture::{KEY, Process};

    struct NoSymbols;

    impl Symbols for NoSymbols {
        fn sites(&self, _: ids::ImageAddr, _: bool) -> Vec<Site> {
            Vec::new()
        }
    }

    const SECOND: u64 = 1_000_000_000;

    fn at(process: &mut Process, second: u64) -> &Snapshot {
        process.snapshot.taken_ns = second * SECOND;
        &process.snapshot
    }

    fn findings(process: &mut Process, moves: bool) -> Vec<Option<Finding>> {
        let mut readiness = Readiness::default();
        let looks = 0..8_u8;
        looks
            .map(|look| {
                if moves {
                    process.goroutine(7).parks = Some(look);
                }
                let snapshot = at(process, 100 + u64::from(look));
                readiness.update(KEY, snapshot, &NoSymbols)
            })
            .collect()
    }

    #[test]
    fn ready_for_long_without_running_is_told() {
        let mut process = Process::new();
        process.runs(1, Status::Running);
        process.runs(7, Status::Runnable);
        let findings = findings(&mut process, false);
        assert!(findings[..5].iter().all(Option::is_none));
        let finding = findings[7].as_ref().expect("7 s are long");
        assert_eq!(finding.goroutines, [Goid(7)]);
        assert_eq!(finding.verdict, crate::finding::Verdict::Suspected);
        assert!(
            finding.story[1].contains("goroutine 1 (main) runs"),
            "{:?}",
            finding.story
        );
    }

    #[test]
    fn whoever_has_its_turns_does_not_starve() {
        let mut process = Process::new();
        process.runs(1, Status::Running);
        process.runs(7, Status::Runnable);
        assert!(findings(&mut process, true).iter().all(Option::is_none));
    }
}
