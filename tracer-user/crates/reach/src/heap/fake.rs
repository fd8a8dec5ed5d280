//! A made-up heap, for tests: the runtime's tables over a fake memory.

use super::{ARENA_BYTES, HeapArenas, HeapLayout, PAGE_BYTES, PAGES_PER_ARENA, SpanTable};
use ids::TargetAddr;
use memory::FakeMemory;

/// Where the first arena begins.
pub const HEAP: TargetAddr = TargetAddr(0xc0_0000_0000);
const MHEAP: TargetAddr = TargetAddr(0x10_0000);
const ARENA_MAP: TargetAddr = TargetAddr(0x7f00_0000_0000);
const ARENA_LIST: TargetAddr = TargetAddr(0x7f20_0000_0000);
const PAGE_TABLES: TargetAddr = TargetAddr(0x7f10_0000_0000);
const STRUCTS: TargetAddr = TargetAddr(0x7f30_0000_0000);

/// One `mspan`.
#[derive(Debug, Clone, Copy)]
pub struct FakeSpan {
    /// Its first page, counted from [`HEAP`].
    pub page: u64,
    /// `npages`.
    pub pages: u64,
    /// `elemsize`.
    pub element_size: u64,
    /// The lowest bit of `spanclass`.
    pub holds_pointers: bool,
    /// `state`.
    pub state: u8,
}

/// Writes the tables of Go 1.27 on amd64 for `spans` in so many arenas.
pub fn map_tables(memory: &mut FakeMemory, arenas: u64, spans: &[FakeSpan]) {
    let layout = HeapLayout::GO_1_27;
    let base = HEAP.0.wrapping_sub(0xffff_8000_0000_0000) / ARENA_BYTES;
    let indices: Vec<u64> = (base..base + arenas).collect();
    let table = |arena: u64| PAGE_TABLES.offset(arena * 8 * PAGES_PER_ARENA as u64);
    let tables: Vec<u64> = (0..arenas).map(|arena| table(arena).0).collect();
    memory.map_words(MHEAP.offset(layout.arenas), &[ARENA_MAP.0]);
    memory.map_words(
        MHEAP.offset(layout.arena_list),
        &[ARENA_LIST.0, arenas, arenas],
    );
    memory.map_words(MHEAP.offset(layout.user_arena_list.unwrap()), &[0, 0, 0]);
    memory.map_words(ARENA_LIST, &indices);
    memory.map_words(ARENA_MAP.offset(8 * base), &tables);
    let mut pages = vec![0; PAGES_PER_ARENA * arenas as usize];
    let mut structs = Vec::new();
    for (at, span) in (STRUCTS.0..).step_by(160).zip(spans) {
        for page in span.page..span.page + span.pages {
            pages[page as usize] = at;
        }
        structs.extend(span_struct(span));
    }
    memory.map_words(PAGE_TABLES, &pages);
    memory.map(STRUCTS, structs);
}

fn span_struct(span: &FakeSpan) -> [u8; 160] {
    let layout = HeapLayout::GO_1_27.span;
    let mut bytes = [0; 160];
    let start = HEAP.0 + span.page * PAGE_BYTES;
    for (at, value) in [
        (layout.start, start),
        (layout.pages, span.pages),
        (layout.element_size, span.element_size),
    ] {
        bytes[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
    }
    bytes[layout.class as usize] = 10 + u8::from(!span.holds_pointers);
    bytes[layout.state as usize] = span.state;
    bytes
}

/// Reads the tables as they are by now.
pub fn refresh(table: &mut SpanTable, memory: &FakeMemory) -> super::Refreshed {
    let arenas = HeapArenas::new(MHEAP, true);
    table
        .refresh(memory, &HeapLayout::GO_1_27, &arenas)
        .unwrap()
}
