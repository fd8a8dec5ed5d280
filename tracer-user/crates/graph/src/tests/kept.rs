//! What is kept says what solving the whole says.

use proptest::prelude::*;

use super::{
    random::{any_disposition, any_nodes},
    *,
};

proptest! {
    #[test]
    fn kept_from_inspection_to_inspection(inspections in prop::collection::vec(any_nodes(), 0..8)) {
        let mut cache = VerdictCache::default();
        for nodes in inspections {
            prop_assert_eq!(cache.solve(&nodes), &solved(&nodes));
        }
    }

    #[test]
    fn few_changes_between_inspections(
        nodes in any_nodes(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any_disposition()), 0..20),
    ) {
        let mut nodes = nodes;
        let mut cache = VerdictCache::default();
        for (at, disposition) in edits {
            prop_assert_eq!(cache.solve(&nodes), &solved(&nodes));
            if !nodes.is_empty() {
                let at = at.index(nodes.len());
                nodes[at].disposition = disposition;
            }
        }
    }
}

#[test]
fn a_goroutine_listed_twice_is_live() {
    let nodes = [locked(1, 0xa0, 1), locked(2, 0xb0, 1), locked(1, 0xa0, 1)];
    for before in [vec![], vec![locked(1, 0xa0, 1)]] {
        let mut cache = VerdictCache::default();
        cache.solve(&before);
        assert!(cache.solve(&nodes).dead.is_empty());
    }
}
