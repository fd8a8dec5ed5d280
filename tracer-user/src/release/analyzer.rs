//! The analysis of one image's processes.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use tracing::debug;

use super::{
    alike::Alike,
    code::Code,
    executor::Trace,
    frames::{self, Standing},
    model::PendingRelease,
    rest, rounds, timers,
};
use crate::{
    ids::{Goid, TargetAddr},
    image::Image,
    memory::{CachedMemory, Gather},
    snapshot::{Goroutine, StackFrame, Status, Target},
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
    ///
    /// Of goroutines that stand alike one is followed, and the others take its result where what
    /// it depends on is the same for them.
    #[must_use]
    pub fn pending<'g>(
        &self,
        target: &Target,
        goroutines: impl IntoIterator<Item = &'g Goroutine>,
    ) -> FxHashMap<Goid, Vec<PendingRelease>> {
        let goroutines: Vec<&Goroutine> = goroutines.into_iter().filter(|g| is_known(g)).collect();
        let together = by_frames(&goroutines);
        let mut alike = Alike::default();
        let found = self.of_all(target, &goroutines, |standing| {
            let frames = &*standing.goroutine().stack.frames;
            let alone = standing.goroutine().sampled.is_some();
            if !alone && together.get(frames).is_some_and(|count| *count > 1) {
                alike.pending(standing)
            } else {
                frames::pending(standing, &Trace::off())
            }
        });
        debug!(
            goroutines = goroutines.len(),
            spared = alike.spared(),
            "pending releases"
        );
        found
    }

    /// The same, following each of them by itself: what [`pending`](Self::pending) is checked and
    /// measured against.
    #[must_use]
    pub fn pending_one_by_one<'g>(
        &self,
        target: &Target,
        goroutines: impl IntoIterator<Item = &'g Goroutine>,
    ) -> FxHashMap<Goid, Vec<PendingRelease>> {
        let goroutines: Vec<&Goroutine> = goroutines.into_iter().filter(|g| is_known(g)).collect();
        self.of_all(target, &goroutines, |standing| {
            frames::pending(standing, &Trace::off())
        })
    }

    fn of_all(
        &self,
        target: &Target,
        goroutines: &[&Goroutine],
        mut pending: impl FnMut(&Standing<'_>) -> Vec<PendingRelease>,
    ) -> FxHashMap<Goid, Vec<PendingRelease>> {
        // Neighbours on the heap are read once for all goroutines.
        let memory = CachedMemory::new(&*target.memory);
        let mut stacks = Gather::new();
        let mut found = FxHashMap::default();
        for chunk in goroutines.chunks(CHUNK) {
            let windows: Vec<_> = chunk.iter().map(|g| window(g)).collect();
            let read = stacks.read(&*target.memory, &windows).is_ok();
            // Before any of them is followed, which takes longer than a wait does.
            let standing = chunk.iter().enumerate().map(|(index, g)| {
                let window = match &g.sampled {
                    // It runs on: only the copy belongs to its registers and frames.
                    Some(sample) => &sample.stack,
                    None => stacks.get(index).filter(|_| read).unwrap_or_default(),
                };
                Standing::of(&self.code, (&memory, target.bias), g, window)
            });
            let standing: Vec<_> = standing.collect();
            for (g, standing) in chunk.iter().zip(&standing) {
                let mut pending = pending(standing);
                pending.extend(rounds::receives_again(&self.code, g));
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
        g.status.is_parked() && rest::receives_from_own_making(&self.code, g)
    }

    /// What the functions of pending timers (`time.AfterFunc`) may release. Belongs to the others
    /// under [`TIMERS`](super::TIMERS).
    #[must_use]
    pub fn of_timers(&self, target: &Target) -> Vec<PendingRelease> {
        let memory = CachedMemory::new(&*target.memory);
        timers::releases(&self.code, &memory, target)
    }
}

/// How many of `goroutines` have which frames.
fn by_frames<'g>(goroutines: &[&'g Goroutine]) -> FxHashMap<&'g [StackFrame], usize> {
    let mut together = FxHashMap::default();
    for g in goroutines {
        *together.entry(&*g.stack.frames).or_insert(0) += 1;
    }
    together
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
