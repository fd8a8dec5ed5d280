//! Keeping each target's probes within a budget: hits times the cost of a hit, against a share of
//! one CPU. Pure: counts and times go in, switches come out.

use std::time::Duration;

use super::calibration::HitCost;

/// The share of one CPU that probes may cost a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget(pub f64);

impl Default for Budget {
    fn default() -> Self {
        Self(0.01)
    }
}

/// What to do with the park and wake probes of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Take them off; snapshots at an interval take over.
    Off,
    /// Put them back.
    On,
}

/// One target's governor.
///
/// Without probes nothing tells the load, so they return on trial after a pause; each trial that
/// ends over budget doubles the pause. What a trial costs stays within the budget over the pause.
#[derive(Debug, Clone)]
pub struct Governor {
    budget: Budget,
    cost: HitCost,
    probing: bool,
    last_hits: u64,
    pause: Duration,
    paused: Duration,
    within: u32,
    ratio: f64,
}

impl Governor {
    /// First pause after going over budget.
    const SHORTEST_PAUSE: Duration = Duration::from_secs(10);
    /// Longest pause between trials.
    const LONGEST_PAUSE: Duration = Duration::from_secs(600);
    /// Looks within budget after which the next excess counts as the first again.
    const CALM: u32 = 30;

    /// A governor of a target whose probes are on.
    #[must_use]
    pub const fn new(budget: Budget, cost: HitCost) -> Self {
        Self {
            budget,
            cost,
            probing: true,
            last_hits: 0,
            pause: Self::SHORTEST_PAUSE,
            paused: Duration::ZERO,
            within: 0,
            ratio: 0.0,
        }
    }

    /// Whether the park and wake probes should be on now.
    #[must_use]
    pub const fn is_probing(&self) -> bool {
        self.probing
    }

    /// Share of one CPU that the target paid for probes over the last look.
    #[must_use]
    pub const fn cost_ratio(&self) -> f64 {
        self.ratio
    }

    /// One look: `hits` is the target's total so far, `elapsed` the time since the last look.
    pub fn look(&mut self, hits: u64, elapsed: Duration) -> Option<Switch> {
        let new = hits.saturating_sub(self.last_hits);
        self.last_hits = hits;
        if elapsed.is_zero() {
            return None;
        }
        self.ratio = self.cost.of_hits(new).as_secs_f64() / elapsed.as_secs_f64();
        if !self.probing {
            self.paused += elapsed;
            if self.paused < self.pause {
                return None;
            }
            self.probing = true;
            self.within = 0;
            return Some(Switch::On);
        }
        if self.ratio <= self.budget.0 {
            self.within = self.within.saturating_add(1);
            if self.within >= Self::CALM {
                self.pause = Self::SHORTEST_PAUSE;
            }
            return None;
        }
        if self.within < Self::CALM && self.paused > Duration::ZERO {
            self.pause = (self.pause * 2).min(Self::LONGEST_PAUSE);
        }
        // The trial itself may have cost more than the budget of the shortest pause.
        let spent = self.cost.of_hits(new).as_secs_f64() / self.budget.0.max(1e-6);
        self.pause = self.pause.max(Duration::from_secs_f64(
            spent.min(Self::LONGEST_PAUSE.as_secs_f64()),
        ));
        self.probing = false;
        self.paused = Duration::ZERO;
        Some(Switch::Off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn governor() -> Governor {
        Governor::new(Budget(0.01), HitCost::from_nanos(500))
    }

    #[test]
    fn a_target_within_budget_keeps_its_probes() {
        let mut governor = governor();
        for second in 1..1000 {
            assert_eq!(governor.look(second * 19_000, SECOND), None);
        }
        assert!((governor.cost_ratio() - 0.0095).abs() < 1e-9);
    }

    #[test]
    fn over_budget_they_come_off_and_return_on_trial_after_longer_and_longer_pauses() {
        let mut governor = governor();
        let mut hits = 0;
        let mut offs = Vec::new();
        for second in 0_u32..4000 {
            if governor.is_probing() {
                hits += 100_000;
            }
            if governor.look(hits, SECOND) == Some(Switch::Off) {
                offs.push(second);
            }
        }
        let pauses: Vec<_> = offs.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            pauses.windows(2).all(|pair| pair[0] <= pair[1]),
            "{pauses:?}"
        );
        // 100,000 hits of 0.5 µs are 5 % of a CPU; all in all the budget is kept.
        assert!(f64::from(u32::try_from(hits).unwrap_or(u32::MAX)) * 500e-9 / 4000.0 < 0.01);
    }

    #[test]
    fn when_the_load_falls_they_stay() {
        let mut governor = governor();
        assert_eq!(governor.look(100_000, SECOND), Some(Switch::Off));
        let switches: Vec<_> = (0..100)
            .filter_map(|_| governor.look(100_000, SECOND))
            .collect();
        assert_eq!(switches, [Switch::On]);
    }
}
