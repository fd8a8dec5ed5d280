//! Random graphs against a definition too simple to be wrong.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    random::{GOIDS, any_nodes},
    *,
};

/// Liveness straight from its definition: repeat until nothing changes.
fn naive_live(nodes: &[GoroutineNode], reach: &mut dyn Reachability) -> BTreeSet<Goid> {
    let known: BTreeSet<Goid> = nodes.iter().map(|n| n.goid).collect();
    let mut live = BTreeSet::new();
    loop {
        let is_live = |g: &Goid| live.contains(g) || !known.contains(g);
        let fresh: Vec<Goid> = nodes
            .iter()
            .filter(|n| !live.contains(&n.goid))
            .filter(|n| match &n.disposition {
                Disposition::Live => true,
                Disposition::Blocked(Requirement::Never) => false,
                Disposition::Blocked(Requirement::Signal { objects }) => {
                    objects.iter().any(|&o| reach.is_reachable(o))
                }
                Disposition::Blocked(Requirement::Release { holders, .. }) => {
                    !holders.complete
                        || match holders.need {
                            Need::OneOf => holders.holders.iter().any(is_live),
                            Need::All => holders.holders.iter().all(is_live),
                        }
                }
            })
            .map(|n| n.goid)
            .collect();
        if fresh.is_empty() {
            return live;
        }
        reach.add_live(&fresh);
        live.extend(fresh);
    }
}

/// Every claim in `verdicts` is borne out by `nodes`.
fn check_fates(nodes: &[GoroutineNode], verdicts: &Verdicts) -> Result<(), TestCaseError> {
    let disposition = |goid: Goid| &nodes[usize::try_from(goid.0).unwrap() - 1].disposition;
    for (goid, fate) in &verdicts.dead {
        match (fate, disposition(*goid)) {
            (Fate::Never, Disposition::Blocked(Requirement::Never))
            | (Fate::Unreachable, Disposition::Blocked(Requirement::Signal { .. })) => {}
            (Fate::Orphaned, Disposition::Blocked(Requirement::Release { holders, .. })) => {
                prop_assert!(holders.holders.is_empty());
            }
            (Fate::OnCycle(index), _) => {
                prop_assert!(verdicts.cycles[*index].members.contains(goid));
            }
            (
                Fate::Queued {
                    object,
                    behind,
                    cause,
                },
                Disposition::Blocked(Requirement::Release {
                    object: waits_on,
                    holders,
                }),
            ) => {
                prop_assert_eq!(object, waits_on);
                prop_assert!(holders.holders.contains(behind));
                let expected = match verdicts.fate(*behind) {
                    Some(Fate::OnCycle(index)) => Cause::Cycle(index),
                    Some(Fate::Queued { cause, .. }) => cause,
                    Some(_) => Cause::Goroutine(*behind),
                    None => return Err(TestCaseError::fail("queued behind a live goroutine")),
                };
                prop_assert_eq!(*cause, expected);
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }
    for cycle in &verdicts.cycles {
        prop_assert!(cycle.core >= 1 && cycle.core <= cycle.members.len());
        for (at, edge) in cycle.edges.iter().enumerate() {
            let Disposition::Blocked(Requirement::Release { object, holders }) =
                disposition(edge.from)
            else {
                return Err(TestCaseError::fail("an edge from who waits for no release"));
            };
            prop_assert_eq!(*object, edge.object);
            prop_assert!(holders.holders.contains(&edge.to));
            prop_assert!(cycle.members.contains(&edge.from) && cycle.members.contains(&edge.to));
            if at < cycle.core {
                prop_assert_eq!(edge.from, cycle.members[at]);
                prop_assert_eq!(edge.to, cycle.members[(at + 1) % cycle.core]);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn solve_agrees_with_the_definition(
        nodes in any_nodes(),
        reach in prop::collection::vec((1..GOIDS, 0_u64..6), 0..12),
    ) {
        let table = Table { reach, ..Table::default() };
        let verdicts = solve(&nodes, &mut table.clone());
        let expected = naive_live(&nodes, &mut table.clone());
        let live: BTreeSet<Goid> = nodes
            .iter()
            .map(|n| n.goid)
            .filter(|&g| verdicts.fate(g).is_none())
            .collect();
        prop_assert_eq!(live, expected);
        check_fates(&nodes, &verdicts)?;
    }

    #[test]
    fn doubts_change_nobody_s_life(nodes in any_nodes(), doubts in prop::collection::vec(0..3_u8, 64)) {
        let verdicts = solved(&nodes);
        let doubt = |object: TargetAddr, holder: Goid, _| {
            let at = usize::try_from(object.0 * 7 + holder.0).unwrap() % doubts.len();
            doubts[at]
        };
        let retold = retold(verdicts.clone(), &nodes, &doubt);
        prop_assert_eq!(dead(&retold), dead(&verdicts));
        check_fates(&nodes, &retold)?;
    }

    #[test]
    fn root_blockers_are_live_and_counted_once(nodes in any_nodes()) {
        let verdicts = solved(&nodes);
        let total: u64 = verdicts.root_blockers.iter().map(|root| root.waiting).sum();
        prop_assert!(total <= nodes.len() as u64);
        for root in &verdicts.root_blockers {
            prop_assert!(verdicts.fate(root.goid).is_none());
            prop_assert_eq!(root.objects.iter().map(|(_, n)| n).sum::<u64>(), root.waiting);
        }
    }
}
