//! Glances at who waits for locks in processes whose probes are off: these cost little, so that lock
//! cycles need not wait for the next look.

use std::time::{Duration, Instant};

use super::{Fleet, pace::cpu_time_of};
use crate::clock::{monotonic_ns, own_cpu_time};

/// Between two glances. Who is in both has waited long enough to deserve a look.
const EVERY: Duration = Duration::from_millis(250);
/// Glances may take one part in so many of this thread's time.
const SHARE: u32 = 1000;

impl Fleet {
    /// Glances at all processes of which probes do not tell who waits, if it is time.
    pub(super) fn glance(&mut self, now: Instant) {
        if now < self.glance_due {
            return;
        }
        let before = own_cpu_time();
        for (key, member) in &mut self.members {
            if !member.wants_glances() || member.failures > 0 {
                continue;
            }
            let Some(past) = member.past.here() else {
                continue;
            };
            let cpu_time = cpu_time_of(key.pid);
            if cpu_time.is_some() && cpu_time == member.glanced {
                past.state.apply_stillness(monotonic_ns());
            } else {
                past.glance();
                member.glanced = cpu_time;
            }
        }
        let cost = own_cpu_time().saturating_sub(before);
        self.glance_due = now + EVERY.max(cost * SHARE);
    }
}
