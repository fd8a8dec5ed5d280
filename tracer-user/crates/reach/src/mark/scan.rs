//! Following words in large numbers.
//!
//! Most words are no pointers, most pointers lead to what has been reached, and neither can be
//! foreseen. So the words are sifted step by step, each step without a branch that depends on them:
//! the processor then has many look-ups under way at once.

use super::{marks::Marks, window::Window};
use crate::heap::{ObjectAt, SpanTable};
use ids::TargetAddr;

/// So many words that may be pointers are collected before they are looked up.
const BATCH: usize = 512;
/// So many words are sifted at once.
const CHUNK: usize = BATCH / 2;

/// What following words led to, besides marks.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Whether any object was reached that had not been.
    pub(super) anything: bool,
    /// Windows in which something is to be read.
    pub(super) windows: Vec<Window>,
    /// Objects that hold weak handles.
    pub(super) weak: Vec<ObjectAt>,
    /// Words that point to stacks, if it matters.
    pub(super) to_stacks: Vec<u64>,
}

/// Follows words. Those that it has collected are only followed by [`Self::flush`].
#[derive(Debug)]
pub(super) struct Scanner {
    batch: Box<[u64; BATCH]>,
    held: usize,
    fresh: Box<[(u64, u32); BATCH]>,
    found: Found,
    /// Where the caller is at work: what is to be read there is noted in `pending` only.
    home: Window,
    /// The spans of that window, by slot, in which something is to be read.
    pub(super) pending: u64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            batch: Box::new([0; BATCH]),
            held: 0,
            fresh: Box::new([(0, 0); BATCH]),
            found: Found::default(),
            home: Window::NONE,
            pending: 0,
        }
    }
}

impl Scanner {
    /// Begins work in `home`, where `pending` spans are to be read.
    pub(super) fn begin(&mut self, home: Window, pending: u64) {
        self.home = home;
        self.pending = pending;
    }

    /// What was found since this was last asked.
    pub(super) fn take_found(&mut self) -> Found {
        std::mem::take(&mut self.found)
    }

    /// Takes up every word of `bytes`.
    pub(super) fn scan(&mut self, marks: &Marks, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<8>();
        for chunk in words.chunks(CHUNK) {
            if self.held > BATCH - CHUNK {
                self.flush(marks);
            }
            let mut held = self.held;
            for word in chunk {
                let word = u64::from_le_bytes(*word);
                // In range always, as said to the compiler.
                self.batch[held % BATCH] = word;
                held += usize::from(marks.may_be_pointer(word));
            }
            self.held = held;
        }
    }

    /// Whether there is nothing to [`Self::flush`].
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Follows what was taken up.
    pub(super) fn flush(&mut self, marks: &Marks) {
        let mut count = 0;
        for &word in self.batch.iter().take(std::mem::take(&mut self.held)) {
            let entry = marks.table.entry(TargetAddr(word));
            let bit = marks.cuts.bit(entry, word).unwrap_or_else(|| {
                if entry == SpanTable::STACK && marks.watches() {
                    self.found.to_stacks.push(word);
                }
                0
            });
            self.fresh[count % BATCH] = (bit, entry);
            count += usize::from(!marks.reached.contains(bit));
        }
        for at in 0..count {
            let (bit, entry) = self.fresh[at % BATCH];
            self.mark(marks, bit, entry);
        }
    }

    fn mark(&mut self, marks: &Marks, bit: u64, entry: u32) {
        if !marks.reach(bit) {
            return;
        }
        self.found.anything = true;
        let Some(cut) = marks.cuts.at_entry(entry) else {
            return;
        };
        if cut.has_weak {
            self.found.weak.extend(marks.cuts.object(entry, bit));
        }
        if !cut.holds_pointers {
            return;
        }
        if cut.window == self.home {
            self.pending |= 1 << cut.slot();
        } else if marks.queue(cut.window) {
            self.found.windows.push(cut.window);
        }
    }
}
