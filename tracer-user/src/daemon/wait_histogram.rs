//! How long waits lasted, in buckets that cover a microsecond to an hour.

use probes;

/// Number of buckets, the one without an upper bound included.
const BUCKETS: usize = 17;
/// Upper bound of the first bucket in nanoseconds; each further one is four times the last. So each
/// bucket holds two of those that the BPF side counts in (`tracer_common::bucket_upper_ns`).
const FIRST_NS: u64 = 1_024;

/// Counts of waits by length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitHistogram {
    counts: [u64; BUCKETS],
    sum_ns: u128,
}

impl WaitHistogram {
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

impl From<&probes::WaitHistogram> for WaitHistogram {
    fn from(counted: &probes::WaitHistogram) -> Self {
        let mut all = Self {
            sum_ns: counted.sum.as_nanos(),
            ..Self::default()
        };
        for (upper, count) in &counted.buckets {
            let fits = |bucket: &usize| {
                upper.is_some_and(|upper| upper.as_nanos() <= u128::from(bound_ns(*bucket)))
            };
            let bucket = (0..BUCKETS - 1).find(fits).unwrap_or(BUCKETS - 1);
            if let Some(all) = all.counts.get_mut(bucket) {
                *all += count;
            }
        }
        all
    }
}

const fn bound_ns(bucket: usize) -> u64 {
    FIRST_NS << (2 * bucket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::WaitHistogram;
    use probes;

    #[test]
    fn every_wait_of_the_probes_falls_into_the_bucket_that_ends_where_its_own_does_or_next() {
        let counted = probes::WaitHistogram {
            reason: "chan send",
            buckets: (0..tracer_common::BUCKETS)
                .map(|bucket| {
                    let upper = tracer_common::bucket_upper_ns(bucket);
                    (upper.map(Duration::from_nanos), 1)
                })
                .collect(),
            sum: Duration::from_millis(5),
        };
        let waits = WaitHistogram::from(&counted);
        let buckets = waits.buckets();
        assert_eq!(waits.count(), counted.count());
        assert_eq!(buckets[0], (1.024e-6, 1));
        assert_eq!(buckets[1], (4.096e-6, 2));
        assert_eq!(buckets.last(), Some(&(f64::MAX, 1)));
        assert!((waits.sum_seconds() - 5e-3).abs() < 1e-12);
    }
}
