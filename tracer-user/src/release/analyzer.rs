//! The analysis of one image's processes.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{code::Code, frames, model::PendingRelease, rest, timers};
use crate::{
    ids::{Goid, TargetAddr},
    image::Image,
    memory::{CachedMemory, Gather},
    snapshot::{Goroutine, Status, Target},
};

/// How much of a stack is read at once, in bytes.
const STACK_WINDOW: u64 = 16 << 10;
/// Goroutines whose stacks are read at once.
const CHUNK: usize = 256;

/// Finds pending releases. One per image: what it learns of the code serves every goroutine of
/// every process that runs it.
#[derive(Debug)]
pub struct Analyzer {
    code: Code,
}

impl Analyzer {
    /// For processes that run `image`.
    #[must_use]
    pub fn new(image: Arc<Image>) -> Self {
        Self {
            code: Code::new(image),
        }
    }

    /// What the continuation of each of `goroutines` will release of what it does not take first.
    /// Without those of which nothing was found: that of a goroutine whose stack is not known
    /// (it runs), for example.
    ///
    /// Of a goroutine that is not parked the result is as of a moment, and never certain.
    #[must_use]
    pub fn pending<'g>(
        &self,
        target: &Target,
        goroutines: impl IntoIterator<Item = &'g Goroutine>,
    ) -> FxHashMap<Goid, Vec<PendingRelease>> {
        // Neighbours on the heap are read once for all goroutines.
        let memory = CachedMemory::new(&*target.memory);
        let goroutines: Vec<&Goroutine> = goroutines.into_iter().filter(|g| is_known(g)).collect();
        let mut stacks = Gather::new();
        let mut found = FxHashMap::default();
        for chunk in goroutines.chunks(CHUNK) {
            let windows: Vec<_> = chunk.iter().map(|g| window(g)).collect();
            let read = stacks.read(&*target.memory, &windows).is_ok();
            for (index, g) in chunk.iter().enumerate() {
                let window = stacks.get(index).filter(|_| read).unwrap_or_default();
                let pending = frames::pending(&self.code, &memory, target.bias, g, window);
                if !pending.is_empty() {
                    found.insert(g.goid, pending);
                }
            }
        }
        found
    }

    /// Whether `g` keeps the program running by `<-make(chan T)`: it waits for a channel that it made
    /// itself and has given nobody.
    #[must_use]
    pub fn rests(&self, g: &Goroutine) -> bool {
        rest::receives_from_own_making(&self.code, g)
    }

    /// What the functions of pending timers (`time.AfterFunc`) may release. Belongs to the others
    /// under [`TIMERS`](super::TIMERS).
    #[must_use]
    pub fn of_timers(&self, target: &Target) -> Vec<PendingRelease> {
        let memory = CachedMemory::new(&*target.memory);
        timers::releases(&self.code, &memory, target)
    }
}

/// Whether there is anything to say of what `g` will do.
fn is_known(g: &Goroutine) -> bool {
    !g.system && !matches!(g.status, Status::Idle | Status::CopyStack) && !g.stack.frames.is_empty()
}

/// Where its frames lie, as far as they are read ahead.
fn window(g: &Goroutine) -> (TargetAddr, usize) {
    let (_, hi) = g.stack_bounds;
    let len = hi.0.saturating_sub(g.sp.0).min(STACK_WINDOW);
    (g.sp, usize::try_from(len).unwrap_or(0))
}
