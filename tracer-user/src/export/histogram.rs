//! How long waits lasted, in buckets that cover a microsecond to an hour.

/// Number of buckets, the one without an upper bound included.
const BUCKETS: usize = 17;
/// Upper bound of the first bucket in nanoseconds; each further one is four times the last.
const FIRST_NS: u64 = 1_000;

/// Counts of waits by length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitHistogram {
    counts: [u64; BUCKETS],
    sum_ns: u128,
}

impl WaitHistogram {
    /// Counts a wait of `ns` nanoseconds.
    pub fn observe(&mut self, ns: u64) {
        let bucket = (0..BUCKETS - 1).position(|bucket| ns <= bound_ns(bucket));
        if let Some(count) = self.counts.get_mut(bucket.unwrap_or(BUCKETS - 1)) {
            *count += 1;
        }
        self.sum_ns += u128::from(ns);
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_ns += other.sum_ns;
    }

    /// How many waits were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their lengths added up.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a sum shown to a person or a scraper"
        )]
        let ns = self.sum_ns as f64;
        ns / 1e9
    }

    /// Upper bounds in seconds with the number of waits in each bucket alone; the last bound is
    /// `f64::MAX`, which stands for no bound.
    #[must_use]
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
        let bound = |bucket| match bucket {
            bucket if bucket == BUCKETS - 1 => f64::MAX,
            bucket => bound_ns(bucket) as f64 / 1e9,
        };
        self.counts
            .iter()
            .enumerate()
            .map(|(bucket, count)| (bound(bucket), *count))
            .collect()
    }
}

const fn bound_ns(bucket: usize) -> u64 {
    FIRST_NS << (2 * bucket)
}

#[cfg(test)]
mod tests {
    use super::WaitHistogram;

    #[test]
    fn every_wait_falls_into_one_bucket() {
        let mut waits = WaitHistogram::default();
        for ns in [0, 1_000, 1_001, 4_000_000_000, u64::MAX] {
            waits.observe(ns);
        }
        let buckets = waits.buckets();
        assert_eq!(waits.count(), 5);
        assert_eq!(buckets[0], (1e-6, 2));
        assert_eq!(buckets[1], (4e-6, 1));
        assert_eq!(buckets.last(), Some(&(f64::MAX, 1)));
    }
}
