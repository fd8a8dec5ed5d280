//! Glances at who waits for locks in processes whose probes are off: these cost little, so that lock
//! cycles need not wait for the next inspection.

use std::time::{Duration, Instant};

use super::{
    Supervisor,
    errands::{self, Errand},
    pace::cpu_time_of,
};
use crate::inspect::History;
use process::{Owner, ProcessKey};
use resources::clock::monotonic_ns;

/// Between two glances. Who is in both has waited long enough to deserve an inspection.
const EVERY: Duration = Duration::from_millis(250);
/// Glances may take one part in so many of one CPU.
const SHARE: u32 = 1000;

/// When to glance next, and what the last round came to.
#[derive(Debug)]
pub struct SemaphorePolls {
    began: Instant,
    /// What those that came back have cost.
    cost: Duration,
}

impl SemaphorePolls {
    /// None yet.
    pub const fn new(now: Instant) -> Self {
        Self {
            began: now,
            cost: Duration::ZERO,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= EVERY.max(self.cost * SHARE)
    }
}

impl Supervisor {
    /// Has all processes glanced at of which probes do not tell who waits, if it is time.
    pub(super) fn glance(&mut self, now: Instant) {
        if !self.glances.is_due(now) {
            return;
        }
        self.glances = SemaphorePolls::new(now);
        for (key, member) in &mut self.members {
            if !member.wants_glances() || member.failures > 0 || member.is_silent() {
                continue;
            }
            let cpu_time = cpu_time_of(key.pid);
            if cpu_time.is_some() && cpu_time == member.glanced {
                if let Some(past) = member.past.here() {
                    past.state.apply_stillness(monotonic_ns());
                }
            } else if let Some(past) = member.past.lend() {
                member.glanced = cpu_time;
                let (key, serial) = (*key, member.serial);
                let of = errands::TrackedProcess { key, serial };
                let owner = Owner::of(&member.process);
                self.errands.send(Errand::Glance(of, owner, Box::new(past)));
            }
        }
    }

    /// A process was glanced at.
    pub(super) fn glanced(&mut self, of: errands::TrackedProcess, past: History, cost: Duration) {
        self.glances.cost += cost;
        let member = self.members.get_mut(&of.key);
        if let Some(member) = member.filter(|member| member.serial == of.serial)
            && member.past.take_back(past)
        {
            (member.due, member.cpu_time) = (Instant::now(), None);
        }
    }

    /// Whether the process is being glanced at, or waits for that.
    pub(super) fn is_glanced_at(&self, key: ProcessKey) -> bool {
        let member = self.members.get(&key);
        let away = member.is_some_and(|member| member.past.is_away() && !member.is_silent());
        away && !self.pool.has(key)
    }
}
