//! Successor lists of a directed graph over `0..n`, in two flat vectors.

/// `successors(v)` for every node `v`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adjacency {
    /// `starts[v]..starts[v + 1]` is `v`'s part of `targets`.
    starts: Vec<usize>,
    targets: Vec<usize>,
}

impl Adjacency {
    /// The graph with the edges `pairs`, all of whose ends are below `nodes`.
    pub(super) fn new(nodes: usize, pairs: impl Iterator<Item = (usize, usize)> + Clone) -> Self {
        let mut starts = vec![0; nodes + 1];
        for (from, _) in pairs.clone() {
            starts[from + 1] += 1;
        }
        for v in 0..nodes {
            starts[v + 1] += starts[v];
        }
        let mut next = starts.clone();
        let mut targets = vec![0; starts[nodes]];
        for (from, to) in pairs {
            targets[next[from]] = to;
            next[from] += 1;
        }
        Self { starts, targets }
    }

    pub(super) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn successors(&self, v: usize) -> &[usize] {
        &self.targets[self.starts[v]..self.starts[v + 1]]
    }
}
