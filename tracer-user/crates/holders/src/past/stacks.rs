//! What the frames of a stack are to the past: worked out once for all goroutines that share the stack.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use rustc_hash::FxHashMap;

use super::{
    super::{
        code::{Code, Routine},
        frames::{Role, Standing, role},
    },
    Pasts,
    summary::Summary,
};
use snapshot::{InnermostPc, Stack, StackFrame};

/// Frames looked at, from the innermost.
const MAX_FRAMES: usize = 256;

/// What is known of functions' pasts, as one look asks for it, stack by stack.
pub struct Stacks<'a> {
    pasts: &'a Pasts,
    known: RefCell<FxHashMap<Key, Kept>>,
}

/// Where a stack is kept, and whether it was sampled.
type Key = (usize, bool);

/// The frames of a stack, and the stack: as long as it is held, no other one is kept there.
type Kept = (Arc<Stack>, Rc<[Frame]>);

/// A frame of a function whose past matters.
pub(super) struct Frame {
    /// Its place in the stack, from the innermost.
    pub(super) index: usize,
    /// The instruction that it is at, by index.
    pub(super) at: u32,
    pub(super) routine: Option<Arc<Routine>>,
    /// What the function has done; `None` if that was too much to follow.
    pub(super) summary: Option<Arc<Summary>>,
    /// Whether it waits in its call of `deferreturn`.
    pub(super) runs_deferred: bool,
    /// Whether the frame inside is one of a function that it called itself.
    pub(super) called: bool,
    /// Whether the locks that the goroutine has depend on what this frame did or passed on, by what is
    /// known of the functions whatever they were called with.
    pub(super) matters: bool,
}

impl<'a> Stacks<'a> {
    /// For one look, by what `pasts` know.
    pub fn new(pasts: &'a Pasts) -> Self {
        Self {
            pasts,
            known: RefCell::default(),
        }
    }

    /// The frames of the goroutine's stack whose functions' pasts matter, from the innermost outwards.
    pub(super) fn frames(&self, standing: &Standing<'_>) -> Rc<[Frame]> {
        let g = standing.goroutine();
        let key = (Arc::as_ptr(&g.stack).addr(), g.sampled.is_some());
        if let Some((_, frames)) = self.known.borrow().get(&key) {
            return Rc::clone(frames);
        }
        let mut frames = frames(self.pasts, standing.code(), &g.stack, g.sampled.is_none());
        say_which_matter(&mut frames);
        let frames: Rc<[Frame]> = frames.into();
        let kept = (Arc::clone(&g.stack), Rc::clone(&frames));
        self.known.borrow_mut().insert(key, kept);
        frames
    }
}

/// The frames of `stack`, from the innermost outwards. `waits`: what was sampled is in the middle of its
/// innermost function, and waits for nothing.
fn frames(pasts: &Pasts, code: &Code, stack: &Stack, waits: bool) -> Vec<Frame> {
    let mut found = Vec::new();
    let mut innermost = waits;
    let mut inside: Option<(Arc<Routine>, Role)> = None;
    for (index, frame) in stack.frames.iter().enumerate().take(MAX_FRAMES) {
        let routine = code.routine(frame.pc);
        let role = routine.as_ref().map(|r| role(&r.function.name, innermost));
        innermost &= role == Some(Role::Wait);
        if role == Some(Role::End) {
            break;
        }
        if matches!(role, None | Some(Role::Code)) {
            let inner = inside.as_ref();
            let is_exact = index == 0 && stack.innermost == InnermostPc::Exact;
            let at = routine
                .as_ref()
                .and_then(|r| instruction(r, frame, inner, is_exact));
            let summary = routine
                .as_ref()
                .and_then(|routine| pasts.before(code, routine, at?));
            let is = |role| inner.is_some_and(|(_, inner)| *inner == role);
            found.push(Frame {
                index,
                at: at.unwrap_or(0),
                routine: routine.clone(),
                summary,
                runs_deferred: is(Role::RunsDeferred),
                called: is(Role::Code),
                matters: false,
            });
        }
        inside = routine.zip(role);
    }
    found
}

/// Says which of `frames` matter: those whose functions touch locks, or may have, and those that say
/// what a frame inside them was called with that matters and does not say so itself.
fn say_which_matter(frames: &mut [Frame]) {
    let touches = |frame: &Frame| (frame.summary.as_ref()).is_some_and(|s| s.touches_locks());
    // What could not be followed casts doubt on what was taken outside it, and takes nothing.
    if !frames.iter().any(touches) {
        return;
    }
    let mut asked = false;
    for frame in frames {
        let is_asked = asked && frame.called;
        frame.matters = is_asked || frame.summary.is_none() || touches(frame);
        let asks = |summary: &Arc<Summary>| summary.asks_callers();
        asked = frame.matters && frame.summary.as_ref().is_some_and(asks);
    }
}

/// Whether the function `name` interrupts its caller between two instructions instead of being called.
fn interrupts(name: &str) -> bool {
    matches!(name, "runtime.asyncPreempt" | "runtime.sigpanic")
}

/// The call, or the instruction, that `frame` of `routine` is at; `inner` is the frame inside,
/// `is_exact` says that it was seen between two instructions.
fn instruction(
    routine: &Routine,
    frame: &StackFrame,
    inner: Option<&(Arc<Routine>, Role)>,
    is_exact: bool,
) -> Option<u32> {
    let interrupted = is_exact || inner.is_some_and(|(inner, _)| interrupts(&inner.function.name));
    let next = routine.body.index_of(frame.pc)?;
    next.checked_sub(u32::from(!interrupted))
}
