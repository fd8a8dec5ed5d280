//! The life of findings: they appear, become certain or doubtful again, and clear.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::model::{Finding, FindingId};
use ids::Goid;

/// What an inspection changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Not there in the inspection before.
    Appeared(Finding),
    /// Another verdict, twice as many goroutines as when it was last told, or another finding in place
    /// of some about the same goroutines.
    Changed {
        /// The finding as it stands now.
        finding: Finding,
        /// The findings whose place it takes, as they were last seen.
        replaces: Vec<Finding>,
    },
    /// Gone: what it said is no longer so.
    Cleared {
        /// The finding as it was last seen.
        finding: Finding,
        /// How long it was seen, in nanoseconds.
        seen_for_ns: u64,
    },
}

impl Change {
    /// The finding that stands now, unless none does.
    #[must_use]
    pub const fn standing(&self) -> Option<&Finding> {
        match self {
            Self::Appeared(finding) | Self::Changed { finding, .. } => Some(finding),
            Self::Cleared { .. } => None,
        }
    }
}

/// The findings of one process over time.
#[derive(Debug, Default)]
pub struct FindingTracker {
    standing: BTreeMap<FindingId, Standing>,
}

#[derive(Debug)]
struct Standing {
    finding: Finding,
    first_seen_ns: u64,
    /// How many goroutines it was last told to concern.
    told_count: u64,
}

impl FindingTracker {
    /// Takes the findings of an inspection made at `now_ns` on the monotonic clock, and tells what is new.
    /// Findings whose beginning is not known are dated by their first inspection.
    pub fn update(&mut self, findings: &mut [Finding], now_ns: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut before = std::mem::take(&mut self.standing);
        for finding in findings {
            let known = before.remove(&finding.id);
            let first_seen_ns = known.as_ref().map_or(now_ns, |known| known.first_seen_ns);
            finding.since_ns.get_or_insert(first_seen_ns);
            let mut told_count = finding.count;
            match known {
                None => changes.push(Change::Appeared(finding.clone())),
                Some(known)
                    if known.finding.verdict != finding.verdict
                        || finding.count >= known.told_count.saturating_mul(2).max(1) =>
                {
                    changes.push(Change::Changed {
                        finding: finding.clone(),
                        replaces: Vec::new(),
                    });
                }
                Some(known) => told_count = known.told_count,
            }
            let standing = Standing {
                finding: finding.clone(),
                first_seen_ns,
                told_count,
            };
            self.standing.insert(finding.id, standing);
        }
        self.end(before, now_ns, &mut changes);
        changes
    }

    /// Tells of the findings in `gone`: that they have cleared, or what took their place.
    fn end(&self, gone: BTreeMap<FindingId, Standing>, now_ns: u64, changes: &mut Vec<Change>) {
        if gone.is_empty() {
            return;
        }
        let by_goroutine = self.by_goroutine();
        for Standing {
            finding: gone,
            first_seen_ns,
            ..
        } in gone.into_values()
        {
            let mut heirs = gone.concerned().iter().filter_map(|g| by_goroutine.get(g));
            let heir = heirs.find_map(|id| Some(&self.standing.get(id)?.finding));
            match heir.filter(|heir| heir.verdict >= gone.verdict) {
                Some(heir) => take_place(heir, gone, changes),
                None => changes.push(Change::Cleared {
                    finding: gone,
                    seen_for_ns: now_ns.saturating_sub(first_seen_ns),
                }),
            }
        }
    }

    /// The finding that tells of a goroutine.
    fn by_goroutine(&self) -> FxHashMap<Goid, FindingId> {
        let standing = self.standing.values().map(|standing| &standing.finding);
        let told = standing.flat_map(|f| f.concerned().iter().map(|goid| (*goid, f.id)));
        told.collect()
    }
}

/// Tells that `heir`, which stands, has taken the place of `gone`.
fn take_place(heir: &Finding, gone: Finding, changes: &mut Vec<Change>) {
    let told = changes.iter_mut().find(|change| {
        let standing = change.standing();
        standing.is_some_and(|finding| finding.id == heir.id)
    });
    match told {
        Some(Change::Changed { replaces, .. }) => replaces.push(gone),
        Some(change) => {
            *change = Change::Changed {
                finding: heir.clone(),
                replaces: vec![gone],
            };
        }
        None => changes.push(Change::Changed {
            finding: heir.clone(),
            replaces: vec![gone],
        }),
    }
}

impl FindingTracker {
    /// The findings of the last inspection, by id.
    pub fn standing(&self) -> impl Iterator<Item = &Finding> {
        self.standing.values().map(|standing| &standing.finding)
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, FindingTracker};
    use crate::finding::{Finding, FindingId, FindingKind, model::Verdict};
    use ids::Goid;

    fn finding(verdict: Verdict) -> Finding {
        Finding {
            verdict,
            ..Finding::new(FindingKind::LockCycle, FindingId(1))
        }
    }

    #[test]
    fn findings_appear_rise_and_clear() {
        let mut life = FindingTracker::default();
        let mut suspected = [finding(Verdict::Suspected)];
        let appeared = life.update(&mut suspected, 1_000);
        assert!(
            matches!(&appeared[..], [Change::Appeared(_)]),
            "{appeared:?}"
        );
        assert_eq!(suspected[0].since_ns, Some(1_000));
        assert_eq!(life.update(&mut suspected.clone(), 2_000), []);
        let mut proven = [finding(Verdict::Proven)];
        let risen = life.update(&mut proven, 3_000);
        assert!(matches!(&risen[..], [Change::Changed { .. }]), "{risen:?}");
        assert_eq!(proven[0].since_ns, Some(1_000), "dated by the first look");
        let cleared = life.update(&mut [], 5_000);
        assert!(
            matches!(
                &cleared[..],
                [Change::Cleared {
                    seen_for_ns: 4_000,
                    ..
                }]
            ),
            "{cleared:?}"
        );
        assert_eq!(life.standing().count(), 0);
    }

    /// So many goroutines leak at a place.
    fn leak(id: u64, verdict: Verdict, goroutines: u64) -> Finding {
        Finding {
            verdict,
            count: goroutines,
            ..Finding::new(FindingKind::Unreachable, FindingId(id))
                .of((0..goroutines).map(Goid).collect())
        }
    }

    #[test]
    fn what_grows_is_told_again_when_it_has_doubled() {
        let mut life = FindingTracker::default();
        let told: Vec<u64> = (10..=85)
            .filter(|count| {
                let mut leak = [leak(1, Verdict::Proven, *count)];
                !life.update(&mut leak, *count).is_empty()
            })
            .collect();
        assert_eq!(told, [10, 20, 40, 80]);
    }

    #[test]
    fn a_proof_about_the_same_goroutines_takes_the_place_of_a_suspicion() {
        let mut life = FindingTracker::default();
        life.update(&mut [leak(1, Verdict::Suspected, 3)], 1);
        let changes = life.update(&mut [leak(2, Verdict::Proven, 2)], 2);
        let [Change::Changed { finding, replaces }] = &changes[..] else {
            panic!("{changes:?}");
        };
        assert_eq!((finding.id, replaces.len()), (FindingId(2), 1));
        // A doubt about who was proven dead does not.
        let changes = life.update(&mut [leak(3, Verdict::Suspected, 2)], 3);
        assert!(
            matches!(&changes[..], [Change::Appeared(_), Change::Cleared { .. }]),
            "{changes:?}"
        );
    }
}
