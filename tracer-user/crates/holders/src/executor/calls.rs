//! Calls: what they do to locks, and which are followed.

use std::sync::Arc;

use super::{
    super::{
        arguments,
        code::Routine,
        isa::Operand,
        model::ReleaseKind,
        sites::{CallEffect, LockKind},
    },
    Effects, Executor, MAX_PANICS, State, Step,
    cells::Cells,
    effects::{History, UNKNOWN_LOCK},
    forget::SHARED_OBJECT,
    hash::hash_of,
    returns::{Entered, Return},
    state::Flags,
    value::{Trust, Value},
};
use ids::{ImageAddr, TargetAddr};
use image::Function;

/// Of what `WaitGroup.Add(-n)` takes off at once no more is told apart.
const MAX_ADDED: u32 = 4;

/// Addresses of objects that have yet to be allocated: none that a process has.
const FRESH: std::ops::Range<u64> = 0x1000_0000_0000_0000..0x1fff_ffff_0000_0000;
/// How far apart they lie.
const FRESH_ROOM: u64 = 1 << 16;

impl Executor<'_> {
    pub(super) fn call(&mut self, state: &mut State, site: ImageAddr, target: ImageAddr) -> Step {
        let Some(callee) = self.code.callee(target) else {
            self.opaque(state);
            return Step::Go;
        };
        let first = self.argument(state, 0);
        match callee.effect {
            CallEffect::Unwinds => return self.panic(state),
            CallEffect::NeverReturns => return Step::End,
            CallEffect::KeepsRegisters => return Step::Go,
            CallEffect::Acquire(kind) => {
                let lock = (kind, self.lock_at(first));
                if !self.acquire(state, site, lock) {
                    return self.panic(state);
                }
            }
            CallEffect::Release(kind) => self.release(state, site, kind, first),
            CallEffect::TryAcquire(kind) => {
                self.try_acquire(state, site, kind, first);
                return Step::Go;
            }
            CallEffect::Done => self.release(state, site, LockKind::Promise, first),
            CallEffect::AddToWaitGroup => self.add(state, site, first),
            CallEffect::Send => self.mention(state, site, ReleaseKind::Send, first),
            CallEffect::Receive => self.mention(state, site, ReleaseKind::Receive, first),
            CallEffect::Close => self.mention(state, site, ReleaseKind::Close, first),
            CallEffect::Notify => self.mention(state, site, ReleaseKind::Notify, first),
            CallEffect::Select => self.select(state, site),
            CallEffect::DeferClosure | CallEffect::DeferRecord => {
                return self.defer(state, callee.effect, first);
            }
            CallEffect::RunDeferred => return self.run_deferred(state),
            CallEffect::Spawn => self.spawn(state, first),
            CallEffect::CopyMemory => {
                if let Some(at) = self.on_stack(first) {
                    let len = self.number(self.argument(state, 2));
                    let at = self.world.trace.on_own_stack(at);
                    self.forget(state, at, len.unwrap_or(SHARED_OBJECT));
                }
            }
            CallEffect::StorePointer => {
                let value = self.argument(state, 1);
                self.store(state, first, value, 8);
            }
            CallEffect::ReplacePointer => self.store(state, first, Value::Unknown, 8),
            CallEffect::LookUp(form) => {
                self.look_up(state, form);
                return Step::Go;
            }
            CallEffect::CallsBack => self.may_call_arguments(state, &callee.function),
            CallEffect::Allocate => {
                self.allocate(state);
                return Step::Go;
            }
            CallEffect::Inert => {}
            CallEffect::Opaque => {
                self.opaque(state);
                return Step::Go;
            }
            CallEffect::Code => return self.enter(state, target, &callee.function),
        }
        self.after_call_with(state, arguments(callee.effect));
        Step::Go
    }

    /// The path panics, or waits for itself: its frame's deferred calls are all that it still does, or is
    /// known by to hold something. Those of calls that
    /// are being followed are not looked for.
    pub(super) fn panic(&mut self, state: &mut State) -> Step {
        if self.outcome.panics.len() >= MAX_PANICS {
            return Step::End;
        }
        let mut state = state.clone();
        if let Some(outermost) = state.returns.iter().last() {
            state.frame = outermost.frame;
            state.effects.pass_unknown_code();
            state.returns.clear();
        }
        self.outcome.panics.push(state);
        Step::End
    }

    /// Follows a call of ordinary code if that can matter.
    fn enter(&mut self, state: &mut State, target: ImageAddr, function: &Function) -> Step {
        let caller = &state.routine.function.name;
        if self.code.is_inert(caller, function) {
            self.may_call_arguments(state, function);
            self.after_call(state);
            return Step::Go;
        }
        let routine = self.code.routine(target);
        let Some((routine, at)) = routine
            .filter(|_| state.returns.len() < self.depth)
            .and_then(|routine| routine.body.index_of(target).map(|at| (routine, at)))
        else {
            self.opaque(state);
            return Step::Go;
        };
        let back = Some((Arc::clone(&state.routine), state.at));
        self.push_return(state, back, Entered::Called);
        state.routine = routine;
        state.at = at;
        state.flags = Flags::Unknown;
        Step::Go
    }

    fn push_return(
        &mut self,
        state: &mut State,
        to: Option<(Arc<Routine>, u32)>,
        entered: Entered,
    ) {
        let sp = self.isa.stack_pointer();
        let off = match state.returns.is_empty() {
            true => self.world.to_callees(),
            false => 0,
        };
        state.returns.push(Return {
            to,
            sp: state.register(sp),
            fp: state.register(self.isa.frame_pointer()),
            frame: state.frame,
            entered,
            through_memory: false,
        });
        self.deepest = self.deepest.max(state.returns.len());
        state.frame = state.register(sp).displaced(off);
        let below = state.frame.displaced(self.isa.call_pushes().wrapping_neg());
        state.set_register(sp, below);
    }

    /// A new object lies nowhere else: what the path writes into it can be told. In a loop it is another
    /// one for each call that has been deferred, so that closures do not become one.
    fn allocate(&self, state: &mut State) {
        self.forget_registers(state);
        if self.watch.is_some() {
            return;
        }
        let place = (state.symbol_place(), state.effects.deferred.len());
        let at = FRESH.start + hash_of(&place) % (FRESH.end - FRESH.start);
        if let Some(&result) = self.isa.arguments().first() {
            state.set_register(result, Value::exact(at & !(FRESH_ROOM - 1)));
        }
    }

    /// Goes on in another function that returns to this one's caller.
    pub(super) fn tail_call(&mut self, state: &mut State, target: ImageAddr) -> Step {
        if let Some(callee) = self.code.callee(target)
            && callee.effect != CallEffect::Code
        {
            return match self.call(state, target, target) {
                Step::Go | Step::Meet => self.return_(state),
                end => end,
            };
        }
        let routine = self.code.routine(target);
        match routine.and_then(|r| r.body.index_of(target).map(|at| (r, at))) {
            Some((routine, at)) => {
                state.routine = routine;
                state.at = at;
                Step::Meet
            }
            None => self.lose_track(state),
        }
    }

    pub(super) fn call_to(&mut self, state: &mut State, site: ImageAddr, operand: Operand) -> Step {
        let value = self.read(state, operand, 8);
        let Some(target) = self.function(value) else {
            self.opaque(state);
            return Step::Go;
        };
        if value.is_reloaded() {
            self.doubt_callee(state);
        }
        self.mark_closure(state, value);
        let depth = state.returns.len();
        let step = self.call(state, site, target);
        if value.is_reloaded() && state.returns.len() > depth {
            state.returns.found_in_memory();
        }
        step
    }

    /// Another function may be called when the time comes.
    pub(super) fn doubt_callee(&self, state: &mut State) {
        for register in self.isa.arguments() {
            let argument = state.register(*register).reloaded();
            state.set_register(*register, argument);
        }
    }

    /// The function whose entry `value` is.
    pub(super) fn function(&self, value: Value) -> Option<ImageAddr> {
        let at = self.world.trace.function(value.term()?, &self.world)?;
        Some(TargetAddr(at).in_image(self.bias))
    }

    /// If the closure register points to a closure of the function at `entry`, what that captured
    /// can be relied on.
    fn mark_closure(&self, state: &mut State, entry: Value) {
        let register = self.isa.closure();
        let closure = state.register(register);
        let points_to_entry = || self.load(state, closure, 8).is(entry, self.world.trace);
        if closure.decisive().is_some() && points_to_entry() {
            state.set_register(register, closure.map_trust(Trust::Closure));
        }
    }

    /// Calls the closure at `closure`; false when its code cannot be followed.
    pub(super) fn call_closure(
        &mut self,
        state: &mut State,
        closure: Value,
        back: Option<(Arc<Routine>, u32)>,
        entered: Entered,
    ) -> bool {
        let entry = self.load(state, closure, 8);
        let routine = self
            .function(entry)
            .and_then(|at| Some((at, self.code.routine(at)?)));
        let Some((target, routine)) = routine else {
            return false;
        };
        if state.returns.len() >= self.depth || routine.body.instructions.is_empty() {
            return false;
        }
        self.push_return(state, back, entered);
        self.forget_registers(state);
        state.set_register(self.isa.closure(), closure);
        self.mark_closure(state, entry);
        state.at = routine.body.index_of(target).unwrap_or(0);
        state.routine = routine;
        true
    }

    /// A state at the entry of the closure at `closure`, in memory as `written`.
    pub(super) fn closure_entry(
        &self,
        closure: Value,
        sp: u64,
        (effects, written): (Effects, &Cells),
    ) -> Option<State> {
        let entry = self.load_from(written, closure, 8);
        let target = self.function(entry)?;
        let routine = self.code.routine(target)?;
        let at = routine.body.index_of(target)?;
        let mut state = State::new(routine, at);
        state.effects = History::new(effects);
        state.cells = written.clone();
        state.frame = Value::of(self.world.trace.on_own_stack(sp));
        let below = state.frame.displaced(self.isa.call_pushes().wrapping_neg());
        state.set_register(self.isa.stack_pointer(), below);
        state.set_register(self.isa.closure(), closure);
        self.mark_closure(&mut state, entry);
        Some(state)
    }

    pub(super) fn return_(&mut self, state: &mut State) -> Step {
        let Some(back) = state.returns.pop() else {
            return Step::Exit;
        };
        let Some((routine, at)) = back.to else {
            return Step::End;
        };
        state.routine = routine;
        state.at = at;
        state.frame = back.frame;
        state.set_register(self.isa.stack_pointer(), back.sp);
        state.set_register(self.isa.frame_pointer(), back.fp);
        state.flags = Flags::Unknown;
        if let Some(sp) = self.on_stack(back.sp) {
            self.forget_below(state, sp);
        }
        Step::Meet
    }

    fn try_acquire(&mut self, state: &mut State, site: ImageAddr, kind: LockKind, object: Value) {
        self.after_call(state);
        state.forks += 1;
        let result = self.isa.arguments().first().copied();
        let mut taken = state.clone();
        let lock = (kind, self.lock_at(object));
        let succeeds = self.acquire(&mut taken, site, lock);
        if let Some(result) = result {
            taken.set_register(result, Value::exact(1));
            state.set_register(result, Value::exact(0));
        }
        if succeeds {
            self.queue.add(taken, &self.world);
        }
    }

    /// `WaitGroup.Add`: promises `Done`s, or does without.
    fn add(&mut self, state: &mut State, site: ImageAddr, group: Value) {
        let delta = self.number(self.argument(state, 1)).map(u64::cast_signed);
        let count = delta.map(|delta| u32::try_from(delta.unsigned_abs()).unwrap_or(u32::MAX));
        if delta.is_some_and(|delta| delta < 0) {
            for _ in 0..count.unwrap_or(0).min(MAX_ADDED) {
                self.release(state, site, LockKind::Promise, group);
            }
        } else {
            let group = self.lock_at(group);
            state.effects.edit(|e| e.promise(group, count));
        }
    }

    /// The function called may call the functions that it is given, which may release locks:
    /// `filepath.Walk`, `sync.Map.Range`.
    fn may_call_arguments(&mut self, state: &State, function: &Function) {
        let given = arguments::in_registers(self.code.image(), function);
        for index in 0..self.isa.arguments().len().min(given) {
            let closure = self.argument(state, index);
            if !self.matters(state, closure) {
                continue;
            }
            self.may_run(state, closure, Entered::Called);
        }
    }

    /// One path more runs the closure here and then goes on as this one does.
    fn may_run(&mut self, state: &State, closure: Value, entered: Entered) {
        let back = Some((Arc::clone(&state.routine), state.at));
        let mut other = state.clone();
        other.forks += 1;
        if self.call_closure(&mut other, closure, back, entered) {
            self.queue.add(other, &self.world);
        }
    }

    /// A new goroutine will run `closure`: what it releases is handed over to it, so it is seen,
    /// but this path does not do it.
    fn spawn(&mut self, state: &mut State, closure: Value) {
        if self.watch.is_some() {
            self.have_run(state, closure);
            return;
        }
        let mut other = state.clone();
        other.forks += 1;
        let promises = state.effects.edit(Effects::hand_over);
        other.effects.edit(|e| e.held = promises);
        if self.call_closure(&mut other, closure, None, Entered::Started) {
            self.queue.add(other, &self.world);
        }
    }

    /// Where a past is followed, a new goroutine may have run to its end by now, and have given back what
    /// the one that started it has taken. It has not if it takes that itself: then it waits for it.
    fn have_run(&mut self, state: &State, closure: Value) {
        let is_lock = |lock: &(LockKind, u64)| lock.0 != LockKind::Promise;
        if state.effects.held.iter().any(is_lock) && self.matters(state, closure) {
            self.may_run(state, closure, Entered::Started);
        }
    }

    /// Whether the function of `closure` is known to do something to locks, or to lead to what may.
    fn matters(&self, state: &State, closure: Value) -> bool {
        let entry = self.load(state, closure, 8);
        let callee = self.function(entry).and_then(|at| self.code.callee(at));
        callee.is_some_and(|callee| match callee.effect {
            CallEffect::Code => !self.code.is_inert("", &callee.function),
            CallEffect::Release(_) | CallEffect::Done => true,
            _ => false,
        })
    }

    /// The lock that `value` points to; [`UNKNOWN_LOCK`] if that is not known.
    pub(super) fn lock_at(&self, value: Value) -> u64 {
        self.object_at(value).unwrap_or(UNKNOWN_LOCK)
    }

    /// The object that `value` points to, if it can be one.
    pub(super) fn object_at(&self, value: Value) -> Option<u64> {
        let trace = self.world.trace;
        let term = value.term().filter(|term| trace.is_address(*term))?;
        Some(trace.object(term))
    }

    pub(super) fn argument(&self, state: &State, index: usize) -> Value {
        self.isa
            .arguments()
            .get(index)
            .map_or(Value::Unknown, |register| state.register(*register))
    }

    /// Something was called that cannot be followed.
    pub(super) fn opaque(&mut self, state: &mut State) {
        self.after_call(state);
        match self.watch {
            Some(_) => state.effects.edit(Effects::doubt_held),
            None => state.effects.pass_unknown_code(),
        }
    }

    /// The path goes on where it cannot be followed: it counts as a return after unknown code.
    pub(super) fn lose_track(&mut self, state: &mut State) -> Step {
        self.opaque(state);
        if state.returns.is_empty() {
            return Step::Exit;
        }
        self.return_(state)
    }
}

/// How many arguments a function with that effect takes; more are none of its arguments, but what
/// was left in registers.
const fn arguments(effect: CallEffect) -> usize {
    match effect {
        CallEffect::Acquire(_)
        | CallEffect::Release(_)
        | CallEffect::Done
        | CallEffect::Close
        | CallEffect::Notify => 1,
        CallEffect::AddToWaitGroup | CallEffect::Send | CallEffect::Receive => 2,
        _ => usize::MAX,
    }
}
