//! Chosen situations.

use super::*;

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

#[test]
fn who_only_may_hold_a_lock_is_a_waiter_once_the_doubts_count() {
    // 2 and 3 hold each other's locks; 4 and 5, who want one of them, may unlock it later.
    let nodes = [
        live(1),
        node(2, release(0xa0, Need::OneOf, &[4, 3, 5])),
        node(4, release(0xa0, Need::OneOf, &[4, 3, 5])),
        node(5, release(0xa0, Need::OneOf, &[4, 3, 5])),
        node(3, release(0xb0, Need::OneOf, &[4, 2])),
    ];
    let verdicts = solved(&nodes);
    assert_eq!(verdicts.cycles[0].members.len(), 4);
    let doubt = |_, holder: Goid, _| u8::from(holder.0 > 3);
    let retold = retold(verdicts.clone(), &nodes, &doubt);
    assert_eq!(dead(&retold), dead(&verdicts));
    assert_eq!(retold.cycles[0].members, [Goid(2), Goid(3)]);
    let waiters: Vec<Goid> = retold.queued_behind(Cause::Cycle(0)).collect();
    assert_eq!(waiters, [Goid(4), Goid(5)]);
}

#[test]
fn the_shortest_cycle_is_told_wherever_it_is() {
    // 1 → 2 → 3 → 1, and 2 → 4 → 2.
    let nodes = [
        locked(1, 0xa0, 2),
        node(2, release(0xb0, Need::OneOf, &[3, 4])),
        locked(3, 0xc0, 1),
        locked(4, 0xd0, 2),
    ];
    let verdicts = solved(&nodes);
    let [cycle] = &verdicts.cycles[..] else {
        panic!("one cycle expected: {verdicts:?}");
    };
    assert_eq!(cycle.members, [2, 4, 1, 3].map(Goid));
    assert_eq!(cycle.core, 2);
}

#[test]
fn edges_are_as_many_as_waiters_and_holders_are() {
    let holders: Vec<u64> = (10..60).collect();
    let mut nodes: Vec<_> = (1..=9)
        .map(|g| node(g, release(0xa0, Need::All, &holders)))
        .collect();
    nodes.extend((10..60).map(|g| locked(g, 0xb0, 1)));
    let verdicts = solved(&nodes);
    let [cycle] = &verdicts.cycles[..] else {
        panic!("one cycle expected: {verdicts:?}");
    };
    assert_eq!(cycle.members.len(), 51);
    assert_eq!(cycle.edges.len(), 50 + 50);
}
