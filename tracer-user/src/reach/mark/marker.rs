//! The marking itself: reached objects are read, and what they point to is reached.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Range, RangeReader,
    bitmap::ObjectSet,
    change::{PageChanges, hash},
};
use crate::{
    ids::TargetAddr,
    memory::{Memory, ReadError},
    reach::heap::{ObjectAt, PAGE_BYTES, Place, Span, SpanId, SpanTable},
};

/// Objects nearer to each other than this are read in one range.
const GAP_BYTES: u64 = 1024;
/// About how much is read before what was found is sorted again.
const ROUND_BYTES: u64 = 1 << 20;
/// At most so many spans are taken from the queue at once.
const ROUND_SPANS: usize = 1024;

/// What becomes of the words of a range besides being followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// First pass: remember how each page looked.
    First,
    /// Second pass: compare.
    Second,
    /// Later ones.
    Again,
}

/// Objects that are reached but not read on: `g` structs (a goroutine becomes live by the fixpoint
/// only) and `p` structs (whose buffers hold stale pointers).
pub type Opaque = FxHashSet<ObjectAt>;

/// The marks, and what is still to be read.
#[derive(Debug, Default)]
pub struct Marker {
    reader: RangeReader,
    marks: Marks,
}

#[derive(Debug, Default)]
struct Marks {
    table: SpanTable,
    low: u64,
    width: u64,
    reached: ObjectSet,
    reached_bytes: u64,
    pending: ObjectSet,
    queue: VecDeque<SpanId>,
    queued: FxHashSet<SpanId>,
    opaque: Opaque,
    opaque_spans: FxHashSet<SpanId>,
    /// From the block that holds a weak handle to what the handle leads to.
    weak: FxHashMap<ObjectAt, Vec<TargetAddr>>,
    /// What weak handles led to, still to be followed.
    through_weak: Vec<TargetAddr>,
    /// Stacks of which it matters whether anything points into them.
    watched: Vec<Range>,
    pointed_at: FxHashSet<TargetAddr>,
    changes: PageChanges,
    second: bool,
}

impl Marker {
    /// Replaces the span table, keeping all marks (span numbers are stable), by way of `change`.
    ///
    /// # Errors
    /// What `change` returns.
    pub fn with_table<E>(
        &mut self,
        change: impl FnOnce(&mut SpanTable) -> Result<(), E>,
    ) -> Result<(), E> {
        let result = change(&mut self.marks.table);
        let (low, high) = self.marks.table.bounds();
        self.marks.low = low;
        self.marks.width = high - low;
        self.marks.changes.cover(self.marks.table.page_count());
        result
    }

    /// The spans.
    #[must_use]
    pub fn table(&self) -> &SpanTable {
        &self.marks.table
    }

    /// Bytes read from the target so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.reader.bytes_read
    }

    /// Ranges that could not be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.reader.unreadable
    }

    /// Number of objects reached.
    #[must_use]
    pub fn reached_objects(&self) -> u64 {
        self.marks.reached.len() - self.marks.opaque.len() as u64
    }

    /// Bytes of the objects reached.
    #[must_use]
    pub fn reached_bytes(&self) -> u64 {
        self.marks.reached_bytes
    }

    /// Number of pages that are held to be changing.
    #[must_use]
    pub fn changing_pages(&self) -> u64 {
        self.marks.changes.changing_pages()
    }

    /// The object at `at` will not be read when reached.
    pub fn set_opaque(&mut self, at: TargetAddr) {
        if let Place::Object(object) = self.marks.table.find(at)
            && let Some(span) = self.marks.table.span(object.span).copied()
            && self.marks.opaque.insert(object)
        {
            self.marks.reached.insert(object, span.elements);
            self.marks.opaque_spans.insert(object.span);
        }
    }

    /// Whoever reaches the block that holds the weak handle at `handle` can get at `target`.
    pub fn set_weak(&mut self, handle: TargetAddr, target: TargetAddr) {
        if let Place::Object(block) = self.marks.table.find(handle) {
            let reached = self.marks.reached.contains(block);
            let targets = self.marks.weak.entry(block).or_default();
            if !targets.contains(&target) {
                targets.push(target);
            }
            if reached {
                self.marks.word(target.0);
            }
        }
    }

    /// From now on it is noted when a word that is read points into `stack`.
    pub fn watch(&mut self, stack: Range) {
        self.marks.watched.push(stack);
    }

    /// Whether something that was read points into the watched stack at `start`.
    #[must_use]
    pub fn is_pointed_at(&self, start: TargetAddr) -> bool {
        self.marks.pointed_at.contains(&start)
    }

    /// Whether the object that `at` lies in has been reached; `None` outside the heap's objects.
    #[must_use]
    pub fn is_reached(&self, at: TargetAddr) -> Option<bool> {
        match self.marks.table.find(at) {
            Place::Object(object) => Some(self.marks.reached.contains(object)),
            _ => None,
        }
    }

    /// Follows one word.
    pub fn word(&mut self, word: u64) {
        self.marks.word(word);
    }

    /// Follows every word of `bytes`.
    pub fn words(&mut self, bytes: &[u8]) {
        self.marks.follow(bytes);
    }

    /// Follows every word of `ranges`, which lie outside the heap's objects.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn roots(&mut self, memory: &dyn Memory, ranges: &[Range]) -> Result<(), ReadError> {
        let marks = &mut self.marks;
        self.reader
            .read(memory, ranges, |_, bytes| marks.follow(bytes))
    }

    /// Reads what has been reached and not read yet, until there is nothing more.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn drain(&mut self, memory: &dyn Memory) -> Result<(), ReadError> {
        let reading = if self.marks.second {
            Reading::Again
        } else {
            Reading::First
        };
        loop {
            while let Some(target) = self.marks.through_weak.pop() {
                self.marks.word(target.0);
            }
            if self.marks.queue.is_empty() {
                return Ok(());
            }
            let extents = self.marks.take_pending();
            self.read(memory, &extents, reading)?;
        }
    }

    /// The second pass: reads everything reached so far once more, and whatever that leads to, and
    /// notes which pages changed since the first.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn reread_all(&mut self, memory: &dyn Memory) -> Result<(), ReadError> {
        self.drain(memory)?;
        self.marks.second = true;
        let spans: Vec<(SpanId, Span)> = self.spans();
        // Highest address first: what moved out of the first pass's way runs towards this one.
        for spans in spans.rchunks(ROUND_SPANS) {
            let mut extents = Vec::new();
            for (id, span) in spans {
                self.marks.reached_in(*id, span, &mut |e| extents.push(e));
            }
            self.read(memory, &extents, Reading::Second)?;
        }
        self.marks.changes.compare();
        self.drain(memory)
    }

    /// Reads the reached objects on changing pages once more, upwards or downwards.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn reread_changing(
        &mut self,
        memory: &dyn Memory,
        downwards: bool,
    ) -> Result<(), ReadError> {
        let mut extents = Vec::new();
        for (id, span) in self.spans() {
            let marks = &self.marks;
            if marks.any_changing(&span) {
                marks.reached_in(id, &span, &mut |extent| {
                    let page = marks.table.page_number(extent.at);
                    if page.is_some_and(|page| marks.changes.is_changing(page)) {
                        extents.push(extent);
                    }
                });
            }
        }
        if downwards {
            for chunk in extents.rchunks(4096) {
                self.read(memory, chunk, Reading::Again)?;
            }
        } else {
            self.read(memory, &extents, Reading::Again)?;
        }
        self.drain(memory)
    }

    fn spans(&self) -> Vec<(SpanId, Span)> {
        let spans = self.marks.table.in_use();
        let mut spans: Vec<_> = spans
            .filter(|(_, span)| span.holds_pointers)
            .map(|(id, span)| (id, *span))
            .collect();
        spans.sort_unstable_by_key(|(_, span)| span.start);
        spans
    }

    /// Reads `extents` (ascending) and follows every word in them, and no word between them.
    fn read(
        &mut self,
        memory: &dyn Memory,
        extents: &[Range],
        reading: Reading,
    ) -> Result<(), ReadError> {
        let ranges = merge(extents);
        let marks = &mut self.marks;
        let mut next = 0;
        self.reader.read(memory, &ranges, |range, bytes| {
            let end = range.at.0 + range.len;
            while let Some(extent) = extents.get(next) {
                let (start, stop) = (extent.at.0.max(range.at.0), extent.at.0 + extent.len);
                if start >= end {
                    break;
                }
                let from = usize::try_from(start - range.at.0).unwrap_or(usize::MAX);
                let to = usize::try_from(stop.min(end) - range.at.0).unwrap_or(0);
                if let Some(words) = bytes.get(from..to) {
                    marks.extent(TargetAddr(start), words, reading);
                }
                if stop > end {
                    break;
                }
                next += 1;
            }
        })
    }
}

/// The ranges to read so that all of `extents` (ascending) are in them.
fn merge(extents: &[Range]) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for extent in extents {
        let end = extent.at.0 + extent.len;
        match ranges.last_mut() {
            Some(last) if extent.at.0 <= last.at.0 + last.len + GAP_BYTES => {
                last.len = last.len.max(end - last.at.0);
            }
            _ => ranges.push(*extent),
        }
    }
    ranges
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|at| word[at])))
}

impl Marks {
    #[inline]
    fn word(&mut self, word: u64) {
        if word.wrapping_sub(self.low) >= self.width {
            return;
        }
        match self.table.find(TargetAddr(word)) {
            Place::Object(object) => self.object(object),
            Place::Stack if !self.watched.is_empty() => self.stack(word),
            Place::Stack | Place::Unused | Place::Elsewhere => {}
        }
    }

    fn object(&mut self, object: ObjectAt) {
        let Some(span) = self.table.span(object.span).copied() else {
            return;
        };
        if !self.reached.insert(object, span.elements) {
            return;
        }
        self.reached_bytes += span.element_size;
        if !self.weak.is_empty()
            && let Some(targets) = self.weak.get(&object)
        {
            self.through_weak.extend_from_slice(targets);
        }
        if span.holds_pointers {
            self.pending.insert(object, span.elements);
            if self.queued.insert(object.span) {
                self.queue.push_back(object.span);
            }
        }
    }

    fn stack(&mut self, word: u64) {
        for stack in &self.watched {
            if word.wrapping_sub(stack.at.0) < stack.len {
                self.pointed_at.insert(stack.at);
            }
        }
    }

    fn follow(&mut self, bytes: &[u8]) {
        for word in words(bytes) {
            self.word(word);
        }
    }

    fn extent(&mut self, at: TargetAddr, bytes: &[u8], reading: Reading) {
        self.follow(bytes);
        let Some(page) = self.table.page_number(at) else {
            return;
        };
        match reading {
            Reading::First => self.changes.first(page, hash(at.0, words(bytes))),
            Reading::Second => self.changes.second(page, hash(at.0, words(bytes))),
            Reading::Again => self.changes.set_changing(page),
        }
    }

    /// Takes some spans from the queue, and from them what is to be read, ascending.
    fn take_pending(&mut self) -> Vec<Range> {
        let mut spans = Vec::new();
        let mut bytes = 0;
        while bytes < ROUND_BYTES && spans.len() < ROUND_SPANS {
            let Some(id) = self.queue.pop_front() else {
                break;
            };
            self.queued.remove(&id);
            if let Some(span) = self.table.span(id).copied() {
                bytes += span.bytes;
                spans.push((id, span));
            }
        }
        spans.sort_unstable_by_key(|(_, span)| span.start);
        let mut extents = Vec::new();
        for (id, span) in spans {
            for index in self.pending.in_span(id, span.elements) {
                pieces(&span, index, &mut |extent| extents.push(extent));
            }
            self.pending.clear_span(id, span.elements);
        }
        extents
    }

    /// What has been reached in `span` and may be read, ascending.
    fn reached_in(&self, id: SpanId, span: &Span, each: &mut impl FnMut(Range)) {
        let some_opaque = self.opaque_spans.contains(&id);
        for index in self.reached.in_span(id, span.elements) {
            if !some_opaque || !self.opaque.contains(&ObjectAt { span: id, index }) {
                pieces(span, index, each);
            }
        }
    }

    fn any_changing(&self, span: &Span) -> bool {
        let pages = span.bytes / PAGE_BYTES;
        (0..pages).any(|page| {
            let page = self.table.page_number(span.start.offset(page * PAGE_BYTES));
            page.is_some_and(|page| self.changes.is_changing(page))
        })
    }
}

/// One object as a range, or page by page when it is larger than a page.
fn pieces(span: &Span, index: u32, each: &mut impl FnMut(Range)) {
    let (mut at, mut rest) = (span.object(index), span.element_size);
    if rest <= PAGE_BYTES {
        return each(Range { at, len: rest });
    }
    while rest > 0 {
        let len = (PAGE_BYTES - at.0 % PAGE_BYTES).min(rest);
        each(Range { at, len });
        at = at.offset(len);
        rest -= len;
    }
}
