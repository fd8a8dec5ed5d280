//! Stacks of parked goroutines, by the stack tables of pclntab.
//!
//! As `runtime.unwinder` (`runtime/traceback.go`): the frame size at a pc comes from the function's
//! pcsp table, the return address lies just below the caller's frame (amd64) or at the stack
//! pointer (arm64, which saves its link register there). The first function of every goroutine was
//! made to look as if called by `runtime.goexit`.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{InnermostPc, Stack, StackFrame, fields::Fields};
use ids::{ImageAddr, LoadBias, TargetAddr};
use image::{Arch, Image};

/// Most program counters whose frame size is remembered.
const STEPS_LIMIT: usize = 1 << 20;
/// Most distinct stacks shared; later ones are kept by their goroutines alone.
const STACKS_LIMIT: usize = 1 << 18;
/// Most frames of one stack. Go's own limit is its size, 1 GB; recursion deeper than this is cut.
const FRAMES_LIMIT: usize = 16 << 10;

/// Most frames of all stacks that are kept together; further stacks are cut after
/// [`FRAMES_ANYWAY`]. So many take 96 MiB.
const ALL_FRAMES_LIMIT: usize = 4 << 20;
const FRAMES_ANYWAY: usize = 64;

/// Unwinds stacks of one image. Keeps frame sizes and shares equal stacks from look to look.
#[derive(Debug, Default)]
pub struct Unwinder {
    steps: FxHashMap<ImageAddr, Step>,
    stacks: FxHashSet<Arc<Stack>>,
    /// Frames of the stacks that were made since [`Unwinder::begin`].
    frames: usize,
    scratch: Stack,
}

/// What a pc says about its frame.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The frame takes so many bytes, without the return address.
    Frame(u64),
    /// `runtime.goexit`, or a function that starts a thread's stack: nobody called it.
    Bottom,
    /// No function of this image, or no stack table there.
    Unknown,
}

/// Where unwinding starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) pc: TargetAddr,
    pub(super) sp: TargetAddr,
    /// The saved link register (arm64 only).
    pub(super) lr: TargetAddr,
    /// What `pc` is.
    pub(super) innermost: InnermostPc,
}

/// What unwinding came to.
#[derive(Debug)]
pub(super) enum Unwound {
    /// To the goroutine's first function, or as far as the stack makes sense.
    Done(Arc<Stack>),
    /// The bytes end before the stack does.
    NeedsMore,
}

impl Unwinder {
    /// The stack of a parked goroutine of `image`, loaded at `bias`: it goes on at `pc`, and `bytes` are all of
    /// its stack from its stack pointer `sp` on.
    pub fn parked(
        &mut self,
        (image, bias): (&Image, LoadBias),
        (pc, sp): (TargetAddr, TargetAddr),
        bytes: &[u8],
    ) -> Option<Arc<Stack>> {
        let start = Start {
            pc,
            sp,
            // Whoever is parked has called something.
            lr: TargetAddr(0),
            innermost: InnermostPc::ReturnAddress,
        };
        match self.unwind(image, bias, start, bytes, true) {
            Unwound::Done(stack) => Some(stack),
            Unwound::NeedsMore => None,
        }
    }

    /// Frames of all stacks that were asked for.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// Another look begins: stacks of earlier ones count no more.
    pub(super) fn begin(&mut self) {
        self.frames = 0;
    }

    /// The stack that starts at `start`, whose contents from `start.sp` on are `bytes`. `whole`
    /// says that there are no more bytes to be had.
    pub(super) fn unwind(
        &mut self,
        image: &Image,
        bias: LoadBias,
        start: Start,
        bytes: &[u8],
        whole: bool,
    ) -> Unwound {
        let mut stack = std::mem::take(&mut self.scratch);
        stack.frames.clear();
        let outcome = self.walk(image, bias, start, bytes, &mut stack.frames);
        stack.truncated = outcome != Walk::Bottom;
        stack.innermost = start.innermost;
        if outcome == Walk::NeedsMore && !whole {
            self.scratch = stack;
            return Unwound::NeedsMore;
        }
        let shared = self.share(&stack);
        self.scratch = stack;
        Unwound::Done(shared)
    }

    fn walk(
        &mut self,
        image: &Image,
        bias: LoadBias,
        start: Start,
        bytes: &[u8],
        frames: &mut Vec<StackFrame>,
    ) -> Walk {
        let saves_link = image.arch() == Arch::Arm64;
        let mut pc = start.pc;
        let mut sp = 0;
        let most = match self.frames < ALL_FRAMES_LIMIT {
            true => FRAMES_LIMIT,
            false => FRAMES_ANYWAY,
        };
        while frames.len() < most {
            let at = pc.in_image(bias);
            let size = match self.step(image, at) {
                Step::Frame(size) => size,
                Step::Bottom => return Walk::Bottom,
                Step::Unknown => return Walk::Lost,
            };
            let (slot, fp) = if saves_link {
                (sp, sp + size)
            } else {
                (sp + size, sp + size + 8)
            };
            frames.push(StackFrame {
                pc: at,
                sp_offset: sp,
                fp_offset: fp,
            });
            // A leaf on arm64 has not saved its link register.
            let caller = if saves_link && size == 0 {
                (frames.len() == 1).then_some(start.lr)
            } else {
                usize::try_from(slot)
                    .ok()
                    .and_then(|slot| bytes.get(slot..slot.checked_add(8)?))
                    .map(|word| Fields(word).addr(0))
            };
            match caller {
                Some(caller) => pc = caller,
                None => return Walk::NeedsMore,
            }
            sp = fp;
        }
        Walk::Lost
    }

    fn step(&mut self, image: &Image, pc: ImageAddr) -> Step {
        if let Some(step) = self.steps.get(&pc) {
            return *step;
        }
        let step = look_up(image, pc);
        if self.steps.len() >= STEPS_LIMIT {
            self.steps.clear();
        }
        self.steps.insert(pc, step);
        step
    }

    fn share(&mut self, stack: &Stack) -> Arc<Stack> {
        if let Some(shared) = self.stacks.get(stack) {
            return Arc::clone(shared);
        }
        let shared = Arc::new(stack.clone());
        self.frames += shared.frames.len();
        if self.stacks.len() >= STACKS_LIMIT {
            self.stacks.retain(|stack| Arc::strong_count(stack) > 1);
        }
        if self.stacks.len() < STACKS_LIMIT {
            self.stacks.insert(Arc::clone(&shared));
        }
        shared
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    Bottom,
    Lost,
    NeedsMore,
}

fn look_up(image: &Image, pc: ImageAddr) -> Step {
    let Some(function) = image.function_at(pc) else {
        return Step::Unknown;
    };
    if is_bottom(&function.name) {
        return Step::Bottom;
    }
    match image.sp_delta(&function, pc) {
        Some(size) => Step::Frame(size),
        None => Step::Unknown,
    }
}

/// Functions that nobody called (`runtime.topofstack` and the assembly that starts threads).
fn is_bottom(name: &str) -> bool {
    matches!(
        name,
        "runtime.goexit" | "runtime.mstart" | "runtime.rt0_go" | "runtime.mcall"
    )
}
