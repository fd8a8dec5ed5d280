//! The places where paths meet, and which lead to which: what a frame has done for certain when it
//! never returns.
//!
//! A goroutine that goes round for ever does, sooner or later, everything that every round does. A
//! loop that some path leaves with more done than before is taken to be left: what counts are the
//! loops in which nothing new happens any more.

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

    /// What has been done in the loops that nothing leads out of with more done.
    pub fn in_final_loops(&self) -> Vec<Effects> {
        let endless = self.leading_to_loops();
        let mut leaves = vec![false; self.nodes.len()];
        // What was released only grows along a path, so some loop is final.
        loop {
            let mut changed = false;
            for (number, node) in self.nodes.iter().enumerate() {
                let out = node.successors.iter().any(|next| {
                    let next = *next as usize;
                    endless.get(next) == Some(&true)
                        && (leaves.get(next) == Some(&true)
                            || self
                                .nodes
                                .get(next)
                                .is_some_and(|n| n.effects.released != node.effects.released))
                });
                if out && leaves.get(number) == Some(&false) {
                    leaves[number] = true;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let mut found: Vec<Effects> = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            if endless[number] && !leaves[number] && !found.contains(&*node.effects) {
                found.push((*node.effects).clone());
            }
        }
        found
    }

    /// Which places lead round in a circle (rather than only to where paths end).
    fn leading_to_loops(&self) -> Vec<bool> {
        let mut missing: Vec<usize> = self.nodes.iter().map(|n| n.successors.len()).collect();
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); self.nodes.len()];
        for (number, node) in self.nodes.iter().enumerate() {
            for next in &node.successors {
                if let (Some(list), Ok(number)) =
                    (before.get_mut(*next as usize), u32::try_from(number))
                {
                    list.push(number);
                }
            }
        }
        let mut endless = vec![true; self.nodes.len()];
        let mut ended: Vec<usize> = (0..missing.len()).filter(|n| missing[*n] == 0).collect();
        while let Some(number) = ended.pop() {
            endless[number] = false;
            for &earlier in &before[number] {
                let earlier = earlier as usize;
                missing[earlier] = missing[earlier].saturating_sub(1);
                if missing[earlier] == 0 {
                    ended.push(earlier);
                }
            }
        }
        endless
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::model::ReleaseKind;

    fn after(object: u64) -> Effects {
        let mut effects = Effects::default();
        effects.give((ReleaseKind::Unlock, object), false);
        effects
    }

    #[test]
    fn a_loop_that_is_left_with_more_done_does_not_count() {
        let mut progress = Progress::default();
        let inner = progress.add(&History::default());
        let outer = progress.add(&History::new(after(1)));
        progress.connect(inner, inner);
        progress.connect(inner, outer);
        progress.connect(outer, outer);
        assert_eq!(progress.in_final_loops(), vec![after(1)]);
    }

    #[test]
    fn paths_that_end_are_no_loops() {
        let mut progress = Progress::default();
        let start = progress.add(&History::new(after(1)));
        let end = progress.add(&History::new(after(2)));
        progress.connect(start, end);
        assert!(progress.in_final_loops().is_empty());
    }
}
