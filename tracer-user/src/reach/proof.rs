//! The proof: one fixpoint of liveness and reachability, looked at again until it stands.
//!
//! The target runs while it is read. Being out of reach is stable, so a wrong proof has one cause
//! only: in every look, a reference slipped from a place not read yet to a place read already.
//! docs/verdicts.md has the argument in full; in short, marks are kept from look to look, so the
//! proof holds only if *all* looks miss all references. The first two looks read everything; the
//! later ones read, back and forth, whatever was seen to change, all roots, and every stack that is
//! not parked, and go on until a dozen in a row have found nothing.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use super::{
    actors::Actors,
    anatomy::Anatomy,
    error::ReachError,
    frames::FrameMaps,
    freeze::{Freeze, ThreadRegisters},
    goroutine::{Doing, GoroutineNow},
    quiet::Activity,
    stacks::StackReader,
    system_stacks::SystemStacks,
    walk::{HeapWalk, Retained},
};
use crate::{
    graph::{self, Disposition, GoroutineNode, Requirement, Verdicts},
    ids::Goid,
    memory::ReadError,
    snapshot::{Goroutine, Snapshot, Target},
};

/// Looks in a row that must find nothing new.
const SETTLED_ROUNDS: u32 = 12;
/// They take at least this long together. An asynchronous preemption, after at most 10 ms of
/// running (`forcePreemptNS`, runtime/proc.go) and the 10 ms that `sysmon` may sleep, stores all
/// registers of a running goroutine on its stack, where the next look finds them.
const SETTLED_TIME: Duration = Duration::from_millis(30);

/// How a walk is made.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Hold the target still, for so long at most.
    pub freeze: Option<Duration>,
    /// Give up after this time: what was found out of reach by then is not proven.
    pub limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            freeze: None,
            limit: Duration::from_secs(20),
        }
    }
}

/// How far a proof can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certainty {
    /// Everything was read at one moment: the target was held still, or did not run.
    Exact,
    /// Everything was read twice, and what changes so often more that no reference can have slipped
    /// through but by a coincidence repeated `rounds` times.
    Settled {
        /// Looks in a row that found nothing new.
        rounds: u32,
    },
    /// It did not come to that: nothing out of reach is proven.
    Unsettled {
        /// Why.
        why: String,
    },
}

impl Certainty {
    /// Whether what is out of reach may be called proven.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        !matches!(self, Self::Unsettled { .. })
    }
}

/// What a walk cost and saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalkStatistics {
    /// Bytes read from the heap.
    pub bytes_read: u64,
    /// Objects that live goroutines reach.
    pub live_objects: u64,
    /// Pages (8 KiB) that changed between the two full looks, or were reached later.
    pub changing_pages: u64,
    /// Looks in all.
    pub looks: u32,
    /// How long it took.
    pub took: Duration,
    /// How long the target was held still.
    pub frozen: Option<Duration>,
}

/// The outcome of a walk.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The verdicts of the last look, which is the most cautious one.
    pub verdicts: Verdicts,
    /// Goroutines that ran meanwhile; they count as live.
    pub moved: Vec<Goid>,
    /// How far the verdicts can be relied on.
    pub certainty: Certainty,
    /// Cost.
    pub statistics: WalkStatistics,
}

/// Walks the heap of one target for the graphs of one snapshot.
pub struct Prover<'t> {
    target: &'t Target,
    snapshot: &'t Snapshot,
    options: Options,
    last: Option<Looks<'t>>,
}

impl<'t> Prover<'t> {
    /// A prover for what `snapshot`, taken of `target` just now, shows.
    #[must_use]
    pub fn new(target: &'t Target, snapshot: &'t Snapshot, options: Options) -> Self {
        Self {
            target,
            snapshot,
            options,
            last: None,
        }
    }

    /// Decides for all goroutines which can ever run again, with what the live ones reach as part
    /// of the fixpoint. `nodes` is the graph of the snapshot; a goroutine that is not in it is
    /// live.
    ///
    /// # Errors
    /// When the image's layout is not known well enough, or the target cannot be read or held
    /// still.
    pub fn prove(&mut self, nodes: &[GoroutineNode]) -> Result<Proof, ReachError> {
        let (target, options) = (self.target, &self.options);
        let began = Instant::now();
        let freeze = options
            .freeze
            .map(|limit| Freeze::begin(target.pid, limit))
            .transpose()?;
        let before = Activity::of(target.pid).ok();
        let anatomy = Anatomy::of(&target.image, target.bias)?;
        let stacks = StackReader::new(FrameMaps::new(&target.image, self.snapshot));
        let actors = Actors::new(&target.image, self.snapshot);
        let walk = HeapWalk::begin(&*target.memory, anatomy, stacks, actors)
            .map_err(|source| failed("the heap's tables", source))?;
        let mut looks = Looks::new(walk, self.snapshot, nodes);
        if let Some(freeze) = &freeze {
            looks
                .registers(target, freeze.registers())
                .map_err(|source| failed("the threads' stacks", source))?;
        }
        looks.solve()?;
        let certainty = match freeze {
            Some(freeze) => {
                looks.frozen = Some(freeze.end()?);
                Certainty::Exact
            }
            None if !looks.anything_out_of_reach() => Certainty::Settled { rounds: 0 },
            None => looks.settle(target, before.as_ref(), began + options.limit)?,
        };
        let proof = looks.proof(certainty, began);
        self.last = Some(looks);
        Ok(proof)
    }

    /// Bytes of stacks and heap that only `goroutines`, dead by the last proof, keep. What several
    /// groups share counts for the group that is asked for first.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn retained(&mut self, goroutines: &[Goid]) -> Result<Retained, ReachError> {
        let Some(looks) = &mut self.last else {
            return Ok(Retained::default());
        };
        looks
            .walk
            .retained(goroutines)
            .map_err(|source| failed("what dead goroutines keep", source))
    }
}

fn failed(what: &'static str, source: ReadError) -> ReachError {
    ReachError::Read { what, source }
}

/// Whether a goroutine has run since the snapshot, or runs. `g.sched` and the counter alone do not
/// tell: both change only when it stops running.
fn ran(then: &Goroutine, now: &GoroutineNow) -> bool {
    let parked = then.status.is_parked() && now.doing == Doing::Parked;
    !parked || now.g != then.g || now.sp != then.sp || now.runs != then.parks
}

fn live(goid: Goid) -> (Goid, GoroutineNode) {
    let disposition = Disposition::Live;
    (goid, GoroutineNode { goid, disposition })
}

/// A walk and what it has shown so far.
struct Looks<'t> {
    walk: HeapWalk<'t>,
    nodes: BTreeMap<Goid, GoroutineNode>,
    verdicts: Verdicts,
    looks: u32,
    frozen: Option<Duration>,
    /// Goroutines that were elsewhere already when the walk began.
    moved_before: Vec<Goid>,
}

impl<'t> Looks<'t> {
    fn new(mut walk: HeapWalk<'t>, snapshot: &Snapshot, nodes: &[GoroutineNode]) -> Self {
        let first = walk.first_seen();
        let moved_before = snapshot
            .goroutines
            .iter()
            .filter(|then| first.get(&then.goid).is_none_or(|now| ran(then, now)))
            .map(|then| then.goid)
            .collect();
        for node in nodes {
            if let Disposition::Blocked(Requirement::Signal { objects }) = &node.disposition {
                for object in objects {
                    walk.watch_object(*object);
                }
            }
        }
        // Whoever the graph leaves out still has a stack that keeps things reachable.
        let mut all: BTreeMap<Goid, GoroutineNode> =
            walk.first_seen().keys().map(|goid| live(*goid)).collect();
        all.extend(nodes.iter().map(|n| (n.goid, n.clone())));
        Self {
            walk,
            nodes: all,
            verdicts: graph::solve(&[], &mut graph::AssumeReachable::new(true)),
            looks: 0,
            frozen: None,
            moved_before,
        }
    }

    /// Marks what stopped threads have in their registers and on their system stacks.
    fn registers(&mut self, target: &Target, threads: &[ThreadRegisters]) -> Result<(), ReadError> {
        let stacks = SystemStacks::read(&*target.memory, &target.image, target.bias)?;
        for thread in threads {
            self.walk.follow(&thread.words);
            // A goroutine's own stack is looked at with the goroutine.
            if !self.walk.is_goroutine_stack(thread.sp) {
                self.walk.follow_stack(stacks.in_use(thread.sp))?;
            }
        }
        Ok(())
    }

    /// Solves the graph with the marks as they are. Who moved, or is new, is live.
    fn solve(&mut self) -> Result<(), ReachError> {
        self.looks += 1;
        let moved = self.walk.moved().iter().chain(&self.moved_before);
        self.nodes.extend(moved.map(|goid| live(*goid)));
        let nodes: Vec<_> = self.nodes.values().cloned().collect();
        self.verdicts = graph::solve(&nodes, &mut self.walk);
        self.walk
            .check()
            .map_err(|source| failed("the heap", source))
    }

    fn anything_out_of_reach(&self) -> bool {
        !self.verdicts.dead.is_empty()
    }

    /// Looks again until nothing changes any more.
    fn settle(
        &mut self,
        target: &Target,
        before: Option<&Activity>,
        deadline: Instant,
    ) -> Result<Certainty, ReachError> {
        let quiet = |looks: &Self| {
            let after = Activity::of(target.pid).ok();
            let still = before
                .zip(after.as_ref())
                .is_some_and(|(before, after)| before.none_until(after));
            still && looks.walk.unreadable() == 0
        };
        if quiet(self) {
            return Ok(Certainty::Exact);
        }
        self.walk
            .reread()
            .map_err(|source| failed("the heap a second time", source))?;
        self.solve()?;
        let (mut rounds, mut since) = (0, Instant::now());
        let mut dead = self.dead();
        while rounds < SETTLED_ROUNDS || since.elapsed() < SETTLED_TIME {
            if dead.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                let why = format!(
                    "its memory changed too fast to be sure within the time limit \
                     ({rounds} of {SETTLED_ROUNDS} looks agreed; --freeze decides it in one)"
                );
                return Ok(Certainty::Unsettled { why });
            }
            if rounds >= SETTLED_ROUNDS {
                thread::sleep(SETTLED_TIME / SETTLED_ROUNDS);
            }
            self.walk
                .look_again(self.looks.is_multiple_of(2))
                .map_err(|source| failed("what changes in the heap", source))?;
            self.solve()?;
            let now = self.dead();
            rounds += 1;
            if now != dead {
                (rounds, since) = (0, Instant::now());
                dead = now;
            }
        }
        if self.walk.unreadable() > 0 {
            let why = format!(
                "{} pieces of its memory were unreadable",
                self.walk.unreadable()
            );
            return Ok(Certainty::Unsettled { why });
        }
        Ok(Certainty::Settled { rounds })
    }

    fn dead(&self) -> Vec<Goid> {
        self.verdicts.dead.iter().map(|(goid, _)| *goid).collect()
    }

    fn proof(&self, certainty: Certainty, began: Instant) -> Proof {
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
                frozen: self.frozen,
            },
        }
    }
}
