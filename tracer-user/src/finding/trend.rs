//! How fast a count grows, by robust regression: one burst or one dip does not move it.

/// Counts at times, oldest first; times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// Theil–Sen slope: the median of the slopes between all pairs, a minute.
    pub(super) per_minute: f64,
    /// Share of the pairs that rise minus the share that fall, from -1 to 1 (Kendall's tau).
    pub(super) steadiness: f64,
}

impl Trend {
    /// The trend of `counts`; `None` for fewer than two moments.
    pub(super) fn of(counts: &[(u64, u64)]) -> Option<Self> {
        let mut slopes = Vec::with_capacity(counts.len() * counts.len().saturating_sub(1) / 2);
        let (mut rising, mut falling) = (0_u32, 0_u32);
        for (position, &(earlier_ns, before)) in counts.iter().enumerate() {
            for &(later_ns, after) in counts.get(position + 1..).unwrap_or_default() {
                if later_ns <= earlier_ns {
                    continue;
                }
                rising += u32::from(after > before);
                falling += u32::from(after < before);
                #[expect(clippy::cast_precision_loss, reason = "an estimate")]
                let slope = (after as f64 - before as f64) / (later_ns - earlier_ns) as f64;
                slopes.push(slope * 60e9);
            }
        }
        let middle = slopes.len() / 2;
        if slopes.is_empty() {
            return None;
        }
        let (_, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
        let per_minute = *median;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand pairs")]
        let pairs = slopes.len() as f64;
        Some(Self {
            per_minute,
            steadiness: (f64::from(rising) - f64::from(falling)) / pairs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Trend;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn a_single_burst_does_not_count_as_growth() {
        let mut counts: Vec<(u64, u64)> = (0..20).map(|i| (i * SECOND_NS, 100)).collect();
        counts[10].1 = 5_000;
        let trend = Trend::of(&counts).unwrap();
        assert!(trend.per_minute.abs() < 1e-9, "{trend:?}");
        assert!(trend.steadiness.abs() < 0.1, "{trend:?}");
    }

    #[test]
    fn a_steady_leak_is_measured() {
        let counts: Vec<(u64, u64)> = (0..20).map(|i| (i * SECOND_NS, 100 + 2 * i)).collect();
        let trend = Trend::of(&counts).unwrap();
        assert!((trend.per_minute - 120.0).abs() < 1e-6, "{trend:?}");
        assert!((trend.steadiness - 1.0).abs() < 1e-9, "{trend:?}");
        assert_eq!(Trend::of(&counts[..1]), None);
    }
}
