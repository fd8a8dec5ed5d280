//! Abstract execution of one frame of a parked goroutine: from its return address, with the
//! frame's own memory, along every path that cannot be ruled out.
//!
//! Registers begin unknown: Go has no callee-saved registers, so what the frame needs after a call
//! lies in its memory. Branches on the frame's own values are decided; of others both sides are
//! followed. Paths that meet with the same effects on locks are joined when there are too many, so
//! that loops come to an end. Every path carries which locks it took and what it released without
//! having taken it: that is what the goroutine holds now.

mod branches;
mod calls;
mod cells;
mod instructions;
mod memory;
mod state;
mod value;

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

pub use memory::World;
pub use state::{Deferred, Effects, State};
pub use value::Value;

use super::{
    code::Code,
    isa::Isa,
    model::{Held, ReleaseKind},
};
use crate::{
    ids::{ImageAddr, LoadBias, TargetAddr},
    image::Layout,
};

/// Instructions executed for one frame at most.
const FRAME_BUDGET: u32 = 30_000;
/// Paths that wait to be followed at most.
const MAX_OPEN: usize = 2_000;
/// Joins of different values at one place before what differs is forgotten.
const PRECISE_VISITS: u32 = 10;
/// The same while no branch was taken without knowing: a loop that the frame's memory decides.
const PRECISE_VISITS_DECIDED: u32 = 600;

/// What a frame's continuation comes to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The states in which the frame returns.
    pub exits: Vec<State>,
    /// What had been done where the frame's code went round in a loop.
    pub loops: Vec<Effects>,
    /// Whether it was too much to follow.
    pub exhausted: bool,
}

/// Where something was seen to be released.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// The frame, counted from the innermost.
    pub frame: usize,
    /// The instruction.
    pub site: ImageAddr,
    /// How the frame gets there.
    pub held: Held,
}

/// Executes the frames of one goroutine.
pub struct Executor<'a> {
    code: &'a Code,
    isa: &'static dyn Isa,
    layout: &'a Layout,
    bias: LoadBias,
    /// The goroutine's memory.
    pub world: World<'a>,
    /// Everything seen released on any path, and where first.
    pub seen: FxHashMap<(ReleaseKind, TargetAddr), Sighting>,
    frame: usize,
    deferred_frame: bool,
    budget: u32,
    open: Vec<State>,
    visits: FxHashMap<Place, Visits>,
    outcome: Outcome,
}

/// Where paths meet: the instruction, the call depth, and what was done to locks before.
type Place = (ImageAddr, u32, usize, u64);

#[derive(Default)]
struct Visits {
    count: u32,
    states: FxHashSet<u64>,
    joined: Option<Box<State>>,
}

/// What becomes of a path after one instruction.
enum Step {
    /// It goes on.
    Go,
    /// It ends here and does not count.
    End,
    /// The frame returns.
    Exit,
}

impl<'a> Executor<'a> {
    /// For the goroutine whose memory is `world`.
    pub fn new(code: &'a Code, bias: LoadBias, world: World<'a>) -> Self {
        Self {
            code,
            isa: code.isa(),
            layout: code.image().layout(),
            bias,
            world,
            seen: FxHashMap::default(),
            frame: 0,
            deferred_frame: false,
            budget: 0,
            open: Vec::new(),
            visits: FxHashMap::default(),
            outcome: Outcome::default(),
        }
    }

    /// Follows all paths of frame number `frame` from `entries`. `deferred`: the frame itself was
    /// entered by a deferred call.
    pub fn run(&mut self, frame: usize, deferred: bool, entries: Vec<State>) -> Outcome {
        self.frame = frame;
        self.deferred_frame = deferred;
        self.budget = FRAME_BUDGET;
        self.open = entries;
        self.visits.clear();
        self.outcome = Outcome::default();
        while let Some(state) = self.open.pop() {
            self.follow(state);
        }
        std::mem::take(&mut self.outcome)
    }

    /// Follows the closure at `closure` by itself, as a deferred call of frame number `frame`.
    pub fn run_closure(&mut self, frame: usize, closure: Value, effects: Effects) -> Outcome {
        match self.closure_entry(closure, effects) {
            Some(entry) => self.run(frame, true, vec![entry]),
            None => Outcome::default(),
        }
    }

    fn follow(&mut self, mut state: State) {
        loop {
            if self.budget == 0 || self.open.len() > MAX_OPEN {
                self.outcome.exhausted = true;
                self.opaque(&mut state);
                state.returns.clear();
                self.outcome.exits.push(state);
                return;
            }
            self.budget -= 1;
            match self.step(&mut state) {
                Step::Go => {}
                Step::End => return,
                Step::Exit => {
                    self.outcome.exits.push(state);
                    return;
                }
            }
        }
    }

    /// Called where paths can meet. False: this path adds nothing to those that came before.
    fn meets_something_new(&mut self, state: &mut State, backward: bool) -> bool {
        let place = (
            state.routine.function.entry,
            state.at,
            state.returns.len(),
            hash_of(&(&state.effects, state.register(self.isa.stack_pointer()))),
        );
        let visits = self.visits.entry(place).or_default();
        let is_new = visits.states.insert(state.fingerprint());
        visits.count += 1;
        let precise = if state.forks == 0 {
            PRECISE_VISITS_DECIDED
        } else {
            PRECISE_VISITS
        };
        let goes_on = is_new
            && (visits.count <= precise || {
                let joined = match &visits.joined {
                    None => state.clone(),
                    Some(before) => before.join(state, &self.world),
                };
                let grew = visits.joined.as_ref().is_none_or(|b| !b.same(&joined));
                visits.joined = Some(Box::new(joined.clone()));
                *state = joined;
                grew
            });
        if !goes_on && backward && state.returns.is_empty() {
            self.outcome.loops.push(state.effects.clone());
        }
        goes_on
    }

    /// Notes a release at the current instruction of `state`.
    fn sight(&mut self, state: &State, site: ImageAddr, kind: ReleaseKind, object: u64) {
        let deferred = self.deferred_frame || state.returns.iter().any(|r| r.deferred);
        let sighting = Sighting {
            frame: self.frame,
            site,
            held: if deferred {
                Held::Deferred
            } else {
                Held::Continuation
            },
        };
        self.seen
            .entry((kind, TargetAddr(object)))
            .or_insert(sighting);
    }

    fn stack(&self) -> Range<u64> {
        self.world.stack()
    }
}

fn hash_of(value: &impl std::hash::Hash) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = rustc_hash::FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}
