//! When to look.

use std::time::Duration;

/// How eagerly a process is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// At least so often.
    pub interval: Duration,
    /// Never more often than this.
    pub least_gap: Duration,
    /// Likewise for the sake of a hint alone, which does not say whether anybody waits, or of who waits
    /// for something else while somebody waits for a lock.
    pub hint_gap: Duration,
    /// A wait for a lock that lasts so long deserves an inspection of its own, and so does any wait while
    /// somebody waits for a lock.
    pub long_wait: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            least_gap: Duration::from_millis(500),
            hint_gap: Duration::from_millis(500),
            long_wait: Duration::from_millis(200),
        }
    }
}

impl Schedule {
    pub(super) fn interval_ns(&self) -> u64 {
        nanoseconds(self.interval)
    }

    pub(super) fn least_gap_ns(&self) -> u64 {
        nanoseconds(self.least_gap)
    }

    pub(super) fn hint_gap_ns(&self) -> u64 {
        nanoseconds(self.hint_gap)
    }

    pub(super) fn long_wait_ns(&self) -> u64 {
        nanoseconds(self.long_wait)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Why a process should be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Nobody ever did.
    Never,
    /// Events were lost, or more came than are remembered.
    Lost,
    /// Somebody has waited for a lock for long, and no inspection has examined that wait.
    LockWait,
    /// Likewise for something else, while others wait for a lock; or perhaps for a lock.
    LongWait,
    /// It is time.
    Interval,
}
