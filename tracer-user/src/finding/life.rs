//! The life of findings: they appear, become certain or doubtful again, and clear.

use std::collections::BTreeMap;

use super::model::{Finding, FindingId};

/// What a look changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Not there in the look before.
    Appeared(Finding),
    /// Another verdict, or another number of goroutines.
    Changed(Finding),
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
            Self::Appeared(finding) | Self::Changed(finding) => Some(finding),
            Self::Cleared { .. } => None,
        }
    }
}

/// The findings of one process over time.
#[derive(Debug, Default)]
pub struct Life {
    standing: BTreeMap<FindingId, Standing>,
}

#[derive(Debug)]
struct Standing {
    finding: Finding,
    first_seen_ns: u64,
}

impl Life {
    /// Takes the findings of a look made at `now_ns` on the monotonic clock, and tells what is new.
    /// Findings whose beginning is not known are dated by their first look.
    pub fn update(&mut self, findings: &mut [Finding], now_ns: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut before = std::mem::take(&mut self.standing);
        for finding in findings {
            let known = before.remove(&finding.id);
            let first_seen_ns = known.as_ref().map_or(now_ns, |known| known.first_seen_ns);
            finding.since_ns.get_or_insert(first_seen_ns);
            match known {
                None => changes.push(Change::Appeared(finding.clone())),
                Some(known)
                    if known.finding.verdict != finding.verdict
                        || known.finding.count != finding.count =>
                {
                    changes.push(Change::Changed(finding.clone()));
                }
                Some(_) => {}
            }
            let standing = Standing {
                finding: finding.clone(),
                first_seen_ns,
            };
            self.standing.insert(finding.id, standing);
        }
        changes.extend(before.into_values().map(|gone| Change::Cleared {
            finding: gone.finding,
            seen_for_ns: now_ns.saturating_sub(gone.first_seen_ns),
        }));
        changes
    }

    /// The findings of the last look, by id.
    pub fn standing(&self) -> impl Iterator<Item = &Finding> {
        self.standing.values().map(|standing| &standing.finding)
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Life};
    use crate::finding::{Finding, FindingId, FindingKind, model::Verdict};

    fn finding(verdict: Verdict) -> Finding {
        Finding {
            verdict,
            ..Finding::new(FindingKind::LockCycle, FindingId(1))
        }
    }

    #[test]
    fn findings_appear_rise_and_clear() {
        let mut life = Life::default();
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
        assert!(matches!(&risen[..], [Change::Changed(_)]), "{risen:?}");
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
}
