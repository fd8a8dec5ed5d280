//! The places where paths meet, and which lead to which: what a frame has done for certain when it
//! never returns.
//!
//! A goroutine that goes round for ever does, sooner or later, everything that every round does: what
//! is not done somewhere on some circle may never be done. So a release is certain only if it has
//! happened at every place that lies on a circle: each way without an end goes round one of them for
//! ever. Circles that no execution takes only make less certain.

use rustc_hash::FxHashSet;

use super::effects::{Effects, History};

/// Nodes of the graph, by number.
#[derive(Debug, Default)]
pub struct Progress {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    effects: History,
    successors: FxHashSet<u32>,
}

/// A place where paths meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Meeting(u32);

impl Progress {
    /// A new place, at which `effects` have happened.
    pub fn add(&mut self, effects: &History) -> Meeting {
        let number = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(Node {
            effects: effects.clone(),
            successors: FxHashSet::default(),
        });
        Meeting(number)
    }

    /// A path leads from one place to another.
    pub fn connect(&mut self, from: Meeting, to: Meeting) {
        if let Some(node) = self.nodes.get_mut(from.0 as usize) {
            node.successors.insert(to.0);
        }
    }

    /// What has been done at each place that a path may pass for ever: whoever never leaves its
    /// function does for certain what has been done at all of them.
    ///
    /// Of a loop that some path seems to leave nothing is concluded from that: the path may be one
    /// that cannot happen.
    pub fn in_loops(&self) -> Vec<Effects> {
        let mut found: Vec<Effects> = Vec::new();
        for (number, is_on_circle) in self.on_circles().into_iter().enumerate() {
            if let Some(node) = self.nodes.get(number)
                && is_on_circle
                && !found.contains(&*node.effects)
            {
                found.push((*node.effects).clone());
            }
        }
        found
    }

    /// Which places lie on a circle: whoever does not lie behind all that end, and before all that
    /// begin, lies on one or between two, which counts as lying on one.
    fn on_circles(&self) -> Vec<bool> {
        let onwards = self.nodes.iter().map(|node| &node.successors);
        let onwards: Vec<Vec<u32>> = onwards.map(|next| next.iter().copied().collect()).collect();
        let mut back: Vec<Vec<u32>> = vec![Vec::new(); onwards.len()];
        for (number, next) in (0_u32..).zip(&onwards) {
            for to in next {
                if let Some(list) = back.get_mut(*to as usize) {
                    list.push(number);
                }
            }
        }
        let (onwards, back) = (endless(&onwards, &back), endless(&back, &onwards));
        onwards.into_iter().zip(back).map(|(a, b)| a && b).collect()
    }
}

/// From which nodes one can go on for ever along `next`, whose opposite is `back`.
fn endless(next: &[Vec<u32>], back: &[Vec<u32>]) -> Vec<bool> {
    let mut left: Vec<usize> = next.iter().map(Vec::len).collect();
    let mut endless = vec![true; next.len()];
    let mut ended: Vec<usize> = (0..left.len()).filter(|n| left[*n] == 0).collect();
    while let Some(number) = ended.pop() {
        endless[number] = false;
        for &earlier in &back[number] {
            let earlier = earlier as usize;
            left[earlier] -= 1;
            if left[earlier] == 0 {
                ended.push(earlier);
            }
        }
    }
    endless
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ReleaseKind;

    /// Nodes of random graphs.
    const NODES: usize = 6;

    /// Every way from `at` on, without an end, as the set of nodes that it passes: until a node comes
    /// again.
    fn endless_ways(edges: &[Vec<usize>], at: usize, passed: &mut Vec<usize>) -> Vec<Vec<usize>> {
        if passed.contains(&at) {
            return vec![passed.clone()];
        }
        passed.push(at);
        let mut ways = Vec::new();
        for &next in &edges[at] {
            ways.extend(endless_ways(edges, next, passed));
        }
        passed.pop();
        ways
    }

    proptest! {
        /// What is called certain is done on every way that never ends, those among them that no
        /// execution takes.
        #[test]
        fn what_is_certain_is_done_on_every_endless_way(
            done in prop::collection::vec(prop::collection::btree_set(1_u64..4, 0..4), NODES),
            edges in prop::collection::vec(prop::collection::vec(0..NODES, 0..3), NODES),
        ) {
            let mut progress = Progress::default();
            let meetings: Vec<Meeting> = done
                .iter()
                .map(|objects| {
                    let mut effects = Effects::default();
                    for object in objects {
                        effects.give((ReleaseKind::Unlock, *object), false);
                    }
                    progress.add(&History::new(effects))
                })
                .collect();
            for (from, next) in edges.iter().enumerate() {
                for &to in next {
                    progress.connect(meetings[from], meetings[to]);
                }
            }
            let loops = progress.in_loops();
            for object in 1..4 {
                let gives = |e: &Effects| e.released.iter().any(|r| r.object == object);
                if loops.is_empty() || !loops.iter().all(gives) {
                    continue;
                }
                for way in endless_ways(&edges, 0, &mut Vec::new()) {
                    prop_assert!(way.iter().any(|node| done[*node].contains(&object)));
                }
            }
        }
    }

    fn after(object: u64) -> Effects {
        let mut effects = Effects::default();
        effects.give((ReleaseKind::Unlock, object), false);
        effects
    }

    #[test]
    fn a_loop_that_some_path_seems_to_leave_counts() {
        let mut progress = Progress::default();
        let inner = progress.add(&History::default());
        let outer = progress.add(&History::new(after(1)));
        progress.connect(inner, inner);
        progress.connect(inner, outer);
        progress.connect(outer, outer);
        assert_eq!(progress.in_loops(), [Effects::default(), after(1)]);
    }

    #[test]
    fn what_is_done_before_the_only_loop_is_done() {
        let mut progress = Progress::default();
        let start = progress.add(&History::default());
        let round = progress.add(&History::new(after(1)));
        progress.connect(start, round);
        progress.connect(round, round);
        assert_eq!(progress.in_loops(), [after(1)]);
    }

    #[test]
    fn paths_that_end_are_no_loops() {
        let mut progress = Progress::default();
        let start = progress.add(&History::new(after(1)));
        let end = progress.add(&History::new(after(2)));
        progress.connect(start, end);
        assert!(progress.in_loops().is_empty());
    }
}
