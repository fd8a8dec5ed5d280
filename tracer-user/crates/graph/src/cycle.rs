//! A cycle among goroutines that can never run again, told in the order in which they wait.

use std::collections::{VecDeque, hash_map::Entry};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    adjacency::Adjacency,
    compact::Compact,
    requirement::{Edge, Need},
};
use ids::Goid;

/// Edges told of one cycle at most.
const MAX_EDGES: usize = 4096;
/// Steps that the search for the shortest cycle may take, in all.
const MAX_STEPS: usize = 1 << 20;

/// Goroutines each of which waits, directly or through others, for all the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// The goroutines. First a shortest cycle (of several, one through the lowest id), each waiting
    /// for the next and the last for the first; then the others that are entangled, ascending.
    pub members: Vec<Goid>,
    /// How many of `members` form that shortest cycle. 1: it waits for itself.
    pub core: usize,
    /// Who of the members waits for whom, the core's edges first: one for each member, and where a
    /// lock is held by several who all have to act, one of its waiters waits for each of them.
    pub edges: Vec<Edge>,
}

/// The cycle formed by `component`, a strongly connected part of `dead`: goroutines are
/// `0..graph.goids.len()`, gates follow.
pub(super) fn tell(graph: &Compact<'_>, dead: &Adjacency, component: &[usize]) -> Cycle {
    let inside: FxHashSet<usize> = component.iter().copied().collect();
    let goroutines = graph.goids.len();
    let is_goroutine = |v: &usize| *v < goroutines;
    let mut starts: Vec<usize> = component.iter().copied().filter(is_goroutine).collect();
    starts.sort_unstable_by_key(|&v| graph.goids[v]);
    let core = shortest_cycle(dead, &inside, &starts);
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

/// The nodes of a shortest cycle through one of `starts` that stays `inside`, from its start on.
/// When the search would take too long, the shortest that was found.
fn shortest_cycle(dead: &Adjacency, inside: &FxHashSet<usize>, starts: &[usize]) -> Vec<usize> {
    // A goroutine and the gate that it waits at: no cycle is shorter.
    const LEAST: usize = 2;
    let mut steps = 0;
    let mut shortest: Option<Vec<usize>> = None;
    for &start in starts {
        let best = shortest.as_ref().map_or(usize::MAX, Vec::len);
        if best == LEAST || steps >= MAX_STEPS && best < usize::MAX {
            break;
        }
        let search = Search {
            dead,
            inside,
            shorter_than: best,
        };
        if let Some(cycle) = search.through(start, &mut steps) {
            shortest = Some(cycle);
        }
    }
    shortest.unwrap_or_else(|| starts.iter().take(1).copied().collect())
}

/// A search for a cycle shorter than those known.
struct Search<'a> {
    dead: &'a Adjacency,
    inside: &'a FxHashSet<usize>,
    shorter_than: usize,
}

impl Search<'_> {
    /// The nodes of a shortest cycle through `start`, from it on, if that is short enough.
    fn through(&self, start: usize, steps: &mut usize) -> Option<Vec<usize>> {
        // How each node was reached, and in how many steps.
        let mut reached: FxHashMap<usize, (usize, usize)> = FxHashMap::default();
        let mut queue = VecDeque::from([(start, 1)]);
        while let Some((v, length)) = queue.pop_front() {
            if length >= self.shorter_than {
                return None;
            }
            let next = self.dead.successors(v).iter();
            for &next in next.filter(|v| self.inside.contains(v)) {
                *steps += 1;
                if next == start {
                    return Some(path(&reached, start, v));
                }
                if let Entry::Vacant(entry) = reached.entry(next) {
                    entry.insert((v, length));
                    queue.push_back((next, length + 1));
                }
            }
        }
        None
    }
}

/// The way from `start` to `end`, both included.
fn path(reached: &FxHashMap<usize, (usize, usize)>, start: usize, end: usize) -> Vec<usize> {
    let mut path = vec![end];
    while let Some(&last) = path.last()
        && last != start
        && let Some(&(before, _)) = reached.get(&last)
    {
        path.push(before);
    }
    path.reverse();
    path
}

fn edges(
    graph: &Compact<'_>,
    dead: &Adjacency,
    inside: &FxHashSet<usize>,
    core: &[usize],
    members: &[usize],
) -> Vec<Edge> {
    let next_in_core = core.iter().cycle().skip(1).copied();
    let in_core: Vec<(usize, usize)> = core.iter().copied().zip(next_in_core).collect();
    let next: FxHashMap<usize, usize> = in_core.iter().copied().collect();
    // Gates all of whose holders have been told of.
    let mut told: FxHashSet<usize> = FxHashSet::default();
    let besides = members.iter().flat_map(|&from| {
        let gate = graph.gate_of(from);
        let all = gate.is_some_and(|g| graph.gates[g].need == Need::All && told.insert(g));
        let node = gate.map(|gate| graph.goids.len() + gate);
        let holders = node.map_or(&[][..], |node| dead.successors(node)).iter();
        let known = next.get(&from).copied();
        let others = holders
            .copied()
            .filter(move |to| inside.contains(to) && Some(*to) != known);
        let wanted = match (all, known) {
            (true, _) => usize::MAX,
            (false, Some(_)) => 0,
            (false, None) => 1,
        };
        others.take(wanted).map(move |to| (from, to))
    });
    let pairs = in_core.iter().copied().chain(besides);
    let edge = |(from, to): (usize, usize)| {
        let gate = graph.gate_of(from)?;
        Some(Edge {
            from: graph.goids[from],
            object: graph.gates[gate].object,
            to: graph.goids[to],
        })
    };
    pairs.filter_map(edge).take(MAX_EDGES).collect()
}
