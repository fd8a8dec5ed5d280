//! What a governor does to the probes of a process, in the words of the log and of `watch`.

use std::{fmt, time::Duration};

use crate::{
    daemon::process_table::Mode,
    document::words::{brief, percent},
};
use ids::Pid;

/// A step that a governor has taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Switch {
    /// What it did.
    pub step: Step,
    /// What the probes cost the process before, as a share of one CPU.
    pub cost_ratio: f64,
}

/// What a governor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Takes probes off, over budget.
    Off {
        /// Whether `semacquire1` goes as well, so that `newm` alone is left.
        locks: bool,
        /// For how long they had been back on trial, if they had.
        trial: Option<Duration>,
    },
    /// Puts all probes back, on trial.
    Trial,
    /// Leaves them where they are: the trial is passed.
    Stay,
}

impl Switch {
    /// How the process is followed from now on.
    pub const fn mode(self) -> Mode {
        match self.step {
            Step::Off { .. } => Mode::Snapshots,
            Step::Trial | Step::Stay => Mode::Events,
        }
    }

    /// Whether the probes may be off again within milliseconds.
    pub const fn is_trial(self) -> bool {
        matches!(self.step, Step::Trial)
    }

    /// Writes it into the log. Of a trial the outcome is enough for who does not ask for more.
    pub fn log(self, pid: Pid) {
        if self.is_trial() {
            tracing::info!(%pid, "{self}");
        } else {
            tracing::warn!(%pid, "{self}");
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = |locks| match locks {
            true => "all probes but newm",
            false => "park and wake probes",
        };
        let cost = percent(self.cost_ratio);
        match self.step {
            Step::Off { locks, trial: None } => {
                write!(f, "over budget at {cost}: {} come off", which(locks))
            }
            Step::Off {
                locks,
                trial: Some(trial),
            } => write!(
                f,
                "still over budget: the probes were back for {} and cost {cost}; {} are off again",
                brief(trial),
                which(locks)
            ),
            Step::Trial => f.write_str("all probes are back on trial"),
            Step::Stay => write!(f, "within budget at {cost}: all probes are back"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_trial_tells_of_its_beginning() {
        let off = |trial| Switch {
            step: Step::Off {
                locks: false,
                trial,
            },
            cost_ratio: 0.0261,
        };
        assert_eq!(
            off(None).to_string(),
            "over budget at 2.61 %: park and wake probes come off"
        );
        assert_eq!(
            off(Some(Duration::from_millis(23))).to_string(),
            "still over budget: the probes were back for 23 ms and cost 2.61 %; park and wake probes are off again"
        );
    }
}
