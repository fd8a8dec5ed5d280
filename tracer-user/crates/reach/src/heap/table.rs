//! From address to object: a copy of the runtime's page tables.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::{
    ArenaIndex, HeapArenas, HeapLayout, ObjectAt, PAGE_BYTES, PAGES_PER_ARENA, Place, Span, SpanId,
    page_map::{PageMap, STACK, UNUSED},
    span::SpanUse,
    span_structs::Named,
};
use ids::TargetAddr;
use memory::{Memory, MemoryExt as _, ReadError};

/// The heap's spans, by page. Refreshed in place: a span that has not changed keeps its [`SpanId`].
#[derive(Debug, Default)]
pub struct SpanTable {
    spans: Vec<Span>,
    pages: PageMap,
    /// What the page tables say, by arena.
    named: FxHashMap<ArenaIndex, Named>,
    /// The span that was last on a page which has none now.
    former: FxHashMap<TargetAddr, SpanId>,
}

/// What a refresh of a [`SpanTable`] saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Whether any page is used for something else than before.
    pub changed: bool,
    /// Spans that took the place of others, cut otherwise: `(new, old)`.
    pub recut: Vec<(SpanId, SpanId)>,
    /// Spans that could not be read or made no sense, and count as unused. The runtime may have
    /// been filling them in.
    pub torn: u64,
}

impl SpanTable {
    /// The [`Self::entry`] of a page that belongs to no span in use.
    pub const NOTHING: u32 = UNUSED;
    /// The [`Self::entry`] of a page of a stack.
    pub const STACK: u32 = STACK;

    /// Reads the tables anew.
    ///
    /// # Errors
    /// When the arena map or a page table cannot be read.
    pub fn refresh(
        &mut self,
        memory: &dyn Memory,
        layout: &HeapLayout,
        arenas: &HeapArenas,
    ) -> Result<Refreshed, ReadError> {
        let arenas = arenas.list(memory, layout)?;
        self.pages.cover(&arenas)?;
        let mut refreshed = Refreshed::default();
        let mut buffer = Vec::new();
        for &(index, arena) in &arenas {
            let len = PAGES_PER_ARENA * 8;
            let table = memory.read_vec(arena.offset(layout.spans), len, len)?;
            let mut named = self.named.remove(&index).unwrap_or_default();
            named.update(&table);
            // A span may reach in from the arena below.
            if refreshed.changed {
                named.forget();
            }
            if let Some(found) = named.read(memory, layout, &mut buffer)? {
                named.torn = self.fill(index, &named, &found, &mut refreshed);
            }
            refreshed.torn += named.torn;
            self.named.insert(index, named);
        }
        refreshed.recut.sort_unstable();
        refreshed.recut.dedup();
        Ok(refreshed)
    }

    /// Notes what the pages of `arena` are used for; returns how many spans count as unused because
    /// they make no sense.
    fn fill(
        &mut self,
        arena: ArenaIndex,
        named: &Named,
        found: &[SpanUse],
        refreshed: &mut Refreshed,
    ) -> u64 {
        let is_torn = |(at, found): &(u64, &SpanUse)| *at != 0 && **found == SpanUse::Torn;
        let mut torn = named.structs().zip(found).filter(is_torn).count() as u64;
        let mut previous = (0, UNUSED);
        for (page, (pointer, which)) in named.pages().enumerate() {
            let at = arena.start().offset(page as u64 * PAGE_BYTES);
            let Some(current) = self.pages.get(at) else {
                return torn;
            };
            let entry = match found.get(which) {
                _ if pointer == 0 => UNUSED,
                _ if pointer == previous.0 && self.covers(previous.1, at) => previous.1,
                Some(SpanUse::Heap(span)) if span.contains(at) => {
                    self.number(*span, current, at).unwrap_or_else(|| {
                        torn += 1;
                        UNUSED
                    })
                }
                Some(SpanUse::Manual) => STACK,
                _ => UNUSED,
            };
            previous = (pointer, entry);
            if entry != current {
                self.pages.set(at, entry);
                refreshed.changed = true;
                refreshed.recut.extend(self.replaced(at, entry, current));
            }
        }
        torn
    }

    /// Notes that the page at `at` has become `entry`; tells which span took the place of which.
    fn replaced(&mut self, at: TargetAddr, entry: u32, before: u32) -> Option<(SpanId, SpanId)> {
        let span = |entry| (entry != UNUSED && entry != STACK).then(|| SpanId(entry - 1));
        match (span(entry), span(before)) {
            (Some(new), Some(old)) => Some((new, old)),
            (Some(new), None) => {
                let old = self.former.remove(&at)?;
                (old != new).then_some((new, old))
            }
            (None, Some(old)) => {
                self.former.insert(at, old);
                None
            }
            (None, None) => None,
        }
    }

    fn covers(&self, entry: u32, at: TargetAddr) -> bool {
        self.span_of_entry(entry).is_some_and(|s| s.contains(at)) || entry == STACK
    }

    /// The entry for `span`, which has the page at `at`: the number that it has already, else a new
    /// one. `None` when its first page is another's: the table was read while it was written.
    fn number(&mut self, span: Span, current: u32, at: TargetAddr) -> Option<u32> {
        let is_first = span.start == at;
        // One that reaches in from the arena below has its number from there.
        let known = if is_first {
            Some(current)
        } else {
            self.pages.get(span.start)
        };
        let known = known.filter(|entry| {
            let known = self.span_of_entry(*entry);
            known.is_some_and(|known| known.same_cut(&span))
        });
        if let Some(entry) = known {
            if let Some(known) = self.spans.get_mut(entry as usize - 1) {
                known.specials = span.specials;
            }
            return Some(entry);
        }
        let entry = u32::try_from(self.spans.len() + 1).ok()?;
        if !is_first || entry == STACK {
            return None;
        }
        self.spans.push(span);
        Some(entry)
    }

    fn span_of_entry(&self, entry: u32) -> Option<&Span> {
        if entry == UNUSED || entry == STACK {
            return None;
        }
        self.spans.get(entry as usize - 1)
    }

    /// What lies at `at`.
    #[must_use]
    #[inline]
    pub fn find(&self, at: TargetAddr) -> Place {
        match self.pages.get(at) {
            None => Place::Elsewhere,
            Some(UNUSED) => Place::Unused,
            Some(STACK) => Place::Stack,
            Some(entry) => {
                let index = self.span_of_entry(entry).and_then(|s| s.index_of(at));
                index.map_or(Place::Unused, |index| {
                    Place::Object(ObjectAt {
                        span: SpanId(entry - 1),
                        index,
                    })
                })
            }
        }
    }

    /// What the page that `at` lies in is used for, in one number: that of its span plus one, or
    /// [`Self::NOTHING`], or [`Self::STACK`].
    #[must_use]
    #[inline]
    pub fn entry(&self, at: TargetAddr) -> u32 {
        self.pages.get(at).unwrap_or(UNUSED)
    }

    /// As [`Self::entry`], of the pages with these numbers; fewer where there are no more.
    #[must_use]
    pub fn entries(&self, pages: Range<usize>) -> &[u32] {
        let all = self.pages.entries();
        all.get(pages.start..pages.end.min(all.len()))
            .unwrap_or(&[])
    }

    /// Lowest and first too high address of all arenas: a cheap test before [`Self::find`].
    #[must_use]
    pub fn bounds(&self) -> (u64, u64) {
        self.pages.bounds()
    }

    /// The span numbered `id`.
    #[must_use]
    #[inline]
    pub fn span(&self, id: SpanId) -> Option<&Span> {
        self.spans.get(id.0 as usize)
    }

    /// Number of spans ever numbered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no heap at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The spans that are in use now.
    pub fn in_use(&self) -> impl Iterator<Item = (SpanId, &Span)> {
        let mut seen = vec![false; self.spans.len() + 1];
        let entries = self.pages.entries().iter().copied();
        let mut previous = UNUSED;
        entries.filter_map(move |entry| {
            if entry == previous {
                return None;
            }
            previous = entry;
            let span = self.span_of_entry(entry)?;
            let seen = seen.get_mut(entry as usize)?;
            (!std::mem::replace(seen, true)).then_some((SpanId(entry - 1), span))
        })
    }

    /// A dense number for the page that `at` lies in, below [`Self::page_count`].
    #[must_use]
    #[inline]
    pub fn page_number(&self, at: TargetAddr) -> Option<usize> {
        self.pages.number(at)
    }

    /// How many pages the arenas have.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.pages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::{
        ARENA_BYTES,
        fake::{FakeSpan, HEAP, map_tables, refresh},
    };
    use memory::FakeMemory;

    const fn span(page: u64, pages: u64, element_size: u64, state: u8) -> FakeSpan {
        FakeSpan {
            page,
            pages,
            element_size,
            holds_pointers: true,
            state,
        }
    }

    /// Two pages of 1 KiB objects, one of 8-byte ones without pointers, a stack, and a dead span.
    const SPANS: [FakeSpan; 4] = [
        span(0, 2, 1024, 1),
        FakeSpan {
            holds_pointers: false,
            ..span(2, 1, 8, 1)
        },
        span(3, 1, 0, 2),
        span(4, 1, 64, 0),
    ];

    const CHANGED: Refreshed = Refreshed {
        changed: true,
        recut: Vec::new(),
        torn: 0,
    };

    fn look(table: &mut SpanTable, spans: &[FakeSpan]) -> Refreshed {
        let mut memory = FakeMemory::new();
        map_tables(&mut memory, 2, spans);
        refresh(table, &memory)
    }

    fn table() -> SpanTable {
        let mut table = SpanTable::default();
        assert_eq!(look(&mut table, &SPANS), CHANGED);
        table
    }

    #[test]
    fn finds_objects_stacks_and_nothing() {
        let table = table();
        let object = |at: u64| match table.find(HEAP.offset(at)) {
            Place::Object(o) => {
                let span = table.span(o.span).unwrap();
                let start = span.object(o.index).0 - HEAP.0;
                (start, span.element_size, span.holds_pointers)
            }
            other => panic!("{other:?} at {at:#x}"),
        };
        assert_eq!(object(0x2401), (0x2400, 1024, true));
        assert_eq!(object(0x4011), (0x4010, 8, false));
        let place = |at: u64| table.find(HEAP.offset(at));
        assert_eq!(place(0x6000), Place::Stack);
        assert_eq!(place(0x8000), Place::Unused);
        assert_eq!(place(0xa000), Place::Unused);
        assert_eq!(table.find(HEAP.back(1)), Place::Elsewhere);
        assert_eq!(table.find(TargetAddr(0)), Place::Elsewhere);
        assert_eq!(table.in_use().count(), 2);
        assert_eq!(table.bounds(), (HEAP.0, HEAP.0 + 2 * ARENA_BYTES));
        let entries = table.entries(0..5);
        assert_eq!(entries[0], table.entry(HEAP.offset(PAGE_BYTES)));
        assert_eq!(entries[3..], [SpanTable::STACK, SpanTable::NOTHING]);
        assert!(table.entries(1 << 40..2 << 40).is_empty());
    }

    #[test]
    fn a_span_that_takes_the_place_of_another_is_told() {
        let mut table = table();
        // Freed, looked at, and used again with objects of another size.
        let mut spans = SPANS;
        spans[0].state = 0;
        assert_eq!(look(&mut table, &spans), CHANGED);
        assert_eq!(table.find(HEAP), Place::Unused);
        spans[0] = span(0, 2, 512, 1);
        let refreshed = look(&mut table, &spans);
        assert_eq!(refreshed.recut, [(SpanId(2), SpanId(0))]);
        // Filled in by halves.
        spans[0].element_size = 0;
        assert_eq!(look(&mut table, &spans).torn, 1);
        assert_eq!(look(&mut table, &spans).torn, 1, "and still the same");
    }

    #[test]
    fn a_second_reading_keeps_the_numbers() {
        let mut table = table();
        let before = table.find(HEAP.offset(0x2401));
        assert_eq!(look(&mut table, &SPANS), Refreshed::default());
        assert_eq!(table.find(HEAP.offset(0x2401)), before);
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_span_may_reach_into_the_next_arena_but_its_first_page_is_its_own() {
        let border = PAGES_PER_ARENA as u64;
        let across = span(border - 1, 3, 3 * PAGE_BYTES, 1);
        let mut table = SpanTable::default();
        assert_eq!(look(&mut table, &[across]), CHANGED);
        let at = |page: u64| table.find(HEAP.offset(page * PAGE_BYTES));
        assert_eq!(at(border - 1), at(border + 1));
        assert_eq!(table.len(), 1);
        // The page table still has the old span on its later pages.
        let torn = look(&mut table, &[across, span(border - 1, 1, 64, 1)]);
        assert!(torn.torn > 0);
        let place = table.find(HEAP.offset(border * PAGE_BYTES));
        assert_eq!(place, Place::Unused);
    }
}
