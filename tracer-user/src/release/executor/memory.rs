//! The target's memory as one goroutine's continuation will find it.

use std::{cell::RefCell, ops::Range};

use rustc_hash::FxHashMap;

use super::cells::Cell;
use crate::{
    ids::{LoadBias, TargetAddr},
    image::Image,
    memory::{Memory, MemoryExt as _},
};

/// Words of other memory read for one goroutine at most.
const MAX_WORDS: usize = 20_000;

/// Memory under a path's own writes: the goroutine's frames, read-only data, and the rest.
pub struct World<'a> {
    memory: &'a dyn Memory,
    image: &'a Image,
    bias: LoadBias,
    stack: Range<u64>,
    /// Where the bytes of `window` begin.
    window_at: u64,
    window: &'a [u8],
    /// Below this the stack holds nothing that is still of use.
    live_from: u64,
    /// Parts of the stack that change before the goroutine runs again.
    pending: Vec<Range<u64>>,
    words: RefCell<FxHashMap<u64, Option<u64>>>,
}

impl<'a> World<'a> {
    /// The memory around a goroutine whose stack is `stack` and whose frames begin at `sp`, where
    /// the bytes of `window` lie.
    pub fn new(
        memory: &'a dyn Memory,
        image: &'a Image,
        bias: LoadBias,
        stack: Range<u64>,
        sp: u64,
        window: &'a [u8],
    ) -> Self {
        Self {
            memory,
            image,
            bias,
            stack,
            window_at: sp,
            window,
            live_from: sp,
            pending: Vec::new(),
            words: RefCell::default(),
        }
    }

    /// All of the target's memory, as it is now.
    pub fn as_it_is(&self) -> &'a dyn Memory {
        self.memory
    }

    /// Frames below `sp` are gone.
    pub fn live_from(&mut self, sp: u64) {
        self.live_from = sp;
    }

    /// Somebody else writes here before the goroutine runs again.
    pub fn changes(&mut self, range: Range<u64>) {
        self.pending.push(range);
    }

    /// Whether `at` is on the goroutine's own stack.
    pub fn is_own_stack(&self, at: u64) -> bool {
        self.stack.contains(&at)
    }

    /// The bounds of the goroutine's own stack.
    pub fn stack(&self) -> Range<u64> {
        self.stack.clone()
    }

    /// The aligned word at `at`.
    pub fn cell(&self, at: u64) -> Cell {
        if self.is_own_stack(at) {
            return self.own(at);
        }
        if at < 4096 {
            return Cell::default();
        }
        let loaded = !self.is_constant(at);
        self.word(at).map_or_else(Cell::default, |bits| Cell {
            bits,
            known: 0xff,
            loaded,
        })
    }

    fn own(&self, at: u64) -> Cell {
        if at < self.live_from || self.pending.iter().any(|r| r.start < at + 8 && at < r.end) {
            return Cell::default();
        }
        let inside = at
            .checked_sub(self.window_at)
            .and_then(|skip| usize::try_from(skip).ok())
            .and_then(|skip| self.window.get(skip..skip.checked_add(8)?))
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_le_bytes);
        inside
            .or_else(|| self.word(at))
            .map_or_else(Cell::default, |bits| Cell {
                bits,
                known: 0xff,
                loaded: false,
            })
    }

    fn word(&self, at: u64) -> Option<u64> {
        let mut words = self.words.borrow_mut();
        if let Some(known) = words.get(&at) {
            return *known;
        }
        if words.len() >= MAX_WORDS {
            return None;
        }
        let word = self.memory.read_u64(TargetAddr(at)).ok();
        words.insert(at, word);
        word
    }

    /// Whether nothing writes to `at` while the process runs: code and read-only data.
    pub fn is_constant(&self, at: u64) -> bool {
        let at = TargetAddr(at).in_image(self.bias);
        let module = self.image.module();
        let writable = [
            &module.noptrdata,
            &module.data,
            &module.bss,
            &module.noptrbss,
        ];
        self.image.bytes(at, 8).is_some() && !writable.iter().any(|range| range.contains(&at))
    }
}
