//! One process that is followed.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    daemon::{
        probe_manager::ProbeManager,
        process_findings::ProcessFindings,
        process_table::{Mode, Probed},
        wait_histogram::WaitHistogram,
        watchdog::Refused,
    },
    finding::Growth,
};
use ids::Pid;
use process::{Process, ProcessKey, StartTime};

use super::{
    history_slot::HistorySlot,
    log::Name,
    pace::{CpuBudget, Pace},
};

/// Memory of a process at which the first inspection is expected to take long, in bytes.
const LARGE: u64 = 256 << 20;

/// What is known of a process between inspections.
pub struct TrackedProcess {
    /// No other member ever has it.
    pub serial: u64,
    /// How the log names it.
    pub name: Name,
    /// What it is, as it was found.
    pub process: Process,
    /// Why nobody was sent there the last time that somebody was to be.
    pub refused: Option<Refused>,
    /// Since when its memory or its executable does not answer.
    pub silent: Option<Instant>,
    /// Its findings and its growth.
    pub followed: ProcessFindings,
    /// What earlier inspections leave to the next.
    pub past: HistorySlot,
    /// When to place its probes; `None` once that is done, or being done.
    pub probe_due: Option<Instant>,
    /// Whether its executable is being read: whoever looked at it would wait for that.
    pub is_being_read: bool,
    /// When it is to be looked at.
    pub due: Instant,
    /// When it was last looked at.
    pub looked: Option<Instant>,
    /// CPU time of the process at the last inspection.
    pub cpu_time: Option<Duration>,
    /// Whether a glance tells who waits for semaphores in it.
    pub can_glance: bool,
    /// CPU time of the process at the last glance at who waits for semaphores.
    pub glanced: Option<Duration>,
    /// CPU time that the last inspection took us.
    pub cost: Duration,
    /// CPU time that reading its executable took us, until an inspection made that up.
    pub owed: Duration,
    /// What looks may cost that are made before their time, whatever those of others cost.
    pub savings: CpuBudget,
    /// When it was found.
    pub found: SystemTime,
    /// Looks in a row that were made because somebody waited for a lock, and found nothing new.
    pub fruitless: u32,
    /// When its heap may be walked next; `None` while it is walked.
    pub walk_due: Option<Instant>,
    /// CPU time that the last walk took us.
    pub walk_cost: Duration,
    /// Looks in a row that failed.
    pub failures: u32,
    /// What the process table shows of its probes.
    pub probed: Option<Probed>,
}

impl TrackedProcess {
    /// One that nobody has looked at.
    pub fn new(
        serial: u64,
        process: &Process,
        (probe_due, due): (Instant, Instant),
        savings: CpuBudget,
        growth_window: Duration,
    ) -> Self {
        Self {
            serial,
            name: Name::of(process),
            process: process.clone(),
            refused: None,
            silent: None,
            past: HistorySlot::new(),
            followed: ProcessFindings::new(Growth::over(growth_window)),
            probe_due: Some(probe_due),
            is_being_read: false,
            due,
            looked: None,
            cpu_time: None,
            can_glance: false,
            glanced: None,
            cost: Duration::ZERO,
            owed: Duration::ZERO,
            savings,
            found: SystemTime::now(),
            fruitless: 0,
            walk_due: Some(due),
            walk_cost: Duration::ZERO,
            failures: 0,
            probed: None,
        }
    }

    /// Whether an inspection of it, which is the process `pid`, takes long: as the last did, or as its memory
    /// lets expect.
    pub fn is_costly(&self, pid: Pid) -> bool {
        if self.looked.is_some() {
            Pace::is_costly(self.cost)
        } else {
            resident(pid).is_some_and(|bytes| bytes > LARGE)
        }
    }

    /// Whether it counts as one that nobody has looked at.
    pub fn is_unseen(&self) -> bool {
        self.looked.is_none() && self.failures == 0
    }

    /// Whether its memory or its executable does not answer: nobody is sent there.
    pub fn is_silent(&self) -> bool {
        self.silent.is_some()
    }

    /// Whether somebody may be sent there.
    pub fn may_be_looked_at(&self) -> bool {
        !self.is_silent() && !self.is_being_read
    }

    /// Whether nothing but glances tells soon who waits for locks: its park and wake probes are off.
    pub fn wants_glances(&self) -> bool {
        let probed = self.probed.as_ref();
        self.can_glance && probed.is_some_and(|probed| probed.mode == Mode::Snapshots)
    }

    /// Whether the process has not run at all since the last inspection.
    pub fn is_idle(&self, cpu_time: Option<Duration>) -> bool {
        cpu_time.is_some() && cpu_time == self.cpu_time && self.failures == 0
    }
}

/// How much memory the process has, in bytes.
fn resident(pid: Pid) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(procfs::page_size())
}

/// The one of `members` that has `pid`.
pub fn key_of<T>(members: &BTreeMap<ProcessKey, T>, pid: Pid) -> Option<ProcessKey> {
    let at = |start_time| ProcessKey { pid, start_time };
    let mut keys = members.range(at(StartTime(0))..=at(StartTime(u64::MAX)));
    keys.next_back().map(|(key, _)| *key)
}

/// What the probes on a process tell.
pub fn probed(probing: &ProbeManager, pid: Pid) -> Probed {
    let standing = probing.standing(pid);
    let histograms = probing.histograms(pid);
    let waits: BTreeMap<&'static str, WaitHistogram> = histograms
        .iter()
        .map(|waits| (waits.reason, WaitHistogram::from(waits)))
        .collect();
    Probed {
        mode: standing.mode,
        cost_ratio: standing.cost_ratio,
        over_budget: standing.over_budget,
        switches: standing.switches,
        waits,
    }
}
