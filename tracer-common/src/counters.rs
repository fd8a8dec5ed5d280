//! Counters that the BPF programs keep per CPU.

/// Hits of one probe of a target, on one CPU, after which the daemon is told that there are so many:
/// a power of two. Whoever is hit less often is asked for now and then only.
pub const LOAD_STEP: u64 = 1024;

/// Counts of one target on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetCounters {
    /// Hits of `runtime.gopark`.
    pub park_hits: u64,
    /// Hits of `runtime.ready`.
    pub ready_hits: u64,
    /// Hits of `runtime.semacquire1`.
    pub semacquire_hits: u64,
    /// Hits of `runtime.newm`: threads asked for.
    pub newm_hits: u64,
    /// Records of this target that found no room in the ring buffer.
    pub lost: u64,
    /// Parks that found no room in the park table.
    pub untracked: u64,
}

/// Counts of one CPU that belong to no target.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounters {
    /// Records submitted.
    pub sent: u64,
    /// Records that found no room in the ring buffer.
    pub lost: u64,
    /// Hits in processes that are not targets but share an image with one.
    pub foreign_hits: u64,
    /// Waits whose end no probe saw: the goroutine parked again while it was believed parked.
    pub unseen_wakes: u64,
    /// Waits that no histogram counts: there was no memory for one.
    pub unmeasured: u64,
    /// Reads of a target's memory that failed.
    pub failed_reads: u64,
}

const _: () = assert!(size_of::<TargetCounters>() == 48);
const _: () = assert!(size_of::<HostCounters>() == 48);
