//! What a function has done with locks when it gets to one of its calls, with symbols for what only
//! a goroutine's frames say.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    super::{
        code::{Code, Routine},
        executor::{Decide, Executor, MAX_DEFERRED, State, Trace, Value, Watch, World},
        packages,
        sites::LockKind,
    },
    resolve::Incoming,
    symbols::{FRAME, Origin, STACK, Symbols},
};
use ids::{ImageAddr, LoadBias};
use memory::Memory;

/// Words of a frame that one symbol is looked for in at most.
const MAX_SLOTS: usize = 3;
/// Paths that meet at one place and are kept apart at most, if that is not too much: rounds of a loop
/// over locks.
const KEPT_APART: usize = 12;
/// How much from an address on a function may write that was given it.
const SHARED: u64 = 256;
/// Words that are less are no addresses, which would differ between processes.
const MAX_NUMBER: u64 = 4096;

/// What a function has done on each of its paths to one of its calls.
#[derive(Debug)]
pub(super) struct Summary {
    /// One for each history of locks.
    pub(super) arrivals: Vec<Arrival>,
    /// Where the numbers of symbols can be learnt that the frame does not hold.
    pub(super) sources: FxHashMap<u64, Source>,
    /// The symbols of its arguments, in order.
    pub(super) arguments: Vec<u64>,
    /// With how many deferred calls the paths were followed at most, if some have more.
    pub(super) most_deferred: Option<usize>,
    /// Where the image was taken to lie.
    pub(super) bias: LoadBias,
    /// Whether nothing was done to any lock, on no path.
    pub(super) is_idle: bool,
}

/// Where a symbol's number can be learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The caller's register, by its position among the arguments.
    Argument(usize),
    /// The caller's closure register.
    Closure,
    /// Memory where this number leads to, as it is now.
    Memory(Number),
}

/// One history of locks.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) held: Vec<Taken>,
    /// What was given back without having been taken: of the caller's.
    pub(super) released: Vec<(LockKind, Number)>,
    /// Whether code ran that could not be followed.
    pub(super) unknown_code: bool,
    /// By symbol: words of the frame, counted from its frame address, and how far what lies there is
    /// from the symbol.
    pub(super) slots: FxHashMap<u64, Vec<(i64, u64)>>,
    /// What the registers for arguments hold.
    pub(super) arguments: Vec<Number>,
    /// What the closure register holds.
    pub(super) closure: Number,
    /// How many calls the function has deferred that are in records.
    pub(super) deferred: usize,
    /// Bytes of the frame that are the same for every goroutine that came this way: offset from the
    /// frame address, bytes, mask.
    pub(super) fixed: Vec<(i64, u64, u64)>,
}

/// A lock that has been taken and not given back.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) kind: LockKind,
    pub(super) at: Number,
    pub(super) site: ImageAddr,
    /// Whether code that could not be followed may have given it back.
    pub(super) doubted: bool,
    /// What may be the same lock, and was given back.
    pub(super) aliases: Vec<Number>,
}

/// A number as the function alone knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Number {
    /// Nothing is known.
    Unknown,
    /// An address in the image, or a constant.
    Fixed(u64),
    /// So far from the frame address.
    InFrame(i64),
    /// So far from a symbol.
    Symbol(u64, u64),
}

/// What `routine` has done when it is about to execute its instruction number `at`, whatever it was
/// called with.
pub(super) fn of(code: &Code, routine: &Arc<Routine>, at: u32) -> Option<Summary> {
    follow(code, &Symbols::new(code), &Incoming::default(), routine, at)
}

/// The same of one goroutine of the process that has `memory`, as that is now, with what the function
/// was called with. `apart`: paths that meet are kept apart as far as that goes.
pub(super) fn in_process(
    code: &Code,
    (memory, bias): (&dyn Memory, LoadBias),
    incoming: &Incoming,
    (routine, at): (&Arc<Routine>, u32),
    apart: bool,
) -> Option<Summary> {
    let apart = if apart { KEPT_APART } else { 0 };
    let symbols = Symbols::in_process(code, memory, bias).keeping_apart(apart);
    follow(code, &symbols, incoming, routine, at)
}

fn follow(
    code: &Code,
    symbols: &Symbols<'_>,
    incoming: &Incoming,
    routine: &Arc<Routine>,
    at: u32,
) -> Option<Summary> {
    let trace = Trace::off();
    let world = World::of_symbols(code, symbols, &trace);
    let executor = Executor::new(code, symbols.bias(), world, Decide::Surely);
    let mut executor = executor.watching(Watch::new(code, routine, at, symbols.kept_apart()));
    let entry = entry(code, symbols, incoming, routine)?;
    let outcome = executor.run(0, false, vec![entry]);
    let watch = executor.into_watch()?;
    if outcome.exhausted || watch.overflow {
        let own = packages::keeps_locks_to_itself(&routine.function.name);
        return own.then(|| Summary::idle(symbols.bias()));
    }
    let reader = Reader { code, symbols };
    let arrivals: Vec<Arrival> = watch.arrivals.iter().map(|s| reader.arrival(s)).collect();
    let is_idle = arrivals
        .iter()
        .all(|a| a.held.is_empty() && a.released.is_empty() && !a.unknown_code);
    Some(Summary {
        sources: reader.sources(&arrivals),
        arguments: reader.arguments(),
        bias: symbols.bias(),
        is_idle,
        most_deferred: watch.defers_more.then_some(MAX_DEFERRED - 1),
        arrivals,
    })
}

/// The state in which `routine` is entered.
fn entry(
    code: &Code,
    symbols: &Symbols<'_>,
    incoming: &Incoming,
    routine: &Arc<Routine>,
) -> Option<State> {
    let isa = code.isa();
    let at = routine.body.index_of(routine.function.entry)?;
    let mut state = State::new(Arc::clone(routine), at);
    let fixed = |bits| Value::exact(bits);
    let named = |known: Option<u64>, origin| {
        if let Some(known) = known {
            return fixed(known);
        }
        let symbol = symbols.number(origin);
        // What it stands for decides nothing.
        symbol.map_or(Value::Unknown, |(number, _)| fixed(number).reloaded())
    };
    state.frame = fixed(FRAME);
    for (index, register) in isa.arguments().iter().enumerate() {
        let known = incoming.arguments.get(index).copied().flatten();
        state.set_register(*register, named(known, Origin::Argument(index)));
    }
    let closure = named(incoming.closure, Origin::Closure);
    state.set_register(isa.closure(), closure);
    state.set_register(isa.goroutine(), named(None, Origin::Goroutine));
    state.set_register(isa.stack_pointer(), fixed(FRAME - isa.call_pushes()));
    if let Some(zero) = isa.zero_wide() {
        state.wide.set(zero, (fixed(0), fixed(0)));
    }
    // Its paths part at once, so that loops over what is not known come to an end.
    state.forks = 1;
    Some(state)
}

struct Reader<'a> {
    code: &'a Code,
    symbols: &'a Symbols<'a>,
}

impl Reader<'_> {
    fn arrival(&self, state: &State) -> Arrival {
        let effects = &state.effects;
        let isa = self.code.isa();
        let register = |register| self.value(state.register(register));
        Arrival {
            held: effects
                .held
                .iter()
                .filter(|(kind, _)| *kind != LockKind::Promise)
                .map(|lock| Taken {
                    kind: lock.0,
                    at: self.number(lock.1),
                    site: effects.site(*lock).unwrap_or(ImageAddr(0)),
                    doubted: effects.doubted.contains(lock),
                    aliases: effects
                        .aliased
                        .iter()
                        .filter(|(aliased, _)| aliased == lock)
                        .map(|(_, number)| self.number(*number))
                        .collect(),
                })
                .collect(),
            released: effects
                .released
                .iter()
                .filter_map(|released| Some((released.kind.lock()?, self.number(released.object))))
                .filter(|(kind, _)| *kind != LockKind::Promise)
                .collect(),
            unknown_code: effects.unknown_code,
            slots: self.slots(state),
            arguments: isa.arguments().iter().map(|r| register(*r)).collect(),
            closure: register(isa.closure()),
            deferred: effects.deferred.len(),
            fixed: self.fixed(state),
        }
    }

    fn slots(&self, state: &State) -> FxHashMap<u64, Vec<(i64, u64)>> {
        let mut slots: FxHashMap<u64, Vec<(i64, u64)>> = FxHashMap::default();
        for (at, cell) in state.cells.iter() {
            let word = cell.word().map(|term| self.number(term.unnoted()));
            if let (Some(Number::Symbol(symbol, off)), true) = (word, STACK.contains(&at.get())) {
                let slots = slots.entry(symbol).or_default();
                if slots.len() < MAX_SLOTS {
                    slots.push((at.get().wrapping_sub(FRAME).cast_signed(), off));
                }
            }
        }
        slots
    }

    /// What the path wrote into its frame, as far as nobody else has its address who could have
    /// written there since.
    fn fixed(&self, state: &State) -> Vec<(i64, u64, u64)> {
        let pointed = state.registers.iter().filter_map(|value| value.term());
        let stored = state.cells.iter().filter_map(|(_, cell)| cell.word());
        let shared: Vec<u64> = pointed
            .chain(stored)
            .map(|term| term.unnoted())
            .filter(|bits| STACK.contains(bits))
            .collect();
        let sp = self.code.isa().stack_pointer();
        let sp = state
            .register(sp)
            .term()
            .map_or(FRAME, |term| term.unnoted());
        let bits = state
            .routine
            .defer_bits
            .map(|below| FRAME.wrapping_sub(below));
        let is_shared = |at: u64| {
            let of_defers = bits.is_some_and(|bits| bits & !7 == at);
            let offset = |at: u64| at.wrapping_sub(FRAME).cast_signed();
            let within = |&from: &u64| {
                from != sp
                    && state
                        .routine
                        .object_at(offset(from), SHARED)
                        .contains(&offset(at))
            };
            !of_defers && shared.iter().any(within)
        };
        let cells = state.cells.iter();
        cells
            .filter(|(at, _)| (sp..FRAME).contains(&at.get()) && !is_shared(at.get()))
            .filter_map(|(at, cell)| {
                let (bits, mask) = cell.certain()?;
                let is_number = mask != u64::MAX || bits < MAX_NUMBER;
                let offset = at.get().wrapping_sub(FRAME).cast_signed();
                is_number.then_some((offset, bits, mask))
            })
            .collect()
    }

    fn value(&self, value: Value) -> Number {
        value
            .term()
            .map_or(Number::Unknown, |term| self.number(term.unnoted()))
    }

    fn number(&self, bits: u64) -> Number {
        if bits == 0 {
            Number::Unknown
        } else if STACK.contains(&bits) {
            Number::InFrame(bits.wrapping_sub(FRAME).cast_signed())
        } else if let Some((origin, displacement)) = self.symbols.origin(bits) {
            let symbol = self.symbols.number(origin).map_or(0, |(number, _)| number);
            Number::Symbol(symbol, displacement)
        } else {
            Number::Fixed(bits)
        }
    }

    fn arguments(&self) -> Vec<u64> {
        let count = self.code.isa().arguments().len();
        let symbol = |index| self.symbols.number(Origin::Argument(index));
        (0..count)
            .map(|index| symbol(index).map_or(0, |s| s.0))
            .collect()
    }

    /// Where the numbers of the symbols come from that `arrivals` speak of.
    fn sources(&self, arrivals: &[Arrival]) -> FxHashMap<u64, Source> {
        let mut sources = FxHashMap::default();
        let held = arrivals.iter().flat_map(|a| &a.held);
        let named = held.flat_map(|taken| std::iter::once(&taken.at).chain(&taken.aliases));
        let released = arrivals
            .iter()
            .flat_map(|a| a.released.iter().map(|r| &r.1));
        let passed = arrivals
            .iter()
            .flat_map(|a| a.arguments.iter().chain([&a.closure]));
        let mut open: Vec<Number> = named.chain(released).chain(passed).copied().collect();
        while let Some(number) = open.pop() {
            let Number::Symbol(symbol, _) = number else {
                continue;
            };
            if sources.contains_key(&symbol) {
                continue;
            }
            let source = match self.symbols.origin(symbol) {
                Some((Origin::Argument(index), _)) => Source::Argument(index),
                Some((Origin::Closure, _)) => Source::Closure,
                Some((Origin::Loaded(at), _)) => {
                    let at = self.number(at);
                    open.push(at);
                    Source::Memory(at)
                }
                _ => continue,
            };
            sources.insert(symbol, source);
        }
        sources
    }
}

impl Summary {
    /// Of a function of the standard library that was too much to follow: it has done nothing to its
    /// callers' locks.
    fn idle(bias: LoadBias) -> Self {
        Self {
            arrivals: Vec::new(),
            sources: FxHashMap::default(),
            arguments: Vec::new(),
            most_deferred: None,
            bias,
            is_idle: true,
        }
    }

    /// Nothing is known to have been done: of a function that touches no lock.
    pub(super) const fn touches_locks(&self) -> bool {
        !self.is_idle
    }
    /// Whether what the function has done, or calls others with, depends on what its callers say that it
    /// was called with.
    pub(super) fn asks_callers(&self) -> bool {
        let mut sources = self.sources.values();
        sources.any(|source| matches!(source, Source::Argument(_) | Source::Closure))
    }
}
