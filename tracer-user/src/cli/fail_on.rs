//! Which findings make a command fail.

use clap::ValueEnum;

use crate::finding::{Finding, Verdict};

/// From which verdict on a finding makes a command fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Deadlocks that are proven
    Proven,
    /// Anything suspicious, too
    Suspected,
}

impl FailOn {
    /// Whether `finding` is such a one.
    pub fn is_met_by(self, finding: &Finding) -> bool {
        match self {
            Self::Proven => finding.verdict == Verdict::Proven,
            Self::Suspected => true,
        }
    }
}
