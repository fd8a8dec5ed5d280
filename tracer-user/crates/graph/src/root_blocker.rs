//! Where chains of waiting end in a goroutine that still moves.

use rustc_hash::FxHashMap;

use super::{compact::Compact, requirement::Need};
use ids::{Goid, TargetAddr};

/// A live goroutine that others wait behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootBlocker {
    /// Who holds everybody up.
    pub goid: Goid,
    /// How many goroutines wait behind it, directly or through others.
    pub waiting: u64,
    /// What it has to release, with how many wait behind each (through others too), most first.
    pub objects: Vec<(TargetAddr, u64)>,
}

/// The live goroutines that others wait behind, those with the most first.
///
/// A waiter is counted behind one goroutine only: the only candidate for its lock, or the first of
/// those that all have to act. A waiter whose lock has several candidates is itself where the
/// chain ends. Rings of waiters, which are live only because somebody unknown may intervene, have
/// no root.
pub(super) fn root_blockers(graph: &Compact<'_>, live: &[bool]) -> Vec<RootBlocker> {
    let next: Vec<Option<(usize, usize)>> = (0..graph.goids.len())
        .map(|v| {
            if live[v] {
                waits_behind(graph, v)
            } else {
                None
            }
        })
        .collect();
    let mut pending = vec![0_usize; next.len()];
    for &(holder, _) in next.iter().flatten() {
        pending[holder] += 1;
    }
    let mut waiting = vec![0_u64; next.len()];
    let mut by_object: FxHashMap<(usize, TargetAddr), u64> = FxHashMap::default();
    let mut ready: Vec<usize> = (0..next.len()).filter(|&v| pending[v] == 0).collect();
    let mut roots = Vec::new();
    while let Some(v) = ready.pop() {
        let Some((holder, gate)) = next[v] else {
            if waiting[v] > 0 && live[v] {
                roots.push(v);
            }
            continue;
        };
        waiting[holder] += waiting[v] + 1;
        if next[holder].is_none() {
            let object = graph.gates[gate].object;
            *by_object.entry((holder, object)).or_default() += waiting[v] + 1;
        }
        pending[holder] -= 1;
        if pending[holder] == 0 {
            ready.push(holder);
        }
    }
    let mut objects: FxHashMap<usize, Vec<(TargetAddr, u64)>> = FxHashMap::default();
    for ((holder, object), count) in by_object {
        objects.entry(holder).or_default().push((object, count));
    }
    let mut found: Vec<RootBlocker> = roots
        .into_iter()
        .map(|v| {
            let mut objects = objects.remove(&v).unwrap_or_default();
            objects.sort_unstable_by_key(|&(object, count)| (std::cmp::Reverse(count), object));
            RootBlocker {
                goid: graph.goids[v],
                waiting: waiting[v],
                objects,
            }
        })
        .collect();
    found.sort_unstable_by_key(|root| (std::cmp::Reverse(root.waiting), root.goid));
    found
}

/// The goroutine that `v` waits behind and the gate between them.
fn waits_behind(graph: &Compact<'_>, v: usize) -> Option<(usize, usize)> {
    let gate = graph.gate_of(v)?;
    match (graph.gates[gate].need, graph.holders.successors(gate)) {
        (Need::OneOf, &[holder]) | (Need::All, &[holder, ..]) if holder != v => {
            Some((holder, gate))
        }
        _ => None,
    }
}
