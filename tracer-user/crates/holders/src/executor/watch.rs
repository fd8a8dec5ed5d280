//! A function's past: its paths from its entry to one of its calls, with symbols for what is not
//! known. Everything here is idle where a future is followed.

use rustc_hash::FxHashMap;

use super::{
    super::{
        code::{Code, Routine},
        isa::{Body, Operand, Operation, Register, Target},
        packages,
        past::{Origin, Symbols, surely_differ},
        sites::{AtomicEffect, LockKind},
    },
    Executor, State,
    cell::Cell,
    effects::{Lock, UNKNOWN_LOCK},
    memory::World,
    queue::Place,
    returns::Entered,
    trace::{CellAddr, Term},
    value::Value,
};
use ids::ImageAddr;

/// Paths that are told apart where they are waited for at most.
const MAX_ARRIVALS: usize = 96;
/// Instructions executed to follow the past of one function at most: once for all processes.
const BUDGET: u32 = 60_000;
/// The same of the standard library.
const BUDGET_OF_LIBRARY: u32 = 6_000;
/// Deferred calls of one path that are told apart at most.
pub const MAX_DEFERRED: usize = 20;
/// Results of a call that get symbols.
const MAX_RESULTS: usize = 4;
/// How far from an atomic instruction its branch is looked for, and its slow path from there.
const STRAIGHT: usize = 24;

/// Where the paths of a function are waited for.
#[derive(Debug)]
pub struct Watch {
    entry: ImageAddr,
    /// The instruction, by index.
    at: u32,
    /// An atomic instruction that tries to take a lock, and where its slow path begins, which leads
    /// to `at`: the path that gets there has not taken the lock.
    slow: Option<(u32, u32)>,
    /// From which instructions of the function a path may lead to `at`.
    leads_there: Vec<bool>,
    /// Instructions that may be executed.
    pub(super) budget: u32,
    /// Paths that meet at one place and are kept apart at most.
    pub(super) kept_apart: usize,
    /// The states in which the paths arrive.
    pub arrivals: Vec<State>,
    /// Whether there were too many.
    pub overflow: bool,
    /// Whether paths ended since they had deferred [`MAX_DEFERRED`] calls.
    pub defers_more: bool,
}

impl Watch {
    /// Waits for the paths of `routine` at its instruction number `at`.
    pub fn new(code: &Code, routine: &Routine, at: u32, kept_apart: usize) -> Self {
        let slow = code.is_slow_path_of_lock(&routine.body, at);
        Self {
            entry: routine.function.entry,
            at,
            slow: slow.then(|| slow_path_to(routine, at)).flatten(),
            leads_there: leading_to(&routine.body, at),
            budget: match packages::keeps_locks_to_itself(&routine.function.name) {
                true => BUDGET_OF_LIBRARY,
                false => BUDGET,
            },
            kept_apart,
            arrivals: Vec::new(),
            overflow: false,
            defers_more: false,
        }
    }
}

impl Watch {
    /// Forgets all paths.
    pub(super) fn begin_anew(&mut self) {
        self.arrivals.clear();
        self.overflow = false;
        self.defers_more = false;
    }
}

/// The atomic instruction of a lock's fast path whose slow path leads straight to `at`.
fn slow_path_to(routine: &Routine, at: u32) -> Option<(u32, u32)> {
    let takes = |effect: &AtomicEffect| matches!(effect, AtomicEffect::Acquire(..));
    let mut fast = routine.atomics.iter().filter(|(_, e)| takes(e));
    fast.find_map(|(&index, _)| {
        let sides = branch_after(&routine.body, index)?;
        let start = sides
            .into_iter()
            .find(|side| leads_straight(&routine.body, *side, at))?;
        Some((index, start))
    })
}

/// From which instructions of `body` a path may lead to the one at `at`.
fn leading_to(body: &Body, at: u32) -> Vec<bool> {
    let count = body.instructions.len();
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); count];
    let mut anywhere = Vec::new();
    let mut link = |from: u32, to: u32| {
        if let Some(list) = before.get_mut(to as usize) {
            list.push(from);
        }
    };
    for (index, instruction) in (0_u32..).zip(&body.instructions) {
        match &instruction.operation {
            Operation::Jump(Target::Inside(to)) => link(index, *to),
            Operation::JumpIf { target, .. } => {
                link(index, index + 1);
                if let Target::Inside(to) = target {
                    link(index, *to);
                }
            }
            Operation::JumpTo(_) => anywhere.push(index),
            Operation::Jump(Target::Outside(_)) | Operation::Return | Operation::Trap => {}
            _ => link(index, index + 1),
        }
    }
    let mut leads = vec![false; count];
    let mut open = vec![at];
    open.extend(anywhere);
    while let Some(index) = open.pop() {
        let new = leads.get_mut(index as usize);
        if new.is_some_and(|leads| !std::mem::replace(leads, true)) {
            open.extend(before.get(index as usize).into_iter().flatten());
        }
    }
    leads
}

/// Where the first conditional jump after the instruction `index` can go.
fn branch_after(body: &Body, index: u32) -> Option<[u32; 2]> {
    let mut at = index + 1;
    for _ in 0..STRAIGHT {
        match &body.get(at)?.operation {
            Operation::JumpIf {
                target: Target::Inside(taken),
                ..
            } => return Some([*taken, at + 1]),
            operation => at = straight_on(operation, at)?,
        }
    }
    None
}

fn leads_straight(body: &Body, start: u32, to: u32) -> bool {
    let mut at = start;
    for _ in 0..STRAIGHT {
        if at == to {
            return true;
        }
        let next = body
            .get(at)
            .and_then(|next| straight_on(&next.operation, at));
        let Some(next) = next else {
            return false;
        };
        at = next;
    }
    false
}

fn straight_on(operation: &Operation, at: u32) -> Option<u32> {
    match operation {
        Operation::Jump(Target::Inside(next)) => Some(*next),
        Operation::Jump(_)
        | Operation::JumpIf { .. }
        | Operation::JumpTo(_)
        | Operation::Call(_)
        | Operation::CallTo(_)
        | Operation::Return
        | Operation::Trap
        | Operation::Atomic { .. } => None,
        _ => Some(at + 1),
    }
}

impl<'a> Executor<'a> {
    /// Follows the past of the function that `watch` is of.
    pub fn watching(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// What has arrived.
    pub fn into_watch(self) -> Option<Watch> {
        self.watch
    }

    /// Whether the path has deferred more calls than are told apart where a past is followed.
    pub(super) fn defers_too_often(&mut self, state: &State) -> bool {
        let Some(watch) = &mut self.watch else {
            return false;
        };
        let too_often = state.effects.deferred.len() >= MAX_DEFERRED;
        watch.defers_more |= too_often;
        too_often
    }

    /// Notes a path that is where paths are waited for; whether it need not be followed further.
    pub(super) fn arrive(&mut self, state: &State) -> bool {
        let Some(watch) = &mut self.watch else {
            return false;
        };
        if !state.returns.is_empty() || state.routine.function.entry != watch.entry {
            return false;
        }
        if state.at != watch.at {
            return watch.leads_there.get(state.at as usize) == Some(&false);
        }
        if watch.arrivals.len() >= MAX_ARRIVALS {
            watch.overflow = true;
        } else {
            watch.arrivals.push(state.clone());
        }
        // What follows a slow path follows the fast one, too.
        watch.slow.is_some()
    }

    /// If the instruction just passed tries to take the lock that the slow path waits for which is
    /// watched: the path that does not get it.
    pub(super) fn go_the_slow_path(&mut self, state: &State) {
        let slow = self.watch.as_ref().and_then(|watch| {
            let here = state.returns.is_empty() && state.routine.function.entry == watch.entry;
            watch.slow.filter(|(at, _)| here && state.at == at + 1)
        });
        if let Some((_, start)) = slow {
            let mut waits = state.clone();
            waits.at = start;
            waits.forks += 1;
            self.queue.add(waits, &self.world);
        }
    }

    /// The path takes `lock`; whether it goes on. A future that waits for a lock that it has taken
    /// itself does not, unless somebody else gives the lock back that it is to give back later: then it
    /// is no owner. Nor does a goroutine that a past has started, while the past has the lock. What it has deferred tells of what it holds all the same.
    pub(super) fn acquire(&self, state: &mut State, site: ImageAddr, lock: Lock) -> bool {
        let exclusive = matches!(lock.0, LockKind::Mutex | LockKind::Write);
        let waits = exclusive && lock.1 != UNKNOWN_LOCK && state.effects.has(lock);
        match &self.watch {
            None if waits => return false,
            None => state.effects.edit(|e| e.acquire(lock)),
            Some(_) if waits && state.returns.any(Entered::Started) => return false,
            Some(_) => state.effects.edit(|e| e.take(lock, site)),
        }
        true
    }

    /// The path gives back a lock of the kind `kind` at `object` that it has not taken there: it may
    /// be one that it took under another name.
    pub(super) fn may_give_back(&self, state: &mut State, kind: LockKind, object: u64) {
        if let Some(symbols) = self.world.symbols() {
            let may_be = |one, other| !surely_differ(symbols, one, other);
            state
                .effects
                .edit(|e| e.give_back_alias(kind, object, may_be));
        }
    }

    /// Gives the results of the call just made names of their own.
    pub(super) fn name_results(&self, state: &mut State) {
        let Some(symbols) = self.world.symbols() else {
            return;
        };
        for (index, register) in self.isa.arguments().iter().take(MAX_RESULTS).enumerate() {
            let index = u8::try_from(index).unwrap_or(u8::MAX);
            let value = name(symbols, state, index);
            state.set_register(*register, value);
        }
    }

    /// What is loaded from where nothing is known gets a name of its own; in the path's own memory it
    /// keeps it.
    pub(super) fn name_loaded(
        &mut self,
        state: &mut State,
        from: Operand,
        width: u8,
        value: Value,
    ) -> Value {
        let (Some(symbols), Operand::Memory(memory)) = (self.world.symbols(), from) else {
            return value;
        };
        if width != 8 || value.term().is_some() {
            return value;
        }
        let value = name(symbols, state, u8::MAX);
        let at = self.address(state, memory);
        if self.on_stack(at).is_some() {
            self.store(state, at, value, 8);
        }
        value
    }

    /// A place where paths met gives what differed there a new meaning: what `state` holds of the one
    /// that it had before is outdated.
    pub(super) fn up_to_date(&self, place: Place, state: &mut State) -> Place {
        let Some(symbols) = self.world.symbols() else {
            return place;
        };
        if state.effects.held.is_empty() {
            return place;
        }
        let here = state.symbol_place();
        let outdated = |origin| match origin {
            Origin::RegisterMet(place, register) if place == here => {
                !holds(symbols, state.register(Register(register)), origin)
            }
            Origin::WordMet(place, word) if place == here => {
                let (at, _) = CellAddr::of(Term::fixed(word));
                let cell = state.cells.get(at).and_then(Cell::word);
                !holds(symbols, cell.map_or(Value::Unknown, Value::of), origin)
            }
            _ => false,
        };
        let old = |lock: &Lock| symbols.derives(lock.1, &outdated);
        let old: Vec<u64> = state
            .effects
            .held
            .iter()
            .filter(|lock| old(lock))
            .map(|lock| lock.1)
            .collect();
        if old.is_empty() {
            return place;
        }
        state
            .effects
            .edit(|e| e.outdate(|number| old.contains(&number)));
        Place::of(state, &self.world)
    }
}

/// Whether `value` is what `origin` stands for.
fn holds(symbols: &Symbols<'_>, value: Value, origin: Origin) -> bool {
    value
        .term()
        .and_then(|term| symbols.origin(term.unnoted()))
        .is_some_and(|found| found == (origin, 0))
}

/// A name for what the instruction just passed made; what had that name before is outdated.
fn name(symbols: &Symbols<'_>, state: &mut State, result: u8) -> Value {
    let origin = Origin::Made(
        state.routine.function.entry,
        state.at,
        state.returns.digest(),
        result,
    );
    let Some((number, is_new)) = symbols.number(origin) else {
        return Value::Unknown;
    };
    if !is_new {
        let old = |number| symbols.derives(number, &|other| other == origin);
        outdate(state, old);
    }
    Value::loaded(Term::fixed(number))
}

/// Nothing is known any more of what `state` has of numbers for which `old` holds.
fn outdate(state: &mut State, old: impl Fn(u64) -> bool) {
    let is_old = |value: Value| value.term().is_some_and(|term| old(term.unnoted()));
    for register in &mut state.registers {
        if is_old(*register) {
            *register = Value::Unknown;
        }
    }
    let cells = state.cells.iter();
    let outdated: Vec<CellAddr> = cells
        .filter(|(_, cell)| cell.word().is_some_and(|term| old(term.unnoted())))
        .map(|(at, _)| at)
        .collect();
    for at in outdated {
        state.cells.set(at, Cell::default());
    }
    let effects = &state.effects;
    let concerned = effects.held.iter().any(|lock| old(lock.1))
        || effects.released.iter().any(|released| old(released.object))
        || effects.aliased.iter().any(|(_, number)| old(*number));
    if concerned {
        state.effects.edit(|e| e.outdate(&old));
    }
}

/// What stands for what differs where paths meet: what is the same on each of them keeps being the
/// same.
pub struct Met<'a> {
    symbols: Option<&'a Symbols<'a>>,
    place: u64,
    pairs: FxHashMap<(u64, u64), Value>,
}

impl<'a> Met<'a> {
    /// For the place `place`.
    pub fn new(world: &World<'a>, place: u64) -> Self {
        Self {
            symbols: world.symbols(),
            place,
            pairs: FxHashMap::default(),
        }
    }

    /// What register number `number` holds, which holds one of `values` on each path.
    pub fn register(&mut self, number: usize, values: (Value, Value), joined: Value) -> Value {
        let number = u8::try_from(number).unwrap_or(u8::MAX);
        self.either(values, joined, Origin::RegisterMet(self.place, number))
    }

    /// The same of the word at `at`.
    pub fn word(&mut self, at: CellAddr, (one, other): (Cell, Cell), joined: Cell) -> Cell {
        if self.symbols.is_none() || joined.word().is_some() {
            return joined;
        }
        let value = |cell: Cell| cell.word().map_or(Value::Unknown, Value::of);
        let origin = Origin::WordMet(self.place, at.get());
        match self.either((value(one), value(other)), Value::Unknown, origin) {
            Value::Unknown => joined,
            value => Cell::of(value),
        }
    }

    fn either(&mut self, (one, other): (Value, Value), joined: Value, origin: Origin) -> Value {
        let (Some(symbols), Value::Unknown) = (self.symbols, joined) else {
            return joined;
        };
        let (Some(one), Some(other)) = (one.term(), other.term()) else {
            return joined;
        };
        *self
            .pairs
            .entry((one.unnoted(), other.unnoted()))
            .or_insert_with(|| match symbols.number(origin) {
                Some((number, _)) => Value::loaded(Term::fixed(number)),
                None => Value::Unknown,
            })
    }
}
