//! Counters and histograms of the BPF programs, summed over the CPUs.

use std::time::Duration;

use tracer_common::{BUCKETS, Histogram, HostCounters, TargetCounters, bucket_upper_ns};

/// Counts that belong to no single target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Records sent, by CPU.
    pub sent_by_cpu: Vec<u64>,
    /// Records lost for want of room in the ring buffer, by CPU.
    pub lost_by_cpu: Vec<u64>,
    /// What the probes did not see, or saw in vain.
    pub irregularities: Irregularities,
}

/// What the probes did not see, or saw in vain: none of it makes a finding wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Irregularities {
    /// Hits in processes that share an image with a target.
    pub foreign_hits: u64,
    /// Waits whose end no probe saw: the goroutine parked again while it was believed parked.
    pub unseen_wakes: u64,
    /// Waits that no histogram counts: the kernel had no memory for one.
    pub unmeasured_waits: u64,
    /// Reads of a target's memory that failed: a goroutine's id is missing.
    pub failed_reads: u64,
    /// Records in the ring buffer that make no sense.
    pub undecodable_records: u64,
}

impl Statistics {
    /// All records lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost_by_cpu.iter().sum()
    }

    pub(super) fn of<'a>(cpus: impl Iterator<Item = &'a HostCounters>) -> Self {
        let mut all = Self::default();
        for cpu in cpus {
            all.sent_by_cpu.push(cpu.sent);
            all.lost_by_cpu.push(cpu.lost);
            all.irregularities.foreign_hits += cpu.foreign_hits;
            all.irregularities.unseen_wakes += cpu.unseen_wakes;
            all.irregularities.unmeasured_waits += cpu.unmeasured;
            all.irregularities.failed_reads += cpu.failed_reads;
        }
        all
    }
}

/// Counts of one target since it was attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TargetStatistics {
    /// Hits of `gopark`.
    pub park_hits: u64,
    /// Hits of `ready`.
    pub ready_hits: u64,
    /// Hits of `semacquire1`.
    pub semacquire_hits: u64,
    /// Threads asked for.
    pub newm_hits: u64,
    /// Records lost: a snapshot has to repair the state.
    pub lost: u64,
    /// Parks for which the park table had no room.
    pub untracked: u64,
}

impl TargetStatistics {
    /// All hits: what the target pays for.
    #[must_use]
    pub const fn hits(&self) -> u64 {
        self.park_hits + self.ready_hits + self.semacquire_hits + self.newm_hits
    }

    pub(super) fn of<'a>(cpus: impl Iterator<Item = &'a TargetCounters>) -> Self {
        let mut all = Self::default();
        for cpu in cpus {
            all.park_hits += cpu.park_hits;
            all.ready_hits += cpu.ready_hits;
            all.semacquire_hits += cpu.semacquire_hits;
            all.newm_hits += cpu.newm_hits;
            all.lost += cpu.lost;
            all.untracked += cpu.untracked;
        }
        all
    }
}

/// How long goroutines of one target waited for one class of reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitHistogram {
    /// The wait reason, as Go's goroutine dumps spell it.
    pub reason: &'static str,
    /// Upper end (exclusive; `None` for the last) and number of waits of each bucket.
    pub buckets: Vec<(Option<Duration>, u64)>,
    /// All waits together.
    pub sum: Duration,
}

impl WaitHistogram {
    /// Number of waits.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    pub(super) fn of<'a>(
        reason: &'static str,
        cpus: impl Iterator<Item = &'a Histogram> + Clone,
    ) -> Self {
        let buckets = (0..BUCKETS)
            .map(|bucket| {
                let count = cpus.clone().filter_map(|cpu| cpu.buckets.get(bucket)).sum();
                (bucket_upper_ns(bucket).map(Duration::from_nanos), count)
            })
            .collect();
        Self {
            reason,
            buckets,
            sum: Duration::from_nanos(cpus.map(|cpu| cpu.sum_ns).sum()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_cpu_counted_is_summed() {
        let cpu = HostCounters {
            sent: 1,
            lost: 2,
            foreign_hits: 3,
            unseen_wakes: 4,
            unmeasured: 5,
            failed_reads: 6,
        };
        let all = Statistics::of([cpu, cpu].iter());
        assert_eq!((all.sent_by_cpu.as_slice(), all.lost()), (&[1, 1][..], 4));
        let irregularities = Irregularities {
            foreign_hits: 6,
            unseen_wakes: 8,
            unmeasured_waits: 10,
            failed_reads: 12,
            undecodable_records: 0,
        };
        assert_eq!(all.irregularities, irregularities);
    }
}
