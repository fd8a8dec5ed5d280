//! Proof takes two inspections: whoever is called dead must have been parked in the same wait in both,
//! waiting for the same goroutines, and must not have run in between.
//!
//! A snapshot is not taken at one instant. But a goroutine that did not run between two inspections was
//! parked, with the same stack, at every instant between them; so what is found of such goroutines
//! alone is true of one instant. Everybody else counts as live in the second inspection.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use graph::{Disposition, GoroutineNode, HolderSet, Need, Requirement};
use ids::{Goid, TargetAddr};
use snapshot::{Goroutine, Snapshot};

/// What both inspections agree on: for each goroutine of the second inspection what it needs, or that it is
/// live.
pub(super) fn agreed(
    earlier: (&Snapshot, &[GoroutineNode]),
    now: (&Snapshot, &[GoroutineNode]),
) -> Vec<GoroutineNode> {
    let before: FxHashMap<Goid, &Disposition> =
        earlier.1.iter().map(|n| (n.goid, &n.disposition)).collect();
    let goroutines: FxHashMap<Goid, &Goroutine> =
        now.0.goroutines.iter().map(|g| (g.goid, g)).collect();
    let mut sets = Sets::default();
    let agree = |node: &GoroutineNode| GoroutineNode {
        goid: node.goid,
        disposition: match (before.get(&node.goid), goroutines.get(&node.goid)) {
            (Some(before), Some(g)) if unmoved(earlier.0, g) => {
                sets.both(before, &node.disposition)
            }
            _ => Disposition::Live,
        },
    };
    now.1.iter().map(agree).collect()
}

/// Whether `g` sat in the same wait in the snapshot `earlier`, and did not run since.
pub(crate) fn unmoved(earlier: &Snapshot, g: &Goroutine) -> bool {
    earlier
        .goroutine(g.goid)
        .is_some_and(|before| g.is_same_wait(before))
}

/// Holder sets that both inspections agree on, built once for each pair.
#[derive(Default)]
struct Sets {
    known: FxHashMap<(TargetAddr, usize, usize), Arc<HolderSet>>,
}

impl Sets {
    /// The weaker of two requirements of one goroutine: whoever is dead under it is dead under
    /// either.
    fn both(&mut self, a: &Disposition, b: &Disposition) -> Disposition {
        use Requirement::{Release, Signal};
        let (Disposition::Blocked(a), Disposition::Blocked(b)) = (a, b) else {
            return Disposition::Live;
        };
        match (a, b) {
            (
                Release { object, holders },
                Release {
                    object: other,
                    holders: others,
                },
            ) if object == other && holders.need == others.need => {
                let key = (
                    *object,
                    Arc::as_ptr(holders).addr(),
                    Arc::as_ptr(others).addr(),
                );
                let merged = self
                    .known
                    .entry(key)
                    .or_insert_with(|| merge(holders, others));
                if !merged.is_closed() {
                    return Disposition::Blocked(Signal {
                        objects: vec![*object],
                    });
                }
                Disposition::Blocked(Release {
                    object: *object,
                    holders: Arc::clone(merged),
                })
            }
            // In one of the inspections not all holders were known.
            (Release { object, .. }, Signal { objects })
            | (Signal { objects }, Release { object, .. })
                if objects[..] == [*object] =>
            {
                Disposition::Blocked(Signal {
                    objects: objects.clone(),
                })
            }
            (a, b) if a == b => Disposition::Blocked(a.clone()),
            _ => Disposition::Live,
        }
    }
}

/// One of several may release: any candidate of either look. All have to act: those found by both.
///
/// A goroutine that one inspection could see and found without a release is no holder in the other: the
/// waiters have queued all the time, so the lock was not free for it to take in between.
fn merge(a: &HolderSet, b: &HolderSet) -> Arc<HolderSet> {
    let known: FxHashSet<Goid> = a.holders.iter().copied().collect();
    let holders = match a.need {
        Need::OneOf => {
            let more = b.holders.iter().filter(|goid| !known.contains(goid));
            a.holders.iter().chain(more).copied().collect()
        }
        Need::All => {
            let both = b.holders.iter().filter(|goid| known.contains(goid));
            both.copied().collect()
        }
    };
    Arc::new(HolderSet {
        holders,
        need: a.need,
        complete: a.complete && b.complete,
        unseen: a
            .unseen
            .iter()
            .copied()
            .filter(|goid| b.unseen.contains(goid))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(need: Need, holders: &[u64]) -> Disposition {
        Disposition::Blocked(Requirement::Release {
            object: TargetAddr(0xa0),
            holders: Arc::new(HolderSet {
                holders: holders.iter().copied().map(Goid).collect(),
                need,
                complete: true,
                unseen: Vec::new(),
            }),
        })
    }

    fn signal(object: u64) -> Disposition {
        Disposition::Blocked(Requirement::Signal {
            objects: vec![TargetAddr(object)],
        })
    }

    fn both(a: &Disposition, b: &Disposition) -> Disposition {
        Sets::default().both(a, b)
    }

    #[test]
    fn the_weaker_requirement_wins() {
        let one = |holders: &[u64]| release(Need::OneOf, holders);
        let all = |holders: &[u64]| release(Need::All, holders);
        assert_eq!(both(&one(&[7]), &one(&[8, 7])), one(&[7, 8]));
        assert_eq!(both(&all(&[7, 9]), &all(&[8, 7])), all(&[7]));
        assert_eq!(both(&one(&[7]), &signal(0xa0)), signal(0xa0));
        assert_eq!(both(&signal(0xa0), &one(&[7])), signal(0xa0));
        assert_eq!(both(&signal(0xb0), &one(&[7])), Disposition::Live);
        assert_eq!(both(&signal(0xb0), &signal(0xb0)), signal(0xb0));
        assert_eq!(both(&one(&[7]), &all(&[7])), Disposition::Live);
        assert_eq!(both(&Disposition::Live, &one(&[7])), Disposition::Live);
    }
    #[test]
    fn whoever_one_look_saw_is_no_hidden_holder() {
        let unseen = |unseen: &[u64]| {
            let Disposition::Blocked(Requirement::Release { object, holders }) =
                release(Need::OneOf, &[7])
            else {
                panic!("a release");
            };
            let unseen = unseen.iter().copied().map(Goid).collect();
            let holders = Arc::new(HolderSet {
                unseen,
                ..(*holders).clone()
            });
            Disposition::Blocked(Requirement::Release { object, holders })
        };
        assert_eq!(
            both(&unseen(&[3]), &unseen(&[4])),
            release(Need::OneOf, &[7])
        );
        assert_eq!(both(&unseen(&[3, 4]), &unseen(&[4])), signal(0xa0));
    }
}
