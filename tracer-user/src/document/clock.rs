//! Monotonic time, the clock of Go's `nanotime`, as time of day.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

use crate::inspect::{Inspection, Origin};
use process::StartTime;

/// One moment on the clocks that a document needs.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: SystemTime,
    monotonic_ns: u64,
}

impl Clock {
    /// The moment `monotonic_ns`, a past or present reading of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn at(monotonic_ns: u64) -> Self {
        let age =
            Duration::from_nanos(now_ns(ClockId::CLOCK_MONOTONIC).saturating_sub(monotonic_ns));
        Self {
            wall: SystemTime::now()
                .checked_sub(age)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            monotonic_ns,
        }
    }

    /// The moment of `look`. Of a file that a process left, the one that the file tells.
    #[must_use]
    pub fn of(look: &Inspection) -> Self {
        let monotonic_ns = look.diagnosis.snapshot.taken_ns;
        match look.origin {
            Origin::Live => Self::at(monotonic_ns),
            Origin::Left { taken, .. } => Self {
                wall: taken,
                monotonic_ns,
            },
        }
    }

    /// A moment that tests can know: 1970-01-01T00:16:40Z.
    #[cfg(test)]
    pub fn fixed(monotonic_ns: u64) -> Self {
        Self {
            wall: SystemTime::UNIX_EPOCH
                .checked_add(Duration::from_secs(1_000))
                .unwrap(),
            monotonic_ns,
        }
    }

    /// This moment as RFC 3339 text, in UTC to the second.
    #[must_use]
    pub fn text(&self) -> String {
        humantime::format_rfc3339_seconds(self.wall).to_string()
    }

    /// How long before this moment `then_ns` was; 0 when it was later.
    #[must_use]
    pub const fn age_ns(&self, then_ns: u64) -> u64 {
        self.monotonic_ns.saturating_sub(then_ns)
    }

    /// `then_ns`, an earlier reading of the monotonic clock, as RFC 3339 text.
    #[must_use]
    pub fn wall_text(&self, then_ns: u64) -> String {
        let wall = self
            .wall
            .checked_sub(Duration::from_nanos(self.age_ns(then_ns)));
        humantime::format_rfc3339_seconds(wall.unwrap_or(SystemTime::UNIX_EPOCH)).to_string()
    }

    /// How long a process that started at `start` had run at this moment.
    ///
    /// `/proc/PID/stat` counts from boot, suspended time included; that is `CLOCK_BOOTTIME`.
    #[must_use]
    pub fn uptime(&self, start: StartTime) -> Duration {
        // USER_HZ, which is 100 on every architecture that Go and we run on.
        const TICKS_PER_SECOND: u64 = 100;
        let since_reading = now_ns(ClockId::CLOCK_MONOTONIC).saturating_sub(self.monotonic_ns);
        let boot_ns = now_ns(ClockId::CLOCK_BOOTTIME).saturating_sub(since_reading);
        let start_ns = start.0.saturating_mul(1_000_000_000 / TICKS_PER_SECOND);
        Duration::from_nanos(boot_ns.saturating_sub(start_ns))
    }

    /// When a process that started at `start` did so, as RFC 3339 text.
    #[must_use]
    pub fn start_text(&self, start: StartTime) -> String {
        let wall = self.wall.checked_sub(self.uptime(start));
        humantime::format_rfc3339_seconds(wall.unwrap_or(SystemTime::UNIX_EPOCH)).to_string()
    }
}

fn now_ns(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_measured_from_the_documents_moment() {
        let clock = Clock::fixed(500_000_000_000);
        assert_eq!(clock.text(), "1970-01-01T00:16:40Z");
        assert_eq!(clock.age_ns(440_000_000_000), 60_000_000_000);
        assert_eq!(clock.wall_text(440_000_000_000), "1970-01-01T00:15:40Z");
        assert_eq!(clock.age_ns(600_000_000_000), 0);
    }
}
