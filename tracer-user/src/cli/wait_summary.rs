//! How long waits lasted, as the last lines of `watch` tell it.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::export::text;
use ids::Pid;
use probes::WaitHistogram;

/// How long waits for one reason lasted.
#[derive(Debug, Serialize)]
pub struct Waits {
    pid: Pid,
    reason: &'static str,
    count: u64,
    sum_seconds: f64,
    /// Upper bounds in seconds (`null`: none) with the number of waits in each bucket.
    buckets: Vec<(Option<f64>, u64)>,
}

impl Waits {
    /// Those that ended in process `pid`; `None` where none did.
    pub fn new(pid: Pid, waits: &WaitHistogram) -> Option<Self> {
        let bound = |bound: &Option<Duration>| bound.map(|bound| bound.as_secs_f64());
        let count = waits.count();
        (count > 0).then(|| Self {
            pid,
            reason: waits.reason,
            count,
            sum_seconds: waits.sum.as_secs_f64(),
            buckets: waits
                .buckets
                .iter()
                .map(|(upper, count)| (bound(upper), *count))
                .collect(),
        })
    }

    /// What `share` of the waits, 1 for all, stayed below: `< 4.2 ms`, or `> 1 h 13 m` where the
    /// bucket without an end is needed for it.
    fn below(&self, share: f64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "shown to a person")]
        let wanted = self.count as f64 * share;
        let (mut counted, mut reached) = (0, 0.0);
        for (upper, count) in &self.buckets {
            counted += count;
            let Some(upper) = *upper else { break };
            reached = upper;
            #[expect(clippy::cast_precision_loss, reason = "shown to a person")]
            let enough = counted as f64 >= wanted;
            if enough {
                return format!("< {}", brief(upper));
            }
        }
        format!("> {}", brief(reached))
    }
}

fn brief(seconds: f64) -> String {
    text::brief(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "a mean shown to a person")]
        let mean = self.sum_seconds / self.count as f64;
        write!(
            f,
            "{:<20} {:>9} waits ended  mean {}  p50 {}  p99 {}  max {}",
            self.reason,
            self.count,
            brief(mean),
            self.below(0.5),
            self.below(0.99),
            self.below(1.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many waits in the buckets that end at so many nanoseconds, and one that has no end.
    fn waits(counts: &[(u64, u64)], endless: u64) -> Option<Waits> {
        let bounded = counts.iter().map(|(ns, count)| {
            let upper = Some(Duration::from_nanos(*ns));
            (upper, *count)
        });
        let histogram = WaitHistogram {
            reason: "sync.Mutex.Lock",
            buckets: bounded.chain([(None, endless)]).collect(),
            sum: Duration::from_millis(200),
        };
        Waits::new(Pid(1), &histogram)
    }

    #[test]
    fn a_share_of_the_waits_is_below_the_end_of_the_bucket_that_completes_it() {
        let counts = [
            (1_048_576, 50),
            (2_097_152, 49),
            (4_194_304, 1),
            (8_388_608, 0),
        ];
        assert_eq!(
            waits(&counts, 0).unwrap().to_string(),
            "sync.Mutex.Lock            100 waits ended  mean 2.0 ms  p50 < 1.0 ms  p99 < 2.1 ms  max < 4.2 ms"
        );
    }

    #[test]
    fn the_longest_wait_may_have_no_bound() {
        let text = waits(&[(1_048_576, 99), (2_097_152, 0)], 1)
            .unwrap()
            .to_string();
        assert!(text.ends_with("p99 < 1.0 ms  max > 2.1 ms"), "{text}");
    }

    #[test]
    fn where_no_wait_ended_nothing_is_told() {
        assert!(waits(&[(1_048_576, 0)], 0).is_none());
    }
}
