//! Keeping each target's probes within a budget: hits times the cost of a hit, against a share of
//! one CPU. Pure: counts and times go in, levels come out.

use std::time::Duration;

use super::{calibration::HitCost, statistics::TargetStatistics};

/// The share of one CPU that probes may cost a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget(pub f64);

impl Default for Budget {
    fn default() -> Self {
        Self(0.01)
    }
}

/// Which probes a target has, from few to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `newm` alone: seldom hit, never too dear.
    Threads,
    /// `semacquire1`, too: contended locks hint that somebody may be stuck.
    Locks,
    /// `gopark` and `ready`, too: waits are dated exactly.
    All,
}

/// One target's governor.
///
/// Without probes nothing tells the load, so they return on trial after a pause. A trial may spend at
/// once what the budget allows in a moment, so that it is over within milliseconds where the load is
/// still there; each such trial doubles the pause. What a trial costs stays within the budget over
/// the pause.
#[derive(Debug, Clone)]
pub struct Governor {
    budget: Budget,
    cost: HitCost,
    level: Level,
    last: TargetStatistics,
    window: Window,
    pause: Duration,
    paused: Duration,
    /// Windows since the last trial began, or since the beginning.
    calm: u32,
    /// Whether the park and wake probes ever had to go.
    tripped: bool,
    ratio: f64,
}

/// What was spent since the window began.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    all: Duration,
    /// Of `semacquire1` and `newm` alone.
    cheap: Duration,
    length: Duration,
}

impl Window {
    /// How long it has lasted, to take a share of: what a few hits cost is none of the microseconds in
    /// which they came.
    fn lasted(&self) -> Duration {
        self.length.max(Governor::TRIAL)
    }
}

impl Governor {
    /// What may be spent at once is the budget of so long a time.
    const WINDOW: Duration = Duration::from_secs(1);
    /// Likewise on trial, where the load is known to have been too high.
    const TRIAL: Duration = Duration::from_millis(100);
    /// First pause after going over budget.
    const SHORTEST_PAUSE: Duration = Duration::from_secs(10);
    /// Longest pause between trials.
    const LONGEST_PAUSE: Duration = Duration::from_secs(600);
    /// Windows within budget after which the next excess counts as the first again.
    const CALM: u32 = 30;

    /// A governor of a target that has all probes and has hit none.
    #[must_use]
    pub fn new(budget: Budget, cost: HitCost) -> Self {
        Self {
            budget,
            cost,
            level: Level::All,
            last: TargetStatistics::default(),
            window: Window::default(),
            pause: Self::SHORTEST_PAUSE,
            paused: Duration::ZERO,
            calm: 0,
            tripped: false,
            ratio: 0.0,
        }
    }

    /// The probes that the target should have now.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Share of one CPU that the target paid for probes lately.
    #[must_use]
    pub const fn cost_ratio(&self) -> f64 {
        self.ratio
    }

    /// Whether the park and wake probes are back on trial, so that to look late costs the target
    /// more than it should.
    #[must_use]
    pub const fn is_on_trial(&self) -> bool {
        matches!(self.level, Level::All) && self.tripped && self.calm == 0
    }

    /// One look: `hits` are the target's counts so far, `elapsed` the time since the last look.
    /// Answers the new level when that changes.
    pub fn look(&mut self, hits: TargetStatistics, elapsed: Duration) -> Option<Level> {
        let new = |now: u64, before: u64| self.cost.of_hits(now.saturating_sub(before));
        self.window.all += new(hits.hits(), self.last.hits());
        self.window.cheap += new(
            hits.semacquire_hits + hits.newm_hits,
            self.last.semacquire_hits + self.last.newm_hits,
        );
        self.window.length += elapsed;
        self.last = hits;
        if self.level != Level::All {
            self.paused += elapsed;
        }
        // Whoever is looked at seldom has a longer window.
        let at_once = if self.is_on_trial() {
            Self::TRIAL
        } else {
            Self::WINDOW
        };
        let length = self.window.length.max(at_once);
        // Park and wake probes are still hit while they are being taken off.
        let spent = match self.level {
            Level::All => self.window.all,
            Level::Locks | Level::Threads => self.window.cheap,
        };
        if spent > length.mul_f64(self.budget.0) && self.level > Level::Threads {
            return Some(self.lower());
        }
        if self.window.length >= Self::WINDOW {
            self.close_window();
            self.calm = self.calm.saturating_add(1);
            if self.level == Level::All && self.calm >= Self::CALM {
                self.pause = Self::SHORTEST_PAUSE;
                self.tripped = false;
            }
        }
        (self.level != Level::All && self.paused >= self.pause).then(|| self.raise())
    }

    /// Over budget. The cheap probes stay if they alone would have been within.
    fn lower(&mut self) -> Level {
        // Probes that are on trial count as another excess of the same load.
        if self.level == Level::All {
            if self.tripped && self.calm < Self::CALM {
                self.pause = (self.pause * 2).min(Self::LONGEST_PAUSE);
            }
            // The trial itself may have cost more than the budget of the shortest pause.
            let repaid = self.window.all.as_secs_f64() / self.budget.0.max(1e-6);
            let longest = Self::LONGEST_PAUSE.as_secs_f64();
            let repaid = Duration::from_secs_f64(repaid.min(longest));
            self.pause = self.pause.max(repaid);
            self.paused = Duration::ZERO;
            self.tripped = true;
        }
        // By what has passed of the window: the excess may have come early in it.
        let allowed = self.window.lasted().mul_f64(self.budget.0);
        let affordable = self.level == Level::All && self.window.cheap <= allowed;
        self.level = if affordable {
            Level::Locks
        } else {
            Level::Threads
        };
        self.close_window();
        self.level
    }

    /// The pause is over: all probes return, on trial.
    fn raise(&mut self) -> Level {
        self.level = Level::All;
        self.calm = 0;
        self.close_window();
        Level::All
    }

    fn close_window(&mut self) {
        self.ratio = self.window.all.as_secs_f64() / self.window.lasted().as_secs_f64();
        self.window = Window::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(250);

    fn governor() -> Governor {
        Governor::new(Budget(0.01), HitCost::from_nanos(500))
    }

    fn hits(park: u64, semacquire: u64) -> TargetStatistics {
        TargetStatistics {
            park_hits: park,
            semacquire_hits: semacquire,
            ..TargetStatistics::default()
        }
    }

    #[test]
    fn a_target_within_budget_keeps_its_probes() {
        let mut governor = governor();
        for tick in 1..4000 {
            assert_eq!(governor.look(hits(tick * 4_900, 0), TICK), None);
        }
        assert!((governor.cost_ratio() - 0.0098).abs() < 1e-9);
    }

    #[test]
    fn hits_at_once_are_a_share_of_the_moment_in_which_they_came() {
        let mut governor = governor();
        let now = Duration::from_micros(3);
        assert_eq!(governor.look(hits(40_000, 0), now), Some(Level::Locks));
        // 20 ms of 100 ms.
        assert!((governor.cost_ratio() - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_target_that_is_looked_at_seldom_has_the_budget_of_all_that_time() {
        let mut governor = governor();
        for look in 1..100 {
            // Twice in 2 s what one second allows, less a little.
            assert_eq!(governor.look(hits(look * 39_000, 0), TICK * 8), None);
        }
        assert_eq!(
            governor.look(hits(4_000_000, 0), TICK * 8),
            Some(Level::Locks)
        );
    }

    #[test]
    fn a_burst_that_the_second_around_it_pays_for_changes_nothing() {
        let mut governor = governor();
        let mut park = 0;
        for tick in 0..400 {
            park += if tick % 4 == 0 { 19_000 } else { 0 };
            assert_eq!(governor.look(hits(park, 0), TICK), None);
        }
    }

    #[test]
    fn over_budget_they_come_off_and_return_on_trial_after_longer_and_longer_pauses() {
        let mut governor = governor();
        let mut park = 0;
        let mut offs = Vec::new();
        for tick in 0_u32..16_000 {
            if governor.level() == Level::All {
                park += 25_000;
            }
            if governor.look(hits(park, 0), TICK) == Some(Level::Locks) {
                offs.push(tick);
            }
        }
        let pauses: Vec<_> = offs.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            pauses.windows(2).all(|pair| pair[0] <= pair[1]) && pauses.len() > 4,
            "{pauses:?}"
        );
        // 100,000 hits a second of 0.5 µs are 5 % of a CPU; all in all the budget is kept.
        assert!(f64::from(u32::try_from(park).unwrap_or(u32::MAX)) * 500e-9 / 4000.0 < 0.01);
    }

    #[test]
    fn a_trial_under_the_same_load_ends_after_a_moment_and_counts_as_another_excess() {
        let ms = Duration::from_millis(1);
        let mut governor = governor();
        let mut park = 0;
        let (mut on_trial, mut trials) = (0, Vec::new());
        for _ in 0..100_000 {
            if governor.level() == Level::All {
                // 400,000 hits a second: 20 % of a CPU.
                park += 400;
                on_trial += u32::from(governor.is_on_trial());
            }
            match governor.look(hits(park, 0), ms) {
                Some(Level::All) => on_trial = 0,
                Some(_) if on_trial > 0 => trials.push(on_trial),
                _ => {}
            }
        }
        // A thousandth of a CPU's second each, after 10, 20 and 40 s.
        assert_eq!(trials, [6, 6, 6]);
    }

    #[test]
    fn when_the_load_falls_they_stay() {
        let mut governor = governor();
        assert_eq!(governor.look(hits(100_000, 0), TICK), Some(Level::Locks));
        let levels: Vec<_> = (0..400)
            .filter_map(|_| governor.look(hits(100_000, 0), TICK))
            .collect();
        assert_eq!(levels, [Level::All]);
    }

    #[test]
    fn hits_of_probes_that_are_being_taken_off_do_not_cost_the_others_their_place() {
        let mut governor = governor();
        assert_eq!(governor.look(hits(50_000, 0), TICK), Some(Level::Locks));
        assert_eq!(governor.look(hits(90_000, 10), TICK), None);
    }

    #[test]
    fn contended_locks_that_are_too_dear_alone_lose_their_probe_as_well() {
        let mut governor = governor();
        assert_eq!(
            governor.look(hits(50_000, 50_000), TICK),
            Some(Level::Threads)
        );
        let mut later = Governor::new(Budget(0.01), HitCost::from_nanos(500));
        assert_eq!(later.look(hits(50_000, 0), TICK), Some(Level::Locks));
        assert_eq!(later.look(hits(50_000, 50_000), TICK), Some(Level::Threads));
    }
}
