//! How many goroutines looks take in, in proportion to the memory that there is for them.

/// Bytes for each goroutine that an inspection takes, with what is kept of the inspection before and what memory
/// that was given back leaves in pieces. Measured on leaks and queues: 850 to 910 at the first inspection.
const LOOK_BYTES: u64 = 1_600;
/// Likewise with a walk of the heap, which is made beside other inspections. Measured: 2,600.
const WALK_BYTES: u64 = 3_600;

/// How many goroutines looks take in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBudget {
    /// So many in any look: of more, those that were made first.
    pub looked_at: u64,
    /// So many in an inspection that walks the heap; of more, it does not.
    pub walked: u64,
}

impl MemoryBudget {
    /// As many as fit into `bytes`.
    #[must_use]
    pub const fn within(bytes: u64) -> Self {
        Self {
            looked_at: bytes / LOOK_BYTES,
            walked: bytes / WALK_BYTES,
        }
    }
}

impl Default for MemoryBudget {
    /// As many as there are.
    fn default() -> Self {
        Self {
            looked_at: u64::MAX,
            walked: u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryBudget;

    #[test]
    fn the_shipped_limit_is_enough_for_most_processes() {
        let shipped = MemoryBudget::within(512 << 20);
        assert!(shipped.walked > 140_000, "{shipped:?}");
        assert!(shipped.looked_at > 300_000, "{shipped:?}");
        assert_eq!(MemoryBudget::default().walked, u64::MAX);
    }
}
