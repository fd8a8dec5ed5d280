//! How spans are cut into objects: as much as following one word needs to know, close together.

use super::window::{self, Window};
use crate::heap::{ObjectAt, Span, SpanId, SpanTable};

/// One span, and where its objects have their bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanBits {
    /// Its first address.
    pub(super) start: u64,
    reciprocal: u32,
    elements: u32,
    /// The word in which the bits of its objects begin.
    pub(super) bits: u32,
    /// The window in which it begins.
    pub(super) window: Window,
    pub(super) holds_pointers: bool,
    /// Whether an object of it holds weak handles.
    pub(super) has_weak: bool,
    /// Whether an object of it is not to be read.
    pub(super) has_opaque: bool,
}

/// Stands for all that is no object: its one bit, the first of all, is always set.
const NOWHERE: SpanBits = SpanBits {
    start: 0,
    reciprocal: 0,
    elements: 1,
    bits: 0,
    window: Window::NONE,
    holds_pointers: false,
    has_weak: false,
    has_opaque: false,
};

impl SpanBits {
    /// Its place in its window: 0 to 63.
    #[inline]
    pub(super) fn slot(&self) -> u32 {
        window::slot(self.start)
    }

    /// The number of the bit of its object number `index`.
    pub(super) fn bit(&self, index: u32) -> u64 {
        u64::from(self.bits) * 64 + u64::from(index)
    }

    /// The words that hold its bits.
    #[inline]
    pub(super) fn words(&self) -> std::ops::Range<usize> {
        let start = self.bits as usize;
        start..start + self.elements.div_ceil(64) as usize
    }
}

/// The cuts of all spans by [`SpanTable::entry`].
#[derive(Debug)]
pub(super) struct SpanIndex {
    cuts: Vec<SpanBits>,
    words: u32,
}

impl Default for SpanIndex {
    fn default() -> Self {
        Self {
            cuts: vec![NOWHERE],
            words: 1,
        }
    }
}

impl SpanIndex {
    /// Takes up the spans that are new in `table`.
    pub(super) fn cover(&mut self, table: &SpanTable) {
        for id in self.cuts.len() - 1..table.len() {
            let span = u32::try_from(id).ok().and_then(|id| table.span(SpanId(id)));
            let cut = span.and_then(|span| self.cut(table, span));
            self.cuts.push(cut.unwrap_or(NOWHERE));
        }
    }

    fn cut(&mut self, table: &SpanTable, span: &Span) -> Option<SpanBits> {
        let bits = self.words;
        self.words = bits.checked_add(span.elements.div_ceil(64))?;
        Some(SpanBits {
            start: span.start.0,
            reciprocal: span.reciprocal,
            elements: span.elements,
            bits,
            window: Window::of(table.page_number(span.start)?),
            holds_pointers: span.holds_pointers,
            has_weak: false,
            has_opaque: false,
        })
    }

    /// How many words the bits of all objects take.
    pub(super) fn words(&self) -> usize {
        self.words as usize
    }

    /// The cut of `span`.
    pub(super) fn get(&self, span: SpanId) -> Option<&SpanBits> {
        self.cuts.get(span.0 as usize + 1)
    }

    /// The cut of `span`.
    pub(super) fn get_mut(&mut self, span: SpanId) -> Option<&mut SpanBits> {
        self.cuts.get_mut(span.0 as usize + 1)
    }

    /// The cut with this entry; `None` for a stack.
    #[inline]
    pub(super) fn at_entry(&self, entry: u32) -> Option<&SpanBits> {
        self.cuts.get(entry as usize)
    }

    /// The number of the bit of the object that `word` points to, in the span with this entry. What
    /// points to no object has bit 0. `None` for a pointer to a stack.
    #[inline]
    pub(super) fn bit(&self, entry: u32, word: u64) -> Option<u64> {
        let cut = self.cuts.get(entry as usize)?;
        let offset = word.wrapping_sub(cut.start);
        let index = offset.wrapping_mul(u64::from(cut.reciprocal)) >> 32;
        // What a span has no room for behind its last object is nothing.
        let bit = u64::from(cut.bits) * 64 + index;
        Some(if index < u64::from(cut.elements) {
            bit
        } else {
            0
        })
    }

    /// The object with bit number `bit` in the span with this entry.
    pub(super) fn object(&self, entry: u32, bit: u64) -> Option<ObjectAt> {
        let cut = self.cuts.get(entry as usize)?;
        Some(ObjectAt {
            span: SpanId(entry.checked_sub(1)?),
            index: u32::try_from(bit.checked_sub(cut.bit(0))?).ok()?,
        })
    }

    /// All spans, each with its cut.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SpanId, &SpanBits)> {
        let cuts = self.cuts.iter().skip(1);
        (0..).map(SpanId).zip(cuts)
    }
}
