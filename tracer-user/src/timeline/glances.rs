//! Who waits for semaphores, from glance to glance: what tells of old waits for locks where no probe
//! does.

use rustc_hash::FxHashMap;

use snapshot::SemaphoreWaiter;

/// Waiters, each with the first glance that saw it.
#[derive(Debug, Default)]
pub(super) struct PollSchedule {
    waiters: FxHashMap<SemaphoreWaiter, u64>,
    /// When the last glance was.
    last_ns: u64,
}

impl PollSchedule {
    /// Takes one in. Who is in it and was in the last one has not stopped waiting in between, as far
    /// as glances can tell.
    pub(super) fn take(&mut self, waiters: impl IntoIterator<Item = SemaphoreWaiter>, at_ns: u64) {
        let before = std::mem::take(&mut self.waiters);
        let since = |waiter| before.get(&waiter).copied().unwrap_or(at_ns);
        let waiters = waiters.into_iter();
        self.waiters = waiters.map(|waiter| (waiter, since(waiter))).collect();
        self.last_ns = at_ns;
    }

    /// The process has not run since the last glance: who waited then waits now.
    pub(super) const fn still(&mut self, at_ns: u64) {
        self.last_ns = at_ns;
    }

    /// Whether somebody first seen after `looked_ns` was still there `long_ns` later.
    pub(super) fn has_long_wait(&self, looked_ns: u64, long_ns: u64) -> bool {
        let last_ns = self.last_ns;
        let is_long = |since_ns: u64| last_ns.saturating_sub(since_ns) >= long_ns;
        let mut since = self.waiters.values();
        since.any(|&since_ns| since_ns > looked_ns && is_long(since_ns))
    }
}
