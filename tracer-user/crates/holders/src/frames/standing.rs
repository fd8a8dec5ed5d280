//! Where a goroutine stands: what its continuation begins with.

use std::{ops::Range, sync::Arc};

use super::super::{
    code::Code,
    defers::{self, Record},
    executor::{Surroundings, Term, Trace, World, hash_of},
};
use ids::{LoadBias, TargetAddr};
use image::WaitReason;
use memory::{Memory, MemoryExt as _, ReadError};
use snapshot::{Goroutine, ObjectKind, Operation, Stack, WaitOn};

/// Cases of one `select` at most that are asked where they receive into.
const MAX_RECEIVES: usize = 1024;

/// A goroutine with what is read of it before its frames are followed.
pub struct Standing<'a> {
    pub(super) code: &'a Code,
    pub(super) bias: LoadBias,
    pub(super) g: &'a Goroutine,
    /// Its deferred calls, the newest last.
    pub deferred: Vec<Record>,
    /// The memory of its frames that somebody else writes before it runs again.
    pub(super) changing: Vec<Range<u64>>,
    memory: &'a dyn Memory,
    window: &'a [u8],
}

/// Bytes of one element of a channel at most (`hchan.elemsize`).
const MAX_ELEMENT: u64 = 0xffff;

/// What goroutines that stand at the same place have in common, wherever their stacks lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    frames: Frames,
    above: u64,
    is_parked: bool,
    wait_reason: Option<WaitReason>,
    waits: Vec<(Operation, ObjectKind)>,
    deferred: Vec<u64>,
    changing: Vec<Range<u64>>,
}

/// The frames of a stack that many goroutines share, hashed once for all of them.
#[derive(Debug, Clone)]
pub struct Frames {
    stack: Arc<Stack>,
    digest: u64,
}

impl Frames {
    /// Those of `stack`.
    pub fn of(stack: &Arc<Stack>) -> Self {
        Self {
            stack: Arc::clone(stack),
            digest: hash_of(&stack.frames),
        }
    }
}

impl PartialEq for Frames {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stack, &other.stack)
            || self.digest == other.digest && self.stack.frames == other.stack.frames
    }
}

impl Eq for Frames {}

impl std::hash::Hash for Frames {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl<'a> Standing<'a> {
    /// Of `g`, on whose stack `window` lies from `g.sp` on, as far as read already.
    pub fn of(
        code: &'a Code,
        (memory, bias): (&'a dyn Memory, LoadBias),
        g: &'a Goroutine,
        window: &'a [u8],
    ) -> Self {
        Self {
            code,
            bias,
            g,
            deferred: deferred(&Words::of(memory, g, window), code, g),
            changing: received_into(memory, code, g),
            memory,
            window,
        }
    }

    /// The code that it runs.
    pub const fn code(&self) -> &'a Code {
        self.code
    }

    /// Where its image lies.
    pub const fn bias(&self) -> LoadBias {
        self.bias
    }

    /// Its memory, of which the innermost frames have been read already.
    pub const fn words(&self) -> Words<'a> {
        Words {
            at: self.g.sp,
            window: self.window,
            memory: self.memory,
        }
    }

    /// The goroutine.
    pub const fn goroutine(&self) -> &'a Goroutine {
        self.g
    }

    /// Its stack pointer.
    pub fn sp(&self) -> u64 {
        self.g.sp.0
    }

    /// Its memory.
    pub fn world<'w>(&'w self, trace: &'w Trace) -> World<'w> {
        World::new(self.surroundings(), self.g.sp.0, trace)
    }

    /// The same without what is noted of it.
    pub fn surroundings(&self) -> Surroundings<'a> {
        let (lo, hi) = self.g.stack_bounds;
        Surroundings::new(
            (self.memory, self.bias),
            self.code,
            lo.0..hi.0,
            (self.g.sp.0, self.window),
        )
    }

    /// What it has in common with others; `frames` are its own.
    pub fn shape(&self, frames: Frames) -> Shape {
        let below = |at: u64| at.wrapping_sub(self.g.sp.0);
        let on_stack = |range: &&Range<u64>| {
            let (lo, hi) = self.g.stack_bounds;
            range.end > lo.0 && range.start < hi.0
        };
        let changing = self.changing.iter().filter(on_stack);
        let mut changing: Vec<_> = changing
            .map(|range| below(range.start)..below(range.end))
            .collect();
        // The cases of a `select` are linked by the addresses of their channels.
        changing.sort_by_key(|range| range.start);
        Shape {
            frames,
            above: below(self.g.stack_bounds.1.0),
            is_parked: self.g.status.is_parked(),
            wait_reason: self.g.wait_reason,
            waits: self
                .lock_waits()
                .map(|wait| (wait.operation, wait.object.kind))
                .collect(),
            deferred: self
                .deferred
                .iter()
                .map(|record| below(record.sp))
                .collect(),
            changing,
        }
    }

    /// Its own numbers, in the order of [`Trace::given`].
    pub fn given(&self) -> impl Iterator<Item = u64> {
        let objects = self.lock_waits().map(|wait| wait.object.addr.0);
        let closures = self.deferred.iter().map(|record| record.closure);
        std::iter::once(self.g.g.0).chain(objects).chain(closures)
    }

    /// The address of its `g`.
    pub(super) fn address(&self, trace: &Trace) -> Term {
        trace.given(0, self.g.g.0)
    }

    /// The locks that it waits for: these it has when it goes on.
    pub(super) fn lock_waits(&self) -> impl Iterator<Item = &'a WaitOn> {
        let waits = self.g.waits_on.iter();
        waits.filter(|wait| wait.operation.takes_lock())
    }
}

/// Memory of which some has been read already.
pub struct Words<'a> {
    at: TargetAddr,
    window: &'a [u8],
    memory: &'a dyn Memory,
}

impl<'a> Words<'a> {
    /// The `memory` around `g`, as it is now: what was copied of the stack of one that was sampled is
    /// older.
    const fn of(memory: &'a dyn Memory, g: &Goroutine, window: &'a [u8]) -> Self {
        Self {
            at: g.sp,
            window: if g.sampled.is_none() { window } else { &[] },
            memory,
        }
    }
}

impl Memory for Words<'_> {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let skip = at.0.checked_sub(self.at.0);
        let skip = skip.and_then(|skip| usize::try_from(skip).ok());
        let end = skip.and_then(|skip| skip.checked_add(into.len()));
        let known = skip
            .zip(end)
            .and_then(|(from, to)| self.window.get(from..to));
        match known {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                Ok(())
            }
            None => self.memory.read(at, into),
        }
    }
}

/// Its deferred calls: a list that leads off its stack is one of somebody else, who has got the
/// records of a goroutine that went on meanwhile.
fn deferred(memory: &dyn Memory, code: &Code, g: &Goroutine) -> Vec<Record> {
    let (_, hi) = g.stack_bounds;
    let mut records = defers::records(memory, code.image(), g.g);
    records.retain(|record| (g.sp.0..hi.0).contains(&record.sp));
    records
}

/// Where on its own stack `g` receives into (`sudog.elem`, `runtime/chan.go`).
fn received_into(memory: &dyn Memory, code: &Code, g: &Goroutine) -> Vec<Range<u64>> {
    let layout = code.image().layout();
    let receives = |w: &WaitOn| w.operation == Operation::Receive;
    if !g.waits_on.iter().any(receives) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut next = memory.read_addr(g.g.offset(layout.g.waiting)).ok();
    for _ in 0..g.waits_on.len().min(MAX_RECEIVES) {
        let Some(sudog) = next.filter(|sudog| !sudog.is_nil()) else {
            break;
        };
        let element = memory.read_u64(sudog.offset(layout.sudog.elem));
        if let Some(element) = element.ok().filter(|at| may_reach(*at, g)) {
            let channel = memory.read_addr(sudog.offset(layout.sudog.c));
            let size = channel.and_then(|at| memory.read_u32(at.offset(layout.hchan.elemsize)));
            let size = u64::from(size.unwrap_or(0)) & MAX_ELEMENT;
            found.push(element..element.saturating_add(size));
        }
        next = memory.read_addr(sudog.offset(layout.sudog.waitlink)).ok();
    }
    found
}

/// Whether an element at `at` can reach the stack of `g`.
const fn may_reach(at: u64, g: &Goroutine) -> bool {
    let (lo, hi) = g.stack_bounds;
    at != 0 && at < hi.0 && at.saturating_add(MAX_ELEMENT) > lo.0
}
