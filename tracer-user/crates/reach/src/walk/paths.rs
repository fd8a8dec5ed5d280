//! How an object is reached: the shortest ways to it from where a walk starts.

use std::sync::Arc;

use super::HeapWalk;
use crate::{
    goroutine::GoroutineState,
    heap::Place,
    roots::{Module, global_words},
    search::PathSearch,
};
use ids::{Goid, TargetAddr};
use memory::{ReadError, words};

/// Where a way to an object begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Root {
    /// A variable of the program.
    Variable,
    /// The stack of a live goroutine, or its deferred calls.
    Goroutine(Goid),
    /// A timer that is pending.
    Timer,
}

/// One reference on the way: a word, and what it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Where the word lies; `None` where that is not known.
    pub at: Option<TargetAddr>,
    /// What the word says: an address in the object.
    pub to: TargetAddr,
    /// The heap object that it leads to, and its size.
    pub object: (TargetAddr, u64),
}

/// A way from a root to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Where it begins.
    pub root: Root,
    /// The references on the way, in order: the last one leads to the object. None where the object
    /// lies in the root itself.
    pub references: Vec<Reference>,
    /// Of a way that begins on a stack: where on it the first reference lies, ascending.
    pub on_stack: Vec<TargetAddr>,
    /// Of a way that begins in a variable: the variable nearest before that refers to where it begins,
    /// which may be a part of a value that the linker has laid down without a name.
    pub laid_down: Option<Reference>,
}

/// The ways that were found to an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// The shortest one from the program's variables, timers included, and the shortest one from the
    /// stacks of live goroutines, as far as there are any.
    pub found: Vec<Path>,
    /// Whether there may be others: more objects are in reach than one search goes through.
    pub gave_up: bool,
}

impl HeapWalk<'_> {
    /// Finds the shortest ways to `object` from the program's variables and from the stacks of the
    /// goroutines that are live by now, but for those of `except`.
    ///
    /// # Errors
    /// When the target is gone or a root cannot be read.
    pub(crate) fn paths_to(
        &mut self,
        object: TargetAddr,
        except: &[Goid],
    ) -> Result<Paths, ReadError> {
        let mut paths = Paths::default();
        if !matches!(self.marker.table().find(object), Place::Object(_)) {
            let root = self.lies_in(object);
            paths.found.extend(root.map(|root| Path {
                root,
                references: Vec::new(),
                on_stack: Vec::new(),
                laid_down: None,
            }));
            return Ok(paths);
        }
        if self.somebody_acts {
            self.search(&mut paths, object, Self::enter_variables)?;
        }
        self.search(&mut paths, object, |walk, search| {
            walk.enter_stacks(search, except)
        })?;
        Ok(paths)
    }

    /// The root that holds what lies outside the heap's objects.
    fn lies_in(&self, object: TargetAddr) -> Option<Root> {
        if let Some(owner) = self.stack_owner(object) {
            return Some(Root::Goroutine(owner.goid));
        }
        let mut sections = self.modules.iter().map(Module::section);
        sections
            .any(|section| object.0.wrapping_sub(section.at.0) < section.len)
            .then_some(Root::Variable)
    }

    /// Adds the shortest way to `object` from the roots that `begin` enters.
    fn search(
        &mut self,
        paths: &mut Paths,
        object: TargetAddr,
        begin: impl Fn(&mut Self, &mut PathSearch) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut search = PathSearch::new(object);
        begin(self, &mut search)?;
        search.run(self.memory, &self.marker)?;
        paths.gave_up |= search.gave_up();
        let Some(mut path) = search.path() else {
            return Ok(());
        };
        match (path.root, path.references.first()) {
            (Root::Goroutine(goid), Some(first)) => {
                path.on_stack = self.on_stack_of(goid, first.to).unwrap_or_default();
            }
            (Root::Variable, Some(Reference { at: Some(at), .. })) => {
                path.laid_down = self.nearest_before(*at)?;
            }
            _ => {}
        }
        paths.found.push(path);
        Ok(())
    }

    fn enter_variables(&mut self, search: &mut PathSearch) -> Result<(), ReadError> {
        let marker = &self.marker;
        let without = &self.anatomy.not_roots;
        global_words(self.memory, &self.modules, without, |at, word| {
            search.enter_root(marker, Root::Variable, Some(at), word);
        })?;
        let (heap, layout) = &self.anatomy.timers;
        for timer in heap.timers(self.memory, layout)?.pending {
            for word in [timer.at.0, timer.function.0]
                .into_iter()
                .chain(timer.argument)
            {
                search.enter_root(marker, Root::Timer, None, word);
            }
        }
        Ok(())
    }

    fn enter_stacks(&mut self, search: &mut PathSearch, except: &[Goid]) -> Result<(), ReadError> {
        let now = Arc::clone(&self.now);
        let mut words: Vec<u64> = Vec::new();
        for goroutine in now.iter().filter(|now| !except.contains(&now.goid)) {
            if !self.live.contains(&goroutine.goid) {
                continue;
            }
            words.clear();
            let one = std::slice::from_ref(goroutine);
            let layout = &self.anatomy.goroutine;
            self.stacks.scan(self.memory, layout, one, &mut words)?;
            for word in &words {
                let root = Root::Goroutine(goroutine.goid);
                search.enter_root(&self.marker, root, None, *word);
            }
            if search.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// The reference from a variable to the nearest address in variables that is not behind `at`.
    fn nearest_before(&self, at: TargetAddr) -> Result<Option<Reference>, ReadError> {
        /// A larger value is none that the linker has laid down.
        const MOST: u64 = 1 << 20;
        let mut nearest: Option<Reference> = None;
        let without = &self.anatomy.not_roots;
        global_words(self.memory, &self.modules, without, |here, word| {
            let is_nearer = nearest.is_none_or(|nearest| word > nearest.to.0);
            if word <= at.0 && at.0 - word < MOST && is_nearer {
                nearest = Some(Reference {
                    at: Some(here),
                    to: TargetAddr(word),
                    object: (TargetAddr(word), 0),
                });
            }
        })?;
        Ok(nearest)
    }

    /// Where on the stack of `goid` words like `word` lie.
    fn on_stack_of(&self, goid: Goid, word: TargetAddr) -> Option<Vec<TargetAddr>> {
        const MOST_BYTES: u64 = 1 << 20;
        const MOST_PLACES: usize = 64;
        let now: &GoroutineState = self.now.get(goid).filter(|now| now.sp_is_sound())?;
        let len = (now.stack.1.0 - now.sp.0).min(MOST_BYTES);
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.memory.read(now.sp, &mut bytes).ok()?;
        let places = words(&bytes).enumerate();
        let places = places.filter(|(_, here)| *here == word.0);
        let places = places.map(|(index, _)| now.sp.offset(8 * index as u64));
        Some(places.take(MOST_PLACES).collect())
    }
}
