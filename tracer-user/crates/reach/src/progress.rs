//! Telling how a walk gets on, when it takes long.

use std::time::{Duration, Instant};

/// A walk that takes longer than this tells of its progress, and again each time it has passed.
const EVERY: Duration = Duration::from_secs(1);

/// How far a walk has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Time since it began.
    pub took: Duration,
    /// Bytes read so far.
    pub bytes_read: u64,
}

/// Hands [`Progress`] over now and then.
#[derive(Debug)]
pub(super) struct ProgressReporter {
    began: Instant,
    told: Instant,
    tell: Option<fn(Progress)>,
}

impl ProgressReporter {
    pub(super) fn new(tell: Option<fn(Progress)>) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            told: now,
            tell,
        }
    }

    /// Tells, if it is time to.
    pub(super) fn beat(&mut self, bytes_read: u64) {
        let Some(tell) = self.tell else { return };
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            tell(Progress {
                took: self.began.elapsed(),
                bytes_read,
            });
        }
    }
}

impl Default for ProgressReporter {
    fn default() -> Self {
        Self::new(None)
    }
}
