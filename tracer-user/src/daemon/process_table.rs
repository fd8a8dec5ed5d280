//! What the daemon shows: one entry a process, replaced after each inspection. Metrics, API, web page and
//! terminal view read it; only the supervisor writes it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    found_findings::{FoundFindings, FoundSeries},
    process_metrics::ProcessMetrics,
    viewers::Viewers,
    wait_histogram::WaitHistogram,
};
use crate::{
    document::{self, SCHEMA},
    finding::Finding,
};
use ids::Pid;
use process::ProcessKey;

/// How a process is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// By probes: waits are timed exactly.
    Events,
    /// By looks at an interval.
    Snapshots,
    /// Not yet.
    Unprobed,
    /// Not at all: its memory or its executable does not answer.
    Unresponsive,
}

impl Mode {
    /// How a table shows it: `events`, `looks`, `silent` or `-`.
    #[must_use]
    pub const fn cell(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Snapshots => "looks",
            Self::Unprobed => "-",
            Self::Unresponsive => "silent",
        }
    }
}

/// How often the budget has changed the way in which a process is followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LevelChanges {
    /// Probes came back, on trial.
    pub to_events: u64,
    /// Probes came off. Once more when, after the others, those on contended locks do.
    pub to_snapshots: u64,
}

impl LevelChanges {
    /// Adds those of another process.
    pub const fn merge(&mut self, other: Self) {
        self.to_events += other.to_events;
        self.to_snapshots += other.to_snapshots;
    }
}

/// One process in the list of processes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProcessSummary {
    /// What it is.
    #[serde(flatten)]
    pub process: document::Process,
    /// How many goroutines it has, the runtime's own included.
    pub goroutines_total: usize,
    /// How many threads it has.
    pub threads_total: usize,
    /// How many findings stand.
    pub findings: Findings,
    /// How it is followed.
    pub mode: Mode,
    /// What its probes cost it, as a share of one CPU.
    pub cost_ratio: Option<f64>,
    /// Change of its goroutine count a minute, where known.
    pub growth_per_minute: Option<f64>,
    /// How long ago it was last looked at; `null` before the first inspection.
    pub last_look_seconds_ago: Option<u64>,
}

impl ProcessSummary {
    /// Whether a reader would see no difference, but for the time that has passed.
    fn shows_the_same(&self, other: &Self) -> bool {
        let mut other = other.clone();
        other.process.uptime_seconds = self.process.uptime_seconds;
        other.last_look_seconds_ago = self.last_look_seconds_ago;
        *self == other
    }
}

/// How many findings stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Proven ones.
    pub proven: usize,
    /// Suspected ones.
    pub suspected: usize,
}

/// The list of processes as the API serves it.
#[derive(Debug, Serialize)]
pub struct ProcessList {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The processes, by pid.
    pub processes: Vec<ProcessSummary>,
}

/// Changes a minute, and the price of knowing them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GrowthRates {
    /// Slopes of goroutine counts by creation site; the empty site is the whole process.
    pub goroutines_by_site: BTreeMap<String, f64>,
    /// Slope of the thread count.
    pub threads: Option<f64>,
    /// What the probes cost the process, as a share of one CPU.
    pub overhead: Option<f64>,
}

impl GrowthRates {
    /// Adds the rates of another process.
    pub fn merge(&mut self, other: &Self) {
        for (site, slope) in &other.goroutines_by_site {
            *self.goroutines_by_site.entry(site.clone()).or_default() += slope;
        }
        self.threads = sum(self.threads, other.threads);
        self.overhead = sum(self.overhead, other.overhead);
    }
}

fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// All that is shown of one process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessEntry {
    /// Its line in the list.
    pub listed: ProcessSummary,
    /// Its numbers.
    pub figures: ProcessMetrics,
    /// Its changes.
    pub rates: GrowthRates,
    /// Whether Go's own detector could fire.
    pub detector_armed: Option<bool>,
    /// Lengths of the waits that ended, by reason.
    pub waits: BTreeMap<&'static str, WaitHistogram>,
    /// Whether its probes are off because they cost too much.
    pub over_budget: bool,
    /// How often they came off for that, and back.
    pub switches: LevelChanges,
    /// When it was last looked at.
    pub looked_at: Option<SystemTime>,
    /// When it was found.
    pub found_at: SystemTime,
}

impl ProcessEntry {
    /// How long ago it was looked at, or found if nobody has looked yet.
    #[must_use]
    pub fn age(&self) -> Duration {
        let at = self.looked_at.unwrap_or(self.found_at);
        at.elapsed().unwrap_or_default()
    }

    /// Its line in the list as of now.
    #[must_use]
    pub fn listed_now(&self) -> ProcessSummary {
        ProcessSummary {
            last_look_seconds_ago: self.looked_at.map(|_| self.age().as_secs()),
            ..self.listed.clone()
        }
    }
}

/// What the probes on one process tell, between looks as well.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// How it is followed.
    pub mode: Mode,
    /// What its probes cost it lately, as a share of one CPU.
    pub cost_ratio: Option<f64>,
    /// Whether its probes are off because they cost too much.
    pub over_budget: bool,
    /// How often they came off for that, and back.
    pub switches: LevelChanges,
    /// Lengths of the waits that ended, by reason.
    pub waits: BTreeMap<&'static str, WaitHistogram>,
}

impl Probed {
    /// Writes it into what is shown.
    pub fn write_to(self, entry: &mut ProcessEntry) {
        entry.listed.mode = self.mode;
        // Ten-thousandths, so that noise does not count as a change of the list.
        entry.listed.cost_ratio = self.cost_ratio.map(|ratio| (ratio * 1e4).round() / 1e4);
        entry.rates.overhead = self.cost_ratio;
        entry.over_budget = self.over_budget;
        entry.switches = self.switches;
        entry.waits = self.waits;
    }
}

/// Seconds since 1970.
#[must_use]
pub fn unix_seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// The process table.
#[derive(Debug)]
pub struct ProcessTable {
    entries: RwLock<BTreeMap<ProcessKey, Arc<ProcessEntry>>>,
    /// What has been found, in processes that are no longer shown, too.
    found: Mutex<FoundFindings>,
    /// Who shows single processes.
    viewers: Arc<dyn Viewers>,
    /// Counts the changes of what the list shows.
    changes: watch::Sender<u64>,
}

impl Default for ProcessTable {
    fn default() -> Self {
        Self::with_viewers(Arc::new(()))
    }
}

impl ProcessTable {
    /// Returns an empty board; `viewers` show single processes of it.
    #[must_use]
    pub fn with_viewers(viewers: Arc<dyn Viewers>) -> Self {
        Self {
            entries: RwLock::default(),
            found: Mutex::default(),
            viewers,
            changes: watch::Sender::new(0),
        }
    }

    /// Who shows single processes.
    #[must_use]
    pub fn viewers(&self) -> &dyn Viewers {
        &*self.viewers
    }

    /// Shows `entry` for the process `key`, in place of what was shown before.
    pub fn show(&self, key: ProcessKey, entry: ProcessEntry) {
        let listed = entry.listed.clone();
        let before = self
            .entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, Arc::new(entry));
        if before.is_none_or(|before| !before.listed.shows_the_same(&listed)) {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Shows `probed` of the process `key`, if that is shown at all.
    pub fn show_probed(&self, key: ProcessKey, probed: Probed) {
        let changed = {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            let Some(entry) = entries.get_mut(&key) else {
                return;
            };
            let entry = Arc::make_mut(entry);
            let before = (entry.listed.mode, entry.listed.cost_ratio);
            probed.write_to(entry);
            before != (entry.listed.mode, entry.listed.cost_ratio)
        };
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Shows the process `key` no more.
    pub fn remove(&self, key: ProcessKey) {
        self.viewers.forget(key);
        let before = self
            .entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
        if before.is_some() {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Counts what was found in a process, in metrics that outlive it. Whether it was not counted
    /// before.
    pub fn count(&self, process: &document::Process, finding: &Finding) -> bool {
        self.counted().count(process, finding, unix_seconds())
    }

    /// What has been found, in processes that are no longer shown, too.
    pub fn found(&self) -> Vec<FoundSeries> {
        self.counted().series(unix_seconds())
    }

    fn counted(&self) -> MutexGuard<'_, FoundFindings> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All entries, by pid.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<ProcessEntry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().map(Arc::clone).collect()
    }

    /// The process that has `pid` now.
    #[must_use]
    pub fn key_of(&self, pid: Pid) -> Option<ProcessKey> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.keys().rev().find(|key| key.pid == pid).copied()
    }

    /// The list of processes.
    #[must_use]
    pub fn list(&self) -> ProcessList {
        ProcessList {
            schema: SCHEMA,
            processes: self
                .entries()
                .iter()
                .map(|entry| entry.listed_now())
                .collect(),
        }
    }

    /// Wakes whenever the list has changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// An entry for the tests of what reads the process table.
#[cfg(test)]
pub mod example {
    use std::time::{Duration, SystemTime};

    use super::{
        Findings, GrowthRates, LevelChanges, Mode, ProcessEntry, ProcessKey, ProcessSummary,
        WaitHistogram,
    };
    use crate::{daemon::process_metrics::ProcessMetrics, document::example};
    use ids::Pid;
    use process::StartTime;

    /// The process of the example document.
    pub fn entry() -> (ProcessKey, ProcessEntry) {
        let process = example::document().process;
        let waits = WaitHistogram::from(&probes::WaitHistogram {
            reason: "sync.Mutex.Lock",
            buckets: vec![(Some(Duration::from_micros(2_097)), 1)],
            sum: Duration::from_micros(1_500),
        });
        let key = ProcessKey {
            pid: Pid(4711),
            start_time: StartTime(100),
        };
        let entry = ProcessEntry {
            listed: ProcessSummary {
                goroutines_total: process.goroutines,
                threads_total: process.threads,
                process,
                findings: Findings {
                    proven: 1,
                    suspected: 0,
                },
                mode: Mode::Events,
                cost_ratio: Some(0.001),
                growth_per_minute: Some(0.0),
                last_look_seconds_ago: None,
            },
            figures: ProcessMetrics::new(&example::snapshot(), &[example::cycle()], 30_000_000_000),
            rates: GrowthRates {
                goroutines_by_site: [(String::new(), 0.0)].into(),
                threads: Some(0.0),
                overhead: Some(0.001),
            },
            detector_armed: Some(false),
            waits: [("sync.Mutex.Lock", waits)].into(),
            over_budget: false,
            switches: LevelChanges {
                to_events: 2,
                to_snapshots: 3,
            },
            looked_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)),
            found_at: SystemTime::UNIX_EPOCH,
        };
        (key, entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ProcessTable, example};

    #[test]
    fn only_changes_of_the_list_wake_its_readers() {
        let board = ProcessTable::default();
        let mut changes = board.changes();
        let (key, entry) = example::entry();
        board.show(key, entry.clone());
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        let mut later = entry.clone();
        later.looked_at = later.looked_at.map(|at| at + Duration::from_secs(1));
        later.listed.process.uptime_seconds = Some(7);
        board.show(key, later);
        assert!(!changes.has_changed().unwrap());
        board.remove(key);
        assert!(changes.has_changed().unwrap());
        assert!(board.list().processes.is_empty());
    }
}
