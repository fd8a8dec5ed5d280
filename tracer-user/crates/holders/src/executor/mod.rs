//! Abstract execution of one frame of a parked goroutine: from its return address, with the
//! frame's own memory, along every path that cannot be ruled out.
//!
//! Registers begin unknown: Go has no callee-saved registers, so what the frame needs after a call
//! lies in its memory. Branches on the frame's own values are decided; of others both sides are
//! followed. Paths that meet with the same effects on locks are joined when there are too many, so
//! that loops come to an end. Every path carries which locks it took and what it released without
//! having taken it: that is what the goroutine holds now.

mod access;
mod atomics;
mod branches;
mod calls;
mod cell;
mod cells;
mod channels;
mod deferred;
mod effects;
mod forget;
mod hash;
mod instructions;
mod lookups;
mod memory;
mod possible;
mod progress;
mod queue;
mod returns;
mod state;
mod surroundings;
mod trace;
mod value;
mod watch;
mod wide;

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

pub use cells::Cells;
pub use effects::{Deferred, Effects, History};
pub use hash::hash_of;
pub use memory::World;
pub use state::State;
pub use surroundings::Surroundings;
pub use trace::{Dependence, Read, Term, Trace};
pub use value::Value;
pub use watch::{MAX_DEFERRED, Watch};

use progress::{Meeting, Progress};
use queue::{Place, Queue};
use returns::Entered;

use super::{
    code::Code,
    isa::Isa,
    model::{Held, ReleaseKind},
};
use ids::{ImageAddr, LoadBias, TargetAddr};
use image::Layout;
use resources::cancellation::is_cut;

/// Instructions executed for one frame at most.
const FRAME_BUDGET: u32 = 30_000;
/// After so many it is asked whether to go on.
const STEPS_UNASKED: u32 = 64;
/// Instructions executed for all frames of one goroutine, and its deferred calls, at most.
const GOROUTINE_BUDGET: u32 = 600_000;
/// How deep calls are followed, and how deep if that was too much (recursion in many branches).
const DEPTHS: [(usize, Spent); 3] = [
    (6, Spent::BeginAnew),
    (2, Spent::BeginAnew),
    (1, Spent::EndHere),
];
/// Paths that wait to be followed at most.
const MAX_OPEN: usize = 2_000;
/// Histories of locks that are told apart at one place at most.
const MAX_HISTORIES: usize = 24;
/// Different panics of one frame that are told apart at most.
const MAX_PANICS: usize = 24;
/// States with which one place is gone through at most while the frame's memory decides every
/// branch: a loop over the locks of a slice.
const PRECISE_VISITS: usize = 600;

/// What a frame's continuation comes to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The states in which the frame returns.
    pub exits: Vec<State>,
    /// If it never does: what it will have done in the loops that it stays in.
    pub loops: Vec<Effects>,
    /// The states in which it panics or ends its goroutine.
    pub panics: Vec<State>,
    /// Whether it was too much to follow.
    pub exhausted: bool,
}

/// Which branches are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decide {
    /// Those that depend on nothing that others can write.
    Surely,
    /// All whose condition is known, as if memory stayed as it is.
    AsThingsStand,
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
    decide: Decide,
    /// The goroutine's memory.
    pub world: World<'a>,
    /// Everything seen released on any path, and where first.
    pub seen: FxHashMap<(ReleaseKind, TargetAddr), Sighting>,
    frame: usize,
    deferred_frame: bool,
    /// How deep calls are followed.
    depth: usize,
    /// How deep they were since the frame was begun.
    deepest: usize,
    /// Instructions left for this frame.
    budget: u32,
    /// Instructions left for the frames that follow.
    total: u32,
    queue: Queue,
    visits: FxHashMap<Place, Visits>,
    /// How many histories came to a place, and what they have in common.
    histories: FxHashMap<Place, (usize, History)>,
    progress: Progress,
    outcome: Outcome,
    /// Where the paths are waited for, if a function's past is followed.
    watch: Option<Watch>,
}

struct Visits {
    meeting: Meeting,
    states: FxHashSet<u64>,
    joined: Option<Box<State>>,
}

/// What follows when a frame's instructions are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spent {
    /// All is forgotten, and what the frame calls is followed less deep.
    BeginAnew,
    /// The paths that are left end where they are.
    EndHere,
}

/// What becomes of a path after one instruction.
enum Step {
    /// It goes on.
    Go,
    /// It goes on from a place where it can meet others.
    Meet,
    /// It ends here and does not count.
    End,
    /// The frame returns.
    Exit,
}

impl<'a> Executor<'a> {
    /// For the goroutine whose memory is `world`.
    pub fn new(code: &'a Code, bias: LoadBias, world: World<'a>, decide: Decide) -> Self {
        Self {
            code,
            isa: code.isa(),
            layout: code.image().layout(),
            bias,
            decide,
            world,
            seen: FxHashMap::default(),
            frame: 0,
            deferred_frame: false,
            depth: 0,
            deepest: 0,
            budget: 0,
            total: GOROUTINE_BUDGET,
            queue: Queue::default(),
            visits: FxHashMap::default(),
            histories: FxHashMap::default(),
            progress: Progress::default(),
            outcome: Outcome::default(),
            watch: None,
        }
    }

    /// Instructions executed so far.
    pub const fn steps(&self) -> u32 {
        GOROUTINE_BUDGET - self.total
    }

    /// Follows all paths of frame number `frame` from `entries`. `deferred`: the frame itself was
    /// entered by a deferred call. When that is too much, what it calls is followed less deep.
    pub fn run(&mut self, frame: usize, deferred: bool, entries: Vec<State>) -> Outcome {
        self.frame = frame;
        self.deferred_frame = deferred;
        let place = entries
            .first()
            .filter(|_| self.decide == Decide::AsThingsStand)
            .map(|entry| (entry.routine.function.entry, entry.at, deferred));
        let mut followed = false;
        for (depth, spent) in DEPTHS {
            let depths = self.code.depths();
            if place.is_some_and(|place| depths.is_too_much(place, depth)) {
                self.outcome = Outcome {
                    exhausted: true,
                    ..Outcome::default()
                };
                followed = false;
                continue;
            }
            self.depth = depth;
            let whole = self.total >= FRAME_BUDGET;
            if followed && self.deepest <= depth {
                // No call was followed deeper: it would be the same once more.
                self.follow_on(spent);
            } else {
                self.run_once(entries.clone(), spent);
            }
            followed = true;
            let exhausted = self.outcome.exhausted;
            if let Some(place) = place.filter(|_| whole && !is_cut()) {
                depths.note(place, depth, exhausted);
            }
            if !exhausted {
                break;
            }
        }
        self.queue.clear();
        std::mem::take(&mut self.outcome)
    }

    /// Follows all paths, as deep as set.
    fn run_once(&mut self, entries: Vec<State>, spent: Spent) {
        let frame = match &self.watch {
            Some(watch) => watch.budget,
            None => FRAME_BUDGET,
        };
        self.budget = frame.min(self.total);
        self.total -= self.budget;
        self.deepest = 0;
        self.queue.clear();
        self.forget_meetings();
        self.outcome = Outcome::default();
        if let Some(watch) = &mut self.watch {
            watch.begin_anew();
        }
        for entry in entries {
            self.queue.add(entry, &self.world);
        }
        self.follow_on(spent);
        self.total += self.budget;
        if self.outcome.exits.is_empty() {
            self.outcome.loops = self.progress.in_loops();
        }
    }

    /// Follows the paths that wait, and those that branch off: to their ends, or until the instructions are
    /// used up if all is then begun anew.
    fn follow_on(&mut self, spent: Spent) {
        while !(self.is_used_up() && spent == Spent::BeginAnew)
            && let Some((place, mut state)) = self.queue.pop()
        {
            if self.is_new(place, &mut state) {
                self.follow(state);
            } else {
                self.queue.end(state);
            }
        }
    }

    /// Whether some path ended because no instructions were left.
    const fn is_used_up(&self) -> bool {
        self.budget == 0 && self.outcome.exhausted
    }

    /// Forgets which paths have met where.
    fn forget_meetings(&mut self) {
        for (_, visits) in self.visits.drain() {
            if let Some(state) = visits.joined {
                self.queue.end(state);
            }
        }
        self.histories.clear();
        self.progress = Progress::default();
    }

    /// Follows the closure at `closure` by itself, with its frame below `sp`, as a deferred call of
    /// frame number `frame`, in memory as `written`.
    pub fn run_closure(
        &mut self,
        frame: usize,
        closure: Value,
        sp: u64,
        (effects, written): (Effects, &Cells),
    ) -> Outcome {
        match self.closure_entry(closure, sp, (effects, written)) {
            Some(entry) => self.run(frame, true, vec![entry]),
            None => Outcome::default(),
        }
    }

    /// Runs one path until it ends or comes to where it can meet others.
    fn follow(&mut self, mut state: Box<State>) {
        loop {
            if self.budget == 0 || self.queue.len() > MAX_OPEN {
                self.outcome.exhausted = true;
                self.opaque(&mut state);
                state.returns.clear();
                self.outcome.exits.push(*state);
                return;
            }
            self.budget -= 1;
            if self.budget.is_multiple_of(STEPS_UNASKED) && is_cut() {
                // Nothing is made of this: the look is over.
                (self.budget, self.total) = (0, 0);
            }
            if self.arrive(&state) {
                return self.queue.end(state);
            }
            match self.step(&mut state) {
                Step::Go if !state.routine.body.is_target(state.at) => {}
                Step::Go | Step::Meet => return self.queue.push(state, &self.world),
                Step::End => return self.queue.end(state),
                Step::Exit => {
                    self.outcome.exits.push(*state);
                    return;
                }
            }
        }
    }

    /// Whether `state` differs from those that went on from the same place before. Once a branch
    /// was taken without knowing, it goes on as what they have in common.
    fn is_new(&mut self, place: Place, state: &mut State) -> bool {
        let place = self.up_to_date(place, state);
        let place = self.limit_histories(place, state);
        let progress = &mut self.progress;
        let visits = self.visits.entry(place).or_insert_with(|| Visits {
            meeting: progress.add(&state.effects),
            states: FxHashSet::default(),
            joined: None,
        });
        if let Some(last) = state.last {
            progress.connect(last, visits.meeting);
        }
        state.last = Some(visits.meeting);
        let precise = match (&self.watch, state.forks) {
            (Some(watch), _) => watch.kept_apart,
            (None, 0) => PRECISE_VISITS,
            (None, _) => 0,
        };
        if visits.states.len() < precise {
            return visits.states.insert(state.fingerprint());
        }
        match &mut visits.joined {
            None => visits.joined = Some(self.queue.put(state.clone())),
            Some(before) => {
                if !before.absorb(state, &self.world) {
                    return false;
                }
                state.clone_from(before);
                state.last = Some(visits.meeting);
            }
        }
        true
    }

    /// Where too many histories of locks lead to one place, the further ones go on as one.
    fn limit_histories(&mut self, place: Place, state: &mut State) -> Place {
        if state.forks == 0 || self.visits.contains_key(&place) {
            return place;
        }
        let histories = self
            .histories
            .entry(place.whatever_was_done())
            .or_insert_with(|| (0, state.effects.clone()));
        histories.0 += 1;
        if histories.0 <= MAX_HISTORIES {
            return place;
        }
        let is_past = self.watch.is_some();
        histories.1.edit(|e| match is_past {
            true => e.agree(&state.effects),
            false => e.summarise(&state.effects),
        });
        state.effects.clone_from(&histories.1);
        Place::of(state, &self.world)
    }

    /// Notes a release at the current instruction of `state`.
    fn sight(&mut self, state: &State, site: ImageAddr, kind: ReleaseKind, object: u64) {
        let deferred = self.deferred_frame || state.returns.any(Entered::Deferred);
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

    /// The number `value`, if it may decide a branch.
    fn decisive(&self, value: Value) -> Option<Term> {
        match self.decide {
            Decide::Surely => value.decisive(),
            Decide::AsThingsStand => value.term(),
        }
    }

    /// What `value` is, if that is known.
    fn number(&self, value: Value) -> Option<u64> {
        if self.watch.is_some() && value.is_reloaded() {
            return None;
        }
        Some(self.world.trace.number(value.term()?))
    }

    /// Where on the goroutine's own stack `value` points to.
    fn on_stack(&self, value: Value) -> Option<u64> {
        self.world.stack_address(value.term()?)
    }

    fn stack(&self) -> Range<u64> {
        self.world.stack()
    }
}
