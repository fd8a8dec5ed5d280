//! One goroutine: its frames from the innermost outwards, each executed from where it continues.

mod role;
mod standing;
mod unwind;

use std::{rc::Rc, sync::Arc};

pub use role::{Role, role};
pub use standing::{Frames, Shape, Standing, Words};

use super::{
    code::{Code, Routine},
    executor::{Decide, Deferred, Effects, Executor, History, Outcome, State, Trace, Value},
    isa::Register,
    model::PendingRelease,
    sites::LockKind,
    verdict,
};
use snapshot::{Goroutine, ObjectKind, Operation, StackFrame};

/// Different histories carried from one frame to the next at most.
const MAX_HISTORIES: usize = 24;
/// Frames looked at, from the innermost.
const MAX_FRAMES: usize = 256;

/// What following a goroutine came to.
#[derive(Debug)]
pub struct Future {
    /// What it will release of what it does not take first.
    pub releases: Vec<PendingRelease>,
    /// Instructions that were executed to find out.
    pub steps: u64,
    /// Whether it was followed as things stand, too, and that was too much.
    pub in_vain: bool,
}

/// Follows the continuation of a goroutine. `trace` notes what the result depends on. What is left open
/// is followed as things stand, too, if `as_things_stand`.
pub fn future(standing: &Standing<'_>, trace: &Trace, as_things_stand: bool) -> Future {
    let (code, g) = (standing.code, standing.g);
    let walk = |decide| {
        let mut world = standing.world(trace);
        for range in &standing.changing {
            world.changes(range.clone());
        }
        let mut walk = Walk {
            standing,
            code,
            g,
            executor: Executor::new(code, standing.bias, world, decide),
            decide,
            histories: vec![first_history(standing, trace)],
            registers: None,
            runs_deferred: false,
            unwinding: false,
            exhausted: false,
            ends: Vec::new(),
        };
        walk.frames();
        walk
    };
    let all = walk(Decide::Surely);
    let mut steps = u64::from(all.executor.steps());
    let mut releases = verdict::releases(code, g, &all.executor, &all.ends);
    let open = all.exhausted || verdict::leaves_locks_open(&releases);
    let mut in_vain = false;
    if as_things_stand && g.status.is_parked() && open {
        let mark = trace.mark();
        let now = walk(Decide::AsThingsStand);
        steps += u64::from(now.executor.steps());
        in_vain = now.exhausted;
        if in_vain {
            trace.back_to(mark);
        } else {
            let now = verdict::releases(code, g, &now.executor, &now.ends);
            verdict::add_conditional(&mut releases, now);
        }
    }
    Future {
        releases,
        steps,
        in_vain,
    }
}

/// What the goroutine has when it resumes: the lock it waits for, and its deferred calls.
fn first_history(standing: &Standing<'_>, trace: &Trace) -> Effects {
    let first = 1 + standing.lock_waits().count();
    let deferred = standing.deferred.iter().zip(first..);
    let deferred = deferred.map(|(record, number)| Deferred {
        sp: record.sp,
        closure: Value::of(trace.given(number, record.closure)),
    });
    let mut effects = Effects {
        deferred: Rc::new(deferred.collect()),
        ..Effects::default()
    };
    for (index, wait) in standing.lock_waits().enumerate() {
        let object = trace.object(trace.given(1 + index, wait.object.addr.0));
        let kind = match (wait.operation, wait.object.kind) {
            (Operation::Lock | Operation::DrainReaders, ObjectKind::RwMutex) => LockKind::Write,
            (Operation::Lock, _) => LockKind::Mutex,
            (Operation::ReadLock, _) => LockKind::Read,
            _ => continue,
        };
        effects.acquire((kind, object));
    }
    effects
}

struct Walk<'a> {
    standing: &'a Standing<'a>,
    code: &'a Code,
    g: &'a Goroutine,
    executor: Executor<'a>,
    decide: Decide,
    /// What may have been done to locks before the next frame runs on.
    histories: Vec<Effects>,
    /// The states in which the frame before returned, with its results; `None`: not known.
    registers: Option<Vec<State>>,
    /// Whether the next frame waits in its call of `deferreturn`, which it makes again for the rest.
    runs_deferred: bool,
    /// Whether a panic unwinds the frames: only their deferred calls are certain to run.
    unwinding: bool,
    /// Whether some frame was too much to follow.
    exhausted: bool,
    /// What will have been done at the end of every path.
    ends: Vec<Effects>,
}

impl Walk<'_> {
    fn frames(&mut self) {
        let g = self.g;
        // What was sampled is in the middle of its innermost function, and waits for nothing.
        let mut innermost = g.sampled.is_none();
        for (index, frame) in g.stack.frames.iter().enumerate().take(MAX_FRAMES) {
            let Some(routine) = self.code.routine(frame.pc) else {
                self.unknown_frame();
                continue;
            };
            let role = role(&routine.function.name, innermost);
            innermost &= role == Role::Wait;
            let goes_on = match role {
                Role::Wait => true,
                Role::Code if self.unwinding => self.unwind(index, frame, &routine),
                Role::Code => self.continue_(index, frame, &routine),
                Role::RunsDeferred => {
                    self.registers = None;
                    self.runs_deferred = true;
                    true
                }
                Role::Passes => {
                    self.registers = None;
                    true
                }
                Role::Unwinds => {
                    self.unwinding = true;
                    self.registers = None;
                    true
                }
                Role::End => break,
            };
            if !goes_on || self.is_in_vain() {
                return;
            }
        }
        self.ends.clone_from(&self.histories);
    }

    /// Whether nothing can come of the frames outside: as things stand all of them must be followed.
    fn is_in_vain(&self) -> bool {
        self.exhausted && self.decide == Decide::AsThingsStand
    }

    /// A frame outside the image: nobody knows what it does.
    fn unknown_frame(&mut self) {
        self.registers = None;
        for history in &mut self.histories {
            history.unknown_code = true;
        }
    }

    /// Runs the frame on from its return address; false when it never returns.
    fn continue_(&mut self, index: usize, frame: &StackFrame, routine: &Arc<Routine>) -> bool {
        let sp = self.g.sp.offset(frame.sp_offset).0;
        self.executor.world.live_from(sp);
        let again = std::mem::take(&mut self.runs_deferred);
        let at = routine.body.index_of(frame.pc);
        let Some(at) = at.map(|at| at.saturating_sub(u32::from(again))) else {
            self.unknown_frame();
            return true;
        };
        let entries = self.entries(routine, at, frame, sp);
        let outcome = self.executor.run(index, self.is_deferred(index), entries);
        self.exhausted |= outcome.exhausted;
        if outcome.exits.is_empty() && outcome.loops.is_empty() && !outcome.panics.is_empty() {
            self.panic(index, frame, routine, &outcome.panics);
            return true;
        }
        self.take(outcome)
    }

    /// Whether the frame was entered by a deferred call.
    fn is_deferred(&self, index: usize) -> bool {
        let caller = self.g.stack.frames.get(index + 1);
        let name = caller.and_then(|frame| self.code.callee(frame.pc));
        name.is_some_and(|callee| {
            matches!(
                &*callee.function.name,
                "runtime.deferreturn" | "runtime.gopanic"
            )
        })
    }

    fn entries(
        &mut self,
        routine: &Arc<Routine>,
        at: u32,
        frame: &StackFrame,
        sp: u64,
    ) -> Vec<State> {
        let isa = self.code.isa();
        let before = self.registers.take().unwrap_or_else(|| {
            let bare = State::new(Arc::clone(routine), at);
            let with = |effects: &Effects| State {
                effects: History::new(effects.clone()),
                ..bare.clone()
            };
            self.histories.iter().map(with).collect()
        });
        let executor = &self.executor;
        let trace = executor.world.trace;
        let fp = self.g.sp.offset(frame.fp_offset).0;
        let frame_pointer = if frame.fp_offset.saturating_sub(frame.sp_offset) > 8 {
            Value::of(trace.on_own_stack(isa.frame_pointer_in(sp, fp)))
        } else {
            Value::Unknown
        };
        let is_innermost = self.g.stack.frames.first() == Some(frame);
        let sampled = self.g.sampled.as_ref().filter(|_| is_innermost);
        let registers = sampled.map_or(&[][..], |sample| sample.registers.general());
        let enter = |mut state: State| {
            state.routine = Arc::clone(routine);
            state.at = at;
            state.frame = Value::of(trace.on_own_stack(fp));
            state.returns.clear();
            state.last = None;
            executor.forget_below(&mut state, sp);
            state.set_register(isa.stack_pointer(), Value::of(trace.on_own_stack(sp)));
            state.set_register(isa.frame_pointer(), frame_pointer);
            state.set_register(isa.goroutine(), Value::of(self.standing.address(trace)));
            if let Some(zero) = isa.zero_wide() {
                state.wide.set(zero, (Value::exact(0), Value::exact(0)));
            }
            for (number, word) in (0..).zip(registers) {
                state.set_register(Register(number), Value::exact(*word));
            }
            state
        };
        before.into_iter().map(enter).collect()
    }

    /// Takes over what a frame's continuation came to; false when it never returns.
    fn take(&mut self, outcome: Outcome) -> bool {
        if outcome.exits.is_empty() {
            self.ends = outcome.loops;
            return false;
        }
        let mut states: Vec<State> = Vec::new();
        for exit in outcome.exits {
            match states.iter_mut().find(|s| s.effects == exit.effects) {
                Some(same) => {
                    same.absorb(&exit, &self.executor.world);
                }
                None => states.push(exit),
            }
        }
        if states.len() > MAX_HISTORIES {
            states = summarised(states);
        }
        self.histories = states.iter().map(|s| (*s.effects).clone()).collect();
        self.registers = Some(states);
        true
    }
}

/// Too many different histories: what they have in common.
fn summarised(states: Vec<State>) -> Vec<State> {
    let mut states = states.into_iter();
    let Some(first) = states.next() else {
        return Vec::new();
    };
    let mut common = State::new(Arc::clone(&first.routine), first.at);
    common.effects = first.effects;
    common.forks = 1;
    for state in states {
        common.effects.edit(|e| e.summarise(&state.effects));
    }
    vec![common]
}
