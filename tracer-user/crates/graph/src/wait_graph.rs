//! The wait graph kept up to date change by change: what a change costs is what it touches.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    AssumeReachable,
    fate::Verdicts,
    requirement::{Disposition, GoroutineNode, Need, Requirement},
    solve,
};
use ids::Goid;

/// One process's goroutines and their requirements over time.
///
/// Between looks nobody walks the heap, so whoever waits for a signal counts as live here. It means
/// the same as [`solve`](super::solve) of all goroutines at once under that assumption.
#[derive(Debug, Default)]
pub struct WaitGraph {
    known: FxHashSet<Goid>,
    /// Those that wait for a release, or for ever. All others move by themselves.
    waits: FxHashMap<Goid, Node>,
    /// Who waits for each holder.
    waiters: FxHashMap<Goid, FxHashSet<Goid>>,
    dead: FxHashSet<Goid>,
    /// What follows, since the last change that matters.
    told: Option<Verdicts>,
}

#[derive(Debug)]
struct Node {
    requirement: Requirement,
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
        self.known.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
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
        self.know(goid);
        match disposition {
            Disposition::Blocked(
                requirement @ (Requirement::Release { .. } | Requirement::Never),
            ) => self.wait(goid, requirement),
            Disposition::Live | Disposition::Blocked(Requirement::Signal { .. }) => {
                self.move_on(goid);
            }
        }
    }

    /// Forgets a goroutine that has ended. Whoever waits for it waits for somebody unknown.
    pub fn remove(&mut self, goid: Goid) {
        self.known.remove(&goid);
        if self.waiters.contains_key(&goid) {
            self.told = None;
        }
        self.move_on(goid);
    }

    /// Makes `nodes` all that it knows. What did not change costs being compared.
    pub fn follow(&mut self, nodes: &[GoroutineNode]) {
        if self.is_empty() {
            self.begin(nodes);
            return;
        }
        let mut listed = FxHashSet::default();
        let mut same = SameRequirements::default();
        for node in nodes {
            if !listed.insert(node.goid) {
                self.move_on(node.goid);
                continue;
            }
            self.know(node.goid);
            match (self.waits.get(&node.goid), &node.disposition) {
                (Some(known), Disposition::Blocked(now)) if same.hold(&known.requirement, now) => {}
                (None, Disposition::Live | Disposition::Blocked(Requirement::Signal { .. })) => {}
                (_, disposition) => self.set(node.goid, disposition.clone()),
            }
        }
        let gone: Vec<Goid> = self.known.difference(&listed).copied().collect();
        for goid in gone {
            self.remove(goid);
        }
    }

    /// As so many calls of [`WaitGraph::set`] on an empty graph, at once.
    fn begin(&mut self, nodes: &[GoroutineNode]) {
        self.told = None;
        let mut twice = Vec::new();
        for node in nodes {
            if !self.known.insert(node.goid) {
                twice.push(node.goid);
            } else if let Disposition::Blocked(requirement) = &node.disposition
                && !matches!(requirement, Requirement::Signal { .. })
            {
                self.connect(node.goid, requirement.clone());
                self.bury(node.goid);
            }
        }
        let (free, bound): (Vec<Goid>, Vec<Goid>) = self
            .dead
            .iter()
            .partition(|goid| self.support(**goid) == Life::Own);
        for goid in free {
            self.revive(goid, Life::Own);
        }
        self.derive(bound);
        for goid in twice {
            self.move_on(goid);
        }
    }

    /// What follows for everybody, as [`solve`](super::solve) would say. Costs who waits for a
    /// release, and that only after a change.
    pub fn verdicts(&mut self) -> &Verdicts {
        if self.told.is_none() {
            self.told = Some(solve(&self.entangled(), &mut AssumeReachable::new(true)));
        }
        self.told.get_or_insert_default()
    }

    /// Whoever waits for a release or for ever, and those they wait for.
    fn entangled(&self) -> Vec<GoroutineNode> {
        let waits = self.waits.iter().map(|(goid, node)| GoroutineNode {
            goid: *goid,
            disposition: Disposition::Blocked(node.requirement.clone()),
        });
        let moving = |goid: &&Goid| self.known.contains(goid) && !self.waits.contains_key(goid);
        let moving = self.waiters.keys().filter(moving);
        let moving = moving.map(|goid| GoroutineNode {
            goid: *goid,
            disposition: Disposition::Live,
        });
        let mut entangled: Vec<GoroutineNode> = waits.chain(moving).collect();
        // Cycles are told in the order of the goroutines.
        entangled.sort_unstable_by_key(|node| node.goid);
        entangled
    }

    fn know(&mut self, goid: Goid) {
        if self.known.insert(goid) && self.waiters.contains_key(&goid) {
            self.told = None;
        }
    }

    /// `goid` waits for `requirement` from now on.
    fn wait(&mut self, goid: Goid, requirement: Requirement) {
        self.told = None;
        let before = self.disconnect(goid);
        let stays_live = !self.is_dead(goid) && unconditional(&requirement);
        self.connect(goid, requirement);
        if stays_live {
            self.revive(goid, Life::Own);
            return;
        }
        if let Some(node) = self.waits.get_mut(&goid) {
            // Who moved by himself until now was live whatever the others did.
            node.life = before.unwrap_or(Life::Own);
        }
        let suspects = self.retract(goid);
        self.derive(suspects);
    }

    /// `goid` moves by itself from now on.
    fn move_on(&mut self, goid: Goid) {
        if self.disconnect(goid).is_none() {
            return;
        }
        self.told = None;
        if self.dead.remove(&goid) {
            self.derive(self.waiters_of(goid));
        }
    }

    fn waiters_of(&self, goid: Goid) -> Vec<Goid> {
        let waiters = self.waiters.get(&goid);
        waiters.into_iter().flatten().copied().collect()
    }

    fn connect(&mut self, goid: Goid, requirement: Requirement) {
        for &holder in holders(&requirement) {
            self.waiters.entry(holder).or_default().insert(goid);
        }
        let life = Life::Dead;
        self.waits.insert(goid, Node { requirement, life });
    }

    /// `goid` waits for nobody any more. Returns why it was live.
    fn disconnect(&mut self, goid: Goid) -> Option<Life> {
        let node = self.waits.remove(&goid)?;
        for holder in holders(&node.requirement) {
            if let Some(waiters) = self.waiters.get_mut(holder) {
                waiters.remove(&goid);
                if waiters.is_empty() {
                    self.waiters.remove(holder);
                }
            }
        }
        Some(node.life)
    }

    /// Marks `goid` dead for now, and everybody whose life rested on it.
    fn retract(&mut self, goid: Goid) -> Vec<Goid> {
        let mut suspects = vec![goid];
        let mut queue = vec![goid];
        self.bury(goid);
        while let Some(lost) = queue.pop() {
            for waiter in self.waiters_of(lost) {
                let rests_on_lost = match self.waits.get(&waiter).map(|node| node.life) {
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
        let Some(node) = self.waits.get(&goid) else {
            return Life::Own;
        };
        if unconditional(&node.requirement) {
            return Life::Own;
        }
        let Requirement::Release { holders, .. } = &node.requirement else {
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
        if let Some(node) = self.waits.get_mut(&goid) {
            node.life = Life::Dead;
        }
    }

    fn revive(&mut self, goid: Goid, life: Life) {
        self.dead.remove(&goid);
        if let Some(node) = self.waits.get_mut(&goid) {
            node.life = life;
        }
    }
}

/// Compares requirements; each pair of shared holder sets once.
#[derive(Default)]
struct SameRequirements {
    sets: FxHashMap<(usize, usize), bool>,
}

impl SameRequirements {
    fn hold(&mut self, known: &Requirement, now: &Requirement) -> bool {
        match (known, now) {
            (
                Requirement::Release {
                    object: a,
                    holders: mine,
                },
                Requirement::Release {
                    object: b,
                    holders: other,
                },
            ) => {
                let pair = [mine, other].map(|set| std::sync::Arc::as_ptr(set).addr());
                let same = self.sets.entry(pair.into());
                a == b && *same.or_insert_with(|| mine == other)
            }
            (known, now) => known == now,
        }
    }
}

/// Whether a goroutine that waits for it is live whatever the others do.
fn unconditional(requirement: &Requirement) -> bool {
    match requirement {
        Requirement::Signal { .. } => true,
        Requirement::Never => false,
        Requirement::Release { holders, .. } => !holders.is_closed(),
    }
}

/// Whom a goroutine waits for.
fn holders(requirement: &Requirement) -> &[Goid] {
    match requirement {
        Requirement::Release { holders, .. } => &holders.holders,
        Requirement::Never | Requirement::Signal { .. } => &[],
    }
}
