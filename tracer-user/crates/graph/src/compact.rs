//! The graph's input with goroutines numbered `0..n` and each shared holder set turned into one
//! *gate*, so that `w` waiters behind `h` holders cost `w + h` edges and not `w * h`.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    adjacency::Adjacency,
    requirement::{Disposition, GoroutineNode, HolderSet, Need, Requirement},
};
use ids::{Goid, TargetAddr};

/// A whole graph, ready to be solved.
#[derive(Debug)]
pub(super) struct Compact<'nodes> {
    pub(super) goids: Vec<Goid>,
    /// What each goroutine waits for.
    pub(super) waits: Vec<Wait<'nodes>>,
    pub(super) gates: Vec<Gate>,
    /// Holders of each gate that are in the graph, without duplicates, in the input's order.
    pub(super) holders: Adjacency,
    /// Waiters of each gate.
    pub(super) waiters: Adjacency,
}

/// What one goroutine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait<'nodes> {
    /// Nothing: it moves by itself.
    Live,
    /// It waits for ever.
    Never,
    /// The gate with this index.
    Gate(usize),
    /// Any of these objects.
    Signal(&'nodes [TargetAddr]),
}

/// An object together with who must release it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gate {
    pub(super) object: TargetAddr,
    pub(super) need: Need,
    pub(super) complete: bool,
    /// Whether a goroutine outside the graph is among the holders. It counts as live.
    pub(super) outsider: bool,
}

impl<'nodes> Compact<'nodes> {
    pub(super) fn new(nodes: &'nodes [GoroutineNode]) -> Self {
        let mut index = FxHashMap::default();
        index.reserve(nodes.len());
        let mut goids = Vec::with_capacity(nodes.len());
        let mut waits = Vec::with_capacity(nodes.len());
        let mut sets = HolderSets::default();
        for node in nodes {
            if let Some(&first) = index.get(&node.goid) {
                // A torn snapshot named it twice: neither description can be trusted.
                waits[first] = Wait::Live;
                continue;
            }
            index.insert(node.goid, goids.len());
            goids.push(node.goid);
            waits.push(match &node.disposition {
                Disposition::Live => Wait::Live,
                Disposition::Blocked(Requirement::Never) => Wait::Never,
                Disposition::Blocked(Requirement::Signal { objects }) => Wait::Signal(objects),
                Disposition::Blocked(Requirement::Release { object, holders }) => {
                    Wait::Gate(sets.gate(*object, holders))
                }
            });
        }
        let (gates, holder_pairs) = sets.resolve(&index, goids.len());
        let holders = Adjacency::new(gates.len(), holder_pairs.iter().copied());
        let waiters = Adjacency::new(
            gates.len(),
            waits.iter().enumerate().filter_map(|(v, wait)| match wait {
                Wait::Gate(gate) => Some((*gate, v)),
                _ => None,
            }),
        );
        Self {
            goids,
            waits,
            gates,
            holders,
            waiters,
        }
    }

    /// The gate that goroutine `v` waits at.
    pub(super) fn gate_of(&self, v: usize) -> Option<usize> {
        match self.waits[v] {
            Wait::Gate(gate) => Some(gate),
            _ => None,
        }
    }

    /// For each goroutine the gates it is a holder of.
    pub(super) fn gates_held(&self) -> Adjacency {
        let pairs = (0..self.gates.len()).flat_map(|gate| {
            self.holders
                .successors(gate)
                .iter()
                .map(move |&v| (v, gate))
        });
        Adjacency::new(self.goids.len(), pairs)
    }
}

/// The distinct holder sets, told apart by object and allocation.
#[derive(Default)]
struct HolderSets<'nodes> {
    index: FxHashMap<(TargetAddr, usize), usize>,
    sets: Vec<(TargetAddr, &'nodes HolderSet)>,
}

impl<'nodes> HolderSets<'nodes> {
    fn gate(&mut self, object: TargetAddr, holders: &'nodes Arc<HolderSet>) -> usize {
        let key = (object, Arc::as_ptr(holders).addr());
        *self.index.entry(key).or_insert_with(|| {
            self.sets.push((object, holders));
            self.sets.len() - 1
        })
    }

    /// The gates and their (gate, holder) pairs.
    fn resolve(
        self,
        index: &FxHashMap<Goid, usize>,
        goroutines: usize,
    ) -> (Vec<Gate>, Vec<(usize, usize)>) {
        let mut pairs = Vec::new();
        let mut last_gate = vec![usize::MAX; goroutines];
        let gates = self.sets.iter().enumerate().map(|(gate, (object, set))| {
            let mut outsider = false;
            for goid in &set.holders {
                match index.get(goid) {
                    None => outsider = true,
                    Some(&v) if last_gate[v] == gate => {}
                    Some(&v) => {
                        last_gate[v] = gate;
                        pairs.push((gate, v));
                    }
                }
            }
            Gate {
                object: *object,
                need: set.need,
                complete: set.is_closed(),
                outsider,
            }
        });
        let gates = gates.collect();
        (gates, pairs)
    }
}
