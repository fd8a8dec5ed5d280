//! A cycle among goroutines that can never run again, told in the order in which they wait.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{adjacency::Adjacency, compact::Compact, requirement::Edge};
use crate::ids::Goid;

/// Edges told of one cycle at most: many candidates for many locks would be quadratic.
const MAX_EDGES: usize = 4096;

/// Goroutines each of which waits, directly or through others, for all the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// The goroutines. First a shortest cycle through the one with the lowest id, each waiting for
    /// the next and the last for the first; then whoever is entangled besides, ascending.
    pub members: Vec<Goid>,
    /// How many of `members` form that shortest cycle. 1: it waits for itself.
    pub core: usize,
    /// Who of the members waits for whom, the core's edges first. Bounded.
    pub edges: Vec<Edge>,
}

/// The cycle formed by `component`, a strongly connected part of `dead`: goroutines are
/// `0..graph.goids.len()`, gates follow.
pub(super) fn tell(graph: &Compact<'_>, dead: &Adjacency, component: &[usize]) -> Cycle {
    let inside: FxHashSet<usize> = component.iter().copied().collect();
    let goroutines = graph.goids.len();
    let is_goroutine = |v: &usize| *v < goroutines;
    let start = component
        .iter()
        .copied()
        .filter(is_goroutine)
        .min_by_key(|&v| graph.goids[v])
        .unwrap_or(component[0]);
    let core = shortest_cycle(dead, &inside, start);
    let core: Vec<usize> = core.into_iter().filter(is_goroutine).collect();
    let in_core: FxHashSet<usize> = core.iter().copied().collect();
    let mut rest: Vec<usize> = component
        .iter()
        .copied()
        .filter(|v| is_goroutine(v) && !in_core.contains(v))
        .collect();
    rest.sort_unstable_by_key(|&v| graph.goids[v]);
    let members: Vec<usize> = core.iter().chain(&rest).copied().collect();
    Cycle {
        core: core.len(),
        edges: edges(graph, dead, &inside, &core, &members),
        members: members.into_iter().map(|v| graph.goids[v]).collect(),
    }
}

/// The nodes of a shortest cycle through `start` that stays `inside`, from `start` on.
fn shortest_cycle(dead: &Adjacency, inside: &FxHashSet<usize>, start: usize) -> Vec<usize> {
    let mut came_from: FxHashMap<usize, usize> = FxHashMap::default();
    let mut queue = VecDeque::from([start]);
    while let Some(v) = queue.pop_front() {
        for &next in dead.successors(v).iter().filter(|v| inside.contains(v)) {
            if next == start {
                let mut path = vec![v];
                while let Some(&last) = path.last()
                    && last != start
                    && let Some(&before) = came_from.get(&last)
                {
                    path.push(before);
                }
                path.reverse();
                return path;
            }
            if let std::collections::hash_map::Entry::Vacant(entry) = came_from.entry(next) {
                entry.insert(v);
                queue.push_back(next);
            }
        }
    }
    vec![start]
}

fn edges(
    graph: &Compact<'_>,
    dead: &Adjacency,
    inside: &FxHashSet<usize>,
    core: &[usize],
    members: &[usize],
) -> Vec<Edge> {
    let mut found = Vec::new();
    let mut push = |from: usize, to: usize| {
        if let Some(gate) = graph.gate_of(from) {
            found.push(Edge {
                from: graph.goids[from],
                object: graph.gates[gate].object,
                to: graph.goids[to],
            });
        }
        found.len() < MAX_EDGES
    };
    let next_in_core = core.iter().cycle().skip(1);
    let pairs: FxHashSet<(usize, usize)> =
        core.iter().copied().zip(next_in_core.copied()).collect();
    for (&from, &to) in core.iter().zip(core.iter().cycle().skip(1)) {
        if !push(from, to) {
            return found;
        }
    }
    for &from in members {
        let Some(gate) = graph.gate_of(from) else {
            continue;
        };
        for &to in dead.successors(graph.goids.len() + gate) {
            if inside.contains(&to) && !pairs.contains(&(from, to)) && !push(from, to) {
                return found;
            }
        }
    }
    found
}
