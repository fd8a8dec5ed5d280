//! What is known of an image's code: decoded bodies, what their atomic instructions mean, and which
//! calls need not be looked into. Found once per function and image, whatever the number of
//! goroutines and looks.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    defers,
    depths::Depths,
    isa::{self, Body, Isa, Operand, Operation, Target},
    packages,
    sites::{self, AtomicEffect, CallEffect, SlowPath},
    stack_objects,
    unwritten::Unwritten,
};
use ids::ImageAddr;
use image::{Function, Image};

/// Longer functions are not looked into: generated tables, not code that holds locks.
const MAX_CODE: u64 = 256 << 10;
/// How many functions one call may lead to before it counts as code that must be looked into.
const MAX_CALLEES: usize = 400;

/// A function with its decoded body.
#[derive(Debug)]
pub struct Routine {
    /// The function.
    pub function: Function,
    /// Its instructions; empty when they are not analysed.
    pub body: Body,
    /// What its atomic instructions are, by index.
    pub atomics: FxHashMap<u32, AtomicEffect>,
    /// How far below its frame address it keeps the bits of its open-coded defers.
    pub defer_bits: Option<u64>,
    /// Where variables whose addresses are taken lie, from the frame address.
    pub objects: Vec<Range<i64>>,
    /// Functions it calls or jumps to, with duplicates removed.
    callees: Vec<ImageAddr>,
    /// Whether it calls functions that only its data names.
    calls_unknown: bool,
}

/// A called function.
#[derive(Debug, Clone)]
pub struct Callee {
    /// The function.
    pub function: Function,
    /// What calling it does.
    pub effect: CallEffect,
}

/// The code of one image.
pub struct Code {
    image: Arc<Image>,
    isa: &'static dyn Isa,
    /// By program counter.
    routines: Mutex<FxHashMap<ImageAddr, Option<Arc<Routine>>>>,
    callees: Mutex<FxHashMap<ImageAddr, Option<Callee>>>,
    inert: Mutex<FxHashMap<ImageAddr, bool>>,
    in_loops: Mutex<FxHashMap<ImageAddr, bool>>,
    depths: Depths,
    unwritten: Mutex<Unwritten>,
}

impl Routine {
    /// What a function may write to that was given the address so far from the frame address: the
    /// variable there, or `unlisted` bytes if none is listed.
    #[must_use]
    pub fn object_at(&self, offset: i64, unlisted: u64) -> Range<i64> {
        let listed = self.objects.iter().find(|object| object.contains(&offset));
        listed.cloned().unwrap_or_else(|| {
            let end = offset.saturating_add_unsigned(unlisted);
            let next = self.objects.iter().map(|object| object.start);
            let next = next.filter(|start| *start > offset).min();
            offset..next.map_or(end, |next| next.min(end))
        })
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").finish_non_exhaustive()
    }
}

impl Code {
    /// Nothing is decoded yet.
    #[must_use]
    pub fn new(image: Arc<Image>) -> Self {
        let isa = isa::of(image.arch());
        Self {
            image,
            isa,
            routines: Mutex::default(),
            callees: Mutex::default(),
            inert: Mutex::default(),
            in_loops: Mutex::default(),
            depths: Depths::default(),
            unwritten: Mutex::default(),
        }
    }

    /// How deep frames could be followed as things stand.
    #[must_use]
    pub const fn depths(&self) -> &Depths {
        &self.depths
    }

    /// What is known of variables that nothing writes.
    pub(super) const fn unwritten(&self) -> &Mutex<Unwritten> {
        &self.unwritten
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Whether nothing writes to the word at `at` while the process runs: code and read-only data.
    #[must_use]
    pub fn is_constant(&self, at: ImageAddr) -> bool {
        let module = self.image.module();
        let writable = [
            &module.noptrdata,
            &module.data,
            &module.bss,
            &module.noptrbss,
        ];
        self.image.room(at) >= 8 && !writable.iter().any(|range| range.contains(&at))
    }

    /// Its instruction set.
    #[must_use]
    pub fn isa(&self) -> &'static dyn Isa {
        self.isa
    }

    /// The function that covers `pc`, decoded; `None` outside the image's functions.
    #[must_use]
    pub fn routine(&self, pc: ImageAddr) -> Option<Arc<Routine>> {
        if let Some(known) = lock(&self.routines).get(&pc) {
            return known.clone();
        }
        let function = self.image.function_at(pc)?;
        let entry = function.entry;
        let known = lock(&self.routines).get(&entry).cloned();
        let routine = known.unwrap_or_else(|| self.decode(function).map(Arc::new));
        let mut routines = lock(&self.routines);
        routines.insert(entry, routine.clone());
        routines.insert(pc, routine.clone());
        routine
    }

    /// The function that a call of `target` runs, and what that does.
    #[must_use]
    pub fn callee(&self, target: ImageAddr) -> Option<Callee> {
        if let Some(known) = lock(&self.callees).get(&target) {
            return known.clone();
        }
        let callee = self.image.function_at(target).map(|function| Callee {
            effect: sites::call_effect(&function.name),
            function,
        });
        lock(&self.callees).insert(target, callee.clone());
        callee
    }

    /// Whether the code comes back to the call that returns to `site`, as `comes_back` finds out once.
    #[must_use]
    pub fn is_in_loop(&self, site: ImageAddr, comes_back: impl FnOnce() -> bool) -> bool {
        if let Some(known) = lock(&self.in_loops).get(&site) {
            return *known;
        }
        let comes_back = comes_back();
        lock(&self.in_loops).insert(site, comes_back);
        comes_back
    }

    /// Whether calling `target` from `caller` changes no lock for the caller: it is of another
    /// package of the standard library, or nothing it leads to touches a lock.
    #[must_use]
    pub fn is_inert(&self, caller: &str, target: &Function) -> bool {
        if packages::is_standard_library(&target.name) {
            let own = packages::package(&target.name);
            let follows = matches!(own, "sync" | "internal/sync" | "slices" | "maps" | "iter");
            if !follows && own != packages::package(caller) {
                return true;
            }
        }
        if let Some(known) = lock(&self.inert).get(&target.entry) {
            return *known;
        }
        let inert = self.leads_to_no_lock(target.entry);
        lock(&self.inert).insert(target.entry, inert);
        inert
    }

    fn leads_to_no_lock(&self, entry: ImageAddr) -> bool {
        let mut seen = FxHashSet::default();
        let mut open = vec![entry];
        while let Some(at) = open.pop() {
            if !seen.insert(at) {
                continue;
            }
            let Some(routine) = self.routine(at) else {
                return false;
            };
            let locks = routine
                .atomics
                .values()
                .any(|a| *a != AtomicEffect::Nothing);
            if seen.len() > MAX_CALLEES || locks || routine.calls_unknown {
                return false;
            }
            for &target in &routine.callees {
                match self.callee(target) {
                    None => return false,
                    Some(callee) => match callee.effect {
                        CallEffect::Code
                            if packages::is_standard_library(&callee.function.name) => {}
                        CallEffect::Code => open.push(callee.function.entry),
                        CallEffect::Inert
                        | CallEffect::Allocate
                        | CallEffect::CallsBack
                        | CallEffect::LookUp(_)
                        | CallEffect::KeepsRegisters
                        | CallEffect::CopyMemory
                        | CallEffect::Unwinds
                        | CallEffect::NeverReturns => {}
                        _ => return false,
                    },
                }
            }
        }
        true
    }

    fn decode(&self, function: Function) -> Option<Routine> {
        if function.end.0.saturating_sub(function.entry.0) > MAX_CODE {
            return None;
        }
        let code = self.image.code(&function)?;
        let mut body = Body {
            instructions: self.isa.decode(&code, function.entry),
            targets: Vec::new(),
        };
        self.link(&mut body, &function);
        let atomics = self.atomics(&body, &function);
        let mut callees = Vec::new();
        let mut calls_unknown = body.instructions.is_empty();
        for instruction in &body.instructions {
            match instruction.operation {
                Operation::Call(target)
                | Operation::Jump(Target::Outside(target))
                | Operation::JumpIf {
                    target: Target::Outside(target),
                    ..
                } => callees.push(target),
                // Tables of switches are jumped through by their memory.
                Operation::CallTo(_) | Operation::JumpTo(Operand::Register(_)) => {
                    calls_unknown = true;
                }
                _ => {}
            }
        }
        callees.sort_unstable();
        callees.dedup();
        Some(Routine {
            defer_bits: defers::bits_below_fp(&self.image, &function, self.isa.locals_end()),
            objects: stack_objects::of(&self.image, &function, self.isa.locals_end()),
            function,
            body,
            atomics,
            callees,
            calls_unknown,
        })
    }

    /// Turns jump targets into indices and finds the cold sides.
    fn link(&self, body: &mut Body, function: &Function) {
        body.targets = vec![false; body.instructions.len()];
        let inside = |at: ImageAddr| function.entry <= at && at < function.end;
        for i in 0..body.instructions.len() {
            let Some(target) = body
                .instructions
                .get(i)
                .and_then(|i| jump_target(&i.operation))
            else {
                continue;
            };
            if let Some(index) = inside(target).then(|| body.index_of(target)).flatten()
                && let Some(instruction) = body.instructions.get_mut(i)
            {
                set_jump_target(&mut instruction.operation, Target::Inside(index));
                if let Some(is_target) = body.targets.get_mut(index as usize) {
                    *is_target = true;
                }
            }
        }
        for i in 0..body.instructions.len() {
            let Operation::JumpIf { target, .. } = body.instructions[i].operation else {
                continue;
            };
            let Ok(index) = u32::try_from(i) else { break };
            let side = sites::cold_side(body, index, target, &|at| self.slow_path_at(at));
            if let Operation::JumpIf { cold, .. } = &mut body.instructions[i].operation {
                *cold = side;
            }
        }
    }

    /// Whether the instruction number `at` of `body` calls what waits for a lock whose fast path is
    /// inlined.
    #[must_use]
    pub fn is_slow_path_of_lock(&self, body: &Body, at: u32) -> bool {
        let called = match body.get(at).map(|i| &i.operation) {
            Some(Operation::Call(target)) => self.slow_path_at(*target),
            _ => None,
        };
        matches!(called, Some(SlowPath::Lock | SlowPath::ReadLock))
    }

    fn slow_path_at(&self, target: ImageAddr) -> Option<SlowPath> {
        sites::slow_path(&self.callee(target)?.function.name)
    }

    fn atomics(&self, body: &Body, function: &Function) -> FxHashMap<u32, AtomicEffect> {
        let mut atomics = FxHashMap::default();
        for (i, instruction) in body.instructions.iter().enumerate() {
            if !matches!(instruction.operation, Operation::Atomic { .. }) {
                continue;
            }
            let Ok(index) = u32::try_from(i) else { break };
            let inlined: Vec<Arc<str>> = self
                .image
                .inlined_at(function, instruction.at)
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            let effect = sites::atomic_effect(body, index, &inlined, &|at| self.slow_path_at(at));
            atomics.insert(index, effect);
        }
        atomics
    }
}

const fn jump_target(operation: &Operation) -> Option<ImageAddr> {
    match operation {
        Operation::Jump(Target::Outside(at))
        | Operation::JumpIf {
            target: Target::Outside(at),
            ..
        } => Some(*at),
        _ => None,
    }
}

const fn set_jump_target(operation: &mut Operation, to: Target) {
    match operation {
        Operation::Jump(target) | Operation::JumpIf { target, .. } => *target = to,
        _ => {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
