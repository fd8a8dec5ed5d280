//! The marks: which objects have been reached, and which of them have been followed.

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Range,
    bitmap::Bitmap,
    change::PageChanges,
    scan::Found,
    span_bits::{SpanBits, SpanIndex},
    window::{WINDOW_PAGES, Window},
};
use crate::heap::{ObjectAt, PAGE_BYTES, Place, Span, SpanId, SpanTable};
use ids::TargetAddr;
use memory::words;

/// The state of a marking that is under way. Several threads may add marks at once; all else is
/// done by one.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Whether several threads add marks at once.
    shared: bool,
    pub(super) table: SpanTable,
    pub(super) cuts: SpanIndex,
    low: u64,
    width: u64,
    /// Objects that have been reached, by [`SpanIndex::bit`].
    pub(super) reached: Bitmap,
    /// Objects that were read, or are not to be: what is reached and not here is pending. Only who
    /// is at work in a window adds to those of its spans.
    pub(super) followed: Bitmap,
    /// Objects that are reached but not read on, by word of their bits: `g` structs (a goroutine
    /// becomes live by the fixpoint only), `p` structs (whose buffers hold stale pointers), and the
    /// sudogs of goroutines that are not live.
    opaque: FxHashMap<usize, u64>,
    /// Windows in which something is pending, one bit for each.
    queued: Bitmap,
    queue: VecDeque<Window>,
    /// From the block that holds a weak handle to what the handle leads to.
    weak: FxHashMap<ObjectAt, Vec<TargetAddr>>,
    /// What weak handles led to, still to be followed.
    through_weak: Vec<TargetAddr>,
    /// Stacks of which it matters whether anything points into them.
    /// From their first address to their length.
    watched: BTreeMap<u64, u64>,
    pointed_at: FxHashSet<TargetAddr>,
    pub(super) changes: PageChanges,
    /// How often what is reached, or can be told of it, has become another.
    pub(super) generation: u64,
}

impl Marks {
    /// No marks. `shared`: whether several threads will add some at once.
    pub(super) fn new(shared: bool) -> Self {
        Self {
            shared,
            ..Self::default()
        }
    }

    /// Marks the object with this bit. Whether it had not been reached.
    #[inline]
    pub(super) fn reach(&self, bit: u64) -> bool {
        match self.shared {
            true => self.reached.insert(bit),
            false => self.reached.insert_alone(bit),
        }
    }

    /// Follows the span table after it was refreshed, and is another. `recut` are spans that were cut
    /// anew over memory that was cut otherwise before, with the spans that were there.
    pub(super) fn table_changed(&mut self, recut: &[(SpanId, SpanId)]) {
        self.generation += 1;
        let (low, high) = self.table.bounds();
        self.low = low;
        self.width = high.saturating_sub(low);
        self.changes.cover(self.table.page_count());
        self.queued.cover(self.windows().len().div_ceil(64));
        self.cuts.cover(&self.table);
        self.reached.cover(self.cuts.words());
        self.followed.cover(self.cuts.words());
        // What is no object needs no mark.
        self.reached.insert(0);
        for (new, old) in recut {
            self.carry_over(*new, *old);
        }
    }

    /// Words that have been followed are not followed again while their page looks the same. One
    /// that led into `old` may by now lead to a new object in `new`, written down a second time in
    /// the same place: so all of `new` counts as reached if anything of `old` was.
    fn carry_over(&mut self, new: SpanId, old: SpanId) {
        let old = self.cuts.get(old).map(SpanBits::words);
        let was_reached = old
            .into_iter()
            .flatten()
            .any(|at| self.reached.word(at) != 0);
        let elements = self.table.span(new).map_or(0, |span| span.elements);
        if was_reached {
            for index in 0..elements {
                self.object(ObjectAt { span: new, index });
            }
        }
    }

    /// The windows with the spans that have a changing page, ascending within an arena.
    pub(super) fn changing_windows(&self) -> Vec<Window> {
        let entries = self.changes.changing().filter_map(|page| {
            let entries = self.table.entries(page..page + 1);
            Some(self.cuts.at_entry(*entries.first()?)?.window)
        });
        let mut windows: Vec<Window> = entries.collect();
        windows.sort_unstable();
        windows.dedup();
        windows
    }

    /// All windows of the heap, ascending within an arena.
    pub(super) fn windows(&self) -> Vec<Window> {
        let count = self.table.page_count().div_ceil(WINDOW_PAGES);
        (0..count).map(|at| Window::of(at * WINDOW_PAGES)).collect()
    }

    fn bit(&self, object: ObjectAt) -> Option<u64> {
        Some(self.cuts.get(object.span)?.bit(object.index))
    }

    /// The objects of every span with that span's size: how many there are for which `of` a word of
    /// their bits has one.
    fn count(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.cuts.iter().filter_map(|(id, cut)| {
            let words = cut
                .words()
                .map(|at| self.reached.word(at) & !self.opaque_word(cut, at));
            let objects = words.map(|word| u64::from(word.count_ones())).sum();
            Some((objects, self.table.span(id)?.element_size))
        })
    }

    /// How many objects have been reached that may be read.
    pub(super) fn reached_objects(&self) -> u64 {
        self.count().map(|(objects, _)| objects).sum()
    }

    /// How many bytes these have.
    pub(super) fn reached_bytes(&self) -> u64 {
        self.count().map(|(objects, size)| objects * size).sum()
    }

    pub(super) fn is_reached(&self, at: TargetAddr) -> Option<bool> {
        match self.table.find(at) {
            Place::Object(object) => self.bit(object).map(|bit| self.reached.contains(bit)),
            _ => None,
        }
    }

    pub(super) fn set_opaque(&mut self, at: TargetAddr) {
        if let Place::Object(object) = self.table.find(at)
            && let Some(bit) = self.bit(object)
            && let Some(cut) = self.cuts.get_mut(object.span)
        {
            cut.has_opaque = true;
            *self.opaque.entry((bit / 64) as usize).or_default() |= 1 << (bit % 64);
            self.reached.insert(bit);
            self.followed.insert(bit);
        }
    }

    /// From now on the object at `at`, opaque so far, is read like any other, as reached.
    pub(super) fn clear_opaque(&mut self, at: TargetAddr) {
        if let Place::Object(object) = self.table.find(at)
            && let Some(bit) = self.bit(object)
            && let Some(word) = self.opaque.get_mut(&((bit / 64) as usize))
            && *word & (1 << (bit % 64)) != 0
        {
            *word &= !(1 << (bit % 64));
            self.followed.remove(bit);
            self.newly_reached(object);
        }
    }

    /// Whether the object that `at` lies in is not read on.
    pub(super) fn is_opaque(&self, at: TargetAddr) -> bool {
        let Place::Object(object) = self.table.find(at) else {
            return false;
        };
        let bit = self.bit(object);
        bit.is_some_and(|bit| {
            let word = self.opaque.get(&((bit / 64) as usize));
            word.is_some_and(|word| word & (1 << (bit % 64)) != 0)
        })
    }

    #[inline]
    fn opaque_word(&self, cut: &SpanBits, at: usize) -> u64 {
        if !cut.has_opaque {
            return 0;
        }
        self.opaque.get(&at).copied().unwrap_or(0)
    }

    pub(super) fn set_weak(&mut self, handle: TargetAddr, target: TargetAddr) {
        if let Place::Object(block) = self.table.find(handle)
            && let Some(bit) = self.bit(block)
            && let Some(cut) = self.cuts.get_mut(block.span)
        {
            cut.has_weak = true;
            let targets = self.weak.entry(block).or_default();
            if !targets.contains(&target) {
                targets.push(target);
                if self.reached.contains(bit) {
                    self.through_weak.push(target);
                }
            }
        }
    }

    pub(super) fn watch(&mut self, stack: Range) {
        self.watched.insert(stack.at.0, stack.len);
    }

    /// Whether it matters what points into stacks.
    pub(super) fn watches(&self) -> bool {
        !self.watched.is_empty()
    }

    pub(super) fn is_pointed_at(&self, start: TargetAddr) -> bool {
        self.pointed_at.contains(&start)
    }

    /// Whether `word` lies between the lowest and the highest address of the heap.
    #[inline]
    pub(super) fn may_be_pointer(&self, word: u64) -> bool {
        word.wrapping_sub(self.low) < self.width
    }

    /// Follows one word.
    #[inline]
    pub(super) fn word(&mut self, word: u64) {
        if !self.may_be_pointer(word) {
            return;
        }
        let entry = self.table.entry(TargetAddr(word));
        match self.cuts.bit(entry, word) {
            Some(bit) if self.reached.contains(bit) => {}
            Some(bit) => {
                if let Some(object) = self.cuts.object(entry, bit) {
                    self.object(object);
                }
            }
            None => self.leads_into_stack(word),
        }
    }

    /// Follows every word of `bytes`.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        for word in words(bytes) {
            self.word(word);
        }
    }

    /// Takes up what was found by following words.
    pub(super) fn take(&mut self, found: Found) {
        self.generation += u64::from(found.anything);
        self.queue.extend(found.windows);
        for block in found.weak {
            self.weak_reached(block);
        }
        for word in found.to_stacks {
            self.leads_into_stack(word);
        }
    }

    /// Notes that `word` points into a stack, if it does and that matters.
    fn leads_into_stack(&mut self, word: u64) {
        if let Some(stack) = self.watched_at(word) {
            self.pointed_at.insert(stack);
            self.generation += 1;
        }
    }

    /// The watched stack that `word` points into, unless that is known.
    fn watched_at(&self, word: u64) -> Option<TargetAddr> {
        let (start, len) = self.watched.range(..=word).next_back()?;
        let at = TargetAddr(*start);
        (word - start < *len && !self.pointed_at.contains(&at)).then_some(at)
    }

    fn object(&mut self, object: ObjectAt) {
        if self.bit(object).is_some_and(|bit| self.reached.insert(bit)) {
            self.newly_reached(object);
        }
    }

    /// Sees to it that a reached object is read.
    fn newly_reached(&mut self, object: ObjectAt) {
        self.generation += 1;
        let Some(cut) = self.cuts.get(object.span).copied() else {
            return;
        };
        if cut.has_weak {
            self.weak_reached(object);
        }
        if cut.holds_pointers && self.queue(cut.window) {
            self.queue.push_back(cut.window);
        }
    }

    fn weak_reached(&mut self, block: ObjectAt) {
        if let Some(targets) = self.weak.get(&block) {
            self.through_weak.extend_from_slice(targets);
        }
    }

    /// Notes that something is pending in `window`. Whether that was not known: then the caller has
    /// to see to it that it comes into the queue.
    #[inline]
    pub(super) fn queue(&self, window: Window) -> bool {
        let window = u64::from(window.0);
        !self.queued.contains(window) && self.queued.insert(window)
    }

    /// Follows what weak handles led to, and takes so many windows from the queue, or what there is.
    pub(super) fn take_queued(&mut self, count: usize) -> Vec<Window> {
        while let Some(target) = self.through_weak.pop() {
            self.word(target.0);
        }
        let windows: Vec<Window> = self.queue.drain(..count.min(self.queue.len())).collect();
        for window in &windows {
            self.queued.remove(u64::from(window.0));
        }
        windows
    }

    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.through_weak.is_empty()
    }

    /// What is pending of the span cut like this, by word of its bits.
    pub(super) fn pending(&self, cut: &SpanBits) -> impl Iterator<Item = u64> + '_ {
        let words = cut.words();
        words.map(|at| self.reached.word(at) & !self.followed.word(at))
    }

    /// Whether there is any such thing.
    pub(super) fn any_pending(&self, cut: &SpanBits) -> bool {
        self.pending(cut).any(|word| word != 0)
    }

    /// As [`Self::pending`]; it counts as followed from when it is handed over.
    pub(super) fn take_pending(&self, cut: &SpanBits) -> impl Iterator<Item = u64> + '_ {
        cut.words().map(|at| {
            let pending = self.reached.word(at) & !self.followed.word(at);
            self.followed.add_alone(at, pending);
            pending
        })
    }

    /// What has been read and may be, of the span cut like this, by word of its bits.
    pub(super) fn followed(&self, cut: &SpanBits) -> impl Iterator<Item = u64> + '_ {
        let cut = *cut;
        let words = cut.words();
        words.map(move |at| self.followed.word(at) & !self.opaque_word(&cut, at))
    }

    /// Whether there is any such thing.
    pub(super) fn any_followed(&self, cut: &SpanBits) -> bool {
        self.followed(cut).any(|word| word != 0)
    }

    /// Whether any page of `span` is held to be changing.
    pub(super) fn any_changing(&self, span: &Span) -> bool {
        (0..span.bytes / PAGE_BYTES).any(|page| {
            let page = self.table.page_number(span.start.offset(page * PAGE_BYTES));
            page.is_some_and(|page| self.changes.is_changing(page))
        })
    }
}
