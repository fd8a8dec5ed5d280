//! The proof: one fixpoint of liveness and reachability, looked at again until it stands.
//!
//! The target runs while it is read. Being out of reach is stable, so a wrong proof has one cause
//! only: in every round, a reference slipped from a place not read yet to a place read already.
//! docs/verdicts.md has the argument in full.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    activity::ProcessActivity,
    error::ReachError,
    fixpoint::{Fixpoint, failed},
    frames::FrameMaps,
    mark::Marker,
    mutators::Mutators,
    progress::{Progress, ProgressReporter},
    runtime_layout::RuntimeLayout,
    stacks::StackReader,
    walk::{HeapWalk, Paths, Retained},
};
use graph::{GoroutineNode, Verdicts};
use ids::{Goid, TargetAddr};
use resources::{
    cancellation::{Cancellation, Cut, Work},
    scheduling::Niceness,
};
use snapshot::{Snapshot, Target};

/// How much nicer than usual a walk is that gives way (nice(2)).
const NICER: i32 = 10;

/// A walk is given up after so many times what it may take.
const LONGEST: u32 = 2;

/// How a walk is made.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Give up after this time: what was found out of reach by then is not proven.
    pub limit: Duration,
    /// Called now and then during a walk that takes long.
    pub progress: Option<fn(Progress)>,
    /// Give way to others on our CPU.
    pub low_priority: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(60),
            progress: None,
            low_priority: false,
        }
    }
}

/// How far a proof can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certainty {
    /// Everything was read at one moment: of a copy, or of a target that did not run.
    Exact,
    /// So many rounds agreed that no reference can have slipped through but by a coincidence repeated
    /// `rounds` times.
    Settled {
        /// Rounds in a row that found nothing new.
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
    /// Pages (8 KiB) that changed between the two full rounds, or were reached later.
    pub changing_pages: u64,
    /// Rounds in all.
    pub looks: u32,
    /// How long it took.
    pub took: Duration,
}

/// The outcome of a walk.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The verdicts of the last round, which is the most cautious one.
    pub verdicts: Verdicts,
    /// Goroutines that ran meanwhile; they count as live.
    pub moved: Vec<Goid>,
    /// How far the verdicts can be relied on.
    pub certainty: Certainty,
    /// Cost.
    pub statistics: WalkStatistics,
}

/// Walks the heap of one target for the graphs of one snapshot, or of two.
pub struct Prover<'t> {
    target: &'t Target,
    snapshot: Arc<Snapshot>,
    options: Options,
    uses: Vec<(Goid, TargetAddr)>,
    begun: Option<Begun<'t>>,
    last: Option<Fixpoint<'t>>,
}

/// A walk of which the first round has been made.
struct Begun<'t> {
    began: Instant,
    /// What the threads were at before.
    before: Option<ProcessActivity>,
    looks: Fixpoint<'t>,
}

impl<'t> Prover<'t> {
    /// A prover for what `snapshot`, taken of `target` just now, shows.
    #[must_use]
    pub fn new(target: &'t Target, snapshot: Arc<Snapshot>, options: Options) -> Self {
        Self {
            target,
            snapshot,
            options,
            uses: Vec::new(),
            begun: None,
            last: None,
        }
    }

    /// Takes it that goroutines reach what they are going to use by their code, wherever they find that:
    /// in an integer, say, which the collector would not follow either.
    pub fn add_uses(&mut self, uses: &[(Goid, TargetAddr)]) {
        self.uses.extend(uses);
    }

    /// Makes a first round only: who is not dead by it is live.
    /// `nodes` as for [`Self::prove`], which goes on from there.
    ///
    /// # Errors
    /// As [`Self::prove`].
    pub fn glance(&mut self, nodes: &[GoroutineNode]) -> Result<&Verdicts, ReachError> {
        let work = self.limited();
        let begun = self.first_look(nodes);
        let begun = self.in_time(&work, begun)?;
        Ok(self.begun.insert(begun).looks.verdicts())
    }

    fn first_look(&self, nodes: &[GoroutineNode]) -> Result<Begun<'t>, ReachError> {
        let _low = self
            .options
            .low_priority
            .then(|| Niceness::raised_by(NICER));
        let mut begun = self.begin(Instant::now(), nodes)?;
        begun.looks.solve()?;
        Ok(begun)
    }

    /// Work that is late when a walk which ends by itself as it should has long ended.
    fn limited(&self) -> Work {
        let limit = self.options.limit.saturating_mul(LONGEST);
        Cancellation::default().begin_until(Instant::now() + limit)
    }

    /// What came of `work`, unless it was late.
    fn in_time<T>(&self, work: &Work, done: Result<T, ReachError>) -> Result<T, ReachError> {
        match work.cut() {
            Some(Cut::Late) => Err(ReachError::TooLong(self.options.limit * LONGEST)),
            _ => done,
        }
    }

    /// A later snapshot of the same target takes the place of the first.
    pub fn go_on_with(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
    }

    fn begin(&self, began: Instant, nodes: &[GoroutineNode]) -> Result<Begun<'t>, ReachError> {
        let (target, snapshot) = (self.target, &self.snapshot);
        let before = ProcessActivity::of(target.pid).ok();
        let anatomy = RuntimeLayout::of(&target.image, target.bias)?;
        let maps = FrameMaps::new(Arc::clone(&target.image), Arc::clone(snapshot));
        let actors = Mutators::new(&target.image, snapshot);
        let marker = Marker::new(self.threads(), ProgressReporter::new(self.options.progress));
        let stacks = StackReader::new(maps);
        let mut walk = HeapWalk::begin(&*target.memory, anatomy, stacks, actors, marker)
            .map_err(|source| failed("the heap's tables", source))?;
        walk.add_uses(&self.uses);
        Ok(Begun {
            began,
            before,
            looks: Fixpoint::new(walk, Arc::clone(snapshot), nodes),
        })
    }

    /// Who gives way to others does not take a second CPU; and one stays free for the target.
    fn threads(&self) -> usize {
        if self.options.low_priority {
            return 1;
        }
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        cpus.saturating_sub(1).max(1)
    }

    /// Decides for all goroutines which can ever run again, with what the live ones reach as part
    /// of the fixpoint. `nodes` is the graph of the snapshot; a goroutine that is not in it is
    /// live.
    ///
    /// # Errors
    /// When the image's layout is not known well enough, or the target cannot be read.
    pub fn prove(&mut self, nodes: &[GoroutineNode]) -> Result<Proof, ReachError> {
        let work = self.limited();
        let proof = self.prove_in_time(nodes);
        self.in_time(&work, proof)
    }

    fn prove_in_time(&mut self, nodes: &[GoroutineNode]) -> Result<Proof, ReachError> {
        let (target, options) = (self.target, &self.options);
        let now = Instant::now();
        let _low = options.low_priority.then(|| Niceness::raised_by(NICER));
        let stopped = target.stopped_threads();
        let begun = match self.begun.take() {
            Some(mut begun) => {
                begun.looks.go_on_with(Arc::clone(&self.snapshot), nodes);
                begun.looks.walk.add_uses(&self.uses);
                begun
            }
            None => self.begin(now, nodes)?,
        };
        let Begun {
            began,
            before,
            mut looks,
        } = begun;
        if let Some(threads) = stopped {
            looks
                .registers(target, threads)
                .map_err(|source| failed("the threads' stacks", source))?;
        }
        looks.solve()?;
        let certainty = if stopped.is_some() {
            looks.solve_at_rest(target)?
        } else if looks.anything_out_of_reach() {
            looks.settle(target, before.as_ref(), began + options.limit)?
        } else {
            Certainty::Settled { rounds: 0 }
        };
        let proof = looks.proof(certainty, began);
        self.last = Some(looks);
        Ok(proof)
    }

    /// Finds the shortest ways to `object` from what is live by the last round, of [`Self::glance`] or of
    /// [`Self::prove`], but for the stacks of `except`; none if there was no round.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn paths_to(&mut self, object: TargetAddr, except: &[Goid]) -> Result<Paths, ReachError> {
        let work = self.limited();
        let begun = self.begun.as_mut().map(|begun| &mut begun.looks);
        let Some(looks) = begun.or(self.last.as_mut()) else {
            return Ok(Paths::default());
        };
        let paths = looks.walk.paths_to(object, except);
        let paths = paths.map_err(|source| failed("the way to an object", source));
        self.in_time(&work, paths)
    }

    /// Bytes of stacks and heap that only `goroutines`, dead by the last proof, keep. What several
    /// groups share counts for the group that is asked for first.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn retained(&mut self, goroutines: &[Goid]) -> Result<Retained, ReachError> {
        let _work = self.limited();
        let Some(looks) = &mut self.last else {
            return Ok(Retained::default());
        };
        looks
            .walk
            .retained(goroutines)
            .map_err(|source| failed("what dead goroutines keep", source))
    }
}
