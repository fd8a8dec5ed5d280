//! When enough rounds have agreed.

use std::time::{Duration, Instant};

use super::register_spills::UnspilledRegisters;
use resources::cancellation::sleep;

/// Rounds in a row that must find nothing new.
const ROUNDS: u32 = 16;
/// They take at least this long together, so that what moves has time to.
const TIME: Duration = Duration::from_millis(30);
/// So many of them read everything, however large the heap is: one of these misses a reference that is
/// moved on all the time at random with a probability of 0.37.
const WHOLE_ROUNDS: u32 = 12;
/// All of them do as long as those together take less than this.
const WHOLE_ROUNDS_TIME: Duration = Duration::from_millis(300);
/// How long to wait after that for those to stop who ran when the walk began. A preemption takes
/// 20 ms; a thread may be off its CPU for longer.
const STOP_TIME: Duration = Duration::from_secs(3);
/// Between two rounds that only wait for that.
const STOP_PAUSE: Duration = Duration::from_millis(20);
/// After so many rounds in a row in which something could not be read whole, there is no hope.
const PATIENCE: u32 = 50;

/// How far a series of rounds has got.
#[derive(Debug)]
pub(super) struct Convergence {
    /// Rounds in a row that found nothing new.
    pub(super) rounds: u32,
    since: Instant,
    whole_rounds: u32,
    whole_rounds_took: Duration,
    flawed: u32,
    /// When the rounds first sufficed but for those who had not stopped.
    waits_since: Option<Instant>,
}

/// What one round was like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// It read everything that was reached.
    pub(super) everything: bool,
    /// Time it took.
    pub(super) took: Duration,
    /// All that it wanted to read could be read.
    pub(super) whole: bool,
    /// It found the same goroutines out of reach as the one before.
    pub(super) agrees: bool,
    /// The last of those that were running when the walk began has stopped since the round before.
    pub(super) stopped_just_now: bool,
}

impl Convergence {
    pub(super) fn begin() -> Self {
        Self {
            rounds: 0,
            since: Instant::now(),
            whole_rounds: 0,
            whole_rounds_took: Duration::ZERO,
            flawed: 0,
            waits_since: None,
        }
    }

    /// Lets some time pass before the next round, if it is one of many that only wait.
    pub(super) fn pause(&self) {
        if self.waits_since.is_some() {
            sleep(STOP_PAUSE);
        } else if self.rounds >= ROUNDS {
            sleep(TIME / ROUNDS);
        }
    }

    /// Whether the next round is to read everything.
    pub(super) fn reads_everything(&self) -> bool {
        self.whole_rounds < WHOLE_ROUNDS || self.whole_rounds_took < WHOLE_ROUNDS_TIME
    }

    /// Takes note of a round.
    pub(super) fn looked(&mut self, look: &Round) {
        if look.everything {
            self.whole_rounds += 1;
            self.whole_rounds_took += look.took;
        }
        if !look.agrees {
            *self = Self {
                whole_rounds_took: self.whole_rounds_took,
                ..Self::begin()
            };
        } else if look.whole {
            self.rounds += 1;
            self.flawed = 0;
        } else {
            self.flawed += 1;
        }
        if self.rounds >= ROUNDS && self.since.elapsed() >= TIME {
            self.waits_since.get_or_insert_with(Instant::now);
        }
        if look.stopped_just_now {
            // What it has stored is for the next rounds to find.
            self.rounds = self.rounds.min(ROUNDS.saturating_sub(2));
        }
    }

    /// Whether the rounds suffice.
    pub(super) fn is_over(&self, unspilled: &UnspilledRegisters) -> bool {
        self.rounds >= ROUNDS && self.since.elapsed() >= TIME && unspilled.is_empty()
    }

    /// Whether it is of no use to go on.
    pub(super) fn is_hopeless(&self) -> bool {
        let waited = self.waits_since.is_some_and(|at| at.elapsed() >= STOP_TIME);
        self.flawed >= PATIENCE || waited
    }

    /// Why it did not come to an end, in words.
    pub(super) fn tell(&self, unspilled: &UnspilledRegisters) -> String {
        if self.rounds >= ROUNDS && !unspilled.is_empty() {
            return format!("{} (--freeze can)", unspilled.tell());
        }
        format!(
            "its memory changed too fast to be sure within the time limit ({} of {ROUNDS} looks \
             agreed; --freeze decides it in one)",
            self.rounds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Round = Round {
        everything: true,
        took: Duration::from_millis(1),
        whole: true,
        agrees: true,
        stopped_just_now: false,
    };

    fn after(looks: &[Round]) -> Convergence {
        let mut settling = Convergence::begin();
        for look in looks {
            settling.looked(look);
        }
        settling
    }

    #[test]
    fn disagreement_begins_anew_and_flaws_do_not_count() {
        let differs = Round {
            agrees: false,
            ..LOOK
        };
        let flawed = Round {
            whole: false,
            ..LOOK
        };
        assert_eq!(after(&[LOOK, LOOK]).rounds, 2);
        assert_eq!(after(&[LOOK, LOOK, differs, LOOK]).rounds, 1);
        assert_eq!(after(&[LOOK, flawed, LOOK]).rounds, 2);
        assert!(after(&[flawed; 50]).is_hopeless());
        assert!(!after(&[[flawed; 40].as_slice(), &[LOOK], &[flawed; 40]].concat()).is_hopeless());
    }

    #[test]
    fn who_stops_late_is_looked_at_twice_more() {
        let stopped = Round {
            stopped_just_now: true,
            ..LOOK
        };
        let looks = [[LOOK; 20].as_slice(), &[stopped]].concat();
        assert_eq!(after(&looks).rounds, ROUNDS - 2);
    }

    #[test]
    fn small_heaps_are_read_whole_every_time_and_large_ones_often() {
        assert!(after(&[LOOK; 11]).reads_everything());
        let slow = Round {
            took: Duration::from_secs(1),
            ..LOOK
        };
        assert!(after(&[slow; 11]).reads_everything());
        assert!(!after(&[slow; 12]).reads_everything());
    }
}
