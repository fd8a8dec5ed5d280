//! Findings counted since the daemon started. A count outlives the process that it is of: a liveness
//! check kills a deadlocked process before a gauge about it has been scraped often enough.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use rustc_hash::FxHashSet;

use super::labels::{Identity, Label};
use crate::{
    document::Process,
    finding::{Finding, FindingId, FindingKind, Verdict},
};

/// Most series. Of more, the one whose last finding is the oldest goes, and its findings count in
/// the series `other`.
const MAX_SERIES: usize = 1000;
/// How long a series stays after its last finding.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Most findings remembered, so that none is counted twice.
const MAX_REMEMBERED: usize = 16_384;

/// How many findings there have been, by process, kind and verdict.
#[derive(Debug)]
pub struct FoundFindings {
    series: BTreeMap<Series, Count>,
    /// Findings of the series for which there was no room.
    other: Option<Count>,
    max_series: usize,
    counted: FxHashSet<(FindingId, Verdict)>,
    /// What was counted, the oldest first.
    order: VecDeque<(FindingId, Verdict)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    identity: Identity,
    kind: FindingKind,
    verdict: Verdict,
}

/// Findings counted in one series.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Count {
    number: u64,
    /// When the last of them was counted, in seconds since 1970.
    last: f64,
}

/// One series as a scrape shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundSeries {
    /// Identity, kind and verdict.
    pub labels: Vec<Label>,
    /// How many findings there have been.
    pub number: u64,
    /// When the last of them was counted, in seconds since 1970.
    pub last: f64,
}

impl Default for FoundFindings {
    fn default() -> Self {
        Self::with_room_for(MAX_SERIES)
    }
}

impl FoundFindings {
    fn with_room_for(max_series: usize) -> Self {
        Self {
            series: BTreeMap::new(),
            other: None,
            max_series,
            counted: FxHashSet::default(),
            order: VecDeque::new(),
        }
    }

    /// Counts a finding in `process` at `now`, in seconds since 1970: each once as suspected, unless
    /// it was proven before, and once as proven. One that another finding is the cause of counts with
    /// that. Whether it was counted.
    pub fn count(&mut self, process: &Process, finding: &Finding, now: f64) -> bool {
        let proven = (finding.id, Verdict::Proven);
        let this = (finding.id, finding.verdict);
        if finding.cause.is_some() || self.counted.contains(&proven) || !self.counted.insert(this) {
            return false;
        }
        self.order.push_back(this);
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.counted.remove(&oldest);
        }
        self.expire(now);
        let series = Series {
            identity: Identity::of(process),
            kind: finding.kind,
            verdict: finding.verdict,
        };
        if !self.series.contains_key(&series) {
            self.make_room();
        }
        let one = Count {
            number: 1,
            last: now,
        };
        let count = self.series.entry(series);
        count.and_modify(|count| count.add(one)).or_insert(one);
        true
    }

    /// All series at `now`, in seconds since 1970.
    pub fn series(&mut self, now: f64) -> Vec<FoundSeries> {
        self.expire(now);
        let shown = |identity: &Identity, kind, verdict, count: &Count| FoundSeries {
            labels: identity.with([Label::new("kind", kind), Label::new("verdict", verdict)]),
            number: count.number,
            last: count.last,
        };
        let series = self.series.iter().map(|(series, count)| {
            let verdict = series.verdict.as_str();
            shown(&series.identity, series.kind.as_str(), verdict, count)
        });
        let other = self.other.iter();
        let other = other.map(|count| shown(&Identity::other(), "other", "other", count));
        series.chain(other).collect()
    }

    fn expire(&mut self, now: f64) {
        let lasts = |count: &Count| now - count.last < RETENTION.as_secs_f64();
        self.series.retain(|_, count| lasts(count));
        self.other = self.other.filter(lasts);
    }

    fn make_room(&mut self) {
        while self.series.len() >= self.max_series {
            let ages = self.series.iter();
            let oldest = ages.min_by(|(_, a), (_, b)| a.last.total_cmp(&b.last));
            let Some(oldest) = oldest.map(|(series, _)| series.clone()) else {
                return;
            };
            if let Some(count) = self.series.remove(&oldest) {
                self.other = Some(self.other.map_or(count, |mut other| {
                    other.add(count);
                    other
                }));
            }
        }
    }
}

impl Count {
    fn add(&mut self, more: Self) {
        self.number += more.number;
        self.last = self.last.max(more.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::example;
    use ids::Pid;

    const HOUR: f64 = 3600.0;

    fn process(pid: u32) -> Process {
        Process {
            pid: Pid(pid),
            ..example::document().process
        }
    }

    fn finding(id: u64, verdict: Verdict) -> Finding {
        Finding {
            id: FindingId(id),
            verdict,
            ..example::cycle()
        }
    }

    /// Number and time of each series, with the values of its labels `pid` and `verdict`.
    fn shown(found: &mut FoundFindings, now: f64) -> Vec<(String, u64, f64)> {
        let series = found.series(now).into_iter();
        series
            .map(|series| {
                let values = series.labels.iter();
                let values = values.filter(|label| ["pid", "verdict"].contains(&label.key()));
                let values: Vec<&str> = values.map(Label::value).collect();
                (values.join(" "), series.number, series.last)
            })
            .collect()
    }

    #[test]
    fn a_finding_counts_once_and_once_more_when_it_is_proven() {
        let mut found = FoundFindings::default();
        let process = process(7);
        let mut count = |id, verdict, now| found.count(&process, &finding(id, verdict), now);
        assert!(count(1, Verdict::Suspected, 10.0));
        assert!(!count(1, Verdict::Suspected, 11.0));
        assert!(count(1, Verdict::Proven, 12.0));
        // It cleared and is back, or is doubted again.
        assert!(!count(1, Verdict::Proven, 13.0));
        assert!(!count(1, Verdict::Suspected, 14.0));
        assert!(count(2, Verdict::Proven, 15.0));
        assert!(!count(2, Verdict::Suspected, 16.0));
        let expected = [
            ("7 suspected".to_owned(), 1, 10.0),
            ("7 proven".to_owned(), 2, 15.0),
        ];
        assert_eq!(shown(&mut found, 20.0), expected);
    }

    #[test]
    fn who_waits_behind_a_cause_counts_with_it() {
        let mut found = FoundFindings::default();
        let queued = Finding {
            kind: FindingKind::Queued,
            cause: Some(FindingId(1)),
            ..finding(2, Verdict::Proven)
        };
        assert!(!found.count(&process(7), &queued, 1.0));
        assert!(shown(&mut found, 1.0).is_empty());
    }

    #[test]
    fn a_series_ends_a_day_after_its_last_finding() {
        let mut found = FoundFindings::default();
        found.count(&process(7), &finding(1, Verdict::Proven), 0.0);
        found.count(&process(8), &finding(2, Verdict::Proven), 0.0);
        found.count(&process(8), &finding(3, Verdict::Proven), 20.0 * HOUR);
        assert_eq!(shown(&mut found, 23.0 * HOUR).len(), 2);
        let expected = [("8 proven".to_owned(), 2, 20.0 * HOUR)];
        assert_eq!(shown(&mut found, 25.0 * HOUR), expected);
        assert_eq!(shown(&mut found, 45.0 * HOUR), []);
    }

    #[test]
    fn the_oldest_make_room_and_are_still_counted() {
        let mut found = FoundFindings::with_room_for(2);
        for (id, pid) in [(1, 7), (2, 8), (3, 7), (4, 9), (5, 10)] {
            let now = f64::from(u32::try_from(id).unwrap());
            assert!(found.count(&process(pid), &finding(id, Verdict::Proven), now));
        }
        let expected = [
            ("10 proven".to_owned(), 1, 5.0),
            ("9 proven".to_owned(), 1, 4.0),
            (" other".to_owned(), 3, 3.0),
        ];
        assert_eq!(shown(&mut found, 6.0), expected);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut found = FoundFindings::default();
        let process = process(7);
        let number = MAX_REMEMBERED as u64 + 10;
        for id in 0..number {
            found.count(&process, &finding(id, Verdict::Proven), 1.0);
        }
        assert_eq!(found.counted.len(), MAX_REMEMBERED);
        assert_eq!(found.order.len(), MAX_REMEMBERED);
        let expected = [("7 proven".to_owned(), number, 1.0)];
        assert_eq!(shown(&mut found, 1.0), expected);
    }
}
