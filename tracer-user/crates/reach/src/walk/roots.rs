//! Where a walk starts besides the stacks.

use super::HeapWalk;
use crate::{
    goroutine::{GoroutineState, RunState},
    heap::Place,
    mark::Range,
    roots::{SpecialRoots, global_words, read_specials},
};
use memory::ReadError;

impl HeapWalk<'_> {
    /// What the runtime keeps alive on its own: timers, finalizers, cleanups, what its threads are at.
    pub(super) fn runtime_roots(&mut self) -> Result<(), ReadError> {
        self.special_roots()?;
        self.timer_roots()?;
        let layout = &self.anatomy.goroutine;
        let own: Vec<Range> = self.own_gs.iter().map(|g| layout.references(*g)).collect();
        self.marker.roots(self.memory, &own)?;
        let mut queued = self.anatomy.finalizers.words(self.memory)?;
        if let Some(cleanups) = &self.anatomy.cleanups {
            queued.extend(cleanups.words(self.memory)?);
        }
        self.somebody_acts |= !queued.is_empty() || self.actors.foreign_threads();
        for word in queued {
            self.marker.word(word);
        }
        self.drained = false;
        Ok(())
    }

    fn timer_roots(&mut self) -> Result<(), ReadError> {
        let (heap, layout) = &self.anatomy.timers;
        let timers = heap.timers(self.memory, layout)?;
        if timers.unreadable > 0 {
            self.flaw = Some("timers");
        }
        for timer in timers.pending {
            self.somebody_acts |= self.actors.runs_program_code(self.memory, &timer);
            for word in [timer.at.0, timer.function.0]
                .into_iter()
                .chain(timer.argument)
            {
                self.marker.word(word);
            }
        }
        Ok(())
    }

    fn special_roots(&mut self) -> Result<(), ReadError> {
        let (memory, anatomy) = (self.memory, &self.anatomy);
        let specials = read_specials(memory, &anatomy.specials, self.marker.table())?;
        if specials.broken > 0 {
            self.flaw = Some("lists of finalizers, cleanups and weak pointers");
        }
        for (handle, target) in &specials.weak {
            self.marker.set_weak(*handle, *target);
        }
        for word in &specials.words {
            self.marker.word(*word);
        }
        let contents = self.contents_of_finalized(&specials);
        self.marker.roots(memory, &contents)
    }

    /// As the collector does (markrootSpans, runtime/mgcmark.go): what an object with a finalizer
    /// refers to counts as reachable, the object itself does not. Whoever waits for the object
    /// itself refers to it, and then its finalizer does not run.
    fn contents_of_finalized(&self, specials: &SpecialRoots) -> Vec<Range> {
        let table = self.marker.table();
        let contents = specials.finalized.iter().filter_map(|at| {
            let Place::Object(object) = table.find(*at) else {
                return None;
            };
            let span = table.span(object.span)?;
            let start = span.object(object.index);
            let end = start.offset(span.element_size);
            span.holds_pointers.then(|| Range::between(start, end))
        });
        contents.collect()
    }

    pub(super) fn globals(&mut self) -> Result<(), ReadError> {
        self.globals_read = true;
        let marker = &mut self.marker;
        global_words(
            self.memory,
            &self.modules,
            &self.anatomy.not_roots,
            |_, word| marker.word(word),
        )
    }

    /// The stacks of `goroutines`, and the vector registers that the runtime keeps for them.
    pub(super) fn stack_roots(&mut self, goroutines: &[GoroutineState]) -> Result<(), ReadError> {
        let layout = &self.anatomy.goroutine;
        self.stacks
            .scan(self.memory, layout, goroutines, &mut self.marker)?;
        if self.stacks.take_broken() > 0 {
            self.flaw = Some("some stacks or deferred calls");
        }
        let Some(vectors) = self.anatomy.vectors else {
            return Ok(());
        };
        let mut saved = Vec::new();
        // Parked goroutines stand at a call, where nothing is kept in registers.
        for now in goroutines
            .iter()
            .filter(|now| now.doing != RunState::Parked)
        {
            saved.extend(vectors.of_goroutine(self.memory, now.g)?);
        }
        self.marker.roots(self.memory, &saved)
    }

    /// What running goroutines had in vector registers when they were last preempted.
    pub(super) fn vector_roots(&mut self) -> Result<(), ReadError> {
        let Some(vectors) = self.anatomy.vectors else {
            return Ok(());
        };
        let mut saved = Vec::new();
        for p in self.anatomy.timers.0.ps(self.memory)? {
            saved.extend(vectors.of_p(self.memory, p)?);
        }
        self.marker.roots(self.memory, &saved)
    }
}
