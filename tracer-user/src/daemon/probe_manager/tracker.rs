//! All probed processes: what the reading thread does at each turn, and what others ask meanwhile.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustc_hash::{FxHashMap, FxHashSet};
use tracer_common::Record;

use super::{ProbeStatus, governed::ProbedProcess, news::ProbeUpdates};
use crate::{
    daemon::{
        process_table::{LevelChanges, Mode},
        self_metrics::{ErrorKind, SelfMetrics},
    },
    timeline::{self, Parked},
};
use ids::Pid;
use image::Image;
use probes::{
    Budget, Event, Governor, HitCost, ImageFile, ParkedWait, ProbeError, Probes, WaitHistogram,
};
use resources::clock::{monotonic_ns, own_cpu_time};

/// After the first record others gather for so long before they are read.
const DELAY: Duration = Duration::from_millis(50);
/// Likewise while probes are on trial.
const TRIAL_DELAY: Duration = Duration::from_millis(2);
/// How often everything is done that no record asks for: looking at all governors, sweeping after
/// former targets, and totals.
const HOUSEKEEPING: Duration = Duration::from_secs(2);
/// So many records at once, and some may have been lost: the ring buffer was a quarter full.
const MANY: usize = (1 << 18) / (size_of::<Record>() + 8);
/// Waits shorter than this are not worth dating: the next inspection finds them gone.
const DATED_FROM: Duration = Duration::from_millis(100);
/// For so long what the park table said is taken as true where that matters little.
const FRESH: Duration = Duration::from_millis(200);
/// Reading the park table may take one part in so many of this thread's time, while somebody waits for
/// locks. A hundred thousand entries take some milliseconds: then it is read twice a second.
const READING_SHARE: u32 = 50;

/// The probes and who is probed.
pub struct ProbeTracker {
    probes: Probes,
    cost: HitCost,
    budget: Budget,
    own: SelfMetrics,
    governed: FxHashMap<Pid, ProbedProcess>,
    parked: ParkTable,
    housekeeping_due: Instant,
    /// Whether the last turn found records.
    busy: bool,
    lost: u64,
    /// What nobody has asked for yet.
    pub news: ProbeUpdates,
}

/// The park table as it was read last.
struct ParkTable {
    /// `None` when it could not be read.
    waits: Option<FxHashMap<Pid, Vec<Parked>>>,
    read: Instant,
    /// Not to be read again before, for what that costs.
    due: Instant,
}

impl ProbeTracker {
    /// Probes that are attached to nobody.
    pub fn new(probes: Probes, cost: HitCost, budget: Budget, own: SelfMetrics) -> Self {
        let now = Instant::now();
        Self {
            probes,
            cost,
            budget,
            own,
            governed: FxHashMap::default(),
            parked: ParkTable {
                waits: Some(FxHashMap::default()),
                read: now,
                due: now,
            },
            housekeeping_due: now,
            busy: false,
            lost: 0,
            news: ProbeUpdates::default(),
        }
    }

    /// See [`super::ProbeManager::attach`].
    pub fn attach(&mut self, pid: Pid, file: Result<ImageFile, ProbeError>, image: &Arc<Image>) {
        if self.governed.contains_key(&pid) {
            return;
        }
        let began = Instant::now();
        let attached = file.and_then(|file| self.probes.attach_to(pid, file, image));
        let governed = match attached {
            Ok(()) => {
                tracing::info!(%pid, "probes attached");
                ProbedProcess::new(Governor::new(self.budget, self.cost), began)
            }
            Err(error) => {
                tracing::warn!(%pid, %error, "no probes on this process");
                let kind = match error.is_shortage() {
                    true => ErrorKind::Descriptors,
                    false => ErrorKind::Attach,
                };
                self.own.count_error(kind);
                ProbedProcess::refused()
            }
        };
        self.governed.insert(pid, governed);
    }

    /// See [`super::ProbeManager::detach`].
    pub fn detach(&mut self, pid: Pid) {
        self.governed.remove(&pid);
        if let Err(error) = self.probes.detach(pid) {
            tracing::warn!(%pid, %error, "cannot detach cleanly");
        }
    }

    /// See [`super::ProbeManager::standing`].
    pub fn standing(&self, pid: Pid) -> ProbeStatus {
        match self.governed.get(&pid) {
            Some(governed) => governed.standing(self.probes.is_probing(pid)),
            None => ProbeStatus {
                mode: Mode::Unprobed,
                cost_ratio: None,
                over_budget: false,
                switches: LevelChanges::default(),
            },
        }
    }

    /// See [`super::ProbeManager::histograms`].
    pub fn histograms(&self, pid: Pid) -> Vec<WaitHistogram> {
        self.probes.histograms(pid).unwrap_or_default()
    }

    /// See [`super::ProbeManager::parked`].
    pub fn parked(&mut self, pid: Pid) -> Option<Vec<Parked>> {
        if !self.probes.is_probing(pid) {
            return None;
        }
        let now = Instant::now();
        if self.parked.read + FRESH <= now && self.parked.due <= now {
            self.read_park_table();
        }
        let waits = self.parked.waits.as_ref()?;
        Some(waits.get(&pid).cloned().unwrap_or_default())
    }

    /// How long nothing has to be done, unless records come.
    pub fn rest(&self) -> Duration {
        let locks_due = self
            .governed
            .values()
            .filter_map(ProbedProcess::locks_due)
            .min();
        let locks_due = locks_due.map(|due| due.max(self.parked.due));
        let due = locks_due.map_or(self.housekeeping_due, |due| due.min(self.housekeeping_due));
        let rest = due.saturating_duration_since(Instant::now());
        // What came while records were read may have woken nobody.
        if self.busy { rest.min(DELAY) } else { rest }
    }

    /// How long to let other records gather after a first.
    pub fn delay(&self) -> Duration {
        // Each moment of a trial under load costs its target.
        if self.governed.values().any(ProbedProcess::is_on_trial) {
            TRIAL_DELAY
        } else {
            DELAY
        }
    }

    /// One turn of the reading thread.
    pub fn tick(&mut self) {
        let now = Instant::now();
        let events = self.probes.drain();
        self.busy = !events.is_empty();
        if events.len() >= MANY {
            self.housekeeping_due = now;
        }
        for event in events {
            self.take(event, now);
        }
        let all = self.housekeeping_due <= now;
        if all {
            // Before probes come back: from then on nobody asks for hints that were left.
            self.find_hints();
        }
        self.govern(now, all);
        self.see_locks(now);
        if all {
            self.housekeeping_due = now + HOUSEKEEPING;
            self.keep_house();
        }
    }

    /// Has the governors look: those of targets that are hit often, or `all`.
    fn govern(&mut self, now: Instant, all: bool) {
        for (pid, governed) in &mut self.governed {
            if !all && !governed.is_loaded() {
                continue;
            }
            let lost = governed.govern(&mut self.probes, *pid, now);
            if let Some(switch) = governed.take_switch() {
                self.news.switch(*pid, switch);
            }
            if lost > 0 && !self.news.tell(*pid, timeline::Event::Lost { count: lost }) {
                self.own.count_lost(1);
            }
        }
    }

    fn take(&mut self, event: Event, now: Instant) {
        self.own.count_events(name(&event), 1);
        match event {
            Event::ProcessStarted { pid, .. } => {
                self.end(pid);
                self.news.start(pid);
            }
            Event::ProcessExited { pid, .. } => self.end(pid),
            Event::LockWait { pid, .. } => {
                if let Some(governed) = self.governed.get_mut(&pid) {
                    governed.hint(now);
                }
            }
            Event::Load { pid } => {
                if let Some(governed) = self.governed.get_mut(&pid) {
                    governed.load();
                }
            }
            Event::Woken { pid, g, at_ns, .. } => {
                self.tell(pid, timeline::Event::Woken { g, at_ns })
            }
            // The runtime's own count of threads is read from memory; parks are read from the
            // park table.
            Event::ThreadStarted { .. } | Event::Parked { .. } => {}
        }
    }

    fn tell(&mut self, pid: Pid, event: timeline::Event) {
        if !self.news.tell(pid, event) {
            self.own.count_lost(1);
        }
    }

    /// The program that was probed as `pid` runs no more.
    fn end(&mut self, pid: Pid) {
        if self.governed.contains_key(&pid) {
            let waits = self.histograms(pid);
            self.detach(pid);
            self.news.exited.push((pid, waits));
        }
    }

    /// Tells of the processes in which somebody has waited for a lock for a while.
    fn see_locks(&mut self, now: Instant) {
        if now < self.parked.due {
            return;
        }
        let mut due: FxHashSet<Pid> = FxHashSet::default();
        for (pid, governed) in &mut self.governed {
            if governed.takes_locks_due(now) {
                due.insert(*pid);
            }
        }
        if due.is_empty() {
            return;
        }
        self.read_park_table();
        let now_ns = monotonic_ns();
        let Some(waits) = &self.parked.waits else {
            // As if somebody had come just now.
            for pid in due {
                self.governed.entry(pid).and_modify(|g| g.hint(now));
            }
            return;
        };
        for pid in due {
            if let (Some(waits), Some(governed)) = (waits.get(&pid), self.governed.get_mut(&pid))
                && governed.sees(waits, now, now_ns)
            {
                self.news.parked.push((pid, waits.clone()));
            }
        }
    }

    /// Tells of the processes whose park and wake probes are off, and in which somebody has come to
    /// wait for a lock, perhaps, since the last time.
    fn find_hints(&mut self) {
        let mut found = Vec::new();
        for (pid, governed) in &mut self.governed {
            if governed.level().is_some()
                && !self.probes.is_probing(*pid)
                && let Ok(at_ns) = self.probes.lock_hint_ns(*pid)
                && governed.finds_hint(at_ns)
            {
                found.push((*pid, at_ns));
            }
        }
        for (pid, at_ns) in found {
            self.tell(pid, timeline::Event::LockHint { at_ns });
        }
    }

    fn read_park_table(&mut self) {
        let began = own_cpu_time();
        self.parked.waits = match self.probes.long_waits(DATED_FROM) {
            Ok(waits) => Some(by_process(waits)),
            Err(error) => {
                tracing::warn!(%error, "cannot date waits");
                self.own.count_error(ErrorKind::Inspection);
                None
            }
        };
        let read = Instant::now();
        // Of this thread: that others ran meanwhile is no reason to look less often.
        let cost = own_cpu_time().saturating_sub(began);
        (self.parked.read, self.parked.due) = (read, read + cost * READING_SHARE);
    }

    fn keep_house(&mut self) {
        if let Err(error) = self.probes.sweep() {
            tracing::warn!(%error, "cannot clear the park table");
        }
        if let Ok(statistics) = self.probes.statistics() {
            let lost = statistics.lost().saturating_sub(self.lost);
            self.own.count_lost(lost);
            self.news.missed |= lost > 0;
            self.lost = statistics.lost();
            self.own.set_irregularities(&statistics.irregularities);
        }
        let refused = self.governed.values().filter(|g| g.level().is_none());
        self.own.set_unprobed(refused.count());
        self.own.set_probes_attached(self.probes.attached() as u64);
    }
}

fn by_process(waits: Vec<ParkedWait>) -> FxHashMap<Pid, Vec<Parked>> {
    let mut by_process: FxHashMap<Pid, Vec<Parked>> = FxHashMap::default();
    for wait in waits {
        by_process.entry(wait.pid).or_default().push(Parked {
            g: wait.g,
            reason: wait.reason,
            at_ns: wait.since_ns,
        });
    }
    by_process
}

/// The value of label `type` of `gostuck_events_total`.
const fn name(event: &Event) -> &'static str {
    match event {
        Event::Parked { .. } => "parked",
        Event::Woken { .. } => "woken",
        Event::ThreadStarted { .. } => "thread-started",
        Event::LockWait { .. } => "lock-wait",
        Event::Load { .. } => "load",
        Event::ProcessStarted { .. } => "process-started",
        Event::ProcessExited { .. } => "process-exited",
    }
}
