//! The marks: which objects have been reached, and which of them are still to be read.

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Range,
    bitmap::ObjectSet,
    change::PageChanges,
    extent::{pieces, words},
    scan::Found,
};
use crate::{
    ids::TargetAddr,
    reach::heap::{ObjectAt, PAGE_BYTES, Place, Span, SpanId, SpanTable},
};

/// About how much is read before what was found is sorted again.
const ROUND_BYTES: u64 = 8 << 20;
/// At most so many spans are taken from the queue at once.
const ROUND_SPANS: usize = 4096;

/// Objects that are reached but not read on: `g` structs (a goroutine becomes live by the fixpoint
/// only), `p` structs (whose buffers hold stale pointers), and the sudogs of goroutines that are not
/// live.
pub type Opaque = ObjectSet;

/// The state of a marking that is under way.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) table: SpanTable,
    low: u64,
    width: u64,
    reached: ObjectSet,
    pub(super) reached_bytes: u64,
    pending: ObjectSet,
    queue: VecDeque<SpanId>,
    /// By span: whether it is in the queue.
    queued: Vec<bool>,
    /// The spans in use that may hold pointers, ascending by address.
    spans: Vec<(SpanId, Span)>,
    opaque: Opaque,
    opaque_spans: FxHashSet<SpanId>,
    /// From the block that holds a weak handle to what the handle leads to.
    weak: FxHashMap<ObjectAt, Vec<TargetAddr>>,
    /// What weak handles led to, still to be followed.
    through_weak: Vec<TargetAddr>,
    /// Stacks of which it matters whether anything points into them.
    /// From their first address to their length.
    watched: BTreeMap<u64, u64>,
    pointed_at: FxHashSet<TargetAddr>,
    pub(super) changes: PageChanges,
}

impl Marks {
    /// Follows the span table after it was refreshed. `recut` are spans that were cut anew over
    /// memory that was cut otherwise before, with the spans that were there.
    pub(super) fn table_changed(&mut self, recut: &[(SpanId, SpanId)]) {
        let (low, high) = self.table.bounds();
        self.low = low;
        self.width = high.saturating_sub(low);
        self.changes.cover(self.table.page_count());
        let spans = self.table.in_use();
        self.spans = spans
            .filter(|(_, span)| span.holds_pointers)
            .map(|(id, span)| (id, *span))
            .collect();
        self.spans.sort_unstable_by_key(|(_, span)| span.start);
        for (new, old) in recut {
            self.carry_over(*new, *old);
        }
    }

    /// Words that have been followed are not followed again while their page looks the same. One
    /// that led into `old` may by now lead to a new object in `new`, written down a second time in
    /// the same place: so all of `new` counts as reached if anything of `old` was.
    fn carry_over(&mut self, new: SpanId, old: SpanId) {
        let known = |id| self.table.span(id).copied();
        let (Some(new_span), Some(old_span)) = (known(new), known(old)) else {
            return;
        };
        if self
            .reached
            .in_span(old, old_span.elements)
            .next()
            .is_some()
        {
            for index in 0..new_span.elements {
                self.object(ObjectAt { span: new, index });
            }
        }
    }

    pub(super) fn reached_objects(&self) -> u64 {
        self.reached.len() - self.opaque.len()
    }

    pub(super) fn is_reached(&self, at: TargetAddr) -> Option<bool> {
        match self.table.find(at) {
            Place::Object(object) => Some(self.reached.contains(object)),
            _ => None,
        }
    }

    pub(super) fn set_opaque(&mut self, at: TargetAddr) {
        if let Place::Object(object) = self.table.find(at)
            && let Some(span) = self.table.span(object.span).copied()
            && self.opaque.insert(object, span.elements)
        {
            self.reached.insert(object, span.elements);
            self.opaque_spans.insert(object.span);
        }
    }

    /// From now on the object at `at`, opaque so far, is read like any other, as reached.
    pub(super) fn clear_opaque(&mut self, at: TargetAddr) {
        if let Place::Object(object) = self.table.find(at)
            && self.opaque.remove(object)
            && let Some(span) = self.table.span(object.span).copied()
        {
            self.enqueue(object, &span);
        }
    }

    pub(super) fn set_weak(&mut self, handle: TargetAddr, target: TargetAddr) {
        if let Place::Object(block) = self.table.find(handle) {
            let reached = self.reached.contains(block);
            let targets = self.weak.entry(block).or_default();
            if !targets.contains(&target) {
                targets.push(target);
                if reached {
                    self.through_weak.push(target);
                }
            }
        }
    }

    pub(super) fn watch(&mut self, stack: Range) {
        self.watched.insert(stack.at.0, stack.len);
    }

    pub(super) fn is_pointed_at(&self, start: TargetAddr) -> bool {
        self.pointed_at.contains(&start)
    }

    /// Follows one word.
    #[inline]
    pub(super) fn word(&mut self, word: u64) {
        if word.wrapping_sub(self.low) >= self.width {
            return;
        }
        match self.table.find(TargetAddr(word)) {
            Place::Object(object) => self.object(object),
            Place::Stack => self.pointed_at.extend(self.watched_at(word)),
            Place::Unused | Place::Elsewhere => {}
        }
    }

    /// As [`Self::word`], but only notes what there is to mark.
    #[inline]
    pub(super) fn look_up(&self, word: u64, found: &mut Found) {
        if word.wrapping_sub(self.low) >= self.width {
            return;
        }
        match self.table.find(TargetAddr(word)) {
            Place::Object(object) if !self.reached.contains(object) => found.objects.push(object),
            Place::Stack => found.stacks.extend(self.watched_at(word)),
            Place::Object(_) | Place::Unused | Place::Elsewhere => {}
        }
    }

    /// Marks what was found.
    pub(super) fn take(&mut self, found: Found) {
        for object in found.objects {
            self.object(object);
        }
        self.pointed_at.extend(found.stacks);
        for (page, hash) in found.sums.0 {
            self.changes.first(page, hash);
        }
    }

    /// The watched stack that `word` points into, unless that is known.
    fn watched_at(&self, word: u64) -> Option<TargetAddr> {
        let (start, len) = self.watched.range(..=word).next_back()?;
        let at = TargetAddr(*start);
        (word - start < *len && !self.pointed_at.contains(&at)).then_some(at)
    }

    fn object(&mut self, object: ObjectAt) {
        let Some(span) = self.table.span(object.span).copied() else {
            return;
        };
        if self.reached.insert(object, span.elements) {
            self.enqueue(object, &span);
        }
    }

    /// Sees to it that a reached object is read.
    fn enqueue(&mut self, object: ObjectAt, span: &Span) {
        self.reached_bytes += span.element_size;
        if !self.weak.is_empty()
            && let Some(targets) = self.weak.get(&object)
        {
            self.through_weak.extend_from_slice(targets);
        }
        if span.holds_pointers {
            self.pending.insert(object, span.elements);
            let span = object.span.0 as usize;
            if self.queued.len() <= span {
                self.queued.resize(span + 1, false);
            }
            if !std::mem::replace(&mut self.queued[span], true) {
                self.queue.push_back(object.span);
            }
        }
    }

    pub(super) fn follow(&mut self, bytes: &[u8]) {
        for word in words(bytes) {
            self.word(word);
        }
    }

    /// Takes some spans from the queue, and from them what is to be read, ascending. Empty when
    /// nothing is left.
    pub(super) fn take_pending(&mut self) -> Vec<Range> {
        while let Some(target) = self.through_weak.pop() {
            self.word(target.0);
        }
        let mut spans = Vec::new();
        let mut bytes = 0;
        while bytes < ROUND_BYTES && spans.len() < ROUND_SPANS {
            let Some(id) = self.queue.pop_front() else {
                break;
            };
            if let Some(queued) = self.queued.get_mut(id.0 as usize) {
                *queued = false;
            }
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

    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.through_weak.is_empty()
    }

    /// The spans in use that may hold pointers, ascending.
    pub(super) fn spans(&self) -> &[(SpanId, Span)] {
        &self.spans
    }

    /// What has been reached in `span`, may be read, and lies on pages that are held to be changing
    /// or (`!changing`) not; ascending.
    pub(super) fn reached_in(
        &self,
        id: SpanId,
        span: &Span,
        changing: bool,
        each: &mut impl FnMut(Range),
    ) {
        if changing && !self.any_changing(span) {
            return;
        }
        let some_opaque = self.opaque_spans.contains(&id);
        for index in self.reached.in_span(id, span.elements) {
            if some_opaque && self.opaque.contains(ObjectAt { span: id, index }) {
                continue;
            }
            pieces(span, index, &mut |extent| {
                let page = self.table.page_number(extent.at);
                if page.is_some_and(|page| self.changes.is_changing(page)) == changing {
                    each(extent);
                }
            });
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
