//! Which arenas there are, and their page tables.

use super::HeapLayout;
use ids::TargetAddr;
use memory::{Memory, MemoryExt as _, ReadError, words};

/// A heap arena's size: 64 MiB on 64-bit Linux (`heapArenaBytes`, `runtime/malloc.go`).
pub const ARENA_BYTES: u64 = 64 << 20;
/// The runtime's page size (`pageSize`), not the kernel's.
pub const PAGE_BYTES: u64 = 8192;
/// Pages in an arena (`pagesPerArena`).
pub const PAGES_PER_ARENA: usize = 8192;

/// `arenaBaseOffset` on amd64: arena 0 begins at the lowest canonical address.
const BASE_AMD64: u64 = 0xffff_8000_0000_0000;
/// Entries of the second-level table: 48 address bits over 64 MiB.
const ENTRIES: u64 = 1 << 22;
/// The largest heap that is walked: 512 GiB. Its page tables take 0.05 % of it of our own memory.
const MAX_ARENAS: u64 = 8192;

/// `runtime.arenaIdx`, made independent of the architecture: address divided by [`ARENA_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArenaIndex(pub u64);

impl ArenaIndex {
    /// The arena that `at` would lie in.
    #[must_use]
    #[inline]
    pub const fn of(at: TargetAddr) -> Self {
        Self(at.0 / ARENA_BYTES)
    }

    /// Its first address.
    #[must_use]
    pub const fn start(self) -> TargetAddr {
        TargetAddr(self.0.wrapping_mul(ARENA_BYTES))
    }
}

/// The runtime's two-level arena map.
#[derive(Debug, Clone, Copy)]
pub struct HeapArenas {
    mheap: TargetAddr,
    base: u64,
}

impl HeapArenas {
    /// The arena map of the `runtime.mheap_` at `mheap`, for an amd64 target or (`!amd64`) one
    /// whose arenas are numbered from address 0.
    #[must_use]
    pub const fn new(mheap: TargetAddr, amd64: bool) -> Self {
        Self {
            mheap,
            base: if amd64 { BASE_AMD64 } else { 0 },
        }
    }

    /// All arenas that the heap owns, ascending, each with the address of its `heapArena`.
    ///
    /// # Errors
    /// When the map or its index list cannot be read, or is longer than a heap can be.
    pub fn list(
        &self,
        memory: &dyn Memory,
        layout: &HeapLayout,
    ) -> Result<Vec<(ArenaIndex, TargetAddr)>, ReadError> {
        let table = memory.read_addr(self.mheap.offset(layout.arenas))?;
        let mut raw = self.indices(memory, layout.arena_list)?;
        if let Some(list) = layout.user_arena_list {
            raw.extend(self.indices(memory, list)?);
        }
        raw.sort_unstable();
        raw.dedup();
        let mut found = Vec::with_capacity(raw.len());
        for index in raw {
            if let Some(arena) = self.heap_arena(memory, table, index)? {
                let start = index.wrapping_mul(ARENA_BYTES).wrapping_add(self.base);
                found.push((ArenaIndex::of(TargetAddr(start)), arena));
            }
        }
        Ok(found)
    }

    fn heap_arena(
        &self,
        memory: &dyn Memory,
        table: TargetAddr,
        index: u64,
    ) -> Result<Option<TargetAddr>, ReadError> {
        if index >= ENTRIES {
            return Ok(None);
        }
        let arena = memory.read_addr(table.offset(8 * index))?;
        Ok((!arena.is_nil()).then_some(arena))
    }

    /// One `[]arenaIdx` (an `arenaIdx` is a machine word).
    fn indices(&self, memory: &dyn Memory, offset: u64) -> Result<Vec<u64>, ReadError> {
        let at = memory.read_addr(self.mheap.offset(offset))?;
        let len = memory.read_u64(self.mheap.offset(offset + 8))?;
        let limit = usize::try_from(8 * MAX_ARENAS).unwrap_or(usize::MAX);
        if len == 0 {
            return Ok(Vec::new());
        }
        let bytes = usize::try_from(len.saturating_mul(8)).unwrap_or(usize::MAX);
        let list = memory.read_vec(at, bytes, limit)?;
        Ok(words(&list).collect())
    }
}
