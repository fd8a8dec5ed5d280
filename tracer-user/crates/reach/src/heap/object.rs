//! What lies at an address.

use super::SpanId;

/// One slot of a span: an object, allocated or free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectAt {
    /// The span.
    pub span: SpanId,
    /// The slot's number in it.
    pub index: u32,
}

/// What the heap's tables say of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Inside a slot of a span in use.
    Object(ObjectAt),
    /// Inside a manually managed span: a stack.
    Stack,
    /// In the heap's address range, but in no span that is in use.
    Unused,
    /// Not in any arena: a global, C memory, the runtime's own tables.
    Elsewhere,
}
