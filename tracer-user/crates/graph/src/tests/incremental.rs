//! The graph that is kept says what solving the whole says.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    random::{GOIDS, any_disposition, any_nodes},
    *,
};

proptest! {
    #[test]
    fn change_by_change_equals_all_at_once(
        edits in prop::collection::vec((1..GOIDS, prop::option::weighted(0.85, any_disposition())), 0..60),
    ) {
        let mut graph = WaitGraph::new();
        let mut now: std::collections::BTreeMap<u64, Disposition> = Default::default();
        for (goid, edit) in edits {
            match edit {
                Some(disposition) => {
                    graph.set(Goid(goid), disposition.clone());
                    now.insert(goid, disposition);
                }
                None => {
                    graph.remove(Goid(goid));
                    now.remove(&goid);
                }
            }
            let nodes: Vec<_> = now.iter().map(|(&g, d)| node(g, d.clone())).collect();
            same(&mut graph, &nodes)?;
        }
    }

    #[test]
    fn look_by_look_equals_all_at_once(looks in prop::collection::vec(any_nodes(), 0..8)) {
        let mut graph = WaitGraph::new();
        for nodes in looks {
            graph.follow(&nodes);
            same(&mut graph, &nodes)?;
        }
    }

    #[test]
    fn few_changes_between_looks(
        nodes in any_nodes(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any_disposition()), 0..20),
    ) {
        let mut nodes = nodes;
        let mut graph = WaitGraph::new();
        for (at, disposition) in edits {
            graph.follow(&nodes);
            same(&mut graph, &nodes)?;
            if !nodes.is_empty() {
                let at = at.index(nodes.len());
                nodes[at].disposition = disposition;
            }
        }
    }
}

fn same(graph: &mut WaitGraph, nodes: &[GoroutineNode]) -> Result<(), TestCaseError> {
    let full = solved(nodes);
    let incremental: BTreeSet<u64> = graph.dead().map(|g| g.0).collect();
    prop_assert_eq!(incremental.into_iter().collect::<Vec<_>>(), dead(&full));
    prop_assert_eq!(graph.verdicts(), &full);
    prop_assert_eq!(graph.len(), nodes.len());
    Ok(())
}

#[test]
fn a_goroutine_listed_twice_is_live() {
    let nodes = [locked(1, 0xa0, 1), locked(2, 0xb0, 1), locked(1, 0xa0, 1)];
    for before in [vec![], vec![locked(1, 0xa0, 1)]] {
        let mut graph = WaitGraph::new();
        graph.follow(&before);
        graph.follow(&nodes);
        assert!(graph.verdicts().dead.is_empty());
    }
}
