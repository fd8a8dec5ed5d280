//! That we have no file descriptors left is our own trouble: it is told of, and no process is blamed.

use std::time::{Duration, Instant};

use super::Shared;
use crate::daemon::self_metrics::ErrorKind;
use resources::descriptors;

/// So long after the last time there is no shortage any more.
const OVER: Duration = Duration::from_secs(30);

/// What is known of shortages.
#[derive(Debug, Default)]
pub struct Shortage {
    seen: u64,
    last: Option<Instant>,
}

impl Shortage {
    /// Tells of a shortage when it comes, and when it is over.
    pub fn tell(&mut self, now: Instant, shared: &Shared) {
        let seen = descriptors::shortages();
        if seen > self.seen {
            self.seen = seen;
            shared.own.count_error(ErrorKind::Descriptors);
            if self.last.replace(now).is_none() {
                let limit = descriptors::limit();
                tracing::error!(
                    limit,
                    "no file descriptors left: processes are passed over until some are free; raise the hard limit"
                );
                shared.health.set_shortage(true);
            }
        } else if self.last.is_some_and(|last| last + OVER <= now) {
            self.last = None;
            tracing::info!("there are file descriptors again");
            shared.health.set_shortage(false);
        }
    }
}
