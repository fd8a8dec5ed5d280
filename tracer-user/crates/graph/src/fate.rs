//! Why each goroutine that can never run again cannot.

use super::{
    adjacency::Adjacency,
    compact::{Compact, Gate, Wait},
    components::strongly_connected,
    cycle::{self, Cycle},
    requirement::Need,
    root_blocker::RootBlocker,
};
use ids::{Goid, TargetAddr};

/// What [`solve`](super::solve) found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdicts {
    /// The goroutines that can never run again, ascending, each with the reason. Whoever is not
    /// listed is live.
    pub dead: Vec<(Goid, Fate)>,
    /// The cycles among them.
    pub cycles: Vec<Cycle>,
    /// Live goroutines behind which others wait, those with the most first.
    pub root_blockers: Vec<RootBlocker>,
}

/// Why a goroutine can never run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Member of [`Verdicts::cycles`] at this index.
    OnCycle(usize),
    /// Waits for what never comes (nil channel, `select {}`).
    Never,
    /// No live goroutine can reach any of its objects.
    Unreachable,
    /// Waits for a lock that nobody is left to release.
    Orphaned,
    /// Waits for somebody who is dead, without being on a cycle.
    Queued {
        /// The lock it waits for.
        object: TargetAddr,
        /// A dead holder of it.
        behind: Goid,
        /// Where the chain of dead holders ends.
        cause: Cause,
    },
}

/// Where a chain of dead goroutines ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// In [`Verdicts::cycles`] at this index.
    Cycle(usize),
    /// In a goroutine whose own fate is [`Fate::Never`], [`Fate::Unreachable`] or
    /// [`Fate::Orphaned`].
    Goroutine(Goid),
}

impl Verdicts {
    pub(super) fn new(
        dead: Vec<(Goid, Fate)>,
        cycles: Vec<Cycle>,
        root_blockers: Vec<RootBlocker>,
    ) -> Self {
        Self {
            dead,
            cycles,
            root_blockers,
        }
    }

    /// Why `goid` can never run again; `None` when it can.
    #[must_use]
    pub fn fate(&self, goid: Goid) -> Option<Fate> {
        let at = self.dead.binary_search_by_key(&goid, |(g, _)| *g).ok()?;
        self.dead.get(at).map(|(_, fate)| *fate)
    }

    /// The goroutines that are dead because of `cause` without being part of it, ascending.
    pub fn queued_behind(&self, cause: Cause) -> impl Iterator<Item = Goid> {
        self.dead.iter().filter_map(move |(goid, fate)| match fate {
            Fate::Queued { cause: c, .. } if *c == cause => Some(*goid),
            _ => None,
        })
    }
}

/// The dead goroutines with their reasons, ascending, and the cycles among them.
pub(super) fn fates(
    graph: &Compact<'_>,
    live: &[bool],
    doubt: Doubt<'_>,
) -> (Vec<(Goid, Fate)>, Vec<Cycle>) {
    if live.iter().all(|&l| l) {
        return (Vec::new(), Vec::new());
    }
    let dead = dead_part(graph, live, doubt);
    let goroutines = graph.goids.len();
    let mut causes: Vec<Option<Cause>> = vec![None; dead.nodes()];
    let mut fates = Vec::new();
    let mut cycles = Vec::new();
    for component in strongly_connected(&dead).iter() {
        if let &[v] = component {
            // A gate and a goroutine are different nodes, so no single node is a cycle.
            if v >= goroutines {
                causes[v] = worst(dead.successors(v).iter().filter_map(|&to| causes[to]));
            } else if !live[v] {
                let fate = alone(graph, &dead, &causes, v);
                causes[v] = Some(match fate {
                    Fate::Queued { cause, .. } => cause,
                    _ => Cause::Goroutine(graph.goids[v]),
                });
                fates.push((graph.goids[v], fate));
            }
            continue;
        }
        let index = cycles.len();
        for &v in component {
            causes[v] = Some(Cause::Cycle(index));
            if v < goroutines {
                fates.push((graph.goids[v], Fate::OnCycle(index)));
            }
        }
        cycles.push(cycle::tell(graph, &dead, component));
    }
    fates.sort_unstable_by_key(|(goid, _)| *goid);
    (fates, cycles)
}

/// The fate of the dead goroutine `v`, which is on no cycle.
fn alone(graph: &Compact<'_>, dead: &Adjacency, causes: &[Option<Cause>], v: usize) -> Fate {
    let Some(gate) = graph.gate_of(v) else {
        return match graph.waits[v] {
            Wait::Signal(_) => Fate::Unreachable,
            _ => Fate::Never,
        };
    };
    let node = graph.goids.len() + gate;
    let behind = dead.successors(node).iter().copied();
    match (
        causes[node],
        behind.min_by_key(|&h| causes[h] != causes[node]),
    ) {
        (Some(cause), Some(holder)) => Fate::Queued {
            object: graph.gates[gate].object,
            behind: graph.goids[holder],
            cause,
        },
        _ => Fate::Orphaned,
    }
}

/// The cause to tell when there are several: a cycle, if there is one.
fn worst(causes: impl Iterator<Item = Cause>) -> Option<Cause> {
    causes.min_by_key(|cause| !matches!(cause, Cause::Cycle(_)))
}

/// How little speaks for a goroutine being the one that holds an object; 0: nothing is missing. The
/// last argument says whether it is itself one of those that wait for the very same.
pub(super) type Doubt<'a> = &'a dyn Fn(TargetAddr, Goid, bool) -> u8;

/// Dead goroutines → the gates they wait at → the dead holders of those; of several of whom one
/// suffices, those with the least doubt. Nodes are the goroutines, then the gates.
fn dead_part(graph: &Compact<'_>, live: &[bool], doubt: Doubt<'_>) -> Adjacency {
    let goroutines = graph.goids.len();
    let waits = (0..goroutines)
        .filter(|&v| !live[v])
        .filter_map(|v| graph.gate_of(v).map(|gate| (v, goroutines + gate)));
    let holds = (0..graph.gates.len()).flat_map(|gate| {
        let Gate { object, need, .. } = graph.gates[gate];
        let of = move |v: usize| doubt(object, graph.goids[v], graph.gate_of(v) == Some(gate));
        let holders = graph.holders.successors(gate).iter().copied();
        let holders = holders.filter(|&v| !live[v]);
        let least = match need {
            Need::OneOf => holders.clone().map(of).min(),
            Need::All => None,
        };
        holders
            .filter(move |&v| least.is_none_or(|least| of(v) == least))
            .map(move |v| (goroutines + gate, v))
    });
    Adjacency::new(goroutines + graph.gates.len(), waits.chain(holds))
}
