//! One probed process: its governor, and what its counters said last.

use std::time::{Duration, Instant};

use super::{ProbeStatus, Switch, switch::Step};
use crate::{
    daemon::process_table::{LevelChanges, Mode},
    timeline::Parked,
};
use ids::Pid;
use probes::{Governor, Level, Probes, TargetStatistics};

/// A wait for a lock that lasts so long deserves an inspection.
const LONG_WAIT: Duration = Duration::from_millis(200);
/// While somebody waits for a lock, who else waits is seen this often at most.
const STANDING_GAP: Duration = Duration::from_millis(500);

/// A process that is probed, or could not be.
pub struct ProbedProcess {
    /// `None` when the probes could not be attached.
    governor: Option<Governor>,
    looked: Instant,
    counts: TargetStatistics,
    /// Whether what the governor decided last is not what is attached.
    unsettled: bool,
    /// Whether it was hit often since the governor looked.
    loaded: bool,
    /// Since when all probes are back on trial.
    trial_since: Option<Instant>,
    switches: LevelChanges,
    /// The last switch, while nobody has asked for it.
    switched: Option<Switch>,
    /// When to see who waits for locks.
    locks_due: Option<Instant>,
    /// The last hint that somebody does.
    hinted: Option<Instant>,
    /// When the latest wait began that was told of, on `CLOCK_MONOTONIC`.
    told_ns: u64,
    /// The last hint that was found, on `CLOCK_MONOTONIC`.
    found_ns: u64,
}

impl ProbedProcess {
    /// One that has just been attached to, which began at `began`: its probes may have been hit since.
    pub fn new(governor: Governor, began: Instant) -> Self {
        Self {
            governor: Some(governor),
            looked: began,
            ..Self::refused()
        }
    }

    /// One that could not be attached to.
    pub fn refused() -> Self {
        Self {
            governor: None,
            looked: Instant::now(),
            counts: TargetStatistics::default(),
            unsettled: false,
            loaded: false,
            trial_since: None,
            switches: LevelChanges::default(),
            switched: None,
            locks_due: None,
            hinted: None,
            told_ns: 0,
            found_ns: 0,
        }
    }

    /// The probes that the process should have.
    pub fn level(&self) -> Option<Level> {
        self.governor.as_ref().map(Governor::level)
    }

    /// How it is probed, where `probing` says whether its park and wake probes are in place.
    pub fn standing(&self, probing: bool) -> ProbeStatus {
        ProbeStatus {
            mode: if probing {
                Mode::Events
            } else {
                Mode::Snapshots
            },
            cost_ratio: self.governor.as_ref().map(Governor::cost_ratio),
            over_budget: self.level().is_some_and(|level| level != Level::All),
            switches: self.switches,
        }
    }

    /// Whether its park and wake probes are back on trial.
    pub fn is_on_trial(&self) -> bool {
        self.governor.as_ref().is_some_and(Governor::is_on_trial)
    }

    /// Its probes are hit often.
    pub const fn load(&mut self) {
        self.loaded = true;
    }

    /// Whether the governor has to look before it looks at everybody.
    pub const fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Somebody takes a contended lock.
    pub fn hint(&mut self, now: Instant) {
        self.hinted = Some(now);
        let due = now + LONG_WAIT + hint_gap();
        // Sooner than those are seen again who have waited for long.
        self.locks_due = Some(self.locks_due.map_or(due, |planned| planned.min(due)));
    }

    /// The last hint was left at `at_ns`. Whether it is another than was found before.
    pub const fn finds_hint(&mut self, at_ns: u64) -> bool {
        let newer = at_ns > self.found_ns;
        self.found_ns = at_ns;
        newer
    }

    /// When it is time to see who waits for locks, if anybody may.
    pub const fn locks_due(&self) -> Option<Instant> {
        self.locks_due
    }

    /// Takes in who is parked. Whether to tell of them: somebody waits for a lock, and a wait began
    /// that has not been told of. Whoever parks later, for whatever, may be who holds that lock, so
    /// they are seen again; the less soon, the longer nobody has come to wait for a lock.
    pub fn sees(&mut self, parked: &[Parked], now: Instant, now_ns: u64) -> bool {
        let locks = parked.iter().filter(|wait| wait.reason.is_lock_wait());
        let Some(latest_ns) = locks.map(|wait| wait.at_ns).max() else {
            return false;
        };
        let waited = Duration::from_nanos(now_ns.saturating_sub(latest_ns));
        let again = now + waited.max(STANDING_GAP);
        self.locks_due = Some(self.locks_due.map_or(again, |due| due.min(again)));
        let newest_ns = parked.iter().map(|wait| wait.at_ns).max().unwrap_or(0);
        let newer = newest_ns > self.told_ns;
        self.told_ns = newest_ns;
        newer
    }

    /// Whether it is time to see who waits for locks. What the last hint told of is seen in any
    /// case, this time or the next.
    pub fn takes_locks_due(&mut self, now: Instant) -> bool {
        if self.locks_due.is_none_or(|due| now < due) {
            return false;
        }
        let last = self.hinted.map(|hinted| hinted + LONG_WAIT + hint_gap());
        self.locks_due = last.filter(|due| *due > now);
        true
    }

    /// Reads the counters; switches the probes where the budget demands it. Answers how many
    /// records were lost since the last time.
    pub fn govern(&mut self, probes: &mut Probes, pid: Pid, now: Instant) -> u64 {
        self.loaded = false;
        let Some(governor) = &mut self.governor else {
            return 0;
        };
        let Ok(counts) = probes.target_statistics(pid) else {
            return 0;
        };
        let lost = counts.lost.saturating_sub(self.counts.lost);
        if counts.untracked > 0 && self.counts.untracked == 0 {
            tracing::warn!(%pid, "more goroutines than the park table has room for: looks date their waits");
        }
        let elapsed = now.saturating_duration_since(self.looked);
        (self.counts, self.looked) = (counts, now);
        let level = governor.look(counts, elapsed);
        self.tell_of_switch(pid, level, now);
        self.unsettled |= level.is_some();
        self.settle(probes, pid);
        lost
    }

    /// Attaches and detaches what the governor decided: again at each inspection until that succeeds, else
    /// the governor would count probes that are not there, or leave out those that are.
    fn settle(&mut self, probes: &mut Probes, pid: Pid) {
        let Some(level) = self.level().filter(|_| self.unsettled) else {
            return;
        };
        let settled = probes.set_level(pid, level);
        if let Err(error) = &settled {
            tracing::warn!(%pid, %error, "cannot switch probes yet");
        }
        self.unsettled = settled.is_err();
    }

    /// Logs and counts what the governor has decided, `level` if that is new, at `now`.
    fn tell_of_switch(&mut self, pid: Pid, level: Option<Level>, now: Instant) {
        let step = match level {
            Some(Level::All) => {
                self.trial_since = Some(now);
                self.switches.to_events += 1;
                Step::Trial
            }
            Some(level) => {
                self.switches.to_snapshots += 1;
                let since = self.trial_since.take();
                Step::Off {
                    locks: level == Level::Threads,
                    trial: since.map(|since| now.saturating_duration_since(since)),
                }
            }
            None if self.trial_since.is_some() && !self.is_on_trial() => {
                self.trial_since = None;
                Step::Stay
            }
            None => return,
        };
        let cost_ratio = self.governor.as_ref().map_or(0.0, Governor::cost_ratio);
        let switch = Switch { step, cost_ratio };
        switch.log(pid);
        self.switched = Some(switch);
    }

    /// What the governor did last, told once.
    pub const fn take_switch(&mut self) -> Option<Switch> {
        self.switched.take()
    }
}

const fn hint_gap() -> Duration {
    Duration::from_nanos(tracer_common::LOCK_HINT_GAP_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::TargetAddr;
    use image::WaitReason;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn while_somebody_waits_for_a_lock_who_comes_to_wait_is_told_of_once() {
        let wait = |g, reason, at_ns| Parked {
            g: TargetAddr(g),
            reason,
            at_ns,
        };
        let (start, second) = (Instant::now(), 1_000_000_000);
        let mut governed = ProbedProcess::refused();
        let mut parked = vec![wait(1, WaitReason::ChanReceive, second)];
        assert!(!governed.sees(&parked, start, 2 * second));
        assert_eq!(governed.locks_due(), None);
        parked.push(wait(2, WaitReason::MutexLock, 2 * second));
        assert!(governed.sees(&parked, start, 2 * second));
        assert_eq!(governed.locks_due(), Some(start + STANDING_GAP));
        // It holds the lock, and now it waits, too.
        parked.push(wait(3, WaitReason::ChanReceive, 3 * second));
        assert!(governed.takes_locks_due(start + STANDING_GAP));
        assert!(governed.sees(&parked, start, 6 * second));
        assert!(!governed.sees(&parked, start, 6 * second));
        assert_eq!(governed.locks_due(), Some(start + MS * 4000));
    }

    #[test]
    fn a_hint_does_not_wait_until_those_are_seen_again_who_have_waited_for_long() {
        let (start, second) = (Instant::now(), 1_000_000_000);
        let mut governed = ProbedProcess::refused();
        let parked = [Parked {
            g: TargetAddr(1),
            reason: WaitReason::MutexLock,
            at_ns: second,
        }];
        assert!(governed.sees(&parked, start, 9 * second));
        assert_eq!(governed.locks_due(), Some(start + MS * 8000));
        governed.hint(start + MS * 100);
        assert_eq!(governed.locks_due(), Some(start + MS * 350));
    }

    #[test]
    fn whoever_waits_when_hints_come_is_seen_after_a_while_and_hints_do_not_put_that_off() {
        let start = Instant::now();
        let mut governed = ProbedProcess::refused();
        let mut seen = Vec::new();
        for ms in 0..2000 {
            let now = start + MS * ms;
            if ms < 1000 && ms % 50 == 0 {
                governed.hint(now);
            }
            if governed.takes_locks_due(now) {
                seen.push(ms);
            }
        }
        assert!(
            seen.windows(2).all(|pair| pair[1] - pair[0] <= 250),
            "{seen:?}"
        );
        assert_eq!(governed.locks_due(), None);
        // Who parks last, just before a hint would be sent again, has waited for long by then.
        assert_eq!(seen.last(), Some(&1200));
    }
}
