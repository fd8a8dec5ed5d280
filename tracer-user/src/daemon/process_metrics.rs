//! The numbers of one process that metrics tell, taken from an inspection of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    document::{seconds, state_text},
    finding::{Finding, FindingKind, Verdict},
};
use ids::Goid;
use snapshot::{Goroutine, Snapshot, Status, WaitSince};

/// The numbers of one process, or of several with equal identity added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessMetrics {
    /// User goroutines by state.
    pub goroutines: BTreeMap<&'static str, u64>,
    /// Waiting user goroutines by reason.
    pub waiting: BTreeMap<&'static str, u64>,
    /// Those that wait longer than the threshold for another goroutine, by reason.
    pub stuck: BTreeMap<&'static str, u64>,
    /// Age of the oldest wait in seconds, by reason.
    pub oldest_wait: BTreeMap<&'static str, f64>,
    /// Goroutines that proven findings name.
    pub deadlocked: u64,
    /// Findings by kind and verdict.
    pub findings: BTreeMap<(FindingKind, Verdict), u64>,
    /// Threads by what they do.
    pub threads: BTreeMap<&'static str, u64>,
    /// Threads pinned by `LockOSThread`.
    pub pinned: u64,
    /// Threads the runtime has made.
    pub threads_created: u64,
    /// GOMAXPROCS.
    pub gomaxprocs: Option<f64>,
}

impl ProcessMetrics {
    /// The numbers of `snapshot` and of what was found in it. Stuck are those that a finding names
    /// and that have waited for `stuck_after_ns`: others wait for long because they are idle.
    #[must_use]
    pub fn new(snapshot: &Snapshot, findings: &[Finding], stuck_after_ns: u64) -> Self {
        let mut figures = Self::default();
        let of_waits = findings
            .iter()
            .filter(|f| f.kind != FindingKind::GoroutineGrowth);
        let named: BTreeSet<Goid> = of_waits.flat_map(Finding::concerned).copied().collect();
        for goroutine in snapshot.goroutines.iter().filter(|g| !g.system) {
            let stuck_after_ns = named.contains(&goroutine.goid).then_some(stuck_after_ns);
            figures.add(goroutine, snapshot.taken_ns, stuck_after_ns);
        }
        let proven = findings.iter().filter(|f| f.verdict == Verdict::Proven);
        let deadlocked: BTreeSet<Goid> = proven.flat_map(Finding::concerned).copied().collect();
        figures.deadlocked = deadlocked.len() as u64;
        for finding in findings {
            *figures
                .findings
                .entry((finding.kind, finding.verdict))
                .or_default() += 1;
        }
        for thread in &snapshot.threads {
            *figures.threads.entry(state_text(thread.state)).or_default() += 1;
            figures.pinned += u64::from(thread.locked);
            // m.id counts up from 0 and is never used again (runtime/proc.go, mReserveID).
            let made = thread.m.and_then(|m| u64::try_from(m + 1).ok());
            figures.threads_created = figures.threads_created.max(made.unwrap_or(0));
        }
        let scheduler = snapshot.scheduler.as_ref();
        figures.gomaxprocs = scheduler.map(|scheduler| f64::from(scheduler.gomaxprocs));
        figures
    }

    fn add(&mut self, goroutine: &Goroutine, now_ns: u64, stuck_after_ns: Option<u64>) {
        *self
            .goroutines
            .entry(state_label(goroutine.status))
            .or_default() += 1;
        let Some(reason) = goroutine.wait_reason else {
            return;
        };
        *self.waiting.entry(reason.as_str()).or_default() += 1;
        let (WaitSince::Exact(since_ns) | WaitSince::AtLeast(since_ns)) = goroutine.since else {
            return;
        };
        let age_ns = now_ns.saturating_sub(since_ns);
        let oldest = self.oldest_wait.entry(reason.as_str()).or_default();
        *oldest = oldest.max(seconds(age_ns));
        let stuck = stuck_after_ns.is_some_and(|after_ns| age_ns >= after_ns);
        if stuck && reason.kind().is_for_a_goroutine() {
            *self.stuck.entry(reason.as_str()).or_default() += 1;
        }
    }

    /// Adds the numbers of another process with the same identity.
    pub fn merge(&mut self, other: &Self) {
        sum(&mut self.goroutines, &other.goroutines);
        sum(&mut self.waiting, &other.waiting);
        sum(&mut self.stuck, &other.stuck);
        sum(&mut self.findings, &other.findings);
        sum(&mut self.threads, &other.threads);
        for (reason, age) in &other.oldest_wait {
            let oldest = self.oldest_wait.entry(reason).or_default();
            *oldest = oldest.max(*age);
        }
        self.deadlocked += other.deadlocked;
        self.pinned += other.pinned;
        self.threads_created += other.threads_created;
        self.gomaxprocs = match (self.gomaxprocs, other.gomaxprocs) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
}

fn sum<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, other: &BTreeMap<K, u64>) {
    for (key, number) in other {
        *into.entry(*key).or_default() += number;
    }
}

const fn state_label(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Runnable => "runnable",
        Status::Syscall => "syscall",
        Status::Waiting | Status::Leaked => "waiting",
        Status::Idle | Status::CopyStack | Status::Preempted => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document::example, finding::MAX_LISTED};
    use snapshot::{Goroutine, Snapshot};

    #[test]
    fn counts_go_on_where_lists_end() {
        let number = 2 * MAX_LISTED as u64;
        let snapshot = example::snapshot();
        let waiting = snapshot.goroutines.iter().find(|g| g.goid == Goid(18));
        let waiting = waiting.unwrap().clone();
        let goroutines = (1..=number).map(|goid| Goroutine {
            goid: Goid(goid),
            since: WaitSince::Exact(0),
            ..waiting.clone()
        });
        let snapshot = Snapshot {
            goroutines: goroutines.collect(),
            ..snapshot
        };
        let goids: Vec<Goid> = snapshot.goroutines.iter().map(|g| g.goid).collect();
        let mut finding = example::cycle();
        (finding.all, finding.count) = (goids.as_slice().into(), number);
        let figures = ProcessMetrics::new(&snapshot, &[finding], 1);
        assert_eq!(figures.deadlocked, number);
        assert_eq!(figures.stuck.values().sum::<u64>(), number);
    }
}
