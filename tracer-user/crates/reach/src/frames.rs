//! Which words of a parked goroutine's stack are live pointers: the compiler's own stack maps.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::goroutine::{GoroutineState, RunState};
use ids::{ImageAddr, LoadBias, TargetAddr};
use image::{Arch, Function, Image};
use memory::words;
use snapshot::{Snapshot, Stack, StackFrame, Unwinder};

// `internal/abi/funcdata.go`.
const ARGS_POINTER_MAPS: usize = 0;
const LOCALS_POINTER_MAPS: usize = 1;
const STACK_OBJECTS: usize = 2;
const STACK_MAP_INDEX: usize = 1;
/// `ArgsSizeUnknown`.
const ARGS_SIZE_UNKNOWN: i32 = i32::MIN;
/// More stack objects or map bits than any frame has.
const MAX_OBJECTS: u64 = 1 << 16;
const MAX_BITS: usize = 1 << 20;

/// Frames of stacks at places where the snapshot did not find them that are kept at most: 24 MiB.
const MAX_FRAMES_ANEW: usize = 1 << 20;

/// The plans of all parked goroutines of a snapshot, and of where they are parked later.
#[derive(Debug)]
pub struct FrameMaps {
    image: Arc<Image>,
    /// Keeps the stacks, whose addresses stand for them in `plans`.
    snapshot: Arc<Snapshot>,
    plans: FxHashMap<usize, Option<StackPlan>>,
    unwinder: Unwinder,
    anew: FxHashMap<Arc<Stack>, Option<StackPlan>>,
}

impl FrameMaps {
    /// Reads the maps of every distinct stack in `snapshot`.
    #[must_use]
    pub fn new(image: Arc<Image>, snapshot: Arc<Snapshot>) -> Self {
        let mut plans = FxHashMap::default();
        for goroutine in &snapshot.goroutines {
            if goroutine.status.is_parked() {
                let stack = &goroutine.stack;
                plans
                    .entry(Arc::as_ptr(stack).addr())
                    .or_insert_with(|| StackPlan::new(&image, snapshot.bias, stack));
            }
        }
        Self {
            image,
            snapshot,
            plans,
            unwinder: Unwinder::default(),
            anew: FxHashMap::default(),
        }
    }

    /// What to follow on the stack of a goroutine that is parked where the snapshot found it, whether or
    /// not it has run meanwhile, if the stack [fits](StackPlan::fits). `None`: it is elsewhere.
    #[must_use]
    pub fn plan(&self, now: &GoroutineState) -> Option<&StackPlan> {
        let then = self.snapshot.goroutine(now.goid)?;
        let pc = then.stack.frames.first()?.pc.in_target(self.snapshot.bias);
        let same_place = now.doing == RunState::Parked
            && then.status.is_parked()
            && now.sp_is_sound()
            && then.g == now.g
            && then.sp == now.sp
            && pc == now.pc;
        let stack = Arc::as_ptr(&then.stack).addr();
        same_place.then(|| self.plans.get(&stack)?.as_ref())?
    }

    /// What to follow on the stack of a goroutine that stands still anywhere, of which `bytes` are all from
    /// its stack pointer on. `None`: every word.
    #[must_use]
    pub fn plan_anew(&mut self, now: &GoroutineState, bytes: &[u8]) -> Option<&StackPlan> {
        let bias = self.snapshot.bias;
        let place = (now.pc, now.sp);
        if self.unwinder.frames() >= MAX_FRAMES_ANEW {
            self.unwinder = Unwinder::default();
            self.anew.clear();
        }
        let stack = self.unwinder.parked((&self.image, bias), place, bytes)?;
        let plan = self.anew.entry(stack);
        let plan = plan.or_insert_with_key(|stack| StackPlan::new(&self.image, bias, stack));
        plan.as_ref()
    }
}

/// Offsets, relative to the stack pointer, of what may be followed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StackPlan {
    /// Live pointer words, and whole frames of which no map is known: `[from, to)`.
    live: Vec<(u64, u64)>,
    /// Variables whose address was taken: live when a live pointer leads to them.
    objects: Vec<(u64, u64)>,
    /// Where the return addresses lie, and what they are.
    returns: Vec<(u64, u64)>,
    extent: u64,
}

/// What a frame's callee says about the frame itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// It stands at an ordinary call: its maps hold.
    AtCall,
    /// It was stopped at any instruction, or its callee's arguments lie in it unmapped.
    Anywhere,
}

impl StackPlan {
    /// The plan for `stack`, `None` when not even its frames are known to the end.
    #[must_use]
    pub fn new(image: &Image, bias: LoadBias, stack: &Stack) -> Option<Self> {
        if stack.truncated || stack.frames.is_empty() {
            return None;
        }
        let mut plan = Self::default();
        let mut state = Caller::AtCall;
        for frame in &stack.frames {
            plan.extent = plan.extent.max(frame.fp_offset);
            let function = function_of(image, frame.pc)?;
            if &*function.name == "runtime.cgocallback" {
                // Above it lie frames of another stack, and C between them.
                return None;
            }
            let mapped = state == Caller::AtCall && !is_stub(&function.name);
            if !mapped || plan.frame(image, &function, frame).is_none() {
                plan.whole_frame(image, &function, frame);
            }
            state = caller_of(&function);
        }
        plan.live.sort_unstable();
        plan.objects.sort_unstable();
        for (frame, caller) in stack.frames.iter().zip(stack.frames.iter().skip(1)) {
            let at = match image.arch() {
                Arch::Amd64 => frame.fp_offset.checked_sub(8)?,
                Arch::Arm64 => frame.sp_offset,
            };
            plan.returns.push((at, caller.pc.in_target(bias).0));
        }
        Some(plan)
    }

    /// Whether `bytes`, the stack from its pointer on, has the frames that the plan is for.
    #[must_use]
    pub fn fits(&self, bytes: &[u8]) -> bool {
        self.returns
            .iter()
            .all(|(at, pc)| words_between(bytes, *at, at + 8).next() == Some(*pc))
    }

    /// Bytes from the stack pointer to the end of the outermost frame.
    #[must_use]
    pub fn extent(&self) -> u64 {
        self.extent.next_multiple_of(8)
    }

    /// Adds all words of one frame and of its arguments, as `scanframeworker` does with what was stopped
    /// anywhere (`runtime/mgcmark.go`): arguments that came in registers are kept behind the others.
    fn whole_frame(&mut self, image: &Image, function: &Function, frame: &StackFrame) {
        self.live.push((frame.sp_offset, frame.fp_offset));
        let argp = frame.fp_offset + arguments_behind(image);
        let args = u64::try_from(function.args).unwrap_or(0);
        self.live.push((argp, argp + args));
        self.extent = self.extent.max(argp + args);
    }

    /// Adds one frame as `getStackMap` does (`runtime/stkframe.go`).
    fn frame(&mut self, image: &Image, function: &Function, frame: &StackFrame) -> Option<()> {
        let index = map_index(image, function, frame.pc);
        let word = 8;
        // `varp` (runtime/traceback.go): below the return address and the saved frame pointer.
        let mut varp = frame.fp_offset;
        if image.arch() == Arch::Amd64 {
            varp = varp.checked_sub(word)?;
        }
        if varp > frame.sp_offset {
            varp -= word;
        }
        let argp = frame.fp_offset + arguments_behind(image);
        let least = match image.arch() {
            Arch::Amd64 => 0,
            Arch::Arm64 => 16,
        };
        let mut live = Vec::new();
        if varp.saturating_sub(frame.sp_offset) > least {
            let bits = bitmap(image, image.funcdata(function, LOCALS_POINTER_MAPS)?, index)?;
            let base = varp.checked_sub(word * bits.len() as u64)?;
            push_live(&mut live, base, &bits);
        }
        if function.args > 0 {
            let maps = image.funcdata(function, ARGS_POINTER_MAPS)?;
            push_live(&mut live, argp, &bitmap(image, maps, index)?);
        }
        let panicking = &*function.name == "runtime.gopanic";
        for (offset, len) in stack_objects(image, function)? {
            let base = if offset < 0 { varp } else { argp };
            let start = base.checked_add_signed(i64::from(offset))?;
            if start >= frame.sp_offset {
                // The panic being handled is known to the g only.
                let to = if panicking {
                    &mut live
                } else {
                    &mut self.objects
                };
                to.push((start, start + len));
            }
        }
        self.extent = self
            .extent
            .max(argp + u64::try_from(function.args).unwrap_or(0));
        self.live.extend(live);
        Some(())
    }

    /// Hands over every pointer that the plan finds in `bytes`, the stack from its pointer `at`
    /// on. `more` are words that refer to the stack from elsewhere: from the `g` and its defers.
    pub fn pointers(&self, at: TargetAddr, bytes: &[u8], more: &[u64], mut each: impl FnMut(u64)) {
        let mut seen = FxHashSet::default();
        let mut todo = Vec::new();
        for word in more {
            todo.extend(self.object_at(*word, at).filter(|o| seen.insert(*o)));
        }
        let mut live = self.live.iter().copied();
        while let Some((from, to)) = live.next().or_else(|| todo.pop()) {
            for word in words_between(bytes, from, to) {
                let here = word.wrapping_sub(at.0) < bytes.len() as u64;
                if here {
                    todo.extend(self.object_at(word, at).filter(|o| seen.insert(*o)));
                } else {
                    each(word);
                }
            }
        }
    }

    fn object_at(&self, word: u64, at: TargetAddr) -> Option<(u64, u64)> {
        let offset = word.wrapping_sub(at.0);
        if offset >= self.extent {
            return None;
        }
        let next = self.objects.partition_point(|(start, _)| *start <= offset);
        let object = *self.objects.get(next.checked_sub(1)?)?;
        // A pointer just behind an object keeps nothing alive (the collector's findObject).
        (offset < object.1).then_some(object)
    }
}

/// How far behind its frame a function's arguments begin.
fn arguments_behind(image: &Image) -> u64 {
    match image.arch() {
        Arch::Amd64 => 0,
        Arch::Arm64 => 8,
    }
}

fn words_between(bytes: &[u8], from: u64, to: u64) -> impl Iterator<Item = u64> + '_ {
    let range = usize::try_from(from).unwrap_or(usize::MAX)
        ..usize::try_from(to).unwrap_or(usize::MAX).min(bytes.len());
    words(bytes.get(range).unwrap_or(&[]))
}

fn function_of(image: &Image, pc: ImageAddr) -> Option<Function> {
    // A return address may be the first byte of the next function (a call that never returns).
    image
        .function_at(ImageAddr(pc.0.wrapping_sub(1)))
        .or_else(|| image.function_at(pc))
}

/// Reflection's trampolines keep what they were called with in places no map describes.
fn is_stub(name: &str) -> bool {
    matches!(name, "reflect.makeFuncStub" | "reflect.methodValueCall")
}

fn caller_of(callee: &Function) -> Caller {
    let name = &*callee.name;
    let anywhere = matches!(name, "runtime.asyncPreempt" | "runtime.sigpanic")
        || name.starts_with("runtime.debugCall")
        || is_stub(name)
        || callee.args == ARGS_SIZE_UNKNOWN;
    if anywhere {
        Caller::Anywhere
    } else {
        Caller::AtCall
    }
}

fn map_index(image: &Image, function: &Function, pc: ImageAddr) -> u32 {
    if pc == function.entry {
        return 0;
    }
    let index = image.pcdata(function, STACK_MAP_INDEX, ImageAddr(pc.0.wrapping_sub(1)));
    // -1 means the prologue: the map of the entry.
    u32::try_from(index.unwrap_or(0)).unwrap_or(0)
}

/// Map number `index` of the `runtime.stackmap {n, nbit int32; bytedata}` at `at`, bit by bit.
fn bitmap(image: &Image, at: ImageAddr, index: u32) -> Option<Vec<bool>> {
    let header = image.bytes(at, 8)?;
    let number = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let (count, bits) = (number(0)?, usize::try_from(number(4)?).ok()?);
    if bits == 0 {
        return Some(Vec::new());
    }
    if index >= count || bits > MAX_BITS {
        return None;
    }
    let len = bits.div_ceil(8);
    let data = image.bytes(at.offset(8 + u64::from(index) * len as u64), len)?;
    Some(
        (0..bits)
            .map(|bit| data[bit / 8] & (1 << (bit % 8)) != 0)
            .collect(),
    )
}

fn push_live(live: &mut Vec<(u64, u64)>, base: u64, bits: &[bool]) {
    for (index, bit) in bits.iter().enumerate() {
        let at = base + 8 * index as u64;
        match live.last_mut() {
            _ if !bit => {}
            Some((_, end)) if *end == at => *end += 8,
            _ => live.push((at, at + 8)),
        }
    }
}

/// Offset and pointer-holding length of the function's stack objects
/// (`stackObjectRecord {off, size, ptrBytes int32; gcdataoff uint32}`, the same 1.19 to 1.27).
/// Which words of an object are pointers is not looked up: all of them count.
fn stack_objects(image: &Image, function: &Function) -> Option<Vec<(i32, u64)>> {
    let Some(at) = image.funcdata(function, STACK_OBJECTS) else {
        return Some(Vec::new());
    };
    let count = u64::from_le_bytes(image.bytes(at, 8)?.as_ref().try_into().ok()?);
    if count > MAX_OBJECTS {
        return None;
    }
    let len = usize::try_from(16 * count).ok()?;
    let records = image.bytes(at.offset(8), len)?;
    records
        .chunks_exact(16)
        .map(|record| {
            let number = |at: usize| Some(i32::from_le_bytes(record[at..at + 4].try_into().ok()?));
            // Negative: a GC program describes that many bytes.
            Some((number(0)?, u64::from(number(8)?.unsigned_abs())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_slots_are_not_followed_and_objects_only_when_pointed_at() {
        let plan = StackPlan {
            live: vec![(8, 16)],
            objects: vec![(16, 32), (32, 40)],
            returns: vec![(40, 0xdead)],
            extent: 48,
        };
        let at = TargetAddr(0x1000);
        let stack: Vec<u8> = [0xdead, 0x1010, 0xa, 0xb, 0xc, 0xdead_u64]
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect();
        let followed = |more: &[u64]| {
            let mut found = Vec::new();
            plan.pointers(at, &stack, more, |word| found.push(word));
            found.sort_unstable();
            found
        };
        assert_eq!(followed(&[]), [0xa, 0xb]);
        assert_eq!(followed(&[0x1020]), [0xa, 0xb, 0xc]);
        assert!(plan.fits(&stack));
        // Other frames under the same stack pointer.
        let mut other = stack.clone();
        other[40] ^= 1;
        assert!(!plan.fits(&other) && !plan.fits(&stack[..44]));
    }

    #[test]
    fn neighbouring_live_words_become_one_run() {
        let mut live = Vec::new();
        push_live(&mut live, 0x20, &[true, true, false, true]);
        assert_eq!(live, [(0x20, 0x30), (0x38, 0x40)]);
    }
}
