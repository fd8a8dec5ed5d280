//! The paths still to be followed, in the order in which they meet soonest: inside the deepest call
//! first, then from low addresses to high, so that both sides of a branch have come to where they
//! join before anything after it is looked at.

use std::collections::BTreeMap;

use super::{super::past::Symbols, cells::Cells, effects::History, memory::World, state::State};
use ids::ImageAddr;

/// Where paths meet: the same instruction, called from the same places, with the same effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    entry: ImageAddr,
    at: u32,
    calls: u64,
    deferred: u64,
    defer_bits: u64,
    effects: u64,
}

impl Place {
    /// Where `state` is. Which open-coded deferred calls have to run belongs to it: a path that
    /// has deferred a release does not become one with a path that has not.
    pub fn of(state: &State, world: &World<'_>) -> Self {
        Self {
            entry: state.routine.function.entry,
            at: state.at,
            calls: state.returns.digest(),
            deferred: state.effects.deferred_digest(),
            defer_bits: state.defer_bits(world),
            effects: state.effects.digest(),
        }
    }

    /// The same place for all states that only differ in what was done to locks before.
    pub fn whatever_was_done(self) -> Self {
        Self { effects: 0, ..self }
    }
}

/// Boxes that are kept for further paths at most.
const MAX_SPARE: usize = 256;

/// A path, and where it goes on.
type Waiting = (Place, Box<State>);

/// The paths still to be followed.
#[derive(Debug, Default)]
pub struct Queue {
    by_order: BTreeMap<(usize, u32), Vec<Waiting>>,
    len: usize,
    spare: Spare,
}

/// The boxes of paths that have ended, for those that branch off: that happens all the time.
#[derive(Debug, Default)]
struct Spare {
    #[expect(clippy::vec_box, reason = "the boxes themselves are used again")]
    boxes: Vec<Box<State>>,
}

impl Spare {
    fn fill(&mut self, state: State) -> Box<State> {
        match self.boxes.pop() {
            Some(mut spare) => {
                *spare = state;
                spare
            }
            None => Box::new(state),
        }
    }

    fn keep(&mut self, mut ended: Box<State>) {
        if self.boxes.len() < MAX_SPARE {
            // What others may share is let go at once: they write to it in place then.
            ended.cells = Cells::default();
            ended.effects = History::default();
            self.boxes.push(ended);
        }
    }
}

impl Queue {
    /// Adds a path. It becomes one with a path that waits at the same place, if either came there
    /// by a branch taken without knowing.
    pub fn push(&mut self, state: Box<State>, world: &World<'_>) {
        let order = (usize::MAX - state.returns.len(), state.at);
        let place = Place::of(&state, world);
        let waiting = self.by_order.entry(order).or_default();
        let apart = world.symbols().map_or(0, Symbols::kept_apart);
        let here = waiting.iter_mut().filter(|(other, _)| *other == place);
        let same = here
            .filter(|(_, waits)| waits.forks + state.forks > 0)
            .nth(apart);
        match same {
            Some((_, waits)) => {
                waits.absorb(&state, world);
                self.spare.keep(state);
            }
            None => {
                waiting.push((place, state));
                self.len += 1;
            }
        }
    }

    /// Adds a path that has branched off.
    pub fn add(&mut self, state: State, world: &World<'_>) {
        let state = self.put(state);
        self.push(state, world);
    }

    /// Puts `state` into a box, one that another path has left if there is one.
    pub fn put(&mut self, state: State) -> Box<State> {
        self.spare.fill(state)
    }

    /// A path has ended.
    pub fn end(&mut self, state: Box<State>) {
        self.spare.keep(state);
    }

    /// The next path.
    pub fn pop(&mut self) -> Option<Waiting> {
        let mut first = self.by_order.first_entry()?;
        let next = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        self.len -= 1;
        next
    }

    /// None of the paths is followed any more.
    pub fn clear(&mut self) {
        while let Some((_, state)) = self.pop() {
            self.end(state);
        }
    }

    /// How many paths wait.
    pub fn len(&self) -> usize {
        self.len
    }
}
