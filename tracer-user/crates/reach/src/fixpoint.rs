//! The rounds of one walk: the first, which marks everything, and those that follow until the
//! verdicts stand.

use std::{sync::Arc, time::Instant};

use super::{
    activity::ProcessActivity,
    convergence::{Convergence, Round},
    error::ReachError,
    goroutine::{GoroutineState, RunState},
    proof::{Certainty, Proof, WalkStatistics},
    register_spills::UnspilledRegisters,
    system_stacks::SystemStacks,
    walk::{FixpointInputs, HeapWalk, RoundOptions},
};
use graph::{self, Disposition, GoroutineNode, Requirement, Verdicts};
use ids::{Goid, TargetAddr};
use memory::{ReadError, ThreadRegisters};
use snapshot::{Goroutine, Snapshot, Target, take_of};

pub(super) fn failed(what: &'static str, source: ReadError) -> ReachError {
    ReachError::Read { what, source }
}

/// Whether a goroutine has run since the snapshot, or runs. `g.sched` and the counter alone do not
/// tell: both change only when it stops running.
fn ran(then: &Goroutine, now: &GoroutineState) -> bool {
    let parked = then.status.is_parked() && now.doing == RunState::Parked;
    !parked || now.g != then.g || now.sp != then.sp || now.runs != then.parks
}

/// Makes `goids` live in `nodes`, which are in order and stay so. Whether that changed anything.
fn make_live(nodes: &mut Vec<GoroutineNode>, goids: impl Iterator<Item = Goid>) -> bool {
    let mut changed = false;
    let mut absent = Vec::new();
    for goid in goids {
        let disposition = Disposition::Live;
        match nodes.binary_search_by_key(&goid, |node| node.goid) {
            Ok(at) if nodes[at].disposition == disposition => {}
            Ok(at) => {
                nodes[at].disposition = disposition;
                changed = true;
            }
            Err(_) => absent.push(GoroutineNode { goid, disposition }),
        }
    }
    if !absent.is_empty() {
        nodes.append(&mut absent);
        nodes.sort_by_key(|node| node.goid);
        nodes.dedup_by_key(|node| node.goid);
        changed = true;
    }
    changed
}

/// The objects of which somebody can come to wait for a signal: whose waiters are live if the object
/// is reached.
fn objects(node: &GoroutineNode) -> &[TargetAddr] {
    match &node.disposition {
        Disposition::Blocked(Requirement::Signal { objects }) => objects,
        Disposition::Blocked(Requirement::Release { object, .. }) => std::slice::from_ref(object),
        Disposition::Blocked(Requirement::Never) | Disposition::Live => &[],
    }
}

/// A walk and what it has shown so far.
pub(super) struct Fixpoint<'t> {
    pub(super) walk: HeapWalk<'t>,
    /// By ascending id.
    nodes: Vec<GoroutineNode>,
    verdicts: Verdicts,
    /// What `verdicts` follow from, besides `nodes`; `None` when `nodes` are others by now.
    solved: Option<FixpointInputs>,
    looks: u32,
    /// Goroutines that were elsewhere already when the walk began.
    moved_before: Vec<Goid>,
    /// What the graph was made of.
    snapshot: Arc<Snapshot>,
}

impl<'t> Fixpoint<'t> {
    pub(super) fn new(
        walk: HeapWalk<'t>,
        snapshot: Arc<Snapshot>,
        nodes: &[GoroutineNode],
    ) -> Self {
        let mut looks = Self {
            walk,
            nodes: Vec::new(),
            verdicts: graph::solve(&[], &mut graph::AssumeReachable::new(true)),
            solved: None,
            looks: 0,
            moved_before: Vec::new(),
            snapshot,
        };
        for object in nodes.iter().flat_map(objects) {
            looks.walk.watch_object(*object);
        }
        looks.begin_graph(nodes);
        looks
    }

    /// Goes on with the graph of a later snapshot. What has been reached remains so; whoever waits
    /// for what nobody waited for before, or ran between the two, counts as live.
    pub(super) fn go_on_with(&mut self, snapshot: Arc<Snapshot>, nodes: &[GoroutineNode]) {
        // What points to an object on a stack was noted of those objects only that the first graph
        // has.
        let mut watched: Vec<(Goid, TargetAddr)> = Vec::new();
        for node in &self.nodes {
            watched.extend(objects(node).iter().map(|object| (node.goid, *object)));
        }
        watched.sort_unstable();
        let is_new = |node: &&GoroutineNode| {
            let mut objects = objects(node).iter();
            objects.any(|object| watched.binary_search(&(node.goid, *object)).is_err())
        };
        let newcomers: Vec<Goid> = nodes.iter().filter(is_new).map(|node| node.goid).collect();
        self.snapshot = snapshot;
        self.begin_graph(nodes);
        make_live(&mut self.nodes, newcomers.into_iter());
    }

    fn begin_graph(&mut self, nodes: &[GoroutineNode]) {
        let first = self.walk.first_seen();
        let goroutines = self.snapshot.goroutines.iter();
        self.moved_before = goroutines
            .filter(|then| first.get(then.goid).is_none_or(|now| ran(then, now)))
            .map(|then| then.goid)
            .collect();
        self.solved = None;
        self.nodes = nodes.to_vec();
        self.nodes.sort_by_key(|node| node.goid);
        // Whoever the graph leaves out still has a stack that keeps things reachable.
        let known = |goid| nodes.binary_search_by_key(&goid, |node| node.goid).is_ok();
        let others = first
            .iter()
            .map(|now| now.goid)
            .filter(|goid| !known(*goid));
        make_live(&mut self.nodes, others);
    }

    /// What the last round found.
    pub(super) fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Marks what stopped threads have in their registers and on their system stacks.
    pub(super) fn registers(
        &mut self,
        target: &Target,
        threads: &[ThreadRegisters],
    ) -> Result<(), ReadError> {
        let stacks = SystemStacks::read(&*target.memory, &target.image, target.bias)?;
        for thread in threads {
            self.walk.follow(&thread.words);
            // A goroutine's own stack is looked at with the goroutine.
            if !self.walk.is_goroutine_stack(thread.sp) {
                for range in stacks.in_use(thread.sp) {
                    self.walk.follow_stack(range)?;
                }
            }
        }
        Ok(())
    }

    /// Solves the graph with the marks as they are, unless nothing it depends on has changed. Who
    /// moved, or is new, is live.
    pub(super) fn solve(&mut self) -> Result<(), ReachError> {
        self.looks += 1;
        let moved = self.walk.moved().iter().chain(&self.moved_before);
        let changed = make_live(&mut self.nodes, moved.copied());
        if changed || self.solved != Some(self.walk.knowledge()) {
            self.verdicts = graph::solve(&self.nodes, &mut self.walk);
            self.solved = Some(self.walk.knowledge());
        }
        self.walk
            .check()
            .map_err(|source| failed("the heap", source))
    }

    pub(super) fn anything_out_of_reach(&self) -> bool {
        !self.verdicts.dead.is_empty()
    }

    /// Solves the graph of a target that is held still, or has stopped for ever, and says what that
    /// is worth.
    pub(super) fn solve_at_rest(&mut self, target: &Target) -> Result<Certainty, ReachError> {
        while self.anything_out_of_reach() && !self.confirm(target)? {
            self.solve()?;
        }
        let lacks = !target.memory.is_whole();
        let lacks = lacks.then(|| "its memory was not copied whole".to_owned());
        Ok(self
            .gap()
            .or(lacks)
            .map_or(Certainty::Exact, |why| Certainty::Unsettled { why }))
    }

    /// Whether whoever is dead waits where the graph says, for what it says. Others count as live
    /// from now on.
    ///
    /// The walk tells by the goroutine's stack pointer and its counter of stops whether it moved.
    /// The counter has eight bits: a goroutine that stopped 256 times between the snapshot and the
    /// walk would look as if it had not moved, and the object that the graph has it wait for may be
    /// garbage by now.
    fn confirm(&mut self, target: &Target) -> Result<bool, ReachError> {
        let dead = self.dead();
        let then = |goid: &Goid| self.snapshot.goroutine(*goid);
        let gs: Vec<TargetAddr> = dead.iter().filter_map(then).map(|then| then.g).collect();
        let mut now = take_of(target, &gs).map_err(ReachError::Snapshot)?;
        now.sort_unstable_by_key(|now| now.goid);
        let now = |goid: &Goid| {
            let at = now.binary_search_by_key(goid, |now| now.goid);
            now.get(at.ok()?)
        };
        let moved = dead.iter().copied().filter(|goid| {
            let both = then(goid).zip(now(goid));
            !both.is_some_and(|(then, now)| now.is_same_wait(then))
        });
        let moved: Vec<Goid> = moved.collect();
        self.moved_before.extend(&moved);
        Ok(moved.is_empty())
    }

    /// What could not be read, in words.
    fn gap(&self) -> Option<String> {
        if let Some(flaw) = self.walk.flaw() {
            return Some(format!("its {flaw} could not be read whole"));
        }
        let pieces = self.walk.unreadable();
        (pieces > 0).then(|| format!("{pieces} pieces of its memory were unreadable"))
    }

    /// Looks again until nothing changes any more.
    pub(super) fn settle(
        &mut self,
        target: &Target,
        before: Option<&ProcessActivity>,
        deadline: Instant,
    ) -> Result<Certainty, ReachError> {
        let Some(before) = before else {
            let why = "its threads could not be looked at".to_owned();
            return Ok(Certainty::Unsettled { why });
        };
        let after = ProcessActivity::of(target.pid).ok();
        if after.is_some_and(|after| before.none_until(&after)) && self.gap().is_none() {
            return self.solve_at_rest(target);
        }
        let goroutines = self.walk.first_seen().iter();
        let users = goroutines.filter(|now| self.walk.may_use_globals(now.goid));
        let mut unspilled = UnspilledRegisters::new(before, users);
        let mut settling = Convergence::begin();
        let mut dead = self.dead();
        loop {
            if dead.is_empty() || (settling.is_over(&unspilled) && self.confirm(target)?) {
                break;
            }
            if Instant::now() >= deadline || settling.is_hopeless() {
                let why = self.gap().unwrap_or_else(|| settling.tell(&unspilled));
                return Ok(Certainty::Unsettled { why });
            }
            settling.pause();
            let everything = settling.reads_everything();
            let began = Instant::now();
            self.walk
                .look_again(RoundOptions {
                    downwards: !self.looks.is_multiple_of(2),
                    everything,
                })
                .map_err(|source| failed("what changes in the heap", source))?;
            self.solve()?;
            let all_stopped = unspilled.is_empty();
            unspilled.update(target.pid, self.walk.now());
            let now = self.dead();
            settling.looked(&Round {
                everything,
                took: began.elapsed(),
                whole: self.walk.flaw().is_none(),
                agrees: now == dead,
                stopped_just_now: unspilled.is_empty() && !all_stopped,
            });
            dead = now;
        }
        Ok(match self.gap() {
            Some(why) if !dead.is_empty() => Certainty::Unsettled { why },
            _ => Certainty::Settled {
                rounds: settling.rounds,
            },
        })
    }

    fn dead(&self) -> Vec<Goid> {
        self.verdicts.dead.iter().map(|(goid, _)| *goid).collect()
    }

    pub(super) fn proof(&self, certainty: Certainty, began: Instant) -> Proof {
        let marker = self.walk.marker();
        let mut moved: Vec<Goid> = self.walk.moved().iter().copied().collect();
        moved.extend(&self.moved_before);
        moved.sort_unstable();
        moved.dedup();
        Proof {
            verdicts: self.verdicts.clone(),
            moved,
            certainty,
            statistics: WalkStatistics {
                bytes_read: marker.bytes_read(),
                live_objects: marker.reached_objects(),
                changing_pages: marker.changing_pages(),
                looks: self.looks,
                took: began.elapsed(),
            },
        }
    }
}
