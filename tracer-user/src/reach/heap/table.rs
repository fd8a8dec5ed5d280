//! From address to object: a copy of the runtime's page tables.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    ArenaIndex, HeapArenas, HeapLayout, ObjectAt, PAGE_BYTES, PAGES_PER_ARENA, Place, Span, SpanId,
    span::SpanUse,
};
use crate::{
    ids::TargetAddr,
    memory::{Memory, MemoryExt as _, ReadError, ReadRequest},
};

/// A page that belongs to no span in use.
const UNUSED: u32 = 0;
/// A page of a stack.
const STACK: u32 = u32::MAX;
/// `mspan` structs lie close together (`fixalloc`); those this near are read in one piece.
const NEARBY_BYTES: u64 = 1024;
/// No piece of `mspan` structs is longer than this.
const PIECE_BYTES: u64 = 256 << 10;
/// Widest range of arena numbers for which a direct table is kept (4 Mi entries, the whole map).
const MAX_SLOTS: u64 = 1 << 22;

/// The heap's spans, by page. Refreshed in place: a span that has not changed keeps its [`SpanId`].
#[derive(Debug, Default)]
pub struct SpanTable {
    spans: Vec<Span>,
    /// Page tables of the arenas, in order of discovery.
    pages: Vec<Box<[u32]>>,
    /// Arena number minus `first_arena` to index into `pages` plus one.
    slots: Vec<u32>,
    first_arena: u64,
}

impl SpanTable {
    /// Reads the tables anew.
    ///
    /// # Errors
    /// When the arena map or a page table cannot be read. A single span that cannot be read, or
    /// makes no sense, counts as unused.
    pub fn refresh(
        &mut self,
        memory: &dyn Memory,
        layout: &HeapLayout,
        arenas: &HeapArenas,
    ) -> Result<(), ReadError> {
        let arenas = arenas.list(memory, layout)?;
        self.cover(&arenas);
        for &(index, arena) in &arenas {
            let len = PAGES_PER_ARENA * 8;
            let table = memory.read_vec(arena.offset(layout.spans), len, len)?;
            let mut wanted: Vec<u64> = words(&table).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let found = read_spans(memory, layout, &wanted)?;
            self.fill(index, &table, &found);
        }
        Ok(())
    }

    /// Makes room for `arenas` (ascending) in the slots.
    fn cover(&mut self, arenas: &[(ArenaIndex, TargetAddr)]) {
        let (Some(first), Some(last)) = (arenas.first(), arenas.last()) else {
            return;
        };
        let (mut low, mut high) = (first.0.0, last.0.0);
        if !self.slots.is_empty() {
            low = low.min(self.first_arena);
            high = high.max(self.first_arena + self.slots.len() as u64 - 1);
        }
        if high - low >= MAX_SLOTS {
            return;
        }
        let mut slots = vec![0; usize::try_from(high - low + 1).unwrap_or(0)];
        for (at, slot) in self.slots.iter().enumerate() {
            let to = usize::try_from(self.first_arena - low).unwrap_or(0) + at;
            if let Some(to) = slots.get_mut(to) {
                *to = *slot;
            }
        }
        self.slots = slots;
        self.first_arena = low;
        for (index, _) in arenas {
            let Some(slot) = self
                .slots
                .get_mut(usize::try_from(index.0 - low).unwrap_or(usize::MAX))
            else {
                continue;
            };
            if *slot == 0 {
                self.pages.push(vec![UNUSED; PAGES_PER_ARENA].into());
                *slot = u32::try_from(self.pages.len()).unwrap_or(0);
            }
        }
    }

    fn fill(&mut self, arena: ArenaIndex, table: &[u8], found: &FxHashMap<u64, SpanUse>) {
        let Some(slot) = self.slot(arena.start()) else {
            return;
        };
        let mut previous = (0, UNUSED);
        for (page, pointer) in words(table).enumerate() {
            let at = arena.start().offset(page as u64 * PAGE_BYTES);
            let Some(current) = self.pages.get(slot).and_then(|p| p.get(page)).copied() else {
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
            if entry != current
                && let Some(to) = self.pages.get_mut(slot).and_then(|p| p.get_mut(page))
            {
                *to = entry;
            }
        }
    }

    fn covers(&self, entry: u32, at: TargetAddr) -> bool {
        self.span_of_entry(entry).is_some_and(|s| s.contains(at)) || entry == STACK
    }

    /// The entry for `span`: the number it already has at `at`, or had on the page before, else a
    /// new one.
    fn number(&mut self, span: Span, current: u32, at: TargetAddr) -> u32 {
        let before = self.entry(at.back(PAGE_BYTES)).unwrap_or(UNUSED);
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

    fn slot(&self, at: TargetAddr) -> Option<usize> {
        let number = ArenaIndex::of(at).0.checked_sub(self.first_arena)?;
        let slot = *self.slots.get(usize::try_from(number).ok()?)?;
        (slot != 0).then(|| slot as usize - 1)
    }

    fn entry(&self, at: TargetAddr) -> Option<u32> {
        let slot = self.slot(at)?;
        let page = (at.0 / PAGE_BYTES) as usize % PAGES_PER_ARENA;
        self.pages.get(slot)?.get(page).copied()
    }

    /// What lies at `at`.
    #[must_use]
    #[inline]
    pub fn find(&self, at: TargetAddr) -> Place {
        match self.entry(at) {
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
        let low = ArenaIndex(self.first_arena).start().0;
        let high = ArenaIndex(self.first_arena + self.slots.len() as u64)
            .start()
            .0;
        (low, high)
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
        let mut seen = FxHashSet::default();
        let entries = self.pages.iter().flat_map(|pages| pages.iter().copied());
        let mut previous = UNUSED;
        entries.filter_map(move |entry| {
            if entry == previous {
                return None;
            }
            previous = entry;
            let span = self.span_of_entry(entry)?;
            seen.insert(entry).then_some((SpanId(entry - 1), span))
        })
    }

    /// A dense number for the page that `at` lies in, below [`Self::page_count`].
    #[must_use]
    #[inline]
    pub fn page_number(&self, at: TargetAddr) -> Option<usize> {
        let page = (at.0 / PAGE_BYTES) as usize % PAGES_PER_ARENA;
        Some(self.slot(at)? * PAGES_PER_ARENA + page)
    }

    /// How many pages the arenas have.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.pages.len() * PAGES_PER_ARENA
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes
        .chunks_exact(8)
        .filter_map(|word| word.try_into().ok().map(u64::from_le_bytes))
}

/// Reads the `mspan` structs at `wanted` (ascending, 0 allowed), neighbours in one piece.
fn read_spans(
    memory: &dyn Memory,
    layout: &HeapLayout,
    wanted: &[u64],
) -> Result<FxHashMap<u64, SpanUse>, ReadError> {
    let size = layout.span.size;
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    for &at in wanted.iter().filter(|&&at| at != 0) {
        let Some(end) = at.checked_add(size) else {
            continue;
        };
        match pieces.last_mut() {
            Some((start, stop)) if at - *start < PIECE_BYTES && at <= *stop + NEARBY_BYTES => {
                *stop = end.max(*stop);
            }
            _ => pieces.push((at, end)),
        }
    }
    let mut found = FxHashMap::default();
    found.reserve(wanted.len());
    for group in pieces.chunks(64) {
        let mut buffers: Vec<Vec<u8>> = group
            .iter()
            .map(|(start, end)| vec![0; usize::try_from(end - start).unwrap_or(0)])
            .collect();
        let mut requests: Vec<ReadRequest<'_>> = group
            .iter()
            .zip(&mut buffers)
            .map(|((start, _), into)| ReadRequest {
                at: TargetAddr(*start),
                into,
                ok: false,
            })
            .collect();
        memory.read_many(&mut requests)?;
        let ok: Vec<bool> = requests.iter().map(|r| r.ok).collect();
        for (((start, end), bytes), ok) in group.iter().zip(&buffers).zip(ok) {
            let from = wanted.partition_point(|at| at < start);
            for &at in wanted[from..].iter().take_while(|at| *at < end) {
                let use_ = if ok {
                    let skip = usize::try_from(at - start).unwrap_or(usize::MAX);
                    bytes
                        .get(skip..)
                        .and_then(|b| SpanUse::decode(b, &layout.span))
                } else {
                    // One page of the piece may be unreadable: this one alone may not be.
                    let len = usize::try_from(size).unwrap_or(0);
                    let alone = memory.read_vec(TargetAddr(at), len, 4096);
                    alone.ok().and_then(|b| SpanUse::decode(&b, &layout.span))
                };
                found.insert(at, use_.unwrap_or(SpanUse::Dead));
            }
        }
    }
    Ok(found)
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
