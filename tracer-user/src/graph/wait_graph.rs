//! The wait graph kept up to date change by change: what a change costs is what it touches.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    AssumeReachable,
    fate::Verdicts,
    requirement::{Disposition, GoroutineNode, HolderSet, Need, Requirement},
    solve,
};
use crate::ids::Goid;

/// One process's goroutines and their requirements over time.
///
/// Between looks nobody walks the heap, so whoever waits for a signal counts as live here; what
/// this graph calls dead, [`solve`](super::solve) calls dead too.
#[derive(Debug, Default)]
pub struct WaitGraph {
    nodes: FxHashMap<Goid, Node>,
    /// Who waits for each holder.
    waiters: FxHashMap<Goid, FxHashSet<Goid>>,
    dead: FxHashSet<Goid>,
}

#[derive(Debug)]
struct Node {
    disposition: Disposition,
    life: Life,
}

/// Why a goroutine counts as live. Support never runs in circles: each goroutine was live before it
/// supported another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Dead,
    /// Whatever the others do.
    Own,
    /// As long as this holder is live.
    BehindOne(Goid),
    /// As long as all its holders are.
    BehindAll,
}

impl WaitGraph {
    /// A graph without goroutines. Whoever is not in it counts as live.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many goroutines it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether `goid` can never run again.
    #[must_use]
    pub fn is_dead(&self, goid: Goid) -> bool {
        self.dead.contains(&goid)
    }

    /// The goroutines that can never run again, in no order.
    pub fn dead(&self) -> impl ExactSizeIterator<Item = Goid> {
        self.dead.iter().copied()
    }

    /// Adds a goroutine or replaces what is known of it.
    pub fn set(&mut self, goid: Goid, disposition: Disposition) {
        self.disconnect(goid);
        for &holder in holders(&disposition) {
            self.waiters.entry(holder).or_default().insert(goid);
        }
        let stays_live = !self.is_dead(goid) && unconditional(&disposition);
        let life = match self.nodes.get(&goid) {
            Some(node) => node.life,
            // Unknown until now: it counted as live.
            None => Life::Own,
        };
        self.nodes.insert(goid, Node { disposition, life });
        if stays_live {
            self.revive(goid, Life::Own);
            return;
        }
        let suspects = self.retract(goid);
        self.derive(suspects);
    }

    /// As [`WaitGraph::set`], but does nothing when nothing changed.
    pub fn update(&mut self, goid: Goid, disposition: &Disposition) {
        let known = self.nodes.get(&goid).map(|node| &node.disposition);
        if known != Some(disposition) {
            self.set(goid, disposition.clone());
        }
    }

    /// Forgets a goroutine that has ended. Whoever waits for it waits for somebody unknown.
    pub fn remove(&mut self, goid: Goid) {
        self.disconnect(goid);
        let Some(node) = self.nodes.remove(&goid) else {
            return;
        };
        self.dead.remove(&goid);
        if node.life == Life::Dead {
            self.derive(self.waiters_of(goid));
        }
    }

    /// The whole verdict on the dead part as it is now: costs what is dead, not what is known.
    #[must_use]
    pub fn verdicts(&self) -> Verdicts {
        let nodes: Vec<GoroutineNode> = self
            .dead
            .iter()
            .filter_map(|goid| {
                self.nodes.get(goid).map(|node| GoroutineNode {
                    goid: *goid,
                    disposition: self.without_live_holders(&node.disposition),
                })
            })
            .collect();
        solve(&nodes, &mut AssumeReachable::new(true))
    }

    /// Of several that all have to act, only the dead ones hold a dead goroutine up.
    fn without_live_holders(&self, disposition: &Disposition) -> Disposition {
        let mut disposition = disposition.clone();
        if let Disposition::Blocked(Requirement::Release { holders, .. }) = &mut disposition
            && holders.need == Need::All
        {
            let dead = holders.holders.iter().copied().filter(|&h| self.is_dead(h));
            *holders = HolderSet {
                holders: dead.collect(),
                need: holders.need,
                complete: holders.complete,
                unseen: Vec::new(),
            }
            .into();
        }
        disposition
    }

    fn waiters_of(&self, goid: Goid) -> Vec<Goid> {
        let waiters = self.waiters.get(&goid);
        waiters.into_iter().flatten().copied().collect()
    }

    fn disconnect(&mut self, goid: Goid) {
        let Some(node) = self.nodes.get(&goid) else {
            return;
        };
        for holder in holders(&node.disposition) {
            if let Some(waiters) = self.waiters.get_mut(holder) {
                waiters.remove(&goid);
                if waiters.is_empty() {
                    self.waiters.remove(holder);
                }
            }
        }
    }

    /// Marks `goid` dead for now, and everybody whose life rested on it.
    fn retract(&mut self, goid: Goid) -> Vec<Goid> {
        let mut suspects = vec![goid];
        let mut queue = vec![goid];
        self.bury(goid);
        while let Some(lost) = queue.pop() {
            for waiter in self.waiters_of(lost) {
                let rests_on_lost = match self.nodes.get(&waiter).map(|node| node.life) {
                    Some(Life::BehindOne(support)) => support == lost,
                    Some(Life::BehindAll) => true,
                    Some(Life::Dead | Life::Own) | None => false,
                };
                if rests_on_lost {
                    self.bury(waiter);
                    suspects.push(waiter);
                    queue.push(waiter);
                }
            }
        }
        suspects
    }

    /// Revives those of `suspects` that somebody live supports, and whoever waits for them.
    fn derive(&mut self, mut suspects: Vec<Goid>) {
        while let Some(goid) = suspects.pop() {
            if !self.is_dead(goid) {
                continue;
            }
            let life = self.support(goid);
            if life != Life::Dead {
                self.revive(goid, life);
                suspects.extend(self.waiters_of(goid));
            }
        }
    }

    /// What keeps `goid` alive, given who is dead now.
    fn support(&self, goid: Goid) -> Life {
        let Some(node) = self.nodes.get(&goid) else {
            return Life::Own;
        };
        if unconditional(&node.disposition) {
            return Life::Own;
        }
        let Disposition::Blocked(Requirement::Release { holders, .. }) = &node.disposition else {
            return Life::Dead;
        };
        let mut live = holders.holders.iter().filter(|&&h| !self.is_dead(h));
        match holders.need {
            Need::OneOf => live.next().map_or(Life::Dead, |&h| Life::BehindOne(h)),
            Need::All if live.count() == holders.holders.len() => Life::BehindAll,
            Need::All => Life::Dead,
        }
    }

    fn bury(&mut self, goid: Goid) {
        self.dead.insert(goid);
        if let Some(node) = self.nodes.get_mut(&goid) {
            node.life = Life::Dead;
        }
    }

    fn revive(&mut self, goid: Goid, life: Life) {
        self.dead.remove(&goid);
        if let Some(node) = self.nodes.get_mut(&goid) {
            node.life = life;
        }
    }
}

/// Whether a goroutine is live whatever the others do.
fn unconditional(disposition: &Disposition) -> bool {
    match disposition {
        Disposition::Live | Disposition::Blocked(Requirement::Signal { .. }) => true,
        Disposition::Blocked(Requirement::Never) => false,
        Disposition::Blocked(Requirement::Release { holders, .. }) => !holders.is_closed(),
    }
}

/// Whom a goroutine waits for.
fn holders(disposition: &Disposition) -> &[Goid] {
    match disposition {
        Disposition::Blocked(Requirement::Release { holders, .. }) => &holders.holders,
        _ => &[],
    }
}
