//! What the runtime's own tables say, at the beginning of each round: spans, goroutines, threads.

use std::sync::Arc;

use super::HeapWalk;
use crate::{goroutine, goroutine_table::GoroutineTable, heap::SpanTable};
use ids::TargetAddr;
use memory::ReadError;

impl HeapWalk<'_> {
    /// Span table, goroutines, opaque objects.
    pub(super) fn look_at_tables(&mut self) -> Result<(), ReadError> {
        self.flaw = None;
        let (memory, anatomy) = (self.memory, &self.anatomy);
        let refresh = |table: &mut SpanTable| table.refresh(memory, &anatomy.heap, &anatomy.arenas);
        let refreshed = self.marker.with_table(refresh)?;
        let gs = anatomy.all_goroutines.list(memory)?;
        let states = goroutine::read_all(memory, &anatomy.goroutine, &gs)?;
        if refreshed.torn > 0 {
            self.flaw = Some("spans of the heap");
        } else if states.unreadable > 0 {
            self.flaw = Some("goroutines");
        }
        if refreshed.changed {
            self.opaque_gs = 0;
        }
        // The list only grows (`allgadd`, runtime/proc.go).
        for g in gs.iter().skip(self.opaque_gs) {
            self.marker.set_opaque(*g);
        }
        self.opaque_gs = gs.len();
        for p in anatomy.timers.0.ps(memory)? {
            self.marker.set_opaque(p);
        }
        self.look_at_machines()?;
        let now = GoroutineTable::new(states.found);
        if now != *self.now {
            self.seen(now);
        }
        Ok(())
    }

    /// Takes note of goroutines that are not as they were.
    fn seen(&mut self, now: GoroutineTable) {
        if !self.first.is_empty() {
            self.moved.extend(now.differences(&self.first));
        }
        if !now.has_stacks_of(&self.now) {
            let with_stack = now.iter().filter(|now| now.has_stack());
            self.by_stack = with_stack.map(|now| (now.stack.0, now.goid)).collect();
            self.by_stack.sort_unstable();
        }
        self.now = Arc::new(now);
    }

    /// The `g` structs that Ms have for themselves are read as roots, without the bounds of their
    /// stacks. That of an M that has ended is an object like any other.
    fn look_at_machines(&mut self) -> Result<(), ReadError> {
        let Some(ms) = &self.anatomy.all_ms else {
            return Ok(());
        };
        let own = ms.own_gs(self.memory)?.into_iter();
        let own = own.flat_map(|own| [own.g0, own.signal]);
        let mut own: Vec<TargetAddr> = own.filter(|g| !g.is_nil()).collect();
        own.sort_unstable();
        for g in &own {
            self.marker.set_opaque(*g);
        }
        for g in std::mem::replace(&mut self.own_gs, own) {
            if self.own_gs.binary_search(&g).is_err() {
                self.marker.clear_opaque(g);
            }
        }
        Ok(())
    }
}
