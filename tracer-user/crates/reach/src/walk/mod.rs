//! The walk itself: roots, stacks and marks behind [`Reachability`].

mod paths;
mod retained;
mod roots;
mod tables;

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::{
    goroutine::{GoroutineState, RunState},
    goroutine_table::GoroutineTable,
    mark::{Marker, Range},
    mutators::Mutators,
    roots::Module,
    runtime_layout::RuntimeLayout,
    stacks::StackReader,
};
use graph::Reachability;
use ids::{Goid, TargetAddr};
use memory::{Memory, ReadError};

pub use paths::{Path, Paths, Reference, Root};
pub use retained::Retained;

/// How a later round is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundOptions {
    /// From high addresses to low ones, and roots before the heap.
    pub downwards: bool,
    /// Whether everything that was reached is read once more, and not only what changes.
    pub everything: bool,
}

/// What the answers of a [`HeapWalk`] as a [`Reachability`] follow from: as long as this is the same,
/// nobody becomes live who was not. (Where stacks lie is not part of it: a stack that is elsewhere by
/// now belongs to a goroutine that moved, or to one that is live already.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FixpointInputs {
    marks: u64,
    live: usize,
    moved: usize,
    somebody_acts: bool,
}

/// One look at a target's heap, goroutines included, that can be repeated and only ever finds more.
pub struct HeapWalk<'t> {
    memory: &'t dyn Memory,
    anatomy: RuntimeLayout,
    modules: Vec<Module>,
    marker: Marker,
    stacks: StackReader,
    actors: Mutators<'t>,
    /// As they were when the walk began.
    first: Arc<GoroutineTable>,
    /// As they were when last looked at.
    now: Arc<GoroutineTable>,
    /// So many of the list of all goroutines are opaque already.
    opaque_gs: usize,
    /// Where the stacks of `now` begin, ascending.
    by_stack: Vec<(TargetAddr, Goid)>,
    live: FxHashSet<Goid>,
    /// What goroutines are going to use, by their code, ascending.
    uses: Vec<(Goid, TargetAddr)>,
    /// The sudogs of parked goroutines as they were when the walk began, by goroutine.
    sudogs: Vec<(Goid, TargetAddr)>,
    /// The `g` structs of the Ms' own, ascending.
    own_gs: Vec<TargetAddr>,
    /// Goroutines that ran since the walk began, or began since.
    moved: FxHashSet<Goid>,
    /// Whether anyone is there who can use a global.
    somebody_acts: bool,
    globals_read: bool,
    drained: bool,
    /// What could not be read whole in the present round.
    flaw: Option<&'static str>,
    failure: Option<ReadError>,
}

impl<'t> HeapWalk<'t> {
    /// Reads the heap's tables, the goroutines, and what the runtime itself keeps alive.
    ///
    /// # Errors
    /// When one of the tables cannot be read.
    pub(super) fn begin(
        memory: &'t dyn Memory,
        anatomy: RuntimeLayout,
        stacks: StackReader,
        actors: Mutators<'t>,
        marker: Marker,
    ) -> Result<Self, ReadError> {
        let modules = Module::all(memory, &anatomy.module, anatomy.first_module)?;
        let mut walk = Self {
            memory,
            anatomy,
            modules,
            marker,
            stacks,
            actors,
            first: Arc::default(),
            now: Arc::default(),
            opaque_gs: 0,
            by_stack: Vec::new(),
            live: FxHashSet::default(),
            uses: Vec::new(),
            sudogs: Vec::new(),
            own_gs: Vec::new(),
            moved: FxHashSet::default(),
            somebody_acts: false,
            globals_read: false,
            drained: false,
            flaw: None,
            failure: None,
        };
        walk.look_at_tables()?;
        walk.first = Arc::clone(&walk.now);
        walk.sudogs = walk.anatomy.sudogs.of_parked(memory, walk.first.iter())?;
        for (_, sudog) in &walk.sudogs {
            walk.marker.set_opaque(*sudog);
        }
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
    pub fn first_seen(&self) -> &GoroutineTable {
        &self.first
    }

    /// The goroutines that ran since the walk began, or began since: live, whatever they wait for.
    #[must_use]
    pub fn moved(&self) -> &FxHashSet<Goid> {
        &self.moved
    }

    /// What its answers follow from.
    pub(super) fn knowledge(&self) -> FixpointInputs {
        FixpointInputs {
            marks: self.marker.generation(),
            live: self.live.len(),
            moved: self.moved.len(),
            somebody_acts: self.somebody_acts,
        }
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

    /// What could not be read whole in the last round: nothing follows from that round alone.
    #[must_use]
    pub fn flaw(&self) -> Option<&'static str> {
        self.flaw
    }

    /// The goroutines as they were when last looked at.
    #[must_use]
    pub fn now(&self) -> &GoroutineTable {
        &self.now
    }

    /// Whether this goroutine can use the program's variables.
    #[must_use]
    pub fn may_use_globals(&self, goid: Goid) -> bool {
        self.actors.may_use_globals(goid, true)
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

    /// Takes it that a goroutine reaches what it is going to use by its code, wherever it finds that.
    pub(super) fn add_uses(&mut self, uses: &[(Goid, TargetAddr)]) {
        for (goid, object) in uses {
            if self.live.contains(goid) {
                self.marker.word(object.0);
                self.drained = false;
            }
        }
        self.uses.extend(uses);
        self.uses.sort_unstable();
        self.uses.dedup();
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

    /// Looks once more: at goroutines, the heap's tables, all roots, what changes in the heap, and,
    /// if asked to, at everything else.
    ///
    /// # Errors
    /// When the target is gone or a root cannot be read.
    pub fn look_again(&mut self, again: RoundOptions) -> Result<(), ReadError> {
        let RoundOptions {
            downwards,
            everything,
        } = again;
        self.marker.read_what_is_found(true);
        self.look_at_tables()?;
        if downwards {
            self.reread_roots(everything)?;
        }
        if everything {
            self.marker.drain(self.memory)?;
            self.marker.compare_all(self.memory, downwards)?;
        }
        self.marker.reread_changing(self.memory, downwards)?;
        if !downwards {
            self.reread_roots(everything)?;
        }
        self.drained = true;
        self.marker.drain(self.memory)
    }

    /// The stacks of those that moved, or all: the counter that tells who moved has eight bits.
    fn reread_roots(&mut self, all_stacks: bool) -> Result<(), ReadError> {
        self.runtime_roots()?;
        let now = Arc::clone(&self.now);
        for group in now.groups() {
            let restless = group
                .iter()
                .filter(|now| self.is_restless(now, all_stacks))
                .copied();
            self.stack_roots(&restless.collect::<Vec<GoroutineState>>())?;
        }
        self.vector_roots()?;
        if self.somebody_acts {
            self.globals()?;
        }
        self.marker.drain(self.memory)
    }

    /// Whether its stack is a root, and may have changed since it was read, or is to be read in any
    /// case.
    fn is_restless(&self, now: &GoroutineState, in_any_case: bool) -> bool {
        let may_have_changed = in_any_case || now.doing != RunState::Parked;
        self.moved.contains(&now.goid) || (may_have_changed && self.live.contains(&now.goid))
    }

    fn stack_owner(&self, at: TargetAddr) -> Option<&GoroutineState> {
        let behind = self.by_stack.partition_point(|(lo, _)| *lo <= at);
        let (_, goid) = self.by_stack.get(behind.checked_sub(1)?)?;
        self.now.get(*goid).filter(|now| at < now.stack.1)
    }

    fn make_live(&mut self, goroutines: &[Goid]) -> Result<(), ReadError> {
        let mut fresh = Vec::new();
        self.live.reserve(goroutines.len());
        for goid in goroutines {
            if self.live.insert(*goid) {
                fresh.extend(self.now.get(*goid).copied());
                for (_, sudog) in of_goroutine(&self.sudogs, *goid) {
                    self.marker.clear_opaque(*sudog);
                    self.drained = false;
                }
                for (_, object) in of_goroutine(&self.uses, *goid) {
                    self.marker.word(object.0);
                    self.drained = false;
                }
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let acts = |now: &GoroutineState| {
            let moved = self.moved.contains(&now.goid);
            self.actors.may_use_globals(now.goid, moved)
        };
        self.somebody_acts |= fresh.iter().any(acts);
        self.stack_roots(&fresh)?;
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

/// Those of `pairs`, ascending, that belong to `goid`.
fn of_goroutine(pairs: &[(Goid, TargetAddr)], goid: Goid) -> &[(Goid, TargetAddr)] {
    let from = pairs.partition_point(|(of, _)| *of < goid);
    let of = pairs[from..].partition_point(|(of, _)| *of == goid);
    &pairs[from..from + of]
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
