//! One process over time: events and snapshots in, waits with their true beginnings out.
//!
//! Events say when, memory says what is so. Nothing here claims that a goroutine is parked: a
//! snapshot says that, and what events told is used only where it agrees with the snapshot. The
//! runtime wakes goroutines by ways that no probe sees (netpoll, the scheduler, coroutine
//! switches), and records get lost.

mod event;
mod glances;
mod schedule;
mod waits;

use snapshot::{SemaphoreWaiter, Snapshot};

pub use event::{Event, Parked};
pub use schedule::{Schedule, Why};
pub use waits::MAX_WAITS;

use glances::PollSchedule;
use waits::{Waits, Worth};

/// What is known of one process between and across looks.
#[derive(Debug, Default)]
pub struct ProcessState {
    waits: Waits,
    glances: PollSchedule,
    last_look_ns: Option<u64>,
    lost_since_look: bool,
    /// The earliest hint at a wait for a lock since the last inspection.
    hinted_ns: Option<u64>,
    lost: u64,
}

impl ProcessState {
    /// A process that nobody has looked at.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that knows what `snapshot`, whose waits are dated, says of each wait.
    #[must_use]
    pub fn dated_by(snapshot: &Snapshot) -> Self {
        Self {
            waits: Waits::seen_in(snapshot),
            ..Self::default()
        }
    }

    /// Takes one event in.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Parked(wait) => {
                let worth = if wait.reason.is_lock_wait() {
                    Worth::Lock
                } else {
                    Worth::Nothing
                };
                self.lost_since_look |= !self.waits.begin(wait, worth);
            }
            Event::Woken { g, .. } => self.waits.end(g),
            Event::LockHint { at_ns } => {
                if self.last_look_ns.is_none_or(|look_ns| look_ns < at_ns) {
                    self.hinted_ns.get_or_insert(at_ns);
                }
            }
            Event::Lost { count } => {
                self.lost += count;
                self.lost_since_look = true;
                self.waits.forget_events();
            }
        }
    }

    /// Takes in who is parked by the park table, in place of all that parks and wakes told so far.
    pub fn apply_parked(&mut self, parked: impl IntoIterator<Item = Parked>) {
        self.waits.forget_events();
        let mut parked: Vec<Parked> = parked.into_iter().collect();
        parked.sort_unstable_by_key(|wait| wait.at_ns);
        // Where somebody waits for a lock, whoever holds it may wait for anything.
        let locked = parked.iter().any(|wait| wait.reason.is_lock_wait());
        for wait in parked {
            let worth = match (wait.reason.is_lock_wait(), locked) {
                (true, _) => Worth::Lock,
                (false, true) => Worth::Companion,
                (false, false) => Worth::Nothing,
            };
            self.lost_since_look |= !self.waits.begin(wait, worth);
        }
    }

    /// Takes in who waits for semaphores, as a glance at the process at `at_ns` saw.
    pub fn apply_glance(&mut self, waiters: impl IntoIterator<Item = SemaphoreWaiter>, at_ns: u64) {
        self.glances.take(waiters, at_ns);
        // It tells more than a hint.
        self.hinted_ns = None;
    }

    /// The process has not run since the last glance.
    pub const fn apply_stillness(&mut self, at_ns: u64) {
        self.glances.still(at_ns);
    }

    /// Takes a snapshot in, and writes into it since when each goroutine waits.
    pub fn apply_snapshot(&mut self, snapshot: &mut Snapshot) {
        self.waits.date(snapshot);
        self.last_look_ns = Some(snapshot.taken_ns);
        self.lost_since_look = false;
        self.hinted_ns = self.hinted_ns.filter(|at_ns| *at_ns > snapshot.taken_ns);
    }

    /// Why the process should be looked at now, if it should.
    pub fn needs_look(&mut self, now_ns: u64, schedule: &Schedule) -> Option<Why> {
        let Some(last_ns) = self.last_look_ns else {
            return Some(Why::Never);
        };
        let rested_ns = now_ns.saturating_sub(last_ns);
        if rested_ns < schedule.least_gap_ns() {
            return None;
        }
        let long_ago = now_ns.saturating_sub(schedule.long_wait_ns());
        let glanced = || self.glances.has_long_wait(last_ns, schedule.long_wait_ns());
        if self.waits.unexamined(Worth::Lock, long_ago) || glanced() {
            return Some(Why::LockWait);
        }
        if self.lost_since_look {
            return Some(Why::Lost);
        }
        let hinted = self.hinted_ns.is_some_and(|at_ns| at_ns <= long_ago);
        if rested_ns >= schedule.hint_gap_ns()
            && (hinted || self.waits.unexamined(Worth::Companion, long_ago))
        {
            return Some(Why::LongWait);
        }
        (rested_ns >= schedule.interval_ns()).then_some(Why::Interval)
    }

    /// How many events were lost, ever.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests;
