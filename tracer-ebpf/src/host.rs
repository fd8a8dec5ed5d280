//! Counting what belongs to no target.

use tracer_common::HostCounters;

use crate::maps::HOST;

/// Has `count` change the counters of this CPU. For what is rare: it looks them up each time.
#[inline(always)]
pub fn note(count: impl FnOnce(&mut HostCounters)) {
    if let Some(host) = HOST.get_ptr_mut(0) {
        // SAFETY: a value of a per-CPU array, which no other CPU touches.
        count(unsafe { &mut *host });
    }
}
