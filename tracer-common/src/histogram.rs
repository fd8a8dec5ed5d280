//! Durations of waits, in buckets that double.

use crate::CLASSES;

/// Buckets of a histogram. The first ends at 1.024 µs, the last has no end.
pub const BUCKETS: usize = 32;

/// Durations of the waits of one target for one class of reasons.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Waits whose duration falls into each bucket ([`bucket_of`]).
    pub buckets: [u64; BUCKETS],
    /// All durations together, in nanoseconds.
    pub sum_ns: u64,
}

const _: () = assert!(size_of::<Histogram>() == 264);

impl Histogram {
    /// No waits.
    pub const EMPTY: Self = Self {
        buckets: [0; BUCKETS],
        sum_ns: 0,
    };
}

/// Key of the histogram of class `class` of the target of slot `slot`.
#[inline(always)]
#[must_use]
pub const fn histogram_key(slot: u32, class: u8) -> u32 {
    slot * CLASSES as u32 + (class as u32 & (CLASSES as u32 - 1))
}

/// The bucket of a wait of `duration_ns` nanoseconds.
#[inline(always)]
#[must_use]
pub const fn bucket_of(duration_ns: u64) -> usize {
    let mut rest = duration_ns >> 10;
    let mut bucket = 0;
    // A binary search for the highest bit: BPF has no instruction for it.
    if rest >= 1 << 32 {
        return BUCKETS - 1;
    }
    if rest >= 1 << 16 {
        rest >>= 16;
        bucket += 16;
    }
    if rest >= 1 << 8 {
        rest >>= 8;
        bucket += 8;
    }
    if rest >= 1 << 4 {
        rest >>= 4;
        bucket += 4;
    }
    if rest >= 1 << 2 {
        rest >>= 2;
        bucket += 2;
    }
    if rest >= 2 {
        bucket += 1;
        rest >>= 1;
    }
    if rest >= 1 {
        bucket += 1;
    }
    if bucket > BUCKETS - 1 {
        BUCKETS - 1
    } else {
        bucket
    }
}

/// First duration beyond bucket `bucket`, in nanoseconds; `None` for the last bucket.
#[must_use]
pub const fn bucket_upper_ns(bucket: usize) -> Option<u64> {
    if bucket >= BUCKETS - 1 {
        None
    } else {
        Some(1024 << bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lies_below_the_end_of_its_bucket_and_not_below_the_end_of_the_one_before() {
        for shift in 0..64 {
            for duration in [(1_u64 << shift) - 1, 1 << shift, (1 << shift) + 1] {
                let bucket = bucket_of(duration);
                assert!(bucket < BUCKETS);
                if let Some(end) = bucket_upper_ns(bucket) {
                    assert!(duration < end, "{duration} in bucket {bucket}");
                }
                if bucket > 0 {
                    let before = bucket_upper_ns(bucket - 1);
                    assert!(before.is_some_and(|end| duration >= end), "{duration}");
                }
            }
        }
    }
}
