//! From address to object: a copy of the runtime's page tables.

use rustc_hash::FxHashMap;

use super::{
    ArenaIndex, HeapArenas, HeapLayout, ObjectAt, PAGE_BYTES, PAGES_PER_ARENA, Place, Span, SpanId,
    page_map::{PageMap, STACK, UNUSED},
    span::SpanUse,
    span_structs::{read_spans, words},
};
use crate::{
    ids::TargetAddr,
    memory::{Memory, MemoryExt as _, ReadError},
};

/// The heap's spans, by page. Refreshed in place: a span that has not changed keeps its [`SpanId`].
#[derive(Debug, Default)]
pub struct SpanTable {
    spans: Vec<Span>,
    pages: PageMap,
    /// The span that was last on a page which has none now.
    former: FxHashMap<TargetAddr, SpanId>,
}

/// What a refresh of a [`SpanTable`] saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Spans that took the place of others, cut otherwise: `(new, old)`.
    pub recut: Vec<(SpanId, SpanId)>,
    /// Spans that could not be read or made no sense, and count as unused. The runtime may have
    /// been filling them in.
    pub torn: u64,
}

impl SpanTable {
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
        for &(index, arena) in &arenas {
            let len = PAGES_PER_ARENA * 8;
            let table = memory.read_vec(arena.offset(layout.spans), len, len)?;
            let mut wanted: Vec<u64> = words(&table).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let found = read_spans(memory, layout, &wanted)?;
            refreshed.torn += found.torn;
            self.fill(index, &table, &found.spans, &mut refreshed);
        }
        refreshed.recut.sort_unstable();
        refreshed.recut.dedup();
        Ok(refreshed)
    }

    fn fill(
        &mut self,
        arena: ArenaIndex,
        table: &[u8],
        found: &FxHashMap<u64, SpanUse>,
        refreshed: &mut Refreshed,
    ) {
        let mut previous = (0, UNUSED);
        for (page, pointer) in words(table).enumerate() {
            let at = arena.start().offset(page as u64 * PAGE_BYTES);
            let Some(current) = self.pages.get(at) else {
                return;
            };
            // A span that reaches in from the arena below is found by its own first page, but its
            // number must be taken from there: look one page back across the border too.
            let entry = match found.get(&pointer) {
                _ if pointer == 0 => UNUSED,
                _ if pointer == previous.0 && self.covers(previous.1, at) => previous.1,
                Some(SpanUse::Heap(span)) if span.contains(at) => self.number(*span, current, at),
                Some(SpanUse::Manual) => STACK,
                _ => UNUSED,
            };
            previous = (pointer, entry);
            if entry != current {
                self.pages.set(at, entry);
                refreshed.recut.extend(self.replaced(at, entry, current));
            }
        }
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

    /// The entry for `span`: the number it already has at `at`, or had on the page before, else a
    /// new one.
    fn number(&mut self, span: Span, current: u32, at: TargetAddr) -> u32 {
        let before = self.pages.get(at.back(PAGE_BYTES)).unwrap_or(UNUSED);
        for entry in [current, before] {
            if self.span_of_entry(entry).is_some_and(|s| s.same_cut(&span)) {
                if let Some(known) = self.spans.get_mut(entry as usize - 1) {
                    known.specials = span.specials;
                }
                return entry;
            }
        }
        match u32::try_from(self.spans.len() + 1) {
            Ok(entry) if entry != STACK => {
                self.spans.push(span);
                entry
            }
            _ => UNUSED,
        }
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
        let entries = self.pages.entries();
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
    use crate::memory::FakeMemory;
    use crate::reach::heap::ARENA_BYTES;

    const MHEAP: u64 = 0x10_0000;
    const TABLE: u64 = 0x7f00_0000_0000;
    const ARENA: u64 = 0x7f10_0000_0000;
    const LIST: u64 = 0x7f20_0000_0000;
    const SPANS: u64 = 0x7f30_0000_0000;
    const HEAP: u64 = 0xc0_0000_0000;

    fn span_struct(start: u64, pages: u64, size: u64, class: u8, state: u8) -> Vec<u8> {
        let mut bytes = vec![0; 160];
        for (at, value) in [(24, start), (32, pages), (104, size)] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[98] = class;
        bytes[99] = state;
        bytes
    }

    /// One arena: two pages of 1 KiB objects, one of 8-byte ones without pointers, a stack.
    fn heap() -> FakeMemory {
        let layout = HeapLayout::GO_1_27;
        let mut memory = FakeMemory::new();
        let index = HEAP.wrapping_sub(0xffff_8000_0000_0000) / ARENA_BYTES;
        memory.map_words(TargetAddr(MHEAP + layout.arenas), &[TABLE]);
        memory.map_words(TargetAddr(MHEAP + layout.arena_list), &[LIST, 1, 1]);
        memory.map_words(TargetAddr(MHEAP + 66120), &[0, 0, 0]);
        memory.map_words(TargetAddr(LIST), &[index]);
        memory.map_words(TargetAddr(TABLE + 8 * index), &[ARENA]);
        let mut pages = vec![0; PAGES_PER_ARENA];
        let span = |n: u64| SPANS + 160 * n;
        pages[..5].copy_from_slice(&[span(0), span(0), span(1), span(2), span(3)]);
        memory.map_words(TargetAddr(ARENA), &pages);
        let structs = [
            span_struct(HEAP, 2, 1024, 10, 1),
            span_struct(HEAP + 2 * PAGE_BYTES, 1, 8, 5, 1),
            span_struct(HEAP + 3 * PAGE_BYTES, 1, 0, 0, 2),
            span_struct(HEAP + 4 * PAGE_BYTES, 1, 64, 0, 0),
        ];
        memory.map(TargetAddr(SPANS), structs.concat());
        memory
    }

    fn table() -> SpanTable {
        let mut table = SpanTable::default();
        let arenas = HeapArenas::new(TargetAddr(MHEAP), true);
        table
            .refresh(&heap(), &HeapLayout::GO_1_27, &arenas)
            .unwrap();
        table
    }

    #[test]
    fn finds_objects_stacks_and_nothing() {
        let table = table();
        let object = |at: u64| match table.find(TargetAddr(at)) {
            Place::Object(o) => {
                let span = table.span(o.span).unwrap();
                (
                    span.object(o.index).0,
                    span.element_size,
                    span.holds_pointers,
                )
            }
            other => panic!("{other:?} at {at:#x}"),
        };
        assert_eq!(object(HEAP + 0x2401), (HEAP + 0x2400, 1024, true));
        assert_eq!(object(HEAP + 0x4011), (HEAP + 0x4010, 8, false));
        assert_eq!(table.find(TargetAddr(HEAP + 0x6000)), Place::Stack);
        assert_eq!(table.find(TargetAddr(HEAP + 0x8000)), Place::Unused);
        assert_eq!(table.find(TargetAddr(HEAP + 0xa000)), Place::Unused);
        assert_eq!(table.find(TargetAddr(HEAP - 1)), Place::Elsewhere);
        assert_eq!(table.find(TargetAddr(0)), Place::Elsewhere);
        assert_eq!(table.in_use().count(), 2);
        assert_eq!(table.bounds(), (HEAP, HEAP + ARENA_BYTES));
    }

    #[test]
    fn a_span_that_takes_the_place_of_another_is_told() {
        let mut memory = heap();
        let layout = HeapLayout::GO_1_27;
        let arenas = HeapArenas::new(TargetAddr(MHEAP), true);
        let mut table = SpanTable::default();
        let refreshed = table.refresh(&memory, &layout, &arenas).unwrap();
        assert_eq!(refreshed, Refreshed::default());
        // Freed, looked at, and used again with objects of another size.
        let at = TargetAddr(SPANS);
        let mut structs = memory.read_vec(at, 640, 640).unwrap();
        structs[99] = 0;
        memory.map(at, structs.clone());
        table.refresh(&memory, &layout, &arenas).unwrap();
        assert_eq!(table.find(TargetAddr(HEAP)), Place::Unused);
        structs[99] = 1;
        structs[104..112].copy_from_slice(&512_u64.to_le_bytes());
        memory.map(at, structs.clone());
        let refreshed = table.refresh(&memory, &layout, &arenas).unwrap();
        assert_eq!(refreshed.recut, [(SpanId(2), SpanId(0))]);
        // Filled in by halves.
        structs[104..112].copy_from_slice(&0_u64.to_le_bytes());
        memory.map(at, structs);
        assert_eq!(table.refresh(&memory, &layout, &arenas).unwrap().torn, 1);
    }

    #[test]
    fn a_second_reading_keeps_the_numbers() {
        let mut table = table();
        let before = table.find(TargetAddr(HEAP + 0x2401));
        let arenas = HeapArenas::new(TargetAddr(MHEAP), true);
        table
            .refresh(&heap(), &HeapLayout::GO_1_27, &arenas)
            .unwrap();
        assert_eq!(table.find(TargetAddr(HEAP + 0x2401)), before);
        assert_eq!(table.len(), 2);
    }
}
