//! The walk itself: roots, stacks and marks behind [`Reachability`].

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    actors::Actors,
    anatomy::Anatomy,
    goroutine::{self, Doing, GoroutineNow},
    heap::Place,
    mark::{Marker, Range},
    roots::{Module, SpecialRoots, global_words, read_specials},
    stacks::StackReader,
};
use crate::{
    graph::Reachability,
    ids::{Goid, TargetAddr},
    memory::{Memory, ReadError},
};

/// One look at a target's heap, goroutines included, that can be repeated and only ever finds more.
pub struct HeapWalk<'t> {
    memory: &'t dyn Memory,
    anatomy: Anatomy,
    modules: Vec<Module>,
    marker: Marker,
    stacks: StackReader<'t>,
    actors: Actors<'t>,
    /// As they were when the walk began.
    first: FxHashMap<Goid, GoroutineNow>,
    /// As they were when last looked at.
    now: FxHashMap<Goid, GoroutineNow>,
    live: FxHashSet<Goid>,
    /// Goroutines that ran since the walk began, or began since.
    moved: FxHashSet<Goid>,
    /// Whether anyone is there who can use a global.
    somebody_acts: bool,
    globals_read: bool,
    drained: bool,
    failure: Option<ReadError>,
}

impl<'t> HeapWalk<'t> {
    /// Reads the heap's tables, the goroutines, and what the runtime itself keeps alive.
    ///
    /// # Errors
    /// When one of the tables cannot be read.
    pub fn begin(
        memory: &'t dyn Memory,
        anatomy: Anatomy,
        stacks: StackReader<'t>,
        actors: Actors<'t>,
    ) -> Result<Self, ReadError> {
        let modules = Module::all(memory, &anatomy.module, anatomy.first_module)?;
        let mut walk = Self {
            memory,
            anatomy,
            modules,
            marker: Marker::default(),
            stacks,
            actors,
            first: FxHashMap::default(),
            now: FxHashMap::default(),
            live: FxHashSet::default(),
            moved: FxHashSet::default(),
            somebody_acts: false,
            globals_read: false,
            drained: false,
            failure: None,
        };
        walk.look_at_tables()?;
        walk.first = walk.now.clone();
        walk.runtime_roots()?;
        Ok(walk)
    }

    /// The marks.
    #[must_use]
    pub fn marker(&self) -> &Marker {
        &self.marker
    }

    /// The goroutines as they were when the walk began.
    #[must_use]
    pub fn first_seen(&self) -> &FxHashMap<Goid, GoroutineNow> {
        &self.first
    }

    /// The goroutines that ran since the walk began, or began since: live, whatever they wait for.
    #[must_use]
    pub fn moved(&self) -> &FxHashSet<Goid> {
        &self.moved
    }

    /// What went wrong inside [`Reachability`], whose methods cannot fail.
    ///
    /// # Errors
    /// The first failure.
    pub fn check(&self) -> Result<(), ReadError> {
        self.failure.map_or(Ok(()), Err)
    }

    /// Ranges that could not be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.marker.unreadable() + self.stacks.unreadable()
    }

    /// Makes sure that the object at `at` on a goroutine's stack will be known to be pointed at.
    pub fn watch_object(&mut self, at: TargetAddr) {
        if let Some(owner) = self.stack_owner(at) {
            let (lo, hi) = owner.stack;
            self.marker.watch(Range::between(lo, hi));
        }
    }

    /// Follows `words`, found in a register.
    pub fn follow(&mut self, words: &[u64]) {
        for word in words {
            self.marker.word(*word);
        }
        self.drained = false;
    }

    /// Whether `at` lies on the stack of a goroutine.
    #[must_use]
    pub fn is_goroutine_stack(&self, at: TargetAddr) -> bool {
        self.stack_owner(at).is_some()
    }

    /// Follows every word of `stack`, as far as it is mapped.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn follow_stack(&mut self, stack: Range) -> Result<(), ReadError> {
        const PAGE: u64 = 4096;
        let end = stack.at.offset(stack.len);
        let mut at = stack.at;
        let mut page = [0; PAGE as usize];
        while at < end {
            let len = (PAGE - at.0 % PAGE).min(end.0 - at.0);
            let bytes = &mut page[..usize::try_from(len).unwrap_or(0)];
            match self.memory.read(at, bytes) {
                Ok(()) => self.marker.words(bytes),
                Err(ReadError::Unmapped { .. } | ReadError::TooLong { .. }) => break,
                Err(error) => return Err(error),
            }
            at = at.offset(len);
        }
        self.drained = false;
        Ok(())
    }

    /// Reads everything that was reached a second time, then what [`Self::look_again`] reads.
    ///
    /// # Errors
    /// When the target is gone or a root cannot be read.
    pub fn reread(&mut self) -> Result<(), ReadError> {
        self.look_at_tables()?;
        self.marker.reread_all(self.memory)?;
        self.reread_roots()
    }

    /// Looks once more at everything that may have changed: goroutines, the heap's tables, roots,
    /// and the pages that were seen to change, in one direction or the other.
    ///
    /// # Errors
    /// When the target is gone or a root cannot be read.
    pub fn look_again(&mut self, downwards: bool) -> Result<(), ReadError> {
        self.look_at_tables()?;
        if downwards {
            self.reread_roots()?;
            self.marker.reread_changing(self.memory, downwards)?;
        } else {
            self.marker.reread_changing(self.memory, downwards)?;
            self.reread_roots()?;
        }
        self.drained = true;
        self.marker.drain(self.memory)
    }

    fn reread_roots(&mut self) -> Result<(), ReadError> {
        self.runtime_roots()?;
        let restless: Vec<GoroutineNow> = self
            .now
            .values()
            .filter(|now| self.is_restless(now))
            .copied()
            .collect();
        self.stacks.scan(
            self.memory,
            &self.anatomy.goroutine,
            &restless,
            &mut self.marker,
        )?;
        if self.somebody_acts {
            self.globals()?;
        }
        self.marker.drain(self.memory)
    }

    /// Whether its stack may have changed since it was read.
    fn is_restless(&self, now: &GoroutineNow) -> bool {
        let moved = self.moved.contains(&now.goid);
        moved || (self.live.contains(&now.goid) && now.doing != Doing::Parked)
    }

    /// Span table, goroutines, opaque objects.
    fn look_at_tables(&mut self) -> Result<(), ReadError> {
        let (memory, anatomy) = (self.memory, &self.anatomy);
        self.marker
            .with_table(|table| table.refresh(memory, &anatomy.heap, &anatomy.arenas))?;
        let gs = anatomy.all_goroutines.list(memory)?;
        let states = goroutine::read_all(memory, &anatomy.goroutine, &gs)?;
        for g in gs {
            self.marker.set_opaque(g);
        }
        for p in anatomy.timers.0.ps(memory)? {
            self.marker.set_opaque(p);
        }
        let began = self.first.is_empty();
        self.now.clear();
        for now in states {
            if !began && self.first.get(&now.goid) != Some(&now) {
                self.moved.insert(now.goid);
            }
            self.now.insert(now.goid, now);
        }
        let gone = self.first.keys().filter(|id| !self.now.contains_key(id));
        self.moved.extend(gone.copied());
        Ok(())
    }

    /// What the runtime keeps alive on its own: timers, finalizers, cleanups.
    fn runtime_roots(&mut self) -> Result<(), ReadError> {
        let (memory, anatomy) = (self.memory, &self.anatomy);
        let specials = read_specials(memory, &anatomy.specials, self.marker.table())?;
        self.special_roots(&specials)?;
        let (heap, layout) = &self.anatomy.timers;
        for timer in heap.timers(memory, layout)? {
            self.somebody_acts |= self.actors.runs_program_code(memory, &timer);
            for word in [timer.at.0, timer.function.0]
                .into_iter()
                .chain(timer.argument)
            {
                self.marker.word(word);
            }
        }
        let mut queued = self.anatomy.finalizers.words(memory)?;
        if let Some(cleanups) = &self.anatomy.cleanups {
            queued.extend(cleanups.words(memory)?);
        }
        self.somebody_acts |= !queued.is_empty() || self.actors.foreign_threads();
        for word in queued {
            self.marker.word(word);
        }
        self.drained = false;
        Ok(())
    }

    fn special_roots(&mut self, specials: &SpecialRoots) -> Result<(), ReadError> {
        for (handle, target) in &specials.weak {
            self.marker.set_weak(*handle, *target);
        }
        for word in &specials.words {
            self.marker.word(*word);
        }
        // As the collector does (markrootSpans, runtime/mgcmark.go): what the object refers to
        // counts as reachable, the object itself does not. Whoever waits for the object itself
        // refers to it, and then its finalizer does not run.
        let table = self.marker.table();
        let contents: Vec<Range> = specials
            .finalized
            .iter()
            .filter_map(|at| match table.find(*at) {
                Place::Object(object) => {
                    let span = table.span(object.span)?;
                    let start = span.object(object.index);
                    let end = start.offset(span.element_size);
                    span.holds_pointers.then(|| Range::between(start, end))
                }
                _ => None,
            })
            .collect();
        self.marker.roots(self.memory, &contents)
    }

    fn globals(&mut self) -> Result<(), ReadError> {
        self.globals_read = true;
        let marker = &mut self.marker;
        global_words(
            self.memory,
            &self.modules,
            &self.anatomy.not_roots,
            |word| marker.word(word),
        )
    }

    fn stack_owner(&self, at: TargetAddr) -> Option<&GoroutineNow> {
        // Asked for the few objects that lie on stacks.
        self.now.values().find(|now| {
            let (lo, hi) = now.stack;
            now.has_stack() && lo <= at && at < hi
        })
    }

    fn make_live(&mut self, goroutines: &[Goid]) -> Result<(), ReadError> {
        let mut fresh = Vec::new();
        for goid in goroutines {
            if self.live.insert(*goid) {
                fresh.extend(self.now.get(goid).copied());
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let acts = fresh
            .iter()
            .any(|now| self.actors.may_use_globals(now.goid));
        self.stacks.scan(
            self.memory,
            &self.anatomy.goroutine,
            &fresh,
            &mut self.marker,
        )?;
        self.somebody_acts |= acts;
        self.drained = false;
        Ok(())
    }

    fn reachable(&mut self, object: TargetAddr) -> Result<bool, ReadError> {
        if !self.drained {
            if self.somebody_acts && !self.globals_read {
                self.globals()?;
            }
            self.marker.drain(self.memory)?;
            self.drained = true;
        }
        Ok(match self.marker.is_reached(object) {
            Some(reached) => reached,
            None => match self.stack_owner(object) {
                Some(owner) => {
                    self.live.contains(&owner.goid) || self.marker.is_pointed_at(owner.stack.0)
                }
                None => self.somebody_acts,
            },
        })
    }
}

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
        let dead: Vec<GoroutineNow> = goroutines
            .iter()
            .filter_map(|goid| self.now.get(goid).copied())
            .collect();
        let before = self.marker.reached_bytes();
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

impl Reachability for HeapWalk<'_> {
    fn add_live(&mut self, goroutines: &[Goid]) {
        if let Err(error) = self.make_live(goroutines) {
            self.failure.get_or_insert(error);
        }
    }

    fn is_reachable(&mut self, object: TargetAddr) -> bool {
        match self.reachable(object) {
            Ok(reachable) => reachable,
            // Nothing is claimed of what could not be looked at; `check` tells.
            Err(error) => {
                self.failure.get_or_insert(error);
                true
            }
        }
    }
}
