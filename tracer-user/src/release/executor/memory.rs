//! The target's memory as one goroutine's continuation will find it.

use std::{cell::RefCell, ops::Range};

use rustc_hash::FxHashMap;

use super::{
    super::{
        code::Code,
        maps::Found,
        past::{STACK, Symbols},
    },
    cells::Cell,
    trace::{CellAddr, Ground, Key, Term, Trace},
};
use crate::{
    ids::{LoadBias, TargetAddr},
    image::GoVersion,
    memory::{MIN_POINTER, Memory, MemoryExt as _},
};

/// Words of other memory read for one goroutine at most.
const MAX_WORDS: usize = 20_000;
/// How far from where they would lie the frames of calls that are followed lie: nothing is there.
/// A stack may have less room left than such calls need, and grows elsewhere when they are made.
const CALLEES: u64 = 0x2000_0000_0000_0000;
/// How much room these calls have.
const CALLEES_ROOM: u64 = 1 << 20;

/// Memory under a path's own writes: the goroutine's frames, read-only data, and the rest.
pub struct World<'a> {
    /// What the execution depends on.
    pub trace: &'a Trace,
    memory: &'a dyn Memory,
    code: &'a Code,
    bias: LoadBias,
    stack: Range<u64>,
    /// Where the bytes of `window` begin.
    window_at: u64,
    window: &'a [u8],
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
    /// The memory around a goroutine whose stack is `stack` and whose frames begin at `sp`, where
    /// the bytes of `window` lie.
    pub fn new(
        (memory, bias): (&'a dyn Memory, LoadBias),
        code: &'a Code,
        stack: Range<u64>,
        (sp, window): (u64, &'a [u8]),
        trace: &'a Trace,
    ) -> Self {
        Self {
            trace,
            memory,
            code,
            bias,
            stack,
            window_at: sp,
            window,
            live_from: sp,
            pending: Vec::new(),
            symbols: None,
            words: RefCell::default(),
        }
    }

    /// Memory of which nothing is known but the image: `symbols` stand for the rest.
    pub fn of_symbols(code: &'a Code, symbols: &'a Symbols<'a>, trace: &'a Trace) -> Self {
        let at_frame = (STACK.start, &[][..]);
        Self {
            symbols: Some(symbols),
            ..Self::new((symbols, symbols.bias()), code, STACK, at_frame, trace)
        }
    }

    /// What stands for what is not known, where a function's past is followed.
    pub const fn symbols(&self) -> Option<&'a Symbols<'a>> {
        self.symbols
    }

    /// All of the target's memory, as it is now.
    pub fn as_it_is(&self) -> &'a dyn Memory {
        self.memory
    }

    /// The version of Go that the image was built with.
    pub fn go_version(&self) -> &GoVersion {
        self.code.image().go_version()
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
        self.stack.clone()
    }

    /// How far off the frames lie of calls that are made from the goroutine's own frames.
    pub const fn to_callees(&self) -> u64 {
        // What stands for a stack where a function's past is followed has room enough.
        if self.symbols.is_some() { 0 } else { CALLEES }
    }

    /// Where the frames of followed calls lie, and how the frames that make them would look from there.
    pub fn callees(&self) -> Range<u64> {
        match self.to_callees() {
            0 => 0..0,
            off => {
                let start = self.stack.start.saturating_sub(CALLEES_ROOM);
                off.saturating_add(start)..off.saturating_add(self.stack.end)
            }
        }
    }

    /// The end of the part of the stack that `at` lies on.
    pub fn stack_end(&self, at: u64) -> u64 {
        let callees = self.callees();
        if callees.contains(&at) {
            callees.end
        } else {
            self.stack.end
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
        let on_stack = self.stack.contains(&at.get());
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

    /// What was read ahead at `at`.
    fn in_window(&self, at: u64) -> Option<u64> {
        let skip = usize::try_from(at.checked_sub(self.window_at)?).ok()?;
        let bytes = self.window.get(skip..skip.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
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
        let word = self.memory.read_u64(TargetAddr(at)).ok();
        let word = word.map(|bits| (bits, !self.is_constant(at)));
        words.insert(at, word);
        word
    }

    /// Whether nothing writes to `at` while the process runs: code and read-only data.
    fn is_constant(&self, at: u64) -> bool {
        self.code.is_constant(TargetAddr(at).in_image(self.bias))
    }

    /// Whether `term` points to what nothing writes to while the process runs. The course may depend
    /// on where that is.
    pub fn points_to_constant(&self, term: Term) -> bool {
        self.is_constant(self.trace.number(term))
    }
}

impl Ground for World<'_> {
    fn on_stack(&self, at: u64) -> Option<u64> {
        let is_stack = self.stack.contains(&at) || self.callees().contains(&at);
        is_stack.then(|| at.wrapping_sub(self.window_at))
    }

    fn is_function(&self, at: u64) -> bool {
        let at = TargetAddr(at).in_image(self.bias);
        self.code.image().module().text.contains(&at)
            && (self.code.callee(at)).is_some_and(|callee| callee.function.entry == at)
    }

    fn look_up(&self, type_at: u64, map: u64, key: Key<u64>) -> Option<Found> {
        self.find_key(type_at, map, key)
    }

    fn word(&self, at: u64) -> Option<(u64, bool)> {
        if self.stack.contains(&at) {
            let word = self.in_window(at);
            let word = word.or_else(|| Some(self.elsewhere(at)?.0))?;
            return Some((word, false));
        }
        self.elsewhere(at)
    }
}
