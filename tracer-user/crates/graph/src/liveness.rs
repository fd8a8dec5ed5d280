//! The liveness fixpoint: which goroutines can run again, however the others behave.
//!
//! The least fixpoint: nobody is live unless a chain of releases and signals starts at a goroutine
//! that moves by itself. Goroutines that wait only for each other therefore come out dead.

use super::{
    compact::{Compact, Wait},
    requirement::{Need, Reachability},
};

/// How often the fixpoint asks the reachability oracle again. Each time frees what one more hop
/// through an object frees; chains this long come from a hostile target, and whoever is still
/// undecided then counts as live.
const MAX_WAVES: usize = 1000;

/// For each goroutine whether it can run again.
pub(super) fn live(graph: &Compact<'_>, reach: &mut dyn Reachability) -> Vec<bool> {
    let mut fixpoint = Fixpoint::new(graph);
    let mut signalled: Vec<usize> = (0..graph.goids.len())
        .filter(|&v| matches!(graph.waits[v], Wait::Signal(_)))
        .collect();
    for _ in 0..MAX_WAVES {
        fixpoint.settle();
        let fresh: Vec<_> = std::mem::take(&mut fixpoint.fresh)
            .into_iter()
            .map(|v| graph.goids[v])
            .collect();
        reach.add_live(&fresh);
        signalled.retain(|&v| {
            let Wait::Signal(objects) = graph.waits[v] else {
                return false;
            };
            let reachable = objects.iter().any(|&object| reach.is_reachable(object));
            if reachable {
                fixpoint.wake(v);
            }
            !reachable
        });
        if fixpoint.queue.is_empty() {
            return fixpoint.live;
        }
    }
    for v in signalled {
        fixpoint.wake(v);
    }
    fixpoint.settle();
    fixpoint.live
}

struct Fixpoint<'graph, 'nodes> {
    graph: &'graph Compact<'nodes>,
    gates_held: super::adjacency::Adjacency,
    live: Vec<bool>,
    /// Live goroutines whose gates have not been looked at.
    queue: Vec<usize>,
    /// Goroutines that became live since the oracle was told.
    fresh: Vec<usize>,
    /// Per gate: how many holders still have to come live before it opens.
    missing: Vec<usize>,
}

impl<'graph, 'nodes> Fixpoint<'graph, 'nodes> {
    fn new(graph: &'graph Compact<'nodes>) -> Self {
        let mut this = Self {
            graph,
            gates_held: graph.gates_held(),
            live: vec![false; graph.goids.len()],
            queue: Vec::new(),
            fresh: Vec::new(),
            missing: vec![0; graph.gates.len()],
        };
        for v in 0..graph.goids.len() {
            if graph.waits[v] == Wait::Live {
                this.wake(v);
            }
        }
        for (index, gate) in graph.gates.iter().enumerate() {
            let known = graph.holders.successors(index).len();
            this.missing[index] = match gate.need {
                _ if !gate.complete => 0,
                Need::OneOf if gate.outsider => 0,
                Need::OneOf => 1,
                Need::All => known,
            };
            if this.missing[index] == 0 {
                this.open(index);
            }
        }
        this
    }

    fn wake(&mut self, v: usize) {
        if !std::mem::replace(&mut self.live[v], true) {
            self.queue.push(v);
            self.fresh.push(v);
        }
    }

    fn open(&mut self, gate: usize) {
        for &waiter in self.graph.waiters.successors(gate) {
            self.wake(waiter);
        }
    }

    /// Follows releases until they free nobody more.
    fn settle(&mut self) {
        while let Some(v) = self.queue.pop() {
            for position in 0..self.gates_held.successors(v).len() {
                let gate = self.gates_held.successors(v)[position];
                if self.missing[gate] > 0 {
                    self.missing[gate] -= 1;
                    if self.missing[gate] == 0 {
                        self.open(gate);
                    }
                }
            }
        }
    }
}
