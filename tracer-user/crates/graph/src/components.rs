//! Tarjan's strongly connected components, without recursion: a chain of a million goroutines must
//! not overflow our stack.

use super::adjacency::Adjacency;

/// The strongly connected components of a graph, each before those that lead to it (so that a
/// component's successors have been seen when it comes).
#[derive(Debug)]
pub(super) struct Components {
    nodes: Vec<usize>,
    /// End of each component in `nodes`.
    ends: Vec<usize>,
}

impl Components {
    pub(super) fn iter(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.nodes[start..end])
    }
}

/// R. Tarjan, "Depth-first search and linear graph algorithms", 1972.
pub(super) fn strongly_connected(graph: &Adjacency) -> Components {
    let mut search = Search {
        graph,
        order: vec![UNSEEN; graph.nodes()],
        low: vec![0; graph.nodes()],
        next_order: 0,
        open: Vec::new(),
        path: Vec::new(),
        found: Components {
            nodes: Vec::with_capacity(graph.nodes()),
            ends: Vec::new(),
        },
    };
    for root in 0..graph.nodes() {
        if search.order[root] == UNSEEN {
            search.run(root);
        }
    }
    search.found
}

const UNSEEN: usize = usize::MAX;
const CLOSED: usize = usize::MAX - 1;

struct Search<'graph> {
    graph: &'graph Adjacency,
    /// When each node was discovered; [`UNSEEN`] before, [`CLOSED`] once its component is known.
    order: Vec<usize>,
    /// The earliest open node that each node leads back to.
    low: Vec<usize>,
    next_order: usize,
    /// Discovered nodes whose component is not known.
    open: Vec<usize>,
    /// The current path, each with the number of successors already followed.
    path: Vec<(usize, usize)>,
    found: Components,
}

impl Search<'_> {
    fn discover(&mut self, v: usize) {
        self.order[v] = self.next_order;
        self.low[v] = self.next_order;
        self.next_order += 1;
        self.open.push(v);
        self.path.push((v, 0));
    }

    fn run(&mut self, root: usize) {
        self.discover(root);
        while let Some((v, followed)) = self.path.last_mut() {
            let v = *v;
            if let Some(&next) = self.graph.successors(v).get(*followed) {
                *followed += 1;
                match self.order[next] {
                    UNSEEN => self.discover(next),
                    CLOSED => {}
                    order => self.low[v] = self.low[v].min(order),
                }
                continue;
            }
            self.path.pop();
            if let Some(&(parent, _)) = self.path.last() {
                self.low[parent] = self.low[parent].min(self.low[v]);
            }
            if self.low[v] == self.order[v] {
                self.close(v);
            }
        }
    }

    fn close(&mut self, root: usize) {
        while let Some(v) = self.open.pop() {
            self.order[v] = CLOSED;
            self.found.nodes.push(v);
            if v == root {
                break;
            }
        }
        self.found.ends.push(self.found.nodes.len());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use petgraph::graph::DiGraph;
    use proptest::prelude::*;

    use super::*;

    fn sets(components: &Components) -> BTreeSet<BTreeSet<usize>> {
        components
            .iter()
            .map(|c| c.iter().copied().collect())
            .collect()
    }

    proptest! {
        #[test]
        fn agrees_with_petgraph(
            nodes in 1_usize..40,
            edges in prop::collection::vec((0_usize..40, 0_usize..40), 0..120),
        ) {
            let edges: Vec<_> = edges.into_iter().map(|(a, b)| (a % nodes, b % nodes)).collect();
            let ours = strongly_connected(&Adjacency::new(nodes, edges.iter().copied()));
            let mut theirs = DiGraph::<(), ()>::new();
            let ids: Vec<_> = (0..nodes).map(|_| theirs.add_node(())).collect();
            for &(a, b) in &edges {
                theirs.add_edge(ids[a], ids[b], ());
            }
            let expected: BTreeSet<BTreeSet<usize>> = petgraph::algo::tarjan_scc(&theirs)
                .into_iter()
                .map(|c| c.into_iter().map(petgraph::graph::NodeIndex::index).collect())
                .collect();
            prop_assert_eq!(sets(&ours), expected);
        }

        #[test]
        fn successors_come_first(
            nodes in 1_usize..30,
            edges in prop::collection::vec((0_usize..30, 0_usize..30), 0..90),
        ) {
            let edges: Vec<_> = edges.into_iter().map(|(a, b)| (a % nodes, b % nodes)).collect();
            let found = strongly_connected(&Adjacency::new(nodes, edges.iter().copied()));
            let mut rank = vec![0; nodes];
            for (at, component) in found.iter().enumerate() {
                for &v in component {
                    rank[v] = at;
                }
            }
            for (a, b) in edges {
                prop_assert!(rank[b] <= rank[a]);
            }
        }
    }

    #[test]
    fn a_long_chain_does_not_overflow() {
        let nodes = 300_000;
        let chain = Adjacency::new(nodes, (0..nodes).map(|v| (v, (v + 1) % nodes)));
        assert_eq!(strongly_connected(&chain).iter().count(), 1);
    }
}
