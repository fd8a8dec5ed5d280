//! The Go heap as the runtime's own tables describe it: arenas, spans, objects.
//!
//! `runtime.mheap_.arenas` leads to one `heapArena` per 64 MiB of address space, whose `spans`
//! array names the `mspan` of every 8 KiB page; a span is cut into objects of one size
//! (`runtime/mheap.go`, the same from Go 1.19 to 1.27).

mod arenas;
#[cfg(test)]
pub mod fake;
mod layout;
mod object;
mod page_map;
mod span;
mod span_structs;
mod table;

pub use arenas::{ARENA_BYTES, ArenaIndex, HeapArenas, PAGE_BYTES, PAGES_PER_ARENA};
pub use layout::{HeapLayout, SpanLayout};
pub use object::{ObjectAt, Place};
pub use span::{Span, SpanId};
pub use table::{Refreshed, SpanTable};
