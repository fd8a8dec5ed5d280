//! Settings that do not fit the machine, and limits that come near.

use super::{
    identity::Identity,
    model::{Finding, FindingKind},
    site::Symbols,
    thread_sites,
};
use process::{CpuLimit, ProcessKey};
use snapshot::Snapshot;

/// A finding when GOMAXPROCS exceeds what the cgroup lets the process use: the runtime then starts
/// more work than it gets CPU for, and is throttled with locks held.
pub(super) fn gomaxprocs(
    process: ProcessKey,
    snapshot: &Snapshot,
    limit: Option<CpuLimit>,
) -> Option<Finding> {
    let limit = limit?.0;
    let gomaxprocs = snapshot.scheduler.as_ref()?.gomaxprocs;
    // The default of Go 1.25 and later: the limit rounded up, but at least 2
    // (`runtime.adjustCgroupGOMAXPROCS`).
    let fitting = limit.ceil().max(2.0);
    if !limit.is_finite() || f64::from(gomaxprocs) <= fitting {
        return None;
    }
    let kind = FindingKind::GomaxprocsOverLimit;
    Some(Finding {
        summary: format!("GOMAXPROCS is {gomaxprocs}, but the cgroup allows {limit} CPUs"),
        story: vec![
            format!(
                "The runtime runs up to {gomaxprocs} goroutines at once; the kernel lets the \
                 process use {limit} CPUs and stops all its threads when the quota is spent, also \
                 those that hold locks."
            ),
            format!(
                "Set GOMAXPROCS={fitting}, or build with Go 1.25 or later, which follows the limit."
            ),
        ],
        ..Finding::new(kind, Identity::new(process, kind).id())
    })
}

/// With more threads than this the runtime ends the program, unless `debug.SetMaxThreads` says
/// otherwise (`schedinit` in `runtime/proc.go`: `sched.maxmcount = 10000`).
const MAX_THREADS: usize = 10_000;

/// A finding when more than half of the threads are there that a program may have.
pub(super) fn threads(
    process: ProcessKey,
    snapshot: &Snapshot,
    symbols: &dyn Symbols,
) -> Option<Finding> {
    let threads = snapshot
        .threads
        .iter()
        .filter(|thread| thread.tid.is_some());
    let threads = threads.count();
    if threads <= MAX_THREADS / 2 {
        return None;
    }
    let kind = FindingKind::ThreadGrowth;
    let mut story = vec![format!(
        "The runtime ends a program that has more than {MAX_THREADS} threads, unless it has called \
         debug.SetMaxThreads."
    )];
    story.extend(thread_sites::story(snapshot, symbols));
    Some(Finding {
        count: threads as u64,
        summary: format!("{threads} threads, of {MAX_THREADS} that a program may have"),
        story,
        ..Finding::new(
            kind,
            Identity::new(process, kind).number(MAX_THREADS as u64).id(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::fixture::{KEY, Process};

    fn of(gomaxprocs: u32, limit: Option<f64>) -> Option<String> {
        let mut process = Process::new();
        process.scheduler().gomaxprocs = gomaxprocs;
        let found = super::gomaxprocs(KEY, &process.snapshot, limit.map(CpuLimit));
        found.map(|finding| finding.summary)
    }

    #[test]
    fn only_what_exceeds_the_limit_is_told() {
        assert_eq!(of(8, None), None);
        assert_eq!(of(2, Some(0.5)), None, "Go itself never goes below 2");
        assert_eq!(of(3, Some(2.5)), None);
        assert_eq!(
            of(32, Some(1.5)).as_deref(),
            Some("GOMAXPROCS is 32, but the cgroup allows 1.5 CPUs")
        );
    }
}
