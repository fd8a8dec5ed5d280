//! The whole graph: chosen situations, and random ones against a definition too simple to be wrong.

mod incremental;

use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;
use rustc_hash::FxHashSet;

use super::*;
use crate::ids::{Goid, TargetAddr};

fn live(goid: u64) -> GoroutineNode {
    node(goid, Disposition::Live)
}

fn node(goid: u64, disposition: Disposition) -> GoroutineNode {
    GoroutineNode {
        goid: Goid(goid),
        disposition,
    }
}

fn release(object: u64, need: Need, holders: &[u64]) -> Disposition {
    Disposition::Blocked(Requirement::Release {
        object: TargetAddr(object),
        holders: Arc::new(HolderSet {
            holders: holders.iter().copied().map(Goid).collect(),
            need,
            complete: true,
            unseen: Vec::new(),
        }),
    })
}

/// `goid` waits for the lock at `object`, which `holder` holds.
fn locked(goid: u64, object: u64, holder: u64) -> GoroutineNode {
    node(goid, release(object, Need::OneOf, &[holder]))
}

fn signal(goid: u64, objects: &[u64]) -> GoroutineNode {
    let objects = objects.iter().copied().map(TargetAddr).collect();
    node(goid, Disposition::Blocked(Requirement::Signal { objects }))
}

fn never(goid: u64) -> GoroutineNode {
    node(goid, Disposition::Blocked(Requirement::Never))
}

fn solved(nodes: &[GoroutineNode]) -> Verdicts {
    solve(nodes, &mut AssumeReachable::new(true))
}

fn dead(verdicts: &Verdicts) -> Vec<u64> {
    verdicts.dead.iter().map(|(goid, _)| goid.0).collect()
}

/// Which goroutine can reach which object.
#[derive(Debug, Clone, Default)]
struct Table {
    reach: Vec<(u64, u64)>,
    live: FxHashSet<u64>,
}

impl Reachability for Table {
    fn add_live(&mut self, goroutines: &[Goid]) {
        self.live.extend(goroutines.iter().map(|g| g.0));
    }

    fn is_reachable(&mut self, object: TargetAddr) -> bool {
        self.reach
            .iter()
            .any(|(goid, o)| *o == object.0 && self.live.contains(goid))
    }
}

#[test]
fn two_locks_in_opposite_order_are_a_cycle() {
    let verdicts = solved(&[live(1), locked(7, 0xa0, 8), locked(8, 0xb0, 7)]);
    assert_eq!(dead(&verdicts), [7, 8]);
    let [cycle] = &verdicts.cycles[..] else {
        panic!("one cycle expected: {verdicts:?}");
    };
    assert_eq!(cycle.members, [Goid(7), Goid(8)]);
    assert_eq!(cycle.core, 2);
    let edge = |from, object, to| Edge {
        from: Goid(from),
        object: TargetAddr(object),
        to: Goid(to),
    };
    assert_eq!(cycle.edges, [edge(7, 0xa0, 8), edge(8, 0xb0, 7)]);
}

#[test]
fn a_lock_taken_again_is_a_cycle_of_one() {
    let verdicts = solved(&[live(1), locked(2, 0xa0, 2)]);
    assert_eq!(verdicts.cycles[0].members, [Goid(2)]);
    assert_eq!(verdicts.cycles[0].core, 1);
    assert_eq!(verdicts.cycles[0].edges.len(), 1);
}

#[test]
fn waiters_of_a_cycle_are_queued_behind_it() {
    let mut nodes = vec![live(1), locked(2, 0xa0, 3), locked(3, 0xb0, 2)];
    nodes.extend((10..60).map(|g| locked(g, 0xa0, 3)));
    nodes.push(locked(60, 0xc0, 10));
    let verdicts = solved(&nodes);
    assert_eq!(verdicts.cycles[0].members, [Goid(2), Goid(3)]);
    assert_eq!(verdicts.queued_behind(Cause::Cycle(0)).count(), 51);
    assert_eq!(
        verdicts.fate(Goid(60)),
        Some(Fate::Queued {
            object: TargetAddr(0xc0),
            behind: Goid(10),
            cause: Cause::Cycle(0),
        })
    );
    assert!(verdicts.root_blockers.is_empty());
}

#[test]
fn one_live_candidate_for_a_lock_keeps_its_waiters_alive() {
    let both = |other| {
        solved(&[
            node(2, release(0xa0, Need::OneOf, &[3, 4])),
            locked(3, 0xb0, 2),
            other,
        ])
    };
    assert_eq!(dead(&both(live(4))), Vec::<u64>::new());
    assert_eq!(dead(&both(locked(4, 0xb0, 2))), [2, 3, 4]);
}

#[test]
fn one_dead_reader_holds_the_writer_up_for_ever() {
    let verdicts = solved(&[
        live(1),
        node(2, release(0xa0, Need::All, &[1, 3])),
        locked(3, 0xa0, 2),
    ]);
    assert_eq!(dead(&verdicts), [2, 3]);
    assert_eq!(verdicts.cycles[0].members, [Goid(2), Goid(3)]);
}

#[test]
fn an_unknown_holder_counts_as_live() {
    let incomplete = |goid, holders: &[u64]| {
        node(
            goid,
            Disposition::Blocked(Requirement::Release {
                object: TargetAddr(0xa0),
                holders: Arc::new(HolderSet {
                    holders: holders.iter().copied().map(Goid).collect(),
                    need: Need::OneOf,
                    complete: false,
                    unseen: Vec::new(),
                }),
            }),
        )
    };
    assert!(solved(&[incomplete(2, &[2])]).dead.is_empty());
    assert!(solved(&[locked(2, 0xa0, 99)]).dead.is_empty());
}

#[test]
fn nobody_left_to_release_is_an_orphan() {
    let verdicts = solved(&[
        live(1),
        node(2, release(0xa0, Need::OneOf, &[])),
        locked(3, 0xb0, 2),
    ]);
    assert_eq!(verdicts.fate(Goid(2)), Some(Fate::Orphaned));
    assert_eq!(
        verdicts
            .queued_behind(Cause::Goroutine(Goid(2)))
            .collect::<Vec<_>>(),
        [Goid(3)]
    );
}

#[test]
fn a_goroutine_named_twice_counts_as_live() {
    assert!(solved(&[never(2), never(2)]).dead.is_empty());
}

#[test]
fn signals_ask_who_can_reach_the_object() {
    let nodes = [
        live(1),
        signal(2, &[0xc0]),
        signal(3, &[0xc8, 0xd0]),
        signal(4, &[0xe0]),
    ];
    // 1 reaches c0; 2, once live, reaches d0; e0 only its own waiter knows.
    let mut table = Table {
        reach: vec![(1, 0xc0), (2, 0xd0), (4, 0xe0)],
        ..Table::default()
    };
    let verdicts = solve(&nodes, &mut table);
    assert_eq!(verdicts.dead, [(Goid(4), Fate::Unreachable)]);
}

#[test]
fn without_a_walk_the_last_live_goroutine_reaches_everything() {
    let mut nodes = vec![never(1), signal(2, &[0xc0]), locked(3, 0xa0, 2)];
    let nobody = |nodes: &[GoroutineNode]| dead(&solve(nodes, &mut AssumeReachable::new(false)));
    assert_eq!(nobody(&nodes), [1, 2, 3]);
    nodes.push(live(4));
    assert_eq!(nobody(&nodes), [1]);
}

#[test]
fn chains_of_locks_end_in_a_ranked_root_blocker() {
    let mut nodes = vec![
        live(77),
        live(78),
        locked(5, 0xa0, 77),
        locked(90, 0xd0, 78),
    ];
    nodes.extend((10..20).map(|g| locked(g, 0xa0, 77)));
    nodes.extend((20..30).map(|g| locked(g, 0xb0, 5)));
    nodes.extend((30..33).map(|g| locked(g, 0xc0, 77)));
    let verdicts = solved(&nodes);
    assert!(verdicts.dead.is_empty());
    let of = |goid, waiting, objects: &[(u64, u64)]| RootBlocker {
        goid: Goid(goid),
        waiting,
        objects: objects.iter().map(|&(o, n)| (TargetAddr(o), n)).collect(),
    };
    assert_eq!(
        verdicts.root_blockers,
        [
            of(77, 24, &[(0xa0, 21), (0xc0, 3)]),
            of(78, 1, &[(0xd0, 1)])
        ]
    );
}

#[test]
fn a_blocker_that_waits_for_a_signal_is_a_root() {
    let verdicts = solved(&[live(1), signal(2, &[0xc0]), locked(3, 0xa0, 2)]);
    assert_eq!(verdicts.root_blockers[0].goid, Goid(2));
}

#[test]
fn a_million_goroutines_behind_one_cycle() {
    let mut nodes = vec![locked(1, 0xa0, 2), locked(2, 0xb0, 1)];
    nodes.extend((3..1_000_000).map(|g| locked(g, g * 8, g - 1)));
    let verdicts = solved(&nodes);
    assert_eq!(verdicts.dead.len(), 999_999);
    assert_eq!(verdicts.queued_behind(Cause::Cycle(0)).count(), 999_997);
}

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

const GOIDS: u64 = 12;

fn any_disposition() -> impl Strategy<Value = Disposition> {
    let holder_set = (
        prop::collection::vec(1..GOIDS + 2, 0..4),
        any::<bool>(),
        prop::bool::weighted(0.9),
    );
    prop_oneof![
        1 => Just(Disposition::Live),
        1 => Just(Disposition::Blocked(Requirement::Never)),
        2 => prop::collection::vec(0_u64..6, 1..3).prop_map(|objects| {
            Disposition::Blocked(Requirement::Signal {
                objects: objects.into_iter().map(TargetAddr).collect(),
            })
        }),
        6 => (0x10_u64..0x18, holder_set).prop_map(|(object, (holders, one, complete))| {
            Disposition::Blocked(Requirement::Release {
                object: TargetAddr(object),
                holders: Arc::new(HolderSet {
                    holders: holders.into_iter().map(Goid).collect(),
                    need: if one { Need::OneOf } else { Need::All },
                    complete,
                    unseen: Vec::new(),
                }),
            })
        }),
    ]
}

fn any_nodes() -> impl Strategy<Value = Vec<GoroutineNode>> {
    prop::collection::vec(any_disposition(), 0..GOIDS as usize).prop_map(|dispositions| {
        dispositions
            .into_iter()
            .zip(1..)
            .map(|(disposition, goid)| node(goid, disposition))
            .collect()
    })
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
