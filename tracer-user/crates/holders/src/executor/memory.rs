//! The target's memory as one goroutine's continuation will find it.

use std::{cell::RefCell, ops::Range};

use rustc_hash::FxHashMap;

use super::{
    super::{
        code::Code,
        maps::Found,
        past::{STACK, Symbols},
    },
    cell::Cell,
    surroundings::{CALLEES, Surroundings},
    trace::{CellAddr, Ground, Key, Term, Trace},
};
use memory::{MIN_POINTER, Memory};

/// Words of other memory read for one goroutine at most.
const MAX_WORDS: usize = 20_000;

/// Memory under a path's own writes: the goroutine's frames, read-only data, and the rest.
pub struct World<'a> {
    /// What the execution depends on.
    pub trace: &'a Trace,
    around: Surroundings<'a>,
    /// Below this the stack holds nothing that is still of use.
    live_from: u64,
    /// Parts of the stack that change before the goroutine runs again.
    pending: Vec<Range<u64>>,
    /// What stands for what is not known, where a function's past is followed.
    symbols: Option<&'a Symbols<'a>>,
    /// What was read elsewhere, and whether others can write it.
    words: RefCell<FxHashMap<u64, Option<(u64, bool)>>>,
}

impl<'a> World<'a> {
    /// The memory of a goroutine whose frames begin at `sp`, with what lies `around` it.
    pub fn new(around: Surroundings<'a>, sp: u64, trace: &'a Trace) -> Self {
        Self {
            trace,
            around,
            live_from: sp,
            pending: Vec::new(),
            symbols: None,
            words: RefCell::default(),
        }
    }

    /// Memory of which nothing is known but the image: `symbols` stand for the rest.
    pub fn of_symbols(code: &'a Code, symbols: &'a Symbols<'a>, trace: &'a Trace) -> Self {
        let memory = (symbols as &dyn Memory, symbols.bias());
        let around = Surroundings::new(memory, code, STACK, (STACK.start, &[]));
        Self {
            symbols: Some(symbols),
            ..Self::new(
                around
                    .with_room_for_calls()
                    .knowing_unwritten(symbols.is_in_process()),
                STACK.start,
                trace,
            )
        }
    }

    /// What stands for what is not known, where a function's past is followed.
    pub const fn symbols(&self) -> Option<&'a Symbols<'a>> {
        self.symbols
    }

    /// What lies around the goroutine.
    pub(super) const fn around(&self) -> &Surroundings<'a> {
        &self.around
    }

    /// Frames below `sp` are gone.
    pub fn live_from(&mut self, sp: u64) {
        self.live_from = sp;
    }

    /// Somebody else writes here before the goroutine runs again.
    pub fn changes(&mut self, range: Range<u64>) {
        self.pending.push(range);
    }

    /// The bounds of the goroutine's own stack.
    pub fn stack(&self) -> Range<u64> {
        self.around.stack().clone()
    }

    /// How far off the frames lie of calls that are made from the goroutine's own frames.
    pub const fn to_callees(&self) -> u64 {
        // What stands for a stack where a function's past is followed has room enough.
        if self.symbols.is_some() { 0 } else { CALLEES }
    }

    /// Where the frames of followed calls lie, and how the frames that make them would look from there.
    pub const fn callees(&self) -> &Range<u64> {
        self.around.callees()
    }

    /// The end of the part of the stack that `at` lies on.
    pub fn stack_end(&self, at: u64) -> u64 {
        let callees = self.callees();
        if callees.contains(&at) {
            callees.end
        } else {
            self.around.stack().end
        }
    }

    /// Where on the goroutine's own stack `term` points to.
    pub fn stack_address(&self, term: Term) -> Option<u64> {
        self.trace.stack_address(term, self)
    }

    /// The path writes the word at `at`, or reads it after it did.
    pub fn written(&self, at: CellAddr) {
        self.trace.written(at, self);
    }

    /// The aligned word at `at`.
    pub fn cell(&self, at: CellAddr) -> Cell {
        let on_stack = self.around.stack().contains(&at.get());
        let is_new =
            on_stack && self.changes_before(at.get()) || self.callees().contains(&at.get());
        if is_new || at.get() < MIN_POINTER {
            return Cell::default();
        }
        match self.word(at.get()) {
            Some((bits, loaded)) => {
                Cell::whole(self.trace.word(at, on_stack, bits, loaded), loaded)
            }
            None if on_stack => {
                self.trace.fail();
                Cell::default()
            }
            None => Cell::default(),
        }
    }

    /// Whether what lies at `at` on the stack is no more, or is written before the goroutine runs
    /// again.
    fn changes_before(&self, at: u64) -> bool {
        at < self.live_from || self.pending.iter().any(|r| r.start < at + 8 && at < r.end)
    }

    fn elsewhere(&self, at: u64) -> Option<(u64, bool)> {
        let mut words = self.words.borrow_mut();
        if let Some(known) = words.get(&at) {
            return *known;
        }
        if words.len() >= MAX_WORDS {
            self.trace.fail();
            return None;
        }
        let word = self.around.elsewhere(at);
        words.insert(at, word);
        word
    }

    /// Whether `term` points to what nothing writes to while the process runs. The course may depend
    /// on where that is.
    pub fn points_to_constant(&self, term: Term) -> bool {
        self.around.is_constant(self.trace.number(term))
    }
}

impl Ground for World<'_> {
    fn on_stack(&self, at: u64) -> Option<u64> {
        self.around.on_stack(at)
    }

    fn stacks(&self) -> [Range<u64>; 2] {
        self.around.stacks()
    }

    fn is_function(&self, at: u64) -> bool {
        self.around.is_function(at)
    }

    fn look_up(&self, type_at: u64, map: u64, key: Key<u64>) -> Option<Found> {
        self.around.find_key(type_at, map, key)
    }

    fn word(&self, at: u64) -> Option<(u64, bool)> {
        if self.around.stack().contains(&at) {
            let word = self.around.in_window(at);
            let word = word.or_else(|| Some(self.elsewhere(at)?.0))?;
            return Some((word, false));
        }
        self.elsewhere(at)
    }
}
