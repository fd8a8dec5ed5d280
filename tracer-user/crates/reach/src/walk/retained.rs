//! What dead goroutines keep from being freed.

use super::HeapWalk;
use crate::goroutine::GoroutineState;
use ids::Goid;
use memory::ReadError;

/// What a group of dead goroutines keeps from being freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// Their stacks.
    pub stack_bytes: u64,
    /// Heap objects that only they reach.
    pub heap_bytes: u64,
}

impl HeapWalk<'_> {
    /// Marks from `goroutines` too, and counts what that adds. No verdict may follow.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn retained(&mut self, goroutines: &[Goid]) -> Result<Retained, ReadError> {
        let dead: Vec<GoroutineState> = goroutines
            .iter()
            .filter_map(|goid| self.now.get(*goid).copied())
            .collect();
        let before = self.marker.reached_bytes();
        self.marker.read_what_is_found(false);
        self.stacks.scan(
            self.memory,
            &self.anatomy.goroutine,
            &dead,
            &mut self.marker,
        )?;
        self.marker.drain(self.memory)?;
        let stacks = dead.iter().filter(|now| now.has_stack());
        Ok(Retained {
            stack_bytes: stacks.map(|now| now.stack.1.0 - now.stack.0.0).sum(),
            heap_bytes: self.marker.reached_bytes() - before,
        })
    }
}
