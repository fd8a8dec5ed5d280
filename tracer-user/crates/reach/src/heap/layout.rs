//! Where the fields of the heap's own structs lie.

/// Byte offsets inside `runtime.mheap`, `runtime.heapArena` and `runtime.mspan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeapLayout {
    /// `mheap.arenas`: on 64-bit Linux one first-level pointer to the table of `*heapArena`.
    pub arenas: u64,
    /// The slice of all arena indices: `mheap.allArenas`, since Go 1.25 `mheap.heapArenas`.
    pub arena_list: u64,
    /// `mheap.userArenaArenas`, a second such slice (Go 1.25 and later).
    pub user_arena_list: Option<u64>,
    /// `heapArena.spans`: one `*mspan` a page.
    pub spans: u64,
    /// `runtime.mspan`.
    pub span: SpanLayout,
}

/// Byte offsets inside `runtime.mspan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanLayout {
    /// Size of the struct.
    pub size: u64,
    /// `startAddr`.
    pub start: u64,
    /// `npages`.
    pub pages: u64,
    /// `elemsize`.
    pub element_size: u64,
    /// `spanclass`: size class times two, plus one when its objects hold no pointers.
    pub class: u64,
    /// `state`: 0 dead, 1 in use by the heap, 2 manually managed (stacks).
    pub state: u64,
    /// `specials`: head of the list of finalizers, cleanups, weak handles, ….
    pub specials: u64,
}

#[cfg(test)]
impl HeapLayout {
    /// Go 1.27's, for tests on a fake memory.
    pub const GO_1_27: Self = Self {
        arenas: 66008,
        arena_list: 66096,
        user_arena_list: Some(66120),
        spans: 0,
        span: SpanLayout {
            size: 160,
            start: 24,
            pages: 32,
            element_size: 104,
            class: 98,
            state: 99,
            specials: 128,
        },
    };
}
